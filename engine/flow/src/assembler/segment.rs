//! The long way of a segment: everything that is not the next bytes of an open connection without holes.

use super::admit::{Admission, admit, opens};
use super::chunks::Run;
use super::connection::{Connection, Doubt, State, of_mut};
use super::half_stream::HalfStream;
use super::hole::Hole;
use super::payload::Payload;
use super::pool::NONE;
use super::{Assembler, StreamFactory};
use crate::packet::{Packet, Segment};
use crate::{Direction, End, FlowInfo, Nanos, OrientedBy, Side};

/// An acknowledgement further ahead than the largest window is none.
const MAX_WINDOW: i32 = 1 << 30;

impl<F: StreamFactory> Assembler<F> {
    /// A segment of a flow without a connection.
    #[cold]
    pub(super) fn unknown(&mut self, factory: &mut F, segment: &Segment, payload: &[u8], timestamp: Nanos) {
        if !opens(segment, payload) {
            self.counters.unowned += 1;
            return;
        }
        let packet = &segment.packet;
        let syn = segment.flags.syn();
        let (client_side, oriented_by) = match (syn, segment.flags.ack()) {
            (true, false) => (packet.sender, OrientedBy::Syn),
            (true, true) => (packet.sender.other(), OrientedBy::SynAck),
            (false, _) => {
                let server_sent = packet.key.endpoint(packet.sender).port()
                    < packet.key.endpoint(packet.sender.other()).port();
                let client = if server_sent { packet.sender.other() } else { packet.sender };
                (client, OrientedBy::LowerPort)
            }
        };
        self.counters.midstream += u64::from(!syn);
        if let Some(index) = self.open(factory, packet, client_side, oriented_by, timestamp) {
            self.take(factory, index, segment, payload, timestamp);
        }
    }

    /// Adds a connection that was seen first at `first_seen`.
    fn open(
        &mut self,
        factory: &mut F,
        packet: &Packet,
        client_side: Side,
        oriented_by: OrientedBy,
        first_seen: Nanos,
    ) -> Option<u32> {
        self.make_room(factory, oriented_by != OrientedBy::LowerPort);
        let mut flow = FlowInfo {
            key: packet.key,
            client_side,
            oriented_by,
            first_seen,
            last_seen: self.now,
            interface: packet.interface,
            midstream: oriented_by == OrientedBy::LowerPort,
            serial: self.next_serial,
        };
        self.next_serial = self.next_serial.wrapping_add(self.options.serial_step);
        self.counters.opened += 1;
        let stream = factory.new_stream(&mut flow);
        let mut connection = Connection::new(flow, packet.hash);
        connection.stream = Some(stream);
        self.pool.insert(connection)
    }

    /// Somebody went on from a SYN that was in doubt: the connection that it was seen on is over, and another one begins.
    fn reopen(
        &mut self,
        factory: &mut F,
        index: u32,
        doubt: Doubt,
        segment: &Segment,
        payload: &[u8],
        timestamp: Nanos,
    ) {
        self.finish(factory, index, End::Reused, None);
        let (client_side, oriented_by) = match doubt.ack {
            None => (doubt.sender, OrientedBy::Syn),
            Some(_) => (doubt.sender.other(), OrientedBy::SynAck),
        };
        let opened = self.open(factory, &segment.packet, client_side, oriented_by, doubt.seen);
        let Some(index) = opened else { return };
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        let direction = connection.flow.direction(doubt.sender);
        let (own, peer) = connection.halves_mut(direction);
        own.open(doubt.seq, doubt.window_scale);
        own.tell_later();
        if let Some(ack) = doubt.ack {
            peer.begin_at(ack);
        }
        self.count_packet(index, direction);
        self.take(factory, index, segment, payload, timestamp);
    }

    /// A segment of a connection that is there.
    #[cold]
    pub(super) fn known(
        &mut self,
        factory: &mut F,
        index: u32,
        segment: &Segment,
        payload: &[u8],
        timestamp: Nanos,
    ) {
        let Some(connection) = self.pool.connections.get(index) else { return };
        if let Some(doubt) = self.pool.actives.get(connection.active).and_then(|active| active.doubt)
            && doubt.is_confirmed_by(segment)
        {
            return self.reopen(factory, index, doubt, segment, payload, timestamp);
        }
        match admit(connection, segment, payload) {
            Admission::Take if segment.flags.rst() => {
                let direction = connection.flow.direction(segment.packet.sender);
                self.pool.touch(index, self.now);
                self.count_packet(index, direction);
                self.finish(factory, index, End::Rst, Some(direction));
            }
            Admission::Take => self.take(factory, index, segment, payload, timestamp),
            Admission::Reuse => {
                if connection.state == State::Closed {
                    self.pool.remove(index);
                } else {
                    self.finish(factory, index, End::Reused, None);
                }
                self.unknown(factory, segment, payload, timestamp);
            }
            Admission::Doubt => {
                self.counters.doubtful_syns += 1;
                let at = connection.active;
                if let Some(active) = self.pool.actives.get_mut(at) {
                    active.doubt = Some(Doubt::new(segment, timestamp));
                }
            }
            Admission::Straggler => self.counters.stragglers += 1,
            Admission::Refuse => self.counters.refused += 1,
        }
    }

    /// A segment that belongs to the connection and is no RST.
    fn take(&mut self, factory: &mut F, index: u32, segment: &Segment, bytes: &[u8], timestamp: Nanos) {
        let mut payload = Payload::new(segment, bytes, timestamp);
        let embryonic = self.pool.connections.get(index).is_some_and(|c| c.state == State::Embryonic);
        let Some((direction, start)) = self.note_header(index, segment, &mut payload) else { return };
        self.note_time(index, direction, segment, embryonic && !segment.flags.syn(), timestamp);
        let Some(half) = self.pool.connections.get(index).map(|c| c.half(direction)) else { return };
        let mut run = Run::new(direction, half.next, timestamp);
        run.start = start;
        let mut copy = false;
        if half.known() {
            if half.fin() {
                copy = self.repeated(index, direction, segment, payload.bytes);
            } else {
                copy = self.place(factory, index, segment, &half, &mut payload, &mut run);
            }
        }
        if !copy {
            self.count_packet(index, direction);
        }
        let mut runs = [self.run(index, direction.reverse()), run];
        if let Some(connection) = self.pool.connections.get_mut(index) {
            for run in &mut runs {
                run.start |= of_mut(&mut connection.halves, run.direction).take_untold();
            }
        }
        self.release(index, &mut runs, [None; 2]);
        self.keep_page_limits(index, &mut runs);
        let due = [self.due(index, direction.reverse()), self.due(index, direction)];
        if due != [None; 2] {
            self.give_up(index, &mut runs, due);
        }
        self.hand_on(factory, index, runs);
        self.settle(factory, index);
    }

    /// Takes in what the header says, and what the payload has to come after; gives the direction and whether this is the
    /// first sight of its SYN.
    fn note_header(
        &mut self,
        index: u32,
        segment: &Segment,
        payload: &mut Payload<'_>,
    ) -> Option<(Direction, bool)> {
        let embryonic = self.pool.connections.get(index)?.state == State::Embryonic;
        if embryonic && !segment.flags.syn() {
            self.pool.set_state(index, State::Open, self.now);
        }
        self.pool.touch(index, self.now);
        if !segment.flags.syn() || payload.wire_len() > 0 {
            self.pool.activate(index);
        }
        let connection = self.pool.connections.get_mut(index)?;
        let direction = connection.flow.direction(segment.packet.sender);
        let (own, peer) = connection.halves_mut(direction);
        let mut start = false;
        if segment.flags.syn() {
            start = own.open(segment.seq, segment.window_scale) && own.next == payload.seq;
            if segment.flags.ack() && !peer.known() {
                peer.begin_at(segment.ack);
            }
        }
        if !own.known() && (payload.wire_len() > 0 || payload.fin.is_some()) {
            own.join_at(payload.seq);
        }
        own.heard(segment);
        let unseen = segment.flags.ack()
            && peer.known()
            && (1..=MAX_WINDOW).contains(&peer.next.difference(segment.ack));
        if unseen {
            self.acknowledged_unseen(index, direction.reverse(), segment.ack);
            // What was never heard of can't be waited for.
            let other = self.run(index, direction.reverse());
            let heard = super::connection::of(&self.totals_of(index), other.direction).packets > 0;
            payload.after =
                Some(segment.ack).filter(|&ack| heard && !self.reached(index, &other).covers(Some(ack)));
        }
        Some((direction, start))
    }

    /// Finds the payload's place: into `run` when it is next, into pages when it is not yet, nowhere when it was seen.
    /// Gives whether it is a copy from another interface.
    fn place<'a>(
        &mut self,
        factory: &mut F,
        index: u32,
        segment: &Segment,
        half: &HalfStream,
        payload: &mut Payload<'a>,
        run: &mut Run<'a>,
    ) -> bool {
        let direction = run.direction;
        let probe = payload.wire_len() <= 1 && payload.fin.is_none() && payload.seq.add(1) == half.next;
        let old = payload.trim_front(half.next);
        // One that stands before what was handed on is none: its sender went on.
        payload.fin = payload.fin.filter(|&fin| half.next.difference(fin) >= 0);
        // A copy with new bytes behind it (another interface may merge segments otherwise) is a segment like any other.
        let repeated = !probe && self.repeated(index, direction, segment, old);
        let copy = repeated && payload.wire_len() == 0;
        if half.next.difference(payload.seq) > 0 || self.holds_back(index, run, payload.after) {
            return self.wait(factory, index, segment, half, *payload, direction);
        }
        let fin = payload.fin;
        let hole = self.pool.connections.get(index).map_or(NONE, |c| c.hole(direction));
        let Some(hole) = self.holes.get_mut(hole) else {
            if payload.wire_len() > 0 {
                run.begin(payload.bytes, payload.cut);
                self.note_interface(index, direction, segment);
            }
            run.end |= fin == Some(run.to);
            return copy;
        };
        if let Some(fin) = fin {
            hole.finish_at(fin, payload.after);
        }
        if payload.wire_len() == 0 && hole.fin != Some(run.to) {
            return copy;
        }
        if let Some(fin) = hole.fin {
            payload.trim_back(fin);
        }
        let stored = hole.overlay(&mut self.pages, payload.seq, payload.bytes, self.options.overlap);
        run.begin(payload.bytes, payload.cut);
        self.note_interface(index, direction, segment);
        self.note_stored(index, direction, segment, payload.bytes, stored);
        copy
    }

    /// Puts payload that begins behind a hole, or has to wait for the other direction, into pages. Gives whether it is a copy from another interface.
    fn wait(
        &mut self,
        factory: &mut F,
        index: u32,
        segment: &Segment,
        half: &HalfStream,
        mut payload: Payload<'_>,
        direction: Direction,
    ) -> bool {
        if payload.wire_len() == 0 && payload.fin.is_none() {
            return false;
        }
        self.make_room_for_pages(factory, Hole::pages_for(payload.bytes.len()), index);
        let Some(at) = self.hole(index, direction) else { return false };
        let Some(hole) = self.holes.get_mut(at) else { return false };
        // A probe repeats, or makes up, the last byte before what its sender would send next.
        let probe = payload.wire_len() == 1
            && payload.fin.is_none()
            && self.pages.get(hole.tail).is_some_and(|page| page.end() == payload.seq.add(1));
        if probe {
            return false;
        }
        if let Some(fin) = payload.fin {
            hole.finish_at(fin, payload.after);
        }
        if let Some(fin) = hole.fin {
            payload.trim_back(fin);
        }
        let stored = hole.insert(&mut self.pages, half.next, &payload, self.options.overlap);
        if hole.pages > 0 && !hole.waiting {
            hole.waiting = true;
            self.buffering.push(&mut self.holes, at);
        }
        self.counters.pages_peak = self.counters.pages_peak.max(u64::from(self.pages.used()));
        let new = stored.known < payload.bytes.len() as u64;
        if new {
            self.note_interface(index, direction, segment);
            if payload.after.is_some() {
                self.counters.held_back += 1;
            } else {
                self.counters.out_of_order += 1;
                self.totals(index, direction, |totals| totals.out_of_order_packets += 1);
            }
        }
        self.note_stored(index, direction, segment, payload.bytes, stored) && !new
    }
}

//! To the stream: what a segment or a time-out made ready is told, counted and forgotten.

use super::chunks::{Chunks, Run};
use super::connection::{State, of_mut};
use super::hole::{BUFFERING, Hole, Stored, TIMERS, Timer};
use super::list::List;
use super::pool::NONE;
use super::timing::before_payload;
use super::{Assembler, Sequence, Stream, StreamFactory, Totals};
use crate::packet::Segment;
use crate::{Direction, End};

pub(super) const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

impl<F: StreamFactory> Assembler<F> {
    /// An empty run where a half-stream stands.
    pub(super) fn run<'a>(&self, index: u32, direction: Direction) -> Run<'a> {
        let next = self.pool.connections.get(index).map_or(Sequence(0), |c| c.half(direction).next);
        Run::new(direction, next, self.now)
    }

    /// Hands the runs on, in this order; nothing is called when both are empty.
    pub(super) fn hand_on(&mut self, factory: &mut F, index: u32, mut runs: [Run<'_>; 2]) {
        if runs.iter().all(Run::is_empty) {
            return;
        }
        if runs.iter().any(|run| run.from != run.to) {
            self.pool.activate(index);
        }
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        let mut active = self.pool.actives.get_mut(connection.active);
        for run in runs.iter_mut().filter(|run| !run.is_empty()) {
            let half = of_mut(&mut connection.halves, run.direction);
            // A SYN alone does not tell that bytes are missing before the first one that comes.
            if run.from != run.to || run.end {
                run.joined = half.take_joined();
            }
            half.next = run.to;
            if run.end {
                half.finish();
            }
            let gap = run.gap();
            self.counters.bytes += run.bytes;
            self.counters.gap_bytes += gap;
            if let Some(active) = &mut active {
                let totals = of_mut(&mut active.totals, run.direction);
                totals.bytes += run.bytes;
                totals.gap_bytes += gap;
            }
        }
        let totals = match active {
            Some(active) => active.totals,
            None => before_payload(connection),
        };
        let heads = [runs[0].head, runs[1].head];
        let chunks = Chunks::runs(runs, &self.pages);
        self.counters.gaps += chunks.clone().filter(|chunk| chunk.skip > 0).count() as u64;
        if let Some(stream) = &mut connection.stream {
            stream.reassembled(factory, &connection.flow, &totals, chunks);
        }
        for head in heads {
            Run::release(head, &mut self.pages);
        }
    }

    /// Brings a connection's holes up to date after something was handed on, and ends it when both FINs were.
    pub(super) fn settle(&mut self, factory: &mut F, index: u32) {
        for direction in BOTH {
            self.settle_hole(index, direction);
        }
        if self.pool.connections.get(index).is_some_and(|c| c.halves.iter().all(|half| half.fin())) {
            self.finish(factory, index, End::Fin, None);
        }
    }

    fn settle_hole(&mut self, index: u32, direction: Direction) {
        let Some(connection) = self.pool.connections.get(index) else { return };
        let (half, at) = (connection.half(direction), connection.hole(direction));
        let Some(hole) = self.holes.get_mut(at) else { return };
        if half.fin() || hole.closed(half.next) {
            self.remove_hole(index, direction);
            return;
        }
        // What was acknowledged when the timer was set is settled: what was acknowledged later waits its own time.
        let waived = hole.waived;
        let reached = |mark: Sequence| {
            half.next.difference(mark) <= 0 || waived.is_some_and(|waived| waived.difference(mark) <= 0)
        };
        if hole.timer.take_if(|timer| reached(timer.mark)).is_some() {
            self.timers.remove(&mut self.holes, at);
        }
        let Some(hole) = self.holes.get_mut(at) else { return };
        if let (Some(mark), None) = (hole.pending(half.next), hole.timer) {
            hole.timer = Some(Timer { since: self.now, mark, left: self.options.hole_segments });
            self.timers.push(&mut self.holes, at);
        }
        let Some(hole) = self.holes.get_mut(at) else { return };
        if hole.waiting && hole.pages == 0 {
            hole.waiting = false;
            self.buffering.remove(&mut self.holes, at);
        }
    }

    /// Gives a hole and its pages back.
    fn remove_hole(&mut self, index: u32, direction: Direction) {
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        let at = core::mem::replace(of_mut(&mut connection.holes, direction), NONE);
        let Some(hole) = self.holes.get_mut(at) else { return };
        let head = core::mem::replace(&mut hole.head, NONE);
        let timer = hole.timer.take().is_some();
        let waiting = core::mem::take(&mut hole.waiting);
        Run::release(head, &mut self.pages);
        if timer {
            List::<TIMERS>::remove(&mut self.timers, &mut self.holes, at);
        }
        if waiting {
            List::<BUFFERING>::remove(&mut self.buffering, &mut self.holes, at);
        }
        self.holes.release(at);
    }

    /// Ends a connection: hands on all that waits, gaps and all, and completes the stream. `reset` is the direction of the
    /// RST.
    pub(super) fn finish(&mut self, factory: &mut F, index: u32, end: End, reset: Option<Direction>) {
        let order = match reset {
            Some(direction) => [direction.reverse(), direction],
            None => BOTH,
        };
        let mut runs = order.map(|direction| self.run(index, direction));
        // A half-stream that is over has no hole.
        let last = order.map(|direction| self.hole_of(index, direction)?.last(&self.pages));
        self.release(index, &mut runs, last);
        let fin = |direction| self.pool.connections.get(index).is_some_and(|c| c.half(direction).fin());
        for run in &mut runs {
            run.end |= reset == Some(run.direction) && !fin(run.direction);
        }
        self.hand_on(factory, index, runs);
        for direction in BOTH {
            self.remove_hole(index, direction);
        }
        self.end_stalls(index);
        let totals = self.totals_of(index);
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        *self.counters.ended(end) += 1;
        if let Some(mut stream) = connection.stream.take() {
            stream.reassembly_complete(factory, &connection.flow, &totals, end);
        }
        // Stragglers follow a close or reset of what was open; a refused SYN may soon be sent again as it was.
        if matches!(end, End::Fin | End::Rst) && connection.state == State::Open {
            connection.flow.last_seen = self.now;
            self.pool.release_active(index);
            self.pool.set_state(index, State::Closed, self.now);
            self.keep_closed_limit();
        } else {
            self.pool.remove(index);
        }
    }

    /// Counts a segment of a direction.
    pub(super) fn count_packet(&mut self, index: u32, direction: Direction) {
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        if connection.active == NONE {
            let packets = of_mut(&mut connection.packets, direction);
            if *packets < u16::MAX {
                *packets += 1;
                return;
            }
            self.pool.activate(index);
        }
        self.totals(index, direction, |totals| totals.packets += 1);
    }

    /// The totals of a connection.
    pub(super) fn totals_of(&self, index: u32) -> [Totals; 2] {
        let Some(connection) = self.pool.connections.get(index) else { return Default::default() };
        match self.pool.actives.get(connection.active) {
            Some(active) => active.totals,
            None => before_payload(connection),
        }
    }

    /// Changes the totals of a direction of a connection that carried payload.
    pub(super) fn totals(&mut self, index: u32, direction: Direction, change: impl FnOnce(&mut Totals)) {
        if let Some(connection) = self.pool.connections.get(index)
            && let Some(active) = self.pool.actives.get_mut(connection.active)
        {
            change(of_mut(&mut active.totals, direction));
        }
    }

    /// Notes the interface of payload that was not seen before.
    pub(super) fn note_interface(&mut self, index: u32, direction: Direction, segment: &Segment) {
        if let Some(connection) = self.pool.connections.get_mut(index)
            && let Some(active) = self.pool.actives.get_mut(connection.active)
        {
            of_mut(&mut connection.halves, direction).note_payload();
            of_mut(&mut active.interfaces, direction).get_or_insert(segment.packet.interface);
        }
    }

    /// Counts payload bytes that were seen before: as a copy (true) when they came on another interface than the
    /// direction's first ones, else as retransmitted.
    pub(super) fn repeated(
        &mut self,
        index: u32,
        direction: Direction,
        segment: &Segment,
        bytes: &[u8],
    ) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let first = self
            .pool
            .connections
            .get(index)
            .and_then(|c| self.pool.actives.get(c.active))
            .and_then(|active| *super::connection::of(&active.interfaces, direction));
        if first.is_some_and(|interface| interface != segment.packet.interface) {
            self.counters.copies += 1;
            return true;
        }
        let len = bytes.len() as u64;
        self.counters.retransmitted_bytes += len;
        self.totals(index, direction, |totals| totals.retransmitted_bytes += len);
        false
    }

    /// Counts what met bytes in pages, as [`Self::repeated`] does, and conflicts.
    pub(super) fn note_stored(
        &mut self,
        index: u32,
        direction: Direction,
        segment: &Segment,
        payload: &[u8],
        stored: Stored,
    ) -> bool {
        if stored.conflict {
            self.counters.overlap_conflicts += 1;
            self.totals(index, direction, |totals| totals.overlap_conflicts += 1);
        }
        let known = usize::try_from(stored.known).unwrap_or(usize::MAX);
        self.repeated(index, direction, segment, payload.get(..known).unwrap_or(payload))
    }

    /// The hole of a run's half-stream.
    pub(super) fn hole_of(&self, index: u32, direction: Direction) -> Option<&Hole> {
        self.holes.get(self.pool.connections.get(index)?.hole(direction))
    }
}

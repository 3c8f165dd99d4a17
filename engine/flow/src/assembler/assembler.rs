//! The assembler: the way in for segments, and the short way of those in order.

use super::chunks::Chunks;
use super::connection::{State, of_mut};
use super::hole::{BUFFERING, Hole, Pages, TIMERS};
use super::list::List;
use super::page::Page;
use super::pool::{NONE, Pool};
use super::stream_pool::StreamPool;
use super::{AssemblerCounters, AssemblerOptions, Reassembly, Sequence, Stream, StreamFactory};
use crate::Nanos;
use crate::packet::{Segment, TcpFlags};

/// Puts the segments of many connections in order. Owned by one worker.
#[derive(Debug)]
pub struct Assembler<F: StreamFactory> {
    pub(super) options: AssemblerOptions,
    pub(super) counters: AssemblerCounters,
    /// The high-water mark of packet time.
    pub(super) now: Nanos,
    pub(super) pool: StreamPool<F::Stream>,
    pub(super) holes: Pool<Hole, 1>,
    pub(super) pages: Pages,
    pub(super) timers: List<TIMERS>,
    pub(super) buffering: List<BUFFERING>,
    pub(super) next_serial: u64,
    pub(super) trimmed: Nanos,
}

impl<F: StreamFactory> Assembler<F> {
    /// An assembler without connections.
    #[must_use]
    pub fn new(options: AssemblerOptions) -> Self {
        Self {
            counters: AssemblerCounters::default(),
            now: Nanos(0),
            pool: StreamPool::new(),
            holes: Pool::new(|| Hole::new(NONE, crate::Direction::ToServer)),
            pages: Pool::new(Page::vacant),
            timers: List::EMPTY,
            buffering: List::EMPTY,
            next_serial: options.first_serial,
            trimmed: Nanos(0),
            options,
        }
    }

    /// Takes in a segment at its own time. `payload` is what `segment.packet.payload` names.
    #[inline]
    pub fn assemble(&mut self, factory: &mut F, segment: &Segment, payload: &[u8]) {
        self.assemble_with_timestamp(factory, segment, payload, segment.packet.timestamp);
    }

    /// Takes in a segment as if it had been captured at `timestamp`.
    #[inline]
    pub fn assemble_with_timestamp(
        &mut self,
        factory: &mut F,
        segment: &Segment,
        payload: &[u8],
        timestamp: Nanos,
    ) {
        self.counters.segments += 1;
        self.now = self.now.max(timestamp);
        match self.pool.find(segment.packet.hash, &segment.packet.key) {
            Some(index) => {
                if !self.in_order(factory, index, segment, payload, timestamp) {
                    self.known(factory, index, segment, payload, timestamp);
                }
            }
            None => self.unknown(factory, segment, payload, timestamp),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> AssemblerCounters {
        AssemblerCounters {
            open: u64::from(self.pool.count(State::Open) + self.pool.count(State::Embryonic)),
            embryonic: u64::from(self.pool.count(State::Embryonic)),
            closed: u64::from(self.pool.count(State::Closed)),
            pages: u64::from(self.pages.used()),
            ..self.counters
        }
    }

    /// Connections that are under way or remembered.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.pool.len()
    }

    /// Bytes allocated for connections, holes and pages; what streams allocate themselves is not in it.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.pool.memory() + self.holes.memory() + self.pages.memory()
    }

    /// The short way: the next bytes, or a bare acknowledgement, of an open connection without holes. False: not so, and
    /// nothing was done.
    #[inline]
    fn in_order(
        &mut self,
        factory: &mut F,
        index: u32,
        segment: &Segment,
        payload: &[u8],
        timestamp: Nanos,
    ) -> bool {
        const UNUSUAL: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let Some(connection) = self.pool.connections.get_mut(index) else { return false };
        let direction = connection.flow.direction(segment.packet.sender);
        let no_holes = connection.holes == [NONE; 2];
        let open = connection.state == State::Open;
        let (own, peer) = connection.halves_mut(direction);
        if !open
            || !no_holes
            || segment.flags.any(UNUSUAL)
            || segment.packet.missing != 0
            || segment.window == 0
            || segment.seq != own.next
            || !own.plain(payload)
            || (segment.flags.ack() && peer.known() && peer.next.difference(segment.ack) > 0)
        {
            return false;
        }
        let Some(active) = self.pool.actives.get_mut(connection.active) else { return false };
        let len = u32::try_from(payload.len()).unwrap_or(0);
        connection.flow.last_seen = self.now;
        let (own, _) = connection.halves_mut(direction);
        own.heard(segment);
        own.next = own.next.add(len);
        let totals = of_mut(&mut active.totals, direction);
        totals.packets += 1;
        totals.bytes += u64::from(len);
        if len > 0 {
            self.counters.bytes += u64::from(len);
            let chunk =
                Reassembly { direction, bytes: payload, skip: 0, start: false, end: false, seen: timestamp };
            if let Some(stream) = &mut connection.stream {
                stream.reassembled(factory, &connection.flow, &active.totals, Chunks::one(chunk));
            }
        }
        self.pool.age(index, self.now);
        true
    }

    /// The hole of a half-stream, made if there is none. None when memory's numbers are used up.
    pub(super) fn hole(&mut self, index: u32, direction: crate::Direction) -> Option<u32> {
        let connection = self.pool.connections.get_mut(index)?;
        let hole = of_mut(&mut connection.holes, direction);
        if *hole == NONE {
            let taken = self.holes.take()?;
            *self.holes.get_mut(taken)? = Hole::new(index, direction);
            *hole = taken;
        }
        Some(*hole)
    }

    /// Notes that the receiver of `direction` acknowledged everything before `ack`, of which some was not seen.
    pub(super) fn acknowledged_unseen(&mut self, index: u32, direction: crate::Direction, ack: Sequence) {
        if let Some(hole) = self.hole(index, direction)
            && let Some(hole) = self.holes.get_mut(hole)
        {
            hole.acknowledge(ack);
        }
    }
}

//! The connection: a TCP flow's state in a worker.
//!
//! It is laid out in parts, so that each connection costs only what it needs: [`Connection`] for all of them, [`Active`]
//! from the first payload byte on, a [`Hole`](super::hole::Hole) a direction while bytes are missing there.

use core::num::NonZeroU64;

use super::half_stream::HalfStream;
use super::list::{Linked, Links};
use super::pool::NONE;
use super::{LRU, Sequence, Totals};
use crate::packet::Segment;
use crate::{Direction, FlowInfo, Nanos, Side};

/// How far a connection is; each state has its own list, the oldest in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing but SYNs so far.
    Embryonic,
    /// Under way.
    Open,
    /// Ended; remembered for stragglers. Has no stream.
    Closed,
}

/// What every connection has. In this order what a segment in order needs lies within two cache lines.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Connection<S> {
    pub(super) flow: FlowInfo,
    /// By direction.
    pub(super) halves: [HalfStream; 2],
    /// The hole in each direction, or `NONE`.
    pub(super) holes: [u32; 2],
    /// Its [`Active`] part, or `NONE`.
    pub(super) active: u32,
    /// Segments in each direction while there is no `Active` part.
    pub(super) packets: [u16; 2],
    /// When it was put into its list, in [`StreamPool`](super::stream_pool::StreamPool)'s coarse time.
    pub(super) aged: u32,
    pub(super) state: State,
    pub(super) stream: Option<S>,
    /// When the SYN-ACK was seen.
    pub(super) answered: Option<NonZeroU64>,
    pub(super) lru: Links,
    pub(super) hash: u64,
}

/// What a connection has that got further than SYNs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Active {
    /// By direction.
    pub(super) totals: [Totals; 2],
    /// The interface on which each direction's payload was first seen.
    pub(super) interfaces: [Option<u32>; 2],
    /// Since when the receiver of each direction has had its window closed.
    pub(super) stalled_since: [Option<NonZeroU64>; 2],
    /// A SYN with another number that nobody went on from yet.
    pub(super) doubt: Option<Doubt>,
}

/// A SYN on the tuple of an open connection: another connection when somebody goes on from it, else a stray or forged one,
/// which its receiver does not take either (RFC 5961, section 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) sender: Side,
    pub(super) seq: Sequence,
    /// What it acknowledges, when it is a SYN-ACK.
    pub(super) ack: Option<Sequence>,
    pub(super) window_scale: Option<u8>,
    pub(super) seen: Nanos,
}

impl Doubt {
    pub(super) fn new(segment: &Segment, seen: Nanos) -> Self {
        Self {
            sender: segment.packet.sender,
            seq: segment.seq,
            ack: segment.flags.ack().then_some(segment.ack),
            window_scale: segment.window_scale,
            seen,
        }
    }

    /// Whether a segment goes on from the SYN: the next bytes of its sender, or the other end's acknowledgement.
    pub(super) fn is_confirmed_by(&self, segment: &Segment) -> bool {
        let next = self.seq.add(1);
        let flags = segment.flags;
        !flags.rst()
            && if segment.packet.sender == self.sender {
                !flags.syn() && segment.seq == next
            } else {
                flags.ack() && segment.ack == next
            }
    }
}

impl<S> Linked<LRU> for Connection<S> {
    fn links(&mut self) -> &mut Links {
        &mut self.lru
    }
    fn linked(&self) -> Links {
        self.lru
    }
}

impl<S> Connection<S> {
    /// An embryonic connection without a stream.
    pub(super) fn new(flow: FlowInfo, hash: u64) -> Self {
        Self {
            flow,
            hash,
            lru: Links::NONE,
            active: NONE,
            holes: [NONE; 2],
            halves: [HalfStream::UNKNOWN; 2],
            packets: [0; 2],
            aged: 0,
            state: State::Embryonic,
            stream: None,
            answered: None,
        }
    }

    /// The half-stream of a direction and that of the other one.
    #[inline]
    pub(super) fn halves_mut(&mut self, direction: Direction) -> (&mut HalfStream, &mut HalfStream) {
        let [to_server, to_client] = &mut self.halves;
        match direction {
            Direction::ToServer => (to_server, to_client),
            Direction::ToClient => (to_client, to_server),
        }
    }

    /// The half-stream of a direction.
    pub(super) fn half(&self, direction: Direction) -> HalfStream {
        *of(&self.halves, direction)
    }

    /// The hole of a direction, or `NONE`.
    pub(super) fn hole(&self, direction: Direction) -> u32 {
        *of(&self.holes, direction)
    }
}

/// The element of a direction.
pub(super) fn of<T>([to_server, to_client]: &[T; 2], direction: Direction) -> &T {
    match direction {
        Direction::ToServer => to_server,
        Direction::ToClient => to_client,
    }
}

/// The element of a direction.
#[inline]
pub(super) fn of_mut<T>([to_server, to_client]: &mut [T; 2], direction: Direction) -> &mut T {
    match direction {
        Direction::ToServer => to_server,
        Direction::ToClient => to_client,
    }
}

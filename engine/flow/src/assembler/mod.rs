//! Stage: packet → bytes in order.
//!
//! In go TCP segments as they were captured; out come, for each connection, the bytes of both directions in order, each
//! chunk a [`Reassembly`]. In-order bytes are handed on where the kernel put them; only out-of-order ones are copied.
//!
//! One [`Assembler::assemble`] does, for the segment's connection and in this order: at most one
//! [`StreamFactory::new_stream`], at most one [`Stream::reassembled`], at most one [`Stream::reassembly_complete`]. When
//! a tuple is used again, the old connection is completed first. When a limit is reached, what has to make room (other
//! connections' holes, or whole connections) is handed on and completed before.
//!
//! What opens a connection: a SYN, a SYN-ACK, or payload. A bare acknowledgement, FIN or RST of an unknown flow does not:
//! nothing could be said of it. Nor does a single byte without PSH: it is a keep-alive probe of an idle connection, whose
//! byte no application sent.
//!
//! Files, in the order in which a segment meets them: `assembler` (the way in, and the short way of a segment in order),
//! `foresee` (what a batch needs comes into the cache before), `admit` (does TCP take it?), `segment` (the long way), `hole` with `page` (bytes that wait), `causal`
//! (the order of the two directions), `hand_on` (to the stream, with
//! `chunks`), `limits` (time and memory). `stream_pool`, `connection`, `half_stream`, `pool` and `list` hold the state.

mod admit;
#[expect(clippy::module_inception, reason = "the type that the module is named for")]
mod assembler;
mod causal;
mod chunks;
mod connection;
mod counters;
mod foresee;
mod half_stream;
mod hand_on;
mod hole;
mod limits;
pub(crate) mod list;
mod options;
mod page;
mod payload;
pub(crate) mod pool;
mod segment;
mod sequence;
mod shared;
mod stream_pool;
#[cfg(test)]
mod tests;
mod timing;

pub use assembler::Assembler;
pub use chunks::Chunks;
pub use counters::AssemblerCounters;
pub use limits::Flushed;
pub use options::{AssemblerOptions, Overlap};
pub use page::PAGE_BYTES;
pub use sequence::Sequence;
pub use shared::SharedStreamPool;

use core::num::NonZeroU64;

use crate::{Direction, End, FlowInfo, Nanos};

/// The kind of list that orders connections by age.
const LRU: u8 = 0;

/// One chunk of a connection, handed on in order.
#[derive(Clone, Copy, Debug)]
pub struct Reassembly<'a> {
    /// Which way the bytes go.
    pub direction: Direction,
    /// The bytes; may be empty when only a gap, a start or an end is told.
    pub bytes: &'a [u8],
    /// Bytes skipped just before `bytes`: 0 none, a positive number a gap, -1 an unknown number because the flow was joined in the middle.
    pub skip: i64,
    /// The direction's SYN stands before `bytes`.
    pub start: bool,
    /// The direction's FIN or RST stands behind `bytes`.
    pub end: bool,
    /// When the segment that carried `bytes` was captured.
    pub seen: Nanos,
}

/// What one direction of a connection amounted to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes handed on in order.
    pub bytes: u64,
    /// Segments seen, also those without payload.
    pub packets: u64,
    /// Bytes given up as never seen.
    pub gap_bytes: u64,
    /// Payload bytes that had been seen before.
    pub retransmitted_bytes: u64,
    /// Segments whose payload began after a hole.
    pub out_of_order_packets: u64,
    /// Retransmitted or overlapping segments whose bytes differ from those seen first. Only bytes that still wait for
    /// others can be compared: what was handed on is not kept.
    pub overlap_conflicts: u64,
    /// Nanoseconds from the other end's step of the handshake to this one's: to the client from the SYN to the SYN-ACK, to the
    /// server from the SYN-ACK to the segment that acknowledges it. None where one of them was not seen.
    pub handshake: Option<NonZeroU64>,
    /// How often the receiver closed its window.
    pub window_stalls: u64,
    /// Nanoseconds for which it was closed.
    pub stalled: u64,
}

/// Makes a stream for each new connection; also the context that all streams of an assembler share.
pub trait StreamFactory: Sized {
    /// The stream of one connection.
    type Stream: Stream<Self>;

    /// A connection was seen first. When no SYN told (`flow.oriented_by` is `LowerPort`), the factory may turn `flow.client_side` around.
    fn new_stream(&mut self, flow: &mut FlowInfo) -> Self::Stream;
}

/// Takes the bytes of one connection, both directions.
pub trait Stream<F> {
    /// Bytes in order, possibly of both directions, in causal order. Called at most once per `assemble`.
    fn reassembled(&mut self, factory: &mut F, flow: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>);

    /// The connection is over; nothing is called after it.
    fn reassembly_complete(&mut self, factory: &mut F, flow: &FlowInfo, totals: &[Totals; 2], end: End);

    /// A segment of the connection comes soon: what `reassembled` will want first comes into the cache (see
    /// [`Assembler::foresee`]).
    #[inline]
    fn foresee(&self) {}

    /// The same, a while later: what could only be found there comes into the cache.
    fn foresee_behind(&self) {}

    /// No packet came for a while and packet time is `now`. True keeps the connection although it is idle (an exchange is pending).
    fn idle(&mut self, factory: &mut F, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) -> bool;
}

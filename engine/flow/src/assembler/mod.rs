//! Stage: packet → bytes in order.
//!
//! In go TCP segments as they were captured; out come, for each connection, the bytes of both directions in order, each
//! chunk a [`Reassembly`]. In-order bytes are handed on where the kernel put them; only out-of-order ones are copied.

use crate::{Direction, End, FlowInfo, Nanos};

/// A TCP sequence number: 32 bits that wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(pub u32);

impl Sequence {
    /// The number `n` bytes further on.
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How far `other` lies after `self`, in bytes; negative when it lies before. Right across the wrap: from 2³²−10 to
    /// 10 is 20.
    #[must_use]
    pub const fn difference(self, other: Self) -> i32 {
        other.0.wrapping_sub(self.0).cast_signed()
    }
}

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
    /// Retransmitted or overlapping segments whose bytes differ from those seen first.
    pub overlap_conflicts: u64,
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

    /// No packet came for a while and packet time is `now`. True keeps the connection although it is idle (an exchange is pending).
    fn idle(&mut self, factory: &mut F, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) -> bool;
}

/// The chunks of one `reassembled` call, in causal order.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    chunks: core::slice::Iter<'a, Reassembly<'a>>,
}

impl<'a> Chunks<'a> {
    /// Chunks that stand ready in a slice.
    #[must_use]
    pub fn from_slice(chunks: &'a [Reassembly<'a>]) -> Self {
        Self { chunks: chunks.iter() }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Reassembly<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunks.next().copied()
    }
}

//! The page: where bytes wait that came out of order.

use super::Sequence;
use super::pool::NONE;
use crate::Nanos;

/// Payload bytes in one page: a full Ethernet segment fits.
pub const PAGE_BYTES: usize = 2048;

/// A run of bytes from one segment, and its neighbours in the half-stream's order.
#[derive(Debug)]
pub(super) struct Page {
    /// Sequence number of the first byte.
    pub(super) seq: Sequence,
    /// Bytes in use, at least 1.
    pub(super) len: u32,
    /// Bytes behind these that the snap length cut.
    pub(super) cut: u32,
    /// The page before this one.
    pub(super) previous: u32,
    /// The page behind this one.
    pub(super) next: u32,
    /// When its segment was captured.
    pub(super) seen: Nanos,
    /// What its segment acknowledged of the other direction, where that was not seen by then: the bytes come behind it.
    pub(super) after: Option<Sequence>,
    content: [u8; PAGE_BYTES],
}

impl Page {
    /// A page in nobody's use.
    pub(super) fn vacant() -> Self {
        Self {
            seq: Sequence(0),
            len: 0,
            cut: 0,
            previous: NONE,
            next: NONE,
            seen: Nanos(0),
            after: None,
            content: [0; PAGE_BYTES],
        }
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.content.get(..self.len as usize).unwrap_or_default()
    }

    /// The bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.content.get_mut(..self.len as usize).unwrap_or_default()
    }

    /// Starts the page over with up to `PAGE_BYTES` of `bytes`; gives how many it took.
    pub(super) fn fill(
        &mut self,
        seq: Sequence,
        bytes: &[u8],
        seen: Nanos,
        after: Option<Sequence>,
    ) -> usize {
        let taken = bytes.len().min(PAGE_BYTES);
        if let (Some(to), Some(from)) = (self.content.get_mut(..taken), bytes.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.seq = seq;
        self.len = u32::try_from(taken).unwrap_or(0);
        self.cut = 0;
        (self.seen, self.after) = (seen, after);
        taken
    }

    /// The number behind the last byte.
    pub(super) fn end(&self) -> Sequence {
        self.seq.add(self.len)
    }
}

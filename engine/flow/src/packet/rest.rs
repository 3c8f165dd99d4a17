//! What is left of a frame behind the headers that were read, with checked reads.

use super::{Span, Stop};

/// The bytes from some header on, where they start in the frame, and how many more were on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    /// The captured bytes.
    pub(super) bytes: &'a [u8],
    /// Offset of `bytes` in the frame.
    at: usize,
    /// Bytes that follow `bytes` on the wire but were not captured.
    missing: usize,
}

impl<'a> Rest<'a> {
    /// All of a frame of `wire_len` bytes; `bytes` beyond that are no part of it.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], wire_len: u32) -> Self {
        let wire_len = wire_len as usize;
        let bytes = bytes.get(..wire_len).unwrap_or(bytes);
        Self { bytes, at: 0, missing: wire_len - bytes.len() }
    }

    /// What follows the next `n` bytes.
    #[inline]
    pub(super) fn skip(self, n: usize) -> Result<Self, Stop> {
        let bytes = self.bytes.get(n..).ok_or(Stop::Malformed)?;
        Ok(Self { bytes, at: self.at + n, missing: self.missing })
    }

    /// As `skip`, but a header that the snap length cut leaves nothing captured instead of being malformed.
    #[inline]
    pub(super) fn skip_cut(self, n: usize) -> Result<Self, Stop> {
        match n.checked_sub(self.bytes.len()) {
            None | Some(0) => self.skip(n),
            Some(cut) => {
                let missing = self.missing.checked_sub(cut).ok_or(Stop::Malformed)?;
                Ok(Self { bytes: &[], at: self.at + self.bytes.len(), missing })
            }
        }
    }

    /// The first `len` bytes: what a length field says. What is behind them (padding) is dropped; what the field promises
    /// beyond the captured bytes is missing, also when the frame's own length knows nothing of it.
    #[inline]
    pub(super) fn limit(self, len: usize) -> Self {
        let bytes = self.bytes.get(..len).unwrap_or(self.bytes);
        Self { bytes, at: self.at, missing: len - bytes.len() }
    }

    /// As `limit`, where the packet inside knows better how long it is: a length beyond the frame's is the frame's.
    pub(super) fn limit_within(self, len: usize) -> Self {
        self.limit(len.min(self.wire_len()))
    }

    /// Whether an IP packet begins here that does not end beyond what was on the wire.
    pub(super) fn holds_ip(self) -> bool {
        let end = match self.array::<6>(0) {
            Ok([0x45..=0x4f, _, l0, l1, ..]) => u16::from_be_bytes([l0, l1]).into(),
            Ok([0x60..=0x6f, _, _, _, l0, l1]) => usize::from(u16::from_be_bytes([l0, l1])) + 40,
            _ => return false,
        };
        end <= self.wire_len()
    }

    /// Bytes on the wire.
    #[inline]
    pub(super) fn wire_len(self) -> usize {
        self.bytes.len() + self.missing
    }

    /// One byte.
    #[inline]
    pub(super) fn u8(self, at: usize) -> Result<u8, Stop> {
        self.bytes.get(at).copied().ok_or(Stop::Malformed)
    }

    /// `N` bytes.
    #[inline]
    pub(super) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Stop> {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(Stop::Malformed)
    }

    /// A number in network byte order.
    #[inline]
    pub(super) fn u16(self, at: usize) -> Result<u16, Stop> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// Whether all of it was captured.
    pub(super) fn is_whole(self) -> bool {
        self.missing == 0
    }

    /// A number in network byte order.
    pub(super) fn u32(self, at: usize) -> Result<u32, Stop> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// A number in little endian order.
    pub(super) fn u16_le(self, at: usize) -> Result<u16, Stop> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// A number in little endian order.
    pub(super) fn u32_le(self, at: usize) -> Result<u32, Stop> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The captured bytes by their place in the lease of a frame at `frame_offset`, and how many are missing.
    #[inline]
    pub(super) fn span(self, frame_offset: u32) -> (Span, u32) {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let start = frame_offset.saturating_add(narrow(self.at));
        (Span { start, len: narrow(self.bytes.len()) }, narrow(self.missing))
    }
}

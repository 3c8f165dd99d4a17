//! The header of a compressed frame, and how one is recognised.
//!
//! Seven bytes: the length of what follows (3, little endian), the sequence id (1), the length that it had before it was compressed (3); 0
//! there: it is not compressed.
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html>.

use super::resync::Look;
use super::wire::{HEADER, Header};
use crate::inflate::Algorithm;

/// Bytes of a frame's header.
pub(super) const FRAME_HEADER: usize = 7;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes behind the header.
    pub(super) len: usize,
    pub(super) seq: u8,
    /// Length of what they become; 0 if they are plain.
    pub(super) plain: usize,
}

impl Frame {
    /// The header at the start of `bytes`; none when fewer than seven are there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let Header { len, seq } = Header::parse(bytes)?;
        let &[a, b, c] = bytes.get(HEADER..)?.first_chunk()?;
        Some(Self { len, seq, plain: u32::from_le_bytes([a, b, c, 0]) as usize })
    }

    /// Whether what may be the first packet of a response is a frame that holds one.
    pub(super) fn holds_response(bytes: &[u8]) -> bool {
        // An OK packet has seven bytes at least, an EOF packet five: nothing as short as that is taken for a frame with a packet.
        const SHORTEST: usize = HEADER + 5;
        let Some(frame) = Self::parse(bytes) else { return false };
        let body = bytes.get(FRAME_HEADER..).unwrap_or_default();
        if frame.plain > 0 {
            return Algorithm::begins(body) == Some(true);
        }
        frame.len >= SHORTEST && Header::parse(body).is_some_and(|inner| inner.len + HEADER == frame.len)
    }

    /// Whether a frame with the sequence id `seq` begins here, and with it a message.
    pub(super) fn look(bytes: &[u8], seq: u8) -> Look {
        let Some(frame) = Self::parse(bytes) else { return Look::More };
        if frame.seq != seq || frame.len == 0 {
            return Look::No;
        }
        let body = bytes.get(FRAME_HEADER..).unwrap_or_default();
        let body = body.get(..frame.len).unwrap_or(body);
        let begins = if frame.plain == 0 {
            Header::parse(body).map(|inner| inner.len > 0 && (seq > 0 || inner.seq == 0))
        } else {
            Algorithm::begins(body)
        };
        match begins {
            Some(true) => Look::Yes,
            Some(false) => Look::No,
            None if body.len() == frame.len => Look::No,
            None => Look::More,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        assert_eq!(Frame::parse(b"\x05\0\0\x07\0\x01"), None);
        assert_eq!(Frame::parse(b"\x05\0\0\x07\0\x01\0x"), Some(Frame { len: 5, seq: 7, plain: 256 }));
    }

    #[test]
    fn looks() {
        assert_eq!(Frame::look(b"\x05\0\0\0\0\0\0\x01\0\0\0\x0e", 0), Look::Yes);
        assert_eq!(Frame::look(b"\x05\0\0\x01\0\0\0\x01\0\0\x05\x0e", 1), Look::Yes);
        assert_eq!(Frame::look(b"\x05\0\0\0\0\0\0\x01\0\0", 0), Look::More);
        assert_eq!(Frame::look(b"\x05\0\0\0\0\0\0\x01\0\0\x01\x0e", 0), Look::No);
        assert_eq!(Frame::look(b"\x05\0\0\x01\0\0\0\x01\0\0\0\x0e", 0), Look::No);
        assert_eq!(Frame::look(b"\x02\0\0\0\0\0\0\x01\0", 0), Look::No, "no room for a packet");
        assert_eq!(Frame::look(b"\x13\0\0\0\0\x01\0\x78\x9c\x4b", 0), Look::Yes);
        assert_eq!(Frame::look(b"\x13\0\0\0\0\x01\0\x78\x9d\x4b", 0), Look::No);
        assert_eq!(Frame::look(b"\x13\0\0\0\0\x01\0\x78\x9c\x07", 0), Look::No, "a reserved type of block");
        assert_eq!(Frame::look(b"\x13\0\0\0\0\x01\0\x28\xb5\x2f", 0), Look::More);
        assert_eq!(Frame::look(b"\x13\0\0\0\0\x01\0\x28\xb5\x2f\xfd", 0), Look::Yes);
    }
}

//! Checked reads of the protocol's primitive types, and the packet header.
//!
//! Nothing here can panic or read past its input: what is not there is `None`.

/// Bytes of a packet header: length (3, little endian) and sequence id (1).
pub(super) const HEADER: usize = 4;

/// A payload of this length goes on in the next packet: together they are one logical packet.
pub(super) const MAX_PAYLOAD: usize = 0xff_ffff;

/// The header of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the payload in bytes.
    pub(super) len: usize,
    /// The sequence id: 0 begins a command, each packet of either side counts on, modulo 256.
    pub(super) seq: u8,
}

impl Header {
    /// The header at the start of `bytes`; none when fewer than four are there.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, seq] = bytes.first_chunk()?;
        Some(Self { len: Self::len_of([a, b, c]), seq })
    }

    /// The length of the payload, from the header's first bytes.
    pub(super) const fn len_of([a, b, c]: [u8; 3]) -> usize {
        u32::from_le_bytes([a, b, c, 0]) as usize
    }

    /// Whether the logical packet goes on in the next one.
    pub(super) fn continues(self) -> bool {
        self.len == MAX_PAYLOAD
    }
}

/// Reads a payload front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]| b)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length-encoded integer. NULL (0xfb) and the error mark (0xff) are none.
    pub(super) fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            short @ 0..=0xfa => Some(u64::from(short)),
            0xfc => self.u16().map(u64::from),
            0xfd => self.array().map(|[a, b, c]| u64::from(u32::from_le_bytes([a, b, c, 0]))),
            0xfe => self.u64(),
            _ => None,
        }
    }

    /// A string with its length-encoded length in front.
    pub(super) fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.lenenc()?).ok()?;
        self.bytes(len)
    }

    /// A string that ends with a NUL, which is consumed.
    pub(super) fn nul_bytes(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.rest)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Some(text)
    }

    /// A string up to a NUL or, where a client left that out, to the end.
    pub(super) fn nul_or_rest(&mut self) -> &'a [u8] {
        self.nul_bytes().unwrap_or_else(|| core::mem::take(&mut self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_encoded_integers() {
        let read = |bytes: &[u8]| Cursor::new(bytes).lenenc();
        assert_eq!(read(&[0xfa]), Some(250));
        assert_eq!(read(&[0xfb]), None, "NULL");
        assert_eq!(read(&[0xfc, 0xfb, 0x00]), Some(251));
        assert_eq!(read(&[0xfc, 0xfb]), None, "cut short");
        assert_eq!(read(&[0xfd, 1, 2, 3]), Some(0x03_02_01));
        assert_eq!(read(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80]), Some(0x8000_0000_0000_0001));
        assert_eq!(read(&[0xff]), None, "the error mark");
    }

    #[test]
    fn strings_never_reach_past_the_end() {
        let mut c = Cursor::new(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'x']);
        assert_eq!(c.lenenc_bytes(), None);
        let mut c = Cursor::new(b"ab\0cd");
        assert_eq!(c.nul_bytes(), Some(&b"ab"[..]));
        assert_eq!(c.nul_bytes(), None);
        assert_eq!(c.nul_or_rest(), b"cd");
        assert!(c.rest().is_empty());
    }

    #[test]
    fn headers() {
        assert_eq!(Header::parse(&[1, 0, 0]), None);
        let h = Header::parse(&[0xff, 0xff, 0xff, 7, 9]).unwrap();
        assert_eq!(h, Header { len: 0xff_ffff, seq: 7 });
        assert!(h.continues());
    }
}

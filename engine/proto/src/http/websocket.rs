//! Frames of the WebSocket protocol (RFC 6455): counted, and the text of the first bytes of each message, decompressed (RFC 7692) where it was compressed.

use flate2::{Decompress, FlushDecompress, Status};

/// How far one direction's frames are.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Bytes of the current frame's payload that are to come.
    left: u64,
    mask: Option<[u8; 4]>,
    /// How many bytes of the payload went by, for the mask.
    offset: usize,
    opcode: u8,
    /// The current frame ends its message.
    is_last: bool,
    /// The kind of the message that goes on over several frames.
    message: u8,
    /// The message that goes on is compressed.
    is_compressed: bool,
    /// What decompresses messages, since the first compressed one: each may look back at those before it. Broken once one could not be read.
    inflate: Inflate,
    /// The beginning of the current message.
    pub(super) text: Vec<u8>,
    pub(super) text_len: u64,
}

/// A direction's decompressor.
#[derive(Debug, Default)]
enum Inflate {
    #[default]
    None,
    Ready(Box<Decompress>),
    Broken,
}

/// What a decompressor holds: its tables and a window of 32 KiB.
const INFLATE_COST: usize = 44 << 10;

/// What became of a look at the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Used(usize),
    /// So many bytes are done with, and so many behind them are of no interest.
    Skip(usize, u64),
    /// So many bytes are done with; a text message ended with them.
    Text(usize),
    /// So many bytes are done with; the closing frame ended with them.
    Closed(usize),
    Bad,
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;

impl Frames {
    /// One step; of a message's text at most `limit` bytes are kept.
    pub(super) fn step(&mut self, bytes: &[u8], limit: usize) -> Step {
        if self.left > 0 {
            return self.payload(bytes, limit);
        }
        let [first, second, rest @ ..] = bytes else { return Step::More };
        let (len, head) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(len) => (u64::from(u16::from_be_bytes(*len)), 4),
                None => return Step::More,
            },
            127 => match rest.first_chunk() {
                Some(len) => (u64::from_be_bytes(*len), 10),
                None => return Step::More,
            },
            len => (u64::from(len), 2),
        };
        let masked = second & 0x80 != 0;
        let mask = bytes.get(head..).and_then(<[u8]>::first_chunk).copied();
        if masked && mask.is_none() {
            return Step::More;
        }
        let opcode = first & 0x0f;
        if !matches!(opcode, 0..=2 | 8..=10) || len > i64::MAX.cast_unsigned() {
            return Step::Bad;
        }
        self.mask = mask.filter(|_| masked);
        (self.left, self.offset, self.opcode, self.is_last) = (len, 0, opcode, first & 0x80 != 0);
        self.frames += 1;
        self.bytes += len;
        if matches!(opcode, 1 | 2) {
            self.message = opcode;
            self.is_compressed = first & 0x40 != 0;
            self.text.clear();
            self.text_len = 0;
        }
        let used = head + if masked { 4 } else { 0 };
        if len == 0 { self.ends(used, limit) } else { Step::Used(used) }
    }

    fn payload(&mut self, bytes: &[u8], limit: usize) -> Step {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if here == 0 {
            return Step::More;
        }
        let part = bytes.get(..here).unwrap_or(bytes);
        let is_text = self.opcode < CLOSE && self.message == TEXT;
        if self.opcode < CLOSE && self.is_compressed && limit == 0 {
            // Later messages may look back at it.
            self.inflate = Inflate::Broken;
        }
        if self.opcode < CLOSE && self.is_compressed && limit > 0 {
            self.compressed(part, limit);
            self.left -= here as u64;
            return if self.left == 0 { self.ends(here, limit) } else { Step::Used(here) };
        }
        if is_text {
            let room = limit.saturating_sub(self.text.len());
            let mask = self.mask.unwrap_or_default();
            let offset = self.offset;
            let plain = part.iter().zip(mask.iter().cycle().skip(offset % 4)).map(|(b, m)| b ^ m);
            self.text.extend(plain.take(room));
        }
        self.text_len += if is_text { here as u64 } else { 0 };
        self.offset = (self.offset + here) % 4;
        self.left -= here as u64;
        if self.left == 0 {
            return self.ends(here, limit);
        }
        if !is_text || self.text.len() >= limit {
            // All but the last byte, with which the frame ends.
            let then = self.left - 1;
            self.text_len += if is_text { then } else { 0 };
            self.left = 1;
            return Step::Skip(here, then);
        }
        Step::Used(here)
    }

    /// Bytes of a compressed message, masked as they come.
    fn compressed(&mut self, part: &[u8], limit: usize) {
        let mask = self.mask.unwrap_or_default();
        let mut plain = [0; 1024];
        for bytes in part.chunks(plain.len()) {
            let masks = mask.iter().cycle().skip(self.offset);
            for ((to, from), mask) in plain.iter_mut().zip(bytes).zip(masks) {
                *to = from ^ mask;
            }
            self.offset = (self.offset + bytes.len()) % 4;
            self.decompress(plain.get(..bytes.len()).unwrap_or_default(), limit);
        }
    }

    fn decompress(&mut self, mut input: &[u8], limit: usize) {
        if matches!(self.inflate, Inflate::None) {
            self.inflate = Inflate::Ready(Box::new(Decompress::new(false)));
        }
        let Inflate::Ready(inflate) = &mut self.inflate else { return };
        let mut output = [0; 4096];
        loop {
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(input, &mut output, FlushDecompress::None);
            let read = usize::try_from(inflate.total_in() - read).unwrap_or(usize::MAX);
            let written = usize::try_from(inflate.total_out() - written).unwrap_or(0);
            if self.message == TEXT {
                let room = limit.saturating_sub(self.text.len()).min(written);
                self.text.extend_from_slice(output.get(..room).unwrap_or_default());
            }
            self.text_len += written as u64;
            input = input.get(read..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) => inflate.reset(false),
                Ok(_) if read == 0 && written == 0 => return,
                Ok(_) => {}
                Err(_) => {
                    self.inflate = Inflate::Broken;
                    return;
                }
            }
            if input.is_empty() && written < output.len() {
                return;
            }
        }
    }

    fn ends(&mut self, used: usize, limit: usize) -> Step {
        match self.opcode {
            CLOSE => Step::Closed(used),
            0..=2 if self.is_last => {
                let is_inflated = self.is_compressed && limit > 0;
                if is_inflated {
                    // Senders leave out the end of the last block.
                    self.decompress(&[0, 0, 0xff, 0xff], limit);
                }
                let is_shown = core::mem::take(&mut self.message) == TEXT
                    && !(is_inflated && matches!(self.inflate, Inflate::Broken));
                if is_shown { Step::Text(used) } else { Step::Used(used) }
            }
            _ => Step::Used(used),
        }
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        self.text.capacity() + if matches!(self.inflate, Inflate::Ready(_)) { INFLATE_COST } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_sides() {
        let mut bytes = vec![0x81, 0x85, 1, 2, 3, 4];
        bytes.extend(b"hello".iter().zip([1, 2, 3, 4, 1]).map(|(b, m)| b ^ m));
        // In two parts, with a ping between.
        bytes.extend([0x01, 3, b'a', b'b', b'c', 0x89, 0, 0x80, 1, b'd']);
        bytes.extend([0x82, 126, 0x03, 0xe8]);
        bytes.extend(vec![0; 1000]);
        bytes.extend([0x88, 2, 3, 0xe8]);
        for part in [1, 5, 4000] {
            let (mut frames, mut at, mut end, mut skip, mut texts, mut closed) =
                (Frames::default(), 0, 0, 0_usize, Vec::new(), false);
            while at < bytes.len() {
                let passed = skip.min(end - at);
                (at, skip) = (at + passed, skip - passed);
                match if skip > 0 { Step::More } else { frames.step(&bytes[at..end], 100) } {
                    Step::More => end = (end + part).min(bytes.len()),
                    Step::Used(n) => at += n,
                    Step::Skip(n, then) => {
                        at += n;
                        skip = usize::try_from(then).unwrap();
                    }
                    Step::Text(n) => {
                        at += n;
                        texts.push(String::from_utf8(frames.text.clone()).unwrap());
                    }
                    Step::Closed(n) => {
                        at += n;
                        closed = true;
                    }
                    Step::Bad => panic!(),
                }
            }
            assert_eq!(texts, ["hello", "abcd"], "{part}");
            assert_eq!((frames.frames, frames.bytes, closed), (6, 5 + 3 + 1 + 1000 + 2, true));
        }
    }

    /// From RFC 7692, 7.2.3: "Hello" twice, the second time by a look back at the first; then what can't be read.
    #[test]
    fn compressed_messages() {
        let first = [&b"\xc1\x07"[..], b"\xf2\x48\xcd\xc9\xc9\x07\x00"].concat();
        let second = [&b"\xc1\x05"[..], b"\xf2\x00\x11\x00\x00"].concat();
        let bytes = [&first[..], &second, b"\xc1\x03\xff\xff\xff"].concat();
        for part in [1, 3, 1000] {
            let (mut frames, mut at, mut end, mut texts) = (Frames::default(), 0, 0, Vec::new());
            loop {
                match frames.step(&bytes[at..end], 100) {
                    Step::More if end == bytes.len() => break,
                    Step::More => end = (end + part).min(bytes.len()),
                    Step::Used(n) => at += n,
                    Step::Text(n) => {
                        at += n;
                        texts.push((String::from_utf8(frames.text.clone()).unwrap(), frames.text_len));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(texts, [("Hello".to_owned(), 5), ("Hello".to_owned(), 5)], "{part}");
            assert!(frames.retained() < 1000 && frames.frames == 3);
        }
    }

    /// What was passed over while no message was shown can't be looked back at: the second one is not made up.
    #[test]
    fn compressed_messages_behind_unread_ones() {
        let mut frames = Frames::default();
        let first = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(frames.step(first, 0), Step::Used(2));
        assert!(matches!(frames.step(&first[2..], 0), Step::Text(7) | Step::Used(7)));
        let second = b"\xc1\x05\xf2\x00\x11\x00\x00";
        assert_eq!(frames.step(second, 100), Step::Used(2));
        assert_eq!(frames.step(&second[2..], 100), Step::Used(5));
    }

    #[test]
    fn nonsense() {
        assert_eq!(Frames::default().step(&[0x83, 0], 10), Step::Bad);
        assert_eq!(Frames::default().step(&[0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], 10), Step::Bad);
        assert_eq!(Frames::default().step(&[0x81], 10), Step::More);
    }
}

//! zstd: a frame's header, then blocks of at most 128 KiB each. A block is decoded when all of it is there; so much input is kept, no more.
//! Source: RFC 8878, section 3.1.1.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Corrupt, Piece};

/// The largest window that a frame may ask for: no frame of the protocols that use this becomes longer.
pub(super) const MAX_WINDOW: u64 = 16 << 20;

/// The longest block.
const MAX_BLOCK: usize = 128 << 10;

/// The magic number and the descriptor of the header.
const HEAD: usize = 5;
const BLOCK_HEADER: usize = 3;
const CHECKSUM: usize = 4;
/// The descriptor's flag for a checksum behind the last block.
const HAS_CHECKSUM: u8 = 4;

/// What decoding a frame that becomes `plain` bytes long takes: tables, a block's input, its literals, and the output to look back at.
pub(super) fn cost(plain: usize) -> usize {
    const TABLES: usize = 64 << 10;
    TABLES + 3 * plain.min(MAX_BLOCK) + plain
}

/// Bytes of the dictionary's id in a frame's header.
fn dictionary(descriptor: u8) -> usize {
    match descriptor & 3 {
        3 => 4,
        length => length.into(),
    }
}

/// Length of a frame's header, by its descriptor.
fn header_len(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        power => 1 << power,
    };
    HEAD + usize::from(!single) + dictionary(descriptor) + content
}

/// At most `max` bytes of the content of the frame that `bytes`, which may end anywhere, is the beginning of; none if it is none.
///
/// Decoders keep back what later blocks may look at until the frame ends, and that may be all of it. So it is made to end with the last block that is here
/// whole, and nothing more is decoded than is asked for, whatever window the frame wants.
pub(crate) fn beginning(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    const END: &[u8] = &[1, 0, 0];
    let &descriptor = bytes.get(HEAD - 1)?;
    let (header, rest) = bytes.split_at_checked(header_len(descriptor))?;
    let mut header = header.to_vec();
    *header.get_mut(HEAD - 1)? &= !HAS_CHECKSUM;
    let mut end = 0;
    while let Some(block) = rest.get(end..).and_then(Block::read)
        && let Some(len) =
            rest.get(end..).and_then(|from| from.get(..BLOCK_HEADER + block.len)).map(<[u8]>::len)
    {
        end += len;
        if block.last {
            break;
        }
    }
    let mut decoder = FrameDecoder::new();
    // Nothing is reserved for it.
    decoder.set_max_window_size(u64::MAX);
    decoder.reset(header.as_slice()).ok()?;
    let blocks = rest.get(..end)?.chain(END);
    let read = decoder.decode_blocks(blocks, BlockDecodingStrategy::UptoBytes(max));
    if !decoder.is_finished() {
        decoder.decode_blocks(END, BlockDecodingStrategy::UptoBlocks(1)).ok()?;
    }
    let mut content = vec![0; max.min(decoder.can_collect())];
    decoder.read_exact(&mut content).ok()?;
    let was_read = end > 0 && read.is_ok();
    (was_read || !content.is_empty()).then_some(content)
}

/// What comes next in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Block { checksum: bool },
    End,
}

/// A decoder of one frame.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// The most bytes that the frame may become.
    plain: usize,
    /// The beginning of a header or block.
    input: Vec<u8>,
    part: Part,
}

impl core::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Zstd")
            .field("part", &self.part)
            .field("input", &self.input.len())
            .finish_non_exhaustive()
    }
}

impl Default for Zstd {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { decoder, plain: 0, input: Vec::new(), part: Part::Header }
    }
}

impl Zstd {
    /// Begins a frame that becomes `plain` bytes long; forgets the one before.
    pub(super) fn begin(&mut self, plain: usize) {
        self.plain = plain;
        self.input.clear();
        self.part = Part::Header;
    }

    pub(super) fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<Piece, Corrupt> {
        let mut rest = input;
        loop {
            if self.part != Part::Header && self.decoder.can_collect() > 0 {
                let written = self.decoder.read(output).map_err(|_| Corrupt)?;
                let done = self.part == Part::End && self.decoder.can_collect() == 0;
                return Ok(Piece { read: input.len() - rest.len(), written, done });
            }
            if self.part == Part::End {
                return Ok(Piece { read: input.len() - rest.len(), written: 0, done: true });
            }
            // The length of a part is in its first bytes: asked again when those are there.
            let need = self.need()?;
            let (taken, later) = rest.split_at(need.saturating_sub(self.input.len()).min(rest.len()));
            self.input.extend_from_slice(taken);
            rest = later;
            if self.input.len() < need {
                return Ok(Piece { read: input.len(), written: 0, done: false });
            }
            if self.need()? == need {
                self.decode()?;
                self.input.clear();
            }
        }
    }

    /// How many bytes of input the next part has, as far as its first bytes tell.
    fn need(&self) -> Result<usize, Corrupt> {
        match self.part {
            Part::Header => Ok(match self.input.get(HEAD - 1) {
                None => HEAD,
                Some(&descriptor) => header_len(descriptor),
            }),
            Part::Block { checksum } => match Block::read(&self.input) {
                None => Ok(BLOCK_HEADER),
                Some(block) if block.len > MAX_BLOCK => Err(Corrupt),
                Some(block) => {
                    Ok(BLOCK_HEADER + block.len + if block.last && checksum { CHECKSUM } else { 0 })
                }
            },
            Part::End => Ok(0),
        }
    }

    /// A window longer than all that the frame may become would be memory for nothing: the decoder reserves what the header asks for.
    fn narrow(&mut self) -> Result<(), Corrupt> {
        let &descriptor = self.input.get(HEAD - 1).ok_or(Corrupt)?;
        let single = descriptor & 0x20 != 0;
        let Some(byte) = self.input.get_mut(HEAD) else { return Ok(()) };
        if !single {
            // Wider than what is read at all: refused by the decoder.
            let too_wide = 1 << (u32::from(*byte >> 3) + MIN_WINDOW_LOG) > MAX_WINDOW;
            *byte = if too_wide { *byte } else { window_for(self.plain).min(*byte) };
            return Ok(());
        }
        // The window is as long as the content.
        let field = self.input.get(HEAD + dictionary(descriptor)..).unwrap_or_default();
        let mut content = [0; 8];
        for (to, from) in content.iter_mut().zip(field) {
            *to = *from;
        }
        // A field of two bytes begins to count at 256.
        let content = u64::from_le_bytes(content) + if field.len() == 2 { 256 } else { 0 };
        if content > self.plain as u64 { Err(Corrupt) } else { Ok(()) }
    }

    /// Decodes the part that is there.
    fn decode(&mut self) -> Result<(), Corrupt> {
        match self.part {
            Part::Header => {
                self.narrow()?;
                self.decoder.reset(self.input.as_slice()).map_err(|_| Corrupt)?;
                let checksum = self.input.get(HEAD - 1).is_some_and(|d| d & HAS_CHECKSUM != 0);
                self.part = Part::Block { checksum };
            }
            Part::Block { .. } => {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let ended = self.decoder.decode_blocks(self.input.as_slice(), one).map_err(|_| Corrupt)?;
                if ended {
                    self.part = Part::End;
                }
            }
            Part::End => {}
        }
        Ok(())
    }
}

/// Window sizes that a header can tell are powers of two from this one, in eight steps each (RFC 8878, section 3.1.1.1.2).
const MIN_WINDOW_LOG: u32 = 10;

/// The descriptor of the smallest window that holds `plain` bytes, in powers of two.
fn window_for(plain: usize) -> u8 {
    let log = plain.max(1).next_power_of_two().trailing_zeros().max(MIN_WINDOW_LOG);
    u8::try_from((log - MIN_WINDOW_LOG) << 3).unwrap_or(u8::MAX)
}

/// A block's length without its header.
struct Block {
    len: usize,
    last: bool,
}

impl Block {
    /// The block whose header begins here.
    fn read(bytes: &[u8]) -> Option<Self> {
        const RUN: u32 = 1;
        let &[a, b, c] = bytes.first_chunk()?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        // Three bits of a header of three bytes are the flags.
        let len = if header >> 1 & 3 == RUN { 1 } else { (header >> 3) as usize };
        Some(Self { len, last: header & 1 != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window's descriptor that the decoder gets for a frame of at most `plain` bytes.
    fn narrowed(descriptor: u8, plain: usize) -> u8 {
        let mut zstd = Zstd::default();
        zstd.begin(plain);
        zstd.input = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor];
        zstd.narrow().unwrap();
        zstd.input[HEAD]
    }

    #[test]
    fn a_window_is_no_wider_than_the_content() {
        const MIB_16: u8 = 14 << 3;
        assert_eq!(narrowed(MIB_16, 800), 0, "1 KiB");
        assert_eq!(narrowed(MIB_16, 1025), 1 << 3, "2 KiB");
        assert_eq!(narrowed(MIB_16, 16 << 20), MIB_16);
        assert_eq!(narrowed(3, 1 << 20), 3, "narrower than the content");
        assert_eq!(narrowed(15 << 3, 800), 15 << 3, "too wide to be read: for the decoder to refuse");
    }

    /// RFC 8878, 3.1.1.2: blocks that are stored, and one that repeats a byte.
    #[test]
    fn the_beginning_of_a_frame() {
        // A window of 8 MiB, and a checksum.
        let frame = b"\x28\xb5\x2f\xfd\x04\x68\x28\0\0hello\x10\0\0, \x1b\0\0!\x01\x02\x03\x04";
        let text = b"hello, !!!";
        assert_eq!(beginning(frame, 100).unwrap(), text[..10]);
        for max in 0..10 {
            assert_eq!(beginning(frame, max).unwrap(), text[..max], "{max}");
        }
        for end in 0..frame.len() {
            let whole = match end {
                ..14 => None,
                14..19 => Some(5),
                19..23 => Some(7),
                _ => Some(10),
            };
            assert_eq!(
                beginning(&frame[..end], 100).as_deref(),
                whole.map(|len| &text[..len]),
                "cut at {end}"
            );
        }
        assert_eq!(beginning(b"\x28\xb5\x2f\xfd\x20\0\x01\0\0", 100).as_deref(), Some(&b""[..]));
        assert_eq!(beginning(b"something else altogether", 100), None);
    }

    /// Each block of four bytes becomes 128 KiB: what is not asked for is not made.
    #[test]
    fn the_beginning_of_a_bomb() {
        let bomb = [&b"\x28\xb5\x2f\xfd\x00\xf8"[..], &b"\x02\0\x10x".repeat(100_000)].concat();
        assert_eq!(beginning(&bomb, 1000).unwrap(), [b'x'; 1000]);
    }

    #[test]
    fn content_is_no_longer_than_the_frame_may_become() {
        // One segment, with the content's length in 1, 2, 4 and 8 bytes; that of two counts from 256 on.
        let headers: [(&[u8], u64); 4] = [
            (&[0x20, 99], 99),
            (&[0x60, 99, 1], 0x163 + 256),
            (&[0xa0, 99, 1, 2, 0], 0x2_0163),
            (&[0xe0, 99, 1, 2, 0, 0, 0, 0, 0], 0x2_0163),
        ];
        for (header, length) in headers {
            for (plain, fits) in [(length, true), (length - 1, false)] {
                let mut zstd = Zstd::default();
                zstd.begin(usize::try_from(plain).unwrap());
                zstd.input = [&[0x28, 0xb5, 0x2f, 0xfd], header].concat();
                assert_eq!(zstd.narrow().is_ok(), fits, "{header:x?}, {plain}");
            }
        }
    }
}

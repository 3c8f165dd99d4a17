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

/// What decoding a frame that becomes `plain` bytes long takes: tables, a block's input, its literals, and the output to look back at.
pub(super) fn cost(plain: usize) -> usize {
    const TABLES: usize = 64 << 10;
    TABLES + 3 * plain.min(MAX_BLOCK) + plain
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
        Self { decoder, input: Vec::new(), part: Part::Header }
    }
}

impl Zstd {
    /// Forgets the frame.
    pub(super) fn reset(&mut self) {
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
                Some(&descriptor) => {
                    let single = descriptor & 0x20 != 0;
                    let dictionary = match descriptor & 3 {
                        3 => 4,
                        length => usize::from(length),
                    };
                    let content = match descriptor >> 6 {
                        0 => usize::from(single),
                        power => 1 << power,
                    };
                    HEAD + usize::from(!single) + dictionary + content
                }
            }),
            Part::Block { checksum } => match self.block() {
                None => Ok(BLOCK_HEADER),
                Some(block) if block.len > MAX_BLOCK => Err(Corrupt),
                Some(block) => {
                    Ok(BLOCK_HEADER + block.len + if block.last && checksum { CHECKSUM } else { 0 })
                }
            },
            Part::End => Ok(0),
        }
    }

    /// The block whose header is there.
    fn block(&self) -> Option<Block> {
        const RUN: u32 = 1;
        let &[a, b, c] = self.input.first_chunk()?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        // Three bits of a header of three bytes are the flags.
        let len = if header >> 1 & 3 == RUN { 1 } else { (header >> 3) as usize };
        Some(Block { len, last: header & 1 != 0 })
    }

    /// Decodes the part that is there.
    fn decode(&mut self) -> Result<(), Corrupt> {
        match self.part {
            Part::Header => {
                self.decoder.reset(self.input.as_slice()).map_err(|_| Corrupt)?;
                let checksum = self.input.get(HEAD - 1).is_some_and(|d| d & 4 != 0);
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

/// A block's length without its header.
struct Block {
    len: usize,
    last: bool,
}

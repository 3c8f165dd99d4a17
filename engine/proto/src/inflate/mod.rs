//! Decompression in a stream: compressed bytes in as they come, plain bytes out in pieces; and the pool of decompressors of a worker.
//!
//! Nothing is believed that a stream announces: output goes into the caller's buffer, piece by piece, and the caller counts it. What a
//! decompressor needs to look back at is bounded by the format (zlib: 32 KiB) or by [`zstd::MAX_WINDOW`], and all that are lent out at the same time by
//! [`MAX_LENT`].
//! Sources: RFC 1950 (zlib), RFC 8878 (zstd).

mod zstd;

use flate2::{Decompress, FlushDecompress, Status};

use zstd::Zstd;
pub(crate) use zstd::beginning as zstd_beginning;

/// Length in bytes of the buffer that a piece of output fits in.
pub(crate) const OUTPUT: usize = 64 << 10;

/// Memory of all decompressors that are lent out, in bytes.
const MAX_LENT: usize = 64 << 20;

/// Spare decompressors kept of each kind.
const MAX_SPARE: usize = 64;

/// What a zlib decompressor holds: its tables and a window of 32 KiB.
const ZLIB_COST: usize = 44 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Zlib,
    Zstd,
}

impl Algorithm {
    /// How a stream is compressed that begins with this byte.
    pub(crate) fn of(first: u8) -> Self {
        if first == 0x28 { Self::Zstd } else { Self::Zlib }
    }

    /// Whether a stream begins so: zstd's magic number, or zlib's two bytes (deflate with a window of 32 KiB, no dictionary, a check over both) and a
    /// type of block that exists. None when more bytes are needed to tell.
    pub(crate) fn begins(bytes: &[u8]) -> Option<bool> {
        const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
        match bytes {
            [0x28, ..] => match bytes.first_chunk::<4>() {
                Some(magic) => Some(magic == ZSTD),
                None if ZSTD.starts_with(bytes) => None,
                None => Some(false),
            },
            [0x78, flags, ..] if flags & 0x20 != 0 || (0x7800 + u16::from(*flags)) % 31 != 0 => Some(false),
            [0x78, _, block, ..] => Some(block >> 1 & 3 != 3),
            [] | [0x78] | [0x78, _] => None,
            _ => Some(false),
        }
    }
}

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Compressed bytes that were consumed.
    pub(crate) read: usize,
    /// Plain bytes that were written.
    pub(crate) written: usize,
    /// The compressed stream is over and everything of it was written.
    pub(crate) done: bool,
}

/// The bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// Decompresses one stream.
#[derive(Debug)]
pub(crate) struct Inflater {
    kind: Kind,
    /// Bytes of memory it is charged with.
    cost: usize,
}

#[derive(Debug)]
enum Kind {
    Zlib(Decompress),
    Zstd(Box<Zstd>),
}

impl Inflater {
    /// Decompresses some of `input` into `output`. To be called again, with what is left of the input, as long as it writes a full output or
    /// the input is not used up.
    pub(crate) fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<Piece, Corrupt> {
        match &mut self.kind {
            Kind::Zlib(zlib) => {
                let (read, written) = (zlib.total_in(), zlib.total_out());
                let status = zlib.decompress(input, output, FlushDecompress::None).map_err(|_| Corrupt)?;
                // Differences are at most the lengths of the two slices.
                let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
                Ok(Piece {
                    read: since(zlib.total_in(), read),
                    written: since(zlib.total_out(), written),
                    done: status == Status::StreamEnd,
                })
            }
            Kind::Zstd(zstd) => zstd.push(input, output),
        }
    }

    /// Bytes of memory it holds.
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }
}

/// Decompressors of a worker: those that nobody uses, and how much memory those have that are lent out.
#[derive(Debug, Default)]
pub(crate) struct Inflaters {
    zlib: Vec<Decompress>,
    #[expect(
        clippy::vec_box,
        reason = "the box moves between pool and connection; unboxed it would be allocated again"
    )]
    zstd: Vec<Box<Zstd>>,
    lent: usize,
}

impl Inflaters {
    /// Lends a decompressor for a stream that claims to become `plain` bytes long; none when too much is lent out.
    pub(crate) fn take(&mut self, algorithm: Algorithm, plain: usize) -> Option<Inflater> {
        let cost = match algorithm {
            Algorithm::Zlib => ZLIB_COST,
            Algorithm::Zstd => zstd::cost(plain),
        };
        if self.lent + cost > MAX_LENT {
            return None;
        }
        self.lent += cost;
        let kind = match algorithm {
            Algorithm::Zlib => Kind::Zlib(self.zlib.pop().unwrap_or_else(|| Decompress::new(true))),
            Algorithm::Zstd => {
                let mut zstd = self.zstd.pop().unwrap_or_default();
                zstd.begin(plain);
                Kind::Zstd(zstd)
            }
        };
        Some(Inflater { kind, cost })
    }

    /// Takes a decompressor back, whatever state it is in.
    pub(crate) fn give_back(&mut self, inflater: Inflater) {
        self.lent = self.lent.saturating_sub(inflater.cost);
        match inflater.kind {
            Kind::Zlib(mut zlib) if self.zlib.len() < MAX_SPARE => {
                zlib.reset(true);
                self.zlib.push(zlib);
            }
            // One that had to do with much keeps much.
            Kind::Zstd(zstd) if self.zstd.len() < MAX_SPARE && inflater.cost <= zstd::cost(OUTPUT) => {
                self.zstd.push(zstd);
            }
            Kind::Zlib(_) | Kind::Zstd(_) => {}
        }
    }

    /// Bytes of memory that are lent out.
    pub(crate) fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests;

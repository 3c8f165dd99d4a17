//! The bytes of a file or pipe, decompressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};

/// Compressed bytes read at once.
const COMPRESSED: usize = 128 << 10;

/// Bytes that tell a compression.
const HEAD: usize = 4;

/// Bytes that tell whether an LZ4 frame ended: its end mark and a checksum.
const TAIL: usize = 8;

/// An open file with what it takes to read and to judge it.
pub(crate) struct Input {
    bytes: Bytes,
    state: Arc<State>,
    /// The file's length, for regular files.
    pub(crate) length: Option<u64>,
    /// Which file it is, for regular files that are not compressed: device and inode.
    pub(crate) identity: Option<(u64, u64)>,
    /// What the bytes were compressed with.
    pub(crate) compression: Option<&'static str>,
    /// An uncompressed pipe: whether it has something can be asked before it is read.
    #[cfg(target_os = "linux")]
    pub(crate) pipe: Option<std::os::fd::OwnedFd>,
}

/// What the raw file tells of itself beside its bytes.
#[derive(Default)]
struct State {
    read: AtomicU64,
    failed: AtomicBool,
}

enum Bytes {
    Plain(Raw),
    Gzip(MultiGzDecoder<BufReader<Raw>>),
    Zstd(Box<Zstd>),
    Lz4(Box<Lz4>),
}

/// The file itself, behind the first bytes, which were read to look at them.
struct Raw {
    head: io::Take<io::Cursor<[u8; HEAD]>>,
    file: File,
    state: Arc<State>,
    /// The last bytes that were read.
    tail: [u8; TAIL],
}

/// Why a read failed.
pub(crate) enum Failure {
    /// The system said so.
    System(io::Error),
    /// The bytes are not what the compression's format wants.
    Damaged(io::Error),
}

impl Input {
    /// Opens a file, `-` for standard input.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = if path.as_os_str() == "-" { standard_input()? } else { File::open(path)? };
        let metadata = file.metadata()?;
        let length = metadata.is_file().then_some(metadata.len());
        #[cfg(target_os = "linux")]
        let pipe =
            if metadata.is_file() { None } else { Some(std::os::fd::OwnedFd::from(file.try_clone()?)) };

        let mut head = [0; HEAD];
        let mut got = 0;
        while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let state = Arc::new(State::default());
        let first = io::Cursor::new(head).take(got as u64);
        let raw = Raw { head: first, file, state: Arc::clone(&state), tail: [0; TAIL] };
        let buffered = |raw| BufReader::with_capacity(COMPRESSED, raw);
        let (bytes, compression) = match head {
            _ if got < HEAD => (Bytes::Plain(raw), None),
            [0x1f, 0x8b, ..] => (Bytes::Gzip(MultiGzDecoder::new(buffered(raw))), Some("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                (Bytes::Zstd(Box::new(Zstd::new(buffered(raw)))), Some("zstd"))
            }
            [0x04, 0x22, 0x4d, 0x18] | [0x02, 0x21, 0x4c, 0x18] => {
                let marked = head.starts_with(&[0x04]);
                (Bytes::Lz4(Box::new(Lz4 { decoder: Lz4Decoder::new(buffered(raw)), marked })), Some("lz4"))
            }
            _ => (Bytes::Plain(raw), None),
        };
        let identity =
            (metadata.is_file() && compression.is_none()).then(|| (metadata.dev(), metadata.ino()));
        Ok(Self {
            bytes,
            state,
            length,
            identity,
            compression,
            #[cfg(target_os = "linux")]
            pipe: pipe.filter(|_| compression.is_none()),
        })
    }

    /// Reads some bytes, 0 at the end.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        loop {
            let result = match &mut self.bytes {
                Bytes::Plain(raw) => raw.read(into),
                Bytes::Gzip(decoder) => decoder.read(into),
                Bytes::Zstd(decoder) => decoder.read(into),
                Bytes::Lz4(decoder) => decoder.read(into),
            };
            match result {
                Ok(got) => return Ok(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.state.failed.load(Ordering::Relaxed) => {
                    return Err(Failure::System(error));
                }
                Err(error) => return Err(Failure::Damaged(error)),
            }
        }
    }

    /// Bytes of the file that were read, before decompression.
    pub(crate) fn position(&self) -> u64 {
        self.state.read.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    // A descriptor of our own: `io::stdin` would put a lock and a small buffer in between.
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from_head = self.head.read(into)?;
        let got = if from_head > 0 { Ok(from_head) } else { self.file.read(into) };
        match &got {
            Ok(got) => {
                self.state.read.fetch_add(*got as u64, Ordering::Relaxed);
                let new = into.get(got.saturating_sub(TAIL)..*got).unwrap_or_default();
                self.tail.rotate_left(new.len());
                if let Some(end) = self.tail.get_mut(TAIL - new.len()..) {
                    end.copy_from_slice(new);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.state.failed.store(true, Ordering::Relaxed),
        }
        got
    }
}

/// Zstandard frames, one after the other, skippable ones skipped.
struct Zstd {
    decoder: ZstdDecoder,
    source: BufReader<Raw>,
    in_frame: bool,
    /// What ended the input; reported after what could be decoded was read.
    damage: Option<io::Error>,
}

impl Zstd {
    fn new(source: BufReader<Raw>) -> Self {
        Self { decoder: ZstdDecoder::new(), source, in_frame: false, damage: None }
    }

    /// Decodes one block. After a damaged one the decoder is given an empty last block (and a checksum, if it wants one): else it
    /// would keep a window of up to 8 MiB of good bytes for references that don't come.
    fn decode(&mut self) -> io::Result<()> {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        let Err(error) = self.decoder.decode_blocks(&mut self.source, one) else { return Ok(()) };
        self.damage = Some(io::Error::other(error));
        let one = BlockDecodingStrategy::UptoBlocks(1);
        let last: &[u8] = &[1, 0, 0, 0, 0, 0, 0];
        self.decoder.decode_blocks(last, one).map(drop).map_err(io::Error::other)
    }

    /// Goes to the next frame with content; false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl Read for Zstd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if let Some(damage) = self.damage.take() {
                    return Err(damage);
                }
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decode()?;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            self.in_frame = false;
        }
    }
}

/// LZ4 frames, one after the other.
struct Lz4 {
    decoder: Lz4Decoder<BufReader<Raw>>,
    /// The frames end with a mark (the old format's don't).
    marked: bool,
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // The decoder reports the end of each frame, and the end of a file in the middle of one, in the same way.
            let got = self.decoder.read(into)?;
            if got > 0 || into.is_empty() {
                return Ok(got);
            }
            if self.decoder.get_mut().fill_buf()?.is_empty() {
                let [a, b, c, d, e, f, g, h] = self.decoder.get_ref().get_ref().tail;
                // The mark is four zeros, in front of the content's checksum if there is one.
                let ended = [a, b, c, d] == [0; 4] || [e, f, g, h] == [0; 4];
                return if ended || !self.marked { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

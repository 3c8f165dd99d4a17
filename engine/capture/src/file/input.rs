//! The bytes of a file or pipe, decompressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use ruzstd::decoding::FrameDecoder as ZstdDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// Compressed bytes read at once.
const COMPRESSED: usize = 128 << 10;

/// Bytes that tell a compression.
const HEAD: usize = 4;

/// An open file with what it takes to read and to judge it.
pub(crate) struct Input {
    bytes: Bytes,
    state: Arc<State>,
    /// The file's length, for regular files.
    pub(crate) length: Option<u64>,
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
    Lz4(Box<Lz4Decoder<BufReader<Raw>>>),
}

/// The file itself, behind the first bytes, which were read to look at them.
struct Raw {
    head: io::Take<io::Cursor<[u8; HEAD]>>,
    file: File,
    state: Arc<State>,
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
        let raw = Raw { head: io::Cursor::new(head).take(got as u64), file, state: Arc::clone(&state) };
        let buffered = |raw| BufReader::with_capacity(COMPRESSED, raw);
        let (bytes, compression) = match head {
            _ if got < HEAD => (Bytes::Plain(raw), None),
            [0x1f, 0x8b, ..] => (Bytes::Gzip(MultiGzDecoder::new(buffered(raw))), Some("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                (Bytes::Zstd(Box::new(Zstd::new(buffered(raw)))), Some("zstd"))
            }
            [0x04, 0x22, 0x4d, 0x18] | [0x02, 0x21, 0x4c, 0x18] => {
                (Bytes::Lz4(Box::new(Lz4Decoder::new(buffered(raw)))), Some("lz4"))
            }
            _ => (Bytes::Plain(raw), None),
        };
        Ok(Self {
            bytes,
            state,
            length,
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
}

impl Zstd {
    fn new(source: BufReader<Raw>) -> Self {
        Self { decoder: ZstdDecoder::new(), source, in_frame: false }
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
        use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
        loop {
            if !self.in_frame {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder.decode_blocks(&mut self.source, UptoBlocks(1)).map_err(io::Error::other)?;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            self.in_frame = false;
        }
    }
}

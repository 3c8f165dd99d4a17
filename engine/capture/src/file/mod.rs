//! Stage: capture file → frames.
//!
//! Reads pcap and pcapng, plain or compressed, from a file or a pipe, through large buffers from a pool. A buffer is scanned for
//! whole records once and lent; the record that its end cuts is carried to the next buffer. Frames are read in place. Not mapped:
//! `read` is faster than page faults, and a file that shrinks meanwhile can't kill the process.

mod found;
mod input;
mod interfaces;
pub(crate) mod pcap;
pub(crate) mod pcapng;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::buffers::{BUFFER_SIZE, BUFFERS, Filled, Pool};
use crate::lease::View;
use crate::{Batch, CaptureError, FilterLevel, Interface, Lease, Source, SourceCounters};
use input::{Failure, Input};
use interfaces::Interfaces;

/// The longest record that is read. Frames of real links stay far below (BIG TCP: 256 KiB); a length above it is no length.
pub(crate) const MAX_RECORD: usize = 16 << 20;

/// What a scan of a buffer found.
pub(crate) struct Scan {
    /// How the whole records are walked.
    pub(crate) view: View,
    /// How many frames they hold.
    pub(crate) frames: u64,
    /// How many of them can't be read.
    pub(crate) unreadable: u64,
    /// Where the scan stopped.
    pub(crate) rest: usize,
    /// Why.
    pub(crate) stop: Stop,
}

/// Why a scan stopped.
pub(crate) enum Stop {
    /// The next record isn't there as a whole; it, or what must be known of it first, has `need` bytes.
    Partial { need: usize },
    /// The next block is large and nobody reads it.
    Skip { bytes: usize },
    /// What comes next reads differently: scan again.
    Section,
    /// The file contradicts itself.
    Broken(&'static str),
}

/// How the file's records are found.
enum Scanner {
    Pcap(pcap::Format),
    Pcapng(pcapng::Scanner),
}

/// A capture file.
pub(crate) struct FileSource {
    path: PathBuf,
    input: Input,
    pool: Arc<Pool>,
    scanner: Scanner,
    interfaces: Arc<Interfaces>,
    /// The buffer that was read last, and how far it was scanned.
    buffer: Filled,
    position: usize,
    /// Bytes of the input that are skipped before the next scan.
    skip: usize,
    /// The input has no more, for this reason if it isn't the file's end.
    end: Option<Option<String>>,
    done: bool,
    /// Another source tells of damage.
    quiet: bool,
    received: u64,
    unreadable: u64,
}

/// Opens a capture file, `-` for standard input: pcap or pcapng, plain or compressed with gzip, zstd or lz4.
///
/// Every link type passes; records of up to 16 MiB are read. A file that was cut short gives all of its whole packets, then a
/// warning and a count in [`SourceCounters::unreadable`].
///
/// # Errors
/// [`CaptureError::File`] when it can't be opened or read, [`CaptureError::Format`] when it is not a capture.
pub fn open_file(path: &Path) -> Result<Box<dyn Source>, CaptureError> {
    Ok(Box::new(FileSource::open(path)?))
}

/// Opens a capture file up to `times` times, as [`open_file`] does, each to be read to its end: once where it can't be read again (a pipe) or where
/// that is dear (compressed). Only the first tells of damage.
///
/// # Errors
/// As those of [`open_file`].
pub fn open_file_again(path: &Path, times: usize) -> Result<Vec<Box<dyn Source>>, CaptureError> {
    let first = FileSource::open(path)?;
    let identity = first.input.identity.filter(|_| path.as_os_str() != "-");
    let mut sources: Vec<Box<dyn Source>> = vec![Box::new(first)];
    while identity.is_some() && sources.len() < times {
        match FileSource::open(path) {
            Ok(mut next) if next.input.identity == identity => {
                next.quiet = true;
                sources.push(Box::new(next));
            }
            // Another file has its name now, or none.
            _ => {
                sources.truncate(1);
                break;
            }
        }
    }
    Ok(sources)
}

impl FileSource {
    fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = |error| CaptureError::File { path: path.to_owned(), error };
        let input = Input::open(path).map_err(file)?;
        let interfaces = Arc::new(Interfaces::new());
        let pool = Pool::new(BUFFERS);
        let Some(buffer) = pool.take(0).map(|buffer| buffer.publish(0)) else {
            return Err(CaptureError::Config("no read buffer".to_owned()));
        };
        let scanner = Scanner::Pcapng(pcapng::Scanner::new(Arc::clone(&interfaces)));
        let mut source = Self {
            path: path.to_owned(),
            input,
            pool,
            scanner,
            interfaces,
            buffer,
            position: 0,
            skip: 0,
            end: None,
            done: false,
            quiet: false,
            received: 0,
            unreadable: 0,
        };
        while source.buffer.bytes().len() < pcap::HEADER && source.end.is_none() {
            source.refill(pcap::HEADER)?;
        }
        source.recognise()?;
        Ok(source)
    }

    /// Finds the format from the first bytes.
    fn recognise(&mut self) -> Result<(), CaptureError> {
        let head = self.buffer.bytes();
        if let Some(format) =
            head.first_chunk::<{ pcap::HEADER }>().and_then(|head| pcap::Format::from_header(head))
        {
            self.scanner = Scanner::Pcap(format);
            self.position = pcap::HEADER;
            return Ok(());
        }
        if head.first_chunk().is_some_and(|kind| u32::from_be_bytes(*kind) == pcapng::SECTION_HEADER) {
            return match pcapng::Scanner::check(head) {
                Some(Stop::Broken(reason)) => Err(self.format(format!("pcapng, but begins with {reason}"))),
                Some(_) if self.end.is_some() => {
                    Err(self.format("a pcapng file that was cut within its first section header".to_owned()))
                }
                _ => Ok(()),
            };
        }
        let head = head.get(..head.len().min(64)).unwrap_or_default();
        let mut found = found::describe(head, self.input.compression);
        if let Some(Some(damage)) = &self.end {
            found = format!("{found}; {damage}");
        }
        Err(self.format(found))
    }

    fn format(&self, found: String) -> CaptureError {
        CaptureError::Format { path: self.path.clone(), found }
    }

    fn scan(&mut self) -> Scan {
        let bytes = self.buffer.bytes();
        match &mut self.scanner {
            Scanner::Pcap(format) => format.scan(bytes, self.position),
            Scanner::Pcapng(scanner) => scanner.scan(bytes, self.position),
        }
    }

    /// Fills another buffer, of at least `need` bytes: first what is left of this one, then what comes from the file. False while
    /// all buffers are leased.
    fn refill(&mut self, need: usize) -> Result<bool, CaptureError> {
        let Some(mut next) = self.pool.take(need.max(BUFFER_SIZE)) else { return Ok(false) };
        let rest = self.buffer.bytes().get(self.position..).unwrap_or_default();
        let into = next.bytes();
        let mut filled = rest.len();
        if let Some(front) = into.get_mut(..filled) {
            front.copy_from_slice(rest);
        }
        // A pipe's bytes are handed on as they come.
        let patient = self.input.length.is_some() || self.input.compression.is_some();
        while let Some(free) = into.get_mut(filled..).filter(|free| !free.is_empty()) {
            match self.input.read(free) {
                Ok(0) => self.end = Some(None),
                Ok(got) => filled += got,
                Err(Failure::System(error)) => {
                    return Err(CaptureError::File { path: self.path.clone(), error });
                }
                Err(Failure::Damaged(error)) => {
                    let name = self.input.compression.unwrap_or_default();
                    self.end = Some(Some(format!("its {name} data is damaged or cut short ({error})")));
                }
            }
            if self.end.is_some() || (!patient && filled >= need) {
                break;
            }
        }
        self.position = 0;
        self.buffer = next.publish(filled);
        Ok(true)
    }

    /// Skips what is to be skipped of the buffer; true when there is still more to skip.
    fn skip(&mut self) -> bool {
        let here = self.skip.min(self.buffer.bytes().len() - self.position);
        self.skip -= here;
        self.position += here;
        self.skip > 0
    }

    /// Ends the input, with the one warning if something of it is lost.
    fn finish(&mut self, broken: Option<&str>) -> Batch {
        let left = self.buffer.bytes().len() - self.position;
        let damage = self.end.take().flatten();
        let cut = || {
            (left > 0 || self.skip > 0).then(|| "it was cut short: its last record is not whole".to_owned())
        };
        if let Some(reason) = broken.map(str::to_owned).or(damage).or_else(cut) {
            self.unreadable += 1;
            if !self.quiet {
                log::warn!("{}: {reason}; {} whole packets were read", self.path.display(), self.received);
            }
        }
        self.done = true;
        Batch::End
    }

    /// Whether a pipe has nothing to read for now.
    #[cfg(target_os = "linux")]
    fn must_wait(&self, wait: Duration) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let Some(pipe) = &self.input.pipe else { return false };
        let mut descriptors = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        // An error shows at the read that follows.
        matches!(poll(&mut descriptors, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)), Ok(0))
    }

    #[cfg(not(target_os = "linux"))]
    fn must_wait(&self, _wait: Duration) -> bool {
        false
    }
}

impl Source for FileSource {
    fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError> {
        while !self.done {
            let need = if self.skip() {
                1
            } else {
                let scan = self.scan();
                self.position = scan.rest;
                self.unreadable += scan.unreadable;
                if scan.frames > 0 {
                    self.received += scan.frames;
                    return Ok(Batch::Frames(Lease::buffer(self.buffer.clone(), scan.view)));
                }
                match scan.stop {
                    Stop::Partial { need } => need,
                    Stop::Skip { bytes } => {
                        self.skip = bytes;
                        continue;
                    }
                    Stop::Section => continue,
                    Stop::Broken(what) => {
                        let reason = format!("it has {what}; the rest can't be read");
                        return Ok(self.finish(Some(&reason)));
                    }
                }
            };
            if self.end.is_some() {
                return Ok(self.finish(None));
            }
            if self.must_wait(wait) {
                return Ok(Batch::Idle);
            }
            if !self.refill(need)? {
                self.pool.wait(wait);
                if !self.refill(need)? {
                    return Ok(Batch::Idle);
                }
            }
        }
        Ok(Batch::End)
    }

    fn stop(&mut self) {
        self.done = true;
    }

    fn interfaces(&self) -> Vec<Interface> {
        match &self.scanner {
            Scanner::Pcap(format) => vec![Interface {
                id: 0,
                name: String::new(),
                link_type: format.link_type,
                snaplen: format.snaplen,
            }],
            Scanner::Pcapng(_) => self.interfaces.list(),
        }
    }

    fn counters(&mut self) -> SourceCounters {
        SourceCounters {
            received: Some(self.received + self.unreadable),
            filtered: Some(0),
            unreadable: self.unreadable,
            ..SourceCounters::default()
        }
    }

    fn filter_level(&self) -> FilterLevel {
        FilterLevel::UserSpace
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.input.length.map(|length| (self.input.position().min(length), length))
    }
}

#[cfg(test)]
mod tests;

//! Stage: frame → pcapng file (`--write`).
//!
//! One section; an interface description in front of each interface's first frame; enhanced packets with nanoseconds; at the end
//! the statistics. A VLAN tag that the kernel took out of a frame is put back. Source:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sniff_x_capture::{Interface, SourceCounters};
use sniff_x_flow::{Frame, LinkType, Nanos, VlanTag};

use crate::pipeline::EngineError;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Bytes collected before they are written.
const BUFFER: usize = 256 << 10;

/// Bytes of a block beside its body: type, length, length again.
const AROUND: usize = 12;

/// Where a VLAN tag belongs: behind the two MAC addresses.
const TAG_AT: usize = 12;

/// Writes frames to a pcapng file.
pub(crate) struct PcapngWriter {
    path: PathBuf,
    out: BufWriter<File>,
    /// What was described, in the order of the file's numbers.
    described: Vec<(u32, LinkType)>,
    /// The number of the frame before: most often it is this one's, too.
    latest: usize,
    frames: u64,
    time: Nanos,
    /// A block's options, reused.
    options: Vec<u8>,
}

impl PcapngWriter {
    /// Creates the file, `-` for standard output, and begins its section.
    ///
    /// # Errors
    /// [`EngineError::File`].
    pub(crate) fn create(path: &Path) -> Result<Self, EngineError> {
        let failed = |error| EngineError::File { path: path.to_owned(), error };
        let file = if path.as_os_str() == "-" { standard_output() } else { File::create(path) };
        let mut writer = Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(BUFFER, file.map_err(failed)?),
            described: Vec::new(),
            latest: 0,
            frames: 0,
            time: Nanos(0),
            options: Vec::new(),
        };
        writer.section().map_err(failed)?;
        Ok(writer)
    }

    /// Writes a frame; `interfaces` is asked when its interface comes for the first time.
    ///
    /// # Errors
    /// [`EngineError::File`].
    pub(crate) fn frame(
        &mut self,
        frame: &Frame<'_>,
        interfaces: impl FnOnce() -> Vec<Interface>,
    ) -> Result<(), EngineError> {
        self.write_frame(frame, interfaces).map_err(|error| self.failed(error))
    }

    /// Hands on what was written: nothing more comes for now.
    ///
    /// # Errors
    /// [`EngineError::File`].
    pub(crate) fn flush(&mut self) -> Result<(), EngineError> {
        self.out.flush().map_err(|error| self.failed(error))
    }

    /// Frames that were written.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Ends the file with the statistics.
    ///
    /// # Errors
    /// [`EngineError::File`].
    pub(crate) fn finish(mut self, counters: &SourceCounters) -> Result<(), EngineError> {
        self.write_end(counters).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> EngineError {
        EngineError::File { path: self.path.clone(), error }
    }

    fn section(&mut self) -> io::Result<()> {
        const APPLICATION: u16 = 4;
        self.option(APPLICATION, concat!("sniff-x ", env!("CARGO_PKG_VERSION")).as_bytes());
        let mut body = Vec::new();
        body.extend(BYTE_ORDER_MAGIC.to_ne_bytes());
        body.extend(1_u16.to_ne_bytes());
        body.extend(0_u16.to_ne_bytes());
        // The section's length is not known.
        body.extend(u64::MAX.to_ne_bytes());
        self.block(SECTION_HEADER, &[&body])
    }

    fn describe(&mut self, name: &str, link_type: LinkType) -> io::Result<()> {
        const NAME: u16 = 2;
        const RESOLUTION: u16 = 9;
        self.option(NAME, name.as_bytes());
        self.option(RESOLUTION, &[9]);
        let mut body = [0; 8];
        if let Some(link) = body.first_chunk_mut() {
            *link = link_type.0.to_ne_bytes();
        }
        // The last four bytes stay 0, no limit: libpcap refuses a file whose interfaces differ in their snap length, or with a frame
        // beyond it, as one is to which its tag came back. That a frame is cut shows in its own two lengths.
        self.block(INTERFACE, &[&body])
    }

    fn write_frame(
        &mut self,
        frame: &Frame<'_>,
        interfaces: impl FnOnce() -> Vec<Interface>,
    ) -> io::Result<()> {
        const FLAGS: u16 = 2;
        const OUTBOUND: u32 = 0b10;
        let key = (frame.interface, frame.link_type);
        if self.described.get(self.latest) != Some(&key) {
            self.latest = match self.described.iter().position(|known| *known == key) {
                Some(number) => number,
                None => {
                    let all = interfaces();
                    let name = all.iter().find(|i| i.id == frame.interface).map_or("", |i| i.name.as_str());
                    self.describe(name, frame.link_type)?;
                    self.described.push(key);
                    self.described.len() - 1
                }
            };
        }
        // Only there does a tag have its place.
        let ethernet = frame.link_type == LinkType::ETHERNET && frame.bytes.len() >= TAG_AT;
        let tag = frame.vlan.filter(|_| ethernet).map(|VlanTag { tpid, tci }| {
            let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
            [a, b, c, d]
        });
        let tag: &[u8] = tag.as_ref().map_or(&[], |tag| tag);
        let (addresses, rest) = frame.bytes.split_at(if tag.is_empty() { 0 } else { TAG_AT });

        let captured = frame.bytes.len() + tag.len();
        let [time_high, time_low] = halves(frame.timestamp.0);
        let mut header = [0; 20];
        let fields = [
            u32::try_from(self.latest).unwrap_or(u32::MAX),
            time_high,
            time_low,
            u32::try_from(captured).unwrap_or(u32::MAX),
            frame.original_len.saturating_add(if tag.is_empty() { 0 } else { 4 }),
        ];
        for (to, field) in header.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_ne_bytes());
        }
        if frame.flags.outgoing {
            self.option(FLAGS, &OUTBOUND.to_ne_bytes());
        }
        self.block(ENHANCED_PACKET, &[&header, addresses, tag, rest])?;
        self.frames += 1;
        self.time = frame.timestamp;
        Ok(())
    }

    fn write_end(&mut self, counters: &SourceCounters) -> io::Result<()> {
        const COMMENT: u16 = 1;
        const RECEIVED: u16 = 4;
        const DROPPED: u16 = 5;
        const ACCEPTED: u16 = 6;
        if self.described.is_empty() {
            // libpcap reads no file without one.
            self.describe("", LinkType::ETHERNET)?;
        }
        if self.described.len() > 1 {
            self.option(COMMENT, b"all interfaces together");
        }
        let known =
            [(RECEIVED, counters.received), (DROPPED, counters.dropped), (ACCEPTED, Some(self.frames))];
        for (code, count) in known {
            if let Some(count) = count {
                self.option(code, &count.to_ne_bytes());
            }
        }
        let [high, low] = halves(self.time.0).map(u32::to_ne_bytes);
        self.block(STATISTICS, &[&[0; 4], &high, &low])?;
        self.out.flush()
    }

    /// Adds an option to the next block, padded to four bytes. Values are short.
    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let value = value.get(..usize::from(length)).unwrap_or_default();
        self.options.extend(code.to_ne_bytes());
        self.options.extend(length.to_ne_bytes());
        self.options.extend(value);
        self.options.resize(self.options.len().next_multiple_of(4), 0);
    }

    /// Writes a block: the body, padded, and the options, with the mark of their end.
    fn block(&mut self, kind: u32, body: &[&[u8]]) -> io::Result<()> {
        const END_OF_OPTIONS: [u8; 4] = [0; 4];
        let unpadded: usize = body.iter().map(|part| part.len()).sum();
        let padded = unpadded.next_multiple_of(4);
        let end = if self.options.is_empty() { 0 } else { END_OF_OPTIONS.len() };
        let length = AROUND + padded + self.options.len() + end;
        let length = u32::try_from(length)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a frame of more than 4 GiB"))?
            .to_ne_bytes();
        self.out.write_all(&kind.to_ne_bytes())?;
        self.out.write_all(&length)?;
        for part in body {
            self.out.write_all(part)?;
        }
        self.out.write_all([0; 3].get(..padded - unpadded).unwrap_or_default())?;
        self.out.write_all(&self.options)?;
        self.out.write_all(END_OF_OPTIONS.get(..end).unwrap_or_default())?;
        self.options.clear();
        self.out.write_all(&length)
    }
}

/// The upper and the lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "each half has 32 bits")]
const fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

#[cfg(unix)]
fn standard_output() -> io::Result<File> {
    use std::os::fd::AsFd;
    // A descriptor of our own: `io::stdout` would look for line ends.
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn standard_output() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests;

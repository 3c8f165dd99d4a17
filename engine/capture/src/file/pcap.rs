//! The pcap format: a header of 24 bytes, then records.
//!
//! Also its variants: nanoseconds, both byte orders, Kuznetzov's longer record header, and files of old versions whose two
//! lengths are swapped. Source: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>, libpcap's `sf-pcap.c`.

use core::ops::Range;

use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use super::{MAX_RECORD, Scan, Stop};
use crate::bytes::ByteOrder;
use crate::lease::{self, FRAME_LINES};

/// Bytes of the file header.
pub(crate) const HEADER: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// A patched libpcap of 1999: the record header also has the interface, the protocol and the packet type.
const KUZNETZOV: u32 = 0xa1b2_cd34;

/// How the records of a file read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    order: ByteOrder,
    /// Nanoseconds of one unit of the timestamps' fraction.
    unit: u32,
    /// Bytes of a record header.
    record: usize,
    lengths: Lengths,
    pub(crate) link_type: LinkType,
    /// What the frames give as their interface.
    interface: u32,
    pub(crate) snaplen: u32,
}

/// In which order a record header has its two lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Versions before 2.3.
    OriginalFirst,
    /// Version 2.3: either; the captured length is the lower one.
    Either,
}

/// A record header, checked against nothing yet.
struct Record {
    timestamp: Nanos,
    captured: u32,
    original: u32,
    outgoing: bool,
}

impl Format {
    /// Reads a file header; none when it doesn't begin with one of pcap's magic numbers.
    pub(crate) fn from_header(header: &[u8]) -> Option<Self> {
        let (order, magic) = [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .filter_map(|order| Some((order, order.u32(header, 0)?)))
            .find(|(_, magic)| matches!(*magic, MICROSECONDS | NANOSECONDS | KUZNETZOV))?;
        let version = (order.u16(header, 4)?, order.u16(header, 6)?);
        let link = order.u32(header, 20)?;
        Some(Self {
            order,
            unit: if magic == NANOSECONDS { 1 } else { 1000 },
            record: if magic == KUZNETZOV { 24 } else { 16 },
            lengths: match version {
                // 543 is written by DG/UX's tcpdump (libpcap, sf-pcap.c).
                (543, _) | (2, 0..=2) => Lengths::OriginalFirst,
                (2, 3) => Lengths::Either,
                _ => Lengths::CapturedFirst,
            },
            // The upper half tells the length of a frame check sequence.
            #[expect(clippy::cast_possible_truncation, reason = "the link type is the lower half")]
            link_type: LinkType(link as u16),
            interface: 0,
            snaplen: order.u32(header, 16)?,
        })
    }

    /// The records that a live reader writes into its buffers: this machine's byte order, nanoseconds.
    #[cfg(feature = "libpcap")]
    pub(crate) const fn native(link_type: LinkType, interface: u32, snaplen: u32) -> Self {
        Self {
            order: ByteOrder::NATIVE,
            unit: 1,
            record: 16,
            lengths: Lengths::CapturedFirst,
            link_type,
            interface,
            snaplen,
        }
    }

    #[inline]
    fn record(&self, bytes: &[u8], at: usize) -> Option<Record> {
        let header = bytes.get(at..)?;
        let [seconds, fraction, first, second] = self.order.four_u32(header.first_chunk()?);
        let (captured, original) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        let timestamp =
            Nanos(u64::from(seconds) * Nanos::SECOND + u64::from(fraction) * u64::from(self.unit));
        // ifindex (4), protocol (2), packet type (1): 4 is outgoing.
        let outgoing = self.record > 16 && *header.get(..self.record)?.get(22)? == 4;
        Some(Record { timestamp, captured, original, outgoing })
    }

    /// Finds the whole records in `bytes` from `from` on.
    pub(crate) fn scan(&self, bytes: &[u8], from: usize) -> Scan {
        let mut at = from;
        let mut frames = 0;
        let stop = loop {
            let Some(record) = self.record(bytes, at) else {
                break Stop::Partial { need: self.record };
            };
            let captured = record.captured as usize;
            if captured > MAX_RECORD {
                break Stop::Broken("a record longer than 16 MiB");
            }
            let end = at + self.record + captured;
            if end > bytes.len() {
                break Stop::Partial { need: self.record + captured };
            }
            at = end;
            frames += 1;
        };
        let view = View { format: *self, range: from..at };
        Scan { view: lease::View::Pcap(view), frames, unreadable: 0, rest: at, stop }
    }
}

/// Whole records in a buffer.
#[derive(Clone, Debug)]
pub(crate) struct View {
    format: Format,
    range: Range<usize>,
}

impl View {
    /// `range` of a buffer holds records of this format.
    #[cfg(feature = "libpcap")]
    pub(crate) const fn new(format: Format, range: Range<usize>) -> Self {
        Self { format, range }
    }

    #[inline]
    pub(crate) fn frames<'a>(&self, buffer: &'a [u8]) -> Frames<'a> {
        Frames {
            format: self.format,
            bytes: buffer.get(..self.range.end).unwrap_or_default(),
            at: self.range.start,
        }
    }
}

/// Walks records in place.
pub(crate) struct Frames<'a> {
    format: Format,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let record = self.format.record(self.bytes, self.at)?;
        let start = self.at + self.format.record;
        let bytes = self.bytes.get(start..)?.get(..record.captured as usize)?;
        self.at = start + bytes.len();
        // As in a ring's block: it has the time that this frame takes.
        sniff_x_prefetch::bytes(self.bytes, self.at, FRAME_LINES);
        Some(Frame {
            bytes,
            offset: u32::try_from(start).ok()?,
            timestamp: record.timestamp,
            // Some writers pad; what was captured was on the wire.
            original_len: record.original.max(record.captured),
            interface: self.format.interface,
            link_type: self.format.link_type,
            vlan: None,
            flags: FrameFlags { checksum_not_ready: false, outgoing: record.outgoing },
        })
    }
}

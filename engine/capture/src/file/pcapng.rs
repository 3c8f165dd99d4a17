//! The pcapng format: blocks, each with its type and length, in sections of one byte order each.
//!
//! Reads the section header, interface descriptions and the three packet blocks; skips all else. The reader scans a buffer for
//! whole blocks and enters interfaces into the table; workers walk the packet blocks again in place. Both use the same
//! [`Section::packet`]. Source: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>.

use core::ops::Range;
use std::sync::Arc;

use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use super::interfaces::{Clock, FileInterface, Interfaces};
use super::{MAX_RECORD, Scan, Stop};
use crate::bytes::ByteOrder;
use crate::lease;

/// The type of a section header, the same in both byte orders.
pub(crate) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// Obsolete, but tcpdump and others wrote it for years.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Type and length in front of a block's body, the length again behind it.
const FRONT: usize = 8;
const AROUND: usize = 12;

/// Bytes that a block may have beside the packet: its header and options.
const MAX_BLOCK: usize = MAX_RECORD + (64 << 10);

/// What is known of a section at some point in it.
#[derive(Clone, Copy, Debug)]
struct Section {
    order: ByteOrder,
    /// Its first interface's number in the table.
    first: u32,
    /// Interfaces that were described so far.
    described: u32,
}

/// Scans for whole blocks and remembers what was described.
pub(crate) struct Scanner {
    interfaces: Arc<Interfaces>,
    section: Section,
}

/// A block's front, and where its body and the next block are.
struct Block<'a> {
    kind: u32,
    body: &'a [u8],
    /// Where `body` starts in the buffer.
    start: usize,
    end: usize,
}

/// A packet block's content.
struct Packet {
    interface: u32,
    link_type: LinkType,
    timestamp: Nanos,
    /// Where the packet is in the block's body.
    data: Range<usize>,
    original: u32,
    outgoing: bool,
}

impl Scanner {
    pub(crate) fn new(interfaces: Arc<Interfaces>) -> Self {
        let section = Section { order: ByteOrder::Little, first: 0, described: 0 };
        Self { interfaces, section }
    }

    /// Why the first section's header can't be read; none when it can.
    pub(crate) fn check(bytes: &[u8]) -> Option<Stop> {
        Self::new(Arc::default()).section_header(bytes, 0).err()
    }

    /// Finds the whole blocks in `bytes` from `from` on, up to the next section.
    pub(crate) fn scan(&mut self, bytes: &[u8], from: usize) -> Scan {
        let (mut at, mut frames, mut unreadable) = (from, 0, 0);
        let mut start = from;
        let mut section = self.section;
        let stop = loop {
            let header = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
            if header.is_some_and(|kind| u32::from_le_bytes(*kind) == SECTION_HEADER) {
                if frames > 0 {
                    break Stop::Section;
                }
                match self.section_header(bytes, at) {
                    Ok(end) => (at, start, section) = (end, end, self.section),
                    Err(stop) => break stop,
                }
                continue;
            }
            let block = match self.section.block(bytes, at) {
                Ok(block) => block,
                Err(stop) => break stop,
            };
            if self.section.order.u32(bytes, block.end - 4) != self.section.order.u32(bytes, at + 4) {
                break Stop::Broken("a block whose two lengths differ");
            }
            match block.kind {
                INTERFACE => unreadable += u64::from(!self.describe(block.body)),
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    match self.section.packet(block.kind, block.body, &self.interfaces) {
                        Some(_) => frames += 1,
                        None => unreadable += 1,
                    }
                }
                _ => {}
            }
            at = block.end;
        };
        let view = View { interfaces: Arc::clone(&self.interfaces), section, range: start..at };
        Scan { view: lease::View::Pcapng(view), frames, unreadable, rest: at, stop }
    }

    /// Enters a new section; gives the end of its header.
    fn section_header(&mut self, bytes: &[u8], at: usize) -> Result<usize, Stop> {
        let Some(magic) = bytes.get(at + FRONT..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Err(Stop::Partial { need: AROUND });
        };
        let order = match (u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)) {
            (BYTE_ORDER_MAGIC, _) => ByteOrder::Little,
            (_, BYTE_ORDER_MAGIC) => ByteOrder::Big,
            _ => return Err(Stop::Broken("a section header without its byte order magic")),
        };
        let first = self.section.first.saturating_add(self.section.described);
        let section = Section { order, first, described: 0 };
        let block = section.block(bytes, at)?;
        match order.u16(block.body, 4) {
            Some(1) => {}
            Some(_) => return Err(Stop::Broken("a section of an unknown version")),
            None => return Err(Stop::Broken("a section header that is too short")),
        }
        if order.u32(bytes, block.end - 4) != order.u32(bytes, at + 4) {
            return Err(Stop::Broken("a block whose two lengths differ"));
        }
        self.section = section;
        Ok(block.end)
    }

    /// Enters an interface into the table; false when it can't be used. It has its number all the same.
    fn describe(&mut self, body: &[u8]) -> bool {
        let id = self.section.first.saturating_add(self.section.described);
        self.section.described = self.section.described.saturating_add(1);
        self.interfaces.set(id, self.section.interface(body))
    }
}

impl Section {
    /// The block at `at`, its length checked.
    #[inline]
    fn block<'a>(&self, bytes: &'a [u8], at: usize) -> Result<Block<'a>, Stop> {
        let (Some(kind), Some(length)) = (self.order.u32(bytes, at), self.order.u32(bytes, at + 4)) else {
            return Err(Stop::Partial { need: FRONT });
        };
        let length = length as usize;
        if length < AROUND || !length.is_multiple_of(4) {
            return Err(Stop::Broken("a block with an impossible length"));
        }
        let Some(end) = at.checked_add(length) else {
            return Err(Stop::Broken("a block with an impossible length"));
        };
        match bytes.get(at + FRONT..end - 4) {
            Some(body) if end <= bytes.len() => Ok(Block { kind, body, start: at + FRONT, end }),
            _ if length <= MAX_BLOCK => Err(Stop::Partial { need: length }),
            _ => match kind {
                INTERFACE | PACKET | SIMPLE_PACKET | ENHANCED_PACKET | SECTION_HEADER => {
                    Err(Stop::Broken("a block longer than 16 MiB"))
                }
                _ => Err(Stop::Skip { bytes: length }),
            },
        }
    }

    /// A packet block's content; none when it contradicts itself or names an interface that wasn't described.
    #[inline]
    fn packet(&self, kind: u32, body: &[u8], interfaces: &Interfaces) -> Option<Packet> {
        let number = |at| self.order.u32(body, at);
        let of_section = |id: u32| {
            let id = (id < self.described).then(|| self.first.saturating_add(id))?;
            Some((id, interfaces.get(id)?))
        };
        if kind == SIMPLE_PACKET {
            let (interface, described) = of_section(0)?;
            let original = number(0)?;
            let limit = if described.snaplen == 0 { original } else { original.min(described.snaplen) };
            // What the block has may include padding.
            let data = 4..4 + limit as usize;
            body.get(data.clone())?;
            let link_type = described.link_type;
            return Some(Packet {
                interface,
                link_type,
                timestamp: Nanos(0),
                data,
                original,
                outgoing: false,
            });
        }
        let id = if kind == PACKET { u32::from(self.order.u16(body, 0)?) } else { number(0)? };
        let (interface, described) = of_section(id)?;
        let raw = u64::from(number(4)?) << 32 | u64::from(number(8)?);
        let captured = number(12)? as usize;
        let data = 20..20 + captured;
        body.get(data.clone())?;
        let options = data.end.next_multiple_of(4);
        Some(Packet {
            interface,
            link_type: described.link_type,
            timestamp: described.clock.nanos(raw),
            original: number(16)?.max(u32::try_from(captured).ok()?),
            data,
            outgoing: options < body.len() && self.outgoing(body.get(options..)?),
        })
    }

    /// Whether the flags option says that this host sent the packet.
    #[cold]
    fn outgoing(&self, options: &[u8]) -> bool {
        const FLAGS: u16 = 2;
        self.options(options)
            .find(|(code, _)| *code == FLAGS)
            .and_then(|(_, value)| self.order.u32(value, 0))
            .is_some_and(|flags| flags & 0b11 == 0b10)
    }

    /// Options: code, length, value, padding to four bytes.
    fn options<'a>(&self, mut rest: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> {
        let order = self.order;
        core::iter::from_fn(move || {
            let (code, length) = (order.u16(rest, 0)?, usize::from(order.u16(rest, 2)?));
            let value = rest.get(4..4 + length)?;
            rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }

    /// An interface description block.
    fn interface(&self, body: &[u8]) -> Option<FileInterface> {
        const NAME: u16 = 2;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let link_type = LinkType(self.order.u16(body, 0)?);
        let snaplen = self.order.u32(body, 4)?;
        let (mut name, mut resolution, mut offset) = (String::new(), 6, 0);
        for (code, value) in self.options(body.get(8..)?) {
            match (code, value) {
                (NAME, value) => name = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
                (RESOLUTION, [value, ..]) => resolution = *value,
                (OFFSET, value) => {
                    let raw = *value.first_chunk::<8>()?;
                    offset = match self.order {
                        ByteOrder::Little => i64::from_le_bytes(raw),
                        ByteOrder::Big => i64::from_be_bytes(raw),
                    };
                }
                _ => {}
            }
        }
        Some(FileInterface { name, link_type, snaplen, clock: Clock::new(resolution, offset)? })
    }
}

/// Whole blocks of one section in a buffer, and what the section had described before them.
#[derive(Clone)]
pub(crate) struct View {
    interfaces: Arc<Interfaces>,
    section: Section,
    range: Range<usize>,
}

impl core::fmt::Debug for View {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "pcapng blocks {:?}", self.range)
    }
}

impl View {
    #[inline]
    pub(crate) fn frames<'a>(&'a self, buffer: &'a [u8]) -> Frames<'a> {
        Frames {
            interfaces: &self.interfaces,
            section: self.section,
            bytes: buffer.get(..self.range.end).unwrap_or_default(),
            at: self.range.start,
        }
    }
}

/// Walks packet blocks in place.
pub(crate) struct Frames<'a> {
    interfaces: &'a Interfaces,
    section: Section,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            let block = self.section.block(self.bytes, self.at).ok()?;
            self.at = block.end;
            match block.kind {
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {}
                INTERFACE => {
                    self.section.described = self.section.described.saturating_add(1);
                    continue;
                }
                _ => continue,
            }
            let Some(packet) = self.section.packet(block.kind, block.body, self.interfaces) else { continue };
            return Some(Frame {
                bytes: block.body.get(packet.data.clone())?,
                offset: u32::try_from(block.start + packet.data.start).ok()?,
                timestamp: packet.timestamp,
                original_len: packet.original,
                interface: packet.interface,
                link_type: packet.link_type,
                vlan: None,
                flags: FrameFlags { checksum_not_ready: false, outgoing: packet.outgoing },
            });
        }
    }
}

//! A reader of pcap and pcapng files: just enough to give the captures of a test as frames.

use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

/// A frame with its own bytes.
pub(crate) struct Record {
    pub(crate) timestamp: Nanos,
    pub(crate) original_len: u32,
    pub(crate) interface: u32,
    pub(crate) link_type: LinkType,
    pub(crate) bytes: Vec<u8>,
}

impl Record {
    /// The record as a source would lend it.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: &self.bytes,
            offset: 0,
            timestamp: self.timestamp,
            original_len: self.original_len,
            interface: self.interface,
            link_type: self.link_type,
            vlan: None,
            flags: FrameFlags::default(),
        }
    }
}

/// The folder of real captures, when it is there.
pub(crate) fn captures() -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    folder.is_dir().then_some(folder)
}

/// The frames of a pcap or pcapng file; None when it is neither.
pub(crate) fn read(file: &[u8]) -> Option<Vec<Record>> {
    match file.first_chunk::<4>()? {
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => Some(pcap(file, u32::from_be_bytes)),
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => Some(pcap(file, u32::from_le_bytes)),
        [0x0a, 0x0d, 0x0d, 0x0a] => Some(pcapng(file)),
        _ => None,
    }
}

type Number = fn([u8; 4]) -> u32;

fn number(bytes: &[u8], at: usize, order: Number) -> Option<u32> {
    Some(order(*bytes.get(at..)?.first_chunk()?))
}

fn pcap(file: &[u8], order: Number) -> Vec<Record> {
    let nanos = number(file, 0, order) == Some(0xa1b2_3c4d);
    let link_type = LinkType((number(file, 20, order).unwrap_or(0) & 0xffff) as u16);
    let mut records = Vec::new();
    let mut at = 24;
    while let Some(header) = file.get(at..at + 16) {
        let field = |n: usize| number(header, n * 4, order).unwrap();
        let (captured, original_len) = (field(2) as usize, field(3));
        let Some(bytes) = file.get(at + 16..at + 16 + captured) else { break };
        let fraction = if nanos { field(1) } else { field(1).wrapping_mul(1000) };
        records.push(Record {
            timestamp: Nanos::new(u64::from(field(0)), fraction),
            original_len,
            interface: 0,
            link_type,
            bytes: bytes.to_vec(),
        });
        at += 16 + captured;
    }
    records
}

fn pcapng(file: &[u8]) -> Vec<Record> {
    let mut order: Number = u32::from_le_bytes;
    // Link type and ticks a second of each interface of the section; its first interface's number in the file.
    let mut interfaces: Vec<(LinkType, u64)> = Vec::new();
    let mut first = 0;
    let mut records = Vec::new();
    let mut at = 0;
    while at + 12 <= file.len() {
        if file[at..].starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            let big = file[at + 8..].starts_with(&[0x1a, 0x2b, 0x3c, 0x4d]);
            order = if big { u32::from_be_bytes } else { u32::from_le_bytes };
            first += u32::try_from(interfaces.len()).unwrap();
            interfaces.clear();
        }
        let len = number(file, at + 4, order).unwrap() as usize;
        let Some(block) = file.get(at..at + len).filter(|_| len >= 12) else { break };
        let short = |n: usize| match order([0, 0, 0, 1]) {
            1 => u16::from_be_bytes([block[n], block[n + 1]]),
            _ => u16::from_le_bytes([block[n], block[n + 1]]),
        };
        match number(block, 0, order) {
            Some(1) => {
                let mut ticks = 1_000_000;
                let mut option = 16;
                while option + 4 <= len - 4 && short(option) != 0 {
                    if short(option) == 9 {
                        let power = u32::from(block[option + 4] & 0x7f);
                        ticks = if block[option + 4] & 0x80 != 0 { 1 << power } else { 10u64.pow(power) };
                    }
                    option += 4 + usize::from(short(option + 2)).next_multiple_of(4);
                }
                interfaces.push((LinkType(short(8)), ticks));
            }
            Some(kind @ (2 | 6)) => {
                let interface =
                    if kind == 2 { u32::from(short(8)) } else { number(block, 8, order).unwrap() };
                let field = |n| number(block, n, order).unwrap();
                let time = u64::from(field(12)) << 32 | u64::from(field(16));
                let captured = field(20) as usize;
                if let (Some(&(link_type, ticks)), Some(bytes)) =
                    (interfaces.get(interface as usize), block.get(28..28 + captured))
                {
                    let nanos = u128::from(time) * 1_000_000_000 / u128::from(ticks);
                    records.push(Record {
                        timestamp: Nanos(u64::try_from(nanos).unwrap()),
                        original_len: field(24),
                        interface: first + interface,
                        link_type,
                        bytes: bytes.to_vec(),
                    });
                }
            }
            Some(3) => {
                let original_len = number(block, 8, order).unwrap();
                let captured = (original_len as usize).min(len - 16);
                if let Some(&(link_type, _)) = interfaces.first() {
                    let bytes = block[12..12 + captured].to_vec();
                    records.push(Record {
                        timestamp: Nanos(0),
                        original_len,
                        interface: first,
                        link_type,
                        bytes,
                    });
                }
            }
            _ => {}
        }
        at += len;
    }
    records
}

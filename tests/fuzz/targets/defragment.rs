//! Fragments of IPv4 and IPv6 packets in frames, read by the parser and put together under tight limits, against a map of bytes for each
//! datagram that knows every rule: which fragment is a copy, which makes its datagram void, whose time is up, who makes room.
//!
//! Input: eight bytes of options, then operations of eight bytes each.

mod model;

use std::time::Duration;

use sniff_x_flow::packet::defragment::{DefragmentCounters, DefragmentOptions, Defragmenter, PAGE_BYTES};
use sniff_x_flow::packet::{FlowHasher, Fragment, ParseOptions, Parsed, Parser};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use crate::harness::input::Input;
use crate::harness::memory;
use crate::harness::random::Random;
use crate::harness::signal::Signal;
use crate::seeds::Seeds;
use model::{Model, Outcome};

const MS: u64 = 1_000_000;
/// Operations of an input; what is behind them is not read.
const MOST: usize = 200;
/// What carries the fragments: frames of this VLAN, or without one.
const VLAN: u16 = 7;
const UDP: u8 = 17;
/// A protocol that nobody looks into (RFC 3692).
const OTHER: u8 = 253;
const UDP_HEADER: usize = 8;

/// Which datagram a fragment is of: two bits of its number, then bits for the version, the VLAN, the way it goes, and what IPv4's header
/// names as its protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Name(u8);

impl Name {
    fn number(self) -> u8 {
        self.0 & 3
    }
    fn v6(self) -> bool {
        self.0 & 4 != 0
    }
    fn vlan(self) -> bool {
        self.0 & 8 != 0
    }
    fn back(self) -> bool {
        self.0 & 16 != 0
    }
    fn protocol(self) -> u8 {
        if self.0 & 32 == 0 { UDP } else { OTHER }
    }
    /// The protocol is no part of an IPv6 datagram's identity.
    fn key(self) -> Self {
        if self.v6() { Self(self.0 & 31) } else { Self(self.0 & 63) }
    }
    fn port(self) -> u16 {
        20_000 + u16::from(self.key().0)
    }
    /// The byte that belongs at a place: a UDP header without length, then anything.
    fn byte(self, at: u32) -> u8 {
        match at {
            0..2 => self.port().to_be_bytes()[at as usize],
            2..4 => 30_000_u16.to_be_bytes()[at as usize - 2],
            4..8 => 0,
            _ => Random(u64::from(self.key().0) << 32 | u64::from(at)).next().to_le_bytes()[3],
        }
    }
}

/// A fragment that is sent: its place and bytes, how many of them were captured, what follows.
#[derive(Clone)]
struct Sent {
    name: Name,
    offset: u32,
    bytes: Vec<u8>,
    captured: usize,
    more: bool,
}

/// Its frame: Ethernet, perhaps a VLAN tag, IP.
fn packet(sent: &Sent) -> Vec<u8> {
    let name = sent.name;
    let mut bytes = vec![2; 12];
    if name.vlan() {
        bytes.extend([0x81, 0]);
        bytes.extend(VLAN.to_be_bytes());
    }
    let id = [0, 0, 0, 40 + name.number()];
    let blocks = (sent.offset / 8) as u16;
    let (from, to) = if name.back() { (2, 1) } else { (1, 2) };
    if name.v6() {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend((sent.bytes.len() as u16 + 8).to_be_bytes());
        bytes.extend([44, 64]);
        for last in [from, to] {
            bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend([name.protocol(), 0]);
        bytes.extend((blocks << 3 | u16::from(sent.more)).to_be_bytes());
        bytes.extend(id);
    } else {
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend((sent.bytes.len() as u16 + 20).to_be_bytes());
        bytes.extend(&id[2..]);
        bytes.extend((blocks | u16::from(sent.more) << 13).to_be_bytes());
        bytes.extend([64, name.protocol(), 0, 0]);
        for last in [from, to] {
            bytes.extend([10, 0, 0, last]);
        }
    }
    bytes.extend(&sent.bytes);
    bytes
}

/// The defragmenter with what surrounds it.
struct Bed {
    parser: Parser,
    defragmenter: Defragmenter,
    model: Model,
    options: DefragmentOptions,
    now: Nanos,
    whole: Vec<u8>,
    /// Bytes that the defragmenter allocated, counted by the allocator.
    held: isize,
    /// Where each datagram's next fragment begins, in blocks.
    next: [u32; 64],
    latest: Option<Sent>,
}

impl Bed {
    fn new(options: DefragmentOptions) -> Self {
        let before = memory::now();
        let defragmenter = Defragmenter::new(options);
        let held = memory::now() - before;
        Self {
            parser: Parser::new(FlowHasher::with_seed(1), ParseOptions::default()),
            defragmenter,
            model: Model::new(options),
            options,
            now: Nanos::new(1000, 0),
            whole: Vec::with_capacity(1 << 16),
            held,
            next: [0; 64],
            latest: None,
        }
    }

    fn operation(&mut self, mut op: Input<'_>, signal: &mut Signal) {
        let [kind, name, place, high, len, flags, more, time] = op.array();
        let time = u64::from(time);
        // No two datagrams begin at the same time: which of them is the older one is no question then.
        self.now.0 += 1;
        if kind < 8 {
            self.now.0 += time * time * 16 * MS;
            return self.advance();
        }
        self.now.0 += match time {
            0..128 => 0,
            128..200 => (time - 128) * 10 * MS,
            _ => (time - 200) * (time - 200) * 20 * MS,
        };
        let sent = match (kind, self.latest.take()) {
            (8..40, Some(latest)) => latest,
            _ => self.cut(Name(name), [place, high], len, flags, more),
        };
        // A frame that is late has an old time; the clock does not go back.
        let late = more == 255 && kind & 1 == 0;
        if late {
            self.advance();
        }
        let timestamp = Nanos(self.now.0 - u64::from(late) * time * MS);
        self.send(&sent, timestamp, signal);
        self.latest = Some(sent);
    }

    fn advance(&mut self) {
        let before = memory::now();
        self.defragmenter.advance(self.now);
        self.held += memory::now() - before;
        self.model.advance(self.now);
    }

    /// The fragment that an operation's bytes tell of.
    fn cut(&mut self, name: Name, place: [u8; 2], len: u8, flags: u8, more: u8) -> Sent {
        let next = &mut self.next[usize::from(name.key().0)];
        let block = match place[1] {
            0..0xa0 => *next % 8192,
            0xa0..0xd0 => u32::from(place[0] & 31),
            _ => u32::from(u16::from_le_bytes(place) & 8191),
        };
        let len = match len {
            0..3 => 0,
            3..120 => u32::from(len) * 8,
            120..160 => 1480,
            160..230 => u32::from(len),
            230..250 => u32::from(len - 229) * 24,
            250..=255 => u32::from(len - 249) * 1600,
        };
        let is_last = flags & 3 == 3;
        *next = if is_last { 0 } else { block + len.div_ceil(8) };
        let offset = block * 8;
        let mut bytes: Vec<u8> = (offset..offset + len).map(|at| name.byte(at)).collect();
        if flags & 0x1c == 0x1c
            && let Some(byte) = bytes.get_mut(usize::from(more))
        {
            *byte ^= 0xff;
        }
        let missing = if flags & 0xe0 == 0xe0 { usize::from(more).min(bytes.len()) } else { 0 };
        Sent { name, offset, captured: bytes.len() - missing, bytes, more: !is_last }
    }

    fn send(&mut self, sent: &Sent, timestamp: Nanos, signal: &mut Signal) {
        let bytes = packet(sent);
        let missing = sent.bytes.len() - sent.captured;
        let frame = Frame {
            bytes: &bytes[..bytes.len() - missing],
            offset: 0,
            timestamp,
            original_len: bytes.len() as u32,
            interface: 0,
            link_type: LinkType::ETHERNET,
            vlan: None,
            flags: FrameFlags::default(),
        };
        let Parsed::Fragment(fragment) = self.parser.parse(&frame) else {
            assert!(sent.offset == 0 && !sent.more, "what is no fragment is whole");
            return;
        };
        let start = fragment.payload.start as usize;
        let payload = &frame.bytes[start..][..fragment.payload.len as usize];
        assert_eq!(payload, &sent.bytes[..sent.captured], "the payload is the fragment's");
        assert_eq!((fragment.offset, fragment.more), (sent.offset, sent.more));
        assert_eq!(fragment.missing as usize, missing);

        let before = memory::now();
        let told = self.defragmenter.add(&fragment, payload, &mut self.whole);
        self.held += memory::now() - before;
        let expected = self.model.add(sent, self.now);
        signal.note((expected.note(), sent.name.v6(), missing > 0));
        match (told, expected) {
            (Some(told), Outcome::Whole { bytes, len, protocol }) => {
                assert!(self.whole == bytes, "{:?}: other bytes than those that came", sent.name);
                assert_eq!((told.len, told.timestamp), (len, timestamp));
                self.read(&frame, &told.first, sent.name, (len, protocol));
            }
            (told, expected) => {
                assert!(told.is_none(), "whole, but {expected:?}");
                assert!(!matches!(expected, Outcome::Whole { .. }), "{:?} is whole", sent.name);
            }
        }
    }

    /// What was put together is a packet like any other.
    fn read(&self, frame: &Frame<'_>, first: &Fragment, name: Name, (len, protocol): (u32, u8)) {
        let frame = Frame { bytes: &self.whole, offset: 0, original_len: len, ..*frame };
        let parsed = self.parser.parse_reassembled(&frame, first);
        let header = &self.whole[..self.whole.len().min(UDP_HEADER)];
        let lies = (0..).zip(header).any(|(at, byte)| *byte != name.byte(at));
        match parsed {
            Parsed::Udp(datagram) => {
                assert!(protocol == UDP && header.len() == UDP_HEADER);
                let packet = datagram.packet;
                assert_eq!((packet.payload.start, packet.vlan_tags), (8, u8::from(name.vlan())));
                assert_eq!(packet.key.place().vlans[0], name.vlan().then_some(VLAN));
                if !lies {
                    assert_eq!(packet.payload.len as usize, self.whole.len() - UDP_HEADER);
                    assert_eq!(packet.missing as usize, len as usize - self.whole.len());
                    let ends = [packet.sender, packet.sender.other()].map(|side| packet.key.endpoint(side));
                    assert_eq!(ends.map(|end| end.port()), [name.port(), 30_000]);
                    assert!(ends[0].to_string().contains(if name.back() { "2" } else { "1" }));
                }
            }
            _ => assert!(protocol == OTHER || header.len() < UDP_HEADER || lies, "{parsed:?}"),
        }
    }

    fn check(&self) {
        assert_eq!(self.defragmenter.counters(), self.model.counters());
        // All but the lists of the pools' chunks.
        let memory = self.defragmenter.memory();
        let lists = self.held - memory.cast_signed();
        assert!((0..4096).contains(&lists), "memory() is {lists} bytes less than what the allocator gave");
        // Pools grow by 64 entries, give what was not needed for a while back, and keep a spare chunk.
        let chunks = |most: usize| most.div_ceil(64) + 1;
        let most = chunks(self.options.max_pages) * 64 * PAGE_BYTES
            + chunks(self.options.max_datagrams) * 64 * 1536
            + 4096;
        assert!(memory <= most, "{memory} bytes are held, {most} are allowed");
    }
}

fn options(input: &mut Input<'_>) -> DefragmentOptions {
    let [timeout, datagrams, pages, ..] = input.array::<8>();
    DefragmentOptions {
        timeout: (timeout & 1 != 0).then(|| Duration::from_millis(u64::from(timeout) * 100)),
        max_datagrams: if datagrams & 1 == 0 { 64 } else { usize::from(datagrams >> 4) },
        max_pages: if pages & 1 == 0 { 256 } else { usize::from(pages >> 2) },
    }
}

/// Random operations, and datagrams in order, backwards and mixed.
pub(crate) fn seeds(_: &Seeds) -> Vec<Vec<u8>> {
    let mut random = Random(11);
    let mut seeds: Vec<Vec<u8>> =
        (0..40).map(|length| (0..8 * (1 + length * 4)).map(|_| random.byte()).collect()).collect();
    for way in 0..24_u8 {
        let mut ops: Vec<[u8; 8]> = Vec::new();
        for datagram in 0..12_u8 {
            let parts = 1 + random.below(6) as u8;
            for part in 0..=parts {
                let last = if part == parts { 3 } else { 0 };
                let len = if part == parts { 160 + random.byte() % 70 } else { 20 };
                let high = if way % 2 == 0 { 0 } else { 0xe0 };
                ops.push([100, datagram * 5 % 64, part * 20, high, len, last, 0, random.byte() % 140]);
            }
        }
        match way % 3 {
            0 => {}
            1 => ops.reverse(),
            _ => (1..ops.len()).for_each(|at| ops.swap(at, random.below(at + 1))),
        }
        let limits = [way & 2, way & 4, way & 8, 0, 0, 0, 0, 0];
        seeds.push([limits].iter().chain(&ops).flatten().copied().collect());
    }
    seeds
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut input = Input(data);
    let mut bed = Bed::new(options(&mut input));
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        bed.operation(Input(input.bytes(8)), signal);
        bed.check();
    }
    let counters: DefragmentCounters = bed.defragmenter.counters();
    for (name, value) in [
        ("reassembled", counters.reassembled),
        ("cut", counters.cut),
        ("void", counters.void),
        ("waiting", counters.waiting),
        ("timed out", counters.timed_out),
        ("limit", counters.limit),
        ("copies", counters.duplicates),
    ] {
        signal.count(name, value);
    }
    // In the end all is given back.
    bed.now.0 += 3_600_000 * MS;
    for _ in 0..3 {
        bed.now.0 += 10_000 * MS;
        bed.advance();
        bed.check();
    }
    let counters = bed.defragmenter.counters();
    assert_eq!((counters.waiting, counters.void), (0, 0));
}

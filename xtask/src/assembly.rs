//! `cargo xtask bench assembly`: what a segment and a connection cost the assembler, on frames of our own.
//!
//! One Ethernet frame a direction is patched and parsed again for each segment, so that the frame itself is in the cache. What that costs is in
//! every figure; it is measured without the assembler, too, with the same load: what is beyond it is the assembler's.

use std::time::Duration;

use anyhow::Result;
use sniff_x_flow::assembler::{Assembler, AssemblerOptions};
use sniff_x_flow::packet::{self, FlowHasher, Parsed, Segment, TcpFlags};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use crate::bench::cpu_time;
use crate::bench::stages::Nothing;
use crate::output::say;

/// Payload bytes of a segment.
const LEN: u32 = 100;
/// Where a frame's payload begins.
const HEADERS: usize = 54;
/// Segments of one measurement.
const SEGMENTS: u32 = 4_000_000;
/// Segments whose headers are parsed before the first is assembled, as a worker with a queue does.
const BATCH: usize = 64;

/// An Ethernet frame with a TCP segment, whose numbers are changed in place.
struct Template([u8; HEADERS + LEN as usize]);

impl Template {
    fn new() -> Self {
        let mut bytes = [0; HEADERS + LEN as usize];
        let mut put = |at: usize, value: &[u8]| copy(&mut bytes, at, value);
        put(12, &[0x08, 0, 0x45]);
        put(23, &[6]);
        put(46, &[0x50]);
        put(48, &[0x03, 0xe8]);
        Self(bytes)
    }

    /// The segment of `client` and the server; without payload when it is not `full`.
    fn set(&mut self, client: u32, to_server: bool, [seq, ack]: [u32; 2], flags: u8, full: bool) {
        let [_, a, b, c] = client.to_be_bytes();
        let ends = [([10, a, b, c], [0x9c, 0x40]), ([11, 2, 0, 1], [0x0c, 0xea])];
        let [from, to] = if to_server { ends } else { [ends[1], ends[0]] };
        let mut put = |at: usize, value: &[u8]| copy(&mut self.0, at, value);
        put(16, &[0, if full { 40 + LEN.to_be_bytes()[3] } else { 40 }]);
        put(26, &from.0);
        put(30, &to.0);
        put(34, &from.1);
        put(36, &to.1);
        put(38, &seq.to_be_bytes());
        put(42, &ack.to_be_bytes());
        put(47, &[flags]);
    }

    fn parse(&self, hasher: &FlowHasher, timestamp: Nanos) -> Option<Segment> {
        let frame = Frame {
            bytes: &self.0,
            offset: 0,
            timestamp,
            original_len: u32::try_from(self.0.len()).unwrap_or(0),
            interface: 0,
            link_type: LinkType::ETHERNET,
            vlan: None,
            flags: FrameFlags::default(),
        };
        match packet::parse(std::hint::black_box(&frame), hasher) {
            Parsed::Tcp(segment) => Some(segment),
            _ => None,
        }
    }

    fn payload(&self, segment: &Segment) -> &[u8] {
        let (start, len) = (segment.packet.payload.start as usize, segment.packet.payload.len as usize);
        self.0.get(start..start + len).unwrap_or_default()
    }
}

fn copy(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// How segments come.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    clients: u32,
    /// Of a thousand segments so many change places with the next of their direction.
    swapped: u32,
    /// Of a thousand segments so many are not there, though they are acknowledged.
    lost: u32,
    /// In batches of parsed headers.
    batched: bool,
}

const LOADS: [Load; 7] = [
    Load { name: "in order, 1,000 connections", clients: 1000, swapped: 0, lost: 0, batched: false },
    Load {
        name: "in order, 1,000 connections, in batches",
        clients: 1000,
        swapped: 0,
        lost: 0,
        batched: true,
    },
    Load { name: "1 % reordered", clients: 1000, swapped: 10, lost: 0, batched: false },
    Load { name: "10 % reordered", clients: 1000, swapped: 100, lost: 0, batched: false },
    Load { name: "1 % lost", clients: 1000, swapped: 0, lost: 10, batched: false },
    Load { name: "in order, 100,000 at random", clients: 100_000, swapped: 0, lost: 0, batched: false },
    Load {
        name: "in order, 100,000 at random, in batches",
        clients: 100_000,
        swapped: 0,
        lost: 0,
        batched: true,
    },
];

struct Bed {
    hasher: FlowHasher,
    assembler: Assembler<Nothing>,
    now: Nanos,
    /// Segments go to the assembler.
    assembled: bool,
}

impl Bed {
    fn new() -> Self {
        let options = AssemblerOptions { max_embryonic: None, ..AssemblerOptions::default() };
        Self {
            hasher: FlowHasher::with_seed(3),
            assembler: Assembler::new(options),
            now: Nanos::new(1000, 0),
            assembled: true,
        }
    }

    fn feed(&mut self, template: &Template) {
        // About as fast as it goes: what waits, waits for many segments.
        self.now.0 += 200;
        if let Some(segment) = template.parse(&self.hasher, self.now)
            && self.assembled
        {
            self.assembler.assemble(&mut Nothing, &segment, template.payload(&segment));
        }
    }

    fn shake(&mut self, client: u32, template: &mut Template) {
        template.set(client, true, [999, 0], TcpFlags::SYN, false);
        self.feed(template);
        template.set(client, false, [4999, 1000], TcpFlags::SYN | TcpFlags::ACK, false);
        self.feed(template);
        template.set(client, true, [1000, 5000], TcpFlags::ACK, false);
        self.feed(template);
    }
}

/// Numbers without an order that a processor could guess.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(((self.0 >> 32) * u64::from(n)) >> 32).unwrap_or(0)
    }
}

/// The load's time for a segment, in nanoseconds: with the assembler, or without, for what making and parsing it takes.
#[expect(clippy::indexing_slicing, reason = "a client's number is below their number")]
fn cost(load: Load, assembled: bool) -> Result<f64> {
    let mut bed = Bed::new();
    let mut templates: Vec<Template> = (0..BATCH).map(|_| Template::new()).collect();
    (0..load.clients).for_each(|client| bed.shake(client, &mut templates[0]));
    let mut sent = vec![[1000u32, 5000]; load.clients as usize];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut parsed = Vec::with_capacity(BATCH);
    bed.assembled = assembled;
    let (mut fed, mut start) = (0u32, Duration::ZERO);
    let warm = load.clients * 4;
    while fed < warm + SEGMENTS {
        if fed < warm || start == Duration::ZERO {
            start = cpu_time()?;
        }
        parsed.clear();
        for template in &mut templates {
            let client = random.below(load.clients);
            let own = usize::from(random.below(2) == 0);
            let sent = &mut sent[client as usize];
            let odd = random.below(1000);
            if odd < load.lost {
                sent[own] = sent[own].wrapping_add(LEN);
            }
            let swaps = odd >= 1000 - load.swapped;
            let (first, second) = (sent[own], sent[own].wrapping_add(LEN));
            if swaps {
                template.set(client, own == 0, [second, sent[1 - own]], TcpFlags::ACK, true);
                bed.feed(template);
                fed += 1;
                sent[own] = second;
            }
            template.set(client, own == 0, [first, sent[1 - own]], TcpFlags::ACK, true);
            sent[own] = sent[own].wrapping_add(LEN);
            fed += 1;
            if load.batched {
                bed.now.0 += 200;
                parsed.extend(template.parse(&bed.hasher, bed.now));
            } else {
                bed.feed(template);
            }
        }
        if load.batched && assembled {
            bed.assembler.foresee(parsed.iter().map(|segment| &segment.packet));
            for (segment, template) in parsed.iter().zip(&templates) {
                bed.assembler.assemble(&mut Nothing, segment, template.payload(segment));
            }
        }
        bed.assembler.advance(&mut Nothing, bed.now);
    }
    Ok((cpu_time()? - start).as_nanos() as f64 / f64::from(fed - warm))
}

/// A connection's whole life, with the parsing of its six segments, in nanoseconds.
fn lives() -> Result<f64> {
    let (mut bed, mut template) = (Bed::new(), Template::new());
    let count = 500_000;
    let start = cpu_time()?;
    for client in 0..count {
        bed.shake(client, &mut template);
        template.set(client, true, [1000, 5000], TcpFlags::ACK, true);
        bed.feed(&template);
        template.set(client, true, [1000 + LEN, 5000], TcpFlags::ACK | TcpFlags::FIN, false);
        bed.feed(&template);
        template.set(client, false, [5000, 1001 + LEN], TcpFlags::ACK | TcpFlags::FIN, false);
        bed.feed(&template);
        if client % 1000 == 0 {
            bed.assembler.advance(&mut Nothing, bed.now);
        }
    }
    Ok((cpu_time()? - start).as_nanos() as f64 / f64::from(count))
}

/// Bytes of an embryonic connection and of one that carried payload, without what a host has of it.
fn memory() -> [usize; 2] {
    let (mut bed, mut template) = (Bed::new(), Template::new());
    let count = 100_000;
    for client in 0..count {
        template.set(client, true, [999, 0], TcpFlags::SYN, false);
        bed.feed(&template);
    }
    let embryonic = bed.assembler.memory() / count as usize;
    for client in 0..count {
        bed.shake(client, &mut template);
        template.set(client, true, [1000, 5000], TcpFlags::ACK, true);
        bed.feed(&template);
    }
    [embryonic, bed.assembler.memory() / count as usize]
}

/// Median of `rounds` measurements.
fn median(rounds: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    Ok(median_of((0..rounds).map(|_| measure()).collect::<Result<Vec<_>>>()?))
}

fn median_of(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// Measures and reports.
pub(crate) fn run(rounds: usize) -> Result<()> {
    say(format_args!("{:<44} {:>10} {:>14} {:>14}", "", "ns/segment", "beyond parsing", "segments/s"))?;
    for load in LOADS {
        // In turn, so that a machine that is busy for a while slows both.
        let mut alone = Vec::new();
        let each = median(rounds, || {
            alone.push(cost(load, false)?);
            cost(load, true)
        })?;
        let beyond = each - median_of(alone);
        say(format_args!("{:<44} {each:>10.1} {beyond:>14.1} {:>14.0}", load.name, 1e9 / each))?;
    }
    let life = median(rounds, lives)?;
    let each_second = 1e9 / life;
    say(format_args!(
        "a connection of six segments, set up and torn down: {life:.0} ns, {each_second:.0} a second"
    ))?;
    let [embryonic, idle] = memory();
    say(format_args!(
        "memory of a connection: {embryonic} bytes embryonic, {idle} with payload, without the host's part"
    ))
}

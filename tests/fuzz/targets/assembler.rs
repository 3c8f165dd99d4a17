//! Operations on an assembler with tight limits: segments anywhere, flushes, time. Each payload byte follows from its sequence number, so
//! whatever a stream is told can be held against where it must stand; sums, limits and memory are held against what was told.
//!
//! Input: eight bytes of options, then operations of eight bytes each.

use std::collections::BTreeMap;
use std::time::Duration;

use sniff_x_flow::assembler::{
    Assembler, AssemblerOptions, Chunks, Overlap, PAGE_BYTES, Sequence, Stream, StreamFactory, Totals,
};
use sniff_x_flow::packet::{FlowHasher, Packet, Segment, Span, TcpFlags};
use sniff_x_flow::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, Place, Transport};

use crate::harness::input::Input;
use crate::harness::memory;
use crate::harness::random::Random;
use crate::harness::signal::Signal;
use crate::seeds::Seeds;

const MS: u64 = 1_000_000;
/// The longest payload.
const LONGEST: usize = 20_000;
/// Operations of an input; what is behind them is not read.
const MOST: usize = 300;
/// The clients' ports begin here; the servers' is below.
const PORTS: u16 = 40_000;
const SERVER: u16 = 3306;

/// What an end of the connection with a client's port sends from a sequence number on.
fn fill(out: &mut Vec<u8>, port: u16, client: bool, from: u32, len: usize) -> &[u8] {
    // Eight at a time from a number that mixes well: runs of bytes must not look like others.
    let place = u64::from(port) << 32 | u64::from(client) << 48;
    let eight = |word: u32| Random(place | u64::from(word % (1 << 29))).next().to_le_bytes();
    let before = from as usize % 8;
    out.clear();
    for word in (from / 8..).take((before + len).div_ceil(8)) {
        out.extend_from_slice(&eight(word));
    }
    out.drain(..before);
    out.truncate(len);
    out
}

/// What a stream was told of one direction.
#[derive(Clone, Copy, Default)]
struct Told {
    bytes: u64,
    gap_bytes: u64,
    /// The sequence number of the next byte, once it is known.
    next: Option<u32>,
    ended: bool,
}

/// What all streams were told.
#[derive(Default)]
struct Log {
    /// The segments that came, by their times, which differ: where the first byte of each stands. So a chunk's time says what it is part of.
    segments: BTreeMap<Nanos, u32>,
    signals: Vec<(u8, i8)>,
    /// What is expected.
    text: Vec<u8>,
    opened: u64,
    completed: u64,
    sums: Totals,
    /// Idle connections are kept.
    pending: bool,
}

impl Log {
    /// Notes for the signal, without a new allocation: what the assembler allocates is counted.
    fn tell(&mut self, what: (u8, i8)) {
        if self.signals.len() < self.signals.capacity() {
            self.signals.push(what);
        }
    }
}

struct Stored {
    told: [Told; 2],
}

impl StreamFactory for Log {
    type Stream = Stored;

    fn new_stream(&mut self, _: &mut FlowInfo) -> Stored {
        self.opened += 1;
        Stored { told: Default::default() }
    }
}

impl Stored {
    fn check(&self, totals: &[Totals; 2]) {
        for (told, totals) in self.told.iter().zip(totals) {
            assert_eq!(
                (told.bytes, told.gap_bytes),
                (totals.bytes, totals.gap_bytes),
                "the totals are what was told"
            );
        }
    }
}

impl Stream<Log> for Stored {
    fn reassembled(&mut self, log: &mut Log, flow: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        for chunk in chunks {
            let told = &mut self.told[chunk.direction.index()];
            assert!(!told.ended, "nothing follows the end of a direction");
            assert!(chunk.skip >= -1);
            if chunk.skip < 0 {
                assert!(
                    told.next.is_none() && told.bytes == 0,
                    "an unknown number is missing only at the start"
                );
            }
            let gap = chunk.skip.max(0).cast_unsigned();
            told.gap_bytes += gap;
            told.next = told.next.map(|next| next.wrapping_add(gap as u32));
            // Who is taken for the client is a guess where no SYN tells.
            let ports = (flow.client().port(), flow.server().port());
            let sender = if chunk.direction == Direction::ToServer { ports.0 } else { ports.1 };
            let (port, client) = (ports.0.max(ports.1), sender >= PORTS);
            let len = chunk.bytes.len() as u32;
            // Fewer bytes may stand in several places.
            if told.next.is_none() && len >= 8 {
                let first = *log.segments.get(&chunk.seen).expect("a chunk has the time of a segment");
                let text = fill(&mut log.text, port, client, first, LONGEST + 8);
                let at = text.windows(8).position(|bytes| *bytes == chunk.bytes[..8]);
                told.next = Some(first.wrapping_add(at.expect("the bytes of the segment") as u32));
            }
            if let Some(next) = told.next {
                let text = fill(&mut log.text, port, client, next, chunk.bytes.len());
                assert!(
                    text == chunk.bytes,
                    "{ports:?} {:?}: other bytes than those at {next}: {len} behind {gap} missing, seen {}",
                    chunk.direction,
                    chunk.seen
                );
            }
            told.next = told.next.map(|next| next.wrapping_add(len));
            told.bytes += u64::from(len);
            told.ended |= chunk.end;
            log.tell((u8::from(chunk.end) | u8::from(chunk.start) << 1, chunk.skip.signum() as i8));
        }
        self.check(totals);
    }

    fn reassembly_complete(&mut self, log: &mut Log, _: &FlowInfo, totals: &[Totals; 2], end: End) {
        log.completed += 1;
        self.check(totals);
        log.tell((4, end as i8));
        for totals in totals {
            log.sums.bytes += totals.bytes;
            log.sums.gap_bytes += totals.gap_bytes;
            log.sums.retransmitted_bytes += totals.retransmitted_bytes;
            log.sums.out_of_order_packets += totals.out_of_order_packets;
            log.sums.overlap_conflicts += totals.overlap_conflicts;
        }
    }

    fn idle(&mut self, log: &mut Log, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        log.pending
    }
}

/// The assembler with what surrounds it.
struct Bed {
    assembler: Assembler<Log>,
    log: Log,
    now: Nanos,
    hasher: FlowHasher,
    /// Bytes that the assembler allocated, counted by the allocator.
    held: isize,
    payload: Vec<u8>,
    /// Where each connection's ends roughly are, so that most segments make sense: client, server.
    at: [[u32; 2]; 4],
}

impl Bed {
    fn new(options: AssemblerOptions, isn: u32) -> Self {
        let before = memory::now();
        let assembler = Assembler::new(options);
        let held = memory::now() - before;
        let (signals, text) = (Vec::with_capacity(4096), Vec::with_capacity(LONGEST + 32));
        let log = Log { signals, text, ..Log::default() };
        let hasher = FlowHasher::with_seed(1);
        let at = [[isn, isn ^ 0x5555]; 4];
        Self { assembler, log, now: Nanos::new(1000, 0), hasher, held, payload: Vec::new(), at }
    }

    /// Does something with the assembler and counts what it allocates.
    fn doing(&mut self, act: impl FnOnce(&mut Assembler<Log>, &mut Log, &[u8])) {
        let before = memory::now();
        act(&mut self.assembler, &mut self.log, &self.payload);
        self.held += memory::now() - before;
    }

    /// A segment, mostly near where its end is.
    fn segment(&mut self, kind: u8, mut op: Input<'_>) {
        let (flags, offset, len) = (op.u8(), op.u8(), op.u8());
        let [a, b, c, d] = op.array();
        let (slot, client) = (usize::from(kind & 3), kind & 4 != 0);
        let own = usize::from(!client);
        let len = match len {
            0..100 => 0,
            100..104 => 1,
            104..230 => usize::from(len),
            230..=254 => 1400 + usize::from(c) * 14,
            255 => LONGEST,
        };
        // One in sixteen stands anywhere; the others near the end, behind it or before it.
        let wild = if d & 15 == 0 { u32::from_le_bytes([a, b, c, d]) } else { 0 };
        let start = self.at[slot][own];
        let seq = match offset {
            0..128 => start,
            _ => start.wrapping_add(u32::from(offset) * 20).wrapping_sub(3600),
        };
        let seq = seq.wrapping_add(wild);
        let unusual = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let flags = TcpFlags(if c & 7 == 0 { flags } else { flags & !unusual | TcpFlags::ACK });
        let port = PORTS + slot as u16 + u16::from(d >> 6);
        let (client_end, server_end) =
            (Endpoint::v4([10, 0, 0, 1], port), Endpoint::v4([10, 0, 0, 2], SERVER));
        let (from, to) = if client { (client_end, server_end) } else { (server_end, client_end) };
        let (key, sender) = FlowKey::new(from, to, Transport::Tcp, Place::default());
        // The SYN has a number of its own.
        let first = seq.wrapping_add(u32::from(flags.syn()));
        fill(&mut self.payload, port, client, first, len);
        // Time stands still or runs backward now and then; two segments never have the same.
        let mut timestamp = Nanos(self.now.0.saturating_sub(u64::from(a & 15 == 1) * u64::from(b) * MS));
        while self.log.segments.contains_key(&timestamp) {
            timestamp.0 += 1;
        }
        self.now = self.now.max(timestamp);
        self.log.segments.insert(timestamp, first);
        let segment = Segment {
            packet: Packet {
                key,
                hash: self.hasher.hash(&key),
                sender,
                timestamp,
                interface: u32::from(a & 1),
                payload: Span { start: 0, len: len as u32 },
                missing: if b & 31 == 0 { u32::from(c) << (d & 31) } else { 0 },
                vlan_tags: 0,
            },
            seq: Sequence(seq),
            ack: Sequence(self.at[slot][1 - own].wrapping_add(u32::from(b & 7) * 300)),
            flags,
            window: u16::from_le_bytes([c, d]),
            window_scale: (a & 3 == 0).then_some(b & 15).map(|scale| scale.min(14)),
        };
        self.doing(|assembler, log, payload| assembler.assemble(log, &segment, payload));
        if wild == 0 {
            let end = first.wrapping_add(len as u32).wrapping_add(u32::from(flags.fin()));
            if (end.wrapping_sub(start) as i32) > 0 {
                self.at[slot][own] = end;
            }
        }
    }

    fn operation(&mut self, mut op: Input<'_>) {
        let kind = op.u8();
        let by = Input(op.0).array::<7>();
        self.now.0 += 1 + u64::from(by[3]) * u64::from(by[4]) * MS / 64;
        let now = self.now;
        match kind {
            0 => {
                let time = Nanos(now.0.saturating_sub(u64::from(by[5]) * 100 * MS));
                self.doing(|assembler, log, _| {
                    assembler.flush_older_than(log, time);
                });
            }
            1 => self.doing(|assembler, log, _| {
                assembler.flush_all(log);
            }),
            2 => self.log.pending = by[0] & 1 != 0,
            3..30 => self.doing(|assembler, log, _| assembler.advance(log, now)),
            _ => self.segment(kind, op),
        }
    }

    fn check(&self, options: &AssemblerOptions) {
        let counters = self.assembler.counters();
        let most = |limit: Option<usize>| limit.map_or(u64::MAX, |n| n as u64);
        let pages = most(options.max_buffered_pages_total);
        assert!(counters.pages <= pages, "{} pages", counters.pages);
        // A segment is taken in before what it makes too much is given up: its own pages, and one for each place between others of its connection.
        let own = most(options.max_buffered_pages_per_connection).min(pages);
        let segment = LONGEST.div_ceil(PAGE_BYTES) as u64;
        assert!(counters.pages_peak <= pages + own + segment, "{} pages at once", counters.pages_peak);
        assert!(counters.open + counters.closed <= most(options.max_connections), "too many connections");
        assert!(counters.closed <= most(options.max_closed), "too many closed ones are remembered");
        assert_eq!((counters.opened, counters.closed_all()), (self.log.opened, self.log.completed));
        assert_eq!(counters.open, self.log.opened - self.log.completed);
        assert_eq!(counters.overlap_conflicts, 0, "the bytes of a place never differ");
        // All but the lists of the pools' chunks.
        let lists = self.held - self.assembler.memory().cast_signed();
        assert!((0..4096).contains(&lists), "memory() is {lists} bytes less than what the allocator gave");
        assert!(self.assembler.memory() >= counters.pages as usize * PAGE_BYTES);
    }
}

fn options(input: &mut Input<'_>) -> AssemblerOptions {
    let [pages, total, connections, closed, idle, flags, ..] = input.array::<8>();
    AssemblerOptions {
        max_buffered_pages_per_connection: Some(40 + usize::from(pages)),
        max_buffered_pages_total: Some(60 + usize::from(total)),
        max_connections: Some(2 + usize::from(connections % 8)),
        max_closed: Some(usize::from(closed % 4)),
        idle_timeout: Some(Duration::from_secs(1 + u64::from(idle))),
        embryonic_timeout: Some(Duration::from_secs(3)),
        hole_segments: 4 + u32::from(flags >> 2),
        overlap: if flags & 1 == 0 { Overlap::First } else { Overlap::Last },
        ..AssemblerOptions::default()
    }
}

pub(crate) fn seeds(_: &Seeds) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    (0..60).map(|length| (0..8 * (2 + length * 3)).map(|_| random.byte()).collect()).collect()
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut input = Input(data);
    let limits = options(&mut input);
    let isn = input.u32();
    let mut bed = Bed::new(limits.clone(), isn);
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        bed.operation(Input(input.bytes(8)));
        bed.check(&limits);
    }
    bed.doing(|assembler, log, _| {
        assembler.flush_all(log);
    });
    bed.check(&limits);
    let (counters, sums) = (bed.assembler.counters(), bed.log.sums);
    assert_eq!((counters.open, counters.closed, counters.pages), (0, 0, 0), "nothing is left behind");
    assert_eq!(counters.bytes, sums.bytes);
    assert_eq!(counters.gap_bytes, sums.gap_bytes);
    assert_eq!(counters.retransmitted_bytes, sums.retransmitted_bytes);
    assert_eq!(counters.out_of_order, sums.out_of_order_packets);
    for told in &bed.log.signals {
        signal.note(told);
    }
    for (name, value) in [
        ("unowned", counters.unowned),
        ("stragglers", counters.stragglers),
        ("refused", counters.refused),
        ("copies", counters.copies),
        ("midstream", counters.midstream),
        ("gaps", counters.gaps),
        ("retransmitted", counters.retransmitted_bytes),
        ("out of order", counters.out_of_order),
        ("pages per connection", counters.limit_pages_per_connection),
        ("pages total", counters.limit_pages_total),
        ("connections", counters.limit_connections),
        ("closed", counters.limit_closed),
        ("pages", counters.pages_peak),
    ] {
        signal.count(name, value);
    }
}

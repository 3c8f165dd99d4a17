//! No heap allocation per in-order segment, through the real engine: file source, parser, assembler, host, mysql decoder, every sink, writer.
//!
//! The same 1,000 connections with 50 and with 150 exchanges each: 200,000 segments and 100,000 events more must cost no more allocations
//! than buffers that are made once. How many of those on the way to the output are in use (256 at the most, two allocations each) depends on how the writer's
//! thread is scheduled.
#![expect(unsafe_code, clippy::unwrap_used, reason = "a counting allocator has to be an allocator; a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sniff_x_engine::sink::groups::{GroupBy, GroupOptions};
use sniff_x_engine::sink::terminal::{Size, Terminal};
use sniff_x_engine::sink::text::{TextOptions, TimeStyle};
use sniff_x_engine::{Chosen, Config, Control, Format, Input, Limits, Output, Summary, run};
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{Options, builtin};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: u16 = 1_000;
const QUERY: &[u8] = b"\x19\0\0\0\x03UPDATE t SET a=1 WHERE b";
const OKAY: &[u8] = b"\x07\0\0\x01\0\x01\0\x02\0\0\0";

/// A pcap file in the making.
struct Capture {
    out: std::io::BufWriter<std::fs::File>,
    micros: u32,
}

impl Capture {
    fn new(path: &Path) -> Self {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes()).unwrap();
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]).unwrap();
        Self { out, micros: 0 }
    }

    /// A segment from the client's port to the server's or back.
    fn segment(&mut self, client: bool, ports: [u16; 2], flags: u8, [seq, ack]: [u32; 2], payload: &[u8]) {
        let (from, to, [source, target]) = if client { (1, 2, ports) } else { (2, 1, [ports[1], ports[0]]) };
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        frame.extend(source.to_be_bytes());
        frame.extend(target.to_be_bytes());
        frame.extend(seq.to_be_bytes());
        frame.extend(ack.to_be_bytes());
        frame.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
        frame.extend(payload);
        self.micros += 2;
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        self.out.write_all(&(self.micros / 1_000_000).to_le_bytes()).unwrap();
        self.out.write_all(&(self.micros % 1_000_000).to_le_bytes()).unwrap();
        self.out.write_all(&length).unwrap();
        self.out.write_all(&length).unwrap();
        self.out.write_all(&frame).unwrap();
    }
}

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const FIN: u8 = 0x11;
const ACK: u8 = 0x18;

/// A pcap file in which each of so many connections, joined in the middle, asks and is answered `rounds` times.
fn capture(path: &Path, connections: u16, rounds: u32) {
    let mut capture = Capture::new(path);
    let (query, okay) = (u32::try_from(QUERY.len()).unwrap(), u32::try_from(OKAY.len()).unwrap());
    for round in 0..rounds {
        for connection in 0..connections {
            let (asked, answered) = (round * query, round * okay);
            let ports = [10_000 + connection, 3306];
            capture.segment(true, ports, ACK, [asked, answered], QUERY);
            capture.segment(false, ports, ACK, [answered, asked + query], OKAY);
        }
    }
}

/// A pcap file of connections on ports that say nothing, 100 at once: what each says begins like a request and goes on for so many segments without an end.
fn undecided(path: &Path, connections: u16, segments: u32) {
    const AT_ONCE: u16 = 100;
    let mut capture = Capture::new(path);
    for batch in 0..connections / AT_ONCE {
        let ports = |n: u16| [10_000 + batch * AT_ONCE + n, 9_999];
        for n in 0..AT_ONCE {
            capture.segment(true, ports(n), SYN, [0, 0], b"");
            capture.segment(false, ports(n), SYN_ACK, [0, 1], b"");
        }
        for segment in 0..segments {
            let bytes = if segment == 0 { b"GET /aaa" } else { b"aaaaaaaa" };
            (0..AT_ONCE).for_each(|n| capture.segment(true, ports(n), ACK, [1 + segment * 8, 1], bytes));
        }
        for n in 0..AT_ONCE {
            capture.segment(true, ports(n), FIN, [1 + segments * 8, 1], b"");
            capture.segment(false, ports(n), FIN, [1, 2 + segments * 8], b"");
            capture.segment(true, ports(n), ACK, [2 + segments * 8, 2], b"");
        }
    }
}

/// Runs the engine over the file: how many events it wrote, and with how many allocations.
fn decode(path: &Path, format: Format) -> (u64, u64) {
    let mut events = 0;
    let allocations = count(path, format, &["mysql"], |summary| events = summary.events_written);
    (events, allocations)
}

/// Runs the engine over the file; how many allocations that took. Several plugins are chosen by their probes.
fn count(path: &Path, format: Format, names: &[&str], end: impl FnOnce(&Summary)) -> u64 {
    let by_probe = names.len() > 1;
    let choose = |name: &&str| {
        let mut plugin = builtin(name).unwrap();
        plugin.configure(&Options::default()).unwrap();
        Chosen { plugin, by_rule: !by_probe, by_probe }
    };
    let config = Config {
        input: Input::File(path.to_owned()),
        plugins: names.iter().map(choose).collect(),
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: sniff_x_flow::packet::ParseOptions::default(),
        threads: 1,
        output: Output {
            format,
            to: Box::new(std::io::sink()),
            is_abandoned: Box::new(|| false),
            count: None,
        },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    };
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run(config, &Control::default(), end).unwrap();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The allocator counts for all: one test after the other.
#[test]
fn segments_cost_no_allocation() {
    segments_in_order_cost_no_allocation();
    waiting_segments_cost_no_allocation();
    probing_costs_no_allocation();
}

/// While nobody knows whose a connection is: what is kept of it lies in memory that is used again.
fn probing_costs_no_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("undecided.pcap");
    let run = |connections: u16, segments: u32| {
        undecided(&path, connections, segments);
        let mut left_alone = 0;
        let allocations = count(&path, Format::Json, &["mysql", "redis", "http"], |summary| {
            let counters = summary.counters();
            left_alone = counters.iter().find(|(name, _)| *name == "decoder.unrecognised").map_or(0, |c| c.1);
        });
        assert_eq!(left_alone, u64::from(connections), "nobody's in the end");
        allocations
    };
    // A connection is one allocation; the buffers of the first 100 grow, further ones use them.
    let connections = [run(1_000, 20), run(11_000, 20)];
    let more = connections[1].saturating_sub(connections[0]);
    assert!(more < 10_100, "{more} more for 10,000 connections with 200,000 segments");
    let longer = run(11_000, 60);
    let more = longer.saturating_sub(connections[1]);
    assert!(more < 700, "{more} more for 440,000 more segments of the same connections");
}

fn segments_in_order_cost_no_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let [short, long] = ["short.pcap", "long.pcap"].map(|name| folder.path().join(name));
    capture(&short, CONNECTIONS, 50);
    capture(&long, CONNECTIONS, 150);
    for format in formats() {
        let (few_events, few) = decode(&short, format.clone());
        let (many_events, many) = decode(&long, format.clone());
        assert_eq!((few_events, many_events), (50 * u64::from(CONNECTIONS), 150 * u64::from(CONNECTIONS)));
        let more = many.saturating_sub(few);
        assert!(
            more < 700,
            "{few} allocations for 100,000 segments, {more} more for 200,000 more: {format:?}"
        );
    }
}

/// With so many connections that segments wait for each other: none is lost, and what they wait in is used again.
fn waiting_segments_cost_no_allocation() {
    const MANY: u16 = 4_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.pcap");
    let [few, many] = [10, 40].map(|rounds| {
        capture(&path, MANY, rounds);
        let (events, allocations) = decode(&path, Format::Json);
        assert_eq!(events, u64::from(rounds) * u64::from(MANY));
        allocations
    });
    let more = many.saturating_sub(few);
    assert!(more < 700, "{few} allocations for 80,000 segments, {more} more for 240,000 more");
}

/// Every way to write events: JSON, lines as they are, cut and wrapped, and none but sums.
fn formats() -> [Format; 5] {
    let terminal = || Some(Terminal::new(|| Some(Size { columns: 70, rows: 24 })));
    let text = |terminal, wide| {
        Format::Text(TextOptions {
            color: true,
            time: TimeStyle::Relative,
            terminal,
            wide,
            ..TextOptions::default()
        })
    };
    [
        Format::Json,
        text(None, false),
        text(terminal(), false),
        text(terminal(), true),
        Format::Groups(GroupOptions { by: GroupBy::Client, color: false, terminal: None }),
    ]
}

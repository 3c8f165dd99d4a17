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
use sniff_x_engine::{Config, Control, Format, Input, Limits, Output, run};
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

/// A pcap file in which every connection, joined in the middle, asks and is answered `rounds` times.
fn capture(path: &Path, rounds: u32) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes()).unwrap();
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]).unwrap();
    let mut micros = 0_u32;
    let (query, okay) = (u32::try_from(QUERY.len()).unwrap(), u32::try_from(OKAY.len()).unwrap());
    for round in 0..rounds {
        for connection in 0..CONNECTIONS {
            let (asked, answered) = (round * query, round * okay);
            let port = 10_000 + connection;
            for (ports, seq, ack, payload) in
                [((port, 3306), asked, answered, QUERY), ((3306, port), answered, asked + query, OKAY)]
            {
                let (from, to) = if ports.1 == 3306 { (1, 2) } else { (2, 1) };
                let mut frame = vec![0; 12];
                frame.extend([8, 0, 0x45, 0]);
                frame.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
                frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
                frame.extend(ports.0.to_be_bytes());
                frame.extend(ports.1.to_be_bytes());
                frame.extend(seq.to_be_bytes());
                frame.extend(ack.to_be_bytes());
                frame.extend([0x50, 0x18, 1, 0, 0, 0, 0, 0]);
                frame.extend(payload);
                micros += 2;
                let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
                out.write_all(&(micros / 1_000_000).to_le_bytes()).unwrap();
                out.write_all(&(micros % 1_000_000).to_le_bytes()).unwrap();
                out.write_all(&length).unwrap();
                out.write_all(&length).unwrap();
                out.write_all(&frame).unwrap();
            }
        }
    }
    out.flush().unwrap();
}

/// Runs the engine over the file: how many events it wrote, and with how many allocations.
fn decode(path: &Path, format: Format) -> (u64, u64) {
    let mut plugin = builtin("mysql").unwrap();
    plugin.configure(&Options::default()).unwrap();
    let config = Config {
        input: Input::File(path.to_owned()),
        plugins: vec![plugin.into()],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: sniff_x_flow::packet::ParseOptions::default(),
        threads: 1,
        output: Output { format, to: Box::new(std::io::sink()), count: None },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    };
    let mut events = 0;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run(config, &Control::default(), |summary| events = summary.events_written).unwrap();
    (events, ALLOCATIONS.load(Ordering::Relaxed) - before)
}

#[test]
fn segments_in_order_cost_no_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let [short, long] = ["short.pcap", "long.pcap"].map(|name| folder.path().join(name));
    capture(&short, 50);
    capture(&long, 150);
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

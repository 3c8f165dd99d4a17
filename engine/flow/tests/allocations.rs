//! No allocation for a segment in order, none for a reordered one once warm: counted by the allocator.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test over frames of its own making"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use sniff_x_flow::packet::{FlowHasher, Parsed, TcpFlags, parse};
use sniff_x_flow::{End, FlowInfo, Frame, FrameFlags, LinkType, Nanos};

thread_local! {
    /// Allocations of this thread: the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator can't be written without it")]
// SAFETY: every call goes on to the system's allocator as it came; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts bytes, and checks that bytes in order are those of the frame and no copy.
#[derive(Default)]
struct Counter {
    bytes: u64,
    gaps: u64,
    streams: u64,
    ended: u64,
    outside: u64,
    frame: (usize, usize),
}

struct Nothing;

impl StreamFactory for Counter {
    type Stream = Nothing;
    fn new_stream(&mut self, _: &mut FlowInfo) -> Nothing {
        self.streams += 1;
        Nothing
    }
}

impl Stream<Counter> for Nothing {
    fn reassembled(&mut self, counter: &mut Counter, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
        for chunk in chunks {
            counter.bytes += chunk.bytes.len() as u64;
            counter.gaps += u64::from(chunk.skip != 0);
            let (first, last) = counter.frame;
            let at = chunk.bytes.as_ptr() as usize;
            counter.outside += u64::from(!chunk.bytes.is_empty() && !(first..last).contains(&at));
        }
    }
    fn reassembly_complete(&mut self, counter: &mut Counter, _: &FlowInfo, _: &[Totals; 2], _: End) {
        counter.ended += 1;
    }
    fn idle(&mut self, _: &mut Counter, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        true
    }
}

/// An Ethernet frame with a TCP segment, whose numbers can be changed in place.
struct Template {
    bytes: Vec<u8>,
}

impl Template {
    fn new(payload: usize) -> Self {
        let mut bytes = vec![0; 54 + payload];
        bytes[12] = 0x08;
        bytes[14] = 0x45;
        bytes[16..18].copy_from_slice(&u16::try_from(40 + payload).unwrap().to_be_bytes());
        bytes[23] = 6;
        bytes[46] = 0x50;
        bytes[48..50].copy_from_slice(&1000u16.to_be_bytes());
        Self { bytes }
    }

    fn frame(&self, timestamp: Nanos) -> Frame<'_> {
        Frame {
            bytes: &self.bytes,
            offset: 0,
            timestamp,
            original_len: u32::try_from(self.bytes.len()).unwrap(),
            interface: 0,
            link_type: LinkType::ETHERNET,
            vlan: None,
            flags: FrameFlags::default(),
        }
    }

    fn set(&mut self, client: u32, to_server: bool, seq: u32, ack: u32, flags: u8) {
        let ends = [[10, (client >> 16) as u8, (client >> 8) as u8, client as u8], [11, 2, 0, 1]];
        let ports = [40_000u16, 3306];
        let (from, to) = if to_server { (0, 1) } else { (1, 0) };
        self.bytes[26..30].copy_from_slice(&ends[from]);
        self.bytes[30..34].copy_from_slice(&ends[to]);
        self.bytes[34..36].copy_from_slice(&ports[from].to_be_bytes());
        self.bytes[36..38].copy_from_slice(&ports[to].to_be_bytes());
        self.bytes[38..42].copy_from_slice(&seq.to_be_bytes());
        self.bytes[42..46].copy_from_slice(&ack.to_be_bytes());
        self.bytes[47] = flags;
    }
}

struct Bench {
    hasher: FlowHasher,
    assembler: Assembler<Counter>,
    counter: Counter,
    now: Nanos,
}

impl Bench {
    fn new() -> Self {
        Self {
            hasher: FlowHasher::with_seed(3),
            assembler: Assembler::new(AssemblerOptions::default()),
            counter: Counter::default(),
            now: Nanos::new(1000, 0),
        }
    }

    fn feed(&mut self, template: &Template) {
        self.now.0 += 1000;
        let Parsed::Tcp(segment) = parse(&template.frame(self.now), &self.hasher) else { return };
        let span = segment.packet.payload;
        let payload = &template.bytes[span.start as usize..][..span.len as usize];
        let first = template.bytes.as_ptr() as usize;
        self.counter.frame = (first, first + template.bytes.len());
        self.assembler.assemble(&mut self.counter, &segment, payload);
    }

    /// Handshakes of the clients in a range.
    fn open(&mut self, clients: std::ops::Range<u32>) {
        let mut empty = Template::new(0);
        for client in clients {
            self.shake(client, &mut empty);
        }
    }

    fn shake(&mut self, client: u32, empty: &mut Template) {
        empty.set(client, true, 999, 0, TcpFlags::SYN);
        self.feed(empty);
        empty.set(client, false, 4999, 1000, TcpFlags::SYN | TcpFlags::ACK);
        self.feed(empty);
    }
}

/// Both directions of all connections in turn; `reorder`: each pair of segments of a direction comes the wrong way round.
fn rounds(
    bench: &mut Bench,
    sent: &mut [[u32; 2]],
    template: &mut Template,
    rounds: u32,
    reorder: bool,
) -> u64 {
    let len = u32::try_from(template.bytes.len() - 54).unwrap();
    let mut segments = 0;
    for _ in 0..rounds {
        for at in 0..sent.len() {
            // A stride that shares no factor with the number visits all of them, far from each other.
            let at = at * STRIDE % sent.len();
            let (client, sent) = (at as u32, &mut sent[at]);
            for (way, to_server) in [(0, true), (1, false)] {
                let seq = sent[way];
                for part in if reorder { [len, 0] } else { [0, len] } {
                    template.set(client, to_server, seq.wrapping_add(part), sent[1 - way], TcpFlags::ACK);
                    bench.feed(template);
                    segments += 1;
                }
                sent[way] = seq.wrapping_add(2 * len);
            }
        }
        bench.assembler.advance(&mut bench.counter, bench.now);
    }
    segments
}

const CLIENTS: u32 = 1000;
const STRIDE: usize = 7919;

#[test]
fn a_segment_in_order_costs_no_allocation_and_no_copy() {
    let mut bench = Bench::new();
    bench.open(0..CLIENTS);
    let mut sent = vec![[1000, 5000]; CLIENTS as usize];
    let mut template = Template::new(100);
    rounds(&mut bench, &mut sent, &mut template, 1, false);
    let before = ALLOCATIONS.get();
    let segments = rounds(&mut bench, &mut sent, &mut template, 50, false);
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in {segments} segments");
    assert!(segments >= 100_000);
    assert_eq!(bench.counter.bytes, 51 * 4 * u64::from(CLIENTS) * 100);
    assert_eq!((bench.counter.outside, bench.counter.gaps), (0, 0), "bytes lie in the frame");
}

#[test]
fn a_reordered_segment_costs_no_allocation_once_warm() {
    let mut bench = Bench::new();
    bench.open(0..CLIENTS);
    let mut sent = vec![[1000, 5000]; CLIENTS as usize];
    let mut template = Template::new(3000);
    rounds(&mut bench, &mut sent, &mut template, 1, true);
    let before = ALLOCATIONS.get();
    let segments = rounds(&mut bench, &mut sent, &mut template, 30, true);
    assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in {segments} segments");
    assert_eq!(bench.counter.bytes, 31 * 4 * u64::from(CLIENTS) * 3000);
    assert_eq!(bench.counter.gaps, 0);
    assert!(bench.counter.outside > 0, "what waited was copied");
}

#[test]
fn connections_come_and_go_without_allocation_once_warm() {
    let mut bench = Bench::new();
    let (mut template, mut empty) = (Template::new(10), Template::new(0));
    let mut churn = |bench: &mut Bench| {
        for client in 0..CLIENTS {
            bench.shake(client, &mut empty);
            template.set(client, true, 1000, 5000, TcpFlags::ACK | TcpFlags::FIN);
            bench.feed(&template);
            template.set(client, false, 5000, 1011, TcpFlags::ACK | TcpFlags::FIN);
            bench.feed(&template);
        }
        // What ended is remembered for a minute.
        bench.now.0 += 61 * Nanos::SECOND;
        bench.assembler.advance(&mut bench.counter, bench.now);
    };
    churn(&mut bench);
    churn(&mut bench);
    let before = ALLOCATIONS.get();
    churn(&mut bench);
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(
        (bench.counter.streams, bench.counter.ended),
        (3 * u64::from(CLIENTS), 3 * u64::from(CLIENTS))
    );
}

/// Datagrams in fragments, some of them mixed: once warm nothing is allocated.
#[test]
fn fragments_allocate_nothing_once_warm() {
    use sniff_x_flow::packet::defragment::{DefragmentOptions, Defragmenter};
    let hasher = FlowHasher::with_seed(1);
    let mut defragmenter = Defragmenter::new(DefragmentOptions::default());
    let mut whole = Vec::new();
    let mut bytes = vec![0; 14 + 20 + 1480];
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    bytes[16..18].copy_from_slice(&1500_u16.to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, 17]);
    let mut round = |number: u16| {
        let mut reassembled = 0;
        for part in [2_u16, 0, 1] {
            for mixed in 0..10 {
                bytes[18..20].copy_from_slice(&(number.wrapping_mul(10) + mixed).to_be_bytes());
                let more = u16::from(part < 2) << 13;
                bytes[20..22].copy_from_slice(&((part * 185) | more).to_be_bytes());
                let frame = Frame {
                    bytes: &bytes,
                    offset: 0,
                    timestamp: Nanos(u64::from(number) * 1_000_000),
                    original_len: bytes.len() as u32,
                    interface: 0,
                    link_type: LinkType::ETHERNET,
                    vlan: None,
                    flags: FrameFlags::default(),
                };
                let Parsed::Fragment(fragment) = parse(&frame, &hasher) else { unreachable!("a fragment") };
                reassembled += u64::from(defragmenter.add(&fragment, &bytes[34..], &mut whole).is_some());
            }
        }
        reassembled
    };
    // The table of those that wait and are remembered grows until it is twice as large as needed.
    (0..3000).for_each(|number| assert_eq!(round(number), 10));
    let before = ALLOCATIONS.get();
    // Up to where memory that was not needed for five seconds would be given back.
    let reassembled: u64 = (3000..4900).map(&mut round).sum();
    assert_eq!((reassembled, ALLOCATIONS.get() - before), (19_000, 0));
}

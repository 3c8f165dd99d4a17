//! What a connection costs, counted by the allocator: embryonic, idle with a decoder, and what is left after a spike.
#![expect(unsafe_code, clippy::unwrap_used, reason = "a counting allocator has to be an allocator; a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Sequence};
use sniff_x_flow::packet::{FlowHasher, Packet, Segment, Span, TcpFlags};
use sniff_x_flow::{Direction, Endpoint, FlowKey, Nanos, Place, Transport};
use sniff_x_proto::event::Arena;
use sniff_x_proto::host::{ActivePlugin, Host};
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Decoder, Options, builtin};

struct Counting;

/// Bytes in use. The tests of this file run one after the other: they are one.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        IN_USE.fetch_add(size, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

const CONNECTIONS: u32 = 100_000;
/// A MySQL server's first packet.
const GREETING: &[u8] = b"M\0\0\0\x0a5.7.0-log\0\x07\0\0\0abcdefgh\0\xff\xf7!\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0";

macro_rules! states {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        /// The name of each plugin, and the size of its decoder's state.
        const STATES: &[(&str, usize)] = &[$((stringify!($module), size_of::<sniff_x_proto::$module::$decoder>())),+];
    };
}
sniff_x_proto::protocols!(states);

/// What the two ends of a connection said before it became idle; true: the client.
#[expect(clippy::panic, reason = "a test: a new plugin needs its bytes here")]
fn said(plugin: &str) -> &[(bool, &[u8])] {
    match plugin {
        "mysql" | "tcp" => &[(false, GREETING)],
        "redis" => &[(true, b"*1\r\n$4\r\nPING\r\n"), (false, b"+PONG\r\n")],
        "http" => &[
            (true, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (false, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ],
        other => panic!("what does '{other}' say first?"),
    }
}

/// What the plugin's decoder holds after that, by its own account: buffers that the next exchange uses again.
fn held(plugin: &str) -> usize {
    let mut configured = builtin(plugin).unwrap();
    configured.configure(&Options::default()).unwrap();
    let mut replay = Replay::new(configured, 3306, false);
    for &(to_server, bytes) in said(plugin) {
        let direction = if to_server { Direction::ToServer } else { Direction::ToClient };
        replay.step(&Step::Data(direction, bytes.to_vec()));
    }
    replay.kept()
}

/// Logins that were not answered keep their connections no longer than others.
fn arena() -> Arena {
    Arena::new(64 << 10).with_exchange_timeout(Duration::from_mins(1))
}

struct Bed {
    hasher: FlowHasher,
    assembler: Assembler<Host>,
    host: Host,
    now: Nanos,
}

impl Bed {
    fn new(plugin: &str) -> Self {
        let mut plugin = builtin(plugin).unwrap();
        plugin.configure(&Options::default()).unwrap();
        let plugins = Arc::new([ActivePlugin::by_rule(plugin, |_| true)]);
        Self {
            hasher: FlowHasher::with_seed(5),
            assembler: Assembler::new(AssemblerOptions {
                max_embryonic: None,
                ..AssemblerOptions::default()
            }),
            host: Host::new(plugins, arena(), 128 << 10),
            now: Nanos::new(1000, 0),
        }
    }

    fn feed(&mut self, client: u32, to_server: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let [_, a, b, c] = client.to_be_bytes();
        let ends = [Endpoint::v4([10, a, b, c], 40_000), Endpoint::v4([11, 0, 0, 1], 3306)];
        let [from, to] = if to_server { ends } else { [ends[1], ends[0]] };
        let (key, sender) = FlowKey::new(from, to, Transport::Tcp, Place::default());
        let segment = Segment {
            packet: Packet {
                key,
                hash: self.hasher.hash(&key),
                sender,
                timestamp: self.now,
                interface: 0,
                payload: Span { start: 0, len: u32::try_from(payload.len()).unwrap() },
                missing: 0,
                vlan_tags: 0,
            },
            seq: Sequence(seq),
            ack: Sequence(ack),
            flags: TcpFlags(flags),
            window: 1000,
            window_scale: None,
        };
        self.assembler.assemble(&mut self.host, &segment, payload);
        if self.host.arena.len_bytes() > 1 << 20 {
            self.host.arena.clear();
        }
    }

    /// SYNs of all clients.
    fn syns(&mut self) {
        (0..CONNECTIONS).for_each(|client| self.feed(client, true, 99, 0, TcpFlags::SYN, &[]));
    }

    /// The rest of the handshake and the first bytes.
    fn first_bytes(&mut self, said: &[(bool, &[u8])]) {
        for client in 0..CONNECTIONS {
            self.feed(client, false, 499, 100, TcpFlags::SYN | TcpFlags::ACK, &[]);
            self.feed(client, true, 100, 500, TcpFlags::ACK, &[]);
            let (mut asked, mut answered) = (100, 500);
            for &(to_server, bytes) in said {
                let length = u32::try_from(bytes.len()).unwrap();
                if to_server {
                    self.feed(client, true, asked, answered, TcpFlags::ACK, bytes);
                    asked += length;
                } else {
                    self.feed(client, false, answered, asked, TcpFlags::ACK, bytes);
                    answered += length;
                }
            }
        }
    }

    /// Lets time pass, second by second.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = Nanos(self.now.0 + Nanos::SECOND);
            self.assembler.advance(&mut self.host, self.now);
            self.host.arena.clear();
        }
    }

    fn each(&self, before: usize) -> usize {
        (in_use() - before) / CONNECTIONS as usize
    }
}

/// Some connections stay; a hundred thousand come and go.
#[expect(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn spike(plugin: &str) {
    let mut bed = Bed::new(plugin);
    let steady = |bed: &mut Bed, seq: u32| {
        (0..1000).for_each(|n| bed.feed(CONNECTIONS + n, true, seq, 500, TcpFlags::ACK, b"0123456789"));
    };
    // Records of events are kept for the next batch, up to a bound of their own: they are left out.
    let without_records = |bed: &mut Bed| {
        bed.host.arena = arena();
        in_use()
    };
    let start = in_use();
    steady(&mut bed, 1000);
    bed.wait(30);
    let before = without_records(&mut bed) - start;
    bed.syns();
    bed.first_bytes(said(plugin));
    let spike = in_use() - start;
    for seconds in 1..=40 {
        steady(&mut bed, 1000 + 10 * seconds);
        bed.wait(10);
    }
    assert_eq!(bed.assembler.counters().open, 1000);
    let after = without_records(&mut bed) - start;
    println!("{plugin}: {before} bytes before the spike, {spike} in it, {after} after");
    assert!(spike > before * 10, "a spike");
    assert!(after * 10 <= before * 13, "{plugin}: {before} bytes before, {after} after");
}

#[test]
fn connections_are_small_and_give_their_memory_back() {
    for &(plugin, state) in STATES {
        let decoder = size_of::<Decoder>() + state + held(plugin);
        let mut bed = Bed::new(plugin);
        // What a worker has anyway, and some connections that stay.
        bed.feed(CONNECTIONS + 1, true, 99, 0, TcpFlags::SYN, &[]);
        bed.wait(1);
        let before = in_use();
        bed.syns();
        assert_eq!(bed.assembler.counters().embryonic, u64::from(CONNECTIONS) + 1);
        let embryonic = bed.each(before);
        bed.first_bytes(said(plugin));
        // Records of events belong to no connection.
        bed.host.arena = arena();
        let idle = bed.each(before);
        println!(
            "{plugin}: {embryonic} bytes embryonic, {idle} idle, {decoder} of them the decoder's own state"
        );
        assert!(embryonic <= 192, "{plugin}: {embryonic} bytes");
        assert!(idle - decoder <= 512, "{plugin}: {idle} bytes idle, {decoder} of them the decoder");
        assert_eq!(bed.assembler.counters().embryonic, 1);
        assert_eq!((bed.host.counters.decoded, bed.host.counters.bypassed()), (u64::from(CONNECTIONS), 0));
        bed.wait(700);
        let counters = bed.assembler.counters();
        assert_eq!((counters.open, counters.closed), (0, 0), "all idled out");
        drop(bed);
        spike(plugin);
    }
}

//! What each situation of TCP comes to, told by hand-made segments.

mod causal;
mod fuzz;
mod handshake;
mod limits;
mod oracle;
mod order;
mod shared;
mod shuffle;
mod timing;

use std::fmt::Write as _;

use super::{Assembler, AssemblerOptions, Chunks, Sequence, Stream, StreamFactory, Totals};
use crate::packet::{FlowHasher, Packet, Segment, Span, TcpFlags};
use crate::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, Place, Transport};

/// Keeps what every stream was told.
#[derive(Default)]
pub(super) struct Log {
    /// One line an event, in order.
    pub(super) lines: Vec<String>,
    /// Bytes handed on: connection (by serial), direction; gaps are left out.
    pub(super) bytes: Vec<[Vec<u8>; 2]>,
    pub(super) totals: Vec<[Totals; 2]>,
    pub(super) serials: Vec<u64>,
    /// When each connection that ended had its last packet.
    pub(super) last_seen: Vec<Nanos>,
    /// Streams that want to live although they idle.
    pub(super) pending: bool,
}

pub(super) struct Told(usize);

impl StreamFactory for Log {
    type Stream = Told;

    fn new_stream(&mut self, flow: &mut FlowInfo) -> Told {
        self.lines.push(format!(
            "new {:?}{}",
            flow.oriented_by,
            if flow.midstream { " midstream" } else { "" }
        ));
        self.bytes.push(Default::default());
        self.totals.push(Default::default());
        self.serials.push(flow.serial);
        Told(self.bytes.len() - 1)
    }
}

impl Stream<Log> for Told {
    fn reassembled(&mut self, log: &mut Log, _: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        log.totals[self.0] = *totals;
        let mut line = String::new();
        for chunk in chunks {
            let way = if chunk.direction == Direction::ToServer { '>' } else { '<' };
            let (start, end) = (if chunk.start { "^" } else { "" }, if chunk.end { "$" } else { "" });
            let gap = if chunk.skip == 0 { String::new() } else { format!("[{}]", chunk.skip) };
            let text = String::from_utf8_lossy(chunk.bytes);
            let _ = write!(line, "{}{way}{start}{gap}{text}{end}", if line.is_empty() { "" } else { " " });
            log.bytes[self.0][chunk.direction.index()].extend_from_slice(chunk.bytes);
        }
        log.lines.push(line);
    }

    fn reassembly_complete(&mut self, log: &mut Log, flow: &FlowInfo, totals: &[Totals; 2], end: End) {
        log.totals[self.0] = *totals;
        log.last_seen.push(flow.last_seen);
        log.lines.push(end.as_str().to_string());
    }

    fn idle(&mut self, log: &mut Log, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        log.pending
    }
}

/// A segment of a test; `client` sends it or the server does.
#[derive(Clone, Copy)]
pub(super) struct Seg<'a> {
    pub(super) client: bool,
    pub(super) port: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) payload: &'a [u8],
    pub(super) missing: u32,
    pub(super) interface: u32,
}

pub(super) const S: u8 = TcpFlags::SYN;
pub(super) const A: u8 = TcpFlags::ACK;
pub(super) const F: u8 = TcpFlags::FIN;
pub(super) const R: u8 = TcpFlags::RST;
pub(super) const P: u8 = TcpFlags::PSH;

/// A segment from the client.
pub(super) fn c(flags: u8, seq: u32, ack: u32, payload: &str) -> Seg<'_> {
    Seg {
        client: true,
        port: 40000,
        seq,
        ack,
        flags,
        window: 1000,
        payload: payload.as_bytes(),
        missing: 0,
        interface: 1,
    }
}

/// A segment from the server.
pub(super) fn s(flags: u8, seq: u32, ack: u32, payload: &str) -> Seg<'_> {
    Seg { client: false, ..c(flags, seq, ack, payload) }
}

/// An assembler with what its streams were told, and a packet clock.
pub(super) struct Bed {
    pub(super) assembler: Assembler<Log>,
    pub(super) log: Log,
    pub(super) now: Nanos,
    hasher: FlowHasher,
}

pub(super) const MS: u64 = 1_000_000;

impl Bed {
    pub(super) fn new() -> Self {
        Self::with(AssemblerOptions::default())
    }

    pub(super) fn with(options: AssemblerOptions) -> Self {
        Self {
            assembler: Assembler::new(options),
            log: Log::default(),
            now: Nanos::new(1000, 0),
            hasher: FlowHasher::with_seed(1),
        }
    }

    pub(super) fn segment(&self, seg: &Seg<'_>) -> Segment {
        let client = Endpoint::v4([10, 0, 0, 1], seg.port);
        let server = Endpoint::v4([10, 0, 0, 2], 3306);
        let (from, to) = if seg.client { (client, server) } else { (server, client) };
        let (key, sender) = FlowKey::new(from, to, Transport::Tcp, Place::default());
        Segment {
            packet: Packet {
                key,
                hash: self.hasher.hash(&key),
                sender,
                timestamp: self.now,
                interface: seg.interface,
                payload: Span { start: 0, len: u32::try_from(seg.payload.len()).unwrap() },
                missing: seg.missing,
                vlan_tags: 0,
            },
            seq: Sequence(seg.seq),
            ack: Sequence(seg.ack),
            flags: TcpFlags(seg.flags),
            window: seg.window,
            window_scale: None,
        }
    }

    /// Takes in segments, 1 ms apart; gives what was told since the last call.
    pub(super) fn feed(&mut self, segments: &[Seg<'_>]) -> Vec<String> {
        for seg in segments {
            self.now.0 += MS;
            let segment = self.segment(seg);
            self.assembler.assemble(&mut self.log, &segment, seg.payload);
        }
        core::mem::take(&mut self.log.lines)
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<String> {
        self.now.0 += millis * MS;
        self.assembler.advance(&mut self.log, self.now);
        core::mem::take(&mut self.log.lines)
    }

    /// Client and server shake hands; the client's first byte is 101, the server's 501.
    pub(super) fn open(&mut self) {
        let told = self.feed(&[c(S, 100, 0, ""), s(S | A, 500, 101, ""), c(A, 101, 501, "")]);
        assert_eq!(told, ["new Syn", ">^", "<^"]);
    }
}

#[test]
fn bytes_in_order_are_handed_on_where_they_lie() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc"), s(A, 501, 104, "xyz")]), [">abc", "<xyz"]);
    assert_eq!(bed.feed(&[c(A | F, 104, 504, "d")]), [">d$"]);
    assert_eq!(bed.feed(&[s(A, 504, 106, "")]), [] as [&str; 0]);
    assert_eq!(bed.feed(&[s(A | F, 504, 106, "")]), ["<$", "fin"]);
    assert_eq!(bed.assembler.counters().closed_fin, 1);
}

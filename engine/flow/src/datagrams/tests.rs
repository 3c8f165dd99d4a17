//! A factory that writes down what its streams are told.

use super::*;
use crate::Side;
use crate::assembler::Chunks;
use crate::packet::{FlowHasher, Packet, Span};

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    /// Port 53 is the server's, whoever speaks first.
    knows_port: bool,
    /// Flows whose streams keep them when they are idle, by the client's port.
    kept: Vec<u16>,
}

struct Flow;

impl StreamFactory for Log {
    type Stream = Flow;
    fn new_stream(&mut self, flow: &mut FlowInfo) -> Flow {
        assert_eq!(flow.oriented_by, OrientedBy::FirstSender);
        if self.knows_port {
            flow.client_side = if flow.key.endpoint(Side::Low).port() == 53 { Side::High } else { Side::Low };
        }
        self.lines.push(format!("open {} {}", flow.client().port(), flow.serial));
        Flow
    }
}

impl Stream<Log> for Flow {
    fn reassembled(&mut self, _: &mut Log, _: &FlowInfo, _: &[Totals; 2], _: Chunks<'_>) {
        unreachable!("UDP has no stream of bytes");
    }
    fn reassembly_complete(&mut self, log: &mut Log, flow: &FlowInfo, totals: &[Totals; 2], end: End) {
        let [a, b] = totals.map(|t| format!("{}/{}/{}", t.packets, t.bytes, t.gap_bytes));
        log.lines.push(format!("end {} {} {a} {b}", flow.client().port(), end.as_str()));
    }
    fn idle(&mut self, log: &mut Log, flow: &FlowInfo, _: &[Totals; 2], now: Nanos) -> bool {
        log.lines.push(format!("idle {} {}", flow.client().port(), now.0 / Nanos::SECOND));
        log.kept.contains(&flow.client().port())
    }
}

impl DatagramStream<Log> for Flow {
    fn datagram(&mut self, log: &mut Log, flow: &FlowInfo, _: &[Totals; 2], received: Received<'_>) {
        let Received { direction, bytes, missing, seen } = received;
        assert_eq!(flow.last_seen, seen);
        let text = bytes.escape_ascii();
        log.lines.push(format!("{} {} {text} {missing}", flow.client().port(), direction.index()));
    }
}

/// From port `from` to port `to`, at `second`.
fn datagram(from: u16, to: u16, second: u64, missing: u32) -> Datagram {
    let ends = |port| Endpoint::v4([10, 0, 0, u8::from(port == 53)], port);
    let (key, sender) = FlowKey::new(ends(from), ends(to), Transport::Udp, Place::default());
    Datagram {
        packet: Packet {
            key,
            hash: FlowHasher::with_seed(1).hash(&key),
            sender,
            timestamp: Nanos(second * Nanos::SECOND),
            interface: 0,
            payload: Span::default(),
            missing,
            vlan_tags: 0,
        },
    }
}

fn flows(max_flows: usize) -> DatagramFlows<Log> {
    let idle_timeout = Duration::from_secs(60);
    DatagramFlows::new(DatagramOptions { max_flows, idle_timeout, first_serial: 7, serial_step: 2 })
}

#[test]
fn a_flow_from_its_first_datagram_to_the_end_of_the_input() {
    let (mut flows, mut log) = (flows(10), Log::default());
    flows.take(&mut log, &datagram(1000, 53, 1, 0), b"who?");
    flows.take(&mut log, &datagram(53, 1000, 1, 0), b"me");
    flows.take(&mut log, &datagram(53, 2000, 2, 0), b"");
    flows.take(&mut log, &datagram(1000, 53, 2, 3), b"wh");
    assert_eq!(flows.counters().open, 2);
    assert_eq!((flows.flush_some(&mut log, 1), flows.flush_some(&mut log, 5)), (1, 1));
    assert_eq!(flows.flush_some(&mut log, 5), 0);
    let expected = [
        "open 1000 7",
        "1000 0 who? 0",
        "1000 1 me 0",
        "open 53 9",
        "53 0  0",
        "1000 0 wh 3",
        "end 53 eof 1/0/0 0/0/0",
        "end 1000 eof 2/6/3 1/2/0",
    ];
    assert_eq!(log.lines, expected);
    let counted = DatagramFlowCounters {
        datagrams: 4,
        bytes: 8,
        cut: 1,
        opened: 2,
        closed_eof: 2,
        ..Default::default()
    };
    assert_eq!(flows.counters(), counted);
}

#[test]
fn the_factory_may_know_better_who_the_client_is() {
    let (mut flows, mut log) = (flows(10), Log { knows_port: true, ..Log::default() });
    flows.take(&mut log, &datagram(53, 1000, 1, 0), b"me");
    flows.take(&mut log, &datagram(1000, 53, 1, 0), b"who?");
    assert_eq!(log.lines, ["open 1000 7", "1000 1 me 0", "1000 0 who? 0"]);
}

#[test]
fn a_silent_flow_ends_unless_its_stream_wants_to_stay() {
    let (mut flows, mut log) = (flows(10), Log { kept: vec![2], ..Log::default() });
    flows.take(&mut log, &datagram(1, 53, 100, 0), b"");
    flows.take(&mut log, &datagram(2, 53, 100, 0), b"");
    flows.take(&mut log, &datagram(3, 53, 130, 0), b"");
    log.lines.clear();
    flows.advance(&mut log, Nanos(159 * Nanos::SECOND));
    assert!(log.lines.is_empty());
    for second in [170, 180, 189, 200, 240] {
        flows.advance(&mut log, Nanos(second * Nanos::SECOND));
    }
    let expected = [
        "idle 1 170",
        "end 1 idle 1/0/0 0/0/0",
        "idle 2 170",
        "idle 3 200",
        "end 3 idle 1/0/0 0/0/0",
        "idle 2 240",
    ];
    assert_eq!(log.lines, expected, "kept means: asked again after another time-out");
    assert_eq!((flows.counters().closed_idle, flows.counters().open), (2, 1));
}

#[test]
fn the_flow_that_was_silent_longest_makes_room() {
    let (mut flows, mut log) = (flows(100), Log::default());
    for port in 1..=1000_u16 {
        let second = u64::from(port) * 2;
        flows.take(&mut log, &datagram(2000, 53, second, 0), b"");
        flows.take(&mut log, &datagram(2000 + port, 53, second, 0), b"");
        assert!(flows.counters().open <= 100);
    }
    assert_eq!(flows.counters().closed_evicted + flows.counters().closed_idle, 901);
    assert!(flows.counters().closed_idle == 0, "nothing was told the time: {:?}", flows.counters());
    assert!(!log.lines.iter().any(|l| l.starts_with("end 2000 ")), "it never was silent");
}

#[test]
fn memory_goes_back_after_a_spike() {
    let (mut flows, mut log) = (flows(20_000), Log::default());
    for port in 1..=20_000 {
        flows.take(&mut log, &datagram(port, 60_000, 1, 0), b"");
    }
    let high = flows.memory();
    for second in [62, 70, 80] {
        flows.advance(&mut log, Nanos(second * Nanos::SECOND));
    }
    assert_eq!(flows.counters().open, 0);
    assert!(flows.memory() * 10 < high, "{} of {high}", flows.memory());
}

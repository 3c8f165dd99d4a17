//! Which of several plugins gets a connection, and what is kept until that is known.

use super::*;
use crate::event::Arena;
use crate::host::{ActivePlugin, Connection, Host, Slot};
use sniff_x_flow::OrientedBy;
use sniff_x_flow::assembler::{Chunks, Reassembly, Stream, StreamFactory, Totals};

struct Two {
    host: Host,
    connection: Slot,
    flow: FlowInfo,
    logs: [Log; 2],
}

/// Two plugins whose rules match: the first wants `\x02AA`, the second `\x02BB`.
fn two() -> Two {
    let logs = [Log::default(), Log::default()];
    let plugin =
        |log: &Log, greeting| ActivePlugin::by_rule(Box::new(Toy(log.clone(), Some(greeting))), |_| true);
    let plugins = [plugin(&logs[0], b"\x02AA"), plugin(&logs[1], b"\x02BB")];
    let mut host = Host::new(Arc::new(plugins), Arena::new(1000), 1000);
    let mut flow = flow(OrientedBy::LowerPort, true);
    let connection = host.new_stream(&mut flow);
    Two { host, connection, flow, logs }
}

impl Two {
    fn data(&mut self, direction: Direction, bytes: &[u8], skip: i64) {
        let chunk = Reassembly { direction, bytes, skip, start: false, end: false, seen: Nanos(5) };
        let totals = [Totals::default(); 2];
        self.connection.reassembled(&mut self.host, &self.flow, &totals, Chunks::from_slice(&[chunk]));
    }

    fn end(&mut self) {
        let totals = [Totals::default(); 2];
        self.connection.reassembly_complete(&mut self.host, &self.flow, &totals, End::Fin);
    }

    fn log(&self, plugin: usize) -> Vec<String> {
        self.logs[plugin].lock().unwrap().clone()
    }
}

#[test]
fn the_plugin_that_knows_the_bytes_gets_them_all() {
    let mut two = two();
    two.data(Direction::ToServer, b"\x02", -1);
    two.data(Direction::ToServer, b"BB\x01c", 0);
    assert_eq!(two.log(0), [] as [&str; 0]);
    assert_eq!(two.log(1), ["0 gap Unknown tail ", "0 BB", "0 c"]);
    assert_eq!(two.host.counters.decoded, 1);
}

#[test]
fn a_probe_can_turn_client_and_server_round() {
    let mut two = two();
    two.data(Direction::ToClient, b"\x02AA\x01x", -1);
    two.data(Direction::ToServer, b"\x01y", 0);
    assert_eq!(two.log(0), ["0 gap Unknown tail ", "0 AA", "0 x", "1 y"]);
}

#[test]
fn bytes_that_nobody_knows_are_bypassed_and_counted() {
    let mut two = two();
    two.flow.midstream = false;
    two.data(Direction::ToServer, b"GET /", 0);
    two.data(Direction::ToClient, b"HTTP", 0);
    two.data(Direction::ToServer, b"more", 0);
    assert_eq!(two.host.counters.unrecognised, 1);
    assert_eq!(two.host.counters.bypassed_bytes, 4);
}

/// Joined in the middle of something, the connection is known by what begins when the other side has spoken.
#[test]
fn a_later_turn_may_be_recognised() {
    let mut two = two();
    two.data(Direction::ToServer, b"\x04", -1);
    two.data(Direction::ToClient, b"HTTP", -1);
    two.data(Direction::ToServer, b"\x02BB", 0);
    assert_eq!(two.log(1), ["0 gap Unknown tail ", "1 gap Unknown tail ", "0 \\x02BB"][..2]);
    assert_eq!(two.host.counters.decoded, 1);
}

#[test]
fn the_end_ends_the_probing() {
    let mut undecided = two();
    undecided.data(Direction::ToServer, b"\x02", -1);
    undecided.end();
    assert_eq!(undecided.log(0), ["0 gap Unknown tail ", "end Fin \\x02 "]);
    // Without payload neither of the two would have been opened alone.
    let mut silent = two();
    silent.end();
    assert_eq!((silent.log(0), silent.log(1)), (Vec::new(), Vec::new()));
    assert_eq!(silent.host.counters.decoded, 0);
}

/// A plugin that reports on every connection does so, too, when another one might have wanted it.
#[test]
fn a_connection_without_payload_is_reported() {
    let plugins = ["mysql", "tcp"].map(|name| ActivePlugin::by_rule(crate::builtin(name).unwrap(), |_| true));
    let mut silent = two();
    silent.host = Host::new(Arc::new(plugins), Arena::new(1000), 1000);
    silent.connection = silent.host.new_stream(&mut silent.flow);
    silent.end();
    let protocols: Vec<_> = silent.host.arena.events().map(|event| event.head.protocol).collect();
    assert_eq!(protocols, ["tcp"]);
}

/// Greedy connections together can't keep more than the limit; a small message is kept beside them, and nobody is out of step.
#[test]
fn all_connections_together_keep_no_more_than_the_limit() {
    let totals = [Totals::default(); 2];
    let log = Log::default();
    let plugin = LongPlugin(Toy(log.clone(), None));
    let plugins = [ActivePlugin::by_rule(Box::new(plugin), |_| true)];
    let mut host = Host::new(Arc::new(plugins), Arena::new(1000), 128 << 10).with_max_kept(100_000);
    let mut flow = two().flow;
    let mut connections: Vec<_> = (0..10).map(|_| host.new_stream(&mut flow)).collect();
    let play = |connection: &mut Slot, host: &mut Host, bytes: &[u8]| {
        let direction = Direction::ToServer;
        let chunk = Reassembly { direction, bytes, skip: 0, start: false, end: false, seen: Nanos(5) };
        connection.reassembled(host, &flow, &totals, Chunks::from_slice(&[chunk]));
    };
    let mut half = 40_000_u32.to_be_bytes().to_vec();
    half.resize(20_000, b'x');
    for connection in &mut connections {
        play(connection, &mut host, &half);
        assert!(host.kept <= 100_000, "{}", host.kept);
    }
    assert_eq!(host.counters.crowded_out_messages, 5);
    // Behind the rest of the message that was given up comes one that is whole again.
    let mut rest = vec![b'x'; 20_004];
    rest.extend([0, 0, 0, 2, b'h', b'i']);
    log.lock().unwrap().clear();
    play(&mut connections[9], &mut host, &rest);
    assert_eq!(*log.lock().unwrap(), ["message of 2"]);
    for connection in &mut connections {
        connection.reassembly_complete(&mut host, &flow, &totals, End::Fin);
    }
    assert_eq!(host.kept, 0);
}

/// What decoders hold counts as well: whoever wants much more is told that it is over, and its connection is given up.
#[test]
fn what_decoders_hold_is_bounded() {
    /// Keeps all that it is given.
    struct Hoarder(Log, usize);
    impl Decode for Hoarder {
        fn data(&mut self, _: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
            self.1 += w.bytes.len();
            Next::More { used: w.bytes.len(), need: 0 }
        }
        fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
            Next::More { used: 0, need: 0 }
        }
        fn datagram(&mut self, _: Direction, _: Window<'_>, _: &mut Out<'_>) -> Next {
            Next::More { used: 0, need: 0 }
        }
        fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
            true
        }
        fn end(&mut self, why: End, _: [Window<'_>; 2], _: &mut Out<'_>) {
            self.0.lock().unwrap().push(format!("{why:?}"));
        }
        fn retained(&self) -> usize {
            self.1
        }
    }
    let log = Log::default();
    let mut two = two();
    two.host.max_kept = 100_000;
    let totals = [Totals::default(); 2];
    let play = |host: &mut Host, bytes: &[u8]| {
        let mut connection = Connection::decoding(Decoder::External(Box::new(Hoarder(log.clone(), 0))));
        let direction = Direction::ToServer;
        let chunk = Reassembly { direction, bytes, skip: 0, start: false, end: false, seen: Nanos(5) };
        connection.reassembled(host, &two.flow, &totals, Chunks::from_slice(&[chunk]));
        assert!(host.kept <= 100_000, "{}", host.kept);
        connection
    };
    let mut connections: Vec<_> = (0..10).map(|_| play(&mut two.host, &[0; 20_000])).collect();
    assert_eq!(two.host.counters.bypassed_limit, 5);
    assert_eq!(*log.lock().unwrap(), ["Evicted"; 5]);
    connections.push(play(&mut two.host, b"small"));
    assert_eq!(two.host.counters.bypassed_limit, 5);
    for connection in &mut connections {
        connection.reassembly_complete(&mut two.host, &two.flow, &totals, End::Fin);
    }
    assert_eq!(two.host.kept, 0);
    assert_eq!(log.lock().unwrap().len(), 11);
}

/// What is told does not depend on when the plugin was chosen: gaps, turns and times are those of the wire.
#[test]
fn a_gap_is_told_in_its_place() {
    let mut two = two();
    two.data(Direction::ToServer, b"\x02", -1);
    two.data(Direction::ToServer, b"\x01z", 3);
    assert_eq!(two.log(0), [] as [&str; 0]);
    two.data(Direction::ToClient, b"\x02AA", 0);
    assert_eq!(
        two.log(0),
        ["1 gap Unknown tail ", "1 gap Bytes(3) tail \\x02", "1 z", "0 AA"],
        "the probe turned client and server round"
    );
}

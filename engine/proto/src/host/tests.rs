//! The host with a toy protocol: a length byte, then so many bytes; length 0xff says "pass over 1000 bytes", 0xfe bypasses.

mod renewal;

use std::sync::{Arc, Mutex};

use sniff_x_flow::{Direction, End, FlowInfo, Nanos};

use crate::replay::{Replay, Step};
use crate::{
    About, BypassReason, Decode, Decoder, Lost, Next, OpensAt, OptionError, Options, Out, Plugin, Probe,
    Window,
};

type Log = Arc<Mutex<Vec<String>>>;

/// The toy's log, and the greeting by which its probe knows it, if it is choosy.
struct Toy(Log, Option<&'static [u8]>);
struct ToyDecoder(Log);

impl Plugin for Toy {
    fn about(&self) -> &About {
        &About {
            name: "toy",
            version: "1",
            summary: "",
            options: &[],
            keys: &[],
            opens_at: OpensAt::FirstPayload,
        }
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        "tcp".into()
    }
    fn is_server_port(&self, port: u16) -> bool {
        port == 7
    }
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        let Some(greeting) = self.1 else { return Probe::More };
        let greets = |bytes: &[u8]| greeting.starts_with(bytes.get(..greeting.len()).unwrap_or(bytes));
        match (greets(to_server), greets(to_client)) {
            (true, _) if to_server.len() >= greeting.len() => Probe::Yes { reversed: false },
            (_, true) if to_client.len() >= greeting.len() => Probe::Yes { reversed: true },
            (true, true) => Probe::More,
            _ if to_server.is_empty() || to_client.is_empty() => Probe::More,
            _ => Probe::No,
        }
    }
    fn open(&self, _: &FlowInfo) -> Decoder {
        Decoder::External(Box::new(ToyDecoder(self.0.clone())))
    }
}

impl ToyDecoder {
    fn say(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Decode for ToyDecoder {
    fn data(&mut self, d: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        let mut used = 0;
        loop {
            let rest = &w.bytes[used..];
            match rest.first() {
                None => return Next::More { used, need: 0 },
                Some(0xff) => return Next::Skip { used: used + 1, then: 1000 },
                Some(0xfe) => return Next::Bypass(BypassReason::Undecodable),
                Some(&n) => {
                    let Some(message) = rest.get(1..=usize::from(n)) else {
                        return Next::More { used, need: usize::from(n) + 1 };
                    };
                    self.say(format!("{} {}", d.index(), message.escape_ascii()));
                    used += 1 + usize::from(n);
                }
            }
        }
    }
    fn gap(&mut self, d: Direction, tail: Window<'_>, lost: Lost, _: &mut Out<'_>) -> Next {
        self.say(format!("{} gap {lost:?} tail {}", d.index(), tail.bytes.escape_ascii()));
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, _: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: w.bytes.len(), need: 0 }
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        true
    }
    fn end(&mut self, why: End, tails: [Window<'_>; 2], _: &mut Out<'_>) {
        self.say(format!("end {why:?} {} {}", tails[0].bytes.escape_ascii(), tails[1].bytes.escape_ascii()));
    }
    fn retained(&self) -> usize {
        0
    }
}

fn play(steps: &[Step]) -> Vec<String> {
    let log = Log::default();
    let mut replay = Replay::new(Box::new(Toy(log.clone(), None)), 7, false);
    for step in steps {
        replay.step(step);
    }
    let _ = replay.finish(End::Fin);
    let log = log.lock().unwrap();
    log.clone()
}

fn data(bytes: &[u8]) -> Step {
    Step::Data(Direction::ToServer, bytes.to_vec())
}

#[test]
fn every_cut_gives_the_same_messages() {
    let mut stream = b"\x03abc\x00\x05hello\xff".to_vec();
    stream.extend([b'x'; 1000]);
    stream.extend(b"\x02hi\x01");
    let whole = play(&[data(&stream)]);
    assert_eq!(whole, ["0 abc", "0 ", "0 hello", "0 hi", "end Fin \\x01 "]);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(play(&[data(a), data(b)]), whole, "cut at {cut}");
    }
    for size in 1..8 {
        let steps: Vec<_> = stream.chunks(size).map(data).collect();
        assert_eq!(play(&steps), whole, "chunks of {size}");
    }
}

#[test]
fn a_gap_takes_the_tail_with_it() {
    let steps = [data(b"\x05hel"), Step::Gap(Direction::ToServer, 2), data(b"\x02hi")];
    assert_eq!(play(&steps), ["0 gap Bytes(2) tail \\x05hel", "0 hi", "end Fin  "]);
}

#[test]
fn a_gap_inside_what_is_passed_over_is_no_gap() {
    let steps = [
        data(&[&b"\xff"[..], &[b'x'; 400]].concat()),
        Step::Gap(Direction::ToServer, 500),
        data(&[&[b'x'; 100][..], b"\x02hi"].concat()),
    ];
    assert_eq!(play(&steps), ["0 hi", "end Fin  "]);
}

#[test]
fn a_gap_beyond_what_is_passed_over_tells_the_rest() {
    let steps = [data(b"\xff"), Step::Gap(Direction::ToServer, 1003), data(b"\x02hi")];
    assert_eq!(play(&steps), ["0 gap Bytes(3) tail ", "0 hi", "end Fin  "]);
}

#[test]
fn nothing_is_decoded_after_a_bypass() {
    assert_eq!(play(&[data(b"\x01a\xfe\x01b"), data(b"\x01c")]), ["0 a"]);
}

#[test]
fn directions_do_not_mix() {
    let steps = [
        data(b"\x02h"),
        Step::Data(Direction::ToClient, b"\x03ab".to_vec()),
        data(b"i"),
        Step::Data(Direction::ToClient, b"c".to_vec()),
    ];
    assert_eq!(play(&steps), ["0 hi", "1 abc", "end Fin  "]);
}

/// A toy with long messages: four bytes of length in front.
struct Long(Log);
impl Decode for Long {
    fn data(&mut self, _: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        let mut used = 0;
        loop {
            let rest = &w.bytes[used..];
            let Some(head) = rest.first_chunk::<4>() else { return Next::More { used, need: 4 } };
            let need = 4 + u32::from_be_bytes(*head) as usize;
            if rest.len() < need {
                return Next::More { used, need };
            }
            self.0.lock().unwrap().push(format!("message of {}", need - 4));
            used += need;
        }
    }
    fn gap(&mut self, _: Direction, tail: Window<'_>, lost: Lost, _: &mut Out<'_>) -> Next {
        self.0.lock().unwrap().push(format!("{lost:?} tail {}", tail.bytes.len()));
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, _: Direction, _: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }
    fn end(&mut self, _: End, _: [Window<'_>; 2], _: &mut Out<'_>) {}
    fn retained(&self) -> usize {
        0
    }
}
struct LongPlugin(Toy);
impl Plugin for LongPlugin {
    fn about(&self) -> &About {
        self.0.about()
    }
    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.0.configure(options)
    }
    fn rule(&self) -> String {
        self.0.rule()
    }
    fn is_server_port(&self, port: u16) -> bool {
        self.0.is_server_port(port)
    }
    fn probe(&self, a: &[u8], b: &[u8]) -> Probe {
        self.0.probe(a, b)
    }
    fn open(&self, _: &FlowInfo) -> Decoder {
        Decoder::External(Box::new(Long(self.0.0.clone())))
    }
}

#[test]
fn a_message_beyond_the_limit_is_passed_over_and_the_next_one_is_right() {
    let long = 200_000_u32;
    let mut stream = [&long.to_be_bytes()[..], &vec![b'x'; long as usize]].concat();
    stream.extend([0, 0, 0, 2, b'h', b'i']);
    for size in [1000, 1448, 65_536, 150_000, stream.len()] {
        let log = Log::default();
        let mut replay = Replay::new(Box::new(LongPlugin(Toy(log.clone(), None))), 7, false);
        stream.chunks(size).for_each(|c| replay.step(&data(c)));
        let _ = replay.finish(End::Fin);
        let log = log.lock().unwrap();
        // In one piece it needs no memory and is no problem.
        let first = log[0].as_str();
        assert!(first.starts_with("Limit(200004) tail ") || first == "message of 200000", "{first}");
        assert_eq!(&log[1..], ["message of 2"], "cut into {size}");
    }
}

mod probing {
    use super::*;
    use crate::event::Arena;
    use crate::host::{ActivePlugin, Connection, Host, Slot};
    use sniff_x_flow::assembler::{Chunks, Reassembly, Stream, StreamFactory, Totals};
    use sniff_x_flow::{Endpoint, FlowKey, OrientedBy, Place, Transport};

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
        let (key, client_side) = FlowKey::new(
            Endpoint::v4([1, 1, 1, 1], 1000),
            Endpoint::v4([2, 2, 2, 2], 2000),
            Transport::Tcp,
            Place::default(),
        );
        let mut flow = FlowInfo {
            key,
            client_side,
            oriented_by: OrientedBy::LowerPort,
            first_seen: Nanos(1),
            last_seen: Nanos(1),
            interface: 0,
            midstream: true,
            serial: 0,
        };
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
        let plugins =
            ["mysql", "tcp"].map(|name| ActivePlugin::by_rule(crate::builtin(name).unwrap(), |_| true));
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
}

/// Claims that are wrong: a plugin whose probe takes anything, and one that knows better.
mod trials {
    use super::*;
    use crate::event::{Key, Kind, Status};
    use crate::host::ActivePlugin;
    use crate::{EventBuilder, Sensitivity};

    /// Lines; `!` begins one that it does not understand, `?` shows that it is none of it.
    struct Lines {
        name: &'static str,
        knows: &'static [u8],
    }
    struct LinesDecoder(&'static str);

    impl Plugin for Lines {
        fn about(&self) -> &About {
            match self.name {
                "rash" => &RASH,
                _ => &WISE,
            }
        }
        fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
            Ok(())
        }
        fn rule(&self) -> String {
            "tcp".into()
        }
        fn is_server_port(&self, _: u16) -> bool {
            false
        }
        fn probe(&self, to_server: &[u8], _: &[u8]) -> Probe {
            if to_server.starts_with(self.knows) {
                Probe::Yes { reversed: false }
            } else if self.knows.starts_with(to_server) {
                Probe::More
            } else {
                Probe::No
            }
        }
        fn open(&self, _: &FlowInfo) -> Decoder {
            Decoder::External(Box::new(LinesDecoder(self.name)))
        }
    }

    const RASH: About = About {
        name: "rash",
        version: "1",
        summary: "",
        options: &[],
        keys: &[],
        opens_at: OpensAt::FirstPayload,
    };
    const WISE: About = About { name: "wise", ..RASH };

    impl Decode for LinesDecoder {
        fn data(&mut self, _: Direction, w: Window<'_>, out: &mut Out<'_>) -> Next {
            let Some(end) = w.bytes.iter().position(|b| *b == b'\n') else {
                return Next::More { used: 0, need: 0 };
            };
            let line = &w.bytes[..end];
            let now = out.now();
            let text = |event: EventBuilder<'_>| event.text(Key::NOTICE, line, Sensitivity::Public).emit();
            match line.first() {
                Some(b'?') => {
                    text(out.event(self.0, Kind::Notice, now));
                    return Next::Bypass(BypassReason::NotThisProtocol);
                }
                Some(b'!') if self.0 == "rash" => text(out.event(self.0, Kind::Notice, now)),
                _ => text(out.event(self.0, Kind::Message, now).status(Status::Ok)),
            }
            Next::Skip { used: end + 1, then: 0 }
        }
        fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
            Next::More { used: 0, need: 0 }
        }
        fn datagram(&mut self, d: Direction, w: Window<'_>, out: &mut Out<'_>) -> Next {
            self.data(d, w, out)
        }
        fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
            false
        }
        fn end(&mut self, _: End, _: [Window<'_>; 2], _: &mut Out<'_>) {}
        fn retained(&self) -> usize {
            0
        }
    }

    /// The events, and the counters `decoded`, `withdrawn`, `unrecognised`, `bypassed_other_protocol`.
    fn play(steps: &[&[u8]], wise: &'static [u8]) -> (Vec<String>, [u64; 4]) {
        let plugins = [("rash", &b""[..]), ("wise", wise)]
            .map(|(name, knows)| ActivePlugin::by_probe(Box::new(Lines { name, knows }), |_| true));
        let mut replay = Replay::of_several(plugins.into(), 7, false);
        steps.iter().for_each(|bytes| replay.step(&data(bytes)));
        let c = replay.counters();
        (replay.finish(End::Fin), [c.decoded, c.withdrawn, c.unrecognised, c.bypassed_other_protocol])
    }

    const WITHDRAWN: &str = "notice sniffx.notice='this is not rash: the connection was taken for it'";

    #[test]
    fn who_says_that_it_is_not_its_protocol_loses_the_connection() {
        let (lines, counters) = play(&[b"?w", b"ise\nmore\n"], b"?wise");
        // The other one fails with the same line.
        assert_eq!(
            lines,
            [WITHDRAWN, "notice sniffx.notice='this is not wise: the connection was taken for it'"]
        );
        assert_eq!(counters, [0, 2, 1, 0]);
        let (lines, counters) = play(&[b"?wise\n"], b"never");
        assert_eq!(lines, [WITHDRAWN]);
        assert_eq!(counters, [0, 1, 1, 0]);
    }

    #[test]
    fn the_next_one_gets_all_that_came() {
        let (lines, counters) = play(&[b"!a\n!b\n", b"!c\n", b"d\n", b"e\n"], b"!a\n!b\n!c\nd\n");
        let told = |mark: &str| format!("message ok sniffx.notice='{mark}'");
        assert_eq!(lines[..2], ["notice sniffx.notice='!a'", "notice sniffx.notice='!b'"]);
        assert_eq!(lines[2], WITHDRAWN);
        assert_eq!(lines[3..], ["!a", "!b", "!c", "d", "e"].map(told));
        assert_eq!(counters, [1, 1, 0, 0]);
    }

    #[test]
    fn something_sure_ends_the_trial() {
        let (lines, counters) = play(&[b"sure\n", b"!a\n", b"!b\n", b"!c\n", b"!d\n"], b"never");
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert_eq!(counters, [1, 0, 0, 0]);
        // And whoever then says that it is not its protocol says that of what follows.
        let (lines, counters) = play(&[b"sure\n", b"?\n"], b"sure");
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert_eq!(counters, [1, 0, 0, 1]);
    }

    #[test]
    fn without_its_beginning_a_connection_is_given_up() {
        let (lines, counters) = play(&[&[b'!'; 5000], b"\n", b"!\n", b"!\n", b"y\n"], b"!!!");
        assert_eq!(lines.last().map(String::as_str), Some(WITHDRAWN), "{lines:?}");
        assert_eq!(counters, [0, 1, 0, 1]);
    }
}

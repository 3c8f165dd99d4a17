//! The host with a toy protocol: a length byte, then so many bytes; length 0xff says "pass over 1000 bytes", 0xfe bypasses.

mod probing;
mod renewal;
mod trial;

use std::sync::{Arc, Mutex};

use sniff_x_flow::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport};

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

/// A connection whose client has the port 1000.
fn flow(oriented_by: OrientedBy, midstream: bool) -> FlowInfo {
    let ends = [Endpoint::v4([1, 1, 1, 1], 1000), Endpoint::v4([2, 2, 2, 2], 2000)];
    let (key, client_side) = FlowKey::new(ends[0], ends[1], Transport::Tcp, Place::default());
    FlowInfo {
        key,
        client_side,
        oriented_by,
        first_seen: Nanos(1),
        last_seen: Nanos(1),
        interface: 0,
        midstream,
        serial: 0,
    }
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

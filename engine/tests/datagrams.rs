//! UDP from a file to a decoder: through the reader, the queues and the worker, with a plugin that only writes down what it is told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sniff_x_engine::config::{Format, Input, Limits, Output};
use sniff_x_engine::{Config, Control, Summary};
use sniff_x_flow::packet::ParseOptions;
use sniff_x_flow::{Direction, End, FlowInfo, Nanos, Transport};
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{
    About, BypassReason, Decode, Decoder, Lost, Next, OpensAt, OptionError, Options, Out, Plugin, Probe,
    Window,
};

const fn about(name: &'static str) -> About {
    About { name, version: "1", summary: "", options: &[], keys: &[], opens_at: OpensAt::FirstPayload }
}

static NOTES: About = about("notes");
static LOUD: About = about("loud");

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down what its flows are told; the loud one takes only what begins with `!`.
struct Notes {
    about: &'static About,
    rule: &'static str,
    log: Log,
}

struct Flow {
    name: String,
    log: Log,
}

impl Plugin for Notes {
    fn about(&self) -> &About {
        self.about
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        self.rule.into()
    }
    fn is_server_port(&self, port: u16) -> bool {
        port == 53
    }
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        match to_server.first().or(to_client.first()) {
            Some(b'!') if self.about.name == "loud" => Probe::Yes { reversed: false },
            _ if self.about.name == "loud" => Probe::No,
            _ => Probe::More,
        }
    }
    fn open(&self, flow: &FlowInfo) -> Decoder {
        assert_eq!(flow.key.transport(), Transport::Udp);
        let name = format!("{} {} > {}", self.about.name, flow.client(), flow.server());
        self.log.lock().unwrap().push(format!("{name}: open"));
        Decoder::External(Box::new(Flow { name, log: self.log.clone() }))
    }
}

impl Flow {
    fn say(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{}: {what}", self.name));
    }
}

/// Short texts as they are, long ones by their length and a sum.
fn shown(bytes: &[u8]) -> String {
    if bytes.len() < 50 {
        return bytes.escape_ascii().to_string();
    }
    format!("{} bytes, sum {}", bytes.len(), bytes.iter().map(|b| u64::from(*b)).sum::<u64>())
}

impl Decode for Flow {
    fn data(&mut self, _: Direction, _: Window<'_>, _: &mut Out<'_>) -> Next {
        unreachable!("UDP has no stream of bytes")
    }
    fn gap(&mut self, d: Direction, tail: Window<'_>, lost: Lost, _: &mut Out<'_>) -> Next {
        self.say(&format!("{} {} and {lost:?}", d.index(), shown(tail.bytes)));
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, d: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        self.say(&format!("{} {} @{}", d.index(), shown(w.bytes), w.seen_at(0).0 / Nanos::SECOND));
        if w.bytes == b"enough" {
            return Next::Bypass(BypassReason::Limit);
        }
        Next::More { used: w.bytes.len(), need: 0 }
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }
    fn end(&mut self, why: End, tails: [Window<'_>; 2], _: &mut Out<'_>) {
        assert!(tails.iter().all(|t| t.bytes.is_empty()));
        self.say(&format!("end {}", why.as_str()));
    }
    fn retained(&self) -> usize {
        0
    }
}

/// A capture being made.
#[derive(Default)]
struct Made {
    file: Vec<u8>,
}

impl Made {
    fn new() -> Self {
        let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
        Self { file: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
    }

    /// A frame of which `captured` bytes were kept.
    fn frame(&mut self, second: u32, bytes: &[u8], captured: usize) {
        let lens = [captured, bytes.len()].map(|len| u32::try_from(len).unwrap());
        for word in [second, 0, lens[0], lens[1]] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(&bytes[..captured]);
    }

    /// A datagram between two hosts (last byte of the address, port), cut in fragments of `mtu` bytes of payload, the last first.
    fn send(&mut self, second: u32, from: (u8, u16), to: (u8, u16), payload: &[u8], mtu: usize) {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let mut udp = [from.1, to.1, len, 0].map(u16::to_be_bytes).concat();
        udp.extend(payload);
        for (at, part) in udp.chunks(mtu).enumerate().collect::<Vec<_>>().into_iter().rev() {
            let more = u16::from((at + 1) * mtu < udp.len()) << 13;
            let mut frame = vec![2, 0, 0, 0, 0, to.0, 2, 0, 0, 0, 0, from.0, 8, 0, 0x45, 0];
            frame.extend(u16::try_from(20 + part.len()).unwrap().to_be_bytes());
            frame.extend(len.to_be_bytes()); // the identification
            frame.extend((u16::try_from(at * mtu / 8).unwrap() | more).to_be_bytes());
            frame.extend([64, 17, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
            frame.extend(part);
            let captured = if payload == b"cut here" { frame.len() - 4 } else { frame.len() };
            self.frame(second, &frame, captured);
        }
    }
}

const WHOLE: usize = 65_528;

/// Runs the engine; gives what the plugins were told, sorted by flow but in order within one, and the counters.
fn run(
    capture: &[u8],
    plugins: &[(&'static About, &'static str)],
    threads: usize,
    limits: Limits,
) -> (Vec<String>, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcap");
    std::fs::write(&path, capture).unwrap();
    let log = Log::default();
    let config = config(&path, plugins, &log, threads, limits);
    let mut summary = Summary::default();
    sniff_x_engine::run(config, &Control::default(), |s| summary = s.clone()).unwrap();
    let mut told = log.lock().unwrap().clone();
    told.sort_by_key(|line| line.split(": ").next().unwrap().to_owned());
    (told, summary)
}

fn config(
    path: &Path,
    plugins: &[(&'static About, &'static str)],
    log: &Log,
    threads: usize,
    limits: Limits,
) -> Config {
    let plugin = |&(about, rule)| Box::new(Notes { about, rule, log: log.clone() }) as Box<dyn Plugin>;
    Config {
        input: Input::File(path.into()),
        plugins: plugins.iter().map(plugin).map(Into::into).collect(),
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: ParseOptions::default(),
        threads,
        output: Output {
            format: Format::Json,
            to: Box::new(std::io::sink()),
            is_abandoned: Box::new(|| false),
            count: None,
        },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits,
    }
}

fn count(summary: &Summary, name: &str) -> u64 {
    summary.counters().iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn datagrams_reach_the_decoder_of_their_flow() {
    let mut made = Made::new();
    let long: Vec<u8> = (0..4000_u32).map(|i| i.to_le_bytes()[0]).collect();
    made.send(100, (1, 5000), (9, 53), b"who?", WHOLE);
    // The server's answer in fragments; and one that is seen before its question.
    made.send(101, (9, 53), (1, 5000), &long, 1480);
    made.send(101, (9, 53), (2, 6000), b"me", WHOLE);
    made.send(102, (2, 6000), (9, 53), b"who?", WHOLE);
    made.send(102, (3, 7000), (9, 53), b"cut here", WHOLE);
    made.send(103, (4, 7000), (9, 53), b"", WHOLE);
    made.send(103, (4, 7000), (9, 53), b"enough", WHOLE);
    made.send(103, (4, 7000), (9, 53), b"nobody hears this", WHOLE);
    // Not the rule's port, whole and in fragments.
    made.send(103, (5, 7000), (9, 54), b"other", WHOLE);
    made.send(103, (5, 7000), (9, 54), &long[..2000], 1480);
    let sum: u64 = long.iter().map(|b| u64::from(*b)).sum();
    let expected = [
        "notes 10.0.0.1:5000 > 10.0.0.9:53: open",
        "notes 10.0.0.1:5000 > 10.0.0.9:53: 0 who? @100",
        &format!("notes 10.0.0.1:5000 > 10.0.0.9:53: 1 4000 bytes, sum {sum} @101"),
        "notes 10.0.0.1:5000 > 10.0.0.9:53: end eof",
        "notes 10.0.0.2:6000 > 10.0.0.9:53: open",
        "notes 10.0.0.2:6000 > 10.0.0.9:53: 1 me @101",
        "notes 10.0.0.2:6000 > 10.0.0.9:53: 0 who? @102",
        "notes 10.0.0.2:6000 > 10.0.0.9:53: end eof",
        "notes 10.0.0.3:7000 > 10.0.0.9:53: open",
        "notes 10.0.0.3:7000 > 10.0.0.9:53: 0 cut  and Bytes(4)",
        "notes 10.0.0.3:7000 > 10.0.0.9:53: end eof",
        "notes 10.0.0.4:7000 > 10.0.0.9:53: open",
        "notes 10.0.0.4:7000 > 10.0.0.9:53: 0  @103",
        "notes 10.0.0.4:7000 > 10.0.0.9:53: 0 enough @103",
    ];
    for threads in [1, 2, 4] {
        let plugins = [(&NOTES, "udp and port 53")];
        let (told, summary) = run(&made.file, &plugins, threads, Limits::default());
        for (ours, theirs) in told.iter().zip(&expected) {
            assert_eq!(ours, theirs, "{threads} threads");
        }
        assert_eq!(told.len(), expected.len());
        let counted = |name| count(&summary, name);
        assert_eq!((counted("udp.datagrams"), counted("udp.opened"), counted("udp.closed_eof")), (8, 4, 4));
        assert_eq!(
            (counted("udp.cut"), counted("decoder.gaps"), counted("decoder.bypassed_limit")),
            (1, 1, 1)
        );
        assert_eq!(counted("decoder.bypassed_bytes"), 17);
        assert_eq!((counted("packets.udp"), counted("packets.fragments")), (7, 5));
        assert_eq!((counted("fragments.reassembled"), counted("fragments.filtered_datagrams")), (2, 1));
        assert_eq!(counted("frames.filtered"), 1);
    }
}

#[test]
fn who_sends_first_is_the_client_where_no_port_tells() {
    let mut made = Made::new();
    made.send(100, (9, 500), (1, 5000), b"one", WHOLE);
    made.send(101, (1, 5000), (9, 500), b"two", WHOLE);
    let (told, _) = run(&made.file, &[(&NOTES, "udp")], 1, Limits::default());
    assert_eq!(
        told[1..3],
        ["notes 10.0.0.9:500 > 10.0.0.1:5000: 0 one @100", "notes 10.0.0.9:500 > 10.0.0.1:5000: 1 two @101"]
    );
}

#[test]
fn flows_end_when_they_idle_and_when_they_are_too_many() {
    let mut made = Made::new();
    for host in 1..=5 {
        made.send(100 + u32::from(host) * 2, (host, 5000), (9, 53), b"a", WHOLE);
    }
    made.send(130, (8, 5000), (9, 53), b"b", WHOLE);
    let limits = Limits { max_udp_flows: 3, udp_idle_timeout: Duration::from_secs(21), ..Limits::default() };
    let (told, summary) = run(&made.file, &[(&NOTES, "udp")], 1, limits);
    let ends: Vec<_> = told.iter().filter_map(|l| l.split_once(": end ").map(|(_, why)| why)).collect();
    assert_eq!(ends, ["evicted", "evicted", "idle", "idle", "eof", "eof"]);
    let counted =
        ["udp.closed_evicted", "udp.closed_idle", "udp.closed_eof", "udp.open"].map(|n| count(&summary, n));
    assert_eq!(counted, [2, 2, 2, 0]);
}

/// Two plugins want the flow: the first datagram decides, and is not lost.
#[test]
fn the_first_datagram_tells_whose_a_flow_is() {
    let mut made = Made::new();
    made.send(100, (1, 5000), (9, 53), b"!hear", WHOLE);
    made.send(101, (2, 5000), (9, 53), b"psst", WHOLE);
    made.send(102, (3, 5000), (9, 54), b"psst", WHOLE);
    let plugins = [(&LOUD, "udp"), (&NOTES, "udp and port 53")];
    let (told, summary) = run(&made.file, &plugins, 1, Limits::default());
    let heard: Vec<_> = told.iter().filter(|l| l.contains('@')).map(String::as_str).collect();
    assert_eq!(
        heard,
        [
            "loud 10.0.0.1:5000 > 10.0.0.9:53: 0 !hear @100",
            "loud 10.0.0.3:5000 > 10.0.0.9:54: 0 psst @102",
            "notes 10.0.0.2:5000 > 10.0.0.9:53: 0 psst @101",
        ],
        "where one plugin's rule alone matches, nobody is asked"
    );
    assert_eq!(count(&summary, "decoder.decoded"), 3);
}

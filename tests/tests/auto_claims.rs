//! `auto` over every real capture, with all ports moved: who claims which connections, against what tshark dissects there.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sniff_x_capture::{Batch, open_file};
use sniff_x_flow::assembler::{Assembler, AssemblerOptions};
use sniff_x_flow::packet::{FlowHasher, Packet, ParseOptions, Parsed, Parser};
use sniff_x_flow::{Endpoint, FlowInfo, FlowKey, Side, Transport};
use sniff_x_proto::event::{Arena, Kind};
use sniff_x_proto::host::{ActivePlugin, Host, HostCounters};
use sniff_x_proto::{About, Decoder, OptionError, Options, Plugin, Probe};
use sniff_x_tests::shared_captures;

/// Both ends of a connection as tshark writes them, in order.
type Ends = [String; 2];

/// A plugin that notes which connections it gets.
struct Noted {
    plugin: Box<dyn Plugin>,
    claims: Arc<Mutex<Vec<(&'static str, Ends)>>>,
}

/// Ports are moved, so that none tells anything; and an order of ports is not kept.
fn moved(port: u16) -> u16 {
    port.wrapping_add(20_011)
}

fn moved_back(end: Endpoint) -> String {
    let port = end.port().wrapping_sub(20_011);
    format!("{}:{port}", end.address()).replace("::ffff:", "")
}

fn ends(mut ends: Ends) -> Ends {
    ends.sort();
    ends
}

impl Plugin for Noted {
    fn about(&self) -> &About {
        self.plugin.about()
    }
    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.plugin.configure(options)
    }
    fn rule(&self) -> String {
        self.plugin.rule()
    }
    fn is_server_port(&self, port: u16) -> bool {
        self.plugin.is_server_port(port)
    }
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        self.plugin.probe(to_server, to_client)
    }
    fn open(&self, flow: &FlowInfo) -> Decoder {
        let both = ends([moved_back(flow.client()), moved_back(flow.server())]);
        self.claims.lock().unwrap().push((self.about().name, both));
        self.plugin.open(flow)
    }
}

/// What became of a capture.
#[derive(Default)]
struct Outcome {
    claims: Vec<(&'static str, Ends)>,
    counters: HostCounters,
    /// Events by protocol, kind and status.
    events: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

fn play(path: &Path) -> Outcome {
    let claims = Arc::default();
    let plugins = sniff_x_proto::names().filter(|name| *name != "tcp").map(|name| {
        let plugin = sniff_x_proto::builtin(name).unwrap();
        let noted = Noted { plugin, claims: Arc::clone(&claims) };
        ActivePlugin::by_probe(Box::new(noted), |key| key.transport() == Transport::Tcp)
    });
    let plugins: Vec<_> = plugins.collect();
    let mut host = Host::new(plugins.into(), Arena::new(64 << 10), 128 << 10);
    let mut assembler: Assembler<Host> = Assembler::new(AssemblerOptions::default());
    let hasher = FlowHasher::with_seed(1);
    let parser = Parser::new(hasher.clone(), ParseOptions::default());
    let mut outcome = Outcome::default();
    let mut source = open_file(path).unwrap();
    while let Ok(Batch::Frames(lease)) = source.next(Duration::ZERO) {
        for frame in lease.frames() {
            let Parsed::Tcp(mut segment) = parser.parse(&frame) else { continue };
            let Packet { key, sender, payload, .. } = segment.packet;
            let end = |side: Side| {
                let end = key.endpoint(side);
                Endpoint::new(end.address(), moved(end.port()))
            };
            let (key, sender) = FlowKey::new(end(sender), end(sender.other()), Transport::Tcp, key.place());
            (segment.packet.key, segment.packet.sender, segment.packet.hash) = (key, sender, hasher.hash(&key));
            let from = payload.start as usize - frame.offset as usize;
            let bytes = &frame.bytes[from..from + payload.len as usize];
            assembler.assemble(&mut host, &segment, bytes);
        }
        let now = host.now;
        assembler.advance(&mut host, now);
        note(&mut host, &mut outcome);
    }
    while assembler.flush_some(&mut host, 64) > 0 {
        note(&mut host, &mut outcome);
    }
    note(&mut host, &mut outcome);
    outcome.counters = host.counters;
    outcome.claims = claims.lock().unwrap().clone();
    outcome
}

fn note(host: &mut Host, outcome: &mut Outcome) {
    for event in host.arena.events() {
        let head = &event.head;
        let status = head.status.map_or("", |s| s.as_str());
        *outcome.events.entry((head.protocol, head.kind.as_str(), status)).or_default() += 1;
        assert!(head.kind != Kind::Summary);
    }
    host.arena.clear();
}

/// Our name for tshark's protocol, if there is a decoder.
fn ours(protocol: &str) -> Option<&'static str> {
    match protocol {
        "mysql" => Some("mysql"),
        "resp" => Some("redis"),
        "http" | "websocket" => Some("http"),
        _ => None,
    }
}

/// The connections in which tshark saw one of our protocols.
fn dissected(path: &Path) -> BTreeSet<(&'static str, Ends)> {
    let text = std::fs::read_to_string(path.with_extension("oracle.jsonl")).unwrap_or_default();
    let message = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let protocol = ours(line["proto"].as_str()?)?;
        line["tcp_stream"].as_u64()?;
        let end = |name: &str| Some(line[name].as_str()?.replace(['[', ']'], ""));
        Some((protocol, ends([end("src")?, end("dst")?])))
    };
    text.lines().filter_map(message).collect()
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng");
    let mut files: Vec<_> = files.filter(is_capture).collect();
    files.sort();
    files
}

#[test]
fn every_capture() {
    let Some(root) = shared_captures() else { return };
    let folders = std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    let mut folders: Vec<_> = folders.collect();
    folders.sort();
    for folder in folders {
        let mut totals: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        let (mut withdrawn, mut unrecognised) = (0, 0);
        for path in captures(&folder) {
            let outcome = play(&path);
            let claimed: BTreeSet<_> = outcome.claims.iter().cloned().collect();
            let expected = dissected(&path);
            for (name, _) in claimed.intersection(&expected) {
                totals.entry(name).or_default()[0] += 1;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            for (protocol, ends) in claimed.difference(&expected) {
                totals.entry(protocol).or_default()[1] += 1;
                println!("MORE {name} {protocol} {ends:?} {:?}", outcome.events);
            }
            for (protocol, ends) in expected.difference(&claimed) {
                totals.entry(protocol).or_default()[2] += 1;
                println!("LESS {name} {protocol} {ends:?} {:?}", outcome.events);
            }
            if outcome.counters.withdrawn > 0 {
                println!("WITHDRAWN {name} {} {:?}", outcome.counters.withdrawn, outcome.events);
            }
            withdrawn += outcome.counters.withdrawn;
            unrecognised += outcome.counters.unrecognised;
        }
        println!("FOLDER {} {totals:?} withdrawn {withdrawn} unrecognised {unrecognised}", folder.file_name().unwrap().display());
    }
}

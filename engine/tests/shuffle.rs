//! Shuffle invariance: a network card with several queues gives segments in another order, and the events are the same.
//!
//! Real captures, of each flow that begins with a SYN; segments are shuffled within windows of up to 16, SYN, FIN and RST in place, and
//! each keeps its own timestamp. Both orders go through the whole engine, with every plugin that the registry has: a new one needs captures
//! in a folder of its name.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test over known files: what is not as expected shall stop it"
)]

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sniff_x_capture::{Batch, open_file};
use sniff_x_engine::{Config, Control, Format, Input, Limits, Output, run};
use sniff_x_flow::Nanos;
use sniff_x_flow::packet::{FlowHasher, ParseOptions, Parsed, TcpFlags, parse};
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{Options, builtin, names};

/// Segments are not further than so many places from their own.
const WINDOW: u64 = 16;
/// Nor is a card's queue later than this, which is well below the time after which a hole is given up.
const LATE: u64 = 50_000_000;

struct Frame {
    time: Nanos,
    original_len: u32,
    bytes: Vec<u8>,
    /// It stays where it is: it begins or ends a connection.
    fixed: bool,
}

/// The TCP frames of flows that begin with a SYN, and their link type; none for a file that is not read, or has several link types.
fn frames(path: &Path) -> Option<(u32, Vec<Frame>)> {
    const IN_PLACE: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
    let hasher = FlowHasher::with_seed(1);
    let mut source = open_file(path).ok()?;
    let (mut frames, mut links, mut begun) = (Vec::new(), HashSet::new(), HashMap::new());
    loop {
        let lease = match source.next(Duration::ZERO).ok()? {
            Batch::Frames(lease) => lease,
            Batch::Idle => continue,
            Batch::End => break,
        };
        for frame in lease.frames() {
            let Parsed::Tcp(segment) = parse(&frame, &hasher) else { continue };
            let key = segment.packet.key;
            let first = segment.flags.syn() && !segment.flags.ack();
            if !*begun.entry(key).or_insert(first) {
                continue;
            }
            links.insert(frame.link_type);
            frames.push(Frame {
                time: frame.timestamp,
                original_len: frame.original_len,
                bytes: frame.bytes.to_vec(),
                fixed: segment.flags.any(IN_PLACE),
            });
        }
    }
    let link = links.iter().next().filter(|_| links.len() == 1)?;
    Some((u32::from(link.0), frames))
}

/// The order of the frames: each run between two that stay, and that do not span too much time, is shuffled.
fn order(frames: &[Frame], seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut keys, mut run, mut since) = (Vec::new(), 0u64, Nanos(0));
    for (at, frame) in (0u64..).zip(frames) {
        if frame.fixed || frame.time.0.abs_diff(since.0) > LATE {
            run += 1;
            since = frame.time;
        }
        keys.push((run, at + random() % WINDOW));
        run += u64::from(frame.fixed);
    }
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by_key(|&at| keys[at]);
    order
}

fn write(path: &Path, link: u32, frames: &[Frame], order: &[usize]) {
    let mut out = Vec::new();
    out.extend(0xa1b2_3c4d_u32.to_le_bytes());
    out.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    out.extend(link.to_le_bytes());
    for frame in order.iter().map(|&at| &frames[at]) {
        let (seconds, nanos) = (frame.time.0 / Nanos::SECOND, frame.time.0 % Nanos::SECOND);
        for word in [seconds, nanos, frame.bytes.len() as u64, u64::from(frame.original_len)] {
            out.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        out.extend(&frame.bytes);
    }
    std::fs::write(path, out).unwrap();
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the `tcp` plugin tells of the order itself: segments that came late, the first one behind the SYN-ACK, windows as they closed and
/// opened. All else must be the same.
const OF_THE_ORDER: &[&str] = &["out_of_order_packets", "syn_ack_to_ack_ns", "window_stalls", "stalled_ns"];

/// The plugin's events of a file, sorted: what order connections come in is not the same. Of `tcp` the manifest of its dump, too, which
/// has the checksums of the bytes.
fn events(path: &Path, name: &str) -> Vec<String> {
    let mut plugin = builtin(name).unwrap();
    let dump = (name == "tcp").then(|| tempfile::tempdir().unwrap());
    let mut options = Options::default();
    if let Some(folder) = &dump {
        options.push("dump", folder.path().to_str().unwrap());
    }
    plugin.configure(&options).unwrap();
    let out = Shared::default();
    let config = Config {
        input: Input::File(path.to_owned()),
        plugins: vec![plugin.into()],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: ParseOptions::default(),
        threads: 1,
        output: Output {
            format: Format::Json,
            to: Box::new(out.clone()),
            is_abandoned: Box::new(|| false),
            count: None,
        },
        write: None,
        dump: dump.as_ref().map(|folder| folder.path().to_owned()),
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    };
    run(config, &Control::default(), |_| {}).unwrap();
    let mut text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    if let Some(folder) = &dump {
        text += &std::fs::read_to_string(folder.path().join("manifest.jsonl")).unwrap();
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if dump.is_some() {
        lines.iter_mut().for_each(|line| *line = without(line, OF_THE_ORDER));
    }
    lines.sort();
    lines
}

/// An event without the members whose names end so.
fn without(line: &str, ends: &[&str]) -> String {
    let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    event.retain(|key, _| !ends.iter().any(|end| key.ends_with(end)));
    serde_json::Value::Object(event).to_string()
}

/// The folders of captures that a plugin is shown.
fn folders(plugin: &'static str) -> Vec<&'static str> {
    match plugin {
        "http" => vec!["http1"],
        "tcp" => vec!["reassembly", "mysql", "redis", "http1", "postgresql"],
        _ => vec![plugin],
    }
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        matches!(path.extension().and_then(|e| e.to_str()), Some("pcap" | "pcapng" | "cap" | "dmp"))
    });
    files.sort();
    files
}

/// Captured twice: which sight is the first one, and so the time, depends on the order.
const TWICE: &str = "each segment is captured twice, at two times: the first sight tells the time";

/// The FINs lie behind a hole: which segment gives it up, and so ends the connection, depends on the order.
const BEHIND_THE_END: &str = "segments behind the end of a connection are not counted as its own";
/// The capture ends before the connection does.
const CUT_OFF: &str =
    "a segment that comes late is taken to be seen when the latest of all was: the duration is longer";

/// Captures whose events depend on the order, and why. One that does not any more fails the test, too.
const KNOWN: &[(&str, &str)] = &[
    (
        "tcp reassembly/suricata-verify__eve-overlap-payload-01--tcp-overlap.pcap",
        "of conflicting bytes the first count",
    ),
    ("tcp reassembly/tcpflow__jpegs.cap", BEHIND_THE_END),
    ("tcp reassembly/zeek__reassembly.pcap", BEHIND_THE_END),
    ("tcp http1/PcapPlusPlus__example.pcap", CUT_OFF),
    ("tcp http1/nDPI__http_connect.pcap", CUT_OFF),
    ("tcp http1/percona-toolkit__http_tcpdump002.pcap", CUT_OFF),
    ("tcp http1/zeek__dce-rpc-mapi.pcap", CUT_OFF),
    ("tcp http1/zeek__workshop_2011_browse.pcap", CUT_OFF),
    (
        "mysql mysql/arkime__no-syn-ack.pcap",
        "without a SYN-ACK the server's stream begins with what comes first",
    ),
    ("mysql mysql/zeek__mysql8-navicat-login-failed.pcap", TWICE),
    ("http http1/arkime__http-post-upload.pcap", TWICE),
    ("http http1/zeek__ctu-62604-80.pcap", TWICE),
    ("http http1/zeek__m57-long-49583-80.pcap", TWICE),
    ("http http1/zeek__vnd.ms-cab-compressed-multi-conn.pcap", TWICE),
    (
        "redis redis/zeek__attr.pcap",
        "the server answers before it acknowledges the request: no number tells which was first",
    ),
];

#[test]
fn events_do_not_depend_on_the_order_of_segments() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !folder.is_dir() {
        println!("skipped: ../shared/captures is not here");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("shuffled.pcap");
    let (mut compared, mut moved, mut differ) = (0, 0, Vec::new());
    let pairs = names().flat_map(|plugin| folders(plugin).into_iter().map(move |sub| (sub, plugin)));
    for (sub, plugin) in pairs {
        let files = captures(&folder.join(sub));
        assert!(!files.is_empty(), "plugin '{plugin}' has no captures in '{sub}'");
        for capture in files {
            let Some((link, frames)) = frames(&capture) else { continue };
            if frames.len() < 5 || frames.len() > 20_000 {
                continue;
            }
            let name = format!("{plugin} {sub}/{}", capture.file_name().unwrap().display());
            let in_order: Vec<usize> = (0..frames.len()).collect();
            write(&path, link, &frames, &in_order);
            let expected = events(&path, plugin);
            for seed in 1..=4 {
                let order = order(&frames, seed);
                moved += order.iter().zip(&in_order).filter(|(a, b)| a != b).count();
                write(&path, link, &frames, &order);
                let told = events(&path, plugin);
                compared += expected.len();
                if told != expected {
                    let missing = expected.iter().find(|line| !told.contains(line));
                    let more = told.iter().find(|line| !expected.contains(line));
                    differ.push(format!("{name} seed {seed}:\n  - {missing:?}\n  + {more:?}"));
                    break;
                }
            }
        }
    }
    println!("{compared} events compared, {moved} segments moved, {} captures differ", differ.len());
    let unknown = differ.iter().filter(|d| !KNOWN.iter().any(|(name, _)| d.starts_with(name)));
    let stale = KNOWN.iter().filter(|(name, _)| !differ.iter().any(|d| d.starts_with(name)));
    let wrong: Vec<String> = unknown
        .cloned()
        .chain(stale.map(|(name, _)| format!("{name} does not depend on the order any more")))
        .collect();
    assert!(compared > 1000 && moved > 1000, "{compared} events, {moved} segments");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

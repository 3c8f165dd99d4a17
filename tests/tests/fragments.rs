//! A conversation with a MySQL server over a network that cuts packets into fragments is the same conversation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sniff_x_tests::binary::Capture;
use sniff_x_tests::fragments::{cut_and_shuffle, to_v6};
use sniff_x_tests::frames::{self, Timed};
use sniff_x_tests::netns::{IFACE, Net};
use sniff_x_tests::{binary, has_program, is_root, live, root, shared_captures};

/// The frames of any capture file.
fn read(path: &Path) -> Vec<Timed> {
    let folder = tempfile::tempdir().unwrap();
    let same = folder.path().join("same.pcapng");
    assert!(binary::run([Path::new("--read"), path, Path::new("--write"), &same]).status.success());
    frames::read(&same)
}

/// The events of a capture, sorted (several workers write in any order), and the counters.
fn decoded(
    folder: &Path,
    frames: &[Timed],
    threads: &str,
    more: &[&str],
) -> (Vec<String>, BTreeMap<String, u64>) {
    by("mysql", folder, frames, threads, more)
}

fn by(
    plugin: &str,
    folder: &Path,
    frames: &[Timed],
    threads: &str,
    more: &[&str],
) -> (Vec<String>, BTreeMap<String, u64>) {
    let (capture, stats) = (folder.join("capture.pcap"), folder.join("stats.json"));
    frames::write(&capture, 1, frames);
    let mut args = vec!["--read", capture.to_str().unwrap(), "--threads", threads];
    args.extend(["--stats-file", stats.to_str().unwrap()]);
    args.extend(more);
    args.push(plugin);
    let mut events: Vec<String> = binary::events(args).iter().map(Value::to_string).collect();
    events.sort();
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let counters = stats["counters"].as_object().unwrap();
    (events, counters.iter().map(|(name, value)| (name.clone(), value.as_u64().unwrap())).collect())
}

#[test]
fn the_events_of_a_conversation_in_fragments_are_those_of_the_whole_one() {
    // TCP's header in one fragment; of 68 bytes, as small as a network may be; 8 bytes of payload each, so that TCP's header is in several.
    same_in_fragments(&root().join("tests/captures/mysql-mariadb.pcapng"), &[120, 68, 28]);
    let Some(captures) = shared_captures() else { return };
    let status = "mysql/zeek__mysql-show-engine-innodb-status-no-password.pcap";
    same_in_fragments(&captures.join(status), &[576, 68]);
}

/// `mtus` as for IPv4: IPv6 gets as much payload.
fn same_in_fragments(capture: &Path, mtus: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let v4 = read(capture);
    let v6: Vec<_> = v4.iter().map(|f| Timed { time: f.time, bytes: to_v6(&f.bytes) }).collect();
    for (frames, more) in [(&v4, 0), (&v6, 28)] {
        let (expected, whole) = decoded(folder.path(), frames, "1", &[]);
        assert!(!expected.is_empty() && whole["packets.fragments"] == 0);
        for mtu in mtus {
            let cut = cut_and_shuffle(frames, mtu + more);
            for threads in ["1", "4", "6"] {
                let (events, counters) = decoded(folder.path(), &cut, threads, &[]);
                eprintln!(
                    "MTU {mtu}: {} datagrams in {} fragments",
                    counters["fragments.reassembled"], counters["packets.fragments"]
                );
                assert!(counters["fragments.reassembled"] > 0);
                assert_eq!(counters["tcp.segments"], whole["tcp.segments"]);
                assert_eq!(events.len(), expected.len());
                for (ours, theirs) in events.iter().zip(&expected) {
                    assert_eq!(ours, theirs, "MTU {mtu}, {threads} threads");
                }
                for lost in ["waiting", "void", "timed_out", "overlapping", "limit", "malformed", "refused"] {
                    assert_eq!(counters[&format!("fragments.{lost}")], 0, "{lost}");
                }
            }
        }
    }
}

/// What is lost is a number, and a number that is too small says so.
#[test]
fn limits_are_options_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let frames = read(&root().join("tests/captures/mysql-mariadb.pcapng"));
    let cut = cut_and_shuffle(&frames, 68);
    let (_, counters) = decoded(folder.path(), &cut, "1", &["--max-fragmented", "1"]);
    assert!(counters["fragments.limit"] > 10, "two datagrams' fragments are mixed: {counters:?}");
    // Every datagram that was cut lacks its first fragment.
    let headless: Vec<_> = cut.into_iter().filter(|f| f.bytes[20..22] != [0x20, 0]).collect();
    let (_, counters) = decoded(folder.path(), &headless, "1", &["--fragment-timeout", "1"]);
    assert_eq!(counters["fragments.reassembled"], 0);
    assert!(counters["fragments.timed_out"] + counters["fragments.waiting"] > 10, "{counters:?}");
}

/// A rule is asked of what was put together.
#[test]
fn fragments_of_other_flows_are_filtered_once_they_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let frames = read(&root().join("tests/captures/mysql-mariadb.pcapng"));
    let cut = cut_and_shuffle(&frames, 68);
    let capture = folder.path().join("capture.pcap");
    frames::write(&capture, 1, &cut);
    let stats = folder.path().join("stats.json");
    let args =
        ["--read", capture.to_str().unwrap(), "--stats-file", stats.to_str().unwrap(), "mysql", "-p", "3307"];
    assert!(binary::events(args).is_empty());
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let counters = &stats["counters"];
    assert!(counters["fragments.reassembled"].as_u64().unwrap() > 10);
    assert_eq!(counters["fragments.filtered_datagrams"], counters["fragments.reassembled"]);
    assert_eq!(counters["tcp.segments"], 0);
}

/// What stays the same when frames are sent again at another time, sorted; of the `tcp` plugin's events what does not tell of the order, either,
/// in which packets came.
fn timeless(events: &[Value]) -> Vec<String> {
    const OF_TCP: &[&str] = &["client.port", "status", "sniffx.to_server.bytes", "sniffx.to_client.bytes"];
    let mut events: Vec<String> = events
        .iter()
        .map(|event| {
            let mut event = event.clone();
            let fields = event.as_object_mut().unwrap();
            let is_tcp = fields["protocol"] == "tcp";
            fields.retain(|key, _| key != "timestamp" && key != "duration_ns");
            fields.retain(|key, _| !is_tcp || OF_TCP.contains(&key.as_str()));
            event.to_string()
        })
        .collect();
    events.sort();
    events
}

/// Every second packet comes in fragments, the others whole: with a ring for each worker the kernel gives the fragments to one, the rest of the
/// flow to another. Between two rings the order of packets is not sure, so that it is the bytes of each connection that must be the same.
#[test]
fn on_the_wire_fragments_find_the_rest_of_their_flow() {
    if !is_root() || !has_program("ip", "iproute2") || !has_program("python3", "python3") {
        return;
    }
    live("fragments");
    let folder = tempfile::tempdir().unwrap();
    let (file, stats) = (folder.path().join("cut.pcap"), folder.path().join("stats.json"));
    let v4 = read(&root().join("tests/captures/mysql-mariadb.pcapng"));
    let v6: Vec<_> = v4.iter().map(|f| Timed { time: f.time, bytes: to_v6(&f.bytes) }).collect();
    let mut handed_over = 0;
    for (frames, mtu) in [(&v4, 120), (&v6, 148)] {
        for (threads, plugin) in [("1", "mysql"), ("2", "tcp"), ("3", "tcp"), ("4", "tcp")] {
            let (events, whole) = by(plugin, folder.path(), frames, "1", &[]);
            let expected: Vec<Value> =
                events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
            frames::write(&file, 1, &cut_and_shuffle(frames, mtu));
            let net = Net::new();
            let mut command = net.on_server(binary::path());
            command.args([
                "--iface",
                IFACE,
                "--threads",
                threads,
                "--ring-size",
                "8M",
                "--format",
                "json",
                "-v",
            ]);
            command.arg("--stats-file").arg(&stats).args([plugin, "-p", "3306"]);
            let capture = Capture::start(command);
            let script = root().join("tests/scripts/send.py");
            assert!(net.on_client("python3").arg(script).arg(&file).arg(IFACE).status().unwrap().success());
            let (events, said, status) = capture.stop();
            assert!(status.success(), "{said}");
            let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
            let count = |name: &str| stats["counters"][name].as_u64().unwrap();
            eprintln!(
                "{threads} threads: {} datagrams, {} handed over, {} unplaced",
                count("fragments.reassembled"),
                count("fragments.handed_over_datagrams"),
                count("fragments.unplaced_datagrams")
            );
            assert_eq!(count("tcp.segments"), whole["tcp.segments"], "{stats:#}");
            assert_eq!(timeless(&events), timeless(&expected), "{threads} threads: {said}");
            handed_over += count("fragments.handed_over_datagrams");
        }
    }
    assert!(handed_over > 0, "no flow of three, in four ways, has its fragments in another ring");
}

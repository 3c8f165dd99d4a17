//! A conversation with a MySQL server over a network that cuts packets into fragments is the same conversation.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sniff_x_tests::fragments::{Captured, cut_and_shuffle, pcap, read, to_v6};
use sniff_x_tests::{binary, root, shared_captures};

/// The events of a capture, sorted (several workers write in any order), and the counters.
fn decoded(folder: &Path, frames: &[Captured], threads: &str, more: &[&str]) -> (Vec<String>, BTreeMap<String, u64>) {
    let (capture, stats) = (folder.join("capture.pcap"), folder.join("stats.json"));
    std::fs::write(&capture, pcap(frames)).unwrap();
    let mut args = vec!["--read", capture.to_str().unwrap(), "--threads", threads];
    args.extend(["--stats-file", stats.to_str().unwrap()]);
    args.extend(more);
    args.push("mysql");
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
    let v6: Vec<_> = v4.iter().map(|f| Captured { time: f.time, bytes: to_v6(&f.bytes) }).collect();
    for (frames, more) in [(&v4, 0), (&v6, 28)] {
        let (expected, whole) = decoded(folder.path(), frames, "1", &[]);
        assert!(!expected.is_empty() && whole["packets.fragments"] == 0);
        for mtu in mtus {
            let cut = cut_and_shuffle(frames, mtu + more);
            for threads in ["1", "4"] {
                let (events, counters) = decoded(folder.path(), &cut, threads, &[]);
                eprintln!("MTU {mtu}: {} datagrams in {} fragments", counters["fragments.reassembled"], counters["packets.fragments"]);
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
    std::fs::write(&capture, pcap(&cut)).unwrap();
    let stats = folder.path().join("stats.json");
    let args = ["--read", capture.to_str().unwrap(), "--stats-file", stats.to_str().unwrap(), "mysql", "-p", "3307"];
    assert!(binary::events(args).is_empty());
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let counters = &stats["counters"];
    assert!(counters["fragments.reassembled"].as_u64().unwrap() > 10);
    assert_eq!(counters["fragments.filtered_datagrams"], counters["fragments.reassembled"]);
    assert_eq!(counters["tcp.segments"], 0);
}

//! The `tcp` plugin on captures of our own, through the real program: what is dumped is what was said.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test over files of its own making may panic"
)]

mod pcap;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The file without its `n`th frame.
fn without(file: &[u8], n: usize) -> Vec<u8> {
    let mut at = 24;
    for left in (0..=n).rev() {
        let len = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize + 16;
        if left == 0 {
            return [&file[..at], &file[at + len..]].concat();
        }
        at += len;
    }
    unreachable!()
}

/// The events of a run over `capture`.
fn run(folder: &Path, capture: &[u8], options: &[&str]) -> Vec<Value> {
    fs::write(folder.join("a.pcap"), capture).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sniff-x"))
        .current_dir(folder)
        .args(["--read", "a.pcap", "--format", "json", "-q", "tcp"])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const TALK: &[(bool, &[u8])] =
    &[(true, b"hello"), (false, b"world"), (true, b"lost on the way"), (true, b"again"), (false, b"!")];
/// `printf hello | sha256sum`
const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn the_dump_is_what_was_said_and_the_manifest_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let capture = without(&pcap::file(TALK), 4);
    let events = run(folder.path(), &capture, &["--dump", "streams"]);
    let summary = &events[0];
    let streams = folder.path().join("streams");
    let file = |key| fs::read(streams.join(summary[key].as_str().unwrap())).unwrap();
    assert_eq!(file("sniffx.to_server.file"), b"helloagain");
    assert_eq!(file("sniffx.to_client.file"), b"world!");
    let manifest = lines(&fs::read(streams.join("manifest.jsonl")).unwrap());
    assert_eq!(manifest.len(), 2);
    for (line, way, bytes, gap) in [
        (&manifest[0], "to_server", 10, json!([{"offset": 5, "length": 15}])),
        (&manifest[1], "to_client", 6, json!([])),
    ] {
        assert_eq!(line["direction"], way);
        assert_eq!(line["file"], summary[format!("sniffx.{way}.file").as_str()]);
        assert_eq!((&line["bytes"], &line["gaps"]), (&json!(bytes), &gap));
        assert_eq!(line["client.address"], "10.0.0.1");
        assert_eq!(line["server.port"], 4000);
        assert_eq!(line["timestamp"], "2026-03-01T10:00:00.000000000Z");
        let sum = Command::new("sha256sum").arg(streams.join(line["file"].as_str().unwrap())).output();
        if let Ok(sum) = sum {
            let sum = String::from_utf8(sum.stdout).unwrap();
            assert_eq!(line["sha256"].as_str(), sum.split(' ').next());
        }
    }
    // A second run into the same folder begins anew.
    run(folder.path(), &pcap::file(&[(true, b"hello")]), &["--dump", "streams"]);
    let manifest = lines(&fs::read(streams.join("manifest.jsonl")).unwrap());
    assert_eq!(manifest.len(), 1);
    assert_eq!(manifest[0]["sha256"], HELLO_SHA256);
}

#[test]
fn a_direction_of_gaps_alone_has_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let capture = without(&pcap::file(&[(true, b"hello"), (false, b"world")]), 2);
    run(folder.path(), &capture, &["--dump", "streams"]);
    let manifest = lines(&fs::read(folder.path().join("streams/manifest.jsonl")).unwrap());
    let lost = manifest.iter().find(|line| line["direction"] == "to_server").unwrap();
    assert_eq!((&lost["file"], &lost["gaps"]), (&Value::Null, &json!([{"offset": 0, "length": 5}])));
}

#[test]
fn connections_with_fewer_bytes_leave_no_summary_and_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let capture = pcap::file(&[(true, b"hello"), (false, b"world")]);
    for (least, kept) in [("10", 1), ("11", 0)] {
        let name = format!("streams{least}");
        let events = run(folder.path(), &capture, &["--dump", &name, "--min-bytes", least]);
        assert_eq!(events.len(), kept);
        // Two directions and the manifest.
        assert_eq!(fs::read_dir(folder.path().join(&name)).unwrap().count(), 2 * kept + 1);
        let manifest = lines(&fs::read(folder.path().join(&name).join("manifest.jsonl")).unwrap());
        assert_eq!(manifest.len(), 2 * kept);
    }
}

#[test]
fn the_handshake_s_round_trip_and_the_content_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let capture = pcap::file(&[(true, b"hello"), (false, b"wor\xffld")]);
    let events = run(folder.path(), &capture, &["--content", "text"]);
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["sniffx.tcp.content"], "hello");
    assert_eq!(events[0]["sniffx.tcp.direction"], "to_server");
    assert_eq!(events[1]["sniffx.tcp.content"], "wor\\xffld");
    let summary = &events[2];
    // The frames are a millisecond apart.
    assert_eq!(summary["sniffx.tcp.syn_to_syn_ack_ns"], 1_000_000);
    assert_eq!(summary["sniffx.tcp.syn_ack_to_ack_ns"], 1_000_000);
    assert_eq!(summary["sniffx.to_server.window_stalls"], 0);
    let events = run(folder.path(), &capture, &["--content", "hex"]);
    assert_eq!(events[1]["sniffx.tcp.content"], "776f72ff6c64");
}

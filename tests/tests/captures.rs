//! `--read` on captures: the one in the project against its golden, real ones from outside against two reference reassemblers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sniff_x_tests::{binary, root, shared_captures};

/// Compares with a golden file; `UPDATE_GOLDENS=1` rewrites it instead (read the diff before you commit it).
fn golden(name: &str, actual: &str) {
    let path = root().join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name} differs; UPDATE_GOLDENS=1 rewrites it:\n{actual}");
}

/// The golden was accepted against the clients' own logs: the recording is the traffic of `live_mysql.rs`.
#[test]
fn the_capture_of_the_readme_decodes_to_its_golden() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    for (format, name) in [("json", "mysql-mariadb.jsonl"), ("text", "mysql-mariadb.txt")] {
        let output = binary::run(["--format", format, "--read", capture.to_str().unwrap(), "mysql"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        golden(name, &String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn more_workers_give_the_same_events() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    let run = |threads: &str| {
        let mut events = binary::events(["--threads", threads, "--read", capture.to_str().unwrap(), "mysql"]);
        // Order holds within a connection, not between them.
        events.sort_by_key(|e| e["client.port"].as_u64());
        events
    };
    let one = run("1");
    assert!(!one.is_empty());
    assert_eq!(one, run("3"));
}

#[test]
fn a_filter_selects_connections() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    let all = binary::events(["--read", capture.to_str().unwrap(), "mysql"]);
    let port = all[0]["client.port"].as_u64().unwrap();
    let filter = format!("tcp port {port}");
    let some = binary::events(["--filter", &filter, "--read", capture.to_str().unwrap(), "mysql"]);
    let wanted: Vec<_> = all.iter().filter(|e| e["client.port"] == port).cloned().collect();
    assert!(wanted.len() < all.len());
    assert_eq!(some, wanted);
}

/// One direction of one stream as `streams2.tsv` gives it: sender, bytes, SHA-256 of the first-wins bytes.
struct Reference {
    stream: u64,
    sender: String,
    bytes: u64,
    sha256: String,
    gaps: String,
}

fn references(tsv: &Path) -> Vec<Reference> {
    let text = std::fs::read_to_string(tsv).unwrap_or_default();
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row.last() == Some(&"agree"))
        .map(|row| Reference {
            stream: row[0].parse().unwrap(),
            // The event's address of a mapped IPv6 packet is IPv4's.
            sender: row[2].replace("::ffff:", "").replace(['[', ']'], ""),
            bytes: row[3].parse().unwrap(),
            sha256: row[4].to_owned(),
            gaps: row[7].to_owned(),
        })
        .collect()
}

/// `tcp --dump` over every capture of some folders: each stream that both reference reassemblers agree on comes out byte for byte.
#[test]
fn dumped_streams_are_those_of_two_reference_reassemblers() {
    let Some(captures) = shared_captures() else { return };
    let mut checked = 0;
    let mut wrong = Vec::new();
    for folder in ["mysql", "redis", "http1", "postgresql"] {
        for entry in std::fs::read_dir(captures.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !matches!(path.extension().and_then(|e| e.to_str()), Some("pcap" | "pcapng")) {
                continue;
            }
            let references = references(&path.with_extension("streams2.tsv"));
            if references.is_empty() {
                continue;
            }
            let dumped = dump(&path);
            for reference in &references {
                if reference.bytes == 0 || reference.gaps != "-" {
                    continue;
                }
                checked += 1;
                // A port may be used again: any of the tuple's streams may be the one.
                let of_sender = dumped.get(&reference.sender).map_or(&[][..], Vec::as_slice);
                if !of_sender.contains(&reference.sha256) {
                    wrong.push(format!(
                        "{} stream {} from {}",
                        path.display(),
                        reference.stream,
                        reference.sender
                    ));
                }
            }
        }
    }
    assert!(checked > 300, "only {checked} streams checked");
    let known = KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    wrong.retain(|w| !known.iter().any(|k| w.contains(k)));
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Captures whose streams lie deeper than sniff-x looks yet.
const KNOWN: &[(&str, &str)] = &[("nDPI__http_origin_different_than_host", "inside a GTP-U tunnel")];

/// The SHA-256 of every stream that `tcp --dump` writes, by the sender's `address:port`.
fn dump(capture: &Path) -> BTreeMap<String, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--read", capture.to_str().unwrap(), "tcp", "--dump", folder.path().to_str().unwrap()];
    let events = binary::events(args);
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in &events {
        for (file, address, port) in [
            ("sniffx.to_server.file", "client.address", "client.port"),
            ("sniffx.to_client.file", "server.address", "server.port"),
        ] {
            if let Some(Value::String(file)) = event.get(file) {
                let address = event[address].as_str().unwrap();
                let path: PathBuf = folder.path().join(file);
                streams.entry(format!("{address}:{}", event[port])).or_default().push(sha256(&path));
            }
        }
    }
    streams
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

//! `tcp --dump` over real captures, through the real program: each direction of each stream against tshark's follow and a second
//! reassembler, where those two agree with each other.
//!
//! `NAME.streams2.tsv` beside a capture has the bytes of each direction without its gaps (their number, and their SHA-256, the first of
//! conflicting bytes winning), the gaps, and whether the two agree. All three must be the file's and the manifest's. What differs is listed
//! in `KNOWN` with its reason, and has to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test over known files: what is not as expected shall stop it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sniff_x_tests::{binary, shared_captures};

/// What one direction carried.
struct Carried {
    bytes: u64,
    sha256: String,
    gaps: String,
}

/// A connection that was dumped: its directions by their senders.
type Connection = BTreeMap<String, Carried>;

/// A direction as the references have it.
struct Row {
    sender: String,
    carried: Carried,
    agree: bool,
}

/// The references' streams, in order, both directions of each.
fn references(tsv: &Path) -> Vec<[Row; 2]> {
    let mut streams: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for line in fs::read_to_string(tsv).unwrap().lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [stream, _, sender, bytes, sha256, _, _, gaps, agree] = columns[..] else { panic!("{line}") };
        // A mapped address is the IPv4 address that it stands for.
        let mapped = sender.strip_prefix("[::ffff:").map(|sender| sender.replacen(']', "", 1));
        streams.entry(stream.parse().unwrap()).or_default().push(Row {
            sender: mapped.unwrap_or_else(|| sender.to_owned()),
            carried: Carried {
                bytes: bytes.parse().unwrap(),
                sha256: sha256.to_owned(),
                gaps: gaps.to_owned(),
            },
            agree: agree == "agree",
        });
    }
    streams.into_values().filter_map(|rows| rows.try_into().ok()).collect()
}

fn sorted(mut ends: [String; 2]) -> [String; 2] {
    ends.sort();
    ends
}

/// The connections that `tcp --dump` wrote, by their ends, in the order of their first packets.
fn dump(capture: &Path, option: Option<&str>) -> BTreeMap<[String; 2], Vec<Connection>> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let arguments =
        // The references know no time-outs.
        &["--threads", "1", "--idle-timeout", "4000000000", "--read", capture.to_str().unwrap(), "-q"];
    let output = binary::run(arguments.iter().copied().chain(option).chain(["tcp", "--dump", to]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Ends, time and serial number (of the first that has a file) of each connection: its directions stand one after the other.
    let mut connections: Vec<([String; 2], String, Option<u64>, Connection)> = Vec::new();
    for line in fs::read_to_string(folder.path().join("manifest.jsonl")).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let [client, server] = ["client", "server"].map(|end| {
            let address = line[format!("{end}.address")].as_str().unwrap();
            let port = &line[format!("{end}.port")];
            if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
        });
        let ends = sorted([client.clone(), server.clone()]);
        let name = line["file"].as_str();
        let file = name.map(|name| fs::read(folder.path().join(name)).unwrap()).unwrap_or_default();
        let serial = name.map(|name| name.split(['-', '.']).rev().nth(1).unwrap().parse().unwrap());
        assert_eq!(line["bytes"], file.len(), "{}: {line}", capture.display());
        let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(line["sha256"].as_str(), Some(&*sha256), "{}: {line}", capture.display());
        let carried = Carried { bytes: file.len() as u64, sha256, gaps: inner_gaps(&line) };
        let sender = if line["direction"] == "to_server" { client } else { server };
        let first_seen = line["timestamp"].as_str().unwrap().to_owned();
        match connections.last_mut() {
            Some((of, since, known, connection))
                if (&*of, &*since) == (&ends, &first_seen)
                    && (known.is_none() || serial.is_none() || *known == serial)
                    && !connection.contains_key(&sender) =>
            {
                *known = known.or(serial);
                connection.insert(sender, carried);
            }
            _ => connections.push((ends, first_seen, serial, Connection::from([(sender, carried)]))),
        }
    }
    // The references count no stream that has gaps alone.
    connections.retain(|(.., connection)| connection.values().any(|carried| carried.bytes > 0));
    connections.sort_by(|a, b| (&a.1, a.2).cmp(&(&b.1, b.2)));
    let mut by_ends: BTreeMap<_, Vec<Connection>> = BTreeMap::new();
    for (ends, _, _, connection) in connections {
        by_ends.entry(ends).or_default().push(connection);
    }
    by_ends
}

/// The references name no more gaps than these.
const NAMED_GAPS: usize = 20;

/// The gaps of a manifest's line as the references write them: those with bytes behind them (acknowledgements, and what the snap length
/// cut off the end, they take no note of), adjoining ones as one.
fn inner_gaps(line: &Value) -> String {
    let (mut told, mut gap_bytes): (Vec<(u64, u64)>, u64) = (Vec::new(), 0);
    for gap in line["gaps"].as_array().unwrap() {
        let (offset, length) = (gap["offset"].as_u64().unwrap(), gap["length"].as_u64().unwrap_or(0));
        if offset - gap_bytes < line["bytes"].as_u64().unwrap() && length > 0 {
            match told.last_mut() {
                Some(last) if last.0 + last.1 == offset => last.1 += length,
                _ => told.push((offset, length)),
            }
        }
        gap_bytes += length;
    }
    let told: Vec<String> = told.iter().take(NAMED_GAPS).map(|(at, len)| format!("@{at}+{len}")).collect();
    if told.is_empty() { "-".to_owned() } else { told.join(";") }
}

/// Compares one capture; gives how many directions were checked, and what differs.
fn compare(name: &str, capture: &Path, tsv: &Path) -> (usize, Vec<String>) {
    let option = OPTIONS.iter().find(|(.., names)| names.contains(&name)).map(|(_, option, _)| *option);
    let dumped = dump(capture, option);
    let (mut checked, mut differences) = (0, Vec::new());
    let mut next: BTreeMap<[String; 2], usize> = BTreeMap::new();
    for rows in references(tsv).iter().filter(|rows| rows.iter().any(|row| row.carried.bytes > 0)) {
        let ends = sorted([rows[0].sender.clone(), rows[1].sender.clone()]);
        let nth = next.entry(ends.clone()).or_default();
        let connection = dumped.get(&ends).and_then(|all| all.get(*nth));
        *nth += 1;
        for Row { sender, carried: expected, .. } in rows.iter().filter(|row| row.agree) {
            checked += 1;
            let carried = connection.and_then(|connection| connection.get(sender));
            let (bytes, gaps) = carried.map_or((0, "-"), |carried| (carried.bytes, &carried.gaps));
            let same = bytes == expected.bytes
                && (bytes == 0 || carried.is_some_and(|carried| carried.sha256 == expected.sha256))
                && (bytes == 0 || gaps == expected.gaps);
            if !same {
                differences.push(format!(
                    "{name} {sender} #{nth}: {bytes} bytes, gaps {gaps}; expected {}, gaps {}",
                    expected.bytes, expected.gaps
                ));
            }
        }
    }
    (checked, differences)
}

/// Captures that take an option, and why.
const OPTIONS: &[(&str, &str, &[&str])] = &[(
    "one direction is tagged, the other is not",
    "--merge-vlans",
    &[
        "mysql/deepflow__binary-in-sql.pcap",
        "reassembly/suricata-verify__bug-4376--syn_retransmit_with_ts.pcap",
    ],
)];

/// Captures that differ, and why. One that does not differ any more fails the test, too.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "the SYN-ACK tells the client's first number: the 45 bytes before the first that was captured are a gap",
        &["link/arkime__y2038-bgp.pcap"],
    ),
    (
        "a fragment overlaps another (frame 5, frame 3): the datagram is refused as a receiver should (RFC 5722), the references take it",
        &["link/zeek__ipv4-fragmented-4.pcap"],
    ),
    (
        "the client reset the connection and answers all that comes later with RST: its stream ended there",
        &["reassembly/tcpflow__bug6.pcap", "tls/zeek__heartbleed-encrypted-success.pcap"],
    ),
    (
        "fuzzed: frame 36 has every flag, RST among them; the references take what comes behind it for another connection",
        &["http2/suricata-verify__transform-base64-7296.pcap"],
    ),
    (
        "the only byte is a keep-alive probe: 169.254.255.66 answers it with a duplicate SACK",
        &["link/PcapPlusPlus__IgmpPackets.pcap"],
    ),
    (
        "a lone byte without PSH before all others is taken for a keep-alive probe",
        &[
            "http2/wireshark__grpc_web.pcapng",
            "link/zeek__tunnels-gre-aruba.pcap",
            "nasty/nDPI__ossfuzz_seed_fake_traces_1.pcapng",
        ],
    ),
    (
        "the references stop after the first exchange of 58449, of which the capture has two more (200 bytes) without a gap",
        &["nasty/tcpdump__of13_ericsson.pcapng"],
    ),
];

/// Folders of captures that have a reference.
const FOLDERS: &[&str] = &[
    "reassembly",
    "link",
    "nasty",
    "mysql",
    "postgresql",
    "redis",
    "mongodb",
    "memcached",
    "tds",
    "cassandra",
    "kafka",
    "amqp",
    "dns",
    "http1",
    "http2",
    "tls",
    "other",
];

#[test]
fn dumped_streams_are_those_of_two_reference_reassemblers() {
    let Some(captures) = shared_captures() else { return };
    let (mut checked, mut files, mut differences) = (0, 0, Vec::new());
    for folder in FOLDERS {
        let entries = fs::read_dir(captures.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut references: Vec<PathBuf> =
            entries.filter(|path| path.to_str().unwrap().ends_with(".streams2.tsv")).collect();
        references.sort();
        for reference in references {
            let stem = reference.to_str().unwrap().strip_suffix(".streams2.tsv").unwrap().to_owned();
            let mut kinds = ["pcap", "pcapng", "cap", "dmp"].iter().map(|kind| format!("{stem}.{kind}"));
            let Some(capture) = kinds.find(|file| Path::new(file).exists()) else { continue };
            let name = format!("{folder}/{}", Path::new(&capture).file_name().unwrap().display());
            let (rows, found) = compare(&name, Path::new(&capture), &reference);
            checked += rows;
            files += 1;
            differences.extend(found);
        }
    }
    println!("{checked} directions of {files} captures, {} differences", differences.len());
    let known = || KNOWN.iter().flat_map(|(_, names)| names.iter());
    let unknown = differences.iter().filter(|d| !known().any(|name| d.starts_with(name)));
    let stale = known().filter(|name| !differences.iter().any(|d| d.starts_with(*name)));
    let wrong: Vec<String> =
        unknown.cloned().chain(stale.map(|name| format!("{name} does not differ any more"))).collect();
    assert!(checked > 3000, "only {checked} directions");
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

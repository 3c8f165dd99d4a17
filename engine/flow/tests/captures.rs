//! Real captures: the bytes of every stream against two other reassemblers' (where those agree with each other).
//!
//! `NAME.streams2.tsv` beside a capture has, for each direction of each TCP stream, the number of bytes and the SHA-256 of the bytes
//! without gaps, the first of conflicting bytes winning. A difference that is known is listed in `KNOWN` with its reason.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test over known files: what is not as expected shall stop it"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};
use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use sniff_x_flow::packet::defragment::{DefragmentOptions, Defragmenter};
use sniff_x_flow::packet::{FlowHasher, ParseOptions, Parsed, Parser, Span};
use sniff_x_flow::{End, FlowInfo, Frame, Nanos};

/// What a connection's two ends got.
#[derive(Default)]
struct Connection {
    ends: [String; 2],
    bytes: [Vec<u8>; 2],
    gaps: [Vec<(usize, i64)>; 2],
    ended: Option<End>,
}

#[derive(Default)]
struct Collector(Vec<Connection>);

struct Index(usize);

impl StreamFactory for Collector {
    type Stream = Index;
    fn new_stream(&mut self, flow: &mut FlowInfo) -> Index {
        let ends = [flow.client().to_string(), flow.server().to_string()];
        self.0.push(Connection { ends, ..Connection::default() });
        Index(self.0.len() - 1)
    }
}

impl Stream<Collector> for Index {
    fn reassembled(&mut self, all: &mut Collector, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
        let connection = &mut all.0[self.0];
        for chunk in chunks {
            let way = chunk.direction.index();
            if chunk.skip != 0 {
                connection.gaps[way].push((connection.bytes[way].len(), chunk.skip));
            }
            connection.bytes[way].extend_from_slice(chunk.bytes);
        }
    }
    fn reassembly_complete(&mut self, all: &mut Collector, _: &FlowInfo, totals: &[Totals; 2], end: End) {
        let connection = &mut all.0[self.0];
        for way in [0, 1] {
            assert_eq!(totals[way].bytes, connection.bytes[way].len() as u64);
            let gaps: i64 = connection.gaps[way].iter().map(|g| g.1.max(0)).sum();
            assert_eq!(totals[way].gap_bytes, gaps.cast_unsigned());
        }
        connection.ended = Some(end);
    }
    fn idle(&mut self, _: &mut Collector, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        true
    }
}

fn part(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

fn assemble(records: &[support::Record]) -> Vec<Connection> {
    let parser = Parser::new(FlowHasher::with_seed(7), ParseOptions::default());
    let mut defragmenter = Defragmenter::new(DefragmentOptions::default());
    let mut assembler = Assembler::new(AssemblerOptions::default());
    let mut collector = Collector::default();
    for record in records {
        let (mut parsed, mut bytes) = (parser.parse(&record.frame()), record.bytes.clone());
        while let Parsed::Fragment(fragment) = parsed {
            let mut whole = Vec::new();
            let Some(reassembled) = defragmenter.add(&fragment, part(&bytes, fragment.payload), &mut whole)
            else {
                break;
            };
            bytes = whole;
            let frame = Frame { bytes: &bytes, original_len: reassembled.len, ..record.frame() };
            parsed = parser.parse_reassembled(&frame, &reassembled.first);
        }
        if let Parsed::Tcp(segment) = parsed {
            let payload = part(&bytes, segment.packet.payload);
            assembler.assemble(&mut collector, &segment, payload);
            assembler.advance(&mut collector, segment.packet.timestamp);
        }
    }
    assembler.flush_all(&mut collector);
    let counters = assembler.counters();
    assert_eq!((counters.pages, counters.open, counters.closed), (0, 0, 0));
    assert_eq!(counters.opened, counters.closed_all());
    assert!(collector.0.iter().all(|connection| connection.ended.is_some()));
    collector.0
}

/// One row of a reference.
struct Row {
    node: String,
    bytes: usize,
    sha256: String,
    gaps: String,
    agree: bool,
}

/// The reference's streams, in order, both directions of each.
fn reference(text: &str) -> Vec<[Row; 2]> {
    let mut streams: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [stream, _, node, bytes, sha256, _, _, gaps, agree] = columns[..] else { panic!("{line}") };
        streams.entry(stream.parse().unwrap()).or_default().push(Row {
            // Mapped addresses are shown as the IPv4 addresses that they are.
            node: node
                .strip_prefix("[::ffff:")
                .map_or_else(|| node.to_string(), |node| node.replacen(']', "", 1)),
            bytes: bytes.parse().unwrap(),
            sha256: sha256.to_string(),
            gaps: gaps.to_string(),
            agree: agree == "agree",
        });
    }
    streams.into_values().filter_map(|rows| rows.try_into().ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The reference names no more gaps than these.
const NAMED_GAPS: usize = 20;

/// Gaps as the reference writes them: by offset in the stream, gaps included; only those with bytes behind them (it takes
/// no note of acknowledgements, nor of what the snap length cut off the end).
fn inner_gaps(gaps: &[(usize, i64)], len: usize) -> String {
    let mut merged: BTreeMap<usize, i64> = BTreeMap::new();
    for &(at, missing) in gaps.iter().filter(|gap| gap.1 > 0 && gap.0 < len) {
        *merged.entry(at).or_default() += missing;
    }
    let mut before = 0;
    let told = merged.into_iter().map(|(at, missing)| {
        let told = format!("@{}+{missing}", at + before);
        before += usize::try_from(missing).unwrap();
        told
    });
    let told = told.take(NAMED_GAPS).collect::<Vec<_>>().join(";");
    if told.is_empty() { "-".to_string() } else { told }
}

fn sorted(mut ends: [String; 2]) -> [String; 2] {
    ends.sort();
    ends
}

/// Compares one capture; gives how many directions were checked, and what differs.
fn compare(name: &str, capture: &[u8], text: &str) -> (usize, Vec<String>) {
    let Some(records) = support::read(capture) else { return (0, Vec::new()) };
    let ours = assemble(&records);
    let mut by_ends: BTreeMap<[String; 2], Vec<&Connection>> = BTreeMap::new();
    for connection in ours.iter().filter(|c| c.bytes.iter().any(|b| !b.is_empty())) {
        by_ends.entry(sorted(connection.ends.clone())).or_default().push(connection);
    }
    let mut differences = Vec::new();
    let mut checked = 0;
    let mut next: BTreeMap<[String; 2], usize> = BTreeMap::new();
    for rows in reference(text).iter().filter(|rows| rows.iter().any(|row| row.bytes > 0)) {
        let ends = sorted([rows[0].node.clone(), rows[1].node.clone()]);
        let nth = next.entry(ends.clone()).or_default();
        let connection = by_ends.get(&ends).and_then(|all| all.get(*nth));
        *nth += 1;
        for row in rows.iter().filter(|row| row.agree) {
            checked += 1;
            let empty = Vec::new();
            let (bytes, gaps) = connection.map_or((&empty, &[][..]), |c| {
                let way = usize::from(c.ends[0] != row.node);
                (&c.bytes[way], &c.gaps[way][..])
            });
            let told = inner_gaps(gaps, bytes.len());
            let same = bytes.len() == row.bytes
                && (row.bytes == 0 || hex(bytes) == row.sha256)
                && (row.bytes == 0 || told == row.gaps);
            if !same {
                differences.push(format!(
                    "{name} {} #{nth}: {} bytes, gaps {told}; expected {}, gaps {}",
                    row.node,
                    bytes.len(),
                    row.bytes,
                    row.gaps
                ));
            }
        }
    }
    (checked, differences)
}

/// Captures that differ from the reference, and why. One that does not differ any more fails the test, too.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "a fragment overlaps another (frame 5, frame 3): the datagram is refused as a receiver should (RFC 5722), the reference takes it",
        &["link/zeek__ipv4-fragmented-4.pcap"],
    ),
    (
        "one direction is tagged, the other is not: the VLAN is part of the flow, so that these are two flows",
        &[
            "mysql/deepflow__binary-in-sql.pcap",
            "reassembly/suricata-verify__bug-4376--syn_retransmit_with_ts.pcap",
        ],
    ),
    (
        "the client reset the connection and answers all that comes later with RST: its stream ended there",
        &["reassembly/tcpflow__bug6.pcap", "tls/zeek__heartbleed-encrypted-success.pcap"],
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
    (
        "fuzzed: times jump by hours, so that the connection idles out in between",
        &["http2/suricata-verify__transform-base64-7296.pcap"],
    ),
    (
        "the SYN-ACK tells the client's first number: the 45 bytes before the first that was captured are a gap",
        &["link/arkime__y2038-bgp.pcap"],
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
fn streams_are_byte_for_byte_those_of_two_other_reassemblers() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let (mut checked, mut files, mut differences) = (0, 0, Vec::new());
    for sub in FOLDERS {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.join(sub)).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        names.sort();
        for path in names {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            let reference = path.with_extension("streams2.tsv");
            if !matches!(extension, "pcap" | "pcapng" | "cap" | "dmp") || !reference.exists() {
                continue;
            }
            let name = format!("{sub}/{}", Path::new(path.file_name().unwrap()).display());
            let text = std::fs::read_to_string(reference).unwrap();
            let (rows, found) = compare(&name, &std::fs::read(&path).unwrap(), &text);
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
    assert!(checked > 3000, "{checked} directions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every capture file there is, sorted.
fn all(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => files.extend(all(&path)),
            Some("pcap" | "pcapng" | "cap" | "dmp") => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

/// Up to where a direction was told, gaps included.
fn reach(connection: &Connection, way: usize) -> i64 {
    connection.bytes[way].len() as i64 + connection.gaps[way].iter().map(|gap| gap.1.max(0)).sum::<i64>()
}

/// Above the longest headers of the captures: GENEVE with 200 bytes of options.
const SNAP_LENGTH: usize = 360;

/// Every capture of the folder, whole and as a snap length would have it: nothing panics, and what was cut is a gap
/// of exactly its size.
#[test]
fn what_the_snap_length_cuts_is_a_gap() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let mut directions = 0;
    for path in all(&folder) {
        let Some(mut records) = support::read(&std::fs::read(&path).unwrap()) else { continue };
        let whole = assemble(&records);
        for record in &mut records {
            record.bytes.truncate(SNAP_LENGTH);
        }
        let cut = assemble(&records);
        assert_eq!(whole.len(), cut.len(), "{}", path.display());
        for (whole, cut) in whole.iter().zip(&cut) {
            for way in [0, 1] {
                directions += 1;
                assert_eq!(reach(whole, way), reach(cut, way), "{} {:?} {way}", path.display(), whole.ends);
            }
        }
    }
    assert!(directions > 5000, "{directions}");
}

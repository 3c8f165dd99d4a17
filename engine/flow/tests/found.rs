//! Real captures: the pairs of ends whose TCP segments are found, against tshark's streams (`NAME.streams2.tsv` beside a capture), behind
//! whatever link headers and tunnels they are.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test over known files: what is not as expected shall stop it"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use sniff_x_flow::Side;
use sniff_x_flow::packet::{FlowHasher, ParseOptions, Parsed, Parser, parse};

type Pairs = BTreeSet<[String; 2]>;

fn pair(mut ends: [String; 2]) -> [String; 2] {
    ends.sort();
    ends
}

fn ours(capture: &[u8]) -> Option<Pairs> {
    let hasher = FlowHasher::with_seed(7);
    let keys =
        support::read(capture)?.into_iter().filter_map(|record| match parse(&record.frame(), &hasher) {
            Parsed::Tcp(segment) => Some(segment.packet.key),
            _ => None,
        });
    Some(keys.map(|key| pair([Side::Low, Side::High].map(|side| key.endpoint(side).to_string()))).collect())
}

fn theirs(text: &str) -> Pairs {
    let nodes = text.lines().skip(1).filter_map(|line| line.split('\t').nth(2)).map(|node| {
        // Mapped addresses are shown as the IPv4 addresses that they are.
        node.strip_prefix("[::ffff:").map_or_else(|| node.to_owned(), |node| node.replacen(']', "", 1))
    });
    let nodes: Vec<_> = nodes.collect();
    nodes.as_chunks().0.iter().map(|ends: &[String; 2]| pair(ends.clone())).collect()
}

/// Captures that differ, and why.
const KNOWN: &[(&str, &[&str])] = &[
    ("the reference is that of GrePackets.cap", &["link/PcapPlusPlus__GrePackets.pcap"]),
    (
        "IP fragments are not put together",
        &[
            "http1/PcapPlusPlus__exp-http_req_frag.pcap",
            "link/PcapPlusPlus__frag_http_req.pcap",
            "link/suricata-verify__defrag--bug-6887-defrag-eth-vlan-ipv4-tcp-syn--frag-eth-vlan-ip-tcp-syn.pcap",
            "link/suricata-verify__defrag--bug-6887-defrag-ipv4-tcp-syn--frag-ip-tcp-syn.pcap",
        ],
    ),
];

#[test]
fn the_flows_of_real_captures_are_found() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let (mut files, mut differences) = (0, Vec::new());
    for sub in ["link", "reassembly", "nasty", "tls", "http2", "other", "http1", "dns"] {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.join(sub)).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for path in names {
            let reference = path.with_extension("streams2.tsv");
            if !path.is_file() || path == reference || !reference.exists() {
                continue;
            }
            let Some(ours) = ours(&std::fs::read(&path).unwrap()) else { continue };
            let theirs = theirs(&std::fs::read_to_string(reference).unwrap());
            // A stream that tshark's follow does not show has no ends there.
            if theirs.iter().flatten().any(|end| end == ":0") {
                continue;
            }
            files += 1;
            let name = format!("{sub}/{}", Path::new(path.file_name().unwrap()).display());
            let (more, less): (Vec<_>, Vec<_>) =
                (ours.difference(&theirs).collect(), theirs.difference(&ours).collect());
            if !(more.is_empty() && less.is_empty()) {
                differences.push(format!("{name}: {more:?} are not there, {less:?} are not found"));
            }
        }
    }
    println!("{files} captures, {} differ", differences.len());
    let known = || KNOWN.iter().flat_map(|(_, names)| names.iter());
    let unknown = differences.iter().filter(|d| !known().any(|name| d.starts_with(name)));
    let stale = known().filter(|name| !differences.iter().any(|d| d.starts_with(*name)));
    let wrong: Vec<String> =
        unknown.cloned().chain(stale.map(|name| format!("{name} does not differ any more"))).collect();
    assert!(files > 400, "{files} captures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Zeek's captures for its own check of checksums say in their names what they hold.
#[test]
fn checksums_of_real_captures_are_verified() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let verify = ParseOptions { verify_checksums: true, ..ParseOptions::default() };
    let parser = Parser::new(FlowHasher::with_seed(7), verify);
    let mut files = 0;
    for entry in std::fs::read_dir(folder.join("link")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(rest) = name.strip_suffix("-chksum.pcap").or(name.strip_suffix("-checksum.pcap")) else {
            continue;
        };
        let Some((what, expected)) = rest.rsplit_once('-') else { continue };
        if what.contains("icmp") || what.contains("mip6") {
            continue;
        }
        let records = support::read(&std::fs::read(&path).unwrap()).unwrap();
        let parsed: Vec<_> = records.iter().map(|record| parser.parse(&record.frame())).collect();
        let wrong = parsed.iter().filter(|parsed| matches!(parsed, Parsed::BadChecksum)).count();
        let read = parsed.iter().filter(|parsed| matches!(parsed, Parsed::Tcp(_) | Parsed::Udp(_))).count();
        match expected {
            "bad" => assert!(wrong > 0, "{name}"),
            "good" => assert!(wrong == 0 && read > 0, "{name}: {parsed:?}"),
            _ => continue,
        }
        files += 1;
    }
    assert!(files >= 10, "{files} captures");
}

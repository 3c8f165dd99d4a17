//! Real captures with UDP datagrams in fragments: what was put together against tshark's dissection of the same frames. (Those with TCP are
//! asked of the whole program in `tests/tests/dumped.rs`.)
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test over known files: what is not as expected shall stop it"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use sniff_x_flow::Frame;
use sniff_x_flow::packet::defragment::{DefragmentOptions, Defragmenter};
use sniff_x_flow::packet::{FlowHasher, ParseOptions, Parsed, Parser, Span};

fn part(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

/// Of each frame that completes a datagram: the sender, and the first two bytes of the payload as tshark writes a DNS message's id.
fn ours(capture: &Path) -> BTreeMap<u64, (String, String)> {
    let parser = Parser::new(FlowHasher::with_seed(7), ParseOptions::default());
    let mut defragmenter = Defragmenter::new(DefragmentOptions::default());
    let mut found = BTreeMap::new();
    let mut whole = Vec::new();
    for (number, record) in (1..).zip(support::read(&std::fs::read(capture).unwrap()).unwrap()) {
        let Parsed::Fragment(fragment) = parser.parse(&record.frame()) else { continue };
        let payload = part(&record.bytes, fragment.payload);
        let Some(reassembled) = defragmenter.add(&fragment, payload, &mut whole) else { continue };
        let frame = Frame { bytes: &whole, original_len: reassembled.len, ..record.frame() };
        if let Parsed::Udp(datagram) = parser.parse_reassembled(&frame, &reassembled.first) {
            let payload = part(&whole, datagram.packet.payload);
            let sender = datagram.packet.key.endpoint(datagram.packet.sender).to_string();
            // Neither bracket of an IPv6 address stands in the oracle.
            let sender = sender.replace(['[', ']'], "");
            found.insert(number, (sender, format!("0x{:02x}{:02x}", payload[0], payload[1])));
        }
    }
    assert_eq!(defragmenter.counters().malformed, 0);
    found
}

/// The value of a text in a line of JSON that has no escapes in it.
fn text<'a>(line: &'a str, key: &str) -> &'a str {
    let at = line.find(&format!("\"{key}\": ")).unwrap() + key.len() + 4;
    line[at..].trim_start_matches('"').split(['"', ',']).next().unwrap()
}

#[test]
fn datagrams_are_whole_in_the_frames_where_tshark_has_them() {
    let Some(folder) = support::captures() else {
        println!("skipped: ../shared/captures is not here");
        return;
    };
    let mut checked = 0;
    for (name, expected) in [
        ("link/nDPI__dns_fragmented.pcap", 7),
        ("dns/zeek__dns-edns-ecs.pcap", 4),
        ("link/zeek__ipv6-fragmented-dns.pcap", 1),
        ("dns/nDPI__dnscrypt-v1-and-resolver-pings.pcap", 120),
    ] {
        let capture = folder.join(name);
        let found = ours(&capture);
        assert_eq!(found.len(), expected, "{name}");
        let oracle = std::fs::read_to_string(capture.with_extension("oracle.jsonl")).unwrap();
        for line in
            oracle.lines().filter(|l| l.contains("\"proto\": \"dns\"") && !l.contains("_ws.malformed"))
        {
            if let Some((sender, id)) = found.get(&text(line, "frame").parse().unwrap()) {
                assert_eq!(
                    (sender.as_str(), id.as_str()),
                    (text(line, "src"), text(line, "id")),
                    "{name}: {line}"
                );
                checked += 1;
            }
        }
    }
    println!("{checked} datagrams");
    assert!(checked > 100, "{checked}");
}

//! Frame mode in eBPF against libpcap.

use crate::support::vm::{Skb, Vm, loads};
use crate::support::{agrees, expressions, frame, frames, judged};
use sniff_x_filter::{EbpfOptions, Link, Listing, RuleSet};
use sniff_x_flow::{LinkType, VlanTag};

const ACCEPT: u32 = 0x4_0000;

fn program(text: &str, link: Link) -> Vec<u8> {
    let filter = sniff_x_filter::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
    rules.compile_ebpf(&EbpfOptions { accept: ACCEPT, counters_fd: None, link }).expect("small enough")
}

fn skb(link_type: LinkType, bytes: &[u8]) -> Skb {
    let (network, protocol) = match link_type {
        LinkType::ETHERNET => (14, bytes.get(12..14).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))),
        _ => (0, if bytes.first().is_some_and(|b| b >> 4 == 6) { frames::IPV6 } else { frames::IPV4 }),
    };
    Skb { bytes: bytes.to_vec(), network, protocol, ..Skb::default() }
}

#[test]
fn same_verdicts_as_libpcap() {
    for (link_type, link) in [(LinkType::ETHERNET, Link::Ethernet), (LinkType::RAW, Link::RawIp)] {
        let frames = frames::all(link_type);
        for text in expressions() {
            let Some((judge, filter)) = judged(link_type, text) else { continue };
            let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
            let program = program(text, link);
            let vm = Vm::new(&program);
            for bytes in &frames {
                // Cut at each place where a field may end, and whole.
                for len in (0..bytes.len()).filter(|len| len % 2 == 0 || *len < 25).chain([bytes.len()]) {
                    let bytes = &bytes[..len];
                    let verdict = vm.run(&skb(link_type, bytes));
                    assert!([0, ACCEPT].contains(&verdict));
                    let agrees = agrees(&rules, link, verdict != 0, judge.plain(bytes));
                    assert!(agrees, "'{text}' on {bytes:02x?}\n{}", Listing(&program));
                }
            }
        }
    }
}

/// Whether a program can tell where the link layer is not known: what a plugin's rule can ask.
fn decides(text: &str) -> bool {
    const BEHIND_802_2: [&str; 17] = [
        "iso", "esis", "es-is", "isis", "is-is", "clnp", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp",
        "stp", "ipx", "netbeui", "atalk",
    ];
    let behind =
        text.split(' ').any(|word| BEHIND_802_2.contains(&word) || ["aarp", "ether", "ppp"].contains(&word));
    sniff_x_filter::parse_rule(text).is_ok() && !behind
}

#[test]
fn any_link_reads_relative_to_the_network_header() {
    for link_type in [LinkType::ETHERNET, LinkType::RAW] {
        let frames = frames::all(link_type);
        for text in expressions() {
            let Some((judge, _)) = judged(link_type, text) else { continue };
            let program = program(text, Link::Any);
            let vm = Vm::new(&program);
            for bytes in &frames {
                // The kernel takes its protocol from the version, so the frame's own claim can't differ.
                let mut whole = bytes.clone();
                whole.resize(bytes.len() + 64, 0);
                let (verdict, expected) = (vm.run(&skb(link_type, &whole)) != 0, judge.plain(&whole));
                let agrees = if decides(text) { verdict == expected } else { verdict || !expected };
                assert!(agrees, "'{text}' on {whole:02x?}\n{}", Listing(&program));
                for len in [20, 24, 34, 38, 54] {
                    if let Some(cut) = bytes.get(..len) {
                        let passes = vm.run(&skb(link_type, cut)) != 0;
                        assert!(passes || !judge.plain(cut), "'{text}' loses {cut:02x?}");
                    }
                }
            }
        }
    }
}

/// A tag in the kernel's metadata gives the verdict of a tag in the frame.
#[test]
fn tags_in_metadata() {
    let tagged: Vec<Vec<u8>> = frames::all(LinkType::ETHERNET)
        .into_iter()
        .filter(|bytes| matches!(bytes[12..14], [0x81, 0] | [0x88, 0xa8]))
        .collect();
    assert!(tagged.len() >= 3);
    for text in expressions() {
        let Some((judge, ours)) = judged(LinkType::ETHERNET, text) else { continue };
        let ethernet = program(text, Link::Ethernet);
        let rules = RuleSet { filter: Some(ours.clone()), rules: Vec::new() };
        let is_final = rules.filter_is_final(Link::Ethernet);
        // Only what counts from a place that the program learns as it runs is left open.
        let left_open =
            ["ether[len", "protochain"].iter().any(|word| text.contains(word)) || ours.reads_nothing();
        assert!(is_final || left_open, "'{text}' is left to user space");
        let any = program(text, Link::Any);
        for bytes in &tagged {
            for len in 18..=bytes.len() {
                let expected = judge.plain(&bytes[..len]);
                let stripped = [&bytes[..12], &bytes[16..len]].concat();
                let tag = VlanTag {
                    tpid: u16::from_be_bytes([bytes[12], bytes[13]]),
                    tci: u16::from_be_bytes([bytes[14], bytes[15]]),
                };
                let lent = frame(LinkType::ETHERNET, &stripped, Some(tag));
                assert_eq!(ours.matches_frame(&lent), expected, "'{text}' {stripped:02x?}");
                let skb = Skb { vlan: Some(tag), ..skb(LinkType::ETHERNET, &stripped) };
                let verdict = Vm::new(&ethernet).run(&skb) != 0;
                let agrees = if is_final { verdict == expected } else { verdict || !expected };
                assert!(agrees, "'{text}' {stripped:02x?}\n{}", Listing(&ethernet));
                let verdict = Vm::new(&any).run(&skb) != 0;
                let agrees = if decides(text) { verdict == expected } else { verdict || !expected };
                assert!(agrees, "'{text}' {stripped:02x?}");
            }
        }
    }
}

/// What filters mostly ask about is known of a plain frame: nothing is loaded a second time.
#[test]
fn common_questions_touch_no_byte_of_a_plain_frame() {
    let segment = frames::v4(6, frames::A, frames::B, 0, &[], &frames::ports(40000, 3306));
    let segment = frames::link(LinkType::ETHERNET, frames::IPV4, &segment).expect("Ethernet");
    let lent = skb(LinkType::ETHERNET, &segment);
    let plain = Skb { cb: lent.plain().expect("a plain frame"), ..lent };
    for text in [
        "tcp port 3306",
        "tcp port 9",
        "port 3306 and not udp",
        "tcp and dst port 3306 and src portrange 1-50000",
        "host 10.0.0.1 or host 10.0.0.2",
        "src net 10.0.0.0/8 and dst host 10.0.0.2 and tcp",
        "icmp or arp or ip6",
        "tcp and (port 80 or 443 or 3306) and not host 10.9.9.9",
        "ip[0] == 0x45 and tcp",
    ] {
        let program = program(text, Link::Ethernet);
        let judge = crate::support::judged(LinkType::ETHERNET, text).expect("taken").0;
        assert_eq!(Vm::new(&program).run(&plain) != 0, judge.plain(&plain.bytes), "'{text}'");
        assert_eq!(loads(), 0, "'{text}'\n{}", Listing(&program));
    }
}

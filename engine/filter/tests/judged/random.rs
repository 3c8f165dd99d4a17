//! Random expressions: written and read back, and judged by libpcap on random frames.

use proptest::prelude::*;
use sniff_x_filter::{EbpfOptions, Link, Listing, RuleSet};
use sniff_x_flow::LinkType;

use crate::support::verifier::verify;
use crate::support::vm::{Skb, Vm};
use crate::support::{Judge, Verdict, frame, frames};

/// A term in the syntax of pcap-filter(7), every qualifier in every combination that libpcap takes.
fn term() -> impl Strategy<Value = String> {
    let word = |list: &'static [&'static str]| prop::sample::select(list);
    let ends = || word(&["", "src ", "dst ", "src or dst ", "dst or src ", "src and dst "]);
    let port = || {
        prop_oneof![prop::sample::select(vec![0_u16, 53, 80, 443, 3306, 5432, 40000, 65535]), any::<u16>()]
    };
    let transport = || word(&["", "tcp ", "udp ", "sctp "]);
    let v4 = || word(&["10.0.0.1", "10.0.1.2", "192.168.7.9", "0.0.0.0", "1.2.3.4"]);
    let v4_net = || {
        (word(&["10.0.0.1", "10.0.1.2", "192.168.7.9", "255.255.255.255"]), 0..=32_u32).prop_map(
            |(address, len)| {
                let bits = address.parse::<std::net::Ipv4Addr>().expect("address").to_bits();
                let mask = u32::MAX.checked_shl(32 - len).unwrap_or_default();
                format!("{}/{len}", std::net::Ipv4Addr::from_bits(bits & mask))
            },
        )
    };
    let v6 = || word(&["fe80::1", "2001:db8::2", "::", "::ffff:10.0.0.1", "1:2:3:4:5:6:7:8"]);
    let v6_net = || {
        (word(&["fe80::1", "2001:db8::2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]), 0..=128_u32).prop_map(
            |(address, len)| {
                let bits = address.parse::<std::net::Ipv6Addr>().expect("address").to_bits();
                let mask = u128::MAX.checked_shl(128 - len).unwrap_or_default();
                format!("{}/{len}", std::net::Ipv6Addr::from_bits(bits & mask))
            },
        )
    };
    let inside = || word(&["", "ip ", "arp ", "rarp "]);
    let short = || {
        word(&[
            "10",
            "10.0",
            "10.0.1",
            "192.168",
            "0",
            "2560",
            "10.0.0.0 mask 255.0.255.0",
            "10.0 mask 255.254",
        ])
    };
    prop_oneof![
        word(&[
            "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "ah", "esp",
            "vrrp"
        ])
        .prop_map(str::to_owned),
        (word(&["", "ip ", "ip6 "]), any::<u8>()).prop_map(|(family, n)| format!("{family}proto {n}")),
        (word(&["ip ", "ip6 ", ""]), word(&["\\tcp", "\\udp", "\\icmp", "\\sctp", "6", "44"]))
            .prop_map(|(family, n)| format!("{family}proto {n}")),
        (1501..=0xffff_u32)
            .prop_filter("AppleTalk", |n| !matches!(n, 0x809b | 0x80f3))
            .prop_map(|n| format!("ether proto {n}")),
        word(&["ether proto 0x800", "ether proto \\ip6", "ether proto \\arp", "link proto 0x8100"])
            .prop_map(str::to_owned),
        (transport(), ends(), port()).prop_map(|(t, e, p)| format!("{t}{e}port {p}")),
        (transport(), ends(), port(), prop::collection::vec(port(), 1..4)).prop_map(|(t, e, p, more)| {
            more.iter().fold(format!("{t}{e}port {p}"), |text, p| format!("{text} or {p}"))
        }),
        (transport(), ends(), port(), port()).prop_map(|(t, e, a, b)| format!("{t}{e}portrange {a}-{b}")),
        (transport(), ends(), port(), port(), port(), word(&["or", "and", "or not"]))
            .prop_map(|(t, e, a, b, c, o)| format!("{t}{e}port ({a} {o} {b} or {c})")),
        (inside(), ends(), v4()).prop_map(|(i, e, a)| format!("{i}{e}host {a}")),
        (inside(), ends(), v4(), v4()).prop_map(|(i, e, a, b)| format!("{i}{e}host {a} or {b}")),
        (inside(), ends(), v4_net()).prop_map(|(i, e, a)| format!("{i}{e}net {a}")),
        (inside(), ends(), short()).prop_map(|(i, e, a)| format!("{i}{e}net {a}")),
        (word(&["", "ip6 "]), ends(), v6()).prop_map(|(i, e, a)| format!("{i}{e}host {a}")),
        (word(&["", "ip6 "]), ends(), v6_net()).prop_map(|(i, e, a)| format!("{i}{e}net {a}")),
        (word(&["src", "dst", "ip src", "src and dst"]), v4()).prop_map(|(e, a)| format!("{e} {a}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    term().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), prop::sample::select(vec!["and", "or", "&&", "||"]), inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            2 => inner.clone().prop_map(|a| format!("({a})")),
            1 => (prop::sample::select(vec!["not ", "!", "! "]), inner).prop_map(|(n, a)| format!("{n}({a})")),
        ]
    })
}

/// A made frame with some of its bytes changed, cut somewhere.
fn mutated(link_type: LinkType) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (prop::sample::select(frames::all(link_type)), changes, any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(mut bytes, changes, len, cut)| {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cut {
                bytes.truncate(len.index(bytes.len() + 1));
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_and_read_back(text in expression()) {
        let first = sniff_x_filter::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let written = first.to_string();
        let second = sniff_x_filter::parse(&written).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&first, &second, "{} | {}", text, written);
        prop_assert_eq!(second.to_string(), written);
    }

    /// Whatever text comes, an answer comes back; what is taken, libpcap takes as well.
    #[test]
    fn any_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..7)) {
        let text = words.join(" ");
        if let Ok(ours) = sniff_x_filter::parse(&text) {
            match Judge::new(LinkType::ETHERNET, &text) {
                Ok(judge) => {
                    for bytes in frames::all(LinkType::ETHERNET) {
                        let verdict = ours.matches_frame(&frame(LinkType::ETHERNET, &bytes, None));
                        prop_assert_eq!(verdict, judge.plain(&bytes), "'{}' {:02x?}", text, bytes);
                    }
                }
                Err(e) => prop_assert!(false, "we take '{}', libpcap does not: {}", text, e),
            }
        }
    }

    #[test]
    fn any_text(text in "[ -~\u{e9}\n]{0,40}") {
        if let Err(e) = sniff_x_filter::parse(&text) {
            prop_assert!(e.offset() <= text.len());
            prop_assert!(e.to_string().lines().count() >= 3);
        }
    }

    #[test]
    fn same_verdict_as_libpcap(
        text in expression(),
        link in 0..frames::LINKS.len(),
        seed in any::<prop::sample::Index>(),
        samples in prop::array::uniform8(any::<prop::sample::Index>()),
    ) {
        let link_type = frames::LINKS[link];
        let judge = Judge::new(link_type, &text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let ours = sniff_x_filter::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let all = frames::all(link_type);
        for sample in samples {
            let bytes = &all[sample.index(all.len())];
            for bytes in [&bytes[..], &bytes[..seed.index(bytes.len() + 1)]] {
                let verdict = ours.matches_frame(&frame(link_type, bytes, None));
                prop_assert_eq!(verdict, judge.plain(bytes), "'{}' {:?} {:02x?}", text, link_type, bytes);
                // Where the optimiser agrees with its own input, so do we with both.
                if let Verdict::Is(agreed) = judge.verdict(bytes) {
                    prop_assert_eq!(verdict, agreed);
                }
            }
        }
    }

    #[test]
    fn ebpf_on_mutated_frames(
        text in expression(),
        ethernet in prop::collection::vec(mutated(LinkType::ETHERNET), 8),
        raw in prop::collection::vec(mutated(LinkType::RAW), 4),
    ) {
        for (link_type, link, samples) in [(LinkType::ETHERNET, Link::Ethernet, ethernet), (LinkType::RAW, Link::RawIp, raw)] {
            let judge = Judge::new(link_type, &text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let filter = sniff_x_filter::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
            let program = rules.compile_ebpf(&EbpfOptions { accept: 1, counters_fd: None, link }).expect("small enough");
            verify(&program).map_err(TestCaseError::fail)?;
            let vm = Vm::new(&program);
            for bytes in samples {
                let expected = judge.plain(&bytes);
                prop_assert_eq!(rules.matches_frame(&frame(link_type, &bytes, None)), expected, "'{}' {:02x?}", text, bytes);
                let skb = Skb { bytes, ..Skb::default() };
                prop_assert_eq!(vm.run(&skb) != 0, expected, "'{}' {:02x?}\n{}", text, skb.bytes, Listing(&program));
            }
        }
    }
}

const WORDS: &[&str] = &[
    "tcp",
    "udp",
    "ip",
    "ip6",
    "arp",
    "port",
    "port",
    "host",
    "net",
    "src",
    "dst",
    "and",
    "or",
    "not",
    "(",
    ")",
    "!",
    "80",
    "443",
    "10.0.0.1",
    "10.0",
    "fe80::1",
    "portrange",
    "1-100",
    "proto",
    "6",
    "\\tcp",
    "ether",
    "mask",
    "255.255.0.0",
    "/",
    "8",
    "icmp6",
];

//! Random expressions: written and read back, and judged by libpcap on random frames.

use proptest::prelude::*;
use sniff_x_filter::{ClassicListing, EbpfOptions, Link, Listing, RuleSet};
use sniff_x_flow::{LinkType, VlanTag};

use crate::support::classic::{self, Meta};
use crate::support::verifier::verify;
use crate::support::vm::{Skb, Vm};
use crate::support::{Judge, Verdict, agrees, frame, frames};

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

/// A term that only a frame can answer: tunnels, addresses, arithmetic.
fn frame_term() -> impl Strategy<Value = String> {
    let word = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    prop_oneof![
        word(&[
            "vlan",
            "vlan 5",
            "mpls",
            "mpls 7",
            "mpls 9",
            "pppoes",
            "pppoes 3",
            "pppoed",
            "llc",
            "iso",
            "isis",
            "l1",
            "psnp",
            "stp",
            "ipx",
            "atalk",
            "netbeui",
            "protochain 6",
            "ip protochain 51",
            "ip6 protochain 17",
            "not ip6 protochain 300",
            "decnet host 1.10",
            "ether proto 70000",
            "ip proto 300",
            "broadcast",
            "multicast",
            "ip broadcast",
            "ip multicast",
            "ip6 multicast",
            "ether host 2:0:0:0:0:1",
            "ether src 2:0:0:0:0:2 or 2:0:0:0:0:3",
            "ether dst ff:ff:ff:ff:ff:ff",
            "less 60",
            "greater 54",
            "byte 12 = 8",
            "llc ui",
            "iso proto 0x82",
        ]),
        (arith(), prop::sample::select(vec!["=", "==", "!=", "<", "<=", ">", ">="]), arith())
            .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
    ]
}

fn arith() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        prop::sample::select(vec![1_u32, 2, 4, 6, 15, 20, 60, 80, 0x800, u32::MAX]),
        any::<u8>().prop_map(|n| u32::from(n.max(1))),
    ];
    let header = || {
        prop::sample::select(vec![
            "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "sctp", "ether", "link", "arp", "rarp", "igmp",
            "decnet",
        ])
    };
    let size = || prop::sample::select(vec!["", ":1", ":2", ":4"]);
    let leaf = prop_oneof![
        2 => number.prop_map(|n| n.to_string()),
        1 => Just("len".to_owned()),
        2 => (header(), 0..64_u8, size()).prop_map(|(header, at, size)| format!("{header}[{at}{size}]")),
        1 => prop::sample::select(vec!["tcp[tcpflags]", "icmp[icmptype]", "tcp-syn", "icmp6-echo"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "&", "|", "^", "<<", ">>", "/", "%"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| match op {
                // What libpcap takes a zero or a wide shift from, wherever it stands in the right side.
                "/" | "%" => format!("({a}) {op} (3 + {b})"),
                "<<" | ">>" => format!("({a}) {op} (1 + {b})"),
                _ => format!("{a} {op} {b}"),
            }),
            1 => inner.clone().prop_map(|a| format!("- {a}")),
            1 => inner.clone().prop_map(|a| format!("({a} + 1)")),
            1 => (header(), inner, size()).prop_map(|(header, at, size)| format!("{header}[{at} & 63{size}]")),
        ]
    })
}

fn expression() -> impl Strategy<Value = String> {
    joined(term())
}

/// The whole language.
fn anything() -> impl Strategy<Value = String> {
    // Behind `geneve` libpcap looks where its memory says, and where `geneve` did not hold nothing was written there.
    let tunnel =
        prop::sample::select(vec!["", "", "", "", "geneve and ", "geneve 5 and ", "vlan and geneve and "]);
    (tunnel, joined(prop_oneof![2 => frame_term(), 1 => term()])).prop_map(|(tunnel, text)| match tunnel {
        "" => text,
        tunnel => format!("{tunnel}({text})"),
    })
}

fn joined(term: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    term.prop_recursive(4, 12, 3, |inner| {
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

/// libpcap's program, none where it refuses the expression for a reason that is also ours, or that its memory is full.
fn taken(link_type: LinkType, text: &str) -> Result<Option<Judge>, TestCaseError> {
    let refused = sniff_x_filter::parse(text).is_ok_and(|ours| ours.refused_on(link_type).is_some());
    match Judge::new(link_type, text) {
        Ok(judge) if !refused => Ok(Some(judge)),
        Ok(_) => Err(TestCaseError::fail(format!("we refuse '{text}' on {link_type:?}, libpcap does not"))),
        Err(_) if refused => Ok(None),
        Err(e)
            if ["out of registers", "expression is too complex"]
                .iter()
                .any(|why| e.to_string().contains(why)) =>
        {
            Ok(None)
        }
        // It looks for a zero or a wide shift in places where there need not be one.
        Err(e) if ["by zero", "more than 31"].iter().any(|why| e.to_string().contains(why)) => Ok(None),
        Err(e) => {
            Err(TestCaseError::fail(format!("libpcap refuses '{text}' on {link_type:?}, we do not: {e}")))
        }
    }
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

    /// All machines say of all links what libpcap says, or refuse what it refuses.
    #[test]
    fn the_whole_language(
        text in anything(),
        link in 0..frames::LINKS.len(),
        ethernet in prop::collection::vec(mutated(LinkType::ETHERNET), 10),
        other in any::<prop::sample::Index>(),
    ) {
        let ours = match sniff_x_filter::parse(&text) {
            Ok(ours) => ours,
            Err(e) => {
                prop_assert!(Judge::new(LinkType::ETHERNET, &text).is_err(), "libpcap takes it: {}", e);
                return Ok(());
            }
        };
        let written = ours.to_string();
        let again = sniff_x_filter::parse(&written).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&ours, &again, "{} | {}", &text, written);
        let rules = RuleSet { filter: Some(ours.clone()), rules: Vec::new() };

        let link_type = frames::LINKS[link];
        let all = frames::all(link_type);
        let bytes = &all[other.index(all.len())];
        if let (Some(judge), None) = (taken(link_type, &text)?, ours.refused_on(link_type)) {
            prop_assert_eq!(ours.matches_frame(&frame(link_type, bytes, None)), judge.plain(bytes), "'{}' {:?} {:02x?}", &text, link_type, bytes);
        }

        let Some(judge) = taken(LinkType::ETHERNET, &text)? else { return Ok(()) };
        prop_assert_eq!(ours.refused_on(LinkType::ETHERNET), None);
        let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
        let program = rules.compile_ebpf(&options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        verify(&program).map_err(|e| TestCaseError::fail(format!("'{text}' {e}\n{}", Listing(&program))))?;
        let vm = Vm::new(&program);
        // What needs more than the sixteen words of memory goes to the next level.
        let classic = rules.compile_cbpf(1, Link::Ethernet).ok();
        if let Some(classic) = &classic {
            classic::verify(classic).map_err(|e| TestCaseError::fail(format!("'{text}' {e}\n{}", ClassicListing(classic))))?;
        }
        for bytes in ethernet {
            let expected = judge.plain(&bytes);
            prop_assert_eq!(ours.matches_frame(&frame(LinkType::ETHERNET, &bytes, None)), expected, "'{}' {:02x?}", &text, bytes);
            if let Some(classic) = &classic {
                let verdict = classic::run(classic, &bytes, &Meta::default()) != 0;
                let agrees = agrees(&rules, Link::Ethernet, verdict, expected);
                prop_assert!(agrees, "'{}' {:02x?}\n{}", &text, bytes, ClassicListing(classic));
            }
            let skb = Skb { bytes, ..Skb::default() };
            let agrees = agrees(&rules, Link::Ethernet, vm.run(&skb) != 0, expected);
            prop_assert!(agrees, "'{}' {:02x?}\n{}", &text, skb.bytes, Listing(&program));
            if let [0x81, 0] = skb.bytes.get(12..14).unwrap_or_default()[..] && skb.bytes.len() >= 18 {
                let half = |at: usize| u16::from_be_bytes([skb.bytes[at], skb.bytes[at + 1]]);
                let tag = Some(VlanTag { tpid: half(12), tci: half(14) });
                let stripped = [&skb.bytes[..12], &skb.bytes[16..]].concat();
                prop_assert_eq!(ours.matches_frame(&frame(LinkType::ETHERNET, &stripped, tag)), expected, "'{}' {:02x?}", &text, stripped);
                if rules.filter_is_final(Link::Ethernet) {
                    let beside = Skb { bytes: stripped, vlan: tag, ..Skb::default() };
                    prop_assert_eq!(vm.run(&beside) != 0, expected, "'{}' {:02x?}\n{}", &text, beside.bytes, Listing(&program));
                }
            }
        }
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
                // What can't be asked of this link is refused when it is known.
                Err(e) => prop_assert!(ours.refused_on(LinkType::ETHERNET).is_some(), "we take '{}', libpcap does not: {}", text, e),
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
    "vlan",
    "tcp[13]",
    "&",
    "=",
    "<",
    "len",
    "5",
    "mpls",
    "+",
    "ether",
    "1:2:3:4:5:6",
    "broadcast",
    "less",
    "llc",
    "iso",
];

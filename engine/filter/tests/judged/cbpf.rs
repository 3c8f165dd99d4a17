//! Classic BPF: frame mode against libpcap, run by libpcap's own machine; flow mode against the evaluator.

use sniff_x_filter::{ClassicListing, Link, RuleSet};
use sniff_x_flow::packet::{self, FlowHasher, Parsed};
use sniff_x_flow::{LinkType, VlanTag};

use crate::support::classic::{Meta, run, verify};
use crate::support::{agrees, expressions, frame, frames, judged, rules};

const ACCEPT: u32 = 0x4_0000;
const LINKS: [(LinkType, Link); 2] = [(LinkType::ETHERNET, Link::Ethernet), (LinkType::RAW, Link::RawIp)];

/// What the worker makes of a frame.
fn parsed(link_type: LinkType, bytes: &[u8]) -> Parsed {
    packet::parse(&frame(link_type, bytes, None), &FlowHasher::new())
}

#[test]
fn same_verdicts_as_libpcap() {
    for (link_type, link) in LINKS {
        let frames = frames::all(link_type);
        for text in expressions() {
            let Some((judge, filter)) = judged(link_type, text) else { continue };
            let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
            let program = rules.compile_cbpf(ACCEPT, link).expect("small enough");
            verify(&program).unwrap_or_else(|e| panic!("'{text}': {e}\n{}", ClassicListing(&program)));
            for bytes in &frames {
                for len in (0..bytes.len()).filter(|len| len % 2 == 0 || *len < 25).chain([bytes.len()]) {
                    let bytes = &bytes[..len];
                    let verdict = run(&program, bytes, &Meta::default());
                    assert!([0, ACCEPT].contains(&verdict));
                    let agrees = agrees(&rules, link, verdict != 0, judge.plain(bytes));
                    assert!(agrees, "'{text}' on {bytes:02x?}\n{}", ClassicListing(&program));
                }
            }
        }
    }
}

/// On all interfaces at once the program asks for the kind of each frame's interface.
#[test]
fn same_verdicts_on_all_interfaces() {
    const INFINIBAND: u32 = 32;
    let kinds = [(LinkType::ETHERNET, [1, 772]), (LinkType::RAW, [519, 0xfffe])];
    for text in expressions() {
        let judges = kinds.map(|(link_type, numbers)| (link_type, numbers, judged(link_type, text)));
        let Some(filter) = judges.iter().find_map(|(.., judged)| judged.as_ref().map(|(_, f)| f.clone()))
        else {
            continue;
        };
        let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
        let program = rules.compile_cbpf(ACCEPT, Link::Any).expect("small enough");
        verify(&program).unwrap_or_else(|e| panic!("'{text}': {e}\n{}", ClassicListing(&program)));
        for (link_type, numbers, judged) in &judges {
            for (bytes, hardware) in frames::all(*link_type).iter().zip(numbers.iter().cycle()) {
                // What libpcap refuses of this kind of link matches none of its frames.
                let expected = judged.as_ref().is_some_and(|(judge, _)| judge.plain(bytes));
                let passes = run(&program, bytes, &Meta { hardware: *hardware, ..Meta::default() }) != 0;
                let link = if *link_type == LinkType::RAW { Link::RawIp } else { Link::Ethernet };
                let agrees = agrees(&rules, link, passes, expected);
                assert!(agrees, "'{text}' on {bytes:02x?}\n{}", ClassicListing(&program));
                let other = Meta { hardware: INFINIBAND, ..Meta::default() };
                assert_eq!(run(&program, bytes, &other), ACCEPT, "'{text}': the engine decides");
            }
        }
    }
}

#[test]
fn tags_in_metadata() {
    let tagged = frames::all(LinkType::ETHERNET);
    let tagged: Vec<_> =
        tagged.iter().filter(|bytes| matches!(bytes[12..14], [0x81, 0] | [0x88, 0xa8])).collect();
    for text in expressions() {
        let Some((judge, filter)) = judged(LinkType::ETHERNET, text) else { continue };
        let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
        let program = rules.compile_cbpf(ACCEPT, Link::Ethernet).expect("small enough");
        for bytes in &tagged {
            let expected = judge.plain(bytes);
            let stripped = [&bytes[..12], &bytes[16..]].concat();
            let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let tag = VlanTag { tpid: half(12), tci: half(14) };
            let verdict = run(&program, &stripped, &Meta { tag: Some(tag), ..Meta::default() }) != 0;
            assert!(
                agrees(&rules, Link::Ethernet, verdict, expected),
                "'{text}' on {bytes:02x?}\n{}",
                ClassicListing(&program)
            );
        }
    }
}

/// What a rule asks for passes; what the program parses to the end passes only then.
#[test]
fn flow_mode_loses_nothing() {
    let mut exact = 0_u64;
    for (link_type, link) in LINKS {
        let frames = frames::all(link_type);
        for text in rules() {
            let rules =
                RuleSet { filter: None, rules: vec![sniff_x_filter::parse_rule(text).expect("a rule")] };
            let program = rules.compile_cbpf(ACCEPT, link).expect("small enough");
            verify(&program).unwrap_or_else(|e| panic!("'{text}': {e}\n{}", ClassicListing(&program)));
            for bytes in &frames {
                let wanted = rules.matches_parsed(&parsed(link_type, bytes));
                let passes = run(&program, bytes, &Meta::default()) != 0;
                assert!(passes || !wanted, "'{text}' loses {bytes:02x?}\n{}", ClassicListing(&program));
                if frames::is_plain(link_type, bytes) {
                    assert_eq!(passes, wanted, "'{text}' on {bytes:02x?}\n{}", ClassicListing(&program));
                    exact += 1;
                }
            }
        }
    }
    assert!(exact > 1000);
}

/// libpcap's machine does not know the kernel's own words.
#[test]
fn what_the_kernel_knows() {
    let bytes = &frames::all(LinkType::ETHERNET)[0];
    for (text, meta, expected) in [
        ("outbound", Meta { packet_type: 4, ..Meta::default() }, true),
        ("outbound", Meta::default(), false),
        ("inbound", Meta::default(), true),
        ("inbound", Meta { packet_type: 4, ..Meta::default() }, false),
        ("ifindex 3", Meta { interface: 3, ..Meta::default() }, true),
        ("ifindex 3", Meta { interface: 4, ..Meta::default() }, false),
    ] {
        let rules =
            RuleSet { filter: Some(sniff_x_filter::parse(text).expect("a filter")), rules: Vec::new() };
        let program = rules.compile_cbpf(ACCEPT, Link::Ethernet).expect("small");
        assert_eq!(run(&program, bytes, &meta) != 0, expected, "{text}");
        let mut lent = frame(LinkType::ETHERNET, bytes, None);
        lent.flags.outgoing = meta.packet_type == 4;
        lent.interface = meta.interface;
        assert_eq!(rules.matches_frame(&lent), expected, "{text}");
    }
}

#[test]
fn long_lists_jump_far() {
    let ports: Vec<String> = (1..=1000).map(|i| (i * 65).to_string()).collect();
    let text = format!("tcp port ({})", ports.join(" or "));
    let frames = frames::all(LinkType::ETHERNET);
    let filter = sniff_x_filter::parse(&text).expect("a filter");
    let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
    let program = rules.compile_cbpf(ACCEPT, Link::Ethernet);
    assert!(program.is_err(), "the source and the destination port of 1,000 are too many for the kernel");
    let rules = RuleSet { filter: None, rules: vec![sniff_x_filter::parse_rule(&text).expect("a rule")] };
    for rules in [
        rules,
        RuleSet {
            filter: Some(
                sniff_x_filter::parse(&format!(
                    "src {}",
                    ports[..300].iter().fold("port 1".to_owned(), |t, p| format!("{t} or {p}"))
                ))
                .expect("a filter"),
            ),
            rules: Vec::new(),
        },
    ] {
        let Ok(program) = rules.compile_cbpf(ACCEPT, Link::Ethernet) else { continue };
        verify(&program).expect("the kernel takes it");
        for bytes in &frames {
            let lent = frame(LinkType::ETHERNET, bytes, None);
            let expected =
                rules.matches_frame(&lent) && rules.matches_parsed(&parsed(LinkType::ETHERNET, bytes));
            let passes = run(&program, bytes, &Meta::default()) != 0;
            assert!(passes == expected || passes && !rules.rules.is_empty(), "{bytes:02x?}");
        }
    }
}

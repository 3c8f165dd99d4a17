//! Every program keeps the kernel verifier's rules.

use crate::support::verifier::verify;
use crate::support::vm::{SETS_FD, Skb, Vm};
use crate::support::{expressions, frame as lent, frames};
use sniff_x_ebpf_common::found;
use sniff_x_filter::{CompileError, EbpfOptions, Expression, LONGEST, Link, Listing, PortSet, RuleSet};
use sniff_x_flow::LinkType;
use sniff_x_flow::packet::{self, FlowHasher};

fn rule(text: &str) -> Expression {
    sniff_x_filter::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn check(rules: &RuleSet) -> usize {
    let mut largest = 0;
    for link in [Link::Ethernet, Link::RawIp, Link::Any] {
        for counters_fd in [None, Some(3)] {
            let program = match rules.compile_ebpf(&EbpfOptions { accept: u32::MAX, counters_fd, link }) {
                Ok(program) => program,
                Err(CompileError::Refused(_)) if link == Link::RawIp => continue,
                Err(error) => panic!("{rules:?} on {link:?}: {error}"),
            };
            if let Err(e) = verify(&program) {
                panic!("{rules:?} on {link:?}: {e}\n{}", Listing(&program));
            }
            largest = largest.max(program.len() / 8);
        }
    }
    largest
}

#[test]
fn programs_of_all_expressions() {
    let second = rule("tcp and port 3306 or host 1.2.3.4 or fe80::1");
    for text in expressions() {
        let filter = Some(rule(text));
        check(&RuleSet { filter: filter.clone(), rules: Vec::new() });
        check(&RuleSet { filter: None, rules: vec![rule(text)] });
        check(&RuleSet { filter: None, rules: vec![rule(text), second.clone()] });
        check(&RuleSet { filter, rules: vec![second.clone(), rule(text)] });
    }
}

#[test]
fn long_lists() {
    let ports: Vec<String> = (1..=1000).map(|i| (i * 65).to_string()).collect();
    let ports = rule(&format!("tcp port ({})", ports.join(" or ")));
    let hosts: Vec<String> = (0..200).map(|i| format!("10.0.{i}.1")).collect();
    let hosts = rule(&format!("host {}", hosts.join(" or ")));
    let rules = vec![ports.clone(), hosts.clone()];
    assert!(check(&RuleSet { filter: None, rules }) < 6000);
    check(&RuleSet { filter: Some(ports), rules: vec![hosts] });
}

/// Every other port, in one list of 30,000: a few instructions, and the same verdicts.
#[test]
fn large_sets_of_ports_are_bitmaps() {
    let ports: Vec<String> = (0..30_000).map(|i| (i * 2 + 1).to_string()).collect();
    let text = format!("tcp port ({}) or dst port ({})", ports.join(" or "), ports[..100].join(" or "));
    let flow = RuleSet { filter: None, rules: vec![sniff_x_filter::parse_rule(&text).expect("a rule")] };
    let frame = RuleSet { filter: Some(rule(&text)), rules: Vec::new() };
    for rules in [flow, frame] {
        let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
        let mut words = Vec::new();
        let map = |sets: &[PortSet]| {
            words = sets.iter().flat_map(|set| set.words().iter().copied()).collect();
            Some(SETS_FD)
        };
        let program = rules.compile_ebpf_with_sets(&options, map).expect("small");
        verify(&program).unwrap_or_else(|e| panic!("{e}\n{}", Listing(&program)));
        assert!(program.len() / 8 < 700, "{}", program.len() / 8);
        assert_eq!(words.len() % PortSet::WORDS, 0);
        let vm = Vm::with_sets(&program, words.leak());
        for (source, destination) in
            [(1, 2), (2, 1), (2, 4), (59_999, 60_000), (60_001, 60_001), (0, 65_535), (4, 199), (4, 201)]
        {
            for protocol in [6_u8, 17] {
                let packet =
                    frames::v4(protocol, frames::A, frames::B, 0, &[], &frames::ports(source, destination));
                let bytes = frames::link(LinkType::ETHERNET, frames::IPV4, &packet).expect("Ethernet");
                let lent = lent(LinkType::ETHERNET, &bytes, None);
                let expected = rules.matches_frame(&lent)
                    && rules.matches_parsed(&packet::parse(&lent, &FlowHasher::new()));
                let bits = found::IPV4 | found::PORTS | u32::from(protocol);
                let cb = [bits, 34 << 16 | 14, u32::from(source) << 16 | u32::from(destination), 0, 0];
                let skb = Skb { bytes, cb, ..Skb::default() };
                assert_eq!(
                    vm.run(&skb) != 0,
                    expected,
                    "{protocol} {source} {destination}\n{}",
                    Listing(&program)
                );
            }
        }
    }
    // Where there is no map there are comparisons.
    let few =
        RuleSet { filter: Some(rule(&format!("port ({})", ports[..100].join(" or ")))), rules: Vec::new() };
    let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
    let without = few.compile_ebpf_with_sets(&options, |_| None).expect("small enough");
    assert_eq!(Ok(without), few.compile_ebpf(&options));
}

#[test]
fn too_large_is_told() {
    let ports: Vec<String> = (0..30_000).map(|i| (i * 2).to_string()).collect();
    let filter = Some(rule(&format!("port ({})", ports.join(" or "))));
    let rules = RuleSet { filter, rules: Vec::new() };
    let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
    let Err(CompileError::TooLarge { instructions, .. }) = rules.compile_ebpf(&options) else {
        panic!("30,000 ports don't fit");
    };
    assert!(instructions > 30_000);
}

/// `count` hosts, each with a port of its own: nothing that could be put together.
fn pairs(count: usize) -> RuleSet {
    let pair = |i: usize| format!("(host 10.{}.{}.1 and port {})", i >> 8, i & 255, 1000 + i);
    let text = (0..count).map(pair).collect::<Vec<_>>().join(" or ");
    RuleSet { filter: Some(rule(&text)), rules: Vec::new() }
}

/// Whatever is asked, a program has a length that the kernel takes, or there is none and the error says both lengths. What is written
/// grows with the text and no faster.
#[test]
fn the_length_of_programs_is_bounded() {
    let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
    let ebpf = |count| pairs(count).compile_ebpf(&options).map(|program| program.len() / 8);
    let classic = |count| pairs(count).compile_cbpf(1, Link::Ethernet).map(|program| program.len());
    let (mut made, mut refused) = (0, 0);
    for count in (10..=300).step_by(10) {
        for (length, bound) in [(ebpf(count), LONGEST), (classic(count), 4096)] {
            match length {
                Ok(length) => {
                    assert!(length <= bound, "{count}: {length}");
                    made += 1;
                }
                Err(CompileError::TooLarge { instructions, most }) => {
                    assert_eq!(most, bound);
                    assert!(instructions > bound, "{count}: {instructions}");
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(made > 10 && refused > 10, "{made} {refused}");
    let too_long = |made: Result<usize, CompileError>| match made {
        Err(CompileError::TooLarge { instructions, .. }) => instructions,
        other => panic!("{other:?}"),
    };
    let grows = |make: &dyn Fn(usize) -> Result<usize, CompileError>| {
        let [a, b, c] = [1000, 2000, 3000].map(|count| too_long(make(count)));
        assert!((c - b).abs_diff(b - a) < (b - a) / 100, "{a} {b} {c}");
        (b - a) / 1000
    };
    let (per_pair, classic_per_pair) = (grows(&ebpf), grows(&classic));
    assert!(per_pair < 200 && classic_per_pair < 40, "{per_pair} {classic_per_pair}");
}

/// A program that is too long with a part of its own for plain frames is made without.
#[test]
fn the_short_form_comes_before_the_next_level() {
    let options = EbpfOptions { accept: 1, counters_fd: None, link: Link::Ethernet };
    let per_pair = |program: &[u8], count: usize| program.len() / 8 / count;
    let long = pairs(100).compile_ebpf(&options).expect("fits");
    let short = (100..300).rev().find_map(|count| Some((pairs(count).compile_ebpf(&options).ok()?, count)));
    let (short, count) = short.expect("one fits");
    assert!(per_pair(&short, count) < per_pair(&long, 100), "{count}");
    verify(&short).unwrap_or_else(|e| panic!("{e}"));
    let packet = |port| frames::v4(6, frames::A, [10, 0, 7, 1], 0, &[], &frames::ports(40000, port));
    for (port, expected) in [(1007, true), (1008, false)] {
        let bytes = frames::link(LinkType::ETHERNET, frames::IPV4, &packet(port)).expect("Ethernet");
        assert_eq!(Vm::new(&short).run(&Skb { bytes, ..Skb::default() }) != 0, expected);
    }
}

/// The checker itself finds what it is there for.
#[test]
fn the_checker_refuses() {
    let insn = |op: u8, regs: u8, off: i16, imm: i32| {
        let mut bytes = vec![op, regs];
        bytes.extend(off.to_le_bytes());
        bytes.extend(imm.to_le_bytes());
        bytes
    };
    let refused = |insns: &[Vec<u8>]| verify(&insns.concat()).expect_err("refused");
    let exit = || insn(0x95, 0, 0, 0);
    assert!(verify(&[insn(0xb4, 0, 0, 0), exit()].concat()).is_ok());
    assert!(refused(&[exit()]).contains("r0"));
    assert!(refused(&[insn(0x61, 0xa0, -8, 0), exit()]).contains("reads the stack"));
    assert!(refused(&[insn(0xb4, 0, 0, 0), exit(), exit()]).contains("not reached"));
    assert!(refused(&[insn(0xb4, 0, 0, 0), insn(0x05, 0, 5, 0), exit()]).contains("leads out"));
    assert!(refused(&[insn(0x62, 0x0a, -6, 0), exit()]).contains("writes the stack"));
    // Written on one way only.
    assert!(refused(&[insn(0x15, 1, 1, 0), insn(0xb4, 0, 0, 0), exit()]).contains("r0"));
}

#[test]
fn only_on_any_link_the_filter_is_asked_again() {
    let rules = |filter: Option<&str>| RuleSet { filter: filter.map(rule), rules: vec![rule("tcp")] };
    assert!(
        rules(Some("tcp")).filter_is_final(Link::Ethernet) && rules(Some("tcp")).filter_is_final(Link::RawIp)
    );
    assert!(!rules(Some("tcp")).filter_is_final(Link::Any));
    assert!(rules(None).filter_is_final(Link::Any) && rules(Some("")).filter_is_final(Link::Any));
}

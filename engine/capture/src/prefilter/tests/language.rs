//! The whole filter language in the kernel: every expression that crate filter is judged by, and random ones made of them.

use sniff_x_filter::{CompileError, EbpfOptions, RuleSet};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use super::bpf;
use super::frames::*;
use super::parse::program;
use super::root;
use crate::CaptureError;
use crate::prefilter::{Link, Prefilter};

/// The expressions that are judged by libpcap; the first is the empty one.
fn expressions() -> impl Iterator<Item = &'static str> {
    include_str!("../../../../filter/tests/judged/support/expressions.txt").lines()
}

/// Those, and as many again: two or three of them joined, by a generator with a fixed seed.
pub(super) fn filters() -> Vec<RuleSet> {
    let all: Vec<&str> = expressions().skip(1).collect();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator; its high bits are the better ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    for _ in 0..all.len() {
        let mut text = format!("({})", all[random(all.len())]);
        for _ in 0..=random(2) {
            let (joint, not) = (["and", "or"][random(2)], ["", "not "][random(2)]);
            text = format!("{text} {joint} {not}({})", all[random(all.len())]);
        }
        texts.push(text);
    }
    let set = |text: String| Some(RuleSet { filter: Some(text.parse().ok()?), rules: Vec::new() });
    texts.into_iter().filter_map(set).collect()
}

/// Loads the filter; false where the link can't be asked it.
pub(super) fn set(prefilter: &mut Prefilter, rules: &RuleSet) -> Result<bool, CaptureError> {
    let link = prefilter.link;
    let mut refused = false;
    let result = prefilter.set_rules(|fds| {
        let options = EbpfOptions { accept: u32::MAX, counters_fd: Some(fds.counters), link };
        let program = rules.compile_ebpf(&options);
        refused = matches!(program, Err(CompileError::Refused(_)));
        program
    });
    if refused { Ok(false) } else { result.map(|()| true) }
}

fn samples() -> Vec<Vec<u8>> {
    let http = || ipv4(TCP, &tcp(40000, 80, b"GET /"));
    let dns = || ipv6(UDP, &udp(5353, 53, b"question"));
    let geneve = |inner: &[u8]| udp(49152, 6081, &[&[0, 0, 0x65, 0x58, 0, 0, 5, 0], inner].concat());
    let session = |payload: &[u8]| [&[0x11, 0, 0, 3, 0, 0, 0, 0x21], payload].concat();
    let mut broadcast = ethernet(IPV4, &http());
    broadcast[..6].fill(0xff);
    vec![
        ethernet(IPV4, &http()),
        ethernet(IPV6, &dns()),
        ethernet(0x8100, &tag(5, IPV4, &http())),
        ethernet(0x8100, &tag(5, 0x8847, &[&[0, 0, 0x71, 64], &http()[..]].concat())),
        ethernet(0x8847, &[&[0, 0, 0x70, 64, 0, 0, 0x91, 64], &http()[..]].concat()),
        ethernet(0x8864, &session(&http())),
        ethernet(IPV4, &ipv4(UDP, &geneve(&ethernet(IPV4, &http())))),
        ethernet(IPV6, &ipv6(UDP, &geneve(&ethernet(0x8100, &tag(5, IPV6, &dns()))))),
        ethernet(IPV4, &ipv4_with(TCP, 0, &[1; 8], &tcp(40000, 3306, b"data"))),
        ethernet(IPV4, &ipv4_with(UDP, 0x2000, &[], &udp(40000, 53, b""))),
        ethernet(IPV4, &ipv4(1, &[8, 0, 0, 0, 0, 1, 0, 1])),
        ethernet(30, &[&[0xfe, 0xfe, 3, 0x83, 0, 0, 0, 18][..], &[0; 22]].concat()),
        ethernet(30, &[&[0x42, 0x42, 3][..], &[0; 27]].concat()),
        ethernet(
            0x0806,
            &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 1, 2],
        ),
        broadcast,
    ]
}

#[test]
fn the_kernel_says_what_the_evaluator_says() {
    if !root("the_kernel_says_what_the_evaluator_says") {
        return;
    }
    let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
    let samples = samples();
    let mut compared = 0;
    for rules in filters() {
        if !set(&mut prefilter, &rules).unwrap_or_else(|e| panic!("{rules:?}: {e}")) {
            continue;
        }
        let is_final = rules.filter_is_final(Link::Ethernet);
        for whole in &samples {
            for bytes in [&whole[..], &whole[..whole.len().min(33)]] {
                let frame = Frame {
                    bytes,
                    offset: 0,
                    timestamp: Nanos(0),
                    original_len: u32::try_from(bytes.len()).unwrap(),
                    interface: 1,
                    link_type: LinkType::ETHERNET,
                    vlan: None,
                    flags: FrameFlags::default(),
                };
                // The 14 bytes that test runs hide stand before the link header.
                let hidden = [&[0; 14][..], bytes].concat();
                let passes = bpf::run(program(&prefilter), &hidden).unwrap().result != 0;
                let expected = rules.matches_frame(&frame);
                // Where the program has not the last word it may let pass, and lose nothing.
                let agrees = passes == expected || passes && !is_final;
                assert!(agrees, "{rules:?} {bytes:02x?}: {passes}");
                compared += u32::from(is_final);
            }
        }
    }
    println!("{compared} verdicts compared");
    assert!(compared > 20_000);
}

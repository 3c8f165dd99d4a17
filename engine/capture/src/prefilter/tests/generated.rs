//! Programs that crate filter generates, in the kernel.

use sniff_x_filter::{EbpfOptions, Link as FilterLink, RuleSet};

use super::bpf;
use super::frames::*;
use super::parse::program;
use super::root;
use crate::CaptureError;
use crate::prefilter::{Link, Prefilter};

/// Rules of several plugins, with and without a filter: ports, ranges, hosts, nets of both families, and a set of ports that is no chain.
pub(super) fn rule_sets() -> Vec<RuleSet> {
    let parse = |text: &str| text.parse().unwrap();
    let ports = (0..400).map(|n| format!("port {}", 3 * n + 1)).collect::<Vec<_>>().join(" or ");
    let rules = [
        vec!["tcp and port 3306"],
        vec!["tcp and port 3306", "tcp portrange 6379-6389", "udp port 53"],
        vec!["tcp and host 10.77.0.1 and not dst port 22"],
        vec!["net 10.0.0.0/8 or net fd00::/8"],
        vec!["dst host fd00::2"],
        vec![&ports],
        vec![],
    ];
    let filters = [None, Some("host 10.77.0.2"), Some("ip6 and tcp"), Some("not udp portrange 1-1023")];
    let mut sets = Vec::new();
    for filter in filters {
        for rules in &rules {
            let rules = rules.iter().map(|text| parse(text)).collect();
            sets.push(RuleSet { filter: filter.map(parse), rules });
        }
    }
    sets
}

/// Generates and sets a program.
pub(super) fn set(prefilter: &mut Prefilter, rules: &RuleSet) -> Result<(), CaptureError> {
    let link = match prefilter.link {
        Link::Ethernet => FilterLink::Ethernet,
        Link::RawIp => FilterLink::RawIp,
        Link::Any => FilterLink::Any,
    };
    prefilter.set_rules(|fds| {
        let options = EbpfOptions { accept: u32::MAX, counters_fd: Some(fds.counters), link };
        rules.compile_ebpf_with_sets(&options, |sets| fds.port_sets(sets))
    })
}

/// 30,000 ports are in a map, which says of each what the list says.
#[test]
fn large_sets_of_ports_are_looked_up() {
    if !root("large_sets_of_ports_are_looked_up") {
        return;
    }
    let list: Vec<String> = (0..30_000).map(|n| (2 * n + 1).to_string()).collect();
    let text = format!("dst port ({})", list.join(" or "));
    let filter = RuleSet { filter: Some(text.parse().unwrap()), rules: Vec::new() };
    let rule = RuleSet { filter: None, rules: vec![text.parse().unwrap()] };
    for rules in [filter, rule] {
        let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
        set(&mut prefilter, &rules).unwrap();
        for port in [1, 2, 63, 64, 65, 3306, 3307, 59_999, 60_000, 60_001, 65_535] {
            let frame = ethernet(IPV4, &ipv4(TCP, &tcp(4, port, b"data")));
            let kept = bpf::run(program(&prefilter), &[&[0; 14][..], &frame].concat()).unwrap().result;
            assert_eq!(kept != 0, port % 2 == 1 && port < 60_000, "{port} {}", rules.rules.len());
        }
    }
}

#[test]
fn flow_mode_decides_alike_on_every_link() {
    if !root("flow_mode_decides_alike_on_every_link") {
        return;
    }
    let mysql = || tcp(51324, 3306, b"data");
    let packets = [
        (IPV4, ipv4(TCP, &mysql())),
        (IPV4, ipv4_with(TCP, 0, &[1; 8], &mysql())),
        (IPV6, ipv6(TCP, &mysql())),
        (IPV6, ipv6(0, &extension(TCP, 1, &mysql()))),
        (IPV4, ipv4(UDP, &udp(40000, 53, b"question"))),
        (IPV4, ipv4(1, &[8; 12])),
        (IPV4, ipv4_with(UDP, 0x2000, &[], &udp(40000, 9, b""))),
        (IPV4, ipv4(47, &[0; 24])),
    ];
    let cases = [
        ("tcp and port 3306", [true, true, true, true, false, false, true, true]),
        ("src port 3306", [false, false, false, false, false, false, true, true]),
        ("host 10.77.0.1", [true, true, false, false, true, false, true, true]),
        ("dst host 10.77.0.1", [false, false, false, false, false, false, true, true]),
        ("src net 10.77.0.0/31 and udp", [false, false, false, false, true, false, true, true]),
        ("dst host fd00::2", [false, false, true, true, false, false, true, true]),
        ("not host fd00::1", [true, true, false, false, true, false, true, true]),
    ];
    for link in super::LINKS {
        let mut prefilter = Prefilter::load(link).unwrap();
        let (mut seen, mut filtered) = (0, 0);
        for (rule, verdicts) in &cases {
            let rules = RuleSet { filter: None, rules: vec![rule.parse().unwrap()] };
            set(&mut prefilter, &rules).unwrap();
            for ((kind, packet), passes) in packets.iter().zip(verdicts) {
                let frame = match link {
                    Link::Ethernet => [&[0; 14][..], &ethernet(*kind, packet)].concat(),
                    // The 14 bytes that test runs hide are the link header.
                    Link::RawIp | Link::Any => ethernet(*kind, packet),
                };
                let kept = bpf::run(program(&prefilter), &frame).unwrap().result;
                assert_eq!(kept, if *passes { u32::MAX } else { 0 }, "{rule} on {link:?}: {packet:x?}");
                seen += 1;
                filtered += u64::from(!passes);
            }
        }
        let counted = prefilter.counters().unwrap();
        assert_eq!((counted.seen, counted.filtered), (seen, filtered));
    }
}

//! Flow mode in eBPF against the evaluator, and the evaluator against what the expression says.

use crate::support::vm::{Skb, Vm, filtered, loads};
use crate::support::{agrees, expressions, frame, frames, rules as rule_texts};
use proptest::prelude::*;
use sniff_x_ebpf_common::{cb, found};
use sniff_x_filter::{EbpfOptions, Expression, Link, Listing, RuleSet};
use sniff_x_flow::packet::{self, FlowHasher, Packet, Parsed, Segment, Span, TcpFlags};
use sniff_x_flow::{Endpoint, FlowKey, LinkType, Nanos, Place, Transport};

/// A TCP or UDP packet somewhere in a frame: what the prefilter and what the worker know of it.
#[derive(Clone, Debug)]
struct Sample {
    v6: bool,
    udp: bool,
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    /// Bytes of link header, VLAN tags, tunnels before the innermost IP header.
    before: usize,
}

impl Sample {
    fn transport(&self) -> Transport {
        if self.udp { Transport::Udp } else { Transport::Tcp }
    }

    fn packet(&self) -> Packet {
        let [source, destination] = [0, 1].map(|i| {
            let [a, b, c, d, ..] = self.addresses[i];
            if self.v6 {
                Endpoint::v6(self.addresses[i], self.ports[i])
            } else {
                Endpoint::v4([a, b, c, d], self.ports[i])
            }
        });
        let (key, sender) = FlowKey::new(source, destination, self.transport(), Place::default());
        let payload = Span { start: 0, len: 0 };
        Packet { key, hash: 0, sender, timestamp: Nanos(0), interface: 0, payload, missing: 0, vlan_tags: 0 }
    }

    /// On `any` the prefilter's offsets count from the outermost network header.
    fn skb(&self, link: Link) -> Skb {
        let protocol = if self.udp { 17 } else { 6 };
        let transport = frames::ports(self.ports[0], self.ports[1]);
        let [source, destination] = self.addresses;
        let inner = if self.v6 {
            frames::v6(protocol, source, destination, &transport)
        } else {
            let v4 = |a: [u8; 16]| [a[0], a[1], a[2], a[3]];
            frames::v4(protocol, v4(source), v4(destination), 0, &[], &transport)
        };
        let mut bytes = vec![0xee; self.before];
        bytes.extend(&inner);
        let network = self.before.min(14);
        let start = if link == Link::Any { network } else { 0 };
        let mut words = [0; 5];
        words[cb::FOUND] =
            u32::from(protocol) | found::PORTS | if self.v6 { found::IPV6 } else { found::IPV4 };
        let transport_at = self.before + if self.v6 { 40 } else { 20 };
        words[cb::OFFSETS] = ((transport_at - start) as u32) << 16 | (self.before - start) as u32;
        words[cb::PORTS] = u32::from(self.ports[0]) << 16 | u32::from(self.ports[1]);
        Skb { bytes, network, protocol: 0, vlan: None, cb: words }
    }
}

/// Addresses and ports that the expressions ask about come often, others sometimes.
fn sample() -> impl Strategy<Value = Sample> {
    let v4 = |a: [u8; 4]| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&a);
        address
    };
    let address = move || {
        prop_oneof![
            prop::sample::select(vec![v4(frames::A), v4(frames::B), v4(frames::C), frames::A6, frames::B6]),
            any::<[u8; 16]>(),
        ]
    };
    let port =
        || prop_oneof![prop::sample::select(vec![0, 1, 53, 80, 443, 3306, 5432, 40000, 65535]), any::<u16>()];
    let addresses = [address(), address()];
    (
        any::<bool>(),
        any::<bool>(),
        addresses,
        [port(), port()],
        prop::sample::select(vec![0_usize, 14, 18, 64]),
    )
        .prop_map(|(v6, udp, addresses, ports, before)| Sample { v6, udp, addresses, ports, before })
        // An IPv4 address written as IPv6 is the same endpoint in a flow's key, on the wire it never occurs.
        .prop_filter("mapped", |s| {
            !s.v6 || s.addresses.iter().all(|a| a[..12] != [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
        })
}

fn compile(rules: &RuleSet, link: Link) -> Vec<u8> {
    let options = EbpfOptions { accept: u32::MAX, counters_fd: Some(7), link };
    rules.compile_ebpf(&options).expect("small enough")
}

/// The same rules on two kinds of link.
type Programs = [(Link, Vec<u8>); 2];

fn rule(text: &str) -> Expression {
    sniff_x_filter::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn of(rules: &[&str]) -> RuleSet {
    RuleSet { filter: None, rules: rules.iter().map(|text| rule(text)).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_on_random_packets(samples in prop::collection::vec(sample(), 20)) {
        thread_local! {
            static PROGRAMS: Vec<(&'static str, RuleSet, Programs)> = rule_texts()
                .map(|text| {
                    let rules = of(&[text]);
                    let programs = [Link::Ethernet, Link::Any].map(|link| (link, compile(&rules, link)));
                    (text, rules, programs)
                })
                .collect();
        }
        PROGRAMS.with(|programs| {
            for (text, rules, programs) in programs {
                for (link, program) in programs {
                    let vm = Vm::new(program);
                    for sample in &samples {
                        let expected = rules.matches_packet(&sample.packet());
                        let before = filtered();
                        let verdict = vm.run(&sample.skb(*link));
                        prop_assert_eq!(verdict, if expected { u32::MAX } else { 0 }, "'{}'\n{}", text, Listing(program));
                        prop_assert_eq!(filtered() - before, u64::from(!expected));
                        prop_assert!(loads() <= 1, "'{}' loads {} times\n{}", text, loads(), Listing(program));
                    }
                }
            }
            Ok(())
        })?;
    }

    /// Several rules and a filter: any rule, and the filter.
    #[test]
    fn rules_and_filter(
        sample in sample(),
        texts in prop::collection::vec(prop::sample::select(rule_texts().collect::<Vec<_>>()), 1..4),
        filter in prop::sample::select(expressions().collect::<Vec<_>>()),
    ) {
        let mut rules = of(&texts);
        rules.filter = Some(rule(filter));
        let program = compile(&rules, Link::Ethernet);
        let skb = sample.skb(Link::Ethernet);
        let packet = sample.packet();
        let expected = rules.matches_frame(&frame(LinkType::ETHERNET, &skb.bytes, None)) && rules.matches_packet(&packet);
        let passes = Vm::new(&program).run(&skb) != 0;
        let agrees = agrees(&rules, Link::Ethernet, passes, expected);
        prop_assert!(agrees, "{:?}\n{}", rules, Listing(&program));
        prop_assert!(!passes || rules.matches_packet(&packet));
    }

    /// An outer frame that flow mode looks through and frame mode does not: each asks its own header.
    #[test]
    fn flow_mode_is_the_unwrapped_frame_mode(sample in sample(), text in prop::sample::select(rule_texts().collect::<Vec<_>>())) {
        // For a packet without link header, tunnel, options and fragments the two modes ask the same, but for ARP.
        let bytes = Sample { before: 0, ..sample.clone() }.skb(Link::Ethernet).bytes;
        let expression = rule(text);
        let asks_the_link = text.contains("ether proto 0x8") && !text.contains("0x800") || text.contains("link proto");
        prop_assume!(!asks_the_link);
        let in_frame = expression.matches_frame(&frame(LinkType::RAW, &bytes, None));
        prop_assert_eq!(expression.matches_packet(&sample.packet()), in_frame, "'{}' {:?}", text, sample);
    }
}

#[test]
fn what_the_prefilter_leaves_open_passes() {
    let rules = of(&["tcp port 3306 and host 10.0.0.1"]);
    let program = compile(&rules, Link::Ethernet);
    let vm = Vm::new(&program);
    for bits in [found::FRAGMENT, found::UNDECIDED, found::FRAGMENT | found::IPV4 | 17] {
        assert_ne!(vm.run(&Skb { cb: [bits, 0, 0, 0, 0], ..Skb::default() }), 0);
    }
    // No TCP or UDP header was found: nobody can want it.
    for bits in [0, found::IPV4 | 1, found::IPV4 | 6] {
        assert_eq!(vm.run(&Skb { cb: [bits, 0, 3306, 0, 0], ..Skb::default() }), 0);
    }
    // The headers are there, by the prefilter's word, but can't be read: user space decides.
    let bits = found::IPV4 | found::PORTS | 6;
    assert_ne!(vm.run(&Skb { cb: [bits, 14, 3306, 0, 0], ..Skb::default() }), 0);
}

#[test]
fn rules_without_addresses_touch_no_byte() {
    let many: Vec<String> = (1..=1000).map(|port| (port * 60).to_string()).collect();
    let text = format!("tcp port ({})", many.join(" or "));
    let program = compile(&of(&[&text]), Link::Ethernet);
    assert!(program.len() / 8 < 4000, "{} instructions", program.len() / 8);
    let vm = Vm::new(&program);
    for port in 0..=u16::MAX {
        let bits = found::IPV6 | found::PORTS | 6;
        let expected = port % 60 == 0 && (60..=60000).contains(&port);
        for ports in [u32::from(port), u32::from(port) << 16 | 1] {
            let skb = Skb { cb: [bits, 0, ports, 0, 0], ..Skb::default() };
            assert_eq!(vm.run(&skb) != 0, expected, "port {port}");
            assert_eq!(loads(), 0);
        }
    }
}

/// Wherever the address stands in the rule, it is only loaded when nothing else says no.
#[test]
fn addresses_are_asked_last() {
    for text in
        ["host 10.0.0.1 and tcp port 80", "(host 10.0.0.1 or fe80::1) and tcp and not udp and dst port 80"]
    {
        let program = compile(&of(&[text]), Link::Ethernet);
        let vm = Vm::new(&program);
        for (bits, ports) in [(found::IPV4 | 17, 80), (found::IPV4 | 6, 81), (found::IPV6 | 6, 79)] {
            assert_eq!(vm.run(&Skb { cb: [bits | found::PORTS, 14, ports, 0, 0], ..Skb::default() }), 0);
            assert_eq!(loads(), 0, "'{text}'\n{}", Listing(&program));
        }
    }
}

#[test]
fn no_rule_passes_everything_and_an_empty_rule_every_tcp_and_udp_packet() {
    let everything = compile(&RuleSet::default(), Link::Ethernet);
    assert_eq!(everything.len() / 8, 3);
    assert_eq!(Vm::new(&everything).run(&Skb::default()), u32::MAX);
    let empty = compile(&of(&["tcp port 1", ""]), Link::Ethernet);
    let bits = found::IPV4 | found::PORTS | 17;
    assert_ne!(Vm::new(&empty).run(&Skb { cb: [bits, 0, 0, 0, 0], ..Skb::default() }), 0);
    assert_eq!(Vm::new(&empty).run(&Skb { cb: [found::IPV4 | 1, 0, 0, 0, 0], ..Skb::default() }), 0);

    let packet = Sample { v6: false, udp: false, addresses: [[1; 16]; 2], ports: [5, 6], before: 0 }.packet();
    let (seq, ack) = Default::default();
    let segment = Segment { packet, seq, ack, flags: TcpFlags(0), window: 0, window_scale: None };
    let rules = of(&["tcp port 1"]);
    assert!(!rules.matches_parsed(&Parsed::Tcp(segment)));
    assert!(of(&["port 6"]).matches_parsed(&Parsed::Tcp(segment)));
    let mut fragment = [0; 28];
    (fragment[0], fragment[3], fragment[6], fragment[9]) = (0x45, 28, 0x20, 6);
    let fragment = packet::parse(&frame(LinkType::RAW, &fragment, None), &FlowHasher::with_seed(1));
    assert!(matches!(fragment, Parsed::Fragment(_)) && rules.matches_parsed(&fragment));
    assert!(!rules.matches_parsed(&Parsed::Other) && !rules.matches_parsed(&Parsed::Malformed));
    assert!(RuleSet::default().matches_parsed(&Parsed::Other));
}

#[test]
fn a_flow_belongs_to_a_rule_in_either_direction() {
    let client = Endpoint::v4([10, 0, 0, 9], 50000);
    let server = Endpoint::v4([10, 0, 0, 1], 3306);
    for (from, to) in [(client, server), (server, client)] {
        let (key, _) = FlowKey::new(from, to, Transport::Tcp, Place::default());
        assert!(rule("tcp port 3306").matches_flow(&key));
        assert!(rule("tcp src port 3306").matches_flow(&key));
        assert!(rule("dst host 10.0.0.1 and dst port 3306").matches_flow(&key));
        assert!(!rule("src host 10.0.0.9 and src port 3306").matches_flow(&key));
        assert!(!rule("udp port 3306").matches_flow(&key));
        assert!(!rule("ip6").matches_flow(&key));
    }
}

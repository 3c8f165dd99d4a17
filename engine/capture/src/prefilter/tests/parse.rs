//! What the static programs find in frames, by running them on bytes.

use std::os::fd::{AsFd as _, BorrowedFd};

use aya::programs::SocketFilter;
use sniff_x_ebpf_common::{cb, found};

use super::bpf;
use super::frames::*;
use super::{insn, root};
use crate::prefilter::{Link, Prefilter};

/// What the rule program accepts: a number to recognise.
const ACCEPT: u32 = 0x7777;

/// What should be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expect {
    /// Bits and protocol.
    found: u32,
    /// Where the IP header is, if there is one.
    ip_at: u32,
    /// Where the transport header is and which ports it has, if they are known.
    transport: Option<(u32, u16, u16)>,
}

fn ports(family: u32, protocol: u8, ip_at: u32, transport_at: u32, ports: (u16, u16)) -> Expect {
    let found = family | found::PORTS | u32::from(protocol);
    Expect { found, ip_at, transport: Some((transport_at, ports.0, ports.1)) }
}

fn nothing_of(found: u32, ip_at: u32) -> Expect {
    Expect { found, ip_at, transport: None }
}

const NOT_IP: Expect = Expect { found: 0, ip_at: 0, transport: None };
const CUT: Expect = Expect { found: found::UNDECIDED, ip_at: 0, transport: None };

/// The static program.
pub(super) fn program(prefilter: &Prefilter) -> BorrowedFd<'_> {
    let program: &SocketFilter =
        prefilter.program.program(super::super::program_for(prefilter.link)).unwrap().try_into().unwrap();
    program.fd().unwrap().as_fd()
}

/// Runs the program of `link` on the frames; `prefix` is what test runs hide.
fn check(link: Link, prefix: &[u8], cases: &[(&str, Vec<u8>, Expect)]) {
    let mut prefilter = Prefilter::load(link).unwrap();
    prefilter.set_rules(|_| Ok::<_, &str>(insn::constant(ACCEPT.cast_signed()))).unwrap();
    for (name, frame, expect) in cases {
        let ran = bpf::run(program(&prefilter), &[prefix, frame].concat()).unwrap();
        assert_eq!(ran.result, ACCEPT, "{name}");
        let plain = link == Link::Ethernet && is_plain(frame);
        assert_eq!(ran.cb[cb::FOUND] & found::PLAIN != 0, plain, "{name}");
        if plain {
            let bytes: Vec<u8> =
                [cb::SOURCE, cb::DESTINATION].iter().flat_map(|w| ran.cb[*w].to_ne_bytes()).collect();
            assert_eq!(
                (&bytes[..], &ran.cb[cb::PORTS].to_be_bytes()[..]),
                (&frame[26..34], &frame[34..38]),
                "{name}"
            );
        }
        let found = ran.cb[cb::FOUND] & !found::PLAIN;
        let ip = found & (found::IPV4 | found::IPV6) != 0;
        let transport = (found & found::PORTS != 0).then(|| {
            let ports = ran.cb[cb::PORTS];
            (ran.cb[cb::OFFSETS] >> 16, (ports >> 16) as u16, (ports & 0xffff) as u16)
        });
        let got = Expect { found, ip_at: if ip { ran.cb[cb::OFFSETS] & 0xffff } else { 0 }, transport };
        assert_eq!(got, *expect, "{name}: found {found:#x}, not {:#x}", expect.found);
    }
    let seen = prefilter.counters().unwrap().seen;
    assert_eq!(seen, cases.len() as u64);
}

/// IP packets, and what is found in them, where the IP header is at `at`.
fn packets(at: u32) -> Vec<(&'static str, u16, Vec<u8>, Expect)> {
    let (v4, v6) = (found::IPV4, found::IPV6);
    let (fragment, undecided) = (found::FRAGMENT, found::UNDECIDED);
    let tcp_3306 = || tcp(51324, 3306, b"data");
    let udp_53 = || udp(40000, 53, b"data");
    let both = (51324, 3306);
    let jumbo = || {
        let mut packet = ipv6(0, &[&[TCP, 0, 0xc2, 4, 0, 3, 0x5c, 0x4e][..], &tcp_3306()].concat());
        packet[4..6].fill(0);
        packet
    };
    let offloaded = || {
        let mut packet = ipv4(TCP, &tcp_3306());
        packet[2..4].fill(0);
        packet
    };
    let said_shorter = |len: u8| {
        let mut packet = ipv4(TCP, &tcp_3306());
        packet[2..4].copy_from_slice(&[0, len]);
        packet
    };
    let said_shorter_v6 = |len: u8| {
        let mut packet = ipv6(139, &extension(UDP, 1, &udp_53()));
        packet[4..6].copy_from_slice(&[0, len]);
        packet
    };
    let header_of_16 = || {
        let mut packet = ipv4(TCP, &tcp_3306());
        packet[0] = 0x44;
        packet
    };
    let nested = |headers: usize| {
        let mut payload = tcp_3306();
        for n in 0..headers {
            payload = extension(if n == 0 { TCP } else { 139 }, 0, &payload);
        }
        ipv6(139, &payload)
    };
    vec![
        ("TCP over IPv4", IPV4, ipv4(TCP, &tcp_3306()), ports(v4, TCP, at, at + 20, both)),
        ("UDP over IPv4", IPV4, ipv4(UDP, &udp_53()), ports(v4, UDP, at, at + 20, (40000, 53))),
        ("no data", IPV4, ipv4(TCP, &tcp(1, 65535, b"")), ports(v4, TCP, at, at + 20, (1, 65535))),
        ("ICMP", IPV4, ipv4(1, &[8, 0, 0, 0, 0, 1, 0, 1]), nothing_of(v4 | 1, at)),
        ("SCTP", IPV4, ipv4(132, &tcp_3306()), nothing_of(v4 | 132, at)),
        (
            "4 bytes of options",
            IPV4,
            ipv4_with(TCP, 0, &[1; 4], &tcp_3306()),
            ports(v4, TCP, at, at + 24, both),
        ),
        (
            "40 bytes of options",
            IPV4,
            ipv4_with(UDP, 0, &[1; 40], &udp_53()),
            ports(v4, UDP, at, at + 60, (40000, 53)),
        ),
        ("segmentation offload", IPV4, offloaded(), ports(v4, TCP, at, at + 20, both)),
        (
            "the first fragment",
            IPV4,
            ipv4_with(UDP, 0x2000, &[], &udp_53()),
            nothing_of(v4 | 17 | fragment, at),
        ),
        (
            "a middle fragment",
            IPV4,
            ipv4_with(TCP, 0x2001, &[], &tcp_3306()),
            nothing_of(v4 | 6 | fragment, at),
        ),
        ("the last fragment", IPV4, ipv4_with(TCP, 0x0100, &[], &[0; 8]), nothing_of(v4 | 6 | fragment, at)),
        ("IP in IP", IPV4, ipv4(4, &ipv4(TCP, &tcp_3306())), nothing_of(v4 | 4 | undecided, at)),
        ("6in4", IPV4, ipv4(41, &ipv6(TCP, &tcp_3306())), nothing_of(v4 | 41 | undecided, at)),
        ("GRE", IPV4, ipv4(47, &[0, 0, 8, 0]), nothing_of(v4 | 47 | undecided, at)),
        (
            "authentication header over IPv4",
            IPV4,
            ipv4(51, &authentication(TCP, &tcp_3306())),
            nothing_of(v4 | 51 | undecided, at),
        ),
        ("ESP", IPV4, ipv4(50, &[0; 32]), nothing_of(v4 | 50, at)),
        ("IHL of 4", IPV4, header_of_16(), CUT),
        ("no room for ports", IPV4, said_shorter(23), nothing_of(v4 | 6 | undecided, at)),
        ("room for ports", IPV4, said_shorter(24), ports(v4, TCP, at, at + 20, both)),
        (
            "ports cut",
            IPV4,
            ipv4_with(TCP, 0, &[1; 40], &[0x12, 0x34, 0x56]),
            nothing_of(v4 | 6 | undecided, at),
        ),
        ("IPv4 header cut", IPV4, ipv4(TCP, &[])[..11].to_vec(), CUT),
        ("IPv4 that says it is IPv6", IPV6, ipv4(TCP, &tcp_3306()), CUT),
        ("TCP over IPv6", IPV6, ipv6(TCP, &tcp_3306()), ports(v6, TCP, at, at + 40, both)),
        ("UDP over IPv6", IPV6, ipv6(UDP, &udp_53()), ports(v6, UDP, at, at + 40, (40000, 53))),
        ("ICMPv6", IPV6, ipv6(58, &[128, 0, 0, 0]), nothing_of(v6 | 58, at)),
        ("nothing follows", IPV6, ipv6(59, &[]), nothing_of(v6 | 59, at)),
        (
            "hop-by-hop options",
            IPV6,
            ipv6(0, &extension(TCP, 0, &tcp_3306())),
            ports(v6, TCP, at, at + 48, both),
        ),
        ("jumbogram", IPV6, jumbo(), ports(v6, TCP, at, at + 48, both)),
        (
            "hop-by-hop, host identity, routing to here, authentication",
            IPV6,
            ipv6(
                0,
                &extension(139, 1, &extension(43, 2, &extension(51, 0, &authentication(UDP, &udp_53())))),
            ),
            ports(v6, UDP, at, at + 40 + 16 + 24 + 8 + 24, (40000, 53)),
        ),
        (
            "the longest extension header",
            IPV6,
            ipv6(139, &extension(TCP, 255, &tcp_3306())),
            ports(v6, TCP, at, at + 40 + 2048, both),
        ),
        ("six extension headers", IPV6, nested(6), ports(v6, TCP, at, at + 88, both)),
        ("seven extension headers", IPV6, nested(7), nothing_of(v6 | 139 | undecided, at)),
        (
            "an atomic fragment",
            IPV6,
            ipv6(44, &fragment_header(TCP, 0, &tcp_3306())),
            ports(v6, TCP, at, at + 48, both),
        ),
        (
            "the first IPv6 fragment",
            IPV6,
            ipv6(44, &fragment_header(UDP, 1, &udp_53())),
            nothing_of(v6 | 17 | fragment, at),
        ),
        (
            "routing on from here",
            IPV6,
            ipv6(43, &[&[TCP, 2, 0, 1], &[0; 20][..], &tcp_3306()].concat()),
            nothing_of(v6 | 6 | undecided, at),
        ),
        (
            "destination options",
            IPV6,
            ipv6(60, &extension(TCP, 0, &tcp_3306())),
            nothing_of(v6 | 6 | undecided, at),
        ),
        (
            "the last IPv6 fragment behind options",
            IPV6,
            ipv6(0, &extension(44, 0, &fragment_header(TCP, 0x0108, &[0; 8]))),
            nothing_of(v6 | 6 | fragment, at),
        ),
        ("IPv6 in IPv6", IPV6, ipv6(41, &ipv6(TCP, &tcp_3306())), nothing_of(v6 | 41 | undecided, at)),
        ("IPv4 in IPv6", IPV6, ipv6(4, &ipv4(TCP, &tcp_3306())), nothing_of(v6 | 4 | undecided, at)),
        ("extension header cut", IPV6, ipv6(0, &[TCP, 0]), nothing_of(v6 | undecided, at)),
        ("IPv6 ports cut", IPV6, ipv6(TCP, &[1, 2, 3]), nothing_of(v6 | 6 | undecided, at)),
        ("no room for IPv6 ports", IPV6, said_shorter_v6(19), nothing_of(v6 | 17 | undecided, at)),
        ("room for IPv6 ports", IPV6, said_shorter_v6(20), ports(v6, UDP, at, at + 56, (40000, 53))),
        ("IPv6 that says it is IPv4", IPV4, ipv6(TCP, &tcp_3306()), CUT),
    ]
}

/// Tunnels over UDP, either way.
fn udp_tunnels(at: u32) -> Vec<(&'static str, u16, Vec<u8>, Expect)> {
    let tunnel = |port| ports(found::IPV4 | found::UNDECIDED, UDP, at, at + 20, port);
    let packet = |ports: (u16, u16)| ipv4(UDP, &udp(ports.0, ports.1, &[0; 16]));
    let mut all = Vec::new();
    for (name, port) in [
        ("VXLAN", 4789),
        ("VXLAN before", 8472),
        ("VXLAN-GPE", 4790),
        ("GENEVE", 6081),
        ("GTP-U", 2152),
        ("Teredo", 3544),
    ] {
        all.push((name, IPV4, packet((50000, port)), tunnel((50000, port))));
        all.push((name, IPV4, packet((port, 50000)), tunnel((port, 50000))));
    }
    let tcp_of_it = ports(found::IPV4, TCP, at, at + 20, (4789, 4789));
    all.push(("TCP with the port of a tunnel", IPV4, ipv4(TCP, &tcp(4789, 4789, b"")), tcp_of_it));
    all
}

/// As Ethernet frames.
fn framed(packets: Vec<(&'static str, u16, Vec<u8>, Expect)>) -> Vec<(&'static str, Vec<u8>, Expect)> {
    packets.into_iter().map(|(name, kind, packet, expect)| (name, ethernet(kind, &packet), expect)).collect()
}

/// Frames of Ethernet with what is not IP, or IP behind something.
fn other_ethernet() -> Vec<(&'static str, Vec<u8>, Expect)> {
    let mut all = vec![
        ("ARP", ethernet(0x0806, &[0; 28]), NOT_IP),
        ("ARP, cut to 20 bytes", ethernet(0x0806, &[0; 6]), NOT_IP),
        ("LLDP", ethernet(0x88cc, &[0; 60]), NOT_IP),
        ("802.3", ethernet(38, &[0x42, 0x42, 3].repeat(13)), CUT),
        ("MPLS", ethernet(0x8847, &[0; 60]), CUT),
        ("MPLS multicast", ethernet(0x8848, &[0; 60]), CUT),
        ("PPPoE", ethernet(0x8864, &[0; 60]), CUT),
        ("PPPoE discovery", ethernet(0x8863, &[0; 60]), NOT_IP),
        ("PPPoE behind a tag", ethernet(0x8100, &tag(5, 0x8864, &[0; 60])), CUT),
        ("the provider's backbone", ethernet(0x88e7, &[0; 60]), CUT),
        ("a service chain", ethernet(0x894f, &[0; 60]), CUT),
        ("VN-Tag", ethernet(0x8926, &[0; 60]), CUT),
        ("802.1BR", ethernet(0x893f, &[0; 60]), CUT),
        ("a vendor's number for tags", ethernet(0x9200, &[0; 60]), CUT),
        ("MACsec", ethernet(0x88e5, &[0; 60]), NOT_IP),
        (
            "IPv4 of a protocol without header, 34 bytes",
            ethernet(IPV4, &ipv4(99, &[])),
            nothing_of(found::IPV4 | 99, 14),
        ),
        (
            "37 bytes",
            ethernet(IPV4, &ipv4(TCP, &[1, 2, 3])),
            nothing_of(found::IPV4 | 6 | found::UNDECIDED, 14),
        ),
        ("38 bytes", ethernet(IPV4, &ipv4(TCP, &[0, 80, 1, 0])), ports(found::IPV4, TCP, 14, 34, (80, 256))),
        ("14 bytes", ethernet(IPV4, &[]), CUT),
        ("13 bytes", ethernet(IPV4, &[])[..13].to_vec(), CUT),
        ("a tag cut", ethernet(0x8100, &[0, 5, 8]), CUT),
    ];
    for (tags, tpids) in [
        ("one tag", &[0x8100_u16][..]),
        ("QinQ", &[0x88a8, 0x8100]),
        ("old QinQ", &[0x9100, 0x8100]),
        ("three tags", &[0x88a8, 0x8100, 0x8100]),
        ("four tags", &[0x8100, 0x8100, 0x8100, 0x8100]),
        ("five tags", &[0x8100, 0x8100, 0x8100, 0x8100, 0x8100]),
    ] {
        let behind = |kind: u16, packet: &[u8]| {
            let mut frame = packet.to_vec();
            let mut kind = kind;
            for tpid in tpids.iter().rev() {
                frame = tag(0x2005, kind, &frame);
                kind = *tpid;
            }
            ethernet(kind, &frame)
        };
        let at = 14 + 4 * u32::try_from(tpids.len()).unwrap();
        let v4 = ports(found::IPV4, TCP, at, at + 20, (51324, 3306));
        let v6 = ports(found::IPV6, UDP, at, at + 48, (40000, 53));
        let (v4, v6) = if tpids.len() > 4 { (CUT, CUT) } else { (v4, v6) };
        all.push((tags, behind(IPV4, &ipv4(TCP, &tcp(51324, 3306, b"data"))), v4));
        all.push((tags, behind(IPV6, &ipv6(0, &extension(UDP, 0, &udp(40000, 53, b"")))), v6));
        let arp = if tpids.len() > 4 { CUT } else { NOT_IP };
        all.push((tags, behind(0x0806, &[0; 28]), arp));
    }
    all
}

#[test]
fn ethernet_frames() {
    if !root("ethernet_frames") {
        return;
    }
    let mut cases = framed(packets(14));
    cases.extend(framed(udp_tunnels(14)));
    cases.extend(other_ethernet());
    check(Link::Ethernet, &[0; 14], &cases);
}

#[test]
fn raw_ip_frames() {
    if !root("raw_ip_frames") {
        return;
    }
    let version = |packet: &[u8]| if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
    let mut cases: Vec<_> = packets(0)
        .into_iter()
        .chain(udp_tunnels(0))
        // Without an EtherType there is none to contradict.
        .filter(|(_, kind, packet, _)| version(packet) == *kind)
        .map(|(name, _, packet, expect)| (name, packet, expect))
        .collect();
    cases.push(("neither version", vec![0; 40], NOT_IP));
    check(Link::RawIp, &[0; 14], &cases);
}

#[test]
fn frames_of_any_interface() {
    if !root("frames_of_any_interface") {
        return;
    }
    // Test runs set the network header behind 14 bytes and the protocol from them, so these frames are whole.
    // They refuse a cut IP header there; the wire tests have one.
    let mut packets = packets(0);
    packets.retain(|(_, kind, packet, _)| packet.len() >= if *kind == IPV4 { 20 } else { 40 });
    let mut cases = framed(packets);
    cases.extend(framed(udp_tunnels(0)));
    cases.extend([
        ("ARP", ethernet(0x0806, &[0; 28]), NOT_IP),
        ("MPLS", ethernet(0x8847, &[0; 60]), CUT),
        // As a received frame is after the kernel took the outer tag.
        (
            "QinQ",
            ethernet(0x8100, &tag(5, IPV4, &ipv4(TCP, &tcp(51324, 3306, b"")))),
            ports(found::IPV4, TCP, 4, 24, (51324, 3306)),
        ),
        (
            "three tags",
            ethernet(0x88a8, &tag(5, 0x8100, &tag(6, IPV6, &ipv6(UDP, &udp(40000, 53, b""))))),
            ports(found::IPV6, UDP, 8, 48, (40000, 53)),
        ),
        ("a tag cut", ethernet(0x8100, &[0, 5, 8]), CUT),
    ]);
    check(Link::Any, &[], &cases);
}

#[test]
fn nothing_passes_or_counts_before_there_are_rules() {
    if !root("nothing_passes_or_counts_before_there_are_rules") {
        return;
    }
    let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
    let frame = [&[0; 14][..], &ethernet(IPV4, &ipv4(TCP, &tcp(1, 2, b"")))].concat();
    assert_eq!(bpf::run(program(&prefilter), &frame).unwrap().result, 0);
    prefilter.set_rules(|fds| Ok::<_, &str>(insn::reject_and_count(fds.counters))).unwrap();
    let counted = prefilter.counters().unwrap();
    assert_eq!((counted.seen, counted.filtered), (0, 0));
    for n in 1..=3 {
        assert_eq!(bpf::run(program(&prefilter), &frame).unwrap().result, 0);
        let counted = prefilter.counters().unwrap();
        assert_eq!((counted.seen, counted.filtered), (n, n));
    }
}

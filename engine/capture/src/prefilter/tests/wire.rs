//! Real frames: over a veth pair, a tun device and the loopback interface of a namespace of the test's own.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sniff_x_ebpf_common::{cb, found};
use sniff_x_filter::RuleSet;

use super::bpf::Value;
use super::frames::*;
use super::namespace::{in_namespace, ip, next, packet_socket, sniffer, sys};
use super::{generated, insn, root};
use crate::prefilter::{Link, Prefilter};

/// Frames pass; what was found in each is seen.
struct Watch {
    prefilter: Prefilter,
    value: Value,
    socket: OwnedFd,
}

impl Watch {
    fn new(interface: &str, link: Link) -> Self {
        let value = Value::new();
        let mut prefilter = Prefilter::load(link).unwrap();
        let socket = sniffer(interface, &prefilter);
        prefilter.set_rules(|_| Ok::<_, &str>(insn::report(value.fd()))).unwrap();
        Self { prefilter, value, socket }
    }

    /// The next frame's cb words and bytes.
    fn next(&self) -> ([u32; 3], Vec<u8>) {
        let frame = next(&self.socket, 2000).expect("no frame");
        let [found, offsets, ports, written] = self.value.read();
        assert_eq!(written, 1);
        let plain = self.prefilter.link == Link::Ethernet && is_plain(&frame);
        assert_eq!(found & found::PLAIN != 0, plain);
        ([found & !found::PLAIN, offsets, ports], frame)
    }
}

/// The cb words of a packet with ports.
fn words(bits: u32, ip_at: u32, transport_at: u32, ports: (u16, u16)) -> [u32; 3] {
    let mut words = [0; 3];
    words[cb::FOUND] = bits | found::PORTS;
    words[cb::OFFSETS] = transport_at << 16 | ip_at;
    words[cb::PORTS] = u32::from(ports.0) << 16 | u32::from(ports.1);
    words
}

#[test]
fn tags_on_both_sides_of_a_veth_pair() {
    if !root("tags_on_both_sides_of_a_veth_pair") {
        return;
    }
    in_namespace(|| {
        let tcp = tcp(51324, 3306, b"data");
        let (both, v4, v6) = ((51324, 3306), found::IPV4 | 6, found::IPV6 | 6);
        let plain = ethernet(IPV4, &ipv4(TCP, &tcp));
        let tagged = ethernet(0x8100, &tag(5, IPV4, &ipv4(TCP, &tcp)));
        let tagged_v6 = ethernet(0x8100, &tag(5, IPV6, &ipv6(TCP, &tcp)));
        let double = ethernet(0x88a8, &tag(5, 0x8100, &tag(6, IPV4, &ipv4(TCP, &tcp))));
        // Frame, and for either link type what is found where it is sent (tags in the frame) and where it arrives (the outer tag taken).
        let cases = [
            (
                &plain,
                words(v4, 14, 34, both),
                words(v4, 14, 34, both),
                words(v4, 0, 20, both),
                words(v4, 0, 20, both),
            ),
            (
                &tagged,
                words(v4, 18, 38, both),
                words(v4, 14, 34, both),
                words(v4, 0, 20, both),
                words(v4, 0, 20, both),
            ),
            (
                &tagged_v6,
                words(v6, 18, 58, both),
                words(v6, 14, 54, both),
                words(v6, 0, 40, both),
                words(v6, 0, 40, both),
            ),
            (
                &double,
                words(v4, 22, 42, both),
                words(v4, 18, 38, both),
                words(v4, 0, 20, both),
                words(v4, 4, 24, both),
            ),
        ];
        let sides = [
            Watch::new("left", Link::Ethernet),
            Watch::new("right", Link::Ethernet),
            Watch::new("left", Link::Any),
            Watch::new("right", Link::Any),
        ];
        let out = packet_socket();
        for (frame, sent, arrived, sent_any, arrived_any) in cases {
            sys::send(&out, "left", frame);
            let without_tag = [&frame[..12], &frame[if frame == &plain { 12 } else { 16 }..]].concat();
            let bytes = [frame, &without_tag, frame, &without_tag];
            let expected = [sent, arrived, sent_any, arrived_any].into_iter().zip(bytes);
            for (side, (expect, bytes)) in sides.iter().zip(expected) {
                let (got, seen) = side.next();
                assert_eq!(got, expect, "{:?} {got:x?} {expect:x?} {frame:x?}", side.prefilter);
                assert_eq!(&seen, bytes);
            }
        }
        // Sent by this host, but not on the loopback interface: nothing is a second sight.
        for side in &sides {
            let counted = side.prefilter.counters().unwrap();
            assert_eq!((counted.seen, counted.loopback_duplicates), (4, 0));
        }
    });
}

#[test]
fn a_cut_header_on_any_interface() {
    if !root("a_cut_header_on_any_interface") {
        return;
    }
    in_namespace(|| {
        let watch = Watch::new("right", Link::Any);
        let out = packet_socket();
        sys::send(&out, "left", &ethernet(IPV4, &[0x45]));
        let (got, _) = watch.next();
        assert_eq!(got, [found::UNDECIDED, 0, 0]);
    });
}

#[test]
fn frames_without_a_link_header() {
    if !root("frames_without_a_link_header") {
        return;
    }
    in_namespace(|| {
        let mut tun = sys::tun("tun0");
        ip("link set tun0 addrgenmode none");
        ip("link set tun0 up");
        let (raw, any) = (Watch::new("tun0", Link::RawIp), Watch::new("tun0", Link::Any));
        for (packet, expect) in [
            (ipv4(UDP, &udp(40000, 53, b"q")), words(found::IPV4 | 17, 0, 20, (40000, 53))),
            (ipv6(TCP, &tcp(51324, 3306, b"q")), words(found::IPV6 | 6, 0, 40, (51324, 3306))),
        ] {
            tun.write_all(&packet).unwrap();
            for watch in [&raw, &any] {
                let (got, seen) = watch.next();
                assert_eq!(got, expect, "{got:x?} {expect:x?}");
                assert_eq!(seen, packet);
            }
        }
    });
}

#[test]
fn the_loopback_interface_shows_each_frame_once() {
    if !root("the_loopback_interface_shows_each_frame_once") {
        return;
    }
    in_namespace(|| {
        for link in [Link::Ethernet, Link::Any] {
            let watch = Watch::new("lo", link);
            let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let to = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let both = (from.local_addr().unwrap().port(), to.local_addr().unwrap().port());
            let at = if link == Link::Any { 0 } else { 14 };
            for _ in 0..5 {
                from.send_to(b"once", to.local_addr().unwrap()).unwrap();
                assert_eq!(watch.next().0, words(found::IPV4 | 17, at, at + 20, both));
            }
            assert_eq!(next(&watch.socket, 0), None);
            let counted = watch.prefilter.counters().unwrap();
            assert_eq!((counted.seen, counted.loopback_duplicates, counted.filtered), (5, 5, 0));
        }
    });
}

#[test]
fn second_sights_before_the_rules_are_not_counted() {
    if !root("second_sights_before_the_rules_are_not_counted") {
        return;
    }
    in_namespace(|| {
        let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
        let socket = sniffer("lo", &prefilter);
        let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = || from.send_to(b"x", from.local_addr().unwrap()).unwrap();
        send();
        assert_eq!(prefilter.counters().unwrap(), Default::default());
        prefilter.set_rules(|_| Ok::<_, &str>(insn::constant(i32::MAX))).unwrap();
        assert_eq!(next(&socket, 0), None);
        assert_eq!(prefilter.counters().unwrap(), Default::default());
        send();
        assert!(next(&socket, 2000).is_some());
        let counted = prefilter.counters().unwrap();
        assert_eq!((counted.seen, counted.loopback_duplicates), (1, 1));
    });
}

#[test]
fn rules_decide_by_what_was_found() {
    if !root("rules_decide_by_what_was_found") {
        return;
    }
    in_namespace(|| {
        let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
        let (left, right) = (sniffer("left", &prefilter), sniffer("right", &prefilter));
        prefilter.set_rules(|_| Ok::<_, &str>(insn::tcp_to(3306))).unwrap();
        let out = packet_socket();
        let asked = tcp(51324, 3306, b"");
        for (frame, passes) in [
            (ethernet(IPV4, &ipv4(TCP, &asked)), true),
            (ethernet(IPV4, &ipv4(TCP, &tcp(51324, 3307, b""))), false),
            (ethernet(IPV4, &ipv4(UDP, &udp(51324, 3306, b""))), false),
            (ethernet(0x8100, &tag(5, IPV6, &ipv6(TCP, &asked))), true),
            (ethernet(0x8100, &tag(5, IPV6, &ipv6(TCP, &tcp(3306, 51324, b"")))), false),
            (ethernet(IPV4, &ipv4_with(TCP, 0x2001, &[], &tcp(1, 2, b""))), true),
            (ethernet(IPV4, &ipv4(47, &[0; 20])), true),
            (ethernet(0x0806, &[0; 46]), false),
        ] {
            sys::send(&out, "left", &frame);
            for socket in [&left, &right] {
                assert_eq!(next(socket, if passes { 2000 } else { 0 }).is_some(), passes, "{frame:x?}");
            }
        }
        assert_eq!(prefilter.counters().unwrap().seen, 16);
    });
}

#[test]
fn generated_rules_find_the_addresses_on_any_interface() {
    if !root("generated_rules_find_the_addresses_on_any_interface") {
        return;
    }
    in_namespace(|| {
        let mut prefilter = Prefilter::load(Link::Any).unwrap();
        let (left, right) = (sniffer("left", &prefilter), sniffer("right", &prefilter));
        let out = packet_socket();
        let tcp = tcp(51324, 3306, b"");
        for (rule, v4, v6) in [
            ("src host 10.77.0.1", true, false),
            ("dst host 10.77.0.1", false, false),
            ("dst net fd00::2/127", false, true),
        ] {
            let rules = RuleSet { filter: None, rules: vec![rule.parse().unwrap()] };
            generated::set(&mut prefilter, &rules).unwrap();
            for (frame, passes) in [
                (ethernet(IPV4, &ipv4(TCP, &tcp)), v4),
                (ethernet(IPV6, &ipv6(TCP, &tcp)), v6),
                (ethernet(0x8100, &tag(5, IPV4, &ipv4(TCP, &tcp))), v4),
                (ethernet(0x88a8, &tag(5, 0x8100, &tag(6, IPV6, &ipv6(0, &extension(TCP, 0, &tcp))))), v6),
            ] {
                sys::send(&out, "left", &frame);
                for socket in [&left, &right] {
                    let wait = if passes { 2000 } else { 0 };
                    assert_eq!(next(socket, wait).is_some(), passes, "{rule}: {frame:x?}");
                }
            }
        }
        let counted = prefilter.counters().unwrap();
        assert_eq!((counted.seen, counted.filtered), (24, 16));
    });
}

#[test]
fn swapping_rules_under_traffic_loses_nothing() {
    if !root("swapping_rules_under_traffic_loses_nothing") {
        return;
    }
    const FRAMES: u32 = 50_000;
    in_namespace(|| {
        let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
        let socket = sniffer("right", &prefilter);
        prefilter.set_rules(|_| Ok::<_, &str>(insn::constant(i32::MAX))).unwrap();
        let sent = AtomicBool::new(false);
        let (mut swaps, mut expected) = (0_u32, 0_u32);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let out = packet_socket();
                let left = sys::address("left");
                for n in 0..FRAMES {
                    sys::send_to(&out, &left, &ethernet(IPV4, &ipv4(TCP, &tcp(1, 3306, &n.to_be_bytes()))));
                }
                sent.store(true, Ordering::Release);
            });
            loop {
                let last = sent.load(Ordering::Acquire);
                // Two programs in turn, each of which lets these frames pass.
                let program =
                    if swaps.is_multiple_of(2) { insn::tcp_to(3306) } else { insn::constant(i32::MAX) };
                prefilter.set_rules(|_| Ok::<_, &str>(program)).unwrap();
                swaps += 1;
                while let Some(frame) = next(&socket, 0) {
                    assert!(frame.ends_with(&expected.to_be_bytes()), "frame {expected} is missing");
                    expected += 1;
                }
                if last {
                    break;
                }
            }
        });
        assert_eq!((expected, prefilter.counters().unwrap().seen), (FRAMES, u64::from(FRAMES)));
        assert!(swaps > 10, "{swaps} swaps are no test");
    });
}

#[test]
fn both_directions_and_fragments_go_to_one_ring() {
    if !root("both_directions_and_fragments_go_to_one_ring") {
        return;
    }
    in_namespace(|| {
        let mut prefilter = Prefilter::load(Link::Ethernet).unwrap();
        let rings: Vec<_> = (0..4).map(|_| sniffer("right", &prefilter)).collect();
        for ring in &rings {
            sys::join_fanout(ring);
        }
        prefilter.choose_rings(rings[0].as_fd()).unwrap();
        prefilter.choose_rings(rings[0].as_fd()).unwrap();
        prefilter.set_rules(|_| Ok::<_, &str>(insn::constant(i32::MAX))).unwrap();
        let out = packet_socket();
        // Sent on one side of the pair it arrives, sent on the other it leaves: which ring is it seen on?
        let ring_of = |side: &str, frame: &[u8]| {
            sys::send(&out, side, frame);
            let mut fds: Vec<_> =
                rings.iter().map(|ring| PollFd::new(ring.as_fd(), PollFlags::POLLIN)).collect();
            assert_eq!(poll(&mut fds, PollTimeout::from(2000_u16)).unwrap(), 1);
            let at = fds.iter().position(|fd| fd.any() == Some(true)).unwrap();
            assert!(next(&rings[at], 0).is_some());
            at
        };
        let turned = |mut frame: Vec<u8>, at: usize, len: usize| {
            let (a, b) = frame[at..at + 2 * len].split_at_mut(len);
            a.swap_with_slice(b);
            frame
        };
        let mut used = [0; 4];
        for n in 0..64 {
            let (there, back) = (tcp(40000 + n, 3306, b""), tcp(3306, 40000 + n, b""));
            let v4 = ring_of("left", &ethernet(IPV4, &ipv4(TCP, &there)));
            used[v4] += 1;
            let reply = turned(ipv4(TCP, &back), 12, 4);
            assert_eq!(ring_of("right", &ethernet(IPV4, &reply)), v4);
            // In metadata where it arrives, in the frame where it leaves.
            assert_eq!(ring_of("left", &ethernet(0x8100, &tag(5, IPV4, &reply))), v4);
            assert_eq!(ring_of("right", &ethernet(0x8100, &tag(5, IPV4, &reply))), v4);
            let v6 = ring_of("left", &ethernet(IPV6, &ipv6(TCP, &there)));
            used[v6] += 1;
            let reply = turned(ipv6(0, &extension(TCP, 0, &back)), 8, 16);
            assert_eq!(ring_of("right", &ethernet(IPV6, &reply)), v6);
        }
        assert!(used.iter().all(|n| (16..=48).contains(n)), "{used:?}");
        // The first fragment has ports, the others have data there.
        let first = ring_of("left", &ethernet(IPV4, &ipv4_with(UDP, 0x2000, &[], &udp(1, 2, b""))));
        for n in 1..20 {
            let fragment = ethernet(IPV4, &ipv4_with(UDP, n, &[], &udp(n * 7, n * 11, b"")));
            assert_eq!(ring_of("left", &fragment), first);
        }
    });
}

//! Several sources that share the flows of the same interfaces out.

use super::*;
use sniff_x_flow::{Endpoint, FlowKey, Place, Transport};

use crate::{SourceCounters, fanout_number};

/// An Ethernet frame with UDP between port 53 of one host and `port` of another, to the first or back.
fn datagram(port: u16, back: bool) -> Vec<u8> {
    let (client, server) = (([10, 0, 0, 1], port), ([10, 0, 0, 2], 53_u16));
    let (from, to) = if back { (server, client) } else { (client, server) };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 28 + 18, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(from.0.into_iter().chain(to.0));
    frame.extend(from.1.to_be_bytes().into_iter().chain(to.1.to_be_bytes()));
    frame.extend([0, 8 + 18, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// The flow of a [`datagram`].
fn flow(port: u16) -> FlowKey {
    let (client, server) = (Endpoint::v4([10, 0, 0, 1], port), Endpoint::v4([10, 0, 0, 2], 53));
    FlowKey::new(client, server, Transport::Udp, Place::default()).0
}

/// The client's port of a [`datagram`].
fn port(frame: &Seen) -> u16 {
    let port = |at: usize| u16::from_be_bytes([frame.bytes[at], frame.bytes[at + 1]]);
    if port(34) == 53 { port(36) } else { port(34) }
}

/// The sources of so many rings, filtered in the kernel.
fn several(rings: usize, options: LiveOptions) -> Vec<AfPacket> {
    let sources = AfPacket::open(&LiveOptions { rings, ..options }, Filtering::load).unwrap();
    assert_eq!(sources.len(), rings);
    sources
}

fn sum(sources: &mut [AfPacket]) -> SourceCounters {
    let counters = sources.iter_mut().map(|source| source.counters());
    counters
        .reduce(|mut sum, one| {
            sum.add(&one);
            sum
        })
        .unwrap()
}

/// Takes all that is there.
fn take(source: &mut AfPacket, seen: &mut Vec<Seen>) {
    while let Batch::Frames(lease) = source.next(Duration::from_millis(50)).unwrap() {
        collect(&lease, seen);
    }
}

/// Stops all sources and takes the rest; then which source each flow came out of, and how many of its frames.
fn split(sources: &mut [AfPacket], mut seen: Vec<Vec<Seen>>) -> HashMap<u16, (usize, usize)> {
    let mut flows = HashMap::new();
    seen.resize(sources.len(), Vec::new());
    for (at, (source, mut seen)) in sources.iter_mut().zip(seen).enumerate() {
        seen.extend(finish(source));
        println!("ring {at}: {} frames", seen.len());
        assert!(!seen.is_empty(), "nothing in ring {at}");
        for frame in seen {
            let (ring, frames) = flows.entry(port(&frame)).or_insert((at, 0));
            assert_eq!(*ring, at, "flow {} is in two rings", port(&frame));
            *frames += 1;
        }
    }
    flows
}

#[test]
fn a_flow_is_whole_in_one_source() {
    if !own_network() {
        return;
    }
    veth();
    ip("link add second type veth peer name other");
    ip("link set second up");
    ip("link set other up");
    let mut sources = several(3, options(&["here", "second"]));
    // Each frame arrives on one interface, its answer leaves through both.
    let send = || {
        let (mut there, mut here, mut second) = (sender("there"), sender("here"), sender("second"));
        for port in 1000..1200 {
            there.write_all(&datagram(port, false)).unwrap();
            here.write_all(&datagram(port, true)).unwrap();
            second.write_all(&datagram(port, true)).unwrap();
        }
    };
    let mut seen = vec![Vec::new(); 3];
    send();
    sources.iter_mut().zip(&mut seen).for_each(|(source, seen)| take(source, seen));
    // The rings of an interface that comes back are in the same order again.
    ip("link set here down");
    sources.iter_mut().zip(&mut seen).for_each(|(source, seen)| take(source, seen));
    ip("link set here up");
    send();
    let flows = split(&mut sources, seen);
    assert!(flows.len() == 200 && flows.values().all(|(_, frames)| *frames == 6), "{flows:?}");
    // Whose ring a number means is the kernel's affair, but two flows with one number are never in two rings.
    let mut rings = HashMap::new();
    for (port, (ring, _)) in &flows {
        let number = fanout_number(&flow(*port)) % 3;
        assert_eq!(*rings.entry(number).or_insert(*ring), *ring, "flow {port}");
    }
    assert_eq!(rings.len(), 3);
    let counters = sum(&mut sources);
    assert_eq!((counters.received, counters.filtered, counters.dropped), (Some(1200), Some(0), Some(0)));
    assert_eq!((counters.duplicates, counters.interface_down), (0, 1));
}

#[test]
fn the_rules_hold_for_all_rings_and_are_counted_once() {
    if !own_network() {
        return;
    }
    veth();
    let rules =
        RuleSet { filter: None, rules: vec![sniff_x_filter::parse("udp portrange 1000-1099").unwrap()] };
    for (interface, each) in [("here", 1), ("any", 2)] {
        let mut sources = several(2, LiveOptions { rules: rules.clone(), ..options(&[interface]) });
        let mut there = sender("there");
        for port in 1000..1200 {
            there.write_all(&datagram(port, false)).unwrap();
        }
        let flows = split(&mut sources, Vec::new());
        assert!(flows.len() == 100 && flows.values().all(|(_, frames)| *frames == each), "{flows:?}");
        let counters = sum(&mut sources);
        let expected = (Some(200 * each as u64), Some(100 * each as u64), Some(0));
        assert_eq!((counters.received, counters.filtered, counters.dropped), expected, "{interface}");
    }
}

#[test]
fn loopback_is_seen_once_by_all_together() {
    if !own_network() {
        return;
    }
    let mut sources = several(2, options(&["lo"]));
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    for _ in 0..50 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"question", "127.0.0.1:53").unwrap();
        let (_, from) = server.recv_from(&mut [0; 16]).unwrap();
        server.send_to(b"answer", from).unwrap();
    }
    let flows = split(&mut sources, Vec::new());
    assert_eq!(flows.values().map(|(_, frames)| frames).sum::<usize>(), 100);
    let counters = sum(&mut sources);
    assert_eq!((counters.received, counters.duplicates, counters.dropped), (Some(100), 100, Some(0)));
}

#[test]
fn the_flows_of_a_source_that_is_dropped_move_to_others() {
    if !own_network() {
        return;
    }
    veth();
    let mut sources = several(2, options(&["here"]));
    sources.remove(0);
    let mut there = sender("there");
    for port in 1000..1100 {
        there.write_all(&datagram(port, false)).unwrap();
    }
    assert_eq!(split(&mut sources, Vec::new()).len(), 100);
}

#[test]
fn groups_of_several_captures_are_their_own() {
    if !own_network() {
        return;
    }
    veth();
    let mut captures = [several(2, options(&["here"])), several(2, options(&["here"]))];
    let mut there = sender("there");
    for port in 1000..1100 {
        there.write_all(&datagram(port, false)).unwrap();
    }
    for sources in &mut captures {
        assert_eq!(split(sources, Vec::new()).len(), 100);
    }
}

#[test]
fn one_ring_where_the_kernel_can_not_share_out() {
    if !own_network() {
        return;
    }
    veth();
    let options = LiveOptions { rings: 2, ..options(&["here"]) };
    let mut source = the_one(AfPacket::open(&options, Filtering::user_space).unwrap());
    sender("there").write_all(&datagram(1000, false)).unwrap();
    assert_eq!(finish(&mut source).len(), 1);
    assert_eq!(source.counters().received, Some(1));
}

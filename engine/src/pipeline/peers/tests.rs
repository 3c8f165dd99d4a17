//! Two readers whose rings are known by what a test says of them.

use std::net::Ipv4Addr;

use sniff_x_flow::packet::{Datagram, DatagramId, FlowHasher};
use sniff_x_flow::{Endpoint, FlowKey, FrameFlags, Place, Transport};

use super::*;

/// A UDP packet from a port of 10.0.0.1 to port 53 of 10.0.0.2, with the payload `text`.
fn header(port: u16, second: u64) -> Header {
    let (from, to) = (Endpoint::v4([10, 0, 0, 1], port), Endpoint::v4([10, 0, 0, 2], 53));
    let (key, sender) = FlowKey::new(from, to, Transport::Udp, Place::default());
    Header::Udp(Datagram {
        packet: Packet {
            key,
            hash: FlowHasher::with_seed(1).hash(&key),
            sender,
            timestamp: Nanos(second * Nanos::SECOND),
            interface: 1,
            payload: sniff_x_flow::packet::Span { start: 8, len: 4 },
            missing: 0,
            vlan_tags: 0,
        },
    })
}

/// The first fragment of such a packet, as the parser reads it from a frame.
fn fragment() -> Fragment {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 28, 0, 1, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0; 8]);
    let frame = Frame {
        bytes: &bytes,
        offset: 0,
        timestamp: Nanos(0),
        original_len: 42,
        interface: 1,
        link_type: LinkType::ETHERNET,
        vlan: None,
        flags: FrameFlags::default(),
    };
    let Parsed::Fragment(fragment) = Parser::default().parse(&frame) else { panic!("a fragment") };
    let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    assert!(matches!(fragment.datagram, DatagramId { source: s, .. } if s == source));
    fragment
}

const BYTES: &[u8] = b"8 bytes text and more";

fn two() -> (Peers, Peers) {
    let mut two = peers(2);
    let second = two.pop().unwrap();
    (two.pop().unwrap(), second)
}

/// The ring of the flow is `owner`'s.
fn learn(peers: &Peers, header: &Header, owner: usize) {
    let slot = (1, peers.slot(header.packet()));
    peers.shared.owners.lock().unwrap().insert(slot, owner);
}

#[test]
fn a_packet_goes_to_the_owner_and_comes_at_its_time() {
    let (mut first, mut second) = two();
    learn(&first, &header(1000, 0), 1);
    for time in [7, 5, 6] {
        assert!(matches!(first.hand_over(&fragment(), &header(1000, time), BYTES), Way::Handed));
    }
    assert!(matches!(second.hand_over(&fragment(), &header(1000, 8), BYTES), Way::Own));
    assert_eq!((first.collect(), second.collect()), (0, 3));
    assert_eq!(second.due(), Nanos(5 * Nanos::SECOND));
    assert!(second.take(Nanos(4 * Nanos::SECOND)).is_none());
    for time in [5, 6] {
        let handed = second.take(Nanos(6 * Nanos::SECOND)).unwrap();
        assert_eq!(handed.header.packet().timestamp, Nanos(time * Nanos::SECOND));
        assert_eq!(part(&handed.payload, handed.header.packet().payload), b"text");
        second.give_back(handed.payload);
    }
    assert!(second.take(Nanos(6 * Nanos::SECOND)).is_none(), "the third is not due");
}

#[test]
fn what_has_no_known_owner_is_held_until_it_has_one_or_for_a_moment() {
    let (mut first, mut second) = two();
    let mut counters = ReaderCounters::default();
    assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Held));
    assert!(first.place(Nanos(0), &mut counters).is_none());
    learn(&first, &header(1000, 0), 1);
    assert!(first.place(Nanos(0), &mut counters).is_none());
    assert_eq!((second.collect(), counters.reassembled_handed_over), (1, 1));

    // Another slot of the two.
    let port =
        (1001..).find(|port| first.slot(header(*port, 0).packet()) != first.slot(header(1000, 0).packet()));
    let other = header(port.unwrap(), 2);
    assert!(matches!(first.hand_over(&fragment(), &other, BYTES), Way::Held));
    let (handed, unknown) = first.place(Nanos(3 * Nanos::SECOND), &mut counters).unwrap();
    assert!(unknown && part(&handed.payload, handed.header.packet().payload) == b"text");
    assert!(matches!(first.hand_over(&fragment(), &other, BYTES), Way::Held));
    learn(&first, &other, 0);
    assert!(matches!(first.place(Nanos(0), &mut counters), Some((_, false))), "it is its own");
}

#[test]
fn a_full_box_is_counted_and_holds_no_more() {
    let (mut first, mut second) = two();
    for _ in 0..QUEUED {
        assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Held));
    }
    assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Full));
    learn(&first, &header(1000, 0), 1);
    let mut counters = ReaderCounters::default();
    assert!(first.place(Nanos(0), &mut counters).is_none());
    assert_eq!(counters.reassembled_handed_over, QUEUED as u64);
    assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Full));
    assert_eq!(second.collect(), QUEUED);
    // What waits and what is in the box: both are bounded.
    for _ in 0..QUEUED {
        assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Handed));
    }
    assert_eq!(second.collect(), QUEUED);
    assert!(matches!(first.hand_over(&fragment(), &header(1000, 1), BYTES), Way::Full));
}

#[test]
fn nobody_waits_for_a_reader_that_panics() {
    let (first, second) = two();
    first.reach(Stage::Left);
    assert!(!second.all_reached(Stage::Read));
    drop(second.leaving());
    assert!(first.all_reached(Stage::Left));
}

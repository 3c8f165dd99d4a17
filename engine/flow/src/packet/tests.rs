//! Frames of every kind that is read, made by etherparse's builder where it can make them, else by hand.

mod any;
mod checksums;
mod links;
mod tunnels;

use etherparse::{PacketBuilder, TcpOptionElement, VlanId};

use super::{Datagram, FlowHasher, Parsed, Segment, parse};
use crate::assembler::Sequence;
use crate::{FlowKey, Frame, FrameFlags, LinkType, Nanos, VlanTag};

fn frame(bytes: &[u8], link_type: LinkType) -> Frame<'_> {
    Frame {
        bytes,
        offset: 1000,
        timestamp: Nanos(7),
        original_len: u32::try_from(bytes.len()).unwrap(),
        interface: 3,
        link_type,
        vlan: None,
        flags: FrameFlags::default(),
    }
}

fn read(frame: &Frame<'_>) -> Parsed {
    parse(frame, &FlowHasher::with_seed(1))
}

fn tcp(frame: &Frame<'_>) -> Segment {
    match read(frame) {
        Parsed::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

fn udp(frame: &Frame<'_>) -> Datagram {
    match read(frame) {
        Parsed::Udp(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}

/// The captured payload of a segment in its frame.
fn payload<'a>(frame: &Frame<'a>, segment: &Segment) -> &'a [u8] {
    let span = segment.packet.payload;
    let start = (span.start - frame.offset) as usize;
    &frame.bytes[start..start + span.len as usize]
}

/// An IPv4 packet with `payload` in TCP, from 10.0.0.1:1234 to 10.0.0.2:80.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1234, 80, 0x0102_0304, 500)
        .ack(0x0a0b_0c0d)
        .psh()
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// `network` behind `link`.
fn behind(link: &[u8], network: &[u8]) -> Vec<u8> {
    [link, network].concat()
}

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn ethernet(ether_types: &[u8], network: &[u8]) -> Vec<u8> {
    behind(&behind(&MACS, ether_types), network)
}

/// An IPv6 header from fd00::1 to fd00::2 before `rest`.
fn ipv6(next: u8, payload_length: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(payload_length.to_be_bytes());
    bytes.extend([next, 64]);
    for end in [1, 2] {
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
    }
    bytes.extend(rest);
    bytes
}

/// A TCP header without options before `payload`.
fn tcp_header(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes[..4].copy_from_slice(&[0x04, 0xd2, 0, 80]);
    (bytes[12], bytes[13]) = (0x50, 0x10);
    bytes.extend(payload);
    bytes
}

#[test]
fn a_segment_on_ethernet() {
    let bytes = ethernet(&[8, 0], &ipv4(b"hello"));
    let frame = frame(&bytes, LinkType::ETHERNET);
    let segment = tcp(&frame);
    let packet = segment.packet;
    assert_eq!(packet.key.endpoint(packet.sender).to_string(), "10.0.0.1:1234");
    assert_eq!(packet.key.endpoint(packet.sender.other()).to_string(), "10.0.0.2:80");
    assert_eq!((segment.seq, segment.ack), (Sequence(0x0102_0304), Sequence(0x0a0b_0c0d)));
    assert_eq!((segment.flags.0, segment.window, segment.window_scale), (0x18, 500, None));
    assert_eq!((packet.payload.start, packet.payload.len, packet.missing), (1054, 5, 0));
    assert_eq!((packet.timestamp, packet.interface, packet.vlan_tags), (Nanos(7), 3, 0));
    assert_eq!(payload(&frame, &segment), b"hello");
}

#[test]
fn both_directions_are_one_flow() {
    let hasher = FlowHasher::new();
    let there = ethernet(&[8, 0], &ipv4(b""));
    let mut back = there.clone();
    back[26..34].rotate_left(4);
    back[34..38].rotate_left(2);
    let parsed = [there, back].map(|bytes| match parse(&frame(&bytes, LinkType::ETHERNET), &hasher) {
        Parsed::Tcp(segment) => segment.packet,
        other => panic!("{other:?}"),
    });
    assert_eq!(parsed[0].key, parsed[1].key);
    assert_eq!(parsed[0].hash, parsed[1].hash);
    assert_eq!(parsed[0].sender, parsed[1].sender.other());
    assert_ne!(FlowHasher::new().hash(&parsed[0].key), parsed[0].hash, "each hasher has a key of its own");
}

#[test]
fn every_link_type() {
    let v4 = ipv4(b"abc");
    let v6 = ipv6(6, 23, &tcp_header(b"abc"));
    let sll = |protocol: [u8; 2]| behind(&[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0], &protocol);
    let sll2 = |protocol: [u8; 2]| behind(&protocol, &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (link_type, bytes) in [
        (LinkType::ETHERNET, ethernet(&[8, 0], &v4)),
        (LinkType::ETHERNET, ethernet(&[0x86, 0xdd], &v6)),
        (LinkType::RAW, v4.clone()),
        (LinkType::RAW, v6.clone()),
        (LinkType(12), v4.clone()),
        (LinkType(14), v6.clone()),
        (LinkType::IPV4, v4.clone()),
        (LinkType::IPV6, v6.clone()),
        (LinkType::NULL, behind(&[2, 0, 0, 0], &v4)),
        (LinkType::NULL, behind(&[0, 0, 0, 2], &v4)),
        (LinkType::NULL, behind(&[30, 0, 0, 0], &v6)),
        (LinkType::LOOP, behind(&[0, 0, 0, 24], &v6)),
        (LinkType::LINUX_SLL, behind(&sll([8, 0]), &v4)),
        (LinkType::LINUX_SLL, behind(&sll([0x86, 0xdd]), &v6)),
        (LinkType::LINUX_SLL, behind(&sll([0x81, 0]), &behind(&[0, 5, 8, 0], &v4))),
        (LinkType::LINUX_SLL2, behind(&sll2([8, 0]), &v4)),
        (LinkType::LINUX_SLL2, behind(&sll2([0x86, 0xdd]), &v6)),
    ] {
        let frame = frame(&bytes, link_type);
        assert_eq!(payload(&frame, &tcp(&frame)), b"abc", "{link_type:?}");
    }
    let arp = ethernet(&[8, 6], &[0; 28]);
    assert!(matches!(read(&frame(&arp, LinkType::ETHERNET)), Parsed::Other));
    assert!(matches!(read(&frame(&v4, LinkType(147))), Parsed::UnknownLink));
}

#[test]
fn vlans_are_part_of_the_flow() {
    let network = ipv4(b"abc");
    let place = |frame: &Frame<'_>| {
        let packet = tcp(frame).packet;
        (packet.key.place().vlans, packet.vlan_tags)
    };
    let mut one = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .single_vlan(VlanId::try_new(7).unwrap())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1234, 80, 1, 500)
        .write(&mut one, b"abc")
        .unwrap();
    assert_eq!(place(&frame(&one, LinkType::ETHERNET)), ([Some(7), None], 1));
    let two = ethernet(&[0x88, 0xa8, 0xa0, 100, 0x81, 0, 0, 5, 8, 0], &network);
    assert_eq!(place(&frame(&two, LinkType::ETHERNET)), ([Some(100), Some(5)], 2));
    // The kernel took the outer tag out; priority bits are no part of the id.
    let mut taken = frame(&one, LinkType::ETHERNET);
    taken.vlan = Some(VlanTag { tpid: 0x88a8, tci: 0xe064 });
    assert_eq!(place(&taken), ([Some(100), Some(7)], 2));
    let plain = ethernet(&[8, 0], &network);
    let mut taken = frame(&plain, LinkType::ETHERNET);
    taken.vlan = Some(VlanTag { tpid: 0x8100, tci: 7 });
    assert_eq!(place(&taken), ([Some(7), None], 1));
    assert_eq!(tcp(&taken).packet.key, tcp(&frame(&one, LinkType::ETHERNET)).packet.key);
    // A priority tag names no VLAN.
    let priority = ethernet(&[0x81, 0, 0xe0, 0, 8, 0], &network);
    assert_eq!(place(&frame(&priority, LinkType::ETHERNET)), ([None, None], 1));
    // A third tag still keeps flows apart.
    let three = |id| ethernet(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, id, 8, 0], &network);
    let keys = [3, 4].map(|id| tcp(&frame(&three(id), LinkType::ETHERNET)).packet.key);
    assert_ne!(keys[0], keys[1]);
    let endless = ethernet(&[0x81, 0, 0, 1].repeat(20), &network);
    assert!(matches!(read(&frame(&endless, LinkType::ETHERNET)), Parsed::Other));
}

#[test]
fn snap_carries_an_ether_type() {
    let network = ipv4(b"abc");
    let len = u8::try_from(network.len() + 8).unwrap();
    let mut bytes = ethernet(&[0, len, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &network);
    bytes.extend([0; 9]);
    let frame = frame(&bytes, LinkType::ETHERNET);
    assert_eq!(payload(&frame, &tcp(&frame)), b"abc");
}

#[test]
fn padding_is_no_payload() {
    for padding in 1..7 {
        let mut bytes = ethernet(&[8, 0], &ipv4(b""));
        bytes.resize(bytes.len() + padding, 0xee);
        let packet = tcp(&frame(&bytes, LinkType::ETHERNET)).packet;
        assert_eq!((packet.payload.len, packet.missing), (0, 0));
        let mut bytes = ethernet(&[0x86, 0xdd], &ipv6(6, 21, &tcp_header(b"x")));
        bytes.resize(bytes.len() + padding, 0xee);
        let packet = tcp(&frame(&bytes, LinkType::ETHERNET)).packet;
        assert_eq!((packet.payload.len, packet.missing), (1, 0));
    }
}

#[test]
fn a_length_of_zero_reaches_to_the_end() {
    let big = vec![b'x'; 100_000];
    let mut v4 = ethernet(&[8, 0], &ipv4(b""));
    v4[16..18].fill(0);
    v4.extend(&big);
    assert_eq!(tcp(&frame(&v4, LinkType::ETHERNET)).packet.payload.len, 100_000);
    let v6 = ethernet(&[0x86, 0xdd], &ipv6(6, 0, &tcp_header(&big)));
    assert_eq!(tcp(&frame(&v6, LinkType::ETHERNET)).packet.payload.len, 100_000);
}

#[test]
fn a_jumbogram_tells_its_length_in_an_option() {
    let big = vec![b'x'; 100_000];
    let option = |length: u32, kind| {
        let mut header = vec![6, 0, 0xc2, kind];
        header.extend(length.to_be_bytes());
        let mut bytes = ethernet(&[0x86, 0xdd], &ipv6(0, 0, &behind(&header, &tcp_header(&big))));
        bytes.extend([0; 9]);
        bytes
    };
    assert_eq!(tcp(&frame(&option(8 + 20 + 100_000, 4), LinkType::ETHERNET)).packet.payload.len, 100_000);
    // Too small for the option, or the option has another length.
    assert!(matches!(read(&frame(&option(100, 4), LinkType::ETHERNET)), Parsed::Malformed));
    assert!(matches!(read(&frame(&option(100_028, 6), LinkType::ETHERNET)), Parsed::Malformed));
}

#[test]
fn ipv6_extension_headers_are_passed() {
    let tcp_bytes = tcp_header(b"abc");
    let eight = |next: u8| vec![next, 0, 1, 4, 0, 0, 0, 0];
    let sixteen = |next: u8| [vec![next, 1], vec![0; 14]].concat();
    let atomic = |next: u8| vec![next, 0, 0, 0, 0, 0, 0, 9];
    let authentication = |next: u8| [vec![next, 4], vec![0; 22]].concat();
    let chain =
        [eight(60), eight(43), sixteen(44), atomic(51), authentication(60), sixteen(6), tcp_bytes].concat();
    let bytes = ethernet(&[0x86, 0xdd], &ipv6(0, u16::try_from(chain.len()).unwrap(), &chain));
    let whole = frame(&bytes, LinkType::ETHERNET);
    let segment = tcp(&whole);
    assert_eq!(payload(&whole, &segment), b"abc");
    assert_eq!(segment.packet.key.endpoint(segment.packet.sender).to_string(), "[fd00::1]:1234");
    // Every shorter capture is malformed or a segment whose rest is missing, and never panics.
    for len in 0..bytes.len() {
        let mut cut = frame(&bytes[..len], LinkType::ETHERNET);
        cut.original_len = whole.original_len;
        match read(&cut) {
            Parsed::Malformed => assert!(len < bytes.len() - 3),
            Parsed::Tcp(cut) => assert_eq!(cut.packet.payload.len + cut.packet.missing, 3),
            other => panic!("{len}: {other:?}"),
        }
    }
    // A chain without end.
    let endless = eight(60).repeat(100);
    let bytes = ethernet(&[0x86, 0xdd], &ipv6(60, 800, &endless));
    assert!(matches!(read(&frame(&bytes, LinkType::ETHERNET)), Parsed::Malformed));
    // Encrypted, or nothing more.
    for next in [50, 59] {
        let bytes = ethernet(&[0x86, 0xdd], &ipv6(next, 8, &[0; 8]));
        assert!(matches!(read(&frame(&bytes, LinkType::ETHERNET)), Parsed::Other));
    }
}

#[test]
fn fragments_are_told() {
    for (flags, fragment) in [([0x20, 0], true), ([0, 1], true), ([0x40, 0], false), ([0x80, 0], false)] {
        let mut bytes = ethernet(&[8, 0], &ipv4(b"abc"));
        bytes[20..22].copy_from_slice(&flags);
        let parsed = read(&frame(&bytes, LinkType::ETHERNET));
        assert_eq!(matches!(parsed, Parsed::Fragment(_)), fragment, "{flags:?}");
    }
    for (offset, fragment) in [([0, 1], true), ([0, 8], true), ([0, 0], false), ([0, 6], false)] {
        let chain = behind(&[6, 0, offset[0], offset[1], 0, 0, 0, 1], &tcp_header(b"abc"));
        let bytes = ethernet(&[0x86, 0xdd], &ipv6(44, 31, &chain));
        let parsed = read(&frame(&bytes, LinkType::ETHERNET));
        assert_eq!(matches!(parsed, Parsed::Fragment(_)), fragment, "{offset:?}");
    }
}

#[test]
fn ip_options_and_tcp_options_are_passed() {
    let mut tcp_bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1234, 80, 1, 500)
        .syn()
        .options(&[TcpOptionElement::MaximumSegmentSize(1460), TcpOptionElement::WindowScale(7)])
        .unwrap()
        .write(&mut tcp_bytes, b"abc")
        .unwrap();
    // Three words of IP options.
    tcp_bytes.splice(20..20, [1; 12]);
    tcp_bytes[0] = 0x48;
    tcp_bytes[3] += 12;
    let whole = frame(&tcp_bytes, LinkType::RAW);
    let segment = tcp(&whole);
    assert_eq!(payload(&whole, &segment), b"abc");
    assert_eq!(segment.window_scale, Some(7));
    // The snap length cut inside the TCP options: the header's fixed part still tells everything else.
    let mut cut = frame(&tcp_bytes[..54], LinkType::RAW);
    cut.original_len = whole.original_len;
    let segment = tcp(&cut);
    assert_eq!((segment.packet.payload.len, segment.packet.missing), (0, 3));
    cut.bytes = &tcp_bytes[..50];
    assert!(matches!(read(&cut), Parsed::Malformed));
}

#[test]
fn what_the_snap_length_cut_is_missing() {
    let bytes = ethernet(&[8, 0], &ipv4(&[b'x'; 100]));
    let mut cut = frame(&bytes[..54 + 30], LinkType::ETHERNET);
    cut.original_len = 154;
    let packet = tcp(&cut).packet;
    assert_eq!((packet.payload.len, packet.missing), (30, 70));
    // Padding that was cut is not missing.
    let mut bytes = ethernet(&[8, 0], &ipv4(b"ab"));
    bytes.extend([0; 4]);
    let mut cut = frame(&bytes[..57], LinkType::ETHERNET);
    cut.original_len = 60;
    let packet = tcp(&cut).packet;
    assert_eq!((packet.payload.len, packet.missing), (2, 0));
    // With length 0, the frame's length on the wire tells.
    let mut bytes = ethernet(&[8, 0], &ipv4(&[b'x'; 100]));
    bytes[16..18].fill(0);
    let mut cut = frame(&bytes[..54 + 30], LinkType::ETHERNET);
    cut.original_len = 100_000;
    let packet = tcp(&cut).packet;
    assert_eq!((packet.payload.len, packet.missing), (30, 100_000 - 84));
    // More captured than there was on the wire.
    let bytes = ethernet(&[8, 0], &ipv4(&[b'x'; 100]));
    let mut more = frame(&bytes, LinkType::ETHERNET);
    more.original_len = 64;
    let packet = tcp(&more).packet;
    assert_eq!((packet.payload.len, packet.missing), (10, 90));
}

#[test]
fn headers_that_contradict_each_other_are_malformed() {
    let good = ethernet(&[8, 0], &ipv4(b"abc"));
    for (what, at, value) in [
        ("version", 14, 0x65),
        ("header length below 20", 14, 0x44),
        ("header length beyond the packet", 14, 0x4f),
        ("TCP header length below 20", 46, 0x40),
        ("TCP header length beyond the packet", 46, 0xf0),
    ] {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert!(matches!(read(&frame(&bytes, LinkType::ETHERNET)), Parsed::Malformed), "{what}");
    }
    let mut bytes = good.clone();
    bytes[16..18].copy_from_slice(&[0, 19]);
    assert!(
        matches!(read(&frame(&bytes, LinkType::ETHERNET)), Parsed::Malformed),
        "total length below the header"
    );
    bytes[16..18].copy_from_slice(&[0, 39]);
    assert!(
        matches!(read(&frame(&bytes, LinkType::ETHERNET)), Parsed::Malformed),
        "TCP header beyond total length"
    );
}

#[test]
fn datagrams() {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([1; 16], [2; 16], 64)
        .udp(53, 1234)
        .write(&mut bytes, b"query")
        .unwrap();
    bytes.extend([0; 6]);
    let whole = frame(&bytes, LinkType::ETHERNET);
    let packet = udp(&whole).packet;
    assert_eq!((packet.payload.start, packet.payload.len, packet.missing), (1000 + 62, 5, 0));
    assert_eq!(packet.key.transport(), crate::Transport::Udp);
    for (length, malformed) in
        [([0, 7], true), ([0, 14], true), ([0, 13], false), ([0, 8], false), ([0, 0], false)]
    {
        let mut bytes = bytes.clone();
        bytes[58..60].copy_from_slice(&length);
        let parsed = read(&frame(&bytes, LinkType::ETHERNET));
        assert_eq!(matches!(parsed, Parsed::Malformed), malformed, "{length:?}");
    }
}

#[test]
fn workers_get_even_shares() {
    let hasher = FlowHasher::with_seed(5);
    let mut shares = [0; 7];
    for port in 0..7000u16 {
        let mut bytes = ethernet(&[8, 0], &ipv4(b""));
        bytes[34..36].copy_from_slice(&port.to_be_bytes());
        let Parsed::Tcp(segment) = parse(&frame(&bytes, LinkType::ETHERNET), &hasher) else { panic!() };
        shares[segment.packet.worker(7)] += 1;
    }
    assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
}

//! What lies in tunnels: headers written by hand from the RFCs around packets of etherparse.

use super::*;
use crate::packet::{ParseOptions, Parser};

/// From 192.0.2.1 to 192.0.2.2, or back.
fn over_ipv4(protocol: u8, payload: &[u8], back: bool) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    let ends = if back { [2, 1] } else { [1, 2] };
    bytes.extend(ends.iter().flat_map(|end| [192, 0, 2, *end]));
    behind(&bytes, payload)
}

fn over_udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    bytes.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0]);
    over_ipv4(17, &behind(&bytes, payload), false)
}

/// An Ethernet frame with one TCP segment, and the packet in it; `back` from the server.
fn inner(back: bool) -> (Vec<u8>, Vec<u8>) {
    let mut network = ipv4(b"abc");
    if back {
        network[12..20].rotate_left(4);
        network[20..24].rotate_left(2);
    }
    (ethernet(&[8, 0], &network), network)
}

fn v6_segment() -> Vec<u8> {
    ipv6(6, 23, &tcp_header(b"abc"))
}

fn place(bytes: &[u8], link_type: LinkType) -> (FlowKey, crate::Place) {
    let frame = frame(bytes, link_type);
    let segment = tcp(&frame);
    assert_eq!(payload(&frame, &segment), b"abc");
    assert_eq!(segment.packet.missing, 0);
    (segment.packet.key, segment.packet.key.place())
}

/// Both ways through a tunnel are one flow, another one than outside it, and merged with it on demand.
fn one_flow(what: &str, there: &[u8], back: &[u8]) -> FlowKey {
    let (key, _) = place(there, LinkType::RAW);
    assert_eq!(key, place(back, LinkType::RAW).0, "{what}: both directions are one flow");
    let bare = place(&ipv4(b"abc"), LinkType::RAW).0;
    assert_ne!(key, bare, "{what}: not the flow outside");
    let merging = ParseOptions { merge_vlans: true, ..ParseOptions::default() };
    match Parser::new(FlowHasher::with_seed(1), merging).parse(&frame(there, LinkType::RAW)) {
        Parsed::Tcp(segment) => assert_eq!(segment.packet.key, bare, "{what}: merged"),
        other => panic!("{what}: {other:?}"),
    }
    key
}

#[test]
fn ip_in_ip() {
    let outer = |protocol, back, inner: &[u8]| over_ipv4(protocol, inner, back);
    let (there, back) = (inner(false).1, inner(true).1);
    let key = one_flow("IP in IP", &outer(4, false, &there), &outer(4, true, &back));
    // Between other ends it is another tunnel.
    let mut other = outer(4, false, &there);
    other[15] = 9;
    assert_ne!(place(&other, LinkType::RAW).0, key);
    let (v6_key, _) = place(&outer(41, false, &v6_segment()), LinkType::RAW);
    assert_ne!(v6_key, place(&v6_segment(), LinkType::RAW).0);
    for next in [4, 41] {
        let carried = if next == 4 { ipv4(b"abc") } else { v6_segment() };
        let bytes = ipv6(next, u16::try_from(carried.len()).unwrap(), &carried);
        let _ = place(&bytes, LinkType::RAW);
    }
}

#[test]
fn gre() {
    let (frame_there, there) = inner(false);
    let (frame_back, back) = inner(true);
    let header =
        |flags: u8, protocol: [u8; 2], options: &[u8]| [&[flags, 0], &protocol[..], options].concat();
    let gre = |header: &[u8], inner: &[u8], back| over_ipv4(47, &behind(header, inner), back);
    // Keys may differ by direction, checksum and sequence number are passed.
    one_flow(
        "GRE",
        &gre(&header(0xb0, [8, 0], &[1, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1]), &there, false),
        &gre(&header(0x20, [8, 0], &[0, 0, 0, 6]), &back, true),
    );
    let plain = one_flow(
        "GRE",
        &gre(&header(0, [8, 0], &[]), &there, false),
        &gre(&header(0, [8, 0], &[]), &back, true),
    );
    let _ = place(&gre(&header(0, [0x86, 0xdd], &[]), &v6_segment(), false), LinkType::RAW);
    // Bridged Ethernet: the key is the network, of NVGRE without the last byte.
    let bridged = |key: [u8; 4], inner: &[u8], back| gre(&header(0x20, [0x65, 0x58], &key), inner, back);
    let five = one_flow(
        "bridged",
        &bridged([0, 0, 0, 5], &frame_there, false),
        &bridged([0, 0, 0, 5], &frame_back, true),
    );
    assert_ne!(five, place(&bridged([0, 0, 0, 6], &frame_there, false), LinkType::RAW).0);
    assert_ne!(five, plain);
    one_flow(
        "NVGRE",
        &bridged([0, 0x10, 0, 0xaa], &frame_there, false),
        &bridged([0, 0x10, 0, 0xbb], &frame_back, true),
    );
    // PPTP: version 1, payload length and call id as key; acknowledgement number.
    let pptp = |flags: [u8; 2], call: u8, numbers: usize, inner: &[u8], back| {
        let ppp = behind(&[0xff, 3, 0, 0x21], inner);
        let mut header = vec![flags[0], flags[1], 0x88, 0x0b];
        header.extend(u16::try_from(ppp.len()).unwrap().to_be_bytes());
        header.extend([0, call]);
        header.extend(vec![0; numbers * 4]);
        over_ipv4(47, &behind(&header, &ppp), back)
    };
    one_flow("PPTP", &pptp([0x30, 0x81], 1, 2, &there, false), &pptp([0x30, 1], 2, 1, &back, true));
    // Source routing and other versions are not read.
    for first in [[0x40, 0], [0, 2]] {
        let bytes = gre(&[first[0], first[1], 8, 0], &there, false);
        assert!(matches!(read(&frame(&bytes, LinkType::RAW)), Parsed::Other));
    }
}

#[test]
fn erspan() {
    let (there, _) = inner(false);
    let (back, _) = inner(true);
    let erspan = |gre: [u8; 2], protocol: [u8; 2], header: &[u8], frame: &[u8]| {
        over_ipv4(47, &[&gre[..], &protocol, header, frame].concat(), false)
    };
    one_flow("type I", &erspan([0, 0], [0x88, 0xbe], &[], &there), &erspan([0, 0], [0x88, 0xbe], &[], &back));
    let second = |session: u8, inner: &[u8]| {
        erspan([0x10, 0], [0x88, 0xbe], &[0, 0, 0, 9, 0x10, 7, 0, session, 0, 0, 0, 0], inner)
    };
    let key = one_flow("type II", &second(3, &there), &second(3, &back));
    assert_ne!(key, place(&second(4, &there), LinkType::RAW).0);
    let third = |last: u8, more: &[u8], inner: &[u8]| {
        let header = [&[0, 0, 0, 9, 0x20, 7, 0, 3, 1, 2, 3, 4, 0, 0, 0, last], more].concat();
        erspan([0x10, 0], [0x22, 0xeb], &header, inner)
    };
    one_flow("type III", &third(0, &[], &there), &third(1, &[9; 8], &back));
}

#[test]
fn vxlan_and_geneve() {
    let (there, packet) = inner(false);
    let (back, _) = inner(true);
    let vxlan =
        |ports, network: u8, inner: &[u8]| over_udp(ports, &behind(&[8, 0, 0, 0, 0, 0, network, 0], inner));
    let key = one_flow("VXLAN", &vxlan((50_000, 4789), 7, &there), &vxlan((50_001, 4789), 7, &back));
    assert_ne!(key, place(&vxlan((50_000, 4789), 8, &there), LinkType::RAW).0);
    assert_eq!(key, place(&vxlan((50_000, 8472), 7, &there), LinkType::RAW).0);
    let grouped = over_udp((1, 4789), &behind(&[0x88, 0x08, 0, 5, 0, 0, 7, 0], &there));
    assert_eq!(key, place(&grouped, LinkType::RAW).0);
    let _ = place(&over_udp((1, 4790), &behind(&[0x0c, 0, 0, 1, 0, 0, 7, 0], &packet)), LinkType::RAW);
    let geneve = |options: u8, network: u8, inner: &[u8]| {
        let header =
            [&[options, 0, 0x65, 0x58, 0, 0, network, 0], &vec![9; usize::from(options) * 4][..]].concat();
        over_udp((50_000, 6081), &behind(&header, inner))
    };
    // What is routed between two logical networks goes through either.
    one_flow("GENEVE", &geneve(0, 10, &there), &geneve(3, 11, &back));
    let _ = place(&over_udp((1, 6081), &behind(&[0, 0, 8, 0, 0, 0, 7, 0], &packet)), LinkType::RAW);
}

#[test]
fn what_only_has_a_tunnel_s_port_stays_a_datagram() {
    let (there, packet) = inner(false);
    let teredo_like = ipv6(6, 23, &tcp_header(b"abc"));
    for (what, ports, payload) in [
        (
            "a reply to a client's port 4789",
            (53, 4789),
            b"\x12\x34\x81\x80\0\x01\0\x01 a DNS answer".to_vec(),
        ),
        ("VXLAN's port as the source", (4789, 50_000), behind(&[8, 0, 0, 0, 0, 0, 7, 0], &there)),
        ("reserved bits", (1, 4789), behind(&[8, 0, 1, 0, 0, 0, 7, 0], &there)),
        ("no network", (1, 4789), behind(&[0, 0, 0, 0, 0, 0, 7, 0], &there)),
        ("nothing behind it", (1, 4789), vec![8, 0, 0, 0, 0, 0, 7, 0]),
        ("broken inside", (1, 4789), behind(&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(&[8, 0], &[0x41; 40]))),
        ("a control packet", (1, 6081), behind(&[0, 0x80, 0x65, 0x58, 0, 0, 7, 0], &there)),
        ("options beyond the end", (1, 6081), behind(&[0x3f, 0, 0x65, 0x58, 0, 0, 7, 0], &there)),
        ("a protocol that is not read", (1, 6081), behind(&[0, 0, 8, 6, 0, 0, 7, 0], &there)),
        ("GTP of another length", (2152, 2152), behind(&[0x30, 0xff, 0, 42, 0, 0, 0, 1], &packet)),
        ("GTP with signalling", (2152, 2152), behind(&[0x30, 1, 0, 43, 0, 0, 0, 1], &packet)),
        ("GTP without IP", (2152, 2152), behind(&[0x30, 0xff, 0, 4, 0, 0, 0, 1], &[1, 2, 3, 4])),
        (
            "an extension of no length",
            (1, 2152),
            behind(&[0x34, 0xff, 0, 51, 0, 0, 0, 1, 0, 0, 0, 0x85, 0, 0, 0, 0], &packet),
        ),
        ("IPv6 without a Teredo address", (3544, 1), teredo_like),
    ] {
        let bytes = over_udp(ports, &payload);
        let packet = udp(&frame(&bytes, LinkType::RAW)).packet;
        assert_eq!(packet.payload.len as usize, payload.len(), "{what}");
        assert_eq!(packet.key.place(), crate::Place::default(), "{what}");
    }
}

#[test]
fn gtp_and_teredo() {
    let (there, back) = (inner(false).1, inner(true).1);
    let gtp = |flags: u8, tunnel: u8, more: &[u8], inner: &[u8]| {
        let length = u16::try_from(more.len() + inner.len()).unwrap().to_be_bytes();
        over_udp((2152, 2152), &[&[flags, 0xff, length[0], length[1], 0, 0, 0, tunnel], more, inner].concat())
    };
    // Each direction has a tunnel id of its own; sequence number, and two extension headers of 4 and 8 bytes.
    one_flow(
        "GTP-U",
        &gtp(0x32, 1, &[0, 9, 0, 0x85], &there),
        &gtp(0x34, 2, &[0, 0, 0, 0x85, 1, 0x10, 0, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0], &back),
    );
    let mut v6 = v6_segment();
    v6[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    let _ = place(&over_udp((3544, 50_000), &v6), LinkType::RAW);
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    let _ = place(&over_udp((50_000, 3544), &behind(&origin, &v6)), LinkType::RAW);
    let authentication = [0, 1, 1, 2, 0xaa, 0xbb, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    let _ = place(&over_udp((50_000, 3544), &[&authentication, &origin[..], &v6].concat()), LinkType::RAW);
}

#[test]
fn labels_sessions_and_bridges() {
    let (there, packet) = inner(false);
    let flow = |ether_type: [u8; 2], header: &[u8], inner: &[u8]| {
        place(&ethernet(&ether_type, &behind(header, inner)), LinkType::ETHERNET).0
    };
    let bare = flow([8, 0], &[], &packet);
    let (label, bottom) = ([0, 0x12, 0x30, 64], [0, 0x45, 0x61, 64]);
    // Labels belong to one direction: they don't count.
    assert_eq!(flow([0x88, 0x47], &behind(&label, &bottom), &packet), bare);
    assert_eq!(flow([0x88, 0x48], &bottom, &there), bare);
    assert_eq!(flow([0x88, 0x47], &behind(&bottom, &[0, 0, 0, 1]), &there), bare);
    let _ = flow([0x88, 0x47], &bottom, &v6_segment());
    let endless = ethernet(&[0x88, 0x47], &label.repeat(100));
    assert!(matches!(read(&frame(&endless, LinkType::ETHERNET)), Parsed::Other));
    // Neither IP nor Ethernet.
    let unknown = ethernet(&[0x88, 0x47], &behind(&bottom, &[0x11; 60]));
    assert!(matches!(read(&frame(&unknown, LinkType::ETHERNET)), Parsed::Other));
    let length = u8::try_from(packet.len() + 2).unwrap();
    let session = |id| flow([0x88, 0x64], &[0x11, 0, 0, id, 0, length, 0, 0x21], &packet);
    assert_ne!(session(1), bare);
    assert_ne!(session(1), session(2));
    assert_eq!(
        session(1),
        flow([0x88, 0x64], &[0x11, 0, 0, 1, 0, length - 1, 0x21], &packet),
        "a short protocol"
    );
    let service = |id| flow([0x88, 0xe7], &[0x20, 0, 0, id], &there);
    assert_ne!(service(1), service(2));
    assert_eq!(flow([0x89, 0x26], &[0x80, 1, 2, 3, 8, 0], &packet), bare);
    assert_eq!(flow([0x89, 0x3f], &[0, 1, 2, 3, 4, 5, 8, 0], &packet), bare);
    assert_eq!(flow([0x89, 0x4f], &[0x0f, 0xc2, 1, 1, 0, 0, 7, 255], &packet), bare);
    // MACsec is encrypted.
    assert!(matches!(read(&frame(&ethernet(&[0x88, 0xe5], &packet), LinkType::ETHERNET)), Parsed::Other));
}

#[test]
fn over_ip_alone() {
    let (there, packet) = inner(false);
    for (protocol, header, carried) in [
        (97, &[0x30, 0][..], &there),
        (143, &[], &there),
        (137, &[0, 0x45, 0x61, 64], &packet),
        (94, &[], &packet),
    ] {
        let _ = place(&over_ipv4(protocol, &behind(header, carried), false), LinkType::RAW);
    }
    // Encrypted.
    assert!(matches!(read(&frame(&over_ipv4(50, &packet, false), LinkType::RAW)), Parsed::Other));
}

#[test]
fn tunnels_in_tunnels_end_somewhere() {
    for (levels, found) in [(8, true), (9, false)] {
        let mut bytes = ipv4(b"abc");
        for _ in 0..levels {
            bytes = over_ipv4(4, &bytes, false);
        }
        let parsed = read(&frame(&bytes, LinkType::RAW));
        assert_eq!(matches!(parsed, Parsed::Tcp(_)), found, "{parsed:?}");
    }
    // VLANs of all levels count.
    let tagged = |outer, inner| {
        let carried = ethernet(&[0x81, 0, 0, inner, 8, 0], &ipv4(b"abc"));
        let tunnel = over_udp((1, 4789), &behind(&[8, 0, 0, 0, 0, 0, 7, 0], &carried));
        place(&ethernet(&[0x81, 0, 0, outer, 8, 0], &tunnel), LinkType::ETHERNET)
    };
    let (key, at) = tagged(1, 2);
    assert_eq!(at.vlans, [Some(1), None]);
    assert!(key != tagged(1, 3).0 && key != tagged(2, 2).0 && key != tagged(2, 1).0);
}

#[test]
fn what_the_snap_length_cut_in_a_tunnel_is_missing() {
    let mut network = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, 3, 4)
        .write(&mut network, &[b'x'; 500])
        .unwrap();
    let carried = ethernet(&[8, 0], &network);
    let bytes = over_udp((1, 4789), &behind(&[8, 0, 0, 0, 0, 0, 7, 0], &carried));
    let headers = bytes.len() - 500;
    for len in 0..bytes.len() {
        let mut cut = frame(&bytes[..len], LinkType::RAW);
        cut.original_len = u32::try_from(bytes.len()).unwrap();
        match read(&cut) {
            Parsed::Tcp(segment) => {
                let packet = segment.packet;
                assert_eq!(packet.payload.len as usize, len.saturating_sub(headers));
                assert_eq!(packet.payload.len + packet.missing, 500);
            }
            // The inner headers are not there.
            Parsed::Udp(_) | Parsed::Malformed => assert!(len < headers),
            other => panic!("{other:?}"),
        }
    }
    // Padding behind the inner packet is none of its payload.
    let mut padded = ethernet(&[8, 0], &ipv4(b"abc"));
    padded.extend([0; 9]);
    let bytes = over_udp((1, 4789), &behind(&[8, 0, 0, 0, 0, 0, 7, 0], &padded));
    let _ = place(&bytes, LinkType::RAW);
}

#[test]
fn a_fragment_in_a_tunnel_comes_with_all_that_reads_the_whole() {
    let network = ipv4(b"abc");
    let whole = over_ipv4(47, &behind(&[0, 0, 8, 0], &network), false);
    let key = place(&whole, LinkType::RAW).0;
    // The inner packet in two fragments, of 16 bytes and the rest.
    let piece = |offset: usize, end: usize, more: u8| {
        let mut bytes = network[..20].to_vec();
        bytes[2..4].copy_from_slice(&u16::try_from(20 + end - offset).unwrap().to_be_bytes());
        bytes[4..8].copy_from_slice(&[0x12, 0x34, more, u8::try_from(offset / 8).unwrap()]);
        bytes.extend(&network[20 + offset..20 + end]);
        over_ipv4(47, &behind(&[0, 0, 8, 0], &bytes), false)
    };
    let parts = [piece(0, 16, 0x20), piece(16, 23, 0)];
    let fragments = parts.each_ref().map(|part| match read(&frame(part, LinkType::RAW)) {
        Parsed::Fragment(fragment) => fragment,
        other => panic!("{other:?}"),
    });
    let [first, last] = fragments;
    assert_eq!(first.datagram, last.datagram);
    assert_eq!((first.datagram.id, first.datagram.protocol, first.next), (0x1234, 6, 6));
    assert_eq!((first.offset, first.more, last.offset, last.more), (0, true, 16, false));
    assert_eq!((first.payload.len, last.payload.len, first.missing), (16, 7, 0));
    assert_ne!(first.datagram.place.tunnel, 0);
    let mut together = Vec::new();
    for (part, fragment) in parts.iter().zip(&fragments) {
        let start = (fragment.payload.start - 1000) as usize;
        together.extend(&part[start..start + fragment.payload.len as usize]);
    }
    let whole = frame(&together, LinkType(0));
    match Parser::new(FlowHasher::with_seed(1), ParseOptions::default()).parse_reassembled(&whole, &first) {
        Parsed::Tcp(segment) => {
            assert_eq!(segment.packet.key, key);
            assert_eq!(payload(&whole, &segment), b"abc");
        }
        other => panic!("{other:?}"),
    }
}

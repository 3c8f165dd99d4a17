//! Frames made by hand, byte by byte, so that nothing that is tested makes what it is tested with.

use sniff_x_flow::LinkType;

pub(crate) const LINKS: [LinkType; 8] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
];

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const RARP: u16 = 0x8035;
pub(crate) const IPV6: u16 = 0x86dd;

/// `payload` behind a link header that announces `ether_type`; None where the link has no way to say that.
pub(crate) fn link(link_type: LinkType, ether_type: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = match link_type {
        LinkType::ETHERNET => {
            let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
            header.extend(ether_type.to_be_bytes());
            header
        }
        LinkType::LINUX_SLL => {
            let mut header = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
            header.extend(ether_type.to_be_bytes());
            header
        }
        LinkType::LINUX_SLL2 => {
            let mut header = ether_type.to_be_bytes().to_vec();
            header.extend([0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
            header
        }
        LinkType::NULL | LinkType::LOOP => {
            let family: u32 = match ether_type {
                IPV4 => 2,
                IPV6 => [24, 28, 30][payload.len() % 3],
                _ => 7,
            };
            if link_type == LinkType::NULL { family.to_le_bytes() } else { family.to_be_bytes() }.to_vec()
        }
        _ if matches!(ether_type, IPV4 | IPV6) => Vec::new(),
        _ => return None,
    };
    bytes.extend(payload);
    Some(bytes)
}

/// An IPv4 header with `options` (a multiple of four bytes) and the fragment field, and what follows it.
pub(crate) fn v4(
    protocol: u8,
    source: [u8; 4],
    destination: [u8; 4],
    fragment: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = (header_len + payload.len()) as u16;
    let mut bytes = vec![0x40 | (header_len / 4) as u8, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend([0x12, 0x34]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

pub(crate) fn v6(next: u8, source: [u8; 16], destination: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(payload);
    bytes
}

/// A transport header of 20 bytes that starts with the two ports, as all three protocols with ports have it.
pub(crate) fn ports(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = source.to_be_bytes().to_vec();
    bytes.extend(destination.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
    bytes
}

pub(crate) fn arp(source: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    bytes.extend(source);
    bytes.extend([0; 6]);
    bytes.extend(target);
    bytes
}

/// A VLAN tag's four bytes as a payload's beginning: control information and the next type.
pub(crate) fn tagged(tci: u16, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = tci.to_be_bytes().to_vec();
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) const A: [u8; 4] = [10, 0, 0, 1];
pub(crate) const B: [u8; 4] = [10, 0, 1, 2];
pub(crate) const C: [u8; 4] = [192, 168, 7, 9];
pub(crate) const A6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// Network packets of all kinds with the Ethernet type that announces them.
pub(crate) fn packets() -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    let pairs = [
        (80, 40000),
        (40000, 80),
        (3306, 51000),
        (51000, 3306),
        (53, 53),
        (443, 3306),
        (1, 65535),
        (5432, 8080),
        (20, 15),
    ];
    for protocol in [6, 17, 132] {
        for (source, destination) in pairs {
            let payload = ports(source, destination);
            all.push((IPV4, v4(protocol, A, B, 0x4000, &[], &payload)));
            all.push((IPV4, v4(protocol, C, A, 0, &[1, 1, 1, 0], &payload)));
            all.push((IPV6, v6(protocol, A6, B6, &payload)));
        }
        let payload = ports(80, 3306);
        // The longest header, a first and a later fragment, a header length below the least.
        all.push((IPV4, v4(protocol, B, C, 0, &[1; 40], &payload)));
        all.push((IPV4, v4(protocol, A, B, 0x2000, &[], &payload)));
        all.push((IPV4, v4(protocol, A, B, 0x2007, &[], &payload)));
        all.push((IPV4, v4(protocol, A, B, 0x0007, &[], &payload)));
        let mut tiny = v4(protocol, A, B, 0, &[], &payload);
        tiny[0] = 0x41;
        all.push((IPV4, tiny));
        // Behind a fragment header, behind hop-by-hop options.
        let mut fragment = vec![protocol, 0, 0, 1, 0, 0, 0, 9];
        fragment.extend(&payload);
        all.push((IPV6, v6(44, B6, A6, &fragment)));
        let mut options = vec![protocol, 0, 1, 4, 0, 0, 0, 0];
        options.extend(&payload);
        all.push((IPV6, v6(0, A6, A6, &options)));
    }
    all.extend(chains());
    for protocol in [1, 2, 4, 9, 41, 47, 50, 51, 58, 103, 112, 255] {
        all.push((IPV4, v4(protocol, A, C, 0, &[], &[8, 0, 0, 80, 0, 1, 0, 1])));
        all.push((IPV6, v6(protocol, B6, A6, &[128, 0, 0, 80, 0, 1, 0, 1])));
        all.push((IPV6, v6(44, B6, A6, &[protocol, 0, 0, 0, 0, 1, 0, 1])));
    }
    for ether_type in [ARP, RARP] {
        all.push((ether_type, arp(A, B)));
        all.push((ether_type, arp(C, A)));
    }
    let inner = v4(6, A, B, 0, &[], &ports(80, 3306));
    all.push((0x8100, tagged(5, IPV4, &inner)));
    all.push((0x8100, tagged(0xe007, IPV6, &v6(17, A6, B6, &ports(53, 53)))));
    all.push((0x88a8, tagged(5, 0x8100, &tagged(6, IPV4, &inner))));
    all.push((0x9100, tagged(5, IPV4, &inner)));
    all.push((0x8847, inner.clone()));
    all.extend(labelled(&inner));
    all.extend(pppoe(&inner));
    all.extend(geneve(&inner));
    all.extend(lengths());
    let [a, b, c] = [A, B, C];
    all.push((IPV4, v4(17, a, [255; 4], 0, &[], &ports(53, 67))));
    all.push((IPV4, v4(17, b, [0; 4], 0, &[], &ports(53, 67))));
    all.push((IPV4, v4(17, c, [224, 0, 0, 251], 0, &[], &ports(5353, 5353))));
    let mut group = B6;
    group[0] = 0xff;
    all.push((IPV6, v6(17, A6, group, &ports(5353, 5353))));
    for ether_type in [0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x809b, 0x80f3, 0x8137, 0x9000, 0x8863] {
        all.push((ether_type, vec![1; 40]));
    }
    let of = |header: &[&[u8]]| (0x6003, [&[40, 0], &header.concat()[..], &[0; 30]].concat());
    let (one, two) = ([0x0a, 0x04], [0x0b, 0x04]);
    all.push(of(&[&[0x02], &two, &one]));
    all.push(of(&[&[0x81, 0x02], &one, &two]));
    all.push(of(&[&[0x26, 0, 0, 0xaa, 0, 4, 0], &one, &[0, 0, 0xaa, 0, 4, 0], &two]));
    all.push(of(&[&[0x81, 0x26, 0, 0, 0xaa, 0, 4, 0], &two, &[0, 0, 0xaa, 0, 4, 0], &one]));
    all.push(of(&[&[0x81, 0x06, 0, 0, 0xaa, 0, 4, 0], &one, &[0, 0, 0xaa, 0, 4, 0], &one]));
    all.push((0x0026, inner.clone()));
    all.push((IPV4, v4(4, C, C, 0, &[], &inner)));
    // The link header says one thing, the packet another.
    all.push((IPV6, inner.clone()));
    all.push((IPV4, v6(6, A6, B6, &ports(80, 80))));
    all.push((ARP, inner));
    all
}

/// Extension headers one behind the other, and AH, of which libpcap's `protochain` takes the length for a place counted from the IP header.
fn chains() -> Vec<(u16, Vec<u8>)> {
    let header = |next: u8, len: u8, bytes: usize| [&[next, len][..], &vec![1; bytes - 2]].concat();
    let tcp = ports(40000, 80);
    let chain = |headers: &[Vec<u8>]| [headers.concat(), tcp.clone()].concat();
    let v6s = [
        (0, chain(&[header(60, 0, 8), header(43, 1, 16), header(6, 0, 8)])),
        (43, chain(&[header(44, 2, 24), header(17, 0, 8)])),
        (60, chain(&[header(59, 0, 8)])),
        (0, chain(&[header(51, 0, 8), header(6, 4, 24)])),
        // AH whose length leads to behind itself: (14 + 2) * 4 = 40 + 24.
        (51, chain(&[header(6, 4, 24)])),
        (51, chain(&[header(60, 14, 24), header(132, 0, 8)])),
        // Longer than the frame.
        (60, chain(&[header(6, 255, 8)])),
        (0, chain(&vec![header(0, 0, 8); 20])),
    ];
    let v4s = [
        (51, chain(&[header(6, 4, 24)])),
        (51, chain(&[header(51, 6, 8), header(17, 0, 8)])),
        (60, chain(&[header(6, 0, 8)])),
    ];
    let v6s = v6s.into_iter().map(|(next, payload)| (IPV6, v6(next, A6, B6, &payload)));
    let v4s = v4s.into_iter().flat_map(|(next, payload)| {
        [&[][..], &[1; 8]].map(|options| (IPV4, v4(next, A, B, 0, options, &payload)))
    });
    v6s.chain(v4s).collect()
}

/// AH that leads to itself: on these libpcap's `protochain` has no end. So they stand apart from all others.
pub(crate) fn endless(link_type: LinkType) -> Vec<Vec<u8>> {
    let v6 = v6(51, A6, B6, &[&[51, 8][..], &[1; 22]].concat());
    let v4 = v4(51, A, B, 0, &[], &[51, 3, 1, 1, 1, 1, 1, 1]);
    [(IPV6, v6), (IPV4, v4)].iter().filter_map(|(kind, packet)| link(link_type, *kind, packet)).collect()
}

/// MPLS: one label and two, with IPv4 and IPv6 inside; one that says that another follows, and none does.
fn labelled(inner: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let label = |number: u32, last: bool| (number << 12 | u32::from(last) << 8 | 64).to_be_bytes().to_vec();
    let v6 = v6(17, A6, B6, &ports(53, 53));
    let stacks = [
        [label(7, true), inner.to_vec()].concat(),
        [label(7, true), v6].concat(),
        [label(7, false), label(9, true), inner.to_vec()].concat(),
        [label(7, false), inner.to_vec()].concat(),
    ];
    let tagged_one = tagged(5, 0x8847, &stacks[0]);
    stacks.into_iter().map(|stack| (0x8847, stack)).chain([(0x8100, tagged_one)]).collect()
}

/// PPPoE: sessions with IPv4, IPv6, OSI and MPLS inside, one in a VLAN.
fn pppoe(inner: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let session = |id: u16, protocol: u16, payload: &[u8]| {
        let mut bytes = vec![0x11, 0];
        bytes.extend(id.to_be_bytes());
        bytes.extend((payload.len() as u16 + 2).to_be_bytes());
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(payload);
        bytes
    };
    let labelled = [&[0, 0, 0x71, 64], inner].concat();
    let sessions = [
        session(3, 0x21, inner),
        session(4, 0x57, &v6(6, A6, B6, &ports(80, 3306))),
        session(3, 0x23, &[0x83; 30]),
        session(3, 0x281, &labelled),
        session(3, 0x29, &[1; 30]),
    ];
    let in_tag = tagged(5, 0x8864, &sessions[0]);
    sessions.into_iter().map(|session| (0x8864, session)).chain([(0x8100, in_tag)]).collect()
}

/// GENEVE over IPv4 and IPv6: with Ethernet, with IP alone, with options, within a VLAN and within itself.
fn geneve(inner: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let header = |network: u32, options: &[u8], protocol: u16, payload: &[u8]| {
        let mut bytes = vec![(options.len() / 4) as u8, 0];
        bytes.extend(protocol.to_be_bytes());
        bytes.extend((network << 8).to_be_bytes());
        bytes.extend(options);
        bytes.extend(payload);
        bytes
    };
    let udp = |payload: &[u8]| {
        let mut bytes = vec![0xc0, 0, 0x17, 0xc1];
        bytes.extend((payload.len() as u16 + 8).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    };
    let ethernet = link(LinkType::ETHERNET, IPV4, inner).expect("Ethernet");
    let in_tag = link(LinkType::ETHERNET, 0x8100, &tagged(5, IPV4, inner)).expect("Ethernet");
    let mut group = ethernet.clone();
    group[0] = 3;
    let dns = v6(17, A6, B6, &ports(53, 53));
    let payloads = [
        udp(&header(5, &[], 0x6558, &ethernet)),
        udp(&header(6, &[1; 8], 0x6558, &ethernet)),
        udp(&header(5, &[], 0x6558, &group)),
        udp(&header(5, &[], 0x6558, &in_tag)),
        udp(&header(5, &[], IPV4, inner)),
        udp(&header(5, &[2; 4], IPV6, &dns)),
        // A version that nobody knows.
        udp(&[&[0x40], &header(5, &[], IPV4, inner)[1..]].concat()),
    ];
    let again = v4(17, A, B, 0, &[], &payloads[4]);
    let twice = udp(&header(5, &[], IPV4, &again));
    let mut all: Vec<(u16, Vec<u8>)> = Vec::new();
    for payload in payloads.iter().chain([&twice]) {
        all.push((IPV4, v4(17, A, B, 0, &[], payload)));
        all.push((IPV6, v6(17, A6, B6, payload)));
    }
    all.push((IPV4, v4(17, A, B, 0, &[1; 12], &payloads[0])));
    all.push((0x8100, tagged(5, IPV4, &v4(17, A, B, 0, &[], &payloads[0]))));
    all
}

/// Frames whose type is a length: 802.2 with OSI, spanning tree, NetBEUI, IPX, SNAP; Novell's without 802.2.
fn lengths() -> Vec<(u16, Vec<u8>)> {
    let payloads: [&[u8]; 12] = [
        &[0xfe, 0xfe, 3, 0x83, 0, 0, 0, 18],
        &[0xfe, 0xfe, 3, 0x83, 0, 0, 0, 27],
        &[0xfe, 0xfe, 3, 0x81, 0, 0, 0, 15],
        &[0xfe, 0xfe, 3, 0x82, 0, 0, 0, 17],
        &[0x42, 0x42, 3, 0, 0, 0, 0, 0],
        &[0xf0, 0xf0, 0x7f, 0, 0, 0, 0, 0],
        &[0xe0, 0xe0, 3, 0xff, 0xff, 0, 0, 0],
        &[0xff, 0xff, 0, 40, 0, 0, 0, 0],
        &[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0x37],
        &[0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b],
        &[0xaa, 0xaa, 3, 0, 0, 0, 0x80, 0xf3],
        &[5, 5, 0xe3, 0, 0, 0, 0, 0],
    ];
    let controls = [1, 5, 9, 0x63, 0x43, 0x0f, 0x6f, 0xaf, 0x87, 0];
    let controlled: Vec<Vec<u8>> =
        controls.iter().map(|control| vec![6, 6, *control, 0, 0, 0, 0, 0]).collect();
    let mut all: Vec<(u16, Vec<u8>)> = Vec::new();
    for payload in payloads.into_iter().chain(controlled.iter().map(Vec::as_slice)) {
        let payload = [payload, &[0; 20]].concat();
        all.push((payload.len() as u16, payload.clone()));
        // The same as cooked frames say it.
        all.push((4, payload.clone()));
        all.push((0x8100, tagged(5, payload.len() as u16, &payload)));
    }
    all.push((1, vec![0xff; 30]));
    all
}

/// Frames with other Ethernet addresses.
fn addressed() -> Vec<Vec<u8>> {
    let inner = v4(6, A, B, 0, &[], &ports(80, 3306));
    let frame = link(LinkType::ETHERNET, IPV4, &inner).expect("Ethernet");
    let with = |destination: [u8; 6], source: [u8; 6]| [&destination, &source, &frame[12..]].concat();
    vec![
        with([0xff; 6], [2, 0, 0, 0, 0, 1]),
        with([1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 1]),
        with([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 1]),
        with([2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 3]),
    ]
}

/// Every packet on this link.
pub(crate) fn all(link_type: LinkType) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        packets().iter().filter_map(|(ether_type, packet)| link(link_type, *ether_type, packet)).collect();
    if link_type == LinkType::ETHERNET {
        all.extend(addressed());
    }
    all
}

/// Whether TCP or UDP stands right behind an IP header without fragments, extension headers or a tunnel.
pub(crate) fn is_plain(link_type: LinkType, bytes: &[u8]) -> bool {
    let ip = match link_type {
        LinkType::ETHERNET if matches!(bytes[12..14], [8, 0] | [0x86, 0xdd]) => &bytes[14..],
        LinkType::ETHERNET => return false,
        _ => bytes,
    };
    let said = if link_type == LinkType::ETHERNET { [4, 6][usize::from(bytes[12] != 8)] } else { ip[0] >> 4 };
    let (protocol, header_len, fragment) = match ip[0] {
        first if first >> 4 != said => return false,
        0x45..=0x4f => (ip[9], usize::from(ip[0] & 15) * 4, ip[6] & 0x3f | ip[7]),
        0x60..=0x6f => (ip[6], 40, 0),
        _ => return false,
    };
    let port = |at: usize| u16::from_be_bytes([ip[header_len + at], ip[header_len + at + 1]]);
    matches!(protocol, 6 | 17) && fragment == 0 && ![port(0), port(2)].contains(&6081)
}

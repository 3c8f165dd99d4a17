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
                IPV6 => 10,
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
    all.push((0x8847, inner.clone()));
    all.push((0x0026, inner.clone()));
    all.push((IPV4, v4(4, C, C, 0, &[], &inner)));
    // The link header says one thing, the packet another.
    all.push((IPV6, inner.clone()));
    all.push((IPV4, v6(6, A6, B6, &ports(80, 80))));
    all.push((ARP, inner));
    all
}

/// Every packet on this link.
pub(crate) fn all(link_type: LinkType) -> Vec<Vec<u8>> {
    packets().iter().filter_map(|(ether_type, packet)| link(link_type, *ether_type, packet)).collect()
}

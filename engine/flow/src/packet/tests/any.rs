//! Whatever the bytes: no panic, and what is handed on lies inside the frame.

use proptest::prelude::*;

use super::*;
use crate::packet::{Fragment, Packet, ParseOptions, Parser, is_supported};

/// Reads with all options; where the payload is.
fn within(frame: &Frame<'_>) -> Result<(), TestCaseError> {
    for (merge_vlans, verify_checksums) in [(false, false), (true, true)] {
        let parser = Parser::new(FlowHasher::with_seed(1), ParseOptions { merge_vlans, verify_checksums });
        let (Parsed::Tcp(Segment { packet: Packet { payload, .. }, .. })
        | Parsed::Udp(Datagram { packet: Packet { payload, .. } })
        | Parsed::Fragment(Fragment { payload, .. })) = parser.parse(frame)
        else {
            continue;
        };
        let end = u64::from(payload.start) + u64::from(payload.len);
        prop_assert!(payload.start >= 1000 && end <= 1000 + frame.bytes.len() as u64);
    }
    Ok(())
}

fn link_types() -> Vec<LinkType> {
    (0..300).map(LinkType).filter(|link_type| is_supported(*link_type)).chain([LinkType(999)]).collect()
}

/// Beginnings of headers behind Ethernet addresses.
const BEGINNINGS: [&[u8]; 9] = [
    &[],
    &[8, 0, 0x45],
    &[0x86, 0xdd, 0x60],
    &[0x81, 0, 0, 1, 8, 0, 0x45],
    &[0x88, 0x47, 0, 0, 0x11, 9],
    &[0x88, 0x64, 0x11, 0, 0, 1],
    &[0x89, 0x4f, 0],
    &[0x88, 0xe7],
    &[0, 100, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0],
];

/// An IPv4 packet that carries the packet `inner` in one of nine ways.
fn around(level: u8, inner: &[u8]) -> Vec<u8> {
    let udp = |port: u16, header: &[u8], inner: &[u8]| {
        let length = u16::try_from(8 + header.len() + inner.len()).unwrap();
        [&[0xc0, 0][..], &port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], header, inner].concat()
    };
    let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
    let ethernet = ethernet(&[8, 0], inner);
    let (protocol, payload) = match level {
        0 => (4, inner.to_vec()),
        1 => (47, [&[0xb0, 0, 8, 0][..], &[0; 12], inner].concat()),
        2 => (47, [&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &ethernet[..]].concat()),
        3 => (47, [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 1, 0, 0, 0, 0], &ethernet[..]].concat()),
        4 => (17, udp(4789, &[8, 0, 0, 0, 0, 0, 7, 0], &ethernet)),
        5 => (17, udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 4], &ethernet)),
        6 => (17, udp(2152, &[0x30, 0xff, length[0], length[1], 0, 0, 0, 1], inner)),
        7 => (137, [&[0, 0, 0x11, 9], inner].concat()),
        _ => (51, [&[4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], inner].concat()),
    };
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    [&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 9, protocol, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], &payload[..]]
        .concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        beginning in prop::sample::select(BEGINNINGS.to_vec()),
        link_type in prop::sample::select(link_types()),
        original in any::<u32>(),
    ) {
        if bytes.len() >= 12 + beginning.len() {
            bytes[12..12 + beginning.len()].copy_from_slice(beginning);
        }
        let mut frame = frame(&bytes, link_type);
        within(&frame)?;
        frame.original_len = original;
        within(&frame)?;
    }

    /// Good frames with a few bytes changed.
    #[test]
    fn changes(
        levels in prop::collection::vec(0u8..9, 0..5),
        changes in prop::collection::vec((0usize..300, any::<u8>()), 0..6),
        v6 in any::<bool>(),
        cut in prop::option::of(0usize..300),
        link_type in prop::sample::select(vec![LinkType::ETHERNET, LinkType::RAW]),
    ) {
        let mut network = if v6 {
            ipv6(0, 71, &behind(&[6, 0, 1, 4, 0, 0, 0, 0], &tcp_header(&[1; 43])))
        } else {
            ipv4(&[1; 43])
        };
        if !v6 {
            for level in &levels {
                network = around(*level, &network);
            }
        }
        let ether_type = if v6 { [0x86, 0xdd] } else { [8, 0] };
        let mut bytes = if link_type == LinkType::RAW { network } else { ethernet(&ether_type, &network) };
        if changes.is_empty() {
            prop_assert!(matches!(read(&frame(&bytes, link_type)), Parsed::Tcp(_)), "{levels:?}");
        }
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let original = u32::try_from(bytes.len()).unwrap();
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let mut frame = frame(&bytes, link_type);
        frame.original_len = original;
        within(&frame)?;
    }
}

//! Frames that libpcap can't be asked about: a tag beside the frame, links that are not read.

use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos, VlanTag};

use crate::parse;

fn matches(rule: &str, link_type: LinkType, bytes: &[u8], vlan: Option<VlanTag>) -> bool {
    let frame = Frame {
        bytes,
        offset: 0,
        timestamp: Nanos(0),
        original_len: 100,
        interface: 0,
        link_type,
        vlan,
        flags: FrameFlags::default(),
    };
    parse(rule).unwrap().matches_frame(&frame)
}

#[test]
fn null_in_either_byte_order() {
    let mut packet = [0; 24];
    packet[4 + 9] = 6;
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        packet[..4].copy_from_slice(&family);
        assert!(matches("ip and tcp", LinkType::NULL, &packet, None));
        assert_eq!(matches("tcp", LinkType::LOOP, &packet, None), family[3] == 2);
    }
}

#[test]
fn links_that_are_not_read_match_only_the_empty_expression() {
    for rule in ["ip", "not ip", "tcp or not tcp"] {
        assert!(!matches(rule, LinkType(105), &[0; 100], None));
        assert!(parse(rule).unwrap().refused_on(LinkType(105)).is_some());
    }
    assert!(matches("", LinkType(105), &[0; 100], None));
}

#[test]
fn a_tag_beside_the_frame_announces_itself() {
    let mut bytes = [0; 60];
    bytes[12] = 8;
    let tag = Some(VlanTag { tpid: 0x8100, tci: 7 });
    assert!(matches("ip", LinkType::ETHERNET, &bytes, None));
    assert!(matches("not ip and ether proto 0x8100", LinkType::ETHERNET, &bytes, tag));
    assert!(matches("vlan 7 and ip", LinkType::ETHERNET, &bytes, tag));
    assert!(matches("len = 104", LinkType::ETHERNET, &bytes, tag));
    // There is no room for it behind the addresses: the look past the end rejects.
    assert!(!matches("not ip", LinkType::ETHERNET, &bytes[..11], tag));
    assert!(matches("not ip", LinkType::ETHERNET, &bytes[..12], tag));
}

/// What is kept for each link layer is found by its number.
#[test]
fn link_layers_are_in_the_order_of_their_numbers() {
    for (number, link) in super::Link::ALL.into_iter().enumerate() {
        assert_eq!(link as usize, number);
    }
    assert_eq!(super::Link::Any as usize, super::Link::ALL.len());
}

//! Filters and rules in the kernel, by both kinds of program, on real frames.

use std::io::Write as _;
use std::net::UdpSocket;

use sniff_x_filter::RuleSet;
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};

use super::{finish, open, options, own_network, sender, veth};
use crate::FilterLevel::{Classic, Ebpf};
use crate::{LiveOptions, open_live};

/// The kernel takes the outer tag out of a frame: programs find it beside the frame, and say what they would say of a tag in it.
#[test]
fn tags_beside_the_frame_are_in_it() {
    if !own_network() {
        return;
    }
    veth();
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend([0x9c, 0x40, 0x0c, 0xea, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 0x20, 0, 0, 0, 0, 0]);
    let behind = |tags: &[u8]| [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], tags, &packet].concat();
    let frames = [
        behind(&[8, 0]),
        behind(&[0x81, 0, 0xa0, 5, 8, 0]),
        behind(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0]),
        behind(&[0x81, 0, 0, 5, 0x88, 0x47, 0, 0, 0x71, 64]),
        behind(&[0x81, 0, 0, 9, 0x88, 0x64, 0x11, 0, 0, 3, 0, 42, 0, 0x21]),
    ];
    let texts = [
        "tcp",
        "vlan",
        "not vlan",
        "vlan 5",
        "vlan 5 and tcp port 3306",
        "vlan and vlan 8 and dst port 3306",
        "vlan and mpls 7 and host 10.0.0.1",
        "vlan and pppoes 3 and tcp",
        "tcp or (vlan and tcp)",
        "ether proto 0x88a8",
        "ether[12:2] = 0x8100 and ether[14:2] & 0xfff = 5",
        "ether[10:4] = 0x00018100",
        "ether[13:4] & 0xff = 8",
        "len = 58",
        "vlan and tcp[tcpflags] & (tcp-syn|tcp-ack) = 18",
        "vlan and ip[2:2] = 40",
        "ether src 2:0:0:0:0:1 and not ether[16:2] = 0x800",
    ];
    for text in texts {
        let filter: sniff_x_filter::Expression = text.parse().unwrap();
        let lent = |bytes| Frame {
            bytes,
            offset: 0,
            timestamp: Nanos(0),
            original_len: u32::try_from(<[u8]>::len(bytes)).unwrap(),
            interface: 0,
            link_type: LinkType::ETHERNET,
            vlan: None,
            flags: FrameFlags::default(),
        };
        let expected: Vec<_> = frames.iter().filter(|bytes| filter.matches_frame(&lent(bytes))).collect();
        for level in [Ebpf, Classic] {
            let rules = RuleSet { filter: Some(filter.clone()), rules: Vec::new() };
            let mut source = open(level, &LiveOptions { rules, ..options(&["here"]) });
            let mut there = sender("there");
            for frame in &frames {
                there.write_all(frame).unwrap();
            }
            let seen = finish(&mut source);
            let whole = seen.iter().map(|one| match one.vlan {
                Some(tag) => {
                    let tag = [tag.tpid.to_be_bytes(), tag.tci.to_be_bytes()].concat();
                    [&one.bytes[..12], &tag, &one.bytes[12..]].concat()
                }
                None => one.bytes.clone(),
            });
            assert_eq!(whole.collect::<Vec<_>>().iter().collect::<Vec<_>>(), expected, "'{text}' {level:?}");
        }
    }
}

#[test]
fn classic_programs_judge_as_the_others_do() {
    if !own_network() {
        return;
    }
    let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [wanted, other, third] = &sockets;
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let cases = [
        (Some(format!("dst port {}", port(wanted))), None, 100),
        (None, Some(format!("udp and dst port {}", port(wanted))), 100),
        (Some("udp[4:2] = 12".to_owned()), None, 300),
        (Some("udp[4:2] != 12".to_owned()), None, 0),
        // The two sights of a loopback frame differ in this alone; the one that is left is the received one.
        (Some("not outbound and udp".to_owned()), None, 300),
        (Some(format!("ip[12:4] = ip[16:4] and udp[0:2] = {}", port(third))), Some("udp".to_owned()), 100),
        (Some(format!("src port {}", port(third))), Some(format!("udp port {}", port(wanted))), 0),
    ];
    for (filter, rule, expected) in cases {
        let filter = filter.map(|text| sniff_x_filter::parse(&text).unwrap());
        let rule = rule.map(|text| sniff_x_filter::parse_rule(&text).unwrap());
        let rules = RuleSet { filter, rules: rule.into_iter().collect() };
        for level in [Ebpf, Classic] {
            let mut source = open(level, &LiveOptions { rules: rules.clone(), ..options(&["lo"]) });
            for number in 0..100_u32 {
                for (from, to) in [(other, wanted), (wanted, other), (third, other)] {
                    from.send_to(&number.to_be_bytes(), to.local_addr().unwrap()).unwrap();
                }
            }
            let seen = finish(&mut source).len();
            assert_eq!(seen, expected, "{rules:?} {level:?}");
        }
    }
}

#[test]
fn a_filter_that_the_link_can_not_answer_is_refused() {
    if !own_network() {
        return;
    }
    let filter = Some(sniff_x_filter::parse("mpls and arp").unwrap());
    let options = LiveOptions { rules: RuleSet { filter, rules: Vec::new() }, ..options(&["lo"]) };
    let error = open_live(options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("lo: behind 'mpls' only IPv4 and IPv6 can be told"), "{error}");
}

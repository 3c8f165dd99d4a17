//! Frames of any bytes: what `packet::parse` names lies in the frame, and a frame that the snap length cut tells the same as the whole one,
//! as far as it goes.
//!
//! Input: where to cut (16 bits), then a frame as [`frame`] reads it.

use std::mem::discriminant;

use sniff_x_flow::packet::{FlowHasher, Packet, Parsed, parse};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos, VlanTag};

use crate::harness::input::Input;
use crate::harness::signal::Signal;
use crate::seeds::Seeds;

/// EtherTypes, IP protocols with their headers' first bytes, ports of tunnels.
pub(crate) const WORDS: &[&[u8]] = &[
    b"\x08\x00\x45\x00",
    b"\x86\xdd\x60\x00\x00\x00",
    b"\x81\x00\x00\x01",
    b"\x88\xa8\x00\x02\x81\x00",
    b"\x88\x47\x00\x01\x01\x40",
    b"\x88\x64\x11\x00\x00\x01",
    b"\x65\x58",
    b"\x88\xbe",
    b"\x12\xb5",
    b"\x17\xc1",
    b"\x08\x68",
    b"\x0d\xd8",
    b"\x3a\x00\x05\x02\x00\x00\x01\x00",
    b"\x2c\x00\x00\x01",
    b"\x02\x04\x05\xb4\x01\x03\x03\x07",
];

const LINKS: [LinkType; 8] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::RAW,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
];

/// Bytes before the frame.
const HEAD: usize = 9;

/// Reads a frame: link type (8 bits), VLAN tag (16), offset in the lease (32), bytes that were not captured (16); all that is left is the frame.
pub(crate) fn frame<'a>(input: &mut Input<'a>) -> Frame<'a> {
    let link = input.u8();
    let vlan = input.u16();
    let offset = input.u32();
    let behind = input.u16();
    let bytes = input.bytes(usize::MAX);
    // Every link type, those that are known more often.
    let link_type = LINKS.get(usize::from(link)).copied().unwrap_or(LinkType(u16::from(link)));
    Frame {
        bytes,
        offset: offset >> 8,
        timestamp: Nanos::new(1_700_000_000, 0),
        original_len: bytes.len() as u32 + u32::from(behind),
        interface: 1,
        link_type,
        vlan: (vlan & 0x8000 != 0).then_some(VlanTag { tpid: 0x8100, tci: vlan & 0x7fff }),
        flags: FrameFlags::default(),
    }
}

/// The head of a frame with nothing odd about it.
pub(crate) fn head(link_type: LinkType) -> Option<[u8; HEAD]> {
    let link = LINKS.iter().position(|link| *link == link_type).or(Some(usize::from(link_type.0)))?;
    Some([u8::try_from(link).ok()?, 0, 0, 0, 0, 0, 0, 0, 0])
}

pub(crate) fn seeds(seeds: &Seeds) -> Vec<Vec<u8>> {
    let seed =
        |frame: crate::seeds::SeedFrame| Some([&[0; 2], &head(frame.link_type)?[..], &frame.bytes].concat());
    seeds.frames(800).into_iter().filter_map(seed).collect()
}

fn packet(parsed: &Parsed) -> Option<&Packet> {
    match parsed {
        Parsed::Tcp(segment) => Some(&segment.packet),
        Parsed::Udp(datagram) => Some(&datagram.packet),
        _ => None,
    }
}

/// Holds one frame against what [`Packet`] promises.
fn check(frame: &Frame<'_>, packet: &Packet, hasher: &FlowHasher) {
    let (start, len) = (u64::from(packet.payload.start), u64::from(packet.payload.len));
    assert!(start >= u64::from(frame.offset), "the payload starts before the frame");
    assert!(
        start + len <= u64::from(frame.offset) + frame.bytes.len() as u64,
        "the payload ends behind the frame"
    );
    assert_eq!(packet.hash, hasher.hash(&packet.key), "the hash is the key's");
    assert_eq!(packet.timestamp, frame.timestamp);
    for workers in [1, 2, 7] {
        assert!(packet.worker(workers) < workers);
    }
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut input = Input(data);
    let cut = usize::from(input.u16());
    let frame = frame(&mut input);
    let hasher = FlowHasher::with_seed(1);
    let parsed = parse(&frame, &hasher);
    signal.note((frame.link_type.0, frame.vlan.is_some(), discriminant(&parsed)));
    let Some(whole) = packet(&parsed) else { return };
    check(&frame, whole, &hasher);
    signal.note((
        whole.vlan_tags,
        whole.key.place().vlans.map(|v| v.is_some()),
        whole.key.place().tunnel != 0,
    ));
    signal.note((whole.payload.len == 0, whole.missing == 0));
    signal.count("headers", u64::from(whole.payload.start - frame.offset));
    if let Parsed::Tcp(segment) = &parsed {
        signal.note((segment.flags.0 & 0x17, segment.window_scale.is_some()));
    }

    // The same frame, cut by a shorter snap length.
    let bytes = &frame.bytes[..cut % (frame.bytes.len() + 1)];
    let shorter = Frame { bytes, ..frame };
    let parsed_shorter = parse(&shorter, &hasher);
    if let Some(part) = packet(&parsed_shorter) {
        check(&shorter, part, &hasher);
        // Of a tunnel over UDP that was cut too early only the outer datagram is left.
        let outer = matches!(parsed_shorter, Parsed::Udp(_)) && part.payload.start < whole.payload.start;
        if outer && part.key != whole.key {
            return;
        }
        assert_eq!(part.key, whole.key, "another flow");
        assert_eq!(part.sender, whole.sender);
        let on_the_wire = |p: &Packet| u64::from(p.payload.len) + u64::from(p.missing);
        assert_eq!(on_the_wire(part), on_the_wire(whole), "another length on the wire");
        if let (Parsed::Tcp(part), Parsed::Tcp(whole)) = (&parsed_shorter, &parsed) {
            assert_eq!((part.seq, part.ack, part.flags), (whole.seq, whole.ack, whole.flags));
        }
    }
}

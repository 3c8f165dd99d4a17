//! Link headers, written by hand from <https://www.tcpdump.org/linktypes.html>.

use super::*;
use crate::packet::is_supported;

/// A data frame's header to the access point, and LLC/SNAP for IPv4.
fn wireless(control: u8, flags: u8, more: &[u8]) -> Vec<u8> {
    let header = [&[control, flags, 0, 0][..], &[2; 18], &[0x10, 0x27], more].concat();
    behind(&header, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0])
}

/// A header of `link_type` before an IPv4 packet.
fn headers() -> Vec<(u16, Vec<u8>)> {
    let data = || wireless(8, 1, &[]);
    let radiotap = |present: [u8; 4], fields: &[u8], frame: Vec<u8>| {
        let length = u8::try_from(8 + fields.len()).unwrap();
        [&[0, 0, length, 0], &present[..], fields, &frame].concat()
    };
    let prism = |length: [u8; 4], frame: Vec<u8>| [&[0, 0, 0, 0x44], &length[..], &[0; 136], &frame].concat();
    let avs = [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &data()].concat();
    vec![
        (9, vec![0xff, 3, 0, 0x21]),
        (9, vec![0, 0x21]),
        (9, vec![0x21]),
        (9, vec![0x0f, 0, 8, 0]),
        (50, vec![0xff, 3, 0, 0x21]),
        (50, vec![0x8f, 0, 8, 0]),
        (51, vec![0x11, 0, 0, 7, 1, 0, 0, 0x21]),
        (100, vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        (104, vec![0x0f, 0, 8, 0]),
        (105, data()),
        // Between distribution systems; with quality of service; with the high throughput field, too.
        (105, wireless(8, 3, &[9; 6])),
        (105, wireless(0x88, 1, &[0, 0])),
        (105, wireless(0x88, 0x81, &[0, 0, 1, 2, 3, 4])),
        (107, vec![0x18, 0x41, 3, 0xcc]),
        (107, vec![0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0]),
        (107, vec![0x18, 0x41, 8, 0]),
        (107, vec![0x18, 0x40, 0x40, 1, 3, 0xcc]),
        (113, [vec![0, 0, 0, 1, 0, 6], vec![0; 8], vec![0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat()),
        (119, prism([144, 0, 0, 0], data())),
        (119, prism([0, 0, 0, 144], data())),
        (119, avs.clone()),
        (127, radiotap([0; 4], &[], data())),
        // A timer (aligned to 8), then flags: the header is padded to 4 bytes.
        (
            127,
            radiotap([3, 0, 0, 0], &[[9; 8].to_vec(), vec![0x20]].concat(), wireless(0x88, 1, &[0, 0, 7, 7])),
        ),
        // Flags behind a second word of fields.
        (127, radiotap([2, 0, 0, 0x80], &[0, 0, 0, 0, 0x10], data())),
        (163, avs),
        (166, vec![1, 3, 0, 0x21]),
        (192, [vec![0, 0, 12, 0, 105, 0, 0, 0, 1, 2, 3, 4], data()].concat()),
        (204, vec![0, 0xff, 3, 0, 0x21]),
        (205, vec![1, 0x0f, 0, 8, 0]),
        (206, vec![1, 0x18, 0x41, 3, 0xcc]),
        (226, vec![1; 24]),
        // Family, version, resource; an attribute of 5 bytes, padded; the packet.
        (239, vec![2, 0, 0, 0, 5, 0, 10, 0, 0x61, 0, 0, 0, 200, 0, 9, 0]),
        (258, [vec![16, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0], vec![0; 4]].concat()),
    ]
}

#[test]
fn every_header_leads_to_the_packet() {
    let network = ipv4(b"abc");
    for (link_type, header) in headers() {
        assert!(is_supported(LinkType(link_type)));
        let bytes = behind(&header, &network);
        let frame = frame(&bytes, LinkType(link_type));
        assert_eq!(payload(&frame, &tcp(&frame)), b"abc", "{link_type} {header:x?}");
    }
    assert!(!is_supported(LinkType(147)));
}

#[test]
fn wireless_frames_that_are_not_read() {
    let network = ipv4(b"abc");
    for (what, header) in [
        ("a beacon", wireless(0x80, 0, &[])),
        ("no data", wireless(0x48, 1, &[])),
        ("encrypted", wireless(8, 0x41, &[])),
        ("more fragments", wireless(8, 5, &[])),
        ("several packets in one", wireless(0x88, 1, &[0x80, 0])),
    ] {
        let bytes = behind(&header, &network);
        assert!(matches!(read(&frame(&bytes, LinkType(105))), Parsed::Other), "{what}");
    }
    // The driver says that the frame's check sequence is wrong.
    let bytes = [&[0, 0, 9, 0, 2, 0, 0, 0, 0x40][..], &wireless(8, 1, &[]), &network].concat();
    assert!(matches!(read(&frame(&bytes, LinkType(127))), Parsed::Malformed));
}

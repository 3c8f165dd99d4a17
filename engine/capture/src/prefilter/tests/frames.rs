//! Frames written out by hand, header by header, from their RFCs.

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Ethernet with `kind` and what follows.
pub(super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A VLAN tag behind its TPID: TCI, EtherType, payload.
pub(super) fn tag(tci: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&tci.to_be_bytes()[..], &kind.to_be_bytes(), payload].concat()
}

/// RFC 791. `fragment`: flags and offset; `options`: a multiple of 4 bytes.
pub(super) fn ipv4_with(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut packet = vec![0x40 | u8::try_from(header_len / 4).unwrap(), 0];
    packet.extend(u16::try_from(header_len + payload.len()).unwrap().to_be_bytes());
    packet.extend([0x12, 0x34]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]);
    packet.extend(options);
    packet.extend(payload);
    packet
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0x4000, &[], payload)
}

/// RFC 8200.
pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(payload);
    packet
}

/// An IPv6 extension header of `8 + 8 * extra` bytes, with the payload.
pub(super) fn extension(next: u8, extra: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 8 + 8 * usize::from(extra)];
    header[0] = next;
    header[1] = extra;
    header.extend(payload);
    header
}

/// RFC 8200 section 4.5.
pub(super) fn fragment_header(next: u8, offset_and_more: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = offset_and_more.to_be_bytes();
    [&[next, 0, high, low, 0, 0, 0, 1][..], payload].concat()
}

/// RFC 4302: 24 bytes, which its length field says as 4.
pub(super) fn authentication(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 24];
    header[0] = next;
    header[1] = 4;
    header.extend(payload);
    header
}

/// RFC 9293, no options.
pub(super) fn tcp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// RFC 768.
pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram = [source.to_be_bytes(), destination.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
    datagram.extend(payload);
    datagram
}

/// Whether a frame that starts so with an Ethernet header is what [`sniff_x_ebpf_common::found::PLAIN`] says.
pub(super) fn is_plain(frame: &[u8]) -> bool {
    let fragment = |frame: &[u8]| u16::from_be_bytes([frame[20], frame[21]]) & 0x3fff != 0;
    frame.len() >= 38 && frame[12..15] == [8, 0, 0x45] && !fragment(frame)
}

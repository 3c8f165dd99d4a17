//! Checksums, as etherparse computes them.

use super::*;
use crate::packet::{ParseOptions, Parser};

fn verified(frame: &Frame<'_>) -> Parsed {
    let options = ParseOptions { verify_checksums: true, ..ParseOptions::default() };
    Parser::new(FlowHasher::with_seed(1), options).parse(frame)
}

/// Packets with right checksums, and where their payload begins.
fn packets() -> Vec<(Vec<u8>, usize)> {
    let v4 = || PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let v6 = || PacketBuilder::ipv6([0xfe; 16], [0xfd; 16], 64);
    let mut all = Vec::new();
    // Odd and even lengths: the last byte of an odd one counts as the upper half of a word.
    for payload in [&b"abc"[..], b"abcd"] {
        let mut written = [const { Vec::new() }; 4];
        let [tcp4, udp4, tcp6, udp6] = &mut written;
        v4().tcp(1, 2, 3, 4).write(tcp4, payload).unwrap();
        v4().udp(1, 2).write(udp4, payload).unwrap();
        v6().tcp(1, 2, 3, 4).write(tcp6, payload).unwrap();
        v6().udp(1, 2).write(udp6, payload).unwrap();
        all.extend(written.map(|bytes| {
            let payload_at = bytes.len() - payload.len();
            (bytes, payload_at)
        }));
    }
    all
}

const fn is_read(parsed: &Parsed) -> bool {
    matches!(parsed, Parsed::Tcp(_) | Parsed::Udp(_))
}

#[test]
fn a_wrong_checksum_is_told_when_asked_for() {
    for (good, payload_at) in packets() {
        assert!(is_read(&verified(&frame(&good, LinkType::RAW))));
        // Each bit that a checksum covers: addresses and payload.
        for at in [12, payload_at, good.len() - 1] {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(verified(&frame(&bad, LinkType::RAW)), Parsed::BadChecksum), "{at}");
                assert!(is_read(&read(&frame(&bad, LinkType::RAW))), "nobody asked");
            }
        }
    }
}

#[test]
fn what_can_t_be_checked_is_taken() {
    for (good, payload_at) in packets() {
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        let mut unfinished = frame(&bad, LinkType::RAW);
        unfinished.flags.checksum_not_ready = true;
        assert!(is_read(&verified(&unfinished)));
        let mut cut = frame(&bad[..payload_at + 1], LinkType::RAW);
        cut.original_len = u32::try_from(bad.len()).unwrap();
        assert!(is_read(&verified(&cut)));
    }
    // A datagram without a checksum.
    let (mut bytes, _) = packets().swap_remove(1);
    bytes[26..28].fill(0);
    assert!(is_read(&verified(&frame(&bytes, LinkType::RAW))));
    // IPv4 with a source route: TCP's checksum covers the last address of the route, the header its own bytes.
    let mut bytes = ipv4(b"abc");
    bytes.splice(20..20, [131, 7, 4, 10, 0, 0, 9, 0]);
    bytes[0] = 0x47;
    bytes[3] += 8;
    assert!(matches!(verified(&frame(&bytes, LinkType::RAW)), Parsed::BadChecksum));
    bytes[10..12].fill(0);
    let sum: u32 = bytes[..28].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    assert!(is_read(&verified(&frame(&bytes, LinkType::RAW))));
}

#[test]
fn checksums_inside_tunnels_count() {
    let (good, _) = packets().swap_remove(0);
    let tunnel = |inner: &[u8]| {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .udp(1, 4789)
            .write(&mut bytes, &behind(&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(&[8, 0], inner)))
            .unwrap();
        bytes[26..28].fill(0);
        bytes
    };
    assert!(matches!(verified(&frame(&tunnel(&good), LinkType::RAW)), Parsed::Tcp(_)));
    let mut bad = good;
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(verified(&frame(&tunnel(&bad), LinkType::RAW)), Parsed::BadChecksum));
}

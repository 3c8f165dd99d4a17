//! Frames of a capture as a network with a small MTU would carry them: cut by RFC 791 and RFC 8200, written without the program's code.

use crate::frames::Timed;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// The frame with IPv6 in place of IPv4, whose addresses become `fd00::a.b.c.d`.
#[must_use]
pub fn to_v6(frame: &[u8]) -> Vec<u8> {
    let (ethernet, packet) = frame.split_at(ETHERNET);
    let (header, payload) = split_v4(packet);
    let mut out = ethernet[..12].to_vec();
    out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend([header[9], 64]);
    for address in [&header[12..16], &header[16..20]] {
        out.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(address);
    }
    out.extend(payload);
    out
}

/// Header and payload of an IPv4 packet; what is behind its length is padding.
fn split_v4(packet: &[u8]) -> (&[u8], &[u8]) {
    let (header, total) =
        (usize::from(packet[0] & 15) * 4, usize::from(packet[2]) << 8 | usize::from(packet[3]));
    (&packet[..header], &packet[header..total])
}

/// The frame in parts that fit into `mtu` bytes each; as it is, if it fits. `id` is the datagram's identification.
#[must_use]
pub fn cut(frame: &[u8], mtu: usize, id: u16) -> Vec<Vec<u8>> {
    if frame.len() <= ETHERNET + mtu {
        return vec![frame.to_vec()];
    }
    let (ethernet, packet) = frame.split_at(ETHERNET);
    let is_v4 = packet[0] >> 4 == 4;
    let (header, payload) = if is_v4 { split_v4(packet) } else { packet.split_at(40) };
    let room = (mtu - header.len() - if is_v4 { 0 } else { 8 }) / 8 * 8;
    let mut parts = Vec::new();
    let mut at = 0;
    for part in payload.chunks(room) {
        let more = at + part.len() < payload.len();
        let mut out = [ethernet, header].concat();
        let ip = &mut out[ETHERNET..];
        let blocks = u16::try_from(at / 8).unwrap();
        if is_v4 {
            ip[2..4].copy_from_slice(&u16::try_from(header.len() + part.len()).unwrap().to_be_bytes());
            ip[4..6].copy_from_slice(&id.to_be_bytes());
            ip[6..8].copy_from_slice(&(blocks | u16::from(more) << 13).to_be_bytes());
        } else {
            ip[4..6].copy_from_slice(&u16::try_from(8 + part.len()).unwrap().to_be_bytes());
            let next = std::mem::replace(&mut ip[6], 44);
            out.extend([next, 0]);
            out.extend((blocks << 3 | u16::from(more)).to_be_bytes());
            out.extend([0xab, 0xcd]);
            out.extend(id.to_be_bytes());
        }
        out.extend(part);
        parts.push(out);
        at += part.len();
    }
    parts
}

/// All frames cut, each datagram's parts in another order, some twice, and those of two datagrams mixed. The part that makes a datagram
/// whole comes where the frame came, at its time.
#[must_use]
pub fn cut_and_shuffle(frames: &[Timed], mtu: usize) -> Vec<Timed> {
    let mut out = Vec::new();
    let mut id = 0_u16;
    for pair in frames.chunks(2) {
        let mut last = Vec::new();
        for frame in pair {
            id = id.wrapping_add(1);
            let mut parts = cut(&frame.bytes, mtu, id);
            let count = parts.len();
            match id % 4 {
                1 => parts.reverse(),
                2 => parts.rotate_left(count / 2),
                3 => parts = parts.iter().flat_map(|part| [part.clone(), part.clone()]).collect(),
                _ => {}
            }
            if id % 4 == 3 && count > 1 {
                // The copy of the last part comes late, when the datagram is whole.
                let copy = parts.len() - 2;
                last.extend(parts.split_off(copy).into_iter().map(|bytes| Timed { time: frame.time, bytes }));
            } else if id % 4 == 3 {
                // A frame that was not cut must not come twice: that would be a retransmission.
                parts.truncate(1);
                last.push(Timed { time: frame.time, bytes: parts.remove(0) });
            } else {
                last.extend(parts.pop().map(|bytes| Timed { time: frame.time, bytes }));
            }
            out.extend(parts.into_iter().map(|bytes| Timed { time: frame.time, bytes }));
        }
        out.extend(last);
    }
    out
}

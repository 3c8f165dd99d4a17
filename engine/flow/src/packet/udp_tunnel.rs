//! Tunnels over UDP. A port proves nothing, since a client may have got it for anything: only what passes all checks of its
//! header, and has readable headers inside, is a tunnel; all else stays a datagram.
//!
//! Sources: RFC 7348 (VXLAN) with the group policy and GPE drafts, RFC 8926 (GENEVE), 3GPP TS 29.281 (GTP-U), RFC 4380 (Teredo).

use super::rest::Rest;
use super::walk::{Tunnel, Walk};
use super::{Parsed, Stop, ether, ip, link};

/// Extension headers of one GTP-U packet that are followed.
const MAX_GTP_EXTENSIONS: usize = 8;

/// Reads what a datagram carries, if it is a tunnel's.
#[inline]
pub(super) fn inside(
    walk: &Walk<'_>,
    (source, destination): (u16, u16),
    payload: Rest<'_>,
) -> Option<Result<Parsed, Stop>> {
    let result = match (source, destination) {
        (_, 4789 | 8472) => vxlan(walk, payload),
        (_, 4790) => vxlan_gpe(walk, payload),
        (_, 6081) => geneve(walk, payload),
        (2152, _) | (_, 2152) => gtp(walk, payload),
        (3544, _) | (_, 3544) => teredo(walk, payload),
        _ => return None,
    };
    match result {
        Err(Stop::Malformed | Stop::UnknownLink) | Ok(None) => None,
        Err(stop) => Some(Err(stop)),
        Ok(Some(parsed)) => Some(Ok(parsed)),
    }
}

/// VXLAN: flags, reserved, network, reserved; then Ethernet. Linux' group policy extension uses the first reserved bits.
fn vxlan(walk: &Walk<'_>, rest: Rest<'_>) -> Result<Option<Parsed>, Stop> {
    let [flags, policy, g0, g1, n0, n1, n2, reserved] = rest.array(0)?;
    let plain = [flags, policy, g0, g1] == [0x08, 0, 0, 0];
    let grouped = flags == 0x88 && policy & !0x48 == 0;
    if !(plain || grouped) || reserved != 0 {
        return Ok(None);
    }
    let network = u32::from_be_bytes([0, n0, n1, n2]);
    link::ethernet(walk.enter(Tunnel::Vxlan, network)?, rest.skip(8)?).map(Some)
}

/// VXLAN with a protocol number in it.
fn vxlan_gpe(walk: &Walk<'_>, rest: Rest<'_>) -> Result<Option<Parsed>, Stop> {
    let [0x0c, 0, 0, next @ 1..=5, n0, n1, n2, 0] = rest.array(0)? else { return Ok(None) };
    let network = u32::from_be_bytes([0, n0, n1, n2]);
    ether::by_next_protocol(walk.enter(Tunnel::Vxlan, network)?, next, rest.skip(8)?).map(Some)
}

/// GENEVE: version 0 and the options' length in words, flags, EtherType, network, reserved, options. Control packets carry no traffic.
fn geneve(walk: &Walk<'_>, rest: Rest<'_>) -> Result<Option<Parsed>, Stop> {
    let [options @ ..=0x3f, 0 | 0x40, p0, p1, _, _, _, 0] = rest.array(0)? else { return Ok(None) };
    let ether_type = u16::from_be_bytes([p0, p1]);
    if !matches!(ether_type, ether::IPV4 | ether::IPV6 | ether::BRIDGED) {
        return Ok(None);
    }
    let rest = rest.skip(8 + usize::from(options) * 4)?;
    let walk = walk.enter(Tunnel::Geneve, 0)?;
    if ether_type == ether::BRIDGED {
        return link::ethernet(walk, rest).map(Some);
    }
    ether::announced(walk, ether_type, rest).map(Some)
}

/// GTP version 1, user plane: flags, type 255, length, tunnel; when any of three flags is set also a sequence number, a packet number and the
/// type of the first extension header, each of which tells its length in words and the next one's type.
fn gtp(walk: &Walk<'_>, rest: Rest<'_>) -> Result<Option<Parsed>, Stop> {
    let [flags @ 0x30..=0x3f, 0xff, l0, l1, ..]: [u8; 8] = rest.array(0)? else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Bit 3 is reserved.
    if flags & 0x08 != 0 || length + 8 != rest.wire_len() {
        return Ok(None);
    }
    let mut inner = rest.skip(8)?;
    if flags & 0x07 != 0 {
        let mut next = inner.u8(3)?;
        inner = inner.skip(4)?;
        if flags & 0x04 == 0 {
            next = 0;
        }
        for _ in 0..MAX_GTP_EXTENSIONS {
            if next == 0 {
                break;
            }
            let length = usize::from(inner.u8(0)?) * 4;
            next = inner.u8(length.checked_sub(1).ok_or(Stop::Malformed)?)?;
            inner = inner.skip(length)?;
        }
        if next != 0 {
            return Ok(None);
        }
    }
    if !inner.holds_ip() {
        return Ok(None);
    }
    ip::either(&walk.enter(Tunnel::Gtp, 0)?, inner).map(Some)
}

/// Teredo: indications of authentication and origin, both optional, then IPv6 to the end; one of the addresses is Teredo's.
fn teredo(walk: &Walk<'_>, mut rest: Rest<'_>) -> Result<Option<Parsed>, Stop> {
    if rest.u16(0)? == 1 {
        let lengths = usize::from(rest.u8(2)?) + usize::from(rest.u8(3)?);
        rest = rest.skip(13 + lengths)?;
    }
    if rest.u16(0)? == 0 {
        rest = rest.skip(8)?;
    }
    let is_teredo = |at| matches!(rest.array(at), Ok([0x20, 0x01, 0, 0] | [0x3f, 0xfe, 0x83, 0x1f]));
    let ends_there = usize::from(rest.u16(4)?) + 40 == rest.wire_len();
    if rest.u8(0)? >> 4 != 6 || !ends_there || !(is_teredo(8) || is_teredo(24)) {
        return Ok(None);
    }
    ip::v6(&walk.enter(Tunnel::Teredo, 0)?, rest).map(Some)
}

//! Tunnels straight over IP: IP in IP, GRE and what it carries, Ethernet and MPLS in IP.
//!
//! Sources: RFC 2003 and 4213 (IP in IP), RFC 2784 and 2890 (GRE), RFC 2637 (PPTP), RFC 3378 (EtherIP), RFC 4023 (MPLS in IP), RFC 8986
//! (Ethernet behind segment routing), draft-foschiano-erspan, draft-wilson-wrec-wccp-v2.

use super::rest::Rest;
use super::walk::{Tunnel, Walk};
use super::{Ends, Parsed, Stop, ether, ip, link, serial, wireless};

/// Bits of GRE's first word: checksum, routing, key, sequence number; acknowledgement number of version 1; the version.
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

/// Keys below are not NVGRE's, whose lowest 2^12 networks of 2^8 flows are reserved (RFC 7637, section 3.2).
const LOWEST_NVGRE_KEY: u32 = 1 << 20;

/// Reads what IP protocol `protocol` announces: a tunnel, or nothing that is looked into.
pub(super) fn in_ip(walk: &Walk<'_>, ends: &Ends, protocol: u8, rest: Rest<'_>) -> Result<Parsed, Stop> {
    match protocol {
        4 | 94 => ip::v4(&walk.enter_between(Tunnel::IpInIp, ends)?, rest),
        41 => ip::v6(&walk.enter_between(Tunnel::IpInIp, ends)?, rest),
        47 => gre(walk, ends, rest),
        // EtherIP: version 3 and 12 reserved bits.
        97 if rest.u16(0)? == 0x3000 => {
            link::ethernet(walk.enter_between(Tunnel::EthernetInIp, ends)?, rest.skip(2)?)
        }
        137 => ether::mpls(walk.enter_between(Tunnel::MplsInIp, ends)?, rest),
        143 => link::ethernet(walk.enter_between(Tunnel::EthernetInIp, ends)?, rest),
        _ => Err(Stop::Other),
    }
}

/// GRE: flags, protocol, then the fields that the flags tell of.
fn gre(walk: &Walk<'_>, ends: &Ends, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let (flags, protocol) = (rest.u16(0)?, rest.u16(2)?);
    let has = |bit| flags & bit != 0;
    if has(ROUTING) {
        return Err(Stop::Other);
    }
    let mut length = 4 + if has(CHECKSUM) { 4 } else { 0 };
    let mut key = None;
    if has(KEY) {
        key = Some(rest.u32(length)?);
        length += 4;
    }
    length += if has(SEQUENCE) { 4 } else { 0 };
    match flags & VERSION {
        0 => within_gre(walk, ends, (protocol, key, has(SEQUENCE)), rest.skip(length)?),
        // PPTP: the key's upper half is the payload's length.
        1 if protocol == ether::PPP
            && let Some(key) = key =>
        {
            length += if has(ACKNOWLEDGEMENT) { 4 } else { 0 };
            let payload = rest.skip(length)?.limit_within((key >> 16) as usize);
            serial::ppp(walk.enter_between(Tunnel::Pptp, ends)?, payload)
        }
        _ => Err(Stop::Other),
    }
}

/// What GRE carries.
fn within_gre(
    walk: &Walk<'_>,
    ends: &Ends,
    (protocol, key, sequenced): (u16, Option<u32>, bool),
    rest: Rest<'_>,
) -> Result<Parsed, Stop> {
    match (protocol, key) {
        (ether::BRIDGED, Some(key)) => {
            let network = if key < LOWEST_NVGRE_KEY { key } else { key & 0xffff_ff00 };
            link::ethernet(walk.enter(Tunnel::GreBridge, network)?, rest)
        }
        // ERSPAN type I has no header of its own, II has one of 8 bytes.
        (0x88be, _) if !sequenced => link::ethernet(walk.enter(Tunnel::Erspan, 0)?, rest),
        (0x88be, _) => match rest.u16(0)? >> 12 {
            1 => link::ethernet(walk.enter(Tunnel::Erspan, session(rest)?)?, rest.skip(8)?),
            _ => Err(Stop::Other),
        },
        (0x22eb, _) => erspan_3(walk, rest),
        // WCCP redirects, from version 2 on with a header of 4 bytes, whose first bits are no IP version's.
        (0x883e, _) => {
            let walk = walk.enter_between(Tunnel::Gre, ends)?;
            if rest.u8(0)? >> 4 == 4 { ip::v4(&walk, rest) } else { ip::v4(&walk, rest.skip(4)?) }
        }
        // Aruba: frames as an access point got them.
        (0x8200..=0x8210, _) => wireless::bare(walk.enter_between(Tunnel::Gre, ends)?, rest),
        _ => ether::announced(walk.enter_between(Tunnel::Gre, ends)?, protocol, rest),
    }
}

/// The session in the header of ERSPAN types II and III: the lower 10 bits of the second half-word.
fn session(header: Rest<'_>) -> Result<u32, Stop> {
    Ok(u32::from(header.u16(2)? & 0x03ff))
}

/// ERSPAN type III: 12 bytes, 8 more when the last bit says so. The frame type is 0 for Ethernet, 2 for IP.
fn erspan_3(walk: &Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if rest.u16(0)? >> 12 != 2 {
        return Err(Stop::Other);
    }
    let walk = walk.enter(Tunnel::Erspan, session(rest)?)?;
    let last = rest.u16(10)?;
    let rest = rest.skip(if last & 1 == 0 { 12 } else { 20 })?;
    match last >> 10 & 0x1f {
        0 => link::ethernet(walk, rest),
        2 => ip::either(&walk, rest),
        _ => Err(Stop::Other),
    }
}

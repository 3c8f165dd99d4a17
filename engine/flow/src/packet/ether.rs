//! EtherType → what it announces: VLAN tags and the like, then IP, or a header that leads to another.
//!
//! Sources: IEEE 802.1Q, 802.1BR; RFC 1042 (SNAP), RFC 3032 (MPLS), RFC 4385 and 4448 (pseudowires), RFC 2516 (PPPoE), RFC 8300 (NSH).

use super::rest::Rest;
use super::walk::{Tunnel, Walk};
use super::{Parsed, Stop, ip, link, serial};

/// EtherType of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// Ethernet in something else (transparent bridging).
pub(super) const BRIDGED: u16 = 0x6558;
/// PPP in something else.
pub(super) const PPP: u16 = 0x880b;
/// What is not an EtherType but a length.
const MAX_LENGTH: u16 = 1500;
/// Labels of one stack that are followed.
const MAX_LABELS: usize = 16;

/// Reads what `ether_type` announces.
pub(super) fn announced(mut walk: Walk<'_>, mut ether_type: u16, mut rest: Rest<'_>) -> Result<Parsed, Stop> {
    loop {
        // Where the next EtherType is, and what is behind it.
        let next = match ether_type {
            IPV4 => return ip::v4(&walk, rest),
            IPV6 => return ip::v6(&walk, rest),
            // 802.1Q, 802.1ad, and the numbers that vendors used before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
                walk.tag(rest.u16(0)? & 0x0fff)?;
                2
            }
            // VN-Tag and 802.1BR: ports of an extender, each direction its own.
            0x8926 => {
                walk = walk.deeper()?;
                4
            }
            0x893f => {
                walk = walk.deeper()?;
                6
            }
            0x8847 | 0x8848 => return mpls(walk.deeper()?, rest),
            0x8864 => return pppoe(walk, rest),
            // 802.1ah: flags, service id, then the customer's frame.
            0x88e7 => {
                let service = rest.u32(0)? & 0x00ff_ffff;
                return link::ethernet(walk.enter(Tunnel::BackboneBridge, service)?, rest.skip(4)?);
            }
            0x894f => return service_chain(walk.deeper()?, rest),
            BRIDGED => return link::ethernet(walk.deeper()?, rest),
            PPP => return serial::ppp(walk, rest),
            length @ ..=MAX_LENGTH => return llc(walk, rest.limit_within(usize::from(length))),
            _ => return Err(Stop::Other),
        };
        ether_type = rest.u16(next)?;
        rest = rest.skip(next + 2)?;
    }
}

/// An 802.2 header; SNAP with organisation 0 carries an EtherType.
pub(super) fn llc(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    match rest.array(0)? {
        [0xaa, 0xaa, 0x03] => match (rest.array(3)?, rest.u16(6)?) {
            ([0, 0, 0], ether_type) if ether_type > MAX_LENGTH => announced(walk, ether_type, rest.skip(8)?),
            _ => Err(Stop::Other),
        },
        // RFC 948.
        [0x06, 0x06, 0x03] => ip::v4(&walk, rest.skip(3)?),
        _ => Err(Stop::Other),
    }
}

/// An MPLS label stack. Nothing in it tells what is behind: IP by its version, Ethernet of a pseudowire only where its EtherType is one that
/// is read, with a control word (whose first four bits are 0) or without.
pub(super) fn mpls(walk: Walk<'_>, mut rest: Rest<'_>) -> Result<Parsed, Stop> {
    for _ in 0..MAX_LABELS {
        let bottom = rest.u8(2)? & 1 != 0;
        rest = rest.skip(4)?;
        if !bottom {
            continue;
        }
        return match rest.u8(0)? >> 4 {
            4 if rest.holds_ip() => ip::v4(&walk, rest),
            6 if rest.holds_ip() => ip::v6(&walk, rest),
            0 if is_ethernet(rest, 4) => link::ethernet(walk, rest.skip(4)?),
            _ if is_ethernet(rest, 0) => link::ethernet(walk, rest),
            _ => Err(Stop::Other),
        };
    }
    Err(Stop::Other)
}

/// Whether what starts at `at` looks like Ethernet: IP, or a VLAN tag before it.
fn is_ethernet(rest: Rest<'_>, at: usize) -> bool {
    let is_ip = |at, ether_type: u16| {
        matches!((ether_type, rest.u8(at)), (IPV4, Ok(0x45..=0x4f)) | (IPV6, Ok(0x60..=0x6f)))
    };
    match rest.u16(at + 12) {
        Ok(0x8100 | 0x88a8) => rest.u16(at + 16).is_ok_and(|ether_type| is_ip(at + 18, ether_type)),
        Ok(ether_type) => is_ip(at + 14, ether_type),
        Err(_) => false,
    }
}

/// A PPPoE session: version and type 1, code 0 (data), session, length, then PPP.
pub(super) fn pppoe(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let [0x11, 0] = rest.array(0)? else { return Err(Stop::Other) };
    let (session, length) = (rest.u16(2)?, usize::from(rest.u16(4)?));
    let walk = walk.enter(Tunnel::Pppoe, u32::from(session))?;
    serial::ppp(walk, rest.skip(6)?.limit_within(length))
}

/// A network service header of version 0; its path differs by direction.
fn service_chain(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let first = rest.u16(0)?;
    // Version, and the bit of operations and maintenance.
    if first & 0xe000 != 0 {
        return Err(Stop::Other);
    }
    by_next_protocol(walk, rest.u8(3)?, rest.skip(usize::from(first & 0x3f) * 4)?)
}

/// The protocol numbers that NSH and VXLAN-GPE share.
pub(super) fn by_next_protocol(walk: Walk<'_>, next: u8, rest: Rest<'_>) -> Result<Parsed, Stop> {
    match next {
        1 => ip::v4(&walk, rest),
        2 => ip::v6(&walk, rest),
        3 => link::ethernet(walk, rest),
        4 => service_chain(walk.deeper()?, rest),
        5 => mpls(walk.deeper()?, rest),
        _ => Err(Stop::Other),
    }
}

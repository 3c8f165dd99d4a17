//! Serial lines: PPP (RFC 1661, 1662), Cisco's HDLC, frame relay (RFC 2427).

use super::rest::Rest;
use super::walk::Walk;
use super::{Parsed, Stop, ether, ip};

/// Cisco's HDLC addresses: unicast, broadcast.
const CISCO: [u8; 2] = [0x0f, 0x8f];
/// Unnumbered information: no control field but this one carries packets.
const UNNUMBERED: u8 = 3;

/// A line of which only the first byte tells what it speaks.
pub(super) fn ppp_or_hdlc(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if CISCO.contains(&rest.u8(0)?) { cisco_hdlc(walk, rest) } else { ppp(walk, rest) }
}

/// PPP, from the address field (which may be left out) or the protocol on.
pub(super) fn ppp(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let rest = if rest.array(0) == Ok([0xff, UNNUMBERED]) { rest.skip(2)? } else { rest };
    // A protocol's first byte is even, its last odd; a first byte of 0 may be left out.
    let (protocol, rest) = match rest.u8(0)? {
        short if short & 1 != 0 => (u16::from(short), rest.skip(1)?),
        _ => (rest.u16(0)?, rest.skip(2)?),
    };
    match protocol {
        0x0021 => ip::v4(&walk, rest),
        0x0057 => ip::v6(&walk, rest),
        0x0281 | 0x0283 => ether::mpls(walk.deeper()?, rest),
        _ => Err(Stop::Other),
    }
}

/// PPP whose address field tells the direction.
pub(super) fn pppd(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let [0 | 1, UNNUMBERED] = rest.array(0)? else { return ppp_or_hdlc(walk, rest) };
    ppp(walk, rest.skip(2)?)
}

/// Address, control, EtherType.
pub(super) fn cisco_hdlc(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    ether::announced(walk, rest.u16(2)?, rest.skip(4)?)
}

/// An address of two to four bytes (the last one is odd), then a control field and a protocol number, or, as Cisco has it, an EtherType.
pub(super) fn frame_relay(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let address: [u8; 4] = rest.array(0)?;
    let last = address.iter().position(|byte| byte & 1 != 0).ok_or(Stop::Malformed)?;
    let rest = rest.skip(last + 1)?;
    if rest.u8(0)? != UNNUMBERED {
        return ether::announced(walk, rest.u16(0)?, rest.skip(2)?);
    }
    let rest = rest.skip(1)?;
    let rest = if rest.u8(0)? == 0 { rest.skip(1)? } else { rest };
    let (protocol, rest) = (rest.u8(0)?, rest.skip(1)?);
    match protocol {
        0xcc => ip::v4(&walk, rest),
        0x8e => ip::v6(&walk, rest),
        0x80 => match rest.array(0)? {
            [0, 0, 0] => ether::announced(walk, rest.u16(3)?, rest.skip(5)?),
            // Bridged Ethernet, with its checksum or without.
            [0, 0x80, 0xc2] if matches!(rest.u16(3)?, 1 | 7) => {
                ether::announced(walk.deeper()?, ether::BRIDGED, rest.skip(5)?)
            }
            _ => Err(Stop::Other),
        },
        _ => Err(Stop::Other),
    }
}

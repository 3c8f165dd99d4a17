//! Link layer → what it announces. The one place that says which link types are read: `reader`.
//!
//! Source: <https://www.tcpdump.org/linktypes.html>.

use etherparse::{Ethernet2HeaderSlice, IpNumber};

use super::rest::Rest;
use super::walk::Walk;
use super::{Ends, Parsed, Stop, ether, ip, serial, wireless};
use crate::LinkType;

/// ARPHRD_NETLINK in a cooked header: the protocol field is no EtherType.
const ARPHRD_NETLINK: u16 = 824;
/// An 802.2 header in a cooked one: no EtherType, but the kernel's number for it (ETH_P_802_2).
const COOKED_LLC: u16 = 4;
/// The attribute of an NFLOG message that holds the packet (NFULA_PAYLOAD).
const NFLOG_PAYLOAD: u16 = 9;

/// Reads a frame.
pub(super) fn parse(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if walk.frame.link_type != LinkType::ETHERNET {
        return of_type(walk, walk.frame.link_type, rest);
    }
    let (ether_type, rest) = ethernet_header(rest)?;
    match ether_type {
        ether::IPV4 if walk.frame.vlan.is_none() => ip::v4(&walk, rest),
        ether::IPV6 if walk.frame.vlan.is_none() => ip::v6(&walk, rest),
        _ => tagged(walk, ether_type, rest),
    }
}

/// The short way of most frames: Ethernet, IPv4, TCP. None: that is for [`parse`] to tell.
#[inline(always)]
pub(super) fn to_tcp<'a>(walk: &Walk<'_>, rest: Rest<'a>) -> Option<(Ends, Rest<'a>)> {
    // Where IPv4 names its protocol: a look there spares all other frames being read twice.
    const PROTOCOL: usize = 14 + 9;
    let is_other = rest.bytes.get(PROTOCOL) != Some(&IpNumber::TCP.0);
    if walk.frame.link_type != LinkType::ETHERNET
        || walk.frame.vlan.is_some()
        || walk.options.verify_checksums
        || is_other
    {
        return None;
    }
    let (ether_type, rest) = ethernet_header(rest).ok()?;
    if ether_type == ether::IPV4 { ip::v4_to_tcp(walk, rest) } else { None }
}

#[inline(always)]
fn ethernet_header(rest: Rest<'_>) -> Result<(u16, Rest<'_>), Stop> {
    let ethernet = Ethernet2HeaderSlice::from_slice(rest.bytes).map_err(|_| Stop::Malformed)?;
    Ok((ethernet.ether_type().0, rest.skip(ethernet.slice().len())?))
}

/// Whether frames of this link type are read.
#[must_use]
pub fn is_supported(link_type: LinkType) -> bool {
    reader(link_type).is_some()
}

/// Reads what starts as frames of `link_type` do.
#[inline(never)]
pub(super) fn of_type(walk: Walk<'_>, link_type: LinkType, rest: Rest<'_>) -> Result<Parsed, Stop> {
    reader(link_type).ok_or(Stop::UnknownLink)?(walk, rest)
}

type Reader = fn(Walk<'_>, Rest<'_>) -> Result<Parsed, Stop>;

fn reader(link_type: LinkType) -> Option<Reader> {
    Some(match link_type.0 {
        0 | 108 => loopback,
        1 => ethernet,
        9 => serial::ppp_or_hdlc,
        50 => serial::ppp_or_hdlc,
        51 => ether::pppoe,
        // Raw IP as BSD, OpenBSD and everyone number it.
        12 | 14 | 101 => |walk, rest| ip::either(&walk, rest),
        100 => ether::llc,
        104 => serial::cisco_hdlc,
        105 => wireless::bare,
        107 => serial::frame_relay,
        113 => cooked,
        119 => wireless::prism,
        127 => wireless::radiotap,
        163 => wireless::avs,
        166 => serial::pppd,
        192 => wireless::per_packet_information,
        204 => |walk, rest| serial::ppp_or_hdlc(walk, rest.skip(1)?),
        205 => |walk, rest| serial::cisco_hdlc(walk, rest.skip(1)?),
        206 => |walk, rest| serial::frame_relay(walk, rest.skip(1)?),
        // Solaris IPNET: 24 bytes of zones and interfaces.
        226 => |walk, rest| ip::either(&walk, rest.skip(24)?),
        228 => |walk, rest| ip::v4(&walk, rest),
        229 => |walk, rest| ip::v6(&walk, rest),
        239 => netfilter_log,
        258 => apple_tap,
        276 => cooked_2,
        _ => return None,
    })
}

/// An Ethernet frame, at the top or inside something else.
pub(super) fn ethernet(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    ether::announced(walk, rest.u16(12)?, rest.skip(14)?)
}

/// Ethernet, from the EtherType on; the tag that the kernel took out stood before all others.
#[inline]
fn tagged(mut walk: Walk<'_>, ether_type: u16, rest: Rest<'_>) -> Result<Parsed, Stop> {
    outer_tag(&mut walk)?;
    ether::announced(walk, ether_type, rest)
}

fn outer_tag(walk: &mut Walk<'_>) -> Result<(), Stop> {
    walk.frame.vlan.map_or(Ok(()), |vlan| walk.tag(vlan.id()))
}

/// BSD loopback. The family's number and its byte order are those of the capturing system: 2 everywhere for IPv4, one of four
/// for IPv6. The version nibble says which for sure.
fn loopback(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let family = rest.u32(0)?;
    match family.min(family.swap_bytes()) {
        2 | 10 | 24 | 28 | 30 => ip::either(&walk, rest.skip(4)?),
        _ => Err(Stop::Other),
    }
}

/// Linux cooked, version 1.
fn cooked(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    by_protocol(walk, rest.u16(2)?, rest.u16(14)?, rest.skip(16)?)
}

/// Linux cooked, version 2.
fn cooked_2(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    by_protocol(walk, rest.u16(8)?, rest.u16(0)?, rest.skip(20)?)
}

fn by_protocol(mut walk: Walk<'_>, device: u16, protocol: u16, rest: Rest<'_>) -> Result<Parsed, Stop> {
    outer_tag(&mut walk)?;
    match (device, protocol) {
        (ARPHRD_NETLINK, _) => Err(Stop::Other),
        (_, COOKED_LLC) => ether::llc(walk, rest),
        // Other numbers of the kernel.
        (_, ..=1500) => Err(Stop::Other),
        _ => ether::announced(walk, protocol, rest),
    }
}

/// A message of Linux' netfilter log: four bytes, then attributes, of which one is the packet. Their lengths are in the capturing host's
/// byte order, which nothing tells: little endian here.
fn netfilter_log(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let mut rest = rest.skip(4)?;
    loop {
        let (length, kind) = (usize::from(rest.u16_le(0)?), rest.u16_le(2)?);
        if length < 4 {
            return Err(Stop::Malformed);
        }
        if kind == NFLOG_PAYLOAD {
            return ip::either(&walk, rest.skip(4)?);
        }
        rest = rest.skip(length.next_multiple_of(4))?;
    }
}

/// Apple's PKTAP: a header that tells its length and the link type behind it.
fn apple_tap(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let (length, link_type) = (rest.u32_le(0)?, rest.u32_le(8)?);
    inner_type(walk, link_type, rest.skip(length as usize)?)
}

/// A link type told by a header of the capture.
pub(super) fn inner_type(walk: Walk<'_>, link_type: u32, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let link_type = u16::try_from(link_type).map_err(|_| Stop::UnknownLink)?;
    of_type(walk.deeper()?, LinkType(link_type), rest)
}

//! Link layer → network layer: finds the protocol and the first byte behind the link header, and collects VLAN tags.

use etherparse::Ethernet2HeaderSlice;

use super::Stop;
use super::rest::Rest;
use crate::{Frame, LinkType, Place};

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
const IPV6: u16 = 0x86dd;
/// Tags in one frame that are followed: more is no sane network.
const MAX_TAGS: u8 = 8;

/// Raw IP as BSD and OpenBSD number it in old files.
const RAW_BSD: LinkType = LinkType(12);
const RAW_OPENBSD: LinkType = LinkType(14);
/// ARPHRD_NETLINK in a cooked header: the protocol field is no EtherType.
const ARPHRD_NETLINK: u16 = 824;

/// Which version of IP follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// An IP packet and where it was found.
pub(super) struct Network<'a> {
    pub(super) version: Version,
    pub(super) packet: Rest<'a>,
    pub(super) place: Place,
    pub(super) vlan_tags: u8,
}

/// Reads the link header and the VLAN tags of a frame.
#[inline]
pub(super) fn network<'a>(frame: &Frame<'a>) -> Result<Network<'a>, Stop> {
    let rest = Rest::new(frame.bytes, frame.original_len);
    match frame.link_type {
        LinkType::ETHERNET => {
            let ethernet = Ethernet2HeaderSlice::from_slice(rest.bytes).map_err(|_| Stop::Malformed)?;
            let ether_type = ethernet.ether_type().0;
            let rest = rest.skip(ethernet.slice().len())?;
            if ether_type == IPV4 && frame.vlan.is_none() {
                return Ok(untagged(Version::V4, rest));
            }
            tagged(frame, ether_type, rest)
        }
        LinkType::RAW | RAW_BSD | RAW_OPENBSD => Ok(untagged(by_nibble(rest)?, rest)),
        LinkType::IPV4 => Ok(untagged(Version::V4, rest)),
        LinkType::IPV6 => Ok(untagged(Version::V6, rest)),
        LinkType::NULL | LinkType::LOOP => {
            // The family's number and its byte order are those of the capturing system: 2 everywhere for IPv4, one of
            // four for IPv6. The version nibble says which for sure.
            let family = rest.u32(0)?;
            match family.min(family.swap_bytes()) {
                2 | 10 | 24 | 28 | 30 => {
                    let rest = rest.skip(4)?;
                    Ok(untagged(by_nibble(rest)?, rest))
                }
                _ => Err(Stop::Other),
            }
        }
        LinkType::LINUX_SLL => {
            if rest.u16(2)? == ARPHRD_NETLINK {
                return Err(Stop::Other);
            }
            tagged(frame, rest.u16(14)?, rest.skip(16)?)
        }
        LinkType::LINUX_SLL2 => {
            if rest.u16(8)? == ARPHRD_NETLINK {
                return Err(Stop::Other);
            }
            tagged(frame, rest.u16(0)?, rest.skip(20)?)
        }
        _ => Err(Stop::Other),
    }
}

#[inline]
fn untagged(version: Version, packet: Rest<'_>) -> Network<'_> {
    Network { version, packet, place: Place::default(), vlan_tags: 0 }
}

fn by_nibble(rest: Rest<'_>) -> Result<Version, Stop> {
    match rest.u8(0)? >> 4 {
        4 => Ok(Version::V4),
        6 => Ok(Version::V6),
        _ => Err(Stop::Malformed),
    }
}

/// From an EtherType on: VLAN tags, outermost first (the one that the kernel took out stood before all others), and an
/// 802.2 SNAP header.
fn tagged<'a>(frame: &Frame<'_>, mut ether_type: u16, mut rest: Rest<'a>) -> Result<Network<'a>, Stop> {
    let mut tags = Tags::default();
    if let Some(vlan) = frame.vlan {
        tags.push(vlan.id());
    }
    loop {
        let version = match ether_type {
            IPV4 => Version::V4,
            IPV6 => Version::V6,
            // 802.1Q, 802.1ad, and the numbers that vendors used before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 if tags.count < MAX_TAGS => {
                tags.push(rest.u16(0)? & 0x0fff);
                ether_type = rest.u16(2)?;
                rest = rest.skip(4)?;
                continue;
            }
            // 802.3: a length, then LLC; SNAP with organisation 0 carries an EtherType.
            0..=1500 => {
                rest = rest.limit(usize::from(ether_type).min(rest.wire_len()));
                if rest.array(0)? != [0xaa, 0xaa, 0x03, 0, 0, 0] {
                    return Err(Stop::Other);
                }
                let inner = rest.u16(6)?;
                if inner <= 1500 {
                    return Err(Stop::Other);
                }
                ether_type = inner;
                rest = rest.skip(8)?;
                continue;
            }
            _ => return Err(Stop::Other),
        };
        return Ok(Network { version, packet: rest, place: tags.place, vlan_tags: tags.count });
    }
}

/// The tags met so far.
#[derive(Default)]
struct Tags {
    place: Place,
    count: u8,
}

impl Tags {
    /// Adds the next inner tag. Id 0 is a priority tag: it names no VLAN, and often only one direction carries it. Ids
    /// beyond the second are mixed into the tunnel's id, so that they still keep flows apart.
    fn push(&mut self, id: u16) {
        self.count += 1;
        match &mut self.place.vlans {
            _ if id == 0 => {}
            [free @ None, _] | [_, free @ None] => *free = Some(id),
            _ => self.place.tunnel = self.place.tunnel.wrapping_mul(0x1000).wrapping_add(u32::from(id)),
        }
    }
}

//! Network layer → transport layer: IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers.
//!
//! The IP length beats the frame's length: Ethernet padding is cut off, and what a length promises beyond the captured
//! bytes is missing. A length of 0 means up to the end of the frame: the kernel shows segments of more than 64 KiB so
//! (TSO, BIG TCP).

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::rest::Rest;
use super::walk::Walk;
use super::{DatagramId, Ends, Fragment, Parsed, Stop, Version, checksum, transport, tunnel};
use crate::Endpoint;

/// Extension headers in one packet that are followed: RFC 8200 knows six kinds, each at most twice.
const MAX_EXTENSIONS: usize = 12;
/// The jumbo payload option (RFC 2675).
const JUMBO: u8 = 0xc2;
/// The home address option (RFC 6275).
const HOME_ADDRESS: u8 = 0xc9;

/// Reads an IP packet whose version only its first byte tells.
pub(super) fn either(walk: &Walk<'_>, packet: Rest<'_>) -> Result<Parsed, Stop> {
    match packet.u8(0)? >> 4 {
        4 => v4(walk, packet),
        6 => v6(walk, packet),
        _ => Err(Stop::Malformed),
    }
}

/// Reads from an IPv4 header on.
#[inline(never)]
pub(super) fn v4(walk: &Walk<'_>, packet: Rest<'_>) -> Result<Parsed, Stop> {
    let (header, ends, rest) = v4_header(packet)?;
    if is_plain_tcp(walk, &header) {
        transport::tcp(walk, &ends, rest)
    } else {
        v4_other(walk, &header, &ends, rest)
    }
}

/// As far as a TCP header, if that is what an IPv4 packet has to offer and nothing else is to be done; none: that is for [`v4`] to tell.
#[inline(always)]
pub(super) fn v4_to_tcp<'a>(walk: &Walk<'_>, packet: Rest<'a>) -> Option<(Ends, Rest<'a>)> {
    let (header, ends, rest) = v4_header(packet).ok()?;
    is_plain_tcp(walk, &header).then_some((ends, rest))
}

#[inline(always)]
fn v4_header(packet: Rest<'_>) -> Result<(Ipv4HeaderSlice<'_>, Ends, Rest<'_>), Stop> {
    let header = Ipv4HeaderSlice::from_slice(packet.bytes).map_err(|_| Stop::Malformed)?;
    let packet = match usize::from(header.total_len()) {
        0 => packet,
        total if total < header.slice().len() => return Err(Stop::Malformed),
        total => packet.limit(total),
    };
    let rest = packet.skip(header.slice().len())?;
    let ends =
        Ends { source: Endpoint::v4(header.source(), 0), destination: Endpoint::v4(header.destination(), 0) };
    Ok((header, ends, rest))
}

#[inline(always)]
fn is_plain_tcp(walk: &Walk<'_>, header: &Ipv4HeaderSlice<'_>) -> bool {
    header.protocol() == IpNumber::TCP && !header.is_fragmenting_payload() && !walk.options.verify_checksums
}

/// A fragment, another protocol than TCP, or checksums to check.
#[inline(never)]
fn v4_other(
    walk: &Walk<'_>,
    header: &Ipv4HeaderSlice<'_>,
    ends: &Ends,
    rest: Rest<'_>,
) -> Result<Parsed, Stop> {
    let protocol = header.protocol().0;
    let unchecked;
    let mut walk = walk;
    if walk.options.verify_checksums {
        if header.total_len() > 0 {
            checksum::header(header.slice())?;
        }
        if header.total_len() == 0 || checksum::source_routed(header.options()) {
            unchecked = walk.unchecked();
            walk = &unchecked;
        }
    }
    if header.is_fragmenting_payload() {
        let id = u32::from(header.identification());
        let at = (u32::from(header.fragments_offset().value()) * 8, header.more_fragments());
        return Ok(fragment(walk, ends, (protocol, id), protocol, at, rest));
    }
    if header.protocol() == IpNumber::UDP {
        return transport::udp(walk, ends, rest);
    }
    behind(walk, Version::V4, ends, protocol, rest)
}

/// Reads from an IPv6 header on.
#[inline(never)]
pub(super) fn v6(walk: &Walk<'_>, packet: Rest<'_>) -> Result<Parsed, Stop> {
    let header = Ipv6HeaderSlice::from_slice(packet.bytes).map_err(|_| Stop::Malformed)?;
    let ends =
        Ends { source: Endpoint::v6(header.source(), 0), destination: Endpoint::v6(header.destination(), 0) };
    let next = header.next_header();
    let rest = packet.skip(header.slice().len())?;
    let (rest, told) = match usize::from(header.payload_length()) {
        0 => match jumbo_length(next, rest)? {
            Some(jumbo) => (rest.limit(jumbo), true),
            None => (rest, false),
        },
        length => (rest.limit(length), true),
    };
    if next == IpNumber::TCP && !walk.options.verify_checksums {
        return transport::tcp(walk, &ends, rest);
    }
    if told {
        behind(walk, Version::V6, &ends, next.0, rest)
    } else {
        behind(&walk.unchecked(), Version::V6, &ends, next.0, rest)
    }
}

/// Reads what is behind an IP header that says `next`: extension headers, then the transport or a tunnel.
#[inline(never)]
pub(super) fn behind(
    walk: &Walk<'_>,
    version: Version,
    ends: &Ends,
    mut next: u8,
    mut rest: Rest<'_>,
) -> Result<Parsed, Stop> {
    let mut ends = *ends;
    for _ in 0..MAX_EXTENSIONS {
        match (IpNumber(next), version) {
            (IpNumber::TCP, _) => {
                if walk.options.verify_checksums {
                    checksum::transport(walk, &ends, next, rest)?;
                }
                return transport::tcp(walk, &ends, rest);
            }
            (IpNumber::UDP, _) => return transport::udp(walk, &ends, rest),
            (IpNumber::AUTHENTICATION_HEADER, _) => {
                // RFC 4302: its length counts 4-byte words, less 2.
                next = rest.u8(0)?;
                rest = rest.skip((usize::from(rest.u8(1)?) + 2) * 4)?;
            }
            (
                kind @ (IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::MOBILITY_HEADER
                | IpNumber::HIP
                | IpNumber::SHIM6),
                Version::V6,
            ) => {
                match kind {
                    IpNumber::IPV6_ROUTE_HEADER => last_hop(rest, &mut ends)?,
                    IpNumber::IPV6_DESTINATION_OPTIONS => home_address(rest, &mut ends)?,
                    _ => {}
                }
                next = rest.u8(0)?;
                rest = rest.skip((usize::from(rest.u8(1)?) + 1) * 8)?;
            }
            (IpNumber::IPV6_FRAGMENTATION_HEADER, Version::V6) => {
                // Offset (13 bits), reserved (2), more fragments (1). Both zero: an atomic fragment (RFC 6946) is whole.
                let word = rest.u16(2)?;
                let id = (next, rest.u32(4)?);
                next = rest.u8(0)?;
                rest = rest.skip(8)?;
                if word & 0xfff9 != 0 {
                    let at = (u32::from(word & 0xfff8), word & 1 != 0);
                    return Ok(fragment(walk, &ends, id, next, at, rest));
                }
            }
            _ => return tunnel::in_ip(walk, &ends, next, rest),
        }
    }
    Err(Stop::Malformed)
}

fn fragment(
    walk: &Walk<'_>,
    ends: &Ends,
    (protocol, id): (u8, u32),
    next: u8,
    (offset, more): (u32, bool),
    payload: Rest<'_>,
) -> Parsed {
    let (source, destination) = (ends.source.address(), ends.destination.address());
    let (payload, missing) = payload.span(walk.frame.offset);
    Parsed::Fragment(Fragment {
        datagram: DatagramId { source, destination, protocol, id, place: walk.place },
        next,
        offset,
        more,
        payload,
        missing,
        timestamp: walk.frame.timestamp,
        interface: walk.frame.interface,
        vlan_tags: walk.vlan_tags,
        depth: walk.depth,
    })
}

/// The packet goes on from its destination: the flow, and the checksum, are those of the last one on the list of a routing header (RFC 5095,
/// RFC 6275, RFC 8754, whose lists begin with the last).
fn last_hop(header: Rest<'_>, ends: &mut Ends) -> Result<(), Stop> {
    let [_, length, kind, left] = header.array(0)?;
    let last = match kind {
        _ if left == 0 => return Ok(()),
        0 | 2 => (usize::from(length) / 2).checked_sub(1).ok_or(Stop::Malformed)?,
        4 => 0,
        _ => return Ok(()),
    };
    ends.destination = Endpoint::v6(header.array(8 + last * 16)?, 0);
    Ok(())
}

/// The packet comes from a mobile node away from home: its connections are those of its home address (RFC 6275, section 6.3).
fn home_address(header: Rest<'_>, ends: &mut Ends) -> Result<(), Stop> {
    let end = (usize::from(header.u8(1)?) + 1) * 8;
    let mut at = 2;
    while at < end {
        match header.u8(at)? {
            0 => at += 1, // Pad1 has no length.
            HOME_ADDRESS => {
                ends.source = Endpoint::v6(header.array(at + 2)?, 0);
                return Ok(());
            }
            _ => at += 2 + usize::from(header.u8(at + 1)?),
        }
    }
    Ok(())
}

/// The payload length that the jumbo option of a hop-by-hop header tells; it counts from that header on.
fn jumbo_length(next: IpNumber, hop_by_hop: Rest<'_>) -> Result<Option<usize>, Stop> {
    if next != IpNumber::IPV6_HEADER_HOP_BY_HOP {
        return Ok(None);
    }
    let end = (usize::from(hop_by_hop.u8(1)?) + 1) * 8;
    let mut at = 2;
    while at < end {
        match hop_by_hop.u8(at)? {
            0 => at += 1, // Pad1 has no length.
            JUMBO => {
                let length = hop_by_hop.u32(at + 2)?;
                // 65535 and less is for the ordinary field (RFC 2675, section 3).
                return if hop_by_hop.u8(at + 1)? == 4 && length > 0xffff {
                    Ok(usize::try_from(length).ok())
                } else {
                    Err(Stop::Malformed)
                };
            }
            _ => at += 2 + usize::from(hop_by_hop.u8(at + 1)?),
        }
    }
    Ok(None)
}

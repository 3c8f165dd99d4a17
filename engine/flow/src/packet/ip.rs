//! Network layer → transport layer: IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers.
//!
//! The IP length beats the frame's length: Ethernet padding is cut off, and what a length promises beyond the captured
//! bytes is missing. A length of 0 means up to the end of the frame: the kernel shows segments of more than 64 KiB so
//! (TSO, BIG TCP).

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::link::{Network, Version};
use super::rest::Rest;
use super::transport::{self, Ends};
use super::{FlowHasher, Parsed, Stop};
use crate::{Endpoint, Frame};

/// Extension headers in one packet that are followed: RFC 8200 knows six kinds, each at most twice.
const MAX_EXTENSIONS: usize = 12;
/// The jumbo payload option (RFC 2675).
const JUMBO: u8 = 0xc2;

/// Reads from the IP header on.
#[inline]
pub(super) fn parse(frame: &Frame<'_>, hasher: &FlowHasher, network: Network<'_>) -> Result<Parsed, Stop> {
    let Network { version, packet, place, vlan_tags } = network;
    let (protocol, rest, ends) = match version {
        Version::V4 => v4(packet)?,
        Version::V6 => v6(packet)?,
    };
    let found = transport::Found { place, vlan_tags, ends };
    match protocol {
        IpNumber::TCP => transport::tcp(frame, hasher, &found, rest),
        IpNumber::UDP => transport::udp(frame, hasher, &found, rest),
        _ => Err(Stop::Other),
    }
}

#[inline]
fn v4(packet: Rest<'_>) -> Result<(IpNumber, Rest<'_>, Ends), Stop> {
    let header = Ipv4HeaderSlice::from_slice(packet.bytes).map_err(|_| Stop::Malformed)?;
    let packet = match usize::from(header.total_len()) {
        0 => packet,
        total if total < header.slice().len() => return Err(Stop::Malformed),
        total => packet.limit(total),
    };
    let rest = packet.skip(header.slice().len())?;
    if header.is_fragmenting_payload() {
        return Err(Stop::Fragment);
    }
    let ends =
        Ends { source: Endpoint::v4(header.source(), 0), destination: Endpoint::v4(header.destination(), 0) };
    match header.protocol() {
        IpNumber::AUTHENTICATION_HEADER => {
            let (next, rest) = authentication(rest)?;
            Ok((next, rest, ends))
        }
        protocol => Ok((protocol, rest, ends)),
    }
}

fn v6(packet: Rest<'_>) -> Result<(IpNumber, Rest<'_>, Ends), Stop> {
    let header = Ipv6HeaderSlice::from_slice(packet.bytes).map_err(|_| Stop::Malformed)?;
    let ends =
        Ends { source: Endpoint::v6(header.source(), 0), destination: Endpoint::v6(header.destination(), 0) };
    let payload_length = usize::from(header.payload_length());
    let mut next = header.next_header();
    let mut rest = packet.skip(header.slice().len())?;
    if payload_length > 0 {
        rest = rest.limit(payload_length);
    } else if next == IpNumber::IPV6_HEADER_HOP_BY_HOP
        && let Some(jumbo) = jumbo_length(rest)?
    {
        rest = rest.limit(jumbo);
    }
    for _ in 0..MAX_EXTENSIONS {
        match next {
            IpNumber::TCP | IpNumber::UDP => return Ok((next, rest, ends)),
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6 => {
                next = IpNumber(rest.u8(0)?);
                rest = rest.skip((usize::from(rest.u8(1)?) + 1) * 8)?;
            }
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                // Offset (13 bits), reserved (2), more fragments (1). Both zero: an atomic fragment (RFC 6946) is whole.
                if rest.u16(2)? & 0xfff9 != 0 {
                    return Err(Stop::Fragment);
                }
                next = IpNumber(rest.u8(0)?);
                rest = rest.skip(8)?;
            }
            IpNumber::AUTHENTICATION_HEADER => (next, rest) = authentication(rest)?,
            _ => return Err(Stop::Other),
        }
    }
    Err(Stop::Malformed)
}

/// The IP authentication header (RFC 4302): its length counts 4-byte words, less 2.
fn authentication(rest: Rest<'_>) -> Result<(IpNumber, Rest<'_>), Stop> {
    Ok((IpNumber(rest.u8(0)?), rest.skip((usize::from(rest.u8(1)?) + 2) * 4)?))
}

/// The payload length that a hop-by-hop header's jumbo option tells; it counts from the hop-by-hop header on.
fn jumbo_length(hop_by_hop: Rest<'_>) -> Result<Option<usize>, Stop> {
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

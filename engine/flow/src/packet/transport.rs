//! Transport layer → payload: TCP (RFC 9293) and UDP (RFC 768).

use etherparse::{IpNumber, TcpHeaderSlice, TcpOptionElement, UdpHeaderSlice};

use super::rest::Rest;
use super::walk::Walk;
use super::{Datagram, Ends, Packet, Parsed, Segment, Stop, TcpFlags, checksum, udp_tunnel};
use crate::assembler::Sequence;
use crate::{FlowKey, Transport};

/// Reads a TCP header.
#[inline(always)]
pub(super) fn tcp(walk: &Walk<'_>, ends: &Ends, rest: Rest<'_>) -> Result<Parsed, Stop> {
    // Only the options may be cut by the snap length: without the fixed part nothing can be said.
    let fixed: [u8; 20] = rest.array(0)?;
    let [s0, s1, d0, d1, .., offset, flags, w0, w1, _, _, _, _] = fixed;
    let header_len = usize::from(offset >> 4) * 4;
    if header_len < fixed.len() {
        return Err(Stop::Malformed);
    }
    let (seq, ack, window_scale) = match TcpHeaderSlice::from_slice(rest.bytes) {
        Ok(tcp) => {
            let flags = TcpFlags(flags);
            let scale = if flags.syn() { window_scale(&tcp) } else { None };
            (tcp.sequence_number(), tcp.acknowledgment_number(), scale)
        }
        Err(_) => (rest.u32(4)?, rest.u32(8)?, None),
    };
    let payload = rest.skip_cut(header_len)?;
    let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Ok(Parsed::Tcp(Segment {
        packet: packet(walk, ends, Transport::Tcp, ports, payload),
        seq: Sequence(seq),
        ack: Sequence(ack),
        flags: TcpFlags(flags),
        window: u16::from_be_bytes([w0, w1]),
        window_scale,
    }))
}

fn window_scale(tcp: &TcpHeaderSlice<'_>) -> Option<u8> {
    tcp.options_iterator().map_while(Result::ok).find_map(|option| match option {
        // RFC 7323, section 2.3: a shift above 14 counts as 14.
        TcpOptionElement::WindowScale(shift) => Some(shift.min(14)),
        _ => None,
    })
}

/// Reads a UDP header, and what is behind it, if that is a tunnel.
pub(super) fn udp(walk: &Walk<'_>, ends: &Ends, rest: Rest<'_>) -> Result<Parsed, Stop> {
    let udp = UdpHeaderSlice::from_slice(rest.bytes).map_err(|_| Stop::Malformed)?;
    let rest = match usize::from(udp.length()) {
        // RFC 2675, section 4: too long for the field.
        0 => rest,
        length if length < udp.slice().len() || length > rest.wire_len() => return Err(Stop::Malformed),
        length => rest.limit(length),
    };
    // A checksum of 0 is none, over IPv6 too (RFC 6935).
    if walk.options.verify_checksums && udp.checksum() != 0 {
        checksum::transport(walk, ends, IpNumber::UDP.0, rest)?;
    }
    let payload = rest.skip(udp.slice().len())?;
    let ports = (udp.source_port(), udp.destination_port());
    if let Some(inside) = udp_tunnel::inside(walk, ports, payload) {
        return inside;
    }
    Ok(Parsed::Udp(Datagram { packet: packet(walk, ends, Transport::Udp, ports, payload) }))
}

#[inline(always)]
fn packet(
    walk: &Walk<'_>,
    ends: &Ends,
    transport: Transport,
    (source, destination): (u16, u16),
    payload: Rest<'_>,
) -> Packet {
    let source = ends.source.with_port(source);
    let destination = ends.destination.with_port(destination);
    let (key, sender) = FlowKey::new(source, destination, transport, walk.place);
    let (payload, missing) = payload.span(walk.frame.offset);
    Packet {
        key,
        hash: walk.hasher.hash(&key),
        sender,
        timestamp: walk.frame.timestamp,
        interface: walk.frame.interface,
        payload,
        missing,
        vlan_tags: walk.vlan_tags,
    }
}

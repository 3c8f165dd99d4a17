//! Transport layer → payload: TCP (RFC 9293) and UDP (RFC 768).

use etherparse::{IpNumber, TcpHeaderSlice, TcpOptionElement, UdpHeaderSlice};

use super::rest::Rest;
use super::walk::Walk;
use super::{Datagram, Ends, Packet, Parsed, Segment, Stop, TcpFlags, checksum, udp_tunnel};
use crate::assembler::Sequence;
use crate::{FlowKey, Transport};

/// What a TCP header says.
pub(super) struct Tcp<'a> {
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    window: u16,
    window_scale: Option<u8>,
    payload: Rest<'a>,
}

impl<'a> Tcp<'a> {
    /// Reads a header.
    #[inline(always)]
    pub(super) fn read(rest: Rest<'a>) -> Result<Self, Stop> {
        // Only the options may be cut by the snap length: without the fixed part nothing can be said.
        let fixed: [u8; 20] = rest.array(0)?;
        let [s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = fixed;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < fixed.len() {
            return Err(Stop::Malformed);
        }
        let flags = TcpFlags(flags);
        Ok(Self {
            ports: (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])),
            seq: u32::from_be_bytes([n0, n1, n2, n3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            window: u16::from_be_bytes([w0, w1]),
            window_scale: if flags.syn() { window_scale(rest.bytes) } else { None },
            payload: rest.skip_cut(header_len)?,
        })
    }

    /// The segment that it makes.
    #[inline(always)]
    pub(super) fn segment(self, walk: &Walk<'_>, ends: &Ends) -> Segment {
        Segment {
            packet: packet(walk, ends, Transport::Tcp, self.ports, self.payload),
            seq: Sequence(self.seq),
            ack: Sequence(self.ack),
            flags: self.flags,
            window: self.window,
            window_scale: self.window_scale,
        }
    }
}

/// Reads a TCP header to a segment.
pub(super) fn tcp(walk: &Walk<'_>, ends: &Ends, rest: Rest<'_>) -> Result<Parsed, Stop> {
    Ok(Parsed::Tcp(Tcp::read(rest)?.segment(walk, ends)))
}

#[cold]
fn window_scale(header: &[u8]) -> Option<u8> {
    let tcp = TcpHeaderSlice::from_slice(header).ok()?;
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

//! Transport layer → payload: TCP (RFC 9293) and UDP (RFC 768).

use etherparse::{TcpHeaderSlice, TcpOptionElement, UdpHeaderSlice};

use super::rest::Rest;
use super::{Datagram, FlowHasher, Packet, Parsed, Segment, Stop, TcpFlags};
use crate::assembler::Sequence;
use crate::{Endpoint, FlowKey, Frame, Place, Transport};

/// The two addresses of a packet, as endpoints without ports.
pub(super) struct Ends {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
}

/// What the layers below found.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) vlan_tags: u8,
    pub(super) ends: Ends,
}

/// Reads a TCP header.
#[inline]
pub(super) fn tcp(
    frame: &Frame<'_>,
    hasher: &FlowHasher,
    found: &Found,
    rest: Rest<'_>,
) -> Result<Parsed, Stop> {
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
        packet: packet(frame, hasher, found, Transport::Tcp, ports, payload),
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

/// Reads a UDP header.
pub(super) fn udp(
    frame: &Frame<'_>,
    hasher: &FlowHasher,
    found: &Found,
    rest: Rest<'_>,
) -> Result<Parsed, Stop> {
    let udp = UdpHeaderSlice::from_slice(rest.bytes).map_err(|_| Stop::Malformed)?;
    let rest = match usize::from(udp.length()) {
        // RFC 2675, section 4: too long for the field.
        0 => rest,
        length if length < udp.slice().len() || length > rest.wire_len() => return Err(Stop::Malformed),
        length => rest.limit(length),
    };
    let payload = rest.skip(udp.slice().len())?;
    let ports = (udp.source_port(), udp.destination_port());
    Ok(Parsed::Udp(Datagram { packet: packet(frame, hasher, found, Transport::Udp, ports, payload) }))
}

#[inline]
fn packet(
    frame: &Frame<'_>,
    hasher: &FlowHasher,
    found: &Found,
    transport: Transport,
    (source, destination): (u16, u16),
    payload: Rest<'_>,
) -> Packet {
    let source = found.ends.source.with_port(source);
    let destination = found.ends.destination.with_port(destination);
    let (key, sender) = FlowKey::new(source, destination, transport, found.place);
    let (payload, missing) = payload.span(frame.offset);
    Packet {
        key,
        hash: hasher.hash(&key),
        sender,
        timestamp: frame.timestamp,
        interface: frame.interface,
        payload,
        missing,
        vlan_tags: found.vlan_tags,
    }
}

//! What the fanout program says of a flow's frames.

use core::net::IpAddr;

use sniff_x_ebpf_common::{fanout, ip};
use sniff_x_flow::{FlowKey, Side, Transport};

/// The number that chooses, modulo the rings of a group, the ring of a flow's frames: of those without fragments and tunnels, whose TCP or UDP
/// header is the first behind the IP header.
#[must_use]
pub fn fanout_number(flow: &FlowKey) -> u32 {
    let (low, high) = (flow.endpoint(Side::Low), flow.endpoint(Side::High));
    let (a, b) = (u32::from(low.port()), u32::from(high.port()));
    // A port that may be a tunnel's says nothing of the flows inside.
    let tunnel = flow.transport() == Transport::Udp && (ip::is_tunnel_port(a) || ip::is_tunnel_port(b));
    let ports = if tunnel { 0 } else { fanout::ports(a, b) };
    match (low.address(), high.address()) {
        (IpAddr::V4(low), IpAddr::V4(high)) => {
            fanout::v4([low, high].map(|address| u32::from_ne_bytes(address.octets())), ports)
        }
        (low, high) => {
            let [low, high] = [low, high].map(|address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            });
            let mut words = [0; 8];
            let chunks = low.as_chunks().0.iter().chain(high.as_chunks().0);
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word = u32::from_ne_bytes(*chunk);
            }
            fanout::v6(words, ports)
        }
    }
}

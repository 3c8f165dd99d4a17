//! Frame → which ring of a fanout group.
//!
//! Both directions of a flow get the same number, whatever side of the interface a frame is seen on and wherever its VLAN tags are. All
//! fragments of a datagram get the same one, too, of their addresses, as have tunnels, whose ports say nothing of the flows inside.

use sniff_x_ebpf_common::{fanout, found, ip};

use crate::Skb;
use crate::load::Origin;
use crate::parse;

/// The number; 0 for what is not IP.
#[inline(always)]
pub(crate) fn number(skb: Skb) -> u32 {
    // A fanout program finds `skb->data` at the network header or at the link header: only what is relative to the network header holds.
    let found = parse::any(skb);
    let ports = if found.bits & (found::PORTS | found::UNDECIDED) == found::PORTS {
        fanout::ports(found.ports >> 16, found.ports)
    } else {
        0
    };
    if found.bits & found::IPV4 != 0 {
        let Some(a) = Origin::Net.load::<[u32; 2]>(skb, found.ip_at + ip::V4_ADDRESSES) else { return 0 };
        return fanout::v4(a, ports);
    }
    if found.bits & found::IPV6 != 0 {
        let Some(a) = Origin::Net.load::<[u32; 8]>(skb, found.ip_at + ip::V6_ADDRESSES) else { return 0 };
        return fanout::v6(a, ports);
    }
    0
}

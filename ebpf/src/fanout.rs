//! Frame → which ring of a fanout group.
//!
//! Both directions of a flow get the same number, whatever side of the interface a frame is seen on and wherever its VLAN tags are. All
//! fragments of a datagram get the same one, too, of their addresses, as have tunnels, whose ports say nothing of the flows inside.

use sniff_x_ebpf_common::{found, ip};

use crate::Skb;
use crate::load::Origin;
use crate::parse;

/// The number; 0 for what is not IP.
#[inline(always)]
pub(crate) fn number(skb: Skb) -> u32 {
    // A fanout program finds `skb->data` at the network header or at the link header: only what is relative to the network header holds.
    let found = parse::any(skb);
    let ports = if found.bits & (found::PORTS | found::UNDECIDED) == found::PORTS {
        both(found.ports >> 16, found.ports)
    } else {
        0
    };
    if found.bits & found::IPV4 != 0 {
        let Some([source, destination]) = Origin::Net.load::<[u32; 2]>(skb, found.ip_at + ip::V4_ADDRESSES)
        else {
            return 0;
        };
        return spread(source ^ destination, ports);
    }
    if found.bits & found::IPV6 != 0 {
        let Some(a) = Origin::Net.load::<[u32; 8]>(skb, found.ip_at + ip::V6_ADDRESSES) else { return 0 };
        let addresses = spread(a[0] ^ a[4], a[1] ^ a[5]) ^ spread(a[2] ^ a[6], a[3] ^ a[7]).rotate_left(1);
        return spread(addresses, ports);
    }
    0
}

/// Two ports, of which the upper halves don't count, in either order.
#[inline(always)]
fn both(a: u32, b: u32) -> u32 {
    let (a, b) = (a & 0xffff, b & 0xffff);
    (a ^ b) | (a + b) << 16
}

/// Mixes two words so that each bit counts in the low ones, which choose the ring. Multiplier: 2^64 / golden ratio.
#[inline(always)]
fn spread(a: u32, b: u32) -> u32 {
    ((u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

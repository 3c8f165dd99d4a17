//! Frame → what the rule program needs to know: protocol, ports, where the headers are.
//!
//! One load of 38 bytes covers Ethernet, IPv4 without options and the ports, and is the only one for such frames. Further loads are for
//! VLAN tags, IPv4 options, IPv6, its extension headers and frames below 38 bytes. What can't be decided here (tunnels, headers that are
//! cut or too many) is marked, passes, and user space decides.
//!
//! What is passed on has a value whichever way led there. `Option` and `Result` would read better, but where ways meet the compiler saves
//! the part that the other variant doesn't have, and without CAP_PERFMON the verifier refuses to read a stack slot that nothing was written to.
//! So an `Option` is opened where it is made.

use sniff_x_ebpf_common::{cb, ether, found, ip};

use crate::Skb;
use crate::load::{self, Head, Origin};

/// The link header of Ethernet, in bytes.
const ETHERNET: u32 = 14;
/// The first byte of an IPv4 header without options.
const PLAIN: u32 = 0x45;

/// What was found in a frame.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// Bits of [`found`] and the transport protocol.
    pub(crate) bits: u32,
    /// Where the IP header is.
    pub(crate) ip_at: u32,
    /// Where the transport header is.
    transport_at: u32,
    /// The ports.
    pub(crate) ports: u32,
    /// The addresses of an IPv4 header that was loaded with the link header.
    addresses: [u32; 2],
}

impl Found {
    /// No IP in it.
    const NOTHING: Self = Self { bits: 0, ip_at: 0, transport_at: 0, ports: 0, addresses: [0; 2] };
    /// User space decides.
    const UNDECIDED: Self = Self { bits: found::UNDECIDED, ..Self::NOTHING };

    /// Leaves it in `skb->cb` for the rule program.
    #[inline(always)]
    pub(crate) fn store(self, skb: Skb) {
        load::set_cb::<{ cb::FOUND }>(skb, self.bits);
        load::set_cb::<{ cb::OFFSETS }>(skb, self.ip_at & 0xffff | self.transport_at << 16);
        load::set_cb::<{ cb::PORTS }>(skb, self.ports);
        load::set_cb::<{ cb::SOURCE }>(skb, self.addresses[0]);
        load::set_cb::<{ cb::DESTINATION }>(skb, self.addresses[1]);
    }

    /// With what frame mode may take from the head that this was found in.
    #[inline(always)]
    fn with_head(self, head: &Head) -> Self {
        if u32::from_be(head.ip[0]) >> 24 != PLAIN || self.bits & found::FRAGMENT != 0 {
            return self;
        }
        let (ports, addresses) = (u32::from_be(head.ports), head.addresses());
        Self { ports, addresses, ..self }.with(found::PLAIN)
    }

    /// With more bits.
    #[inline(always)]
    const fn with(self, bits: u32) -> Self {
        Self { bits: self.bits | bits, ..self }
    }
}

/// Parses a frame that starts with an Ethernet header.
#[inline(always)]
pub(crate) fn ethernet(skb: Skb) -> Found {
    let Some(head) = Head::load(skb) else { return behind_ethernet(skb, Origin::Data) };
    match u32::from(u16::from_be(head.kind)) {
        ether::IPV4 => ipv4(skb, Origin::Data, ETHERNET, head.ip, Some(head.ports)).with_head(&head),
        ether::IPV6 => ipv6(skb, Origin::Data, ETHERNET, head.ip),
        kind if ether::is_vlan(kind) => behind_ethernet(skb, Origin::Data),
        kind => not_ip(kind),
    }
}

/// Parses an IP packet without a link header.
#[inline(always)]
pub(crate) fn raw_ip(skb: Skb) -> Found {
    let Some(header) = Origin::Data.load::<[u32; 3]>(skb, 0) else { return Found::UNDECIDED };
    match u32::from_be(header[0]) >> 28 {
        4 => ipv4(skb, Origin::Data, 0, header, None),
        6 => ipv6(skb, Origin::Data, 0, header),
        _ => Found::NOTHING,
    }
}

/// Parses a frame of any interface: offsets count from the network header, the one place that is known.
#[inline(always)]
pub(crate) fn any(skb: Skb) -> Found {
    let mut kind = load::protocol(skb);
    let mut at = 0;
    if ether::is_vlan(kind) {
        // Tags in the frame, so it is Ethernet. Of a received frame the kernel took the outer tag, and the network header is behind the
        // EtherType of the next one. Of a frame that is sent, it is where the sender left it: mostly at the IP header.
        if load::packet_type(skb) == crate::PACKET_OUTGOING {
            (kind, at) = behind_tags(skb, Origin::Mac, ETHERNET - 2);
            if !same(skb, at) {
                return Found::UNDECIDED;
            }
            at = 0;
        } else {
            (kind, at) = behind_tag(skb, Origin::Net, 0);
        }
    }
    network(skb, Origin::Net, kind, at)
}

/// Whether what is at `at` from the link header is also at the network header.
#[inline(always)]
fn same(skb: Skb, at: u32) -> bool {
    let Some(there) = Origin::Mac.load::<[u32; 5]>(skb, at) else { return false };
    let Some(here) = Origin::Net.load::<[u32; 5]>(skb, 0) else { return false };
    // One by one: a comparison of arrays becomes a call.
    let words = (there[0] ^ here[0]) | (there[1] ^ here[1]) | (there[2] ^ here[2]);
    words | (there[3] ^ here[3]) | (there[4] ^ here[4]) == 0
}

/// An Ethernet frame with VLAN tags, or one below 38 bytes.
#[inline(always)]
fn behind_ethernet(skb: Skb, origin: Origin) -> Found {
    let (kind, at) = behind_tags(skb, origin, ETHERNET - 2);
    network(skb, origin, kind, at)
}

/// The EtherType behind the VLAN tags, and where what it announces begins. `at` is where the first EtherType stands. If the frame is cut
/// it is [`ether::UNKNOWN`], if it has more than four tags, that of the fifth.
#[inline(always)]
fn behind_tags(skb: Skb, origin: Origin, at: u32) -> (u32, u32) {
    // The two bytes before are loaded too: an EtherType behind addresses looks as one behind a tag.
    behind_tag(skb, origin, at - 2)
}

/// As [`behind_tags`], where `at` is two bytes that don't matter, and the EtherType.
#[inline(always)]
fn behind_tag(skb: Skb, origin: Origin, at: u32) -> (u32, u32) {
    let mut tags = (ether::C_VLAN, at);
    tags = next_kind(skb, origin, tags);
    tags = next_kind(skb, origin, tags);
    tags = next_kind(skb, origin, tags);
    tags = next_kind(skb, origin, tags);
    next_kind(skb, origin, tags)
}

/// The EtherType in the word at `at`, and where that ends, if `kind` is a VLAN tag's. No loop: without CAP_PERFMON the verifier follows
/// each iteration's branches the wrong way, too, as a processor might, and gives up.
#[inline(always)]
fn next_kind(skb: Skb, origin: Origin, (kind, at): (u32, u32)) -> (u32, u32) {
    if !ether::is_vlan(kind) {
        return (kind, at);
    }
    match origin.load::<u32>(skb, at) {
        Some(word) => (u32::from_be(word) & 0xffff, at + 4),
        None => (ether::UNKNOWN, at),
    }
}

/// What `kind` announces, at `at`.
#[inline(always)]
fn network(skb: Skb, origin: Origin, kind: u32, at: u32) -> Found {
    if kind != ether::IPV4 && kind != ether::IPV6 {
        return not_ip(kind);
    }
    let Some(header) = origin.load::<[u32; 3]>(skb, at) else { return Found::UNDECIDED };
    if kind == ether::IPV4 { ipv4(skb, origin, at, header, None) } else { ipv6(skb, origin, at, header) }
}

/// Neither IPv4 nor IPv6.
#[inline(always)]
fn not_ip(kind: u32) -> Found {
    if kind == ether::UNKNOWN || ether::is_vlan(kind) || ether::is_tunnel(kind) {
        Found::UNDECIDED
    } else {
        Found::NOTHING
    }
}

/// IPv4 at `at`. `next` is the word behind a header without options, where that is loaded already.
#[inline(always)]
fn ipv4(skb: Skb, origin: Origin, at: u32, header: [u32; 3], next: Option<u32>) -> Found {
    let first = u32::from_be(header[0]);
    let header_len = (first >> 24 & 0xf) * 4;
    if first >> 28 != 4 || header_len < 20 {
        return Found::UNDECIDED;
    }
    let protocol = u32::from_be(header[2]) >> 16 & 0xff;
    let found =
        Found { bits: found::IPV4 | protocol, ip_at: at, transport_at: at + header_len, ..Found::NOTHING };
    if u32::from_be(header[1]) & ip::V4_FRAGMENT != 0 {
        return found.with(found::FRAGMENT);
    }
    if protocol != ip::TCP && protocol != ip::UDP {
        return other_transport(found);
    }
    // 0: segmentation offload, longer than the field can say.
    let total_len = first & 0xffff;
    if total_len != 0 && total_len < header_len + 4 {
        return found.with(found::UNDECIDED);
    }
    match next {
        Some(ports) if header_len == 20 => with_ports(found, ports),
        _ => transport(skb, origin, found),
    }
}

/// IPv6 at `at`.
#[inline(always)]
fn ipv6(skb: Skb, origin: Origin, at: u32, header: [u32; 3]) -> Found {
    if u32::from_be(header[0]) >> 28 != 6 {
        return Found::UNDECIDED;
    }
    let second = u32::from_be(header[1]);
    // Each header of the order that RFC 8200 recommends, once. No loop, as in `next_kind`.
    let mut behind = (second >> 8 & 0xff, 40);
    behind = next_extension(skb, origin, at, behind);
    behind = next_extension(skb, origin, at, behind);
    behind = next_extension(skb, origin, at, behind);
    behind = next_extension(skb, origin, at, behind);
    behind = next_extension(skb, origin, at, behind);
    let (protocol, behind) = next_extension(skb, origin, at, behind);
    let found =
        Found { bits: found::IPV6 | protocol, ip_at: at, transport_at: at + behind, ..Found::NOTHING };
    if ip::is_v6_extension(protocol) {
        return found.with(found::UNDECIDED);
    }
    if protocol != ip::TCP && protocol != ip::UDP {
        return other_transport(found);
    }
    // 0: a jumbogram, longer than the field can say.
    let payload_len = second >> 16;
    if payload_len != 0 && payload_len + 40 < behind + 4 {
        return found.with(found::UNDECIDED);
    }
    transport(skb, origin, found)
}

/// What is behind an IPv6 extension header, and where, from the IPv6 header on; as it was, if `protocol` is none. A fragment, a cut header and
/// one that can tell other addresses are marked in the bits above the protocol.
#[inline(always)]
fn next_extension(skb: Skb, origin: Origin, ip_at: u32, (protocol, at): (u32, u32)) -> (u32, u32) {
    if !ip::is_v6_extension(protocol) {
        return (protocol, at);
    }
    let Some(word) = origin.load::<u32>(skb, ip_at + at) else { return (found::UNDECIDED | protocol, at) };
    let word = u32::from_be(word);
    let (next, len) = (word >> 24, word >> 16 & 0xff);
    match protocol {
        ip::FRAGMENT if word & ip::V6_FRAGMENT != 0 => (found::FRAGMENT | next, at),
        ip::FRAGMENT => (next, at + 8),
        ip::AUTHENTICATION => (next, at + len * 4 + 8),
        // On its way to further addresses, or maybe from a home address: the flow's ends are not those of the IPv6 header.
        ip::ROUTING if word & 0xff != 0 => (found::UNDECIDED | next, at),
        ip::DESTINATION_OPTIONS => (found::UNDECIDED | next, at),
        _ => (next, at + len * 8 + 8),
    }
}

/// Neither TCP nor UDP.
#[inline(always)]
fn other_transport(found: Found) -> Found {
    let tunnel = ip::is_tunnel(found.bits & 0xff);
    found.with(if tunnel { found::UNDECIDED } else { 0 })
}

/// TCP or UDP, whose ports are still in the frame.
#[inline(always)]
fn transport(skb: Skb, origin: Origin, found: Found) -> Found {
    match origin.load::<u32>(skb, found.transport_at) {
        Some(ports) => with_ports(found, ports),
        None => found.with(found::UNDECIDED),
    }
}

/// TCP or UDP with its ports, big endian.
#[inline(always)]
fn with_ports(found: Found, ports: u32) -> Found {
    let ports = u32::from_be(ports);
    let tunnel = found.bits & 0xff == ip::UDP
        && (ip::is_tunnel_port(ports >> 16) || ip::is_tunnel_port(ports & 0xffff));
    let bits = if tunnel { found::PORTS | found::UNDECIDED } else { found::PORTS };
    Found { ports, ..found }.with(bits)
}

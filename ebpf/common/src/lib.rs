//! Types that the kernel side and user space share.
//!
//! The static prefilter parses a frame once and passes what it found in `skb->cb` to the program generated from the rules, which it
//! tail-calls through slot 0 of `RULE_PROGRAM`.
#![no_std]
#![forbid(unsafe_code)]

/// Words of `__sk_buff.cb` (five 32-bit words) as the prefilter leaves them for the rule program.
pub mod cb {
    /// Word 0: the bits of [`super::found`], with the transport protocol's number in the lowest 8 bits.
    pub const FOUND: usize = 0;
    /// Word 1: offset of the innermost IP header in the low 16 bits, of the transport header in the high 16. They count from `skb->data`, the
    /// frame's first byte; where the link differs from frame to frame (`any`) from the network header (`BPF_HDR_START_NET`). The first is
    /// valid with [`super::found::IPV4`] or [`super::found::IPV6`], the second with [`super::found::PORTS`].
    pub const OFFSETS: usize = 1;
    /// Word 2: source port << 16 | destination port, host byte order; valid with [`super::found::PORTS`]. With [`super::found::PLAIN`] the
    /// four bytes behind the IPv4 header, whatever they are.
    pub const PORTS: usize = 2;
    /// Word 3: the IPv4 source address as it lies in the frame; valid with [`super::found::PLAIN`].
    pub const SOURCE: usize = 3;
    /// Word 4: the IPv4 destination address, likewise.
    pub const DESTINATION: usize = 4;
}

/// Bits of [`cb::FOUND`] above the protocol number.
pub mod found {
    /// The innermost header is IPv4.
    pub const IPV4: u32 = 1 << 8;
    /// The innermost header is IPv6.
    pub const IPV6: u32 = 1 << 9;
    /// The packet is TCP or UDP and its ports are known.
    pub const PORTS: u32 = 1 << 10;
    /// A fragment: a flow-mode rule lets it pass.
    pub const FRAGMENT: u32 = 1 << 11;
    /// A tunnel, or headers beyond what the kernel side parses: a flow-mode rule lets it pass and user space decides.
    pub const UNDECIDED: u32 = 1 << 12;
    /// An Ethernet frame of 38 bytes at least, with an IPv4 header without options at offset 14 that is no fragment's. Frame mode asks most of
    /// its questions of what was read then.
    pub const PLAIN: u32 = 1 << 13;
}

/// Indices of the prefilter's per-CPU counters (64 bits each).
pub mod counter {
    /// Frames that the prefilter saw once the rule program was in place, second sights on loopback not counted.
    pub const SEEN: u32 = 0;
    /// Second sights of frames on a loopback interface.
    pub const LOOPBACK_DUPLICATES: u32 = 1;
    /// Frames that the rule program rejected.
    pub const FILTERED: u32 = 2;
    /// Number of counters.
    pub const COUNT: u32 = 3;
}

/// EtherTypes.
pub mod ether {
    /// IPv4.
    pub const IPV4: u32 = 0x0800;
    /// IPv6.
    pub const IPV6: u32 = 0x86dd;

    /// A VLAN tag (802.1Q).
    pub const C_VLAN: u32 = 0x8100;
    /// None: the frame ended before.
    pub const UNKNOWN: u32 = u32::MAX;

    /// Whether a VLAN tag follows: 802.1Q, 802.1ad, and the number that was used for the outer tag before 802.1ad.
    #[must_use]
    #[inline(always)]
    pub const fn is_vlan(kind: u32) -> bool {
        matches!(kind, C_VLAN | 0x88a8 | 0x9100)
    }

    /// Whether an IP packet can be behind further headers that the kernel side does not parse: a length (802.2 and SNAP), MPLS, a PPPoE
    /// session, a provider backbone (802.1ah), a service chain (NSH), port extenders (VN-Tag, 802.1BR), bridged Ethernet, PPP, and two numbers
    /// that vendors used for VLAN tags.
    #[must_use]
    #[inline(always)]
    pub const fn is_tunnel(kind: u32) -> bool {
        matches!(
            kind,
            0..=1500
                | 0x8847
                | 0x8848
                | 0x8864
                | 0x88e7
                | 0x894f
                | 0x8926
                | 0x893f
                | 0x6558
                | 0x880b
                | 0x9200
                | 0x9300
        )
    }
}

/// Numbers of the IP header and behind it. Source: <https://www.iana.org/assignments/protocol-numbers>.
pub mod ip {
    /// TCP.
    pub const TCP: u32 = 6;
    /// UDP.
    pub const UDP: u32 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u32 = 43;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u32 = 60;
    /// IPv6 fragment header.
    pub const FRAGMENT: u32 = 44;
    /// Authentication header.
    pub const AUTHENTICATION: u32 = 51;
    /// Offset of the two addresses in an IPv4 header.
    pub const V4_ADDRESSES: u32 = 12;
    /// Offset of the two addresses in an IPv6 header.
    pub const V6_ADDRESSES: u32 = 8;
    /// More-fragments bit and offset in the second word of an IPv4 header, host byte order.
    pub const V4_FRAGMENT: u32 = 0x3fff;
    /// Offset and more-fragments bit in the first word of an IPv6 fragment header, host byte order.
    pub const V6_FRAGMENT: u32 = 0xfff9;

    /// Whether it is an IPv6 extension header: hop-by-hop, routing, fragment, authentication, destination options, mobility, host
    /// identity, shim6.
    #[must_use]
    #[inline(always)]
    pub const fn is_v6_extension(protocol: u32) -> bool {
        matches!(protocol, 0 | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | 135 | 139 | 140)
    }

    /// Whether TCP or UDP can be behind further headers that the kernel side does not parse: IP in IP (4, 94), 6in4, GRE,
    /// authentication (over IPv4), EtherIP, L2TP, MPLS in IP, Ethernet (segment routing).
    #[must_use]
    #[inline(always)]
    pub const fn is_tunnel(protocol: u32) -> bool {
        matches!(protocol, 4 | 41 | 47 | AUTHENTICATION | 94 | 97 | 115 | 137 | 143)
    }

    /// Whether a UDP port is that of a tunnel: GTP-U, Teredo, VXLAN (and its port before it was assigned), VXLAN-GPE, GENEVE.
    #[must_use]
    #[inline(always)]
    pub const fn is_tunnel_port(port: u32) -> bool {
        matches!(port, 2152 | 3544 | 4789 | 8472 | 4790 | 6081)
    }
}

/// The number that chooses the ring of a frame in a fanout group: the same for both directions of a flow.
pub mod fanout {
    /// Of an IPv4 packet: its addresses as they lie in memory, and [`ports`], or 0.
    #[must_use]
    #[inline(always)]
    pub const fn v4([source, destination]: [u32; 2], ports: u32) -> u32 {
        spread(source ^ destination, ports)
    }

    /// Of an IPv6 packet.
    #[must_use]
    #[inline(always)]
    pub const fn v6(a: [u32; 8], ports: u32) -> u32 {
        let addresses = spread(a[0] ^ a[4], a[1] ^ a[5]) ^ spread(a[2] ^ a[6], a[3] ^ a[7]).rotate_left(1);
        spread(addresses, ports)
    }

    /// Two ports, of which the upper halves don't count, in either order.
    #[must_use]
    #[inline(always)]
    pub const fn ports(a: u32, b: u32) -> u32 {
        let (a, b) = (a & 0xffff, b & 0xffff);
        (a ^ b) | (a + b) << 16
    }

    /// Mixes two words so that each bit counts in the low ones, which choose the ring. Multiplier: 2^64 / golden ratio.
    #[inline(always)]
    const fn spread(a: u32, b: u32) -> u32 {
        let mixed = ((a as u64) << 32 | b as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }
}

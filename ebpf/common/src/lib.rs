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
    /// Word 1: offset of the innermost IP header from the MAC header in the low 16 bits, of the transport header in the high 16.
    pub const OFFSETS: usize = 1;
    /// Word 2: source port << 16 | destination port, host byte order; valid with [`super::found::PORTS`].
    pub const PORTS: usize = 2;
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

/// How frames of the interface begin: what the loader tells the prefilter.
pub mod link {
    /// Ethernet.
    pub const ETHERNET: u32 = 0;
    /// IP without a link header.
    pub const RAW_IP: u32 = 1;
    /// It differs from frame to frame (`any`): only what is relative to the network header is known.
    pub const ANY: u32 = 2;
}

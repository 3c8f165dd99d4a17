//! The frame: what a source lends and everything downstream reads.

/// How the first bytes of a frame are to be read: a LINKTYPE_ number of the pcap file formats.
///
/// Source: <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the capturing host's byte order, then IP.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// IP without a link header, the version nibble tells which (LINKTYPE_RAW).
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: a 4-byte address family in network byte order, then IP.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = Self(113);
    /// IPv4 without a link header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without a link header.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// A VLAN tag: the protocol that announces it and its control information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// 0x8100, 0x88a8 or an older vendor's number.
    pub tpid: u16,
    /// Priority (3 bits), drop eligible (1 bit), VLAN id (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN id, 0 to 4095.
    #[must_use]
    pub const fn id(self) -> u16 {
        self.tci & 0x0fff
    }
}

/// What the capture says of a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags {
    /// The checksum was not computed yet when the frame was seen (offload); a check must be skipped.
    pub checksum_not_ready: bool,
    /// Sent by this host.
    pub outgoing: bool,
}

/// What the link layer delivered. Borrows the bytes where the source put them (a ring block, a read buffer).
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured bytes, from the link header on; at most `original_len`.
    pub bytes: &'a [u8],
    /// Where `bytes` starts in the lease's memory, in bytes; how a parsed header finds its payload again.
    pub offset: u32,
    /// When the frame was seen.
    pub timestamp: crate::Nanos,
    /// Length on the wire in bytes; more than `bytes.len()` when the snap length cut it.
    pub original_len: u32,
    /// The interface: its index in the kernel when live, its number in order of appearance for files.
    pub interface: u32,
    /// How `bytes` start.
    pub link_type: LinkType,
    /// The outer VLAN tag when the kernel took it out of `bytes`; it belongs behind the two MAC addresses.
    pub vlan: Option<VlanTag>,
    /// What else the capture says.
    pub flags: FrameFlags,
}

impl Frame<'_> {
    /// Whether the snap length cut the frame.
    #[must_use]
    pub fn truncated(&self) -> bool {
        (self.bytes.len() as u64) < u64::from(self.original_len)
    }
}

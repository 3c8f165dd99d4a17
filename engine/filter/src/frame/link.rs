//! Link layers: where their headers are, and how they announce a network protocol.

use sniff_x_flow::LinkType;

/// A link layer that frame mode reads. The others never match: what libpcap would say of them needs headers that nothing behind the
/// filter can read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Ethernet,
    /// IP alone, its version in the first byte.
    Raw,
    V4,
    V6,
    /// Linux cooked capture v1 and v2.
    Sll,
    Sll2,
    /// An address family before IP, in the order of the capturing host or in network order.
    Null,
    Loop,
    /// It differs from frame to frame: loads count from the network header, and the kernel tells the protocol.
    Any,
}

impl Link {
    /// Those that a frame can have, each at its own number.
    pub(crate) const ALL: [Self; 8] =
        [Self::Ethernet, Self::Raw, Self::V4, Self::V6, Self::Sll, Self::Sll2, Self::Null, Self::Loop];

    pub(crate) const fn of(link_type: LinkType) -> Option<Self> {
        Some(match link_type {
            LinkType::ETHERNET => Self::Ethernet,
            LinkType::RAW => Self::Raw,
            LinkType::IPV4 => Self::V4,
            LinkType::IPV6 => Self::V6,
            LinkType::LINUX_SLL => Self::Sll,
            LinkType::LINUX_SLL2 => Self::Sll2,
            LinkType::NULL => Self::Null,
            LinkType::LOOP => Self::Loop,
            _ => return None,
        })
    }

    /// Where the network header starts.
    pub(crate) const fn header_len(self) -> u32 {
        match self {
            Self::Ethernet => 14,
            Self::Raw | Self::V4 | Self::V6 | Self::Any => 0,
            Self::Sll => 16,
            Self::Sll2 => 20,
            Self::Null | Self::Loop => 4,
        }
    }

    /// Where the Ethernet type stands.
    pub(super) const fn type_place(self) -> Option<u32> {
        match self {
            Self::Ethernet => Some(12),
            Self::Sll => Some(14),
            Self::Sll2 => Some(0),
            _ => None,
        }
    }

    /// Where a tag stands that the kernel takes out; links that announce no Ethernet type have no place for one.
    pub(crate) const fn tag_place(self) -> Option<u32> {
        match self {
            Self::Ethernet | Self::Sll => self.type_place(),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::Raw => "raw IP",
            Self::V4 => "raw IPv4",
            Self::V6 => "raw IPv6",
            Self::Sll => "Linux cooked v1",
            Self::Sll2 => "Linux cooked v2",
            Self::Null => "BSD loopback",
            Self::Loop => "OpenBSD loopback",
            Self::Any => "any",
        }
    }
}

//! Link headers: where the network header starts and how its protocol is announced.

use sniff_x_flow::{Frame, LinkType};

use super::big_endian;
use crate::ast::ether;
use crate::graph::PastTheEnd;

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
}

/// How a protocol is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkTest {
    /// The same for every frame.
    Constant(bool),
    /// Two bytes at this offset hold the Ethernet type.
    EtherType(u8),
    /// The first half of the first byte is the IP version.
    Version(u8),
    /// The first four bytes are this address family.
    Family(u8),
}

/// `AF_INET` everywhere; `AF_INET6` as libpcap for Linux knows it, also for files from other systems.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Link {
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
    pub(crate) const fn header_len(self) -> usize {
        match self {
            Self::Ethernet => 14,
            Self::Raw | Self::V4 | Self::V6 => 0,
            Self::Sll => 16,
            Self::Sll2 => 20,
            Self::Null | Self::Loop => 4,
        }
    }

    /// How `protocol` is told.
    pub(crate) const fn test(self, protocol: u16) -> LinkTest {
        match (self, protocol) {
            (Self::Ethernet, _) => LinkTest::EtherType(12),
            (Self::Sll, _) => LinkTest::EtherType(14),
            (Self::Sll2, _) => LinkTest::EtherType(0),
            (Self::Raw, ether::IPV4) => LinkTest::Version(4),
            (Self::Raw, ether::IPV6) => LinkTest::Version(6),
            (Self::V4, ether::IPV4) | (Self::V6, ether::IPV6) => LinkTest::Constant(true),
            (Self::Null | Self::Loop, ether::IPV4) => LinkTest::Family(AF_INET),
            (Self::Null | Self::Loop, ether::IPV6) => LinkTest::Family(AF_INET6),
            _ => LinkTest::Constant(false),
        }
    }

    /// Whether the frame's link header announces `protocol`. A VLAN tag that the kernel took out counts as if it were still in its place,
    /// where it announces itself; on links that announce no Ethernet type there is no place for one.
    pub(crate) fn announces(self, frame: &Frame<'_>, protocol: u16) -> Result<bool, PastTheEnd> {
        match self.test(protocol) {
            LinkTest::Constant(answer) => Ok(answer),
            LinkTest::EtherType(at) => match frame.vlan {
                Some(_) if frame.bytes.len() < usize::from(at) => Err(PastTheEnd),
                Some(tag) => Ok(tag.tpid == protocol),
                None => Ok(big_endian(frame.bytes, usize::from(at), 2)? == u32::from(protocol)),
            },
            LinkTest::Version(version) => Ok(frame.bytes.first().ok_or(PastTheEnd)? >> 4 == version),
            LinkTest::Family(family) => {
                let word = big_endian(frame.bytes, 0, 4)?;
                // The order of the host that wrote a NULL frame is not known here; no family's number reads as another's backwards.
                let backwards = self == Self::Null && word.swap_bytes() == u32::from(family);
                Ok(word == u32::from(family) || backwards)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos, VlanTag};

    use crate::parse;

    fn matches(rule: &str, link_type: LinkType, bytes: &[u8], vlan: Option<VlanTag>) -> bool {
        let frame = Frame {
            bytes,
            offset: 0,
            timestamp: Nanos(0),
            original_len: 100,
            interface: 0,
            link_type,
            vlan,
            flags: FrameFlags::default(),
        };
        parse(rule).unwrap().matches_frame(&frame)
    }

    #[test]
    fn null_in_either_byte_order() {
        let mut packet = [0; 24];
        packet[4 + 9] = 6;
        for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
            packet[..4].copy_from_slice(&family);
            assert!(matches("ip and tcp", LinkType::NULL, &packet, None));
            assert_eq!(matches("tcp", LinkType::LOOP, &packet, None), family[3] == 2);
        }
    }

    #[test]
    fn links_that_are_not_read_match_only_the_empty_expression() {
        for rule in ["ip", "not ip", "tcp or not tcp"] {
            assert!(!matches(rule, LinkType(105), &[0; 100], None));
        }
        assert!(matches("", LinkType(105), &[0; 100], None));
    }

    #[test]
    fn a_tag_beside_the_frame_announces_itself() {
        let mut bytes = [0; 60];
        bytes[12] = 8;
        let tag = Some(VlanTag { tpid: 0x8100, tci: 7 });
        assert!(matches("ip", LinkType::ETHERNET, &bytes, None));
        assert!(matches("not ip and ether proto 0x8100", LinkType::ETHERNET, &bytes, tag));
        // There is no room for it behind the addresses: the look past the end rejects.
        assert!(!matches("not ip", LinkType::ETHERNET, &bytes[..11], tag));
        assert!(matches("not ip", LinkType::ETHERNET, &bytes[..12], tag));
    }
}

//! The expression as a tree: what a rule's text means, with all qualifiers spelt out.
//!
//! Its `Display` is a rule again, in a canonical form that parses into the same tree.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// An expression; the empty one is no node at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Primitive(Primitive),
    Not(Box<Node>),
    /// At least two, evaluated in order, none of them an `All` itself.
    All(Vec<Node>),
    /// At least two, evaluated in order, none of them an `Any` itself.
    Any(Vec<Node>),
}

impl Node {
    pub(crate) fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self::All(joined(self, other, |node| match node {
            Self::All(list) => Ok(list),
            node => Err(node),
        }))
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self::Any(joined(self, other, |node| match node {
            Self::Any(list) => Ok(list),
            node => Err(node),
        }))
    }
}

/// Chains stay flat: a list of a thousand ports is one node with a thousand children, not a thousand levels.
fn joined(left: Node, right: Node, open: impl Fn(Node) -> Result<Vec<Node>, Node>) -> Vec<Node> {
    let mut list = open(left).unwrap_or_else(|node| vec![node]);
    match open(right) {
        Ok(further) => list.extend(further),
        Err(node) => list.push(node),
    }
    list
}

/// One question about a frame or a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    /// A protocol by its name alone: `tcp`.
    Protocol(Protocol),
    /// `ether proto N`, N above 1500.
    EtherProto(u16),
    /// `ip proto N`, `ip6 proto N`, `proto N`.
    IpProto { family: Option<Family>, number: u8 },
    /// A port or a range of ports.
    Port { transport: Option<Transport>, ends: Ends, first: u16, last: u16 },
    /// An IPv4 address under a mask, in IPv4, ARP or RARP, or in any of them.
    V4 { inside: Option<V4Inside>, ends: Ends, address: u32, mask: u32 },
    /// An IPv6 address under a prefix.
    V6 { ends: Ends, address: u128, prefix: u8 },
}

/// The names that stand for a protocol by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
}

impl Protocol {
    pub(crate) const ALL: [(&'static str, Self); 18] = [
        ("ether", Self::Ether),
        ("link", Self::Ether),
        ("ip", Self::Ip),
        ("ip6", Self::Ip6),
        ("arp", Self::Arp),
        ("rarp", Self::Rarp),
        ("tcp", Self::Tcp),
        ("udp", Self::Udp),
        ("sctp", Self::Sctp),
        ("icmp", Self::Icmp),
        ("icmp6", Self::Icmp6),
        ("igmp", Self::Igmp),
        ("igrp", Self::Igrp),
        ("pim", Self::Pim),
        ("vrrp", Self::Vrrp),
        ("carp", Self::Carp),
        ("ah", Self::Ah),
        ("esp", Self::Esp),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, _)| *word == name).map(|(_, protocol)| *protocol)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, protocol)| *protocol == self).map_or("", |(word, _)| word)
    }

    /// The Ethernet type of a network protocol, None for others.
    pub(crate) const fn ether_type(self) -> Option<u16> {
        match self {
            Self::Ip => Some(ether::IPV4),
            Self::Ip6 => Some(ether::IPV6),
            Self::Arp => Some(ether::ARP),
            Self::Rarp => Some(ether::RARP),
            _ => None,
        }
    }

    /// What a transport protocol's name stands for: its number and the IP version that it is looked for in, None for both.
    pub(crate) const fn ip_proto(self) -> Option<(u8, Option<Family>)> {
        Some(match self {
            Self::Ether | Self::Ip | Self::Ip6 | Self::Arp | Self::Rarp => return None,
            Self::Tcp => (ip::TCP, None),
            Self::Udp => (ip::UDP, None),
            Self::Sctp => (ip::SCTP, None),
            Self::Icmp => (ip::ICMP, Some(Family::V4)),
            Self::Icmp6 => (ip::ICMP6, Some(Family::V6)),
            Self::Igmp => (2, Some(Family::V4)),
            Self::Igrp => (9, Some(Family::V4)),
            Self::Pim => (103, None),
            Self::Vrrp | Self::Carp => (112, Some(Family::V4)),
            Self::Ah => (51, None),
            Self::Esp => (50, None),
        })
    }
}

/// Numbers of network protocols (<https://www.iana.org/assignments/ieee-802-numbers>).
pub(crate) mod ether {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const RARP: u16 = 0x8035;
    pub(crate) const IPV6: u16 = 0x86dd;
    /// Up to here the field is a length.
    pub(crate) const LARGEST_LENGTH: u32 = 1500;
}

/// Numbers of transport protocols (<https://www.iana.org/assignments/protocol-numbers>).
pub(crate) mod ip {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMP6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Tcp => ip::TCP,
            Self::Udp => ip::UDP,
            Self::Sctp => ip::SCTP,
        }
    }
}

/// A protocol with IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum V4Inside {
    Ip,
    Arp,
    Rarp,
}

/// Which of a packet's two ends is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Source,
    Destination,
    Either,
    Both,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, nodes: &[Self], word: &str| {
            for (i, node) in nodes.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                node.fmt_operand(f)?;
            }
            Ok(())
        };
        match self {
            Self::Primitive(primitive) => primitive.fmt(f),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.fmt_operand(f)
            }
            Self::All(nodes) => list(f, nodes, "and"),
            Self::Any(nodes) => list(f, nodes, "or"),
        }
    }
}

impl Node {
    fn fmt_operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(_) | Self::Not(_) => write!(f, "{self}"),
            Self::All(_) | Self::Any(_) => write!(f, "({self})"),
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => f.write_str(protocol.name()),
            Self::EtherProto(number) => write!(f, "ether proto {number:#x}"),
            Self::IpProto { family, number } => {
                f.write_str(match family {
                    None => "",
                    Some(Family::V4) => "ip ",
                    Some(Family::V6) => "ip6 ",
                })?;
                write!(f, "proto {number}")
            }
            Self::Port { transport, ends, first, last } => {
                f.write_str(match transport {
                    None => "",
                    Some(Transport::Tcp) => "tcp ",
                    Some(Transport::Udp) => "udp ",
                    Some(Transport::Sctp) => "sctp ",
                })?;
                f.write_str(ends.words())?;
                if first == last { write!(f, "port {first}") } else { write!(f, "portrange {first}-{last}") }
            }
            Self::V4 { inside, ends, address, mask } => {
                f.write_str(match inside {
                    None => "",
                    Some(V4Inside::Ip) => "ip ",
                    Some(V4Inside::Arp) => "arp ",
                    Some(V4Inside::Rarp) => "rarp ",
                })?;
                f.write_str(ends.words())?;
                let address = Ipv4Addr::from_bits(*address);
                let prefix = mask.leading_ones();
                if *mask == u32::MAX {
                    write!(f, "host {address}")
                } else if prefix + mask.trailing_zeros() == u32::BITS {
                    write!(f, "net {address}/{prefix}")
                } else {
                    write!(f, "net {address} mask {}", Ipv4Addr::from_bits(*mask))
                }
            }
            Self::V6 { ends, address, prefix } => {
                f.write_str("ip6 ")?;
                f.write_str(ends.words())?;
                let address = Ipv6Addr::from_bits(*address);
                if *prefix == 128 { write!(f, "host {address}") } else { write!(f, "net {address}/{prefix}") }
            }
        }
    }
}

impl Ends {
    const fn words(self) -> &'static str {
        match self {
            Self::Source => "src ",
            Self::Destination => "dst ",
            Self::Either => "",
            Self::Both => "src and dst ",
        }
    }
}

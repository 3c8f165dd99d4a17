//! The expression as a tree: what a rule's text means, with all qualifiers spelt out.
//!
//! Its `Display` is a rule again, in a canonical form that parses into the same tree.

mod arith;
mod protocol;

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

pub(crate) use self::arith::{Arith, Comparison, Operator};
pub(crate) use self::protocol::{Asks, Family, Protocol, ether, ip, iso, sap};

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

    /// How deep the tree is.
    pub(crate) fn height(&self) -> usize {
        match self {
            Self::Primitive(_) => 1,
            Self::Not(inner) => 1 + inner.height(),
            Self::All(nodes) | Self::Any(nodes) => 1 + nodes.iter().map(Self::height).max().unwrap_or(0),
        }
    }

    /// Whether a term is so.
    pub(crate) fn has(&self, is: fn(&Primitive) -> bool) -> bool {
        match self {
            Self::Primitive(primitive) => is(primitive),
            Self::Not(inner) => inner.has(is),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(|node| node.has(is)),
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
    /// `ether proto N`; up to 1500 N is an 802.2 service access point. Numbers of protocols are as wide as libpcap takes them: one that
    /// does not fit its field is never found there.
    EtherProto(u32),
    /// `iso proto N`, `isis proto N`.
    IsoProto(u32),
    IsisProto(u32),
    /// `ip proto N`, `ip6 proto N`, `proto N`.
    IpProto {
        family: Option<Family>,
        number: u32,
    },
    /// `protochain N`: the same, behind headers that stand before the protocol's.
    ProtoChain {
        family: Option<Family>,
        number: u32,
    },
    /// A port or a range of ports.
    Port {
        transport: Option<Transport>,
        ends: Ends,
        first: u16,
        last: u16,
    },
    /// An IPv4 address under a mask, in IPv4, ARP or RARP, or in any of them.
    V4 {
        inside: Option<V4Inside>,
        ends: Ends,
        address: u32,
        mask: u32,
    },
    /// An IPv6 address under a prefix.
    V6 {
        ends: Ends,
        address: u128,
        prefix: u8,
    },
    /// An Ethernet address.
    Mac {
        ends: Ends,
        address: [u8; 6],
    },
    /// A DECnet address: six bits of area, ten of node.
    Decnet {
        ends: Ends,
        address: u16,
    },
    /// A destination address of many: `broadcast`, `ip multicast`.
    Cast {
        kind: Cast,
        of: CastOf,
    },
    /// A VLAN tag, with an id or any; what stands behind it in the text is asked of what the tag holds. So for the next three.
    Vlan(Option<u16>),
    /// A label.
    Mpls(Option<u32>),
    /// A PPPoE session.
    Pppoe(Option<u16>),
    /// A GENEVE tunnel, with a network's number or any.
    Geneve(Option<u32>),
    /// PPPoE discovery.
    PppoeDiscovery,
    /// Sent by this host.
    Outbound,
    /// Received by this host.
    Inbound,
    /// The interface by its index.
    Interface(u32),
    /// 802.2, with a kind of frame or any.
    Llc(Option<Llc>),
    /// `byte N = M`: a byte of the frame, the old way.
    Byte {
        index: u32,
        comparison: Comparison,
        number: u32,
    },
    /// `byte N & M`, `byte N | M`: libpcap leaves out the load, so it asks this of what the test before looked at, of 0 when there is none.
    UnreadByte {
        index: u32,
        operator: Operator,
        number: u32,
    },
    /// Two numbers compared.
    Relation {
        left: Arith,
        comparison: Comparison,
        right: Arith,
    },
}

/// To all, or to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Broadcast,
    Multicast,
}

/// Whose address a broadcast or multicast is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastOf {
    Link,
    Ip,
    Ip6,
}

/// A kind of 802.2 frame: what its control byte is under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Llc {
    name: &'static str,
    pub(crate) mask: u8,
    pub(crate) value: u8,
}

impl Llc {
    const ALL: [Self; 14] = [
        Self { name: "i", mask: 0x01, value: 0x00 },
        Self { name: "s", mask: 0x03, value: 0x01 },
        Self { name: "u", mask: 0x03, value: 0x03 },
        Self { name: "rr", mask: 0x0f, value: 0x01 },
        Self { name: "rnr", mask: 0x0f, value: 0x05 },
        Self { name: "rej", mask: 0x0f, value: 0x09 },
        Self { name: "ui", mask: 0xef, value: 0x03 },
        Self { name: "ua", mask: 0xef, value: 0x63 },
        Self { name: "disc", mask: 0xef, value: 0x43 },
        Self { name: "dm", mask: 0xef, value: 0x0f },
        Self { name: "sabme", mask: 0xef, value: 0x6f },
        Self { name: "test", mask: 0xef, value: 0xe3 },
        Self { name: "xid", mask: 0xef, value: 0xaf },
        Self { name: "frmr", mask: 0xef, value: 0x87 },
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|llc| llc.name.eq_ignore_ascii_case(name)).copied()
    }
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

impl Primitive {
    /// Whether it asks what the test before it looked at.
    pub(crate) const fn reads_nothing(&self) -> bool {
        matches!(self, Self::UnreadByte { .. })
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => f.write_str(protocol.name()),
            Self::EtherProto(number) => write!(f, "ether proto {number:#x}"),
            Self::IsoProto(number) => write!(f, "iso proto {number:#x}"),
            Self::IsisProto(number) => write!(f, "isis proto {number}"),
            Self::IpProto { family, number } => write!(f, "{}proto {number}", ip_word(*family)),
            Self::ProtoChain { family, number } => write!(f, "{}protochain {number}", ip_word(*family)),
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
            Self::Mac { ends, address: [a, b, c, d, e, g] } => {
                write!(f, "ether {}host {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}", ends.words())
            }
            Self::Decnet { ends, address } => {
                write!(f, "decnet {}host {}.{}", ends.words(), address >> 10, address & 0x3ff)
            }
            Self::Cast { kind, of } => {
                f.write_str(match of {
                    CastOf::Link => "ether ",
                    CastOf::Ip => "ip ",
                    CastOf::Ip6 => "ip6 ",
                })?;
                f.write_str(match kind {
                    Cast::Broadcast => "broadcast",
                    Cast::Multicast => "multicast",
                })
            }
            Self::Vlan(id) => numbered(f, "vlan", id.map(u32::from)),
            Self::Mpls(label) => numbered(f, "mpls", *label),
            Self::Pppoe(session) => numbered(f, "pppoes", session.map(u32::from)),
            Self::Geneve(network) => numbered(f, "geneve", *network),
            Self::PppoeDiscovery => f.write_str("pppoed"),
            Self::Outbound => f.write_str("outbound"),
            Self::Inbound => f.write_str("inbound"),
            Self::Interface(index) => write!(f, "ifindex {index}"),
            Self::Llc(None) => f.write_str("llc"),
            Self::Llc(Some(kind)) => write!(f, "llc {}", kind.name),
            Self::Byte { index, comparison, number } => {
                write!(f, "byte {index} {} {number}", comparison.symbol())
            }
            Self::UnreadByte { index, operator, number } => {
                write!(f, "byte {index} {} {number}", operator.symbol())
            }
            Self::Relation { left, comparison, right } => {
                write!(f, "{left} {} {right}", comparison.symbol())
            }
        }
    }
}

const fn ip_word(family: Option<Family>) -> &'static str {
    match family {
        None => "",
        Some(Family::V4) => "ip ",
        Some(Family::V6) => "ip6 ",
    }
}

fn numbered(f: &mut fmt::Formatter<'_>, word: &str, number: Option<u32>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{word} {number}"),
        None => f.write_str(word),
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

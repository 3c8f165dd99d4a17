//! The flow: both directions of one 5-tuple, and the words for its two ends.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Nanos;

/// One end of a flow: 16 bytes of address (IPv4 as `::ffff:a.b.c.d`) and a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    address: u128,
    port: u16,
}

impl Endpoint {
    /// An end from an address and a port in host byte order.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        match address {
            IpAddr::V4(v4) => Self { address: v4.to_ipv6_mapped().to_bits(), port },
            IpAddr::V6(v6) => Self { address: v6.to_bits(), port },
        }
    }

    /// An end from the four bytes of an IPv4 header.
    #[must_use]
    pub const fn v4(address: [u8; 4], port: u16) -> Self {
        Self { address: Ipv4Addr::from_octets(address).to_ipv6_mapped().to_bits(), port }
    }

    /// An end from the sixteen bytes of an IPv6 header.
    #[must_use]
    pub const fn v6(address: [u8; 16], port: u16) -> Self {
        Self { address: u128::from_be_bytes(address), port }
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { address: self.address, port }
    }

    /// The address; a mapped address comes back as IPv4.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        Ipv6Addr::from_bits(self.address).to_canonical()
    }

    /// The sixteen bytes of the address as a number.
    pub(crate) const fn bits(self) -> u128 {
        self.address
    }

    /// The port in host byte order.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    /// `10.0.0.1:3306` or `[fe80::1]:3306`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            IpAddr::V4(a) => write!(f, "{a}:{}", self.port),
            IpAddr::V6(a) => write!(f, "[{a}]:{}", self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
}

/// Which end of the symmetric [`FlowKey`] something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The lower endpoint in the key's order.
    Low,
    /// The higher endpoint.
    High,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// What makes two packets belong to one flow. Symmetric: both directions have the same key.
///
/// Holds the two ends in order, the transport, up to two VLAN ids, the tunnel's id and the capture namespace (a number
/// that keeps equal tuples of different namespaces apart); never the interface, since a flow may use several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Upper and lower half of the address: not one `u128`, whose alignment would pad every connection.
    low: [u64; 2],
    high: [u64; 2],
    /// low port << 48 | high port << 32 | transport << 24 | namespace (16 bits)
    ports: u64,
    /// outer VLAN id << 48 | inner VLAN id << 32 | tunnel id; an absent VLAN is 0xffff, which no tag can be.
    place: u64,
}

/// Where a flow was seen beside its 5-tuple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// VLAN ids, outermost first.
    pub vlans: [Option<u16>; 2],
    /// An id of the tunnels around the flow, all levels mixed, the same for both directions (docs/packets.md); 0 outside tunnels.
    pub tunnel: u32,
    /// The capture namespace.
    pub namespace: u16,
}

const NO_VLAN: u16 = 0xffff;

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

const fn whole([high, low]: [u64; 2]) -> u128 {
    (high as u128) << 64 | low as u128
}

impl Hash for FlowKey {
    /// Six words and nothing else: what the derived hash of arrays adds (their lengths) would cost more than the words.
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ([low_high, low_low], [high_high, high_low]) = (self.low, self.high);
        for word in [low_high, low_low, high_high, high_low, self.ports, self.place] {
            state.write_u64(word);
        }
    }
}

impl FlowKey {
    /// The key of a packet from `source` to `destination`, and the side that `source` is.
    #[must_use]
    #[inline(always)]
    pub fn new(source: Endpoint, destination: Endpoint, transport: Transport, place: Place) -> (Self, Side) {
        let side = if source <= destination { Side::Low } else { Side::High };
        let (low, high) = match side {
            Side::Low => (source, destination),
            Side::High => (destination, source),
        };
        let [outer, inner] = place.vlans.map(|v| u64::from(v.unwrap_or(NO_VLAN)));
        let transport = match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        };
        let key = Self {
            low: halves(low.address),
            high: halves(high.address),
            ports: u64::from(low.port) << 48
                | u64::from(high.port) << 32
                | transport << 24
                | u64::from(place.namespace),
            place: outer << 48 | inner << 32 | u64::from(place.tunnel),
        };
        (key, side)
    }

    /// The endpoint of one side.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> Endpoint {
        let [_, _, _, _, h0, h1, l0, l1] = self.ports.to_le_bytes();
        match side {
            Side::Low => Endpoint { address: whole(self.low), port: u16::from_le_bytes([l0, l1]) },
            Side::High => Endpoint { address: whole(self.high), port: u16::from_le_bytes([h0, h1]) },
        }
    }

    /// TCP or UDP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        if (self.ports >> 24) & 0xff == 6 { Transport::Tcp } else { Transport::Udp }
    }

    /// Where the flow was seen.
    #[must_use]
    pub fn place(&self) -> Place {
        let [t0, t1, t2, t3, i0, i1, o0, o1] = self.place.to_le_bytes();
        let [n0, n1, ..] = self.ports.to_le_bytes();
        let vlan = |id: u16| (id != NO_VLAN).then_some(id);
        Place {
            vlans: [vlan(u16::from_le_bytes([o0, o1])), vlan(u16::from_le_bytes([i0, i1]))],
            tunnel: u32::from_le_bytes([t0, t1, t2, t3]),
            namespace: u16::from_le_bytes([n0, n1]),
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// 0 for `ToServer`, 1 for `ToClient`: for arrays of two.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// How client and server were told apart, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrientedBy {
    /// The client's SYN was seen.
    Syn,
    /// The server's SYN-ACK was seen.
    SynAck,
    /// One port is a server port of the plugin's rule.
    RulePort,
    /// The plugin recognised who speaks.
    Probe,
    /// Of UDP: who sent the first datagram that was seen is the client.
    FirstSender,
    /// Nothing better than the lower port.
    LowerPort,
}

/// What is known of a flow when its stream is made.
#[derive(Clone, Copy, Debug)]
pub struct FlowInfo {
    /// The flow's key.
    pub key: FlowKey,
    /// The side of the key that is the client.
    pub client_side: Side,
    /// How sure `client_side` is.
    pub oriented_by: OrientedBy,
    /// When its first packet was seen.
    pub first_seen: Nanos,
    /// When its latest packet was seen.
    pub last_seen: Nanos,
    /// The interface of its first packet.
    pub interface: u32,
    /// No SYN was seen: bytes before the first one that we have are missing, nobody knows how many.
    pub midstream: bool,
    /// Unique among all connections of a run.
    pub serial: u64,
}

impl FlowInfo {
    /// The client's end.
    #[must_use]
    pub fn client(&self) -> Endpoint {
        self.key.endpoint(self.client_side)
    }

    /// The server's end.
    #[must_use]
    pub fn server(&self) -> Endpoint {
        self.key.endpoint(self.client_side.other())
    }

    /// The way that bytes sent by `sender` go.
    #[must_use]
    pub fn direction(&self, sender: Side) -> Direction {
        if sender == self.client_side { Direction::ToServer } else { Direction::ToClient }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Both sides sent FIN and all bytes before it were delivered.
    Fin,
    /// A side reset it.
    Rst,
    /// A SYN opened the same tuple again.
    Reused,
    /// Nothing was seen for the idle time-out.
    Idle,
    /// A limit was reached and this one was the oldest.
    Evicted,
    /// The input ended.
    Eof,
}

impl End {
    /// The word for it in events: `fin`, `rst`, `reused`, `idle`, `evicted`, `eof`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Reused => "reused",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Eof => "eof",
        }
    }
}

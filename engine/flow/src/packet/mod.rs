//! Stage: frame → packet.
//!
//! In goes a [`Frame`]; out comes a [`Parsed`]: a TCP [`Segment`] or UDP [`Datagram`] header whose payload
//! is named by its place in the lease's memory, so that it can cross a queue without borrowing or copying.
//!
//! A [`Parser`] goes down the headers one at a time: `link` (with `wireless` and `serial`), `ether` (what an EtherType announces: VLAN tags,
//! MPLS, PPPoE, …), `ip` (IPv4, IPv6 and its extension headers), `transport` (TCP, UDP). Each takes what is left of the frame and gives what is
//! left behind it. `tunnel` (in IP) and `udp_tunnel` lead back up: the innermost flow counts. `walk` remembers the way: VLAN ids, tunnels, depth.
//! Every length is checked; checksums only on demand (captures of a host's own frames are full of unfinished ones).

mod checksum;
pub mod defragment;
mod ether;
mod hasher;
mod ip;
mod link;
mod rest;
mod serial;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod udp_tunnel;
mod walk;
mod wireless;

pub use hasher::FlowHasher;
pub use link::is_supported;

use core::net::IpAddr;

use etherparse::IpNumber;

use crate::assembler::Sequence;
use crate::{Endpoint, FlowKey, Frame, Nanos, Place, Side};
use rest::Rest;
use transport::Tcp;
use walk::Walk;

/// Reads frames.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    hasher: FlowHasher,
    options: ParseOptions,
}

/// What is a choice in reading frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// VLAN and tunnel ids are no part of a flow's key: for networks where the two directions of a flow carry different ones.
    pub merge_vlans: bool,
    /// A packet whose IPv4, TCP or UDP checksum is wrong is [`Parsed::BadChecksum`]. What can't be checked (cut by the snap length, left to the
    /// network card, a fragment, source-routed) is taken as it is.
    pub verify_checksums: bool,
}

impl Parser {
    /// A parser whose packets carry `hasher`'s hashes.
    #[must_use]
    pub fn new(hasher: FlowHasher, options: ParseOptions) -> Self {
        Self { hasher, options }
    }

    /// The hasher.
    #[must_use]
    pub fn hasher(&self) -> &FlowHasher {
        &self.hasher
    }

    /// Reads the headers of a frame. Never fails on what the frame holds: that is told by the [`Parsed`] variants.
    #[must_use]
    #[inline]
    pub fn parse(&self, frame: &Frame<'_>) -> Parsed {
        read(frame, &self.hasher, self.options)
    }

    /// Reads a datagram that was put together: `frame.bytes` are what lies behind the IP header (IPv6: behind the fragment header), of which
    /// `frame.offset` and `frame.original_len` tell, too; `first` is the fragment at offset 0, whose addresses, tunnel and next header hold.
    /// `frame.link_type` and `frame.vlan` don't count. Comes back with a fragment when one datagram's fragments carry another's.
    #[must_use]
    pub fn parse_reassembled(&self, frame: &Frame<'_>, first: &Fragment) -> Parsed {
        let walk = Walk::resumed(frame, &self.hasher, self.options, first);
        let rest = Rest::new(frame.bytes, frame.original_len);
        told(ip::behind(&walk, first.version(), &first.ends(), first.next, rest))
    }
}

/// [`Parser::parse`] with default options.
#[must_use]
#[inline]
pub fn parse(frame: &Frame<'_>, hasher: &FlowHasher) -> Parsed {
    read(frame, hasher, ParseOptions::default())
}

#[inline]
fn read(frame: &Frame<'_>, hasher: &FlowHasher, options: ParseOptions) -> Parsed {
    let (walk, rest) = (Walk::new(frame, hasher, options), Rest::new(frame.bytes, frame.original_len));
    // A packet is large: made here it is not copied on the way up.
    if let Some((ends, rest)) = link::to_tcp(&walk, rest)
        && let Ok(header) = Tcp::read(rest)
    {
        return Parsed::Tcp(header.segment(&walk, &ends));
    }
    told(link::parse(walk, rest))
}

#[inline]
fn told(result: Result<Parsed, Stop>) -> Parsed {
    match result {
        Ok(parsed) => parsed,
        Err(Stop::Other) => Parsed::Other,
        Err(Stop::Malformed) => Parsed::Malformed,
        Err(Stop::BadChecksum) => Parsed::BadChecksum,
        Err(Stop::UnknownLink) => Parsed::UnknownLink,
    }
}

/// Why a frame is neither a TCP segment nor a UDP datagram nor a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Other,
    Malformed,
    BadChecksum,
    UnknownLink,
}

/// A run of bytes in a lease's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte from the lease's start.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// The TCP flags byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;

    /// Whether any of `mask` is set.
    #[must_use]
    pub const fn any(self, mask: u8) -> bool {
        self.0 & mask != 0
    }

    /// Whether FIN is set.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.any(Self::FIN)
    }

    /// Whether SYN is set.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.any(Self::SYN)
    }

    /// Whether RST is set.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.any(Self::RST)
    }

    /// Whether ACK is set.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.any(Self::ACK)
    }
}

/// What TCP and UDP packets have in common.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The flow.
    pub key: FlowKey,
    /// The flow table's hash of `key`; chooses the worker, too.
    pub hash: u64,
    /// The side that sent it.
    pub sender: Side,
    /// The frame's timestamp.
    pub timestamp: Nanos,
    /// The frame's interface.
    pub interface: u32,
    /// The payload that was captured.
    pub payload: Span,
    /// Payload bytes that were on the wire behind `payload` but cut by the snap length.
    pub missing: u32,
    /// VLAN tags that the frame carried, the one that the kernel took out included; 0 is untagged. Their ids are in
    /// `key.place()`, where a priority tag (id 0) does not count.
    pub vlan_tags: u8,
}

impl Packet {
    /// Which of `workers` owns the flow. Takes other bits of the hash than the flow table does, so that the tables of
    /// the workers stay evenly filled.
    #[must_use]
    pub fn worker(&self, workers: usize) -> usize {
        let [.., b3, b4, b5, b6, _] = self.hash.to_le_bytes();
        let part = u64::from(u32::from_le_bytes([b3, b4, b5, b6]));
        usize::try_from((part * (workers as u64)) >> 32).unwrap_or(0)
    }
}

/// A TCP segment's header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Flow, time and payload.
    pub packet: Packet,
    /// Sequence number of the first payload byte (of the SYN, if it has one).
    pub seq: Sequence,
    /// Acknowledgement number; meaningless without ACK.
    pub ack: Sequence,
    /// Flags.
    pub flags: TcpFlags,
    /// Window, unscaled.
    pub window: u16,
    /// The window scale option (RFC 7323) of a segment with SYN, at most 14.
    pub window_scale: Option<u8>,
}

/// A UDP datagram's header.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Flow, time and payload.
    pub packet: Packet,
}

/// A part of an IP datagram (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// Which datagram it is a part of.
    pub datagram: DatagramId,
    /// What the datagram carries: an IP protocol number; of IPv6, only the first fragment's counts, and extension headers may follow.
    pub next: u8,
    /// Where its payload belongs, in bytes from the start of the datagram's payload.
    pub offset: u32,
    /// More fragments follow.
    pub more: bool,
    /// The payload that was captured: what lies behind the IP header, of IPv6 behind the fragment header.
    pub payload: Span,
    /// Payload bytes that were on the wire behind `payload` but cut by the snap length.
    pub missing: u32,
    /// The frame's timestamp.
    pub timestamp: Nanos,
    /// The frame's interface.
    pub interface: u32,
    /// As [`Packet::vlan_tags`].
    pub vlan_tags: u8,
    /// Headers in headers that lie around it.
    depth: u8,
}

impl Fragment {
    /// Whether its IP header is the first of the frame: no tunnel is around it.
    #[must_use]
    pub fn is_outermost(&self) -> bool {
        self.depth == 0
    }

    fn version(&self) -> Version {
        if self.datagram.protocol == IpNumber::IPV6_FRAGMENTATION_HEADER.0 {
            Version::V6
        } else {
            Version::V4
        }
    }

    fn ends(&self) -> Ends {
        let end = |address| Endpoint::new(address, 0);
        Ends { source: end(self.datagram.source), destination: end(self.datagram.destination) }
    }
}

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramId {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The protocol of IPv4; of IPv6, where it is no part of the identity, the fragment header's 44.
    pub protocol: u8,
    /// The identification field: 16 bits of IPv4, 32 of IPv6.
    pub id: u32,
    /// VLANs and tunnels around it.
    pub place: Place,
}

/// Which version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

/// The two addresses of a packet, as endpoints without ports.
#[derive(Clone, Copy, Debug)]
struct Ends {
    source: Endpoint,
    destination: Endpoint,
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Parsed {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp(Datagram),
    /// A fragment of an IP datagram.
    Fragment(Fragment),
    /// Another protocol: ARP, ICMP, a tunnel that is not looked into, …
    Other,
    /// The headers are cut or contradict each other.
    Malformed,
    /// A checksum is wrong: only with [`ParseOptions::verify_checksums`].
    BadChecksum,
    /// Frames of this link type can't be read: [`is_supported`] says so before.
    UnknownLink,
}

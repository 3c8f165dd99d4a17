//! Stage: frame → packet.
//!
//! In goes a [`Frame`]; out comes a [`Parsed`]: a TCP [`Segment`] or UDP [`Datagram`] header whose payload
//! is named by its place in the lease's memory, so that it can cross a queue without borrowing or copying.
//!
//! [`parse`] goes down the headers one at a time: `link` (Ethernet, cooked, raw, loopback; VLAN tags), `ip` (IPv4, IPv6 and
//! its extension headers), `transport` (TCP, UDP). Each takes what is left of the frame and gives what is left behind it.
//! It checks every length and no checksum (captures of a host's own frames are full of unfinished ones).

mod hasher;
mod ip;
mod link;
mod rest;
#[cfg(test)]
mod tests;
mod transport;

pub use hasher::FlowHasher;

use crate::assembler::Sequence;
use crate::{FlowKey, Frame, Nanos, Side};

/// Reads the headers of a frame. Never fails on what the frame holds: that is told by the [`Parsed`] variants.
#[must_use]
#[inline]
pub fn parse(frame: &Frame<'_>, hasher: &FlowHasher) -> Parsed {
    match link::network(frame).and_then(|network| ip::parse(frame, hasher, network)) {
        Ok(parsed) => parsed,
        Err(Stop::Fragment) => Parsed::Fragment,
        Err(Stop::Other) => Parsed::Other,
        Err(Stop::Malformed) => Parsed::Malformed,
    }
}

/// Why a frame is neither a TCP segment nor a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Fragment,
    Other,
    Malformed,
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

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Parsed {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp(Datagram),
    /// A fragment of an IP datagram, whole or not yet.
    Fragment,
    /// Another protocol: ARP, ICMP, a tunnel that is not looked into, …
    Other,
    /// The headers are cut or contradict each other.
    Malformed,
}

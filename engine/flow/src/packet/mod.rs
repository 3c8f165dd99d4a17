//! Stage: frame → packet.
//!
//! In goes a [`Frame`](crate::Frame); out comes a [`Parsed`]: a TCP [`Segment`] or UDP [`Datagram`] header whose payload
//! is named by its place in the lease's memory, so that it can cross a queue without borrowing or copying.

use crate::assembler::Sequence;
use crate::{FlowKey, Nanos, Side};

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

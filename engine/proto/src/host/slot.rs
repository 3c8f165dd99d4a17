//! What every connection of the assembler has of the host: little, until something comes that a decoder could see.
//!
//! A flood of SYNs, and connections that no plugin wants, cost no more than this.

use sniff_x_flow::assembler::{Chunks, Stream, Totals};
use sniff_x_flow::datagrams::{DatagramStream, Received};
use sniff_x_flow::{End, FlowInfo, Nanos};

use super::connection::trial::Candidates;
use super::{Connection, Host};

/// The host's part of one connection.
pub struct Slot(Kind);

enum Kind {
    /// No plugin wants it.
    Ignored,
    /// The plugin is chosen; nothing came yet.
    Claimed(u32),
    /// Several plugins may get it; nothing came yet.
    Awaited(Candidates),
    /// Something came.
    Under(Box<Connection>),
}

impl Slot {
    pub(super) const fn ignored() -> Self {
        Self(Kind::Ignored)
    }

    pub(super) const fn claimed(plugin: u32) -> Self {
        Self(Kind::Claimed(plugin))
    }

    pub(super) const fn awaited(candidates: Candidates) -> Self {
        Self(Kind::Awaited(candidates))
    }

    /// Bytes that are kept of the connection now: unfinished messages, and what the decoder holds.
    #[must_use]
    pub fn kept(&self) -> usize {
        match &self.0 {
            Kind::Under(connection) => connection.kept(),
            _ => 0,
        }
    }

    /// The connection, made if there is none yet. None when nobody wants it.
    fn connection(&mut self) -> Option<&mut Connection> {
        let made = match self.0 {
            Kind::Ignored => return None,
            Kind::Claimed(plugin) => Connection::claimed(plugin),
            Kind::Awaited(candidates) => Connection::awaited(candidates),
            Kind::Under(ref mut connection) => return Some(connection),
        };
        self.0 = Kind::Under(Box::new(made));
        match &mut self.0 {
            Kind::Under(connection) => Some(connection),
            _ => None,
        }
    }

    /// Something came: the connection, with its decoder where the plugin wants one at the first packet.
    fn woken(&mut self, host: &mut Host, flow: &FlowInfo) -> Option<&mut Connection> {
        match self.0 {
            Kind::Claimed(plugin) if host.opens_at_first_packet(plugin) => self.reporting(host, flow),
            _ => self.connection(),
        }
    }

    /// The connection, when there is one, or its plugin reports also on those without payload.
    fn reporting(&mut self, host: &mut Host, flow: &FlowInfo) -> Option<&mut Connection> {
        match self.0 {
            Kind::Claimed(plugin) if !host.opens_at_first_packet(plugin) => None,
            Kind::Claimed(_) => {
                let connection = self.connection()?;
                connection.open(host, flow);
                Some(connection)
            }
            _ => self.connection(),
        }
    }
}

impl Stream<Host> for Slot {
    #[inline]
    fn reassembled(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        if let Kind::Under(connection) = &mut self.0 {
            connection.reassembled(host, flow, totals, chunks);
        } else if chunks.clone().any(|chunk| !chunk.bytes.is_empty() || chunk.skip != 0 || chunk.end)
            && let Some(connection) = self.woken(host, flow)
        {
            connection.reassembled(host, flow, totals, chunks);
        }
    }

    fn reassembly_complete(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], end: End) {
        if let Some(connection) = self.reporting(host, flow) {
            connection.reassembly_complete(host, flow, totals, end);
        }
    }

    #[inline]
    fn foresee(&self) {
        if let Kind::Under(connection) = &self.0 {
            connection.foresee();
        }
    }

    fn idle(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) -> bool {
        // Probing does not keep a connection.
        !matches!(self.0, Kind::Awaited(_))
            && self.reporting(host, flow).is_some_and(|connection| connection.idle(host, flow, totals, now))
    }
}

impl DatagramStream<Host> for Slot {
    fn datagram(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], received: Received<'_>) {
        if let Some(connection) = self.woken(host, flow) {
            connection.datagram(host, flow, totals, received);
        }
    }
}

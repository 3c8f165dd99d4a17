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
    /// Nothing came yet, or no plugin wants it.
    Idle {
        /// The plugins that may get it.
        candidates: Candidates,
        /// The edition of the rules that said so.
        edition: u32,
    },
    /// Something came.
    Under(Box<Connection>),
}

impl Slot {
    /// Of a connection that these plugins may get, as the rules of this edition have it.
    pub(super) const fn new(candidates: Candidates, edition: u32) -> Self {
        Self(Kind::Idle { candidates, edition })
    }

    /// Bytes that are kept of the connection now: unfinished messages, and what the decoder holds.
    #[must_use]
    pub fn kept(&self) -> usize {
        match &self.0 {
            Kind::Under(connection) => connection.kept(),
            Kind::Idle { .. } => 0,
        }
    }

    /// The one plugin that has the connection, as long as nothing came.
    fn claimed(&self) -> Option<u32> {
        match self.0 {
            Kind::Idle { candidates, .. } => candidates.only(),
            Kind::Under(_) => None,
        }
    }

    /// Takes over what rules and options say that came since it was last asked.
    #[inline]
    fn renew(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) {
        match &mut self.0 {
            Kind::Under(connection) => connection.renew_if_due(host, flow, totals, now),
            Kind::Idle { edition, .. } if *edition == host.edition() => {}
            Kind::Idle { candidates, edition } => {
                let before = core::mem::replace(candidates, host.candidates(&flow.key));
                *edition = host.edition();
                // What nobody wanted before has gone on meanwhile.
                if before.all() == 0 && candidates.all() != 0 {
                    let connection = Connection::joined_late(*candidates, host, flow);
                    self.0 = Kind::Under(Box::new(connection));
                }
            }
        }
    }

    /// The connection, made if there is none yet. None when nobody wants it.
    fn connection(&mut self) -> Option<&mut Connection> {
        if let Kind::Idle { candidates, edition } = self.0 {
            if candidates.all() == 0 {
                return None;
            }
            self.0 = Kind::Under(Box::new(Connection::new(candidates, edition)));
        }
        match &mut self.0 {
            Kind::Under(connection) => Some(connection),
            Kind::Idle { .. } => None,
        }
    }

    /// Something came: the connection, with its decoder where the plugin wants one at the first packet.
    fn woken(&mut self, host: &mut Host, flow: &FlowInfo) -> Option<&mut Connection> {
        match self.claimed() {
            Some(plugin) if host.opens_at_first_packet(plugin) => self.reporting(host, flow),
            _ => self.connection(),
        }
    }

    /// The connection, when there is one, or its plugin reports also on those without payload.
    fn reporting(&mut self, host: &mut Host, flow: &FlowInfo) -> Option<&mut Connection> {
        match self.claimed() {
            Some(plugin) if !host.opens_at_first_packet(plugin) => None,
            Some(_) => {
                let connection = self.connection()?;
                connection.open(host, flow);
                Some(connection)
            }
            None => self.connection(),
        }
    }
}

impl Stream<Host> for Slot {
    #[inline]
    fn reassembled(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        self.renew(host, flow, totals, flow.last_seen);
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

    #[inline]
    fn foresee_behind(&self) {
        if let Kind::Under(connection) = &self.0 {
            connection.foresee_decoder();
        }
    }

    fn idle(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) -> bool {
        self.renew(host, flow, totals, now);
        // Probing does not keep a connection.
        let is_awaited = matches!(self.0, Kind::Idle { candidates, .. } if candidates.only().is_none());
        !is_awaited
            && self.reporting(host, flow).is_some_and(|connection| connection.idle(host, flow, totals, now))
    }
}

impl DatagramStream<Host> for Slot {
    fn datagram(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], received: Received<'_>) {
        self.renew(host, flow, totals, received.seen);
        if let Some(connection) = self.woken(host, flow) {
            connection.datagram(host, flow, totals, received);
        }
    }
}

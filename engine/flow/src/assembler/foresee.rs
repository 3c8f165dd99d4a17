//! Cache misses ahead of time: what the segments of a batch need is looked at before the first of them is assembled.
//!
//! With many connections a segment finds nothing of its own in the cache, and on its way through table, connection and counters each miss
//! waits for the one before it. Here a batch takes each of these steps together: the misses of one step overlap.

use super::connection::{State, of};
use super::pool::NONE;
use super::{Assembler, Stream, StreamFactory};
use crate::packet::Packet;

/// Packets that take a step together.
const TOGETHER: usize = 64;

/// A packet on its way.
#[derive(Clone, Copy)]
struct Seen<'a> {
    packet: Option<&'a Packet>,
    /// Its connection, as far as the table tells.
    connection: u32,
}

impl<F: StreamFactory> Assembler<F> {
    /// Brings into the cache what [`Assembler::assemble`] will want for these packets, and changes nothing. Worth it for batches of parsed
    /// headers when there are many connections. Gives how many of the packets are of connections that are under way.
    #[inline]
    pub fn foresee<'a>(&self, mut packets: impl Iterator<Item = &'a Packet>) -> usize {
        let mut known = 0;
        loop {
            let mut seen = [Seen { packet: None, connection: NONE }; TOGETHER];
            let mut count = 0;
            for (seen, packet) in seen.iter_mut().zip(packets.by_ref()) {
                let connection = self.pool.guess(packet.hash);
                if let Some(connection) = self.pool.connections.get(connection) {
                    sniff_x_prefetch::value(connection);
                }
                *seen = Seen { packet: Some(packet), connection };
                count += 1;
            }
            let Some(seen) = seen.get(..count).filter(|seen| !seen.is_empty()) else { return known };
            known += seen.iter().filter(|seen| self.look(seen)).count();
            for Seen { connection, .. } in seen {
                let connection = self.pool.connections.get(*connection);
                if let Some(stream) = connection.and_then(|connection| connection.stream.as_ref()) {
                    stream.foresee_behind();
                }
            }
        }
    }

    /// Looks at the connection of a packet; whether it is under way.
    fn look(&self, &Seen { packet, connection: guess }: &Seen<'_>) -> bool {
        let (Some(packet), Some(mut connection)) = (packet, self.pool.connections.get(guess)) else {
            return false;
        };
        if connection.flow.key != packet.key {
            // Others may look the same to the table.
            let found = self.pool.find(packet.hash, &packet.key);
            let Some(found) = found.and_then(|index| self.pool.connections.get(index)) else { return false };
            connection = found;
        }
        let direction = connection.flow.direction(packet.sender);
        if let Some(active) = self.pool.actives.get(connection.active) {
            sniff_x_prefetch::value(of(&active.totals, direction));
        }
        if let Some(stream) = &connection.stream {
            stream.foresee();
        }
        connection.state != State::Closed && connection.half(direction).known()
    }
}

//! Cache misses ahead of time: what the segments of a batch need is looked at before the first of them is assembled.
//!
//! With many connections a segment finds nothing of its own in the cache, and on its way through table, connection and counters each miss
//! waits for the one before it. Here a batch takes each of these steps together, so that the misses of one step overlap.

use core::hint::black_box;

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
    /// Its connection, first as far as the table tells.
    connection: u32,
    active: u32,
}

impl<F: StreamFactory> Assembler<F> {
    /// Brings into the cache what [`Assembler::assemble`] will want for these packets, and changes nothing. Worth it for batches of parsed
    /// headers when there are many connections. Gives how many of the packets are of connections that are under way.
    #[inline]
    pub fn foresee<'a>(&self, mut packets: impl Iterator<Item = &'a Packet>) -> usize {
        let mut known = 0;
        loop {
            let mut seen = [Seen { packet: None, connection: NONE, active: NONE }; TOGETHER];
            let mut count = 0;
            for (seen, packet) in seen.iter_mut().zip(packets.by_ref()) {
                *seen = Seen { packet: Some(packet), connection: self.pool.guess(packet.hash), active: NONE };
                count += 1;
            }
            let Some(seen) = seen.get_mut(..count).filter(|seen| !seen.is_empty()) else { return known };
            known += self.look(seen);
        }
    }

    fn look(&self, all: &mut [Seen<'_>]) -> usize {
        let mut known = 0;
        for Seen { packet, connection: index, active } in &mut *all {
            let (Some(packet), Some(guess)) = (packet, self.pool.connections.get(*index)) else { continue };
            // Others may look the same to the table.
            let connection = if guess.flow.key == packet.key {
                guess
            } else {
                *index = self.pool.find(packet.hash, &packet.key).unwrap_or(NONE);
                let Some(found) = self.pool.connections.get(*index) else { continue };
                found
            };
            let half = connection.half(connection.flow.direction(packet.sender));
            if black_box(connection.state != State::Closed && half.known()) {
                known += 1;
                *active = connection.active;
            }
        }
        for Seen { packet, connection, active } in all {
            let (Some(packet), Some(active)) = (packet, self.pool.actives.get(*active)) else { continue };
            let Some(connection) = self.pool.connections.get(*connection) else { continue };
            let totals = of(&active.totals, connection.flow.direction(packet.sender));
            black_box(totals.packets);
            if let Some(stream) = &connection.stream {
                stream.foresee();
            }
        }
        known
    }
}

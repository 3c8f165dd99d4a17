//! What segments tell of the network and of their ends: the handshake's round trips, windows that are closed.

use core::num::NonZeroU64;

use super::connection::{Connection, of_mut};
use super::hand_on::BOTH;
use super::{Assembler, StreamFactory, Totals};
use crate::packet::Segment;
use crate::{Direction, Nanos, OrientedBy};

/// How long after `since` something was seen.
fn after(since: Nanos, seen: Nanos) -> Option<NonZeroU64> {
    NonZeroU64::new(seen.0.checked_sub(since.0)?)
}

/// From SYN to SYN-ACK, where both were seen.
pub(super) fn answer_time<S>(connection: &Connection<S>) -> Option<NonZeroU64> {
    let answered = connection.answered.filter(|_| connection.flow.oriented_by == OrientedBy::Syn)?;
    after(connection.flow.first_seen, Nanos(answered.get()))
}

impl<F: StreamFactory> Assembler<F> {
    /// Takes note of a segment's step in the handshake, if it is one, and of its window.
    /// `opens` when it is the first that is no SYN.
    pub(super) fn note_time(
        &mut self,
        index: u32,
        direction: Direction,
        segment: &Segment,
        opens: bool,
        seen: Nanos,
    ) {
        let Some(connection) = self.pool.connections.get_mut(index) else { return };
        let flags = segment.flags;
        if flags.syn() {
            if flags.ack() && direction == Direction::ToClient && connection.answered.is_none() {
                connection.answered = NonZeroU64::new(seen.0);
            }
            return;
        }
        let answered =
            connection.answered.filter(|_| opens && direction == Direction::ToServer && flags.ack());
        let shut = of_mut(&mut connection.halves, direction).shut(segment.window == 0);
        let at = connection.active;
        let Some(active) = self.pool.actives.get_mut(at) else { return };
        if let Some(answered) = answered {
            of_mut(&mut active.totals, direction).handshake = after(Nanos(answered.get()), seen);
        }
        if shut {
            // The sender's window is the other direction's room.
            let fed = direction.reverse();
            let totals = of_mut(&mut active.totals, fed);
            let since = of_mut(&mut active.stalled_since, fed);
            if segment.window == 0 {
                totals.window_stalls += 1;
                *since = NonZeroU64::new(seen.0);
            } else if let Some(since) = since.take() {
                totals.stalled += seen.0.saturating_sub(since.get());
            }
        }
    }

    /// The connection ends: windows that are closed stay so.
    pub(super) fn end_stalls(&mut self, index: u32) {
        let Some(connection) = self.pool.connections.get(index) else { return };
        let (at, end) = (connection.active, connection.flow.last_seen);
        let Some(active) = self.pool.actives.get_mut(at) else { return };
        for direction in BOTH {
            if let Some(since) = of_mut(&mut active.stalled_since, direction).take() {
                of_mut(&mut active.totals, direction).stalled += end.0.saturating_sub(since.get());
            }
        }
    }
}

/// The totals of a connection that got no further than SYNs.
pub(super) fn before_payload<S>(connection: &Connection<S>) -> [Totals; 2] {
    let [to_server, to_client] =
        connection.packets.map(|packets| Totals { packets: u64::from(packets), ..Totals::default() });
    [to_server, Totals { handshake: answer_time(connection), ..to_client }]
}

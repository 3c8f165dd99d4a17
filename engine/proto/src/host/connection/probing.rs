//! Which of several plugins gets a connection: the one that knows its first bytes.

use super::{Call, Connection, State};
use crate::half::Half;
use crate::{BypassReason, Lost, OpensAt, Probe, Seen};
use sniff_x_flow::Direction;

/// Bytes of each direction that probing may look at before the first remaining candidate gets the connection.
const PROBE_BYTES: usize = 4 << 10;

impl Connection {
    /// Keeps bytes for the probes and asks the candidates. No bytes: there is no more to wait for, the first candidate gets it.
    pub(super) fn probe(
        &mut self,
        call: &mut Call<'_>,
        direction: Direction,
        bytes: &[u8],
        mut candidates: u32,
    ) {
        if !bytes.is_empty() {
            self.half(direction).keep(bytes, call.now, call.host);
        }
        let none = Seen::default();
        let [to_server, to_client] = self.halves.each_ref().map(|h| h.window(&none).bytes);
        let full = bytes.is_empty() || to_server.len().max(to_client.len()) >= PROBE_BYTES;
        let mut chosen = None;
        for index in 0..u32::BITS {
            if candidates & 1 << index == 0 {
                continue;
            }
            match call.host.plugin(index).map_or(Probe::No, |p| p.probe(to_server, to_client)) {
                Probe::No => candidates &= !(1 << index),
                Probe::More => {}
                Probe::Yes { reversed } => {
                    chosen = Some((index, reversed));
                    break;
                }
            }
        }
        if chosen.is_none() && candidates != 0 && (full || candidates.is_power_of_two()) {
            chosen = Some((candidates.trailing_zeros(), false));
        }
        match chosen {
            Some((index, reversed)) => {
                self.reversed = reversed;
                if reversed {
                    self.halves.reverse();
                }
                self.state = State::Claimed(index);
                self.open(call.host, call.flow);
                self.first_data(call, direction);
            }
            None if candidates == 0 => self.bypass(call, BypassReason::NotThisProtocol),
            None => self.state = State::Probing(candidates),
        }
    }

    /// The connection is over before a probe was sure. Without payload it goes to the first candidate that reports on every
    /// connection, as if that had been alone.
    pub(super) fn probing_ends(&mut self, call: &mut Call<'_>, candidates: u32) {
        if self.halves.iter().any(|h| h.kept() > 0) {
            return self.probe(call, Direction::ToServer, &[], candidates);
        }
        let reports = |index: &u32| {
            candidates & 1 << index != 0
                && call.host.plugin(*index).is_some_and(|p| p.about().opens_at == OpensAt::FirstPacket)
        };
        if let Some(index) = (0..u32::BITS).find(reports) {
            self.state = State::Claimed(index);
            self.open(call.host, call.flow);
        }
    }

    /// Gives the decoder what probing kept; what came last, in direction `last`, goes last.
    fn first_data(&mut self, call: &mut Call<'_>, last: Direction) {
        let last = self.direction(last);
        if call.flow.midstream || self.late {
            self.late = false;
            // The gap lies before what was kept, not behind it.
            let kept = self.halves.each_mut().map(Half::take_tail);
            self.lost(call, Direction::ToServer, Lost::Unknown);
            self.lost(call, Direction::ToClient, Lost::Unknown);
            for (half, tail) in self.halves.iter_mut().zip(kept) {
                half.put_tail(tail);
            }
        }
        for direction in [last.reverse(), last] {
            self.kept_data(call, direction);
        }
    }
}

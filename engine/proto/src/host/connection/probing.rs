//! Which of several plugins gets a connection: the one that knows its first bytes.

use super::{Call, Connection, State, half_of};
use crate::{BypassReason, Decode, Lost, OpensAt, Out, Probe};
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
            let half = self.half(direction);
            half.tail.get_or_insert_with(|| call.host.tails.take()).push(bytes, call.now);
        }
        let [to_server, to_client] =
            self.halves.each_ref().map(|h| h.tail.as_ref().map_or(&[][..], |t| t.window().bytes));
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
        if self.halves.iter().any(|h| h.tail.is_some()) {
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
        if call.flow.midstream {
            // The gap lies before what was kept, not behind it.
            let kept = self.halves.each_mut().map(|h| h.tail.take());
            self.lost(call, Direction::ToServer, Lost::Unknown);
            self.lost(call, Direction::ToClient, Lost::Unknown);
            for (half, tail) in self.halves.iter_mut().zip(kept) {
                half.tail = tail;
            }
        }
        for direction in [last.reverse(), last] {
            let State::Decoding(decoder) = &mut self.state else { return };
            let half = half_of(&mut self.halves, direction);
            if let Some(tail) = &half.tail {
                let mut out = Out::new(&mut call.host.arena, call.flow, call.totals, call.now, self.reversed);
                let next = decoder.data(direction, tail.window(), &mut out);
                self.apply_to_tail(call, direction, next);
            }
        }
    }
}

//! Datagrams of a UDP flow: each is a whole message, nothing is kept between them.

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::datagrams::Received;
use sniff_x_flow::{Direction, FlowInfo};

use super::trial::ask;
use super::{Call, Connection, State};
use crate::host::Host;
use crate::window::Seen;
use crate::{Decode, Lost, Next, Out, Window};

impl Connection {
    /// One datagram.
    pub(in crate::host) fn datagram(
        &mut self,
        host: &mut Host,
        flow: &FlowInfo,
        totals: &[Totals; 2],
        received: Received<'_>,
    ) {
        host.now = received.seen;
        let mut call = Call { host, flow, totals, now: received.seen };
        match self.state {
            State::Ignored => return,
            State::Bypassed => {
                call.host.counters.bypassed_bytes += received.bytes.len() as u64;
                return;
            }
            State::Claimed(_) => self.open(call.host, flow),
            State::Awaited => self.put_on_trial(&mut call),
            State::Probing | State::Decoding(_) => {}
        }
        loop {
            if matches!(self.state, State::Probing) {
                self.decide_datagram(&mut call, &received);
            }
            self.set_mark(&call);
            self.deliver(&mut call, &received);
            self.judge(&mut call);
            // Withdrawn: the next plugin gets this one.
            if !matches!(self.state, State::Probing) {
                break;
            }
        }
        self.unasked = self.unasked.saturating_add(received.bytes.len());
        self.charge(&mut call);
    }

    /// Gives the decoder a datagram.
    fn deliver(&mut self, call: &mut Call<'_>, received: &Received<'_>) {
        let Received { direction, bytes, missing, .. } = *received;
        let direction = self.direction(direction);
        let State::Decoding(decoder) = &mut self.state else { return };
        // One without payload was seen at a time, too.
        let seen = Seen::at(call.now, bytes.len().max(1));
        let window = Window::new(bytes, &seen);
        let mut out = Out::new(&mut call.host.arena, call.flow, call.totals, call.now, self.reversed);
        let next = if missing == 0 {
            decoder.datagram(direction, window, &mut out)
        } else {
            call.host.counters.gaps += 1;
            decoder.gap(direction, window, Lost::Bytes(missing.into()), &mut out)
        };
        if let Next::Bypass(reason) = next {
            self.bypass(call, reason);
        }
    }

    /// Which of several plugins gets a flow. The datagram at hand decides: it is a whole message, and waiting for more would keep it from the
    /// decoder. The first plugin that knows it, else the first of those whose rule matches that does not say no.
    fn decide_datagram(&mut self, call: &mut Call<'_>, received: &Received<'_>) {
        let windows = match received.direction {
            Direction::ToServer => [received.bytes, &[]],
            Direction::ToClient => [&[], received.bytes],
        };
        let Some(trial) = &mut self.trial else { return };
        let (known, refused) = ask(call.host, trial.candidates, windows, trial.turned);
        let likely = trial.candidates.named & !refused;
        let default = (likely != 0).then_some((likely.trailing_zeros(), trial.turned));
        match known.or(default) {
            Some((index, reversed)) => {
                self.reversed = reversed;
                self.state = State::Claimed(index);
                self.open(call.host, call.flow);
            }
            None => self.unrecognised(call),
        }
    }
}

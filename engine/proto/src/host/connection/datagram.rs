//! Datagrams of a UDP flow: each is a whole message, nothing is kept between them.

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::datagrams::Received;
use sniff_x_flow::{Direction, FlowInfo};

use super::{Call, Connection, State};
use crate::host::Host;
use crate::window::Seen;
use crate::{BypassReason, Decode, Lost, Next, Out, Probe, Window};

impl Connection {
    /// One datagram.
    pub(in crate::host) fn datagram(
        &mut self,
        host: &mut Host,
        flow: &FlowInfo,
        totals: &[Totals; 2],
        received: Received<'_>,
    ) {
        let Received { direction, bytes, missing, seen } = received;
        host.now = seen;
        let mut call = Call { host, flow, totals, now: seen };
        if let State::Probing(candidates) = self.state {
            self.probe_datagram(&mut call, direction, bytes, candidates);
        }
        match self.state {
            State::Ignored => return,
            State::Bypassed => {
                call.host.counters.bypassed_bytes += bytes.len() as u64;
                return;
            }
            State::Claimed(_) => self.open(call.host, flow),
            State::Probing(_) | State::Decoding(_) => {}
        }
        let direction = self.direction(direction);
        let State::Decoding(decoder) = &mut self.state else { return };
        // One without payload was seen at a time, too.
        let seen = Seen::at(call.now, bytes.len().max(1));
        let window = Window::new(bytes, &seen);
        let mut out = Out::new(&mut call.host.arena, flow, totals, call.now, self.reversed);
        let next = if missing == 0 {
            decoder.datagram(direction, window, &mut out)
        } else {
            call.host.counters.gaps += 1;
            decoder.gap(direction, window, Lost::Bytes(missing.into()), &mut out)
        };
        if let Next::Bypass(reason) = next {
            self.bypass(&mut call, reason);
        }
        self.unasked = self.unasked.saturating_add(bytes.len());
        self.charge(&mut call);
    }

    /// Which of several plugins gets a flow. The first datagram decides: it is a whole message, and waiting for more would keep it from the
    /// decoder. The first plugin that knows it, else the first that does not say no.
    fn probe_datagram(&mut self, call: &mut Call<'_>, direction: Direction, bytes: &[u8], candidates: u32) {
        let (to_server, to_client) = match direction {
            Direction::ToServer => (bytes, &[][..]),
            Direction::ToClient => (&[][..], bytes),
        };
        let mut chosen = None;
        for index in (0..u32::BITS).filter(|index| candidates & 1 << index != 0) {
            match call.host.plugin(index).map_or(Probe::No, |p| p.probe(to_server, to_client)) {
                Probe::No => {}
                Probe::More => chosen = chosen.or(Some((index, false))),
                Probe::Yes { reversed } => {
                    chosen = Some((index, reversed));
                    break;
                }
            }
        }
        match chosen {
            Some((index, reversed)) => {
                self.reversed = reversed;
                self.state = State::Claimed(index);
            }
            None => self.bypass(call, BypassReason::NotThisProtocol),
        }
    }
}

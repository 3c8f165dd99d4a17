//! Which plugin gets a connection: the one that knows its first bytes; and what is done when it turns out that it did not.

use sniff_x_flow::assembler::Reassembly;

use super::log::What;
use super::trial::{Said, Verdict};
use super::{Call, Connection, State};
use crate::Sensitivity;
use crate::event::{Key, Kind};

impl Connection {
    /// The first thing came of a connection that several plugins may get.
    pub(super) fn put_on_trial(&mut self, call: &mut Call<'_>) {
        let mut trial = call.host.trials.take(self.candidates, self.reversed);
        if call.flow.midstream {
            trial.log.joined();
        }
        if self.late {
            trial.log.joined_late(call.now);
        }
        self.trial = Some(trial);
        self.state = State::Probing;
    }

    /// Keeps a chunk as long as it is not sure whose the connection is.
    pub(super) fn keep(&mut self, chunk: &Reassembly<'_>) {
        let Some(trial) = &mut self.trial else { return };
        trial.log.add(chunk);
        if !trial.log.is_whole() && matches!(self.state, State::Decoding(_)) {
            trial.log.forget();
        }
    }

    /// Asks whose the connection is and opens the decoder, which is told what came so far: all of it, or, where `live`, all but the last
    /// chunk. True when that is to be given to the decoder now.
    pub(super) fn decide(&mut self, call: &mut Call<'_>, live: bool, over: bool) -> bool {
        loop {
            let Some(trial) = &mut self.trial else { return false };
            match trial.verdict(call.host, over) {
                Verdict::Wait => return false,
                Verdict::Nobody => {
                    self.unrecognised(call);
                    return false;
                }
                Verdict::Plugin { index, reversed } => {
                    self.reversed = reversed;
                    self.state = State::Claimed(index);
                    self.open(call.host, call.flow);
                    self.replay(call, !live);
                    match self.state {
                        State::Decoding(_) => return live,
                        // Withdrawn again: the next one.
                        State::Probing => {}
                        _ => return false,
                    }
                }
            }
        }
    }

    /// Gives a decoder that was just opened what came before.
    fn replay(&mut self, call: &mut Call<'_>, last: bool) {
        let Some(trial) = &mut self.trial else { return };
        let log = core::mem::take(&mut trial.log);
        let now = call.now;
        for (piece, bytes) in log.pieces(last) {
            call.now = piece.seen;
            self.set_mark(call);
            let direction = self.direction(piece.direction);
            match piece.what {
                What::Gap(lost) => self.lost(call, direction, lost),
                What::Bytes(_) => self.data(call, direction, bytes),
                What::End => self.half_closed(call, direction),
            }
            self.judge(call);
            if !matches!(self.state, State::Decoding(_)) {
                break;
            }
        }
        call.now = now;
        match &mut self.trial {
            Some(trial) => trial.log = log,
            None => call.host.trials.give_back_log(log),
        }
    }

    /// The decoder is called next.
    pub(super) fn set_mark(&mut self, call: &Call<'_>) {
        if let Some(trial) = &mut self.trial {
            trial.mark = call.host.arena.mark();
        }
    }

    /// Judges a decoder on trial by what it said since the mark.
    pub(super) fn judge(&mut self, call: &mut Call<'_>) {
        let (Some(trial), State::Decoding(_)) = (&mut self.trial, &self.state) else { return };
        match trial.said(call.host) {
            Said::Sure => self.acquit(call),
            Said::Enough(before) => self.withdraw(call, before),
            // What is not wanted was decoded all the same.
            Said::Nothing if call.host.arena.withheld_since(trial.mark) => self.acquit(call),
            Said::Strikes(times) => trial.strike(times),
            Said::Nothing => {}
        }
    }

    /// The decoder says that it is not its protocol: how many events it had told before, since the mark; none if it is not on trial, or told something sure.
    pub(super) fn doubted(&self, call: &Call<'_>) -> Option<usize> {
        let trial = self.trial.as_ref()?;
        match trial.said(call.host) {
            Said::Sure => None,
            Said::Enough(before) => Some(before),
            // The last one says so.
            Said::Strikes(_) | Said::Nothing => {
                Some(call.host.arena.since(trial.mark).len().saturating_sub(1))
            }
        }
    }

    /// The plugin keeps the connection.
    pub(super) fn acquit(&mut self, call: &mut Call<'_>) {
        if let Some(trial) = self.trial.take() {
            call.host.trials.give_back(trial);
        }
    }

    /// It was not the plugin's protocol: others get what came so far, if it is still there. The first `kept` events since the mark stay.
    pub(super) fn withdraw(&mut self, call: &mut Call<'_>, kept: usize) {
        let Some(trial) = &mut self.trial else { return };
        // What it did not understand it did not understand because it is none of it.
        call.host.arena.retract(trial.mark, kept);
        let whole = trial.log.is_whole();
        trial.rule_out(self.plugin);
        call.host.counters.withdrawn += 1;
        if let Some(name) = call.host.plugin(self.plugin).map(|p| p.about().name) {
            let now = call.now;
            call.out(self.reversed)
                .event(name, Kind::Notice, now)
                .written(
                    Key::NOTICE,
                    format_args!("this is not {name}: the connection was taken for it"),
                    Sensitivity::Public,
                )
                .emit();
        }
        self.back_on_trial(call);
        if !whole {
            call.host.counters.bypassed_other_protocol += 1;
            self.give_up(call);
        }
    }

    /// The plugin that had the connection has it no more: it is anybody's again, what came is kept.
    pub(in crate::host) fn back_on_trial(&mut self, call: &mut Call<'_>) {
        call.host.counters.decoded = call.host.counters.decoded.saturating_sub(1);
        self.reversed = self.trial.as_ref().is_some_and(|trial| trial.turned);
        for half in &mut self.halves {
            half.reset(call.host);
        }
        self.state = State::Probing;
    }

    /// No plugin knows it.
    pub(in crate::host) fn unrecognised(&mut self, call: &mut Call<'_>) {
        call.host.counters.unrecognised += 1;
        self.give_up(call);
    }

    /// The connection is over before a probe was sure. Without payload it goes to the first plugin whose rule matches that reports on every
    /// connection, as if that had been alone.
    pub(super) fn probing_ends(&mut self, call: &mut Call<'_>) {
        let Some(trial) = &mut self.trial else { return };
        if !trial.log.is_empty() {
            self.decide(call, false, true);
            if matches!(self.state, State::Probing) {
                self.unrecognised(call);
            }
        } else if let Some(index) = trial.reporting(call.host) {
            self.acquit(call);
            self.state = State::Claimed(index);
            self.open(call.host, call.flow);
        }
    }
}

//! Other rules and options while connections are open.
//!
//! [`Host::renew`] takes another set of plugin instances, for a new edition of the rules. Each connection learns of it with its next bytes: a
//! decoder whose plugin still asks for the connection goes on with the new options, one that no rule asks for any more ends, and what nobody
//! asked for before is joined in the middle. Until then a connection costs nothing: a comparison of two numbers.

use std::sync::Arc;

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Direction, End, FlowInfo, Nanos};

use super::connection::trial::Candidates;
use super::connection::{Call, Connection, State};
use super::{ActivePlugin, Host};
use crate::Lost;

impl Host {
    /// From now on these plugins are in force: the same ones in the same order, configured anew.
    pub fn renew(&mut self, plugins: Arc<[ActivePlugin]>) {
        self.plugins = plugins;
        self.edition = self.edition.wrapping_add(1);
    }

    #[inline]
    pub(super) const fn edition(&self) -> u32 {
        self.edition
    }
}

impl Connection {
    /// One that these plugins may get now, and that was open for a while.
    pub(super) fn joined_late(candidates: Candidates, host: &Host, flow: &FlowInfo) -> Self {
        let mut connection = Self::new(candidates, host.edition);
        connection.join_late(host, flow);
        connection
    }

    /// Its plugins get it in the middle, the right way round as far as their ports tell.
    fn join_late(&mut self, host: &Host, flow: &FlowInfo) {
        let mut oriented = *flow;
        host.orient_unsure(&mut oriented, self.candidates);
        self.reversed = oriented.client_side != flow.client_side;
        self.late = true;
        self.state = State::of(self.candidates);
    }

    /// The decoder of a connection that was joined late is told that bytes are missing.
    pub(super) fn tell_late(&mut self, call: &mut Call<'_>) {
        if self.late {
            self.lost(call, Direction::ToServer, Lost::Unknown);
            self.lost(call, Direction::ToClient, Lost::Unknown);
        }
    }

    /// Takes over the new rules and options if there are any.
    #[inline]
    pub(super) fn renew_if_due(
        &mut self,
        host: &mut Host,
        flow: &FlowInfo,
        totals: &[Totals; 2],
        now: Nanos,
    ) {
        if self.edition != host.edition {
            self.renew(&mut Call { host, flow, totals, now });
        }
    }

    #[cold]
    fn renew(&mut self, call: &mut Call<'_>) {
        let edition = call.host.edition;
        let before = self.candidates;
        let candidates = call.host.candidates(&call.flow.key);
        let is_new = candidates.without(before).all() != 0;
        match &mut self.state {
            State::Decoding(decoder) if candidates.all() & 1 << self.plugin != 0 => {
                let renewed = call.host.plugin(self.plugin).is_none_or(|plugin| plugin.renew(decoder));
                if !renewed {
                    return;
                }
                self.renew_trial(candidates);
            }
            State::Decoding(_) => {
                call.host.counters.disclaimed += 1;
                self.disclaim(call, candidates);
            }
            // The probes go on with what is kept, for those that are left.
            State::Probing => match self.renew_trial(candidates) {
                Some(left) if left.all() != 0 => {}
                _ if candidates.all() != 0 => self.unrecognised(call),
                _ => {
                    call.host.counters.disclaimed += 1;
                    self.forget(call);
                }
            },
            State::Awaited | State::Claimed(_) => self.state = State::of(candidates),
            State::Ignored | State::Bypassed if is_new => self.start_anew(call, candidates),
            State::Ignored | State::Bypassed => {}
        }
        self.candidates = candidates;
        self.edition = edition;
    }

    /// The trial, if it is not over, goes on with those that the new rules leave; who they are.
    fn renew_trial(&mut self, candidates: Candidates) -> Option<Candidates> {
        let trial = self.trial.as_mut()?;
        trial.renew(self.candidates, candidates);
        Some(trial.candidates)
    }

    /// The plugin that has the connection may not have it any more. As long as it was on trial others get what came so far.
    fn disclaim(&mut self, call: &mut Call<'_>, candidates: Candidates) {
        let is_whole = self.trial.as_ref().is_some_and(|trial| trial.log.is_whole());
        match self.renew_trial(candidates) {
            Some(left) if is_whole && left.all() != 0 => self.back_on_trial(call),
            _ => {
                self.end(call, End::Evicted);
                self.start_anew(call, candidates);
            }
        }
    }

    /// Whoever had it has it no more.
    fn start_anew(&mut self, call: &mut Call<'_>, candidates: Candidates) {
        self.candidates = candidates;
        self.forget(call);
        self.halves = Default::default();
        self.join_late(call.host, call.flow);
    }
}

//! Other rules and options while connections are open.
//!
//! [`Host::renew`] takes another set of plugin instances, for a new edition of the rules. Each connection learns of it with its next bytes: a
//! decoder whose plugin still asks for the connection goes on with the new options, one that no rule asks for any more ends, and what nobody
//! asked for before is joined in the middle. Until then a connection costs nothing: a comparison of two numbers.

use std::sync::Arc;

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Direction, End, FlowInfo, Nanos};

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
    /// One that these plugins' rules match now, and that was open for a while.
    pub(super) fn joined_late(candidates: u32, host: &Host, flow: &FlowInfo) -> Self {
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
        if core::mem::take(&mut self.late) {
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
        let candidates = call.host.candidates(&call.flow.key);
        let has = |plugin: u32| candidates & 1 << plugin != 0;
        let is_new = candidates & !self.candidates != 0;
        match &mut self.state {
            State::Decoding(decoder) if has(self.plugin) => {
                let renewed = call.host.plugin(self.plugin).is_none_or(|plugin| plugin.renew(decoder));
                if !renewed {
                    return;
                }
                self.candidates = candidates;
            }
            State::Decoding(_) => {
                call.host.counters.disclaimed += 1;
                self.end(call, End::Evicted);
                self.start_anew(call, candidates);
            }
            // The probes go on with what is kept, for those that are left.
            State::Probing(probed) => {
                let left = *probed & candidates | candidates & !self.candidates;
                self.candidates = candidates;
                self.state = if left == 0 { State::Ignored } else { State::Probing(left) };
            }
            State::Claimed(plugin) if has(*plugin) => self.candidates = candidates,
            State::Ignored | State::Bypassed if !is_new => self.candidates = candidates,
            State::Claimed(_) | State::Ignored | State::Bypassed => self.start_anew(call, candidates),
        }
        self.edition = edition;
    }

    /// Whoever had it has it no more.
    fn start_anew(&mut self, call: &mut Call<'_>, candidates: u32) {
        self.candidates = candidates;
        self.forget(call.host);
        self.halves = Default::default();
        self.join_late(call.host, call.flow);
    }
}

//! Stage: bytes in order → decoder.
//!
//! The host stands between the assembler and the decoders of one worker. It chooses the plugin of a connection, keeps the bytes that a
//! decoder has not consumed yet, passes over what it does not want to see, tells it of gaps, and forgets connections that no longer
//! matter. Decoders never buffer unconsumed input; the host never looks into it. Other rules and options can come while connections are
//! open (`renewal`).

mod connection;
mod renewal;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sniff_x_flow::assembler::StreamFactory;
use sniff_x_flow::counters;
use sniff_x_flow::{FlowInfo, FlowKey, Nanos, OrientedBy, Side};

pub use connection::Connection;
use connection::trial::{Candidates, TrialPool};
pub use slot::Slot;

use crate::event::Arena;
use crate::{OpensAt, Plugin};

/// Says of a flow whether it is one of those.
pub type Selects = Box<dyn Fn(&FlowKey) -> bool + Send + Sync>;

/// A configured plugin with the flows that it may get.
pub struct ActivePlugin {
    plugin: Box<dyn Plugin>,
    named: Selects,
    guessing: Selects,
}

impl ActivePlugin {
    /// A plugin that gets the flows that its rule matches (in either direction); where the rules of several do, their probes decide.
    #[must_use]
    pub fn by_rule(plugin: Box<dyn Plugin>, rule: impl Fn(&FlowKey) -> bool + Send + Sync + 'static) -> Self {
        Self { plugin, named: Box::new(rule), guessing: Box::new(|_| false) }
    }

    /// A plugin that gets those of the flows whose first bytes its probe knows.
    #[must_use]
    pub fn by_probe(
        plugin: Box<dyn Plugin>,
        flows: impl Fn(&FlowKey) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { plugin, named: Box::new(|_| false), guessing: Box::new(flows) }
    }

    /// The same, and also any of these flows if its probe knows the first bytes.
    #[must_use]
    pub fn and_by_probe(self, flows: impl Fn(&FlowKey) -> bool + Send + Sync + 'static) -> Self {
        Self { guessing: Box::new(flows), ..self }
    }
}

/// The most plugins that can be active at once: candidates of a connection are a bit set.
pub const MAX_PLUGINS: usize = 32;

counters! {
    /// What the host counted.
    pub struct HostCounters in "decoder" {
        /// Connections that a plugin was chosen for.
        pub decoded,
        /// Connections that are none of any plugin's.
        pub unclaimed,
        /// Connections given up because no plugin's rule asks for them any more, since the rules are others.
        pub disclaimed,
        /// Connections that no plugin knew by their first bytes.
        pub unrecognised,
        /// Connections that a plugin got for their first bytes, wrongly.
        pub withdrawn,
        /// Connections given up because they are encrypted.
        pub bypassed_encrypted,
        /// Connections given up because they are not the plugin's protocol.
        pub bypassed_other_protocol,
        /// Connections given up because nothing can be made of them.
        pub bypassed_undecodable,
        /// Connections given up because a limit was reached.
        pub bypassed_limit,
        /// Bytes of connections that were given up.
        pub bypassed_bytes,
        /// Bytes that decoders asked to pass over.
        pub skipped_bytes,
        /// Gaps that decoders were told of.
        pub gaps,
        /// Messages longer than the limit of kept bytes.
        pub oversized_messages,
        /// Plain bytes that came out of compressed streams.
        pub unpacked_bytes,
        /// Compressed units passed over because too much memory was in use for decompression.
        pub refused_decompressions,
        /// Messages given up because all connections together kept too many bytes.
        pub crowded_out_messages,
    }
}

impl HostCounters {
    /// Connections given up, whatever the reason.
    #[must_use]
    pub fn bypassed(&self) -> u64 {
        self.bypassed_encrypted
            + self.bypassed_other_protocol
            + self.bypassed_undecodable
            + self.bypassed_limit
    }
}

/// What all connections of a worker share: plugins, the arena of events, the pool of kept bytes, counters.
pub struct Host {
    plugins: Arc<[ActivePlugin]>,
    /// Counts the sets of plugins that were in force.
    edition: u32,
    /// Events of the current batch.
    pub arena: Arena,
    /// What was counted.
    pub counters: HostCounters,
    /// Packet time of what was last decoded.
    pub now: Nanos,
    trials: TrialPool,
    /// Bytes that all connections keep, and the most that they may.
    kept: usize,
    max_kept: usize,
}

impl Host {
    /// A host for one worker. `max_message`: bytes of an unfinished message kept per direction. Plugins beyond [`MAX_PLUGINS`] are
    /// never chosen.
    #[must_use]
    pub fn new(plugins: Arc<[ActivePlugin]>, mut arena: Arena, max_message: usize) -> Self {
        arena.stock.max_message = max_message;
        Self {
            plugins,
            edition: 0,
            arena,
            counters: HostCounters::default(),
            now: Nanos(0),
            trials: TrialPool::default(),
            kept: 0,
            max_kept: usize::MAX,
        }
    }

    /// Bounds the bytes of unfinished messages that all connections together keep.
    #[must_use]
    pub fn with_max_kept(mut self, bytes: usize) -> Self {
        self.max_kept = bytes;
        self
    }

    fn plugin(&self, index: u32) -> Option<&dyn Plugin> {
        self.plugins.get(index as usize).map(|a| a.plugin.as_ref())
    }

    /// Whether a plugin wants its decoder with the first packet, payload or not.
    fn opens_at_first_packet(&self, plugin: u32) -> bool {
        self.plugin(plugin).is_some_and(|plugin| plugin.about().opens_at == OpensAt::FirstPacket)
    }

    /// The plugins that may get the flow.
    fn candidates(&self, key: &FlowKey) -> Candidates {
        let mut candidates = Candidates::default();
        for (i, active) in (0..).zip(self.plugins.iter().take(MAX_PLUGINS)) {
            candidates.named |= u32::from((active.named)(key)) << i;
            candidates.guessing |= u32::from((active.guessing)(key)) << i;
        }
        candidates
    }

    /// Turns client and server around when a rule's port says so and nothing surer did.
    fn orient_unsure(&self, flow: &mut FlowInfo, candidates: Candidates) {
        if !matches!(flow.oriented_by, OrientedBy::FirstSender | OrientedBy::LowerPort) {
            return;
        }
        let server = |port: u16| {
            (0..)
                .zip(self.plugins.iter().take(MAX_PLUGINS))
                .any(|(i, a)| candidates.all() & 1 << i != 0 && a.plugin.is_server_port(port))
        };
        let low = server(flow.key.endpoint(Side::Low).port());
        let high = server(flow.key.endpoint(Side::High).port());
        if low != high {
            flow.client_side = if low { Side::High } else { Side::Low };
            flow.oriented_by = OrientedBy::RulePort;
        }
    }
}

impl StreamFactory for Host {
    type Stream = Slot;

    fn new_stream(&mut self, flow: &mut FlowInfo) -> Slot {
        let candidates = self.candidates(&flow.key);
        self.orient_unsure(flow, candidates);
        self.counters.unclaimed += u64::from(candidates.all() == 0);
        Slot::new(candidates, self.edition)
    }
}

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
pub use slot::Slot;

use crate::event::Arena;
use crate::{OpensAt, Plugin};

/// A configured plugin with the rule that it asked for.
pub struct ActivePlugin {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// Whether its rule matches a flow, in either direction.
    pub matches: Box<dyn Fn(&FlowKey) -> bool + Send + Sync>,
}

/// The most plugins that can be active at once: candidates of a connection are a bit set.
pub const MAX_PLUGINS: usize = 32;

counters! {
    /// What the host counted.
    pub struct HostCounters in "decoder" {
        /// Connections that a plugin was chosen for.
        pub decoded,
        /// Connections that no plugin's rule matches.
        pub unclaimed,
        /// Connections given up because no plugin's rule asks for them any more, since the rules are others.
        pub disclaimed,
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

    /// The bit set of plugins whose rule matches the flow.
    fn candidates(&self, key: &FlowKey) -> u32 {
        (0..)
            .zip(self.plugins.iter().take(MAX_PLUGINS))
            .fold(0, |set, (i, active)| if (active.matches)(key) { set | 1 << i } else { set })
    }

    /// Turns client and server around when a rule's port says so and nothing surer did.
    fn orient_unsure(&self, flow: &mut FlowInfo, candidates: u32) {
        if !matches!(flow.oriented_by, OrientedBy::FirstSender | OrientedBy::LowerPort) {
            return;
        }
        let server = |port: u16| {
            (0..)
                .zip(self.plugins.iter().take(MAX_PLUGINS))
                .any(|(i, a)| candidates & 1 << i != 0 && a.plugin.is_server_port(port))
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
        self.counters.unclaimed += u64::from(candidates == 0);
        Slot::new(candidates, self.edition)
    }
}

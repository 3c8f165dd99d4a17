//! The keyed hash of flows.

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use crate::FlowKey;

/// Hashes flow keys with a seed of its own, so that nobody outside can choose tuples that meet in one bucket of the flow
/// table. One hasher serves a whole run: its hash chooses the worker and indexes the worker's table.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    state: SeedableRandomState,
}

impl FlowHasher {
    /// A hasher with a random seed.
    #[must_use]
    pub fn new() -> Self {
        Self { state: SeedableRandomState::random() }
    }

    /// A hasher whose hashes are the same in every run: for tests.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self { state: SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()) }
    }

    /// The hash of a flow; the same for both directions.
    #[must_use]
    #[inline(always)]
    #[expect(
        clippy::manual_hash_one,
        reason = "what the library has becomes a call, where this becomes part of the parser"
    )]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        let mut hasher = self.state.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }
}

impl Default for FlowHasher {
    fn default() -> Self {
        Self::new()
    }
}

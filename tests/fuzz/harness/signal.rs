//! What a run showed that no run before it did: the stand-in for coverage, which stable Rust does not give cheaply.
//!
//! A target notes whatever tells states apart: an event's keys and status, a counter's magnitude, which variant came out. A note and the
//! pair that it makes with the one before it set bits of a map; an input that sets a new bit is worth keeping.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Bits of the map.
const BITS: usize = 1 << 18;

/// The notes of one run.
#[derive(Default)]
pub(crate) struct Signal {
    bits: Vec<u32>,
    before: u64,
}

impl Signal {
    /// Something that tells this run from others; few values, or everything is new.
    pub(crate) fn note(&mut self, what: impl Hash) {
        // Always the same hash for the same value: a random one would make runs differ.
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let here = hasher.finish();
        let pair = here ^ self.before.rotate_left(7);
        self.before = here;
        for hash in [here, pair] {
            self.bits.push((hash % BITS as u64) as u32);
        }
    }

    /// A number, by its magnitude.
    pub(crate) fn count(&mut self, name: &'static str, n: u64) {
        if n > 0 {
            self.note((name, u64::BITS - n.leading_zeros()));
        }
    }

    /// Forgets the run.
    pub(crate) fn clear(&mut self) {
        self.bits.clear();
        self.before = 0;
    }
}

/// What all runs showed.
pub(crate) struct Map {
    words: Vec<u64>,
    set: usize,
}

impl Map {
    pub(crate) fn new() -> Self {
        Self { words: vec![0; BITS / 64], set: 0 }
    }

    /// Takes in a run's notes; whether any was new.
    pub(crate) fn add(&mut self, signal: &Signal) -> bool {
        let before = self.set;
        for &bit in &signal.bits {
            let (word, bit) = (&mut self.words[bit as usize / 64], 1 << (bit % 64));
            self.set += usize::from(*word & bit == 0);
            *word |= bit;
        }
        self.set > before
    }

    /// How many bits are set.
    pub(crate) fn set(&self) -> usize {
        self.set
    }
}

//! Large sets of ports, as the bitmaps that a program looks into.

use crate::ranges::Ranges;

/// A set of ports: a bit for each, in words of 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Vec<u64>);

impl PortSet {
    /// The words of a set.
    pub const WORDS: usize = 1024;

    /// Bit `n % 64` of word `n / 64` says whether port `n` is in it. They are [`Self::WORDS`].
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    fn of(set: &Ranges) -> Self {
        let mut words = vec![0; Self::WORDS];
        for port in set.as_slice().iter().flat_map(|(first, last)| *first..=*last) {
            if let Some(word) = usize::try_from(port / 64).ok().and_then(|index| words.get_mut(index)) {
                *word |= 1 << (port % 64);
            }
        }
        Self(words)
    }
}

/// The sets of one program.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Whether there may be any: else all sets are trees of comparisons.
    allowed: bool,
    list: Vec<Ranges>,
}

/// So many sets a program has in its map at most: 512 KiB.
const MOST: usize = 64;

impl Sets {
    pub(super) const fn new(allowed: bool) -> Self {
        Self { allowed, list: Vec::new() }
    }

    /// Where the set's words start in the map; none if it has to be a tree.
    pub(super) fn place(&mut self, set: &Ranges) -> Option<u32> {
        if !self.allowed {
            return None;
        }
        let index = match self.list.iter().position(|known| known == set) {
            Some(index) => index,
            None if self.list.len() < MOST => {
                self.list.push(set.clone());
                self.list.len() - 1
            }
            None => return None,
        };
        u32::try_from(index * PortSet::WORDS).ok()
    }

    pub(super) fn bitmaps(&self) -> Vec<PortSet> {
        self.list.iter().map(PortSet::of).collect()
    }
}

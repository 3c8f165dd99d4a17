//! Texts that connections have in common: an application prepares the same statements on each connection of its pool.
//!
//! A worker keeps such a text once, however many connections refer to it, so that the texts of a busy pool stay in the cache. The table is a
//! bounded set of places: a text that finds none takes that of one that fewer connections have, which these keep until they let go.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Places, and how many of them a text may be found in.
const PLACES: usize = 512;
const WAYS: usize = 4;
/// Longer texts are not shared: with this a table holds at most 1 MiB that nobody refers to.
const LONGEST: usize = 2 << 10;

/// A worker's shared texts.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// None as long as nobody shares anything.
    places: Vec<Option<Arc<[u8]>>>,
    /// Keyed anew in each run, so that nobody can send texts that all want the same place.
    hasher: RandomState,
}

impl Texts {
    /// The text as others have it, or a copy that others may find.
    pub(crate) fn share(&mut self, text: &[u8]) -> Arc<[u8]> {
        if text.len() > LONGEST {
            return Arc::from(text);
        }
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let hash = usize::try_from(self.hasher.hash_one(text) % (PLACES / WAYS) as u64).unwrap_or(0);
        let places = self.places.chunks_exact_mut(WAYS).nth(hash).unwrap_or_default();
        if let Some(known) = places.iter().flatten().find(|known| ***known == *text) {
            return known.clone();
        }
        let text: Arc<[u8]> = Arc::from(text);
        if let Some(place) = places.iter_mut().min_by_key(|place| place.as_ref().map_or(0, Arc::strong_count))
        {
            *place = Some(text.clone());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_kept_once() {
        let mut texts = Texts::default();
        let one = texts.share(b"select ?");
        for number in 0..100_u32 {
            texts.share(&number.to_le_bytes());
        }
        assert!(Arc::ptr_eq(&one, &texts.share(b"select ?")));
        assert_eq!(&*one, b"select ?");
        let long = [b'x'; LONGEST + 1];
        assert!(!Arc::ptr_eq(&texts.share(&long), &texts.share(&long)));
    }

    #[test]
    fn what_is_in_use_stays_and_the_rest_is_bounded() {
        let mut texts = Texts::default();
        let used = texts.share(b"in use");
        for number in 0..100_000_u32 {
            assert_eq!(&*texts.share(&number.to_le_bytes()), number.to_le_bytes());
        }
        assert!(Arc::ptr_eq(&used, &texts.share(b"in use")));
        let held = texts.places.iter().flatten().count();
        assert!(held <= PLACES, "{held}");
    }
}

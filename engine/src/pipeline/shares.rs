//! Several readers of one file: each reads all of it and takes the flows that are its own.
//!
//! Reading and parsing a frame costs less than handing it to another core, and what a reader has parsed is in its own cache when its worker wants
//! it. So each worker of a file that can be opened again reads for itself. Only the first reader counts frames; none gets far ahead of the
//! others, so that events come about in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Readers for which this is worth their cores' time: with more of them most of what each does is what all do.
pub(super) const MOST: usize = 4;

/// Captured bytes by which a reader may be ahead of the slowest.
const LEAD: u64 = 16 << 20;
/// Between two looks at how far the slowest is.
const NAP: Duration = Duration::from_millis(1);

/// One reader's share of a file. The others go on without it when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    /// How far each reader is, in captured bytes.
    places: Arc<[AtomicU64]>,
    own: usize,
}

/// The shares of so many readers.
pub(super) fn shares(readers: usize) -> Vec<Share> {
    let places: Arc<[AtomicU64]> = (0..readers).map(|_| AtomicU64::new(0)).collect();
    (0..readers).map(|own| Share { places: Arc::clone(&places), own }).collect()
}

impl Share {
    /// How many there are.
    pub(super) fn of(&self) -> usize {
        self.places.len()
    }

    /// The number of the workers whose flows these are.
    pub(super) const fn own(&self) -> usize {
        self.own
    }

    /// Whether what all readers see is counted here.
    pub(super) const fn counts(&self) -> bool {
        self.own == 0
    }

    /// The reader is so far. Waits as long as it is too far ahead of another, unless all shall stop.
    pub(super) fn reach(&self, bytes: u64, stop: &AtomicBool) {
        self.put(bytes);
        let is_ahead =
            || self.places.iter().any(|place| place.load(Ordering::Relaxed).saturating_add(LEAD) < bytes);
        while is_ahead() && !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(NAP);
        }
    }

    fn put(&self, bytes: u64) {
        if let Some(place) = self.places.get(self.own) {
            place.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.put(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_one_that_is_gone_or_when_all_stop() {
        let stop = AtomicBool::new(false);
        let mut shares = shares(2);
        let second = shares.pop().unwrap();
        second.reach(LEAD, &stop);
        let ahead = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| second.reach(LEAD + 1, &stop));
            std::thread::sleep(Duration::from_millis(20));
            let ahead = !waiting.is_finished();
            drop(shares);
            ahead
        });
        assert!(ahead, "it did not wait");
        let stop = AtomicBool::new(true);
        super::shares(2)[1].reach(u64::MAX, &stop);
    }
}

//! What a defragmenter may use, and what it counted.

use core::time::Duration;

use crate::counters;

/// Bounds of a [`Defragmenter`](super::Defragmenter).
#[derive(Clone, Copy, Debug)]
pub struct DefragmentOptions {
    /// How long a datagram waits for its fragments, by packet time; none is what receivers do: 30 s for IPv4 (RFC 791 begins with 15 s, Linux
    /// waits 30), 60 s for IPv6 (RFC 8200, section 4.5).
    pub timeout: Option<Duration>,
    /// Datagrams under way, those that are void included. Above it the oldest goes.
    pub max_datagrams: usize,
    /// Pages of [`PAGE_BYTES`](super::PAGE_BYTES) bytes that hold fragments. Above it the oldest datagram goes.
    pub max_pages: usize,
}

impl Default for DefragmentOptions {
    /// 4,096 datagrams and 8 MiB of fragments.
    fn default() -> Self {
        Self { timeout: None, max_datagrams: 4096, max_pages: 4096 }
    }
}

impl DefragmentOptions {
    pub(super) fn timeout_of(&self, v6: bool) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(if v6 { 60 } else { 30 }))
    }
}

counters! {
    /// Counters of a [`Defragmenter`](super::Defragmenter).
    pub struct DefragmentCounters in "fragments" {
        /// Datagrams that were put together.
        pub reassembled,
        /// Those of them with bytes missing: the snap length had cut a fragment.
        pub cut,
        /// Datagrams that wait for fragments now.
        pub waiting,
        /// Datagrams that are void now, and remembered as such.
        pub void,
        /// Datagrams given up: a fragment was missing for too long.
        pub timed_out,
        /// Datagrams that are void: fragments overlap, or contradict each other on the length.
        pub overlapping,
        /// Datagrams given up because there were too many, or too many bytes of them.
        pub limit,
        /// Fragments that can't be: without bytes, not a multiple of 8 in the middle, beyond 65,535 bytes.
        pub malformed,
        /// Fragments whose bytes had been seen before.
        pub duplicates,
        /// Fragments of datagrams that are void.
        pub refused,
    }
}

//! Stage: groups of the workers → a table on the output, in place of lines.
//!
//! A worker hands on what it counted once a batch, under a lock that nobody holds for long; the writer's thread shows the sum: on a terminal
//! every second in the same place, and once at the end.

use core::time::Duration;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sink::groups::{GroupOptions, Groups};

/// How often the table is shown on a terminal.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// The sum of all workers' groups.
pub(crate) struct Tally {
    options: GroupOptions,
    groups: Mutex<Groups>,
    /// Events that may still be counted: `--count`.
    left: AtomicU64,
}

impl Tally {
    pub(crate) fn new(options: GroupOptions, count: Option<u64>) -> Self {
        let groups = Mutex::new(Groups::new(options.by));
        Self { options, groups, left: AtomicU64::new(count.unwrap_or(u64::MAX)) }
    }

    /// How many of `events` events a worker may count, and whether those were the last.
    pub(crate) fn claim(&self, events: u64) -> (u64, bool) {
        let claimed = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(events)))
            .unwrap_or(0)
            .min(events);
        (claimed, self.left.load(Ordering::Relaxed) == 0)
    }

    /// Adds what a worker counted.
    pub(crate) fn take(&self, groups: &mut Groups) {
        self.groups().take(groups);
    }

    /// Whether the table is shown while it grows.
    pub(crate) const fn is_live(&self) -> bool {
        self.options.terminal.is_some()
    }

    /// Shows the table in place of the `shown` lines that were shown before, whole if it is the `last`; says how many lines it has.
    ///
    /// # Errors
    /// The output failed.
    pub(crate) fn show(&self, to: &mut dyn Write, shown: usize, last: bool) -> io::Result<usize> {
        let size = self.options.terminal.as_ref().and_then(|terminal| terminal.size());
        let mut out = Vec::new();
        if shown > 0 {
            // Up to the first of them, and clear what is below.
            out.extend_from_slice(format!("\x1b[{shown}A\r\x1b[J").as_bytes());
        }
        let lines = self.groups().write(self.options.color, size, last, &mut out);
        to.write_all(&out)?;
        to.flush()?;
        Ok(lines)
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

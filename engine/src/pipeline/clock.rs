//! The one clock of the engine: for the reader, between batches. Everything downstream lives by the frames' timestamps.

use core::time::Duration;
use std::time::{Instant, SystemTime};

use sniff_x_flow::Nanos;

/// The time of day, as live frames are stamped.
#[expect(clippy::disallowed_methods, reason = "this is the one clock; called between batches only")]
pub(crate) fn realtime() -> Nanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Nanos(0) + since
}

/// Measures how long a run goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock; called between batches only")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

//! Where the rules are applied: in the kernel by the prefilter, or else by the engine.

use sniff_x_filter::RuleSet;

use super::socket::Socket;
use crate::{CaptureError, Device, FilterLevel, SourceCounters};

/// The level of filtering of a source's sockets.
pub(super) struct Filtering {
    /// Why the kernel doesn't filter.
    why: String,
    snaplen: u32,
}

impl Filtering {
    pub(super) fn load(_chosen: &[Option<Device>], snaplen: u32) -> Self {
        Self { why: "this build has no prefilter".to_owned(), snaplen }
    }

    pub(super) fn attach(&self, socket: &mut Socket) -> Result<(), CaptureError> {
        if self.snaplen > 0 { socket.keep(self.snaplen) } else { Ok(()) }
    }

    pub(super) fn start(&mut self, _rules: &RuleSet) -> Result<(), CaptureError> {
        Ok(())
    }

    pub(super) fn report(&self) {
        log::info!("filtering in user space: {}", self.why);
    }

    pub(super) fn level(&self) -> FilterLevel {
        FilterLevel::UserSpace
    }

    pub(super) fn count(&self, packets: u64, counters: &mut SourceCounters) {
        counters.received = Some(packets.saturating_sub(counters.duplicates));
        counters.filtered = Some(0);
    }
}

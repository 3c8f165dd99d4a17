//! Other rules while frames come: the program of the rules is replaced, the sockets and their rings stay.
//!
//! With eBPF another program goes into the prefilter's slot, with classic BPF each socket gets another program; the kernel does either
//! between two frames. What no program can be made of is judged by the engine from then on.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sniff_x_filter::RuleSet;

use super::filtering::{Filtering, Level, Unprivileged};
use crate::prefilter::LoadedRules;
use crate::{CaptureError, FilterLevel, RuleSwitch};

/// What the sources of a capture and whoever replaces their rules have in common.
pub(super) struct Shared {
    filtering: Mutex<Filtering>,
    /// [`Filtering::level`], for readers to look at without a lock.
    level: AtomicU8,
}

impl Shared {
    pub(super) fn new(filtering: Filtering) -> Self {
        let level = AtomicU8::new(number(filtering.level()));
        Self { filtering: Mutex::new(filtering), level }
    }

    pub(super) fn filtering(&self) -> MutexGuard<'_, Filtering> {
        self.filtering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn level(&self) -> FilterLevel {
        let level = self.level.load(Ordering::Relaxed);
        LEVELS.into_iter().find(|known| number(*known) == level).unwrap_or(FilterLevel::UserSpace)
    }
}

const LEVELS: [FilterLevel; 3] = [FilterLevel::Ebpf, FilterLevel::Classic, FilterLevel::UserSpace];

const fn number(level: FilterLevel) -> u8 {
    match level {
        FilterLevel::Ebpf => 0,
        FilterLevel::Classic => 1,
        FilterLevel::UserSpace => 2,
    }
}

/// Replaces the rules of a capture's sockets.
pub(super) struct Switch {
    shared: Arc<Shared>,
    prepared: Option<Prepared>,
}

/// What the kernel gets next.
enum Prepared {
    /// A program, and whether the engine has the last word beside it.
    Ebpf(Option<(LoadedRules, bool)>),
    Unprivileged(Unprivileged),
}

impl Switch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, prepared: None }
    }
}

impl RuleSwitch for Switch {
    fn prepare(&mut self, rules: &RuleSet) -> Result<(), CaptureError> {
        self.prepared = None;
        let mut filtering = self.shared.filtering();
        filtering.check(rules)?;
        let prepared = match &filtering.level {
            Level::Ebpf { .. } => Prepared::Ebpf(match filtering.load_rules(rules) {
                Ok(loaded) => loaded,
                // Any other program would be refused, too.
                Err(error @ CaptureError::Permission { .. }) => return Err(error),
                Err(error) => {
                    let all = filtering.load_rules(&RuleSet::default())?;
                    log::info!("filtering in user space, every frame is copied: {error}");
                    all.map(|(everything, _)| (everything, true))
                }
            }),
            Level::Unprivileged(current) => {
                let next = filtering.unprivileged(rules, current.why().to_owned());
                if let (Unprivileged::UserSpace { why }, Unprivileged::Classic { .. }) = (&next, current) {
                    log::info!("filtering in user space, every frame is copied: {why}");
                }
                Prepared::Unprivileged(next)
            }
        };
        drop(filtering);
        self.prepared = Some(prepared);
        Ok(())
    }

    fn commit(&mut self) -> Result<FilterLevel, CaptureError> {
        let mut filtering = self.shared.filtering();
        // After the intake's end the sockets let nothing pass: so it stays.
        if let Some(prepared) = self.prepared.take().filter(|_| !filtering.stopped) {
            match prepared {
                Prepared::Ebpf(loaded) => filtering.put_rules(loaded)?,
                Prepared::Unprivileged(next) => filtering.put_unprivileged(next)?,
            }
        }
        let level = filtering.level();
        self.shared.level.store(number(level), Ordering::Relaxed);
        Ok(level)
    }
}

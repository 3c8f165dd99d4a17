//! What is in force: the plugins with their options, and the rules. It can be replaced while the run goes on.
//!
//! Readers and workers look at one number between batches, never per frame; when it is another one they take the new [`Setup`]. The
//! [`Switch`], in a thread of its own, makes it so, in this order: the kernel's program is made; workers learn what new connections
//! belong to; the kernel goes over to the new rules. So no frame comes to a worker that does not know whose it is. What the kernel let
//! pass by the rules before, and is not read yet, is judged again by the reader.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sniff_x_capture::RuleSwitch;
use sniff_x_filter::{Expression, RuleSet};
use sniff_x_flow::{FlowKey, Nanos, Transport};
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::host::{ActivePlugin, MAX_PLUGINS};

use super::{EngineError, clock};
use crate::config::{self, Chosen};

/// By how much the clock that stamps frames may be behind the one that is read when the kernel goes over to new rules.
const CLOCKS: Duration = Duration::from_secs(1);

/// What may change while a run goes on.
pub struct Change {
    /// The plugins of the run, in their order, configured anew.
    pub plugins: Vec<Chosen>,
    /// The keys of events: those that the run began with and perhaps more.
    pub keys: KeyTable,
    /// `--filter`, frame mode.
    pub filter: Option<Expression>,
}

/// Plugins and rules that are in force together.
pub(crate) struct Setup {
    pub(crate) plugins: Arc<[ActivePlugin]>,
    pub(crate) keys: KeyTable,
    pub(crate) rules: RuleSet,
    /// The plugins' rules, for people: `'tcp port 3306'`.
    pub(crate) wanted: Vec<String>,
    /// What stays the same: the plugins, each with whether it goes by its rule and by its probe.
    run: Vec<(&'static str, bool, bool)>,
}

impl Setup {
    /// Parses the plugins' rules.
    pub(crate) fn new(change: Change) -> Result<Self, EngineError> {
        let Change { plugins, keys, filter } = change;
        if plugins.len() > MAX_PLUGINS {
            return Err(EngineError::TooManyPlugins(plugins.len()));
        }
        let parse = |plugin: &str, rule: String| {
            sniff_x_filter::parse_rule(&rule).map_err(|error| EngineError::Rule {
                plugin: plugin.to_owned(),
                rule,
                error,
            })
        };
        let run = plugins.iter().map(|c| (c.plugin.about().name, c.by_rule, c.by_probe)).collect();
        let asked = config::rules(&plugins);
        let wanted = asked.iter().map(|(_, rule)| format!("'{rule}'")).collect();
        let rules = asked.into_iter().map(|(name, rule)| parse(name, rule)).collect::<Result<_, _>>()?;
        let mut active = Vec::new();
        for Chosen { plugin, by_rule, by_probe } in plugins {
            let own = parse(plugin.about().name, plugin.rule())?;
            // A rule says which transports the plugin knows, even where its ports don't count.
            let [tcp, udp] = [Transport::Tcp, Transport::Udp].map(|t| by_probe && own.may_match_flows_of(t));
            let named = move |key: &FlowKey| by_rule && own.matches_flow(key);
            active.push(ActivePlugin::by_rule(plugin, named).and_by_probe(
                move |key| match key.transport() {
                    Transport::Tcp => tcp,
                    Transport::Udp => udp,
                },
            ));
        }
        Ok(Self { plugins: active.into(), keys, rules: RuleSet { filter, rules }, wanted, run })
    }
}

/// The setup that is in force, for all threads of a run.
pub(crate) struct InForce {
    /// Counts the setups.
    number: AtomicU64,
    setup: Mutex<Arc<Setup>>,
    /// Frames from before this packet time may have passed by other rules.
    doubtful_until: AtomicU64,
}

impl InForce {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            number: AtomicU64::new(0),
            setup: Mutex::new(Arc::new(setup)),
            doubtful_until: AtomicU64::new(0),
        })
    }

    pub(crate) fn setup(&self) -> Arc<Setup> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a frame of this time may have passed by rules that are in force no more.
    pub(crate) fn is_doubtful(&self, time: Nanos) -> bool {
        time.0 < self.doubtful_until.load(Ordering::Relaxed)
    }

    fn put(&self, setup: Arc<Setup>) {
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = setup;
        // Whoever sees the number finds the setup.
        self.number.fetch_add(1, Ordering::Release);
    }
}

/// One thread's view of what is in force.
#[derive(Clone)]
pub(crate) struct Watch {
    in_force: Arc<InForce>,
    seen: u64,
}

impl Watch {
    pub(crate) fn new(in_force: &Arc<InForce>) -> Self {
        Self { in_force: Arc::clone(in_force), seen: 0 }
    }

    /// The setup, if it is another one than when this was last asked. One load if it is not.
    #[inline]
    pub(crate) fn news(&mut self) -> Option<Arc<Setup>> {
        let number = self.in_force.number.load(Ordering::Acquire);
        if number == self.seen {
            return None;
        }
        self.seen = number;
        Some(self.in_force.setup())
    }

    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }
}

/// Replaces the rules and the plugins' options of a run. Whoever has it calls it from one thread, which with eBPF needs CAP_BPF;
/// nothing else of a run does once the sources are open.
pub struct Switch {
    in_force: Arc<InForce>,
    /// None where the rules are applied by the engine alone.
    kernel: Option<Box<dyn RuleSwitch>>,
}

impl Switch {
    pub(crate) fn new(in_force: Arc<InForce>, kernel: Option<Box<dyn RuleSwitch>>) -> Self {
        Self { in_force, kernel }
    }

    /// Puts a change in force. Nothing stops for it and no frame is lost that the rules before and after let pass; connections that are
    /// still asked for go on, with the new options.
    ///
    /// # Errors
    /// It can't be put in force; what was stays.
    pub fn apply(&mut self, change: Change) -> Result<(), EngineError> {
        let before = self.in_force.setup();
        let setup = Arc::new(Setup::new(change)?);
        if setup.run != before.run {
            return Err(EngineError::OtherPlugins);
        }
        if let Some(kernel) = &mut self.kernel {
            kernel.prepare(&setup.rules)?;
            self.in_force.doubtful_until.store(u64::MAX, Ordering::Relaxed);
        }
        self.in_force.put(setup);
        if let Some(kernel) = &mut self.kernel {
            let committed = kernel.commit();
            if committed.is_err() {
                self.in_force.put(before);
            }
            let now = clock::realtime() + CLOCKS;
            self.in_force.doubtful_until.store(now.0, Ordering::Relaxed);
            log::debug!("filtering {}", committed?);
        }
        Ok(())
    }
}

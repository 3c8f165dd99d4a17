//! SIGHUP: the file of `--config` is read again, and what can change at run time changes.
//!
//! It is the work of one thread, the only one that keeps the capability to load programs into the kernel. What can't change is told and stays,
//! a file with a mistake changes nothing, and each of these is one line of the log.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use caps::Capability;
use clap::{Arg, ArgMatches, Command};
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::{Handle, Signals};
use sniff_x_engine::{Change, Switch};
use sniff_x_proto::event::KeyTable;

use crate::failure::Failure;
use crate::invocation::{Fixed, Invocation};
use crate::{config, options, privileges};

/// What the thread keeps, if the process had it: to load programs, and to read the file again wherever it lies.
const KEPT: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_DAC_READ_SEARCH];

/// Waits for SIGHUP from its creation on.
pub(crate) struct Reload {
    handle: Handle,
    state: Mutex<State>,
}

enum State {
    /// The sources are not open yet.
    Waiting(Box<(Signals, Renewal)>),
    Running(JoinHandle<()>),
    Over,
}

/// What reading again needs to know.
pub(crate) struct Renewal {
    /// The command line, which wins over the file.
    arguments: Vec<OsString>,
    has_file: bool,
    fixed: Fixed,
    keys: KeyTable,
    command: Command,
    /// The options of the start; those that can't change are in force.
    started: ArgMatches,
    /// The options that were given last; those that can change are in force.
    current: ArgMatches,
}

impl Renewal {
    /// Of a run that begins with these arguments, which came to this; `keys` are those of its events.
    pub(crate) fn new(arguments: &[OsString], of: &Invocation, keys: KeyTable) -> Self {
        Self {
            arguments: arguments.to_vec(),
            has_file: of.file.is_some(),
            fixed: of.fixed.clone(),
            keys,
            command: of.command.clone(),
            started: of.matches.clone(),
            current: of.matches.clone(),
        }
    }
}

impl Reload {
    /// From now on SIGHUP does not end the process.
    pub(crate) fn new(renewal: Renewal) -> io::Result<Arc<Self>> {
        let signals = Signals::new([SIGHUP])?;
        let handle = signals.handle();
        let state = Mutex::new(State::Waiting(Box::new((signals, renewal))));
        Ok(Arc::new(Self { handle, state }))
    }

    /// The sources are open: starts the thread, which has given up what it does not keep when this returns. Whoever calls it has not given up its
    /// own capabilities yet.
    pub(crate) fn start(&self, mut switch: Switch) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Waiting(waiting) = std::mem::replace(&mut *state, State::Over) else { return };
        let (mut signals, mut renewal) = *waiting;
        // Nothing is sent: it closes when the thread has given up what it does not keep.
        let (given_up, wait) = std::sync::mpsc::channel::<()>();
        let work = move || {
            if let Some(left) = privileges::drop_capabilities(if renewal.has_file { &KEPT } else { &[] }) {
                log::debug!("the thread that reads --config again keeps {left:?}");
            }
            drop(given_up);
            for _ in signals.forever() {
                renewal.hang_up(&mut switch);
            }
        };
        match Builder::new().name("control".to_owned()).spawn(work) {
            Ok(thread) => {
                let _ = wait.recv();
                *state = State::Running(thread);
            }
            Err(error) => log::warn!("SIGHUP will be ignored: starting a thread: {error}"),
        }
    }

    /// The run is over.
    pub(crate) fn end(&self) {
        self.handle.close();
        let state =
            std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Over);
        if let State::Running(thread) = state {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

impl Renewal {
    fn hang_up(&mut self, switch: &mut Switch) {
        if !self.has_file {
            log::warn!("SIGHUP: there is no --config FILE to read again, all stays as it is");
            return;
        }
        match self.again(switch) {
            Ok(changed) if changed.is_empty() => {
                log::info!("SIGHUP: --config was read again, nothing changed")
            }
            Ok(changed) => log::info!("SIGHUP: --config was read again, changed: {}", changed.join(", ")),
            Err(failure) => log::error!("SIGHUP: {}; all stays as it was", failure.in_short()),
        }
    }

    /// Reads and applies; the names of what changed.
    fn again(&mut self, switch: &mut Switch) -> Result<Vec<String>, Failure> {
        let mut stays = Vec::new();
        let mut read =
            Invocation::again(&self.arguments, &self.fixed, self.keys.clone(), &mut |name, value| {
                stays.push((name.to_owned(), value));
            })?;
        let (changed, fixed) = self.compare(&read.matches);
        stays.extend(fixed);
        let filter = config::filter(&read.matches)?;
        // Whatever the file says now: what was promised at the start holds to the end.
        if self.started.get_flag("redact") {
            config::check_redaction(&read.matches, &read.plugins, false)?;
        }
        config::configure(&read.matches, Some(&self.started), &mut read.plugins)?;
        let keys = read.catalog.keys;
        let change = Change { plugins: read.plugins, keys: keys.clone(), filter };
        switch.apply(change).map_err(crate::run::failed)?;
        for (name, value) in stays {
            let value = if value.is_empty() { "as it was".to_owned() } else { format!("'{value}'") };
            log::warn!("SIGHUP: {name} can't change while it runs, it stays {value}");
        }
        self.keys = keys;
        self.current = read.matches;
        Ok(changed)
    }

    /// What differs: the names of what changes, and those of what stays, each with its value.
    fn compare(&self, new: &ArgMatches) -> (Vec<String>, Vec<(String, String)>) {
        let (mut changed, mut fixed) = (Vec::new(), Vec::new());
        for arg in self.command.get_arguments().filter(|arg| arg.get_id() != "plugin") {
            let name = || arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
            let is_changeable = is_changeable(arg);
            let old = if is_changeable { &self.current } else { &self.started };
            let (old, new) = (values(old, arg), values(new, arg));
            if old == new {
                continue;
            }
            if is_changeable {
                changed.push(name());
            } else {
                let shown: Vec<_> = old.iter().map(|value| value.to_string_lossy()).collect();
                fixed.push((name(), shown.join(", ")));
            }
        }
        (changed, fixed)
    }
}

/// Whether a run can go on with another value.
fn is_changeable(arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    id == "filter" || options::is_of_plugin(arg) && !options::FIXED.contains(&id)
}

fn values(matches: &ArgMatches, arg: &Arg) -> Vec<OsString> {
    let raw = matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
    raw.into_iter().flatten().map(ToOwned::to_owned).collect()
}

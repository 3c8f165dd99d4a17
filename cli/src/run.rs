//! The program from its arguments to its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use caps::Capability;
use sniff_x_capture::CaptureError;
use sniff_x_engine::{Config, Control, EngineError, Input};

use crate::failure::{Failure, say};
use crate::invocation::Invocation;
use crate::progress::{self, Progress};
use crate::reload::{Reload, Renewal};
use crate::{config, dump, information, logging, privileges, summary};

/// Does what `arguments` (with the program's name) say.
pub(crate) fn program(arguments: &[OsString]) -> Result<(), Failure> {
    let mut invocation = Invocation::new(arguments)?;
    let matches = &invocation.matches;
    let quiet = matches.get_flag("quiet");
    logging::start(matches.get_count("verbose"), quiet, matches.contains_id("stats-interval"));

    let shown = information::show(matches, &mut invocation.catalog)?;
    for problem in &invocation.catalog.problems {
        log::error!("{problem}");
    }
    if shown || dump::show(matches, &mut invocation.plugins)? {
        return Ok(());
    }
    let stats_file = matches.get_one::<PathBuf>("stats-file").cloned();
    let keys = invocation.catalog.keys.clone();
    let renewal = Renewal::new(arguments, &invocation, keys.clone());
    let config = config::build(matches, invocation.plugins, keys)?;
    config::check_files(&config, stats_file.as_deref())?;
    run(config, renewal, stats_file, quiet)
}

/// Runs the engine with signals, progress and summary around it.
fn run(config: Config, renewal: Renewal, stats_file: Option<PathBuf>, quiet: bool) -> Result<(), Failure> {
    // Created before capabilities are given up, and before an hour of capture that could not be summed up.
    let stats = stats_file.map(|path| {
        let file = File::create(&path).with_context(|| path.display().to_string());
        file.map(|file| (path, file))
    });
    let stats = stats.transpose()?;

    // Root writes where it likes: files of --dump are still to be made, perhaps in another user's folder.
    let kept: &[_] = if config.dump.is_some() { &[Capability::CAP_DAC_OVERRIDE] } else { &[] };
    let reload = Reload::new(renewal).context("signals")?;
    let on_open = {
        let reload = Arc::clone(&reload);
        move |switch| {
            reload.start(switch);
            // By now the other thread has done so.
            if let Some(left) = privileges::drop_capabilities(kept) {
                log::debug!("capabilities given up, but for {left:?}");
            }
        }
    };
    let control = Control { on_open: Some(Arc::new(on_open)), ..Control::default() };
    stop_on_signals(&control).context("signals")?;
    let is_file = matches!(config.input, Input::File(_));
    let progress = (is_file && !quiet && progress::is_wanted()).then(|| Progress::of(&control));

    let mut counters = Vec::new();
    let result = sniff_x_engine::run(config, &control, |summary| counters = summary.counters());
    reload.end();
    drop(progress);
    if !quiet && !counters.is_empty() {
        say(&summary::block(&counters));
    }
    // What was counted before a failure is worth knowing, too.
    let written = match stats {
        Some((path, file)) => {
            summary::write_json(&counters, file).with_context(|| path.display().to_string())
        }
        None => Ok(()),
    };
    result.map_err(failed)?;
    Ok(written?)
}

/// The first SIGINT or SIGTERM stops the intake, the second ends the process at once.
fn stop_on_signals(control: &Control) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    const INTERRUPTED: i32 = 130;

    // Not `control.stop` itself, which the engine sets too.
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In the order in which they are called: the first signal finds `seen` unset.
        flag::register_conditional_shutdown(signal, INTERRUPTED, seen.clone())?;
        flag::register(signal, seen.clone())?;
        flag::register(signal, control.stop.clone())?;
    }
    Ok(())
}

/// What the user can do about the engine's error decides how it is told.
pub(crate) fn failed(error: EngineError) -> Failure {
    match error {
        EngineError::Capture(CaptureError::Permission { .. }) => {
            Failure::Run(anyhow::anyhow!("{error}\n  {}", privileges::how_to_grant()))
        }
        EngineError::Capture(CaptureError::UnknownInterface { name, existing }) => {
            Failure::Usage(config::unknown_interface(&name, &existing))
        }
        EngineError::Capture(CaptureError::Config(message)) => Failure::Usage(message),
        EngineError::Output(error) | EngineError::File { error, .. }
            if error.kind() == ErrorKind::BrokenPipe =>
        {
            Failure::Run(error.into())
        }
        EngineError::TooManyPlugins(_) => Failure::Usage(error.to_string()),
        error => Failure::Run(error.into()),
    }
}

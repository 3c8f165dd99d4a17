//! The program from its arguments to its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::error::{ContextKind, ErrorKind as Wrong};
use sniff_x_capture::CaptureError;
use sniff_x_engine::{Config, Control, EngineError, Input};
use sniff_x_plugin::PluginPath;
use sniff_x_proto::About;

use crate::catalog::{Catalog, abouts_of};
use crate::failure::{Failure, say};
use crate::file::ConfigFile;
use crate::progress::{self, Progress};
use crate::scan::scan;
use crate::{args, config, dump, information, logging, options, privileges, summary};

/// Does what `arguments` (with the program's name) say.
pub(crate) fn program(arguments: Vec<OsString>) -> Result<(), Failure> {
    let own = args::own();
    let first_look = scan(&own, arguments.get(1..).unwrap_or_default());
    let file = first_look.config.as_deref().map(ConfigFile::read).transpose()?;
    let mut folders = first_look.plugin_dirs;
    let mut named = first_look.plugins;
    let mut arguments = arguments;
    if let Some(file) = &file {
        folders.extend(file.plugin_dirs()?);
        if named.is_none()
            && let Some(plugins) = file.plugins()?
        {
            arguments.insert(1.min(arguments.len()), plugins.clone().into());
            named = Some(plugins);
        }
    }
    let mut catalog = Catalog::new(own, PluginPath::from_environment(&folders));
    let mut plugins = match &named {
        Some(named) => catalog.choose(named)?,
        None => Vec::new(),
    };

    let command = options::with_plugins(&abouts_of(&plugins));
    let parse = |arguments: &[OsString]| {
        command.clone().try_get_matches_from(arguments).map_err(|e| wrong(e, &abouts_of(&plugins)))
    };
    let mut matches = parse(&arguments)?;
    if let Some(file) = &file {
        arguments.extend(file.arguments(&command, &matches, &abouts_of(&plugins), &catalog.names())?);
        matches = parse(&arguments)?;
    }
    let quiet = matches.get_flag("quiet");
    logging::start(matches.get_count("verbose"), quiet, matches.contains_id("stats-interval"));

    let shown = information::show(&matches, &mut catalog)?;
    for problem in &catalog.problems {
        log::error!("{problem}");
    }
    if shown || dump::show(&matches, &mut plugins)? {
        return Ok(());
    }
    let stats_file = matches.get_one::<PathBuf>("stats-file").cloned();
    let config = config::build(&matches, plugins, catalog.keys)?;
    config::check_files(&config, stats_file.as_deref())?;
    run(config, stats_file, quiet)
}

/// clap's error with what it can't know: the options of the plugins.
fn wrong(mut error: clap::Error, plugins: &[&About]) -> Failure {
    // "To pass it as a value, use --": no plugin has a name with a dash in front.
    error.remove(ContextKind::Suggested);
    let more = match error.kind() {
        Wrong::UnknownArgument if plugins.is_empty() => {
            "Options of a plugin stand behind its name: sniff-x --iface eth0 mysql -p 3307".into()
        }
        Wrong::UnknownArgument => {
            plugins.iter().map(|about| options::listed(about)).collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    };
    Failure::Clap { error: Box::new(error), more }
}

/// Runs the engine with signals, progress and summary around it.
fn run(config: Config, stats_file: Option<PathBuf>, quiet: bool) -> Result<(), Failure> {
    // Created before capabilities are given up, and before an hour of capture that could not be summed up.
    let stats = stats_file.map(|path| {
        let file = File::create(&path).with_context(|| path.display().to_string());
        file.map(|file| (path, file))
    });
    let stats = stats.transpose()?;

    let writes_files = config.dump.is_some();
    let on_open = move || privileges::drop_capabilities(writes_files);
    let control = Control { on_open: Some(Arc::new(on_open)), ..Control::default() };
    stop_on_signals(&control).context("signals")?;
    let is_file = matches!(config.input, Input::File(_));
    let progress = (is_file && !quiet && progress::is_wanted()).then(|| Progress::of(&control));

    let mut counters = Vec::new();
    let result = sniff_x_engine::run(config, &control, |summary| counters = summary.counters());
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
fn failed(error: EngineError) -> Failure {
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

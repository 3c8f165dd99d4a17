//! The log's backend: lines on standard error. Everything below cli only knows the crate `log`.

use std::io::Write;

use log::{Level, LevelFilter};

/// Starts the log at the level that `-v` and `-q` ask for, and with the pipeline's counters (`--stats-interval`) where those are
/// wanted; RUST_LOG overrides both.
pub(crate) fn start(verbose: u8, quiet: bool, counters: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, 2) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level);
    if counters {
        builder.filter_module("sniff_x_engine::pipeline", level.max(LevelFilter::Info));
    }
    let started = builder
        .parse_default_env()
        .format(|out, record| {
            let style = out.default_level_style(record.level());
            let level = match record.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                Level::Info => "info",
                Level::Debug => "debug",
                Level::Trace => "trace",
            };
            writeln!(out, "sniff-x: {style}{level}{style:#}: {}", record.args())
        })
        .try_init();
    if let Err(error) = started {
        crate::failure::say(&format!("sniff-x: no log: {error}\n"));
    }
}

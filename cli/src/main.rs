//! The sniff-x program: arguments → configuration → run → exit code.
//!
//! Events go to standard output, all else to standard error. Exit code: 0 done, 1 failed while running, 2 wrong usage, 130 on the
//! second interrupt.
#![forbid(unsafe_code)]

mod args;
mod catalog;
mod config;
mod dump;
mod failure;
mod file;
mod information;
mod invocation;
mod logging;
mod names;
mod options;
mod privileges;
mod progress;
mod reload;
mod run;
mod scan;
mod summary;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    match run::program(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

//! The command line: what `cargo test` passes to every test program, and our own.

use std::path::PathBuf;
use std::time::Duration;

use crate::Target;

/// What to do.
pub(crate) struct Arguments {
    pub(crate) targets: Vec<&'static Target>,
    /// Time for each target.
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    /// Run this input once instead.
    pub(crate) input: Option<PathBuf>,
    /// Only name the targets.
    pub(crate) list: bool,
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    let hex = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
    hex.unwrap_or_else(|| text.parse()).map_err(|error| format!("{name} {text}: {error}"))
}

fn variable(name: &str, otherwise: u64) -> Result<u64, String> {
    std::env::var(name).map_or(Ok(otherwise), |text| number(name, &text))
}

/// Reads the command line and the environment.
pub(crate) fn read() -> Result<Arguments, String> {
    let mut seconds = variable("SNIFFX_FUZZ_SECONDS", 1)?;
    let mut seed = variable("SNIFFX_FUZZ_SEED", 1)?;
    let (mut only, mut input, mut list, mut none) = (None, None, false, false);
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--target" => only = Some(value()?),
            "--seconds" => seconds = number("--seconds", &value()?)?,
            "--seed" => seed = number("--seed", &value()?)?,
            "--input" => input = Some(PathBuf::from(value()?)),
            "--list" => list = true,
            // What libtest knows and `cargo test` is often given.
            "--ignored" => none = true,
            "--skip" => skipped.push(value()?),
            "--test-threads" | "--format" | "--color" => drop(value()?),
            option if option.starts_with('-') => {}
            filter => wanted.push(filter.to_owned()),
        }
    }
    let is_wanted = |target: &&Target| {
        let named = |names: &[String]| names.iter().any(|name| target.name.contains(name.as_str()));
        match &only {
            Some(name) => target.name == name,
            None => !none && (wanted.is_empty() || named(&wanted)) && !named(&skipped),
        }
    };
    let targets: Vec<_> = crate::targets().filter(is_wanted).collect();
    let names = || crate::targets().map(|target| target.name).collect::<Vec<_>>().join(", ");
    if let Some(name) = only
        && targets.is_empty()
    {
        return Err(format!("no target '{name}'; there are: {}", names()));
    }
    if input.is_some() && targets.len() != 1 {
        return Err(format!("--input is for one target; there are: {}", names()));
    }
    Ok(Arguments { targets, time: Duration::from_secs(seconds), seed, input, list })
}

//! `cargo xtask fuzz`: runs the fuzz targets (`tests/fuzz`), all or one, for as long as is wanted.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// What to fuzz.
#[derive(Args, Clone, Debug)]
pub(crate) struct Fuzz {
    /// The target; all of them without it
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed tries the same inputs
    #[arg(long, default_value = "1")]
    seed: String,
    /// Run this input once instead
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

impl Fuzz {
    pub(crate) fn run(&self) -> Result<()> {
        let mut command = Command::new("cargo");
        // As CI does: the whole workspace's selection of features, so that nothing is built twice.
        command.args(["test", "--quiet", "--workspace", "--locked", "--test", "fuzz", "--"]);
        command.args(["--seconds", &self.seconds.to_string(), "--seed", &self.seed]);
        if let Some(target) = &self.target {
            command.args(["--target", target]);
        }
        if let Some(input) = &self.input {
            // Tests run in another folder.
            let input = input.canonicalize().with_context(|| input.display().to_string())?;
            command.arg("--input").arg(input);
        }
        ensure!(command.status()?.success(), "fuzzing found something, or could not run");
        Ok(())
    }
}

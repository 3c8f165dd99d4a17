//! What a run comes to, for people: how much was tried, and a failing input with what repeats it.

use std::path::{Path, PathBuf};

use super::trial::Wrong;
use crate::Target;

/// What fuzzing a target came to.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) executions: u64,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) seeds: usize,
    pub(crate) kept: usize,
    pub(crate) signals: usize,
    pub(crate) failure: Option<Failure>,
}

/// An input that a target panics on.
pub(crate) struct Failure {
    pub(crate) wrong: Wrong,
    pub(crate) input: Vec<u8>,
}

/// Where inputs are left: cargo's folder for what tests write.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("the folder of inputs");
    folder
}

/// How to run an input again.
pub(crate) fn repeat(target: &Target, file: &Path) -> String {
    format!("cargo xtask fuzz {} --input {}", target.name, file.display())
}

impl Report {
    /// Prints what was done; whether it was all right.
    pub(crate) fn print(&self, target: &Target) -> bool {
        println!(
            "fuzz {:<13} {:>9} executions in {} s, seed {:#x}, {} seeds, {} inputs kept, {} signals: {}",
            target.name,
            self.executions,
            self.seconds,
            self.seed,
            self.seeds,
            self.kept,
            self.signals,
            if self.failure.is_some() { "FAILED" } else { "ok" }
        );
        if let Some(failure) = &self.failure {
            failure.print(target);
        }
        self.failure.is_none()
    }
}

impl Failure {
    fn print(&self, target: &Target) {
        const SHOWN: usize = 4096;
        let name = format!("{}-failed-{:08x}", target.name, sum(&self.input));
        let file = folder().join(name);
        std::fs::write(&file, &self.input).expect("the input is written");
        let shown = &self.input[..self.input.len().min(SHOWN)];
        let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = if shown.len() < self.input.len() { " …" } else { "" };
        println!("  {}: {}", self.wrong.place, self.wrong.message);
        println!("  input, {} bytes: {hex}{more}", self.input.len());
        println!("  again: {}", repeat(target, &file));
    }
}

/// FNV-1a: a name for the file.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

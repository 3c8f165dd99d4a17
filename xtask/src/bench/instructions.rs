//! `cargo xtask bench --instructions`: instructions that each part of the engine takes, counted by callgrind. They repeat where time does not:
//! on a busy machine, from one day to the next.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::{Cell, Report, Table};
use super::{parts, quick, workspace};

/// What to count, with which build of this program.
#[derive(Default)]
pub(super) struct Plan {
    /// Parts whose names contain this; all without it.
    pub(super) filter: Option<&'static str>,
    /// This program as it is, else an optimised one is built.
    pub(super) as_built: bool,
}

/// Counts and reports; false where valgrind is missing.
pub(super) fn run(plan: &Plan, json: Option<&Path>) -> Result<bool> {
    let mut report = Report::new(json);
    let counted = measure(plan, &mut report)?;
    report.finish()?;
    Ok(counted)
}

pub(super) fn measure(plan: &Plan, report: &mut Report) -> Result<bool> {
    if !quick::is_installed("valgrind") {
        quick::skip("valgrind is not installed (Debian package valgrind)")?;
        return Ok(false);
    }
    let program = if plan.as_built { std::env::current_exe()? } else { build(&workspace())? };
    let mut table = Table::new("instructions, counted by callgrind", &["part", "items", "instructions/item"]);
    for name in parts::names().filter(|name| plan.filter.is_none_or(|filter| name.contains(filter))) {
        let (items, instructions) = count(&program, name)?;
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let each = instructions as f64 / items.max(1) as f64;
        table.row(vec![name.into(), items.into(), Cell::Number(each, 1)]);
    }
    report.table(&table)?;
    Ok(true)
}

/// The optimised xtask of the workspace in `folder`.
fn build(folder: &Path) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--locked", "--package", "xtask"]).current_dir(folder);
    ensure!(command.status()?.success(), "building xtask failed");
    Ok(folder.join("target/release/xtask"))
}

/// Items of a part's run, and instructions of it.
fn count(program: &Path, name: &str) -> Result<(u64, u64)> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*bench*parts*counted*",
        ])
        .arg(program)
        .args(["bench", "parts", "--once", name])
        .output()
        .context("valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind of '{name}': {told}");
    let items = String::from_utf8_lossy(&output.stdout).trim().parse().context("no number of items")?;
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, instructions) =
        collected.with_context(|| format!("callgrind of '{name}' counted nothing: {told}"))?;
    let instructions = instructions.trim().parse().context("not a count")?;
    ensure!(instructions > 0, "callgrind did not see '{name}'");
    Ok((items, instructions))
}

//! `cargo xtask bench --quick`: a little of every benchmark, to see that it works. Nothing depends on how fast it goes.
//!
//! What can't run here prints `skipped:` and why; with `SNIFFX_REQUIRE=all` in the environment that is a failure.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::blocks::Blocks;
use super::instructions::{self, Plan};
use super::latency::Latency;
use super::live::{self, Live};
use super::offline::Offline;
use super::peers::Peers;
use super::report::Report;
use super::send::Way;
use super::traffic::Load;
use super::{compare, parts, workspace};

/// Says why something does not run.
#[expect(clippy::print_stderr, reason = "part of the report, not of the tables")]
pub(super) fn skip(reason: &str) -> Result<()> {
    if std::env::var_os("SNIFFX_REQUIRE").is_some_and(|required| required == "all") {
        bail!("required, but can't run: {reason}");
    }
    eprintln!("skipped: {reason}");
    Ok(())
}

/// Whether a program is there.
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

pub(super) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut report = Report::new(Some(&folder.path().join("report.json")));
    let offline = Offline::smoke();
    offline.measure(&mut report)?;
    for load in [Load::Size(64), Load::Imix, Load::Mysql] {
        Blocks::smoke(load, false).measure(&mut report)?;
    }
    let own = sniff_x()?;
    Peers::smoke(Load::Mysql, own.clone()).measure(&mut report)?;
    compare::measure(&own, &own, "the same", &offline, &mut report)?;
    parts::smoke()?;
    instructions::measure(&Plan { filter: Some("packet: 60 bytes"), as_built: true }, &mut report)?;
    if nix::unistd::geteuid().is_root() {
        for (way, load) in
            [(Way::TxRing, Load::Size(64)), (Way::LiveFrames, Load::Imix), (Way::LiveFrames, Load::Mysql)]
        {
            let unaccounted = Live::smoke(way, load).measure(&mut report)?;
            live::check(unaccounted)?;
        }
        Blocks::smoke(Load::Mysql, true).measure(&mut report)?;
        Latency::smoke(Load::Prepared).measure(&mut report)?;
    } else {
        skip("live benchmarks need root, for network namespaces and packet sockets")?;
    }
    report.finish()?;
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("report.json"))?)?;
    let tables = written.get("tables").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    ensure!(tables > 0, "the report has no tables");
    Ok(())
}

/// The program as the tests built it, or as they would.
fn sniff_x() -> Result<PathBuf> {
    let root = workspace();
    let program = root.join("target/debug/sniff-x");
    if !program.exists() {
        let mut command = Command::new("cargo");
        command.args(["build", "--quiet", "--locked", "--package", "sniff-x"]).current_dir(&root);
        ensure!(command.status()?.success(), "building sniff-x failed");
    }
    Ok(program)
}

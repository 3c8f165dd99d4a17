//! `cargo xtask bench --compare REV`: the sniff-x of a revision and the one of this working tree, on the same captures in turn.
//!
//! The revision is checked out in a worktree under `target/compare` and built there; the worktree goes at the end, what was built stays, so that
//! the next comparison builds less.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::machine::children_cpu_time;
use super::offline::{Offline, warm};
use super::report::{Cell, Report, Table, median};
use super::{build_sniff_x, quick, workspace};

/// What both do with a capture.
struct Work {
    name: &'static str,
    arguments: fn(&str) -> Vec<&str>,
}

const WORK: [Work; 3] = [
    Work { name: "decode to JSON", arguments: |plugin| vec!["--format", "json", plugin] },
    Work { name: "decode to text", arguments: |plugin| vec!["--format", "text", "--color", "never", plugin] },
    Work { name: "reassemble (tcp)", arguments: |_| vec!["--format", "json", "tcp"] },
];

pub(super) fn run(revision: &str, offline: &Offline) -> Result<()> {
    let root = workspace();
    let worktree = Worktree::add(&root, revision)?;
    let theirs = build_sniff_x(&worktree.folder, &root.join("target/compare/target"))?;
    let ours = build_sniff_x(&root, &root.join("target"))?;
    let mut report = Report::new(offline.json.as_deref());
    measure(&theirs, &ours, &worktree.commit, offline, &mut report)?;
    report.finish()
}

/// Compares two programs; `name` is that of the first.
pub(super) fn measure(
    theirs: &Path,
    ours: &Path,
    name: &str,
    offline: &Offline,
    report: &mut Report,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let captures = offline.captures(folder.path())?;
    captures.iter().try_for_each(|capture| warm(&capture.file))?;
    let title = format!("{name} and the working tree: CPU time, medians of {} rounds", offline.rounds.max(1));
    let columns = ["capture", "work", "before ms", "now ms", "now / before", "least / least"];
    let mut times = Table::new(title, &columns);
    let counts = quick::is_installed("valgrind");
    let title = format!("{name} and the working tree: instructions of one run, counted by callgrind");
    let mut instructions =
        Table::new(title, &["capture", "work", "before millions", "now millions", "now / before"]);
    for capture in &captures {
        for work in &WORK {
            let file = capture.file.display().to_string();
            let mut arguments = vec!["-q", "--read", &file];
            arguments.extend((work.arguments)(&capture.plugin));
            let mut both = [Vec::new(), Vec::new()];
            for round in 0..offline.rounds.max(1) {
                // In turn, and each as often the first.
                let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
                for which in order {
                    let program = if which == 0 { theirs } else { ours };
                    let time = time(program, &arguments)? * 1e3;
                    both.get_mut(which).into_iter().for_each(|times: &mut Vec<f64>| times.push(time));
                }
            }
            let [before, now] = both;
            let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
            let least = least(&now) / least(&before);
            let [before, now] = [before, now].map(median);
            times.row(vec![
                capture.name.clone().into(),
                work.name.into(),
                Cell::Number(before, 1),
                Cell::Number(now, 1),
                Cell::Number(now / before, 3),
                Cell::Number(least, 3),
            ]);
            if counts {
                let [before, now] = [count(theirs, &arguments)?, count(ours, &arguments)?];
                instructions.row(vec![
                    capture.name.clone().into(),
                    work.name.into(),
                    Cell::Number(before / 1e6, 1),
                    Cell::Number(now / 1e6, 1),
                    Cell::Number(now / before, 3),
                ]);
            }
        }
    }
    report.table(&times)?;
    if counts {
        report.table(&instructions)?;
    } else {
        quick::skip("instructions are not counted: valgrind is not installed (Debian package valgrind)")?;
    }
    Ok(())
}

/// CPU time of one run, in seconds.
fn time(program: &Path, arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let before = children_cpu_time()?;
    let status = command.status().with_context(|| program.display().to_string())?;
    let time = children_cpu_time()?.saturating_sub(before);
    ensure!(status.success(), "{} {} failed: {status}", program.display(), arguments.join(" "));
    Ok(time.as_secs_f64())
}

/// Instructions of one run.
fn count(program: &Path, arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(arguments);
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().context("valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, instructions) = collected.with_context(|| format!("callgrind counted nothing: {told}"))?;
    instructions.trim().parse().context("not a count")
}

/// A revision checked out beside the working tree, as long as it is needed.
struct Worktree {
    root: PathBuf,
    folder: PathBuf,
    commit: String,
}

impl Worktree {
    fn add(root: &Path, revision: &str) -> Result<Self> {
        let folder = root.join("target/compare/source");
        let verify = ["rev-parse", "--short", "--verify", &format!("{revision}^{{commit}}")];
        let commit = git(root, &verify).with_context(|| format!("no revision '{revision}'"))?;
        let this = Self { root: root.to_owned(), folder, commit };
        // What an earlier run that was killed left behind.
        this.remove();
        let folder = this.folder.display().to_string();
        git(root, &["worktree", "add", "--detach", &folder, &this.commit])?;
        Ok(this)
    }

    fn remove(&self) {
        if self.folder.exists() {
            let _ = git(&self.root, &["worktree", "remove", "--force", &self.folder.display().to_string()]);
        }
        let _ = git(&self.root, &["worktree", "prune"]);
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        self.remove();
    }
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().context("git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

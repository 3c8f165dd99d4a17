//! `cargo xtask bench`: what the data path costs and where it ends. docs/performance.md says how to read the tables.
//!
//! Rounds go through everything that is compared in turn, so that a machine that is busy for a while slows all of it; medians are of CPU
//! time, not of the wall clock, unless a table says so.

mod blocks;
mod compare;
mod instructions;
mod latency;
mod live;
mod machine;
mod offline;
mod parts;
mod peers;
mod quick;
mod report;
mod send;
pub(crate) mod stages;
mod traffic;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

pub(crate) use machine::cpu_time;

/// What to measure; the stages of the data path on a capture unless something else is named.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    offline: offline::Offline,
    /// Run a little of everything, in two minutes: does it work? The figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Build this revision in a worktree under target/ and run both in turn: what did the change do?
    #[arg(long, value_name = "REV", conflicts_with = "quick")]
    compare: Option<String>,
    /// Count instructions of the micro-benchmarks with callgrind (Debian package valgrind)
    #[arg(long, conflicts_with_all = ["quick", "compare"])]
    instructions: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// The assembler on segments of its own
    Assembly {
        /// Rounds through all loads
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Ring blocks in memory, replayed into the reader: what each stage can do where no generator is fast enough
    Blocks(blocks::Blocks),
    /// What a frame costs in the kernel's filter beside libpcap's program for the same rule (root)
    Filter {
        /// Rounds through all rules
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// From a frame's time to its event being written, live
    Latency(latency::Latency),
    /// The highest rate without loss, stage by stage, on a veth pair of its own or on a real interface (root)
    Live(live::Live),
    /// Micro-benchmarks: each part of the engine alone
    Parts(parts::Parts),
    /// sniff-x beside tcpdump, tshark and tcpflow on the same capture
    Peers(peers::Peers),
    /// Send frames on an interface at a given rate: the generator for another machine (root)
    Send(send::Send),
    /// The stages of the data path on a capture file
    Stages(offline::Offline),
}

impl What {
    /// Whether it is part of another command, which chose how it is built, or measures nothing.
    fn runs_unoptimised(&self) -> bool {
        match self {
            // There it is the kernel that works.
            Self::Send(_) | Self::Filter { .. } => true,
            Self::Parts(parts) => parts.is_counted(),
            _ => false,
        }
    }
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        if self.quick {
            return quick::run();
        }
        if let Some(revision) = &self.compare {
            return compare::run(revision, &self.offline);
        }
        if self.instructions {
            return instructions::run(&instructions::Plan::default(), self.offline.json.as_deref()).map(drop);
        }
        let what = self.what.clone().unwrap_or_else(|| What::Stages(self.offline.clone()));
        if cfg!(debug_assertions) && !what.runs_unoptimised() {
            return run_optimised();
        }
        match what {
            What::Assembly { rounds } => crate::assembly::run(rounds.max(1)),
            What::Blocks(blocks) => blocks.run(),
            What::Filter { rounds } => crate::prefilter::run(rounds.max(1)),
            What::Latency(latency) => latency.run(),
            What::Live(live) => live.run(),
            What::Parts(parts) => parts.run(),
            What::Peers(peers) => peers.run(),
            What::Send(send) => send.run(),
            What::Stages(offline) => offline.run(),
        }
    }
}

/// The same command, optimised.
fn run_optimised() -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--release", "--quiet", "--package", "xtask", "--"])
        .args(std::env::args_os().skip(1));
    ensure!(command.status()?.success(), "the optimised run failed");
    Ok(())
}

/// The folder of the workspace.
fn workspace() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(PathBuf::new, PathBuf::from)
}

/// Builds the optimised `sniff-x` of the workspace in `folder`, into `target`; gives the program.
fn build_sniff_x(folder: &Path, target: &Path) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--locked", "--package", "sniff-x", "--target-dir"]);
    command.arg(target).current_dir(folder);
    ensure!(command.status()?.success(), "building sniff-x in {} failed", folder.display());
    Ok(target.join("release/sniff-x"))
}

//! `cargo xtask bench peers`: sniff-x beside tcpdump, tshark and tcpflow, on the same capture, in turn.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::machine::children_cpu_time;
use super::offline::warm;
use super::report::{Cell, Report, Table, median};
use super::traffic::Load;
use super::{build_sniff_x, quick, workspace};

/// What to compare on.
#[derive(Args, Clone, Debug)]
pub(crate) struct Peers {
    /// Loads: mysql, mysql-prepared; all without it
    #[arg(long, value_parser = Load::parse, value_delimiter = ',')]
    load: Vec<Load>,
    /// Frames of a capture
    #[arg(long, default_value_t = 200_000)]
    packets: u64,
    /// Rounds through all programs
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The sniff-x to measure; without it the optimised one is built
    #[arg(long)]
    sniff_x: Option<PathBuf>,
    /// Write the tables to this file, too
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A program with its arguments, and what of sniff-x does the same.
struct Contender {
    program: &'static str,
    package: &'static str,
    does: &'static str,
    /// Which of sniff-x's lines it is compared with.
    like: &'static str,
    arguments: Vec<String>,
}

const DECODES: &str = "decodes, JSON";
const REASSEMBLES: &str = "a file a direction";
const COPIES: &str = "copies frames";

impl Peers {
    /// A run of a moment.
    pub(super) fn smoke(load: Load, sniff_x: PathBuf) -> Self {
        Self { load: vec![load], packets: 2000, rounds: 1, sniff_x: Some(sniff_x), json: None }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut report = Report::new(self.json.as_deref());
        self.measure(&mut report)?;
        report.finish()
    }

    pub(super) fn measure(&self, report: &mut Report) -> Result<()> {
        let own = match &self.sniff_x {
            Some(own) => own.clone(),
            None => build_sniff_x(&workspace(), &workspace().join("target"))?,
        };
        let all = Load::all().into_iter().filter(|load| load.is_protocol());
        let loads = if self.load.is_empty() { all.collect() } else { self.load.clone() };
        for load in loads {
            report.table(&self.table(load, &own)?)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    fn table(&self, load: Load, own: &Path) -> Result<Table> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("capture.pcap");
        load.capture(&file, self.packets, 100)?;
        warm(&file)?;
        let frames = super::traffic::frames_of(&file)?.len() as f64;
        let mut contenders = contenders(load, &file, folder.path());
        let mut missing = Vec::new();
        contenders.retain(|contender| {
            let there = contender.program == "sniff-x" || quick::is_installed(contender.program);
            if !there {
                missing.push((contender.program, contender.package));
            }
            there
        });
        missing.dedup();
        for (program, package) in missing {
            quick::skip(&format!("{program} is not installed (Debian package {package})"))?;
        }
        let mut times = vec![Vec::new(); contenders.len()];
        for _ in 0..self.rounds.max(1) {
            for (contender, times) in contenders.iter().zip(&mut times) {
                times.push(contender.time(own, folder.path())?);
            }
        }
        let measured: Vec<_> = contenders
            .iter()
            .zip(times)
            .map(|(contender, times)| {
                let (cpu, clock): (Vec<_>, Vec<_>) = times.into_iter().unzip();
                (contender, median(cpu), median(clock))
            })
            .collect();
        let own_time = |like: &str| {
            let same = measured.iter().find(|(c, ..)| c.program == "sniff-x" && c.does == like);
            same.map_or(f64::NAN, |(_, cpu, _)| *cpu)
        };
        let title =
            format!("{}, {frames:.0} frames: whole programs, medians of {} rounds", load.name(), self.rounds);
        let columns = ["program", "does", "CPU s", "clock s", "frames per core-second", "CPU times sniff-x"];
        let mut table = Table::new(title, &columns);
        for (contender, cpu, clock) in &measured {
            table.row(vec![
                contender.program.into(),
                contender.does.into(),
                Cell::Number(*cpu, 3),
                Cell::Number(*clock, 3),
                Cell::Number(frames / cpu, 0),
                Cell::Number(cpu / own_time(contender.like), 1),
            ]);
        }
        Ok(table)
    }
}

/// All of them, on this capture; what they write goes to `folder`.
fn contenders(load: Load, file: &Path, folder: &Path) -> Vec<Contender> {
    let path = |name: &str| folder.join(name).display().to_string();
    let file = file.display().to_string();
    let make = |program, package, does, like, arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Contender { program, package, does, like, arguments }
    };
    let own = |does, arguments: &[&str]| make("sniff-x", "", does, does, arguments);
    let fields = load.tshark_fields();
    let mut tshark = vec!["-n", "-r", &file, "-Y", fields.0, "-T", "fields"];
    tshark.extend(fields.1.iter().flat_map(|field| ["-e", field]));
    vec![
        own(DECODES, &["-q", "--read", &file, "--format", "json", load.plugin()]),
        make("tshark", "tshark", "decodes, fields", DECODES, &tshark),
        make("tcpdump", "tcpdump", "a line a frame", DECODES, &["-nn", "-r", &file]),
        own(REASSEMBLES, &["-q", "--read", &file, "tcp", "--dump", &path("streams/own")]),
        make(
            "tcpflow",
            "tcpflow",
            REASSEMBLES,
            REASSEMBLES,
            &["-q", "-r", &file, "-o", &path("streams/tcpflow")],
        ),
        own(COPIES, &["-q", "--read", &file, "--write", &path("own.pcapng")]),
        make("tcpdump", "tcpdump", COPIES, COPIES, &["-r", &file, "-w", &path("tcpdump.pcap")]),
    ]
}

impl Contender {
    /// CPU time and time on the clock of one run, in seconds.
    #[expect(clippy::disallowed_methods, reason = "how long people wait")]
    fn time(&self, own: &Path, folder: &Path) -> Result<(f64, f64)> {
        let streams = folder.join("streams");
        if streams.exists() {
            std::fs::remove_dir_all(&streams)?;
        }
        std::fs::create_dir(&streams)?;
        let program = if self.program == "sniff-x" { own } else { Path::new(self.program) };
        let mut command = Command::new(program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (before, clock) = (children_cpu_time()?, Instant::now());
        let output = command.output().with_context(|| program.display().to_string())?;
        let clock = clock.elapsed();
        let cpu = children_cpu_time()?.saturating_sub(before);
        let said = String::from_utf8_lossy(&output.stderr);
        let all = self.arguments.join(" ");
        ensure!(output.status.success(), "{} {all} failed: {said}", program.display());
        Ok((cpu.as_secs_f64(), clock.as_secs_f64()))
    }
}

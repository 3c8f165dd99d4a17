//! `cargo xtask bench stages`, and `bench` alone: what each stage costs on a capture file, and what more workers bring.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use sniff_x_engine::{Control, Input};

use super::machine::{cpu_time, peak_memory};
use super::report::{Cell, Report, Table, median};
use super::stages::{Stage, Tally, engine, engine_config};
use super::traffic::Load;

/// A capture and how often it is read.
#[derive(Args, Clone, Debug)]
pub(crate) struct Offline {
    /// The capture; without it one of each protocol is generated
    #[arg(long)]
    read: Option<PathBuf>,
    /// The plugin of the later stages on that capture
    #[arg(long, default_value = "mysql")]
    plugin: String,
    /// Frames of a generated capture
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) packets: u64,
    /// Only these stages, such as frames,plugin, and not the table of workers; for a profiler, too
    #[arg(long, value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Rounds through all stages
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Write the tables to this file, too
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// A capture that is measured, and the plugin for it.
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) plugin: String,
}

/// Numbers of workers that are compared.
const WORKERS: [usize; 2] = [1, 2];

/// A capture and the times of its stages.
struct Measured {
    capture: Capture,
    tally: Tally,
    stages: Vec<(Stage, Vec<Duration>)>,
    /// CPU time and time on the clock of the whole engine.
    workers: Vec<Vec<(Duration, Duration)>>,
}

impl Measured {
    /// Of these stages; of all and of the workers without any.
    fn new(capture: Capture, only: &[Stage]) -> Result<Self> {
        warm(&capture.file)?;
        let chosen = Stage::ALL.into_iter().filter(|stage| only.is_empty() || only.contains(stage));
        let stages = chosen.map(|stage| (stage, Vec::new())).collect();
        let workers = if only.is_empty() { vec![Vec::new(); WORKERS.len()] } else { Vec::new() };
        Ok(Self { capture, tally: Tally::default(), stages, workers })
    }

    /// Once through the stages.
    #[expect(clippy::disallowed_methods, reason = "what workers bring is time on the clock")]
    fn round(&mut self) -> Result<()> {
        let Capture { file, plugin, .. } = &self.capture;
        for (stage, times) in &mut self.stages {
            let before = cpu_time()?;
            let tally = stage.run_file(file, plugin)?;
            times.push(cpu_time()?.saturating_sub(before));
            // The early ones know nothing of exchanges.
            self.tally = if tally.exchanges >= self.tally.exchanges { tally } else { self.tally };
        }
        for (threads, times) in WORKERS.into_iter().zip(&mut self.workers) {
            let (before, clock) = (cpu_time()?, Instant::now());
            let config =
                engine_config(Input::File(file.clone()), plugin, threads, Box::new(std::io::sink()))?;
            engine(config, &Control::default())?;
            times.push((cpu_time()?.saturating_sub(before), clock.elapsed()));
        }
        Ok(())
    }
}

/// The page cache must be equally warm for everything that is compared.
pub(crate) fn warm(file: &Path) -> Result<()> {
    std::io::copy(&mut File::open(file)?.take(u64::MAX), &mut std::io::sink())?;
    Ok(())
}

impl Offline {
    /// The captures, those that are made in `folder`.
    pub(crate) fn captures(&self, folder: &Path) -> Result<Vec<Capture>> {
        if let Some(file) = &self.read {
            let (file, name) = (file.clone(), file.display().to_string());
            return Ok(vec![Capture { name, file, plugin: self.plugin.clone() }]);
        }
        let loads = Load::all().into_iter().filter(|load| load.is_protocol());
        let make = |load: Load| {
            let file = folder.join(format!("{}.pcap", load.name()));
            load.capture(&file, self.packets, 100)?;
            Ok(Capture { name: load.name(), file, plugin: load.plugin().to_owned() })
        };
        loads.map(make).collect()
    }

    /// A run of a moment.
    pub(super) fn smoke() -> Self {
        Self { read: None, plugin: String::new(), packets: 2000, stage: Vec::new(), rounds: 2, json: None }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut report = Report::new(self.json.as_deref());
        self.measure(&mut report)?;
        report.finish()
    }

    pub(super) fn measure(&self, report: &mut Report) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let captures = self.captures(folder.path())?.into_iter();
        let mut all: Vec<_> =
            captures.map(|capture| Measured::new(capture, &self.stage)).collect::<Result<_>>()?;
        for _ in 0..self.rounds.max(1) {
            for measured in &mut all {
                measured.round()?;
            }
        }
        for measured in &all {
            ensure!(measured.tally.frames > 0, "{} holds no frames", measured.capture.name);
            report.table(&stages(measured))?;
        }
        if self.stage.is_empty() {
            report.table(&workers(&all))?;
        }
        let mut memory = Table::new("this process", &["", "MiB"]);
        memory.row(vec!["peak memory".into(), peak_memory().map(|kib| kib / 1024).into()]);
        report.table(&memory)?;
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn stages(Measured { capture, tally, stages, .. }: &Measured) -> Table {
    let title = format!(
        "{}, plugin {}: {} frames, {} bytes, {} exchanges; per core-second, median CPU time of {} rounds",
        capture.name,
        capture.plugin,
        tally.frames,
        tally.bytes,
        tally.exchanges,
        stages.first().map_or(0, |(_, times)| times.len())
    );
    let columns = ["stage", "frames/s", "exchanges/s", "MB/s", "ns/frame", "added ns", "min ns", "max ns"];
    let mut table = Table::new(title, &columns);
    let frames = tally.frames as f64;
    let mut before = 0.0;
    for (stage, times) in stages {
        let ns: Vec<_> = times.iter().map(|time| time.as_nanos() as f64 / frames).collect();
        let low = ns.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ns.iter().copied().fold(0.0, f64::max);
        let each = median(ns);
        let rate = 1e9 / each;
        let decodes = matches!(stage, Stage::Plugin | Stage::Json | Stage::Engine);
        table.row(vec![
            stage.name().into(),
            Cell::Number(rate, 0),
            decodes.then_some(Cell::Number(rate * tally.exchanges as f64 / frames, 0)).into(),
            Cell::Number(rate * tally.bytes as f64 / frames / 1e6, 0),
            Cell::Number(each, 1),
            Cell::Number(each - before, 1),
            Cell::Number(low, 1),
            Cell::Number(high, 1),
        ]);
        before = each;
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn workers(all: &[Measured]) -> Table {
    let columns = ["capture", "workers", "frames/s on the clock", "times one", "CPU s", "CPU times one"];
    let mut table = Table::new("the whole engine with more workers, medians", &columns);
    for measured in all {
        let of = |times: &Vec<(Duration, Duration)>| {
            let cpu = median(times.iter().map(|(cpu, _)| cpu.as_secs_f64()).collect());
            (cpu, median(times.iter().map(|(_, clock)| clock.as_secs_f64()).collect()))
        };
        let one = measured.workers.first().map_or((f64::NAN, f64::NAN), of);
        for (threads, (cpu, clock)) in WORKERS.into_iter().zip(measured.workers.iter().map(of)) {
            table.row(vec![
                measured.capture.name.clone().into(),
                (threads as u64).into(),
                Cell::Number(measured.tally.frames as f64 / clock, 0),
                Cell::Number(one.1 / clock, 2),
                Cell::Number(cpu, 3),
                Cell::Number(cpu / one.0, 2),
            ]);
        }
    }
    table
}

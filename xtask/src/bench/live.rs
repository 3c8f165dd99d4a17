//! `cargo xtask bench live`: the highest rate at which no frame is lost, for each stage of the data path and each load; and what the engine's
//! threads take at one common rate.
//!
//! Without `--iface` on a veth pair in a network namespace of its own. First all is sent as fast as the generator can: if nothing is lost
//! the generator is the limit, and the table says so. Else the rate is found by bisection. A rate is too high when every one of several tries
//! loses frames, since on a busy machine a single one may.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use super::report::{Cell, Report, Table};
use super::send::{Sender, Way};
use super::stages::{Stage, configured};
use super::traffic::{LINE, Load, wire_bits};
use super::trial::{RECEIVING, RETIRE, Reading, SENDING, Trial, on_a_pair, trial};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// PACKET_TX_RING over the pair
    TxRing,
    /// XDP live frames into the receiving end: the fastest
    LiveFrames,
    /// Somebody else, to the interface that --iface names
    None,
}

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Live {
    /// Loads: 64, 128, 256, 512, 1024, 1518 (bytes with the checksum), imix, mysql, mysql-prepared, redis, http; all without it
    #[arg(long, value_parser = Load::parse, value_delimiter = ',', conflicts_with = "iface")]
    load: Vec<Load>,
    /// Stages; all without it
    #[arg(long, value_enum, value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Who sends
    #[arg(long, value_enum, default_value_t = Source::LiveFrames)]
    generator: Source,
    /// Measure this interface as it is, with a generator elsewhere
    #[arg(long)]
    iface: Option<String>,
    /// The plugin with --iface
    #[arg(long, default_value = "tcp", requires = "iface")]
    plugin: String,
    /// Seconds of each try; more than the ring holds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Halvings of the rate's range
    #[arg(long, default_value_t = 6, conflicts_with = "iface")]
    steps: u32,
    /// Tries at a rate before it counts as too high
    #[arg(long, default_value_t = 2, conflicts_with = "iface")]
    tries: u32,
    /// The rate at which CPU shares are compared, in frames a second; without it the lowest of the stages' highest rates
    #[arg(long, conflicts_with = "iface")]
    common_rate: Option<f64>,
    /// Readers with a ring and a worker each, in the last stage
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// MiB of a ring
    #[arg(long, default_value_t = 64)]
    ring: usize,
    /// Frames of a load, which are sent over and over
    #[arg(long, default_value_t = 65_536, conflicts_with = "iface")]
    frames: usize,
    /// Write the tables to this file, too
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What was found for a stage.
struct Found {
    stage: Stage,
    best: Trial,
    /// The generator could not send more.
    generator_is_limit: bool,
}

const HIGHEST: [&str; 10] = [
    "stage",
    "Mpps",
    "Gbit/s",
    "% of 10 GbE",
    "limit",
    "frames sent",
    "read",
    "dropped",
    "unaccounted",
    "peak MiB",
];

const COMMON: [&str; 9] = [
    "stage",
    "Mpps",
    "Gbit/s",
    "reader % of a core",
    "worker %",
    "writer %",
    "all %",
    "dropped",
    "unaccounted",
];

impl Live {
    /// A run of a second or two.
    pub(super) fn smoke(way: Way, load: Load) -> Self {
        Self {
            load: vec![load],
            stage: Stage::ALL.to_vec(),
            generator: if way == Way::TxRing { Source::TxRing } else { Source::LiveFrames },
            iface: None,
            plugin: String::new(),
            seconds: 0.1,
            steps: 1,
            tries: 1,
            common_rate: Some(20_000.0),
            threads: 1,
            ring: 16,
            frames: 4096,
            json: None,
        }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut report = Report::new(self.json.as_deref());
        self.measure(&mut report)?;
        report.finish()
    }

    /// Fills the report; the sum of frames whose fate is not known.
    pub(super) fn measure(&self, report: &mut Report) -> Result<u64> {
        let stages = if self.stage.is_empty() { Stage::ALL.to_vec() } else { self.stage.clone() };
        let way = match (self.generator, &self.iface) {
            (Source::None, Some(interface)) => {
                report.table(&self.watch(interface, &stages)?)?;
                return Ok(0);
            }
            (Source::None, None) => anyhow::bail!("--generator none measures what comes to an --iface"),
            (_, Some(_)) => anyhow::bail!(
                "with --iface say --generator none; on the sending machine run: cargo xtask bench send --iface IF"
            ),
            (Source::TxRing, None) => Way::TxRing,
            (Source::LiveFrames, None) => Way::LiveFrames,
        };
        let loads = if self.load.is_empty() { Load::all() } else { self.load.clone() };
        let mut unaccounted = 0;
        for load in loads {
            unaccounted += on_a_pair(|| self.load(way, load, &stages, report))?;
        }
        Ok(unaccounted)
    }

    fn reading(&self, interface: &str) -> Reading {
        let (ring_size, threads) = (self.ring << 20, self.threads.max(1));
        Reading { interface: interface.to_owned(), ring_size, threads, retire: RETIRE }
    }

    /// All stages with one load.
    fn load(&self, way: Way, load: Load, stages: &[Stage], report: &mut Report) -> Result<u64> {
        let interface = if way == Way::TxRing { SENDING } else { RECEIVING };
        let mut sender = Sender::start(way, interface, load, self.frames)?;
        let found =
            stages.iter().map(|stage| self.highest(*stage, load, &mut sender)).collect::<Result<Vec<_>>>()?;
        let bits = wire_bits(sender.length);
        let title = format!(
            "{}, plugin {}, {:.0} bytes a frame on average: the highest rate without loss",
            load.name(),
            load.plugin(),
            sender.length + 4.0
        );
        let mut highest = Table::new(title, &HIGHEST);
        let mut unaccounted = 0;
        for Found { stage, best, generator_is_limit } in &found {
            let mut row = rate_cells(*stage, best, bits);
            row.extend([
                Cell::Number(best.rate() * bits / LINE * 100.0, 1),
                if *generator_is_limit { "generator" } else { "engine" }.into(),
                best.sent.into(),
                best.tally.frames.into(),
                best.dropped().into(),
                signed(best.unaccounted()),
                best.memory.map(|kib| kib / 1024).into(),
            ]);
            highest.row(row);
            unaccounted += best.unaccounted().unsigned_abs();
        }
        report.table(&highest)?;

        let lowest = found.iter().map(|found| found.best.rate()).fold(f64::INFINITY, f64::min);
        let rate = self.common_rate.unwrap_or(lowest);
        let title = format!("{}, plugin {}: CPU at {rate:.0} frames/s", load.name(), load.plugin());
        let mut common = Table::new(title, &COMMON);
        for stage in stages {
            let trial = self.at(*stage, load, &mut sender, rate)?;
            let mut row = rate_cells(*stage, &trial, bits);
            row.extend(share_cells(&trial));
            row.extend([trial.dropped().into(), signed(trial.unaccounted())]);
            common.row(row);
            unaccounted += trial.unaccounted().unsigned_abs();
        }
        report.table(&common)?;
        Ok(unaccounted)
    }

    /// One try.
    fn at(&self, stage: Stage, load: Load, sender: &mut Sender, rate: f64) -> Result<Trial> {
        let send = || sender.send(rate, self.seconds).map(Some);
        trial(stage, load.plugin(), &self.reading(RECEIVING), Box::new(std::io::sink()), send)
    }

    /// Tries until one loses nothing; the last of them.
    fn tries(&self, stage: Stage, load: Load, sender: &mut Sender, rate: f64) -> Result<Trial> {
        let mut last = self.at(stage, load, sender, rate)?;
        for _ in 1..self.tries {
            if last.is_whole() {
                break;
            }
            last = self.at(stage, load, sender, rate)?;
        }
        Ok(last)
    }

    fn highest(&self, stage: Stage, load: Load, sender: &mut Sender) -> Result<Found> {
        let fastest = self.tries(stage, load, sender, 0.0)?;
        if fastest.is_whole() {
            return Ok(Found { stage, best: fastest, generator_is_limit: true });
        }
        let (mut low, mut high) = (0.0, fastest.rate());
        let mut best = None;
        for _ in 0..self.steps.max(1) {
            let rate = f64::midpoint(low, high);
            let trial = self.tries(stage, load, sender, rate)?;
            if trial.is_whole() {
                (low, best) = (rate, Some(trial));
            } else {
                high = rate;
            }
        }
        // The table shows what it lost if all rates were too high.
        Ok(Found { stage, best: best.unwrap_or(fastest), generator_is_limit: false })
    }

    /// What comes to an interface from elsewhere, stage by stage.
    fn watch(&self, interface: &str, stages: &[Stage]) -> Result<Table> {
        let columns = [
            "stage",
            "Mpps",
            "Gbit/s",
            "% of 10 GbE",
            "reader % of a core",
            "worker %",
            "writer %",
            "all %",
            "received",
            "read",
            "dropped",
            "peak MiB",
        ];
        let title = format!("{interface}, plugin {}: what came in {} s", self.plugin, self.seconds);
        let mut table = Table::new(title, &columns);
        let mut came = false;
        for stage in stages {
            let wait = Duration::from_secs_f64(self.seconds);
            let pause = || {
                thread::sleep(wait);
                Ok(None)
            };
            let reading = self.reading(interface);
            let trial = trial(*stage, &self.plugin, &reading, Box::new(std::io::sink()), pause)?;
            came |= trial.received() > 0;
            let bits = wire_bits(mean_frame(&trial));
            let mut row = rate_cells(*stage, &trial, bits);
            row.push(Cell::Number(trial.rate() * bits / LINE * 100.0, 1));
            row.extend(share_cells(&trial));
            let memory = trial.memory.map(|kib| kib / 1024);
            let counts = [trial.received().into(), trial.tally.frames.into(), trial.dropped().into()];
            row.extend(counts.into_iter().chain([memory.into()]));
            table.row(row);
        }
        ensure!(
            came,
            "nothing of `{}` came to {interface}: does the generator send, and that?",
            configured(&self.plugin)?.rule()
        );
        Ok(table)
    }
}

/// The stage, its millions of frames and gigabits a second.
fn rate_cells(stage: Stage, trial: &Trial, bits: f64) -> Vec<Cell> {
    let name = if stage == Stage::Frames { "ring walk" } else { stage.name() };
    let rate = trial.rate();
    vec![name.into(), Cell::Number(rate / 1e6, 3), Cell::Number(rate * bits / 1e9, 3)]
}

/// What the reader, other workers and the writer took of a core, and their sum, in percent.
fn share_cells(trial: &Trial) -> [Cell; 4] {
    let [reader, worker, writer] = ["reader", "worker", "writer"].map(|name| trial.share(name) * 100.0);
    [reader, worker, writer, reader + worker + writer].map(|percent| Cell::Number(percent, 1))
}

fn signed(number: i64) -> Cell {
    #[expect(clippy::cast_precision_loss, reason = "a count of frames")]
    Cell::Number(number as f64, 0)
}

#[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
fn mean_frame(trial: &Trial) -> f64 {
    trial.tally.bytes as f64 / trial.tally.frames.max(1) as f64
}

/// Checks what only a mistake can break: that every frame is accounted for.
pub(super) fn check(unaccounted: u64) -> Result<()> {
    ensure!(unaccounted == 0, "{unaccounted} frames were sent, but neither read nor counted as dropped");
    Ok(())
}

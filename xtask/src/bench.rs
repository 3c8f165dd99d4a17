//! `cargo xtask bench`: what each stage of the data path costs on a capture.
//!
//! Every stage contains the ones before it. The rounds go through all stages in turn, so that a machine that is busy for a while slows all
//! of them; the medians are of process CPU time, not of the wall clock.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use nix::time::{ClockId, clock_gettime};
use sniff_x_capture::{Batch, Lease, open_file};
use sniff_x_engine::sink::json;
use sniff_x_engine::{Config, Control, Format, Input, Limits, Output};
use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use sniff_x_flow::packet::{self, FlowHasher, Parsed};
use sniff_x_flow::{End, FlowInfo, Frame, Nanos};
use sniff_x_proto::event::{Arena, KeyTable, Kind};
use sniff_x_proto::host::{ActivePlugin, Host};
use sniff_x_proto::{Options, builtin};

use crate::generate::{Generate, Load};

/// The benches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Stages,
    Assembly,
    Filter,
}

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// What: the stages of the data path on a capture, the assembler on segments of its own, or the kernel's filter beside libpcap's
    #[arg(value_enum, default_value_t = What::Stages)]
    what: What,
    /// The capture; without it captures of a million frames are generated (with MySQL two: statements as text and prepared)
    #[arg(long)]
    read: Option<PathBuf>,
    /// The protocol of what is generated
    #[arg(long, value_enum, default_value_t)]
    load: Load,
    /// The plugin of the later stages; that of the load unless it is named
    #[arg(long)]
    plugin: Option<String>,
    /// Rounds through all stages
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// The stages, each with all before it.
const STAGES: [(&str, Stage); 6] = [
    ("frames", frames),
    ("+ packet", packets),
    ("+ flow and assembly", assembly),
    ("+ plugin", plugin),
    ("+ JSON", json_lines),
    ("whole engine, to a sink", engine),
];

type Stage = fn(&Path, &str) -> Result<Tally>;

/// What a stage had to do with.
#[derive(Clone, Copy, Default)]
struct Tally {
    frames: u64,
    bytes: u64,
    /// Exchanges that the plugin told of.
    exchanges: u64,
}

impl Tally {
    fn add(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        self.bytes += frame.bytes.len() as u64;
    }
}

/// A capture and the times of its stages.
struct Measured {
    file: PathBuf,
    tally: Tally,
    times: Vec<Vec<Duration>>,
}

impl Measured {
    fn new(file: PathBuf) -> Result<Self> {
        // The page cache must be equally warm for every stage.
        std::io::copy(&mut File::open(&file)?.take(u64::MAX), &mut std::io::sink())?;
        Ok(Self { file, tally: Tally::default(), times: vec![Vec::new(); STAGES.len()] })
    }

    /// Once through all stages.
    fn round(&mut self, plugin: &str) -> Result<()> {
        for ((_, stage), times) in STAGES.iter().zip(&mut self.times) {
            let before = cpu_time()?;
            let tally = stage(&self.file, plugin)?;
            times.push(cpu_time()?.saturating_sub(before));
            let exchanges = self.tally.exchanges.max(tally.exchanges);
            let bytes = self.tally.bytes.max(tally.bytes);
            self.tally = Tally { exchanges, bytes, ..tally };
        }
        Ok(())
    }
}

impl Bench {
    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) fn run(&self) -> Result<()> {
        // There it is the kernel that works.
        if self.what == What::Filter {
            return crate::prefilter::run(self.rounds.max(1));
        }
        if cfg!(debug_assertions) {
            return self.run_optimised();
        }
        if self.what == What::Assembly {
            return crate::assembly::run(self.rounds.max(1));
        }
        let folder = tempfile::tempdir()?;
        let files = match &self.read {
            Some(file) => vec![file.clone()],
            None => {
                let generate = |name: &str, prepared| {
                    let file = folder.path().join(name);
                    let (packets, connections) = (1_000_000, 100);
                    let load = self.load;
                    Generate { packets, connections, load, prepared, file: file.clone() }.run().map(|()| file)
                };
                match self.load {
                    Load::Mysql => vec![generate("text.pcap", false)?, generate("prepared.pcap", true)?],
                    Load::Redis | Load::Http => vec![generate("load.pcap", false)?],
                }
            }
        };
        let mut all: Vec<_> = files.into_iter().map(Measured::new).collect::<Result<_>>()?;
        for _ in 0..self.rounds.max(1) {
            for measured in &mut all {
                measured.round(self.plugin())?;
            }
        }
        for measured in all {
            ensure!(measured.tally.frames > 0, "{} holds no frames", measured.file.display());
            report(measured);
        }
        if let Some(peak) = peak_memory() {
            println!("peak memory of this process: {peak}");
        }
        Ok(())
    }

    fn plugin(&self) -> &str {
        self.plugin.as_deref().unwrap_or(self.load.plugin())
    }

    /// The same command, optimised.
    fn run_optimised(&self) -> Result<()> {
        let mut command = Command::new("cargo");
        command.args(["run", "--release", "--quiet", "--package", "xtask", "--", "bench"]);
        command.arg(if self.what == What::Assembly { "assembly" } else { "stages" });
        command.args(["--plugin", self.plugin(), "--load", self.load.plugin()]);
        command.args(["--rounds", &self.rounds.to_string()]);
        if let Some(file) = &self.read {
            command.arg("--read").arg(file);
        }
        ensure!(command.status()?.success(), "the optimised run failed");
        Ok(())
    }
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "the report; a rate needs no 53 bits")]
fn report(Measured { file, tally, times }: Measured) {
    println!(
        "{}: {} frames, {} bytes, {} exchanges, median CPU time of {} rounds",
        file.display(),
        tally.frames,
        tally.bytes,
        tally.exchanges,
        times.first().map_or(0, Vec::len)
    );
    println!(
        "{:<26} {:>12} {:>12} {:>8} {:>9} {:>9} {:>11}",
        "stage", "frames/s", "exchanges/s", "MB/s", "ns/frame", "added ns", "min..max ns"
    );
    let mut before = 0.0;
    for ((name, _), mut times) in STAGES.iter().zip(times) {
        times.sort();
        let frames = tally.frames as f64;
        let ns = |d: Option<&Duration>| d.map_or(0.0, |d| d.as_nanos() as f64 / frames);
        let (median, low, high) = (ns(times.get(times.len() / 2)), ns(times.first()), ns(times.last()));
        let rate = 1e9 / median;
        println!(
            "{name:<26} {rate:>12.0} {:>12.0} {:>8.0} {median:>9.1} {:>9.1} {:>11}",
            rate * tally.exchanges as f64 / frames,
            rate * tally.bytes as f64 / frames / 1e6,
            median - before,
            format!("{low:.0}..{high:.0}")
        );
        before = median;
    }
}

fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}

pub(crate) fn cpu_time() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

/// Calls `each` for every batch of the file.
fn batches(file: &Path, mut each: impl FnMut(&Lease)) -> Result<()> {
    let mut source = open_file(file)?;
    loop {
        match source.next(Duration::ZERO)? {
            Batch::Frames(lease) => each(&lease),
            Batch::Idle => {}
            Batch::End => return Ok(()),
        }
    }
}

fn frames(file: &Path, _: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    batches(file, |lease| {
        for frame in lease.frames() {
            tally.add(&frame);
        }
    })?;
    Ok(tally)
}

fn packets(file: &Path, _: &str) -> Result<Tally> {
    let hasher = FlowHasher::default();
    let mut tally = Tally::default();
    batches(file, |lease| {
        for frame in lease.frames() {
            tally.add(&frame);
            std::hint::black_box(&packet::parse(&frame, &hasher));
        }
    })?;
    Ok(tally)
}

/// Takes bytes and does nothing with them.
pub(crate) struct Nothing;

impl StreamFactory for Nothing {
    type Stream = Self;

    fn new_stream(&mut self, _: &mut FlowInfo) -> Self {
        Self
    }
}

impl Stream<Nothing> for Nothing {
    fn reassembled(&mut self, _: &mut Self, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
        for chunk in chunks {
            std::hint::black_box(chunk.bytes.len());
        }
    }

    fn reassembly_complete(&mut self, _: &mut Self, _: &FlowInfo, _: &[Totals; 2], _: End) {}

    fn idle(&mut self, _: &mut Self, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        false
    }
}

/// Frames through packet parsing and assembly into `factory`; `after` each batch.
fn assemble<F: StreamFactory>(file: &Path, mut factory: F, mut after: impl FnMut(&mut F)) -> Result<Tally> {
    let hasher = FlowHasher::default();
    let mut assembler = Assembler::new(AssemblerOptions::default());
    let mut tally = Tally::default();
    let mut now = Nanos(0);
    batches(file, |lease| {
        for frame in lease.frames() {
            tally.add(&frame);
            if let Parsed::Tcp(segment) = packet::parse(&frame, &hasher) {
                now = now.max(segment.packet.timestamp);
                let payload = lease.bytes(segment.packet.payload.start, segment.packet.payload.len);
                assembler.assemble(&mut factory, &segment, payload);
            }
        }
        assembler.advance(&mut factory, now);
        after(&mut factory);
    })?;
    assembler.flush_all(&mut factory);
    after(&mut factory);
    Ok(tally)
}

fn assembly(file: &Path, _: &str) -> Result<Tally> {
    assemble(file, Nothing, |_| {})
}

fn host(plugin: &str) -> Result<Host> {
    let mut plugin = builtin(plugin).with_context(|| format!("no plugin '{plugin}'"))?;
    plugin.configure(&Options::default())?;
    let rule = sniff_x_filter::parse(&plugin.rule())?;
    let limits = Limits::default();
    let plugins = Arc::new([ActivePlugin::by_rule(plugin, move |key| rule.matches_flow(key))]);
    Ok(Host::new(plugins, Arena::new(limits.max_text), limits.max_message))
}

fn plugin(file: &Path, plugin: &str) -> Result<Tally> {
    let mut exchanges = 0;
    let tally = assemble(file, host(plugin)?, |host| {
        exchanges += host.arena.events().filter(|e| e.head.kind == Kind::Exchange).count() as u64;
        host.arena.clear();
    })?;
    Ok(Tally { exchanges, ..tally })
}

fn json_lines(file: &Path, plugin: &str) -> Result<Tally> {
    let keys = KeyTable::default();
    let mut lines = Vec::new();
    assemble(file, host(plugin)?, |host| {
        for event in host.arena.events() {
            json::write(&host.arena, event, &keys, &mut lines);
            if lines.len() > 64 << 10 {
                std::hint::black_box(&lines);
                lines.clear();
            }
        }
        host.arena.clear();
    })
}

fn engine(file: &Path, plugin: &str) -> Result<Tally> {
    let mut plugin = builtin(plugin).with_context(|| format!("no plugin '{plugin}'"))?;
    plugin.configure(&Options::default())?;
    let config = Config {
        input: Input::File(file.to_owned()),
        plugins: vec![plugin.into()],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: sniff_x_flow::packet::ParseOptions::default(),
        threads: 1,
        output: Output { format: Format::Json, to: Box::new(std::io::sink()), count: None },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    };
    let mut frames = 0;
    sniff_x_engine::run(config, &Control::default(), |summary| frames = summary.reader.frames)?;
    Ok(Tally { frames, ..Tally::default() })
}

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
use sniff_x_flow::{End, FlowInfo, Nanos};
use sniff_x_proto::event::{Arena, KeyTable};
use sniff_x_proto::host::{ActivePlugin, Host};
use sniff_x_proto::{Options, builtin};

/// The two benches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Stages,
    Assembly,
}

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// What: the stages of the data path on a capture, or the assembler on segments of its own
    #[arg(value_enum, default_value_t = What::Stages)]
    what: What,
    /// The capture; without it a MySQL capture of a million frames is generated
    #[arg(long)]
    read: Option<PathBuf>,
    /// The plugin of the later stages
    #[arg(long, default_value = "mysql")]
    plugin: String,
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

type Stage = fn(&Path, &str) -> Result<u64>;

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        if cfg!(debug_assertions) {
            return self.run_optimised();
        }
        if self.what == What::Assembly {
            return crate::assembly::run(self.rounds.max(1));
        }
        let folder = tempfile::tempdir()?;
        let file = match &self.read {
            Some(file) => file.clone(),
            None => {
                let file = folder.path().join("mysql.pcap");
                crate::generate::Generate::of(1_000_000, 100, file.clone()).run()?;
                file
            }
        };
        // The page cache must be equally warm for every stage.
        std::io::copy(&mut File::open(&file)?.take(u64::MAX), &mut std::io::sink())?;
        let mut times = vec![Vec::new(); STAGES.len()];
        let mut count = 0;
        for _ in 0..self.rounds.max(1) {
            for ((_, stage), times) in STAGES.iter().zip(&mut times) {
                let before = cpu_time()?;
                count = stage(&file, &self.plugin)?;
                times.push(cpu_time()?.saturating_sub(before));
            }
        }
        ensure!(count > 0, "{} holds no frames", file.display());
        report(&file, count, times);
        Ok(())
    }

    /// The same command, optimised.
    fn run_optimised(&self) -> Result<()> {
        let mut command = Command::new("cargo");
        command.args(["run", "--release", "--quiet", "--package", "xtask", "--", "bench"]);
        command.arg(if self.what == What::Assembly { "assembly" } else { "stages" });
        command.args(["--plugin", &self.plugin, "--rounds", &self.rounds.to_string()]);
        if let Some(file) = &self.read {
            command.arg("--read").arg(file);
        }
        ensure!(command.status()?.success(), "the optimised run failed");
        Ok(())
    }
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "the report; a rate needs no 53 bits")]
fn report(file: &Path, count: u64, times: Vec<Vec<Duration>>) {
    println!(
        "{}: {count} frames, median CPU time of {} rounds",
        file.display(),
        times.first().map_or(0, Vec::len)
    );
    println!(
        "{:<26} {:>14} {:>12} {:>10} {:>12}",
        "stage", "frames/s", "ns/frame", "added ns", "min..max ns"
    );
    let mut before = 0.0;
    for ((name, _), mut times) in STAGES.iter().zip(times) {
        times.sort();
        let ns = |d: Option<&Duration>| d.map_or(0.0, |d| d.as_nanos() as f64 / count as f64);
        let (median, low, high) = (ns(times.get(times.len() / 2)), ns(times.first()), ns(times.last()));
        println!(
            "{name:<26} {:>14.0} {median:>12.1} {:>10.1} {:>12}",
            1e9 / median,
            median - before,
            format!("{low:.0}..{high:.0}")
        );
        before = median;
    }
    if let Some(peak) = peak_memory() {
        println!("peak memory of this process: {peak}");
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

fn frames(file: &Path, _: &str) -> Result<u64> {
    let (mut count, mut bytes) = (0, 0);
    batches(file, |lease| {
        for frame in lease.frames() {
            count += 1;
            bytes += frame.bytes.len();
        }
    })?;
    std::hint::black_box(bytes);
    Ok(count)
}

fn packets(file: &Path, _: &str) -> Result<u64> {
    let hasher = FlowHasher::default();
    let mut count = 0;
    batches(file, |lease| {
        for frame in lease.frames() {
            count += 1;
            std::hint::black_box(&packet::parse(&frame, &hasher));
        }
    })?;
    Ok(count)
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
fn assemble<F: StreamFactory>(file: &Path, mut factory: F, mut after: impl FnMut(&mut F)) -> Result<u64> {
    let hasher = FlowHasher::default();
    let mut assembler = Assembler::new(AssemblerOptions::default());
    let mut count = 0;
    let mut now = Nanos(0);
    batches(file, |lease| {
        for frame in lease.frames() {
            count += 1;
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
    Ok(count)
}

fn assembly(file: &Path, _: &str) -> Result<u64> {
    assemble(file, Nothing, |_| {})
}

fn host(plugin: &str) -> Result<Host> {
    let mut plugin = builtin(plugin).with_context(|| format!("no plugin '{plugin}'"))?;
    plugin.configure(&Options::default())?;
    let rule = sniff_x_filter::parse(&plugin.rule())?;
    let limits = Limits::default();
    let plugins = Arc::new([ActivePlugin { plugin, matches: Box::new(move |key| rule.matches_flow(key)) }]);
    Ok(Host::new(plugins, Arena::new(limits.max_text), limits.max_message))
}

fn plugin(file: &Path, plugin: &str) -> Result<u64> {
    assemble(file, host(plugin)?, |host| {
        std::hint::black_box(host.arena.events().count());
        host.arena.clear();
    })
}

fn json_lines(file: &Path, plugin: &str) -> Result<u64> {
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

fn engine(file: &Path, plugin: &str) -> Result<u64> {
    let mut plugin = builtin(plugin).with_context(|| format!("no plugin '{plugin}'"))?;
    plugin.configure(&Options::default())?;
    let config = Config {
        input: Input::File(file.to_owned()),
        plugins: vec![plugin],
        keys: KeyTable::default(),
        filter: None,
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
    Ok(frames)
}

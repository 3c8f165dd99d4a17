//! `cargo xtask bench blocks`: ring blocks in memory, replayed into the reader by the code that reads live ones. So each stage's ceiling is
//! measured where no generator is fast enough, and without the kernel's share.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use sniff_x_capture::generator::{Recorded, Recording, live_frames};
use sniff_x_capture::{Batch, LiveOptions, open_live};
use sniff_x_flow::Nanos;

use super::machine::cpu_time;
use super::report::{Cell, Report, Table, median};
use super::stages::{Stage, rules};
use super::traffic::{LINE, Load, NEVER, mean_length, wire_bits};
use super::trial::{RECEIVING, RETIRE, on_a_pair};

/// What to replay.
#[derive(Args, Clone, Debug)]
pub(crate) struct Blocks {
    /// Loads: 64, 128, 256, 512, 1024, 1518 (bytes with the checksum), imix, mysql, mysql-prepared, redis, http; all without it
    #[arg(long, value_parser = Load::parse, value_delimiter = ',')]
    load: Vec<Load>,
    /// Frames of a load
    #[arg(long, default_value_t = 65_536)]
    frames: usize,
    /// How often they are replayed for a measurement
    #[arg(long, default_value_t = 15)]
    times: u64,
    /// Rounds through all stages
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Record the blocks from a live ring, in a network namespace of its own (root); else they are written as the kernel writes them
    #[arg(long)]
    live: bool,
    /// Write the tables to this file, too
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Bytes of a block, as `sniff-x` has them.
const BLOCK: usize = 1 << 20;
/// Between two written frames, in nanoseconds.
const GAP: u64 = 1000;

impl Blocks {
    /// A run of a moment.
    pub(super) fn smoke(load: Load, live: bool) -> Self {
        Self { load: vec![load], frames: 4096, times: 2, rounds: 1, live, json: None }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut report = Report::new(self.json.as_deref());
        self.measure(&mut report)?;
        report.finish()
    }

    pub(super) fn measure(&self, report: &mut Report) -> Result<()> {
        let loads = if self.load.is_empty() { Load::all() } else { self.load.clone() };
        for load in loads {
            report.table(&self.table(load)?)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    fn table(&self, load: Load) -> Result<Table> {
        let trace = load.trace(self.frames)?;
        let recorded = if self.live { on_a_pair(|| record(load, &trace))? } else { write(&trace)? };
        let frames = (trace.len() as u64 * self.times) as f64;
        let mut times = vec![Vec::new(); Stage::ALL.len()];
        let mut exchanges = 0;
        for _ in 0..self.rounds.max(1) {
            for (stage, times) in Stage::ALL.into_iter().zip(&mut times) {
                let before = cpu_time()?;
                let tally = stage.run(Box::new(recorded.again(self.times)), load.plugin(), &NEVER)?;
                times.push(cpu_time()?.saturating_sub(before).as_secs_f64());
                ensure!(tally.frames == trace.len() as u64 * self.times, "{} frames were read", tally.frames);
                exchanges = if stage == Stage::Plugin { tally.exchanges } else { exchanges };
            }
        }
        let length = mean_length(&trace);
        let title = format!(
            "{}, plugin {}, {:.0} bytes a frame on average: {} blocks in memory, per core-second, median CPU time of {} rounds",
            load.name(),
            load.plugin(),
            length + 4.0,
            if self.live { "recorded" } else { "written" },
            self.rounds.max(1)
        );
        let columns = ["stage", "Mpps", "Gbit/s", "% of 10 GbE", "exchanges/s", "ns/frame", "added ns"];
        let mut table = Table::new(title, &columns);
        let mut before = 0.0;
        for (stage, times) in Stage::ALL.into_iter().zip(times) {
            let seconds = median(times);
            let (rate, each) = (frames / seconds, seconds * 1e9 / frames);
            let decodes = matches!(stage, Stage::Plugin | Stage::Json | Stage::Engine);
            table.row(vec![
                if stage == Stage::Frames { "ring walk" } else { stage.name() }.into(),
                Cell::Number(rate / 1e6, 2),
                Cell::Number(rate * wire_bits(length) / 1e9, 2),
                Cell::Number(rate * wire_bits(length) / LINE * 100.0, 0),
                (decodes && exchanges > 0).then_some(Cell::Number(exchanges as f64 / seconds, 0)).into(),
                Cell::Number(each, 1),
                Cell::Number(each - before, 1),
            ]);
            before = each;
        }
        Ok(table)
    }
}

/// Blocks in the kernel's layout.
pub(super) fn write(trace: &[Vec<u8>]) -> Result<Recorded> {
    // A frame takes its bytes and up to 90 of headers; what is left of a block is less than a frame.
    let bytes: usize = trace.iter().map(|frame| frame.len() + 96).sum();
    let mut recording = Recording::new(BLOCK, bytes / (BLOCK - 2048) + 2)?;
    for (frame, at) in trace.iter().zip(0..) {
        ensure!(recording.frame(frame, Nanos(Nanos::SECOND + at * GAP)), "no room for the frames");
    }
    Ok(recording.replay(1))
}

/// Blocks from a ring, into which the frames were sent.
fn record(load: Load, trace: &[Vec<u8>]) -> Result<Recorded> {
    let bytes: usize = trace.iter().map(|frame| frame.len() + 96).sum();
    let blocks = 2 * bytes / BLOCK + 64;
    let options = LiveOptions {
        interfaces: vec![RECEIVING.to_owned()],
        rings: 1,
        ring_size: blocks * BLOCK,
        block_size: BLOCK,
        snaplen: 0,
        retire: RETIRE,
        promiscuous: true,
        rules: rules(load.plugin())?,
    };
    let mut recording = Recording::new(BLOCK, blocks)?;
    for mut source in open_live(options)? {
        let mut generator = live_frames(RECEIVING, trace)?;
        let mut left = u32::try_from(trace.len())?;
        while left > 0 {
            left -= generator.send(left.min(4096))?;
        }
        source.stop();
        loop {
            match source.next(Duration::from_millis(100))? {
                Batch::Frames(lease) => ensure!(recording.block(&lease), "no room for the blocks"),
                Batch::Idle => {}
                Batch::End => break,
            }
        }
    }
    ensure!(recording.frames() == trace.len() as u64, "{} frames were recorded", recording.frames());
    Ok(recording.replay(1))
}

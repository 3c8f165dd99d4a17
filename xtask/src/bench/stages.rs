//! The stages of the data path over any source of frames: each contains the ones before it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sniff_x_capture::{Batch, Lease, Source, open_file};
use sniff_x_engine::sink::json;
use sniff_x_engine::{Config, Control, Format, Input, Limits, Output, Summary};
use sniff_x_filter::RuleSet;
use sniff_x_flow::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use sniff_x_flow::packet::{self, FlowHasher, Parsed};
use sniff_x_flow::{End, FlowInfo, Frame, Nanos};
use sniff_x_proto::event::{Arena, KeyTable, Kind};
use sniff_x_proto::host::{ActivePlugin, Host};
use sniff_x_proto::{Options, Plugin, builtin};

/// How far down the data path a measurement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stage {
    /// Frames are walked over
    Frames,
    /// + headers are parsed
    Packet,
    /// + bytes are put in order
    Assembly,
    /// + a plugin decodes them
    Plugin,
    /// + events are formatted
    Json,
    /// The whole engine
    Engine,
}

impl Stage {
    pub(crate) const ALL: [Self; 6] =
        [Self::Frames, Self::Packet, Self::Assembly, Self::Plugin, Self::Json, Self::Engine];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Packet => "+ packet",
            Self::Assembly => "+ flow and assembly",
            Self::Plugin => "+ plugin",
            Self::Json => "+ JSON",
            Self::Engine => "whole engine, to a sink",
        }
    }

    /// Runs the source to its end, or until `stop` is set and what was taken in until then is through.
    pub(crate) fn run(self, mut source: Box<dyn Source>, plugin: &str, stop: &AtomicBool) -> Result<Tally> {
        let mut feed = Feed { source: &mut *source, stop };
        let tally = match self {
            Self::Frames => feed.frames(),
            Self::Packet => feed.packets(),
            Self::Assembly => feed.assemble(Nothing, |_| {}),
            Self::Plugin => feed.decode(host(plugin)?, |_| {}),
            Self::Json => feed.json_lines(host(plugin)?),
            Self::Engine => return engine_tally(Input::Sources(vec![source]), plugin),
        }?;
        let counters = source.counters();
        Ok(Tally { received: counters.received, dropped: counters.dropped, ..tally })
    }

    /// The same on a capture file.
    pub(crate) fn run_file(self, file: &Path, plugin: &str) -> Result<Tally> {
        if self == Self::Engine {
            return engine_tally(Input::File(file.to_owned()), plugin);
        }
        self.run(open_file(file)?, plugin, &AtomicBool::new(false))
    }
}

/// What a stage had to do with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Exchanges that the plugin told of.
    pub(crate) exchanges: u64,
    /// What the source counted.
    pub(crate) received: Option<u64>,
    pub(crate) dropped: Option<u64>,
}

impl Tally {
    fn add(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        self.bytes += frame.bytes.len() as u64;
    }
}

impl From<&Summary> for Tally {
    fn from(summary: &Summary) -> Self {
        Self {
            frames: summary.reader.frames,
            bytes: summary.reader.bytes,
            exchanges: summary.events_written,
            received: summary.source.received,
            dropped: summary.source.dropped,
        }
    }
}

/// A source that is read until it ends or is stopped.
struct Feed<'a> {
    source: &'a mut dyn Source,
    stop: &'a AtomicBool,
}

impl Feed<'_> {
    fn batches(&mut self, mut each: impl FnMut(&Lease)) -> Result<()> {
        let mut stopped = false;
        loop {
            if !stopped && self.stop.load(Ordering::Relaxed) {
                self.source.stop();
                stopped = true;
            }
            match self.source.next(Duration::from_millis(100))? {
                Batch::Frames(lease) => each(&lease),
                Batch::Idle => {}
                Batch::End => return Ok(()),
            }
        }
    }

    fn frames(&mut self) -> Result<Tally> {
        let mut tally = Tally::default();
        self.batches(|lease| {
            for frame in lease.frames() {
                tally.add(&frame);
            }
        })?;
        Ok(tally)
    }

    fn packets(&mut self) -> Result<Tally> {
        let hasher = FlowHasher::default();
        let mut tally = Tally::default();
        self.batches(|lease| {
            for frame in lease.frames() {
                tally.add(&frame);
                std::hint::black_box(&packet::parse(&frame, &hasher));
            }
        })?;
        Ok(tally)
    }

    /// Frames through packet parsing and assembly into `factory`; `after` each batch.
    fn assemble<F: StreamFactory>(&mut self, mut factory: F, mut after: impl FnMut(&mut F)) -> Result<Tally> {
        let hasher = FlowHasher::default();
        let mut assembler = Assembler::new(AssemblerOptions::default());
        let mut tally = Tally::default();
        let mut now = Nanos(0);
        self.batches(|lease| {
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

    fn decode(&mut self, host: Host, mut events: impl FnMut(&Arena)) -> Result<Tally> {
        let mut exchanges = 0;
        let tally = self.assemble(host, |host| {
            exchanges += host.arena.events().filter(|e| e.head.kind == Kind::Exchange).count() as u64;
            events(&host.arena);
            host.arena.clear();
        })?;
        Ok(Tally { exchanges, ..tally })
    }

    fn json_lines(&mut self, host: Host) -> Result<Tally> {
        let keys = KeyTable::default();
        let mut lines = Vec::new();
        self.decode(host, |arena| {
            for event in arena.events() {
                json::write(arena, event, &keys, &mut lines);
                if lines.len() > 64 << 10 {
                    std::hint::black_box(&lines);
                    lines.clear();
                }
            }
        })
    }
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

/// A built-in plugin with its defaults.
pub(crate) fn configured(name: &str) -> Result<Box<dyn Plugin>> {
    configured_with(name, &Options::default())
}

/// A built-in plugin.
pub(crate) fn configured_with(name: &str, options: &Options) -> Result<Box<dyn Plugin>> {
    let mut plugin = builtin(name).with_context(|| format!("no plugin '{name}'"))?;
    plugin.configure(options)?;
    Ok(plugin)
}

/// What the kernel shall let pass for a plugin.
pub(crate) fn rules(plugin: &str) -> Result<RuleSet> {
    let rule = sniff_x_filter::parse_rule(&configured(plugin)?.rule())?;
    Ok(RuleSet { filter: None, rules: vec![rule] })
}

pub(crate) fn host(plugin: &str) -> Result<Host> {
    let plugin = configured(plugin)?;
    let rule = sniff_x_filter::parse_rule(&plugin.rule())?;
    let limits = Limits::default();
    let plugins = Arc::new([ActivePlugin::by_rule(plugin, move |key| rule.matches_flow(key))]);
    Ok(Host::new(plugins, Arena::new(limits.max_text), limits.max_message))
}

/// The engine as `sniff-x --format json PLUGIN` configures it.
pub(crate) fn engine_config(
    input: Input,
    plugin: &str,
    threads: usize,
    to: Box<dyn Write + Send>,
) -> Result<Config> {
    Ok(Config {
        input,
        plugins: vec![configured(plugin)?.into()],
        keys: KeyTable::default(),
        filter: None,
        redact: false,
        parse: packet::ParseOptions::default(),
        threads,
        output: Output { format: Format::Json, to, is_abandoned: Box::new(|| false), count: None },
        write: None,
        dump: None,
        duration: None,
        stats_interval: None,
        limits: Limits::default(),
    })
}

/// The whole engine until the input ends or the control says stop.
pub(crate) fn engine(config: Config, control: &Control) -> Result<Tally> {
    let mut tally = Tally::default();
    sniff_x_engine::run(config, control, |summary| tally = Tally::from(summary))?;
    Ok(tally)
}

fn engine_tally(input: Input, plugin: &str) -> Result<Tally> {
    engine(engine_config(input, plugin, 1, Box::new(std::io::sink()))?, &Control::default())
}

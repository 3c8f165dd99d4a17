//! `cargo xtask bench parts`: micro-benchmarks, each part of the engine alone, timed by divan. `--once` runs a part once, for callgrind
//! (`bench --instructions`), which counts what is under [`counted`].

use std::hint::black_box;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use clap::Args;
use divan::Bencher;
use divan::counter::ItemsCount;
use sniff_x_capture::generator::Recorded;
use sniff_x_engine::sink::json;
use sniff_x_engine::sink::text::{Text, TextOptions};
use sniff_x_engine::{Config, Control, Input};
use sniff_x_flow::assembler::{Assembler, AssemblerOptions, StreamFactory};
use sniff_x_flow::packet::{self, FlowHasher, Parsed, Segment};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos};
use sniff_x_proto::Options;
use sniff_x_proto::event::{Arena, Event, KeyTable};
use sniff_x_proto::host::Host;

use super::blocks;
use super::stages::{Nothing, configured_with, engine, engine_config, host};
use super::traffic::Load;
use crate::output::{say, where_others_print};

/// Which parts.
#[derive(Args, Clone, Debug)]
pub(crate) struct Parts {
    /// Only parts whose names contain this
    filter: Option<String>,
    /// Print the names
    #[arg(long)]
    list: bool,
    /// Run one part once, and print how many items it took
    #[arg(long, conflicts_with = "list")]
    once: bool,
}

/// Frames of the loads that the parts get.
const FRAMES: usize = 4096;
/// Flows in a table that does not fit into a cache.
const MANY_FLOWS: usize = 100_000;

/// A part that is ready to run, and how many items a run takes.
struct Part {
    items: u64,
    run: Box<dyn FnMut()>,
}

fn part(items: usize, run: impl FnMut() + 'static) -> Part {
    Part { items: items as u64, run: Box::new(run) }
}

type Prepare = fn() -> Result<Part>;

/// The parts by their names; an item is a frame, a segment or an event.
const PARTS: &[(&str, Prepare)] = &[
    ("filter: rule, one port", || rule("tcp and port 3306")),
    ("filter: rule, hosts and ports", || {
        rule("tcp and (port 3306 or portrange 33060-33069) and host 10.1.0.1")
    }),
    ("filter: frame, host and port", || frame_filter("host 10.1.0.1 and tcp port 3306")),
    ("filter: frame, TCP flags", || frame_filter("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0")),
    ("packet: 60 bytes", || parse(Load::Size(64))),
    ("packet: mysql", || parse(Load::Mysql)),
    ("flow table: 100,000 flows, found", flow_table),
    ("assembler: 60 bytes in order", || assembler(Load::Size(64), false)),
    ("assembler: 1514 bytes in order", || assembler(Load::Size(1518), false)),
    ("assembler: 1514 bytes, neighbours swapped", || assembler(Load::Size(1518), true)),
    ("assembler and tcp: 60 bytes", || plugin(Load::Size(64))),
    ("assembler and mysql: text", || plugin(Load::Mysql)),
    ("assembler and mysql: prepared", || plugin(Load::Prepared)),
    ("assembler and redis", || plugin(Load::Redis)),
    ("assembler and http", || plugin(Load::Http)),
    ("sink: JSON, mysql", || sink(json::write)),
    ("sink: text, mysql", || text(false)),
    ("sink: text with colours, mysql", || text(true)),
    ("sink: pcapng, with reader and packet", pcapng),
    ("sink: dump, with the whole engine", dump),
];

impl Parts {
    /// Whether it runs under another program that counts.
    pub(super) fn is_counted(&self) -> bool {
        self.once || self.list
    }

    pub(crate) fn run(&self) -> Result<()> {
        let wanted = |name: &&str| self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
        let mut names = names().filter(wanted);
        if self.list {
            names.try_for_each(say)?;
        } else if self.once {
            let mut part = ready(names.next().context("no such part")?)?;
            counted(&mut part);
            say(part.items)?;
        } else {
            let _ = FILTER.set(self.filter.clone().unwrap_or_default());
            where_others_print(|| divan::Divan::default().run_benches())?;
        }
        Ok(())
    }
}

/// What the timed parts' names contain.
static FILTER: OnceLock<String> = OnceLock::new();

/// Runs every part once, without timing.
pub(super) fn smoke() -> Result<()> {
    where_others_print(|| divan::Divan::default().test_benches())
}

/// The names of all parts.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(name, _)| *name)
}

/// A part after a first run, so that tables and pools are as large as they get.
fn ready(name: &str) -> Result<Part> {
    let (_, prepare) = PARTS.iter().find(|(known, _)| *known == name).context("no such part")?;
    let mut part = prepare()?;
    (part.run)();
    Ok(part)
}

/// One run. callgrind knows it by its name.
#[inline(never)]
fn counted(part: &mut Part) {
    (part.run)();
}

#[divan::bench(args = names().filter(|name| FILTER.get().is_none_or(|filter| name.contains(filter.as_str()))))]
fn parts(bencher: Bencher<'_, '_>, name: &str) {
    match ready(name) {
        Ok(mut part) => bencher.counter(ItemsCount::new(part.items)).bench_local(|| counted(&mut part)),
        #[expect(clippy::panic, reason = "divan has no other way to tell of a failure")]
        Err(error) => panic!("{name}: {error:#}"),
    }
}

/// The frames of a load. They are never freed: parts live as long as the program.
fn frames(load: Load) -> Result<&'static [Frame<'static>]> {
    let trace: &'static [Vec<u8>] = load.trace(FRAMES)?.leak();
    let frame = |(bytes, at): (&'static Vec<u8>, u64)| Frame {
        bytes,
        offset: 0,
        timestamp: Nanos(Nanos::SECOND + at * 1000),
        original_len: u32::try_from(bytes.len()).unwrap_or(0),
        interface: 1,
        link_type: LinkType::ETHERNET,
        vlan: None,
        flags: FrameFlags::default(),
    };
    Ok(trace.iter().zip(0..).map(frame).collect::<Vec<_>>().leak())
}

/// The segments of a load, with their payloads.
fn segments(load: Load) -> Result<Vec<(Segment, &'static [u8])>> {
    let hasher = FlowHasher::with_seed(1);
    let segment = |frame: &'static Frame<'static>| match packet::parse(frame, &hasher) {
        Parsed::Tcp(segment) => {
            let (start, len) = (segment.packet.payload.start as usize, segment.packet.payload.len as usize);
            Some((segment, frame.bytes.get(start..start + len).unwrap_or_default()))
        }
        _ => None,
    };
    Ok(frames(load)?.iter().filter_map(segment).collect())
}

fn rule(rule: &str) -> Result<Part> {
    let (rule, segments) = (sniff_x_filter::parse_rule(rule)?, segments(Load::Mysql)?);
    Ok(part(segments.len(), move || {
        let matching = segments.iter().filter(|(segment, _)| rule.matches_packet(&segment.packet));
        black_box(matching.count());
    }))
}

fn frame_filter(filter: &str) -> Result<Part> {
    let (filter, frames) = (sniff_x_filter::parse(filter)?, frames(Load::Mysql)?);
    Ok(part(frames.len(), move || {
        black_box(frames.iter().filter(|frame| filter.matches_frame(frame)).count());
    }))
}

fn parse(load: Load) -> Result<Part> {
    let (hasher, frames) = (FlowHasher::with_seed(1), frames(load)?);
    Ok(part(frames.len(), move || {
        for frame in frames {
            black_box(&packet::parse(black_box(frame), &hasher));
        }
    }))
}

/// An assembler with its factory, which is fed the same segments over and over.
fn feed<F: StreamFactory + 'static>(
    mut factory: F,
    segments: Vec<(Segment, &'static [u8])>,
    after: impl Fn(&mut F) + 'static,
) -> Part {
    let mut assembler = Assembler::new(AssemblerOptions::default());
    part(segments.len(), move || {
        // As many as a batch has.
        for batch in segments.chunks(64) {
            for (segment, payload) in batch {
                assembler.assemble(&mut factory, segment, payload);
            }
            after(&mut factory);
        }
        // The next run's handshakes are those of new connections.
        assembler.flush_all(&mut factory);
        after(&mut factory);
    })
}

fn assembler(load: Load, swapped: bool) -> Result<Part> {
    let mut segments = segments(load)?;
    if swapped {
        // The trace goes round the connections: a connection's next segment is as many frames away as there are connections.
        let first = segments.first().map(|(segment, _)| segment.packet.key);
        let connections = segments.iter().skip(1).position(|(segment, _)| Some(segment.packet.key) == first);
        let distance = connections.map_or(1, |at| at + 1);
        let count = segments.len();
        // Data of one direction: every second segment of a connection, behind the handshake.
        for start in (4 * distance..count.saturating_sub(8 * distance)).step_by(4 * distance) {
            (start..start + distance).for_each(|at| segments.swap(at, at + 2 * distance));
        }
    }
    Ok(feed(Nothing, segments, |_| {}))
}

fn plugin(load: Load) -> Result<Part> {
    Ok(feed(host(load.plugin())?, segments(load)?, |host: &mut Host| {
        black_box(host.arena.len_bytes());
        host.arena.clear();
    }))
}

/// Lookups of connections in a table with many.
fn flow_table() -> Result<Part> {
    let (hasher, mut assembler) = (FlowHasher::with_seed(1), Assembler::new(AssemblerOptions::default()));
    let mut segments = Vec::new();
    let frames = frames(Load::Size(64))?;
    let data = frames.iter().find(|frame| matches!(frame.bytes.get(47), Some(flags) if flags & 7 == 0));
    let mut bytes = data.context("no data")?.bytes.to_vec();
    for client in 0..u32::try_from(MANY_FLOWS)? {
        if let Some(address) = bytes.get_mut(26..30) {
            address.copy_from_slice(&(0x0a00_0000 | client).to_be_bytes());
        }
        let frame = Frame { bytes: &bytes, ..*frames.first().context("no frames")? };
        if let Parsed::Tcp(segment) = packet::parse(&frame, &hasher) {
            assembler.assemble(&mut Nothing, &segment, b"123456");
            segments.push(segment);
        }
    }
    // In an order that no prefetcher guesses: this prime has no factor in common with their number.
    let order: Vec<_> = (0..segments.len()).map(|at| at * 7919 % segments.len()).collect();
    let shuffled: Vec<_> = order.into_iter().filter_map(|at| segments.get(at).copied()).collect();
    let found = assembler.foresee(shuffled.iter().map(|segment| &segment.packet));
    anyhow::ensure!(found == MANY_FLOWS, "{found} flows were found");
    Ok(part(shuffled.len(), move || {
        // As many as a batch has.
        for batch in shuffled.chunks(64) {
            black_box(assembler.foresee(batch.iter().map(|segment| &segment.packet)));
        }
    }))
}

/// Events of a load's beginning, formatted.
fn text(color: bool) -> Result<Part> {
    let mut text = Text::new(TextOptions { color, ..TextOptions::default() });
    sink(move |arena, event, keys, out| text.write(arena, event, keys, out))
}

fn sink(mut write: impl FnMut(&Arena, &Event, &KeyTable, &mut Vec<u8>) + 'static) -> Result<Part> {
    let (mut assembler, mut host) = (Assembler::new(AssemblerOptions::default()), host("mysql")?);
    for (segment, payload) in segments(Load::Mysql)? {
        assembler.assemble(&mut host, &segment, payload);
    }
    let (keys, mut out, count) = (KeyTable::default(), Vec::new(), host.arena.events().count());
    Ok(part(count, move || {
        out.clear();
        host.arena.events().for_each(|event| write(&host.arena, event, &keys, &mut out));
        black_box(&out);
    }))
}

fn pcapng() -> Result<Part> {
    let trace = Load::Mysql.trace(FRAMES)?;
    let recorded = blocks::write(&trace)?;
    Ok(part(trace.len(), move || {
        run(&recorded, |config| {
            config.plugins.clear();
            config.write = Some("/dev/null".into());
            Ok(())
        });
    }))
}

fn dump() -> Result<Part> {
    let trace = Load::Mysql.trace(FRAMES)?;
    let (recorded, folder) = (blocks::write(&trace)?, tempfile::tempdir()?);
    let mut runs = 0;
    Ok(part(trace.len(), move || {
        runs += 1;
        let into = folder.path().join(runs.to_string());
        run(&recorded, |config| {
            let mut options = Options::default();
            options.push("dump", into.display().to_string());
            config.plugins = vec![configured_with("tcp", &options)?.into()];
            config.dump = Some(into.clone());
            Ok(())
        });
        // Not to fill the disk.
        let _ = std::fs::remove_dir_all(into);
    }))
}

/// The engine on recorded blocks, once.
fn run(recorded: &Recorded, change: impl FnOnce(&mut Config) -> Result<()>) {
    let run = || -> Result<()> {
        let input = Input::Sources(vec![Box::new(recorded.again(1))]);
        let mut config = engine_config(input, "mysql", 1, Box::new(std::io::sink()))?;
        change(&mut config)?;
        engine(config, &Control::default()).map(drop)
    };
    #[expect(clippy::panic, reason = "there is no other way to tell divan of a failure")]
    run().unwrap_or_else(|error| panic!("the engine: {error:#}"));
}

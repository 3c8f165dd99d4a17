//! The data path put together: reader, queues, workers, writer; back-pressure, shutdown and counters.
//!
//! With one worker the reader, the assembler and the plugins run in the calling thread. With more there are as many readers where the kernel
//! shares the flows out to several rings, or where a file can be read several times (`shares`), each with its worker in a thread of its own; else the one
//! reader parses and hands batches of headers to the worker that owns the flow. In any case one more thread writes the output. Rules and plugins' options can be replaced
//! meanwhile (`setup`).

mod batch;
mod clock;
mod cores;
mod fragments;
mod peers;
mod queue;
mod reader;
mod readers;
mod setup;
mod shares;
mod summary;
mod tally;
mod worker;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sniff_x_capture::{CaptureError, Source, SourceCounters};
use sniff_x_filter::{ParseError, RuleSet};
use sniff_x_flow::Nanos;
use sniff_x_flow::packet::defragment::DefragmentOptions;
use sniff_x_flow::packet::{FlowHasher, Parser};
use sniff_x_proto::host::MAX_PLUGINS;
use thiserror::Error;

pub use reader::ReaderCounters;
pub use setup::{Change, Switch};
pub use summary::Summary;
pub use worker::WorkerCounters;

use crate::config::{Backend, Config, Control, Format, Input};
use crate::sink::dump;
use crate::sink::pcapng::PcapngWriter;
use batch::{BatchReceiver, Inline, WorkerQueue, worker_queue};
use clock::Stopwatch;
use fragments::Fragments;
use reader::{Reader, Workers};
use setup::{InForce, Setup, Watch};
use tally::Tally;
use worker::WorkerPlan;
use writer::OutputQueue;

/// A run failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The source of frames.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A plugin's rule is not valid.
    #[error("the rule of plugin '{plugin}' ('{rule}') is not valid: {error}")]
    Rule {
        /// The plugin.
        plugin: String,
        /// Its rule.
        rule: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// More plugins than can be active at once.
    #[error("{0} plugins at once are too many, the most is {MAX_PLUGINS}")]
    TooManyPlugins(usize),
    /// A change of a running engine names other plugins.
    #[error("the plugins of a run stay the same")]
    OtherPlugins,
    /// The output failed.
    #[error("writing events: {0}")]
    Output(io::Error),
    /// A file or folder could not be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// A thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(io::Error),
    /// A thread ended with a panic; what it held is lost.
    #[error("{0} ended with a panic: what it held is lost, please report this")]
    Panic(String),
}

/// Runs until the input ends, a limit of the configuration is reached or `control` says stop.
///
/// # Errors
/// Whatever kept the run from going on. What was read before is decoded and written all the same, and its counters come in `on_summary`,
/// which is called in any case once the sources were open.
pub fn run(config: Config, control: &Control, on_summary: impl FnOnce(&Summary)) -> Result<(), EngineError> {
    let setup = Setup::new(Change { plugins: config.plugins, keys: config.keys, filter: config.filter })?;
    let live = matches!(config.input, Input::Live { .. });
    let is_file = matches!(config.input, Input::File(_));
    if let Some(folder) = &config.dump {
        dump::prepare(folder).map_err(|error| EngineError::File { path: folder.clone(), error })?;
    }
    let threads = config.threads.max(1);
    let decodes = !setup.plugins.is_empty();
    // One reader alone can write frames in the order in which they were captured.
    let rings = if decodes && config.write.is_none() { threads } else { 1 };
    let sources = open(config.input, &setup.rules, rings)?;
    let mut pcapng = config.write.as_deref().map(PcapngWriter::create).transpose()?;
    let in_force = InForce::new(setup);
    let kernel = sources.first().and_then(|source| source.rule_switch());
    control.opened(Switch::new(Arc::clone(&in_force), kernel));
    if let (true, Some(source)) = (live, sources.first()) {
        let names: Vec<_> = source.interfaces().into_iter().map(|i| i.name).collect();
        let rings = if sources.len() > 1 { format!(" with {} rings", sources.len()) } else { String::new() };
        log::info!("capturing on {}{rings}, filtering {}", names.join(", "), source.filter_level());
    }

    let plan = WorkerPlan {
        watch: Watch::new(&in_force),
        format: config.output.format,
        redact: config.redact,
        limits: config.limits,
        dump: config.dump,
        workers: threads,
    };
    let tally = match &plan.format {
        Format::Groups(options) => Some(Tally::new(options.clone(), config.output.count)),
        Format::Text(_) | Format::Json => None,
    };
    let output = Arc::new(OutputQueue::new(!live, tally));
    let published: Vec<_> = (0..threads).map(|_| Mutex::new(WorkerCounters::default())).collect();

    let is_shared_file = is_file && sources.len() > 1;
    // Each reader of a file sees all fragments, each of a live line those of its ring.
    let parts = if is_shared_file { 1 } else { sources.len().max(1) };
    let share = |total: usize| total.div_ceil(parts);
    let defragment = DefragmentOptions {
        timeout: config.limits.fragment_timeout,
        max_datagrams: share(config.limits.max_fragmented),
        max_pages: share(config.limits.max_fragment_pages),
    };
    // One hasher for all: a packet that one reader hands to another carries its hash.
    let parser = Parser::new(FlowHasher::default(), config.parse);
    let reader = |source| Reader {
        source,
        rules: in_force.setup().rules.clone(),
        watch: Watch::new(&in_force),
        workers: Workers::None,
        writer: pcapng.take(),
        parser: parser.clone(),
        fragments: Fragments::new(defragment),
        peers: None,
        share: None,
        due: Nanos(u64::MAX),
        counters: ReaderCounters::default(),
        counts: true,
        control,
        live,
        now: Nanos(0),
        doubted: Vec::new(),
    };
    let mut readers: Vec<_> = sources.into_iter().map(reader).collect();
    if is_shared_file {
        let shares = shares::shares(readers.len());
        for (reader, share) in readers.iter_mut().zip(shares) {
            reader.counts = share.counts();
            reader.share = Some(share);
        }
    } else if decodes && readers.len() > 1 {
        let peers = peers::peers(readers.len());
        for (reader, peers) in readers.iter_mut().zip(peers) {
            reader.peers = Some(peers);
        }
    }
    let shares: Vec<_> = readers.iter().map(|_| Mutex::new(Summary::default())).collect();
    let (interval, duration) = (config.stats_interval, config.duration);
    let (sink, is_abandoned, count) = (config.output.to, config.output.is_abandoned, config.output.count);

    let result = thread::scope(|scope| {
        let spawn = |name: String| thread::Builder::new().name(name);
        let writer = spawn("writer".into())
            .spawn_scoped(scope, || output.write_to(sink, is_abandoned, count, control))
            .map_err(EngineError::Thread)?;
        let mut handles = Vec::new();
        let mut started = Ok(());
        match &mut readers[..] {
            _ if !decodes => {}
            [reader] if threads > 1 => {
                let (queues, receivers): (Vec<_>, Vec<BatchReceiver>) =
                    (0..threads).map(|_| worker_queue()).unzip();
                reader.workers = Workers::Queues(queues);
                for (index, (receiver, publish)) in receivers.into_iter().zip(&published).enumerate() {
                    let mut worker = plan.worker(index, output.clone());
                    let work = move || {
                        let _stop = StopOnPanic(control);
                        receiver.run(&mut worker, |w| set(publish, w.counters()));
                    };
                    match spawn(format!("worker-{index}")).spawn_scoped(scope, work) {
                        Ok(handle) => handles.push(handle),
                        Err(error) => {
                            started = Err(EngineError::Thread(error));
                            break;
                        }
                    }
                }
            }
            each => {
                for (index, reader) in each.iter_mut().enumerate() {
                    let worker = Box::new(plan.worker(index, output.clone()));
                    reader.workers = match &reader.share {
                        Some(share) => Workers::Share(Inline::new(worker), share.own(), share.of()),
                        None => Workers::Inline(Inline::new(worker)),
                    };
                }
            }
        }
        let since = Stopwatch::start();
        let told = AtomicUsize::new(0);
        let read = |index: usize, reader: &mut Reader<'_>| {
            let mut reports = 0;
            reader.run(duration, |reader| {
                reader.report_progress();
                if let Some(interval) = interval
                    && since.elapsed() >= interval * (reports + 1)
                {
                    reports += 1;
                    if let Some(share) = shares.get(index) {
                        set(share, reader.share());
                    }
                    // The last of the readers whose turn it is shows what all have told.
                    if (told.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(shares.len()) {
                        log::info!("{}", one_line(&total(shares.iter().map(get), &published, &output)));
                    }
                }
            })
        };
        // Whatever happens here, the queues must be closed: the scope waits for every thread, and they wait for their queues.
        let mut result = started.and_then(|()| readers::run(&mut readers, control, read));
        readers.iter().for_each(Reader::close_queues);
        for handle in handles {
            let name = handle.thread().name().unwrap_or("a worker").to_owned();
            if handle.join().is_err() {
                result = result.and(Err(EngineError::Panic(name)));
            }
        }
        output.close();
        let wrote = writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer ended with a panic")))
            .map_err(EngineError::Output);
        result.and(wrote)
    });

    if readers.len() > 1 {
        let frames: Vec<_> = readers.iter().map(|reader| reader.counters.frames.to_string()).collect();
        log::debug!("frames of each reader: {}", frames.join(" "));
    }
    let summary = total(readers.iter_mut().map(Reader::share), &published, &output);
    let setup = in_force.setup();
    if summary.reader.passed == 0 && summary.filtered() != Some(0) && decodes {
        let of_filter = if setup.rules.filter.is_some() { " and --filter" } else { "" };
        log::warn!("no frame matched {}{of_filter}: is it another port?", setup.wanted.join(" or "));
    }
    let finished = readers.iter_mut().find_map(|reader| reader.writer.take());
    let finished = finished.map_or(Ok(()), |writer| writer.finish(&summary.source));
    on_summary(&summary);
    result.and(finished)
}

impl Reader<'_> {
    /// Lets workers in other threads end. Closing twice does no harm.
    fn close_queues(&self) {
        if let Workers::Queues(queues) = &self.workers {
            queues.iter().for_each(WorkerQueue::close);
        }
    }

    fn report_progress(&self) {
        if let Some((read, total)) = self.source.progress().filter(|_| self.counts) {
            self.control.bytes_read.store(read, Ordering::Relaxed);
            self.control.bytes_total.store(total, Ordering::Relaxed);
        }
    }

    /// What it counted, with its source and the worker in its thread.
    fn share(&mut self) -> Summary {
        let workers = match &self.workers {
            Workers::Inline(worker) | Workers::Share(worker, ..) => worker.counters(),
            Workers::Queues(_) | Workers::None => WorkerCounters::default(),
        };
        if !self.counts {
            // Nothing of its own: what is known stays known.
            let source = SourceCounters {
                received: Some(0),
                dropped: Some(0),
                filtered: Some(0),
                ..SourceCounters::default()
            };
            return Summary { source, workers, ..Summary::default() };
        }
        Summary {
            source: self.source.counters(),
            reader: self.counters,
            fragments: self.fragments.counters(),
            workers,
            frames_written: self.writer.as_ref().map_or(0, PcapngWriter::frames),
            ..Summary::default()
        }
    }
}

/// The sum over the readers, the workers in threads of their own, and the output.
fn total(
    readers: impl Iterator<Item = Summary>,
    workers: &[Mutex<WorkerCounters>],
    output: &OutputQueue,
) -> Summary {
    let mut sum = readers
        .reduce(|mut sum, share| {
            sum.add(&share);
            sum
        })
        .unwrap_or_default();
    for worker in workers {
        sum.workers.add(&get(worker));
    }
    (sum.events_written, sum.events_dropped) = output.counts();
    sum
}

/// Stops the intake when its thread panics: an hour of capture of which a share goes nowhere is worth less than an early end.
struct StopOnPanic<'a>(&'a Control);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn set<T>(place: &Mutex<T>, counters: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = counters;
}

fn get<T: Clone>(place: &Mutex<T>) -> T {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The counters that are not 0, on one line.
fn one_line(summary: &Summary) -> String {
    let counters = summary.counters();
    let shown: Vec<_> = counters.iter().filter(|(_, v)| *v != 0).map(|(n, v)| format!("{n}={v}")).collect();
    shown.join(" ")
}

/// Opens what the configuration names: one source, or one for each of the `rings` that the kernel shares the flows out to.
fn open(input: Input, rules: &RuleSet, rings: usize) -> Result<Vec<Box<dyn Source>>, EngineError> {
    let options = match input {
        Input::File(path) => {
            let times = if rings <= shares::MOST { rings } else { 1 };
            return Ok(sniff_x_capture::open_file_again(&path, times)?);
        }
        Input::Sources(sources) => return Ok(sources),
        Input::Live { backend, interfaces, ring_size, block_size, snaplen, retire, promiscuous } => {
            let rules = rules.clone();
            let options = sniff_x_capture::LiveOptions {
                interfaces,
                rings,
                ring_size,
                block_size,
                snaplen,
                retire,
                promiscuous,
                rules,
            };
            (backend, options)
        }
    };
    match options {
        (Backend::Libpcap, options) => Ok(vec![libpcap(options)?]),
        (Backend::Auto, options) if !cfg!(target_os = "linux") => Ok(vec![libpcap(options)?]),
        (Backend::Auto | Backend::AfPacket, options) => Ok(sniff_x_capture::open_live(options)?),
    }
}

#[cfg(feature = "libpcap")]
fn libpcap(options: sniff_x_capture::LiveOptions) -> Result<Box<dyn Source>, EngineError> {
    Ok(sniff_x_capture::open_libpcap(options)?)
}

#[cfg(not(feature = "libpcap"))]
fn libpcap(_: sniff_x_capture::LiveOptions) -> Result<Box<dyn Source>, EngineError> {
    Err(CaptureError::Config("this build has no libpcap backend (cargo feature libpcap)".into()).into())
}

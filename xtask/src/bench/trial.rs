//! One live measurement: a stage reads an interface while a load is sent to it at one rate; what was lost, and who worked how much.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use sniff_x_capture::{LiveOptions, open_live};
use sniff_x_engine::{Backend, Control, Input};

use super::machine;
use super::send::Burst;
use super::stages::{Stage, Tally, engine, engine_config, rules};

/// How the interface is read: as `sniff-x` does unless it is told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) interface: String,
    pub(crate) ring_size: usize,
    pub(crate) threads: usize,
    pub(crate) retire: Duration,
}

/// What `sniff-x` has by default: the delay on a quiet line.
pub(crate) const RETIRE: Duration = Duration::from_millis(10);
const BLOCK: usize = 1 << 20;

/// What a measurement gave.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) tally: Tally,
    /// What was sent; none when somebody else sends.
    pub(crate) sent: Option<u64>,
    /// How long the load lasted, or else the wait.
    pub(crate) time: Duration,
    /// CPU time of the engine's threads by their names.
    pub(crate) threads: BTreeMap<String, Duration>,
    /// Peak resident memory in KiB, with the rings.
    pub(crate) memory: Option<u64>,
}

impl Trial {
    /// Frames that reached the capture.
    pub(crate) fn received(&self) -> u64 {
        self.tally.received.unwrap_or(self.tally.frames)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.tally.dropped.unwrap_or(0)
    }

    /// Every frame that was sent was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.dropped() == 0 && self.sent.is_none_or(|sent| sent == self.tally.frames)
    }

    /// Frames that were sent, but neither read nor counted as dropped; 0 if all counts are right.
    pub(crate) fn unaccounted(&self) -> i64 {
        let known = self.tally.frames + self.dropped();
        self.sent.map_or(0, |sent| sent.cast_signed() - known.cast_signed())
    }

    /// Frames a second, as they were sent, or else received.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(crate) fn rate(&self) -> f64 {
        self.sent.unwrap_or_else(|| self.received()) as f64 / self.time.as_secs_f64()
    }

    /// The share of a core that the threads took whose name begins so.
    pub(crate) fn share(&self, name: &str) -> f64 {
        let of = self.threads.iter().filter(|(thread, _)| thread.starts_with(name));
        of.map(|(_, time)| *time).sum::<Duration>().as_secs_f64() / self.time.as_secs_f64()
    }
}

/// How often it is looked whether the threads still work.
const LOOK: Duration = Duration::from_millis(30);
/// CPU time within a look below which they have nothing left to do.
const QUIET: Duration = Duration::from_millis(1);
/// Looks after which it goes on all the same.
const LOOKS: usize = 100;

/// Runs `stage` on the interface while `load` sends, or waits where somebody else does. `to` gets what the whole engine writes.
#[expect(clippy::disallowed_methods, reason = "a rate is frames on the clock")]
pub(crate) fn trial(
    stage: Stage,
    plugin: &str,
    reading: &Reading,
    to: Box<dyn Write + Send>,
    load: impl FnOnce() -> Result<Option<Burst>>,
) -> Result<Trial> {
    let stop = Arc::new(AtomicBool::new(false));
    let (opened, wait) = mpsc::sync_channel::<()>(1);
    machine::reset_peak_memory();
    let work = {
        let (plugin, reading, stop) = (plugin.to_owned(), reading.clone(), Arc::clone(&stop));
        move || read(stage, &plugin, &reading, to, stop, opened)
    };
    let reader = thread::Builder::new().name("reader".to_owned()).spawn(work)?;
    // An error says so at the end: the channel closes.
    let is_open = wait.recv().is_ok();
    let (before, since) = (machine::threads(), Instant::now());
    let burst = if is_open { load() } else { Ok(None) };
    if let Ok(Some(_)) = burst {
        let mut last = machine::cpu_time()?;
        for _ in 0..LOOKS {
            thread::sleep(LOOK);
            let now = machine::cpu_time()?;
            if now.saturating_sub(last) < QUIET {
                break;
            }
            last = now;
        }
    }
    // Somebody else goes on sending: what is counted has to end with the time.
    let (after, time) = (machine::threads(), since.elapsed());
    stop.store(true, Ordering::Relaxed);
    let tally = reader.join().map_err(|_| anyhow::anyhow!("the reader ended with a panic"))??;
    let burst = burst?;
    let worked = |(name, time): (String, Duration)| {
        let before = before.get(&name).copied().unwrap_or_default();
        (name, time.saturating_sub(before))
    };
    let is_engine = |name: &str| ["reader", "worker", "writer"].iter().any(|known| name.starts_with(known));
    Ok(Trial {
        tally,
        sent: burst.map(|burst| burst.frames),
        time: burst.map_or(time, |burst| burst.time),
        threads: after.into_iter().filter(|(name, _)| is_engine(name)).map(worked).collect(),
        memory: machine::peak_memory(),
    })
}

/// The reader's thread: to the end, which comes after `stop`.
fn read(
    stage: Stage,
    plugin: &str,
    reading: &Reading,
    to: Box<dyn Write + Send>,
    stop: Arc<AtomicBool>,
    opened: mpsc::SyncSender<()>,
) -> Result<Tally> {
    if stage == Stage::Engine {
        let input = Input::Live {
            interfaces: vec![reading.interface.clone()],
            backend: Backend::AfPacket,
            ring_size: reading.ring_size,
            block_size: BLOCK,
            snaplen: 0,
            retire: reading.retire,
            promiscuous: true,
        };
        let on_open = move |_switch| {
            let _ = opened.try_send(());
        };
        let control = Control { stop, on_open: Some(Arc::new(on_open)), ..Control::default() };
        return engine(engine_config(input, plugin, reading.threads, to)?, &control);
    }
    let options = LiveOptions {
        interfaces: vec![reading.interface.clone()],
        rings: 1,
        ring_size: reading.ring_size,
        block_size: BLOCK,
        snaplen: 0,
        retire: reading.retire,
        promiscuous: true,
        rules: rules(plugin)?,
    };
    let source = open_live(options)?.into_iter().next().context("no source")?;
    let _ = opened.try_send(());
    stage.run(source, plugin, &stop)
}

/// The two ends of the pair.
pub(crate) const SENDING: &str = "left";
pub(crate) const RECEIVING: &str = "right";

/// Runs `work` in a thread that has a network of its own, with a pair of interfaces that is up. The network goes with the last thread and
/// process in it, whatever ends them.
pub(crate) fn on_a_pair<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace can't be made: run as root")?;
        ip(&format!("link add {SENDING} type veth peer name {RECEIVING}"))?;
        for side in [SENDING, RECEIVING] {
            // No frames but ours: no address, so no neighbour discovery.
            ip(&format!("link set {side} addrgenmode none up"))?;
        }
        work()
    };
    thread::scope(|scope| scope.spawn(run).join())
        .map_err(|_| anyhow::anyhow!("the measurement ended with a panic"))?
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("ip can't be run (Debian package iproute2)")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

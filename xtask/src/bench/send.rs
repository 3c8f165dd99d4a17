//! `cargo xtask bench send`: a load on an interface at a given rate. `bench live` runs it as a process of its own, so that its work is not
//! taken for the engine's, and asks it for one burst after the other; by hand it is the generator for another machine.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use sniff_x_capture::generator::{Generator, live_frames, tx_ring};

use super::traffic::{Load, mean_length};
use crate::output::say;

/// How frames come onto the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Sent over the interface: PACKET_TX_RING, past the queueing discipline
    TxRing,
    /// Put into the interface's receiving side, without a sender: XDP live frames
    LiveFrames,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::TxRing => "tx-ring",
            Self::LiveFrames => "live-frames",
        }
    }

    fn open(self, interface: &str, trace: &[Vec<u8>]) -> Result<Box<dyn Generator>> {
        Ok(match self {
            Self::TxRing => tx_ring(interface, trace)?,
            Self::LiveFrames => live_frames(interface, trace)?,
        })
    }
}

/// What to send.
#[derive(Args, Clone, Debug)]
pub(crate) struct Send {
    /// The interface
    #[arg(long)]
    iface: String,
    /// How
    #[arg(long, value_enum, default_value_t = Way::TxRing)]
    generator: Way,
    /// 64, 128, 256, 512, 1024, 1518 (bytes with the checksum), imix, mysql, mysql-prepared, redis, http
    #[arg(long, value_parser = Load::parse, default_value = "64")]
    load: Load,
    /// Frames of the load, which are sent over and over
    #[arg(long, default_value_t = 65_536)]
    frames: usize,
    /// Frames a second; 0 is as fast as it goes
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// So long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Take rates and seconds, `RATE SECONDS` a line, from standard input; each is answered by what was sent: `FRAMES NANOSECONDS`
    #[arg(long, conflicts_with_all = ["rate", "seconds"])]
    commands: bool,
}

impl Send {
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(crate) fn run(&self) -> Result<()> {
        let trace = self.load.trace(self.frames)?;
        let mut generator = self.generator.open(&self.iface, &trace)?;
        if !self.commands {
            let burst = send(&mut *generator, self.rate, self.seconds)?;
            let rate = burst.frames as f64 / burst.time.as_secs_f64();
            let seconds = burst.time.as_secs_f64();
            return say(format_args!("{} frames in {seconds:.3} s: {rate:.0} a second", burst.frames));
        }
        say(format_args!("ready {}", mean_length(&trace)))?;
        for line in std::io::stdin().lines() {
            let line = line?;
            let (rate, seconds) = line.split_once(' ').context("a rate and seconds")?;
            let burst = send(&mut *generator, rate.parse()?, seconds.parse()?)?;
            say(format_args!("{} {}", burst.frames, burst.time.as_nanos()))?;
        }
        Ok(())
    }
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) frames: u64,
    pub(crate) time: Duration,
}

/// The most frames of one call, so that a late one does not become one long burst.
const MOST: f64 = 8192.0;

/// Sends at `rate`, 0 being as fast as it goes. What a pause of the machine kept back is made up for.
#[expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is frames on the clock; a count below 8192"
)]
fn send(generator: &mut dyn Generator, rate: f64, seconds: f64) -> Result<Burst> {
    let start = Instant::now();
    let mut frames = 0_u64;
    loop {
        let now = start.elapsed();
        if now.as_secs_f64() >= seconds {
            return Ok(Burst { frames, time: now });
        }
        let due = if rate > 0.0 { rate * now.as_secs_f64() - frames as f64 } else { MOST };
        if due < 1.0 {
            thread::sleep(Duration::from_secs_f64((1.0 - due) / rate).min(Duration::from_millis(1)));
        } else {
            frames += u64::from(generator.send(due.min(MOST) as u32)?);
        }
    }
}

/// A generator in a process of its own.
pub(crate) struct Sender {
    process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// The mean length of its frames, in bytes.
    pub(crate) length: f64,
}

impl Sender {
    /// Starts it in the network namespace of the calling thread.
    pub(crate) fn start(way: Way, interface: &str, load: Load, frames: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut process = Command::new(program)
            .args(["bench", "send", "--commands", "--iface", interface, "--generator", way.name()])
            .args(["--load", &load.name(), "--frames", &frames.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the generator")?;
        let (Some(commands), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the generator has no pipes");
        };
        let answers = BufReader::new(answers).lines();
        let mut sender = Self { process, commands, answers, length: 0.0 };
        let ready = sender.answer()?;
        sender.length = ready.strip_prefix("ready ").context("not ready")?.parse()?;
        Ok(sender)
    }

    /// Sends at `rate`; 0 is as fast as it goes.
    pub(crate) fn send(&mut self, rate: f64, seconds: f64) -> Result<Burst> {
        writeln!(self.commands, "{rate} {seconds}").context("the generator has ended")?;
        let answer = self.answer()?;
        let (frames, nanos) = answer.split_once(' ').context("not an answer")?;
        let burst = Burst { frames: frames.parse()?, time: Duration::from_nanos(nanos.parse()?) };
        ensure!(burst.frames > 0, "nothing was sent at {rate} frames a second in {seconds} s");
        Ok(burst)
    }

    fn answer(&mut self) -> Result<String> {
        self.answers.next().context("the generator has ended, see above")?.context("reading its answer")
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // It ends with its input, too, if this process is killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

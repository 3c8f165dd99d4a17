//! `cargo xtask bench latency`: from a frame's time to its event being written, live, on a veth pair of its own.
//!
//! An exchange's event is due when the last frame of the response is captured: its `timestamp` plus its `duration_ns`, both by the kernel's clock,
//! which is the time of day. It is written when the writer thread calls the output: there the clock is read, once for all lines of the call.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use clap::Args;

use super::report::{Cell, Report, Table};
use super::send::{Sender, Way};
use super::stages::Stage;
use super::traffic::Load;
use super::trial::{RECEIVING, Reading, on_a_pair, trial};

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Latency {
    /// The load: mysql or mysql-prepared
    #[arg(long, value_parser = Load::parse, default_value = "mysql")]
    load: Load,
    /// Frames a second
    #[arg(long, value_delimiter = ',', default_values_t = [50.0, 1000.0, 100_000.0, 300_000.0])]
    rate: Vec<f64>,
    /// Seconds at each rate
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long a block that isn't full waits in the kernel, in milliseconds
    #[arg(long, default_value_t = 10)]
    retire: u64,
    /// Readers, each with a worker
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Write the table to this file, too
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Latency {
    /// A run of a moment.
    pub(super) fn smoke(load: Load) -> Self {
        Self { load, rate: vec![2000.0], seconds: 0.5, retire: 10, threads: 1, json: None }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let mut report = Report::new(self.json.as_deref());
        self.measure(&mut report)?;
        report.finish()
    }

    pub(super) fn measure(&self, report: &mut Report) -> Result<()> {
        ensure!(self.load.is_protocol(), "{} has no exchanges", self.load.name());
        report.table(&on_a_pair(|| self.table())?)?;
        Ok(())
    }

    fn table(&self) -> Result<Table> {
        let title = format!(
            "{}: from the response's last frame to the event being written, blocks retired after {} ms",
            self.load.name(),
            self.retire
        );
        let columns = ["frames/s", "events", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "dropped"];
        let mut table = Table::new(title, &columns);
        for rate in &self.rate {
            // One that is sent slowly is of few connections, whose handshakes are soon over.
            let frames = if *rate < 10_000.0 { 4096 } else { 65_536 };
            let mut sender = Sender::start(Way::LiveFrames, RECEIVING, self.load, frames)?;
            let reading = Reading {
                interface: RECEIVING.to_owned(),
                ring_size: 64 << 20,
                threads: self.threads.max(1),
                retire: Duration::from_millis(self.retire.max(1)),
            };
            let delays = Delays::default();
            let to = Box::new(delays.clone());
            let send = || sender.send(*rate, self.seconds).map(Some);
            let trial = trial(Stage::Engine, self.load.plugin(), &reading, to, send)?;
            let mut delays = core::mem::take(&mut *delays.lock());
            ensure!(!delays.is_empty(), "no event at {rate} frames a second");
            delays.sort_unstable();
            let mut row = vec![Cell::Number(trial.rate(), 0), (delays.len() as u64).into()];
            row.extend([0.5, 0.99, 0.999, 1.0].map(|share| Cell::Number(quantile(&delays, share), 2)));
            row.push(trial.dropped().into());
            table.row(row);
        }
        Ok(table)
    }
}

/// The delay, in milliseconds, below which this share of the sorted delays lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the list"
)]
fn quantile(delays: &[u64], share: f64) -> f64 {
    let at = ((delays.len() as f64 * share).ceil() as usize).clamp(1, delays.len()) - 1;
    delays.get(at).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
}

/// An output that notes how late the exchanges are that are written to it.
#[derive(Clone, Default)]
struct Delays(Arc<Mutex<Vec<u64>>>);

impl Delays {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most delays that are kept.
const MOST: usize = 8 << 20;

impl Write for Delays {
    #[expect(clippy::disallowed_methods, reason = "when it is written is what is measured")]
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let mut delays = self.lock();
        for due in lines.split(|byte| *byte == b'\n').filter_map(due) {
            if delays.len() < MOST {
                delays.push(now.saturating_sub(due));
            }
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// When the exchange of this line was over, in nanoseconds since 1970; none for other lines.
fn due(line: &[u8]) -> Option<u64> {
    // These keys come first in every line.
    let head = core::str::from_utf8(line.get(..line.len().min(512))?).ok()?;
    if !head.contains(r#""sniffx.kind":"exchange""#) {
        return None;
    }
    let after = |key: &str| head.split_once(key).map(|(_, rest)| rest);
    let duration = after(r#""duration_ns":"#)?.split([',', '}']).next()?.parse::<u64>().ok()?;
    Some(nanos(after(r#""timestamp":""#)?.split('"').next()?)? + duration)
}

/// A time as RFC 3339 has it, in UTC with nanoseconds, in nanoseconds since 1970.
fn nanos(time: &str) -> Option<u64> {
    let mut numbers = time.split(['-', 'T', ':', '.', 'Z']).map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second, nanos) = (next()?, next()?, next()?, next()?);
    // Days since the first of March of year 0, as if a year began there.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = ((days - 719_468) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        // date -u -d 2026-03-01T10:00:00 +%s, and so on.
        assert_eq!(nanos("2026-03-01T10:00:00.000123456Z"), Some(1_772_359_200_000_123_456));
        assert_eq!(nanos("2024-02-29T23:59:59.999999999Z"), Some(1_709_251_199_999_999_999));
        assert_eq!(nanos("1970-01-01T00:00:00.000000001Z"), Some(1));
        assert_eq!(nanos("no time"), None);
    }

    #[test]
    fn only_exchanges_are_due() {
        let line = br#"{"timestamp":"1970-01-01T00:00:01.000000000Z","protocol":"mysql","sniffx.kind":"exchange","duration_ns":5,"status":"ok"}"#;
        assert_eq!(due(line), Some(1_000_000_005));
        assert_eq!(due(br#"{"timestamp":"1970-01-01T00:00:01.000000000Z","sniffx.kind":"session"}"#), None);
        assert_eq!(due(b""), None);
    }

    #[test]
    fn quantiles_are_of_the_list() {
        let delays: Vec<u64> = (1..=1000).map(|n| n * 1_000_000).collect();
        let shown = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(&delays, share));
        assert_eq!(shown, [500.0, 990.0, 999.0, 1000.0]);
        assert_eq!(quantile(&[7_000_000], 0.5), 7.0);
    }
}

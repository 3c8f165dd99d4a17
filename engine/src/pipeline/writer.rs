//! Stage: formatted events → output. One thread owns the output, so that a slow one never stops a worker of a live capture.
//!
//! Where events are counted by group it shows the table of `tally.rs` instead, and no lines come.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;

use super::clock::Stopwatch;
use super::queue::Queue;
use super::tally::{INTERVAL, Tally};
use crate::config::Control;
use crate::sink::groups::Groups;

/// Buffers on their way to the output; with [`BUFFER`] bytes each about 16 MiB.
const QUEUED: usize = 256;
/// A buffer is handed on when it has so many bytes, or when its batch ends.
pub(crate) const BUFFER: usize = 64 << 10;

/// Formatted events: whole lines.
pub(crate) struct Lines {
    /// The text.
    pub(crate) bytes: Vec<u8>,
    /// Where each event ends: one may have several lines.
    ends: Vec<usize>,
}

/// Events of a buffer, about: no more than that many fit unless they are very short.
const EVENTS: usize = BUFFER / 64;

impl Lines {
    /// An empty buffer with room for all that it is handed on with: it does not grow, unless an event is very long.
    pub(crate) fn empty() -> Self {
        Self { bytes: Vec::with_capacity(BUFFER + (4 << 10)), ends: Vec::with_capacity(EVENTS) }
    }

    /// An event was appended.
    pub(crate) fn end_event(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn events(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Leaves the first `n` events.
    fn truncate(&mut self, n: u64) {
        self.ends.truncate(usize::try_from(n).unwrap_or(usize::MAX));
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// The way from the workers to the writer.
pub(crate) struct OutputQueue {
    lines: Arc<Queue<Lines>>,
    spare: ArrayQueue<Lines>,
    written: AtomicU64,
    dropped: AtomicU64,
    /// As many events as were wanted are out: what else comes is not lost.
    enough: AtomicBool,
    /// Files block, live captures drop.
    blocking: bool,
    /// Counts events in place of writing them.
    tally: Option<Tally>,
}

impl OutputQueue {
    /// A queue; `blocking` when the input waits for the output (files).
    pub(crate) fn new(blocking: bool, tally: Option<Tally>) -> Self {
        Self {
            lines: Queue::new(QUEUED),
            spare: ArrayQueue::new(QUEUED),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            enough: AtomicBool::new(false),
            blocking,
            tally,
        }
    }

    /// How many of `events` events a worker may count into its groups.
    pub(crate) fn claim(&self, events: u64) -> u64 {
        let Some(tally) = &self.tally else { return events };
        let (claimed, was_last) = tally.claim(events);
        if was_last {
            self.enough.store(true, Ordering::Relaxed);
        }
        claimed
    }

    /// Takes over `events` events that a worker counted.
    pub(crate) fn tally(&self, groups: &mut Groups, events: u64) {
        if let Some(tally) = &self.tally {
            tally.take(groups);
            self.written.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// Hands lines on and leaves an empty buffer in their place.
    pub(crate) fn hand_on(&self, lines: &mut Lines) {
        if lines.ends.is_empty() {
            return;
        }
        let full = core::mem::replace(lines, self.spare.pop().unwrap_or_else(Lines::empty));
        let refused =
            if self.blocking { self.lines.push(full).err() } else { self.lines.try_push(full).err() };
        if let Some(refused) = refused {
            self.drop_counted(&refused);
            self.recycle(refused);
        }
    }

    /// No more lines will come.
    pub(crate) fn close(&self) {
        self.lines.close();
    }

    /// Events written, and events that were lost: the output was too slow or failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    fn drop_counted(&self, lines: &Lines) {
        if !self.enough.load(Ordering::Relaxed) {
            self.dropped.fetch_add(lines.events(), Ordering::Relaxed);
        }
    }

    fn recycle(&self, mut lines: Lines) {
        if lines.bytes.capacity() <= 4 * BUFFER {
            lines.bytes.clear();
            lines.ends.clear();
            // Full means that there are enough spare ones.
            let _ = self.spare.push(lines);
        }
    }

    /// The writer thread: writes until the queue closes, the output fails, nobody reads it, or `count` events are out; then it
    /// stops the intake.
    ///
    /// # Errors
    /// The output failed; a closed pipe is no error, the reader of the pipe has seen enough.
    pub(crate) fn write_to(
        &self,
        mut to: Box<dyn Write + Send>,
        is_abandoned: impl Fn() -> bool,
        count: Option<u64>,
        control: &Control,
    ) -> io::Result<()> {
        if let Some(tally) = &self.tally {
            return self.show(tally, to.as_mut(), is_abandoned, control);
        }
        let mut left = count.unwrap_or(u64::MAX);
        let mut result = Ok(());
        while let Some(mut lines) = self.lines.pop_unless(&is_abandoned) {
            if left < lines.events() {
                lines.truncate(left);
            }
            if let Err(error) = to.write_all(&lines.bytes).and_then(|()| to.flush()) {
                self.drop_counted(&lines);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    result = Err(error);
                }
                break;
            }
            left -= lines.events();
            self.written.fetch_add(lines.events(), Ordering::Relaxed);
            self.recycle(lines);
            if left == 0 {
                self.enough.store(true, Ordering::Relaxed);
                break;
            }
        }
        // What is still under way after a failure or the last wanted event goes nowhere; workers must not wait for room.
        control.stop.store(true, Ordering::Relaxed);
        self.lines.close();
        while let Some(lines) = self.lines.pop() {
            self.drop_counted(&lines);
        }
        result
    }

    /// The writer thread where events are counted: shows the table until the queue, through which nothing comes, is closed.
    fn show(
        &self,
        tally: &Tally,
        to: &mut dyn Write,
        is_abandoned: impl Fn() -> bool,
        control: &Control,
    ) -> io::Result<()> {
        let (mut shown, mut since) = (Ok(0), Stopwatch::start());
        while !self.lines.wait_for_close() {
            if tally.is_live() && since.elapsed() >= INTERVAL {
                since = Stopwatch::start();
                shown = shown.and_then(|lines| tally.show(to, lines, false));
            }
            if shown.is_err() || self.enough.load(Ordering::Relaxed) || is_abandoned() {
                control.stop.store(true, Ordering::Relaxed);
            }
        }
        let Err(error) = shown.and_then(|lines| tally.show(to, lines, true)) else { return Ok(()) };
        self.dropped.fetch_add(self.written.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::groups::{GroupBy, GroupOptions};
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(text: &str) -> Lines {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1).collect();
        Lines { bytes: text.as_bytes().to_vec(), ends }
    }

    #[test]
    fn count_cuts_between_events_and_stops_the_intake() {
        let (queue, out, control) = (OutputQueue::new(true, None), Shared::default(), Control::default());
        queue.hand_on(&mut lines("a\nb\n"));
        queue.hand_on(&mut lines("c\nd\n"));
        queue.write_to(Box::new(out.clone()), || false, Some(3), &control).unwrap();
        assert_eq!(*out.0.lock().unwrap(), b"a\nb\nc\n");
        assert_eq!(queue.counts(), (3, 0));
        assert!(control.stop.load(Ordering::Relaxed));
        // A worker that still has events is not kept waiting, and what nobody wanted is not lost.
        queue.hand_on(&mut lines("e\n"));
        assert_eq!(queue.counts(), (3, 0));
    }

    #[test]
    fn a_live_queue_drops_and_counts_when_the_output_is_slow() {
        let queue = OutputQueue::new(false, None);
        for _ in 0..QUEUED + 10 {
            queue.hand_on(&mut lines("a\nb\n"));
        }
        assert_eq!(queue.counts(), (0, 20));
    }

    fn counting(count: Option<u64>) -> OutputQueue {
        let options = GroupOptions { by: GroupBy::Protocol, color: false, terminal: None };
        OutputQueue::new(true, Some(Tally::new(options, count)))
    }

    /// Workers are told how many of their events still count; the writer stops the intake once those were the last.
    #[test]
    fn a_table_counts_so_many_events_and_stops_the_intake() {
        let (queue, out, control) = (counting(Some(5)), Shared::default(), Control::default());
        let mut groups = Groups::new(GroupBy::Protocol);
        for (asked, granted) in [(3, 3), (3, 2), (3, 0)] {
            assert_eq!(queue.claim(asked), granted);
            queue.tally(&mut groups, granted);
        }
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.write_to(Box::new(out.clone()), || false, Some(5), &control));
            while !control.stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            queue.close();
            writer.join().unwrap().unwrap();
        });
        assert_eq!(queue.counts(), (5, 0));
        let table = out.0.lock().unwrap().clone();
        assert!(table.starts_with(b"protocol  events"), "{}", String::from_utf8_lossy(&table));
    }

    #[test]
    fn a_table_that_can_not_be_written_loses_what_it_counted() {
        let queue = counting(None);
        assert_eq!(queue.claim(7), 7);
        queue.tally(&mut Groups::new(GroupBy::Protocol), 7);
        queue.close();
        let full = queue.write_to(
            Box::new(Failing(io::ErrorKind::StorageFull)),
            || false,
            None,
            &Control::default(),
        );
        assert!(full.is_err());
        assert_eq!(queue.counts(), (0, 7));
    }

    /// Lines and tables: neither comes while nothing happens.
    #[test]
    fn an_output_that_nobody_reads_ends_the_run_in_silence() {
        for queue in [OutputQueue::new(false, None), counting(None)] {
            let (is_read, control) = (AtomicBool::new(true), Control::default());
            let is_abandoned = || !is_read.load(Ordering::Relaxed);
            let has_stopped = || control.stop.load(Ordering::Relaxed);
            std::thread::scope(|scope| {
                let run = scope.spawn(|| queue.write_to(Box::new(io::sink()), is_abandoned, None, &control));
                std::thread::sleep(core::time::Duration::from_millis(100));
                assert!(!has_stopped() && !run.is_finished());
                is_read.store(false, Ordering::Relaxed);
                while !has_stopped() {
                    std::thread::yield_now();
                }
                queue.close();
                run.join().unwrap().unwrap();
            });
            assert_eq!(queue.counts(), (0, 0));
        }
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_but_a_full_disk_is() {
        for (kind, fine) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
            // Neither what was under way nor what comes later goes uncounted, whether the input waits or not.
            for blocking in [true, false] {
                let queue = OutputQueue::new(blocking, None);
                queue.hand_on(&mut lines("a\n"));
                queue.hand_on(&mut lines("b\nc\n"));
                let result = queue.write_to(Box::new(Failing(kind)), || false, None, &Control::default());
                assert_eq!(result.is_ok(), fine);
                queue.hand_on(&mut lines("d\n"));
                assert_eq!(queue.counts(), (0, 4));
            }
        }
    }
}

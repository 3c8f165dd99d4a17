//! One reader in the calling thread, or several, each with its source and worker in a thread of its own.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::peers::Peers;
use super::reader::Reader;
use super::{EngineError, cores};
use crate::config::Control;

/// Runs `read` with each reader and its number, until all have ended; the first to end stops the others, which then hand on what
/// they hold; of those of a file only one that fails does. Several readers of a live line stay on a core each, if there are enough for all.
///
/// # Errors
/// That of the first reader, in their order, that failed.
pub(crate) fn run<'a>(
    readers: &mut [Reader<'a>],
    control: &Control,
    read: impl Fn(usize, &mut Reader<'a>) -> Result<(), EngineError> + Sync,
) -> Result<(), EngineError> {
    if let [reader] = readers {
        return panic::catch_unwind(AssertUnwindSafe(|| read(0, reader)))
            .unwrap_or_else(|_| Err(panicked(0)));
    }
    let of_a_file = readers.iter().any(|reader| reader.share.is_some());
    let cores = Some(cores::allowed()).filter(|cores| cores.len() >= readers.len() && !of_a_file);
    let cores = cores.unwrap_or_default();
    let mut cores = cores.into_iter();
    let read = &read;
    thread::scope(|scope| {
        let mut handles = Vec::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            let (core, stop) = (cores.next(), StopOnExit { stop: &control.stop, stops: !of_a_file });
            let leaving = reader.peers.as_ref().map(Peers::leaving);
            // A thread that can't be started drops these, so that those before it end.
            let thread = move || {
                let (mut stop, _leaving) = (stop, leaving);
                core.into_iter().for_each(cores::pin);
                let result = read(index, reader);
                stop.stops |= result.is_err();
                result
            };
            let started = thread::Builder::new().name(format!("reader-{index}")).spawn_scoped(scope, thread);
            handles.push(started.map_err(EngineError::Thread)?);
        }
        // All are waited for, whatever the first of them says.
        let ended: Vec<_> = handles.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let mut results = ended.into_iter().enumerate();
        results.try_for_each(|(index, ended)| ended.unwrap_or_else(|_| Err(panicked(index))))
    })
}

fn panicked(index: usize) -> EngineError {
    EngineError::Panic(format!("reader-{index}"))
}

/// Stops all readers when one ends, even by a panic.
struct StopOnExit<'a> {
    stop: &'a AtomicBool,
    /// Also when it ends well.
    stops: bool,
}

impl Drop for StopOnExit<'_> {
    fn drop(&mut self) {
        if self.stops || thread::panicking() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use sniff_x_capture::{Batch, CaptureError, FilterLevel, Interface, Source, SourceCounters};
    use sniff_x_filter::RuleSet;
    use sniff_x_flow::Nanos;
    use sniff_x_flow::packet::Parser;
    use sniff_x_flow::packet::defragment::DefragmentOptions;
    use sniff_x_proto::event::KeyTable;

    use super::super::fragments::Fragments;
    use super::super::reader::{ReaderCounters, Workers};
    use super::super::setup::{Change, InForce, Setup, Watch};
    use super::*;

    /// How a source that is idle until then behaves.
    enum Fake {
        GoesOn,
        Fails,
        Panics,
    }

    struct Quiet {
        fake: Fake,
        stopped: bool,
    }

    impl Source for Quiet {
        fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError> {
            thread::sleep(wait.min(Duration::from_millis(5)));
            match self.fake {
                Fake::GoesOn if self.stopped => Ok(Batch::End),
                Fake::GoesOn => Ok(Batch::Idle),
                Fake::Fails => Err(CaptureError::InterfaceGone("eth0".to_owned())),
                Fake::Panics => std::panic::resume_unwind(Box::new("of a test")),
            }
        }
        fn stop(&mut self) {
            self.stopped = true;
        }
        fn interfaces(&self) -> Vec<Interface> {
            Vec::new()
        }
        fn counters(&mut self) -> SourceCounters {
            SourceCounters::default()
        }
        fn filter_level(&self) -> FilterLevel {
            FilterLevel::Ebpf
        }
        fn progress(&self) -> Option<(u64, u64)> {
            None
        }
    }

    /// Runs readers of such sources; the result, and which of them ended in an orderly way.
    fn run_all(sources: Vec<Fake>, stop: bool) -> (Result<(), EngineError>, Vec<usize>) {
        let control = Control::default();
        let nothing = Change { plugins: Vec::new(), keys: KeyTable::default(), filter: None };
        let in_force = InForce::new(Setup::new(nothing).unwrap());
        let reader = |fake| Reader {
            source: Box::new(Quiet { fake, stopped: false }),
            rules: RuleSet::default(),
            watch: Watch::new(&in_force),
            workers: Workers::None,
            writer: None,
            parser: Parser::default(),
            fragments: Fragments::new(DefragmentOptions::default()),
            peers: None,
            share: None,
            due: Nanos(u64::MAX),
            counters: ReaderCounters::default(),
            counts: true,
            control: &control,
            live: true,
            now: Nanos(0),
            doubted: Vec::new(),
        };
        let mut readers: Vec<_> = sources.into_iter().map(reader).collect();
        let orderly = Mutex::new(Vec::new());
        let result = run(&mut readers, &control, |index, reader| {
            let result = reader.run(None, |_| {
                if stop {
                    control.stop.store(true, Ordering::Relaxed);
                }
            });
            if result.is_ok() {
                orderly.lock().unwrap().push(index);
            }
            result
        });
        let mut orderly = orderly.into_inner().unwrap();
        orderly.sort_unstable();
        (result, orderly)
    }

    #[test]
    fn a_stop_ends_all() {
        let (result, orderly) = run_all(vec![Fake::GoesOn, Fake::GoesOn, Fake::GoesOn], true);
        assert!(result.is_ok() && orderly == [0, 1, 2]);
    }

    #[test]
    fn an_error_of_one_ends_all() {
        let (result, orderly) = run_all(vec![Fake::GoesOn, Fake::Fails, Fake::GoesOn], false);
        assert!(matches!(result, Err(EngineError::Capture(CaptureError::InterfaceGone(_)))));
        assert_eq!(orderly, [0, 2]);
    }

    #[test]
    fn a_panic_of_one_ends_all_and_is_an_error() {
        let (result, orderly) = run_all(vec![Fake::GoesOn, Fake::GoesOn, Fake::Panics], false);
        assert!(matches!(result, Err(EngineError::Panic(name)) if name == "reader-2"));
        assert_eq!(orderly, [0, 1]);
        let (alone, _) = run_all(vec![Fake::Panics], false);
        assert!(matches!(alone, Err(EngineError::Panic(_))));
    }
}

//! The mutation loop of each target, and the targets side by side on the machine's cores.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::corpus::Corpus;
use super::mutate::mutate;
use super::random::Random;
use super::report::{Failure, Report, folder, repeat};
use super::signal::{Map, Signal};
use super::trial;
use crate::Target;
use crate::seeds::Seeds;

/// An input that keeps a target busy for so long is taken for an endless loop. (What ends is over in milliseconds.)
const ENDLESS: Duration = Duration::from_mins(1);

/// The stack that the engine's threads have.
const STACK: usize = 2 << 20;

/// The input that a target is at, in a file: an abort (a stack that overflows, memory that is not there) leaves it behind.
struct Current {
    file: File,
    len: usize,
}

impl Current {
    fn path(target: &Target) -> PathBuf {
        folder().join(format!("{}-current", target.name))
    }

    fn create(target: &Target) -> Self {
        Self { file: File::create(Self::path(target)).expect("the file of the current input"), len: 0 }
    }

    fn write(&mut self, input: &[u8]) {
        self.file.write_all_at(input, 0).expect("the current input is written");
        if input.len() < self.len {
            self.file.set_len(input.len() as u64).expect("the current input is cut");
        }
        self.len = input.len();
    }
}

/// Runs all that the arguments say; whether all went well.
pub(crate) fn all(arguments: &Arguments) -> bool {
    if arguments.list {
        arguments.targets.iter().for_each(|target| println!("{}: test", target.name));
        return true;
    }
    if arguments.targets.is_empty() {
        return true;
    }
    let seeds = Seeds::find(arguments.input.is_some());
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let print = Mutex::new(());
    let at_once = thread::available_parallelism().map_or(1, usize::from).min(arguments.targets.len());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(target) = arguments.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = watched(target, arguments, &seeds);
                    let _one = print.lock().unwrap_or_else(PoisonError::into_inner);
                    if !report.print(target) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failed.into_inner() == 0
}

/// Runs a target in a thread of its own and ends everything when an input keeps it for ever.
fn watched(target: &'static Target, arguments: &Arguments, seeds: &Seeds) -> Report {
    let counter = &AtomicU64::new(0);
    thread::scope(|scope| {
        let work = thread::Builder::new()
            .name(format!("fuzz {}", target.name))
            .stack_size(STACK)
            .spawn_scoped(scope, move || Loop::new(target, arguments, seeds, counter).go())
            .expect("a thread");
        let (mut last, mut since) = (0, Instant::now());
        while !work.is_finished() {
            thread::sleep(Duration::from_millis(5));
            let at = counter.load(Ordering::Relaxed);
            if at != last {
                (last, since) = (at, Instant::now());
            } else if since.elapsed() > ENDLESS {
                println!("fuzz {}: no end after {ENDLESS:?}", target.name);
                println!("  again: {}", repeat(target, &Current::path(target)));
                std::process::exit(1);
            }
        }
        work.join().expect("a target's panics are caught")
    })
}

/// The loop of one target.
struct Loop<'a> {
    target: &'static Target,
    arguments: &'a Arguments,
    corpus: Corpus,
    map: Map,
    signal: Signal,
    current: Current,
    /// Executions, for the report and for the watch.
    counter: &'a AtomicU64,
}

impl<'a> Loop<'a> {
    fn new(target: &'static Target, arguments: &'a Arguments, seeds: &Seeds, counter: &'a AtomicU64) -> Self {
        let inputs = match &arguments.input {
            Some(file) => vec![std::fs::read(file).expect("the input is read")],
            None => (target.seeds)(seeds),
        };
        Self {
            target,
            arguments,
            corpus: Corpus::new(inputs),
            map: Map::new(),
            signal: Signal::default(),
            current: Current::create(target),
            counter,
        }
    }

    /// Runs one input; whether it showed something new.
    fn execute(&mut self, input: &[u8]) -> Result<bool, Failure> {
        self.current.write(input);
        let counter = self.counter;
        let tried = || _ = counter.fetch_add(1, Ordering::Relaxed);
        tried();
        match trial::run(self.target, input, &mut self.signal) {
            Ok(()) => Ok(self.map.add(&self.signal)),
            // An input that was given is already what someone wants to see.
            Err(wrong) if self.arguments.input.is_some() => Err(Failure { wrong, input: input.to_vec() }),
            Err(wrong) => Err(Failure { input: trial::shrink(self.target, input, &wrong, tried), wrong }),
        }
    }

    fn inputs(&mut self, start: Instant) -> Result<(), Failure> {
        for at in 0..self.corpus.seeds().len() {
            let seed = self.corpus.seeds()[at].clone();
            self.execute(&seed)?;
        }
        if self.arguments.input.is_some() {
            return Ok(());
        }
        // Targets get random numbers of their own, the same ones whichever others run.
        let name = self.target.name.bytes().fold(0_u64, |name, byte| name.rotate_left(8) ^ u64::from(byte));
        let mut random = Random(self.arguments.seed ^ name);
        let mut input = Vec::new();
        while start.elapsed() < self.arguments.time {
            input.clear();
            input.extend_from_slice(self.corpus.pick(&mut random));
            let other = self.corpus.pick(&mut random);
            mutate(&mut random, &mut input, other, self.target.words);
            if self.execute(&input)? {
                self.corpus.keep(&mut random, &input);
            }
        }
        Ok(())
    }

    fn go(mut self) -> Report {
        let start = Instant::now();
        let failure = self.inputs(start).err();
        Report {
            executions: self.counter.load(Ordering::Relaxed),
            seconds: start.elapsed().as_secs(),
            seed: self.arguments.seed,
            seeds: self.corpus.seeds().len(),
            kept: self.corpus.len() - self.corpus.seeds().len(),
            signals: self.map.set(),
            failure,
        }
    }
}

//! One reader in the calling thread, or several, each with its source and worker in a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::reader::Reader;
use super::{EngineError, cores};
use crate::config::Control;

/// Runs `read` with each reader and its number, until all have ended; the first to end stops the others, which then hand on what
/// they hold. Several readers stay on a core each, if there are enough for all.
///
/// # Errors
/// That of the first reader, in their order, that failed.
pub(crate) fn run<'a>(
    readers: &mut [Reader<'a>],
    control: &Control,
    read: impl Fn(usize, &mut Reader<'a>) -> Result<(), EngineError> + Sync,
) -> Result<(), EngineError> {
    if let [reader] = readers {
        return read(0, reader);
    }
    let cores = Some(cores::allowed()).filter(|cores| cores.len() >= readers.len()).unwrap_or_default();
    let mut cores = cores.into_iter();
    let read = &read;
    thread::scope(|scope| {
        let mut handles = Vec::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            let (core, stop) = (cores.next(), StopOnExit(&control.stop));
            // A thread that can't be started drops this, so that those before it end.
            let thread = move || {
                let _stop = stop;
                core.into_iter().for_each(cores::pin);
                read(index, reader)
            };
            let started = thread::Builder::new().name(format!("reader-{index}")).spawn_scoped(scope, thread);
            handles.push(started.map_err(EngineError::Thread)?);
        }
        // All are waited for, whatever the first of them says.
        let ended: Vec<_> = handles.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let results = ended.into_iter().enumerate();
        results.map(|(index, ended)| ended.unwrap_or(Err(EngineError::Panicked(index)))).collect()
    })
}

/// Stops all readers when one ends, even by a panic.
struct StopOnExit<'a>(&'a AtomicBool);

impl Drop for StopOnExit<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

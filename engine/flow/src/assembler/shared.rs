//! A pool that several threads share: the same assembler, one a shard, each behind a mutex.
//!
//! The engine does not need it: flow affinity makes each worker own its connections. It is for programs whose sources do
//! not keep a flow's packets together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Assembler, AssemblerCounters, AssemblerOptions, Flushed, StreamFactory};
use crate::Nanos;
use crate::packet::Segment;

/// Assemblers that can be used from several threads; a flow always meets the same one.
pub struct SharedStreamPool<F: StreamFactory> {
    shards: Box<[Mutex<Shard<F>>]>,
}

struct Shard<F: StreamFactory> {
    assembler: Assembler<F>,
    factory: F,
}

impl<F: StreamFactory> SharedStreamPool<F> {
    /// A pool of `shards` assemblers (at least one), each with a factory of its own. Limits on numbers are split evenly.
    pub fn new(shards: usize, options: &AssemblerOptions, mut factory: impl FnMut(usize) -> F) -> Self {
        let count = shards.max(1);
        let share = |limit: Option<usize>| limit.map(|limit| limit.div_ceil(count));
        let shards = (0..count).map(|at| {
            let options = AssemblerOptions {
                max_buffered_pages_total: share(options.max_buffered_pages_total),
                max_connections: share(options.max_connections),
                max_embryonic: share(options.max_embryonic),
                max_closed: share(options.max_closed),
                first_serial: options.first_serial + options.serial_step * at as u64,
                serial_step: options.serial_step * count as u64,
                ..options.clone()
            };
            Mutex::new(Shard { assembler: Assembler::new(options), factory: factory(at) })
        });
        Self { shards: shards.collect() }
    }

    /// [`Assembler::assemble`] in the flow's shard.
    pub fn assemble(&self, segment: &Segment, payload: &[u8]) {
        self.assemble_with_timestamp(segment, payload, segment.packet.timestamp);
    }

    /// [`Assembler::assemble_with_timestamp`] in the flow's shard.
    pub fn assemble_with_timestamp(&self, segment: &Segment, payload: &[u8], timestamp: Nanos) {
        if let Some(shard) = self.shards.get(segment.packet.worker(self.shards.len())) {
            let Shard { assembler, factory } = &mut *lock(shard);
            assembler.assemble_with_timestamp(factory, segment, payload, timestamp);
        }
    }

    /// [`Assembler::advance`] in all shards.
    pub fn advance(&self, now: Nanos) {
        self.each(|assembler, factory| assembler.advance(factory, now));
    }

    /// [`Assembler::flush_older_than`] in all shards, summed.
    pub fn flush_older_than(&self, time: Nanos) -> Flushed {
        let mut sum = Flushed::default();
        self.each(|assembler, factory| {
            let Flushed { flushed, closed } = assembler.flush_older_than(factory, time);
            sum.flushed += flushed;
            sum.closed += closed;
        });
        sum
    }

    /// [`Assembler::flush_all`] in all shards, summed.
    pub fn flush_all(&self) -> usize {
        let mut closed = 0;
        self.each(|assembler, factory| closed += assembler.flush_all(factory));
        closed
    }

    /// Calls `look` with each shard's counters and factory, one after the other.
    pub fn for_each(&self, mut look: impl FnMut(AssemblerCounters, &mut F)) {
        self.each(|assembler, factory| look(assembler.counters(), factory));
    }

    fn each(&self, mut visit: impl FnMut(&mut Assembler<F>, &mut F)) {
        for shard in &self.shards {
            let Shard { assembler, factory } = &mut *lock(shard);
            visit(assembler, factory);
        }
    }
}

/// A stream that panicked leaves its shard usable: the assembler's own state is whole between any two of its calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

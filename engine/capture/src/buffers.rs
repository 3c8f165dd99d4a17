//! Read buffers: memory that a reader fills and that leases share until the last of them drops.
//!
//! A pool has a fixed number of slots. The reader takes a free slot, has it to itself while it fills it, then publishes it; from
//! then on the memory is only read, by any number of holders. The last holder puts the slot on a lock-free free list. Nothing is
//! allocated per buffer after each slot was used once.
#![expect(
    unsafe_code,
    reason = "a slot is written by one owner, then read by many: the holder count proves which"
)]

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

use crossbeam_queue::ArrayQueue;

/// Bytes of a read buffer, unless a record needs more: what was read is still in the core's own cache when it is worked on, beside what the work needs.
pub(crate) const BUFFER_SIZE: usize = 256 << 10;

/// Buffers of a pool. Each is made when it is first needed; a reader and worker in one thread use two.
pub(crate) const BUFFERS: u32 = 8;

/// The buffers of one source.
pub(crate) struct Pool {
    slots: Box<[Slot]>,
    /// Slots that were used and came back. Preferred over unused ones: their memory is warm.
    free: ArrayQueue<u32>,
    /// The first slot that was never used.
    unused: AtomicU32,
    /// Whether `waiter` wants to be woken.
    waiting: AtomicBool,
    waiter: Mutex<Option<Thread>>,
}

/// Invariant: `holders == 0` → the slot is free; `memory` is written only by a [`Writable`], which is then the one holder.
#[derive(Default)]
struct Slot {
    holders: AtomicU32,
    memory: UnsafeCell<Memory>,
}

#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    filled: usize,
}

// SAFETY: `memory` is the only field that isn't Sync. It is written only through a `Writable`, of which there is one at a time
// for a slot (the slot's number was popped from the free list, or taken from `unused`, by exactly one caller), and read only
// through `Filled`, which others get only after `publish`, and whose last drop, ordered by AcqRel on `holders`, frees the slot.
unsafe impl Sync for Slot {}

impl Pool {
    /// A pool of `count` slots; no buffer is made yet.
    pub(crate) fn new(count: u32) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..count).map(|_| Slot::default()).collect(),
            free: ArrayQueue::new(count.max(1) as usize),
            unused: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            waiter: Mutex::new(None),
        })
    }

    /// A buffer of at least `size` bytes to fill; none while all are leased.
    pub(crate) fn take(self: &Arc<Self>, size: usize) -> Option<Writable> {
        let slot = self.free.pop().or_else(|| {
            let next = self.unused.load(Ordering::Relaxed);
            let taken = ((next as usize) < self.slots.len())
                .then(|| self.unused.compare_exchange(next, next + 1, Ordering::Relaxed, Ordering::Relaxed));
            matches!(taken, Some(Ok(_))).then_some(next)
        })?;
        self.slot(slot).holders.store(1, Ordering::Relaxed);
        let mut buffer = Writable(Filled { pool: Arc::clone(self), slot });
        let bytes = &mut buffer.memory().bytes;
        let wanted = size.max(BUFFER_SIZE);
        if bytes.len() > wanted {
            // One huge record must not make the buffer huge for ever.
            *bytes = Vec::new();
        }
        if bytes.len() < wanted {
            bytes.resize(wanted, 0);
        }
        Some(buffer)
    }

    /// Waits until a buffer came back, `wait` at the longest.
    pub(crate) fn wait(&self, wait: Duration) {
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        self.waiting.store(true, Ordering::SeqCst);
        if self.free.is_empty() {
            thread::park_timeout(wait);
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    fn give_back(&self, slot: u32) {
        // The list has room for all slots, and a slot is on it once.
        let _ = self.free.push(slot);
        if self.waiting.load(Ordering::SeqCst)
            && let Some(thread) = self.waiter.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            thread.unpark();
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "slot numbers come from `take` alone, which gives 0 to slots.len()"
    )]
    fn slot(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }
}

/// A buffer that one owner fills.
pub(crate) struct Writable(Filled);

impl Writable {
    fn memory(&mut self) -> &mut Memory {
        // SAFETY: this is the slot's only holder (see `Pool::take`), it is not Clone, and it is borrowed mutably.
        unsafe { &mut *self.0.pool.slot(self.0.slot).memory.get() }
    }

    /// The whole buffer, at least as long as was asked for.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory().bytes
    }

    /// Makes the first `filled` bytes readable by many.
    pub(crate) fn publish(mut self, filled: usize) -> Filled {
        let memory = self.memory();
        memory.filled = filled.min(memory.bytes.len());
        self.0
    }
}

/// A holder of a filled buffer.
pub(crate) struct Filled {
    pool: Arc<Pool>,
    slot: u32,
}

impl Filled {
    /// What was filled in.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: as long as this holder counts nobody writes the memory.
        let memory = unsafe { &*self.pool.slot(self.slot).memory.get() };
        memory.bytes.get(..memory.filled).unwrap_or_default()
    }
}

impl Clone for Filled {
    fn clone(&self) -> Self {
        // Relaxed is enough: this holder keeps the count above 0.
        self.pool.slot(self.slot).holders.fetch_add(1, Ordering::Relaxed);
        Self { pool: Arc::clone(&self.pool), slot: self.slot }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // AcqRel: all reads of all holders come before the next owner's writes.
        if self.pool.slot(self.slot).holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pool.give_back(self.slot);
        }
    }
}

impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer {} ({} bytes)", self.slot, self.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_holder_gives_the_buffer_back() {
        let pool = Pool::new(1);
        let mut buffer = pool.take(10).unwrap();
        assert!(pool.take(10).is_none(), "there is one");
        buffer.bytes()[..3].copy_from_slice(b"abc");
        let first = buffer.publish(3);
        let second = first.clone();
        drop(first);
        assert!(pool.take(10).is_none());
        assert_eq!(second.bytes(), b"abc");
        drop(second);
        assert!(pool.take(10).is_some());
        assert!(pool.take(10).is_some(), "an unpublished buffer comes back as well");
    }

    #[test]
    fn a_grown_buffer_shrinks_again() {
        let pool = Pool::new(1);
        assert_eq!(pool.take(3 * BUFFER_SIZE).unwrap().bytes().len(), 3 * BUFFER_SIZE);
        assert_eq!(pool.take(1).unwrap().bytes().len(), BUFFER_SIZE);
    }

    #[test]
    fn used_buffers_go_before_unused_ones() {
        let pool = Pool::new(8);
        for _ in 0..100 {
            let (a, b) = (pool.take(1).unwrap(), pool.take(1).unwrap());
            drop((a, b));
        }
        assert_eq!(pool.unused.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn holders_in_other_threads() {
        let pool = Pool::new(3);
        let (send, receive) = std::sync::mpsc::sync_channel::<(u64, Filled)>(2);
        let readers = thread::spawn(move || {
            for (round, buffer) in receive {
                let copy = buffer.clone();
                let other =
                    thread::spawn(move || assert!(copy.bytes().iter().all(|b| u64::from(*b) == round % 251)));
                assert!(buffer.bytes().iter().all(|b| u64::from(*b) == round % 251));
                drop(buffer);
                other.join().unwrap();
            }
        });
        for round in 0..300_u64 {
            let mut buffer = loop {
                match pool.take(1) {
                    Some(buffer) => break buffer,
                    None => pool.wait(Duration::from_millis(10)),
                }
            };
            buffer.bytes()[..4096].fill(u8::try_from(round % 251).unwrap());
            send.send((round, buffer.publish(4096))).unwrap();
        }
        drop(send);
        readers.join().unwrap();
    }
}

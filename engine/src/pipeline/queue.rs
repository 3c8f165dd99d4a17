//! The lock-free queues between threads: bounded rings (`crossbeam_queue::ArrayQueue`) whose threads sleep when there is nothing to do.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use crossbeam_queue::ArrayQueue;

/// Polls before a thread goes to sleep: a few microseconds, the time in which a busy line brings the next batch.
const SPINS: u32 = 200;
/// The longest sleep. A wake-up can't get lost, so this only bounds how late a stop is noticed.
const NAP: Duration = Duration::from_millis(20);

/// A bounded queue from any number of producers to one consumer.
pub(crate) struct Queue<T> {
    items: ArrayQueue<T>,
    closed: AtomicBool,
    consumer: Sleeper,
    producers: Sleeper,
}

impl<T> Queue<T> {
    /// A queue for `capacity` items.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            items: ArrayQueue::new(capacity.max(1)),
            closed: AtomicBool::new(false),
            consumer: Sleeper::default(),
            producers: Sleeper::default(),
        })
    }

    /// Adds an item, waiting for room. Gives it back when the consumer is gone.
    pub(crate) fn push(&self, mut item: T) -> Result<(), T> {
        let mut spins = 0;
        loop {
            if self.is_closed() {
                return Err(item);
            }
            match self.try_push(item) {
                Ok(()) => return Ok(()),
                Err(back) => item = back,
            }
            self.producers.wait(&mut spins, || !self.items.is_full() || self.is_closed());
        }
    }

    /// Adds an item if there is room and somebody to take it, else gives it back.
    pub(crate) fn try_push(&self, item: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(item);
        }
        self.items.push(item)?;
        self.consumer.wake();
        Ok(())
    }

    /// Takes the next item, waiting for one; none when the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        self.pop_unless(|| false)
    }

    /// The same, but none as soon as `gives_up`, which is asked after each nap in which nothing came.
    pub(crate) fn pop_unless(&self, gives_up: impl Fn() -> bool) -> Option<T> {
        let mut spins = 0;
        loop {
            if let Some(item) = self.items.pop() {
                self.producers.wake();
                return Some(item);
            }
            if self.is_closed() {
                return self.items.pop();
            }
            if spins > SPINS && gives_up() {
                return None;
            }
            self.consumer.wait(&mut spins, || !self.items.is_empty() || self.is_closed());
        }
    }

    /// Waits a short while for the queue to be closed; for who does other things meanwhile.
    pub(crate) fn wait_for_close(&self) -> bool {
        let mut spins = SPINS;
        self.consumer.wait(&mut spins, || self.is_closed());
        self.is_closed()
    }

    /// No more is to come, or nobody takes it any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.consumer.wake();
        self.producers.wake();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// Where the threads of one side of a queue sleep.
#[derive(Default)]
struct Sleeper {
    asleep: AtomicBool,
    threads: Mutex<Vec<Thread>>,
}

impl Sleeper {
    /// Spins a while, then sleeps until woken, or until `ready` says that there is no need to; `spins` is above [`SPINS`] once it slept.
    fn wait(&self, spins: &mut u32, ready: impl Fn() -> bool) {
        if *spins < SPINS {
            *spins += 1;
            core::hint::spin_loop();
            return;
        }
        *spins = SPINS + 1;
        let current = thread::current();
        let mut threads = self.threads();
        threads.push(current.clone());
        self.asleep.store(true, Ordering::SeqCst);
        drop(threads);
        // The other side changes the queue, then reads `asleep`; this side sets `asleep`, then reads the queue: one of them sees the other.
        fence(Ordering::SeqCst);
        if !ready() {
            thread::park_timeout(NAP);
        }
        let mut threads = self.threads();
        threads.retain(|thread| thread.id() != current.id());
        self.asleep.store(!threads.is_empty(), Ordering::SeqCst);
    }

    /// Wakes the threads that sleep; one load when none does.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.threads().iter().for_each(Thread::unpark);
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order_through_a_small_queue() {
        let queue = Queue::new(2);
        let taker = {
            let queue = queue.clone();
            thread::spawn(move || std::iter::from_fn(|| queue.pop()).collect::<Vec<u32>>())
        };
        for i in 0..10_000 {
            queue.push(i).unwrap();
        }
        queue.close();
        assert_eq!(taker.join().unwrap(), (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_takes_nothing() {
        let queue = Queue::new(4);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn who_waits_may_give_up_and_what_is_there_comes_first() {
        let queue = Queue::new(4);
        queue.push(1).unwrap();
        assert_eq!(queue.pop_unless(|| true), Some(1));
        let asked = AtomicBool::new(false);
        assert_eq!(queue.pop_unless(|| asked.swap(true, Ordering::SeqCst)), None);
    }

    #[test]
    fn a_full_queue_refuses_without_waiting() {
        let queue = Queue::new(1);
        queue.try_push(1).unwrap();
        assert_eq!(queue.try_push(2), Err(2));
    }

    #[test]
    fn every_producer_that_waits_for_room_is_woken() {
        let queue = Queue::new(1);
        let producers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || (0..1_000).for_each(|i| queue.push(i).unwrap()))
            })
            .collect();
        let sum: u32 = (0..4_000).map(|_| queue.pop().unwrap()).sum();
        assert_eq!(sum, 4 * (0..1_000).sum::<u32>());
        producers.into_iter().for_each(|p| p.join().unwrap());
        assert!(queue.producers.threads().is_empty());
    }

    #[test]
    fn a_producer_that_waits_for_room_ends_with_the_consumer() {
        let queue = Queue::new(1);
        queue.push(1).unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(2))
        };
        queue.close();
        assert_eq!(producer.join().unwrap(), Err(2));
    }
}

//! What a reader hands to a worker: parsed headers, and what keeps their payloads readable: the lease, or, for a packet that was put together from
//! fragments, a copy. To a worker on another thread it goes as batches through a queue; to one in the same thread packet by packet, as long as there
//! are few connections.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use sniff_x_capture::Lease;
use sniff_x_flow::Nanos;
use sniff_x_flow::packet::{Datagram, Packet, Segment, Span};

use super::fragments::part;
use super::queue::Queue;
use super::worker::{Worker, WorkerCounters};

/// Headers of one batch: enough to make the queue's cost a nanosecond a frame, few enough to stay in the cache.
const BATCH: usize = 64;
/// Copied bytes of one batch: with these it goes, full or not.
const COPIED: usize = 256 << 10;
/// Batches under way to one worker. Each may hold a ring block, so it is far below a ring's number of blocks.
const QUEUED: usize = 32;

/// Connections from which on packets wait for each other in one thread, too: what they need is no longer in the cache, and comes there meanwhile.
const MANY: usize = 2000;

/// Packet time after which a worker without packets is told how late it is.
const TELL_TIME: u64 = Nanos::SECOND;

/// A packet's header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    Tcp(Segment),
    Udp(Datagram),
}

impl Header {
    /// What both have in common.
    #[inline]
    pub(crate) fn packet(&self) -> &Packet {
        match self {
            Self::Tcp(segment) => &segment.packet,
            Self::Udp(datagram) => &datagram.packet,
        }
    }

    /// The same, of a payload that starts at `start`.
    pub(crate) fn starting_at(mut self, start: u32) -> Self {
        match &mut self {
            Self::Tcp(segment) => segment.packet.payload.start = start,
            Self::Udp(datagram) => datagram.packet.payload.start = start,
        }
        self
    }
}

/// What a payload's [`Span`] counts in.
#[derive(Clone, Copy)]
pub(crate) enum Memory<'a> {
    /// The lease's memory.
    Lease(&'a Lease),
    /// Bytes that the reader uses again: they are copied to cross a queue.
    Own(&'a [u8]),
}

impl<'a> Memory<'a> {
    /// A payload.
    #[inline]
    pub(crate) fn payload(self, span: Span) -> &'a [u8] {
        match self {
            Self::Lease(lease) => lease.bytes(span.start, span.len),
            Self::Own(bytes) => part(bytes, span),
        }
    }
}

/// Packets whose payloads lie in one lease or were copied, or a tick without any.
#[derive(Default)]
pub(crate) struct PacketBatch {
    lease: Option<Lease>,
    /// Payloads of packets that were put together.
    copied: Vec<u8>,
    packets: Vec<Queued>,
    /// Packet time at the batch's end; the time of day for ticks.
    now: Nanos,
}

/// A packet in a batch.
pub(crate) struct Queued {
    pub(crate) header: Header,
    /// Its payload lies in the batch's copied bytes.
    copied: bool,
}

/// The reader's end of the way to one worker.
pub(crate) struct WorkerQueue {
    batches: Arc<Queue<PacketBatch>>,
    spare: Arc<ArrayQueue<PacketBatch>>,
    filling: PacketBatch,
    /// The latest time that the worker was told.
    told: Nanos,
}

/// The worker's end.
pub(crate) struct BatchReceiver {
    batches: Arc<Queue<PacketBatch>>,
    spare: Arc<ArrayQueue<PacketBatch>>,
}

/// A way from a reader to a worker.
pub(crate) fn worker_queue() -> (WorkerQueue, BatchReceiver) {
    let (batches, spare) = (Queue::new(QUEUED), Arc::new(ArrayQueue::new(QUEUED + 2)));
    let receiver = BatchReceiver { batches: batches.clone(), spare: spare.clone() };
    (WorkerQueue { batches, spare, filling: PacketBatch::default(), told: Nanos(0) }, receiver)
}

impl WorkerQueue {
    /// Adds a packet; the batch goes when it is full.
    #[inline]
    pub(crate) fn packet(&mut self, header: Header, memory: Memory<'_>) {
        self.filling.now = header.packet().timestamp;
        if self.filling.add(header, memory) {
            self.send();
        }
    }

    /// The lease ends here, at packet time `now`: what was collected goes. A worker that the line has nothing for is told the time
    /// so often that its timers fire as they would in a thread that sees all.
    pub(crate) fn lease_done(&mut self, now: Nanos) {
        if !self.filling.packets.is_empty() || now.since(self.told) >= TELL_TIME {
            self.filling.now = self.filling.now.max(now);
            self.send();
        }
    }

    /// Lets the worker's timers fire on a silent line.
    pub(crate) fn tick(&mut self, now: Nanos) {
        self.filling.now = now;
        self.send();
    }

    /// No more packets will come.
    pub(crate) fn close(&self) {
        self.batches.close();
    }

    /// Waits while the worker's queue is full: then a file is not read on, and a ring's blocks stay with the kernel, which counts the loss.
    fn send(&mut self) {
        let empty = self
            .spare
            .pop()
            .unwrap_or_else(|| PacketBatch { packets: Vec::with_capacity(BATCH), ..PacketBatch::default() });
        let full = core::mem::replace(&mut self.filling, empty);
        self.told = self.told.max(full.now);
        // A worker that is gone has ended with a panic, which joining it reports.
        let _ = self.batches.push(full);
    }
}

/// The worker in the reader's own thread.
pub(crate) struct Inline {
    worker: Box<Worker>,
    /// There are so many connections that packets wait for each other.
    many: bool,
    waiting: PacketBatch,
}

impl Inline {
    pub(crate) fn new(worker: Box<Worker>) -> Self {
        Self { worker, many: false, waiting: PacketBatch::default() }
    }

    /// Takes over new rules and plugins' options, if there are any.
    #[inline]
    pub(crate) fn renew(&mut self) {
        self.worker.renew();
    }

    /// What it counted so far.
    pub(crate) fn counters(&self) -> WorkerCounters {
        self.worker.counters()
    }

    /// One TCP segment.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &Segment, memory: Memory<'_>) {
        if self.many {
            return self.collect(Header::Tcp(*segment), memory);
        }
        self.worker.segment(segment, memory.payload(segment.packet.payload));
    }

    /// One UDP datagram.
    pub(crate) fn datagram(&mut self, datagram: &Datagram, memory: Memory<'_>) {
        if self.many {
            return self.collect(Header::Udp(*datagram), memory);
        }
        self.worker.datagram(datagram, memory.payload(datagram.packet.payload));
    }

    fn collect(&mut self, header: Header, memory: Memory<'_>) {
        if self.waiting.add(header, memory) {
            self.waiting.work_off(&mut self.worker);
        }
    }

    /// The lease ends here, at packet time `now`.
    pub(crate) fn lease_done(&mut self, now: Nanos) {
        self.waiting.work_off(&mut self.worker);
        self.worker.batch_done(now);
        self.many = self.worker.connections() >= MANY;
    }

    /// The input is over, also within a lease: every connection ends.
    pub(crate) fn finish(&mut self) {
        self.waiting.work_off(&mut self.worker);
        self.worker.finish();
    }
}

impl PacketBatch {
    /// Adds a packet; whether it is full with it.
    #[inline]
    fn add(&mut self, mut header: Header, memory: Memory<'_>) -> bool {
        let copied = match memory {
            Memory::Lease(lease) => {
                if self.lease.is_none() {
                    self.lease = Some(lease.clone());
                }
                false
            }
            Memory::Own(bytes) => {
                header = self.copy(header, bytes);
                true
            }
        };
        self.packets.push(Queued { header, copied });
        self.packets.len() >= BATCH || self.copied.len() >= COPIED
    }

    /// Gives the packets to their worker, and is empty then.
    fn work_off(&mut self, worker: &mut Worker) {
        worker.foresee(&self.packets);
        for Queued { header, copied } in &self.packets {
            let memory = match &self.lease {
                Some(lease) if !copied => Memory::Lease(lease),
                _ => Memory::Own(&self.copied),
            };
            worker.packet(header, memory.payload(header.packet().payload));
        }
        self.lease = None;
        self.packets.clear();
        self.copied.clear();
    }

    /// Copies a packet's payload, which is where the header says in `bytes`; gives the header with its new place.
    #[cold]
    fn copy(&mut self, header: Header, bytes: &[u8]) -> Header {
        let start = self.copied.len();
        self.copied.extend_from_slice(part(bytes, header.packet().payload));
        // At most COPIED bytes and one datagram.
        header.starting_at(u32::try_from(start).unwrap_or(u32::MAX))
    }
}

impl BatchReceiver {
    /// The worker thread: runs until the reader closes the queue, then ends all connections.
    pub(crate) fn run(&self, worker: &mut Worker, after_batch: impl Fn(&Worker)) {
        /// Closes the queue when the worker ends, even by a panic: the reader must not wait for it.
        struct CloseOnExit<'a>(&'a Queue<PacketBatch>);
        impl Drop for CloseOnExit<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _close = CloseOnExit(&self.batches);
        while let Some(mut batch) = self.batches.pop() {
            worker.renew();
            batch.work_off(worker);
            worker.batch_done(batch.now);
            after_batch(worker);
            // Full means that there are enough spare ones.
            let _ = self.spare.push(batch);
        }
        worker.finish();
        after_batch(worker);
    }
}

//! What a reader hands to a worker on another thread: parsed headers, and the lease that keeps their payloads readable.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use sniff_x_capture::Lease;
use sniff_x_flow::Nanos;
use sniff_x_flow::packet::Segment;

use super::queue::Queue;
use super::worker::Worker;

/// Headers of one batch: enough to make the queue's cost a nanosecond a frame, few enough to stay in the cache.
const BATCH: usize = 64;
/// Batches under way to one worker. Each may hold a ring block, so it is far below a ring's number of blocks.
const QUEUED: usize = 32;

/// Packet time after which a worker without segments is told how late it is.
const TELL_TIME: u64 = Nanos::SECOND;

/// Segments whose payloads lie in one lease, or a tick without any.
#[derive(Default)]
pub(crate) struct SegmentBatch {
    lease: Option<Lease>,
    segments: Vec<Segment>,
    /// Packet time at the batch's end; the time of day for ticks.
    now: Nanos,
}

/// The reader's end of the way to one worker.
pub(crate) struct WorkerQueue {
    batches: Arc<Queue<SegmentBatch>>,
    spare: Arc<ArrayQueue<SegmentBatch>>,
    filling: SegmentBatch,
    /// The latest time that the worker was told.
    told: Nanos,
}

/// The worker's end.
pub(crate) struct BatchReceiver {
    batches: Arc<Queue<SegmentBatch>>,
    spare: Arc<ArrayQueue<SegmentBatch>>,
}

/// A way from a reader to a worker.
pub(crate) fn worker_queue() -> (WorkerQueue, BatchReceiver) {
    let (batches, spare) = (Queue::new(QUEUED), Arc::new(ArrayQueue::new(QUEUED + 2)));
    let receiver = BatchReceiver { batches: batches.clone(), spare: spare.clone() };
    (WorkerQueue { batches, spare, filling: SegmentBatch::default(), told: Nanos(0) }, receiver)
}

impl WorkerQueue {
    /// Adds a segment whose payload lies in `lease`; the batch goes when it is full.
    pub(crate) fn segment(&mut self, segment: &Segment, lease: &Lease) {
        if self.filling.lease.is_none() {
            self.filling.lease = Some(lease.clone());
        }
        self.filling.now = segment.packet.timestamp;
        self.filling.segments.push(*segment);
        if self.filling.segments.len() >= BATCH {
            self.send();
        }
    }

    /// The lease ends here, at packet time `now`: what was collected goes. A worker that the line has nothing for is told the time
    /// so often that its timers fire as they would in a thread that sees all.
    pub(crate) fn lease_done(&mut self, now: Nanos) {
        if !self.filling.segments.is_empty() || now.since(self.told) >= TELL_TIME {
            self.filling.now = self.filling.now.max(now);
            self.send();
        }
    }

    /// Lets the worker's timers fire on a silent line.
    pub(crate) fn tick(&mut self, now: Nanos) {
        self.filling.now = now;
        self.send();
    }

    /// No more segments will come.
    pub(crate) fn close(&self) {
        self.batches.close();
    }

    /// Waits while the worker's queue is full: then a file is not read on, and a ring's blocks stay with the kernel, which counts the loss.
    fn send(&mut self) {
        let empty = self.spare.pop().unwrap_or_else(|| SegmentBatch {
            segments: Vec::with_capacity(BATCH),
            ..SegmentBatch::default()
        });
        let full = core::mem::replace(&mut self.filling, empty);
        self.told = self.told.max(full.now);
        // A worker that is gone has ended with a panic, which joining it reports.
        let _ = self.batches.push(full);
    }
}

impl BatchReceiver {
    /// The worker thread: runs until the reader closes the queue, then ends all connections.
    pub(crate) fn run(&self, worker: &mut Worker, after_batch: impl Fn(&Worker)) {
        /// Closes the queue when the worker ends, even by a panic: the reader must not wait for it.
        struct CloseOnExit<'a>(&'a Queue<SegmentBatch>);
        impl Drop for CloseOnExit<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _close = CloseOnExit(&self.batches);
        while let Some(mut batch) = self.batches.pop() {
            if let Some(lease) = batch.lease.take() {
                worker.foresee(&batch.segments);
                for segment in &batch.segments {
                    let payload = segment.packet.payload;
                    worker.segment(segment, lease.bytes(payload.start, payload.len));
                }
            }
            worker.batch_done(batch.now);
            after_batch(worker);
            batch.segments.clear();
            // Full means that there are enough spare ones.
            let _ = self.spare.push(batch);
        }
        worker.finish();
        after_batch(worker);
    }
}

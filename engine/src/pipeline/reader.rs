//! Stage: frames → packets → workers. The reader takes blocks from a source, applies the filters that the kernel did not, and hands the
//! segments to the workers: in the same thread, or as batches through their queues.

use core::time::Duration;
use std::sync::atomic::Ordering;

use sniff_x_capture::{Batch, FilterLevel, Lease, Source};
use sniff_x_filter::RuleSet;
use sniff_x_flow::packet::{Datagram, Fragment, Parsed, Parser, Segment};
use sniff_x_flow::{Frame, Nanos};

use super::EngineError;
use super::batch::{Header, Memory, WorkerQueue};
use super::clock::{self, Stopwatch};
use super::fragments::Fragments;
use super::worker::Worker;
use crate::config::Control;
use crate::sink::pcapng::PcapngWriter;

/// How long the reader waits for a block before it looks at the stop flag and lets timers fire.
const WAIT: Duration = Duration::from_millis(100);
/// Batches that are still taken in after a stop: more than any ring has blocks, so that a source can't keep the drain going for ever.
const DRAIN_BATCHES: usize = 65_536;

/// What the reader counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderCounters {
    /// Frames that the source handed over.
    pub frames: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Frames that the filters rejected here, not in the kernel.
    pub filtered: u64,
    /// Frames that passed the filters.
    pub passed: u64,
    /// Frames that passed and were cut by the snap length.
    pub truncated: u64,
    /// TCP segments.
    pub tcp: u64,
    /// UDP datagrams.
    pub udp: u64,
    /// Fragments of IP datagrams.
    pub fragments: u64,
    /// Datagrams put together that no rule asks for.
    pub reassembled_filtered: u64,
    /// Datagrams put together whose headers are cut or contradict each other.
    pub reassembled_malformed: u64,
    /// Frames of other protocols.
    pub other: u64,
    /// Frames whose headers are cut or contradict each other.
    pub malformed: u64,
    /// Frames that were not used because a checksum is wrong.
    pub bad_checksums: u64,
    /// Frames of link types that are not supported, whether or not they passed.
    pub unknown_links: u64,
}

/// Where segments go.
pub(crate) enum Workers {
    /// To the one worker, in this thread.
    Inline(Box<Worker>),
    /// To one of several, each in its own thread.
    Queues(Vec<WorkerQueue>),
    /// Nowhere: frames are only counted and written.
    None,
}

/// Reads one source.
pub(crate) struct Reader<'a> {
    pub(crate) source: Box<dyn Source>,
    pub(crate) rules: RuleSet,
    pub(crate) workers: Workers,
    pub(crate) writer: Option<PcapngWriter>,
    pub(crate) parser: Parser,
    pub(crate) fragments: Fragments,
    pub(crate) counters: ReaderCounters,
    pub(crate) control: &'a Control,
    /// Frames carry the time of day.
    pub(crate) live: bool,
    /// The latest packet time.
    pub(crate) now: Nanos,
}

impl Reader<'_> {
    /// Reads until the source ends, `duration` is over or the control says stop. `report` is called after each batch.
    ///
    /// # Errors
    /// The source or the pcapng file failed; what was read before is decoded all the same.
    pub(crate) fn run(
        &mut self,
        duration: Option<Duration>,
        mut report: impl FnMut(&mut Self),
    ) -> Result<(), EngineError> {
        let stopwatch = Stopwatch::start();
        let result = loop {
            if self.control.stop.load(Ordering::Relaxed) {
                break self.drain();
            }
            let left = duration.map(|d| d.saturating_sub(stopwatch.elapsed()));
            if left.is_some_and(|l| l.is_zero()) {
                break self.drain();
            }
            match self.source.next(left.map_or(WAIT, |l| l.min(WAIT))) {
                Ok(Batch::Frames(lease)) => {
                    if let Err(error) = self.block(&lease) {
                        break Err(error);
                    }
                }
                Ok(Batch::Idle) => self.tick(),
                Ok(Batch::End) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
            report(self);
        };
        self.finish();
        result
    }

    /// After a stop: what the source holds already is still taken in.
    fn drain(&mut self) -> Result<(), EngineError> {
        self.source.stop();
        for _ in 0..DRAIN_BATCHES {
            match self.source.next(WAIT)? {
                Batch::Frames(lease) => self.block(&lease)?,
                Batch::Idle => {}
                Batch::End => break,
            }
        }
        Ok(())
    }

    /// All frames of one batch.
    fn block(&mut self, lease: &Lease) -> Result<(), EngineError> {
        // What reaches a file must not depend on where the rules were applied: the kernel lets fragments and tunnels pass undecided.
        let in_kernel = self.source.filter_level() == FilterLevel::Ebpf;
        let judge = !in_kernel || self.writer.is_some();
        for frame in lease.frames() {
            self.counters.frames += 1;
            self.counters.bytes += frame.bytes.len() as u64;
            if !in_kernel && !self.rules.matches_frame(&frame) {
                self.counters.filtered += 1;
                continue;
            }
            let parsed = self.parser.parse(&frame);
            match parsed {
                Parsed::BadChecksum => {
                    self.counters.bad_checksums += 1;
                    continue;
                }
                Parsed::UnknownLink => self.unknown_link(&frame),
                _ => {}
            }
            if judge && !self.rules.matches_parsed(&parsed) {
                self.counters.filtered += 1;
                continue;
            }
            self.counters.passed += 1;
            self.counters.truncated += u64::from(frame.truncated());
            if let Some(writer) = &mut self.writer {
                writer.frame(&frame, || self.source.interfaces())?;
            }
            match &parsed {
                Parsed::Tcp(segment) => {
                    self.counters.tcp += 1;
                    self.now = self.now.max(segment.packet.timestamp);
                    self.workers.segment(segment, Memory::Lease(lease));
                }
                Parsed::Udp(datagram) => {
                    self.counters.udp += 1;
                    self.now = self.now.max(datagram.packet.timestamp);
                    self.workers.datagram(datagram, Memory::Lease(lease));
                }
                Parsed::Fragment(fragment) => {
                    self.counters.fragments += 1;
                    self.now = self.now.max(fragment.timestamp);
                    self.fragment(&frame, fragment, lease);
                }
                Parsed::Other => self.counters.other += 1,
                Parsed::Malformed => self.counters.malformed += 1,
                // Counted above.
                Parsed::BadChecksum | Parsed::UnknownLink => {}
            }
        }
        self.fragments.advance(self.now);
        self.workers.lease_done(self.now);
        Ok(())
    }

    /// A fragment: if it is the last of its datagram, the packet goes on as if it had come in one frame.
    #[cold]
    fn fragment(&mut self, frame: &Frame<'_>, fragment: &Fragment, lease: &Lease) {
        if matches!(self.workers, Workers::None) {
            return;
        }
        let payload = lease.bytes(fragment.payload.start, fragment.payload.len);
        let Some((parsed, bytes)) = self.fragments.take(&self.parser, frame, fragment, payload) else { return };
        match &parsed {
            Parsed::Malformed => self.counters.reassembled_malformed += 1,
            Parsed::BadChecksum => self.counters.bad_checksums += 1,
            // The filters let all fragments pass, because only now the ports are known.
            parsed if !self.rules.matches_parsed(parsed) => self.counters.reassembled_filtered += 1,
            Parsed::Tcp(segment) => self.workers.segment(segment, Memory::Own(bytes)),
            Parsed::Udp(datagram) => self.workers.datagram(datagram, Memory::Own(bytes)),
            Parsed::Fragment(_) | Parsed::Other | Parsed::UnknownLink => {}
        }
    }

    /// A frame that can't be read, whether or not a rule would let it pass: the first is worth a line.
    #[cold]
    fn unknown_link(&mut self, frame: &Frame<'_>) {
        if self.counters.unknown_links == 0 {
            log::warn!("link type {} is not supported: its frames are only counted", frame.link_type.0);
        }
        self.counters.unknown_links += 1;
    }

    /// Nothing came: on a silent line the time of day takes the place of packet time.
    fn tick(&mut self) {
        if self.live {
            self.now = self.now.max(clock::realtime());
            self.fragments.advance(self.now);
            self.workers.tick(self.now);
        }
    }

    fn finish(&mut self) {
        if let Workers::Inline(worker) = &mut self.workers {
            worker.finish();
        }
    }
}

impl Workers {
    #[inline]
    fn segment(&mut self, segment: &Segment, memory: Memory<'_>) {
        match self {
            Self::Inline(worker) => worker.segment(segment, memory.payload(segment.packet.payload)),
            Self::Queues(queues) => {
                let index = segment.packet.worker(queues.len());
                if let Some(queue) = queues.get_mut(index) {
                    queue.packet(Header::Tcp(*segment), memory);
                }
            }
            Self::None => {}
        }
    }

    fn datagram(&mut self, datagram: &Datagram, memory: Memory<'_>) {
        match self {
            Self::Inline(worker) => worker.datagram(datagram, memory.payload(datagram.packet.payload)),
            Self::Queues(queues) => {
                let index = datagram.packet.worker(queues.len());
                if let Some(queue) = queues.get_mut(index) {
                    queue.packet(Header::Udp(*datagram), memory);
                }
            }
            Self::None => {}
        }
    }

    fn lease_done(&mut self, now: Nanos) {
        match self {
            Self::Inline(worker) => worker.batch_done(now),
            Self::Queues(queues) => queues.iter_mut().for_each(|q| q.lease_done(now)),
            Self::None => {}
        }
    }

    fn tick(&mut self, now: Nanos) {
        match self {
            Self::Inline(worker) => worker.batch_done(now),
            Self::Queues(queues) => queues.iter_mut().for_each(|q| q.tick(now)),
            Self::None => {}
        }
    }
}

//! Stage: frames → packets → workers. The reader takes blocks from a source, applies the filters that the kernel did not, and hands the
//! segments to the workers: in the same thread, or as batches through their queues.

use core::time::Duration;
use std::sync::atomic::Ordering;

use sniff_x_capture::{Batch, FilterLevel, Lease, Source};
use sniff_x_filter::RuleSet;
use sniff_x_flow::packet::{Datagram, Fragment, Parsed, Parser, Segment};
use sniff_x_flow::{Frame, LinkType, Nanos};

use super::EngineError;
use super::batch::{Header, Inline, Memory, WorkerQueue};
use super::clock::{self, Stopwatch};
use super::fragments::Fragments;
use super::peers::{Handed, Peers, Stage, Way};
use super::setup::Watch;
use super::shares::Share;
use crate::config::Control;
use crate::sink::pcapng::PcapngWriter;

/// How long the reader waits for a block before it looks at the stop flag and lets timers fire.
const WAIT: Duration = Duration::from_millis(100);
/// Packet time for which a packet is held whose owner is not known: half of the time for which reassembly waits.
const HELD: u64 = 100_000_000;
/// Between two looks whether the other readers have ended.
const NAP: Duration = Duration::from_millis(1);
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
    /// Datagrams put together that went to another reader, which has the rest of their flow.
    pub reassembled_handed_over: u64,
    /// Datagrams put together of which no reader was known to have the rest of the flow.
    pub reassembled_unplaced: u64,
    /// Datagrams put together that were lost: the reader of their flow was too far behind.
    pub reassembled_dropped: u64,
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
    Inline(Inline),
    /// To the one worker, in this thread, if it is the one of so many that has the flow: others see the rest.
    Share(Inline, usize, usize),
    /// To one of several, each in its own thread.
    Queues(Vec<WorkerQueue>),
    /// Nowhere: frames are only counted and written.
    None,
}

/// Reads one source.
pub(crate) struct Reader<'a> {
    pub(crate) source: Box<dyn Source>,
    pub(crate) rules: RuleSet,
    /// Tells of other rules.
    pub(crate) watch: Watch,
    pub(crate) workers: Workers,
    pub(crate) writer: Option<PcapngWriter>,
    pub(crate) parser: Parser,
    pub(crate) fragments: Fragments,
    /// The other readers, if there are any.
    pub(crate) peers: Option<Peers>,
    /// What is this reader's part of a file that others read, too.
    pub(crate) share: Option<Share>,
    /// The time of the first packet that one of them handed over and that waits; the end of time if there is none.
    pub(crate) due: Nanos,
    pub(crate) counters: ReaderCounters,
    /// Its counters count, and it tells of what it sees: not those of one that reads what another reads.
    pub(crate) counts: bool,
    pub(crate) control: &'a Control,
    /// Frames carry the time of day.
    pub(crate) live: bool,
    /// The latest packet time.
    pub(crate) now: Nanos,
    /// Kinds of link of which was looked whether the filter can match any of their frames.
    pub(crate) doubted: Vec<LinkType>,
}

/// So many kinds of link are looked at: a file can have thousands, and they are told.
const MOST_DOUBTED: usize = 8;

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
                Ok(Batch::Idle) => {
                    if let Err(error) = self.tick() {
                        break Err(error);
                    }
                }
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
        self.renew();
        if let Some(share) = &self.share {
            share.reach(self.counters.bytes, &self.control.stop);
        }
        let is_doubtful =
            lease.frames().next().is_some_and(|first| self.watch.in_force().is_doubtful(first.timestamp));
        // What reaches a file must not depend on where the rules were applied: the kernel lets fragments and tunnels pass undecided.
        let in_kernel = self.source.filter_level() != FilterLevel::UserSpace && !is_doubtful;
        let judge = !in_kernel || self.writer.is_some();
        if let Some(peers) = &mut self.peers {
            peers.block(lease, &self.parser);
            self.place(Nanos(self.now.0.saturating_sub(HELD)));
        }
        for frame in lease.frames() {
            if frame.timestamp >= self.due {
                self.take_handed(frame.timestamp);
            }
            self.counters.frames += 1;
            self.counters.bytes += frame.bytes.len() as u64;
            if !in_kernel && !self.rules.matches_frame(&frame) {
                self.counters.filtered += 1;
                self.doubt(frame.link_type);
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

    /// Takes over new rules and, in this thread, plugins' options.
    #[inline]
    fn renew(&mut self) {
        if let Some(setup) = self.watch.news() {
            self.rules = setup.rules.clone();
            self.doubted.clear();
            if let Workers::Inline(worker) | Workers::Share(worker, ..) = &mut self.workers {
                worker.renew();
            }
        }
    }

    /// A fragment: if it is the last of its datagram, the packet goes on as if it had come in one frame.
    #[cold]
    fn fragment(&mut self, frame: &Frame<'_>, fragment: &Fragment, lease: &Lease) {
        if matches!(self.workers, Workers::None) {
            return;
        }
        let payload = lease.bytes(fragment.payload.start, fragment.payload.len);
        let Some((parsed, bytes)) = self.fragments.take(&self.parser, frame, fragment, payload) else {
            return;
        };
        match &parsed {
            Parsed::Malformed => self.counters.reassembled_malformed += 1,
            Parsed::BadChecksum => self.counters.bad_checksums += 1,
            // The filters let all fragments pass, because only now the ports are known.
            parsed if !self.rules.matches_parsed(parsed) => self.counters.reassembled_filtered += 1,
            Parsed::Tcp(segment) => {
                self.counters.hand_on(
                    &mut self.workers,
                    self.peers.as_mut(),
                    fragment,
                    &Header::Tcp(*segment),
                    bytes,
                );
            }
            Parsed::Udp(datagram) => {
                self.counters.hand_on(
                    &mut self.workers,
                    self.peers.as_mut(),
                    fragment,
                    &Header::Udp(*datagram),
                    bytes,
                );
            }
            Parsed::Fragment(_) | Parsed::Other | Parsed::UnknownLink => {}
        }
    }

    /// Packets whose owner was not known: those that it is known of now, and those from before `before`, which waited long enough.
    fn place(&mut self, before: Nanos) {
        let Some(peers) = &mut self.peers else { return };
        while let Some((Handed { header, payload }, unknown)) = peers.place(before, &mut self.counters) {
            self.counters.reassembled_unplaced += u64::from(unknown);
            self.workers.packet(&header, Memory::Own(&payload));
            peers.give_back(payload);
        }
        self.due = peers.due();
    }

    /// Packets of other readers that are due at packet time `now`.
    #[cold]
    fn take_handed(&mut self, now: Nanos) {
        let Some(peers) = &mut self.peers else { return };
        while let Some(Handed { header, payload }) = peers.take(now) {
            self.workers.packet(&header, Memory::Own(&payload));
            peers.give_back(payload);
        }
        self.due = peers.due();
    }

    /// The filter has rejected a frame of this kind of link: of the first one says whether it can match any of them. tcpdump would refuse it.
    #[inline]
    fn doubt(&mut self, link_type: LinkType) {
        if self.doubted.len() < MOST_DOUBTED && !self.doubted.contains(&link_type) {
            self.doubted.push(link_type);
            self.tell_doubt(link_type);
        }
    }

    #[cold]
    fn tell_doubt(&self, link_type: LinkType) {
        if !self.counts {
            return;
        }
        let Some(filter) = &self.rules.filter else { return };
        if let Some(why) = filter.refused_on(link_type) {
            log::warn!("--filter matches no frame of link type {}: {why}", link_type.0);
        } else if filter.never_matches(link_type) && !filter.never_matches_anything() {
            log::warn!("--filter can match no frame of link type {}", link_type.0);
        }
    }

    /// A frame that can't be read, whether or not a rule would let it pass: the first is worth a line.
    #[cold]
    fn unknown_link(&mut self, frame: &Frame<'_>) {
        if self.counters.unknown_links == 0 && self.counts {
            log::warn!("link type {} is not supported: its frames are only counted", frame.link_type.0);
        }
        self.counters.unknown_links += 1;
    }

    /// Nothing came: on a silent line the time of day takes the place of packet time.
    fn tick(&mut self) -> Result<(), EngineError> {
        self.renew();
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
        }
        if self.live {
            self.now = self.now.max(clock::realtime());
            self.fragments.advance(self.now);
            if let Some(peers) = &mut self.peers {
                peers.collect();
                self.place(Nanos(self.now.0.saturating_sub(HELD)));
                self.take_handed(self.now);
            }
            self.workers.tick(self.now);
        }
        Ok(())
    }

    fn finish(&mut self) {
        if self.peers.is_some() {
            // The first to end stops the others. Then all know whose ring is whose, and then nobody hands anything over any more.
            self.control.stop.store(true, Ordering::Relaxed);
            self.wait_for_all(Stage::Read);
            self.place(Nanos(u64::MAX));
            self.wait_for_all(Stage::Left);
        }
        // From here on nobody waits for it.
        self.share = None;
        if let Workers::Inline(worker) | Workers::Share(worker, ..) = &mut self.workers {
            worker.finish();
        }
    }
}

impl Reader<'_> {
    /// Waits until every reader is so far, and takes what they hand over, so that nobody finds this one's box full.
    fn wait_for_all(&mut self, stage: Stage) {
        if let Some(peers) = &self.peers {
            peers.reach(stage);
        }
        loop {
            let Some(peers) = &mut self.peers else { return };
            // Looked at first: what is handed over before the last one says so is collected below.
            let all = peers.all_reached(stage);
            while self.peers.as_mut().is_some_and(|peers| peers.collect() > 0) {
                self.take_handed(Nanos(u64::MAX));
            }
            if all {
                return;
            }
            std::thread::park_timeout(NAP);
        }
    }
}

impl ReaderCounters {
    /// A packet that was put together: to this reader's workers, or to the reader that has the rest of its flow.
    fn hand_on(
        &mut self,
        workers: &mut Workers,
        peers: Option<&mut Peers>,
        fragment: &Fragment,
        header: &Header,
        bytes: &[u8],
    ) {
        match peers.map_or(Way::Own, |peers| peers.hand_over(fragment, header, bytes)) {
            Way::Own => workers.packet(header, Memory::Own(bytes)),
            way => self.handed(&way),
        }
    }

    /// A packet of another reader went this way.
    pub(super) fn handed(&mut self, way: &Way) {
        match way {
            Way::Own | Way::Held => {}
            Way::Handed => self.reassembled_handed_over += 1,
            Way::Full => self.reassembled_dropped += 1,
        }
    }
}

impl Workers {
    fn packet(&mut self, header: &Header, memory: Memory<'_>) {
        match header {
            Header::Tcp(segment) => self.segment(segment, memory),
            Header::Udp(datagram) => self.datagram(datagram, memory),
        }
    }

    #[inline]
    fn segment(&mut self, segment: &Segment, memory: Memory<'_>) {
        match self {
            Self::Inline(worker) => worker.segment(segment, memory),
            Self::Share(worker, own, of) => {
                if segment.packet.worker(*of) == *own {
                    worker.segment(segment, memory);
                }
            }
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
            Self::Inline(worker) => worker.datagram(datagram, memory),
            Self::Share(worker, own, of) => {
                if datagram.packet.worker(*of) == *own {
                    worker.datagram(datagram, memory);
                }
            }
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
            Self::Inline(worker) | Self::Share(worker, ..) => worker.lease_done(now),
            Self::Queues(queues) => queues.iter_mut().for_each(|q| q.lease_done(now)),
            Self::None => {}
        }
    }

    fn tick(&mut self, now: Nanos) {
        match self {
            Self::Inline(worker) | Self::Share(worker, ..) => worker.lease_done(now),
            Self::Queues(queues) => queues.iter_mut().for_each(|q| q.tick(now)),
            Self::None => {}
        }
    }
}

//! What a run amounted to: every counter of every part, so that no loss is silent.

use sniff_x_capture::SourceCounters;
use sniff_x_flow::packet::defragment::DefragmentCounters;

use super::reader::ReaderCounters;
use super::worker::WorkerCounters;

/// All counters of a run. A counter that the source can't know is none.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The source: frames received, dropped and filtered by the kernel.
    pub source: SourceCounters,
    /// The reader: frames that passed, and what they were.
    pub reader: ReaderCounters,
    /// Fragments that the readers put together.
    pub fragments: DefragmentCounters,
    /// Reassembly and plugins, all workers together.
    pub workers: WorkerCounters,
    /// Events written.
    pub events_written: u64,
    /// Events lost: the output was too slow or failed.
    pub events_dropped: u64,
    /// Frames written to the pcapng file.
    pub frames_written: u64,
}

impl Summary {
    /// Adds what another reader and its worker counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.source.add(&other.source);
        self.reader.add(&other.reader);
        self.fragments.add(&other.fragments);
        self.workers.add(&other.workers);
        self.events_written += other.events_written;
        self.events_dropped += other.events_dropped;
        self.frames_written += other.frames_written;
    }

    /// Frames that the filters rejected, in the kernel and here; none where the kernel does not count them.
    #[must_use]
    pub fn filtered(&self) -> Option<u64> {
        self.source.filtered.map(|in_kernel| in_kernel + self.reader.filtered)
    }

    /// Every counter by its name, in the order in which it is shown; the names are those of `--stats-file`. One that can't be known is left
    /// out.
    #[must_use]
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let (source, reader) = (&self.source, &self.reader);
        let mut counters = Vec::with_capacity(96);
        let mut put = |name, value| counters.push((name, value));
        let of_source = [
            ("frames.received", source.received),
            ("frames.dropped", source.dropped),
            ("frames.filtered", self.filtered()),
        ];
        for (name, value) in of_source {
            if let Some(value) = value {
                put(name, value);
            }
        }
        put("frames.passed", reader.passed);
        put("frames.truncated", reader.truncated);
        put("frames.duplicates", source.duplicates);
        put("frames.unreadable", source.unreadable);
        put("frames.unknown_links", reader.unknown_links);
        put("frames.written", self.frames_written);
        put("frames.bytes", reader.bytes);
        put("interface.down", source.interface_down);
        put("packets.tcp", reader.tcp);
        put("packets.udp", reader.udp);
        put("packets.fragments", reader.fragments);
        put("packets.other", reader.other);
        put("packets.malformed", reader.malformed);
        put("packets.bad_checksums", reader.bad_checksums);
        counters.extend(self.fragments.named());
        let mut put = |name, value| counters.push((name, value));
        put("fragments.filtered_datagrams", reader.reassembled_filtered);
        put("fragments.handed_over_datagrams", reader.reassembled_handed_over);
        put("fragments.unplaced_datagrams", reader.reassembled_unplaced);
        put("fragments.dropped_datagrams", reader.reassembled_dropped);
        put("fragments.malformed_datagrams", reader.reassembled_malformed);
        counters.extend(self.workers.assembler.named());
        counters.extend(self.workers.datagrams.named());
        counters.extend(self.workers.host.named());
        let mut put = |name, value| counters.push((name, value));
        put("events.written", self.events_written);
        put("events.dropped", self.events_dropped + self.workers.refused_events);
        put("events.withheld", self.workers.withheld_events);
        put("dump.failed_bytes", self.workers.dump_failed_bytes);
        counters
    }
}

impl ReaderCounters {
    /// Adds what another reader counted.
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            frames,
            bytes,
            filtered,
            passed,
            truncated,
            tcp,
            udp,
            fragments,
            reassembled_filtered,
            reassembled_handed_over,
            reassembled_unplaced,
            reassembled_dropped,
            reassembled_malformed,
            other: rest,
            malformed,
            bad_checksums,
            unknown_links,
        } = other;
        self.frames += frames;
        self.bytes += bytes;
        self.filtered += filtered;
        self.passed += passed;
        self.truncated += truncated;
        self.tcp += tcp;
        self.udp += udp;
        self.fragments += fragments;
        self.reassembled_filtered += reassembled_filtered;
        self.reassembled_handed_over += reassembled_handed_over;
        self.reassembled_unplaced += reassembled_unplaced;
        self.reassembled_dropped += reassembled_dropped;
        self.reassembled_malformed += reassembled_malformed;
        self.other += rest;
        self.malformed += malformed;
        self.bad_checksums += bad_checksums;
        self.unknown_links += unknown_links;
    }
}

impl WorkerCounters {
    /// Adds what another worker counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.assembler.add(&other.assembler);
        self.datagrams.add(&other.datagrams);
        self.host.add(&other.host);
        self.refused_events += other.refused_events;
        self.withheld_events += other.withheld_events;
        self.dump_failed_bytes += other.dump_failed_bytes;
    }
}

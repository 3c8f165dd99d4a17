//! Stage: packet → flow → bytes in order → event → formatted line. A worker owns its share of the flows and shares nothing.

use std::sync::Arc;

use sniff_x_flow::Nanos;
use sniff_x_flow::assembler::{Assembler, AssemblerCounters, AssemblerOptions};
use sniff_x_flow::datagrams::{DatagramFlowCounters, DatagramFlows, DatagramOptions};
use sniff_x_flow::packet::{Datagram, Segment};
use sniff_x_proto::event::{Arena, KeyTable};
use sniff_x_proto::host::{Host, HostCounters};

use super::batch::{Header, Queued};
use super::setup::Watch;
use super::writer::{BUFFER, Lines, OutputQueue};
use crate::config::{Format, Limits};
use crate::sink::Sink;
use crate::sink::dump::Dump;

/// What one worker counted.
#[derive(Clone, Debug, Default)]
pub struct WorkerCounters {
    /// Reassembly.
    pub assembler: AssemblerCounters,
    /// UDP flows.
    pub datagrams: DatagramFlowCounters,
    /// Plugins.
    pub host: HostCounters,
    /// Events that were too many for one batch.
    pub refused_events: u64,
    /// Events that a plugin's own options told it not to make.
    pub withheld_events: u64,
    /// Bytes that `--dump` could not write.
    pub dump_failed_bytes: u64,
}

/// What all workers are made from.
pub(crate) struct WorkerPlan {
    pub(crate) watch: Watch,
    pub(crate) format: Format,
    pub(crate) redact: bool,
    pub(crate) limits: Limits,
    pub(crate) dump: Option<std::path::PathBuf>,
    pub(crate) workers: usize,
}

impl WorkerPlan {
    /// Worker number `index` with its share of the limits.
    pub(crate) fn worker(&self, index: usize, output: Arc<OutputQueue>) -> Worker {
        let share = |total: usize| (total / self.workers).max(1);
        let options = AssemblerOptions {
            max_buffered_pages_per_connection: Some(self.limits.max_pages_per_connection),
            max_buffered_pages_total: Some(share(self.limits.max_pages)),
            max_connections: Some(share(self.limits.max_connections)),
            max_embryonic: Some(share(self.limits.max_embryonic)),
            idle_timeout: Some(self.limits.idle_timeout),
            embryonic_timeout: Some(self.limits.embryonic_timeout),
            first_serial: index as u64,
            serial_step: self.workers as u64,
            ..AssemblerOptions::default()
        };
        let datagrams = DatagramOptions {
            max_flows: share(self.limits.max_udp_flows),
            idle_timeout: self.limits.udp_idle_timeout,
            // Apart from the numbers of connections.
            first_serial: FIRST_UDP_SERIAL | index as u64,
            serial_step: self.workers as u64,
        };
        let arena = Arena::new(self.limits.max_text)
            .with_exchange_timeout(self.limits.exchange_timeout)
            .with_redaction(self.redact);
        let setup = self.watch.in_force().setup();
        Worker {
            watch: self.watch.clone(),
            assembler: Assembler::new(options),
            datagrams: DatagramFlows::new(datagrams),
            timers_due: Nanos(0),
            most_memory: 0,
            host: Host::new(setup.plugins.clone(), arena, self.limits.max_message)
                .with_max_kept(share(self.limits.max_kept)),
            keys: setup.keys.clone(),
            sink: Sink::new(&self.format),
            dump: self.dump.clone().map(Dump::new),
            lines: Lines::empty(),
            output,
        }
    }
}

/// Packet time after which timers are looked at within a batch, in nanoseconds: a file's batch may span minutes, and time-outs should not
/// depend on how frames were batched. Half of the shortest one, that of a hole.
const TIMERS: u64 = 100_000_000;

/// UDP flows count their serial numbers from here.
const FIRST_UDP_SERIAL: u64 = 1 << 63;

/// Memory of connections that is worth a look at what the allocator keeps.
const SPIKE: usize = 16 << 20;
/// Connections that end at once at the end of the input.
const PORTION: usize = 256;

/// Owns the connections that hash to it.
pub(crate) struct Worker {
    watch: Watch,
    assembler: Assembler<Host>,
    datagrams: DatagramFlows<Host>,
    /// Packet time at which timers are looked at next.
    timers_due: Nanos,
    /// The most memory that connections took since free memory was given back.
    most_memory: usize,
    host: Host,
    keys: KeyTable,
    sink: Sink,
    dump: Option<Dump>,
    lines: Lines,
    output: Arc<OutputQueue>,
}

impl Worker {
    /// Brings what these packets will need into the cache, all at once, so that their cache misses overlap.
    pub(crate) fn foresee(&self, packets: &[Queued]) {
        self.assembler.foresee(packets.iter().filter_map(|queued| match &queued.header {
            Header::Tcp(segment) => Some(&segment.packet),
            Header::Udp(_) => None,
        }));
    }

    /// Takes over new rules and plugins' options, if there are any. Between batches: what was decoded has been written.
    #[inline]
    pub(crate) fn renew(&mut self) {
        if let Some(setup) = self.watch.news() {
            self.write_events();
            self.keys = setup.keys.clone();
            self.host.renew(setup.plugins.clone());
        }
    }

    /// Connections under way or remembered.
    pub(crate) fn connections(&self) -> usize {
        self.assembler.connections()
    }

    /// One packet.
    #[inline]
    pub(crate) fn packet(&mut self, header: &Header, payload: &[u8]) {
        match header {
            Header::Tcp(segment) => self.segment(segment, payload),
            Header::Udp(datagram) => self.datagram(datagram, payload),
        }
    }

    /// One TCP segment.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &Segment, payload: &[u8]) {
        self.at(segment.packet.timestamp);
        self.assembler.assemble(&mut self.host, segment, payload);
    }

    /// One UDP datagram.
    pub(crate) fn datagram(&mut self, datagram: &Datagram, payload: &[u8]) {
        self.at(datagram.packet.timestamp);
        self.datagrams.take(&mut self.host, datagram, payload);
    }

    /// A packet comes that was captured at `time`: timers may be due.
    #[inline]
    fn at(&mut self, time: Nanos) {
        if time > self.timers_due {
            self.timers_due = Nanos(time.0.saturating_add(TIMERS));
            self.advance(time);
        }
    }

    fn advance(&mut self, now: Nanos) {
        self.assembler.advance(&mut self.host, now);
        self.datagrams.advance(&mut self.host, now);
    }

    /// The batch is over: its events are written, timers that are due by packet time `now` fire.
    pub(crate) fn batch_done(&mut self, now: Nanos) {
        self.advance(now);
        self.write_events();
        self.output.hand_on(&mut self.lines);
        self.give_memory_back();
    }

    /// After a spike: the assembler freed its part, the allocator shall not keep it.
    fn give_memory_back(&mut self) {
        let memory = self.assembler.memory();
        self.most_memory = self.most_memory.max(memory);
        if self.most_memory >= SPIKE && memory < self.most_memory / 2 {
            self.most_memory = memory;
            sniff_x_capture::memory::give_back();
        }
    }

    /// The input is over: every connection ends.
    pub(crate) fn finish(&mut self) {
        // In portions: what a million connections have to say at their end need not be in memory at once.
        while self.assembler.flush_some(&mut self.host, PORTION) > 0 {
            self.write_events();
        }
        while self.datagrams.flush_some(&mut self.host, PORTION) > 0 {
            self.write_events();
        }
        self.output.hand_on(&mut self.lines);
    }

    /// What was counted so far.
    pub(crate) fn counters(&self) -> WorkerCounters {
        WorkerCounters {
            assembler: self.assembler.counters(),
            datagrams: self.datagrams.counters(),
            host: self.host.counters,
            refused_events: self.host.arena.refused(),
            withheld_events: self.host.arena.withheld(),
            dump_failed_bytes: self.dump.as_ref().map_or(0, Dump::failed_bytes),
        }
    }

    fn write_events(&mut self) {
        let arena = &mut self.host.arena;
        if arena.is_empty() {
            return;
        }
        match &mut self.sink {
            Sink::Groups(groups) => {
                let claimed = self.output.claim(arena.events().count() as u64);
                let events = usize::try_from(claimed).unwrap_or(usize::MAX);
                arena.events().take(events).for_each(|event| groups.count(arena, event));
                self.output.tally(groups, claimed);
            }
            Sink::Lines(sink) => {
                sink.begin();
                for event in arena.events() {
                    sink.write(arena, event, &self.keys, &mut self.lines.bytes);
                    self.lines.end_event();
                    if self.lines.bytes.len() >= BUFFER {
                        self.output.hand_on(&mut self.lines);
                    }
                }
            }
        }
        if let Some(dump) = &mut self.dump {
            arena.content().for_each(|content| dump.write(&content));
        }
        arena.clear();
    }
}

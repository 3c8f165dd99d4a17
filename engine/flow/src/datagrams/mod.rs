//! Stage: UDP packet → flow. What the assembler is for TCP, this is for UDP: it gives each datagram to the stream of its flow, in the order
//! in which they were captured.
//!
//! The first datagram opens a flow, whose client is who sent it, unless the factory knows better (a rule's port). A flow ends when it was
//! silent for long, when there are too many (the one that was silent longest goes), or with the input. All is bounded, all is counted.

#[cfg(test)]
mod tests;

use core::time::Duration;

use hashbrown::HashTable;

use crate::assembler::list::{Linked, Links, List};
use crate::assembler::pool::{NONE, Pool};
use crate::assembler::{Stream, StreamFactory, Totals};
use crate::packet::Datagram;
use crate::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport, counters};

/// A stream that takes datagrams, too.
pub trait DatagramStream<F>: Stream<F> {
    /// One datagram.
    fn datagram(&mut self, factory: &mut F, flow: &FlowInfo, totals: &[Totals; 2], received: Received<'_>);
}

/// A datagram as a stream gets it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// Its payload as far as it was captured.
    pub bytes: &'a [u8],
    /// Payload bytes behind them that the snap length cut.
    pub missing: u32,
    /// When it was captured.
    pub seen: Nanos,
}

/// Bounds of a [`DatagramFlows`].
#[derive(Clone, Copy, Debug)]
pub struct DatagramOptions {
    /// Flows at once. Above it the one that was silent longest goes.
    pub max_flows: usize,
    /// A flow without datagrams for so long is closed, unless its stream says no.
    pub idle_timeout: Duration,
    /// The serial number of the first flow.
    pub first_serial: u64,
    /// What is added for each further one.
    pub serial_step: u64,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { max_flows: 128 << 10, idle_timeout: Duration::from_secs(60), first_serial: 0, serial_step: 1 }
    }
}

counters! {
    /// Counters of a [`DatagramFlows`].
    pub struct DatagramFlowCounters in "udp" {
        /// Datagrams taken in.
        pub datagrams,
        /// Payload bytes in them, those that the snap length cut not included.
        pub bytes,
        /// Datagrams that the snap length cut.
        pub cut,
        /// Flows that were opened.
        pub opened,
        /// Flows closed: no datagram for the idle time-out.
        pub closed_idle,
        /// Flows closed: limit of flows.
        pub closed_evicted,
        /// Flows closed: end of input.
        pub closed_eof,
        /// Flows that are open now.
        pub open,
    }
}

/// The kind of list that orders flows by age.
const AGE: u8 = 0;
/// Flows move to the back of their list at most once in so many nanoseconds (2³⁰): a busy one leaves its neighbours' memory alone.
const EPOCH: u32 = 30;
/// Packet time between two looks at memory that could be given back.
const TRIM: u64 = 5 * Nanos::SECOND;

#[derive(Debug)]
struct Entry<S> {
    flow: FlowInfo,
    totals: [Totals; 2],
    stream: Option<S>,
    hash: u64,
    /// When it was put into its place of the list, in epochs.
    aged: u32,
    links: Links,
}

impl<S> Linked<AGE> for Entry<S> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
    fn linked(&self) -> Links {
        self.links
    }
}

impl<S> Entry<S> {
    fn vacant() -> Self {
        let nobody = Endpoint::v4([0; 4], 0);
        let (key, client_side) = FlowKey::new(nobody, nobody, Transport::Udp, Place::default());
        let flow = FlowInfo {
            key,
            client_side,
            oriented_by: OrientedBy::FirstSender,
            first_seen: Nanos(0),
            last_seen: Nanos(0),
            interface: 0,
            midstream: false,
            serial: 0,
        };
        Self { flow, totals: Default::default(), stream: None, hash: 0, aged: 0, links: Links::NONE }
    }
}

/// The UDP flows of one worker.
#[derive(Debug)]
pub struct DatagramFlows<F: StreamFactory> {
    options: DatagramOptions,
    counters: DatagramFlowCounters,
    table: HashTable<u32>,
    entries: Pool<Entry<F::Stream>, 4>,
    /// The one that was silent longest in front.
    ages: List<AGE>,
    /// The high-water mark of packet time.
    now: Nanos,
    next_serial: u64,
    trimmed: Nanos,
}

impl<F> DatagramFlows<F>
where
    F: StreamFactory,
    F::Stream: DatagramStream<F>,
{
    /// No flows; allocates nothing before the first datagram.
    #[must_use]
    pub fn new(options: DatagramOptions) -> Self {
        Self {
            counters: DatagramFlowCounters::default(),
            table: HashTable::new(),
            entries: Pool::new(Entry::vacant),
            ages: List::EMPTY,
            now: Nanos(0),
            next_serial: options.first_serial,
            trimmed: Nanos(0),
            options,
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DatagramFlowCounters {
        DatagramFlowCounters { open: u64::from(self.ages.len()), ..self.counters }
    }

    /// Bytes allocated; what streams allocate themselves is not in it.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.entries.memory() + self.table.allocation_size()
    }

    /// Takes a datagram in. `payload` is what `datagram.packet.payload` names.
    pub fn take(&mut self, factory: &mut F, datagram: &Datagram, payload: &[u8]) {
        let packet = &datagram.packet;
        self.now = self.now.max(packet.timestamp);
        self.counters.datagrams += 1;
        self.counters.bytes += payload.len() as u64;
        self.counters.cut += u64::from(packet.missing > 0);
        let found = self
            .table
            .find(packet.hash, |&at| self.entries.get(at).is_some_and(|entry| entry.flow.key == packet.key));
        let found = match found {
            Some(&at) => Some(at),
            None => self.open(factory, datagram),
        };
        let Some(at) = found else { return };
        self.age(at);
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.flow.last_seen = self.now;
        let direction = entry.flow.direction(packet.sender);
        let [to_server, to_client] = &mut entry.totals;
        let totals = match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        };
        totals.packets += 1;
        totals.bytes += payload.len() as u64;
        totals.gap_bytes += u64::from(packet.missing);
        let (missing, seen) = (packet.missing, packet.timestamp);
        let received = Received { direction, bytes: payload, missing, seen };
        if let Some(stream) = &mut entry.stream {
            stream.datagram(factory, &entry.flow, &entry.totals, received);
        }
    }

    /// Lets packet time reach `now`: closes flows that are idle.
    pub fn advance(&mut self, factory: &mut F, now: Nanos) {
        self.now = self.now.max(now);
        // Each is asked once at most, also when the time-out is shorter than the grain of their order.
        for _ in 0..self.ages.len() {
            let at = self.ages.front();
            let Some(entry) = self.entries.get_mut(at) else { break };
            let since = entry.flow.last_seen.max(Nanos(u64::from(entry.aged) << EPOCH));
            if self.now < since + self.options.idle_timeout.max(Duration::from_nanos(1)) {
                break;
            }
            let keep = entry
                .stream
                .as_mut()
                .is_some_and(|stream| stream.idle(factory, &entry.flow, &entry.totals, self.now));
            if keep {
                self.age(at);
            } else {
                self.counters.closed_idle += 1;
                self.close(factory, at, End::Idle);
            }
        }
        if self.now.since(self.trimmed) >= TRIM {
            self.trimmed = self.now;
            let (room, entries) = (self.entries.peak() as usize, &self.entries);
            if room < self.table.capacity() / 4 {
                self.table.shrink_to(room, |&other| entries.get(other).map_or(0, |e| e.hash));
            }
            self.entries.trim();
        }
    }

    /// Ends up to `most` flows as the input's end does; gives how many there were, 0 when there are no more.
    pub fn flush_some(&mut self, factory: &mut F, most: usize) -> usize {
        let mut closed = 0;
        while closed < most && self.ages.front() != NONE {
            self.counters.closed_eof += 1;
            self.close(factory, self.ages.front(), End::Eof);
            closed += 1;
        }
        closed
    }

    /// A datagram of no flow.
    fn open(&mut self, factory: &mut F, datagram: &Datagram) -> Option<u32> {
        while self.table.len() >= self.options.max_flows.max(1) {
            self.counters.closed_evicted += 1;
            self.close(factory, self.ages.front(), End::Evicted);
        }
        let packet = &datagram.packet;
        let mut flow = FlowInfo {
            key: packet.key,
            client_side: packet.sender,
            oriented_by: OrientedBy::FirstSender,
            first_seen: packet.timestamp,
            last_seen: self.now,
            interface: packet.interface,
            midstream: false,
            serial: self.next_serial,
        };
        self.next_serial = self.next_serial.wrapping_add(self.options.serial_step);
        self.counters.opened += 1;
        let stream = factory.new_stream(&mut flow);
        let at = self.entries.take()?;
        let (hash, aged) = (packet.hash, epoch(self.now));
        *self.entries.get_mut(at)? =
            Entry { flow, totals: Default::default(), stream: Some(stream), hash, aged, links: Links::NONE };
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |&other| entries.get(other).map_or(0, |e| e.hash));
        self.ages.push(&mut self.entries, at);
        Some(at)
    }

    fn close(&mut self, factory: &mut F, at: u32, why: End) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        if let Some(mut stream) = entry.stream.take() {
            stream.reassembly_complete(factory, &entry.flow, &entry.totals, why);
        }
        if let Ok(found) = self.table.find_entry(entry.hash, |&other| other == at) {
            found.remove();
        }
        self.ages.remove(&mut self.entries, at);
        self.entries.release(at);
    }

    /// Makes a flow the youngest.
    fn age(&mut self, at: u32) {
        let now = epoch(self.now);
        if let Some(entry) = self.entries.get_mut(at)
            && entry.aged != now
        {
            entry.aged = now;
            self.ages.touch(&mut self.entries, at);
        }
    }
}

/// The coarse time by which flows are ordered.
fn epoch(now: Nanos) -> u32 {
    u32::try_from(now.0 >> EPOCH).unwrap_or(u32::MAX)
}

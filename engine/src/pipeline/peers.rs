//! Between readers: a packet that was put together from fragments goes to the reader whose ring has the rest of its flow.
//!
//! The kernel shares frames out by addresses and ports, fragments by addresses alone, since only the first has the ports: all fragments of a
//! datagram meet in one ring, but mostly not in that of their flow. Which ring a number means is the kernel's affair (it changes when an
//! interface goes down and up), so it is learned: once a block each reader notes the number of a frame that it got. A packet whose ring
//! nobody knows yet is held for a moment, then it stays where it was put together, counted.
//!
//! A packet that is handed over is taken in when the owner's frames have reached its time, so that a flow's packets keep their order as far as
//! the readers keep step; a reader that is behind is what reassembly's patience with holes is for.

#[cfg(test)]
mod tests;

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use sniff_x_capture::{Lease, fanout_number};
use sniff_x_flow::packet::{Fragment, Packet, Parsed, Parser};
use sniff_x_flow::{Frame, LinkType, Nanos};

use super::batch::Header;
use super::fragments::part;
use super::reader::ReaderCounters;

/// Packets on their way to one reader; with 64 KiB each at most 16 MiB.
const QUEUED: usize = 256;
/// Frames at the beginning of a block of which one has to tell a number.
const LOOKED_AT: usize = 64;
/// Numbers that are remembered, all interfaces together.
const LEARNED: usize = 4096;

/// A packet that is handed over.
pub(crate) struct Handed {
    pub(crate) header: Header,
    /// Its payload.
    pub(crate) payload: Vec<u8>,
}

/// What the readers of one capture share.
struct Shared {
    boxes: Vec<ArrayQueue<Handed>>,
    /// Memory of payloads that were taken in.
    spare: ArrayQueue<Vec<u8>>,
    /// Who has the ring of an interface and a number, modulo the rings.
    owners: Mutex<BTreeMap<(u32, usize), usize>>,
    /// How far each reader's end is.
    stages: Vec<AtomicU8>,
}

/// How far a reader's end is; the others wait for each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// It has read all that it will read, so that its ring's numbers are known.
    Read = 1,
    /// It hands nothing over any more.
    Left = 2,
}

/// One reader's way to the others.
pub(crate) struct Peers {
    shared: Arc<Shared>,
    index: usize,
    /// What was handed to it and is not due yet, in order of time.
    waiting: VecDeque<Handed>,
    /// What it put together and knows no owner of yet, the oldest first.
    unplaced: VecDeque<Handed>,
}

/// Where a packet went.
pub(crate) enum Way {
    /// It is this reader's own.
    Own,
    /// It is held until its owner is known.
    Held,
    /// It was handed over.
    Handed,
    /// Its owner has too many waiting: it is lost.
    Full,
}

/// The ends for `readers` readers.
pub(crate) fn peers(readers: usize) -> Vec<Peers> {
    let shared = Arc::new(Shared {
        boxes: (0..readers).map(|_| ArrayQueue::new(QUEUED)).collect(),
        spare: ArrayQueue::new(QUEUED),
        owners: Mutex::default(),
        stages: (0..readers).map(|_| AtomicU8::new(0)).collect(),
    });
    let peers =
        |index| Peers { shared: shared.clone(), index, waiting: VecDeque::new(), unplaced: VecDeque::new() };
    (0..readers).map(peers).collect()
}

impl Peers {
    /// Notes which number's ring a block comes from, and collects what others handed over.
    pub(crate) fn block(&mut self, lease: &Lease, parser: &Parser) {
        self.collect();
        for frame in lease.frames().take(LOOKED_AT) {
            let parsed = parser.parse(&frame);
            let (Parsed::Tcp(_) | Parsed::Udp(_)) = parsed else { continue };
            if let Some(packet) = packet_of(&parsed).filter(|packet| is_plain(&frame, packet)) {
                let slot = (frame.interface, self.slot(packet));
                let mut owners = self.shared.owners.lock().unwrap_or_else(PoisonError::into_inner);
                if owners.len() >= LEARNED {
                    owners.clear();
                }
                owners.insert(slot, self.index);
                return;
            }
        }
    }

    /// Hands a packet that was put together from `fragment` and others to its flow's reader.
    pub(crate) fn hand_over(&mut self, fragment: &Fragment, header: &Header, bytes: &[u8]) -> Way {
        let packet = header.packet();
        // What comes out of a tunnel goes by the tunnel's addresses, as its fragments do.
        let end = |side| packet.key.endpoint(side).address();
        let (source, id) = (packet.sender, &fragment.datagram);
        let same =
            end(source) == id.source.to_canonical() && end(source.other()) == id.destination.to_canonical();
        let owner = self.owner(packet);
        if !fragment.is_outermost() || !same || owner == Some(self.index) {
            return Way::Own;
        }
        let mut payload = self.shared.spare.pop().unwrap_or_default();
        payload.extend_from_slice(part(bytes, packet.payload));
        let handed = Handed { header: header.starting_at(0), payload };
        match owner {
            Some(owner) => self.send(owner, handed),
            None if self.unplaced.len() < QUEUED => {
                self.unplaced.push_back(handed);
                Way::Held
            }
            None => Way::Full,
        }
    }

    /// Hands over what was held and has an owner now; gives one that is this reader's own, or waited longer than until `before`: `true` then.
    pub(crate) fn place(&mut self, before: Nanos, counters: &mut ReaderCounters) -> Option<(Handed, bool)> {
        while let Some(handed) = self.unplaced.front() {
            let packet = handed.header.packet();
            match self.owner(packet) {
                None if packet.timestamp >= before => return None,
                None => return self.unplaced.pop_front().map(|handed| (handed, true)),
                Some(owner) if owner == self.index => {
                    return self.unplaced.pop_front().map(|handed| (handed, false));
                }
                Some(owner) => {
                    if let Some(handed) = self.unplaced.pop_front() {
                        counters.handed(&self.send(owner, handed));
                    }
                }
            }
        }
        None
    }

    fn owner(&self, packet: &Packet) -> Option<usize> {
        let slot = (packet.interface, self.slot(packet));
        self.shared.owners.lock().unwrap_or_else(PoisonError::into_inner).get(&slot).copied()
    }

    fn send(&self, owner: usize, handed: Handed) -> Way {
        let Some(queue) = self.shared.boxes.get(owner) else { return Way::Full };
        if queue.push(handed).is_ok() { Way::Handed } else { Way::Full }
    }

    /// When the first of what waits is due; never if nothing does.
    pub(crate) fn due(&self) -> Nanos {
        self.waiting.front().map_or(Nanos(u64::MAX), |handed| handed.header.packet().timestamp)
    }

    /// The next packet that is due at packet time `now`.
    pub(crate) fn take(&mut self, now: Nanos) -> Option<Handed> {
        if self.due() > now {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Gives a taken packet's memory back.
    pub(crate) fn give_back(&self, mut payload: Vec<u8>) {
        payload.clear();
        // Full means that there is enough.
        let _ = self.shared.spare.push(payload);
    }

    /// Collects what others handed over, and tells how much waits then; that is no more than a box holds.
    pub(crate) fn collect(&mut self) -> usize {
        let Some(queue) = self.shared.boxes.get(self.index) else { return 0 };
        while self.waiting.len() < QUEUED
            && let Some(handed) = queue.pop()
        {
            let time = handed.header.packet().timestamp;
            let at = self.waiting.partition_point(|other| other.header.packet().timestamp <= time);
            self.waiting.insert(at, handed);
        }
        self.waiting.len()
    }

    /// Says how far this reader's end is.
    pub(crate) fn reach(&self, stage: Stage) {
        if let Some(reached) = self.shared.stages.get(self.index) {
            reached.fetch_max(stage as u8, Ordering::AcqRel);
        }
    }

    /// Says that it left when it is dropped: for a thread that may panic, or never start.
    pub(crate) fn leaving(&self) -> Leaving {
        Leaving { shared: self.shared.clone(), index: self.index }
    }

    /// Whether all readers' ends are so far.
    pub(crate) fn all_reached(&self, stage: Stage) -> bool {
        self.shared.stages.iter().all(|reached| reached.load(Ordering::Acquire) >= stage as u8)
    }

    fn slot(&self, packet: &Packet) -> usize {
        fanout_number(&packet.key) as usize % self.shared.boxes.len().max(1)
    }
}

/// See [`Peers::leaving`].
pub(crate) struct Leaving {
    shared: Arc<Shared>,
    index: usize,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(reached) = self.shared.stages.get(self.index) {
            reached.store(Stage::Left as u8, Ordering::Release);
        }
    }
}

fn packet_of(parsed: &Parsed) -> Option<&Packet> {
    match parsed {
        Parsed::Tcp(segment) => Some(&segment.packet),
        Parsed::Udp(datagram) => Some(&datagram.packet),
        _ => None,
    }
}

/// Whether the packet is what an Ethernet frame carries at once, so that the kernel saw the same addresses and ports.
fn is_plain(frame: &Frame<'_>, packet: &Packet) -> bool {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    fn address<const N: usize>(bytes: &[u8], at: usize) -> Option<IpAddr>
    where
        IpAddr: From<[u8; N]>,
    {
        bytes.get(at..)?.first_chunk::<N>().map(|bytes| IpAddr::from(*bytes))
    }
    let bytes = frame.bytes;
    let (source, protocol) = match bytes.get(12..14) {
        _ if frame.link_type != LinkType::ETHERNET => return false,
        Some([0x08, 0x00]) => (address::<4>(bytes, 26), bytes.get(23)),
        Some([0x86, 0xdd]) => (address::<16>(bytes, 22), bytes.get(20)),
        _ => return false,
    };
    matches!(protocol, Some(&(TCP | UDP))) && source == Some(packet.key.endpoint(packet.sender).address())
}

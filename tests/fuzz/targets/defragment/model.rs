//! What the defragmenter's rules say, one byte at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sniff_x_flow::Nanos;
use sniff_x_flow::packet::defragment::{DefragmentCounters, DefragmentOptions, PAGE_BYTES};

use super::{Name, Sent};

/// How long one that was put together is remembered.
const REMEMBERED: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Void,
    Done,
}

/// A place in a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    /// Nothing came of it yet.
    Missing,
    /// It came, but the snap length had cut it.
    Cut,
    Is(u8),
}

struct Datagram {
    state: State,
    began: Nanos,
    /// What was on the wire by its place, up to the last.
    bytes: Vec<Byte>,
    /// How many of them are known.
    known: usize,
    /// Where the first one is that was cut.
    cut: usize,
    /// Pages with a byte.
    pages: BTreeSet<u32>,
    total: Option<u32>,
    /// What the fragment at offset 0 says that it carries.
    protocol: Option<u8>,
}

/// What a fragment comes to.
#[derive(Debug)]
pub(super) enum Outcome {
    Whole { bytes: Vec<u8>, len: u32, protocol: u8 },
    Waits,
    Malformed,
    Copy,
    Overlap,
    Refused,
    Limit,
}

impl Outcome {
    pub(super) fn note(&self) -> u8 {
        match self {
            Self::Whole { .. } => 0,
            Self::Waits => 1,
            Self::Malformed => 2,
            Self::Copy => 3,
            Self::Overlap => 4,
            Self::Refused => 5,
            Self::Limit => 6,
        }
    }
}

pub(super) struct Model {
    options: DefragmentOptions,
    datagrams: BTreeMap<Name, Datagram>,
    counters: DefragmentCounters,
}

impl Model {
    pub(super) fn new(options: DefragmentOptions) -> Self {
        Self { options, datagrams: BTreeMap::new(), counters: DefragmentCounters::default() }
    }

    pub(super) fn counters(&self) -> DefragmentCounters {
        let count = |state| self.datagrams.values().filter(|d| d.state == state).count() as u64;
        DefragmentCounters { waiting: count(State::Waiting), void: count(State::Void), ..self.counters }
    }

    pub(super) fn advance(&mut self, now: Nanos) {
        let (options, timed_out) = (&self.options, &mut self.counters.timed_out);
        self.datagrams.retain(|name, datagram| {
            let usual = Duration::from_secs(if name.v6() { 60 } else { 30 });
            let most = match datagram.state {
                State::Done => REMEMBERED,
                _ => options.timeout.unwrap_or(usual),
            };
            let stays = u128::from(now.0 - datagram.began.0) <= most.as_nanos();
            *timed_out += u64::from(!stays && datagram.state == State::Waiting);
            stays
        });
    }

    /// The oldest of a kind, but for one.
    fn oldest(&self, done: bool, except: Option<Name>) -> Option<Name> {
        let of_kind = |(name, datagram): &(&Name, &Datagram)| {
            (datagram.state == State::Done) == done && Some(**name) != except
        };
        Some(*self.datagrams.iter().filter(of_kind).min_by_key(|(_, datagram)| datagram.began)?.0)
    }

    fn give_up(&mut self, name: Name) {
        let datagram = self.datagrams.remove(&name).expect("it is there");
        self.counters.limit += u64::from(datagram.state == State::Waiting);
    }

    fn void(&mut self, name: Name) {
        let datagram = self.datagrams.get_mut(&name).expect("it is there");
        datagram.state = State::Void;
        datagram.bytes.clear();
        datagram.pages.clear();
    }

    pub(super) fn add(&mut self, sent: &Sent, now: Nanos) -> Outcome {
        self.advance(now);
        let end = sent.offset + sent.bytes.len() as u32;
        if sent.bytes.is_empty() || end > 65_535 || sent.more && !sent.bytes.len().is_multiple_of(8) {
            self.counters.malformed += 1;
            return Outcome::Malformed;
        }
        let name = sent.name.key();
        if !self.datagrams.contains_key(&name) {
            while self.datagrams.len() >= self.options.max_datagrams.max(1) {
                let oldest = self.oldest(true, None).or_else(|| self.oldest(false, None));
                self.give_up(oldest.expect("one of them is the oldest"));
            }
            let datagram = Datagram {
                state: State::Waiting,
                began: now,
                bytes: Vec::new(),
                known: 0,
                cut: usize::MAX,
                pages: BTreeSet::new(),
                total: None,
                protocol: None,
            };
            self.datagrams.insert(name, datagram);
        }
        let datagram = &self.datagrams[&name];
        match (datagram.state, datagram.judge(sent, end)) {
            (State::Void, _) => {
                self.counters.refused += 1;
                return Outcome::Refused;
            }
            (State::Done, _) | (_, Some(true)) => {
                self.counters.duplicates += 1;
                return Outcome::Copy;
            }
            (_, Some(false)) => {
                self.counters.overlapping += 1;
                self.void(name);
                return Outcome::Overlap;
            }
            (_, None) => {}
        }
        let captured = sent.offset..sent.offset + sent.captured as u32;
        let needed: BTreeSet<u32> = captured.map(|at| at / PAGE_BYTES as u32).collect();
        let needed = needed.difference(&datagram.pages).copied().collect::<Vec<_>>();
        let used = |model: &Self| model.datagrams.values().map(|d| d.pages.len()).sum::<usize>();
        while used(self) + needed.len() > self.options.max_pages {
            let Some(oldest) = self.oldest(false, Some(name)) else {
                self.counters.limit += 1;
                self.void(name);
                return Outcome::Limit;
            };
            self.give_up(oldest);
        }
        let datagram = self.datagrams.get_mut(&name).expect("it is there");
        datagram.pages.extend(needed);
        datagram.put(sent, end);
        let Some((bytes, len)) = datagram.whole() else { return Outcome::Waits };
        let protocol = datagram.protocol.expect("what is whole has a beginning");
        datagram.state = State::Done;
        datagram.began = now;
        datagram.pages.clear();
        self.counters.reassembled += 1;
        self.counters.cut += u64::from((bytes.len() as u32) < len);
        Outcome::Whole { bytes, len, protocol }
    }
}

impl Datagram {
    /// Whether the bytes are all there and the same (true), or contradict what is there (false). None: they are new.
    fn judge(&self, sent: &Sent, end: u32) -> Option<bool> {
        let contradicts = match (sent.more, self.total) {
            (true, total) => total.is_some_and(|total| end >= total),
            (false, Some(total)) => end != total,
            (false, None) => self.bytes.len() > end as usize,
        };
        if contradicts {
            return Some(false);
        }
        let there = self.bytes.iter().skip(sent.offset as usize).take(sent.bytes.len());
        let known = there.clone().filter(|byte| **byte != Byte::Missing).count();
        if known == 0 {
            return None;
        }
        // What lies behind the first byte that was cut is of no use, and is not compared.
        let useful = self.cut.saturating_sub(sent.offset as usize).min(sent.captured);
        let differs = there.zip(&sent.bytes[..useful]).any(|(there, byte)| *there != Byte::Is(*byte));
        let same = known == sent.bytes.len() && !differs;
        // One that ends where others end, but says that nothing follows, is no copy.
        Some(same && (sent.more || self.total.is_some()))
    }

    fn put(&mut self, sent: &Sent, end: u32) {
        let (from, to) = (sent.offset as usize, end as usize);
        if self.bytes.len() < to {
            self.bytes.resize(to, Byte::Missing);
        }
        for (at, (there, byte)) in self.bytes[from..to].iter_mut().zip(&sent.bytes).enumerate() {
            *there = if at < sent.captured { Byte::Is(*byte) } else { Byte::Cut };
        }
        self.known += sent.bytes.len();
        if sent.captured < sent.bytes.len() {
            self.cut = self.cut.min(from + sent.captured);
        }
        if !sent.more {
            self.total = Some(end);
        }
        if from == 0 {
            self.protocol = Some(sent.name.protocol());
        }
    }

    /// What it carries, up to the first byte that was cut, and its length, if nothing is missing.
    fn whole(&self) -> Option<(Vec<u8>, u32)> {
        let total = self.total.filter(|&total| self.known == total as usize)?;
        let is = |byte: &Byte| if let Byte::Is(byte) = byte { Some(*byte) } else { None };
        Some((self.bytes.iter().map_while(is).collect(), total))
    }
}

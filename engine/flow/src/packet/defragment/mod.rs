//! Fragments → whole IP datagrams (RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722).
//!
//! In go [`Fragment`]s with their bytes; out comes, with the fragment that completes it, what the datagram carries, in one piece:
//! [`Parser::parse_reassembled`](super::Parser::parse_reassembled) reads on from there. Nobody pays for this who has no fragments.
//!
//! A datagram under way is a map of 8-byte blocks (a fragment's offset can't be finer) and up to 32 pages, taken from a pool as bytes need
//! them: no list to search, whatever the order, and what it costs is bounded by the pages that it touches.
//!
//! What a receiver could read in two ways is refused: fragments that overlap make the whole datagram void, and those that still come with
//! it (RFC 5722, RFC 8200; for IPv4 likewise, though receivers differ there). A fragment whose bytes were all seen before and are the same
//! is a copy and does no harm. What can't be put together for want of time or memory is given up whole. Each has its counter.

mod datagram;
mod options;
#[cfg(test)]
mod tests;

use core::hash::BuildHasher;

use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;

pub use options::{DefragmentCounters, DefragmentOptions};

use super::{DatagramId, Fragment};
use crate::Nanos;
use crate::assembler::list::List;
use crate::assembler::pool::{NONE, Pool};
pub use datagram::PAGE_BYTES;
use datagram::{AGE, Datagram, Page, State, Verdict};

/// The most bytes that a datagram can carry: its length field has 16 bits.
const MAX_BYTES: u32 = 65_535;
/// How long a datagram that was put together is remembered, so that copies of its fragments (a capture on several interfaces) begin no new
/// one: far longer than copies are apart, far shorter than the time in which busy hosts use a number again.
const REMEMBERED: u64 = 200_000_000;
/// Packet time between two looks at memory that could be given back.
const TRIM: u64 = 5 * Nanos::SECOND;

/// A datagram that was put together.
#[derive(Clone, Copy, Debug)]
pub struct Reassembled {
    /// The fragment at offset 0.
    pub first: Fragment,
    /// Bytes that the datagram carries; more than were put together when a fragment was cut by the snap length: then what lies behind the
    /// first missing byte is missing, too.
    pub len: u32,
    /// When the fragment that made it whole was seen.
    pub timestamp: Nanos,
}

/// Puts the fragments of many datagrams together. Owned by one reader.
#[derive(Debug)]
pub struct Defragmenter {
    options: DefragmentOptions,
    counters: DefragmentCounters,
    hasher: SeedableRandomState,
    table: HashTable<u32>,
    datagrams: Pool<Datagram, 1>,
    pages: Pool<Page, 1>,
    /// Datagrams that wait or are void, by version (IPv4 first), the oldest in front.
    open: [List<AGE>; 2],
    /// Those that were put together, the oldest in front.
    done: List<AGE>,
    /// The high-water mark of packet time.
    now: Nanos,
    trimmed: Nanos,
}

impl Defragmenter {
    /// A defragmenter without datagrams; it allocates nothing before the first fragment.
    #[must_use]
    pub fn new(options: DefragmentOptions) -> Self {
        Self {
            options,
            counters: DefragmentCounters::default(),
            hasher: SeedableRandomState::random(),
            table: HashTable::new(),
            datagrams: Pool::new(Datagram::vacant),
            pages: Pool::new(Page::vacant),
            open: [List::EMPTY; 2],
            done: List::EMPTY,
            now: Nanos(0),
            trimmed: Nanos(0),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DefragmentCounters {
        let void = self.counters.void;
        let open: u32 = self.open.iter().map(List::len).sum();
        DefragmentCounters { waiting: u64::from(open).saturating_sub(void), ..self.counters }
    }

    /// Bytes allocated.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.datagrams.memory() + self.pages.memory() + self.table.allocation_size()
    }

    /// Takes in a fragment; `payload` is what `fragment.payload` names. If it is the last that was missing, what the datagram carries replaces
    /// what `whole` holds.
    pub fn add(&mut self, fragment: &Fragment, payload: &[u8], whole: &mut Vec<u8>) -> Option<Reassembled> {
        self.advance(fragment.timestamp);
        let len = fragment.payload.len.saturating_add(fragment.missing);
        let end = fragment.offset.saturating_add(len);
        if len == 0 || end > MAX_BYTES || (fragment.more && !len.is_multiple_of(8)) {
            self.counters.malformed += 1;
            return None;
        }
        let at = self.find_or_insert(fragment)?;
        let datagram = self.datagrams.get_mut(at)?;
        let verdict = match datagram.state {
            State::Void => Verdict::Refused,
            State::Done => Verdict::Copy,
            State::Waiting => datagram.judge(fragment, payload, end, &self.pages),
        };
        match verdict {
            Verdict::New => {}
            Verdict::Copy => {
                self.counters.duplicates += 1;
                return None;
            }
            Verdict::Refused => {
                self.counters.refused += 1;
                return None;
            }
            Verdict::Overlap => {
                self.counters.overlapping += 1;
                self.make_void(at);
                return None;
            }
        }
        let room = self.make_room_for_pages(at, fragment.offset, payload);
        let datagram = self.datagrams.get_mut(at)?;
        if !room || datagram.put(fragment, payload, end, &mut self.pages).is_none() {
            self.counters.limit += 1;
            self.make_void(at);
            return None;
        }
        let len = datagram.whole()?;
        let first = datagram.first?;
        datagram.copy_to(whole, &self.pages);
        self.counters.reassembled += 1;
        self.counters.cut += u64::from((whole.len() as u64) < u64::from(len));
        self.finish(at);
        Some(Reassembled { first, len, timestamp: fragment.timestamp })
    }

    /// Lets packet time reach `now`: gives up what waited too long.
    pub fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        if self.table.is_empty() {
            return;
        }
        for version in [0, 1] {
            while let Some(list) = self.open.get(version)
                && let at = list.front()
                && let Some(datagram) = self.datagrams.get(at)
                && self.is_over(datagram)
            {
                self.counters.timed_out += u64::from(datagram.state == State::Waiting);
                self.remove(at);
            }
        }
        while let Some(datagram) = self.datagrams.get(self.done.front())
            && self.now.since(datagram.began) > REMEMBERED
        {
            self.remove(self.done.front());
        }
        if self.now.since(self.trimmed) >= TRIM {
            self.trimmed = self.now;
            self.datagrams.trim();
            self.pages.trim();
        }
    }

    fn is_over(&self, datagram: &Datagram) -> bool {
        let timeout = self.options.timeout_of(datagram.is_v6());
        self.now.since(datagram.began) > u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The datagram that a fragment belongs to; a new one if there is none yet.
    fn find_or_insert(&mut self, fragment: &Fragment) -> Option<u32> {
        let id = &fragment.datagram;
        let hash = self.hasher.hash_one(id);
        let found =
            self.table.find(hash, |&at| self.datagrams.get(at).is_some_and(|d| d.id.as_ref() == Some(id)));
        if let Some(&at) = found {
            return Some(at);
        }
        while self.table.len() >= self.options.max_datagrams.max(1) {
            // One that was put together is worth least.
            let least = Some(self.done.front()).filter(|&at| at != NONE);
            self.give_up(least.or_else(|| self.oldest(NONE))?);
        }
        let at = self.datagrams.take()?;
        let now = self.now;
        let datagram = self.datagrams.get_mut(at)?;
        datagram.begin(*id, now);
        let version = usize::from(datagram.is_v6());
        let (datagrams, hasher) = (&self.datagrams, &self.hasher);
        self.table.insert_unique(hash, at, |&other| hash_of(hasher, datagrams, other));
        self.open.get_mut(version)?.push(&mut self.datagrams, at);
        Some(at)
    }

    /// The oldest datagram that was not put together, but not `except`.
    fn oldest(&self, except: u32) -> Option<u32> {
        let oldest = self.open.iter().filter_map(|list| {
            let front = list.front();
            let at = if front == except { List::<AGE>::after(&self.datagrams, front) } else { front };
            Some((self.datagrams.get(at)?.began, at))
        });
        Some(oldest.min()?.1)
    }

    fn give_up(&mut self, at: u32) {
        self.counters.limit += u64::from(self.datagrams.get(at).is_some_and(|d| d.state == State::Waiting));
        self.remove(at);
    }

    /// Before bytes are put into a datagram: gives the oldest others up until there are pages enough. False: this one alone has too many.
    fn make_room_for_pages(&mut self, at: u32, offset: u32, payload: &[u8]) -> bool {
        let needed = self.datagrams.get(at).map_or(0, |d| d.pages_needed(offset, payload));
        while self.pages.used() as usize + needed > self.options.max_pages {
            let Some(oldest) = self.oldest(at) else { return false };
            self.give_up(oldest);
        }
        true
    }

    /// Nothing will come of a datagram; what still comes of it is refused.
    fn make_void(&mut self, at: u32) {
        if let Some(datagram) = self.datagrams.get_mut(at) {
            datagram.release(&mut self.pages);
            datagram.state = State::Void;
            self.counters.void += 1;
        }
    }

    /// A datagram was put together.
    fn finish(&mut self, at: u32) {
        let Some(datagram) = self.datagrams.get_mut(at) else { return };
        datagram.release(&mut self.pages);
        datagram.state = State::Done;
        datagram.began = self.now;
        let version = usize::from(datagram.is_v6());
        if let Some(open) = self.open.get_mut(version) {
            open.remove(&mut self.datagrams, at);
        }
        self.done.push(&mut self.datagrams, at);
    }

    fn remove(&mut self, at: u32) {
        let Some(datagram) = self.datagrams.get_mut(at) else { return };
        datagram.release(&mut self.pages);
        let (state, version) = (datagram.state, usize::from(datagram.is_v6()));
        let hash = hash_of(&self.hasher, &self.datagrams, at);
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == at) {
            entry.remove();
        }
        match (state, self.open.get_mut(version)) {
            (State::Done, _) => self.done.remove(&mut self.datagrams, at),
            (_, Some(open)) => open.remove(&mut self.datagrams, at),
            (_, None) => {}
        }
        self.counters.void -= u64::from(state == State::Void);
        self.datagrams.release(at);
    }
}

fn hash_of(hasher: &SeedableRandomState, datagrams: &Pool<Datagram, 1>, at: u32) -> u64 {
    datagrams.get(at).and_then(|d| d.id.as_ref()).map_or(0, |id: &DatagramId| hasher.hash_one(id))
}

//! One datagram under way: which bytes are there, and the pages that hold them.

use crate::Nanos;
use crate::assembler::list::{Linked, Links};
use crate::assembler::pool::{NONE, Pool};
use crate::packet::{DatagramId, Fragment};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 2048;
/// Pages of the longest datagram.
const PAGES: usize = 65_536 / PAGE_BYTES;
/// Blocks of 8 bytes in the longest datagram, by 64.
const WORDS: usize = 65_536 / 8 / 64;

/// The kind of list that orders datagrams by age.
pub(super) const AGE: u8 = 0;

/// Bytes of a datagram.
#[derive(Debug)]
pub(super) struct Page([u8; PAGE_BYTES]);

impl Page {
    pub(super) fn vacant() -> Self {
        Self([0; PAGE_BYTES])
    }
}

/// How far a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For fragments.
    Waiting,
    /// It was put together.
    Done,
    /// It never will be.
    Void,
}

/// What is to be done with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its bytes are new.
    New,
    /// All its bytes are there.
    Copy,
    /// It contradicts others.
    Overlap,
    /// Its datagram is void.
    Refused,
}

/// A datagram. Invariants: a block is marked in `map` exactly if a fragment covered it; of a marked block the bytes before `cut` lie in
/// `pages`; `end` is the end of the last marked block or, once the last fragment was seen, `total`.
#[derive(Debug)]
pub(super) struct Datagram {
    /// None: in nobody's use.
    pub(super) id: Option<DatagramId>,
    pub(super) state: State,
    /// When its first fragment was seen; when it was put together.
    pub(super) began: Nanos,
    /// The fragment at offset 0.
    pub(super) first: Option<Fragment>,
    links: Links,
    /// Its length, once the last fragment was seen.
    total: Option<u32>,
    /// Where the bytes end that are there.
    end: u32,
    /// Bytes that are there, those that the snap length cut included.
    covered: u32,
    /// Where the first byte is that the snap length cut.
    cut: u32,
    pages: [u32; PAGES],
    map: [u64; WORDS],
}

impl Linked<AGE> for Datagram {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
    fn linked(&self) -> Links {
        self.links
    }
}

impl Datagram {
    pub(super) fn vacant() -> Self {
        Self {
            id: None,
            state: State::Waiting,
            began: Nanos(0),
            first: None,
            links: Links::NONE,
            total: None,
            end: 0,
            covered: 0,
            cut: u32::MAX,
            pages: [NONE; PAGES],
            map: [0; WORDS],
        }
    }

    /// Starts a datagram in an entry that was released.
    pub(super) fn begin(&mut self, id: DatagramId, now: Nanos) {
        *self = Self { id: Some(id), began: now, ..Self::vacant() };
    }

    pub(super) fn is_v6(&self) -> bool {
        self.id.is_some_and(|id| id.source.is_ipv6())
    }

    /// What a fragment that ends at `end` is to those before.
    pub(super) fn judge(
        &self,
        fragment: &Fragment,
        payload: &[u8],
        end: u32,
        pages: &Pool<Page, 1>,
    ) -> Verdict {
        let contradicts = if fragment.more {
            self.total.is_some_and(|total| end >= total)
        } else {
            self.total.map_or(self.end > end, |total| total != end)
        };
        if contradicts {
            return Verdict::Overlap;
        }
        let blocks = end.div_ceil(8) - fragment.offset / 8;
        match self.marked(fragment.offset, end) {
            0 => Verdict::New,
            marked if marked == blocks && self.has(fragment.offset, payload, pages) => {
                // The last block of a fragment in the middle is full; that of the last one need not be.
                if !fragment.more && self.total.is_none() { Verdict::Overlap } else { Verdict::Copy }
            }
            _ => Verdict::Overlap,
        }
    }

    /// Takes a fragment in whose bytes are new. None: there is no page left.
    pub(super) fn put(
        &mut self,
        fragment: &Fragment,
        payload: &[u8],
        end: u32,
        pages: &mut Pool<Page, 1>,
    ) -> Option<()> {
        if fragment.offset == 0 {
            self.first = Some(*fragment);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        if fragment.missing > 0 {
            self.cut = self.cut.min(fragment.offset.saturating_add(fragment.payload.len));
        }
        self.mark(fragment.offset, end);
        self.end = self.end.max(end);
        self.covered += end - fragment.offset;
        self.write(fragment.offset, payload, pages)
    }

    /// Its length, if nothing is missing any more.
    pub(super) fn whole(&self) -> Option<u32> {
        self.total.filter(|&total| self.covered == total)
    }

    /// Replaces what `whole` holds by the bytes up to the first that was cut.
    pub(super) fn copy_to(&self, whole: &mut Vec<u8>, pages: &Pool<Page, 1>) {
        whole.clear();
        let mut left = self.end.min(self.cut) as usize;
        for &page in &self.pages {
            if left == 0 {
                break;
            }
            let Some(page) = pages.get(page) else { break };
            let bytes = page.0.get(..left).unwrap_or(&page.0);
            whole.extend_from_slice(bytes);
            left -= bytes.len();
        }
    }

    /// Gives its pages back.
    pub(super) fn release(&mut self, pages: &mut Pool<Page, 1>) {
        for page in self.pages.iter_mut().filter(|page| **page != NONE) {
            pages.release(core::mem::replace(page, NONE));
        }
    }

    /// Pages that bytes at `offset` need beyond those that it has.
    pub(super) fn pages_needed(&self, offset: u32, payload: &[u8]) -> usize {
        runs(offset, payload).filter(|&(page, ..)| self.pages.get(page) == Some(&NONE)).count()
    }

    /// How many of the blocks from `offset` to `end` are marked.
    fn marked(&self, offset: u32, end: u32) -> u32 {
        words(offset, end)
            .filter_map(|(at, bits)| self.map.get(at).map(|word| (word & bits).count_ones()))
            .sum()
    }

    fn mark(&mut self, offset: u32, end: u32) {
        for (at, bits) in words(offset, end) {
            if let Some(word) = self.map.get_mut(at) {
                *word |= bits;
            }
        }
    }

    /// Whether the bytes at `offset` are these, as far as they were captured.
    fn has(&self, offset: u32, payload: &[u8], pages: &Pool<Page, 1>) -> bool {
        let known = self.cut.saturating_sub(offset) as usize;
        let payload = payload.get(..known).unwrap_or(payload);
        runs(offset, payload).all(|(page, within, bytes)| {
            let page = self.pages.get(page).and_then(|&page| pages.get(page));
            page.and_then(|page| page.0.get(within..within + bytes.len())) == Some(bytes)
        })
    }

    fn write(&mut self, offset: u32, payload: &[u8], pages: &mut Pool<Page, 1>) -> Option<()> {
        for (page, within, bytes) in runs(offset, payload) {
            let slot = self.pages.get_mut(page)?;
            if *slot == NONE {
                *slot = pages.take()?;
            }
            pages.get_mut(*slot)?.0.get_mut(within..within + bytes.len())?.copy_from_slice(bytes);
        }
        Some(())
    }
}

/// The blocks from `offset` to `end` as words of the map and the bits in them.
fn words(offset: u32, end: u32) -> impl Iterator<Item = (usize, u64)> {
    let (from, to) = (offset as usize / 8, (end as usize).div_ceil(8));
    (from / 64..to.div_ceil(64)).map(move |at| {
        let low = from.saturating_sub(at * 64);
        let high = (to - at * 64).min(64);
        (at, (u64::MAX << low) & (u64::MAX >> (64 - high)))
    })
}

/// Bytes at `offset` as parts that lie in one page each: its number, where in it, the bytes.
fn runs(offset: u32, mut bytes: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut at = offset as usize;
    core::iter::from_fn(move || {
        let within = at % PAGE_BYTES;
        let (run, rest) = bytes.split_at_checked(PAGE_BYTES - within).unwrap_or((bytes, &[]));
        let page = at / PAGE_BYTES;
        at += run.len();
        bytes = rest;
        (!run.is_empty()).then_some((page, within, run))
    })
}

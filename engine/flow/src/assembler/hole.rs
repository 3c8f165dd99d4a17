//! The hole: what a half-stream keeps while bytes are missing.
//!
//! A half-stream has a hole when something behind its next byte is known: bytes that came out of order (in pages), a FIN,
//! or an acknowledgement of bytes that were never seen. Invariants: pages are sorted, do not overlap, are not empty, and
//! all begin behind the half-stream's next byte, but for one that is held back for the other direction: it may begin there.

use super::list::{Linked, Links};
use super::page::Page;
use super::payload::Payload;
use super::pool::{NONE, Pool};
use super::{Overlap, Sequence};
use crate::{Direction, Nanos};

/// The list of holes whose bytes the receiver acknowledged, by when that was seen.
pub(super) const TIMERS: u8 = 0;
/// The list of holes with pages, by when the first page came.
pub(super) const BUFFERING: u8 = 1;

pub(super) type Pages = Pool<Page, 1>;

/// A half-stream's waiting bytes.
#[derive(Debug)]
pub(super) struct Hole {
    /// The connection.
    pub(super) connection: u32,
    /// The half-stream.
    pub(super) direction: Direction,
    /// The first page.
    pub(super) head: u32,
    /// The last page.
    pub(super) tail: u32,
    /// How many pages there are.
    pub(super) pages: u32,
    /// The highest acknowledgement that was seen.
    pub(super) acked: Option<Sequence>,
    /// Where the FIN stands.
    pub(super) fin: Option<Sequence>,
    /// What the FIN's segment acknowledged of the other direction, where that was not seen by then.
    pub(super) fin_after: Option<Sequence>,
    /// Up to here the other direction does not wait for this one any more.
    pub(super) waived: Option<Sequence>,
    /// Whether it is in the list `BUFFERING`: while it has pages.
    pub(super) waiting: bool,
    /// Set while it is in the list `TIMERS`.
    pub(super) timer: Option<Timer>,
    timers: Links,
    buffering: Links,
}

/// Runs while bytes are acknowledged that were not seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// When it was set.
    pub(super) since: Nanos,
    /// What was acknowledged then: up to here the hole is given up when the timer fires.
    pub(super) mark: Sequence,
    /// Segments of the connection until it fires.
    pub(super) left: u32,
}

/// What became of bytes that were put into pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    /// Bytes that were there already.
    pub(super) known: u64,
    /// Some of them differ.
    pub(super) conflict: bool,
}

impl Linked<TIMERS> for Hole {
    fn links(&mut self) -> &mut Links {
        &mut self.timers
    }
    fn linked(&self) -> Links {
        self.timers
    }
}

impl Linked<BUFFERING> for Hole {
    fn links(&mut self) -> &mut Links {
        &mut self.buffering
    }
    fn linked(&self) -> Links {
        self.buffering
    }
}

impl Hole {
    /// Nothing known behind the next byte.
    pub(super) fn new(connection: u32, direction: Direction) -> Self {
        Self {
            connection,
            direction,
            head: NONE,
            tail: NONE,
            pages: 0,
            acked: None,
            fin: None,
            fin_after: None,
            waived: None,
            waiting: false,
            timer: None,
            timers: Links::NONE,
            buffering: Links::NONE,
        }
    }

    /// Takes note of an acknowledgement of something behind `next`.
    pub(super) fn acknowledge(&mut self, ack: Sequence) {
        if self.acked.is_none_or(|acked| acked.difference(ack) > 0) {
            self.acked = Some(ack);
        }
    }

    /// Takes note of a FIN at or behind `next`. Of several the nearest counts: its receiver takes nothing behind it.
    pub(super) fn finish_at(&mut self, fin: Sequence, after: Option<Sequence>) {
        if self.fin.is_none_or(|before| fin.difference(before) > 0) {
            (self.fin, self.fin_after) = (Some(fin), after);
        }
    }

    /// Where the bytes are known again: at the first page or the FIN.
    pub(super) fn end(&self, pages: &Pages) -> Option<Sequence> {
        match (pages.get(self.head).map(|page| page.seq), self.fin) {
            (Some(page), Some(fin)) if page.difference(fin) < 0 => Some(fin),
            (page, fin) => page.or(fin),
        }
    }

    /// Behind the last that is known: the last page, the FIN, what was acknowledged.
    pub(super) fn last(&self, pages: &Pages) -> Option<Sequence> {
        let fin = self.fin.map(|fin| fin.add(1));
        let page = pages.get(self.tail).map(Page::end);
        fin.or_else(|| match (page, self.acked) {
            (Some(page), Some(acked)) if page.difference(acked) < 0 => Some(page),
            (page, acked) => acked.or(page),
        })
    }

    /// What the receiver acknowledged and was not handed on, as long as somebody waits for it.
    pub(super) fn pending(&self, next: Sequence) -> Option<Sequence> {
        let waived = |acked| self.waived.is_some_and(|waived| acked_by(acked, waived));
        self.acked.filter(|&acked| !acked_by(acked, next) && !waived(acked))
    }

    /// What the next thing, page or FIN, has to come after when it stands at `next`.
    pub(super) fn waits_for(&self, pages: &Pages, next: Sequence) -> Option<Sequence> {
        if self.fin == Some(next) {
            return self.fin_after;
        }
        pages.get(self.head).filter(|page| page.seq == next)?.after
    }

    /// Whether nothing is known behind `next`.
    pub(super) fn closed(&self, next: Sequence) -> bool {
        self.head == NONE && self.fin.is_none() && self.acked.is_none_or(|acked| next.difference(acked) <= 0)
    }

    /// Pages that `len` bytes would take at most.
    pub(super) fn pages_for(len: usize) -> u32 {
        u32::try_from(len.div_ceil(super::PAGE_BYTES)).unwrap_or(u32::MAX)
    }

    /// Copies payload that begins at or behind `next` into pages. What is there already stays or is replaced, as `overlap`
    /// says.
    pub(super) fn insert(
        &mut self,
        pages: &mut Pages,
        next: Sequence,
        payload: &Payload<'_>,
        overlap: Overlap,
    ) -> Stored {
        let Payload { mut seq, mut bytes, cut, seen, after: behind, .. } = *payload;
        let mut stored = Stored::default();
        // Most come at the end: look for their place from there.
        let mut before = self.tail;
        while let Some(page) = pages.get(before)
            && next.distance(page.end()) > next.distance(seq)
        {
            before = page.previous;
        }
        while !bytes.is_empty() {
            let after = pages.get(before).map_or(self.head, |page| page.next);
            let until = pages.get(after).map_or(bytes.len(), |page| {
                if seq.difference(page.seq) > 0 { seq.distance(page.seq) as usize } else { 0 }
            });
            let (new, rest) = bytes.split_at_checked(until).unwrap_or((bytes, &[]));
            for piece in new.chunks(super::PAGE_BYTES) {
                let Some(index) = pages.take() else { return stored };
                if let Some(page) = pages.get_mut(index) {
                    seq = seq.add(u32::try_from(page.fill(seq, piece, seen, behind)).unwrap_or(0));
                }
                self.link(pages, before, index);
                before = index;
            }
            bytes = rest;
            if let (false, Some(page)) = (bytes.is_empty(), pages.get_mut(after)) {
                let (same, rest) = overlay(page, seq, bytes, overlap, &mut stored);
                seq = seq.add(same);
                bytes = rest;
                before = after;
            }
        }
        if cut > 0
            && let Some(page) = pages.get_mut(before)
            && page.end() == seq
        {
            page.cut = page.cut.max(cut);
        }
        stored
    }

    /// Compares bytes that are about to be handed on, from `seq` on, with the pages that they overlap.
    pub(super) fn overlay(&self, pages: &mut Pages, seq: Sequence, bytes: &[u8], overlap: Overlap) -> Stored {
        let mut stored = Stored::default();
        let mut at = self.head;
        while let Some(page) = pages.get_mut(at)
            && let Some(rest) = bytes.get(seq.distance(page.seq) as usize..)
            && !rest.is_empty()
        {
            overlay(page, page.seq, rest, overlap, &mut stored);
            at = page.next;
        }
        stored
    }

    /// Takes the first page out of the order; it is the caller's then.
    pub(super) fn pop(&mut self, pages: &mut Pages) -> u32 {
        let index = self.head;
        self.head = pages.get_mut(index).map_or(NONE, |page| core::mem::replace(&mut page.next, NONE));
        match pages.get_mut(self.head) {
            Some(page) => page.previous = NONE,
            None => self.tail = NONE,
        }
        self.pages -= 1;
        index
    }

    fn link(&mut self, pages: &mut Pages, before: u32, index: u32) {
        let after = match pages.get_mut(before) {
            Some(page) => core::mem::replace(&mut page.next, index),
            None => core::mem::replace(&mut self.head, index),
        };
        match pages.get_mut(after) {
            Some(page) => page.previous = index,
            None => self.tail = index,
        }
        if let Some(page) = pages.get_mut(index) {
            (page.previous, page.next) = (before, after);
        }
        self.pages += 1;
    }
}

/// Whether everything before `seq` lies before `position`.
fn acked_by(seq: Sequence, position: Sequence) -> bool {
    seq.difference(position) >= 0
}

/// Lays `bytes`, which begin at `seq` inside `page`, over it; gives how many bytes met and those behind the page.
fn overlay<'a>(
    page: &mut Page,
    seq: Sequence,
    bytes: &'a [u8],
    overlap: Overlap,
    stored: &mut Stored,
) -> (u32, &'a [u8]) {
    let offset = page.seq.distance(seq) as usize;
    let kept = page.bytes_mut().get_mut(offset..).unwrap_or_default();
    let met = kept.len().min(bytes.len());
    let (Some(kept), Some((new, rest))) = (kept.get_mut(..met), bytes.split_at_checked(met)) else {
        return (0, &[]);
    };
    stored.known += met as u64;
    if *kept != *new {
        stored.conflict = true;
        if overlap == Overlap::Last {
            kept.copy_from_slice(new);
        }
    }
    (u32::try_from(met).unwrap_or(0), rest)
}

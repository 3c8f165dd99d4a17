//! The chunks of one `reassembled` call: bytes where they lie, in the segment or in pages.

use super::hole::{Hole, Pages};
use super::pool::NONE;
use super::{Reassembly, Sequence};
use crate::{Direction, Nanos};

/// The chunks of one [`Stream::reassembled`](super::Stream::reassembled) call, in causal order.
#[derive(Clone, Debug)]
pub struct Chunks<'a>(Kind<'a>);

#[derive(Clone, Debug)]
enum Kind<'a> {
    One(Option<Reassembly<'a>>),
    Slice(core::slice::Iter<'a, Reassembly<'a>>),
    Runs { runs: [Run<'a>; 2], pages: &'a Pages },
}

impl<'a> Chunks<'a> {
    /// Chunks that stand ready in a slice.
    #[must_use]
    pub fn from_slice(chunks: &'a [Reassembly<'a>]) -> Self {
        Self(Kind::Slice(chunks.iter()))
    }

    /// A single chunk.
    #[inline]
    pub(super) fn one(chunk: Reassembly<'a>) -> Self {
        Self(Kind::One(Some(chunk)))
    }

    /// Two runs, one behind the other.
    pub(super) fn runs(runs: [Run<'a>; 2], pages: &'a Pages) -> Self {
        Self(Kind::Runs { runs, pages })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Reassembly<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Kind::One(chunk) => chunk.take(),
            Kind::Slice(chunks) => chunks.next().copied(),
            Kind::Runs { runs: [first, second], pages } => first.next(pages).or_else(|| second.next(pages)),
        }
    }
}

/// What is handed on of one half-stream: the numbers `from` to `to`, of which `payload` and the pages are known and the
/// rest are gaps.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) direction: Direction,
    pub(super) from: Sequence,
    pub(super) to: Sequence,
    /// Bytes from `from` on, in the segment. Where pages overlap them, the pages count.
    payload: &'a [u8],
    payload_len: u32,
    /// The pages, in order, linked by `next`.
    pub(super) head: u32,
    tail: u32,
    /// How many there are.
    pub(super) pages: u32,
    /// Bytes of `from` to `to` that are known.
    pub(super) bytes: u64,
    /// When the segment was captured that makes the run be handed on.
    seen: Nanos,
    /// An unknown number of bytes stands before the run.
    pub(super) joined: bool,
    /// The SYN stands before the run.
    pub(super) start: bool,
    /// The FIN or RST stands behind it.
    pub(super) end: bool,
}

impl<'a> Run<'a> {
    /// Nothing yet, at `from`.
    pub(super) fn new(direction: Direction, from: Sequence, seen: Nanos) -> Self {
        Self {
            direction,
            from,
            to: from,
            payload: &[],
            payload_len: 0,
            head: NONE,
            tail: NONE,
            pages: 0,
            bytes: 0,
            seen,
            joined: false,
            start: false,
            end: false,
        }
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to && !self.start && !self.end
    }

    /// Bytes of the run that were never seen.
    pub(super) fn gap(&self) -> u64 {
        u64::from(self.from.distance(self.to)) - self.bytes
    }

    /// Begins the run with the segment's bytes, `cut` more of which the snap length cut.
    pub(super) fn begin(&mut self, payload: &'a [u8], cut: u32) {
        self.payload = payload;
        self.payload_len = u32::try_from(payload.len()).unwrap_or(0);
        self.bytes = u64::from(self.payload_len);
        self.to = self.from.add(self.payload_len).add(cut);
    }

    /// Goes on to `target` at least, gaps and all, and takes in every page of the hole that follows without a gap. Never
    /// goes beyond a FIN.
    pub(super) fn extend(&mut self, hole: &mut Hole, pages: &mut Pages, target: Sequence) {
        let from = self.from;
        let offset = |seq: Sequence| from.distance(seq);
        let fin = hole.fin.map_or(u32::MAX, offset);
        let mut reach = offset(self.to).max(offset(target)).min(fin);
        while let Some(page) = pages.get_mut(hole.head) {
            let start = offset(page.seq);
            if start > reach || start >= fin {
                break;
            }
            page.len = page.len.min(fin - start);
            let end = start + page.len;
            self.bytes += u64::from(end.saturating_sub(start.max(self.payload_len)));
            reach = reach.max(end.saturating_add(page.cut)).min(fin);
            let index = hole.pop(pages);
            match pages.get_mut(self.tail) {
                Some(tail) => tail.next = index,
                None => self.head = index,
            }
            self.tail = index;
            self.pages += 1;
        }
        self.to = from.add(reach);
        self.end |= reach == fin;
    }

    /// Gives the pages back.
    pub(super) fn release(mut head: u32, pages: &mut Pages) {
        while let Some(next) = pages.get(head).map(|page| page.next) {
            pages.release(head);
            head = next;
        }
    }

    fn next(&mut self, pages: &'a Pages) -> Option<Reassembly<'a>> {
        if self.is_empty() {
            return None;
        }
        let page = pages.get(self.head);
        let gap_first = page.map_or(self.from != self.to, |page| page.seq != self.from);
        if self.joined && self.payload.is_empty() && gap_first {
            // Two gaps: one of unknown size, then one of known size.
            self.joined = false;
            let start = core::mem::take(&mut self.start);
            let (direction, seen) = (self.direction, self.seen);
            return Some(Reassembly { direction, bytes: &[], skip: -1, start, end: false, seen });
        }
        let until = page.map_or(usize::MAX, |page| self.from.distance(page.seq) as usize);
        let (bytes, gap, seen) = if !self.payload.is_empty() && until > 0 {
            let (bytes, rest) = self.payload.split_at_checked(until).unwrap_or((self.payload, &[]));
            self.payload = rest;
            (bytes, 0, self.seen)
        } else if let Some(page) = page {
            let gap = self.from.distance(page.seq);
            self.payload = self.payload.get(page.len as usize..).unwrap_or_default();
            self.head = page.next;
            (page.bytes(), gap, page.seen)
        } else {
            (&[][..], self.from.distance(self.to), self.seen)
        };
        self.from = self.from.add(gap).add(u32::try_from(bytes.len()).unwrap_or(0));
        let last = self.from == self.to;
        Some(Reassembly {
            direction: self.direction,
            bytes,
            skip: if core::mem::take(&mut self.joined) { -1 } else { i64::from(gap) },
            start: core::mem::take(&mut self.start),
            end: last && core::mem::take(&mut self.end),
            seen,
        })
    }
}

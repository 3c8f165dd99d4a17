//! The chunks of one `reassembled` call: bytes where they lie, in the segment or in pages.

use super::causal::Reached;
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

    /// The only one, where there is just one.
    #[must_use]
    #[inline]
    pub fn only(&self) -> Option<&Reassembly<'a>> {
        match &self.0 {
            Kind::One(chunk) => chunk.as_ref(),
            Kind::Slice(_) | Kind::Runs { .. } => None,
        }
    }

    /// A single chunk.
    #[inline]
    pub(super) fn one(chunk: Reassembly<'a>) -> Self {
        Self(Kind::One(Some(chunk)))
    }

    /// Two runs, the first before the second, as far as what they acknowledge allows.
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
            Kind::Runs { runs: [first, second], pages } => {
                if first.is_ready(second, pages) {
                    first.next(pages, second)
                } else if second.is_ready(first, pages) {
                    second.next(pages, first)
                } else {
                    // Each waits for the other. What is missing is told first; what is left then has no causal order.
                    let gap = first.next_gap(pages).or_else(|| second.next_gap(pages));
                    gap.or_else(|| first.next(pages, second))
                }
            }
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
    /// What that has to come after in the other direction.
    end_after: Option<Sequence>,
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
            end_after: None,
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

    /// Takes in every page of the hole that follows without a gap and comes after what is seen of the other direction, which
    /// `peer` tells; up to `goal` also over gaps. Never goes beyond a FIN. Gives whether there is more now.
    pub(super) fn extend(
        &mut self,
        hole: &mut Hole,
        pages: &mut Pages,
        goal: Option<Sequence>,
        peer: Reached,
    ) -> bool {
        let (from, before) = (self.from, (self.to, self.end, self.pages));
        let offset = |seq: Sequence| from.distance(seq);
        let fin = hole.fin.map_or(u32::MAX, offset);
        let goal = goal.filter(|&goal| from.difference(goal) > 0).map_or(0, offset);
        let mut reach = offset(self.to).min(fin);
        loop {
            let page = pages.get_mut(hole.head).filter(|page| offset(page.seq) < fin);
            let start = page.as_ref().map_or(fin, |page| offset(page.seq));
            if start > reach {
                let target = goal.min(start);
                // One number with nothing behind it: more likely a FIN that was not seen than a byte.
                if target <= reach || (start == u32::MAX && target - reach == 1) {
                    break;
                }
                reach = target;
                continue;
            }
            let Some(page) = page else { break };
            // What was overlapped by bytes that are on their way goes with them.
            if start == reach && !peer.covers(page.after) {
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
        if reach == fin && !self.end && peer.covers(hole.fin_after) {
            (self.end, self.end_after) = (true, hole.fin_after);
        }
        before != (self.to, self.end, self.pages)
    }

    /// Gives the pages back.
    pub(super) fn release(mut head: u32, pages: &mut Pages) {
        while let Some(next) = pages.get(head).map(|page| page.next) {
            pages.release(head);
            head = next;
        }
    }

    /// What the next chunk has to come after in the other direction.
    fn after(&self, pages: &Pages) -> Option<Sequence> {
        match pages.get(self.head) {
            Some(page) if self.payload.is_empty() || page.seq == self.from => page.after,
            None if self.from == self.to && self.end => self.end_after,
            _ => None,
        }
    }

    /// Whether there is a next chunk that may come before all that is left of `other`.
    fn is_ready(&self, other: &Self, pages: &Pages) -> bool {
        !self.is_empty() && (other.is_empty() || other.is_past(self.after(pages)))
    }

    fn is_past(&self, after: Option<Sequence>) -> bool {
        after.is_none_or(|after| after.difference(self.from) >= 0)
    }

    /// The gap before the next bytes, alone.
    fn next_gap(&mut self, pages: &'a Pages) -> Option<Reassembly<'a>> {
        let page = pages.get(self.head).filter(|page| self.payload.is_empty() && page.seq != self.from)?;
        if self.joined {
            return Some(self.chunk(&[], 0, self.seen));
        }
        let gap = self.from.distance(page.seq);
        self.from = page.seq;
        Some(self.chunk(&[], gap, self.seen))
    }

    /// The next chunk; `other` tells whether the FIN may be told with it.
    fn next(&mut self, pages: &'a Pages, other: &Self) -> Option<Reassembly<'a>> {
        if self.is_empty() {
            return None;
        }
        let page = pages.get(self.head);
        let gap_first = page.map_or(self.from != self.to, |page| page.seq != self.from);
        if self.joined && self.payload.is_empty() && gap_first {
            // Two gaps: one of unknown size, then one of known size.
            return Some(self.chunk(&[], 0, self.seen));
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
        let at_end = bytes.is_empty() && gap == 0;
        self.from = self.from.add(gap).add(u32::try_from(bytes.len()).unwrap_or(0));
        let mut chunk = self.chunk(bytes, gap, seen);
        if self.from == self.to && (at_end || other.is_empty() || other.is_past(self.end_after)) {
            chunk.end = core::mem::take(&mut self.end);
        }
        Some(chunk)
    }

    /// A chunk that is not the last; the start and an unknown gap are told with it, if they were not.
    fn chunk(&mut self, bytes: &'a [u8], gap: u32, seen: Nanos) -> Reassembly<'a> {
        Reassembly {
            direction: self.direction,
            bytes,
            skip: if core::mem::take(&mut self.joined) { -1 } else { i64::from(gap) },
            start: core::mem::take(&mut self.start),
            end: false,
            seen,
        }
    }
}

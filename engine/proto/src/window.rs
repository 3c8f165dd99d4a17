//! The window: what a decoder reads.

use sniff_x_flow::Nanos;

/// The most parts whose time is told apart; the parts in the middle merge beyond it.
const PARTS: usize = 4;

/// When the bytes of a window were seen: runs of bytes, each from one segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// End offset (exclusive) and time of each run, in order; the last run reaches to the window's end.
    parts: [(usize, Nanos); PARTS],
    len: usize,
}

impl Seen {
    /// Bytes that all came at `time`.
    #[must_use]
    pub fn at(time: Nanos, len: usize) -> Self {
        let mut seen = Self::default();
        if let [first, ..] = &mut seen.parts
            && len > 0
        {
            *first = (len, time);
            seen.len = 1;
        }
        seen
    }

    /// `len` more bytes, seen at `time`.
    pub fn push(&mut self, len: usize, time: Nanos) {
        if len == 0 {
            return;
        }
        let end = self.end() + len;
        if let Some(last) = self.len.checked_sub(1).and_then(|i| self.parts.get_mut(i))
            && (last.1 == time || self.len == PARTS)
        {
            *last = (end, time);
        } else if let Some(free) = self.parts.get_mut(self.len) {
            *free = (end, time);
            self.len += 1;
        }
    }

    /// Forgets the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        let mut kept = Self::default();
        for &(end, time) in self.parts.iter().take(self.len) {
            if let Some(end) = end.checked_sub(n).filter(|&e| e > 0)
                && let Some(free) = kept.parts.get_mut(kept.len)
            {
                *free = (end, time);
                kept.len += 1;
            }
        }
        *self = kept;
    }

    fn end(&self) -> usize {
        self.len.checked_sub(1).and_then(|i| self.parts.get(i)).map_or(0, |p| p.0)
    }

    #[inline]
    fn time_of(&self, offset: usize) -> Nanos {
        // Nearly always what one segment brought.
        if let (0..=1, [(_, time), ..]) = (self.len, &self.parts) {
            return *time;
        }
        let mut parts = self.parts.iter().take(self.len);
        parts
            .find(|p| offset < p.0)
            .or_else(|| self.parts.get(self.len.saturating_sub(1)))
            .map_or(Nanos(0), |p| p.1)
    }
}

/// The kept tail of a direction plus the new bytes, contiguous; lies in the ring when there is no tail.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    seen: &'a Seen,
}

impl<'a> Window<'a> {
    /// A window over `bytes` whose parts were seen as `seen` tells.
    #[must_use]
    pub fn new(bytes: &'a [u8], seen: &'a Seen) -> Self {
        Self { bytes, seen }
    }

    /// When the byte at `offset` was captured; for an offset behind the window, its last byte's time.
    #[must_use]
    #[inline]
    pub fn seen_at(&self, offset: usize) -> Nanos {
        self.seen.time_of(offset)
    }
}

//! One direction of a stream on its way into a reader of messages: what the reader has not consumed, what it wants passed over, how much
//! more it waits for.
//!
//! The host feeds decoders through it; a decoder that has a second layer inside its stream (the compressed protocol of MySQL) feeds that
//! through it as well. It never looks into the bytes.

use sniff_x_flow::Nanos;

use crate::tail::{Tail, TailPool};
use crate::{BypassReason, Lost, Next, Seen, Window};

/// What a feeder has for its halves.
pub(crate) trait Keeper {
    /// Where tails come from.
    fn tails(&mut self) -> &mut TailPool;
    /// The most bytes of an unfinished message that a half may keep.
    fn max_message(&self) -> usize;
    /// Counts bytes that the reader asked to pass over.
    fn passed_over(&mut self, bytes: u64);
}

/// Why feeding stopped.
#[derive(Debug)]
pub(crate) enum Fed<'b> {
    /// Everything was taken.
    All,
    /// The message that is kept needs more memory than it may have; these bytes behind what is kept were not looked at.
    TooLong(&'b [u8]),
    /// The reader wants nothing more.
    Bypass(BypassReason),
}

/// One direction's half.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Never an empty tail: it goes back to the pool with its last byte.
    tail: Option<Box<Tail>>,
    /// Bytes to pass over.
    skip: u64,
    /// The reader is not called before the tail is so long.
    need: usize,
}

/// A reader that neither consumes nor passes over anything is asked again only with more bytes, or feeding would never end.
fn progress(next: Next) -> Next {
    match next {
        Next::Skip { used: 0, then: 0 } => Next::More { used: 0, need: 0 },
        next => next,
    }
}

impl Half {
    /// Feeds `bytes`, seen at `now`, to `read`.
    pub(crate) fn feed<'b, K: Keeper>(
        &mut self,
        mut bytes: &'b [u8],
        now: Nanos,
        keeper: &mut K,
        mut read: impl FnMut(&mut K, Window<'_>) -> Next,
    ) -> Fed<'b> {
        loop {
            if self.skip > 0 {
                let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= passed as u64;
                keeper.passed_over(passed as u64);
                bytes = bytes.get(passed..).unwrap_or_default();
            }
            if bytes.is_empty() {
                return Fed::All;
            }
            if let Some(tail) = &mut self.tail {
                // Only what completes the message is copied; what follows it is read where it lies.
                let missing = self.need.saturating_sub(tail.len());
                let taken = if missing == 0 { bytes.len() } else { missing.min(bytes.len()) };
                tail.push(bytes.get(..taken).unwrap_or(bytes), now);
                bytes = bytes.get(taken..).unwrap_or_default();
                if tail.len() < self.need {
                    return Fed::All;
                }
                match self.read_tail(keeper, &mut read) {
                    Fed::All => {}
                    Fed::TooLong(_) => return Fed::TooLong(bytes),
                    Fed::Bypass(reason) => return Fed::Bypass(reason),
                }
                continue;
            }
            let seen = Seen::at(now, bytes.len());
            match progress(read(keeper, Window::new(bytes, &seen))) {
                Next::More { used, need } => {
                    let rest = bytes.get(used..).unwrap_or_default();
                    if rest.is_empty() {
                        return Fed::All;
                    }
                    let mut tail = keeper.tails().take();
                    tail.push(rest, now);
                    self.tail = Some(tail);
                    self.need = need;
                    return if self.is_too_long(keeper) { Fed::TooLong(&[]) } else { Fed::All };
                }
                Next::Skip { used, then } => {
                    bytes = bytes.get(used..).unwrap_or_default();
                    self.skip = then;
                }
                Next::Bypass(reason) => return Fed::Bypass(reason),
            }
        }
    }

    /// Shows the reader what is kept, again as long as it passes over parts of it.
    pub(crate) fn read_tail<K: Keeper>(
        &mut self,
        keeper: &mut K,
        mut read: impl FnMut(&mut K, Window<'_>) -> Next,
    ) -> Fed<'static> {
        loop {
            let Some(tail) = &mut self.tail else { return Fed::All };
            match progress(read(keeper, tail.window())) {
                Next::More { used, need } => {
                    tail.consume(used);
                    self.need = need;
                    if tail.len() == 0 {
                        self.drop_tail(keeper);
                    } else if self.is_too_long(keeper) {
                        return Fed::TooLong(&[]);
                    }
                    return Fed::All;
                }
                Next::Skip { used, then } => {
                    tail.consume(used);
                    let passed = usize::try_from(then).unwrap_or(usize::MAX).min(tail.len());
                    tail.consume(passed);
                    self.skip = then - passed as u64;
                    keeper.passed_over(passed as u64);
                    if tail.len() == 0 {
                        self.drop_tail(keeper);
                        return Fed::All;
                    }
                }
                Next::Bypass(reason) => return Fed::Bypass(reason),
            }
        }
    }

    fn is_too_long<K: Keeper>(&self, keeper: &K) -> bool {
        self.kept().max(self.need) > keeper.max_message()
    }

    /// How many bytes are kept.
    pub(crate) fn kept(&self) -> usize {
        self.tail.as_ref().map_or(0, |t| t.len())
    }

    /// What is kept; `none` says when nothing was seen.
    pub(crate) fn window<'a>(&'a self, none: &'a Seen) -> Window<'a> {
        self.tail.as_ref().map_or(Window::new(&[], none), |t| t.window())
    }

    /// Bytes that are still to be passed over.
    pub(crate) fn skip(&self) -> u64 {
        self.skip
    }

    /// So many bytes are passed over next.
    pub(crate) fn set_skip(&mut self, bytes: u64) {
        self.skip = bytes;
    }

    /// The unfinished message is too long: what its reader loses with it. Where its length is known the reader is in step again behind it:
    /// so many bytes are to be passed over then.
    pub(crate) fn unfinished(&self) -> (Lost, u64) {
        let rest = self.need.saturating_sub(self.kept()) as u64;
        (Lost::Limit(self.kept() as u64 + rest), rest)
    }

    /// Bytes are missing behind what is kept. What that means for the reader: nothing where it would not have seen them, else the loss
    /// and what was kept.
    pub(crate) fn miss(&mut self, mut lost: Lost) -> Option<(Lost, Option<Box<Tail>>)> {
        if let Lost::Bytes(n) = &mut lost {
            let passed = self.skip.min(*n);
            self.skip -= passed;
            *n -= passed;
            if *n == 0 {
                return None;
            }
        }
        self.skip = 0;
        self.need = 0;
        Some((lost, self.tail.take()))
    }

    /// As new: for another reader.
    pub(crate) fn reset<K: Keeper>(&mut self, keeper: &mut K) {
        self.drop_tail(keeper);
        self.skip = 0;
    }

    /// Gives back the memory of what is kept.
    pub(crate) fn drop_tail<K: Keeper>(&mut self, keeper: &mut K) {
        self.need = 0;
        if let Some(tail) = self.tail.take() {
            keeper.tails().give_back(tail);
        }
    }
}

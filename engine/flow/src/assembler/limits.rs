//! Time and memory: holes that are given up, connections that are closed because they idle or must make room.

use core::time::Duration;

use super::chunks::Run;
use super::connection::State;
use super::hole::BUFFERING;
use super::list::List;
use super::pool::NONE;
use super::{Assembler, Sequence, Stream, StreamFactory};
use crate::{Direction, End, Nanos};

/// Packet time between two looks at memory that could be given back.
const TRIM: u64 = 5 * Nanos::SECOND;

/// What [`Assembler::flush_older_than`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Connections of which bytes were handed on over a gap, or that were closed.
    pub flushed: usize,
    /// Those of them that were closed.
    pub closed: usize,
}

impl<F: StreamFactory> Assembler<F> {
    /// Lets packet time reach `now`: gives up holes and closes connections that are due. Costs next to nothing when none
    /// is. To be called once a batch, and when the line is silent.
    pub fn advance(&mut self, factory: &mut F, now: Nanos) {
        self.now = self.now.max(now);
        let now = self.now;
        while let Some(hole) = self.holes.get_mut(self.timers.front())
            && let Some(timer) =
                hole.timer.take_if(|timer| is_due(now, timer.since, self.options.hole_timeout))
        {
            let (index, direction) = (hole.connection, hole.direction);
            let at = self.timers.front();
            self.timers.remove(&mut self.holes, at);
            let mut runs = [self.run(index, direction), self.run(index, direction.reverse())];
            self.give_up(index, &mut runs, [Some(timer.mark), None]);
            self.hand_on(factory, index, runs);
            self.settle(factory, index);
        }
        if let Some(timeout) = self.options.embryonic_timeout {
            self.close_idle(factory, State::Embryonic, timeout);
        }
        if let Some(timeout) = self.options.idle_timeout {
            self.close_idle(factory, State::Open, timeout);
        }
        while let Some(index) = self.oldest_due(State::Closed, self.options.closed_timeout) {
            self.pool.remove(index);
        }
        if self.now.since(self.trimmed) >= TRIM {
            self.trimmed = self.now;
            self.pool.trim();
            self.holes.trim();
            self.pages.trim();
        }
    }

    /// Gives up holes behind which bytes wait that were captured before `time`, and closes connections without waiting
    /// bytes whose last segment was captured before it.
    pub fn flush_older_than(&mut self, factory: &mut F, time: Nanos) -> Flushed {
        let mut waiting: Vec<u32> = Vec::new();
        let mut at = self.buffering.front();
        while at != NONE {
            waiting.push(at);
            at = List::<BUFFERING>::after(&self.holes, at);
        }
        let mut flushed: Vec<u32> = Vec::new();
        for at in waiting {
            // A hole before this one may have ended the connection and taken this one with it.
            let Some(hole) = self.holes.get(at).filter(|hole| hole.waiting) else { continue };
            let (index, direction) = (hole.connection, hole.direction);
            let mut runs = [self.run(index, direction), self.run(index, direction.reverse())];
            while self
                .holes
                .get(at)
                .and_then(|hole| self.pages.get(hole.head))
                .is_some_and(|page| page.seen < time)
                && self.give_up_first(index, &mut runs, direction)
            {}
            if runs.iter().any(|run| !run.is_empty()) {
                flushed.push(index);
                self.hand_on(factory, index, runs);
                self.settle(factory, index);
            }
        }
        flushed.sort_unstable();
        flushed.dedup();
        let mut result = Flushed { flushed: flushed.len(), closed: 0 };
        for state in [State::Embryonic, State::Open] {
            let mut next = self.pool.oldest(state);
            while let Some(index) = next {
                next = self.pool.younger(index);
                let Some(connection) = self.pool.connections.get(index) else { break };
                let waits =
                    connection.holes.iter().any(|&hole| self.holes.get(hole).is_some_and(|h| h.pages > 0));
                if connection.flow.last_seen < time && !waits {
                    result.flushed += usize::from(flushed.binary_search(&index).is_err());
                    result.closed += 1;
                    self.finish(factory, index, End::Idle, None);
                }
            }
        }
        result
    }

    /// Ends every connection as the input's end does; gives how many there were.
    pub fn flush_all(&mut self, factory: &mut F) -> usize {
        self.flush_some(factory, usize::MAX)
    }

    /// Like [`Assembler::flush_all`], but ends `most` connections at the most: for whoever has to do something with what
    /// they tell in between. 0 when there are no more.
    pub fn flush_some(&mut self, factory: &mut F, most: usize) -> usize {
        let mut closed = 0;
        while closed < most {
            let oldest = self.pool.oldest(State::Embryonic).or_else(|| self.pool.oldest(State::Open));
            let Some(index) = oldest else { break };
            self.finish(factory, index, End::Eof, None);
            closed += 1;
        }
        if closed < most {
            while let Some(index) = self.pool.oldest(State::Closed) {
                self.pool.remove(index);
            }
        }
        closed
    }

    /// A segment of the connection is being taken in: up to where a half-stream's hole is to be given up, because it was
    /// acknowledged and the time is over or enough segments came since.
    pub(super) fn due(&mut self, index: u32, direction: Direction) -> Option<Sequence> {
        let at = self.pool.connections.get(index)?.hole(direction);
        let timer = self.holes.get_mut(at)?.timer.as_mut()?;
        timer.left = timer.left.saturating_sub(1);
        let due = timer.left == 0 || is_due(self.now, timer.since, self.options.hole_timeout);
        due.then_some(timer.mark)
    }

    /// Keeps a connection within its number of pages, and all of them within theirs, by giving up its own holes.
    pub(super) fn keep_page_limits(&mut self, index: u32, runs: &mut [Run<'_>; 2]) {
        let connection = self.options.max_buffered_pages_per_connection;
        let total = self.options.max_buffered_pages_total;
        loop {
            let pages = |run: &Run<'_>| self.hole_of(index, run.direction).map_or(0, |hole| hole.pages);
            let [other, run] = &*runs;
            let own = (pages(run) + pages(other)) as usize;
            // Pages that are on their way out count no more.
            let all = (self.pages.used() - run.pages - other.pages) as usize;
            let limit = if connection.is_some_and(|max| own > max) {
                &mut self.counters.limit_pages_per_connection
            } else if total.is_some_and(|max| own > 0 && all > max) {
                &mut self.counters.limit_pages_total
            } else {
                return;
            };
            *limit += 1;
            let waits = self.hole_of(index, run.direction).is_some_and(|hole| hole.pages > 0);
            let direction = if waits { run.direction } else { other.direction };
            if !self.give_up_first(index, runs, direction) {
                return;
            }
        }
    }

    /// Before `needed` pages are taken for a connection: gives up the holes of others that have waited longest until
    /// there is room.
    pub(super) fn make_room_for_pages(&mut self, factory: &mut F, needed: u32, except: u32) {
        let Some(max) = self.options.max_buffered_pages_total else { return };
        let mut at = self.buffering.front();
        while (self.pages.used() + needed) as usize > max
            && let Some(hole) = self.holes.get(at)
        {
            let (index, direction) = (hole.connection, hole.direction);
            if index == except {
                at = List::<BUFFERING>::after(&self.holes, at);
                continue;
            }
            self.counters.limit_pages_total += 1;
            let before = self.pages.used();
            let mut runs = [self.run(index, direction), self.run(index, direction.reverse())];
            self.give_up_first(index, &mut runs, direction);
            self.hand_on(factory, index, runs);
            self.settle(factory, index);
            // A hole that gives nothing back is not asked again: whatever came about, this ends.
            at = if self.pages.used() < before {
                self.buffering.front()
            } else {
                List::<BUFFERING>::after(&self.holes, at)
            };
        }
    }

    /// Before a connection is added, `embryonic` or not: closes or forgets the oldest until there is room.
    pub(super) fn make_room(&mut self, factory: &mut F, embryonic: bool) {
        if let Some(max) = self.options.max_embryonic.filter(|_| embryonic) {
            while self.pool.count(State::Embryonic) as usize >= max.max(1)
                && let Some(index) = self.pool.oldest(State::Embryonic)
            {
                self.counters.limit_embryonic += 1;
                self.finish(factory, index, End::Evicted, None);
            }
        }
        let Some(max) = self.options.max_connections else { return };
        while self.pool.len() >= max.max(1) {
            self.counters.limit_connections += 1;
            if let Some(index) = self.pool.oldest(State::Closed) {
                self.pool.remove(index);
            } else if let Some(index) =
                self.pool.oldest(State::Embryonic).or_else(|| self.pool.oldest(State::Open))
            {
                self.finish(factory, index, End::Evicted, None);
            } else {
                return;
            }
        }
    }

    /// Forgets the oldest of the connections that ended when they are too many.
    pub(super) fn keep_closed_limit(&mut self) {
        while self.options.max_closed.is_some_and(|max| self.pool.count(State::Closed) as usize > max)
            && let Some(index) = self.pool.oldest(State::Closed)
        {
            self.counters.limit_closed += 1;
            self.pool.remove(index);
        }
    }

    /// Goes on over the first hole of a half-stream, or ends its wait for the other one; false when nothing waits.
    fn give_up_first(&mut self, index: u32, runs: &mut [Run<'_>; 2], direction: Direction) -> bool {
        let Some(hole) = self.hole_of(index, direction) else { return false };
        let before = hole.pages;
        let Some(end) = hole.end(&self.pages) else { return false };
        let goals = [&runs[0], &runs[1]].map(|run| (run.direction == direction).then(|| end.add(1)));
        self.release(index, runs, goals);
        self.hole_of(index, direction).is_some_and(|hole| hole.pages < before)
    }

    fn oldest_due(&self, state: State, timeout: Duration) -> Option<u32> {
        let index = self.pool.oldest(state)?;
        is_due(self.now, self.pool.idle_since(index)?, timeout).then_some(index)
    }

    /// Closes the connections of a state that had no segment for `timeout`, unless their streams keep them.
    fn close_idle(&mut self, factory: &mut F, state: State, timeout: Duration) {
        // Each is asked once at most, also when the time-out is shorter than the grain of their order.
        for _ in 0..self.pool.count(state) {
            let Some(index) = self.oldest_due(state, timeout) else { return };
            let totals = self.totals_of(index);
            let Some(connection) = self.pool.connections.get_mut(index) else { return };
            let keep = connection
                .stream
                .as_mut()
                .is_some_and(|stream| stream.idle(factory, &connection.flow, &totals, self.now));
            if keep {
                self.pool.age(index, self.now);
            } else {
                self.finish(factory, index, End::Idle, None);
            }
        }
    }
}

/// Whether `timeout` is over. One of zero means the next nanosecond: what was just put off is not due again.
fn is_due(now: Nanos, since: Nanos, timeout: Duration) -> bool {
    now >= since + timeout.max(Duration::from_nanos(1))
}

//! Causal order: bytes come behind those of the other direction that they acknowledge.
//!
//! Where a network card has several queues, a capture may have an answer before its request. A segment that acknowledges
//! bytes which have not been seen is held back in pages; each page says what it has to come [`after`](super::page::Page).
//! The other direction's hole, which that acknowledgement makes, bounds the wait: when it is given up, the gap is told, and
//! then what was held back.

use super::chunks::Run;
use super::hole::Hole;
use super::pool::NONE;
use super::{Assembler, Sequence, StreamFactory};

/// How far a half-stream is, for those who wait for it.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    to: Sequence,
    /// Nothing more will come of it.
    over: bool,
    /// Up to here nobody waits for it any more.
    waived: Option<Sequence>,
}

impl Reached {
    /// Whether what comes `after` may come now.
    pub(super) fn covers(self, after: Option<Sequence>) -> bool {
        after.is_none_or(|after| {
            self.over
                || after.difference(self.to) >= 0
                || self.waived.is_some_and(|waived| after.difference(waived) >= 0)
        })
    }
}

impl<F: StreamFactory> Assembler<F> {
    /// Takes in what may be handed on of both half-streams: what follows without a gap, up to the goals also over gaps. What
    /// stands in the way of a goal because it waits for the other direction makes that one go on first.
    pub(super) fn release(&mut self, index: u32, runs: &mut [Run<'_>; 2], mut goals: [Option<Sequence>; 2]) {
        if self.pool.connections.get(index).is_none_or(|c| c.holes == [NONE; 2]) {
            return;
        }
        loop {
            let ([one, other], [goal, other_goal]) = (&mut *runs, goals);
            let moved = self.extend(index, one, other, goal);
            if !self.extend(index, other, one, other_goal) && !moved && !self.unblock(index, runs, &mut goals)
            {
                return;
            }
        }
    }

    /// Like [`Self::release`], and nobody waits any more for what the goals name.
    pub(super) fn give_up(&mut self, index: u32, runs: &mut [Run<'_>; 2], goals: [Option<Sequence>; 2]) {
        self.release(index, runs, goals);
        let mut waived = false;
        for (run, goal) in runs.iter().zip(goals) {
            if let Some(goal) = goal.filter(|&goal| !run.end && run.to.difference(goal) > 0)
                && let Some(hole) = self.hole_mut(index, run)
            {
                hole.waived = Some(goal);
                waived = true;
            }
        }
        if waived {
            self.release(index, runs, [None; 2]);
        }
    }

    /// Whether payload at the half-stream's next byte has to wait for the other direction, as may bytes that follow it.
    pub(super) fn holds_back(&self, index: u32, run: &Run<'_>, after: Option<Sequence>) -> bool {
        after.is_some()
            || self
                .hole_of(index, run.direction)
                .and_then(|hole| self.pages.get(hole.head))
                .is_some_and(|page| page.seq == run.to)
    }

    /// How far a run's half-stream is.
    pub(super) fn reached(&self, index: u32, run: &Run<'_>) -> Reached {
        let half = self.pool.connections.get(index).map(|c| c.half(run.direction));
        Reached {
            to: run.to,
            over: run.end || half.is_none_or(|half| half.fin() || !half.known()),
            waived: self.hole_of(index, run.direction).and_then(|hole| hole.waived),
        }
    }

    fn extend(&mut self, index: u32, run: &mut Run<'_>, peer: &Run<'_>, goal: Option<Sequence>) -> bool {
        let peer = self.reached(index, peer);
        let at = self.pool.connections.get(index).map_or(NONE, |c| c.hole(run.direction));
        self.holes.get_mut(at).is_some_and(|hole| run.extend(hole, &mut self.pages, goal, peer))
    }

    /// Neither run can go on. If one is short of its goal because it waits for the other: makes that one go on up to there,
    /// over gaps; if that is its goal already, ends the wait. False: no goal is left.
    fn unblock(&mut self, index: u32, runs: &[Run<'_>; 2], goals: &mut [Option<Sequence>; 2]) -> bool {
        let [one, other] = runs;
        let [goal, other_goal] = *goals;
        for (at, run, goal, peer, peer_goal) in
            [(0, one, goal, other, other_goal), (1, other, other_goal, one, goal)]
        {
            let short = goal.is_some_and(|goal| run.to.difference(goal) > 0);
            let Some(hole) = self.hole_of(index, run.direction).filter(|_| short && !run.end) else {
                continue;
            };
            let Some(after) = hole.waits_for(&self.pages, run.to) else { continue };
            if self.reached(index, peer).covers(Some(after)) {
                continue;
            }
            if peer_goal.is_none_or(|goal| goal.difference(after) > 0)
                && self.hole_of(index, peer.direction).is_some()
            {
                let [goal, other_goal] = goals;
                *(if at == 0 { other_goal } else { goal }) = Some(after);
                return true;
            }
            let head = hole.head;
            // A single number is more likely a FIN that was not seen.
            self.counters.unordered += u64::from(peer.to.distance(after) > 1);
            match self.pages.get_mut(head).filter(|page| page.seq == run.to) {
                Some(page) => page.after = None,
                None => {
                    if let Some(hole) = self.hole_mut(index, run) {
                        hole.fin_after = None;
                    }
                }
            }
            return true;
        }
        false
    }

    fn hole_mut(&mut self, index: u32, run: &Run<'_>) -> Option<&mut Hole> {
        let at = self.pool.connections.get(index)?.hole(run.direction);
        self.holes.get_mut(at)
    }
}

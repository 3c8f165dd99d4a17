//! Whose turn it is: what tells, after a loss or in a connection that is joined in the middle, where a message begins and which request a response answers.
//!
//! Where one side spoke since the other did, that one begins a message. A response answers the oldest request if all that wait were sent since the server
//! spoke last: true for clients that wait for their responses, and for the others after a silence.
//!
//! Which of both a client is shows in its turns alone: a single loss hides whether a request was answered or never sent. A client that was seen from its
//! beginning is one that waits after it did so for four turns; one that has not when something is lost, and one that was seen sending ahead, after sixteen
//! turns. While pairs are unknown a turn counts if it was a single request.
//!
//! What can't be told, so that pairs may be wrong: a client that is joined in the middle is believed to wait until it is seen to do otherwise; one that waited
//! for its first turns and then loses just the first of what it sends ahead; one that loses something at once and has then the same number of requests under way
//! for sixteen turns.

use sniff_x_flow::Nanos;

/// One direction's place in its stream.
#[derive(Debug)]
pub(crate) struct Step {
    /// The next byte is known to begin something, or to be inside something whose end is known.
    pub(crate) in_step: bool,
    /// The other side spoke since this one did: what comes now begins a message.
    pub(crate) fresh: bool,
    /// The bytes kept may be the beginning of a message; more are needed to tell.
    pub(crate) trying: bool,
    /// When its last byte was seen.
    pub(crate) last: Nanos,
}

impl Step {
    pub(crate) fn new(in_step: bool) -> Self {
        Self { in_step, fresh: true, trying: false, last: Nanos(0) }
    }

    /// Out of step: what comes is passed over until a message is recognised.
    pub(crate) fn lose(&mut self) {
        (self.in_step, self.trying, self.fresh) = (false, false, false);
    }
}

/// A client is one that waits after so many turns from its beginning.
const WAITED: u8 = 4;

/// After it was seen sending before it had all responses, or something was lost before it was known to wait, so many turns make it one that waits.
const SENDS_AHEAD: u8 = 16;

/// A client that sends ahead is followed again after a loss when both sides were silent for so long (nanoseconds).
const SILENCE: u64 = 1_000_000_000;

/// What is known of the way in which a client sends its requests: the turns for which it has yet to wait until it is believed.
#[derive(Debug)]
pub(crate) struct Ahead(u8);

impl Ahead {
    pub(crate) fn new(midstream: bool) -> Self {
        Self(if midstream { 0 } else { WAITED })
    }

    /// The client begins to speak after the server did, while its requests before were all answered, or not.
    pub(crate) fn turn(&mut self, all_answered: bool) {
        self.0 = if all_answered { self.0.saturating_sub(1) } else { SENDS_AHEAD };
    }

    /// Something is lost: what was not known before is now harder to tell.
    pub(crate) fn lose(&mut self) {
        if self.0 > 0 {
            self.0 = SENDS_AHEAD;
        }
    }

    /// The same as [`turn`](Self::turn) where nobody knows what was answered: it sent so many requests since the server spoke before.
    pub(crate) fn blind_turn(&mut self, requests: usize) {
        self.turn(requests <= 1);
    }

    /// Whether the client waits for its responses.
    pub(crate) fn waits(&self) -> bool {
        self.0 == 0
    }

    /// Whether what the server says now answers the oldest request, sent at `start`; the server spoke last at `before`.
    pub(crate) fn answers(&self, start: Nanos, before: Nanos) -> bool {
        start >= before && (self.0 == 0 || start.since(before) >= SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_sends_ahead_is_believed_after_a_silence() {
        let mut ahead = Ahead::new(true);
        assert!(ahead.answers(Nanos(5), Nanos(5)));
        assert!(!ahead.answers(Nanos(4), Nanos(5)), "sent before the server spoke");
        ahead.turn(false);
        assert!(!ahead.answers(Nanos(6), Nanos(5)));
        assert!(ahead.answers(Nanos(5 + SILENCE), Nanos(5)));
        for _ in 0..SENDS_AHEAD {
            ahead.turn(true);
        }
        assert!(ahead.answers(Nanos(6), Nanos(5)));
    }

    #[test]
    fn a_client_is_believed_after_it_waited_for_some_turns() {
        let mut ahead = Ahead::new(false);
        for turn in 0..WAITED {
            assert!(!ahead.waits(), "{turn}");
            if turn % 2 == 0 { ahead.turn(true) } else { ahead.blind_turn(1) }
        }
        assert!(ahead.waits());
        ahead.lose();
        assert!(ahead.waits(), "known before");
        ahead.blind_turn(2);
        assert!(!ahead.waits());
    }

    #[test]
    fn a_loss_before_that_makes_it_later() {
        let mut ahead = Ahead::new(false);
        ahead.turn(true);
        ahead.lose();
        for turn in 0..SENDS_AHEAD {
            assert!(!ahead.waits(), "{turn}");
            ahead.blind_turn(1);
        }
        assert!(ahead.waits());
    }
}

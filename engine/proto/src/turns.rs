//! Whose turn it is: what tells, after a loss or in a connection that is joined in the middle, where a message begins and which request a response answers.
//!
//! Where one side spoke since the other did, that one begins a message. A response answers the oldest request if all that wait were sent since the server
//! spoke last: true for clients that wait for their responses, and for the others after a silence.

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

/// After a client was seen sending before it had all responses, so many turns make it one that waits.
const SENDS_AHEAD: u8 = 16;

/// A client that sends ahead is followed again after a loss when both sides were silent for so long (nanoseconds).
const SILENCE: u64 = 1_000_000_000;

/// What is known of the way in which a client sends its requests.
#[derive(Debug, Default)]
pub(crate) struct Ahead(u8);

impl Ahead {
    /// The client begins to speak after the server did, while its requests before were all answered, or not.
    pub(crate) fn turn(&mut self, all_answered: bool) {
        self.0 = if all_answered { self.0.saturating_sub(1) } else { SENDS_AHEAD };
    }

    /// Whether the client was never seen sending ahead of its responses, or not for long.
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
        let mut ahead = Ahead::default();
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
}

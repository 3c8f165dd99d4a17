//! The decoder of one connection: what both directions share, losses, time-outs, the end.

use std::sync::Arc;

use sniff_x_flow::{Direction, End, Nanos};

use super::Settings;
use super::begins::{Begins, begins};
use super::body::Body;
use super::exchange::{Answer, Exchange};
use super::head;
use super::report::{self, Outcome};
use super::upgraded::Upgraded;
use crate::event::IncompleteReason;
use crate::pending::Pending;
use crate::turns::{Ahead, Step};
use crate::{Decode, Lost, Next, Out, Window};

/// What the connection speaks.
#[derive(Debug)]
pub(super) enum Mode {
    Http,
    WebSocket(Box<Upgraded>),
}

/// Decodes one HTTP/1 connection.
#[derive(Debug)]
pub struct HttpDecoder {
    pub(super) settings: Arc<Settings>,
    pub(super) mode: Mode,
    /// Nothing was understood yet: it may be another protocol.
    pub(super) is_new: bool,
    pub(super) client: Step,
    pub(super) server: Step,
    /// Of a direction that is out of step: the bytes with which a message may begin.
    pub(super) kept: [Kept; 2],
    /// Requests that wait for their responses.
    pub(super) queue: Pending<Exchange>,
    /// The body of the newest request.
    pub(super) request_body: Body,
    pub(super) answer: Answer,
    /// Header fields of the head that is read; kept for its memory.
    pub(super) fields: Vec<u8>,
    /// Bytes of a head that were searched for its end.
    pub(super) searched: [usize; 2],
    pub(super) ahead: Ahead,
    pub(super) turn: bool,
    /// The server answered before a byte of the body came for which its consent was asked: the body may not come any more.
    pub(super) refused: bool,
    /// Requests were lost, or none was seen before, that may have responses.
    pub(super) doubtful: bool,
    pub(super) reason: IncompleteReason,
    /// Of the server alone something is missing, and only one request waited for it: what it says in its next turn answers the next request.
    pub(super) alone: bool,
}

impl HttpDecoder {
    pub(super) fn new(midstream: bool, settings: Arc<Settings>) -> Self {
        Self {
            settings,
            mode: Mode::Http,
            is_new: !midstream,
            client: Step::new(!midstream),
            server: Step::new(!midstream),
            kept: [Kept::default(); 2],
            queue: Pending::default(),
            request_body: Body::Over,
            answer: Answer::default(),
            fields: Vec::new(),
            searched: [0; 2],
            ahead: Ahead::new(midstream),
            turn: false,
            refused: false,
            doubtful: midstream,
            reason: IncompleteReason::Midstream,
            alone: false,
        }
    }

    /// Goes on with other options; false while fields and bodies of exchanges under way are kept as the old ones said.
    pub(super) fn renew(&mut self, settings: &Arc<Settings>) -> bool {
        let keeps_the_same = self.settings.body == settings.body && self.settings.headers == settings.headers;
        if !keeps_the_same && !self.queue.is_empty() {
            return false;
        }
        self.settings = settings.clone();
        true
    }

    /// Whether the head at the start of `rest` may be whole, after what was searched of it before.
    pub(super) fn may_be_whole(&self, direction: usize, rest: &[u8]) -> bool {
        let searched = self.searched.get(direction).copied().unwrap_or_default();
        searched == 0 || head::end(rest, searched).is_some() || head::simple_request(rest).is_some()
    }

    /// Reports all waiting requests as incomplete.
    pub(super) fn give_up(&mut self, reason: IncompleteReason, out: &mut Out<'_>) {
        while let Some(front) = self.queue.front() {
            if !front.reported {
                let reason = front.loss.map_or(reason, |l| l.reason);
                let answer = self.answer.open.then_some(&self.answer);
                let outcome = Outcome::Incomplete { reason, answer };
                report::exchange(&self.settings, front, self.queue.front_bytes(), outcome, out);
            }
            self.answer.open = false;
            self.queue.pop();
        }
    }

    /// The server is out of step: nothing that it says is understood until it answers a request again.
    pub(super) fn lose_responses(&mut self) {
        self.server.lose();
        self.kept[1] = Kept::default();
        self.answer.body = Body::Over;
        self.answer.open = false;
        self.searched[1] = 0;
    }

    pub(super) fn lose_server(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        let at = out.now();
        self.reason = reason;
        self.ahead.lose();
        match self.queue.front_mut() {
            Some(front) => front.lose(reason, bytes),
            None if bytes > 0 => report::notice("bytes of the server are missing", at, Some(bytes), out),
            None => {}
        }
        self.alone = self.client.in_step && !self.doubtful && self.queue.len() == 1;
        // A request that is still being sent may be answered yet.
        if self.queue.back().is_none_or(|n| n.complete) {
            self.give_up(reason, out);
        }
        self.lose_responses();
    }

    pub(super) fn lose_client(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        let ends = if let Body::Length(left) = self.request_body { bytes > left } else { false };
        if self.queue.back().is_some_and(|newest| bytes > 0 && (newest.complete || ends)) {
            // What is lost is more than the request that waits for its response.
            self.ahead.turn(false);
        }
        self.client.lose();
        self.ahead.lose();
        self.alone = false;
        self.kept[0] = Kept::default();
        self.refused = false;
        self.request_body = Body::Over;
        self.searched[0] = 0;
        self.reason = reason;
        let at = out.now();
        match self.queue.back_mut().filter(|n| !n.complete) {
            Some(newest) => {
                newest.complete = true;
                newest.lose(reason, bytes);
            }
            None if bytes > 0 => report::notice("bytes of the client are missing", at, Some(bytes), out),
            None => {}
        }
        self.doubtful = true;
        if self.queue.is_empty() {
            self.lose_responses();
        }
    }
}

/// Bytes of a direction that is out of step: a message may begin with them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept(usize);

impl Kept {
    /// What begins, and at which byte. `turn`: the other side spoke since this one did, so that new bytes begin a message, and those kept were the end of one.
    pub(super) fn begins(&mut self, bytes: &[u8], turn: bool) -> (usize, Begins) {
        let Self(kept) = core::mem::take(self);
        let start = match (turn, kept) {
            (true, kept) => kept,
            (false, 0) => return (0, Begins::Nothing),
            (false, _) => 0,
        };
        let found = begins(bytes.get(start..).unwrap_or_default());
        if found == Begins::Maybe {
            self.0 = bytes.len() - start.min(bytes.len());
        }
        (start, found)
    }
}

impl Decode for HttpDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        if matches!(self.mode, Mode::WebSocket(_)) {
            return self.upgraded_data(direction, window, 0, out);
        }
        match direction {
            Direction::ToServer => {
                self.server.fresh = true;
                self.client_data(window, out)
            }
            Direction::ToClient => {
                self.client.fresh = true;
                self.server_data(window, out)
            }
        }
    }

    fn gap(&mut self, direction: Direction, tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
        let (reason, bytes) = match lost {
            Lost::Bytes(n) => (IncompleteReason::Gap, n),
            Lost::Limit(n) => (IncompleteReason::Limit, n),
            Lost::Unknown => {
                (self.is_new, self.doubtful) = (false, true);
                self.client = Step::new(false);
                self.server = Step::new(false);
                self.kept = [Kept::default(); 2];
                return Next::More { used: 0, need: 0 };
            }
        };
        if let Mode::WebSocket(upgraded) = &mut self.mode {
            // Frames have no mark by which their beginning could be found again.
            upgraded.lose(bytes);
            return Next::More { used: 0, need: 0 };
        }
        match direction {
            Direction::ToServer if self.client.in_step => {
                let known = self.request_body.known();
                if bytes < known || self.request_body == Body::Length(bytes) {
                    // The end of a body whose length is known is not lost with its bytes.
                    self.request_body.pass(bytes);
                    if let Some(newest) = self.queue.back_mut() {
                        newest.lose(reason, bytes);
                        newest.is_cut = true;
                        newest.body_size += bytes;
                    }
                    if self.request_body == Body::Length(0) {
                        self.request_body = Body::Over;
                        self.request_ends();
                    }
                } else {
                    self.cut_request(tail, out);
                    self.lose_client(reason, bytes, out);
                }
            }
            Direction::ToServer => {
                self.client.lose();
                self.kept[0] = Kept::default();
            }
            Direction::ToClient => {
                // It spoke, whatever it said.
                self.client.fresh = true;
                self.server.last = out.now();
                let body = self.answer.body;
                let is_inside = bytes < body.known() || body == Body::Length(bytes);
                if self.server.in_step && self.answer.open && is_inside {
                    self.answer.body.pass(bytes);
                    self.answer.is_cut = true;
                    self.answer.body_size += bytes;
                    if let Some(front) = self.queue.front_mut() {
                        front.lose(reason, bytes);
                    }
                    if self.answer.body == Body::Length(0) {
                        self.answer.body = Body::Over;
                        self.answered(self.server.last, out);
                    }
                } else if self.server.in_step {
                    self.cut_response(tail);
                    self.lose_server(reason, bytes, out);
                } else {
                    self.lose_responses();
                }
            }
        }
        Next::More { used: 0, need: 0 }
    }

    fn datagram(&mut self, _: Direction, window: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: window.bytes.len(), need: 0 }
    }

    fn tick(&mut self, now: Nanos, out: &mut Out<'_>) -> bool {
        let timeout = out.exchange_timeout();
        let Some(front) = self.queue.front() else {
            self.queue.shrink();
            self.answer.shrink();
            return false;
        };
        let heard = if self.answer.open { self.server.last } else { front.end };
        if front.complete && !front.reported && now >= heard + timeout {
            let outcome = Outcome::Incomplete {
                reason: IncompleteReason::Timeout,
                answer: self.answer.open.then_some(&self.answer),
            };
            report::exchange(&self.settings, front, self.queue.front_bytes(), outcome, out);
            if let Some(front) = self.queue.front_mut() {
                front.reported = true;
            }
        }
        self.queue.front().is_some_and(|front| !front.reported)
    }

    fn half_closed(&mut self, direction: Direction, _tail: Window<'_>, out: &mut Out<'_>) {
        // A body up to the connection's end ends here.
        if direction == Direction::ToClient && self.answer.open && self.answer.body == Body::UntilClose {
            self.answer.body = Body::Over;
            let end = self.server.last;
            self.answered(end, out);
        }
    }

    fn end(&mut self, why: End, tails: [Window<'_>; 2], out: &mut Out<'_>) {
        if matches!(self.mode, Mode::Http) {
            let [to_server, to_client] = tails;
            self.cut_request(to_server, out);
            self.cut_response(to_client);
        }
        let reason = match why {
            End::Evicted => IncompleteReason::Evicted,
            End::Idle => IncompleteReason::Timeout,
            End::Fin | End::Rst | End::Reused | End::Eof => IncompleteReason::Eof,
        };
        let reason = if self.server.in_step { reason } else { self.reason };
        self.give_up(reason, out);
        self.upgrade_ends(out);
    }

    fn retained(&self) -> usize {
        let upgraded = match &self.mode {
            Mode::Http => 0,
            Mode::WebSocket(upgraded) => upgraded.retained(),
        };
        self.queue.retained()
            + self.fields.capacity()
            + self.answer.reason.capacity()
            + self.answer.headers.capacity()
            + self.answer.preview.capacity()
            + upgraded
    }
}

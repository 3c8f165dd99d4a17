//! The decoder of one connection: requests that wait, the response to the oldest of them, losses, what comes behind an upgrade.

use std::sync::Arc;

use sniff_x_flow::{Direction, End, Nanos};

use super::Settings;
use super::begins::{Begins, begins};
use super::body::{Body, Chunk, Step as BodyStep};
use super::exchange::{Answer, Exchange, collect};
use super::head::{self, MAX_HEAD, Oddities, Read, Request, Response};
use super::report::{self, Outcome};
use super::upgraded::Upgraded;
use crate::event::IncompleteReason;
use crate::pending::Pending;
use crate::turns::{Ahead, Step};
use crate::{BypassReason, Decode, Lost, Next, Out, Window};

/// What the connection speaks.
#[derive(Debug)]
pub(super) enum Mode {
    Http,
    WebSocket(Box<Upgraded>),
}

/// The most requests that wait for their responses.
const MAX_PENDING: usize = 1024;

/// Decodes one HTTP/1 connection.
#[derive(Debug)]
pub struct HttpDecoder {
    pub(super) settings: Arc<Settings>,
    pub(super) mode: Mode,
    /// Nothing was understood yet: it may be another protocol.
    is_new: bool,
    client: Step,
    server: Step,
    /// Of a direction that is out of step: the bytes with which a message may begin.
    kept: [Kept; 2],
    /// Requests that wait for their responses.
    queue: Pending<Exchange>,
    /// The body of the newest request.
    request_body: Body,
    answer: Answer,
    /// Header fields of the head that is read; kept for its memory.
    fields: Vec<u8>,
    /// Bytes of a head that were searched for its end.
    searched: [usize; 2],
    ahead: Ahead,
    turn: bool,
    /// Requests were lost, or none was seen before, that may have responses.
    doubtful: bool,
    reason: IncompleteReason,
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
            ahead: Ahead::default(),
            turn: false,
            doubtful: midstream,
            reason: IncompleteReason::Midstream,
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

    fn client_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        self.client.last = window.seen_at(bytes.len());
        let mut fresh = core::mem::take(&mut self.client.fresh);
        if self.is_new && self.queue.is_empty() {
            if let [0x16, 0x03, ..] = bytes {
                report::session("encrypted", window.seen_at(0), None, out);
                return Next::Bypass(BypassReason::Encrypted);
            }
            if begins(bytes) == Begins::Http2 {
                report::session("http/2", window.seen_at(0), Some("HTTP/2 is not decoded"), out);
                return Next::Bypass(BypassReason::NotThisProtocol);
            }
        }
        let mut at = 0;
        if !self.client.in_step {
            let [kept, _] = &mut self.kept;
            let (start, found) = kept.begins(bytes, fresh);
            match found {
                Begins::Request => {
                    (self.client.in_step, fresh, at) = (true, true, start);
                    self.request_body = Body::Over;
                }
                Begins::Maybe => return Next::More { used: start, need: 0 },
                _ => {
                    if !fresh && begins(bytes) == Begins::Request {
                        // Passed over, since it is unknown what was lost in front of it; sent without waiting for what the server says.
                        self.ahead.turn(false);
                    }
                    return all;
                }
            }
        }
        self.turn |= fresh && self.request_body == Body::Over && self.server.last > Nanos(0);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let time = window.seen_at(at);
            match self.request_body.step(rest) {
                BodyStep::Over if rest.is_empty() => return all,
                BodyStep::Over => {
                    if let [b'\r' | b'\n', ..] = rest {
                        // Line ends in front of a request are left over from the one before.
                        at += 1;
                        continue;
                    }
                    let read = if self.may_be_whole(0, rest) { Request::read(rest) } else { Read::More };
                    let (request, end) = match read {
                        Read::Whole(request, end) => (request, end),
                        Read::More
                            if rest.len() < MAX_HEAD && (!self.is_new || head::may_begin_request(rest)) =>
                        {
                            self.searched[0] = rest.len();
                            return Next::More { used: at, need: 0 };
                        }
                        Read::More | Read::Malformed => {
                            return self.client_malformed(time, bytes.len(), out);
                        }
                    };
                    self.searched[0] = 0;
                    let is_simple = request.odd.has(Oddities::NO_VERSION);
                    self.request(&request, time, out);
                    at += end;
                    self.touch(window.seen_at(at.saturating_sub(1)));
                    if is_simple {
                        // A line was all. Of what some send behind it nothing counts.
                        return Next::Skip { used: at, then: u64::MAX };
                    }
                }
                BodyStep::More => return Next::More { used: at, need: 0 },
                BodyStep::Used(used) => at += used,
                BodyStep::Content(used) => {
                    let part = rest.get(..used).unwrap_or_default();
                    at += used;
                    self.request_content(part, out);
                    self.touch(window.seen_at(at.saturating_sub(1)));
                    let known = self.request_body.known();
                    // Passed over but for its last byte, with which the request ends.
                    if at == bytes.len() && known > 1 && !self.wants_request_body() {
                        let then = if known == u64::MAX { known } else { known - 1 };
                        self.request_body.pass(then);
                        if let Some(newest) = self.queue.back_mut() {
                            newest.body_size = newest.body_size.saturating_add(then);
                        }
                        return Next::Skip { used: at, then };
                    }
                }
                BodyStep::Bad => return self.client_malformed(time, bytes.len(), out),
            }
            if self.request_body == Body::Over || self.request_body == Body::Length(0) {
                self.request_body = Body::Over;
                self.request_ends();
            }
        }
    }

    /// Whether the head at the start of `rest` may be whole, after what was searched of it before.
    fn may_be_whole(&self, direction: usize, rest: &[u8]) -> bool {
        let searched = self.searched.get(direction).copied().unwrap_or_default();
        searched == 0 || head::end(rest, searched).is_some() || head::simple_request(rest).is_some()
    }

    fn touch(&mut self, time: Nanos) {
        if let Some(newest) = self.queue.back_mut().filter(|n| !n.complete) {
            newest.end = time;
        }
    }

    fn client_malformed(&mut self, at: Nanos, used: usize, out: &mut Out<'_>) -> Next {
        if self.is_new && self.queue.is_empty() {
            report::notice("not an HTTP connection", at, None, out);
            return Next::Bypass(BypassReason::NotThisProtocol);
        }
        report::notice("a request is malformed", at, None, out);
        self.lose_client(IncompleteReason::Malformed, 0, out);
        Next::More { used, need: 0 }
    }

    fn request(&mut self, request: &Request<'_>, time: Nanos, out: &mut Out<'_>) {
        self.make_room(time, out);
        self.is_new = false;
        let body = request.fields.body;
        self.request_body = if body.chunked {
            Body::Chunked(Chunk::Size)
        } else if body.until_close {
            Body::UntilClose
        } else {
            body.length.map_or(Body::Over, Body::Length)
        };
        self.fields.clear();
        collect(&request.fields, &self.settings, &mut self.fields);
        let max = out.max_text();
        let texts = Exchange::texts(request, &self.fields, max);
        let mut exchange = Exchange::new(request, time);
        exchange.set_lens(&texts);
        self.queue.push(exchange);
        for text in texts {
            self.queue.keep(text, usize::MAX);
        }
        if self.request_body == Body::Over {
            self.request_ends();
        }
    }

    fn wants_request_body(&self) -> bool {
        self.settings.body > 0 && self.queue.back().is_some_and(|n| n.body_size < self.settings.body as u64)
    }

    fn request_content(&mut self, bytes: &[u8], out: &Out<'_>) {
        let shown = self.settings.body.min(out.max_text());
        let Some(newest) = self.queue.back_mut() else { return };
        let before = usize::try_from(newest.body_size).unwrap_or(usize::MAX);
        newest.body_size += bytes.len() as u64;
        let room = shown.saturating_sub(before);
        if room > 0 {
            self.queue.keep(bytes.get(..room).unwrap_or(bytes), usize::MAX);
        }
    }

    fn request_ends(&mut self) {
        let Some(newest) = self.queue.back_mut().filter(|n| !n.complete) else { return };
        newest.complete = true;
        if newest.reported && self.queue.len() == 1 {
            self.queue.pop();
        }
    }

    /// A request comes: earlier ones whose responses will never be recognised are given up.
    fn make_room(&mut self, time: Nanos, out: &mut Out<'_>) {
        let turn = core::mem::take(&mut self.turn);
        // What waits when bytes of the client are lost was sent before these: of that nothing is in doubt.
        if turn && self.server.in_step && !(self.doubtful && self.queue.is_empty()) {
            self.ahead.turn(self.queue.is_empty());
        }
        if self.doubtful && turn {
            self.doubtful = false;
            // The lost requests of a client that waits are all answered by now.
            if !self.queue.is_empty() || !self.ahead.answers(time, self.server.last) {
                self.give_up(self.reason, out);
                if self.server.in_step {
                    self.lose_responses();
                }
            }
        } else if !self.server.in_step && turn {
            self.give_up(self.reason, out);
        } else if self.queue.len() >= MAX_PENDING {
            self.give_up(IncompleteReason::Limit, out);
            self.lose_responses();
            report::notice("too many requests wait for their responses", time, None, out);
        }
        // Those sent together since the server spoke last are no sign: it may answer all of them before more are sent.
        if self.queue.front().is_some_and(|front| front.start < self.server.last) {
            self.ahead.turn(false);
        }
    }

    fn server_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        let before = core::mem::replace(&mut self.server.last, window.seen_at(bytes.len()));
        let fresh = core::mem::take(&mut self.server.fresh);
        let mut at = 0;
        if !self.server.in_step {
            let turn = self.is_turn(fresh, before);
            let [_, kept] = &mut self.kept;
            let (start, found) = kept.begins(bytes, turn);
            match found {
                Begins::Response => (self.server.in_step, at) = (true, start),
                Begins::Maybe => return Next::More { used: start, need: 0 },
                _ => return all,
            }
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let time = window.seen_at(at);
            match self.answer.body.step(rest) {
                BodyStep::Over if rest.is_empty() => return all,
                BodyStep::Over => {
                    if self.queue.front().is_some_and(Exchange::is_before_1_0)
                        && begins(rest) == Begins::Nothing
                    {
                        // As old as the request: all of it is the body.
                        self.answer.begin_without_head(time);
                        continue;
                    }
                    if let [b'\r' | b'\n', ..] = rest {
                        at += 1;
                        continue;
                    }
                    let read = if self.may_be_whole(1, rest) { Response::read(rest) } else { Read::More };
                    let (response, end) = match read {
                        Read::Whole(response, end) => (response, end),
                        Read::More
                            if rest.len() < MAX_HEAD
                                && matches!(begins(rest), Begins::Response | Begins::Maybe) =>
                        {
                            self.searched[1] = rest.len();
                            return Next::More { used: at, need: 0 };
                        }
                        Read::More | Read::Malformed => {
                            return self.server_malformed(time, bytes.len(), out);
                        }
                    };
                    self.searched[1] = 0;
                    at += end;
                    let end = window.seen_at(at.saturating_sub(1));
                    match self.response(&response, time, end, out) {
                        Then::Goes => {}
                        Then::Stray => {
                            if self.client.in_step && !self.doubtful {
                                self.ahead.turn(false);
                                report::notice("a response without a request", time, None, out);
                            }
                            self.lose_responses();
                            return all;
                        }
                        Then::Upgraded => return self.upgraded_data(Direction::ToClient, window, at, out),
                        Then::Tunnel => {
                            report::session(
                                "tunnel",
                                end,
                                Some("what a proxy passes on is not decoded"),
                                out,
                            );
                            return Next::Bypass(BypassReason::Encrypted);
                        }
                        Then::Unknown => {
                            report::session(
                                "upgraded",
                                end,
                                Some("the protocol behind the upgrade is not decoded"),
                                out,
                            );
                            return Next::Bypass(BypassReason::NotThisProtocol);
                        }
                    }
                    continue;
                }
                BodyStep::More => return Next::More { used: at, need: 0 },
                BodyStep::Used(used) => at += used,
                BodyStep::Content(used) => {
                    let shown = self.answer.kept(self.settings.body.min(out.max_text()));
                    self.answer.content(rest.get(..used).unwrap_or_default(), shown);
                    at += used;
                    let known = self.answer.body.known();
                    let wanted = self.answer.preview.len() < shown || self.answer.events.is_some();
                    if at == bytes.len() && known > 1 && known != u64::MAX && !wanted {
                        self.answer.body.pass(known - 1);
                        self.answer.body_size += known - 1;
                        return Next::Skip { used: at, then: known - 1 };
                    }
                }
                BodyStep::Bad => return self.server_malformed(time, bytes.len(), out),
            }
            if self.answer.open && matches!(self.answer.body, Body::Over | Body::Length(0)) {
                self.answer.body = Body::Over;
                self.answered(window.seen_at(at.saturating_sub(1)), out);
            }
        }
    }

    fn server_malformed(&mut self, at: Nanos, used: usize, out: &mut Out<'_>) -> Next {
        if self.is_new {
            report::notice("not an HTTP connection", at, None, out);
            return Next::Bypass(BypassReason::NotThisProtocol);
        }
        report::notice("a response is malformed", at, None, out);
        self.lose_server(IncompleteReason::Malformed, 0, out);
        Next::More { used, need: 0 }
    }

    /// A response's head came.
    fn response(&mut self, response: &Response<'_>, at: Nanos, end: Nanos, out: &mut Out<'_>) -> Then {
        let Some(front) = self.queue.front().copied() else { return Then::Stray };
        if (100..200).contains(&response.code) && response.code != 101 {
            // An interim response: the one that counts follows.
            return Then::Goes;
        }
        self.answer.begin(response, &self.settings, at);
        let body = response.fields.body;
        let none = front.is_head || matches!(response.code, 100..=199 | 204 | 304);
        let tunnel = front.is_connect && (200..300).contains(&response.code);
        self.answer.body = if none || tunnel {
            Body::Over
        } else if body.chunked {
            Body::Chunked(Chunk::Size)
        } else {
            body.length.filter(|_| !body.until_close).map_or(Body::UntilClose, Body::Length)
        };
        if matches!(self.answer.body, Body::Over | Body::Length(0)) {
            self.answer.body = Body::Over;
            self.answered(end, out);
        }
        match (response.code, tunnel) {
            (101, _) if response.fields.websocket => {
                self.mode = Mode::WebSocket(Box::new(Upgraded::new(end)));
                Then::Upgraded
            }
            (101, _) => Then::Unknown,
            (_, true) => Then::Tunnel,
            _ => Then::Goes,
        }
    }

    /// The oldest request has its whole response.
    fn answered(&mut self, end: Nanos, out: &mut Out<'_>) {
        self.answer.open = false;
        let Some(front) = self.queue.front_mut() else { return };
        let told = core::mem::replace(&mut front.reported, true);
        let (front, complete) = (*front, front.complete);
        if !told {
            let outcome = Outcome::Answered { answer: &self.answer, end };
            report::exchange(&self.settings, &front, self.queue.front_bytes(), outcome, out);
        }
        if complete {
            self.queue.pop();
        }
    }

    /// Reports all waiting requests as incomplete.
    fn give_up(&mut self, reason: IncompleteReason, out: &mut Out<'_>) {
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
    fn lose_responses(&mut self) {
        self.server.lose();
        self.kept[1] = Kept::default();
        self.answer.body = Body::Over;
        self.answer.open = false;
        self.searched[1] = 0;
    }

    fn lose_server(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        let at = out.now();
        self.reason = reason;
        match self.queue.front_mut() {
            Some(front) => front.lose(reason, bytes),
            None if bytes > 0 => report::notice("bytes of the server are missing", at, Some(bytes), out),
            None => {}
        }
        // A request that is still being sent may be answered yet.
        if self.queue.back().is_none_or(|n| n.complete) {
            self.give_up(reason, out);
        }
        self.lose_responses();
    }

    fn lose_client(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        let ends = if let Body::Length(left) = self.request_body { bytes > left } else { false };
        if self.queue.back().is_some_and(|newest| bytes > 0 && (newest.complete || ends)) {
            // What is lost is more than the request that waits for its response.
            self.ahead.turn(false);
        }
        self.client.lose();
        self.kept[0] = Kept::default();
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

    /// The head of a request is cut: what is known of it is told all the same.
    fn cut_request(&mut self, tail: Window<'_>, out: &mut Out<'_>) {
        if !self.client.in_step || self.request_body != Body::Over {
            return;
        }
        if let Some(request) = Request::parse_cut(tail.bytes) {
            self.request(&request, tail.seen_at(0), out);
            self.touch(tail.seen_at(tail.bytes.len()));
            if let Some(newest) = self.queue.back_mut() {
                newest.complete = false;
            }
            self.request_body = Body::Over;
        }
    }

    /// The head of a response is cut: the request that it answers is told with what is known of it.
    fn cut_response(&mut self, tail: Window<'_>) {
        if !self.server.in_step || self.answer.open || self.answer.body != Body::Over || self.queue.is_empty()
        {
            return;
        }
        if let Some(response) = Response::parse_cut(tail.bytes)
            && response.code >= 200
        {
            self.answer.begin(&response, &self.settings, tail.seen_at(0));
        }
    }

    fn is_turn(&self, fresh: bool, before: Nanos) -> bool {
        let Some(front) = self.queue.front() else { return false };
        fresh && !self.doubtful && self.ahead.answers(front.start, before)
    }
}

/// Bytes of a direction that is out of step: a message may begin with them.
#[derive(Clone, Copy, Debug, Default)]
struct Kept(usize);

impl Kept {
    /// What begins, and at which byte. `turn`: the other side spoke since this one did, so that new bytes begin a message, and those kept were the end of one.
    fn begins(&mut self, bytes: &[u8], turn: bool) -> (usize, Begins) {
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

/// What follows a response's head.
enum Then {
    /// Its body, or the next response.
    Goes,
    /// Nobody asked for it.
    Stray,
    /// Frames.
    Upgraded,
    /// What a proxy passes on.
    Tunnel,
    /// A protocol that is not decoded.
    Unknown,
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
                if bytes < known {
                    // The end of a body whose length is known is not lost with its bytes.
                    self.request_body.pass(bytes);
                    if let Some(newest) = self.queue.back_mut() {
                        newest.lose(reason, bytes);
                        newest.body_size += bytes;
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
                if self.server.in_step && self.answer.open && bytes < self.answer.body.known() {
                    self.answer.body.pass(bytes);
                    self.answer.body_size += bytes;
                    if let Some(front) = self.queue.front_mut() {
                        front.lose(reason, bytes);
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

//! The server's direction: responses, each the answer to the oldest request that waits.

use sniff_x_flow::{Direction, Nanos};

use super::begins::{Begins, begins};
use super::body::{Body, Chunk, Step as BodyStep};
use super::decoder::{HttpDecoder, Mode};
use super::exchange::Exchange;
use super::head::{MAX_HEAD, Oddities, Read, Response};
use super::report::{self, Outcome};
use super::upgraded::Upgraded;
use crate::event::IncompleteReason;
use crate::{BypassReason, Next, Out, Window};

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

impl HttpDecoder {
    pub(super) fn server_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
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
                    let mut response = Response::default();
                    let read = if self.may_be_whole(1, rest) { response.read(rest) } else { Read::More };
                    let end = match read {
                        Read::Whole(end) => end,
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
                                report::stray(response.code, time, out);
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
                BodyStep::BareLine(used) => {
                    at += used;
                    self.answer.odd.add(Oddities::BARE_LF_IN_CHUNKS);
                }
                BodyStep::Content(used) => {
                    let kept = self.answer.codings.kept(self.settings.body.min(out.max_text()));
                    self.answer.content(rest.get(..used).unwrap_or_default(), kept);
                    at += used;
                    let known = self.answer.body.known();
                    let wanted = self.answer.wants(kept) || self.answer.events.is_some();
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
        let Some(front) = self.queue.front() else { return Then::Stray };
        let (is_head, is_connect) = (front.is_head, front.is_connect);
        if (100..200).contains(&response.code) && response.code != 101 {
            // An interim response: the one that counts follows.
            return Then::Goes;
        }
        self.answer.begin(response, &self.settings, at);
        let body = response.fields.body;
        let none = is_head || matches!(response.code, 100..=199 | 204 | 304);
        let tunnel = is_connect && (200..300).contains(&response.code);
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
    pub(super) fn answered(&mut self, end: Nanos, out: &mut Out<'_>) {
        self.answer.open = false;
        let Some(front) = self.queue.front() else { return };
        if !front.reported {
            let outcome = Outcome::Answered { answer: &self.answer, end };
            report::exchange(&self.settings, front, self.queue.front_bytes(), outcome, out);
        }
        if front.complete {
            self.queue.pop();
        } else if let Some(front) = self.queue.front_mut() {
            front.reported = true;
            self.refused = front.expects && front.body_size == 0;
        }
    }

    /// The head of a response is cut: the request that it answers is told with what is known of it.
    pub(super) fn cut_response(&mut self, tail: Window<'_>) {
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
        // It came behind the loss, whatever the times are: what waited for lost bytes is older than their loss.
        let answers = self.alone && self.queue.len() == 1;
        fresh && !self.doubtful && (answers || self.ahead.answers(front.start, before))
    }
}

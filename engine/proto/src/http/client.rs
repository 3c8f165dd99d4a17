//! The client's direction: requests, their bodies, and what a new one tells of those before it.

use sniff_x_flow::Nanos;

use super::begins::{Begins, begins};
use super::body::{Body, Chunk, Step as BodyStep};
use super::decoder::HttpDecoder;
use super::exchange::{Exchange, collect};
use super::head::{self, MAX_HEAD, Oddities, Read, Request};
use super::report;
use crate::event::IncompleteReason;
use crate::{BypassReason, Next, Out, Window};

/// The most requests that wait for their responses.
const MAX_PENDING: usize = 1024;

impl HttpDecoder {
    pub(super) fn client_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        if self.refused {
            // Some send the body all the same.
            match begins(bytes) {
                Begins::Maybe => return Next::More { used: 0, need: 0 },
                Begins::Request => {
                    self.request_body = Body::Over;
                    self.request_ends();
                }
                _ => {}
            }
            self.refused = false;
        }
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
                    let mut request = Request::default();
                    let read = if self.may_be_whole(0, rest) { request.read(rest) } else { Read::More };
                    let end = match read {
                        Read::Whole(end) => end,
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
                BodyStep::BareLine(used) => {
                    at += used;
                    if let Some(newest) = self.queue.back_mut() {
                        newest.odd.add(Oddities::BARE_LF_IN_CHUNKS);
                    }
                }
                BodyStep::Content(used) => {
                    let part = rest.get(..used).unwrap_or_default();
                    at += used;
                    let shown = self.settings.body.min(out.max_text());
                    self.request_content(part, shown);
                    self.touch(window.seen_at(at.saturating_sub(1)));
                    let known = self.request_body.known();
                    // Passed over but for its last byte, with which the request ends.
                    if at == bytes.len()
                        && known > 1
                        && !self.queue.back().is_some_and(|n| n.wants_body(shown))
                    {
                        let before = self.queue.back().map_or(0, |newest| newest.body_size);
                        // What never came is subtracted in the end, so that the sum must hold.
                        let then = if known == u64::MAX { known - before } else { known - 1 };
                        self.request_body.pass(then);
                        if let Some(newest) = self.queue.back_mut() {
                            newest.body_size = before.saturating_add(then);
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

    pub(super) fn request(&mut self, request: &Request<'_>, time: Nanos, out: &mut Out<'_>) {
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
        let texts = Exchange::texts(request, &self.fields);
        self.queue.push(Exchange::new(request, &texts, time));
        if let Some((newest, mut room)) = self.queue.newest(usize::MAX) {
            for text in texts.into_iter().filter(|text| !text.is_empty()) {
                let text = text.get(..max).unwrap_or(text);
                // What is kept later would be taken for the rest of it.
                newest.is_cut |= room.keep(text) < text.len();
            }
        }
        if self.request_body == Body::Over {
            self.request_ends();
        }
    }

    fn request_content(&mut self, bytes: &[u8], shown: usize) {
        let Some((newest, mut room)) = self.queue.newest(usize::MAX) else { return };
        if newest.wants_body(shown) {
            let before = usize::try_from(newest.body_size).unwrap_or(usize::MAX);
            let wanted = newest.codings.kept(shown).saturating_sub(before).min(bytes.len());
            newest.is_cut = room.keep(bytes.get(..wanted).unwrap_or(bytes)) < wanted;
        }
        newest.body_size += bytes.len() as u64;
    }

    pub(super) fn request_ends(&mut self) {
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
            self.ahead.blind_turn(self.queue.len());
            // Only the first turn behind the loss.
            self.alone &= self.queue.is_empty();
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

    /// The head of a request is cut: what is known of it is told all the same.
    pub(super) fn cut_request(&mut self, tail: Window<'_>, out: &mut Out<'_>) {
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
}

//! The client's direction: cut into packets; the login. Requests begin in [`super::request`].

use sniff_x_flow::Nanos;

use super::command::{Command, Shape};
use super::decoder::{MysqlDecoder, Phase, Step};
use super::exchange::{Exchange, Keep};
use super::flags::Caps;
use super::handshake::Login;
use super::response::Stage;
use super::resync::{self, Look};
use super::session::LoginEnd;
use super::shortener::{MAX_HEAD, Shortener};
use super::wire::{HEADER, Header};
use super::x_protocol;
use crate::event::IncompleteReason;
use crate::{BypassReason, Next, Out, Window};

/// The client's place in its stream.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) step: Step,
    /// Bytes of the current packet's payload that are still to come.
    pub(super) left: usize,
    /// What they are kept as.
    pub(super) keep: Keep,
    /// Cuts the long values of an execution that is too long to be kept.
    pub(super) shortener: Option<Box<Shortener>>,
    /// The logical packet goes on in another packet.
    pub(super) continues: bool,
    /// The current packet is part of a request.
    pub(super) open: bool,
    /// The sequence id of the current packet.
    pub(super) seq: u8,
    /// It is on its way back in: what was taken for a request has not been confirmed by a response.
    pub(super) unsure: bool,
    /// Requests may have been lost: a response may belong to one of them.
    pub(super) doubtful: bool,
}

impl Client {
    pub(super) fn new(step: Step) -> Self {
        Self {
            step,
            left: 0,
            keep: Keep::Nothing,
            shortener: None,
            continues: false,
            open: false,
            seq: 0,
            unsure: false,
            doubtful: false,
        }
    }

    /// Forgets the packet that it is in.
    pub(super) fn reset(&mut self) {
        (self.left, self.keep, self.continues, self.open) = (0, Keep::Nothing, false, false);
        self.shortener = None;
    }
}

/// Logins longer than this are not read: connection attributes may be long, what we need stands before them.
pub(super) const MAX_LOGIN: usize = 16 << 10;

/// What to do after a look at a packet's head.
pub(super) enum Head {
    /// So many bytes of it are done with; the client's `left` tells of the rest.
    Read(usize),
    /// So many bytes of the packet, header included, are needed.
    Need(usize),
    Lost,
    /// It is no packet: compressed frames begin here.
    Compressed,
    Bypass(BypassReason),
}

impl MysqlDecoder {
    pub(super) fn client_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        if self.phase == Phase::Over {
            return all;
        }
        self.client.step.last = window.seen_at(bytes.len());
        let fresh = core::mem::take(&mut self.client.step.fresh);
        if fresh && self.client.open && self.client.unsure {
            // The server does not speak in the middle of a request: it was none.
            self.no_request();
        }
        let mut at = 0;
        if !self.client.step.in_step {
            if self.client.step.trying && fresh {
                // The server spoke: what was kept is the end of something.
                at = self.client.step.kept;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            match self.find_request(rest, fresh) {
                Look::Yes => {}
                Look::More => return Next::More { used: at, need: 0 },
                Look::No => {
                    self.missed_request(out);
                    return all;
                }
                Look::Compressed => {
                    self.begin_compression(false);
                    return Next::Skip { used: at, then: 0 };
                }
            }
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.client.left > 0 {
                if rest.is_empty() {
                    return all;
                }
                at += self.body(rest, out);
                self.touch(window.seen_at(at.saturating_sub(1)));
                // As long as it is not sure that this is a request it is watched whether the server speaks in the middle of it.
                if self.client.left > 0 && (self.client.keep != Keep::Nothing || self.client.unsure) {
                    return all;
                }
                let then = core::mem::take(&mut self.client.left);
                self.packet_end(out);
                if then > 0 {
                    return Next::Skip { used: bytes.len(), then: then as u64 };
                }
                continue;
            }
            if self.phase == Phase::Over {
                return all;
            }
            let Some(header) = Header::parse(rest) else {
                return Next::More { used: at, need: HEADER };
            };
            match self.client_head(header, rest, &window, at, out) {
                Head::Read(used) => {
                    at += used;
                    self.touch(window.seen_at(at.saturating_sub(1)));
                    if self.client.left == 0 {
                        self.packet_end(out);
                    }
                }
                Head::Need(need) => return Next::More { used: at, need },
                Head::Lost => return all,
                Head::Compressed => return Next::Skip { used: at, then: 0 },
                Head::Bypass(reason) => return Next::Bypass(reason),
            }
        }
    }

    /// The client's bytes make no sense as packets. What was taken for a request on the way back in was none.
    pub(super) fn no_request(&mut self) {
        if self.client.unsure {
            while !self.queue.is_empty() {
                self.pop();
            }
        } else if let Some(newest) = self.queue.back_mut().filter(|n| !n.complete) {
            newest.complete = true;
            newest.lose(self.reason, 0);
        }
        self.client.step.lose();
        self.client.reset();
        // Until it is recognised again requests are missed.
        self.client.doubtful = true;
        self.session.changes_user(&[], &[]);
        self.statements.clear();
    }

    /// The client said something that was not recognised: as long as nobody knows where the server is, what it says next may answer that.
    fn missed_request(&mut self, out: &mut Out<'_>) {
        if self.phase == Phase::Command && !self.server.in_step {
            self.give_up(0, self.reason, out);
        }
    }

    /// Takes what is there of the current packet's payload; how many bytes.
    fn body(&mut self, rest: &[u8], out: &Out<'_>) -> usize {
        let taken = self.client.left.min(rest.len());
        let bytes = rest.get(..taken).unwrap_or_default();
        if let Some(shortener) = &mut self.client.shortener {
            // Its values together are about as long as a text may be; what stands in front of them comes on top.
            let max = out.max_text().saturating_mul(2) + MAX_HEAD;
            shortener.feed(bytes, |kept| {
                self.queue.keep(Keep::Parameters, kept, max);
            });
        } else if !self.queue.keep(self.client.keep, bytes, out.max_text()) {
            self.client.keep = Keep::Nothing;
        }
        self.client.left -= taken;
        taken
    }

    /// The request in progress goes on at `time`.
    fn touch(&mut self, time: Nanos) {
        if self.client.open
            && let Some(newest) = self.queue.back_mut()
        {
            newest.end = time;
        }
    }

    /// The current packet is over; the request too, unless it goes on in the next one.
    fn packet_end(&mut self, out: &mut Out<'_>) {
        if !self.client.open || self.client.continues {
            return;
        }
        self.client.open = false;
        // Servers count on from the frame; the packets inside mean nothing.
        let seq = self.frames.map_or(self.client.seq, |[to_server, _]| to_server).wrapping_add(1);
        if let Some(newest) = self.queue.back_mut().filter(|n| !n.complete) {
            newest.complete = true;
            newest.reply_seq = Some(seq);
            newest.rows = self.client.shortener.take().and_then(|s| s.rows());
            if let Some(id) = newest.statement {
                self.statements.foresee(id);
            }
            self.settle(out);
        }
    }

    fn client_head(
        &mut self,
        header: Header,
        rest: &[u8],
        window: &Window<'_>,
        at: usize,
        out: &mut Out<'_>,
    ) -> Head {
        if self.client.open && self.client.continues {
            if self.frames.is_none() && header.seq != self.client.seq.wrapping_add(1) {
                return self.client_malformed(
                    "a packet of the client is out of sequence",
                    window.seen_at(at),
                    out,
                );
            }
            self.client.seq = header.seq;
            self.client.continues = header.continues();
            self.client.left = header.len;
            if let Some(newest) = self.queue.back_mut() {
                newest.text_len += header.len as u64;
            }
            return Head::Read(HEADER);
        }
        if self.phase == Phase::Command && header.seq == 0 && self.may_be_compressed() {
            match resync::compressed(header, rest) {
                Look::Compressed => {
                    // What was taken for requests so far was none.
                    self.client.unsure = true;
                    self.no_request();
                    self.begin_compression(false);
                    return Head::Compressed;
                }
                Look::More => return Head::Need(rest.len() + 1),
                Look::Yes | Look::No => {}
            }
        }
        match self.phase {
            Phase::Greeting | Phase::Login => self.login(header, rest, window, at, out),
            Phase::Auth if header.seq != 0 => self.pass_over(header),
            Phase::Auth => {
                // A command: the login succeeded, but the server's word was not seen.
                self.session.report(LoginEnd::Unknown(self.reason, 0), window.seen_at(at), out);
                self.phase = Phase::Command;
                if self.client.doubtful {
                    self.forget_session();
                }
                self.server.lose();
                self.server.fresh = true;
                if self.session.compression().is_some() {
                    self.begin_compression(false);
                    return Head::Compressed;
                }
                Head::Read(0)
            }
            Phase::Command if header.seq == 0 && !self.response.awaits_file() => {
                self.request(header, rest, window, at, out)
            }
            Phase::Command => self.continuation(header, window.seen_at(at), out),
            Phase::Over => Head::Lost,
        }
    }

    /// Nobody saw whether compression was agreed on, and nothing has shown it yet.
    pub(super) fn may_be_compressed(&self) -> bool {
        self.session.caps.is_none() && self.frames.is_none()
    }

    /// A packet whose content is of no interest, or secret.
    pub(super) fn pass_over(&mut self, header: Header) -> Head {
        (self.client.left, self.client.keep, self.client.open) = (header.len, Keep::Nothing, false);
        Head::Read(HEADER)
    }

    fn login(
        &mut self,
        header: Header,
        rest: &[u8],
        window: &Window<'_>,
        at: usize,
        out: &mut Out<'_>,
    ) -> Head {
        let time = window.seen_at(at);
        let wanted = header.len.min(MAX_LOGIN);
        if self.phase == Phase::Greeting && header.seq == 0 {
            let shown = HEADER + header.len.min(x_protocol::HEAD);
            let Some(head) = rest.get(HEADER..shown) else { return Head::Need(shown) };
            if x_protocol::is_client(head, header.len) {
                self.session.report_x_protocol(time, out);
                return Head::Bypass(BypassReason::Undecodable);
            }
        }
        if self.phase == Phase::Greeting && (header.seq != 1 || header.len < 6) {
            self.notice("not a MySQL connection: the client speaks first", time, None, out);
            return Head::Bypass(BypassReason::NotThisProtocol);
        }
        let Some(payload) = rest.get(HEADER..HEADER + wanted) else {
            return Head::Need(HEADER + wanted);
        };
        let Some(login) = Login::parse(payload) else {
            return self.client_malformed("a login is malformed", time, out);
        };
        self.session.logs_in(&login, time);
        self.deprecate_eof = self.session.caps.map(|c| c.has(Caps::DEPRECATE_EOF));
        if login.tls {
            self.session.report(LoginEnd::Encrypted, time, out);
            return Head::Bypass(BypassReason::Encrypted);
        }
        self.phase = Phase::Auth;
        self.client.unsure = false;
        // What the server says to the login is the next thing that it says, whether the greeting was seen or not.
        self.server_turn();
        self.server.in_step = self.stale == 0;
        self.pass_over(header)
    }

    /// A packet that does not begin a command: data of a local file, or authentication.
    fn continuation(&mut self, header: Header, time: Nanos, out: &mut Out<'_>) -> Head {
        let waiting = self.queue.front().map(|f| f.command.shape());
        match (self.response.stage, waiting) {
            (Stage::Infile, _) => {
                let bytes = self.response.infile.get_or_insert(0);
                *bytes += header.len as u64;
                self.response.file_ended |= header.len == 0;
                self.pass_over(header)
            }
            (_, Some(Shape::Auth)) => self.pass_over(header),
            _ if self.client.unsure => {
                self.no_request();
                Head::Lost
            }
            _ if !self.server.in_step => self.pass_over(header),
            _ => self.client_malformed("a packet of the client is out of sequence", time, out),
        }
    }

    pub(super) fn client_malformed(&mut self, what: &'static str, time: Nanos, out: &mut Out<'_>) -> Head {
        self.notice(what, time, None, out);
        if matches!(self.phase, Phase::Greeting | Phase::Login) {
            return Head::Bypass(BypassReason::Undecodable);
        }
        self.reason = IncompleteReason::Malformed;
        self.no_request();
        Head::Lost
    }

    /// Looks for a request, or a login, where the client begins to speak.
    fn find_request(&mut self, bytes: &[u8], fresh: bool) -> Look {
        if !fresh && !self.client.step.trying {
            return Look::No;
        }
        let joining = self.may_be_compressed() && self.queue.is_empty();
        let look = resync::request(bytes, joining);
        self.client.step.trying = look == Look::More;
        self.client.step.kept = bytes.len();
        if look == Look::Yes {
            self.client.step.in_step = true;
            self.client.unsure = true;
            if bytes.get(3) == Some(&1) {
                self.phase = Phase::Login;
            }
        }
        look
    }

    /// The connection was closed behind `tail`, the last that was kept of the client: out of step, only that shows a QUIT.
    pub(super) fn last_words(&mut self, tail: Window<'_>, out: &mut Out<'_>) {
        if tail.bytes == resync::QUIT && self.client.step.trying && !self.client.step.fresh {
            let (start, end) = (tail.seen_at(0), tail.seen_at(tail.bytes.len()));
            let mut quit = Exchange::new(Command::QUIT, start);
            (quit.end, quit.complete) = (end, true);
            self.queue.push(quit);
            self.settle(out);
        }
    }

    /// Bytes of the client are missing behind `tail`; `exact`: not more and not fewer than said.
    pub(super) fn client_gap(
        &mut self,
        tail: Window<'_>,
        reason: IncompleteReason,
        bytes: u64,
        exact: bool,
        at: Nanos,
        out: &mut Out<'_>,
    ) -> Next {
        if !self.client.step.in_step {
            self.client.step.lose();
            self.missed_request(out);
            return Next::More { used: 0, need: 0 };
        }
        if self.phase == Phase::Command && self.client.left == 0 && !self.client.continues {
            self.cut_request(tail, out);
        }
        // The end of a packet whose length is known is not lost with its bytes.
        let left = self.client.left as u64;
        if self.client.open && exact && bytes <= left {
            if let Some(newest) = self.queue.back_mut() {
                newest.lose(reason, bytes);
            }
            self.client.left = 0;
            self.packet_end(out);
            return Next::Skip { used: 0, then: left - bytes };
        }
        self.lose_client(reason, bytes, at, out);
        Next::More { used: 0, need: 0 }
    }
}

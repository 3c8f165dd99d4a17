//! What is lost: bytes of either direction, and with them the outcomes of requests and what was known of the session.
//!
//! Stage: beside [`super::decoder`]. A loss puts its direction out of step; exchanges that it touches are told as incomplete. The way back in is
//! [`super::resync`]'s.

use sniff_x_flow::{Direction, Nanos};

use super::command::{Command, Shape};
use super::decoder::{MysqlDecoder, Phase, Step};
use super::exchange::Exchange;
use super::report::Outcome;
use super::response::{Response, Stage};
use super::session::LoginEnd;
use super::sql;
use crate::event::IncompleteReason;
use crate::{Lost, Next, Out, Window};

impl MysqlDecoder {
    /// Reports the oldest requests as incomplete until `left` remain.
    pub(super) fn give_up(&mut self, left: usize, reason: IncompleteReason, out: &mut Out<'_>) {
        while self.queue.len() > left {
            let Some(front) = self.queue.front() else { return };
            if front.complete && front.command.shape() == Shape::None {
                self.settle(out);
                continue;
            }
            let reason = front.loss.map_or(reason, |l| l.reason);
            self.forget_outcome();
            self.report(Outcome::Incomplete(reason), Nanos(0), out);
            self.pop();
        }
    }

    /// The outcome of the oldest request will not be seen: what it may have changed is not known any more.
    fn forget_outcome(&mut self) {
        match self.queue.front().map(|f| f.command) {
            Some(Command::CHANGE_USER) => {
                self.session.changes_user(&[], &[]);
                self.statements.clear();
            }
            Some(Command::RESET_CONNECTION) => self.statements.clear(),
            Some(Command::INIT_DB) => self.session.set_namespace(&[]),
            Some(Command::DROP_DB) => self.session.set_namespace(&[]),
            Some(Command::QUERY) if self.queue.front().is_some_and(|f| self.may_select(f)) => {
                self.session.set_namespace(&[]);
            }
            _ => {}
        }
    }

    /// Whether a query may select another database; one whose text is not whole may.
    fn may_select(&self, query: &Exchange) -> bool {
        let text = self.queue.text(query);
        let whole = query.has_text && query.loss.is_none() && query.text_len == text.len() as u64;
        !whole || sql::any_selects(text)
    }

    /// What was lost behind the last request that was seen may have changed the session, and the next response may be to it.
    pub(super) fn forget_session(&mut self) {
        self.session.changes_user(&[], &[]);
        self.statements.clear();
        self.server.lose();
    }

    /// The server's stream can't be followed any more; the exchange whose response it was in is incomplete.
    pub(super) fn lose_server(&mut self, reason: IncompleteReason, bytes: u64, at: Nanos, out: &mut Out<'_>) {
        self.server.lose();
        self.stray_eof = None;
        self.reason = reason;
        if matches!(self.phase, Phase::Greeting | Phase::Login | Phase::Auth) {
            self.lose_handshake(Direction::ToClient, reason, bytes, at, out);
            return;
        }
        let Some(newest) = self.queue.back() else {
            self.notice("bytes of the server are missing", at, Some(bytes), out);
            return;
        };
        // The response to the newest request may still come whole, unless it is the one that was touched.
        let several = self.queue.len() > 1;
        let keep = !newest.complete || (several && self.ahead == 0 && newest.command.shape() != Shape::None);
        if !several && keep {
            // The request is still being sent: what is missing is an early answer to it.
            if let Some(newest) = self.queue.back_mut() {
                newest.lose(reason, bytes);
            }
        } else if let Some(front) = self.queue.front_mut() {
            front.lose(reason, bytes);
        }
        self.give_up(usize::from(keep), reason, out);
        self.response = Response::default();
    }

    /// The client's stream can't be followed any more.
    pub(super) fn lose_client(&mut self, reason: IncompleteReason, bytes: u64, at: Nanos, out: &mut Out<'_>) {
        self.client.step.lose();
        self.client.reset();
        if matches!(self.phase, Phase::Greeting | Phase::Login | Phase::Auth) {
            self.lose_handshake(Direction::ToServer, reason, bytes, at, out);
            return;
        }
        // Requests that were never seen may have changed anything.
        self.session.changes_user(&[], &[]);
        self.statements.clear();
        // They may have responses: when those that wait now have theirs, the server is out of step too.
        self.client.doubtful = true;
        match self.queue.back_mut() {
            Some(newest) if !newest.complete => {
                newest.complete = true;
                newest.lose(reason, bytes);
                self.settle(out);
            }
            _ if self.response.stage == Stage::Infile => {
                if let Some(front) = self.queue.front_mut() {
                    front.lose(reason, bytes);
                }
            }
            _ => self.notice("bytes of the client are missing", at, Some(bytes), out),
        }
        if self.queue.is_empty() {
            self.server.lose();
        } else if !self.server.in_step {
            // What the server says next may as well answer a request that was never seen.
            self.give_up(0, reason, out);
        }
        self.reason = reason;
    }

    /// Bytes of the handshake are missing.
    pub(super) fn lose_handshake(
        &mut self,
        direction: Direction,
        reason: IncompleteReason,
        bytes: u64,
        at: Nanos,
        out: &mut Out<'_>,
    ) {
        match (self.phase, direction) {
            (Phase::Greeting, Direction::ToClient) => {
                // The client's login tells the rest.
                self.notice("bytes of the greeting are missing", at, Some(bytes), out);
                self.phase = Phase::Login;
                return;
            }
            // Only secrets are missing, or the beginning of the first command.
            (Phase::Auth, Direction::ToServer) => {
                self.client.doubtful = true;
                return;
            }
            // The login's outcome is.
            (Phase::Auth, Direction::ToClient) => {}
            // What was agreed on is.
            _ => {
                self.client.step.lose();
                self.client.reset();
                self.server.lose();
            }
        }
        if self.session.has_begun() {
            self.session.report(LoginEnd::Unknown(reason, bytes), at, out);
        } else {
            self.notice("bytes of the handshake are missing", at, Some(bytes), out);
        }
        if self.client.doubtful {
            // The first commands may be missing too.
            self.forget_session();
        }
        self.phase = Phase::Command;
        if self.session.compression().is_some() {
            self.begin_compression(false);
        }
    }

    /// Bytes of packets are missing behind `tail`; `exact`: so many as `lost` says, otherwise nobody knows.
    pub(super) fn plain_gap(
        &mut self,
        direction: Direction,
        tail: Window<'_>,
        lost: Lost,
        exact: bool,
        out: &mut Out<'_>,
    ) -> Next {
        if self.phase == Phase::Over {
            return Next::More { used: 0, need: 0 };
        }
        out.set_proxied(self.proxied);
        let (reason, bytes) = match lost {
            Lost::Bytes(n) => (IncompleteReason::Gap, n),
            Lost::Limit(n) => (IncompleteReason::Limit, n),
            Lost::Unknown => {
                // Nothing was seen before: the way in is the same as after a gap, but nothing is lost that was ever had.
                self.phase = Phase::Command;
                self.client.step = Step::new(false);
                self.server = Step::new(false);
                return Next::More { used: 0, need: 0 };
            }
        };
        self.expects_proxy &= direction == Direction::ToClient;
        let at = if tail.bytes.is_empty() { out.now() } else { tail.seen_at(0) };
        match direction {
            Direction::ToServer => self.client_gap(tail, reason, bytes, exact, at, out),
            Direction::ToClient => {
                if self.server.in_step {
                    self.lose_server(reason, bytes, at, out);
                } else {
                    // The response that is waited for may have begun in the gap.
                    self.server.lose();
                }
                Next::More { used: 0, need: 0 }
            }
        }
    }
}

//! The decoder of one connection: what both directions share, losses, time-outs, the end.

use std::sync::Arc;

use sniff_x_flow::{Direction, End, Nanos};

use super::client::{Intake, State};
use super::reply::Reader;
use super::report::{self, NAME, Outcome};
use super::request::{Replies, Request, Role};
use super::server::Mode;
use super::{MAX_NAME, Settings};
use crate::event::{IncompleteReason, Key, Kind};
use crate::pending::Pending;
use crate::turns::{Ahead, Step};
use crate::{Decode, Lost, Next, Out, Sensitivity, Window};

/// What is known of the session. Empty where nobody saw it.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) namespace: Vec<u8>,
    pub(super) user: Vec<u8>,
}

impl Session {
    pub(super) fn set_namespace(&mut self, namespace: &[u8]) {
        keep(&mut self.namespace, namespace);
    }

    pub(super) fn set_user(&mut self, user: &[u8]) {
        keep(&mut self.user, user);
    }
}

fn keep(to: &mut Vec<u8>, from: &[u8]) {
    to.clear();
    to.extend_from_slice(from.get(..MAX_NAME).unwrap_or(from));
}

/// The most commands that wait for their replies at once; clients that load data in bulk send thousands.
const MAX_PENDING: usize = 16 << 10;

/// Decodes one Redis connection.
#[derive(Debug)]
pub struct RedisDecoder {
    pub(super) settings: Arc<Settings>,
    /// Nothing was understood yet: it may be another protocol.
    pub(super) is_new: bool,
    pub(super) client: Step,
    pub(super) intake: Intake,
    /// The server spoke since the last command began: the next one is sent in answer to that.
    pub(super) turn: bool,
    pub(super) server: Step,
    pub(super) reader: Reader,
    /// Commands that wait for their replies.
    pub(super) queue: Pending<Request>,
    /// Commands that wait for EXEC.
    pub(super) transaction: Pending<Request>,
    /// More commands were queued than are kept, or not all were seen: EXEC's results can't be told apart.
    pub(super) transaction_lost: bool,
    pub(super) in_transaction: bool,
    pub(super) session: Session,
    pub(super) mode: Mode,
    /// Subscriptions that the server counted last.
    pub(super) subscriptions: i64,
    /// It did so in a push: an array is no message.
    pub(super) pushes: bool,
    /// Whether the server answers commands, as the client asked.
    replies: Replies,
    /// The next command is left unanswered, too.
    skip_next: bool,
    ahead: Ahead,
    /// Commands were lost that may have replies.
    pub(super) doubtful: bool,
    /// Why exchanges are incomplete while the server is out of step.
    pub(super) reason: IncompleteReason,
}

impl RedisDecoder {
    pub(super) fn new(midstream: bool, settings: Arc<Settings>) -> Self {
        let mut session = Session::default();
        if !midstream {
            session.set_namespace(b"0");
        }
        Self {
            settings,
            is_new: !midstream,
            client: Step::new(!midstream),
            intake: Intake::default(),
            turn: false,
            server: Step::new(!midstream),
            reader: Reader::new(),
            queue: Pending::default(),
            transaction: Pending::default(),
            transaction_lost: false,
            in_transaction: false,
            session,
            mode: Mode::Commands,
            subscriptions: 0,
            pushes: false,
            replies: Replies::On,
            skip_next: false,
            ahead: Ahead::new(midstream),
            // Of a connection that is joined in the middle: other commands may wait for their replies.
            doubtful: midstream,
            reason: IncompleteReason::Midstream,
        }
    }

    /// Goes on with other options; false while replies under way are kept as the old ones said.
    pub(super) fn renew(&mut self, settings: &Arc<Settings>) -> bool {
        if self.settings.reply != settings.reply && !self.queue.is_empty() {
            return false;
        }
        self.settings = settings.clone();
        true
    }

    /// Says something that belongs to no exchange.
    pub(super) fn notice(&self, what: &str, at: Nanos, lost: Option<u64>, out: &mut Out<'_>) {
        out.event(NAME, Kind::Notice, at)
            .text(Key::NOTICE, what.as_bytes(), Sensitivity::Public)
            .maybe(lost, |e, n| e.number(Key::GAP_BYTES, n))
            .emit();
    }

    /// Tells how the oldest command went.
    pub(super) fn report_front(&mut self, outcome: Outcome<'_>, out: &mut Out<'_>) {
        if let Some(front) = self.queue.front().filter(|f| !f.reported) {
            report::report(&self.session, front, self.queue.front_bytes(), outcome, out);
        }
    }

    /// Forgets the oldest command; those behind it that get no reply are told.
    pub(super) fn pop(&mut self, out: &mut Out<'_>) {
        self.queue.pop();
        self.settle(out);
    }

    /// Tells of commands at the front that get no reply.
    fn settle(&mut self, out: &mut Out<'_>) {
        while self.queue.front().is_some_and(|front| front.complete && front.silent) {
            self.report_front(Outcome::OneWay, out);
            self.queue.pop();
        }
    }

    /// A command comes: earlier ones whose replies will never be recognised are given up. `turn`: the server spoke since the client last did.
    pub(super) fn make_room(&mut self, turn: bool, time: Nanos, out: &mut Out<'_>) {
        if turn {
            self.note_turn(self.queue.is_empty());
        }
        if self.doubtful && turn {
            self.doubtful = false;
            // What a client that sends ahead lost may be answered yet.
            if self.queue.is_empty() && self.ahead.waits() {
                self.give_up_transaction(self.reason, out);
            } else {
                self.give_up(self.reason, out);
                if self.server.in_step {
                    self.lose_replies();
                }
            }
        } else if !self.server.in_step && turn {
            self.ahead.blind_turn(self.queue.len());
            self.give_up(self.reason, out);
        } else if self.queue.len() >= MAX_PENDING {
            self.give_up(IncompleteReason::Limit, out);
            self.lose_replies();
            self.notice("too many commands wait for their replies", time, None, out);
        }
    }

    /// The client speaks after the server did, while what it sent before was answered or was not; so it may be one that sends ahead.
    pub(super) fn note_turn(&mut self, all_answered: bool) {
        let paired = self.server.in_step && !self.doubtful;
        if paired && self.mode == Mode::Commands && self.subscriptions == 0 {
            self.ahead.turn(all_answered);
        }
    }

    /// The server is out of step: nothing that it says is understood until it answers a command again.
    pub(super) fn lose_replies(&mut self) {
        self.server.lose();
        self.reader.reset();
    }

    /// Reports all waiting commands as incomplete.
    pub(super) fn give_up(&mut self, reason: IncompleteReason, out: &mut Out<'_>) {
        self.give_up_transaction(reason, out);
        while let Some(front) = self.queue.front() {
            let reason = front.loss.map_or(reason, |l| l.reason);
            if front.complete {
                self.forget(front.role);
            }
            let outcome = if self.queue.front().is_some_and(|f| f.complete && f.silent) {
                Outcome::OneWay
            } else {
                Outcome::Incomplete(reason)
            };
            self.report_front(outcome, out);
            self.queue.pop();
        }
    }

    pub(super) fn give_up_transaction(&mut self, reason: IncompleteReason, out: &mut Out<'_>) {
        while let Some(front) = self.transaction.front() {
            let bytes = self.transaction.front_bytes();
            report::report(&self.session, front, bytes, Outcome::Incomplete(reason), out);
            self.transaction.pop();
        }
        (self.in_transaction, self.transaction_lost) = (false, false);
    }

    /// The outcome of a command was not seen: what it may have changed is not known any more.
    fn forget(&mut self, role: Role) {
        match role {
            Role::Select => self.session.namespace.clear(),
            Role::Login => self.session.user.clear(),
            Role::Reset | Role::Exec | Role::Discard => {
                self.session.namespace.clear();
                self.in_transaction = false;
            }
            Role::Multi => self.transaction_lost = true,
            _ => {}
        }
    }

    /// The newest command is whole: whether it is answered.
    pub(super) fn note_request(&mut self, out: &mut Out<'_>) {
        let replicates = matches!(self.mode, Mode::Replica(_));
        let Some(newest) = self.queue.back_mut() else { return };
        let skipped = core::mem::take(&mut self.skip_next);
        newest.silent = replicates || newest.role == Role::Acknowledge;
        match newest.role {
            Role::Replies(Replies::On) => self.replies = Replies::On,
            Role::Replies(Replies::Off) => {
                self.replies = Replies::Off;
                newest.silent = true;
            }
            Role::Replies(Replies::Skip) => {
                // Has no effect where nothing is answered anyway.
                self.skip_next = self.replies == Replies::On;
                newest.silent = true;
            }
            _ => newest.silent |= skipped || self.replies == Replies::Off,
        }
        if self.queue.len() == 1 {
            self.settle(out);
        }
    }

    /// The server's stream can't be followed any more.
    pub(super) fn lose_server(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        let at = out.now();
        self.reason = reason;
        self.ahead.lose();
        self.lose_replies();
        match self.queue.front_mut() {
            Some(front) => front.lose(reason, bytes),
            None if bytes > 0 => self.notice("bytes of the server are missing", at, Some(bytes), out),
            None => {}
        }
        // A command that is still being sent may be answered yet.
        let open = self.queue.back().is_some_and(|n| !n.complete);
        if !open {
            self.give_up(reason, out);
        }
        if !matches!(self.mode, Mode::Replica(_)) {
            self.mode = Mode::Commands;
        }
    }

    /// The client's stream can't be followed any more.
    pub(super) fn lose_client(&mut self, reason: IncompleteReason, bytes: u64, out: &mut Out<'_>) {
        self.client.lose();
        self.ahead.lose();
        self.intake = Intake::default();
        self.reason = reason;
        let at = out.now();
        match self.queue.back_mut().filter(|n| !n.complete) {
            Some(newest) => {
                newest.complete = true;
                newest.lose(reason, bytes);
            }
            None if bytes > 0 => self.notice("bytes of the client are missing", at, Some(bytes), out),
            None => {}
        }
        // Commands that were never seen may have changed anything, and may have replies.
        self.session.namespace.clear();
        self.session.user.clear();
        self.transaction_lost = true;
        self.skip_next = false;
        self.doubtful = true;
        if self.queue.is_empty() {
            self.lose_replies();
        }
    }

    /// Whether what the server says now answers the oldest command that waits: everything that waits was sent since it last spoke.
    pub(super) fn is_turn(&self, fresh: bool, before: Nanos) -> bool {
        let Some(front) = self.queue.front() else { return false };
        fresh && !self.doubtful && self.ahead.answers(front.start, before)
    }
}

impl Decode for RedisDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
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

    fn gap(&mut self, direction: Direction, _tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
        let (reason, bytes) = match lost {
            Lost::Bytes(n) => (IncompleteReason::Gap, n),
            Lost::Limit(n) => (IncompleteReason::Limit, n),
            Lost::Unknown => {
                (self.is_new, self.doubtful) = (false, true);
                self.session = Session::default();
                self.client = Step::new(false);
                self.server = Step::new(false);
                return Next::More { used: 0, need: 0 };
            }
        };
        match direction {
            Direction::ToServer if self.client.in_step => {
                if self.client.fresh && self.intake.state == State::Start && !self.queue.is_empty() {
                    self.note_turn(false);
                }
                // The end of an argument whose length is known is not lost with its bytes, unless it says what comes next.
                if let State::Data(left) = self.intake.state
                    && bytes < left
                    && self.intake.number >= 2
                    && self.queue.back().is_some_and(|n| !n.name.is(b"CLIENT"))
                {
                    if let Some(newest) = self.queue.back_mut() {
                        newest.lose(reason, bytes);
                        newest.text_len = newest.text_len.saturating_add(left);
                    }
                    self.intake.lose_argument();
                    return Next::Skip { used: 0, then: left - bytes };
                }
                self.lose_client(reason, bytes, out);
            }
            Direction::ToServer => self.client.lose(),
            Direction::ToClient => {
                // It spoke, whatever it said.
                self.client.fresh = true;
                self.server.last = out.now();
                if self.server.in_step {
                    self.lose_server(reason, bytes, out);
                } else {
                    self.lose_replies();
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
        let heard = if self.reader.is_between() { Nanos(0) } else { self.server.last };
        if front.complete && !front.reported && now >= front.start.max(heard) + timeout {
            self.report_front(Outcome::Incomplete(IncompleteReason::Timeout), out);
            if let Some(front) = self.queue.front_mut() {
                front.reported = true;
            }
        }
        self.queue.front().is_some_and(|front| !front.reported) || self.queue.len() > 1
    }

    fn end(&mut self, why: End, _tails: [Window<'_>; 2], out: &mut Out<'_>) {
        let reason = match why {
            End::Evicted => IncompleteReason::Evicted,
            End::Idle => IncompleteReason::Timeout,
            End::Fin | End::Rst | End::Reused | End::Eof => IncompleteReason::Eof,
        };
        let reason = if self.server.in_step { reason } else { self.reason };
        self.give_up(reason, out);
        self.replication_ends(out);
    }

    fn retained(&self) -> usize {
        self.queue.retained()
            + self.transaction.retained()
            + self.reader.retained()
            + self.session.namespace.capacity()
            + self.session.user.capacity()
    }
}

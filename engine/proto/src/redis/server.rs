//! The server's direction: replies, paired with the commands that wait; messages of subscriptions; the stream to a replica.

use sniff_x_flow::Nanos;

use super::begins::begins_reply;
use super::decoder::RedisDecoder;
use super::replica::{Copy, Replica, Stage};
use super::reply::Step;
use super::report::{self, Outcome};
use super::request::{Request, Role};
use super::resp::{self, Kind};
use super::summary::Summary;
use crate::event::IncompleteReason;
use crate::{BypassReason, Next, Out, Window};

/// What the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Replies to commands, and messages of subscriptions.
    Commands,
    /// A line for each command that any client sends.
    Monitor,
    /// The data and its changes.
    Replica(Replica),
}

impl RedisDecoder {
    pub(super) fn server_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        let before = core::mem::replace(&mut self.server.last, window.seen_at(bytes.len()));
        let fresh = core::mem::take(&mut self.server.fresh);
        if !self.server.in_step {
            let turn = self.is_turn(fresh, before) || core::mem::take(&mut self.server.trying);
            match if turn { begins_reply(bytes) } else { Some(false) } {
                Some(true) => self.server.in_step = true,
                Some(false) => return all,
                None => {
                    self.server.trying = true;
                    return Next::More { used: 0, need: 0 };
                }
            }
        }
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return all;
            }
            if let Mode::Replica(replica) = self.mode
                && replica.stage != Stage::Changes
            {
                match self.copy(rest, replica) {
                    Copy::Used(used) => at += used,
                    Copy::Skip(used, then) => return Next::Skip { used: at + used, then },
                    Copy::More(used) => return Next::More { used: at + used, need: 0 },
                    Copy::Bad => return self.malformed(window.seen_at(at), bytes.len(), out),
                }
                continue;
            }
            if self.reader.is_between() {
                // A line feed between replies keeps a connection alive.
                if let ([b'\n', ..], Mode::Replica(_)) = (rest, self.mode) {
                    at += 1;
                    continue;
                }
                if self.copy_comes(rest) {
                    self.copy_begins(window.seen_at(at), out);
                    continue;
                }
                self.reply_begins(out);
            }
            match self.reader.step(rest) {
                Step::More if rest.len() >= resp::MAX_LINE => {
                    return self.malformed(window.seen_at(at), bytes.len(), out);
                }
                Step::More => return Next::More { used: at, need: 0 },
                Step::Used(used) => at += used,
                Step::Skip(used, then) => return Next::Skip { used: at + used, then },
                Step::Element(used) => {
                    at += used;
                    self.element(window.seen_at(at.saturating_sub(1)), out);
                }
                Step::Done(used) => {
                    at += used;
                    let end = window.seen_at(at.saturating_sub(1));
                    if self.reader.ends_with_element() {
                        self.element(end, out);
                    }
                    if let Err(what) = self.reply(end, out) {
                        if self.client.in_step && !self.doubtful {
                            self.notice(what, end, None, out);
                        }
                        self.note_turn(false);
                        self.lose_replies();
                        return all;
                    }
                }
                Step::Bad => return self.malformed(window.seen_at(at), bytes.len(), out),
            }
        }
    }

    fn malformed(&mut self, at: Nanos, used: usize, out: &mut Out<'_>) -> Next {
        if self.is_new && self.queue.is_empty() {
            self.notice("not a Redis connection", at, None, out);
            return Next::Bypass(BypassReason::NotThisProtocol);
        }
        self.notice("a reply is malformed", at, None, out);
        self.lose_server(IncompleteReason::Midstream, 0, out);
        Next::More { used, need: 0 }
    }

    /// How much of the reply that begins is kept.
    fn reply_begins(&mut self, out: &Out<'_>) {
        let is_exec = self.queue.front().is_some_and(|f| f.complete && f.role == Role::Exec);
        let listens = self.mode == Mode::Monitor || self.subscriptions > 0;
        // Errors are shown whole, messages too; of other replies the beginning.
        let limit = if listens { out.max_text() } else { self.settings.reply.max(SHORT) };
        self.reader.begin(limit, is_exec && self.mode == Mode::Commands);
    }

    /// A value inside EXEC's reply: the result of a command of the transaction.
    fn element(&mut self, end: Nanos, out: &mut Out<'_>) {
        if self.transaction_lost || self.reader.whole.kind != Kind::Array {
            return;
        }
        let Some(request) = self.transaction.front().copied() else {
            self.transaction_lost = true;
            return;
        };
        let reply = &self.reader.element;
        let outcome = Outcome::Reply { reply, end, show: self.settings.reply };
        report::report(&self.session, &request, self.transaction.front_bytes(), outcome, out);
        self.transaction.pop();
        let failed = self.reader.element.kind == Kind::Error;
        if request.role == Role::Select && !failed {
            self.set_namespace(request.first.as_bytes());
        }
    }

    /// A whole reply came, or a message. An error says what is wrong with it.
    fn reply(&mut self, end: Nanos, out: &mut Out<'_>) -> Result<(), &'static str> {
        let whole = &self.reader.whole;
        if let Mode::Replica(replica) = &mut self.mode {
            replica.commands += 1;
            replica.changed += whole.size;
            return Ok(());
        }
        let role = self.queue.front().filter(|f| f.complete).map(|f| f.role);
        // A time stands in front of each line.
        let is_line = whole.kind == Kind::Status && whole.text.first().is_some_and(u8::is_ascii_digit);
        if self.mode == Mode::Monitor && is_line {
            report::monitored(&self.session, whole, end, out);
            return Ok(());
        }
        let is_push = whole.kind == Kind::Push;
        let confirms = matches!(role, Some(Role::Subscribe | Role::Unsubscribe));
        // An array of a client that subscribed to nothing is a reply, whatever it holds.
        let listens = whole.kind == Kind::Array && (confirms || self.subscriptions > 0 && !self.pushes);
        if is_push || listens {
            let word = whole.text.split(|b| *b == b' ').next().unwrap_or_default();
            let is_message = matches!(word, b"message" | b"pmessage" | b"smessage");
            if is_push && !is_confirmation(word) || is_message {
                report::message(&self.session, whole, end, out);
                return Ok(());
            }
            if is_confirmation(word) {
                self.subscriptions = whole.last_integer.unwrap_or(0);
                self.pushes = is_push;
                let is_its_own = self.queue.front().is_some_and(|front| front.name.is(word));
                if !confirms || !is_its_own {
                    // Of a channel that nobody named, or that the server took away; of those that a command before stands for.
                    return Ok(());
                }
            }
        }
        if self.is_new && !self.doubtful && self.queue.is_empty() && whole.kind == Kind::Error {
            // Too many clients, or none from elsewhere.
            report::rejected(&self.session, whole, end, out);
            self.is_new = false;
            return Ok(());
        }
        let Some(front) = self.queue.front_mut() else {
            return Err("a reply without a command");
        };
        if !front.complete {
            // The server answers what is still being sent: it refuses it.
            if whole.kind != Kind::Error {
                return Err("a reply comes before its command is whole");
            }
        } else if front.replies > 1 && whole.kind != Kind::Error {
            front.replies -= 1;
            return Ok(());
        }
        if !fits(front.role, whole) {
            return Err("a reply does not fit its command");
        }
        self.is_new = false;
        self.answered(end, out);
        Ok(())
    }

    /// The oldest command has its reply.
    fn answered(&mut self, end: Nanos, out: &mut Out<'_>) {
        let Some(front) = self.queue.front() else { return };
        let whole = &self.reader.whole;
        let failed = whole.kind == Kind::Error;
        let (role, loss) = (front.role, front.loss);
        if self.in_transaction && whole.kind == Kind::Status && whole.text == b"QUEUED" {
            return self.queued(out);
        }
        if let Some(loss) = loss {
            // It may have been EXEC.
            self.give_up_transaction(loss.reason, out);
        }
        if matches!(role, Role::Exec | Role::Discard) {
            self.transaction_ends(role == Role::Exec, end, out);
        }
        let outcome = Outcome::Reply { reply: &self.reader.whole, end, show: self.settings.reply };
        if let Some(front) = self.queue.front().filter(|f| !f.reported) {
            report::report(&self.session, front, self.queue.front_bytes(), outcome, out);
        }
        if !failed
            && role != Role::Plain
            && let Some(front) = self.queue.front().copied()
        {
            self.note_reply(&front, end);
        }
        if let (Mode::Replica(_), Role::Replicate) = (self.mode, role) {
            report::replicates(&self.session, end, out);
        }
        self.pop(out);
    }

    /// The oldest command waits for EXEC.
    fn queued(&mut self, out: &mut Out<'_>) {
        const MAX_QUEUED: usize = 4096;
        if let Some(front) = self.queue.front().copied() {
            if self.transaction.len() < MAX_QUEUED {
                self.transaction.push(front);
                self.transaction.keep(self.queue.front_bytes(), out.max_text());
            } else {
                self.transaction_lost = true;
                self.report_front(Outcome::Incomplete(IncompleteReason::Limit), out);
            }
        }
        self.pop(out);
    }

    /// EXEC or DISCARD was answered: what is left of the transaction was not carried out, or its results can't be told apart.
    fn transaction_ends(&mut self, executes: bool, end: Nanos, out: &mut Out<'_>) {
        let ran = executes && self.reader.whole.kind == Kind::Array;
        while let Some(front) = self.transaction.front() {
            let outcome = if ran { Outcome::Incomplete(self.reason) } else { Outcome::NotRun(end) };
            report::report(&self.session, front, self.transaction.front_bytes(), outcome, out);
            self.transaction.pop();
        }
        (self.in_transaction, self.transaction_lost) = (false, false);
    }

    /// What a command that went well changes.
    fn note_reply(&mut self, request: &Request, end: Nanos) {
        match request.role {
            Role::Select => self.set_namespace(request.first.as_bytes()),
            Role::Login if !request.user.is_empty() => self.set_user(request.user.as_bytes()),
            Role::Login if request.name.is(b"AUTH") => self.set_user(b"default"),
            Role::Multi => (self.in_transaction, self.transaction_lost) = (true, false),
            Role::Monitor => self.mode = Mode::Monitor,
            Role::Reset => {
                self.set_namespace(b"0");
                self.set_user(b"default");
                (self.mode, self.subscriptions, self.in_transaction) = (Mode::Commands, 0, false);
            }
            Role::Replicate => {
                let copies = !self.reader.whole.text.starts_with(b"CONTINUE");
                let stage = if copies { Stage::Header } else { Stage::Changes };
                self.mode = Mode::Replica(Replica::new(stage, end));
            }
            _ => {}
        }
    }

    fn set_namespace(&mut self, namespace: &[u8]) {
        // A command that was lost behind this one may have chosen another.
        self.session.set_namespace(if self.doubtful { b"" } else { namespace });
    }

    fn set_user(&mut self, user: &[u8]) {
        self.session.set_user(if self.doubtful { b"" } else { user });
    }
}

/// Whether a reply may be that to a command that does this; confirmations of subscriptions are looked at before.
fn fits(role: Role, reply: &Summary) -> bool {
    if reply.kind == Kind::Error || reply.kind == Kind::Status && reply.text == b"QUEUED" {
        return true;
    }
    match role {
        Role::Subscribe | Role::Unsubscribe => {
            let word = reply.text.split(|b| *b == b' ').next().unwrap_or_default();
            is_confirmation(word) && matches!(reply.kind, Kind::Push | Kind::Array)
        }
        Role::Exec => matches!(reply.kind, Kind::Array | Kind::Nil),
        Role::Select | Role::Multi | Role::Discard | Role::Monitor | Role::Reset | Role::Quit => {
            reply.kind == Kind::Status
        }
        Role::Login => matches!(reply.kind, Kind::Status | Kind::Map | Kind::Array),
        _ => true,
    }
}

/// What is always kept of a reply: status words and the first words of messages.
const SHORT: usize = 512;

fn is_confirmation(word: &[u8]) -> bool {
    matches!(
        word,
        b"subscribe" | b"psubscribe" | b"ssubscribe" | b"unsubscribe" | b"punsubscribe" | b"sunsubscribe"
    )
}

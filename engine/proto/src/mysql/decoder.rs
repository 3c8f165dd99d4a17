//! The decoder of one connection: what both directions share, losses, time-outs, the end.

use std::sync::Arc;

use sniff_x_flow::{Direction, End, Nanos};

use super::command::{Command, Shape};
use super::compression::Compression;
use super::exchange::{Exchange, Queue};
use super::execution::{Execution, Values};
use super::parameters::Types;
use super::report::{NAME, Outcome, Sources};
use super::response::Response;
use super::session::{LoginEnd, Session};
use super::settings::Settings;
use super::statements::Statements;
use crate::event::{IncompleteReason, Key, Kind};
use crate::{Decode, Lost, Next, Out, ProxiedClient, Sensitivity, Window};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server speaks first.
    Greeting,
    /// Then the client logs in.
    Login,
    /// Authentication goes back and forth.
    Auth,
    /// Commands and their responses.
    Command,
    /// QUIT was sent, or the login was rejected: nothing follows.
    Over,
}

/// One direction's place in its stream.
#[derive(Debug)]
pub(super) struct Step {
    /// The next byte is known to begin a packet, or to be inside one whose end is known.
    pub(super) in_step: bool,
    /// The other side spoke since this one did: what comes now begins a message.
    pub(super) fresh: bool,
    /// The bytes kept may be the beginning of a message; more are needed to tell.
    pub(super) trying: bool,
    /// How many bytes are kept for it.
    pub(super) kept: usize,
    /// Bytes are missing behind its last byte.
    pub(super) broken: bool,
    /// When its last byte was seen.
    pub(super) last: Nanos,
}

impl Step {
    pub(super) fn new(in_step: bool) -> Self {
        Self { in_step, fresh: true, trying: false, kept: 0, broken: false, last: Nanos(0) }
    }

    /// Out of step: what comes is passed over until a message is recognised.
    pub(super) fn lose(&mut self) {
        self.in_step = false;
        self.trying = false;
        self.fresh = false;
        self.broken = true;
    }
}

/// After a client was seen sending ahead, so many exchanges in turn make it one that does not.
pub(super) const SENDS_AHEAD: u8 = 16;

/// Decodes one MySQL or MariaDB connection.
#[derive(Debug)]
pub struct MysqlDecoder {
    pub(super) settings: Arc<Settings>,
    pub(super) phase: Phase,
    pub(super) session: Session,
    /// Whether EOF packets behind definitions are left out; none when the login was not seen and nothing has told yet.
    pub(super) deprecate_eof: Option<bool>,
    pub(super) client: super::client::Client,
    pub(super) server: Step,
    /// Requests that came while the server's bytes were kept: those bytes belong to one that was given up.
    pub(super) stale: u8,
    /// The sequence id of an EOF packet that may follow a prepare whose event is out.
    pub(super) stray_eof: Option<u8>,
    pub(super) queue: Queue,
    pub(super) statements: Statements,
    pub(super) response: Response,
    /// Why exchanges are incomplete while the server is out of step.
    pub(super) reason: IncompleteReason,
    /// What the client sends first may be a proxy's header.
    pub(super) expects_proxy: bool,
    /// Who speaks behind a proxy.
    pub(super) proxied: Option<ProxiedClient>,
    /// Above 0: the client sends requests before it has the responses to earlier ones.
    pub(super) ahead: u8,
    /// Of the compressed frames that packets come in, the sequence ids (to server, to client); none while packets are not compressed.
    pub(super) frames: Option<[u8; 2]>,
    /// Where they stand in them; none while it is at work.
    pub(super) compression: Option<Box<Compression>>,
}

impl MysqlDecoder {
    /// A decoder for a connection that begins, or is joined in the middle.
    pub(super) fn new(midstream: bool, settings: Arc<Settings>) -> Self {
        Self {
            session: Session::new(settings.clone()),
            settings,
            phase: if midstream { Phase::Command } else { Phase::Greeting },
            deprecate_eof: None,
            client: super::client::Client::new(Step::new(!midstream)),
            server: Step::new(!midstream),
            stale: 0,
            stray_eof: None,
            queue: Queue::default(),
            statements: Statements::default(),
            response: Response::default(),
            reason: IncompleteReason::Midstream,
            expects_proxy: true,
            proxied: None,
            ahead: 0,
            frames: None,
            compression: None,
        }
    }

    /// Goes on with other options; false while parameters of requests under way are kept, or not, as the old ones said.
    pub(super) fn renew(&mut self, settings: &Arc<Settings>) -> bool {
        if self.settings.parameters != settings.parameters && !self.queue.is_empty() {
            return false;
        }
        self.session.renew(settings.clone());
        self.settings = settings.clone();
        true
    }

    /// Writes the event of a result of the oldest request, and notes the types that it binds, which hold for the next execution.
    pub(super) fn report(&mut self, outcome: Outcome<'_>, end: Nanos, out: &mut Out<'_>) {
        let Some(exchange) = self.queue.front() else { return };
        let command = exchange.command;
        let id = exchange.statement.map(|id| self.statements.resolve(id));
        let statement = id.filter(|_| command.uses_statement()).and_then(|id| self.statements.get(id));
        let values = (self.settings.parameters && command.has_values()).then(|| {
            let execution = Execution { exchange, statement, named: self.session.names_parameters() };
            Values::read(execution, self.queue.parameters(exchange))
        });
        if !exchange.reported {
            let sources = Sources {
                settings: &self.settings,
                session: &self.session,
                queue: &self.queue,
                id,
                statement,
                values: values.as_ref(),
                response: &self.response,
            };
            sources.report(exchange, outcome, end, out);
        }
        if let Some(id) = id
            && let Some(bound) = values.and_then(|values| values.rebinds())
        {
            // Seldom: most executions bind what the last one did.
            let bytes = bound.map_or(Vec::new(), |types| types.bytes.to_vec());
            let bound = bound.map(|types| Types { bytes: &bytes, ..types });
            self.statements.bind(id, bound);
        }
    }

    /// When either side was last seen.
    fn last_seen(&self, out: &Out<'_>) -> Nanos {
        out.flow().first_seen.max(self.server.last).max(self.client.step.last)
    }

    /// Says something that belongs to no exchange.
    pub(super) fn notice(&self, what: &str, at: Nanos, lost: Option<u64>, out: &mut Out<'_>) {
        let facts = || self.session.facts(Kind::Notice, None);
        if !self.settings.want(facts) {
            return out.withhold();
        }
        out.event(NAME, Kind::Notice, at)
            .text(Key::NOTICE, what.as_bytes(), Sensitivity::Public)
            .maybe(lost, |e, n| e.number(Key::GAP_BYTES, n))
            .emit();
    }

    /// Tells of requests at the front that have no response.
    pub(super) fn settle(&mut self, out: &mut Out<'_>) {
        while let Some(front) = self.queue.front() {
            let command = front.command;
            if !front.complete || command.shape() != Shape::None {
                return;
            }
            let (end, id) = (front.end, front.statement);
            self.report(Outcome::OneWay, end, out);
            match (command, id) {
                (Command::QUIT, _) => self.phase = Phase::Over,
                (Command::STMT_CLOSE, Some(id)) => self.statements.close(self.statements.resolve(id)),
                // Any of them.
                (Command::STMT_CLOSE, None) => self.statements.clear(),
                (Command::STMT_SEND_LONG_DATA, _) => self.add_long_data(out.max_text()),
                _ => {}
            }
            self.pop();
        }
    }

    /// The oldest request is a part of a parameter's value.
    fn add_long_data(&mut self, max: usize) {
        let Some(front) = self.queue.front() else { return };
        let parameter = front.argument.and_then(|a| u16::try_from(a).ok());
        let (Some(id), Some(parameter)) = (front.statement, parameter) else {
            // It may be any statement's.
            return self.statements.clear();
        };
        let id = self.statements.resolve(id);
        let (part, lost) = (self.queue.parameters(front), front.loss.is_some());
        self.statements.add_long_data(id, parameter, part, front.text_len, max, lost);
    }

    /// Forgets the oldest request and what was seen of its response.
    pub(super) fn pop(&mut self) {
        let uses_long_data = |f: &&Exchange| f.command.has_values() || f.command == Command::STMT_RESET;
        if let Some(front) = self.queue.front().filter(uses_long_data)
            && let Some(id) = front.statement
        {
            // The server throws it away too, whatever the outcome and whether that was seen or not.
            self.statements.clear_long_data(self.statements.resolve(id));
        }
        self.queue.pop();
        self.response = Response::default();
    }

    /// Bytes in order of a direction, which packets are cut from.
    pub(super) fn plain_data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        match direction {
            Direction::ToServer => self.client_data(window, out),
            Direction::ToClient => self.server_data(window, out),
        }
    }
}

impl Decode for MysqlDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        out.set_proxied(self.proxied);
        match direction {
            Direction::ToServer => {
                if let Some(next) = self.preface(&window) {
                    return next;
                }
                self.server.fresh = true;
            }
            Direction::ToClient => self.client.step.fresh = true,
        }
        if self.frames.is_some() {
            return self.compressed_data(direction, window, 0, out);
        }
        match self.plain_data(direction, window, out) {
            // What follows is compressed.
            Next::Skip { used, then: 0 } if self.frames.is_some() => {
                self.compressed_data(direction, window, used, out)
            }
            next => next,
        }
    }

    fn gap(&mut self, direction: Direction, tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
        if self.frames.is_some() {
            return self.compressed_gap(direction, lost, out);
        }
        self.plain_gap(direction, tail, lost, true, out)
    }

    fn datagram(&mut self, _: Direction, window: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: window.bytes.len(), need: 0 }
    }

    fn tick(&mut self, now: Nanos, out: &mut Out<'_>) -> bool {
        out.set_proxied(self.proxied);
        let timeout = out.exchange_timeout();
        if matches!(self.phase, Phase::Login | Phase::Auth) {
            let waits = self.session.begun().unwrap_or(self.last_seen(out));
            if now < waits + timeout {
                return true;
            }
            self.lose_handshake(Direction::ToClient, IncompleteReason::Timeout, 0, now, out);
            self.server.lose();
            self.reason = IncompleteReason::Timeout;
            return false;
        }
        if self.queue.is_empty() {
            self.queue.shrink();
            return false;
        }
        let heard = if self.response.started { self.server.last } else { Nanos(0) };
        let late = |start: Nanos| now >= start.max(heard) + timeout;
        if self.queue.len() > 1 && self.queue.back().is_some_and(|b| b.complete && late(b.start)) {
            // Nothing of all that waits will come.
            self.give_up(0, IncompleteReason::Timeout, out);
            self.server.lose();
            self.reason = IncompleteReason::Timeout;
            return false;
        }
        let front_is_late = self.queue.front().is_some_and(|f| f.complete && !f.reported && late(f.start));
        if front_is_late {
            self.report(Outcome::Incomplete(IncompleteReason::Timeout), now, out);
            if let Some(front) = self.queue.front_mut() {
                front.reported = true;
            }
        }
        self.queue.iter_mut().any(|e| !e.reported)
    }

    fn end(&mut self, why: End, [tail, _]: [Window<'_>; 2], out: &mut Out<'_>) {
        out.set_proxied(self.proxied);
        let reason = match why {
            End::Evicted => IncompleteReason::Evicted,
            End::Idle => IncompleteReason::Timeout,
            End::Fin | End::Rst | End::Reused | End::Eof => IncompleteReason::Eof,
        };
        let reason = if self.server.in_step { reason } else { self.reason };
        self.release_compression(out);
        match self.phase {
            Phase::Login | Phase::Auth => {
                let at = self.last_seen(out);
                self.session.report(LoginEnd::Unknown(reason, 0), at, out);
            }
            Phase::Greeting | Phase::Command => {
                self.give_up(0, reason, out);
                if matches!(why, End::Fin | End::Rst) && self.frames.is_none() {
                    self.last_words(tail, out);
                }
            }
            Phase::Over => {}
        }
    }

    fn retained(&self) -> usize {
        let shortener = self.client.shortener.as_ref().map_or(0, |s| s.retained());
        let compression = self.compression.as_ref().map_or(0, |c| c.retained());
        let session = self.session.retained();
        self.queue.retained() + self.statements.retained() + session + shortener + compression
    }
}

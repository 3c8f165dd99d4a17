//! The server's direction: the greeting, the end of the login, then the response to the oldest request, packet by packet.

use sniff_x_flow::Nanos;

use super::command::{Command, Shape};
use super::decoder::{MysqlDecoder, Phase, SENDS_AHEAD};
use super::flags::{STATUS_CURSOR_EXISTS, STATUS_MORE_RESULTS};
use super::handshake::{Greeting, switched_auth_method};
use super::packet::{self, ColumnCount, Failure, Okay, Prepared};
use super::report::{Outcome, change_user};
use super::response::{Definitions, Stage};
use super::resync::{self, Look};
use super::session::LoginEnd;
use super::sql;
use super::wire::{HEADER, Header};
use crate::event::IncompleteReason;
use crate::{BypassReason, Next, Out, Window};

/// What to do after a look at a packet.
enum Then {
    /// It is done with, also the part of it that is not here yet.
    Pass,
    /// So many bytes of it, header included, are needed.
    Need(usize),
    /// The same packet is looked at again: it is the next stage's.
    Again,
    /// The stream can't be followed.
    Lost,
    Bypass(BypassReason),
}

/// Packets that are looked into are needed up to this length; what an event tells stands before it.
const MAX_PARSED: usize = 16 << 10;

/// A client that sends ahead is followed again after a loss when both sides were silent for so long (nanoseconds).
const SILENCE: u64 = 1_000_000_000;

/// One packet in the window.
#[derive(Clone, Copy)]
struct Packet<'w> {
    header: Header,
    /// The window from the packet's header on.
    rest: &'w [u8],
    /// Where the header stands in the window.
    at: usize,
    window: Window<'w>,
}

impl<'w> Packet<'w> {
    /// The payload, or as much of it as is ever looked at.
    fn payload(&self) -> Result<&'w [u8], Then> {
        let wanted = HEADER + self.header.len.min(MAX_PARSED);
        self.rest.get(HEADER..wanted).ok_or(Then::Need(wanted))
    }

    /// The payload's first byte; none for an empty packet.
    fn first(&self) -> Result<Option<u8>, Then> {
        match self.rest.get(HEADER) {
            _ if self.header.len == 0 => Ok(None),
            Some(first) => Ok(Some(*first)),
            None => Err(Then::Need(HEADER + 1)),
        }
    }

    /// When its last byte that is here was seen.
    fn seen(&self) -> Nanos {
        let len = (HEADER + self.header.len).min(self.rest.len());
        self.window.seen_at((self.at + len).saturating_sub(1))
    }
}

impl MysqlDecoder {
    pub(super) fn server_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        let before = core::mem::replace(&mut self.server.last, window.seen_at(bytes.len()));
        let mut fresh = core::mem::take(&mut self.server.fresh);
        let broken = core::mem::take(&mut self.server.broken);
        if self.phase == Phase::Over {
            return all;
        }
        let mut at = 0;
        if !self.server.in_step {
            match core::mem::take(&mut self.stale) {
                0 => {}
                1 => (at, fresh) = (self.server.kept, true),
                // Which of the requests it answers can't be told any more.
                _ => return all,
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let answers_login = self.phase == Phase::Auth && at > 0;
            let turn = fresh || (!broken && self.is_turn(before, window.seen_at(at)));
            match if answers_login { Look::Yes } else { self.find_response(rest, turn, before) } {
                Look::Yes => {
                    self.server.in_step = true;
                    self.client.unsure = false;
                }
                Look::More => {
                    self.server.kept = rest.len();
                    return Next::More { used: at, need: 0 };
                }
                Look::No | Look::Compressed => return all,
            }
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(header) = Header::parse(rest) else {
                return Next::More { used: at, need: HEADER };
            };
            let packet = Packet { header, rest, at, window };
            let then = match self.phase {
                Phase::Command => self.response_packet(&packet, out),
                Phase::Over => return all,
                Phase::Greeting | Phase::Login | Phase::Auth => self.handshake_packet(&packet, out),
            };
            match then.unwrap_or_else(|then| then) {
                Then::Pass => {
                    let whole = HEADER + header.len;
                    if let Some(missing) = whole.checked_sub(rest.len()).filter(|m| *m > 0) {
                        return Next::Skip { used: bytes.len(), then: missing as u64 };
                    }
                    at += whole;
                }
                Then::Again => {}
                Then::Need(need) => return Next::More { used: at, need },
                Then::Lost => return all,
                Then::Bypass(reason) => return Next::Bypass(reason),
            }
        }
    }

    /// Whether the newest request was captured between what the server said at `before` and what it says at `now`: it may have been handed on
    /// earlier, while a hole in front of the response held that up.
    fn is_turn(&self, before: Nanos, now: Nanos) -> bool {
        self.queue.back().is_some_and(|newest| before <= newest.end && newest.end < now)
    }

    /// Looks for the response to the newest request, or for a greeting, where the server may begin to speak (`turn`); `before` is when it
    /// spoke last.
    fn find_response(&mut self, bytes: &[u8], turn: bool, before: Nanos) -> Look {
        if !turn && !self.server.trying {
            return Look::No;
        }
        let look = match self.queue.back() {
            None if self.session.has_begun() || self.client.step.last > Nanos(0) => Look::No,
            None => greeting(bytes),
            Some(newest) => {
                let sure = self.ahead == 0 || newest.start.since(before) >= SILENCE;
                let single = newest.complete && self.queue.len() == 1;
                match newest.reply_seq.filter(|_| sure && single) {
                    Some(seq) => resync::response(newest.command, seq, self.session.caps, bytes),
                    None => Look::No,
                }
            }
        };
        if look == Look::Yes && self.queue.is_empty() {
            self.phase = Phase::Greeting;
            self.client.step.in_step = true;
        }
        self.server.trying = look == Look::More;
        look
    }

    fn handshake_packet(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let first = packet.first()?;
        match (self.phase, first) {
            (_, Some(packet::ERR)) => {
                let Some(error) = Failure::parse(packet.payload()?) else {
                    return Ok(self.handshake_malformed(packet, out));
                };
                self.session.report(LoginEnd::Rejected(error), packet.seen(), out);
                self.phase = Phase::Over;
                Ok(Then::Pass)
            }
            (Phase::Greeting, _) => {
                let greeting = Greeting::parse(packet.payload()?).filter(|_| packet.header.seq == 0);
                let Some(greeting) = greeting else {
                    Self::notice("not a MySQL greeting", packet.window.seen_at(packet.at), None, out);
                    return Ok(Then::Bypass(BypassReason::NotThisProtocol));
                };
                self.session.greeted(&greeting, packet.window.seen_at(packet.at));
                self.phase = Phase::Login;
                Ok(Then::Pass)
            }
            (Phase::Auth, Some(packet::OK)) => {
                let Some(ok) = packet::okay(packet.payload()?, self.session.protocol_41()) else {
                    return Ok(self.handshake_malformed(packet, out));
                };
                if let Some(schema) = ok.schema {
                    self.session.set_namespace(schema);
                }
                self.session.report(LoginEnd::Accepted, packet.seen(), out);
                self.phase = Phase::Command;
                if self.session.compressed() {
                    return Ok(Then::Bypass(BypassReason::Undecodable));
                }
                if self.client.doubtful {
                    self.forget_session();
                    return Ok(Then::Lost);
                }
                Ok(Then::Pass)
            }
            (Phase::Auth, Some(packet::EOF)) => {
                self.session.switches_auth(switched_auth_method(packet.payload()?));
                Ok(Then::Pass)
            }
            (Phase::Auth, Some(_)) => Ok(Then::Pass),
            _ => Ok(self.handshake_malformed(packet, out)),
        }
    }

    fn handshake_malformed(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Then {
        let at = packet.window.seen_at(packet.at);
        Self::notice("a packet of the handshake is malformed", at, None, out);
        Then::Bypass(BypassReason::Undecodable)
    }

    fn response_packet(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Header { len, seq } = packet.header;
        if let Some(stray) = self.stray_eof {
            if seq == stray && len == 5 && packet.first()? == Some(packet::EOF) {
                self.stray_eof = None;
                self.deprecate_eof = Some(false);
                return Ok(Then::Pass);
            }
            self.stray_eof = None;
        }
        let Some(front) = self.queue.front() else { return self.unasked(packet, out) };
        let expected = if self.response.started { self.response.seq } else { front.reply_seq };
        if expected.is_some_and(|e| e != seq) {
            return Ok(self.malformed("a packet of the server is out of sequence", packet, out));
        }
        if self.response.continues {
            self.response.passed(seq, len, packet.header.continues());
            return Ok(Then::Pass);
        }
        let Some(first) = packet.first()? else {
            return Ok(self.malformed("an empty packet in a response", packet, out));
        };
        if first == packet::ERR {
            return self.error(packet, out);
        }
        match self.response.stage {
            Stage::First => self.first_packet(first, packet, out),
            Stage::Definitions { left, of } => self.definition(left, of, first, packet, out),
            Stage::AfterDefinitions(of) => self.after_definitions(of, first, packet, out),
            Stage::Rows => self.row(first, packet, out),
            Stage::Fields => {
                if first == packet::EOF {
                    return self.end_of_rows(packet, out);
                }
                self.response.columns += 1;
                Ok(self.pass(packet))
            }
            Stage::Infile => self.okay(packet, out),
            Stage::Auth if first == packet::OK => self.okay(packet, out),
            Stage::Auth => {
                let then = self.pass(packet);
                self.response.seq = None;
                Ok(then)
            }
            Stage::Stream if packet::is_eof(first, len) => self.end_of_rows(packet, out),
            Stage::Stream => {
                self.response.rows += 1;
                Ok(self.pass(packet))
            }
        }
    }

    /// The packet is counted and done with.
    fn pass(&mut self, packet: &Packet<'_>) -> Then {
        self.response.passed(packet.header.seq, packet.header.len, packet.header.continues());
        Then::Pass
    }

    fn first_packet(&mut self, first: u8, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let shape = self.queue.front().map_or(Shape::None, |f| f.command.shape());
        match (shape, first) {
            (Shape::Results, packet::OK) | (Shape::Takeover | Shape::Auth, packet::OK) => {
                self.okay(packet, out)
            }
            (Shape::Results, packet::LOCAL_INFILE) => {
                let then = self.pass(packet);
                self.response.stage = Stage::Infile;
                self.response.infile = Some(0);
                self.response.seq = None;
                Ok(then)
            }
            (Shape::Results, packet::EOF) => Ok(self.malformed("an EOF in place of a result", packet, out)),
            (Shape::Results, _) => {
                let Some(count) = ColumnCount::parse(packet.payload()?, self.session.caps) else {
                    return Ok(self.malformed("the number of columns is malformed", packet, out));
                };
                self.response.columns = count.columns;
                self.response.stage = if count.definitions {
                    Stage::Definitions { left: count.columns, of: Definitions::Result }
                } else {
                    Stage::AfterDefinitions(Definitions::Result)
                };
                Ok(self.pass(packet))
            }
            (Shape::Simple, packet::OK | packet::EOF) => self.okay(packet, out),
            (Shape::Prepare, packet::OK) => self.prepared(packet, out),
            (Shape::Text, _) => {
                packet.payload()?;
                self.pass(packet);
                self.finish(Outcome::Done, packet, out);
                Ok(Then::Pass)
            }
            (Shape::Rows, _) => {
                self.response.stage = Stage::Rows;
                Ok(Then::Again)
            }
            (Shape::Fields, _) => {
                self.response.stage = Stage::Fields;
                Ok(Then::Again)
            }
            (Shape::Auth, _) => {
                self.response.stage = Stage::Auth;
                Ok(Then::Again)
            }
            (Shape::Stream, _) => {
                if first == packet::OK {
                    self.session.report_stream(packet.seen(), out);
                }
                self.response.stage = Stage::Stream;
                Ok(Then::Again)
            }
            _ => Ok(self.malformed("not the response that the command has", packet, out)),
        }
    }

    /// An OK packet, or an EOF packet in its place, that ends a result.
    fn okay(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Some(ok) = packet::okay_or_eof(packet.payload()?, self.session.protocol_41()) else {
            return Ok(self.malformed("an OK packet is malformed", packet, out));
        };
        self.pass(packet);
        let takeover = self.queue.front().is_some_and(|f| f.command.shape() == Shape::Takeover);
        self.result(Outcome::Okay(ok), ok, packet, out);
        if takeover {
            Self::notice("the connection goes on in another protocol", packet.seen(), None, out);
            return Ok(Then::Bypass(BypassReason::Undecodable));
        }
        Ok(Then::Pass)
    }

    /// The packet that ends rows, columns or a stream.
    fn end_of_rows(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Some(ok) = packet::okay_or_eof(packet.payload()?, self.session.protocol_41()) else {
            return Ok(self.malformed("the end of the rows is malformed", packet, out));
        };
        self.pass(packet);
        self.result(Outcome::Rows(ok), ok, packet, out);
        Ok(Then::Pass)
    }

    fn error(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Some(error) = Failure::parse(packet.payload()?) else {
            return Ok(self.malformed("an ERR packet is malformed", packet, out));
        };
        self.pass(packet);
        if !error.is_progress() {
            self.finish(Outcome::Failed(error), packet, out);
        }
        Ok(Then::Pass)
    }

    fn prepared(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Some(prepared) = Prepared::parse(packet.payload()?) else {
            return Ok(self.malformed("the answer to a prepare is malformed", packet, out));
        };
        self.pass(packet);
        if let Some(front) = self.queue.front() {
            if front.has_text && front.loss.is_none() {
                self.statements.insert(prepared.statement, self.queue.text(front), front.text_len);
            } else {
                self.statements.insert_unknown(prepared.statement);
            }
        }
        self.response.prepared = Some(prepared.statement);
        self.response.warnings = prepared.warnings;
        let columns = u64::from(prepared.columns);
        self.response.columns = columns;
        match (u64::from(prepared.parameters), columns) {
            (0, 0) => self.finish(Outcome::Done, packet, out),
            _ if !prepared.definitions => self.finish(Outcome::Done, packet, out),
            (0, left) => self.response.stage = Stage::Definitions { left, of: Definitions::Columns },
            (left, _) => {
                self.response.stage = Stage::Definitions { left, of: Definitions::Parameters(columns) }
            }
        }
        Ok(Then::Pass)
    }

    fn definition(
        &mut self,
        left: u64,
        of: Definitions,
        first: u8,
        packet: &Packet<'_>,
        out: &mut Out<'_>,
    ) -> Result<Then, Then> {
        const CATALOG_LENGTH: u8 = 3;
        if self.session.protocol_41() && first != CATALOG_LENGTH {
            return Ok(self.malformed("a column definition is malformed", packet, out));
        }
        // Without an EOF behind them the last definition is the response's end: its time is that of its last byte.
        let ends = left == 1
            && self.deprecate_eof != Some(false)
            && matches!(of, Definitions::Columns | Definitions::Parameters(0));
        if ends {
            packet.payload()?;
        }
        self.pass(packet);
        if ends {
            if self.deprecate_eof.is_none() {
                self.stray_eof = Some(packet.header.seq.wrapping_add(1));
            }
            self.finish(Outcome::Done, packet, out);
        } else if left > 1 {
            self.response.stage = Stage::Definitions { left: left - 1, of };
        } else {
            self.response.stage = Stage::AfterDefinitions(of);
        }
        Ok(Then::Pass)
    }

    fn after_definitions(
        &mut self,
        of: Definitions,
        first: u8,
        packet: &Packet<'_>,
        out: &mut Out<'_>,
    ) -> Result<Then, Then> {
        let is_eof = packet::is_eof(first, packet.header.len);
        if !is_eof {
            self.deprecate_eof = self.deprecate_eof.or(Some(true));
            match of {
                Definitions::Result => self.response.stage = Stage::Rows,
                Definitions::Parameters(left) if left > 0 => {
                    self.response.stage = Stage::Definitions { left, of: Definitions::Columns };
                }
                _ => return Ok(self.malformed("no EOF behind definitions", packet, out)),
            }
            return Ok(Then::Again);
        }
        self.deprecate_eof = Some(false);
        let eof = packet::eof(packet.payload()?);
        self.pass(packet);
        match of {
            Definitions::Result => {
                let executes = self.queue.front().is_some_and(|f| f.command == Command::STMT_EXECUTE);
                if executes && eof.status & STATUS_CURSOR_EXISTS != 0 {
                    self.result(Outcome::Rows(eof), eof, packet, out);
                } else {
                    self.response.stage = Stage::Rows;
                }
            }
            Definitions::Parameters(left) if left > 0 => {
                self.response.stage = Stage::Definitions { left, of: Definitions::Columns };
            }
            Definitions::Parameters(_) | Definitions::Columns => self.finish(Outcome::Done, packet, out),
        }
        Ok(Then::Pass)
    }

    fn row(&mut self, first: u8, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        // A row may begin with 0xfe, the mark of a length of eight bytes: then it fills its packet.
        if first == packet::EOF && !packet.header.continues() {
            return self.end_of_rows(packet, out);
        }
        self.response.rows += 1;
        Ok(self.pass(packet))
    }

    /// A result ended with `ok`: what it changed is noted, and more results may follow.
    fn result(&mut self, outcome: Outcome<'_>, ok: Okay<'_>, packet: &Packet<'_>, out: &mut Out<'_>) {
        self.report(outcome, packet.seen(), out);
        self.note_changes(ok);
        if ok.status & STATUS_MORE_RESULTS != 0 {
            self.response.next_result();
        } else {
            self.done(packet.seen(), out);
        }
    }

    /// The response is over.
    fn finish(&mut self, outcome: Outcome<'_>, packet: &Packet<'_>, out: &mut Out<'_>) {
        self.report(outcome, packet.seen(), out);
        self.done(packet.seen(), out);
    }

    fn done(&mut self, end: Nanos, out: &mut Out<'_>) {
        self.ahead = match self.queue.second() {
            Some(next) if next.start < end => SENDS_AHEAD,
            _ => self.ahead.saturating_sub(1),
        };
        self.pop();
        self.settle(out);
        if self.queue.is_empty() && self.client.doubtful {
            self.forget_session();
        }
    }

    /// What was lost behind the last request that was seen may have changed the session, and the next response may be to it.
    fn forget_session(&mut self) {
        self.session.changes_user(&[], &[]);
        self.statements.clear();
        self.server.lose();
    }

    /// The server carried a request out: what it changed in the session holds from now on.
    fn note_changes(&mut self, ok: Okay<'_>) {
        let Some(front) = self.queue.front() else { return };
        let text = self.queue.text(front);
        match front.command {
            Command::INIT_DB | Command::DROP_DB if front.loss.is_some() => self.session.set_namespace(&[]),
            Command::INIT_DB => self.session.set_namespace(text),
            Command::DROP_DB => self.session.selected(sql::Selects::Drop(text)),
            Command::CHANGE_USER => {
                let (user, namespace) = change_user(text);
                self.session.changes_user(user, namespace);
                self.statements.clear();
            }
            Command::RESET_CONNECTION => self.statements.clear(),
            Command::QUERY if ok.schema.is_none() => {
                let only = self.response.index == 0 && ok.status & STATUS_MORE_RESULTS == 0;
                let whole = front.has_text && front.loss.is_none();
                let statement = if only { Some(text) } else { sql::statement(text, self.response.index) };
                match statement.filter(|_| whole) {
                    Some(statement) => {
                        if let Some(selects) = sql::selects(statement) {
                            self.session.selected(selects);
                        }
                    }
                    None if self.may_select(front) => self.session.set_namespace(&[]),
                    None => {}
                }
            }
            _ => {}
        }
        if let Some(schema) = ok.schema {
            self.session.set_namespace(schema);
        }
    }

    /// The server speaks although nothing was asked.
    fn unasked(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        if packet.first()? == Some(packet::ERR)
            && let Some(error) = Failure::parse(packet.payload()?)
        {
            self.session.report_closed(&error, packet.seen(), out);
            self.phase = Phase::Over;
            return Ok(Then::Lost);
        }
        if self.client.step.in_step && !self.client.doubtful {
            let at = packet.window.seen_at(packet.at);
            Self::notice("a response without a request", at, None, out);
        }
        self.server.lose();
        Ok(Then::Lost)
    }

    /// A packet makes no sense: one notice tells so, with what is known of the exchange.
    fn malformed(&mut self, what: &'static str, packet: &Packet<'_>, out: &mut Out<'_>) -> Then {
        self.report(Outcome::Malformed(what), packet.seen(), out);
        self.pop();
        self.server.lose();
        self.reason = IncompleteReason::Midstream;
        let open = self.queue.back().is_some_and(|n| !n.complete);
        self.give_up(usize::from(open), IncompleteReason::Midstream, out);
        Then::Lost
    }
}

/// Whether a server's greeting begins here.
fn greeting(bytes: &[u8]) -> Look {
    let Some(header) = Header::parse(bytes) else { return Look::More };
    if header.seq != 0 || !(20..1024).contains(&header.len) {
        return Look::No;
    }
    match bytes.get(HEADER) {
        None => return Look::More,
        Some(9 | 10) => {}
        Some(_) => return Look::No,
    }
    match bytes.get(HEADER..HEADER + header.len) {
        None => Look::More,
        Some(payload) if Greeting::parse(payload).is_some() => Look::Yes,
        Some(_) => Look::No,
    }
}

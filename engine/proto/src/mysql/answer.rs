//! The response to the oldest request, packet by packet: results, rows, definitions, and what they change in the session.

use sniff_x_flow::Nanos;

use super::command::{Command, Shape};
use super::decoder::{MysqlDecoder, Phase, SENDS_AHEAD};
use super::flags::{STATUS_CURSOR_EXISTS, STATUS_MORE_RESULTS};
use super::packet::{self, ColumnCount, Failure, Okay, Prepared};
use super::report::{Outcome, change_user};
use super::response::{Definitions, Stage};
use super::server::{Packet, Then};
use super::sql;
use super::wire::{Cursor, HEADER, Header, MAX_PAYLOAD};
use crate::event::IncompleteReason;
use crate::{BypassReason, Out};

/// A stream that goes on is told of so often (nanoseconds).
const STREAM_TOLD: u64 = 60_000_000_000;

impl MysqlDecoder {
    /// One packet of the response to the oldest request.
    pub(super) fn response_packet(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let Header { len, seq } = packet.header;
        if let Some(stray) = self.stray_eof {
            if seq == stray && len == 5 && packet.first()? == Some(packet::EOF) {
                self.stray_eof = None;
                self.deprecate_eof = Some(false);
                return Ok(Then::Pass);
            }
            self.stray_eof = None;
        }
        self.lose_the_end_of_the_request();
        let Some(front) = self.queue.front() else { return self.unasked(packet, out) };
        let expected = if self.response.started { self.response.seq } else { front.reply_seq };
        if self.frames.is_none() && expected.is_some_and(|e| e != seq) {
            return Ok(self.malformed("a packet of the server is out of sequence", packet, out));
        }
        if self.response.continues {
            self.response.passed(seq, len, packet.header.continues());
            return Ok(Then::Pass);
        }
        let Some(first) = packet.first()? else {
            if self.response.stage == Stage::Auth {
                self.response.passed(seq, len, false);
                self.response.seq = None;
                return Ok(Then::Pass);
            }
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
                let then = self.pass(packet);
                self.stream_goes_on(packet.seen(), out);
                Ok(then)
            }
        }
    }

    /// Tells now and then how far a stream is that may go on for months.
    fn stream_goes_on(&mut self, now: Nanos, out: &mut Out<'_>) {
        if self.response.told == Nanos(0) {
            self.response.told = now;
        } else if now.since(self.response.told) >= STREAM_TOLD {
            self.response.told = now;
            self.report(Outcome::OneWay, now, out);
        }
    }

    /// A server answers what it has whole: where the end of the request, or of the file that it asked for, has not come here by then, it was lost
    /// on the way.
    fn lose_the_end_of_the_request(&mut self) {
        let missing = self.client.left as u64;
        let cut_file = self.response.stage == Stage::Infile && !self.response.file_ended;
        if (cut_file || !self.response.started)
            && let Some(front) = self.queue.front_mut().filter(|f| f.loss.is_none())
            && (cut_file || !front.complete)
        {
            front.lose(IncompleteReason::Gap, missing);
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
            self.notice("the connection goes on in another protocol", packet.seen(), None, out);
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
            let known = front.has_text && front.loss.is_none();
            let text = known.then(|| (out.stock().texts.share(self.queue.text(front)), front.text_len));
            self.statements.insert(prepared.statement, text, prepared.parameters);
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
        // A row may begin with 0xfe, the mark of a length of eight bytes. Then it fills its packet, or the length fits into it: what
        // stands there in an OK packet is far too much.
        if first == packet::EOF && !packet.header.continues() {
            let len = packet.header.len as u64;
            let cell = Cursor::new(packet.head(9)?).lenenc();
            if cell.is_none_or(|cell| cell.saturating_add(9) > len) {
                return self.end_of_rows(packet, out);
            }
        }
        self.response.rows += 1;
        Ok(self.pass(packet))
    }

    /// Steps over rows of which nothing but the number matters, in `bytes` from `at` on, as far as they are here whole; where the next packet begins.
    /// Any other packet, and one that is out of sequence, is left to [`MysqlDecoder::response_packet`].
    pub(super) fn pass_rows(&mut self, bytes: &[u8], at: usize) -> usize {
        let in_rows = self.phase == Phase::Command && self.response.stage == Stage::Rows;
        if !in_rows || self.response.continues || self.stray_eof.is_some() || self.queue.is_empty() {
            return at;
        }
        let Some(seq) = self.response.seq else { return at };
        let passed = pass_rows(bytes, at, seq);
        self.response.seq = Some(passed.seq);
        self.response.rows += passed.rows;
        self.response.size += (passed.at - at) as u64;
        passed.at
    }

    /// A result ended with `ok`: what it changed is noted, and more results may follow.
    fn result(&mut self, outcome: Outcome<'_>, ok: Okay<'_>, packet: &Packet<'_>, out: &mut Out<'_>) {
        self.report(outcome, packet.seen(), out);
        self.note_changes(ok);
        if ok.status & STATUS_MORE_RESULTS != 0 {
            let has_rows = matches!(outcome, Outcome::Rows(_));
            let next = match self.queue.front() {
                Some(front) if front.command == Command::QUERY => {
                    sql::next_result(self.queue.text(front), self.response.statement_at, has_rows)
                }
                _ => 0,
            };
            self.response.next_result(next);
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

    /// The server carried a request out: what it changed in the session holds from now on.
    fn note_changes(&mut self, ok: Okay<'_>) {
        self.session.note_status(ok.status);
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
                let at = self.response.statement_at;
                let rest = text.get(at..).unwrap_or_default();
                let cut = rest.is_empty() && front.text_len > text.len() as u64;
                if !front.has_text || front.loss.is_some() || cut {
                    self.session.set_namespace(&[]);
                } else if let Some(word) = sql::keyword(rest)
                    && matches!(word.as_bytes(), b"USE" | b"DROP")
                    && let Some(selects) = sql::selects(sql::statement(text, at))
                {
                    self.session.selected(selects);
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
            self.notice("a response without a request", at, None, out);
        }
        self.server.lose();
        Ok(Then::Lost)
    }

    /// A packet makes no sense: one notice tells so, with what is known of the exchange.
    fn malformed(&mut self, what: &'static str, packet: &Packet<'_>, out: &mut Out<'_>) -> Then {
        self.report(Outcome::Malformed(what), packet.seen(), out);
        self.pop();
        self.server.lose();
        self.reason = IncompleteReason::Malformed;
        let open = self.queue.back().is_some_and(|n| !n.complete);
        self.give_up(usize::from(open), IncompleteReason::Malformed, out);
        Then::Lost
    }
}

/// Rows that were stepped over.
struct Passed {
    rows: u64,
    /// Where the packet behind them begins, and its sequence id if nothing is amiss.
    at: usize,
    seq: u8,
}

/// Steps over the rows in `bytes` from `at` on whose sequence ids count up from `seq`. On its own, so that nothing but the loop wants registers.
#[inline(never)]
fn pass_rows(bytes: &[u8], mut at: usize, mut seq: u8) -> Passed {
    // Where a row begins is known only when the one before it has come from memory. Rows are often of one length: so a look at where those
    // further on would begin makes them come together.
    const AHEAD: usize = 4;
    let mut rows = 0;
    // More bytes than are wanted: a number's worth comes with one look. What ends the bytes is left to the caller.
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let head = u64::from_le_bytes(*head);
        let [a, b, c, row_seq, first, ..] = head.to_le_bytes();
        let len = Header::len_of([a, b, c]);
        let next = at + HEADER + len;
        let is_row = first < packet::EOF && len.wrapping_sub(1) < MAX_PAYLOAD - 1;
        if !is_row || row_seq != seq || next > bytes.len() {
            break;
        }
        sniff_x_prefetch::bytes(bytes, at + AHEAD * (HEADER + len), 1);
        seq = seq.wrapping_add(1);
        rows += 1;
        at = next;
    }
    Passed { rows, at, seq }
}

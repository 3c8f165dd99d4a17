//! A request: its command, what stands in front of its text, its place in the queue.

use sniff_x_flow::Nanos;

use super::client::{Head, MAX_LOGIN};
use super::command::{Command, Shape};
use super::decoder::{MysqlDecoder, SENDS_AHEAD};
use super::exchange::{Exchange, Keep, MAX_PENDING};
use super::execution::{Execution, Layout};
use super::flags::Caps;
use super::handshake::ChangeUser;
use super::parameters::{self, Skipped};
use super::shortener::{self, Shortener};
use super::value::Form;
use super::wire::{Cursor, HEADER, Header};
use crate::event::IncompleteReason;
use crate::{Out, Window};

impl MysqlDecoder {
    /// The first packet of a request.
    pub(super) fn request(
        &mut self,
        header: Header,
        rest: &[u8],
        window: &Window<'_>,
        at: usize,
        out: &mut Out<'_>,
    ) -> Head {
        if header.len == 0 {
            return self.client_malformed("an empty command", window.seen_at(at), out);
        }
        let payload = rest.get(HEADER..).unwrap_or_default();
        let payload = payload.get(..header.len).unwrap_or(payload);
        let Some((&first, body)) = payload.split_first() else {
            return Head::Need(HEADER + 1);
        };
        let command = Command(first);
        let streaming = self.queue.front().is_some_and(|f| f.command.shape() == Shape::Stream);
        if streaming && command.name().is_none() {
            // A replica's acknowledgement.
            return self.pass_over(header);
        }
        let body_len = header.len - 1;
        let fixed = command.fixed_part().min(body_len);
        if body.len() < fixed {
            return Head::Need(HEADER + 1 + fixed);
        }
        let max_text = out.max_text();
        let keeps_parameters = command.has_parameters() && self.settings.parameters;
        let is_long = keeps_parameters && command.has_values() && body_len - fixed > max_text;
        let head = fixed + shortener::MAX_HEAD.min(body_len - fixed);
        if is_long && body.len() < head {
            return Head::Need(HEADER + 1 + head);
        }
        let text_at = if command == Command::QUERY {
            match self.query_text_at(body, body_len) {
                Ok(text_at) => text_at,
                Err(need) => return Head::Need(HEADER + 1 + need),
            }
        } else {
            command.has_text().then_some(0)
        };

        self.make_room(command, window.seen_at(at), out);
        let mut exchange = Exchange::new(command, window.seen_at(at));
        let mut c = Cursor::new(body);
        exchange.statement = command.has_statement_id().then(|| c.u32()).flatten();
        exchange.argument = command.argument().and_then(|range| body.get(range)).map(number);
        exchange.flags = command.flags().and_then(|range| body.get(range)).map_or(0, flags);
        exchange.has_text = text_at.is_some();
        self.client.keep = match text_at {
            Some(_) => Keep::Text,
            None if keeps_parameters => Keep::Parameters,
            None => Keep::Nothing,
        };
        let mut read = text_at.unwrap_or(if command.has_parameters() { fixed } else { 0 });
        exchange.text_len = (body_len - read) as u64;
        self.queue.push(exchange);
        if command == Command::QUERY && self.settings.parameters {
            let attributes = body.get(..read).unwrap_or_default();
            self.queue.keep(Keep::Parameters, attributes, parameters::MAX_ATTRIBUTES);
        }
        if command == Command::CHANGE_USER
            && let Some(change) = ChangeUser::parse(body, self.session.caps)
        {
            for part in [change.user, &[0], change.database] {
                self.queue.keep(Keep::Text, part, MAX_LOGIN);
            }
        }
        self.client.shortener = None;
        if is_long && let Some(len) = self.shorten(body.get(fixed..).unwrap_or_default(), max_text) {
            read = fixed + len;
        }
        self.client.seq = header.seq;
        self.client.continues = header.continues();
        self.client.open = true;
        self.client.left = body_len - read;
        Head::Read(HEADER + 1 + read)
    }

    /// The newest request is an execution with more bytes than are kept: if its types are known its long values are cut. How many bytes stand in
    /// front of its values, which are kept.
    fn shorten(&mut self, body: &[u8], max: usize) -> Option<usize> {
        let alone = self.queue.len() == 1;
        let exchange = *self.queue.back()?;
        let named = self.session.names_parameters();
        let id = self.statements.resolve(exchange.statement?);
        let execution = Execution { exchange: &exchange, statement: self.statements.get(id), named };
        let mut c = Cursor::new(body);
        let layout = execution.layout(&mut c).ok()?;
        // Executions that wait may bind other types first.
        if !alone && layout.bound().is_none() {
            return None;
        }
        let shortener = match layout {
            Layout::Values(head) => Shortener::execution(&head, |i| execution.is_sent_ahead(i), max),
            Layout::Rows { types, .. } => Shortener::bulk(types, max),
        };
        let len = body.len() - c.rest().len();
        self.client.shortener = Some(Box::new(shortener?));
        self.queue.keep(Keep::Parameters, body.get(..len)?, shortener::MAX_HEAD);
        self.queue.back_mut()?.form = Form::Shortened;
        Some(len)
    }

    /// Where the text of a query begins behind its attributes: none when they can't be read; an error says how many bytes are needed.
    fn query_text_at(&mut self, body: &[u8], body_len: usize) -> Result<Option<usize>, usize> {
        let there = match self.session.caps {
            Some(caps) => caps.has(Caps::QUERY_ATTRIBUTES),
            None if body.len() < body_len.min(2) => return Err(body_len.min(2)),
            None => {
                let there = parameters::are_there(body);
                self.session.attributes_seen = Some(there);
                there
            }
        };
        if !there {
            return Ok(Some(0));
        }
        match parameters::skip(body) {
            Skipped::At(at) => Ok(Some(at)),
            Skipped::Malformed => Ok(None),
            Skipped::More => {
                let limit = body_len.min(parameters::MAX_ATTRIBUTES);
                if body.len() >= limit { Ok(None) } else { Err((body.len() * 2).max(32).min(limit)) }
            }
        }
    }

    /// A request comes: earlier ones whose responses will never be recognised are given up.
    fn make_room(&mut self, command: Command, time: Nanos, out: &mut Out<'_>) {
        if core::mem::take(&mut self.client.doubtful) && !self.queue.is_empty() {
            // The next response may be that of a request in between that was never seen.
            self.give_up(0, self.reason, out);
            self.server.lose();
        } else if !self.server.in_step {
            if let Some(newest) = self.queue.back() {
                let answered = self.server.last > newest.end || !self.server.fresh;
                self.ahead = if answered { self.ahead.saturating_sub(4) } else { SENDS_AHEAD };
            }
            if command.shape() != Shape::None {
                self.server_turn();
            }
            self.give_up(0, self.reason, out);
        } else if self.queue.len() >= MAX_PENDING {
            self.lose_server(IncompleteReason::Limit, 0, time, out);
            self.give_up(0, IncompleteReason::Limit, out);
        }
    }

    /// What the server says next answers what the client says now; what is kept of it does not.
    pub(super) fn server_turn(&mut self) {
        if core::mem::take(&mut self.server.trying) || self.stale > 0 {
            self.stale = self.stale.saturating_add(1);
        }
    }

    /// Begins the request that `tail` is the beginning of, if its command can be told.
    pub(super) fn cut_request(&mut self, tail: Window<'_>, out: &mut Out<'_>) {
        let Some(header) = Header::parse(tail.bytes).filter(|h| h.seq == 0 && h.len > 0) else { return };
        let Some((&first, body)) = tail.bytes.get(HEADER..).and_then(<[u8]>::split_first) else { return };
        let command = Command(first);
        if command.name().is_none() {
            return;
        }
        self.make_room(command, tail.seen_at(0), out);
        let mut exchange = Exchange::new(command, tail.seen_at(0));
        exchange.statement = command.has_statement_id().then(|| Cursor::new(body).u32()).flatten();
        exchange.end = tail.seen_at(tail.bytes.len());
        self.queue.push(exchange);
        self.client.seq = header.seq;
        self.client.continues = header.continues();
        (self.client.open, self.client.keep) = (true, Keep::Nothing);
        self.client.left = (HEADER + header.len).saturating_sub(tail.bytes.len());
    }
}

/// The flags of an execution, of one or two bytes.
fn flags(bytes: &[u8]) -> u16 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u16::from(*b))
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

//! Events of exchanges: how a request went, from what was seen of both sides.

use sniff_x_flow::Nanos;

use super::command::{Command, Shape};
use super::exchange::{Exchange, Queue};
use super::packet::{Failure, Okay};
use super::response::Response;
use super::secret;
use super::session::Session;
use super::sql;
use super::statements::Statements;
use crate::event::{IncompleteReason, Key, Kind, Status};
use crate::{EventBuilder, Out, Sensitivity};

/// The plugin's name.
pub(super) const NAME: &str = "mysql";

/// How a result ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    /// With an OK packet.
    Okay(Okay<'a>),
    /// All rows, or all columns, came.
    Rows(Okay<'a>),
    /// Well, without a number.
    Done,
    /// With an ERR packet.
    Failed(Failure<'a>),
    /// Nobody knows.
    Incomplete(IncompleteReason),
    /// There is no response: a one-way message.
    OneWay,
    /// The packets make no sense.
    Malformed(&'static str),
}

/// Writes the fields of an error.
pub(super) fn failure<'e>(event: EventBuilder<'e>, error: &Failure<'_>) -> EventBuilder<'e> {
    let mut digits = [0; 5];
    event
        .text(Key::DB_STATUS_CODE, decimal(error.code, &mut digits), Sensitivity::Public)
        .maybe(error.sqlstate, |e, s| e.text(Key::DB_SQLSTATE, s, Sensitivity::Public))
        .text(Key::ERROR_MESSAGE, error.message, Sensitivity::Literal)
}

/// The digits of `value`, without an allocation.
fn decimal(mut value: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut at = digits.len();
    while let Some(digit) = at.checked_sub(1).and_then(|i| digits.get_mut(i)) {
        // A remainder of ten is one digit.
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        at -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or_default()
}

/// The parts of a decoder that an event is made from.
pub(super) struct Sources<'a> {
    pub(super) session: &'a Session,
    pub(super) queue: &'a Queue,
    pub(super) statements: &'a mut Statements,
    pub(super) response: &'a Response,
}

impl Sources<'_> {
    /// Tells of one result of `exchange`, which ended at `end`.
    pub(super) fn report(self, exchange: &Exchange, outcome: Outcome<'_>, end: Nanos, out: &mut Out<'_>) {
        let Self { session, queue, statements, response } = self;
        let command = exchange.command;
        let public = Sensitivity::Public;
        let own = queue.text(exchange);
        let id = exchange.statement.map(|id| statements.resolve(id));
        let text = if command.has_statement() {
            exchange.has_text.then_some((own, exchange.text_len))
        } else if matches!(
            command,
            Command::STMT_EXECUTE | Command::STMT_BULK_EXECUTE | Command::STMT_FETCH | Command::STMT_RESET
        ) {
            id.and_then(|id| statements.text(id))
        } else {
            None
        };

        let kind = match outcome {
            Outcome::OneWay => Kind::Message,
            Outcome::Malformed(_) => Kind::Notice,
            _ => Kind::Exchange,
        };
        let mut event =
            out.event(NAME, kind, exchange.start).text(Key::DB_SYSTEM_NAME, session.system(), public);

        let keyword = match command {
            Command::QUERY | Command::STMT_EXECUTE | Command::STMT_BULK_EXECUTE => {
                text.and_then(|(text, _)| sql::keyword(text.get(response.statement_at..)?))
            }
            _ => None,
        };
        let name = command.name().unwrap_or("UNKNOWN").as_bytes();
        event =
            event.text(Key::DB_OPERATION_NAME, keyword.as_ref().map_or(name, sql::Keyword::as_bytes), public);
        let hidden = text.and_then(|(text, _)| secret::hide(text));
        if let Some((text, len)) = text {
            let whole = len == text.len() as u64;
            let shown = hidden.as_deref().unwrap_or(text);
            let len = if whole { shown.len() as u64 } else { len };
            event = event.cut_text(Key::DB_QUERY_TEXT, shown, len, Sensitivity::Literal);
        }
        let outcome = match outcome {
            // The server quotes what it stumbled over.
            Outcome::Failed(error) if hidden.is_some() => Outcome::Failed(error.without_quote()),
            outcome => outcome,
        };

        let (user, namespace) = match command {
            Command::INIT_DB | Command::CREATE_DB | Command::DROP_DB if exchange.loss.is_some() => {
                (session.user(), &[][..])
            }
            Command::INIT_DB | Command::CREATE_DB | Command::DROP_DB => (session.user(), own),
            Command::CHANGE_USER => change_user(own),
            _ => (session.user(), session.namespace()),
        };
        if command == Command::FIELD_LIST {
            let table = own.split(|b| *b == 0).next().unwrap_or_default();
            event = event.text(Key::DB_COLLECTION_NAME, table, public);
        }
        if !namespace.is_empty() {
            event = event.text(Key::DB_NAMESPACE, namespace, public);
        }
        if !user.is_empty() {
            event = event.text(Key::DB_USER, user, public);
        }
        if let Some(id) = id.or(response.prepared) {
            event = event.number(Key::DB_STATEMENT_ID, u64::from(id));
        }
        event = event.maybe(exchange.argument, |e, n| e.number(Key::MYSQL_ARGUMENT, n));
        if response.index > 0 {
            event = event.number(Key::DB_RESULT_INDEX, response.index);
        }
        result(event, exchange, response, outcome, end).emit();
    }
}

/// The user and the database that a CHANGE_USER request named, as [`super::client`] kept them.
pub(super) fn change_user(kept: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = kept.splitn(2, |b| *b == 0);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn result<'e>(
    mut event: EventBuilder<'e>,
    exchange: &Exchange,
    response: &Response,
    outcome: Outcome<'_>,
    end: Nanos,
) -> EventBuilder<'e> {
    if response.columns > 0 {
        event = event.number(Key::DB_COLUMNS, response.columns);
    }
    let rows = response.in_rows();
    let stream = exchange.command.shape() == Shape::Stream;
    if matches!(outcome, Outcome::Rows(_)) && !stream && exchange.command != Command::FIELD_LIST || rows {
        event = event.number(Key::DB_RETURNED_ROWS, response.rows);
    }
    if stream {
        event = event.number(Key::MYSQL_BINLOG_EVENTS, response.rows);
    }
    if let Some(bytes) = response.infile {
        event = event.number(Key::MYSQL_INFILE_SIZE, bytes);
    }
    let status = match outcome {
        Outcome::Okay(ok) => {
            if matches!(exchange.command.shape(), Shape::Results) {
                event = event.number(Key::DB_AFFECTED_ROWS, ok.affected_rows);
            }
            if ok.last_insert_id > 0 {
                event = event.number(Key::DB_LAST_INSERT_ID, ok.last_insert_id);
            }
            event = warnings(event, ok.warnings);
            Some(Status::Ok)
        }
        Outcome::Rows(ok) => {
            event = warnings(event, ok.warnings);
            Some(Status::Ok)
        }
        Outcome::Done => {
            event = warnings(event, response.warnings);
            Some(Status::Ok)
        }
        Outcome::Failed(error) => {
            event = failure(event, &error);
            Some(Status::Error)
        }
        Outcome::Incomplete(reason) => Some(Status::Incomplete(reason)),
        Outcome::OneWay => None,
        Outcome::Malformed(what) => {
            event = event.text(Key::NOTICE, what.as_bytes(), Sensitivity::Public);
            None
        }
    };
    if matches!(status, Some(Status::Ok | Status::Error)) {
        event = event.until(end).number(Key::DB_RESPONSE_SIZE, response.size);
    }
    // What is known of a response does not make up for what was not seen of its request.
    let lost = exchange.loss.map(|loss| {
        if loss.bytes > 0 {
            (Status::Incomplete(loss.reason), Some(loss.bytes))
        } else {
            (Status::Incomplete(loss.reason), None)
        }
    });
    if let Some((status, bytes)) = lost.filter(|_| !matches!(outcome, Outcome::Malformed(_))) {
        event = event.status(status);
        return event.maybe(bytes, |e, n| e.number(Key::GAP_BYTES, n));
    }
    match status {
        Some(status) => event.status(status),
        None => event,
    }
}

fn warnings(event: EventBuilder<'_>, count: u16) -> EventBuilder<'_> {
    if count == 0 { event } else { event.number(Key::DB_WARNINGS, u64::from(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        for value in [0, 7, 10, 1064, u16::MAX] {
            assert_eq!(decimal(value, &mut [0; 5]), value.to_string().as_bytes());
        }
    }
}

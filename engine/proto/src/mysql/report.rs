//! Events of exchanges: how a request went, from what was seen of both sides.

use sniff_x_flow::Nanos;

use super::command::{Command, Shape};
use super::exchange::{Exchange, Queue};
use super::execution::{self, Values};
use super::mentions::Mentions;
use super::packet::{Failure, Okay};
use super::response::Response;
use super::secret;
use super::session::Session;
use super::settings::{Facts, Settings};
use super::sql;
use super::statements::Statement;
use crate::event::{IncompleteReason, Key, Kind, Status};
use crate::{Dialect, EventBuilder, Language, Out, Sensitivity, Sql};

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

/// Writes the fields of an error; `statement` is what it is about, as far as there is one.
pub(super) fn failure<'e>(
    event: EventBuilder<'e>,
    error: &Failure<'_>,
    statement: &[u8],
) -> EventBuilder<'e> {
    event
        .text(Key::DB_STATUS_CODE, itoa::Buffer::new().format(error.code).as_bytes(), Sensitivity::Public)
        .maybe(error.sqlstate, |e, s| e.text(Key::DB_SQLSTATE, s, Sensitivity::Public))
        .text(Key::ERROR_MESSAGE, error.message, error.sensitivity(statement))
}

/// The parts of a decoder that an event is made from.
pub(super) struct Sources<'a> {
    pub(super) settings: &'a Settings,
    pub(super) session: &'a Session,
    pub(super) queue: &'a Queue,
    /// The id of the statement that the exchange is about, the statement where it is executed, and the values it is executed with.
    pub(super) id: Option<u32>,
    pub(super) statement: Option<&'a Statement>,
    pub(super) values: Option<&'a Values<'a>>,
    pub(super) response: &'a Response,
}

impl Sources<'_> {
    /// Tells of one result of `exchange`, which ended at `end`.
    pub(super) fn report(self, exchange: &Exchange, outcome: Outcome<'_>, end: Nanos, out: &mut Out<'_>) {
        let Self { settings, session, queue, id, statement, values, response } = self;
        let command = exchange.command;
        let public = Sensitivity::Public;
        let own = queue.text(exchange);
        let text = if command.has_statement() {
            exchange.has_text.then_some((own, exchange.text_len))
        } else {
            statement.and_then(Statement::text)
        };
        let (user, namespace) = match command {
            Command::INIT_DB | Command::CREATE_DB | Command::DROP_DB if exchange.loss.is_some() => {
                (session.user(), &[][..])
            }
            Command::INIT_DB | Command::CREATE_DB | Command::DROP_DB => (session.user(), own),
            Command::CHANGE_USER => change_user(own),
            _ => (session.user(), session.namespace()),
        };

        let kind = match outcome {
            Outcome::OneWay => Kind::Message,
            Outcome::Malformed(_) => Kind::Notice,
            _ => Kind::Exchange,
        };
        let status = status(exchange, outcome);
        // A message that tells of a stream tells how long it goes on.
        let ends = match outcome {
            Outcome::Okay(_) | Outcome::Rows(_) | Outcome::Done | Outcome::Failed(_) => true,
            Outcome::OneWay => command.shape() == Shape::Stream,
            Outcome::Incomplete(_) | Outcome::Malformed(_) => false,
        };
        let duration = ends.then(|| end.since(exchange.start));
        let facts =
            || Facts { kind, status, duration, user, database: namespace, text: text.map(|(text, _)| text) };
        if !settings.want(facts) {
            return out.withhold();
        }
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
        let sent = text.map_or(&[][..], |(text, _)| text);
        let mentions = match statement {
            Some(prepared) if !command.has_statement() => prepared.mentions,
            _ => Mentions::of(sent),
        };
        let backslash = session.backslash(mentions);
        let hidden = mentions.secret.then(|| secret::hide(sent, backslash)).flatten();
        if let Some((text, len)) = text {
            let whole = len == text.len() as u64;
            let shown = hidden.as_ref().map_or(text, |h| &h.text);
            let len = if whole { shown.len() as u64 } else { len };
            let broken = matches!(outcome, Outcome::Failed(error) if error.is_syntax());
            let sql = Sql { dialect: Dialect::MySql { backslash }, broken };
            event = event.cut_text(Key::DB_QUERY_TEXT, shown, len, Sensitivity::Within(Language::Sql(sql)));
        }
        if let Some(values) = values {
            event = values.put(event, hidden.as_ref().is_some_and(|h| h.in_parameters));
        } else if command == Command::QUERY {
            event = execution::put_attributes(event, queue.parameters(exchange));
        }
        if command == Command::STMT_SEND_LONG_DATA && exchange.loss.is_none() {
            event = event.number(Key::MYSQL_LONG_DATA_SIZE, exchange.text_len);
        }
        // What was not seen of a statement may be a secret.
        let whole = exchange.loss.is_none() && text.is_some_and(|(text, len)| len == text.len() as u64);
        let quotes_secrets = hidden.is_some() || command.has_statement() && !whole;
        let outcome = match outcome {
            // The server quotes what it stumbled over.
            Outcome::Failed(error) if quotes_secrets => Outcome::Failed(error.without_quote()),
            outcome => outcome,
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
        result(event, exchange, response, outcome, sent)
            .maybe(status, EventBuilder::status)
            .maybe(duration.map(|_| end), EventBuilder::until)
            .emit();
    }
}

/// The user and the database that a CHANGE_USER request named, as [`super::client`] kept them.
pub(super) fn change_user(kept: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = kept.splitn(2, |b| *b == 0);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// What an event's status is. What is known of a response does not make up for what was not seen of its request.
fn status(exchange: &Exchange, outcome: Outcome<'_>) -> Option<Status> {
    let status = match outcome {
        Outcome::Malformed(_) => return None,
        Outcome::Okay(_) | Outcome::Rows(_) | Outcome::Done => Some(Status::Ok),
        Outcome::Failed(_) => Some(Status::Error),
        Outcome::Incomplete(reason) => Some(Status::Incomplete(reason)),
        Outcome::OneWay => None,
    };
    exchange.loss.map(|loss| Status::Incomplete(loss.reason)).or(status)
}

/// Puts what came of it.
fn result<'e>(
    mut event: EventBuilder<'e>,
    exchange: &Exchange,
    response: &Response,
    outcome: Outcome<'_>,
    statement: &[u8],
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
    let ended = match outcome {
        Outcome::Okay(ok) => {
            if matches!(exchange.command.shape(), Shape::Results) {
                event = event.number(Key::DB_AFFECTED_ROWS, ok.affected_rows);
            }
            if ok.last_insert_id > 0 {
                event = event.number(Key::DB_LAST_INSERT_ID, ok.last_insert_id);
            }
            event = warnings(event, ok.warnings);
            true
        }
        Outcome::Rows(ok) => {
            event = warnings(event, ok.warnings);
            true
        }
        Outcome::Done => {
            event = warnings(event, response.warnings);
            true
        }
        Outcome::Failed(error) => {
            event = failure(event, &error, statement);
            true
        }
        Outcome::Malformed(what) => {
            return event.text(Key::NOTICE, what.as_bytes(), Sensitivity::Public);
        }
        Outcome::Incomplete(_) | Outcome::OneWay => false,
    };
    if ended || stream {
        event = event.number(Key::DB_RESPONSE_SIZE, response.size);
    }
    let lost = exchange.loss.map(|loss| loss.bytes).filter(|bytes| *bytes > 0);
    event.maybe(lost, |e, bytes| e.number(Key::GAP_BYTES, bytes))
}

fn warnings(event: EventBuilder<'_>, count: u16) -> EventBuilder<'_> {
    if count == 0 { event } else { event.number(Key::DB_WARNINGS, u64::from(count)) }
}

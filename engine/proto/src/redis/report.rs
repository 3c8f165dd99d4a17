//! Events: commands with their replies, messages, replication.

use std::borrow::Cow;

use sniff_x_flow::Nanos;

use super::decoder::Session;
use super::request::Request;
use super::resp::Kind as Type;
use super::secret::{self, hides_reply};
use super::summary::Summary;
use super::word::Word;
use crate::event::redact::{SECRET, without_quotes};
use crate::event::{IncompleteReason, Key, Kind, Status};
use crate::{EventBuilder, Language, Out, Sensitivity};

/// The plugin's name.
pub(super) const NAME: &str = "redis";

/// How a command went.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    /// It was answered; of the reply's text at most `show` bytes are shown.
    Reply { reply: &'a Summary, end: Nanos, show: usize },
    /// It was answered with a copy of the data, which begins here.
    Copy(Nanos),
    /// Nobody knows.
    Incomplete(IncompleteReason),
    /// There is no reply.
    OneWay,
    /// It was queued for a transaction that was given up.
    NotRun(Nanos),
}

/// Tells of one command; `text` is what was kept of it.
pub(super) fn report(
    session: &Session,
    request: &Request,
    text: &[u8],
    outcome: Outcome<'_>,
    out: &mut Out<'_>,
) {
    let public = Sensitivity::Public;
    let kind = match outcome {
        Outcome::OneWay | Outcome::NotRun(_) => Kind::Message,
        _ => Kind::Exchange,
    };
    let name = request.name.as_bytes();
    let is_script = secret::has_secret_script(&request.name, text);
    let (text, len) =
        if is_script { hidden_arguments(&request.name) } else { (Cow::Borrowed(text), request.text_len) };
    let mut event = about(out, kind, request.start, session)
        .text(Key::DB_OPERATION_NAME, if name.is_empty() { b"UNKNOWN" } else { name }, public)
        // Values were not even kept where they are hidden.
        .cut_text(Key::DB_QUERY_TEXT, &text, len, public);
    let (status, bytes) = match outcome {
        Outcome::Reply { reply, end, show } => {
            let hides = hides_reply(&request.name)
                || secret::quotes_commands(&request.name) && secret::mentions_secret(&reply.text);
            // Of a command that was not seen whole nobody knows what it held.
            let quotes = hides || is_script || request.has_secret || request.loss.is_some();
            event = result(event.until(end), reply, if hides { 0 } else { show }, quotes);
            (Some(if reply.kind == Type::Error { Status::Error } else { Status::Ok }), None)
        }
        Outcome::Incomplete(reason) => (Some(Status::Incomplete(reason)), None),
        Outcome::Copy(end) => {
            event = event.until(end);
            (Some(Status::Ok), None)
        }
        Outcome::OneWay => (None, None),
        Outcome::NotRun(end) => {
            event = event.until(end).text(Key::NOTICE, b"queued, but not carried out", public);
            (None, None)
        }
    };
    // What is known of a reply does not make up for what was not seen of its command.
    let (status, bytes) = match request.loss {
        Some(loss) => (Some(Status::Incomplete(loss.reason)), Some(loss.bytes).filter(|n| *n > 0)),
        None => (status, bytes),
    };
    event.maybe(status, EventBuilder::status).maybe(bytes, |e, n| e.number(Key::GAP_BYTES, n)).emit();
}

/// A command's name with `<secret>` in place of all that follows it, and how long that is.
fn hidden_arguments(name: &Word<32>) -> (Cow<'static, [u8]>, u64) {
    let text = [name.as_bytes(), b" ", SECRET].concat();
    let len = text.len() as u64;
    (Cow::Owned(text), len)
}

/// An event with what is known of the session.
fn about<'o>(out: &'o mut Out<'_>, kind: Kind, at: Nanos, session: &Session) -> EventBuilder<'o> {
    let public = Sensitivity::Public;
    let mut event = out.event(NAME, kind, at).text(Key::DB_SYSTEM_NAME, NAME.as_bytes(), public);
    if !session.namespace.is_empty() {
        event = event.text(Key::DB_NAMESPACE, &session.namespace, public);
    }
    if !session.user.is_empty() {
        event = event.text(Key::DB_USER, &session.user, public);
    }
    event
}

/// `quotes`: the server may quote secrets.
fn result<'e>(event: EventBuilder<'e>, reply: &Summary, show: usize, quotes: bool) -> EventBuilder<'e> {
    let event = event
        .text(Key::REDIS_REPLY_TYPE, reply.kind.as_str().as_bytes(), Sensitivity::Public)
        .maybe(reply.count, |e, n| e.number(Key::REDIS_REPLY_COUNT, n))
        .number(Key::DB_RESPONSE_SIZE, reply.size);
    if reply.kind == Type::Error {
        return error(event, reply, quotes);
    }
    let shown = reply.text.get(..show).unwrap_or(&reply.text);
    let is_cut = (shown.len() as u64) < reply.text_len;
    let shown = match if is_cut { core::str::from_utf8(shown) } else { Ok("") } {
        // Cut in a character.
        Err(error) if error.error_len().is_none() => shown.get(..error.valid_up_to()).unwrap_or(shown),
        _ => shown,
    };
    if shown.is_empty() || reply.kind == Type::Nil {
        return event;
    }
    let tells_nothing = reply.kind == Type::Status && matches!(shown, b"OK" | b"QUEUED" | b"PONG");
    let sensitivity = if tells_nothing { Sensitivity::Public } else { Sensitivity::Literal };
    event.text(Key::REDIS_REPLY, shown, sensitivity)
}

/// Code and message; `quotes`: the server may quote secrets.
fn error<'e>(event: EventBuilder<'e>, reply: &Summary, quotes: bool) -> EventBuilder<'e> {
    // Scripts answer with errors of their own.
    let code = reply.error_code();
    let is_known = CODES.iter().any(|known| known.as_bytes() == code);
    let (of_code, of_text) = if is_known {
        (Sensitivity::Public, Sensitivity::Within(Language::Message))
    } else {
        (Sensitivity::Literal, Sensitivity::Literal)
    };
    let event = event.text(Key::DB_STATUS_CODE, code, of_code);
    if quotes {
        event.text(Key::ERROR_MESSAGE, &without_quotes(&reply.text), of_text)
    } else {
        event.text(Key::ERROR_MESSAGE, &reply.text, of_text)
    }
}

/// The codes of the server's own errors.
const CODES: &[&str] = &[
    "ERR",
    "WRONGTYPE",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "CROSSSLOT",
    "LOADING",
    "BUSY",
    "BUSYKEY",
    "NOSCRIPT",
    "READONLY",
    "MASTERDOWN",
    "MISCONF",
    "OOM",
    "EXECABORT",
    "NOREPLICAS",
    "UNKILLABLE",
    "NOTBUSY",
    "NOPROTO",
    "BUSYGROUP",
    "NOGROUP",
    "UNBLOCKED",
    "INPROG",
    "IOERR",
    "NOGOODSLAVE",
    "NOQUORUM",
    "DENIED",
    "NOTREADY",
];

/// A message of a subscription, or another one that nobody asked for.
pub(super) fn message(session: &Session, message: &Summary, end: Nanos, out: &mut Out<'_>) {
    let (name, text) = match message.text.iter().position(|b| *b == b' ') {
        Some(space) => message.text.split_at(space),
        None => (&message.text[..], &[][..]),
    };
    let mut upper = [0; 32];
    let len = name.len().min(upper.len());
    if let (Some(to), Some(from)) = (upper.get_mut(..len), name.get(..len)) {
        to.copy_from_slice(from);
        to.make_ascii_uppercase();
    }
    let text = text.get(1..).unwrap_or_default();
    let text_len = message.text_len.saturating_sub(name.len() as u64 + 1);
    about(out, Kind::Message, end, session)
        .text(Key::DB_OPERATION_NAME, upper.get(..len).unwrap_or_default(), Sensitivity::Public)
        .cut_text(Key::DB_QUERY_TEXT, text, text_len, Sensitivity::Literal)
        .number(Key::DB_RESPONSE_SIZE, message.size)
        .emit();
}

/// A line of MONITOR: what some client sent. Old servers show passwords there.
pub(super) fn monitored(session: &Session, line: &Summary, end: Nanos, out: &mut Out<'_>) {
    let hides = secret::mentions_secret(&line.text);
    let (text, len) = if hides { (SECRET, SECRET.len() as u64) } else { (&line.text[..], line.text_len) };
    about(out, Kind::Message, end, session)
        .text(Key::DB_OPERATION_NAME, b"MONITOR", Sensitivity::Public)
        .cut_text(Key::DB_QUERY_TEXT, text, len, Sensitivity::Literal)
        .emit();
}

/// The connection becomes a replication stream.
pub(super) fn replicates(session: &Session, at: Nanos, out: &mut Out<'_>) {
    about(out, Kind::Session, at, session)
        .text(Key::SESSION_STATE, b"replicating", Sensitivity::Public)
        .status(Status::Ok)
        .emit();
}

/// What a replication stream amounted to: bytes of the copy, bytes of the changes, commands among these.
pub(super) fn replicated(
    session: &Session,
    since: Nanos,
    [copied, changed, commands]: [u64; 3],
    out: &mut Out<'_>,
) {
    let now = out.now();
    about(out, Kind::Session, since, session)
        .text(Key::SESSION_STATE, b"replicated", Sensitivity::Public)
        .number(Key::REDIS_COPY_SIZE, copied)
        .number(Key::REDIS_CHANGES_SIZE, changed)
        .number(Key::REDIS_CHANGES, commands)
        .until(now)
        .emit();
}

/// The server turns the client away before it asked anything.
pub(super) fn rejected(session: &Session, why: &Summary, end: Nanos, out: &mut Out<'_>) {
    let event = about(out, Kind::Session, end, session)
        .text(Key::SESSION_STATE, b"rejected", Sensitivity::Public)
        .status(Status::Error);
    error(event, why, false).emit();
}

/// The connection is encrypted.
pub(super) fn encrypted(at: Nanos, out: &mut Out<'_>) {
    out.event(NAME, Kind::Session, at)
        .text(Key::DB_SYSTEM_NAME, NAME.as_bytes(), Sensitivity::Public)
        .text(Key::SESSION_STATE, b"encrypted", Sensitivity::Public)
        .emit();
}

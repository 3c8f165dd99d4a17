//! Events: requests with their responses, WebSocket messages, sessions.

use sniff_x_flow::{Direction, Nanos};

use super::Settings;
use super::content::Codings;
use super::exchange::{Answer, Exchange, Text, kept_fields};
use super::head::Oddities;
use crate::event::{IncompleteReason, Key, Kind, Status, Suffix};
use crate::{EventBuilder, Language, Out, Sensitivity};

/// The plugin's name.
pub(super) const NAME: &str = "http";

/// What a body, or a message of a WebSocket, gives away.
const BODY: Sensitivity = Sensitivity::Within(Language::Body);

/// Reasons of errors as RFC 9110 and its like name them; any other is the server's own words.
const REASONS: &[&str] = &[
    "Bad Request",
    "Unauthorized",
    "Payment Required",
    "Forbidden",
    "Not Found",
    "Method Not Allowed",
    "Not Allowed",
    "Not Acceptable",
    "Proxy Authentication Required",
    "Request Timeout",
    "Request Time-out",
    "Conflict",
    "Gone",
    "Length Required",
    "Precondition Failed",
    "Content Too Large",
    "Payload Too Large",
    "Request Entity Too Large",
    "URI Too Long",
    "Request-URI Too Large",
    "Unsupported Media Type",
    "Range Not Satisfiable",
    "Requested Range Not Satisfiable",
    "Expectation Failed",
    "Misdirected Request",
    "Unprocessable Content",
    "Unprocessable Entity",
    "Locked",
    "Failed Dependency",
    "Too Early",
    "Upgrade Required",
    "Precondition Required",
    "Too Many Requests",
    "Request Header Fields Too Large",
    "Unavailable For Legal Reasons",
    "Client Closed Request",
    "Internal Server Error",
    "Not Implemented",
    "Bad Gateway",
    "Service Unavailable",
    "Service Temporarily Unavailable",
    "Gateway Timeout",
    "Gateway Time-out",
    "HTTP Version Not Supported",
    "Insufficient Storage",
    "Loop Detected",
    "Not Extended",
    "Network Authentication Required",
    "Error",
];

/// How a request went.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    Answered {
        answer: &'a Answer,
        end: Nanos,
    },
    /// Nobody knows; of a response that began, what is known.
    Incomplete {
        reason: IncompleteReason,
        answer: Option<&'a Answer>,
    },
}

/// Tells of one request; `kept` is what was kept of it.
pub(super) fn exchange(
    settings: &Settings,
    exchange: &Exchange,
    kept: &[u8],
    outcome: Outcome<'_>,
    out: &mut Out<'_>,
) {
    let (answer, end, status) = match outcome {
        Outcome::Answered { answer, end } => {
            let status = if answer.is_error() { Status::Error } else { Status::Ok };
            (Some(answer), Some(end), status)
        }
        Outcome::Incomplete { reason, answer } => (answer, None, Status::Incomplete(reason)),
    };
    let status = exchange.loss.map_or(status, |loss| Status::Incomplete(loss.reason));
    let duration = end.map(|end| end.since(exchange.start));
    if !settings.want(status, duration) {
        return out.withhold();
    }
    let public = Sensitivity::Public;
    let texts = exchange.kept(kept, out.max_text());
    // What was to be passed over counts from the beginning.
    let unseen = |is_over, direction| if is_over { 0 } else { out.unseen(direction) };
    let request_size = exchange.body_size.saturating_sub(unseen(exchange.complete, Direction::ToServer));
    let response_unseen = unseen(end.is_some(), Direction::ToClient);
    let mut event =
        out.event(NAME, Kind::Exchange, exchange.start).status(status).maybe(end, EventBuilder::until);
    // What stands before an @ is a user with a password.
    let user = memchr::memrchr(b'@', texts.host.bytes).map_or(0, |at| at + 1);
    let host = texts.host.bytes.get(user..).unwrap_or_default();
    let host = Text { bytes: host, len: texts.host.len - user as u64 };
    for (key, text, sensitivity) in [
        (Key::HTTP_METHOD, texts.method, public),
        (Key::URL_PATH, texts.path, Sensitivity::Within(Language::UrlPath)),
        (Key::URL_QUERY, texts.query, Sensitivity::Within(Language::UrlQuery)),
        (Key::HTTP_HOST, host, public),
        (Key::USER_AGENT, texts.agent, public),
    ] {
        if text.len > 0 || key == Key::URL_PATH {
            event = event.cut_text(key, text.bytes, text.len, sensitivity);
        }
    }
    event = version(event, exchange.version);
    event = headers(event, Key::HTTP_REQUEST_HEADER, texts.headers);
    event = event.number(Key::HTTP_REQUEST_BODY_SIZE, request_size);
    let [mut request_odd, mut response_odd] = [exchange.odd, answer.map(|a| a.odd).unwrap_or_default()];
    event = body(event, Key::HTTP_REQUEST_BODY, settings, (&exchange.codings, texts.body), &mut request_odd);
    if let Some(answer) = answer {
        event = response(event, settings, exchange, (answer, response_unseen), &mut response_odd);
    }
    event = oddities(event, request_odd, response_odd);
    let lost = exchange.loss.map(|loss| loss.bytes).filter(|bytes| *bytes > 0);
    event.maybe(lost, |e, bytes| e.number(Key::GAP_BYTES, bytes)).emit();
}

fn response<'e>(
    event: EventBuilder<'e>,
    settings: &Settings,
    exchange: &Exchange,
    (answer, unseen): (&Answer, u64),
    odd: &mut Oddities,
) -> EventBuilder<'e> {
    // Before HTTP/1.0 there was none.
    let code = (answer.code > 0).then_some(answer.code);
    let mut event = event
        .maybe(code, |e, code| e.number(Key::HTTP_STATUS_CODE, u64::from(code)))
        .number(Key::HTTP_RESPONSE_BODY_SIZE, answer.body_size.saturating_sub(unseen))
        .number(Key::HTTP_FIRST_BYTE, answer.first_byte.since(exchange.start));
    if answer.is_error() && !answer.reason.is_empty() {
        let is_known = REASONS.iter().any(|known| answer.reason.eq_ignore_ascii_case(known.as_bytes()));
        let sensitivity = if is_known { Sensitivity::Public } else { Sensitivity::Literal };
        event = event.text(Key::ERROR_MESSAGE, &answer.reason, sensitivity);
    }
    event = headers(event, Key::HTTP_RESPONSE_HEADER, &answer.headers);
    if let Some(stream) = answer.events {
        event = event.number(Key::HTTP_EVENTS, stream.events);
    }
    body(event, Key::HTTP_RESPONSE_BODY, settings, (&answer.codings, &answer.preview), odd)
}

/// The beginning of a body, out of what was kept of it.
fn body<'e>(
    event: EventBuilder<'e>,
    key: Key,
    settings: &Settings,
    (codings, kept): (&Codings, &[u8]),
    odd: &mut Oddities,
) -> EventBuilder<'e> {
    if kept.is_empty() {
        return event;
    }
    let (body, what) = codings.decoded(kept, settings.body);
    odd.add(what);
    if body.is_empty() { event } else { event.text(key, &body, BODY) }
}

fn version(event: EventBuilder<'_>, version: u8) -> EventBuilder<'_> {
    let text: &[u8] = match version {
        9 => b"0.9",
        10 => b"1.0",
        11 => b"1.1",
        _ => return event,
    };
    event.text(Key::NETWORK_PROTOCOL_VERSION, text, Sensitivity::Public)
}

/// Fields that were kept, each as a member of a family.
fn headers<'e>(mut event: EventBuilder<'e>, key: Key, kept: &[u8]) -> EventBuilder<'e> {
    for (name, value) in kept_fields(kept) {
        let sensitivity = Sensitivity::Within(Language::Url);
        // Some take a carriage return for the end of the field.
        let bytes = value.bytes.split(|b| *b == b'\r').next().unwrap_or_default();
        let len = if bytes.len() == value.bytes.len() { value.len } else { bytes.len() as u64 };
        event = event.member_text(key, Suffix::Name(name), bytes, len, sensitivity);
    }
    event
}

/// What is odd in the request, and in the response.
fn oddities(event: EventBuilder<'_>, request: Oddities, response: Oddities) -> EventBuilder<'_> {
    if request.is_empty() && response.is_empty() {
        return event;
    }
    let mut words = request.words().collect::<Vec<_>>().join("; ");
    if !response.is_empty() {
        if !words.is_empty() {
            words.push_str("; ");
        }
        words.push_str("in the response: ");
        words.push_str(&response.words().collect::<Vec<_>>().join("; "));
    }
    event.text(Key::NOTICE, words.as_bytes(), Sensitivity::Public)
}

/// Says something that belongs to no exchange.
pub(super) fn notice(what: &str, at: Nanos, lost: Option<u64>, out: &mut Out<'_>) {
    out.event(NAME, Kind::Notice, at)
        .text(Key::NOTICE, what.as_bytes(), Sensitivity::Public)
        .maybe(lost, |e, n| e.number(Key::GAP_BYTES, n))
        .emit();
}

/// A response that nobody asked for: a server that closes an idle connection may say so with 408.
pub(super) fn stray(code: u16, at: Nanos, out: &mut Out<'_>) {
    out.event(NAME, Kind::Notice, at)
        .text(Key::NOTICE, b"a response without a request", Sensitivity::Public)
        .number(Key::HTTP_STATUS_CODE, u64::from(code))
        .emit();
}

/// The connection speaks something else.
pub(super) fn session(state: &str, at: Nanos, notice: Option<&str>, out: &mut Out<'_>) {
    out.event(NAME, Kind::Session, at)
        .text(Key::SESSION_STATE, state.as_bytes(), Sensitivity::Public)
        .maybe(notice, |e, n| e.text(Key::NOTICE, n.as_bytes(), Sensitivity::Public))
        .emit();
}

/// A text message of a WebSocket.
pub(super) fn message(direction: Direction, text: &[u8], len: u64, end: Nanos, out: &mut Out<'_>) {
    let key = match direction {
        Direction::ToServer => Key::HTTP_REQUEST_BODY,
        Direction::ToClient => Key::HTTP_RESPONSE_BODY,
    };
    out.event(NAME, Kind::Message, end).cut_text(key, text, len, BODY).emit();
}

/// What came behind an upgrade: frames and bytes of both directions.
pub(super) fn websocket(since: Nanos, [to_server, to_client]: [(u64, u64); 2], lost: u64, out: &mut Out<'_>) {
    let now = out.now();
    let mut event = out
        .event(NAME, Kind::Session, since)
        .until(now)
        .text(Key::SESSION_STATE, b"websocket", Sensitivity::Public)
        .number(Key::HTTP_TO_SERVER_FRAMES, to_server.0)
        .number(Key::HTTP_TO_SERVER_FRAME_BYTES, to_server.1)
        .number(Key::HTTP_TO_CLIENT_FRAMES, to_client.0)
        .number(Key::HTTP_TO_CLIENT_FRAME_BYTES, to_client.1);
    event = if lost > 0 {
        event.status(Status::Incomplete(IncompleteReason::Gap)).number(Key::GAP_BYTES, lost)
    } else {
        event.status(Status::Ok)
    };
    event.emit();
}

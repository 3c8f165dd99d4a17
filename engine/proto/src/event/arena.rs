//! The worker's arena: event records and their bytes, reused batch after batch.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::io::Write;

use sniff_x_flow::{Direction, Endpoint, FlowInfo, Nanos};

use super::Key;
use super::redact::{self, Sensitivity};
use crate::stock::Stock;

/// What kind of thing an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request with its response.
    Exchange,
    /// A one-way message, or a further reply.
    Message,
    /// A handshake, a login, an encrypted connection.
    Session,
    /// Something odd: not understood, resynchronised.
    Notice,
    /// The sums of a connection.
    Summary,
}

impl Kind {
    /// The word for it in `sniffx.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Message => "message",
            Self::Session => "session",
            Self::Notice => "notice",
            Self::Summary => "summary",
        }
    }
}

/// Why an event does not tell everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncompleteReason {
    /// Bytes were never seen.
    Gap,
    /// The connection was joined in the middle.
    Midstream,
    /// The snap length cut frames.
    Truncated,
    /// A limit was reached.
    Limit,
    /// No response came in time.
    Timeout,
    /// The connection was given up to make room.
    Evicted,
    /// The input or the connection ended first.
    Eof,
    /// What came makes no sense as the protocol, so that nothing behind it could be told.
    Malformed,
}

impl IncompleteReason {
    /// The word for it in `sniffx.incomplete.reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Midstream => "midstream",
            Self::Truncated => "truncated",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::Eof => "eof",
            Self::Malformed => "malformed",
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything was seen and the peer said yes.
    Ok,
    /// The peer said no.
    Error,
    /// Something of it was not seen.
    Incomplete(IncompleteReason),
}

impl Status {
    /// The word for it in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// What every event has.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// When the request, message or connection began.
    pub timestamp: Nanos,
    /// The plugin's name.
    pub protocol: &'static str,
    /// What it tells of.
    pub kind: Kind,
    /// The client's end.
    pub client: Endpoint,
    /// The server's end.
    pub server: Endpoint,
    /// How long it took, in nanoseconds, where there is a beginning and an end.
    pub duration: Option<u64>,
    /// How it went, where that can be said.
    pub status: Option<Status>,
}

impl Head {
    /// That of no event.
    const NONE: Self = {
        let nobody = Endpoint::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            timestamp: Nanos(0),
            protocol: "",
            kind: Kind::Notice,
            client: nobody,
            server: nobody,
            duration: None,
            status: None,
        }
    };
}

/// What stands behind the name of a key that is a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix<'a> {
    /// The key is no family.
    None,
    /// A number: `db.query.parameter.0`.
    Index(u32),
    /// A name off the wire, meant to be UTF-8: `sniffx.mysql.attribute.traceparent`.
    Name(&'a [u8]),
}

/// A run of the arena's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

/// A suffix as a record holds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Member {
    None,
    Index(u32),
    Name(Span),
}

/// A value as a record holds it; text is already cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Null,
    Text(Span),
}

/// A value with its text at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A whole number.
    U64(u64),
    /// A whole number that may be negative.
    I64(i64),
    /// A number.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// No value at all, as the peer said: NULL.
    Null,
    /// Bytes that are meant to be UTF-8; a sink escapes those that are not.
    Text(&'a [u8]),
}

/// A key with its value.
#[derive(Clone, Copy, Debug)]
struct Field {
    key: Key,
    /// Which one, if the key is a family.
    member: Member,
    value: Value,
}

/// One event: its head and where its fields lie.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What every event has.
    pub head: Head,
    start: u32,
    end: u32,
}

/// What happens to a direction's stream, for its file (`tcp --dump`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes; `first` when none went there before.
    Bytes {
        /// These are the direction's first bytes.
        first: bool,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// So many bytes are missing; none: nobody knows how many.
    Gap(Option<u64>),
    /// Nothing more comes; `keep` unless the file isn't wanted after all.
    End {
        /// Whether the file is wanted.
        keep: bool,
    },
}

/// A piece of a stream that a plugin wants in a file.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The connection.
    pub flow: FlowInfo,
    /// Which way the bytes go.
    pub direction: Direction,
    /// What comes next.
    pub piece: Piece<'a>,
}

#[derive(Clone, Copy, Debug)]
struct ContentSpan {
    flow: FlowInfo,
    direction: Direction,
    piece: PieceSpan,
}

#[derive(Clone, Copy, Debug)]
enum PieceSpan {
    Bytes { first: bool, bytes: Span },
    Gap(Option<u64>),
    End { keep: bool },
}

/// Event records of one batch of a worker. Cleared, not freed, between batches.
#[derive(Debug)]
pub struct Arena {
    events: Vec<Event>,
    fields: Vec<Field>,
    bytes: Vec<u8>,
    content: Vec<ContentSpan>,
    /// The head of the event in the making.
    pub(super) opened: Head,
    /// Length of the longest of its texts that was cut; 0 if none was.
    pub(super) opened_cut: u64,
    max_text: usize,
    exchange_timeout: Duration,
    redacts: bool,
    refused: u64,
    withheld: u64,
    /// What the worker's connections borrow.
    pub(crate) stock: Stock,
}

/// A place in an arena: what was told until then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    events: usize,
    fields: usize,
    bytes: usize,
    content: usize,
    withheld: u64,
}

/// How long an exchange may wait for its response, unless the run says otherwise.
const EXCHANGE_TIMEOUT: Duration = Duration::from_hours(1);

/// Bytes of records and content that one batch may hold; above it events are refused and counted (offsets are 32 bits).
const MAX_BYTES: usize = 1 << 30;

impl Arena {
    /// An empty arena that cuts texts at `max_text` bytes.
    #[must_use]
    pub fn new(max_text: usize) -> Self {
        Self {
            events: Vec::new(),
            fields: Vec::new(),
            bytes: Vec::new(),
            content: Vec::new(),
            opened: Head::NONE,
            opened_cut: 0,
            max_text,
            exchange_timeout: EXCHANGE_TIMEOUT,
            redacts: false,
            refused: 0,
            withheld: 0,
            stock: Stock::default(),
        }
    }

    /// The same arena in a run where an exchange may wait for its response so long (an hour where this is not called).
    #[must_use]
    pub fn with_exchange_timeout(self, exchange_timeout: Duration) -> Self {
        Self { exchange_timeout, ..self }
    }

    /// The same arena in a run that hides what users put in (`redacts`) or shows it (where this is not called).
    #[must_use]
    pub fn with_redaction(self, redacts: bool) -> Self {
        Self { redacts, ..self }
    }

    /// The events in the order in which they were emitted.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// The fields of one event, in the order in which they were put.
    pub fn fields(&self, event: &Event) -> impl Iterator<Item = (Key, Suffix<'_>, ValueRef<'_>)> {
        self.fields.get(event.start as usize..event.end as usize).unwrap_or_default().iter().map(|f| {
            let suffix = match f.member {
                Member::None => Suffix::None,
                Member::Index(index) => Suffix::Index(index),
                Member::Name(name) => Suffix::Name(self.slice(name)),
            };
            let value = match f.value {
                Value::U64(v) => ValueRef::U64(v),
                Value::I64(v) => ValueRef::I64(v),
                Value::F64(v) => ValueRef::F64(v),
                Value::Bool(v) => ValueRef::Bool(v),
                Value::Null => ValueRef::Null,
                Value::Text(text) => ValueRef::Text(self.slice(text)),
            };
            (f.key, suffix, value)
        })
    }

    /// Stream content in the order in which it came.
    pub fn content(&self) -> impl Iterator<Item = Content<'_>> {
        self.content.iter().map(|c| Content {
            flow: c.flow,
            direction: c.direction,
            piece: match c.piece {
                PieceSpan::Bytes { first, bytes } => Piece::Bytes { first, bytes: self.slice(bytes) },
                PieceSpan::Gap(bytes) => Piece::Gap(bytes),
                PieceSpan::End { keep } => Piece::End { keep },
            },
        })
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.content.is_empty()
    }

    /// Bytes of text and content held.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Events that did not fit (a batch never comes near the limit).
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Events that a plugin's own options told it not to make.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.withheld
    }

    /// The length at which texts are cut, in bytes.
    #[must_use]
    pub fn max_text(&self) -> usize {
        self.max_text
    }

    /// How long an exchange may wait for its response.
    #[must_use]
    pub fn exchange_timeout(&self) -> Duration {
        self.exchange_timeout
    }

    /// This place: behind all that was told.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            events: self.events.len(),
            fields: self.fields.len(),
            bytes: self.bytes.len(),
            content: self.content.len(),
            withheld: self.withheld,
        }
    }

    /// The events since `mark`.
    pub(crate) fn since(&self, mark: Mark) -> &[Event] {
        self.events.get(mark.events..).unwrap_or_default()
    }

    /// Whether a plugin's options told it not to make an event since `mark`.
    pub(crate) fn withheld_since(&self, mark: Mark) -> bool {
        self.withheld > mark.withheld
    }

    /// Takes back what was told since `mark`, but for the first `kept` events.
    pub(crate) fn retract(&mut self, mark: Mark, kept: usize) {
        self.events.truncate(mark.events + kept);
        if kept > 0 {
            // What belonged to the others goes with the batch.
            return;
        }
        self.fields.truncate(mark.fields);
        self.bytes.truncate(mark.bytes);
        self.content.truncate(mark.content);
    }

    /// Whether what users put in is hidden.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.redacts
    }

    /// Forgets everything and keeps the memory, unless a spike left far too much of it.
    pub fn clear(&mut self) {
        fn clear<T>(vec: &mut Vec<T>) {
            const KEEP: usize = 4 << 20;
            vec.clear();
            vec.shrink_to(KEEP / size_of::<T>().max(1));
        }
        clear(&mut self.events);
        clear(&mut self.fields);
        clear(&mut self.content);
        clear(&mut self.bytes);
    }

    /// Opens an event; fields are put until [`Arena::close`] ends it.
    pub(super) fn open(&mut self, head: Head) -> u32 {
        self.opened = head;
        self.opened_cut = 0;
        index(self.fields.len())
    }

    pub(super) fn close(&mut self, start: u32) {
        if self.bytes.len() > MAX_BYTES {
            self.fields.truncate(start as usize);
            self.refused += 1;
            return;
        }
        self.events.push(Event { head: self.opened, start, end: index(self.fields.len()) });
    }

    pub(super) fn withhold(&mut self) {
        self.withheld += 1;
    }

    pub(super) fn put(&mut self, key: Key, member: Member, value: Value) {
        self.fields.push(Field { key, member, value });
    }

    /// Puts a text as it is.
    pub(super) fn put_copy(&mut self, key: Key, member: Member, text: &[u8]) {
        let span = self.copy(text);
        self.put(key, member, Value::Text(span));
    }

    /// Copies `text`, at most `max_text` bytes of it and no part of a character.
    pub(super) fn text(&mut self, text: &[u8]) -> Span {
        let kept = text.get(..self.max_text).map_or(text, whole_characters);
        self.copy(kept)
    }

    /// Copies what `text` shows by its sensitivity, at most `max_text` bytes of it; `is_cut`: there was more of it.
    pub(super) fn shown(&mut self, text: &[u8], is_cut: bool, sensitivity: Sensitivity) -> Span {
        if redact::is_plain(sensitivity, self.redacts) {
            return self.text(text);
        }
        let start = self.bytes.len();
        if start <= MAX_BYTES {
            let kept = text.get(..self.max_text).map_or(text, whole_characters);
            redact::write(kept, is_cut, sensitivity, self.redacts, &mut self.bytes);
            // What stands in a secret's place may be longer than it.
            if let Some(written) = self.bytes.get(start..).and_then(|b| b.get(..self.max_text)) {
                let end = start + whole_characters(written).len();
                self.bytes.truncate(end);
            }
        }
        Span { start: index(start), len: index(self.bytes.len() - start) }
    }

    /// Writes what `text` is displayed as; meant for numbers and the like, which are short.
    pub(super) fn written(&mut self, text: impl fmt::Display) -> Span {
        let start = index(self.bytes.len());
        if self.bytes.len() <= MAX_BYTES {
            // Writing to a vector can't fail.
            let _ = write!(self.bytes, "{text}");
        }
        Span { start, len: index(self.bytes.len()) - start }
    }

    pub(super) fn push_content(&mut self, flow: FlowInfo, direction: Direction, piece: Piece<'_>) {
        let piece = match piece {
            Piece::Bytes { first, bytes } => PieceSpan::Bytes { first, bytes: self.copy(bytes) },
            Piece::Gap(bytes) => PieceSpan::Gap(bytes),
            Piece::End { keep } => PieceSpan::End { keep },
        };
        self.content.push(ContentSpan { flow, direction, piece });
    }

    /// Copies `bytes` as they are.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = index(self.bytes.len());
        if self.bytes.len() <= MAX_BYTES {
            self.bytes.extend_from_slice(bytes);
        }
        Span { start, len: index(self.bytes.len()) - start }
    }

    fn slice(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.bytes.get(start..start + span.len as usize).unwrap_or_default()
    }
}

/// `text` without the first bytes of a UTF-8 character whose rest was cut off.
fn whole_characters(text: &[u8]) -> &[u8] {
    let tail = text.get(text.len().saturating_sub(3)..).unwrap_or(text);
    // The last byte that begins a character: if it promises more bytes than there are, it goes.
    let Some(back) = tail.iter().rev().position(|b| b & 0xc0 != 0x80) else { return text };
    let start = text.len() - 1 - back;
    let promised = match text.get(start) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    if promised > back + 1 { text.get(..start).unwrap_or(text) } else { text }
}

/// Lengths stay below [`MAX_BYTES`] plus one text, far from 2³².
fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn a_cut_never_leaves_part_of_a_character() {
        let text = "aé€😀z";
        for end in 0..=text.len() {
            let cut = whole_characters(&text.as_bytes()[..end]);
            let cut = std::str::from_utf8(cut).unwrap();
            assert!(text.starts_with(cut) && end - cut.len() < 4, "{end}: {cut}");
            assert!(text.is_char_boundary(end) == (cut.len() == end));
        }
    }

    #[test]
    fn what_is_not_utf_8_stays() {
        for bytes in [&b"\xff"[..], b"\x80\x80\x80\x80", b"a\xe2b", b"\xc0"] {
            assert_eq!(whole_characters(bytes), bytes);
        }
    }
}

//! Where a decoder writes its events.

use core::fmt;
use core::time::Duration;

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Direction, FlowInfo, Nanos};

use super::arena::{Member, Span, Value};
use super::redact::{self, Sensitivity};
use super::{Arena, Head, Key, Kind, Piece, Status, Suffix};
use crate::ProxiedClient;
use crate::half::Keeper;
use crate::stock::Stock;
use crate::tail::TailPool;

/// The way out of a decoder: opens events, gives the flow and its totals.
#[derive(Debug)]
pub struct Out<'a> {
    arena: &'a mut Arena,
    flow: &'a FlowInfo,
    totals: &'a [Totals; 2],
    now: Nanos,
    reversed: bool,
    proxied: Option<ProxiedClient>,
    unseen: [u64; 2],
}

impl<'a> Out<'a> {
    /// The way out for one call into a decoder of `flow` at packet time `now`; `reversed` when a probe found that client and server
    /// are the other way round than `flow` says.
    #[must_use]
    pub fn new(
        arena: &'a mut Arena,
        flow: &'a FlowInfo,
        totals: &'a [Totals; 2],
        now: Nanos,
        reversed: bool,
    ) -> Self {
        Self { arena, flow, totals, now, reversed, proxied: None, unseen: [0; 2] }
    }

    /// So many bytes of what each direction was to pass over did not come.
    pub(crate) fn with_unseen(mut self, unseen: [u64; 2]) -> Self {
        self.unseen = unseen;
        self
    }

    /// Bytes that were to be passed over and did not come (yet).
    pub(crate) fn unseen(&self, direction: Direction) -> u64 {
        let [to_server, to_client] = self.unseen;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    /// What the worker's connections borrow.
    pub(crate) fn stock(&mut self) -> &mut Stock {
        &mut self.arena.stock
    }

    /// The flow.
    #[must_use]
    pub fn flow(&self) -> &FlowInfo {
        self.flow
    }

    /// What `direction` amounted to so far.
    #[must_use]
    pub fn totals(&self, direction: Direction) -> Totals {
        let direction = if self.reversed { direction.reverse() } else { direction };
        let [to_server, to_client] = self.totals;
        match direction {
            Direction::ToServer => *to_server,
            Direction::ToClient => *to_client,
        }
    }

    /// Packet time of what is being decoded.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// The length at which texts are cut; a decoder need not keep more of one.
    #[must_use]
    pub fn max_text(&self) -> usize {
        self.arena.max_text()
    }

    /// Whether events show what users put in. Where not, a decoder need not keep it; what it puts by its sensitivity is hidden in any case.
    #[must_use]
    pub fn shows_literals(&self) -> bool {
        !self.arena.redacts()
    }

    /// How long an exchange may wait for its response before it is reported without one; for [`Decode::tick`](crate::Decode::tick).
    #[must_use]
    pub fn exchange_timeout(&self) -> Duration {
        self.arena.exchange_timeout()
    }

    /// Begins an event that happened at `timestamp`; nothing is kept until [`EventBuilder::emit`].
    pub fn event(&mut self, protocol: &'static str, kind: Kind, timestamp: Nanos) -> EventBuilder<'_> {
        let (mut client, mut server) = (self.flow.client(), self.flow.server());
        if self.reversed {
            core::mem::swap(&mut client, &mut server);
        }
        let head = Head { timestamp, protocol, kind, client, server, duration: None, status: None };
        let start = self.arena.open(head);
        let event = EventBuilder { arena: self.arena, start };
        event.maybe(self.proxied, EventBuilder::proxied)
    }

    /// All further events of this call tell who speaks behind the proxy that is the flow's client.
    pub fn set_proxied(&mut self, client: Option<ProxiedClient>) {
        self.proxied = client;
    }

    /// Counts an event that the plugin's options tell it not to make.
    pub fn withhold(&mut self) {
        self.arena.withhold();
    }

    /// Hands stream content on to a file.
    pub fn content(&mut self, direction: Direction, piece: Piece<'_>) {
        self.arena.push_content(*self.flow, direction, piece);
    }
}

impl Keeper for Out<'_> {
    fn tails(&mut self) -> &mut TailPool {
        &mut self.arena.stock.tails
    }

    fn max_message(&self) -> usize {
        self.arena.stock.max_message
    }

    /// These are bytes inside others, which the host counted.
    fn passed_over(&mut self, _: u64) {}
}

/// An event in the making. It is handed from call to call, so that it fits into two registers: all else waits in the arena.
#[derive(Debug)]
#[must_use = "an event that is not emitted is lost"]
pub struct EventBuilder<'a> {
    arena: &'a mut Arena,
    start: u32,
}

impl EventBuilder<'_> {
    fn proxied(self, client: ProxiedClient) -> Self {
        let address = Value::Text(self.arena.written(client.address));
        self.arena.put(Key::PROXIED_CLIENT_ADDRESS, Member::None, address);
        self.number(Key::PROXIED_CLIENT_PORT, u64::from(client.port))
    }

    /// How it went.
    pub fn status(self, status: Status) -> Self {
        self.arena.opened.status = Some(status);
        self
    }

    /// How long it took: from the event's timestamp to `end`.
    pub fn until(self, end: Nanos) -> Self {
        let head = &mut self.arena.opened;
        head.duration = Some(end.since(head.timestamp));
        self
    }

    /// A text, cut at `--max-text`. A secret is not put.
    #[inline]
    pub fn text(self, key: Key, text: &[u8], sensitivity: Sensitivity) -> Self {
        let len = text.len() as u64;
        self.cut_text(key, text, len, sensitivity)
    }

    /// A text that is what `value` is displayed as; never cut.
    pub fn written(mut self, key: Key, value: impl fmt::Display, sensitivity: Sensitivity) -> Self {
        if sensitivity != Sensitivity::Secret {
            self.put_written(key, Member::None, value, sensitivity);
        }
        self
    }

    /// A text of which only a part was kept; `full_len` is its whole length in bytes.
    #[inline]
    pub fn cut_text(mut self, key: Key, text: &[u8], full_len: u64, sensitivity: Sensitivity) -> Self {
        // Names and codes are most of what is put.
        if sensitivity == Sensitivity::Public
            && full_len == text.len() as u64
            && text.len() <= self.arena.max_text()
        {
            self.arena.put_copy(key, Member::None, text);
            return self;
        }
        if sensitivity == Sensitivity::Secret {
            return self;
        }
        self.put_text(key, Member::None, text, full_len, sensitivity);
        self
    }

    /// A text of a key family, cut at `--max-text`; `full_len` is its whole length in bytes.
    pub fn member_text(
        mut self,
        key: Key,
        suffix: Suffix<'_>,
        text: &[u8],
        full_len: u64,
        sensitivity: Sensitivity,
    ) -> Self {
        if sensitivity != Sensitivity::Secret {
            let member = self.member(suffix);
            self.put_text(key, member, text, full_len, sensitivity);
        }
        self
    }

    /// A text of a key family that is what `value` is displayed as: a number, a date.
    pub fn member_written(
        mut self,
        key: Key,
        suffix: Suffix<'_>,
        value: impl fmt::Display,
        sensitivity: Sensitivity,
    ) -> Self {
        if sensitivity != Sensitivity::Secret {
            let member = self.member(suffix);
            self.put_written(key, member, value, sensitivity);
        }
        self
    }

    /// A member of a key family that has no value: NULL.
    pub fn member_null(mut self, key: Key, suffix: Suffix<'_>) -> Self {
        let member = self.member(suffix);
        self.arena.put(key, member, Value::Null);
        self
    }

    fn member(&mut self, suffix: Suffix<'_>) -> Member {
        match suffix {
            Suffix::None => Member::None,
            Suffix::Index(index) => Member::Index(index),
            Suffix::Name(name) => Member::Name(self.arena.text(name)),
        }
    }

    fn put_text(&mut self, key: Key, member: Member, text: &[u8], full_len: u64, sensitivity: Sensitivity) {
        let is_cut = full_len > text.len().min(self.arena.max_text()) as u64;
        if !is_cut && redact::is_plain(sensitivity, self.arena.redacts()) {
            return self.arena.put_copy(key, member, text);
        }
        let span = self.shown(text, full_len, is_cut, sensitivity);
        self.arena.put(key, member, Value::Text(span));
    }

    fn shown(&mut self, text: &[u8], full_len: u64, is_cut: bool, sensitivity: Sensitivity) -> Span {
        if is_cut && !redact::hides_all(sensitivity, self.arena.redacts()) {
            self.arena.opened_cut = self.arena.opened_cut.max(full_len);
        }
        self.arena.shown(text, is_cut, sensitivity)
    }

    fn put_written(&mut self, key: Key, member: Member, value: impl fmt::Display, sensitivity: Sensitivity) {
        let hides = redact::hides_all(sensitivity, self.arena.redacts());
        let span = if hides { self.arena.text(redact::LITERAL) } else { self.arena.written(value) };
        self.arena.put(key, member, Value::Text(span));
    }

    /// A whole number.
    pub fn number(self, key: Key, value: u64) -> Self {
        self.arena.put(key, Member::None, Value::U64(value));
        self
    }

    /// A whole number that may be negative.
    pub fn signed(self, key: Key, value: i64) -> Self {
        self.arena.put(key, Member::None, Value::I64(value));
        self
    }

    /// A number.
    pub fn float(self, key: Key, value: f64) -> Self {
        self.arena.put(key, Member::None, Value::F64(value));
        self
    }

    /// A truth value.
    pub fn flag(self, key: Key, value: bool) -> Self {
        self.arena.put(key, Member::None, Value::Bool(value));
        self
    }

    /// Applies `put` when there is a value.
    pub fn maybe<T>(self, value: Option<T>, put: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => put(self, value),
            None => self,
        }
    }

    /// Ends the event: it will be written.
    pub fn emit(self) {
        let cut = self.arena.opened_cut;
        if cut > 0 {
            self.arena.put(Key::TEXT_LENGTH, Member::None, Value::U64(cut));
        }
        self.arena.close(self.start);
    }
}

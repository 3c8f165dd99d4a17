//! Lines for people: one event, one line, in columns.
//!
//! `10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql  183 µs  SELECT 1  1 row`: the time of day in UTC, client and server, the
//! protocol, how long it took, what was asked (coloured by status), what came of it. It goes by the keys of the fields, never by the
//! protocol; a key without a place of its own is shown as `label=value`. What has a column of its own is not said twice. Whoever needs every
//! byte takes JSON.
//!
//! A worker writes its lines with one [`Text`], whose buffers are used again: no allocation per event.
//!
//! What comes from the wire can't reach the terminal raw: line breaks and tabs become spaces, other control characters, and those that
//! reorder or hide text, become escapes such as `\x1b` and `\u{202e}`, bytes that are not UTF-8 become `\xNN`.

mod columns;
mod layout;
mod parts;

use sniff_x_proto::event::{Arena, Event, KeyTable, Kind, Status};

pub use columns::{Column, Origin, TextOptions, TimeStyle};

use super::address::{write_endpoint, write_number};
use super::human::{write_bytes, write_clean, write_count, write_duration};
use super::terminal::RESET;
use columns::{DEFAULT, NARROW, ROOMY, Shown, Times};
use layout::Layout;
use parts::{DirectionTotals, Parts, write_label, write_value};

/// How a part of the line is coloured (SGR parameters).
#[derive(Clone, Copy)]
enum Paint {
    Dim,
    Protocol,
    Ok,
    Error,
    Incomplete,
}

impl Paint {
    const fn sgr(self) -> &'static [u8] {
        match self {
            Self::Dim => b"\x1b[2m",
            Self::Protocol => b"\x1b[36m",
            Self::Ok => b"\x1b[32m",
            Self::Error => b"\x1b[31m",
            Self::Incomplete => b"\x1b[33m",
        }
    }

    const fn of(status: Option<Status>) -> Option<Self> {
        match status {
            Some(Status::Ok) => Some(Self::Ok),
            Some(Status::Error) => Some(Self::Error),
            Some(Status::Incomplete(_)) => Some(Self::Incomplete),
            None => None,
        }
    }
}

/// What writes a worker's lines.
pub struct Text {
    options: TextOptions,
    /// Columns of the terminal.
    width: Option<usize>,
    times: Times,
    layout: Layout,
}

impl Text {
    /// Lines as `options` say.
    #[must_use]
    pub fn new(options: TextOptions) -> Self {
        let width = options.terminal.as_ref().and_then(|terminal| terminal.size()).map(|size| size.columns);
        Self { options, width, times: Times::default(), layout: Layout::default() }
    }

    /// Some events are to be written: the terminal may have another size now.
    pub fn begin(&mut self) {
        if let Some(terminal) = &self.options.terminal {
            self.width = terminal.size().map(|size| size.columns);
        }
    }

    /// Appends `event`, whose fields lie in `arena`, as one line with its line feed (several with `wide`, on a terminal).
    pub fn write(&mut self, arena: &Arena, event: &Event, keys: &KeyTable, out: &mut Vec<u8>) {
        let parts = Parts::of(arena, event);
        let columns = match &self.options.columns {
            Some(columns) => columns,
            None if self.width.is_some_and(|width| width < ROOMY) => NARROW,
            None => DEFAULT,
        };
        let shown = Shown::of(columns);
        self.layout.clear();
        for &column in columns {
            let (options, times) = (&self.options, &mut self.times);
            self.layout.cell(column, |out| {
                let start = out.len();
                let mut cell = Cell { out, start, color: options.color, shown };
                if column == Column::Time {
                    cell.painted(Some(Paint::Dim), |out| {
                        times.write(options.time, &options.origin, event.head.timestamp, out);
                    });
                } else {
                    cell.column(column, arena, event, &parts, keys);
                }
            });
        }
        self.layout.finish(self.width, self.options.wide, out);
    }
}

/// A cell in the making.
struct Cell<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    color: bool,
    shown: Shown,
}

impl Cell<'_> {
    fn column(&mut self, column: Column, arena: &Arena, event: &Event, parts: &Parts<'_>, keys: &KeyTable) {
        let head = &event.head;
        match column {
            // Told by who knows the times of other events.
            Column::Time => {}
            Column::Client => write_endpoint(head.client, self.out),
            Column::Server => write_endpoint(head.server, self.out),
            Column::Protocol => {
                self.painted(Some(Paint::Protocol), |out| write_clean(head.protocol.as_bytes(), out));
            }
            Column::Kind => {
                self.painted(Some(Paint::Dim), |out| out.extend_from_slice(head.kind.as_str().as_bytes()));
            }
            Column::Db => self.name(parts.namespace),
            Column::User => self.name(parts.user),
            Column::Operation => {
                if let Some(operation) = parts.operation() {
                    self.painted(Paint::of(head.status), |out| write_clean(operation, out));
                }
            }
            Column::Status => self.status(head.status, parts),
            Column::Rows => {
                if let Some(rows) = parts.rows.or_else(|| parts.affected_to_show()) {
                    write_number(rows, self.out);
                }
            }
            Column::Duration => {
                if let Some(duration) = head.duration {
                    self.painted(Some(Paint::Dim), |out| write_duration(duration, out));
                }
            }
            Column::Size => {
                if let Some(size) = parts.size() {
                    write_bytes(size, self.out);
                }
            }
            Column::Text => self.subject(head.kind, head.status, parts),
            Column::Result => {
                self.results(head.status, parts);
                for (name, totals) in [("to server", &parts.to_server), ("to client", &parts.to_client)] {
                    self.direction(name, totals);
                }
            }
            Column::Details => {
                let shown = self.shown;
                let labelled = |f: &_| parts::is_labelled(f, head.protocol) && !parts::has_column(f, shown);
                for (key, suffix, value) in arena.fields(event).filter(labelled) {
                    self.part(Some(Paint::Dim), |out| {
                        write_label(keys.name(key), suffix, out);
                        out.push(b'=');
                        write_value(value, out);
                    });
                }
            }
        }
    }

    fn name(&mut self, name: Option<&[u8]>) {
        if let Some(name) = name {
            write_clean(name, self.out);
        }
    }

    /// The protocol's own code where there is one, else the outcome in a word.
    fn status(&mut self, status: Option<Status>, parts: &Parts<'_>) {
        let word = match status {
            Some(Status::Ok) => "ok",
            Some(Status::Error) => "error",
            Some(Status::Incomplete(_)) => "incomplete",
            None => return,
        };
        let code = parts.code.filter(|_| status == Some(Status::Error));
        self.painted(Paint::of(status), |out| match (parts.status_code, code) {
            (Some(code), _) => write_number(code, out),
            (None, Some(code)) => write_clean(code, out),
            (None, None) => out.extend_from_slice(word.as_bytes()),
        });
    }

    fn painted(&mut self, paint: Option<Paint>, write: impl FnOnce(&mut Vec<u8>)) {
        let paint = paint.filter(|_| self.color);
        if let Some(paint) = paint {
            self.out.extend_from_slice(paint.sgr());
        }
        write(self.out);
        if paint.is_some() {
            self.out.extend_from_slice(RESET.as_bytes());
        }
    }

    /// What stands between two things of the cell, and not before the first.
    fn space(&mut self, between: &str) {
        if self.out.len() > self.start {
            self.out.extend_from_slice(between.as_bytes());
        }
    }

    /// A further part, two spaces apart.
    fn part(&mut self, paint: Option<Paint>, write: impl FnOnce(&mut Vec<u8>)) {
        self.space("  ");
        self.painted(paint, write);
    }

    /// What the event is about: the kind unless it is an exchange, the operation, the text and its parameters.
    fn subject(&mut self, kind: Kind, status: Option<Status>, parts: &Parts<'_>) {
        if kind != Kind::Exchange && !self.shown.has(Column::Kind) {
            self.painted(Some(Paint::Dim), |out| out.extend_from_slice(kind.as_str().as_bytes()));
        }
        let paint = Paint::of(status);
        let told = parts.operation().filter(|_| self.shown.has(Column::Operation));
        let [end, state, operation, method] =
            [parts.end, parts.state, parts.operation_to_show(), parts.method]
                .map(|t| t.filter(|_| t != told));
        let texts = [end, state, operation, parts.text, method, parts.path];
        for text in texts.into_iter().flatten() {
            self.space(" ");
            self.painted(paint, |out| write_clean(text, out));
        }
        if let Some(query) = parts.query {
            self.painted(paint, |out| {
                out.push(b'?');
                write_clean(query, out);
            });
        }
        if let Some(notice) = parts.notice {
            // Behind something else it tells more of that.
            let is_first = texts.iter().all(Option::is_none);
            self.space(if is_first { " " } else { ": " });
            self.painted(paint, |out| write_clean(notice, out));
        }
        if let Some(length) = parts.full_length {
            self.painted(Some(Paint::Dim), |out| {
                out.extend_from_slice("… (cut, ".as_bytes());
                write_number(length, out);
                out.extend_from_slice(b" bytes)");
            });
        }
        if parts.has_parameters {
            self.space(" ");
            self.painted(Some(Paint::Dim), |out| {
                out.push(b'[');
                for (i, parameter) in parts.parameters().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    write_value(parameter, out);
                }
                out.push(b']');
            });
        }
    }

    /// What came of it: rows, changes, the error, what is missing.
    fn results(&mut self, status: Option<Status>, parts: &Parts<'_>) {
        if let Some(code) = parts.status_code.filter(|_| !self.shown.has(Column::Status)) {
            self.part(Paint::of(status), |out| write_number(code, out));
        }
        let rows_shown = self.shown.has(Column::Rows);
        if let Some(rows) = parts.rows.filter(|_| !rows_shown) {
            self.part(None, |out| write_count(rows, "row", out));
        }
        // The column has one number: both only where rows came back and others were changed.
        if let Some(changed) = parts.affected_to_show().filter(|_| !rows_shown || parts.rows.is_some()) {
            self.part(None, |out| {
                write_number(changed, out);
                out.extend_from_slice(b" affected");
            });
        }
        if parts.code.is_some() || parts.message.is_some() || status == Some(Status::Error) {
            self.part(Some(Paint::Error), |out| parts.write_error(out));
        }
        if let Some(Status::Incomplete(reason)) = status {
            self.part(Some(Paint::Incomplete), |out| {
                out.extend_from_slice(b"incomplete: ");
                out.extend_from_slice(reason.as_str().as_bytes());
            });
        }
        if let Some(missing) = parts.gap_bytes.filter(|&n| n > 0) {
            self.part(Some(Paint::Incomplete), |out| {
                write_bytes(missing, out);
                out.extend_from_slice(b" missing");
            });
        }
    }

    /// One direction's sums.
    fn direction(&mut self, name: &str, totals: &DirectionTotals<'_>) {
        let Some(bytes) = totals.bytes else { return };
        self.part(None, |out| {
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            write_bytes(bytes, out);
            if let Some(packets) = totals.packets {
                out.extend_from_slice(b" in ");
                write_count(packets, "packet", out);
            }
        });
        for (bytes, what) in [(totals.gap_bytes, " missing"), (totals.retransmitted_bytes, " retransmitted")]
        {
            if let Some(bytes) = bytes.filter(|&n| n > 0) {
                self.odd(|out| {
                    write_bytes(bytes, out);
                    out.extend_from_slice(what.as_bytes());
                });
            }
        }
        for (count, what) in [(totals.out_of_order, " out of order"), (totals.conflicts, " conflicting")] {
            if let Some(count) = count.filter(|&n| n > 0) {
                self.odd(|out| {
                    write_number(count, out);
                    out.extend_from_slice(what.as_bytes());
                });
            }
        }
        if let Some(file) = totals.file {
            self.out.extend_from_slice(b" in ");
            write_clean(file, self.out);
        }
    }

    /// What is not as it should be in a direction.
    fn odd(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(b", ");
        self.painted(Some(Paint::Incomplete), write);
    }
}

#[cfg(test)]
mod tests;

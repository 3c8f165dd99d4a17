//! Lines for people: one event, one line.
//!
//! `10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql SELECT 1  1 row  183 µs`: the time of day in UTC, client and server, the
//! protocol, what was asked (coloured by status), what came of it, how long it took. It goes by the keys of the fields, never by the
//! protocol; a key without a place of its own is shown as `label=value`. Whoever needs every byte takes JSON.
//!
//! What comes from the wire can't reach the terminal raw: line breaks and tabs become spaces, other control characters, and those that
//! reorder or hide text, become escapes such as `\x1b` and `\u{202e}`, bytes that are not UTF-8 become `\xNN`.

mod human;
mod parts;

use sniff_x_proto::event::{Arena, Event, KeyTable, Kind, Status};

use super::address::{write_endpoint, write_number};
use super::time::write_time_of_day;
use human::{write_bytes, write_clean, write_count, write_duration};
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

/// Appends `event`, whose fields lie in `arena`, as one line with its line feed; with ANSI colours if `color`.
pub fn write(arena: &Arena, event: &Event, keys: &KeyTable, out: &mut Vec<u8>, color: bool) {
    let head = &event.head;
    let parts = Parts::of(arena, event);
    let mut line = Line { out, color };

    line.painted(Some(Paint::Dim), |out| write_time_of_day(head.timestamp, out));
    line.out.push(b' ');
    write_endpoint(head.client, line.out);
    line.out.extend_from_slice(" → ".as_bytes());
    write_endpoint(head.server, line.out);
    line.out.push(b' ');
    line.painted(Some(Paint::Protocol), |out| write_clean(head.protocol.as_bytes(), out));

    line.subject(head.kind, head.status, &parts);
    line.results(head.status, &parts);
    for (name, totals) in [("to server", &parts.to_server), ("to client", &parts.to_client)] {
        line.direction(name, totals);
    }
    if let Some(duration) = head.duration {
        line.part(Some(Paint::Dim), |out| write_duration(duration, out));
    }
    for (key, suffix, value) in arena.fields(event).filter(|f| parts::is_labelled(f, head.protocol)) {
        line.part(Some(Paint::Dim), |out| {
            write_label(keys.name(key), suffix, out);
            out.push(b'=');
            write_value(value, out);
        });
    }
    line.out.push(b'\n');
}

/// The line in the making.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    color: bool,
}

impl Line<'_> {
    fn painted(&mut self, paint: Option<Paint>, write: impl FnOnce(&mut Vec<u8>)) {
        let paint = paint.filter(|_| self.color);
        if let Some(paint) = paint {
            self.out.extend_from_slice(paint.sgr());
        }
        write(self.out);
        if paint.is_some() {
            self.out.extend_from_slice(b"\x1b[0m");
        }
    }

    /// A further part, two spaces apart.
    fn part(&mut self, paint: Option<Paint>, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(b"  ");
        self.painted(paint, write);
    }

    /// What the event is about: the kind unless it is an exchange, the operation, the text and its parameters.
    fn subject(&mut self, kind: Kind, status: Option<Status>, parts: &Parts<'_>) {
        if kind != Kind::Exchange {
            self.out.push(b' ');
            self.painted(Some(Paint::Dim), |out| out.extend_from_slice(kind.as_str().as_bytes()));
        }
        let paint = Paint::of(status);
        let texts = [parts.end, parts.state, parts.operation_to_show(), parts.text, parts.method, parts.path];
        for text in texts.into_iter().flatten() {
            self.out.push(b' ');
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
            self.out.extend_from_slice(if is_first { b" " } else { b": " });
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
            self.out.push(b' ');
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
        if let Some(code) = parts.status_code {
            self.part(Paint::of(status), |out| write_number(code, out));
        }
        if let Some(rows) = parts.rows {
            self.part(None, |out| write_count(rows, "row", out));
        }
        if let Some(changed) = parts.affected_to_show() {
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

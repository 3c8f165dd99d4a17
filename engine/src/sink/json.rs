//! JSON Lines: one event, one line, written straight from the record.
//!
//! The head comes first, in a fixed order, then the fields in the order in which the plugin put them. Names of keys and plugins are
//! plain (letters, digits, `.`, `_`, `-`), so only values, and suffixes of families that come off the wire, are escaped.
//!
//! # Text that is not UTF-8
//! JSON holds no bytes that are not UTF-8. Each such byte becomes the four characters `\xNN` (lower-case hexadecimal) in the string's
//! value, so in the file's text it reads `\\xNN`. A backslash of the text itself that happens to stand before `xNN` becomes `\x5c`; all
//! other text stays as it is. So the original bytes come back when every `\xNN` is replaced by its byte, once, from left to right.
//!
//! # Terminals
//! Control characters never come out raw, neither those of ASCII nor U+007F to U+009F: a line is safe to print.

use std::io::Write;

use sniff_x_proto::event::{Arena, Event, Key, KeyTable, Status, Suffix, ValueRef};

use super::address::{hex_digit, write_address, write_number};
use super::time::write_rfc3339;

/// Appends `event`, whose fields lie in `arena`, as one line with its line feed.
pub fn write(arena: &Arena, event: &Event, keys: &KeyTable, out: &mut Vec<u8>) {
    write_head(event, out);
    for (key, suffix, value) in arena.fields(event) {
        write_field(keys, key, suffix, value, out);
    }
    out.extend_from_slice(b"}\n");
}

fn write_head(event: &Event, out: &mut Vec<u8>) {
    let head = &event.head;
    out.extend_from_slice(b"{\"timestamp\":\"");
    write_rfc3339(head.timestamp, out);
    out.extend_from_slice(b"\",\"protocol\":\"");
    out.extend_from_slice(head.protocol.as_bytes());
    out.extend_from_slice(b"\",\"sniffx.kind\":\"");
    out.extend_from_slice(head.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"client.address\":\"");
    write_address(head.client.address(), out);
    out.extend_from_slice(b"\",\"client.port\":");
    write_number(head.client.port(), out);
    out.extend_from_slice(b",\"server.address\":\"");
    write_address(head.server.address(), out);
    out.extend_from_slice(b"\",\"server.port\":");
    write_number(head.server.port(), out);
    if let Some(duration) = head.duration {
        out.extend_from_slice(b",\"duration_ns\":");
        write_number(duration, out);
    }
    if let Some(status) = head.status {
        out.extend_from_slice(b",\"status\":\"");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b'"');
        if let Status::Incomplete(reason) = status {
            out.extend_from_slice(b",\"sniffx.incomplete.reason\":\"");
            out.extend_from_slice(reason.as_str().as_bytes());
            out.push(b'"');
        }
    }
}

fn write_field(keys: &KeyTable, key: Key, suffix: Suffix<'_>, value: ValueRef<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(keys.name(key).as_bytes());
    match suffix {
        Suffix::None => {}
        Suffix::Index(index) => write_number(index, out),
        Suffix::Name(name) => write_text(name, out),
    }
    out.extend_from_slice(b"\":");
    match value {
        ValueRef::U64(v) => write_number(v, out),
        ValueRef::I64(v) => write_number(v, out),
        ValueRef::F64(v) => write_float(v, out),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Text(text) => {
            out.push(b'"');
            write_text(text, out);
            out.push(b'"');
        }
    }
}

/// The shortest digits that read back as the same number; `null` for what JSON has no number for (infinite, not a number).
fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        // Writing to a vector can't fail.
        let _ = write!(out, "{value:?}");
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends the inside of a JSON string.
pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
    if core::str::from_utf8(text).is_ok() {
        return write_utf8(text, out);
    }
    for chunk in text.utf8_chunks() {
        write_utf8(chunk.valid().as_bytes(), out);
        for &byte in chunk.invalid() {
            out.extend_from_slice(&[b'\\', b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
        }
    }
}

/// Copies runs of plain bytes and escapes what stands between them.
fn write_utf8(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let (plain, rest) = text.split_at(plain_len(text));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = rest.split_first() else { return };
        text = after;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' if looks_like_escape(after) => out.extend_from_slice(b"\\\\x5c"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            C1_LEAD => match after.split_first() {
                Some((&c1 @ 0x80..=0x9f, after)) => {
                    write_unicode_escape(c1, out);
                    text = after;
                }
                _ => out.push(C1_LEAD),
            },
            control => write_unicode_escape(control, out),
        }
    }
}

/// The first byte, in UTF-8, of the control characters U+0080 to U+009F; of harmless ones too.
const C1_LEAD: u8 = 0xc2;

fn write_unicode_escape(code: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex_digit(code >> 4), hex_digit(code & 0xf)]);
}

/// Whether what follows a backslash would make it read like our own escape of a byte.
fn looks_like_escape(after: &[u8]) -> bool {
    matches!(after, [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Bytes before the first one that needs a look: a control character, `"`, `\`, DEL, or [`C1_LEAD`].
fn plain_len(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let marks = special_bytes(u64::from_le_bytes(*word));
        if marks != 0 {
            return i * 8 + (marks.trailing_zeros() / 8) as usize;
        }
    }
    let is_special = |&b: &u8| b < b' ' || matches!(b, b'"' | b'\\' | 0x7f | C1_LEAD);
    words.len() * 8 + tail.iter().position(is_special).unwrap_or(tail.len())
}

/// Sets the top bit of each byte of `word` that needs a look. Exact for the lowest such byte; those above it may be marked falsely,
/// since a subtraction's borrow goes upward (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let below = |limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    (below(b' ') | equal(b'"') | equal(b'\\') | equal(0x7f) | equal(C1_LEAD)) & TOPS
}

#[cfg(test)]
mod tests;

//! The lines of the Redis protocol, RESP2 and RESP3: one type byte, text, CR LF.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

/// Lines longer than this are none of the protocol's: what may be longer is sent as a bulk string.
pub(super) const MAX_LINE: usize = 64 << 10;

/// What a look for a line found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The line without its end, and its length with it.
    Whole(&'a [u8], usize),
    /// Its end is not here yet.
    More,
    TooLong,
}

/// The line at the start of `bytes`, which ends with CR LF; where `lenient`, with LF alone too.
pub(super) fn line(bytes: &[u8], lenient: bool) -> Line<'_> {
    let searched = bytes.get(..MAX_LINE).unwrap_or(bytes);
    match memchr::memchr(b'\n', searched) {
        Some(end) => {
            let line = searched.get(..end).unwrap_or_default();
            match line.strip_suffix(b"\r") {
                Some(line) => Line::Whole(line, end + 1),
                None if lenient => Line::Whole(line, end + 1),
                // A line feed inside the text.
                None => Line::TooLong,
            }
        }
        None if bytes.len() >= MAX_LINE => Line::TooLong,
        None => Line::More,
    }
}

/// The number behind the type byte of a line that is here whole, and the line's length. None where it takes a closer look: a sign, many digits, no line.
pub(super) fn short_number(bytes: &[u8]) -> Option<(u64, usize)> {
    const DIGITS: usize = 9;
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(1).take(DIGITS + 1) {
        match byte {
            b'0'..=b'9' if at <= DIGITS => number = number * 10 + u64::from(byte - b'0'),
            b'\r' if at > 1 && bytes.get(at + 1) == Some(&b'\n') => return Some((number, at + 2)),
            _ => return None,
        }
    }
    None
}

/// The bulk string that is here whole, with its length and its end: its text, and how many bytes it takes. None where it takes a closer look.
pub(super) fn short_bulk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (len, head) = short_number(bytes)?;
    let end = head + usize::try_from(len).ok()?;
    let is_whole = bytes.get(end..end + 2) == Some(b"\r\n");
    (is_whole && len <= MAX_BULK).then(|| (bytes.get(head..end).unwrap_or_default(), end + 2))
}

/// A whole number as the protocol writes it.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().try_fold(0_i64, |n, d| n.checked_mul(10)?.checked_add(i64::from(d - b'0')))?;
    Some(if text.starts_with(b"-") { -value } else { value })
}

/// The type of a value, by its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Status,
    Error,
    Integer,
    Text,
    Nil,
    Array,
    Map,
    Set,
    Push,
    Attribute,
    Double,
    Boolean,
    BigNumber,
}

/// How the rest of a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The line is all.
    Line,
    /// The line has a length, and so many bytes follow.
    Bulk,
    /// The line has a number of values, and so many (for a map twice as many) follow.
    Aggregate,
}

impl Kind {
    /// What a value with this first byte is.
    pub(super) fn of(byte: u8) -> Option<(Self, Form)> {
        Some(match byte {
            b'+' => (Self::Status, Form::Line),
            b'-' => (Self::Error, Form::Line),
            b':' => (Self::Integer, Form::Line),
            b'_' => (Self::Nil, Form::Line),
            b',' => (Self::Double, Form::Line),
            b'#' => (Self::Boolean, Form::Line),
            b'(' => (Self::BigNumber, Form::Line),
            b'$' | b'=' => (Self::Text, Form::Bulk),
            b'!' => (Self::Error, Form::Bulk),
            b'*' => (Self::Array, Form::Aggregate),
            b'~' => (Self::Set, Form::Aggregate),
            b'%' => (Self::Map, Form::Aggregate),
            b'|' => (Self::Attribute, Form::Aggregate),
            b'>' => (Self::Push, Form::Aggregate),
            _ => return None,
        })
    }

    /// The word for it in an event.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Error => "error",
            Self::Integer => "integer",
            Self::Text => "string",
            Self::Nil => "nil",
            Self::Array => "array",
            Self::Map | Self::Attribute => "map",
            Self::Set => "set",
            Self::Push => "push",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::BigNumber => "big number",
        }
    }
}

/// The number in a line that announces bytes or values: none for nonsense, `Some(None)` for the null of RESP2.
#[expect(clippy::option_option, reason = "no number, the null value, and a number are three things")]
pub(super) fn announced(line: &[u8], max: u64) -> Option<Option<u64>> {
    if line == b"-1" {
        return Some(None);
    }
    let number = u64::try_from(integer(line)?).ok()?;
    (number <= max).then_some(Some(number))
}

/// Whether a line begins a value whose length nobody knows yet: the pieces of a text up to an empty one, the values of an aggregate up to [`END`].
pub(super) fn streams(line: &[u8]) -> bool {
    matches!(line, [b'$' | b'*' | b'~' | b'%' | b'|' | b'>', b'?'])
}

/// The line that ends an aggregate whose number of values was not told ahead.
pub(super) const END: &[u8] = b".\r\n";
/// The longest bulk string that a server takes or sends.
pub(super) const MAX_BULK: u64 = 512 << 20;
/// The most values that one aggregate may announce.
pub(super) const MAX_COUNT: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line(b"+OK\r\nrest", false), Line::Whole(b"+OK", 5));
        assert_eq!(line(b"+OK\r", false), Line::More);
        assert_eq!(line(b"PING\n", true), Line::Whole(b"PING", 5));
        assert_eq!(line(b"+a\nb\r\n", false), Line::TooLong);
        assert_eq!(line(&vec![b'x'; MAX_LINE], false), Line::TooLong);
    }

    #[test]
    fn short_ones() {
        assert_eq!(short_number(b"*12\r\n$"), Some((12, 5)));
        assert_eq!(short_number(b":999999999\r\n"), Some((999_999_999, 12)));
        for bytes in [&b""[..], b":", b":1", b":1\r", b":\r\n", b":-1\r\n", b":1x\r\n", b":1234567890\r\n"] {
            assert_eq!(short_number(bytes), None, "{bytes:?}");
        }
        assert_eq!(short_bulk(b"$2\r\nab\r\n$"), Some((&b"ab"[..], 8)));
        assert_eq!(short_bulk(b"$0\r\n\r\n"), Some((&b""[..], 6)));
        for bytes in [&b"$2\r\nab\r"[..], b"$2\r\nabcd", b"$-1\r\n", b"$999999999\r\nab"] {
            assert_eq!(short_bulk(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(integer(b"-12"), Some(-12));
        assert_eq!(integer(b"+7"), Some(7));
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        for text in [&b""[..], b"-", b"1x", b"9223372036854775808", b"99999999999999999999"] {
            assert_eq!(integer(text), None);
        }
        assert!(streams(b"$?") && streams(b"*?") && !streams(b"=?") && !streams(b"!?") && !streams(b"$??"));
        assert_eq!(announced(b"-1", 10), Some(None));
        assert_eq!(announced(b"-2", 10), None);
        assert_eq!(announced(b"11", 10), None);
    }
}

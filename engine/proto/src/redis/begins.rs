//! What begins at a byte: strict, for where nothing else tells that it is Redis, or that a message begins.

use super::client::MAX_ARGUMENTS;
use super::resp::{self, Form, Kind, Line, announced, integer, line};

/// Whether bytes begin a command: an array whose first argument is a word. None when more of them are needed.
pub(super) fn begins_request(bytes: &[u8]) -> Option<bool> {
    let head = bytes.get(..80).unwrap_or(bytes);
    if head.first().is_some_and(|b| *b != b'*') {
        return Some(false);
    }
    let (count, used) = match line(head, false) {
        Line::Whole(text, used) => (text, used),
        Line::More if head.len() < 16 => return None,
        _ => return Some(false),
    };
    let count = announced(count.get(1..).unwrap_or_default(), MAX_ARGUMENTS).flatten();
    if count.is_none_or(|n| n == 0) {
        return Some(false);
    }
    let rest = head.get(used..).unwrap_or_default();
    let (length, used) = match line(rest, false) {
        Line::Whole(text, used) => (text, used),
        Line::More if rest.len() < 8 && (rest.is_empty() || rest.starts_with(b"$")) => return None,
        _ => return Some(false),
    };
    let length = length.strip_prefix(b"$").and_then(|t| announced(t, 32)).flatten();
    let Some(length) = length.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) else {
        return Some(false);
    };
    let word = rest.get(used..).unwrap_or_default();
    let Some(word) = word.get(..length) else {
        return if word.iter().all(|b| is_name_byte(*b)) { None } else { Some(false) };
    };
    Some(word.iter().all(|b| is_name_byte(*b)))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'|')
}

/// Whether a reply begins here. None when more bytes are needed to tell.
pub(super) fn begins_reply(bytes: &[u8]) -> Option<bool> {
    let &first = bytes.first()?;
    let Some((kind, form)) = Kind::of(first) else { return Some(false) };
    let text = match line(bytes, false) {
        Line::Whole(text, _) if resp::streams(text) => return Some(true),
        Line::Whole(text, _) => text.get(1..).unwrap_or_default(),
        Line::More if bytes.len() < 128 => return None,
        _ => return Some(false),
    };
    Some(match (form, kind) {
        (Form::Line, Kind::Integer) => integer(text).is_some(),
        (Form::Line, Kind::Nil) => text.is_empty(),
        (Form::Line, _) => !text.is_empty() && text.iter().all(|b| (0x20..0x7f).contains(b)),
        (Form::Bulk, _) => announced(text, resp::MAX_BULK).is_some(),
        (Form::Aggregate, _) => announced(text, resp::MAX_COUNT).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_reply() {
        for bytes in [&b"+OK\r\n"[..], b":1\r\n", b"$-1\r\n", b"*2\r\n$1", b"$?\r\n;4", b"%?\r\n"] {
            assert_eq!(begins_reply(bytes), Some(true), "{bytes:?}");
            assert_eq!(begins_reply(&bytes[..2]), None, "{bytes:?}");
        }
        for bytes in [&b"=?\r\n"[..], b":?\r\n", b"$x\r\n", b"+\x01\r\n", b"OK\r\n"] {
            assert_eq!(begins_reply(bytes), Some(false), "{bytes:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_command() {
        assert_eq!(begins_request(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), Some(true));
        assert_eq!(begins_request(b"*2\r\n$3\r\nGE"), None);
        assert_eq!(begins_request(b"*2\r\n"), None);
        for bytes in [
            &b"*2\r\n$3\r\nG\r\n"[..],
            b"*x\r\n",
            b"$3\r\nGET",
            b"*0\r\n",
            b"*2\r\n:3\r\n",
            b"*1\r\n$0\r\n\r\n",
        ] {
            assert_eq!(begins_request(bytes), Some(false), "{bytes:?}");
        }
    }
}

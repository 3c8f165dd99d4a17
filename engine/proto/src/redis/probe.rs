//! Whether two ends speak Redis: told by commands, by what servers alone send, and by how both fit together.
//!
//! An array of texts may be a command, or the reply to one; a line of words may be a command of many protocols. So each counts alone only where its first
//! word is one that Redis knows (an array), and else together with what the other side says.

use super::begins::begins_request;
use super::commands::{LONGEST, is_command, may_be_command};
use super::resp::{Form, Kind, Line, announced, integer, line, streams};
use crate::Probe;

/// With what servers begin what they send to subscribers, always in small letters.
const PUSHED: [&[u8]; 9] = [
    b"message",
    b"pmessage",
    b"smessage",
    b"subscribe",
    b"psubscribe",
    b"ssubscribe",
    b"unsubscribe",
    b"punsubscribe",
    b"sunsubscribe",
];

/// What a server says to clients that it does not want.
const REFUSALS: [&[u8]; 2] = [b"-DENIED Redis ", b"-ERR max number of clients reached\r\n"];

/// What one side says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Nothing, or too little to tell.
    Little,
    /// An array that begins with a command; one that a replica sends to its server.
    Command { replica: bool },
    /// An array that begins with any other word.
    Words,
    /// What only servers send.
    Pushed,
    /// A line that begins with a command.
    Line { plain: bool },
    /// A reply; `+` with another text than a Redis server's is doubtful.
    Reply(Answer),
    /// Something else.
    Other,
}

/// How sure it is that a reply is one of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A length, a number or an error as Redis has them.
    Sure,
    /// `+OK`, which others say too.
    Okay,
}

fn says(bytes: &[u8]) -> Says {
    match bytes.first() {
        None => Says::Little,
        Some(b'*' | b'>') => array(bytes),
        Some(b) if b.is_ascii_alphabetic() => command_line(bytes),
        Some(_) => reply(bytes),
    }
}

fn array(bytes: &[u8]) -> Says {
    let is_push = bytes.starts_with(b">");
    // A push differs in its first byte alone.
    let mut head = [0; 80];
    let len = bytes.len().min(head.len());
    let (Some(head), Some(bytes_head)) = (head.get_mut(..len), bytes.get(..len)) else { return Says::Other };
    head.copy_from_slice(bytes_head);
    if let Some(first) = head.first_mut() {
        *first = b'*';
    }
    match begins_request(head) {
        None => Says::Little,
        Some(true) => {
            let word = head.split(|b| *b == b'\n').nth(2).unwrap_or_default();
            let word = word.strip_suffix(b"\r").unwrap_or(word);
            if PUSHED.contains(&word) || is_push {
                Says::Pushed
            } else if is_command(word) {
                Says::Command { replica: word.eq_ignore_ascii_case(b"REPLCONF") }
            } else {
                Says::Words
            }
        }
        Some(false) => reply(bytes),
    }
}

/// A command as people type it.
fn command_line(bytes: &[u8]) -> Says {
    /// Commands that other protocols answer with `+OK` as well.
    const SHARED: [&[u8]; 8] =
        [b"AUTH", b"QUIT", b"RESET", b"TYPE", b"HELLO", b"PING", b"INFO", b"SUBSCRIBE"];
    let end = bytes.iter().take(LONGEST + 1).position(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    let Some(end) = end else {
        return if may_be_command(bytes) { Says::Little } else { Says::Other };
    };
    let (word, rest) = bytes.split_at(end);
    if !is_command(word) || !matches!(rest.first(), Some(b' ' | b'\r' | b'\n')) {
        return Says::Other;
    }
    let Some(end) = memchr::memchr(b'\n', rest) else { return Says::Little };
    let line = rest.get(..end).unwrap_or_default();
    if !line.iter().all(|b| (0x20..0x7f).contains(b) || matches!(b, b'\t' | b'\r' | 0x80..)) {
        return Says::Other;
    }
    Says::Line { plain: !SHARED.iter().any(|s| s.eq_ignore_ascii_case(word)) }
}

/// A reply, by its first line.
fn reply(bytes: &[u8]) -> Says {
    let Some((kind, form)) = bytes.first().and_then(|b| Kind::of(*b)) else { return Says::Other };
    let head = bytes.get(..256).unwrap_or(bytes);
    let (text, used) = match line(head, false) {
        Line::Whole(text, used) => (text.get(1..).unwrap_or_default(), used),
        Line::More if head.len() < 256 => return Says::Little,
        _ => return Says::Other,
    };
    let sure = |yes: bool| if yes { Says::Reply(Answer::Sure) } else { Says::Other };
    if head.get(..2).is_some_and(streams) && text == b"?" {
        return sure(true);
    }
    match (form, kind) {
        (Form::Bulk, _) => match announced(text, super::resp::MAX_BULK) {
            None => Says::Other,
            Some(None) => sure(kind == Kind::Text),
            Some(Some(len)) => {
                let end = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(used);
                let behind = bytes.get(end..).unwrap_or_default();
                sure(behind.is_empty() || b"\r\n".starts_with(behind.get(..2).unwrap_or(behind)))
            }
        },
        (Form::Aggregate, _) => match announced(text, super::resp::MAX_COUNT) {
            None => Says::Other,
            Some(_) => sure(bytes.get(used).is_none_or(|b| Kind::of(*b).is_some())),
        },
        (Form::Line, Kind::Integer) => sure(integer(text).is_some()),
        (Form::Line, Kind::Status) => match text {
            b"PONG" | b"QUEUED" => Says::Reply(Answer::Sure),
            b"OK" => Says::Reply(Answer::Okay),
            _ => Says::Other,
        },
        // A code in capitals, then words.
        (Form::Line, Kind::Error) => {
            let code = text.split(|b| *b == b' ').next().unwrap_or_default();
            sure(code.len() > 2 && code.len() < text.len() && code.iter().all(u8::is_ascii_uppercase))
        }
        (Form::Line, Kind::Nil) => sure(text.is_empty()),
        (Form::Line, Kind::Boolean) => sure(matches!(text, b"t" | b"f")),
        (Form::Line, _) => {
            sure(!text.is_empty() && text.iter().all(|b| b.is_ascii_digit() || b"+-.einfa".contains(b)))
        }
    }
}

/// What the first bytes of both sides tell.
pub(super) fn probe(to_server: &[u8], to_client: &[u8]) -> Probe {
    let yes = |reversed| Probe::Yes { reversed };
    let refuses = |bytes: &[u8]| REFUSALS.iter().any(|refusal| bytes.starts_with(refusal));
    if refuses(to_client) && to_server.is_empty() {
        return yes(false);
    }
    let (client, server) = (says(to_server), says(to_client));
    match (client, server) {
        // What a server sends its replica are commands, too.
        (Says::Command { replica: true }, Says::Command { .. }) => yes(false),
        (Says::Command { .. }, Says::Command { replica: true }) => yes(true),
        (Says::Command { .. }, Says::Command { .. }) => Probe::No,
        (Says::Command { .. }, _) | (_, Says::Pushed) => yes(false),
        (_, Says::Command { .. }) | (Says::Pushed, _) => yes(true),
        (Says::Words, Says::Reply(_)) => yes(false),
        (Says::Reply(_), Says::Words) => yes(true),
        (Says::Line { .. }, Says::Reply(Answer::Sure)) => yes(false),
        (Says::Reply(Answer::Sure), Says::Line { .. }) => yes(true),
        (Says::Line { plain: true }, Says::Reply(Answer::Okay)) => yes(false),
        (Says::Reply(Answer::Okay), Says::Line { plain: true }) => yes(true),
        // POP3, say.
        (Says::Line { plain: false }, Says::Reply(Answer::Okay)) => Probe::No,
        (Says::Reply(Answer::Okay), Says::Line { plain: false }) => Probe::No,
        (Says::Line { .. }, Says::Words) => yes(false),
        (Says::Words, Says::Line { .. }) => yes(true),
        (Says::Other, _) if !to_server.is_empty() => Probe::No,
        (_, Says::Other) if !to_server.is_empty() => Probe::No,
        _ => Probe::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Probe = Probe::Yes { reversed: false };
    const SERVER: Probe = Probe::Yes { reversed: true };

    /// Whoever asks is the client, whichever side that was taken for.
    #[test]
    fn redis() {
        for (client, server) in [
            (&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"[..], &b""[..]),
            (b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n", b"end of something"),
            (b"*2\r\n$9\r\nJSON.TYPE\r\n$1\r\nk\r\n", b"$-1\r\n"),
            (b"*2\r\n$9\r\nJSON.TYPE\r\n$1\r\nk\r\n", b"-ERR unknown command\r\n"),
            (b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nk\r\n", b"*3\r\n$9\r\nsubscribe\r\n$1\r\nk\r\n:1\r\n"),
            (b"", b"*3\r\n$7\r\nmessage\r\n$1\r\nk\r\n$1\r\nv\r\n"),
            (b"", b">3\r\n$7\r\nmessage\r\n$1\r\nk\r\n$1\r\nv\r\n"),
            (b"PING\r\n", b"+PONG\r\n"),
            (b"get k\r\n", b"$1\r\nv\r\n"),
            (b"SET k v\n", b"+OK\r\n"),
            (b"LRANGE l 0 -1\r\n", b"*1\r\n$1\r\na\r\n"),
            (b"LRANGE l 0 -1\r\n", b"*?\r\n$1\r\na\r\n"),
            (b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n", b"*1\r\n$4\r\nPING\r\n"),
        ] {
            assert_eq!(
                probe(client, server),
                CLIENT,
                "{} | {}",
                client.escape_ascii(),
                server.escape_ascii()
            );
            assert_eq!(
                probe(server, client),
                SERVER,
                "{} | {}",
                client.escape_ascii(),
                server.escape_ascii()
            );
        }
        assert_eq!(probe(b"", b"-DENIED Redis is running in protected mode"), CLIENT);
    }

    #[test]
    fn other_protocols() {
        for (client, server) in [
            (&b"USER bob\r\n"[..], &b"+OK hello\r\n"[..]),
            (b"AUTH PLAIN\r\n", b"+OK\r\n"),
            (b"QUIT\r\n", b"+OK\r\n"),
            (b"get key\r\n", b"VALUE key 0 5\r\nhello\r\nEND\r\n"),
            (b"set k 0 0 5\r\nhello\r\n", b"STORED\r\n"),
            (b"TYPE I\r\n", b"200 Type set to I.\r\n"),
            (b"HELO me\r\n", b"220 mail\r\n"),
            (b"PING :me\r\n", b":server PONG server :me\r\n"),
            (b"PING\r\n", b"PONG\r\n"),
            (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        ] {
            assert_eq!(probe(client, server), Probe::No, "{}", client.escape_ascii());
        }
        // The elements of a list are no command.
        assert_eq!(probe(b"", b"*2\r\n$4\r\nkey1\r\n$4\r\nkey2\r\n"), Probe::More);
        assert_eq!(probe(b"GET k\r\n", b""), Probe::More);
        assert_eq!(probe(b"", b"220 mail\r\n"), Probe::More);
    }
}

//! The X Protocol of MySQL's document store: recognised by its first messages, never decoded.
//!
//! A message has a length (4 bytes, little endian, type included), a type and a protobuf message. The length's high byte is 0 where the classic
//! protocol has its sequence id, so that both cut the first bytes alike: a first message of the X Protocol is a classic packet with sequence id 0. What
//! tells them apart: a classic server begins with 9, 10 or 0xff, and a classic client's first packet has the sequence id 1.
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_mysqlx_protocol_messages.html>, the `mysqlx*.proto` files there.

/// The port that the server listens on for it.
pub(super) const PORT: u16 = 33060;

/// How much of a first message is looked at.
pub(super) const HEAD: usize = 16;

/// A protobuf field's mark: its number and whether it is a length with bytes behind it.
const fn bytes_field(number: u8) -> u8 {
    number << 3 | 2
}
const fn number_field(number: u8) -> u8 {
    number << 3
}

/// Whether a message begins as those that a server sends first: a notice (of its hello, or a warning), its capabilities, an error.
/// `head` is type and content, as far as [`HEAD`] of `len` bytes.
pub(super) fn is_server(head: &[u8], len: usize) -> bool {
    const ERROR: u8 = 1;
    const CAPABILITIES: u8 = 2;
    const NOTICE: u8 = 11;
    match head {
        // Frame.type: Warning, SessionVariableChanged, SessionStateChanged, GroupReplicationStateChanged, ServerHello.
        [NOTICE, field, 1..=5, ..] => *field == number_field(1),
        // A capability, in it its name.
        [CAPABILITIES, rest @ ..] => {
            let name = inside(rest, len).and_then(|rest| inside(rest, len));
            name.is_some_and(|name| name.first().is_some_and(u8::is_ascii_lowercase))
        }
        // Severity, then the code.
        [ERROR, severity, 0 | 1, code, ..] => *severity == number_field(1) && *code == number_field(2),
        _ => false,
    }
}

/// Whether a message begins as those that a client sends first: a question for capabilities, a wish for some, a login.
pub(super) fn is_client(head: &[u8], len: usize) -> bool {
    is_question(head, len) || is_claim(head, len)
}

/// The question for capabilities, which is also the classic protocol's QUIT.
pub(super) fn is_question(head: &[u8], len: usize) -> bool {
    const CAPABILITIES_GET: u8 = 1;
    len == 1 && head == [CAPABILITIES_GET]
}

/// A wish for capabilities, or a login: nothing else begins so.
pub(super) fn is_claim(head: &[u8], len: usize) -> bool {
    const CAPABILITIES_SET: u8 = 2;
    const AUTHENTICATE_START: u8 = 4;
    match head {
        // Capabilities, in it a capability, in it its name.
        [CAPABILITIES_SET, rest @ ..] => {
            let capability = inside(rest, len).and_then(|rest| inside(rest, len));
            capability.is_some_and(|c| c.first() == Some(&bytes_field(1)))
        }
        // The mechanism's name in capitals: `PLAIN`, `MYSQL41`, `SHA256_MEMORY`.
        [AUTHENTICATE_START, rest @ ..] => {
            let size = rest.get(1).copied().map(usize::from).filter(|size| (4..=32).contains(size));
            let name = inside(rest, len).zip(size).map(|(name, size)| name.get(..size).unwrap_or(name));
            name.is_some_and(|name| {
                name.len() >= 4
                    && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
            })
        }
        _ => false,
    }
}

/// What stands in the field 1 with which `bytes` begins: bytes behind a length that fits into a message of `len`.
fn inside(bytes: &[u8], len: usize) -> Option<&[u8]> {
    match bytes.strip_prefix(&[bytes_field(1)])? {
        [size @ 0..0x80, rest @ ..] if usize::from(*size) < len => Some(rest),
        [low @ 0x80..=0xff, high @ 1..0x80, rest @ ..]
            if (usize::from(*high) << 7 | usize::from(low & 0x7f)) < len =>
        {
            Some(rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(message: &[u8]) -> bool {
        is_server(&message[..message.len().min(HEAD)], message.len())
    }

    fn client(message: &[u8]) -> bool {
        is_client(&message[..message.len().min(HEAD)], message.len())
    }

    #[test]
    fn first_messages() {
        assert!(server(b"\x0b\x08\x05\x1a\x00"), "the hello of 8.0");
        assert!(server(b"\x02\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x00"));
        assert!(server(b"\x01\x08\x01\x10\x90\x08\x1a\x04oops\x22\x05HY000"));
        assert!(client(b"\x01"));
        assert!(client(b"\x02\x0a\x13\x0a\x11\x0a\x03tls\x12\x0a\x08\x01\x12\x06\x08\x07\x12\x02\x38\x01"));
        assert!(client(b"\x04\x0a\x07MYSQL41"));
        assert!(client(b"\x04\x0a\x05PLAIN\x12\x10\0user\0password00"));
        assert!(client(b"\x04\x0a\x0dSHA256_MEMORY"));
    }

    #[test]
    fn capabilities_tell_who_sends_them() {
        assert!(!client(b"\x02\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\x00"));
        let attributes =
            [&b"\x02\x0a\x91\x01\x0a\x8e\x01\x0a\x15session_connect_attrs"[..], &[0x12; 120]].concat();
        assert!(client(&attributes) && !server(&attributes));
    }

    #[test]
    fn classic_packets() {
        for greeting in [&b"\x0a8.4.0\0"[..], b"\x093.20\0", b"\xff\x10\x04Too many connections"] {
            assert!(!server(greeting));
        }
        for command in [
            &b"\x03select 1"[..],
            b"\x0e",
            b"\x02shop",
            b"\x02\nshop",
            b"\x04\nPLAIN\0",
            b"\x01\x01",
            b"\x04orders\0%",
        ] {
            assert!(!client(command), "{command:x?}");
        }
    }
}

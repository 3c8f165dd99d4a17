//! Finding the way back in: whether bytes at a place where a message may begin are one.
//!
//! Asked when a connection is joined in the middle and after a loss. The checks are strict: a message that is not recognised costs one exchange, a
//! false one would be a lie.

use super::command::{Command, Shape};
use super::flags::Caps;
use super::frame::{FRAME_HEADER, Frame};
use super::handshake::Login;
use super::packet::{self, ColumnCount, Failure};
use super::parameters;
use super::wire::{Cursor, HEADER, Header};
use crate::inflate::Algorithm;

/// What a look at some bytes tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    No,
    Yes,
    /// More bytes are needed to tell. How many is not said: what is waited for in vain must not hide what follows.
    More,
    /// Packets of the compressed protocol.
    Compressed,
}

/// First packets of a response that are longer than this are not looked at.
const MAX_FIRST: usize = 16 << 10;

/// A whole packet with the command QUIT. These bytes stand in many others, so that only the connection's end shows that they are one.
pub(super) const QUIT: [u8; 5] = [1, 0, 0, 0, Command::QUIT.0];

/// Whether a request begins here; `joining`: nothing is known of the connection, so that it may also be a login.
pub(super) fn request(bytes: &[u8], joining: bool) -> Look {
    let Some(header) = Header::parse(bytes) else { return Look::More };
    if header.len == 0 {
        return Look::No;
    }
    if header.seq == 1 && joining {
        return login(header, bytes);
    }
    if header.seq != 0 {
        return Look::No;
    }
    let Some(&first) = bytes.get(HEADER) else { return Look::More };
    let command = Command(first);
    let fits = command.name().is_some() && command.lengths().contains(&header.len);
    // The compressed protocol's packets begin with lengths where the command would be.
    if !(fits || joining && header.len > 7) {
        return Look::No;
    }
    if bytes == QUIT {
        return Look::More;
    }
    let shown = header.len.min(16);
    let Some(payload) = bytes.get(HEADER..HEADER + shown) else { return Look::More };
    if joining {
        match compressed(header, bytes) {
            Look::No => {}
            look => return look,
        }
    }
    let body = payload.get(1..).unwrap_or_default();
    let content = match command {
        // What no client sends, and the one that would end it all, see [`QUIT`].
        Command(0x00 | 0x0b | 0x0f | 0x10 | 0x14 | 0x1d) | Command::QUIT => false,
        // What has nothing to know it by.
        Command::STMT_SEND_LONG_DATA => false,
        Command::QUERY if parameters::are_there(body) => true,
        Command::QUERY | Command::STMT_PREPARE => begins_statement(body) && is_text(body),
        Command::INIT_DB | Command::CREATE_DB | Command::DROP_DB => is_text(body),
        Command::CHANGE_USER | Command::FIELD_LIST => {
            is_text(body.split(|b| *b == 0).next().unwrap_or_default())
        }
        // Id and flags: types follow (128), one result a row (64).
        Command::STMT_BULK_EXECUTE => body.get(4).is_some_and(|f| f & 0x3f == 0) && body.get(5) == Some(&0),
        // Id, flags, and a number of iterations that is always 1.
        Command::STMT_EXECUTE => {
            body.get(4).is_some_and(|flags| *flags < 0x10) && body.get(5..9) == Some(&[1, 0, 0, 0][..])
        }
        // A position, flags, the replica's id, a file's name.
        Command::BINLOG_DUMP => body.get(10..).is_some_and(is_text),
        _ => true,
    };
    if fits && content { Look::Yes } else { Look::No }
}

/// Whether a login begins here.
fn login(header: Header, bytes: &[u8]) -> Look {
    if !(33..=MAX_FIRST).contains(&header.len) {
        return Look::No;
    }
    let whole = HEADER + header.len;
    match bytes.get(HEADER..whole) {
        Some(payload) if Login::is_plausible(payload) => Look::Yes,
        Some(_) => Look::No,
        None => Look::More,
    }
}

/// Whether a statement may begin so: with a word, white space, a comment, a parenthesis, or a byte order mark.
fn begins_statement(body: &[u8]) -> bool {
    body.first().is_some_and(|b| b.is_ascii_alphabetic() || b"( \t\r\n/-#;{@\xef".contains(b))
}

/// Whether all bytes may stand in a text: no control characters but white space.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= 0x20 && *b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

/// Whether what looks like the first packet of a request is a frame of the compressed protocol: three more header bytes say how long it was before, 0
/// if it is not compressed.
pub(super) fn compressed(header: Header, bytes: &[u8]) -> Look {
    // Nothing shorter holds a packet.
    if header.len <= HEADER {
        return Look::No;
    }
    let Some(frame) = Frame::parse(bytes) else { return Look::More };
    let body = bytes.get(FRAME_HEADER..).unwrap_or_default();
    let yes = if frame.plain == 0 {
        Header::parse(body).map(|inner| inner.seq == 0 && inner.len > 0 && inner.len + HEADER == header.len)
    } else if header.len > frame.plain + frame.plain / 1000 + 16 {
        // Bytes that can't be compressed become a little longer, no more.
        Some(false)
    } else {
        Algorithm::begins(body)
    };
    match yes {
        Some(true) => Look::Compressed,
        Some(false) => Look::No,
        None => Look::More,
    }
}

/// Whether the response to `command` begins here; `seq` is the sequence id that its first packet must have.
pub(super) fn response(command: Command, seq: u8, caps: Option<Caps>, bytes: &[u8]) -> Look {
    let Some(header) = Header::parse(bytes) else { return Look::More };
    if header.seq != seq || !(1..=MAX_FIRST).contains(&header.len) {
        return Look::No;
    }
    let shape = command.shape();
    match (bytes.get(HEADER), shape) {
        (None, _) => return Look::More,
        // The longest number of columns.
        (Some(1..=0xfa | 0xfc | 0xfd), Shape::Results) if header.len > 5 => return Look::No,
        _ => {}
    }
    let Some(payload) = bytes.get(HEADER..HEADER + header.len) else {
        return Look::More;
    };
    let yes = |yes| if yes { Look::Yes } else { Look::No };
    let protocol_41 = caps.is_none_or(|c| c.has(Caps::PROTOCOL_41));
    match (payload.first().copied().unwrap_or_default(), shape) {
        (packet::ERR, _) => yes(is_failure(payload, protocol_41)),
        (_, Shape::Text) => yes(is_text(payload)),
        (packet::OK, Shape::Prepare) => {
            let Some(prepared) = packet::Prepared::parse(payload) else { return Look::No };
            let exact = matches!(payload.len(), 12 | 13) && payload.get(9) == Some(&0);
            if exact && prepared.definitions && (prepared.columns > 0 || prepared.parameters > 0) {
                return definition(bytes, header, protocol_41);
            }
            yes(exact)
        }
        (packet::OK, Shape::Stream) => yes(payload.len() > 19),
        (packet::OK, Shape::Rows) => yes(payload.len() > 1),
        (packet::OK, _) => yes(is_okay(payload, protocol_41)),
        (packet::EOF, Shape::Auth) => {
            yes(payload.len() == 1 || is_text(payload.get(1..6).unwrap_or_default()))
        }
        (packet::EOF, Shape::Simple | Shape::Rows | Shape::Fields | Shape::Stream) => {
            yes(packet::is_eof(packet::EOF, payload.len()) || is_okay(payload, protocol_41))
        }
        (packet::LOCAL_INFILE, Shape::Results) => {
            yes(payload.len() > 1 && is_text(payload.get(1..).unwrap_or_default()))
        }
        (_, Shape::Fields) => yes(!protocol_41 || is_definition(payload)),
        (_, Shape::Results) => match ColumnCount::parse(payload, caps) {
            Some(count) if count.columns > 4096 => Look::No,
            Some(count) if count.definitions => definition(bytes, header, protocol_41),
            Some(_) => Look::Yes,
            None => Look::No,
        },
        (1, Shape::Auth) => Look::Yes,
        _ => Look::No,
    }
}

/// Whether the packet behind the first one is a definition.
fn definition(bytes: &[u8], first: Header, protocol_41: bool) -> Look {
    let at = HEADER + first.len;
    let Some(second) = bytes.get(at..).and_then(Header::parse) else { return Look::More };
    if second.seq != first.seq.wrapping_add(1) || second.len == 0 {
        return Look::No;
    }
    if !protocol_41 {
        return Look::Yes;
    }
    let end = at + HEADER + 4;
    match bytes.get(at + HEADER..end) {
        Some(start) if is_definition(start) => Look::Yes,
        Some(_) => Look::No,
        None => Look::More,
    }
}

/// Definitions of the 4.1 protocol begin with the catalog, which is always `def`.
fn is_definition(payload: &[u8]) -> bool {
    payload.starts_with(b"\x03def")
}

fn is_okay(payload: &[u8], protocol_41: bool) -> bool {
    let Some(_) = packet::okay(payload, protocol_41) else { return false };
    if !protocol_41 {
        return true;
    }
    // What stands behind the numbers is text, or tracked changes.
    let mut c = Cursor::new(payload);
    let mut info = || {
        c.u8()?;
        c.lenenc()?;
        c.lenenc()?;
        let status = c.u16()?;
        c.u16()?;
        Some(
            status & super::flags::STATUS_SESSION_CHANGED != 0
                || is_text(c.rest().get(1..).unwrap_or_default()),
        )
    };
    info().unwrap_or(false)
}

fn is_failure(payload: &[u8], protocol_41: bool) -> bool {
    let Some(failure) = Failure::parse(payload) else { return false };
    let state = match failure.sqlstate {
        Some(state) => state.iter().all(u8::is_ascii_alphanumeric),
        None => !protocol_41,
    };
    failure.code >= 1000 && state && is_text(failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let yes = |bytes: &[u8]| assert_eq!(request(bytes, false), Look::Yes, "{bytes:x?}");
        let no = |bytes: &[u8]| assert_eq!(request(bytes, false), Look::No, "{bytes:x?}");
        yes(b"\x09\0\0\0\x03select 1");
        yes(b"\x0b\0\0\0\x03\x00\x01select 1");
        yes(b"\xff\xff\xff\0\x03insert into t values");
        yes(b"\x01\0\0\0\x0e");
        yes(b"\x0a\0\0\0\x17\x01\0\0\0\0\x01\0\0\0");
        no(b"\x0a\0\0\0\x17\x01\0\0\0\0\x02\0\0\0");
        no(b"\x02\0\0\0\x0e\x0e");
        no(b"\x09\0\0\x01\x03select 1");
        no(b"\x09\0\0\0\x03\x80\0\0\0\x01\x02\x03\x04");
        no(b"\x09\0\0\0\x77select 1");
        assert_eq!(request(b"\x09\0\0\0\x03sel", false), Look::More);
        assert_eq!(request(b"\x05\0\0\0\0\0\0\x01\0\0\0\x0e", true), Look::Compressed);
        assert_eq!(request(b"\x05\0\0\0\0\0\0\x01\0", true), Look::More);
        assert_eq!(request(b"\x13\0\0\0\0\0\0\x0f\0\0\0\x03show databases", true), Look::Compressed);
        assert_eq!(request(b"\x13\0\0\0\0\x01\0\x78\x9c\x4b\0\x03show databases", true), Look::Compressed);
    }

    #[test]
    fn responses() {
        let look = |bytes: &[u8]| response(Command::QUERY, 1, None, bytes);
        assert_eq!(look(b"\x07\0\0\x01\0\0\0\x02\0\0\0"), Look::Yes);
        assert_eq!(look(b"\x07\0\0\x02\0\0\0\x02\0\0\0"), Look::No);
        assert_eq!(look(b"\x01\0\0\x01\x01\x20\0\0\x02\x03def"), Look::Yes);
        assert_eq!(look(b"\x01\0\0\x01\x01\x20\0\0\x02\x03xyz"), Look::No);
        assert_eq!(look(b"\x01\0\0\x01\x01\x20\0\0\x03\x03def"), Look::No);
        assert_eq!(look(b"\x01\0\0\x01\x01"), Look::More);
        assert_eq!(look(b"\x0d\0\0\x01\xff\x28\x04#42000oops"), Look::Yes);
        assert_eq!(look(b"\x0d\0\0\x01\xff\x28\x00#42000oops"), Look::No);
        assert_eq!(response(Command::STATISTICS, 1, None, b"\x06\0\0\x01Uptime"), Look::Yes);
    }
}

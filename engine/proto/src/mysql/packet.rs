//! The server's packets that mean something by themselves: OK, ERR, EOF, PREPARE's answer, the column count.

use super::flags::{Caps, STATUS_SESSION_CHANGED};
use super::wire::Cursor;

/// First byte of an OK packet.
pub(super) const OK: u8 = 0x00;
/// First byte of the packet that asks for the next of several authentication methods.
pub(super) const NEXT_FACTOR: u8 = 0x02;
/// First byte of a request for a local file.
pub(super) const LOCAL_INFILE: u8 = 0xfb;
/// First byte of an EOF packet, and of the OK packet that ends rows.
pub(super) const EOF: u8 = 0xfe;
/// First byte of an ERR packet.
pub(super) const ERR: u8 = 0xff;

/// What an OK packet tells, and the part of it that an EOF packet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Okay<'a> {
    pub(super) affected_rows: u64,
    pub(super) last_insert_id: u64,
    pub(super) status: u16,
    pub(super) warnings: u16,
    /// The database that became the current one, where the server tracks the session; empty for none at all.
    pub(super) schema: Option<&'a [u8]>,
}

/// Reads an OK packet with header 0x00 or 0xfe.
///
/// The status says itself whether session changes follow, so that this works without knowing the capabilities.
pub(super) fn okay(payload: &[u8], protocol_41: bool) -> Option<Okay<'_>> {
    let mut c = Cursor::new(payload);
    c.u8()?;
    let mut ok = Okay { affected_rows: c.lenenc()?, last_insert_id: c.lenenc()?, ..Okay::default() };
    if !protocol_41 {
        ok.status = c.u16().unwrap_or(0);
        return Some(ok);
    }
    ok.status = c.u16()?;
    ok.warnings = c.u16()?;
    if ok.status & STATUS_SESSION_CHANGED != 0 {
        ok.schema = changed_schema(&mut c);
    }
    Some(ok)
}

/// Finds the change of the current database in what the server tracked.
fn changed_schema<'a>(c: &mut Cursor<'a>) -> Option<&'a [u8]> {
    const SCHEMA: u8 = 1;
    c.lenenc_bytes()?;
    // Of many changes only the first are here.
    let len = usize::try_from(c.lenenc()?).ok()?;
    let mut changes = Cursor::new(c.rest().get(..len).unwrap_or(c.rest()));
    let mut schema = None;
    while let Some(kind) = changes.u8() {
        let Some(data) = changes.lenenc_bytes() else { break };
        if kind == SCHEMA {
            schema = Cursor::new(data).lenenc_bytes();
        }
    }
    schema
}

/// Whether a packet that begins with 0xfe is an EOF packet: an OK packet with that header has at least seven bytes.
pub(super) fn is_eof(first: u8, len: usize) -> bool {
    first == EOF && matches!(len, 1 | 5)
}

/// Reads an EOF packet; before 4.1 it has no content.
pub(super) fn eof(payload: &[u8]) -> Okay<'static> {
    let mut c = Cursor::new(payload);
    let mut read = || {
        c.u8()?;
        Some(Okay { warnings: c.u16()?, status: c.u16()?, ..Okay::default() })
    };
    read().unwrap_or_default()
}

/// What ends rows, or answers a simple command: an OK packet of either header, or an EOF packet.
pub(super) fn okay_or_eof(payload: &[u8], protocol_41: bool) -> Option<Okay<'_>> {
    match payload {
        [OK, ..] => okay(payload, protocol_41),
        [EOF, ..] if is_eof(EOF, payload.len()) => Some(eof(payload)),
        [EOF, ..] => okay(payload, protocol_41),
        _ => None,
    }
}

/// What an ERR packet tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure<'a> {
    pub(super) code: u16,
    /// Five characters; none before login and before 4.1.
    pub(super) sqlstate: Option<&'a [u8]>,
    pub(super) message: &'a [u8],
}

/// MariaDB sends progress reports as ERR packets with this code; the response goes on behind them.
const PROGRESS: u16 = 0xffff;

impl<'a> Failure<'a> {
    /// Reads an ERR packet.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(payload);
        if c.u8()? != ERR {
            return None;
        }
        let code = c.u16()?;
        let mut sqlstate = None;
        if code != PROGRESS && c.rest().first() == Some(&b'#') {
            sqlstate = c.bytes(6)?.get(1..);
        }
        Some(Self { code, sqlstate, message: c.rest() })
    }

    /// Without the part of the statement that a syntax error quotes.
    pub(super) fn without_quote(self) -> Self {
        let end = memchr::memmem::find(self.message, b" near '").unwrap_or(self.message.len());
        Self { message: self.message.get(..end).unwrap_or_default(), ..self }
    }

    /// Not an error: the server tells how far it got.
    pub(super) fn is_progress(&self) -> bool {
        self.code == PROGRESS
    }
}

/// The answer to a prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) statement: u32,
    pub(super) columns: u16,
    pub(super) parameters: u16,
    pub(super) warnings: u16,
    /// Definitions of parameters and columns follow.
    pub(super) definitions: bool,
}

impl Prepared {
    /// Reads the first packet of a prepare's answer.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(payload);
        if c.u8()? != OK {
            return None;
        }
        let (statement, columns, parameters) = (c.u32()?, c.u16()?, c.u16()?);
        // The filler and the warnings are missing in the first releases of 4.1.
        let _ = c.u8();
        let warnings = c.u16().unwrap_or(0);
        let definitions = c.u8() != Some(0);
        Some(Self { statement, columns, parameters, warnings, definitions })
    }
}

/// The first packet of a result set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnCount {
    pub(super) columns: u64,
    /// Column definitions follow.
    pub(super) definitions: bool,
}

impl ColumnCount {
    /// Reads it as the capabilities say; where they are unknown, as the only reading that makes sense. Where definitions may be left out, a byte
    /// behind the number says whether they are. (MySQL's documentation puts that byte in front; its server, like MariaDB's, writes it behind:
    /// `Protocol_classic::start_result_metadata`. In front, a 0 would be an OK packet's first byte.)
    pub(super) fn parse(payload: &[u8], caps: Option<Caps>) -> Option<Self> {
        let mut c = Cursor::new(payload);
        let columns = c.lenenc().filter(|columns| *columns > 0)?;
        let flag = match caps {
            Some(caps) => caps.has(Caps::OPTIONAL_METADATA | Caps::CACHE_METADATA),
            None => !c.rest().is_empty(),
        };
        let definitions = !flag || c.u8().filter(|f| *f <= 1)? == 1;
        c.rest().is_empty().then_some(Self { columns, definitions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ok_packets() {
        let plain = [0x00, 0x01, 0x02, 0x02, 0x00, 0x03, 0x00];
        let ok = okay(&plain, true).unwrap();
        assert_eq!((ok.affected_rows, ok.last_insert_id, ok.status, ok.warnings), (1, 2, 2, 3));
        assert_eq!(okay(&plain[..6], true), None, "cut short");
        let tracked =
            [0x00, 0, 0, 0x02, 0x40, 0, 0, 0x00, 0x08, 0x05, 0x00, 0x01, 0x04, 0x03, b'a', b'b', b'c'];
        assert_eq!(okay(&tracked, true).unwrap().schema, Some(&b"abc"[..]), "behind an empty change");
        assert_eq!(okay(&tracked[..16], true).unwrap().schema, None, "cut short");
        let more = [&tracked[..8], &[0x0b], &tracked[9..], &[0x00, 0x7f, b'x']].concat();
        assert_eq!(okay(&more, true).unwrap().schema, Some(&b"abc"[..]), "cut behind it");
        let tracked = [0x00, 0, 0, 0x02, 0x40, 0, 0, 0x00, 0x06, 0x01, 0x04, 0x03, b'a', b'b', b'c'];
        assert_eq!(okay(&tracked, true).unwrap().schema, Some(&b"abc"[..]));
    }

    #[test]
    fn eof_or_ok_with_its_header() {
        let eof = [0xfe, 0x02, 0x00, 0x08, 0x00];
        let ok = okay_or_eof(&eof, true).unwrap();
        assert_eq!((ok.warnings, ok.status), (2, 8));
        let ok = okay_or_eof(&[0xfe, 0, 0, 0x02, 0x00, 0x01, 0x00], true).unwrap();
        assert_eq!((ok.warnings, ok.status), (1, 2));
        assert_eq!(okay_or_eof(&[0xfe], false), Some(Okay::default()));
        assert_eq!(okay_or_eof(&[0x01], true), None);
    }

    #[test]
    fn errors() {
        let f = Failure::parse(b"\xff\x28\x04#42000You have").unwrap();
        assert_eq!((f.code, f.sqlstate, f.message), (1064, Some(&b"42000"[..]), &b"You have"[..]));
        let f = Failure::parse(b"\xff\x10\x04Too many").unwrap();
        assert_eq!((f.code, f.sqlstate, f.message), (1040, None, &b"Too many"[..]));
        assert!(Failure::parse(b"\xff\xff\xff\x01\x01\x02\0\0\0\0").unwrap().is_progress());
        assert_eq!(Failure::parse(b"\xff\x28"), None);
    }

    #[test]
    fn column_counts() {
        let caps = |bits| Some(Caps(bits));
        let count = |columns, definitions| Some(ColumnCount { columns, definitions });
        assert_eq!(ColumnCount::parse(&[3], caps(0)), count(3, true));
        assert_eq!(ColumnCount::parse(&[3, 0], caps(0)), None);
        assert_eq!(ColumnCount::parse(&[3, 0], caps(Caps::CACHE_METADATA)), count(3, false));
        assert_eq!(ColumnCount::parse(&[3, 0], caps(Caps::OPTIONAL_METADATA)), count(3, false));
        assert_eq!(ColumnCount::parse(&[3, 1], caps(Caps::OPTIONAL_METADATA)), count(3, true));
        assert_eq!(ColumnCount::parse(&[3], caps(Caps::OPTIONAL_METADATA)), None);
        assert_eq!(ColumnCount::parse(&[3], None), count(3, true));
        assert_eq!(ColumnCount::parse(&[3, 1], None), count(3, true));
        assert_eq!(ColumnCount::parse(&[3, 0], None), count(3, false));
        assert_eq!(ColumnCount::parse(&[1, 3], None), None);
        assert_eq!(ColumnCount::parse(&[0xfc, 0x2c, 0x01], None), count(300, true));
        assert_eq!(ColumnCount::parse(&[0], None), None);
    }
}

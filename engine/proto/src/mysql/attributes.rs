//! Query attributes of MySQL 8: named values that stand between the command byte and the text of a query.
//!
//! They are stepped over so that the text is exact. The layout is that of the parameters of a prepared statement with names:
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html>.

use super::wire::Cursor;

/// What a look at the bytes behind the command byte found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// The text begins at this offset.
    At(usize),
    /// The attributes go on behind the bytes that are here.
    More,
    /// No attributes are encoded like this.
    Malformed,
}

/// Attributes longer than this are not read: the text behind them stays unknown.
pub(super) const MAX_ATTRIBUTES: usize = 64 << 10;

/// The most attributes of one query; more is no honest client.
const MAX_COUNT: u64 = 4096;

/// Whether a body whose capabilities nobody saw begins with attributes. A statement begins neither with a NUL nor with a control
/// character followed by 0x01, which is the number of parameter sets.
pub(super) fn are_there(body: &[u8]) -> bool {
    matches!(body, [0..=0x1f, 1, ..])
}

/// Steps over the attributes at the start of `body`, of which the part that arrived is given.
pub(super) fn skip(body: &[u8]) -> Skipped {
    let mut c = Cursor::new(body);
    let Some(count) = count(&mut c) else {
        // A length-encoded integer has nine bytes at the most.
        return if body.len() < 18 { Skipped::More } else { Skipped::Malformed };
    };
    match count {
        0 => return Skipped::At(body.len() - c.rest().len()),
        1..=MAX_COUNT => {}
        _ => return Skipped::Malformed,
    }
    match values(&mut c, count) {
        Some(true) => Skipped::At(body.len() - c.rest().len()),
        Some(false) => Skipped::Malformed,
        None => Skipped::More,
    }
}

fn count(c: &mut Cursor<'_>) -> Option<u64> {
    let count = c.lenenc()?;
    c.lenenc()?;
    Some(count)
}

/// True when all was stepped over, false when it is malformed, none when more bytes are needed.
fn values(c: &mut Cursor<'_>, count: u64) -> Option<bool> {
    let count = usize::try_from(count).ok()?;
    let nulls = c.bytes(count.div_ceil(8))?;
    let new_types = c.u8()?;
    if new_types != 1 {
        // Types of an earlier query can't be meant: there is no statement to remember them.
        return Some(false);
    }
    let mut types = *c;
    for _ in 0..count {
        c.u16()?;
        c.lenenc_bytes()?;
    }
    for index in 0..count {
        let kind = types.u16()?;
        types.lenenc_bytes()?;
        let null = nulls.get(index / 8).is_some_and(|byte| byte & 1 << (index % 8) != 0);
        if !null && !value(c, kind)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Steps over one value in the binary protocol's encoding.
pub(super) fn value(c: &mut Cursor<'_>, kind: u16) -> Option<bool> {
    match kind & 0xff {
        // TINY
        0x01 => c.bytes(1)?,
        // SHORT, YEAR
        0x02 | 0x0d => c.bytes(2)?,
        // LONG, FLOAT, INT24
        0x03 | 0x04 | 0x09 => c.bytes(4)?,
        // DOUBLE, LONGLONG
        0x05 | 0x08 => c.bytes(8)?,
        // NULL
        0x06 => &[],
        // TIMESTAMP, DATE, TIME, DATETIME: a length byte in front.
        0x07 | 0x0a | 0x0b | 0x0c => {
            let len = c.u8()?;
            c.bytes(usize::from(len))?
        }
        // DECIMAL, VARCHAR, BIT, JSON, NEWDECIMAL, ENUM, SET, blobs, strings, GEOMETRY
        0x00 | 0x0f | 0x10 | 0xf5..=0xff => c.lenenc_bytes()?,
        _ => return Some(false),
    };
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none() {
        assert_eq!(skip(b"\x00\x01select 1"), Skipped::At(2));
        assert_eq!(skip(b"\x00"), Skipped::More);
        assert_eq!(skip(b""), Skipped::More);
        assert!(are_there(b"\x00\x01select"));
        assert!(!are_there(b"\nselect"));
    }

    #[test]
    fn values_of_each_width() {
        let mut body = vec![4, 1, 0b0000_0100, 1];
        for (kind, name) in [(0x03u16, "n"), (0xfe, "s"), (0xfe, "null"), (0x0c, "d")] {
            body.extend(kind.to_le_bytes());
            body.push(u8::try_from(name.len()).unwrap());
            body.extend(name.as_bytes());
        }
        body.extend([1, 0, 0, 0, 3, b'a', b'b', b'c', 4, 0xe7, 0x07, 1, 2]);
        let end = body.len();
        body.extend(b"select 1");
        assert_eq!(skip(&body), Skipped::At(end));
        for cut in 0..end {
            assert_eq!(skip(&body[..cut]), Skipped::More, "{cut}");
        }
    }

    #[test]
    fn nonsense() {
        assert_eq!(skip(&[0xfd, 0xff, 0xff, 0xff, 1, 0]), Skipped::Malformed);
        assert_eq!(skip(&[1, 1, 0, 0, 0, 0]), Skipped::Malformed, "no types");
        assert_eq!(skip(&[1, 1, 0, 1, 0x20, 0, 0, 1, 2, 3]), Skipped::Malformed, "an unknown type");
        assert_eq!(skip(&[0xff; 32]), Skipped::Malformed);
    }
}

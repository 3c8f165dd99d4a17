//! What stands in front of a query's text, or behind an execution's head: the parameters of a prepared statement and the attributes of a query,
//! which have the same layout.
//!
//! Number (where it is sent), a bitmap of those that are NULL, whether types follow (else those of the last execution hold), the types, each with a
//! name where attributes were agreed on, and the values. A bulk execution of MariaDB has rows of values instead, each with an indicator.
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>,
//! <https://mariadb.com/kb/en/com_stmt_execute/>, <https://mariadb.com/kb/en/com_stmt_bulk_execute/>.

use super::value::{self, Form, Kind, Unread, Value};
use super::wire::Cursor;

/// The types of parameters as they were sent: two bytes each, and a name where `named`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Types<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) named: bool,
    pub(super) count: usize,
}

impl<'a> Types<'a> {
    /// Steps over the types of `count` parameters.
    pub(super) fn read(c: &mut Cursor<'a>, count: usize, named: bool) -> Result<Self, Unread> {
        let start = c.rest();
        if named {
            for _ in 0..count {
                c.bytes(2).ok_or(Unread::Cut)?;
                value::read(c, Kind::NAME, Form::Sent).and_then(whole)?;
            }
        } else {
            c.bytes(count * 2).ok_or(Unread::Cut)?;
        }
        let bytes = start.get(..start.len() - c.rest().len()).unwrap_or_default();
        Ok(Self { bytes, named, count })
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (Kind, &'a [u8])> {
        let mut c = Cursor::new(self.bytes);
        core::iter::from_fn(move || {
            let kind = Kind(c.u16()?);
            let name = if self.named { c.lenenc_bytes()? } else { &[] };
            Some((kind, name))
        })
    }
}

/// A value of which all bytes are there.
fn whole(value: Value<'_>) -> Result<Value<'_>, Unread> {
    match value {
        Value::Bytes { kept, len } if (kept.len() as u64) < len => Err(Unread::Cut),
        value => Ok(value),
    }
}

/// Everything in front of the values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    nulls: &'a [u8],
    /// The types were sent with this execution.
    pub(super) bound: bool,
    pub(super) types: Types<'a>,
}

impl<'a> Head<'a> {
    /// Reads it. `count`: how many parameters there are; `before`: the types that hold if none are sent.
    pub(super) fn read(
        c: &mut Cursor<'a>,
        count: usize,
        named: bool,
        before: Option<Types<'a>>,
    ) -> Result<Self, Unread> {
        if count == 0 {
            return Ok(Self { nulls: &[], bound: false, types: Types::default() });
        }
        let nulls = c.bytes(count.div_ceil(8)).ok_or(Unread::Cut)?;
        let bound = match c.u8().ok_or(Unread::Cut)? {
            0 => false,
            1 => true,
            _ => return Err(Unread::Malformed),
        };
        let types = if bound {
            Types::read(c, count, named)?
        } else {
            before.filter(|t| t.count == count).ok_or(Unread::Malformed)?
        };
        Ok(Self { nulls, bound, types })
    }

    /// Whether the parameter's bit says that it is NULL.
    pub(super) fn is_null(&self, index: usize) -> bool {
        self.nulls.get(index / 8).is_some_and(|byte| byte & 1 << (index % 8) != 0)
    }
}

/// The number of attributes of a query: it stands in front of them, with the number of sets, which is always 1.
pub(super) fn attribute_count(c: &mut Cursor<'_>) -> Option<usize> {
    let count = c.lenenc()?;
    c.lenenc()?;
    usize::try_from(count).ok()
}

/// One parameter or attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameter<'a> {
    pub(super) index: usize,
    /// Empty for a parameter without one.
    pub(super) name: &'a [u8],
    /// None where the value was sent ahead, as long data.
    pub(super) value: Option<Value<'a>>,
}

/// Reads the values of one execution, or of one query's attributes; `sent_ahead` tells which of them are not here. What is cut or malformed ends it.
pub(super) fn values<'a>(
    c: &mut Cursor<'a>,
    head: Head<'a>,
    form: Form,
    sent_ahead: impl Fn(usize) -> bool,
) -> impl Iterator<Item = Parameter<'a>> {
    head.types.iter().enumerate().map_while(move |(index, (kind, name))| {
        let value = if sent_ahead(index) {
            None
        } else if head.is_null(index) {
            Some(Value::Null)
        } else {
            Some(value::read(c, kind, form).ok()?)
        };
        Some(Parameter { index, name, value })
    })
}

/// What an indicator in front of a value of a bulk execution says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Indicator {
    /// The value follows.
    Value,
    Null,
    /// The column's default, or no change at all: shown by these words.
    Word(&'static str),
}

impl Indicator {
    pub(super) fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Value,
            1 => Self::Null,
            2 => Self::Word("DEFAULT"),
            3 => Self::Word("IGNORE"),
            4 => Self::Word("IGNORE ROW"),
            _ => return None,
        })
    }
}

/// Reads the values of a bulk execution, row by row.
pub(super) fn rows<'a>(
    mut c: Cursor<'a>,
    types: Types<'a>,
    form: Form,
) -> impl Iterator<Item = Result<Parameter<'a>, Unread>> {
    let mut in_row = types.iter();
    let mut index = 0;
    core::iter::from_fn(move || {
        if c.rest().is_empty() || types.count == 0 {
            return None;
        }
        let (kind, name) = in_row.next().or_else(|| {
            in_row = types.iter();
            in_row.next()
        })?;
        let value = match c.u8().and_then(Indicator::of) {
            Some(Indicator::Value) => value::read(&mut c, kind, form),
            Some(Indicator::Null) => Ok(Value::Null),
            Some(Indicator::Word(word)) => Ok(Value::Bytes { kept: word.as_bytes(), len: word.len() as u64 }),
            None => Err(Unread::Malformed),
        };
        let parameter = value.map(|value| Parameter { index, name, value: Some(value) });
        index += 1;
        Some(parameter)
    })
}

/// What a look at the bytes behind the command byte of a query found.
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
const MAX_COUNT: usize = 4096;

/// Whether a body whose capabilities nobody saw begins with attributes. A statement begins neither with a NUL nor with a control
/// character followed by 0x01, which is the number of parameter sets.
pub(super) fn are_there(body: &[u8]) -> bool {
    matches!(body, [0..=0x1f, 1, ..])
}

/// Steps over the attributes at the start of `body`, of which the part that arrived is given.
pub(super) fn skip(body: &[u8]) -> Skipped {
    let mut c = Cursor::new(body);
    let Some(count) = attribute_count(&mut c) else {
        // A length-encoded integer has nine bytes at the most.
        return if body.len() < 18 { Skipped::More } else { Skipped::Malformed };
    };
    if count > MAX_COUNT {
        return Skipped::Malformed;
    }
    // Types of an earlier query can't be meant: there is no statement to remember them.
    let read = Head::read(&mut c, count, true, None).and_then(|head| {
        for (index, (kind, _)) in head.types.iter().enumerate() {
            if !head.is_null(index) {
                value::read(&mut c, kind, Form::Sent).and_then(whole)?;
            }
        }
        Ok(())
    });
    match read {
        Ok(()) => Skipped::At(body.len() - c.rest().len()),
        Err(Unread::Cut) => Skipped::More,
        Err(Unread::Malformed) => Skipped::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> (Vec<u8>, usize) {
        let mut body = vec![4, 1, 0b0000_0100, 1];
        for (kind, name) in [(0x03u16, "n"), (0xfe, "s"), (0xfe, "null"), (0x0c, "d")] {
            body.extend(kind.to_le_bytes());
            body.push(u8::try_from(name.len()).unwrap());
            body.extend(name.as_bytes());
        }
        body.extend([1, 0, 0, 0, 3, b'a', b'b', b'c', 4, 0xe7, 0x07, 1, 2]);
        let end = body.len();
        body.extend(b"select 1");
        (body, end)
    }

    #[test]
    fn no_attributes() {
        assert_eq!(skip(b"\x00\x01select 1"), Skipped::At(2));
        assert_eq!(skip(b"\x00"), Skipped::More);
        assert_eq!(skip(b""), Skipped::More);
        assert!(are_there(b"\x00\x01select"));
        assert!(!are_there(b"\nselect"));
    }

    #[test]
    fn attributes_of_each_width() {
        let (body, end) = attributes();
        assert_eq!(skip(&body), Skipped::At(end));
        for cut in 0..end {
            assert_eq!(skip(&body[..cut]), Skipped::More, "{cut}");
        }
        let mut c = Cursor::new(&body[..end]);
        let count = attribute_count(&mut c).unwrap();
        let head = Head::read(&mut c, count, true, None).unwrap();
        let shown: Vec<_> = values(&mut c, head, Form::Sent, |_| false)
            .map(|p| format!("{}={}", String::from_utf8_lossy(p.name), p.value.unwrap()))
            .collect();
        assert_eq!(shown, ["n=1", "s=abc", "null=NULL", "d=2023-01-02 00:00:00"]);
    }

    #[test]
    fn nonsense() {
        assert_eq!(skip(&[0xfd, 0xff, 0xff, 0xff, 1, 0]), Skipped::Malformed);
        assert_eq!(skip(&[1, 1, 0, 0, 0, 0]), Skipped::Malformed, "no types");
        assert_eq!(skip(&[1, 1, 0, 1, 0x20, 0, 0, 1, 2, 3]), Skipped::Malformed, "an unknown type");
        assert_eq!(skip(&[0xff; 32]), Skipped::Malformed);
    }

    #[test]
    fn types_of_the_last_execution_hold() {
        let types = [0x03, 0x00, 0xfd, 0x00];
        let before = Types { bytes: &types, named: false, count: 2 };
        let body = [0b10, 0, 7, 0, 0, 0];
        let mut c = Cursor::new(&body);
        let head = Head::read(&mut c, 2, false, Some(before)).unwrap();
        let values: Vec<_> = values(&mut c, head, Form::Sent, |_| false).map(|p| p.value.unwrap()).collect();
        assert_eq!(values, [Value::Signed(7), Value::Null]);
        let other = Head::read(&mut Cursor::new(&body), 3, false, Some(before));
        assert_eq!(other.err(), Some(Unread::Malformed), "another number of parameters");
        assert_eq!(Head::read(&mut Cursor::new(&body), 2, false, None).err(), Some(Unread::Malformed));
    }

    #[test]
    fn what_was_sent_ahead_is_not_here() {
        let body = [0, 1, 0xfc, 0, 0x01, 0, 5];
        let mut c = Cursor::new(&body);
        let head = Head::read(&mut c, 2, false, None).unwrap();
        let values: Vec<_> = values(&mut c, head, Form::Sent, |i| i == 0).map(|p| p.value).collect();
        assert_eq!(values, [None, Some(Value::Signed(5))]);
    }

    #[test]
    fn rows_of_a_bulk_execution() {
        let types = [0x01, 0x00, 0xfd, 0x00];
        let types = Types { bytes: &types, named: false, count: 2 };
        let body = [0, 1, 0, 1, b'a', 1, 2, 0, 2, 0];
        let shown: Vec<_> = rows(Cursor::new(&body), types, Form::Sent)
            .map(|p| p.map(|p| (p.index, p.value.unwrap().to_string())))
            .collect();
        let ok = |index, text: &str| Ok((index, text.to_owned()));
        assert_eq!(
            shown,
            [ok(0, "1"), ok(1, "a"), ok(2, "NULL"), ok(3, "DEFAULT"), ok(4, "2"), Err(Unread::Cut)]
        );
    }
}

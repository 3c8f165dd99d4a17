//! Values in the binary protocol: how long they are, what they say, and how people write them.
//!
//! Dates and times are written as the server's own log writes them; numbers in the shortest digits that read back as the same number.
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html#sect_protocol_binary_resultset_row_value>.

use core::fmt;

use super::wire::Cursor;

/// The type of a value: a type byte, and in the high bit whether a number has no sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u16);

/// How a value says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// It has so many bytes.
    Fixed(u8),
    /// A byte in front tells.
    Byte,
    /// A length-encoded integer in front tells.
    LengthEncoded,
}

const UNSIGNED: u16 = 0x8000;

impl Kind {
    const FLOAT: u8 = 0x04;
    const DOUBLE: u8 = 0x05;
    const DATE: u8 = 0x0a;
    const TIME: u8 = 0x0b;
    /// Names of attributes are encoded as texts are.
    pub(super) const NAME: Self = Self(0xfd);

    fn byte(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    fn is_unsigned(self) -> bool {
        self.0 & UNSIGNED != 0
    }

    /// How long values of this type are; none for a type that no value on the wire has.
    pub(super) fn width(self) -> Option<Width> {
        Some(match self.byte() {
            // TINY, BOOL
            0x01 | 0xf4 => Width::Fixed(1),
            // SHORT, YEAR
            0x02 | 0x0d => Width::Fixed(2),
            // LONG, FLOAT, INT24
            0x03 | Self::FLOAT | 0x09 => Width::Fixed(4),
            // DOUBLE, LONGLONG
            Self::DOUBLE | 0x08 => Width::Fixed(8),
            // NULL
            0x06 => Width::Fixed(0),
            // TIMESTAMP, DATE, TIME, DATETIME
            0x07 | Self::DATE | Self::TIME | 0x0c => Width::Byte,
            // DECIMAL, VARCHAR, BIT, VECTOR, JSON, NEWDECIMAL, ENUM, SET, blobs, strings, GEOMETRY
            0x00 | 0x0f | 0x10 | 0xf2 | 0xf5..=0xff => Width::LengthEncoded,
            _ => return None,
        })
    }
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Date(Date),
    DateTime(Date, Clock),
    Time {
        negative: bool,
        days: u32,
        clock: Clock,
    },
    /// Text or bytes, of which a part may be missing at the end.
    Bytes {
        kept: &'a [u8],
        len: u64,
    },
}

/// A day of the calendar; all zero where nothing was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A time of day; microseconds only where they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    micros: Option<u32>,
}

impl Value<'_> {
    /// The value of type `kind` that `content` is: what stands behind its length, where it has one.
    #[inline(always)]
    fn of(kind: Kind, content: &[u8], len: u64) -> Option<Value<'_>> {
        let mut c = Cursor::new(content);
        Some(match (kind.width()?, kind.byte()) {
            (Width::Fixed(0), _) => Value::Null,
            (_, Kind::FLOAT) => Value::Float(f32::from_bits(c.u32()?)),
            (_, Kind::DOUBLE) => Value::Double(f64::from_bits(c.u64()?)),
            (Width::Fixed(_), _) => integer(kind, content),
            (Width::Byte, Kind::TIME) => {
                if content.is_empty() {
                    return Some(Value::Time { negative: false, days: 0, clock: Clock::default() });
                }
                let (negative, days) = (c.u8()? != 0, c.u32()?);
                Value::Time { negative, days, clock: Clock::read(&mut c)? }
            }
            (Width::Byte, kind) => {
                let date = if content.is_empty() { Date::default() } else { Date::read(&mut c)? };
                if kind == Kind::DATE {
                    Value::Date(date)
                } else if c.rest().is_empty() {
                    Value::DateTime(date, Clock::default())
                } else {
                    Value::DateTime(date, Clock::read(&mut c)?)
                }
            }
            (Width::LengthEncoded, _) => Value::Bytes { kept: content, len },
        })
    }
}

/// A little-endian number of the type's width.
fn integer(kind: Kind, content: &[u8]) -> Value<'static> {
    let number = content.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    if kind.is_unsigned() {
        return Value::Unsigned(number);
    }
    let spare = 64_u32.saturating_sub(u32::try_from(content.len() * 8).unwrap_or(64));
    Value::Signed((number << spare).cast_signed() >> spare)
}

impl Date {
    fn read(c: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { year: c.u16()?, month: c.u8()?, day: c.u8()? })
    }
}

impl Clock {
    fn read(c: &mut Cursor<'_>) -> Option<Self> {
        let (hour, minute, second) = (c.u8()?, c.u8()?, c.u8()?);
        let micros = if c.rest().is_empty() { None } else { Some(c.u32()?) };
        Some(Self { hour, minute, second, micros })
    }

    /// Minutes and seconds, which all forms of a time end with.
    fn write_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{:02}:{:02}", self.minute, self.second)?;
        match self.micros {
            Some(micros) => write!(f, ".{micros:06}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Numbers, dates and times; text is not written here, since it need not be UTF-8.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where `{}` would write a hundred zeros, and `{:?}` a `.0` behind whole numbers.
        let is_plain = |size: f64| size == 0.0 || (1e-5..1e16).contains(&size) || !size.is_finite();
        match *self {
            Value::Null => f.write_str("NULL"),
            Value::Signed(v) => write!(f, "{v}"),
            Value::Unsigned(v) => write!(f, "{v}"),
            Value::Float(v) if is_plain(f64::from(v.abs())) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v:e}"),
            Value::Double(v) if is_plain(v.abs()) => write!(f, "{v}"),
            Value::Double(v) => write!(f, "{v:e}"),
            Value::Date(date) => write!(f, "{date}"),
            Value::DateTime(date, clock) => {
                write!(f, "{date} {:02}", clock.hour)?;
                clock.write_rest(f)
            }
            Value::Time { negative, days, clock } => {
                let hours = u64::from(days) * 24 + u64::from(clock.hour);
                write!(f, "{}{hours:02}", if negative { "-" } else { "" })?;
                clock.write_rest(f)
            }
            Value::Bytes { kept, .. } => write!(f, "{}", kept.escape_ascii()),
        }
    }
}

/// How values of a length-encoded type stand in the bytes that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// As they were sent.
    #[default]
    Sent,
    /// With how many bytes of them were kept behind their length.
    Shortened,
}

/// Why no value was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The bytes end in it.
    Cut,
    /// It makes no sense.
    Malformed,
}

/// Reads one value. Of text and bytes at the end of what is there, as much as there is.
#[inline(always)]
pub(super) fn read<'a>(c: &mut Cursor<'a>, kind: Kind, form: Form) -> Result<Value<'a>, Unread> {
    let width = kind.width().ok_or(Unread::Malformed)?;
    let fixed = match width {
        Width::Fixed(n) => usize::from(n),
        Width::Byte => usize::from(c.u8().ok_or(Unread::Cut)?),
        Width::LengthEncoded => {
            let before = *c;
            let len = match c.lenenc() {
                Some(len) => len,
                None if matches!(before.rest().first(), Some(0xfb | 0xff)) => return Err(Unread::Malformed),
                None => return Err(Unread::Cut),
            };
            let kept = match form {
                Form::Sent => len,
                Form::Shortened => c.lenenc().ok_or(Unread::Cut)?,
            };
            let here = c.rest().len();
            let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(here);
            let kept = c.bytes(kept).ok_or(Unread::Cut)?;
            return Ok(Value::Bytes { kept, len });
        }
    };
    let content = c.bytes(fixed).ok_or(Unread::Cut)?;
    Value::of(kind, content, 0).ok_or(Unread::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: u16, bytes: &[u8]) -> String {
        let mut c = Cursor::new(bytes);
        let value = read(&mut c, Kind(kind), Form::Sent).unwrap();
        assert!(c.rest().is_empty());
        value.to_string()
    }

    #[test]
    fn integers() {
        assert_eq!(shown(0x01, &[0x80]), "-128");
        assert_eq!(shown(0x8001, &[0x80]), "128");
        assert_eq!(shown(0x02, &[0xff, 0xff]), "-1");
        assert_eq!(shown(0x8002, &[0xff, 0xff]), "65535");
        assert_eq!(shown(0x0d, &[0xe9, 0x07]), "2025");
        assert_eq!(shown(0x03, &[0, 0, 0, 0x80]), "-2147483648");
        assert_eq!(shown(0x09, &[0xff, 0xff, 0x7f, 0]), "8388607");
        assert_eq!(shown(0x08, &[0xff; 8]), "-1");
        assert_eq!(shown(0x8008, &[0xff; 8]), "18446744073709551615");
    }

    #[test]
    fn floating_point() {
        assert_eq!(shown(0x04, &0.1_f32.to_le_bytes()), "0.1");
        assert_eq!(shown(0x05, &0.1_f64.to_le_bytes()), "0.1");
        assert_eq!(shown(0x05, &1_f64.to_le_bytes()), "1");
        assert_eq!(shown(0x05, &(-0.0_f64).to_le_bytes()), "-0");
        assert_eq!(shown(0x05, &1e300_f64.to_le_bytes()), "1e300");
        assert_eq!(shown(0x05, &(-1.5e-7_f64).to_le_bytes()), "-1.5e-7");
        assert_eq!(shown(0x05, &f64::NAN.to_le_bytes()), "NaN");
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(shown(0x0a, &[0]), "0000-00-00");
        assert_eq!(shown(0x0a, &[4, 0xea, 0x07, 11, 24]), "2026-11-24");
        assert_eq!(shown(0x0c, &[4, 0xea, 0x07, 11, 24]), "2026-11-24 00:00:00");
        assert_eq!(shown(0x07, &[7, 0xea, 0x07, 11, 24, 3, 8, 51]), "2026-11-24 03:08:51");
        assert_eq!(
            shown(0x0c, &[11, 0xea, 0x07, 11, 24, 3, 8, 51, 123, 0, 0, 0]),
            "2026-11-24 03:08:51.000123"
        );
        assert_eq!(shown(0x0b, &[0]), "00:00:00");
        assert_eq!(shown(0x0b, &[8, 1, 34, 0, 0, 0, 22, 59, 59]), "-838:59:59");
        assert_eq!(shown(0x0b, &[12, 0, 0, 0, 0, 0, 1, 2, 3, 0x40, 0x42, 0x0f, 0]), "01:02:03.1000000");
    }

    #[test]
    fn text_that_is_cut_is_told_with_its_length() {
        let mut c = Cursor::new(&[0xfc, 0xe8, 0x03, b'a', b'b']);
        let value = read(&mut c, Kind(0xfd), Form::Sent);
        assert_eq!(value, Ok(Value::Bytes { kept: b"ab", len: 1000 }));
        let mut c = Cursor::new(&[0xfc, 0xe8, 0x03, 1, b'a', b'b']);
        let value = read(&mut c, Kind(0xfd), Form::Shortened);
        assert_eq!(value, Ok(Value::Bytes { kept: b"a", len: 1000 }));
        assert_eq!(c.rest(), b"b");
    }

    #[test]
    fn nothing_is_read_from_nonsense() {
        fn read(kind: u16, bytes: &[u8]) -> Result<Value<'_>, Unread> {
            super::read(&mut Cursor::new(bytes), Kind(kind), Form::Sent)
        }
        assert_eq!(read(0x20, &[1, 2, 3]), Err(Unread::Malformed), "no such type");
        assert_eq!(read(0xfd, &[0xfb]), Err(Unread::Malformed), "NULL in place of a length");
        assert_eq!(read(0x0c, &[3, 1, 2, 3]), Err(Unread::Malformed), "a date of three bytes");
        assert_eq!(read(0x0c, &[7, 1, 2]), Err(Unread::Cut));
        assert_eq!(read(0x08, &[1, 2]), Err(Unread::Cut));
        assert_eq!(read(0xfd, &[0xfc, 1]), Err(Unread::Cut));
    }
}

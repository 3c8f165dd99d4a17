//! Executions longer than a text may be: their long values are cut while they pass, so that what follows a long value is still seen, and the rows of
//! a bulk execution are counted to their end.

use super::parameters::{Head, Indicator, Types};
use super::value::Width;
use super::wire::Cursor;

/// Follows the values of one execution through its bytes.
#[derive(Debug)]
pub(super) struct Shortener {
    /// How long the values are that follow each other: all of an execution, or of one row.
    widths: Vec<Width>,
    /// Rows of values come, each value with an indicator.
    bulk: bool,
    /// Bytes of one text that are kept.
    share: u64,
    /// The value that comes.
    index: usize,
    rows: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next value, or its indicator.
    Next,
    /// Behind the indicator.
    Value,
    /// A date's length.
    Byte,
    /// A length-encoded length, of which so many bytes are there.
    Length([u8; 9], usize),
    /// So many bytes of the value are to come, so many of these are kept.
    Content { left: u64, kept: u64 },
    /// Nothing more is understood.
    Lost,
}

/// The longest head of an execution that is shortened: what stands in front of its values.
pub(super) const MAX_HEAD: usize = 16 << 10;

/// The least that is kept of each value.
const MIN_SHARE: u64 = 16;

/// Begins a length-encoded integer of eight bytes.
const EIGHT_BYTES: u8 = 0xfe;

impl Shortener {
    /// For an execution: `sent_ahead` tells which values will not come; `max` bytes are to be kept in all. None for unknown types.
    pub(super) fn execution(head: &Head<'_>, sent_ahead: impl Fn(usize) -> bool, max: usize) -> Option<Self> {
        let mut widths = Vec::with_capacity(head.types.count);
        for (index, (kind, _)) in head.types.iter().enumerate() {
            let width = kind.width()?;
            if !head.is_null(index) && !sent_ahead(index) {
                widths.push(width);
            }
        }
        Some(Self::new(widths, false, max))
    }

    /// For a bulk execution.
    pub(super) fn bulk(types: Types<'_>, max: usize) -> Option<Self> {
        let widths: Option<Vec<_>> = types.iter().map(|(kind, _)| kind.width()).collect();
        widths.filter(|w| !w.is_empty()).map(|widths| Self::new(widths, true, max))
    }

    fn new(widths: Vec<Width>, bulk: bool, max: usize) -> Self {
        let texts = widths.iter().filter(|w| **w == Width::LengthEncoded).count().max(1);
        let share = ((max / texts) as u64).max(MIN_SHARE);
        Self { widths, bulk, share, index: 0, rows: 0, state: State::Next }
    }

    /// Whole rows seen so far; none unless it is a bulk execution that was understood.
    pub(super) fn rows(&self) -> Option<u64> {
        (self.bulk && self.state == State::Next && self.index == 0).then_some(self.rows)
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        size_of::<Self>() + self.widths.capacity() * size_of::<Width>()
    }

    /// The next bytes; what is to be kept of them goes to `keep`. Texts are written with the length of the kept part behind their own.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut keep: impl FnMut(&[u8])) {
        loop {
            if self.state == State::Next && (bytes.is_empty() || !self.begin()) {
                return;
            }
            if let State::Content { left, kept } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at(here);
                let wanted = usize::try_from(kept).unwrap_or(usize::MAX).min(here);
                keep(content.get(..wanted).unwrap_or(content));
                bytes = rest;
                let (left, kept) = (left - here as u64, kept - wanted as u64);
                if left > 0 {
                    self.state = State::Content { left, kept };
                    return;
                }
                self.advance();
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            match self.state {
                State::Value => {
                    keep(&[byte]);
                    match Indicator::of(byte) {
                        Some(Indicator::Value) => self.value(),
                        Some(_) => self.advance(),
                        None => self.state = State::Lost,
                    }
                }
                State::Byte => {
                    keep(&[byte]);
                    self.state = State::Content { left: byte.into(), kept: byte.into() };
                }
                State::Length(mut length, got) => {
                    if let Some(place) = length.get_mut(got) {
                        *place = byte;
                    }
                    self.length(length, got + 1, &mut keep);
                }
                State::Next | State::Content { .. } => {}
                State::Lost => return,
            }
        }
    }

    /// Begins the next value; false when nothing more comes.
    fn begin(&mut self) -> bool {
        if self.index >= self.widths.len() {
            return false;
        }
        if self.bulk {
            self.state = State::Value;
        } else {
            self.value();
        }
        true
    }

    fn value(&mut self) {
        self.state = match self.widths.get(self.index) {
            Some(Width::Fixed(n)) => State::Content { left: u64::from(*n), kept: u64::from(*n) },
            Some(Width::Byte) => State::Byte,
            Some(Width::LengthEncoded) => State::Length([0; 9], 0),
            None => State::Lost,
        };
    }

    fn length(&mut self, length: [u8; 9], got: usize, keep: &mut impl FnMut(&[u8])) {
        let [first, ..] = length;
        let bytes = length.get(..got).unwrap_or(&length);
        match Cursor::new(bytes).lenenc() {
            Some(len) => {
                let kept = len.min(self.share);
                keep(bytes);
                keep(&[EIGHT_BYTES]);
                keep(&kept.to_le_bytes());
                self.state = State::Content { left: len, kept };
            }
            None if matches!(first, 0xfb | 0xff) => self.state = State::Lost,
            None => self.state = State::Length(length, got),
        }
    }

    fn advance(&mut self) {
        self.state = State::Next;
        self.index += 1;
        if self.bulk && self.index == self.widths.len() {
            self.index = 0;
            self.rows += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::parameters;
    use crate::mysql::value::{Form, Value};

    /// Types: INT, BLOB, TINY.
    const TYPES: [u8; 6] = [0x03, 0, 0xfc, 0, 0x01, 0];

    fn feed(shortener: &mut Shortener, bytes: &[u8], step: usize) -> Vec<u8> {
        let mut kept = Vec::new();
        for part in bytes.chunks(step) {
            shortener.feed(part, |b| kept.extend_from_slice(b));
        }
        kept
    }

    #[test]
    fn what_follows_a_long_value_is_kept() {
        let mut body = vec![0b000, 1];
        body.extend(TYPES);
        let mut c = Cursor::new(&body);
        let head = Head::read(&mut c, 3, false, None).unwrap();
        let mut values = vec![9, 0, 0, 0, 0xfd, 0xa0, 0x86, 0x01];
        values.extend(vec![b'x'; 100_000]);
        values.push(0xff);
        for step in [1, 7, values.len()] {
            let mut shortener = Shortener::execution(&head, |_| false, 1000).unwrap();
            let kept = feed(&mut shortener, &values, step);
            assert!(kept.len() < 1100, "{}", kept.len());
            let read: Vec<_> = parameters::values(&mut Cursor::new(&kept), head, Form::Shortened, |_| false)
                .map(|p| p.value.unwrap())
                .collect();
            assert_eq!(
                read,
                [Value::Signed(9), Value::Bytes { kept: &[b'x'; 1000], len: 100_000 }, Value::Signed(-1)]
            );
        }
    }

    #[test]
    fn rows_are_counted() {
        let types = Types { bytes: &TYPES, named: false, count: 3 };
        let mut values = Vec::new();
        for row in 0..1000_u32 {
            values.push(0);
            values.extend(row.to_le_bytes());
            values.extend([0, 3, b'a', b'b', b'c', u8::from(row % 2 == 0)]);
            if row % 2 == 1 {
                values.push(5);
            }
        }
        for step in [1, 5, 1000, values.len()] {
            let mut shortener = Shortener::bulk(types, 100).unwrap();
            feed(&mut shortener, &values[..values.len() - 1], step);
            assert_eq!(shortener.rows(), None, "in the middle of a row");
            feed(&mut shortener, &values[values.len() - 1..], step);
            assert_eq!(shortener.rows(), Some(1000));
        }
    }

    #[test]
    fn nonsense_ends_it() {
        let types = Types { bytes: &TYPES, named: false, count: 3 };
        let mut shortener = Shortener::bulk(types, 100).unwrap();
        assert_eq!(feed(&mut shortener, &[0, 1, 2, 3, 4, 0, 0xff, 1, 2, 3, 4, 5], 1).len(), 6);
        assert_eq!(shortener.rows(), None);
        let unknown = Types { bytes: &[0x20, 0], named: false, count: 1 };
        assert!(Shortener::bulk(unknown, 100).is_none());
        let none = Types { bytes: &[], named: false, count: 0 };
        assert!(Shortener::bulk(none, 100).is_none());
    }
}

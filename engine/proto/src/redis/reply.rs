//! Reads the values that a server sends, however deep they are nested, without keeping them: what is told of a reply is its type, how many values it
//! has, its size, and the beginning of its text.

use super::resp::{self, Form, Kind, Line, announced, integer, line};
use super::summary::Summary;

/// Values nested deeper than this are no reply.
const MAX_DEPTH: usize = 64;

/// What became of a look at the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More bytes are needed.
    More,
    /// So many bytes are done with.
    Used(usize),
    /// So many bytes are done with, and so many behind them are of no interest.
    Skip(usize, u64),
    /// So many bytes are done with; a value of the outermost aggregate ended with them: see [`Reader::element`].
    Element(usize),
    /// So many bytes are done with; the whole value ended with them: see [`Reader::whole`].
    Done(usize),
    /// Not the protocol.
    Bad,
}

/// An aggregate whose values are read.
#[derive(Clone, Copy, Debug)]
struct Level {
    length: Length,
    /// Each two of its values are one of what it counts.
    is_pairs: bool,
    /// It tells something about the value that follows it, and counts for nothing itself.
    is_attribute: bool,
}

/// How long an aggregate is.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// So many values are to come.
    Left(u64),
    /// Up to a mark; so many values came.
    Open(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value begins.
    Value,
    /// So many bytes of a text are to come, CR LF included; `is_piece`: then another piece of it.
    Bulk { left: u64, is_piece: bool },
    /// The length of a piece of a text comes.
    Piece,
}

/// Reads one value after the other.
#[derive(Debug)]
pub(super) struct Reader {
    stack: Vec<Level>,
    state: State,
    pub(super) whole: Summary,
    /// The value of the outermost aggregate that was read last.
    pub(super) element: Summary,
    /// Values of the outermost aggregate are told one by one.
    pub(super) by_element: bool,
    /// Levels of the stack that are attributes.
    attributes: usize,
    /// The whole value ended with a mark, which is none of its values.
    is_marked: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            stack: Vec::new(),
            state: State::Value,
            whole: Summary::default(),
            element: Summary::default(),
            by_element: false,
            attributes: 0,
            is_marked: false,
        }
    }

    /// Whether the next byte begins a reply.
    pub(super) fn is_between(&self) -> bool {
        self.stack.is_empty() && self.state == State::Value
    }

    /// Forgets the value that it is in.
    pub(super) fn reset(&mut self) {
        self.stack.clear();
        self.state = State::Value;
        self.by_element = false;
        self.attributes = 0;
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        self.stack.capacity() * size_of::<Level>() + self.whole.text.capacity() + self.element.text.capacity()
    }

    /// A reply begins, of whose text at most `limit` bytes are kept; `by_element`: so are those of each value in it.
    pub(super) fn begin(&mut self, limit: usize, by_element: bool) {
        self.whole.begin(limit);
        self.by_element = by_element;
        self.is_marked = false;
        if by_element {
            self.element.begin(limit);
        }
    }

    /// Whether the last value of an outermost aggregate, told one by one, ended with it.
    pub(super) fn ends_with_element(&self) -> bool {
        self.by_element && !self.is_marked && self.whole.count.is_some_and(|n| n > 0)
    }

    /// One step through the bytes.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match self.state {
            State::Value => {}
            State::Bulk { left, is_piece } => return self.bulk(bytes, left, is_piece),
            State::Piece => return self.piece(bytes),
        }
        let Some(&first) = bytes.first() else { return Step::More };
        if let Some(step) = self.short(first, bytes) {
            return step;
        }
        if Some(&first) == resp::END.first() {
            return self.mark(bytes);
        }
        let Some((kind, form)) = Kind::of(first) else { return Step::Bad };
        let (whole_line, used) = match line(bytes, false) {
            Line::Whole(text, used) => (text, used),
            Line::More => return Step::More,
            Line::TooLong => return Step::Bad,
        };
        let text = whole_line.get(1..).unwrap_or_default();
        self.value_begins();
        match form {
            Form::Line => self.simple(kind, text, used),
            Form::Bulk if resp::streams(whole_line) => self.text_begins(kind, used, State::Piece),
            Form::Aggregate if resp::streams(whole_line) => self.aggregate(kind, Length::Open(0), used),
            Form::Bulk => match announced(text, resp::MAX_BULK) {
                None => Step::Bad,
                Some(None) => {
                    self.named(Kind::Nil, None);
                    self.text(b"nil");
                    self.end(used)
                }
                Some(Some(len)) => {
                    self.text_begins(kind, used, State::Bulk { left: len + 2, is_piece: false })
                }
            },
            Form::Aggregate => match announced(text, resp::MAX_COUNT) {
                None => Step::Bad,
                Some(None) => {
                    self.named(Kind::Nil, None);
                    self.text(b"nil");
                    self.end(used)
                }
                Some(Some(count)) => self.aggregate(kind, Length::Left(count), used),
            },
        }
    }

    fn text_begins(&mut self, kind: Kind, used: usize, then: State) -> Step {
        self.named(kind, None);
        self.count_bytes(used as u64);
        self.separate();
        self.state = then;
        Step::Used(used)
    }

    /// The line in front of a piece of a text; an empty one is the end.
    fn piece(&mut self, bytes: &[u8]) -> Step {
        let (text, used) = match line(bytes, false) {
            Line::Whole(text, used) => (text, used),
            Line::More => return Step::More,
            Line::TooLong => return Step::Bad,
        };
        let Some(len) = text.strip_prefix(b";").and_then(|len| announced(len, resp::MAX_BULK)).flatten()
        else {
            return Step::Bad;
        };
        if len == 0 {
            self.state = State::Value;
            return self.end(used);
        }
        self.count_bytes(used as u64);
        self.state = State::Bulk { left: len + 2, is_piece: true };
        Step::Used(used)
    }

    /// The mark behind the last value of an aggregate.
    fn mark(&mut self, bytes: &[u8]) -> Step {
        let Some(&Level { length: Length::Open(values), is_pairs, is_attribute }) = self.stack.last() else {
            return Step::Bad;
        };
        if is_pairs && values % 2 != 0 {
            return Step::Bad;
        }
        if !bytes.starts_with(resp::END) {
            return if resp::END.starts_with(bytes) { Step::More } else { Step::Bad };
        }
        self.stack.pop();
        let used = resp::END.len();
        if is_attribute {
            self.attributes -= 1;
            self.count_bytes(used as u64);
            return Step::Used(used);
        }
        self.counted(if is_pairs { values / 2 } else { values });
        self.is_marked = self.stack.is_empty();
        self.end(used)
    }

    /// What most values are, and are here whole: nothing need be looked for.
    fn short(&mut self, first: u8, bytes: &[u8]) -> Option<Step> {
        let (kind, text, used) = match first {
            b'$' => {
                let (text, used) = resp::short_bulk(bytes)?;
                (Kind::Text, text, used)
            }
            b':' => {
                let (number, used) = resp::short_number(bytes)?;
                self.whole.last_integer = i64::try_from(number).ok();
                (Kind::Integer, bytes.get(1..used - 2).unwrap_or_default(), used)
            }
            b'+' if bytes.starts_with(b"+OK\r\n") => (Kind::Status, &b"OK"[..], 5),
            _ => return None,
        };
        self.value_begins();
        self.named(kind, None);
        self.text(text);
        Some(self.end(used))
    }

    /// A value begins, maybe one of the outermost aggregate's.
    fn value_begins(&mut self) {
        if self.by_element && self.stack.len() == 1 {
            let limit = self.element.limit;
            self.element.begin(limit);
        }
    }

    fn simple(&mut self, kind: Kind, text: &[u8], used: usize) -> Step {
        let fits = match kind {
            Kind::Integer => integer(text).is_some(),
            Kind::Nil => text.is_empty(),
            Kind::Boolean => matches!(text, b"t" | b"f"),
            Kind::Double | Kind::BigNumber => !text.is_empty() && text.len() < 1024 && text.is_ascii(),
            _ => true,
        };
        if !fits {
            return Step::Bad;
        }
        self.named(kind, None);
        if kind == Kind::Integer {
            self.whole.last_integer = integer(text);
        }
        self.text(match kind {
            Kind::Nil => b"nil",
            Kind::Boolean if text == b"t" => b"true",
            Kind::Boolean => b"false",
            _ => text,
        });
        self.end(used)
    }

    fn aggregate(&mut self, kind: Kind, mut length: Length, used: usize) -> Step {
        let is_attribute = kind == Kind::Attribute;
        let is_pairs = matches!(kind, Kind::Map | Kind::Attribute);
        let (Length::Left(count) | Length::Open(count)) = length;
        if !is_attribute {
            self.named(kind, Some(count));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Step::Bad;
        }
        if let Length::Left(left) = &mut length {
            *left *= if is_pairs { 2 } else { 1 };
        }
        if matches!(length, Length::Left(0)) {
            // An empty attribute is nothing at all.
            if is_attribute {
                self.count_bytes(used as u64);
                return Step::Used(used);
            }
            return self.end(used);
        }
        self.count_bytes(used as u64);
        self.attributes += usize::from(is_attribute);
        self.stack.push(Level { length, is_pairs, is_attribute });
        Step::Used(used)
    }

    fn bulk(&mut self, bytes: &[u8], left: u64, is_piece: bool) -> Step {
        let content = usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX);
        if content > 0 {
            let here = content.min(bytes.len());
            if here == 0 {
                return Step::More;
            }
            let part = bytes.get(..here).unwrap_or(bytes);
            let wanted = !self.in_attribute() && self.has_room();
            self.put(part);
            self.count_bytes(here as u64);
            self.state = State::Bulk { left: left - here as u64, is_piece };
            let rest = (content - here) as u64;
            if rest > 0 && !wanted {
                // The text's end is passed over, its CR LF is looked at.
                self.passed(rest);
                self.state = State::Bulk { left: 2, is_piece };
                return Step::Skip(here, rest);
            }
            return Step::Used(here);
        }
        match bytes {
            [b'\r', b'\n', ..] if is_piece => {
                self.state = State::Piece;
                self.count_bytes(2);
                Step::Used(2)
            }
            [b'\r', b'\n', ..] => {
                self.state = State::Value;
                self.end(2)
            }
            [] | [b'\r'] => Step::More,
            _ => Step::Bad,
        }
    }

    /// A value ended with the next `used` bytes; the aggregates that it completes end with it.
    fn end(&mut self, used: usize) -> Step {
        self.count_bytes(used as u64);
        loop {
            let depth = self.stack.len();
            let Some(level) = self.stack.last_mut() else {
                return Step::Done(used);
            };
            let goes_on = match &mut level.length {
                Length::Left(left) => {
                    *left -= 1;
                    *left > 0
                }
                Length::Open(values) => {
                    *values += 1;
                    true
                }
            };
            if goes_on {
                let is_element = depth == 1 && self.by_element && !level.is_attribute;
                return if is_element { Step::Element(used) } else { Step::Used(used) };
            }
            let is_attribute = level.is_attribute;
            self.stack.pop();
            if is_attribute {
                self.attributes -= 1;
                return Step::Used(used);
            }
        }
    }

    /// The value that begins is of this type.
    fn named(&mut self, kind: Kind, count: Option<u64>) {
        match self.stack.len() {
            0 => (self.whole.kind, self.whole.count) = (kind, count),
            1 if self.by_element && !self.in_attribute() => {
                (self.element.kind, self.element.count) = (kind, count);
            }
            _ => {}
        }
    }

    /// The aggregate that ends has so many values.
    fn counted(&mut self, count: u64) {
        match self.stack.len() {
            0 => self.whole.count = Some(count),
            1 if self.by_element && !self.in_attribute() => self.element.count = Some(count),
            _ => {}
        }
    }

    fn in_attribute(&self) -> bool {
        self.attributes > 0
    }

    fn has_room(&self) -> bool {
        let room = |summary: &Summary| summary.text.len() < summary.limit;
        room(&self.whole) || self.by_element && room(&self.element)
    }

    fn text(&mut self, text: &[u8]) {
        self.separate();
        self.put(text);
    }

    fn separate(&mut self) {
        if self.in_attribute() {
            return;
        }
        if self.whole.text_len > 0 {
            self.whole.put(b" ");
        }
        if self.by_element && self.element.text_len > 0 {
            self.element.put(b" ");
        }
    }

    fn put(&mut self, text: &[u8]) {
        if self.in_attribute() {
            return;
        }
        self.whole.put(text);
        if self.by_element {
            self.element.put(text);
        }
    }

    fn count_bytes(&mut self, bytes: u64) {
        self.whole.size += bytes;
        self.element.size += bytes;
    }

    /// Bytes of a text go by unseen.
    fn passed(&mut self, bytes: u64) {
        self.count_bytes(bytes);
        self.whole.text_len += bytes;
        self.element.text_len += bytes;
    }
}

#[cfg(test)]
mod tests;

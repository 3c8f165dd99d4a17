//! Reads the values that a server sends, however deep they are nested, without keeping them: what is told of a reply is its type, how many values it
//! has, its size, and the beginning of its text.

use super::resp::{self, Form, Kind, Line, announced, integer, line};

/// Values nested deeper than this are no reply.
const MAX_DEPTH: usize = 64;

/// What is told of a value.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) kind: Kind,
    /// Values in it, for an aggregate: pairs of a map count once.
    pub(super) count: Option<u64>,
    /// The beginning of its text; the texts of an aggregate's values, separated by spaces.
    pub(super) text: Vec<u8>,
    /// How much of the text is kept at the most.
    limit: usize,
    /// Length of the whole text.
    pub(super) text_len: u64,
    /// Bytes on the wire.
    pub(super) size: u64,
    /// The last number in it.
    pub(super) last_integer: Option<i64>,
}

impl Summary {
    fn begin(&mut self, limit: usize) {
        self.text.clear();
        let text = core::mem::take(&mut self.text);
        *self = Self { text, limit, ..Self::default() };
    }

    fn put(&mut self, text: &[u8]) {
        let room = self.limit.saturating_sub(self.text.len());
        self.text.extend_from_slice(text.get(..room).unwrap_or(text));
        self.text_len = self.text_len.saturating_add(text.len() as u64);
    }
}

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

#[derive(Clone, Copy, Debug)]
struct Level {
    left: u64,
    /// It tells something about the value that follows it, and counts for nothing itself.
    is_attribute: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value begins.
    Value,
    /// So many bytes of a text are to come, CR LF included.
    Bulk(u64),
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
        if by_element {
            self.element.begin(limit);
        }
    }

    /// One step through the bytes.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if let State::Bulk(left) = self.state {
            return self.bulk(bytes, left);
        }
        let Some(&first) = bytes.first() else { return Step::More };
        if let Some(step) = self.short(first, bytes) {
            return step;
        }
        let Some((kind, form)) = Kind::of(first) else { return Step::Bad };
        let (text, used) = match line(bytes, false) {
            Line::Whole(text, used) => (text.get(1..).unwrap_or_default(), used),
            Line::More => return Step::More,
            Line::TooLong => return Step::Bad,
        };
        self.value_begins();
        match form {
            Form::Line => self.simple(kind, text, used),
            Form::Bulk => match announced(text, resp::MAX_BULK) {
                None => Step::Bad,
                Some(None) => {
                    self.named(Kind::Nil, None);
                    self.text(b"nil");
                    self.end(used)
                }
                Some(Some(len)) => {
                    self.named(kind, None);
                    self.count_bytes(used as u64);
                    self.separate();
                    self.state = State::Bulk(len + 2);
                    Step::Used(used)
                }
            },
            Form::Aggregate => match announced(text, resp::MAX_COUNT) {
                None => Step::Bad,
                Some(None) => {
                    self.named(Kind::Nil, None);
                    self.text(b"nil");
                    self.end(used)
                }
                Some(Some(count)) => self.aggregate(kind, count, used),
            },
        }
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

    fn aggregate(&mut self, kind: Kind, count: u64, used: usize) -> Step {
        let is_attribute = kind == Kind::Attribute;
        if !is_attribute {
            self.named(kind, Some(count));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Step::Bad;
        }
        let left = if matches!(kind, Kind::Map | Kind::Attribute) { count * 2 } else { count };
        if left == 0 {
            // An empty attribute is nothing at all.
            if is_attribute {
                self.count_bytes(used as u64);
                return Step::Used(used);
            }
            return self.end(used);
        }
        self.count_bytes(used as u64);
        self.attributes += usize::from(is_attribute);
        self.stack.push(Level { left, is_attribute });
        Step::Used(used)
    }

    fn bulk(&mut self, bytes: &[u8], left: u64) -> Step {
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
            self.state = State::Bulk(left - here as u64);
            let rest = (content - here) as u64;
            if rest > 0 && !wanted {
                // The text's end is passed over, its CR LF is looked at.
                self.passed(rest);
                self.state = State::Bulk(2);
                return Step::Skip(here, rest);
            }
            return Step::Used(here);
        }
        match bytes {
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
            level.left -= 1;
            if level.left > 0 {
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

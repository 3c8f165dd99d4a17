//! An execution of a prepared statement, and a query with attributes: what was kept of the parameters becomes fields of an event.

use super::command::Command;
use super::exchange::Exchange;
use super::parameters::{self, Head, Parameter, Types};
use super::statements::Statement;
use super::value::{Form, Unread, Value};
use super::wire::Cursor;
use crate::event::redact::{SECRET, is_secret_name};
use crate::event::{Key, Suffix};
use crate::{EventBuilder, Sensitivity};

/// The number of parameters is sent (MySQL, where query attributes were agreed on).
const COUNT_FOLLOWS: u16 = 0x08;
/// Types are sent with a bulk execution.
const TYPES_FOLLOW: u16 = 0x80;

/// What it takes to read an execution's parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execution<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) statement: Option<&'a Statement>,
    /// Parameters are counted and have names: query attributes were agreed on. None when nobody saw that.
    pub(super) named: Option<bool>,
}

/// What stands in front of the values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout<'a> {
    Values(Head<'a>),
    /// Rows of values, each with these types; `bound`: they were sent with it.
    Rows {
        types: Types<'a>,
        bound: bool,
    },
}

impl<'a> Layout<'a> {
    /// The types that were sent with the execution.
    pub(super) fn bound(&self) -> Option<Types<'a>> {
        match *self {
            Self::Values(head) => head.bound.then_some(head.types),
            Self::Rows { types, bound } => bound.then_some(types),
        }
    }
}

impl<'a> Execution<'a> {
    /// Reads up to the values.
    pub(super) fn layout(&self, c: &mut Cursor<'a>) -> Result<Layout<'a>, Unread> {
        if self.exchange.command == Command::STMT_BULK_EXECUTE {
            let count = usize::from(self.statement.ok_or(Unread::Malformed)?.parameters);
            let bound = self.exchange.flags & TYPES_FOLLOW != 0;
            let types = if bound {
                Types::read(c, count, false)?
            } else {
                self.types().filter(|t| t.count == count).ok_or(Unread::Malformed)?
            };
            return Ok(Layout::Rows { types, bound });
        }
        if let Some(named) = self.named {
            return self.head(c, named).map(Layout::Values);
        }
        // Joined in the middle: only one of the two readings ends with the last byte.
        let start = *c;
        let mut fits = |named| {
            *c = start;
            let head = self.head(c, named).ok()?;
            let values = *c;
            self.ends_with(values, head).then_some((head, values))
        };
        match (fits(false), fits(true)) {
            (Some((head, rest)), None) | (None, Some((head, rest))) => {
                *c = rest;
                Ok(Layout::Values(head))
            }
            _ => Err(Unread::Malformed),
        }
    }

    fn head(&self, c: &mut Cursor<'a>, named: bool) -> Result<Head<'a>, Unread> {
        // Of an unknown statement nobody knows which values were sent ahead, even where their number is sent.
        let placeholders = usize::from(self.statement.ok_or(Unread::Malformed)?.parameters);
        let count = if !named {
            placeholders
        } else if c.rest().is_empty() || placeholders == 0 && self.exchange.flags & COUNT_FOLLOWS == 0 {
            0
        } else {
            let count = c.lenenc().ok_or(Unread::Cut)?;
            usize::try_from(count).map_err(|_| Unread::Malformed)?
        };
        Head::read(c, count, named, self.types())
    }

    fn types(&self) -> Option<Types<'a>> {
        self.statement.and_then(Statement::types)
    }

    fn ends_with(&self, mut c: Cursor<'a>, head: Head<'a>) -> bool {
        let count = parameters::values(&mut c, head, Form::Sent, |i| self.is_sent_ahead(i)).count();
        count == head.types.count && c.rest().is_empty()
    }

    /// Whether a parameter's value came before the execution.
    pub(super) fn is_sent_ahead(&self, index: usize) -> bool {
        self.statement.is_some_and(|s| s.long_data(index).is_some())
    }

    #[inline(always)]
    fn parameter<'e>(
        &self,
        event: EventBuilder<'e>,
        parameter: Parameter<'_>,
        hides: bool,
    ) -> EventBuilder<'e> {
        let Parameter { index, name, value } = parameter;
        let placeholders = self.statement.map_or(0, |s| usize::from(s.parameters));
        if !name.is_empty() && index >= placeholders {
            return attribute(event, name, value);
        }
        let Ok(number) = u32::try_from(index) else { return event };
        let (key, suffix) = (Key::DB_QUERY_PARAMETER, Suffix::Index(number));
        let ahead = self.statement.and_then(|s| s.long_data(index)).filter(|_| value.is_none());
        let ahead = ahead.and_then(|(kept, len)| Some(Value::Bytes { kept: kept?, len }));
        let value = value.or(ahead);
        match value {
            Some(value) if hides && value != Value::Null => hidden(event, key, suffix),
            Some(value) => put(event, key, suffix, value),
            None => event,
        }
    }
}

/// An execution whose bytes were read up to its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    execution: Execution<'a>,
    layout: Result<Layout<'a>, Unread>,
    /// What was kept of the values.
    rest: Cursor<'a>,
    /// All that was sent behind the execution's head was kept.
    whole: bool,
}

impl<'a> Values<'a> {
    /// Reads `kept`, which is what was kept of the parameters.
    pub(super) fn read(execution: Execution<'a>, kept: &'a [u8]) -> Self {
        let mut rest = Cursor::new(kept);
        let layout = execution.layout(&mut rest);
        Self { execution, layout, rest, whole: kept.len() as u64 >= execution.exchange.text_len }
    }

    /// The types that hold from now on, if they are others than before: none where nobody can tell which.
    pub(super) fn rebinds(&self) -> Option<Option<Types<'a>>> {
        let bound = match &self.layout {
            Ok(layout) => Some(layout.bound()?),
            Err(_) => None,
        };
        let statement = self.execution.statement?;
        (statement.types() != bound).then_some(bound)
    }

    /// Puts the parameters into an event; `hides`: they are secrets.
    pub(super) fn put<'e>(&self, mut event: EventBuilder<'e>, hides: bool) -> EventBuilder<'e> {
        let Self { execution, layout, mut rest, mut whole } = *self;
        let form = execution.exchange.form;
        match layout {
            Ok(Layout::Values(head)) => {
                for parameter in parameters::values(&mut rest, head, form, |i| execution.is_sent_ahead(i)) {
                    event = execution.parameter(event, parameter, hides);
                }
                event
            }
            Ok(Layout::Rows { types, .. }) => {
                let mut count = 0_usize;
                for parameter in parameters::rows(rest, types, form) {
                    let Ok(parameter) = parameter else {
                        whole = false;
                        break;
                    };
                    count += 1;
                    event = execution.parameter(event, parameter, hides);
                }
                let rows = count.checked_div(types.count).filter(|_| whole).map(|rows| rows as u64);
                event.maybe(execution.exchange.rows.or(rows), |e, n| e.number(Key::DB_BATCH_SIZE, n))
            }
            Err(_) => event,
        }
    }
}

/// Puts the attributes of a query, of which `kept` is what stood in front of its text.
pub(super) fn put_attributes<'e>(mut event: EventBuilder<'e>, kept: &[u8]) -> EventBuilder<'e> {
    let mut c = Cursor::new(kept);
    let Some(count) = parameters::attribute_count(&mut c) else { return event };
    let Ok(head) = Head::read(&mut c, count, true, None) else { return event };
    for parameter in parameters::values(&mut c, head, Form::Sent, |_| false) {
        event = attribute(event, parameter.name, parameter.value);
    }
    event
}

fn attribute<'e>(event: EventBuilder<'e>, name: &[u8], value: Option<Value<'_>>) -> EventBuilder<'e> {
    let (key, suffix) = (Key::MYSQL_ATTRIBUTE, Suffix::Name(name));
    event.maybe(value, |e, value| match value {
        Value::Bytes { kept, .. } if is_secret_name(name, kept) => hidden(e, key, suffix),
        value => put(e, key, suffix, value),
    })
}

/// A secret stands here.
fn hidden<'e>(event: EventBuilder<'e>, key: Key, suffix: Suffix<'_>) -> EventBuilder<'e> {
    event.member_text(key, suffix, SECRET, SECRET.len() as u64, Sensitivity::Public)
}

#[inline(always)]
fn put<'e>(event: EventBuilder<'e>, key: Key, suffix: Suffix<'_>, value: Value<'_>) -> EventBuilder<'e> {
    match value {
        Value::Null => event.member_null(key, suffix),
        Value::Bytes { kept, len } => event.member_text(key, suffix, kept, len, Sensitivity::Literal),
        Value::Signed(number) => put_digits(event, key, suffix, number),
        Value::Unsigned(number) => put_digits(event, key, suffix, number),
        value => event.member_written(key, suffix, value, Sensitivity::Literal),
    }
}

fn put_digits<'e>(
    event: EventBuilder<'e>,
    key: Key,
    suffix: Suffix<'_>,
    number: impl itoa::Integer,
) -> EventBuilder<'e> {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    event.member_text(key, suffix, digits, digits.len() as u64, Sensitivity::Literal)
}

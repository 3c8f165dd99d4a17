//! The columns of a line: their names, their order, how they are aligned.

use core::fmt;
use std::sync::{Arc, OnceLock};

use sniff_x_flow::Nanos;

use super::super::address::write_number;
use super::super::terminal::Terminal;
use super::super::time::{write_date, write_time_of_day};

/// How lines are written.
#[derive(Clone, Debug, Default)]
pub struct TextOptions {
    /// With ANSI colours.
    pub color: bool,
    /// What is shown, in this order; none is what there is room for.
    pub columns: Option<Vec<Column>>,
    /// How times are shown.
    pub time: TimeStyle,
    /// Long lines go on in further lines, where they would be cut otherwise.
    pub wide: bool,
    /// Where lines are shown; without one nothing is cut or wrapped.
    pub terminal: Option<Terminal>,
    /// When the first event was, for all workers.
    pub origin: Origin,
}

/// How the time of an event is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// Time of day in UTC.
    #[default]
    Absolute,
    /// Date and time of day in UTC.
    Date,
    /// Seconds since the first event.
    Relative,
    /// Seconds since the event before.
    Delta,
}

/// When the first event was that was written.
#[derive(Clone, Debug, Default)]
pub struct Origin(Arc<OnceLock<Nanos>>);

impl Origin {
    fn or(&self, time: Nanos) -> Nanos {
        *self.0.get_or_init(|| time)
    }
}

/// What shows the times of a worker's events.
#[derive(Default)]
pub(super) struct Times {
    previous: Option<Nanos>,
}

impl Times {
    pub(super) fn write(&mut self, style: TimeStyle, origin: &Origin, time: Nanos, out: &mut Vec<u8>) {
        match style {
            TimeStyle::Absolute => write_time_of_day(time, out),
            TimeStyle::Date => write_date(time, out),
            TimeStyle::Relative => write_seconds(time, origin.or(time), out),
            TimeStyle::Delta => write_seconds(time, self.previous.unwrap_or(time), out),
        }
        self.previous = Some(time);
    }
}

/// `time` minus `since` in seconds with microseconds: an exchange that ends later may have begun earlier.
fn write_seconds(time: Nanos, since: Nanos, out: &mut Vec<u8>) {
    if time < since {
        out.push(b'-');
    }
    let micros = time.0.abs_diff(since.0) / 1000;
    write_number(micros / 1_000_000, out);
    out.push(b'.');
    let mut fraction = micros % 1_000_000;
    let mut unit = 100_000;
    while unit > 0 {
        write_number(fraction / unit, out);
        fraction %= unit;
        unit /= 10;
    }
}

/// A column of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Column {
    /// When the request was seen.
    Time,
    /// The client's address and port.
    Client,
    /// The server's address and port.
    Server,
    /// The protocol.
    Protocol,
    /// Exchange, message, session, notice or summary.
    Kind,
    /// The database.
    Db,
    /// Who asked.
    User,
    /// The operation's name.
    Operation,
    /// The outcome: ok, error, incomplete, or the protocol's own code.
    Status,
    /// Rows that came back, or were changed.
    Rows,
    /// How long it took.
    Duration,
    /// Bytes of the response.
    Size,
    /// What was asked.
    Text,
    /// What came of it.
    Result,
    /// All else, with labels.
    Details,
}

/// How a column lines up with those of other lines.
pub(super) enum Align {
    /// At the left; it widens to what was seen within these bounds.
    Left(usize, usize),
    /// At the right, likewise.
    Right(usize, usize),
    /// Not at all: it takes what room there is.
    Free,
}

impl Column {
    /// All of them, in the order of the list that users see.
    pub const ALL: [Self; COLUMNS] = [
        Self::Time,
        Self::Client,
        Self::Server,
        Self::Protocol,
        Self::Kind,
        Self::Db,
        Self::User,
        Self::Operation,
        Self::Status,
        Self::Rows,
        Self::Duration,
        Self::Size,
        Self::Text,
        Self::Result,
        Self::Details,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Client => "client",
            Self::Server => "server",
            Self::Protocol => "protocol",
            Self::Kind => "kind",
            Self::Db => "db",
            Self::User => "user",
            Self::Operation => "operation",
            Self::Status => "status",
            Self::Rows => "rows",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Text => "text",
            Self::Result => "result",
            Self::Details => "details",
        }
    }

    pub(super) const fn align(self) -> Align {
        match self {
            Self::Time => Align::Right(10, 26),
            // An IPv4 address with its port has 21 characters at the most; a long IPv6 address stands out.
            Self::Client | Self::Server => Align::Left(0, 28),
            Self::Protocol => Align::Left(0, 10),
            Self::Kind => Align::Left(8, 8),
            Self::Db | Self::User => Align::Left(4, 16),
            Self::Operation => Align::Left(6, 16),
            Self::Status => Align::Left(5, 10),
            Self::Rows => Align::Right(4, 10),
            Self::Duration => Align::Right(7, 7),
            Self::Size => Align::Right(8, 8),
            Self::Text | Self::Result | Self::Details => Align::Free,
        }
    }

    /// Whether what is wider than the column may be cut on a terminal: names that come from the wire.
    pub(super) const fn may_be_cut(self) -> bool {
        matches!(self, Self::Db | Self::User | Self::Operation)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many columns there are.
pub(super) const COLUMNS: usize = 15;

/// What is shown where nothing is asked for.
pub(super) const DEFAULT: &[Column] = &[
    Column::Time,
    Column::Client,
    Column::Server,
    Column::Protocol,
    Column::Duration,
    Column::Text,
    Column::Result,
    Column::Details,
];

/// The same on a terminal with less than [`ROOMY`] columns: which server it was matters less than what was asked.
pub(super) const NARROW: &[Column] = &[
    Column::Time,
    Column::Client,
    Column::Protocol,
    Column::Duration,
    Column::Text,
    Column::Result,
    Column::Details,
];

/// Columns of a terminal from which on there is room for everything.
pub(super) const ROOMY: usize = 120;

/// Which columns a line has.
#[derive(Clone, Copy, Default)]
pub(super) struct Shown(u32);

impl Shown {
    pub(super) fn of(columns: &[Column]) -> Self {
        Self(columns.iter().fold(0, |set, column| set | 1 << *column as u8))
    }

    pub(super) const fn has(self, column: Column) -> bool {
        self.0 & 1 << column as u8 != 0
    }
}

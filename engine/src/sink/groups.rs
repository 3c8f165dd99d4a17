//! Events counted by group in place of lines: `--group-by client`.
//!
//! Each worker counts into `Groups` of its own and hands them on at the end of a batch; the writer shows the sum as a table. At most
//! `MAX_GROUPS` are kept apart: when there are more, those with the fewest events become "others", with their number. The names of groups
//! come from the wire: they are clean, and cut at `MAX_NAME` bytes.

use std::collections::HashMap;

use sniff_x_proto::event::{Arena, Event, Key, Status, ValueRef};

use super::address::{write_address, write_endpoint};
use super::human::{write_clean, write_duration};
use super::terminal::{RESET, Size, Terminal, cut, spaces, width};

/// Groups that are kept apart.
const MAX_GROUPS: usize = 1024;
/// Bytes of a group's name.
const MAX_NAME: usize = 256;
/// Stands for a name that an event does not have.
const NONE: &str = "(none)";

/// What events are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The client's address; behind a proxy that tells it, that of the client before the proxy.
    Client,
    /// The server's address and port.
    Server,
    /// The database.
    Db,
    /// The operation's name, or the method.
    Operation,
    /// Who asked.
    User,
    /// The protocol.
    Protocol,
}

impl GroupBy {
    /// All of them, in the order of the list that users see.
    pub const ALL: [Self; 6] =
        [Self::Client, Self::Server, Self::Db, Self::Operation, Self::User, Self::Protocol];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Db => "db",
            Self::Operation => "operation",
            Self::User => "user",
            Self::Protocol => "protocol",
        }
    }
}

/// How groups are shown.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// What makes a group.
    pub by: GroupBy,
    /// With ANSI colours.
    pub color: bool,
    /// Where the table is shown anew again and again; without one only the last is.
    pub terminal: Option<Terminal>,
}

/// The sums of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    events: u64,
    errors: u64,
    incomplete: u64,
    rows: u64,
    /// Events that took a time, all of it together, and the longest.
    timed: u64,
    nanos: u128,
    longest: u64,
}

impl Sums {
    fn of(arena: &Arena, event: &Event) -> Self {
        let rows = number(arena, event, Key::DB_RETURNED_ROWS).unwrap_or(0);
        let duration = event.head.duration;
        Self {
            events: 1,
            errors: u64::from(event.head.status == Some(Status::Error)),
            incomplete: u64::from(matches!(event.head.status, Some(Status::Incomplete(_)))),
            rows,
            timed: u64::from(duration.is_some()),
            nanos: duration.unwrap_or(0).into(),
            longest: duration.unwrap_or(0),
        }
    }

    fn add(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.errors = self.errors.saturating_add(other.errors);
        self.incomplete = self.incomplete.saturating_add(other.incomplete);
        self.rows = self.rows.saturating_add(other.rows);
        self.timed = self.timed.saturating_add(other.timed);
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.longest = self.longest.max(other.longest);
    }

    fn mean(&self) -> Option<u64> {
        u64::try_from(self.nanos.checked_div(self.timed.into())?).ok()
    }
}

/// The groups and their sums.
pub(crate) struct Groups {
    by: GroupBy,
    named: HashMap<Box<[u8]>, Sums>,
    others: Sums,
    /// Groups that are in `others`; one that came back and went again counts twice.
    in_others: u64,
    /// The name in the making.
    name: Vec<u8>,
}

impl Groups {
    pub(crate) fn new(by: GroupBy) -> Self {
        Self { by, named: HashMap::new(), others: Sums::default(), in_others: 0, name: Vec::new() }
    }

    /// Counts an event whose fields lie in `arena`.
    pub(crate) fn count(&mut self, arena: &Arena, event: &Event) {
        let mut name = core::mem::take(&mut self.name);
        name.clear();
        write_name(self.by, arena, event, &mut name);
        self.add(&name, &Sums::of(arena, event));
        self.name = name;
    }

    fn add(&mut self, name: &[u8], sums: &Sums) {
        if let Some(known) = self.named.get_mut(name) {
            return known.add(sums);
        }
        if self.named.len() >= MAX_GROUPS {
            self.fold();
        }
        self.named.insert(name.into(), *sums);
    }

    /// Makes others of the half of the groups that has the fewest events.
    fn fold(&mut self) {
        let mut counts: Vec<_> = self.named.values().map(|sums| sums.events).collect();
        let (_, &mut median, _) = counts.select_nth_unstable(MAX_GROUPS / 2);
        let mut left = MAX_GROUPS / 2;
        let (others, in_others) = (&mut self.others, &mut self.in_others);
        self.named.retain(|_, sums| {
            if sums.events > median || left == 0 {
                return true;
            }
            left -= 1;
            // Groups without events are names that a worker had kept for later.
            *in_others += u64::from(sums.events > 0);
            others.add(sums);
            false
        });
    }

    /// Takes over what `from` counted; its names stay for what comes next, so that they are not made anew in each batch.
    pub(crate) fn take(&mut self, from: &mut Self) {
        for (name, sums) in &mut from.named {
            if sums.events > 0 {
                self.add(name, sums);
                *sums = Sums::default();
            }
        }
        self.others.add(&core::mem::take(&mut from.others));
        self.in_others += core::mem::take(&mut from.in_others);
    }

    /// Appends the table, groups with the most events first; says how many lines it has. `within` cuts it to a terminal's size, to its
    /// width alone if it may scroll.
    pub(crate) fn write(&self, color: bool, within: Option<Size>, scrolls: bool, out: &mut Vec<u8>) -> usize {
        let mut rows: Vec<(&[u8], &Sums)> = self.named.iter().map(|(name, sums)| (&**name, sums)).collect();
        // Equal ones by name: the table does not flicker.
        rows.sort_unstable_by(|a, b| b.1.events.cmp(&a.1.events).then_with(|| a.0.cmp(b.0)));
        let mut total = self.others;
        rows.iter().for_each(|(_, sums)| total.add(sums));

        // The header, the sum, what is not shown, and the line that the cursor is in.
        let room = within.filter(|_| !scrolls).map_or(usize::MAX, |size| size.rows.saturating_sub(4).max(1));
        let hidden = rows.get(room..).unwrap_or_default();
        let (mut others, mut in_others) = (self.others, self.in_others);
        for (_, sums) in hidden {
            others.add(sums);
            in_others += 1;
        }
        rows.truncate(room);

        let mut table = Table { lines: Vec::new(), out };
        for (name, sums) in rows {
            table.lines.push((String::from_utf8_lossy(name).into_owned(), *sums));
        }
        if in_others > 0 {
            table.lines.push((format!("others ({in_others})"), others));
        }
        table.lines.push(("all".into(), total));
        table.write(self.by.name(), color, within.map(|size| size.columns))
    }
}

/// Lines of names and numbers in the making.
struct Table<'a> {
    lines: Vec<(String, Sums)>,
    out: &'a mut Vec<u8>,
}

const HEADS: [&str; 6] = ["events", "errors", "incomplete", "rows", "mean", "max"];
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";

impl Table<'_> {
    fn write(self, title: &str, color: bool, columns: Option<usize>) -> usize {
        let cells: Vec<_> = self.lines.iter().map(|(_, sums)| cells(sums)).collect();
        let mut widths = HEADS.map(str::len);
        for (i, widest) in widths.iter_mut().enumerate() {
            let of_cells = cells.iter().filter_map(|row| row.get(i)).map(|cell| width(cell)).max();
            *widest = (*widest).max(of_cells.unwrap_or(0));
        }
        let numbers: usize = widths.iter().map(|width| width + 2).sum();
        let names = self.lines.iter().map(|(name, _)| width(name)).chain([title.len()]).max().unwrap_or(0);
        let names = columns.map_or(names, |columns| names.min(columns.saturating_sub(numbers).max(8)));

        let mut line = Vec::new();
        let mut write = |name: &str, row: [&str; 6], paints: [&str; 7]| {
            line.clear();
            let mut painted = |paint: &str, text: &mut dyn FnMut(&mut Vec<u8>)| {
                let paint = if color { paint } else { "" };
                line.extend_from_slice(paint.as_bytes());
                text(&mut line);
                line.extend_from_slice(if paint.is_empty() { "" } else { RESET }.as_bytes());
            };
            let [of_name, of_row @ ..] = paints;
            painted(of_name, &mut |line| {
                let used = cut(name, names, line);
                spaces(names - used, line);
            });
            for ((cell, width_of), paint) in row.iter().zip(widths).zip(of_row) {
                painted(paint, &mut |line| {
                    spaces(2 + width_of - width(cell), line);
                    line.extend_from_slice(cell.as_bytes());
                });
            }
            let text = String::from_utf8_lossy(&line);
            cut(&text, columns.unwrap_or(usize::MAX), self.out);
            self.out.push(b'\n');
        };
        write(title, HEADS, [DIM; 7]);
        let (last, mut n) = (self.lines.len(), 0);
        for ((name, sums), row) in self.lines.iter().zip(&cells) {
            n += 1;
            let if_any = |count, paint| if count > 0 { paint } else { "" };
            let (errors, incomplete) = (if_any(sums.errors, RED), if_any(sums.incomplete, YELLOW));
            let of_name = if n == last { DIM } else { "" };
            write(name, row.each_ref().map(String::as_str), [of_name, "", errors, incomplete, "", "", ""]);
        }
        n + 1
    }
}

/// The numbers as they are shown.
fn cells(sums: &Sums) -> [String; 6] {
    let time = |nanos: Option<u64>| {
        let mut text = Vec::new();
        match nanos {
            Some(nanos) => write_duration(nanos, &mut text),
            None => text.push(b'-'),
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    [
        sums.events.to_string(),
        sums.errors.to_string(),
        sums.incomplete.to_string(),
        sums.rows.to_string(),
        time(sums.mean()),
        time((sums.timed > 0).then_some(sums.longest)),
    ]
}

/// Appends the name of the event's group.
fn write_name(by: GroupBy, arena: &Arena, event: &Event, out: &mut Vec<u8>) {
    let head = &event.head;
    let name = match by {
        GroupBy::Client => match text(arena, event, Key::PROXIED_CLIENT_ADDRESS) {
            None => return write_address(head.client.address(), out),
            proxied => proxied,
        },
        GroupBy::Server => return write_endpoint(head.server, out),
        GroupBy::Db => text(arena, event, Key::DB_NAMESPACE),
        GroupBy::User => text(arena, event, Key::DB_USER),
        GroupBy::Protocol => Some(head.protocol.as_bytes()),
        GroupBy::Operation => {
            [Key::DB_OPERATION_NAME, Key::HTTP_METHOD, Key::TCP_DIRECTION, Key::SESSION_STATE]
                .into_iter()
                .find_map(|key| text(arena, event, key))
                .or(Some(head.kind.as_str().as_bytes()))
        }
    };
    let Some(name) = name else { return out.extend_from_slice(NONE.as_bytes()) };
    let start = out.len();
    write_clean(name.get(..MAX_NAME).unwrap_or(name), out);
    if out.len() == start {
        out.extend_from_slice(b"''");
    }
}

fn text<'a>(arena: &'a Arena, event: &'a Event, key: Key) -> Option<&'a [u8]> {
    arena.fields(event).find(|field| field.0 == key).and_then(|field| match field.2 {
        ValueRef::Text(text) => Some(text),
        _ => None,
    })
}

fn number(arena: &Arena, event: &Event, key: Key) -> Option<u64> {
    arena.fields(event).find(|field| field.0 == key).and_then(|field| match field.2 {
        ValueRef::U64(number) => Some(number),
        _ => None,
    })
}

#[cfg(test)]
mod tests;

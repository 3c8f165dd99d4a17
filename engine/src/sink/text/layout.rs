//! Cells → a line: aligned, and on a terminal cut to its width or wrapped.
//!
//! A column widens to the widest cell that was seen, within bounds, and never shrinks: lines move at most a few times. Of a line that is too
//! wide the details go first; then the text gives way to what came of it, which keeps up to half of their room.

use super::super::terminal::{Wrapped, cut, spaces, width};
use super::columns::{Align, COLUMNS, Column};

/// Between columns, and around those without alignment.
const GAP: usize = 1;
const WIDE_GAP: usize = 2;
/// Between client and server.
const ARROW: &str = " → ";
const ARROW_WIDTH: usize = 3;

/// What a line is made of, and how wide the columns of the lines before were.
#[derive(Default)]
pub(super) struct Layout {
    /// The texts of the cells, one behind the other.
    text: Vec<u8>,
    cells: Vec<Cell>,
    widest: [usize; COLUMNS],
}

/// A column's text in a line.
#[derive(Clone, Copy)]
struct Cell {
    column: Column,
    start: usize,
    end: usize,
    /// Columns that the text takes; not counted where nothing depends on it.
    width: usize,
}

impl Layout {
    /// A new line.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// The next cell: `write` appends its text.
    pub(super) fn cell(&mut self, column: Column, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.cells.push(Cell { column, start, end: self.text.len(), width: 0 });
    }

    /// Appends the line with its line feed; `columns` are the terminal's.
    pub(super) fn finish(&mut self, columns: Option<usize>, wide: bool, out: &mut Vec<u8>) {
        self.measure(columns.is_some());
        match columns {
            Some(columns) if wide => self.write_wrapped(columns, out),
            Some(columns) => self.write_cut(columns, out),
            None => self.write_whole(out),
        }
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }

    fn measure(&mut self, on_terminal: bool) {
        for cell in &mut self.cells {
            let (Align::Left(least, most) | Align::Right(least, most)) = cell.column.align() else {
                if on_terminal {
                    cell.width = width(text_of(&self.text, cell));
                }
                continue;
            };
            cell.width = width(text_of(&self.text, cell));
            if on_terminal && cell.column.may_be_cut() {
                cell.width = cell.width.min(most);
            }
            if let Some(widest) = self.widest.get_mut(cell.column as usize) {
                *widest = cell.width.clamp(least, most).max(*widest);
            }
        }
    }

    fn widest(&self, column: Column) -> usize {
        self.widest.get(column as usize).copied().unwrap_or_default()
    }

    /// Room of an aligned cell.
    fn room(&self, cell: &Cell) -> usize {
        cell.width.max(self.widest(cell.column))
    }

    /// The line as it is.
    fn write_whole(&self, out: &mut Vec<u8>) {
        let mut before = None;
        for cell in self.present() {
            separate(before, cell, out);
            self.write_cell(cell, cell.width, out);
            before = Some(cell.column);
        }
    }

    /// Cells without alignment that are empty take no part.
    fn present(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| !is_free(cell.column) || cell.start < cell.end)
    }

    /// One cell, an aligned one with its padding.
    fn write_cell(&self, cell: &Cell, room: usize, out: &mut Vec<u8>) {
        let text = text_of(&self.text, cell);
        match cell.column.align() {
            Align::Free => out.extend_from_slice(text.as_bytes()),
            Align::Left(..) => {
                cut(text, room, out);
                spaces(self.widest(cell.column).saturating_sub(cell.width), out);
            }
            Align::Right(..) => {
                spaces(self.widest(cell.column).saturating_sub(cell.width), out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The line in `columns` columns.
    fn write_cut(&self, columns: usize, out: &mut Vec<u8>) {
        let (fixed, behind) = self.taken();
        let mut shares = self.shares(columns, fixed);
        let (mut used, mut before) = (0, None);
        let mut was_free = false;
        for cell in self.present() {
            let gap = separation(before, cell.column);
            let is_free = is_free(cell.column);
            if is_free {
                let share = shares.take(cell.column, cell.width).min(columns.saturating_sub(used + gap));
                if share == 0 {
                    continue;
                }
                separate(before, cell, out);
                used += gap + cut(text_of(&self.text, cell), share, out);
            } else {
                if was_free {
                    // What follows the text stands at the right edge.
                    let start = columns.saturating_sub(behind).max(used);
                    spaces(start - used, out);
                    used = start;
                }
                let room = self.room(cell);
                if used + gap + room > columns {
                    // More columns than the terminal has.
                    if let Some(left) = columns.checked_sub(used + gap).filter(|&left| left > 0) {
                        separate(before, cell, out);
                        cut(text_of(&self.text, cell), left, out);
                    }
                    return;
                }
                separate(before, cell, out);
                self.write_cell(cell, cell.width, out);
                used += gap + room;
            }
            was_free = is_free;
            before = Some(cell.column);
        }
    }

    /// Columns that aligned cells and all gaps take; and those of them behind the last text.
    fn taken(&self) -> (usize, usize) {
        let (mut fixed, mut behind, mut before) = (0, 0, None);
        for cell in self.present() {
            let gap = separation(before, cell.column);
            before = Some(cell.column);
            if is_free(cell.column) {
                fixed += gap;
                behind = 0;
            } else {
                fixed += gap + self.room(cell);
                behind += gap + self.room(cell);
            }
        }
        (fixed, behind)
    }

    /// How the columns are shared out that aligned cells and gaps, `fixed` columns, leave.
    fn shares(&self, columns: usize, fixed: usize) -> Shares {
        let wants = |column| self.cells.iter().find(|c| c.column == column).map_or(0, |cell| cell.width);
        let (text, result, details) = (wants(Column::Text), wants(Column::Result), wants(Column::Details));
        let left = (columns.saturating_sub(fixed)).saturating_sub(text + result);
        if left > 0 {
            return Shares { text, result, details: left };
        }
        // Details without room need no gap either.
        let room = (columns + if details > 0 { WIDE_GAP } else { 0 }).saturating_sub(fixed);
        let result = result.min((room / 2).max(room.saturating_sub(text)));
        Shares { text: text.min(room - result), result, details: 0 }
    }

    /// The line in as many lines as it takes.
    fn write_wrapped(&self, columns: usize, out: &mut Vec<u8>) {
        let (mut used, mut before) = (0, None);
        let mut wrapped: Option<Wrapped> = None;
        for cell in self.present() {
            let text = text_of(&self.text, cell);
            if wrapped.is_none() && !is_free(cell.column) {
                separate(before, cell, out);
                self.write_cell(cell, cell.width, out);
                used += separation(before, cell.column) + self.room(cell);
                before = Some(cell.column);
                continue;
            }
            let wrapped = match &mut wrapped {
                Some(wrapped) => {
                    wrapped.write("  ", out);
                    wrapped
                }
                none => {
                    separate(before, cell, out);
                    none.insert(Wrapped::new(used + separation(before, cell.column), columns, out))
                }
            };
            wrapped.write(text, out);
            before = Some(cell.column);
        }
    }
}

/// Columns that the cells without alignment get.
struct Shares {
    text: usize,
    result: usize,
    details: usize,
}

impl Shares {
    /// A cell with `width` columns takes its share; a column that stands there twice gets nothing the second time.
    fn take(&mut self, column: Column, width: usize) -> usize {
        let share = match column {
            Column::Text => &mut self.text,
            Column::Result => &mut self.result,
            _ => &mut self.details,
        };
        core::mem::take(share).min(width)
    }
}

const fn is_free(column: Column) -> bool {
    matches!(column.align(), Align::Free)
}

fn text_of<'a>(text: &'a [u8], cell: &Cell) -> &'a str {
    // Cells are clean text: `write_clean` and the program's own words.
    text.get(cell.start..cell.end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Columns between two cells.
const fn separation(before: Option<Column>, column: Column) -> usize {
    match before {
        None => 0,
        Some(Column::Client) if matches!(column, Column::Server) => ARROW_WIDTH,
        Some(before) if is_free(before) || is_free(column) => WIDE_GAP,
        Some(_) => GAP,
    }
}

fn separate(before: Option<Column>, cell: &Cell, out: &mut Vec<u8>) {
    match separation(before, cell.column) {
        ARROW_WIDTH => out.extend_from_slice(ARROW.as_bytes()),
        gap => spaces(gap, out),
    }
}

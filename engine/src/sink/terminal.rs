//! What a terminal shows: how wide a text is, how it is cut and wrapped, and how large the terminal is.
//!
//! Texts that come in are clean (no control character but the colours of this sink, `ESC [ … m`, which take no room). A character has the
//! width that most terminals give it: two columns for wide ones, none for marks that combine.

use std::fmt;
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;

/// Ends a colour.
pub(super) const RESET: &str = "\x1b[0m";
/// Fewer columns are no terminal to lay lines out for: what is wider than these breaks where the terminal breaks it.
const LEAST_COLUMNS: usize = 10;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// The terminal that events are shown on; asked for its size once a batch, as it may change.
#[derive(Clone)]
pub struct Terminal(Arc<dyn Fn() -> Option<Size> + Send + Sync>);

impl Terminal {
    /// `size` tells the size; none while it is not known, and then nothing is cut.
    pub fn new(size: impl Fn() -> Option<Size> + Send + Sync + 'static) -> Self {
        Self(Arc::new(size))
    }

    /// How large it is now.
    pub(crate) fn size(&self) -> Option<Size> {
        let size = (self.0)().filter(|size| size.columns > 0)?;
        Some(Size { columns: size.columns.max(LEAST_COLUMNS), rows: size.rows })
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Terminal").field(&self.size()).finish()
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.len();
    }
    pieces(text).map(|(_, width)| width).sum()
}

/// A text's characters with their widths; a colour is one of them and takes no room.
fn pieces(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let c = rest.chars().next()?;
        let (len, width) = match c {
            '\x1b' => (rest.find('m').map_or(rest.len(), |i| i + 1), 0),
            // Asks for the wide form of the character before, where the terminal has one: better a column too few than one too many.
            '\u{fe0f}' => (c.len_utf8(), 1),
            c => (c.len_utf8(), c.width().unwrap_or(0)),
        };
        let (piece, after) = rest.split_at_checked(len)?;
        rest = after;
        Some((piece, width))
    })
}

/// Appends a text, cut to `columns` with `…` when it is wider; says how many columns it took.
pub(super) fn cut(text: &str, columns: usize, out: &mut Vec<u8>) -> usize {
    let whole = width(text);
    if whole <= columns {
        out.extend_from_slice(text.as_bytes());
        return whole;
    }
    let Some(room) = columns.checked_sub(1) else { return 0 };
    let (mut used, mut painted) = (0, false);
    for (piece, width) in pieces(text) {
        if used + width > room {
            break;
        }
        if piece.starts_with('\x1b') {
            painted = piece != RESET;
        }
        out.extend_from_slice(piece.as_bytes());
        used += width;
    }
    out.extend_from_slice("…".as_bytes());
    if painted {
        out.extend_from_slice(RESET.as_bytes());
    }
    used + 1
}

/// Appends `n` spaces.
pub(super) fn spaces(n: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + n, b' ');
}

/// Text that goes on in further lines, all of which begin at one column.
pub(super) struct Wrapped {
    /// Where the next character comes.
    pub(super) column: usize,
    /// Where lines begin.
    indent: usize,
    /// Where they end at the latest.
    end: usize,
}

/// Room that a text must have beside what stands before it, else its lines begin further left.
const LEAST_ROOM: usize = 24;
/// Where they begin then.
const LEFT: usize = 4;

impl Wrapped {
    /// The text begins at `column` of a line with `end` columns.
    pub(super) fn new(column: usize, end: usize, out: &mut Vec<u8>) -> Self {
        if column + LEAST_ROOM <= end {
            return Self { column, indent: column, end };
        }
        let mut wrapped = Self { column, indent: LEFT.min(end / 2), end };
        if column > wrapped.indent {
            wrapped.break_line(out);
        }
        wrapped
    }

    /// Appends a text, broken between words; in one only if it is wider than a line.
    pub(super) fn write(&mut self, text: &str, out: &mut Vec<u8>) {
        for word in text.split_inclusive(' ') {
            let (word, space) = word.strip_suffix(' ').map_or((word, false), |word| (word, true));
            let width = width(word);
            let fits = self.column + width <= self.end;
            if !fits && self.column > self.indent && self.wants_a_line(width) {
                self.break_line(out);
            }
            for (piece, width) in pieces(word) {
                if self.column + width > self.end {
                    self.break_line(out);
                }
                out.extend_from_slice(piece.as_bytes());
                self.column += width;
            }
            // A line neither begins nor ends with the space that it was broken at.
            if space && self.column < self.end && (width > 0 || self.column > self.indent) {
                out.push(b' ');
                self.column += 1;
            }
        }
    }

    /// Whether a word that does not fit into the rest of the line goes to the next: if it fits there, or little room is left here.
    const fn wants_a_line(&self, width: usize) -> bool {
        self.indent + width <= self.end || self.column + LEAST_ROOM / 2 > self.end
    }

    fn break_line(&mut self, out: &mut Vec<u8>) {
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
        spaces(self.indent, out);
        self.column = self.indent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut_to(text: &str, columns: usize) -> String {
        let mut out = Vec::new();
        let used = cut(text, columns, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(used, width(&out), "{out:?}");
        out
    }

    fn wrapped(text: &str, column: usize, end: usize) -> String {
        let mut out = vec![b'-'; column];
        let mut wrapped = Wrapped::new(column, end, &mut out);
        wrapped.write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Expected are the columns that tmux and xterm give these.
    #[test]
    fn widths_are_those_of_terminals() {
        for (text, columns) in [
            ("", 0),
            ("select 1", 8),
            ("grün → …µ", 9),
            ("e\u{301}", 1),
            ("漢字", 4),
            ("\u{1f600}", 2),
            ("\x1b[2mdim\x1b[0m", 3),
            ("\x1b[31m漢\x1b[0m!", 3),
        ] {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_wide_is_cut_with_a_mark() {
        assert_eq!(cut_to("select", 6), "select");
        assert_eq!(cut_to("select", 5), "sele…");
        assert_eq!(cut_to("select", 1), "…");
        assert_eq!(cut_to("select", 0), "");
        // A wide character is shown whole or not.
        assert_eq!(cut_to("漢字漢字", 5), "漢字…");
        assert_eq!(cut_to("漢字漢字", 4), "漢…");
        assert_eq!(cut_to("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        // Colours take no room and end with the text.
        assert_eq!(cut_to("\x1b[32mselect\x1b[0m", 6), "\x1b[32mselect\x1b[0m");
        assert_eq!(cut_to("\x1b[32mselect\x1b[0m", 4), "\x1b[32msel…\x1b[0m");
        assert_eq!(cut_to("\x1b[32mab\x1b[0m cd", 4), "\x1b[32mab\x1b[0m …");
    }

    #[test]
    fn lines_begin_under_the_text_and_break_between_words() {
        let expected = "----select a, b from the_table\n    where c = 1 and d = 2";
        assert_eq!(wrapped("select a, b from the_table where c = 1 and d = 2", 4, 30), expected);
        // Only a word wider than a line is broken.
        let long = "x".repeat(40);
        let expected = format!("----in {}\n    {}", "x".repeat(23), "x".repeat(17));
        assert_eq!(wrapped(&format!("in {long}"), 4, 30), expected);
    }

    #[test]
    fn a_text_without_room_beside_what_is_before_it_goes_below() {
        let expected = format!("{}\n    select a, b from the_table\n    where c = 1", "-".repeat(20));
        assert_eq!(wrapped("select a, b from the_table where c = 1", 20, 30), expected);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_is_lost(text in "([ a-z漢é]|\x1b\\[2m){0,200}", column in 0_usize..40, end in 10_usize..60) {
            let column = column.min(end);
            let out = wrapped(&text, column, end);
            for line in out.split('\n') {
                prop_assert!(width(line) <= end, "{line:?} has more than {end} columns");
            }
            let letters = |text: &str| text.replace([' ', '\n', '-'], "");
            prop_assert_eq!(letters(&out), letters(&text));
            for columns in 0..end {
                prop_assert!(width(&cut_to(&text, columns)) <= columns);
            }
        }
    }
}

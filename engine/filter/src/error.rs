//! What went wrong with a rule's text, and where.

use core::fmt;

/// A rule that can't be understood, or that asks for a part of the language that is not supported yet.
///
/// `Display` gives the message and, below it, the line of the text with carets under the place:
///
/// ```text
/// port 99999 is larger than 65535
///   tcp port 99999
///            ^^^^^
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    text: String,
    offset: usize,
    len: usize,
    message: String,
}

impl ParseError {
    pub(crate) fn new(text: &str, offset: usize, len: usize, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), offset, len, message: message.into() }
    }

    /// Where the offending part starts: an offset in bytes from the start of the text; its length when the text ended too early.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Length of the offending part in bytes; 0 when the text ended too early.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether something is missing at [`Self::offset`] rather than wrong there.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is wrong and what was expected, on one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.offset).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = before.get(start..).unwrap_or_default().chars().count();
        let end = self.offset.saturating_add(self.len);
        let width = self.text.get(self.offset..end).map_or(1, |part| part.chars().count().max(1));
        // A tab or a control character would move the carets away from the place.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{}\n  {line}\n  {:column$}{:^<width$}", self.message, "", "")
    }
}

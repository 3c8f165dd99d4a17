//! Words of a statement that how it is shown depends on. They are looked for once in a text that is executed often.

/// What a text mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// A word that secrets may follow.
    pub(super) secret: bool,
    /// The SQL mode that says what a backslash means.
    pub(super) backslash: bool,
}

impl Mentions {
    pub(super) fn of(text: &[u8]) -> Self {
        // A statement that changes the mode may have others behind it.
        Self { secret: secret(text), backslash: any(text, b'_', 2, b"no_backslash") }
    }
}

/// Whether a word stands in the text that secrets may follow.
pub(super) fn secret(text: &[u8]) -> bool {
    any(text, b'w', 4, b"password") || any(text, b'f', 6, b"identified")
}

/// Whether `word`, which has `letter` at `offset`, stands somewhere in `text`, in whatever case. The letter is one that is rare in SQL.
fn any(text: &[u8], letter: u8, offset: usize, word: &[u8]) -> bool {
    memchr::memchr2_iter(letter, letter.to_ascii_uppercase(), text).any(|at| {
        let start = at.checked_sub(offset);
        let found = start.and_then(|start| text.get(start..start + word.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

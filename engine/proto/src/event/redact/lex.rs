//! SQL cut into tokens, as far as it takes to tell literals from everything else.
//!
//! Source: <https://dev.mysql.com/doc/refman/8.4/en/literals.html>, <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>.

use super::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// White space.
    Space,
    /// A keyword or a name.
    Word,
    /// A name in quotes.
    Name,
    /// A string, a number, bits, whatever a value is written as.
    Literal,
    /// A string or a quoted name without an end.
    Unclosed,
    /// A comment that the server does not read.
    Comment,
    /// The beginning of one that it reads: `/*! … */`, `/*+ … */`.
    Opening,
    /// Any other character.
    Symbol,
    /// From here on nobody can tell: the two ways to read a backslash differ, or a string is followed by what no string is followed by.
    Unclear,
}

/// The tokens of a text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    rest: &'a [u8],
    dialect: Dialect,
    /// All of the text is UTF-8, so that no byte of a character looks like a backslash.
    is_utf8: bool,
    /// The last token was a string.
    behind_string: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        // A text may be cut in a character.
        let is_utf8 = core::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true);
        Self { rest: text, dialect, is_utf8, behind_string: false }
    }

    fn token(&mut self, first: u8) -> (Token, usize) {
        let rest = self.rest;
        if core::mem::take(&mut self.behind_string) && is_name_byte(first) {
            return (Token::Unclear, rest.len());
        }
        match first {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => {
                let len = rest.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
                (Token::Space, len)
            }
            b'\'' => self.string(0),
            b'"' if self.dialect == Dialect::Postgres => name(rest, b'"'),
            b'"' => self.string(0),
            b'`' if self.dialect != Dialect::Postgres => name(rest, b'`'),
            b'/' if rest.starts_with(b"/*") => self.comment(),
            b'-' if rest.starts_with(b"--") && self.is_dash_comment() => (Token::Comment, line(rest)),
            b'#' if self.dialect != Dialect::Postgres => (Token::Comment, line(rest)),
            b'$' => self.dollar(),
            b'0'..=b'9' => (Token::Literal, number(rest)),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => (Token::Literal, number(rest)),
            _ if is_name_byte(first) => self.word(),
            _ => (Token::Symbol, 1),
        }
    }

    /// A word, or a string with a word in front: `x'41'`, `_utf8'a'`, `E'a'`.
    fn word(&mut self) -> (Token, usize) {
        let len = name_len(self.rest);
        let word = self.rest.get(..len).unwrap_or_default();
        let is_prefix = match word {
            [_] => b"xXbBnNeE".contains(word.first().unwrap_or(&0)),
            [first, ..] => *first == b'_',
            [] => false,
        };
        match self.rest.get(len) {
            Some(b'\'') if is_prefix => self.string(len),
            _ => (Token::Word, len),
        }
    }

    /// A string whose quote stands at `at`.
    fn string(&mut self, at: usize) -> (Token, usize) {
        let rest = self.rest;
        let Some(&quote) = rest.get(at) else { return (Token::Unclosed, rest.len()) };
        let escapes = match self.dialect {
            Dialect::MySql { backslash } => backslash,
            Dialect::Postgres if at == 1 && matches!(rest.first(), Some(b'e' | b'E')) => Some(true),
            Dialect::Postgres | Dialect::Any => None,
        };
        let mut end = at + 1;
        loop {
            let tail = rest.get(end..).unwrap_or_default();
            let Some(found) = memchr::memchr2(quote, b'\\', tail) else {
                return (Token::Unclosed, rest.len());
            };
            end += found;
            let (before, behind) = (rest.get(end - 1).copied().unwrap_or(0), rest.get(end + 1));
            if rest.get(end) == Some(&b'\\') {
                // Half of a character in an encoding that is not UTF-8, or a backslash of its own.
                let half = !self.is_utf8 && before >= 0x80;
                match escapes {
                    Some(false) => end += 1,
                    Some(true) if !half => end += 2,
                    _ => match behind {
                        // Of `\\` and `\'` nobody knows where the string ends.
                        Some(b'\\') => end += 2,
                        Some(b) if *b == quote => return (Token::Unclear, rest.len()),
                        _ => end += 1,
                    },
                }
            } else if behind == Some(&quote) {
                end += 2;
            } else {
                self.behind_string = true;
                return (Token::Literal, end + 1);
            }
        }
    }

    /// `$tag$ … $tag$` is a string, `$1` a placeholder, `$name` a name.
    fn dollar(&self) -> (Token, usize) {
        let rest = self.rest;
        let tag = rest.iter().skip(1).take_while(|b| is_name_byte(**b) && **b != b'$').count() + 1;
        if rest.get(tag) == Some(&b'$') && !rest.get(1).is_some_and(u8::is_ascii_digit) {
            let (tag, body) = rest.split_at_checked(tag + 1).unwrap_or((rest, &[]));
            return match memchr::memmem::find(body, tag) {
                Some(end) => (Token::Literal, tag.len() * 2 + end),
                None => (Token::Unclosed, rest.len()),
            };
        }
        (Token::Word, name_len(rest))
    }

    fn comment(&self) -> (Token, usize) {
        let rest = self.rest;
        let opening = match self.dialect {
            Dialect::MySql { .. } if rest.starts_with(b"/*M!") => 4,
            Dialect::MySql { .. } if rest.starts_with(b"/*!") => 3,
            _ if rest.starts_with(b"/*+") => 3,
            _ => 0,
        };
        if opening > 0 {
            let version = rest.iter().skip(opening).take_while(|b| b.is_ascii_digit()).count();
            return (Token::Opening, opening + version);
        }
        let nests = !matches!(self.dialect, Dialect::MySql { .. });
        let (mut at, mut depth) = (2, 1_usize);
        while let Some(found) = memchr::memchr2(b'*', b'/', rest.get(at..).unwrap_or_default()) {
            at += found;
            match rest.get(at..at + 2) {
                Some(b"*/") => {
                    (at, depth) = (at + 2, depth - 1);
                    if depth == 0 {
                        return (Token::Comment, at);
                    }
                }
                Some(b"/*") if nests => (at, depth) = (at + 2, depth + 1),
                _ => at += 1,
            }
        }
        (Token::Comment, rest.len())
    }

    /// In MySQL a space stands behind the dashes.
    fn is_dash_comment(&self) -> bool {
        let space = self.rest.get(2).is_none_or(|b| *b <= b' ');
        space || !matches!(self.dialect, Dialect::MySql { .. })
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = (Token, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &first = self.rest.first()?;
        let (token, len) = self.token(first);
        let (text, rest) = self.rest.split_at(len.clamp(1, self.rest.len()));
        self.rest = rest;
        Some((token, text))
    }
}

/// The bytes of names, digits among them.
pub(crate) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn name_len(text: &[u8]) -> usize {
    text.iter().position(|b| !is_name_byte(*b)).unwrap_or(text.len())
}

/// A quoted name; a quote inside is doubled.
fn name(text: &[u8], quote: u8) -> (Token, usize) {
    let mut at = 1;
    while let Some(found) = memchr::memchr(quote, text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text.get(at) != Some(&quote) {
            return (Token::Name, at);
        }
        at += 1;
    }
    (Token::Unclosed, text.len())
}

/// Up to the end of the line.
fn line(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

/// A number, and all that hangs on it: better too much than too little.
fn number(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let is_sign = matches!(byte, b'+' | b'-')
            && matches!(at.checked_sub(1).and_then(|i| text.get(i)), Some(b'e' | b'E'))
            && text.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !is_name_byte(byte) && byte != b'.' && !is_sign {
            break;
        }
        at += 1;
    }
    at
}

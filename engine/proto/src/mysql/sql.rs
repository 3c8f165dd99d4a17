//! As much of SQL as it takes to say what a statement does: its first keyword, where it ends, which database it selects.

/// The longest operation name; longer words are no keywords.
pub(super) const MAX_KEYWORD: usize = 32;

/// A keyword in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keyword {
    bytes: [u8; MAX_KEYWORD],
    len: usize,
}

impl Keyword {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The first keyword of a statement, behind white space, comments, parentheses and empty statements. What stands in an executable
/// comment (`/*! … */`) counts. None where the statement does not begin with a word.
pub(super) fn keyword(text: &[u8]) -> Option<Keyword> {
    let rest = skip_to_word(text);
    let len = rest.iter().position(|b| !(b.is_ascii_alphabetic() || *b == b'_')).unwrap_or(rest.len());
    let word = rest.get(..len).filter(|w| (1..=MAX_KEYWORD).contains(&w.len()))?;
    let mut keyword = Keyword { bytes: [0; MAX_KEYWORD], len };
    for (to, from) in keyword.bytes.iter_mut().zip(word) {
        *to = from.to_ascii_uppercase();
    }
    Some(keyword)
}

fn skip_to_word(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'a'..=b'z' | b'A'..=b'Z', ..] => return text,
            [b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | b'(' | b';', rest @ ..] => rest,
            [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [b'/', b'*', b'!', rest @ ..] | [b'/', b'*', b'M', b'!', rest @ ..] => {
                let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                rest.get(digits..).unwrap_or_default()
            }
            [b'*', b'/', rest @ ..] => rest,
            _ => match comment(text) {
                Some(len) => text.get(len..).unwrap_or_default(),
                None => return text,
            },
        }
    }
}

/// The length of the comment at the start of `text`; one without an end reaches to the text's end.
pub(super) fn comment(text: &[u8]) -> Option<usize> {
    match text {
        [b'/', b'*', body @ ..] => {
            Some(memchr::memmem::find(body, b"*/").map_or(text.len(), |end| 2 + end + 2))
        }
        [b'#', ..] | [b'-', b'-'] | [b'-', b'-', b' ' | b'\t' | b'\r' | b'\n', ..] => {
            Some(memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1))
        }
        _ => None,
    }
}

/// Whether a comment begins here whose content the server executes: `/*! … */`, `/*M! … */`.
pub(super) fn is_executable(text: &[u8]) -> bool {
    text.starts_with(b"/*!") || text.starts_with(b"/*M!")
}

/// The statement that begins at `at` in a text, its semicolon included.
pub(super) fn statement(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    rest.get(..statement_end(rest)).unwrap_or_default()
}

/// Where the statement begins that gives the result behind one of the statement at `at`, which was rows (`has_rows`) or an OK. Each gives one, but a
/// `CALL` any number with rows, and an OK last. A compound statement (`BEGIN NOT ATOMIC … END`) does so too, but where it ends is not looked for:
/// it has all that follow. The text's length when there is no further statement (the text may have been cut).
pub(super) fn next_result(text: &[u8], at: usize, has_rows: bool) -> usize {
    let current = statement(text, at);
    match keyword(current) {
        Some(word) if word.as_bytes() == b"CALL" && has_rows => at,
        Some(word) if word.as_bytes() == b"BEGIN" && is_compound(current) => at,
        _ => at + current.len(),
    }
}

fn is_compound(statement: &[u8]) -> bool {
    let rest = after_word(skip_to_word(statement), b"begin");
    rest.is_some_and(|rest| after_word(skip_to_word(rest), b"not").is_some())
}

/// Whether one of the statements of a text selects another database or drops one.
pub(super) fn any_selects(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        let current = statement(text, at);
        if selects(current).is_some() {
            return true;
        }
        at += current.len();
    }
    false
}

/// The offset behind the semicolon that ends the first statement of `text`, or its length. Semicolons before it begins don't count.
fn statement_end(text: &[u8]) -> usize {
    let (mut at, mut begun) = (0, false);
    while let Some(rest) = text.get(at..) {
        let Some(&first) = rest.first() else { break };
        at += match first {
            b';' if begun => return at + 1,
            quote @ (b'\'' | b'"' | b'`') => {
                begun = true;
                quoted(rest, quote)
            }
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' => 1,
            _ => {
                let comment = comment(rest);
                begun |= comment.is_none() || is_executable(rest);
                comment.unwrap_or(1)
            }
        };
    }
    text.len()
}

/// The length of the quoted text at the start of `text`, quotes included.
pub(super) fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            b if b == quote && text.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// What a statement does to the current database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selects<'a> {
    /// `USE name`.
    Use(&'a [u8]),
    /// `DROP DATABASE name`.
    Drop(&'a [u8]),
}

/// Whether a statement selects another database, or drops one. A name with a doubled back quote in it is not understood.
pub(super) fn selects(statement: &[u8]) -> Option<Selects<'_>> {
    let rest = skip_to_word(statement);
    if let Some(rest) = after_word(rest, b"use") {
        return name(rest).map(Selects::Use);
    }
    let rest = skip_to_word(after_word(rest, b"drop")?);
    let rest = after_word(rest, b"database").or_else(|| after_word(rest, b"schema"))?;
    let rest = skip_to_word(rest);
    let exists = after_word(rest, b"if").and_then(|r| after_word(skip_to_word(r), b"exists"));
    name(exists.unwrap_or(rest)).map(Selects::Drop)
}

fn after_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = !rest.first().is_some_and(|b| is_name_byte(*b));
    (ends && head.eq_ignore_ascii_case(word)).then_some(rest)
}

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn name(text: &[u8]) -> Option<&[u8]> {
    let rest = skip_to_word(text);
    let (name, rest) = match rest {
        [b'`', rest @ ..] => {
            let end = memchr::memchr(b'`', rest)?;
            (rest.get(..end)?, rest.get(end + 1..)?)
        }
        _ => rest.split_at(rest.iter().position(|b| !is_name_byte(*b)).unwrap_or(rest.len())),
    };
    (!name.is_empty() && skip_to_word(rest).is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Option<String> {
        keyword(text.as_bytes()).map(|k| String::from_utf8(k.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn keywords() {
        for (text, expected) in [
            ("select 1", "SELECT"),
            ("  \n\t((Select 1) union (select 2))", "SELECT"),
            ("/* a */ -- b\n# c\nINSERT INTO t", "INSERT"),
            ("/*!40101 SET NAMES utf8 */", "SET"),
            ("/*M!100100 SET x=1 */", "SET"),
            ("/*!*/with x as (select 1) select 1", "WITH"),
            (";;show tables", "SHOW"),
            ("\u{feff}select 1", "SELECT"),
            ("select", "SELECT"),
            ("select*from t", "SELECT"),
            ("lock_x", "LOCK_X"),
        ] {
            assert_eq!(word(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "  ", "/* never closed", "-- x", "1 + 1", "--1", "$$", "@a"] {
            assert_eq!(word(text), None, "{text}");
        }
        assert_eq!(word(&"x".repeat(MAX_KEYWORD + 1)), None);
    }

    fn statements(text: &str) -> Vec<&str> {
        let (mut at, mut found) = (0, Vec::new());
        while at < text.len() {
            let current = statement(text.as_bytes(), at);
            found.push(std::str::from_utf8(current).unwrap());
            at += current.len();
        }
        found
    }

    #[test]
    fn statements_of_a_text() {
        let text =
            "select ';' , \"a\\\";\", `;`; /* ; */ insert into t values (1); -- ;\n update t set a=''';'";
        assert_eq!(
            statements(text),
            [
                "select ';' , \"a\\\";\", `;`;",
                " /* ; */ insert into t values (1);",
                " -- ;\n update t set a=''';'"
            ]
        );
        assert_eq!(
            statements("; select 1;; /*! select 2 */;select 'x"),
            ["; select 1;", "; /*! select 2 */;", "select 'x"]
        );
        assert_eq!(statements(";;"), [";;"]);
        let text = b"set @a=1; call p(); select 2";
        assert_eq!(next_result(text, 0, false), 9);
        assert_eq!(next_result(text, 9, true), 9, "a CALL's rows");
        assert_eq!(next_result(text, 9, false), 19, "a CALL's end");
        assert_eq!(next_result(b"select 1", 0, true), 8);
        assert_eq!(next_result(b"select 1", 8, true), 8);
        let text = b"begin not atomic select 1; select 2; end";
        assert_eq!(next_result(text, 0, true), 0);
        assert_eq!(next_result(b"begin; select 1", 0, false), 6);
        assert!(any_selects(b"select 1; use x; select 2"));
        assert!(!any_selects(b"select 1; select 'use x'; select 2"));
    }

    /// Texts made to be slow: each is read once.
    #[test]
    fn splitting_is_linear() {
        for text in
            [";".repeat(64 << 10), "a;".repeat(32 << 10), "/*".repeat(32 << 10), "-- \n".repeat(16 << 10)]
        {
            assert!(!any_selects(text.as_bytes()));
            let (mut at, mut results) = (0, 0);
            while at < text.len() {
                at = next_result(text.as_bytes(), at, true);
                results += 1;
            }
            assert!(results <= 32 << 10);
        }
    }

    #[test]
    fn databases() {
        let of = |text: &'static str| selects(text.as_bytes());
        assert_eq!(of("USE shop"), Some(Selects::Use(b"shop")));
        assert_eq!(of("use`my shop`;"), Some(Selects::Use(b"my shop")));
        assert_eq!(of("/* x */ use shop -- y"), Some(Selects::Use(b"shop")));
        assert_eq!(of("drop database if exists shop"), Some(Selects::Drop(b"shop")));
        assert_eq!(of("DROP SCHEMA `shop`"), Some(Selects::Drop(b"shop")));
        for text in ["user x", "use", "use a b", "drop table t", "select 1", "use `a``b`"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

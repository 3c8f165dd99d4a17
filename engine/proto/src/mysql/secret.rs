//! Secrets inside statements: what follows `IDENTIFIED` or `PASSWORD` in a statement that manages accounts, and what `PASSWORD(…)` is called
//! with. They never reach an event; the server's own general log hides them in the same way.
//!
//! Better a literal too many than a password: in such a statement every literal behind the word is hidden, whatever it is.

use super::mentions;
use crate::Dialect;
use crate::event::redact::{Lexer, SECRET, Token};

/// A text with secrets in it.
#[derive(Debug)]
pub(super) struct Shown {
    /// The text without them.
    pub(super) text: Vec<u8>,
    /// A secret is sent as a parameter: `PASSWORD(?)`.
    pub(super) in_parameters: bool,
}

/// First keywords of the statements that carry passwords of accounts, servers and replication.
const MANAGES: [&[u8]; 7] = [b"CREATE", b"ALTER", b"GRANT", b"SET", b"CHANGE", b"START", b"REVOKE"];
/// First keywords of the statements whose strings may be statements.
const QUOTES: [&[u8]; 6] = [b"PREPARE", b"EXECUTE", b"SET", b"CREATE", b"ALTER", b"BEGIN"];
/// What a statement inside of another one stands behind.
const BEFORE: [&[u8]; 6] = [b"THEN", b"ELSE", b"DO", b"BEGIN", b"LOOP", b"REPEAT"];
/// What stands between `IDENTIFIED` and the password or the plugin.
const BEHIND_IDENTIFIED: [&[u8]; 5] = [b"BY", b"WITH", b"VIA", b"USING", b"AS"];

/// The text without its secrets, if there are any; only a text that [`mentions::secret`] can have some. `backslash`: whether one escapes what follows it,
/// where that is known.
pub(super) fn hide(text: &[u8], backslash: Option<bool>) -> Option<Shown> {
    let mut shown = Shown { text: Vec::with_capacity(text.len()), in_parameters: false };
    let mut any = false;
    let mut place = Place::default();
    for (token, bytes) in Lexer::new(text, Dialect::MySql { backslash }) {
        if place.hides(token, bytes) {
            shown.text.extend_from_slice(SECRET);
            any = true;
        } else {
            shown.text.extend_from_slice(bytes);
        }
        if bytes == b"?" && place.hides != Hides::Nothing {
            shown.in_parameters = true;
            any = true;
        }
        place.passes(token, bytes);
    }
    any.then_some(shown)
}

/// Where in a statement we are.
#[derive(Debug, Default)]
struct Place<'a> {
    /// The statement's first word, and the last two.
    first: &'a [u8],
    before: &'a [u8],
    last: &'a [u8],
    hides: Hides,
    /// What follows is a value even if it has no quotes.
    value: bool,
    /// No value came yet behind the word that announces one.
    pending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Hides {
    #[default]
    Nothing,
    /// From the word that announces arguments on, up to the closing parenthesis.
    Arguments,
    /// Up to the end of the statement.
    Rest,
}

impl<'a> Place<'a> {
    /// Whether the next token is a secret.
    fn hides(&self, token: Token, bytes: &[u8]) -> bool {
        match token {
            Token::Literal => {
                let is_string = bytes.iter().any(|b| matches!(b, b'\'' | b'"' | b'$'));
                // A plain number says when a password expires.
                let is_value = is_string || bytes.len() > 1 && bytes.starts_with(b"0");
                self.hides != Hides::Nothing && (is_value || self.value)
                    || is_string && is_one_of(self.first, &QUOTES) && mentions::secret(bytes)
            }
            Token::Unclosed | Token::Unclear => self.hides != Hides::Nothing || mentions::secret(bytes),
            Token::Word => self.value && !is_one_of(bytes, &[b"PASSWORD", b"OLD_PASSWORD", b"RANDOM"]),
            _ => false,
        }
    }

    fn passes(&mut self, token: Token, bytes: &'a [u8]) {
        match (token, bytes) {
            (Token::Space | Token::Comment | Token::Opening, _) => return,
            (Token::Word, _) => return self.word(bytes),
            (_, b";") => *self = Self::default(),
            (_, b")") if self.hides == Hides::Arguments => self.hides = Hides::Nothing,
            (_, b"(") if self.hides == Hides::Nothing && ends_in_password(self.last) => {
                self.hides = Hides::Arguments;
            }
            (_, b"=") if self.hides == Hides::Rest && self.pending => {
                self.value = is_one_of(self.first, &[b"SET", b"CHANGE", b"START"]);
                return;
            }
            (Token::Literal, _) if self.hides == Hides::Rest => self.pending = false,
            _ => {}
        }
        (self.before, self.last) = (self.last, b"");
        self.value = false;
    }

    fn word(&mut self, word: &'a [u8]) {
        if self.first.is_empty() {
            self.first = word;
        }
        let manages = is_one_of(self.first, &MANAGES);
        let sets = word.eq_ignore_ascii_case(b"PASSWORD")
            && self.last.eq_ignore_ascii_case(b"SET")
            && is_one_of(self.before, &BEFORE);
        let identified = self.last.eq_ignore_ascii_case(b"IDENTIFIED") && is_one_of(word, &BEHIND_IDENTIFIED);
        let announces = ends_in_password(word) || word.eq_ignore_ascii_case(b"IDENTIFIED");
        if manages && announces || sets || identified {
            (self.hides, self.pending) = (Hides::Rest, true);
        }
        self.value = identified && word.eq_ignore_ascii_case(b"BY");
        (self.before, self.last) = (self.last, word);
    }
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|w| w.eq_ignore_ascii_case(word))
}

fn ends_in_password(word: &[u8]) -> bool {
    const PASSWORD: &[u8] = b"password";
    word.len()
        .checked_sub(PASSWORD.len())
        .is_some_and(|n| word.get(n..).is_some_and(|end| end.eq_ignore_ascii_case(PASSWORD)))
}

#[cfg(test)]
mod tests {
    use super::hide;

    fn hidden(text: &str) -> Option<String> {
        hide(text.as_bytes(), Some(true)).map(|shown| String::from_utf8(shown.text).unwrap())
    }

    #[test]
    fn backslashes_that_escape_nothing() {
        let text = br"SELECT '\', PASSWORD('pw'), '\'";
        for backslash in [Some(false), None] {
            let shown = hide(text, backslash).unwrap().text;
            assert!(!shown.windows(2).any(|w| w == b"pw"), "{backslash:?}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        for (text, shown) in [
            ("CREATE USER bob IDENTIFIED BY 'pw'", "CREATE USER bob IDENTIFIED BY <secret>"),
            (
                "create user 'b'@'%' identified by \"p''w\\\"\" ",
                "create user 'b'@'%' identified by <secret> ",
            ),
            (
                "ALTER USER a IDENTIFIED WITH ed25519 AS 0xdeadBEEF",
                "ALTER USER a IDENTIFIED WITH ed25519 AS <secret>",
            ),
            (
                "GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD '*2470'",
                "GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD <secret>",
            ),
            ("SET PASSWORD FOR bob = 'pw'", "SET PASSWORD FOR bob = <secret>"),
            ("SET PASSWORD=PASSWORD('pw')", "SET PASSWORD=PASSWORD(<secret>)"),
            (
                "/* hi */ CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD='pw'",
                "/* hi */ CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD=<secret>",
            ),
            ("SELECT 'a', PASSWORD( 'pw' ), 'b'", "SELECT 'a', PASSWORD( <secret> ), 'b'"),
            (
                "SELECT 1; CREATE USER x IDENTIFIED BY 'pw'; SELECT 'y'",
                "SELECT 1; CREATE USER x IDENTIFIED BY <secret>; SELECT 'y'",
            ),
            (
                "CREATE USER a /*!50700 IDENTIFIED BY 'pw' */",
                "CREATE USER a /*!50700 IDENTIFIED BY <secret> */",
            ),
            // In other statements, in strings, without quotes.
            (
                "IF x THEN ALTER USER a IDENTIFIED BY 'pw'; SET PASSWORD FOR a = 'pw'; END IF",
                "IF x THEN ALTER USER a IDENTIFIED BY <secret>; SET PASSWORD FOR a = <secret>; END IF",
            ),
            ("IF x THEN SET PASSWORD = 'pw'", "IF x THEN SET PASSWORD = <secret>"),
            ("PREPARE s FROM 'ALTER USER a IDENTIFIED BY ''pw'''", "PREPARE s FROM <secret>"),
            ("EXECUTE IMMEDIATE \"SET PASSWORD = 'pw'\"", "EXECUTE IMMEDIATE <secret>"),
            ("CREATE USER a IDENTIFIED BY hunter2", "CREATE USER a IDENTIFIED BY <secret>"),
            ("SET PASSWORD FOR a = hunter2", "SET PASSWORD FOR a = <secret>"),
            (
                "CHANGE MASTER TO MASTER_PASSWORD='pw', MASTER_LOG_POS=4",
                "CHANGE MASTER TO MASTER_PASSWORD=<secret>, MASTER_LOG_POS=4",
            ),
            (
                "ALTER USER a IDENTIFIED BY x'7077' REQUIRE SSL",
                "ALTER USER a IDENTIFIED BY <secret> REQUIRE SSL",
            ),
            ("SELECT PASSWORD(CONCAT('p', 'w')), 'b'", "SELECT PASSWORD(CONCAT(<secret>, <secret>)), 'b'"),
            // Cut in the middle of the literal.
            ("CREATE USER bob IDENTIFIED BY 'p", "CREATE USER bob IDENTIFIED BY <secret>"),
        ] {
            assert_eq!(hidden(text).as_deref(), Some(shown));
        }
    }

    #[test]
    fn secrets_in_parameters() {
        let in_parameters =
            |text: &str| hide(text.as_bytes(), Some(true)).is_some_and(|shown| shown.in_parameters);
        assert!(in_parameters("INSERT INTO u VALUES (?, PASSWORD(?))"));
        assert!(in_parameters("SET PASSWORD FOR bob = ?"));
        assert!(!in_parameters("SELECT PASSWORD('x'), ?"));
        assert!(!in_parameters("SELECT id FROM u WHERE password = ?"), "the application's own");
    }

    #[test]
    fn what_applications_ask_stays() {
        for text in [
            "SELECT id, password FROM users WHERE mail = 'a@b.c'",
            "INSERT INTO users (name, password) VALUES ('a', '$2b$12$hash')",
            "SET NAMES 'utf8mb4'",
            "UPDATE users SET password = 'x' WHERE id = 5",
            "CREATE TABLE password AS SELECT a FROM b",
            "CREATE USER a IDENTIFIED BY RANDOM PASSWORD PASSWORD EXPIRE INTERVAL 90 DAY",
            "SELECT 'identified by'",
            "CREATE TABLE t (a INT COMMENT 'x') -- password 'y'",
            "",
        ] {
            assert_eq!(hidden(text), None, "{text}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let mut seed = 7_u64;
        for _ in 0..2_000 {
            let words: [&[u8]; 12] = [
                b"password",
                b"IDENTIFIED",
                b"'",
                b"\"",
                b"`",
                b"(",
                b")",
                b";",
                b"/*",
                b"\\",
                b"\xff",
                b"SET ",
            ];
            let mut text = Vec::new();
            for _ in 0..20 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.extend(words[(seed >> 33) as usize % words.len()]);
            }
            let _ = hide(&text, Some(true));
            let _ = hide(&text, None);
        }
    }
}

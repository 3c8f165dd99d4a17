//! Secrets inside statements: what follows `IDENTIFIED` or `PASSWORD` in a statement that manages accounts, and what `PASSWORD(…)` is called
//! with. They never reach an event; the server's own general log hides them in the same way.
//!
//! Better a literal too many than a password: in such a statement every literal behind the word is hidden, whatever it is.

use super::sql;

/// What stands in a secret's place.
pub(super) const HIDDEN: &[u8] = b"<secret>";

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

/// The text without its secrets, if there are any.
pub(super) fn hide(text: &[u8]) -> Option<Shown> {
    if !mentions(text, b'w', 4, b"password") && !mentions(text, b'f', 6, b"identified") {
        return None;
    }
    let mut shown = Shown { text: Vec::with_capacity(text.len()), in_parameters: false };
    let (mut at, mut any) = (0, false);
    while at < text.len() {
        let statement = sql::statement(text, at);
        at += statement.len().max(1);
        any |= copy(statement, &mut shown);
    }
    any.then_some(shown)
}

/// Whether `word`, which has `letter` at `offset`, stands somewhere in `text`, in whatever case. The letter is one that is rare in SQL.
fn mentions(text: &[u8], letter: u8, offset: usize, word: &[u8]) -> bool {
    memchr::memchr2_iter(letter, letter.to_ascii_uppercase(), text).any(|at| {
        let start = at.checked_sub(offset);
        let found = start.and_then(|start| text.get(start..start + word.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// Copies a statement without its secrets; whether there was one.
fn copy(statement: &[u8], shown: &mut Shown) -> bool {
    let manages = sql::keyword(statement).is_some_and(|word| MANAGES.contains(&word.as_bytes()));
    let (mut rest, mut any) = (statement, false);
    let mut hides = Hides::Nothing;
    while let Some(&first) = rest.first() {
        let (len, literal) = match first {
            quote @ (b'\'' | b'"') => (sql::quoted(rest, quote), true),
            b'`' => (sql::quoted(rest, b'`'), false),
            _ if sql::is_name_byte(first) => {
                let len = rest.iter().position(|b| !sql::is_name_byte(*b)).unwrap_or(rest.len());
                (len, first == b'0' && len > 1)
            }
            _ => (sql::comment(rest).filter(|_| !sql::is_executable(rest)).unwrap_or(1), false),
        };
        let (token, behind) = rest.split_at(len.clamp(1, rest.len()));
        rest = behind;
        if literal && hides != Hides::Nothing {
            shown.text.extend_from_slice(HIDDEN);
            any = true;
            continue;
        }
        shown.text.extend_from_slice(token);
        if token == b"?" && hides != Hides::Nothing {
            shown.in_parameters = true;
            any = true;
        }
        let ends_in = |word: &[u8]| {
            token
                .len()
                .checked_sub(word.len())
                .is_some_and(|n| token.get(n..).is_some_and(|end| end.eq_ignore_ascii_case(word)))
        };
        let password = ends_in(b"password");
        if manages && (password || ends_in(b"identified")) {
            hides = Hides::Rest;
        } else if password && hides == Hides::Nothing && rest.trim_ascii_start().starts_with(b"(") {
            hides = Hides::Arguments;
        } else if token == b")" && hides == Hides::Arguments {
            hides = Hides::Nothing;
        }
    }
    any
}

#[derive(Clone, Copy, PartialEq)]
enum Hides {
    Nothing,
    /// Up to the closing parenthesis.
    Arguments,
    /// Up to the end of the statement.
    Rest,
}

#[cfg(test)]
mod tests {
    use super::hide;

    fn hidden(text: &str) -> Option<String> {
        hide(text.as_bytes()).map(|shown| String::from_utf8(shown.text).unwrap())
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
            // Cut in the middle of the literal.
            ("CREATE USER bob IDENTIFIED BY 'p", "CREATE USER bob IDENTIFIED BY <secret>"),
        ] {
            assert_eq!(hidden(text).as_deref(), Some(shown));
        }
    }

    #[test]
    fn secrets_in_parameters() {
        let in_parameters = |text: &str| hide(text.as_bytes()).is_some_and(|shown| shown.in_parameters);
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
            let _ = hide(&text);
        }
    }
}

//! MariaDB's general log (`log_output=FILE`): what the server itself says that it was asked to do.
//!
//! # What the log holds, and what not (MariaDB 10.11)
//!
//! * A line `thread command⇥argument` for every command, as it begins, with its text as it was sent, but for white space around it and semicolons at its
//!   end. Several statements in one text are one line.
//! * An execution has its statement's text with the values in the places of the `?`: numbers plain (a FLOAT as the DOUBLE that it is), NULL, temporal values as
//!   `DATE'…'`, `TIME'…'`, `TIMESTAMP'…'`, decimals plain, all else in quotes, with `\0`, `\n`, `\r`, `\Z`, `\\`, `\'`, `\"` for these characters and a backslash before
//!   bytes that are no character. A bulk execution is one line with the `?` left in place.
//! * Nothing of PING, FETCH, SET_OPTION, RESET_CONNECTION, nor of a PREPARE or INIT_DB that fails.
//! * Beside the line of a text that says `PREPARE` or `EXECUTE` in SQL stands a second one, as if it had been the command.

use std::collections::BTreeMap;

use serde_json::Value;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The server's number of the connection.
    pub thread: u64,
    /// The command, as the log names it.
    pub command: &'static str,
    /// What stands behind it.
    pub argument: Vec<u8>,
}

/// The commands that a log may have.
const COMMANDS: [&str; 17] = [
    "Connect",
    "Quit",
    "Init DB",
    "Query",
    "Prepare",
    "Execute",
    "Close stmt",
    "Reset stmt",
    "Long Data",
    "Fetch",
    "Statistics",
    "Refresh",
    "Field List",
    "Change user",
    "Kill",
    "Ping",
    "Processlist",
];

/// The log as entries, by connection, of all connections that came over TCP.
#[must_use]
pub fn parse(log: &[u8]) -> BTreeMap<u64, Vec<Entry>> {
    let mut threads: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    let mut last = None;
    for line in log.split_inclusive(|b| *b == b'\n') {
        if let Some(entry) = head(line) {
            last = Some(entry.thread);
            threads.entry(entry.thread).or_default().push(entry);
        } else if let Some(entry) = last.and_then(|t| threads.get_mut(&t)).and_then(|list| list.last_mut()) {
            entry.argument.extend(line);
        }
    }
    let over_tcp = |e: &Entry| e.command == "Connect" && e.argument.ends_with(b" using TCP/IP\n");
    threads.retain(|_, entries| entries.first().is_some_and(over_tcp));
    for entries in threads.values_mut() {
        without_inner(entries);
        for entry in entries {
            entry.argument.pop_if(|b| *b == b'\n');
        }
    }
    threads
}

/// The entry that begins with this line: a time or two tabs, a number, a command.
fn head(line: &[u8]) -> Option<Entry> {
    let rest = match line {
        [b'\t', b'\t', rest @ ..] => rest,
        [b'0'..=b'9', ..] if line.get(15) == Some(&b'\t') => &line[16..],
        _ => return None,
    };
    let rest = rest.trim_ascii_start();
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let thread = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let rest = rest[digits..].strip_prefix(b" ")?;
    let argument = |name: &&str| rest.strip_prefix(name.as_bytes())?.strip_prefix(b"\t");
    COMMANDS.iter().find_map(|name| Some(Entry { thread, command: name, argument: argument(name)?.to_vec() }))
}

/// Removes what the server logs of `PREPARE` and `EXECUTE` in SQL beside the text that said so.
fn without_inner(entries: &mut Vec<Entry>) {
    let mut says_so = false;
    entries.retain(|entry| {
        let inner = says_so && ["Prepare", "Execute"].contains(&entry.command);
        let begins = |word: &str| {
            entry.argument.get(..word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word.as_bytes()))
        };
        says_so = inner || entry.command == "Query" && (begins("PREPARE ") || begins("EXECUTE "));
        !inner
    });
}

/// The text as the log has it: without white space around it, without semicolons at its end.
#[must_use]
pub fn as_logged(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii_start();
    while let [rest @ .., b';' | b' ' | b'\t' | b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// A value that the log filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL`.
    Null,
    /// A number, as it is written.
    Number(String),
    /// `DATE'…'` and its kin: what stands between the quotes.
    Time(String),
    /// The bytes of a string.
    Bytes(Vec<u8>),
}

/// The values that stand in `logged` in the places of the `?` of `statement`; an error tells where the two differ.
///
/// # Errors
/// Says where they differ otherwise.
pub fn filled_in(statement: &[u8], logged: &[u8]) -> Result<Vec<Literal>, String> {
    let mut literals = Vec::new();
    let (mut at, mut rest) = (0, logged);
    let differs = |at: usize, rest: &[u8]| {
        let short = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(80)]).into_owned();
        format!("at byte {at}: '{}' against the log's '{}'", short(&statement[at..]), short(rest))
    };
    while at < statement.len() {
        let plain = passed_over(&statement[at..]);
        if plain > 0 {
            rest = rest.strip_prefix(&statement[at..at + plain]).ok_or_else(|| differs(at, rest))?;
            at += plain;
        } else {
            let (literal, len) = literal(rest).ok_or_else(|| differs(at, rest))?;
            literals.push(literal);
            rest = &rest[len..];
            at += 1;
        }
    }
    if rest.is_empty() { Ok(literals) } else { Err(differs(at, rest)) }
}

/// How many bytes come before the next `?` that is a parameter.
fn passed_over(sql: &[u8]) -> usize {
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        at += match rest {
            [b'?', ..] => return at,
            [quote @ (b'\'' | b'"' | b'`'), ..] => quoted(rest, *quote).map_or(rest.len(), |(_, len)| len),
            [b'/', b'*', ..] => rest.windows(2).position(|w| w == b"*/").map_or(rest.len(), |p| p + 2),
            [b'-', b'-', b' ', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
            _ => 1,
        };
    }
    at
}

/// The bytes of a string in quotes and the length that it has with them.
fn quoted(text: &[u8], quote: u8) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        match (*text.get(at)?, text.get(at + 1)) {
            (b'\\', Some(escaped)) => {
                bytes.push(match escaped {
                    b'0' => 0,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b'Z' => 0x1a,
                    other => *other,
                });
                at += 2;
            }
            (b, _) if b == quote => return Some((bytes, at + 1)),
            (b, _) => {
                bytes.push(b);
                at += 1;
            }
        }
    }
}

/// The value that `text` begins with, and its length.
fn literal(text: &[u8]) -> Option<(Literal, usize)> {
    if text.starts_with(b"NULL") {
        return Some((Literal::Null, 4));
    }
    if text.starts_with(b"'") {
        return quoted(text, b'\'').map(|(bytes, len)| (Literal::Bytes(bytes), len));
    }
    for kind in ["DATE", "TIMESTAMP", "TIME"] {
        if text.starts_with(format!("{kind}'").as_bytes()) {
            let (bytes, len) = quoted(&text[kind.len()..], b'\'')?;
            return Some((Literal::Time(String::from_utf8(bytes).ok()?), kind.len() + len));
        }
    }
    let len = text.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e')).count();
    let number = std::str::from_utf8(&text[..len]).ok()?;
    (len > 0).then(|| (Literal::Number(number.to_owned()), len))
}

impl Literal {
    /// Whether an event's parameter is this value. A parameter that was cut has to be its beginning.
    #[must_use]
    pub fn is(&self, parameter: &Value, cut_at: usize) -> bool {
        let Some(shown) = parameter.as_str() else { return *self == Self::Null && parameter.is_null() };
        match self {
            Self::Null => false,
            Self::Number(logged) => logged == shown || is_same_number(logged, shown),
            // The log writes microseconds where any were sent, and those of a value that has none are not shown.
            Self::Time(logged) => logged.strip_suffix(".000000").unwrap_or(logged) == shown,
            Self::Bytes(logged) => {
                let shown = crate::binary::bytes(shown);
                *logged == shown
                    || logged.len() > cut_at && shown.len() >= cut_at - 3 && logged.starts_with(&shown)
            }
        }
    }
}

/// Whether both are the same number; only one with a point or an exponent may be written in two ways, and a FLOAT becomes a DOUBLE in the log.
fn is_same_number(logged: &str, shown: &str) -> bool {
    let integral = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let (Ok(number), Ok(double), Ok(float)) =
        (logged.parse::<f64>(), shown.parse::<f64>(), shown.parse::<f32>())
    else {
        return false;
    };
    // Integers are exact. Only what a DOUBLE can't hold exactly would look the same here.
    let both_integral = integral(logged) && integral(shown) && number.abs() < 1e15;
    !both_integral && (number == double || number == f64::from(float)) || number == 0.0 && double == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let log = b"mariadbd, Version: 10\nTcp port: 0\nTime\t\t    Id Command\tArgument\n\t\t     1 Query\tINIT\n\
            261124  3:30:51\t     4 Connect\tapp@127.0.0.1 on shop using TCP/IP\n\t\t     4 Query\tselect\n\t\t1\n\t\t     5 Connect\tapp@localhost on  using Socket\n\
            \t\t     4 Query\tPREPARE s FROM 'SELECT ?'\n\t\t     4 Prepare\tSELECT ?\n\t\t     4 Quit\t\n";
        let threads = parse(log);
        assert_eq!(threads.keys().copied().collect::<Vec<_>>(), [4]);
        let shown: Vec<_> = threads[&4]
            .iter()
            .map(|e| (e.command, String::from_utf8_lossy(&e.argument).into_owned()))
            .collect();
        let expected = [
            ("Connect", "app@127.0.0.1 on shop using TCP/IP"),
            ("Query", "select\n\t\t1"),
            ("Query", "PREPARE s FROM 'SELECT ?'"),
            ("Quit", ""),
        ];
        assert_eq!(shown, expected.map(|(c, a)| (c, a.to_owned())));
    }

    #[test]
    fn values_are_read_back() {
        let statement = b"SELECT '?', ?, ?/*?*/, ?, ?, \"?\" -- ?\n, ?";
        let logged = b"SELECT '?', -1.5e10, NULL/*?*/, 'a\\'\\n\\\xff', TIMESTAMP'2026-11-24 03:08:51.000123', \"?\" -- ?\n, TIME'-838:59:59'";
        let expected = [
            Literal::Number("-1.5e10".to_owned()),
            Literal::Null,
            Literal::Bytes(b"a'\n\xff".to_vec()),
            Literal::Time("2026-11-24 03:08:51.000123".to_owned()),
            Literal::Time("-838:59:59".to_owned()),
        ];
        assert_eq!(filled_in(statement, logged).unwrap(), expected);
        assert!(filled_in(b"SELECT ?", b"SELECT 1, 2").is_err());
        assert!(filled_in(b"SELECT ? AS a", b"SELECT 1 AS b").is_err());
    }

    #[test]
    fn numbers_are_compared_by_value_only_where_they_may_be_written_differently() {
        let is = |logged: &str, shown: &str| Literal::Number(logged.to_owned()).is(&Value::from(shown), 10);
        assert!(is("0.10000000149011612", "0.1") && is("1e16", "10000000000000000.0") && is("-0", "0"));
        assert!(!is("12", "13") && !is("0.1", "0.2") && !is("1", "x"));
        assert!(Literal::Null.is(&Value::Null, 10) && !Literal::Null.is(&Value::from("NULL"), 10));
        assert!(Literal::Bytes(vec![0xff; 20]).is(&Value::from("\\xff".repeat(10)), 10));
        assert!(!Literal::Bytes(vec![0xff; 9]).is(&Value::from("\\xff".repeat(8)), 10));
    }
}

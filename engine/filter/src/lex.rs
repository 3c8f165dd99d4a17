//! Stage: rule text → tokens.
//!
//! The words are those of libpcap's scanner (`scanner.l`), the longest match first: what it takes for a number, a dotted address, an
//! IPv6 address or an Ethernet address is the same here, so that a later part of the language finds its tokens ready.

use core::net::Ipv6Addr;

use crate::error::ParseError;
use crate::parse::keywords;

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme<'t> {
    pub(crate) token: Token<'t>,
    /// Its text; empty at the end.
    pub(crate) text: &'t str,
    /// Offset in bytes.
    pub(crate) offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// A keyword or a name.
    Word(&'t str),
    /// A name that a backslash keeps from being a keyword.
    Escaped(&'t str),
    Number(u32),
    /// Two to four numbers with dots between them, unchecked.
    Dotted(&'t str),
    V6(Ipv6Addr),
    /// An Ethernet address.
    Ethernet([u8; 6]),
    And,
    Or,
    Not,
    Open,
    Close,
    Slash,
    /// An operator of arithmetic or of byte access.
    Operator,
    End,
}

/// The tokens of `text`, the last one always [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Lexeme<'_>>, ParseError> {
    let mut list = Vec::new();
    let mut offset = 0;
    while let Some(rest) = text.get(offset..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\r', '\n', '\t']).len();
        if blank > 0 {
            offset += blank;
            continue;
        }
        let (token, len) =
            next(rest).map_err(|(len, message)| ParseError::new(text, offset, len, message))?;
        list.push(Lexeme { token, text: rest.get(..len).unwrap_or_default(), offset });
        offset += len;
    }
    list.push(Lexeme { token: Token::End, text: "", offset: text.len() });
    Ok(list)
}

type Refused = (usize, String);

/// The token that `rest` starts with and its length in bytes.
fn next(rest: &str) -> Result<(Token<'_>, usize), Refused> {
    for (symbol, token) in SYMBOLS {
        if rest.starts_with(symbol) {
            return Ok((*token, symbol.len()));
        }
    }
    if let Some(name) = rest.strip_prefix('\\') {
        let name = run(name, |c| !matches!(c, ' ' | '!' | '(' | ')' | '\n' | '\t'));
        return if name.is_empty() {
            Err((1, "expected a name behind '\\'".into()))
        } else {
            Ok((Token::Escaped(name), 1 + name.len()))
        };
    }
    let address = run(rest, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    if address.matches(':').count() >= 2 {
        return match address.parse() {
            Ok(v6) => Ok((Token::V6(v6), address.len())),
            Err(_) if is_mac(address) => Ok((Token::Ethernet(mac(address)), address.len())),
            Err(_) => Err((address.len(), format!("'{address}' is no IPv6 address"))),
        };
    }
    let word = run(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let word = word.trim_end_matches(['-', '_']);
    if !word.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        if rest.starts_with(['+', '-', '*', '%', ':', '[', ']', '<', '>', '=', '&', '|', '^']) {
            return Ok((Token::Operator, 1));
        }
        let c = rest.chars().next().unwrap_or_default();
        return Err((c.len_utf8(), format!("'{}' has no meaning in a filter", c.escape_default())));
    }
    Ok((classify(word)?, word.len()))
}

/// In an order in which the longer comes before its own beginning.
const SYMBOLS: &[(&str, Token<'static>)] = &[
    ("&&", Token::And),
    ("||", Token::Or),
    ("!=", Token::Operator),
    (">=", Token::Operator),
    ("<=", Token::Operator),
    ("==", Token::Operator),
    ("<<", Token::Operator),
    (">>", Token::Operator),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
    ("/", Token::Slash),
];

fn classify(word: &str) -> Result<Token<'_>, Refused> {
    if is_mac(word) {
        return Ok(Token::Ethernet(mac(word)));
    }
    if is_number(word) {
        return number(word).map(Token::Number).map_err(|message| (word.len(), message));
    }
    let parts = word.split('.').count();
    if (2..=4).contains(&parts) && word.split('.').all(is_number) {
        return Ok(Token::Dotted(word));
    }
    Ok(match word {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        _ => keywords::number(word).map_or(Token::Word(word), Token::Number),
    })
}

fn run(text: &str, keep: impl Fn(char) -> bool) -> &str {
    let len = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.get(..len).unwrap_or_default()
}

fn hex(word: &str) -> Option<&str> {
    word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))
}

fn is_number(word: &str) -> bool {
    match hex(word) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Decimal, hexadecimal behind `0x`, octal behind `0`, as in C.
fn number(word: &str) -> Result<u32, String> {
    let (digits, radix) = match (hex(word), word.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (word, 10),
    };
    if radix == 8 && digits.bytes().any(|b| b >= b'8') {
        return Err(format!("'{word}' starts with 0, which makes it octal, and has a digit above 7"));
    }
    u32::from_str_radix(digits, radix).map_err(|_| format!("'{word}' does not fit into 32 bits"))
}

/// Whether libpcap's scanner takes this for an Ethernet address: `a:b:c:d:e:f`, the same with `-` or `.`, `abcd.abcd.abcd`, twelve digits.
fn is_mac(word: &str) -> bool {
    let of = |separator: char, parts: usize, digits: core::ops::RangeInclusive<usize>| {
        word.split(separator).count() == parts
            && word
                .split(separator)
                .all(|part| digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    of(':', 6, 1..=2) || of('-', 6, 1..=2) || of('.', 6, 1..=2) || of('.', 3, 4..=4) || of(' ', 1, 12..=12)
}

/// The six bytes: each part is one of them, or two with four digits, or all with twelve.
fn mac(word: &str) -> [u8; 6] {
    let parts = word.split([':', '-', '.']);
    let digits: String = match word.len() {
        12 if !word.contains([':', '-', '.']) => word.to_owned(),
        _ if parts.clone().count() == 3 => parts.collect(),
        _ => parts.map(|part| format!("{part:0>2}")).collect(),
    };
    let [_, _, bytes @ ..] = u64::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes();
    bytes
}

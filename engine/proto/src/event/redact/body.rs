//! Bodies without the secrets in them, as far as names tell: members of JSON, fields of forms, elements of XML, parts of a multipart form.

use super::SECRET;
use super::names::is_secret_name;

/// Appends `text` with `<secret>` in place of each value whose name says that it is one.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let name = rest.iter().position(|b| !is_name_byte(*b)).unwrap_or(rest.len());
        if name == 0 {
            let other = rest.iter().position(|b| is_name_byte(*b)).unwrap_or(rest.len());
            let (other, behind) = rest.split_at(other);
            out.extend_from_slice(other);
            rest = behind;
            continue;
        }
        let (name, behind) = rest.split_at(name);
        out.extend_from_slice(name);
        rest = behind;
        let Some((lead, value)) = value(behind) else { continue };
        let shown = behind.get(lead..lead + value).unwrap_or_default();
        if is_secret_name(name, shown) {
            out.extend_from_slice(behind.get(..lead).unwrap_or_default());
            out.extend_from_slice(SECRET);
            rest = behind.get(lead + value..).unwrap_or_default();
        }
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%' | b'[' | b']')
}

/// Behind a name: how far it is to the value, and how long that is.
fn value(behind: &[u8]) -> Option<(usize, usize)> {
    let spaces = |at: usize| {
        behind.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace()).count()
    };
    // The quote of the name, perhaps escaped itself: JSON in JSON.
    let escapes = behind.iter().take_while(|b| **b == b'\\').count();
    let quotes = behind.get(escapes..).unwrap_or_default().iter().take_while(|b| is_quote(**b)).count();
    let at = if quotes > 0 { escapes + quotes.min(1) } else { 0 };
    let tail = behind.get(at..).unwrap_or_default();
    if quotes > 0 && (tail.starts_with(b"\r\n\r\n") || tail.starts_with(b"\n\n")) {
        // `name="password"` in the head of a part.
        let lead = at + spaces(at);
        let end = memchr::memmem::find(behind.get(lead..)?, b"\n--");
        return Some((lead, end.unwrap_or(behind.len() - lead)));
    }
    if tail.starts_with(b">") {
        let end = memchr::memchr(b'<', tail).unwrap_or(tail.len());
        return (end > 1).then(|| (at + 1, end - 1));
    }
    let at = at + spaces(at);
    if !matches!(behind.get(at), Some(b':' | b'=')) {
        return None;
    }
    let at = at + 1 + spaces(at + 1);
    let escapes = behind.get(at..)?.iter().take_while(|b| **b == b'\\').count();
    match behind.get(at + escapes) {
        Some(&quote) if is_quote(quote) => {
            let lead = at + escapes + 1;
            Some((lead, quoted(behind.get(lead..)?, quote, escapes)))
        }
        Some(b'[' | b'{') => Some((at, nested(behind.get(at..)?))),
        _ => {
            let value = behind.get(at..)?;
            let len = value.iter().position(|b| ends_value(*b)).unwrap_or(value.len());
            (len > 0).then_some((at, len))
        }
    }
}

/// The length of a list or an object, up to the bracket that closes it.
fn nested(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' => at += 1 + quoted(text.get(at + 1..).unwrap_or_default(), b'"', 0),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// The length of a string up to its quote, which has just as many backslashes before it as the first one had.
fn quoted(text: &[u8], quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte == b'\\' {
            backslashes += 1;
            continue;
        }
        let ends = if escapes == 0 { backslashes % 2 == 0 } else { backslashes == escapes };
        if byte == quote && ends {
            return at - if escapes == 0 { 0 } else { escapes };
        }
        backslashes = 0;
    }
    text.len()
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

const fn ends_value(byte: u8) -> bool {
    matches!(byte, b'&' | b',' | b';' | b'}' | b']' | b'\r' | b'\n' | b'<' | b'"')
}

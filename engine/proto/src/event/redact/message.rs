//! An error's message without what it quotes.

use super::LITERAL;

/// What stands before a name that the message tells behind a value.
const NAMED: [&[u8]; 3] = [b" for key '", b" for column '", b" for column `"];

/// Appends `text` with `?` in place of all from the first quote to the last one. A value may have quotes in it, and nobody doubles them: pairs mean nothing.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    // A value may have such words in it, too: the last ones are the server's.
    let named = NAMED.iter().filter_map(|mark| {
        let at = memchr::memmem::rfind(text, mark)?;
        is_name(text.get(at + mark.len()..)?).then_some(at)
    });
    let (text, name) = text.split_at(named.max().unwrap_or(text.len()));
    let (first, last) = (text.iter().position(is_quote), text.iter().rposition(is_quote));
    if let (Some(first), Some(last)) = (first, last) {
        out.extend_from_slice(text.get(..first).unwrap_or_default());
        out.push(b'\'');
        out.extend_from_slice(LITERAL);
        out.push(b'\'');
        // Of a message that is cut short nobody knows the end.
        out.extend_from_slice(text.get(last + 1..).filter(|_| first < last).unwrap_or_default());
    } else {
        out.extend_from_slice(text);
    }
    out.extend_from_slice(name);
}

const fn is_quote(byte: &u8) -> bool {
    matches!(byte, b'\'' | b'"' | b'`')
}

/// Whether a name comes here with the message's last quote behind it.
fn is_name(text: &[u8]) -> bool {
    let name = text.iter().rposition(is_quote).and_then(|end| text.get(..end)).unwrap_or_default();
    !name.is_empty()
        && name.len() <= 256
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$' | b'`'))
}

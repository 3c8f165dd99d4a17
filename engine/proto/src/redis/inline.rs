//! Commands in one line, as people type them: a line goes in, its words come out.

use std::borrow::Cow;

/// Whether a line may be a command: text in any encoding.
pub(super) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|b| (0x20..0x7f).contains(b) || matches!(b, b'\t' | b'\r' | 0x80..))
}

/// The words of an inline command, as servers take them: quotes group, and between double quotes backslashes escape. What servers refuse (a quote that is never
/// closed, or text right behind one) comes as it stands.
pub(super) fn words(mut text: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    core::iter::from_fn(move || {
        text = text.trim_ascii_start();
        let &first = text.first()?;
        if matches!(first, b'"' | b'\'')
            && let Some((word, used)) = quoted(text, first)
        {
            text = text.get(used..).unwrap_or_default();
            return Some(Cow::Owned(word));
        }
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        text = rest;
        Some(Cow::Borrowed(word))
    })
}

/// The word in quotes at the start of `text`, and where it ends; none if no space follows its end.
fn quoted(text: &[u8], quote: u8) -> Option<(Vec<u8>, usize)> {
    let (mut word, mut at) = (Vec::new(), 1);
    loop {
        match (text.get(at..)?, quote) {
            ([b'\\', b'x', high, low, ..], b'"') if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit =
                    |d: &u8| char::from(*d).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
                word.push(digit(high) << 4 | digit(low));
                at += 4;
            }
            ([b'\\', byte, ..], b'"') => {
                word.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                at += 2;
            }
            ([b'\\', b'\'', ..], b'\'') => {
                word.push(b'\'');
                at += 2;
            }
            ([byte, rest @ ..], _) if *byte == quote => {
                return rest.first().is_none_or(u8::is_ascii_whitespace).then_some((word, at + 1));
            }
            ([byte, ..], _) => {
                word.push(*byte);
                at += 1;
            }
            ([], _) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line() {
        let words = |text: &'static [u8]| words(text).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(
            words(b"  SET 'a b'  \"c\\\"d\\n\\x41\\xg\" e 'it\\'s \\n' ''"),
            [&b"SET"[..], b"a b", b"c\"d\nAxg", b"e", b"it's \\n", b""]
        );
        assert!(words(b"   ").is_empty());
        // Servers refuse these.
        assert_eq!(words(b"x 'never closed"), [&b"x"[..], b"'never", b"closed"]);
        assert_eq!(words(b"'a'b c"), [&b"'a'b"[..], b"c"]);
    }
}

//! A statement without its literals.

use super::lex::{Lexer, Token};
use super::{LITERAL, REST, Sql};

/// Appends `text` with `?` in place of each literal and of what stands in comments. Where quotes don't go in pairs nothing behind the first of them is shown.
pub(super) fn write(text: &[u8], is_cut: bool, kind: Sql, out: &mut Vec<u8>) {
    let start = out.len();
    // Where the output has what stands before the first literal.
    let mut sure = None;
    for (token, bytes) in Lexer::new(text, kind.dialect) {
        match token {
            Token::Literal | Token::Unclosed | Token::Unclear => {
                let is_string = bytes.iter().any(|b| matches!(b, b'\'' | b'"' | b'`' | b'$'));
                let sure = if is_string { *sure.get_or_insert(out.len()) } else { start };
                let closed = token == Token::Literal;
                if closed && !(is_string && kind.broken) || token == Token::Unclosed && is_cut && !kind.broken
                {
                    out.extend_from_slice(LITERAL);
                    continue;
                }
                // A cut in a string is one thing, a quote too many another: then each of those before may be the wrong one.
                if token == Token::Unclosed || kind.broken {
                    out.truncate(sure);
                }
                out.extend_from_slice(REST);
                return;
            }
            Token::Comment => {
                let (open, close): (&[u8], &[u8]) = match bytes {
                    [b'/', ..] => (b"/* ", b" */"),
                    [b'#', ..] => (b"# ", b""),
                    _ => (b"-- ", b""),
                };
                out.extend_from_slice(open);
                out.extend_from_slice(LITERAL);
                out.extend_from_slice(close);
            }
            _ => out.extend_from_slice(bytes),
        }
    }
}

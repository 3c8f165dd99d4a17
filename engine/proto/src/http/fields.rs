//! The header fields of a message: one pass over their lines finds where the head ends, notes what the decoder needs and what is odd.

use super::head::{Oddities, is_token_byte};

/// The header fields of one head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields<'a> {
    lines: &'a [u8],
    /// The values of the first fields of their names, folds with the line ends that are in them.
    pub(super) host: &'a [u8],
    pub(super) agent: &'a [u8],
    pub(super) content_type: &'a [u8],
    pub(super) content_encoding: &'a [u8],
    /// `Upgrade` names the WebSocket protocol.
    pub(super) websocket: bool,
    /// `Expect` asks the server for its consent before the body is sent.
    pub(super) expects: bool,
    pub(super) body: Announced,
    pub(super) odd: Oddities,
    hosts: u32,
}

impl<'a> Fields<'a> {
    /// Reads lines up to the empty one; how many bytes, none if that is not there. `is_cut`: there are only these lines, all of them whole.
    pub(super) fn read(&mut self, lines: &'a [u8], is_cut: bool) -> Option<usize> {
        let mut at = 0;
        let end = loop {
            match lines.get(at..)? {
                [] if is_cut => break at,
                [] => return None,
                [b'\n', ..] => {
                    self.odd.add(Oddities::BARE_LF);
                    break at + 1;
                }
                [b'\r', b'\n', ..] => break at + 2,
                rest => {
                    at = match self.plain_field(lines, at) {
                        Some(next) => next,
                        None => lines.len() - self.any_field(rest)?.len(),
                    };
                }
            }
        };
        if self.hosts > 1 {
            self.odd.add(Oddities::HOSTS);
        }
        let body = &mut self.body;
        if body.length.is_some() && (body.chunked || body.until_close) {
            self.odd.add(Oddities::LENGTH_AND_CHUNKED);
            body.length = None;
        }
        self.lines = lines.get(..end)?;
        Some(end)
    }

    /// Notes the field that begins at `at`, if it is written as nearly all are: where the next line begins.
    #[inline(always)]
    fn plain_field(&mut self, lines: &'a [u8], at: usize) -> Option<usize> {
        let colon = plain_word(lines, at);
        let feed = line_feed(lines, colon.checked_add(1)?)?;
        let is_plain = colon > at
            && lines.get(colon) == Some(&b':')
            && lines.get(feed.checked_sub(1)?) == Some(&b'\r')
            && !matches!(lines.get(feed + 1), Some(b' ' | b'\t'));
        if !is_plain {
            return None;
        }
        self.note(lines.get(at..colon)?, lines.get(colon + 1..feed)?);
        Some(feed + 1)
    }

    /// Notes the field at the start of `rest`, however it is written; what follows it.
    #[inline(never)]
    fn any_field(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let word = rest.iter().position(|b| !is_token_byte(*b))?;
        let mut end = line_feed(rest, word)? + 1;
        let line = rest.get(..end)?;
        self.line_ends(line);
        while let Some(b' ' | b'\t') = rest.get(end) {
            let fold = rest.get(end..)?;
            let fold = fold.get(..=memchr::memchr(b'\n', fold)?)?;
            self.folded(fold);
            end += fold.len();
        }
        let (field, next) = rest.split_at_checked(end)?;
        if line.get(word) == Some(&b':') && word > 0 {
            let (name, value) = field.split_at_checked(word)?;
            self.note(name, value.get(1..)?);
        } else if let Some((name, value)) = self.odd_name(line, field) {
            self.note(name, value);
        }
        Some(next)
    }

    fn line_ends(&mut self, line: &[u8]) {
        if !line.ends_with(b"\r\n") {
            self.odd.add(Oddities::BARE_LF);
        }
    }

    fn folded(&mut self, line: &[u8]) {
        self.line_ends(line);
        if !line.trim_ascii().is_empty() {
            self.odd.add(Oddities::FOLDED);
        }
    }

    /// Name and value of a field whose name does not reach up to the colon, or has bytes that no name has.
    fn odd_name(&mut self, line: &[u8], field: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        if let Some(b' ' | b'\t') = line.first() {
            // Of which field, if no other stands before it?
            self.odd.add(Oddities::FOLDED);
            return None;
        }
        let Some((name, value)) =
            memchr::memchr(b':', line.trim_ascii_end()).and_then(|at| field.split_at_checked(at))
        else {
            self.odd.add(Oddities::NO_COLON);
            return None;
        };
        if let Some(b' ' | b'\t') = name.last() {
            self.odd.add(Oddities::SPACE_BEFORE_COLON);
        }
        let name = without_spaces(name);
        if name.is_empty() || !name.iter().all(|b| is_token_byte(*b)) {
            self.odd.add(Oddities::BAD_NAME);
        }
        Some((name, value.get(1..).unwrap_or_default()))
    }

    /// Notes what a field says, if it is one of those that count: most are told from them by their length.
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let first = |place: &mut &'a [u8]| {
            if place.is_empty() {
                *place = value.trim_ascii();
            }
        };
        match name.len() {
            4 if is_name(name, b"host") => {
                self.hosts += 1;
                if self.hosts == 1 {
                    self.host = value.trim_ascii();
                }
            }
            6 if is_name(name, b"expect") => {
                self.expects |= items(value).any(|word| word.eq_ignore_ascii_case(b"100-continue"));
            }
            7 if is_name(name, b"upgrade") => {
                self.websocket |= items(value).any(|word| word.eq_ignore_ascii_case(b"websocket"));
            }
            10 if is_name(name, b"user-agent") => first(&mut self.agent),
            12 if is_name(name, b"content-type") => first(&mut self.content_type),
            14 if is_name(name, b"content-length") => self.body.length(value, &mut self.odd),
            16 if is_name(name, b"content-encoding") => first(&mut self.content_encoding),
            17 if is_name(name, b"transfer-encoding") => self.body.coding(value, &mut self.odd),
            _ => {}
        }
    }

    /// All fields in order: name and value. A folded value comes with the line ends that are in it.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut lines = self.lines;
        core::iter::from_fn(move || {
            loop {
                if lines.is_empty() {
                    return None;
                }
                let first = line_end(lines);
                let mut end = first;
                while let Some(b' ' | b'\t') = lines.get(end) {
                    end += line_end(lines.get(end..).unwrap_or_default());
                }
                let (field, rest) = lines.split_at_checked(end)?;
                lines = rest;
                let Some(colon) = memchr::memchr(b':', field.get(..first).unwrap_or_default()) else {
                    continue;
                };
                let (name, value) = field.split_at_checked(colon)?;
                return Some((without_spaces(name), value.get(1..).unwrap_or_default().trim_ascii()));
            }
        })
    }
}

/// The same byte in each of eight: `EACH * 7`.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// The top bits of eight bytes.
const TOP: u64 = EACH * 0x80;

const fn each(byte: u8) -> u64 {
    EACH * byte as u64
}

/// Where the first line feed at or behind `at` stands. Most lines are so short that a few steps of eight bytes find it sooner than a search made for
/// long ones.
#[inline(always)]
fn line_feed(bytes: &[u8], mut at: usize) -> Option<usize> {
    const NEAR: usize = 64;
    let near = at + NEAR;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk)
        && at < near
    {
        let differs = u64::from_le_bytes(*eight) ^ each(b'\n');
        // The lowest of the top bits that are set stands at the first zero, whatever those above it say.
        let found = differs.wrapping_sub(EACH) & !differs & TOP;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr::memchr(b'\n', bytes.get(at..)?).map(|found| at + found)
}

/// Where letters and hyphens end that begin at `at`: nearly all names of fields are made of them. Bytes in the last eight of a head are not looked at.
#[inline(always)]
fn plain_word(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        // Eight bytes at once: sums that stay within their byte reach its top bit where the byte is large enough.
        let eight = u64::from_le_bytes(*eight);
        let lower = (eight | each(0x20)) & !TOP;
        let letters = (lower + each(0x80 - b'a')) & !(lower + each(0x7f - b'z'));
        let hyphens = !(((eight ^ each(b'-')) & !TOP) + each(0x7f));
        let others = (!(letters | hyphens) | eight) & TOP;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// Whether a name is this one, whatever its case. `known` is in lower case.
fn is_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    // Names of one length mostly differ in their first letter.
    if let ([first, ..], [known, ..]) = (&name[..], &known[..])
        && first | 0x20 != *known
    {
        return false;
    }
    // No way out before the end: so the compiler makes it a few wide comparisons.
    name.iter().zip(known).fold(0, |differ, (byte, known)| {
        let case = if known.is_ascii_lowercase() { 0x20 } else { 0 };
        differ | (byte ^ known) & !case
    }) == 0
}

/// The items of a comma-separated list.
pub(super) fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// Where the line at the start ends, its line feed included.
fn line_end(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1)
}

/// A field's name without the spaces that some put before the colon. Other odd bytes stay: with them it is another name.
fn without_spaces(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default()
}

/// The length of the body that a head announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) chunked: bool,
    /// A transfer coding whose end only the connection's end tells.
    pub(super) until_close: bool,
    pub(super) length: Option<u64>,
}

impl Announced {
    /// A content length, or several.
    fn length(&mut self, value: &[u8], odd: &mut Oddities) {
        for item in items(value) {
            match (number(item), self.length) {
                (None, _) => odd.add(Oddities::BAD_LENGTH),
                (Some(n), None) => self.length = Some(n),
                (Some(n), Some(before)) if n == before => odd.add(Oddities::LENGTH_REPEATED),
                (Some(_), Some(_)) => odd.add(Oddities::LENGTHS_DIFFER),
            }
        }
    }

    /// Transfer codings, the last of which counts.
    fn coding(&mut self, value: &[u8], odd: &mut Oddities) {
        const COMPRESSED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
        for coding in items(value).filter(|c| !c.is_empty()) {
            let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
            match (self.chunked || odd.has(Oddities::CHUNKED_NOT_LAST), is(b"chunked")) {
                (true, true) => odd.replace(Oddities::CHUNKED_NOT_LAST, Oddities::CHUNKED_TWICE),
                (true, false) => odd.add(Oddities::CHUNKED_NOT_LAST),
                (false, _) => {}
            }
            self.chunked = is(b"chunked");
            self.until_close = !self.chunked && !is(b"identity");
            if self.until_close && !COMPRESSED.iter().any(|n| is(n)) {
                odd.add(Oddities::OTHER_CODING);
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_where_the_first_other_byte_stands() {
        for byte in 0..=u8::MAX {
            let is_plain = byte.is_ascii_alphabetic() || byte == b'-';
            for at in 0..20 {
                let mut bytes = *b"Content-Security-Policy-Report-Only:";
                bytes[at] = byte;
                assert_eq!(plain_word(&bytes[..24], 0), if is_plain { 24 } else { at }, "{byte} at {at}");
            }
        }
        for len in 0..8 {
            assert_eq!(plain_word(&b"a: b\r\n\r\n"[..len], 0), 0, "{len}");
        }
    }

    #[test]
    fn the_first_line_feed_is_found() {
        for len in 0..150 {
            let mut line: Vec<u8> = (0..len).map(|n| [b'\x0b', b'\x8a', b'\t', 0, 0xff][n % 5]).collect();
            assert_eq!(line_feed(&line, 0), None, "{len}");
            line.extend(b"\n\x0b\n and more\n");
            assert_eq!(line_feed(&line, 0), Some(len));
        }
    }

    #[test]
    fn names_are_known_in_any_case() {
        for byte in 0..=u8::MAX {
            for at in 0..10 {
                let mut name = *b"User-Agent";
                name[at] = byte;
                assert_eq!(
                    is_name(&name, b"user-agent"),
                    name.eq_ignore_ascii_case(b"user-agent"),
                    "{byte} at {at}"
                );
            }
        }
        assert!(!is_name(b"user-agen", b"user-agent"));
    }
}

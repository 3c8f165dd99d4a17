//! The head of a message: first line and header fields, as real servers and clients send them.
//!
//! Lenient where others are (bare line feeds, folded lines, spaces before the colon), and every such oddity is told, since two programs that read them
//! differently are how requests are smuggled. Source: RFC 9110, RFC 9112.

use super::begins::METHODS;
use super::fields::Fields;

/// The longest head.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// Where the head at the start of `bytes` ends: behind its empty line. `from`: what was searched before.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    while let Some(found) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at += found + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// What is odd in a message, nearly all of it in its head. Each is a word for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities(u32);

impl Oddities {
    pub(super) const BARE_LF: u32 = 1;
    pub(super) const FOLDED: u32 = 1 << 1;
    pub(super) const SPACE_BEFORE_COLON: u32 = 1 << 2;
    pub(super) const NO_COLON: u32 = 1 << 3;
    pub(super) const LENGTHS_DIFFER: u32 = 1 << 4;
    pub(super) const LENGTH_REPEATED: u32 = 1 << 5;
    pub(super) const LENGTH_AND_CHUNKED: u32 = 1 << 6;
    pub(super) const BAD_LENGTH: u32 = 1 << 7;
    pub(super) const CHUNKED_NOT_LAST: u32 = 1 << 8;
    pub(super) const HOSTS: u32 = 1 << 9;
    pub(super) const BAD_NAME: u32 = 1 << 10;
    pub(super) const OTHER_CODING: u32 = 1 << 11;
    pub(super) const NO_VERSION: u32 = 1 << 12;
    pub(super) const BAD_VERSION: u32 = 1 << 13;
    pub(super) const NO_TARGET: u32 = 1 << 14;
    pub(super) const CODING_BEFORE_1_1: u32 = 1 << 15;
    pub(super) const CHUNKED_TWICE: u32 = 1 << 16;
    pub(super) const BARE_LF_IN_CHUNKS: u32 = 1 << 17;
    pub(super) const OTHER_CONTENT_CODING: u32 = 1 << 18;
    pub(super) const NOT_DECOMPRESSED: u32 = 1 << 19;

    const WORDS: [(u32, &'static str); 20] = [
        (Self::BARE_LF, "lines end with LF alone"),
        (Self::FOLDED, "folded header lines"),
        (Self::SPACE_BEFORE_COLON, "space before a colon"),
        (Self::NO_COLON, "a header line without a colon"),
        (Self::LENGTHS_DIFFER, "content lengths that differ"),
        (Self::LENGTH_REPEATED, "content length repeated"),
        (Self::LENGTH_AND_CHUNKED, "both content length and chunked"),
        (Self::BAD_LENGTH, "a content length that is no number"),
        (Self::CHUNKED_NOT_LAST, "chunked is not the last transfer coding"),
        (Self::HOSTS, "several hosts"),
        (Self::BAD_NAME, "a header name with odd characters"),
        (Self::OTHER_CODING, "a transfer coding that is not known"),
        (Self::NO_VERSION, "no protocol version"),
        (Self::BAD_VERSION, "not a version of HTTP/1"),
        (Self::NO_TARGET, "no target"),
        (Self::CODING_BEFORE_1_1, "a transfer coding before HTTP/1.1"),
        (Self::CHUNKED_TWICE, "chunked twice"),
        (Self::BARE_LF_IN_CHUNKS, "lines between chunks end with LF alone"),
        (Self::OTHER_CONTENT_CODING, "content codings that are not taken off"),
        (Self::NOT_DECOMPRESSED, "a body that can't be decompressed"),
    ];

    pub(super) fn add(&mut self, what: u32) {
        self.0 |= what;
    }

    /// It is another one.
    pub(super) fn replace(&mut self, what: u32, with: u32) {
        self.0 = self.0 & !what | with;
    }

    pub(super) fn has(self, what: u32) -> bool {
        self.0 & what != 0
    }

    /// The words for what is odd.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, word)| *word)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A request's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `1.1`; empty for what came before 1.0.
    pub(super) version: &'a [u8],
    pub(super) fields: Fields<'a>,
    /// In the first line and in the fields.
    pub(super) odd: Oddities,
}

/// A response's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Response<'a> {
    pub(super) version: &'a [u8],
    pub(super) code: u16,
    pub(super) reason: &'a [u8],
    pub(super) fields: Fields<'a>,
    /// In the first line and in the fields.
    pub(super) odd: Oddities,
}

/// What became of a look at a head, which is filled in where it is wanted: it is large.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// All of it is there: so many bytes.
    Whole(usize),
    /// More bytes are needed.
    More,
    /// Its first line is that of no message.
    Malformed,
}

/// The first line without its end, its length, and what is odd in it.
fn first_line(bytes: &[u8]) -> Option<(&[u8], usize, Oddities)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..end)?;
    let mut odd = Oddities::default();
    if !line.ends_with(b"\r") {
        odd.add(Oddities::BARE_LF);
    }
    Some((line.trim_ascii_end(), end + 1, odd))
}

impl<'a> Request<'a> {
    /// Reads the head at the start of `bytes`.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Read {
        self.read_lines(bytes, false)
    }

    fn read_lines(&mut self, bytes: &'a [u8], is_cut: bool) -> Read {
        let Some((first, at, mut odd)) = first_line(bytes) else { return Read::More };
        let line = request_line(first);
        let len = if line.is_some_and(|(_, _, _, odd)| odd == Oddities::NO_VERSION) && !ends_in_version(first)
        {
            // A line is all.
            0
        } else {
            let read = self.fields.read(bytes.get(at..).unwrap_or_default(), is_cut);
            let Some(len) = read else { return Read::More };
            len
        };
        let Some((method, target, version, odd_line)) = line else { return Read::Malformed };
        odd.add(odd_line | self.fields.odd.0 | odd_coding(version, &self.fields));
        (self.method, self.target, self.version, self.odd) = (method, target, version, odd);
        Read::Whole(at + len)
    }

    /// Reads as much of a head as is there of one that is cut: its whole lines, or of the first one method and target.
    pub(super) fn parse_cut(cut: &'a [u8]) -> Option<Self> {
        let lines = whole_lines(cut);
        if !lines.is_empty() {
            let mut request = Self::default();
            return match request.read_lines(lines, true) {
                Read::Whole(_) => Some(request),
                Read::More | Read::Malformed => None,
            };
        }
        // The target must be whole, so what follows it is there too.
        let mut parts = cut.splitn(3, |b| *b == b' ');
        let (method, target, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let is_request = METHODS.contains(&method) && !target.is_empty();
        (is_request && b"HTTP/1.".starts_with(rest.get(..7).unwrap_or(rest))).then_some(Self {
            method,
            target,
            version: &[],
            fields: Fields::default(),
            odd: Oddities::default(),
        })
    }
}

/// Transfer codings came with HTTP/1.1: who speaks an older version may have passed them on without a look (RFC 9112, 6.1).
fn odd_coding(version: &[u8], fields: &Fields<'_>) -> u32 {
    let is_coded = fields.body.chunked || fields.body.until_close;
    if is_coded && matches!(version, b"1.0" | [b'0', ..]) { Oddities::CODING_BEFORE_1_1 } else { 0 }
}

/// The whole lines of a head that is cut.
fn whole_lines(cut: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', cut).map_or(0, |at| at + 1);
    cut.get(..end).unwrap_or_default()
}

/// Method, target, version and what is odd in a request's first line.
type FirstLine<'a> = (&'a [u8], &'a [u8], &'a [u8], u32);

/// Reads a request's first line. The version is empty where there is none or another than of HTTP/1; the
/// target is empty where there is none.
fn request_line(line: &[u8]) -> Option<FirstLine<'_>> {
    let (method, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
    // As nearly all are written.
    if let [b' ', target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] = rest
        && let ([b'!'..=b'~', ..], Some(b'!'..=b'~')) = (target, target.last())
        && is_method(method)
    {
        return Some((method, target, rest.get(rest.len() - 3..)?, 0));
    }
    let rest = rest.trim_ascii();
    let last = rest.iter().rposition(|b| *b == b' ').unwrap_or(0);
    let (target, version) = rest.split_at_checked(last)?;
    let target = target.trim_ascii_end();
    match version.trim_ascii().strip_prefix(b"HTTP/") {
        Some(_) if !is_method(method) => None,
        Some(version) if !is_version(version) => Some((method, target, &[], Oddities::BAD_VERSION)),
        Some(version) if target.is_empty() => Some((method, target, version, Oddities::NO_TARGET)),
        Some(version) => Some((method, target, version, 0)),
        // As before HTTP/1.0, and as programs write it that know no better.
        None if METHODS.contains(&method) && rest.starts_with(b"/") => {
            Some((method, rest, &[], Oddities::NO_VERSION))
        }
        None => None,
    }
}

impl<'a> Response<'a> {
    /// Reads the head at the start of `bytes`.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> Read {
        self.read_lines(bytes, false)
    }

    fn read_lines(&mut self, bytes: &'a [u8], is_cut: bool) -> Read {
        let Some((first, at, mut odd)) = first_line(bytes) else { return Read::More };
        let Some(len) = self.fields.read(bytes.get(at..).unwrap_or_default(), is_cut) else {
            return Read::More;
        };
        let Some((version, code, reason)) = status_line(first) else { return Read::Malformed };
        odd.add(self.fields.odd.0 | odd_coding(version, &self.fields));
        (self.version, self.code, self.reason, self.odd) = (version, code, reason, odd);
        Read::Whole(at + len)
    }

    /// Reads the whole lines of a head that is cut.
    pub(super) fn parse_cut(cut: &'a [u8]) -> Option<Self> {
        let mut response = Self::default();
        match response.read_lines(whole_lines(cut), true) {
            Read::Whole(_) => Some(response),
            Read::More | Read::Malformed => None,
        }
    }
}

/// Version, code and reason of a response's first line.
fn status_line(line: &[u8]) -> Option<(&[u8], u16, &[u8])> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let (version, rest) = rest.split_at_checked(rest.iter().position(|b| *b == b' ')?)?;
    let rest = rest.trim_ascii_start();
    let (code, reason) = rest.split_at_checked(3)?;
    if !is_version(version)
        || !code.iter().all(u8::is_ascii_digit)
        || !(reason.is_empty() || reason.starts_with(b" "))
    {
        return None;
    }
    let code = code.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    (code >= 100).then_some((version, code, reason.trim_ascii()))
}

/// A method is a word of these characters; longer ones than any that is in use are none.
pub(super) fn is_method(word: &[u8]) -> bool {
    (1..=24).contains(&word.len()) && word.iter().all(|b| is_token_byte(*b))
}

/// The bytes of which names are made, methods and those of fields.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut rest = token.as_mut_slice();
    let mut byte = 0_u8;
    while let [is_token, after @ ..] = rest {
        *is_token = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
            );
        byte = byte.wrapping_add(1);
        rest = after;
    }
    token
};

pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).is_some_and(|is| *is)
}

/// Whether a version stands at the end, also where the space before it was forgotten: then fields follow.
fn ends_in_version(line: &[u8]) -> bool {
    line.last_chunk().is_some_and(|version: &[u8; 8]| version.starts_with(b"HTTP/1."))
}

/// The length of a request as it was before HTTP/1.0, if one is here: a line without a version.
pub(super) fn simple_request(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..end)?;
    let line = line.trim_ascii_end();
    // The usual request is known by its last bytes.
    if ends_in_version(line) {
        return None;
    }
    let (_, _, _, odd) = request_line(line)?;
    (odd == Oddities::NO_VERSION).then_some(end + 1)
}

/// Whether a request may begin here, with any method at all: lenient, for where the port tells what it is.
pub(super) fn may_begin_request(bytes: &[u8]) -> bool {
    const MAX_METHOD: usize = 24;
    if let Some(end) = memchr::memchr(b'\n', bytes) {
        return request_line(bytes.get(..end).unwrap_or_default().trim_ascii_end()).is_some();
    }
    let word = bytes.get(..=MAX_METHOD).unwrap_or(bytes);
    let word = word.split(|b| *b == b' ').next().unwrap_or_default();
    if word.len() == bytes.len() {
        return word.iter().all(|b| is_token_byte(*b));
    }
    is_method(word) && bytes.iter().skip(word.len()).take(1).all(|b| *b == b' ')
}

fn is_version(version: &[u8]) -> bool {
    matches!(version, [b'0'..=b'1', b'.', b'0'..=b'9'])
}

#[cfg(test)]
mod tests;

//! The head of a message: first line and header fields, as real servers and clients send them.
//!
//! Lenient where others are (bare line feeds, folded lines, spaces before the colon), and every such oddity is told, since two programs that read them
//! differently are how requests are smuggled. Source: RFC 9110, RFC 9112.

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

/// What is odd in a head. Each is a word for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities(u16);

impl Oddities {
    pub(super) const BARE_LF: u16 = 1;
    pub(super) const FOLDED: u16 = 1 << 1;
    pub(super) const SPACE_BEFORE_COLON: u16 = 1 << 2;
    pub(super) const NO_COLON: u16 = 1 << 3;
    pub(super) const LENGTHS_DIFFER: u16 = 1 << 4;
    pub(super) const LENGTH_REPEATED: u16 = 1 << 5;
    pub(super) const LENGTH_AND_CHUNKED: u16 = 1 << 6;
    pub(super) const BAD_LENGTH: u16 = 1 << 7;
    pub(super) const CHUNKED_NOT_LAST: u16 = 1 << 8;
    pub(super) const HOSTS: u16 = 1 << 9;
    pub(super) const BAD_NAME: u16 = 1 << 10;
    pub(super) const OTHER_CODING: u16 = 1 << 11;
    pub(super) const NO_VERSION: u16 = 1 << 12;
    pub(super) const BAD_VERSION: u16 = 1 << 13;
    pub(super) const NO_TARGET: u16 = 1 << 14;

    const WORDS: [(u16, &'static str); 15] = [
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
    ];

    pub(super) fn add(&mut self, what: u16) {
        self.0 |= what;
    }

    pub(super) fn has(self, what: u16) -> bool {
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

/// The header fields of one head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    lines: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields in order: name and value. A folded value comes with the line ends that are in it.
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

    pub(super) fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Whether a comma-separated list has this word.
    pub(super) fn lists(self, name: &str, word: &str) -> bool {
        self.iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .flat_map(|(_, v)| v.split(|b| *b == b','))
            .any(|w| w.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// What is odd in the lines.
    fn oddities(self) -> Oddities {
        let mut odd = Oddities::default();
        let mut hosts = 0;
        for line in self.lines.split_inclusive(|b| *b == b'\n') {
            if !line.ends_with(b"\r\n") {
                odd.add(Oddities::BARE_LF);
            }
            let line = line.trim_ascii_end();
            if line.is_empty() {
                continue;
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                odd.add(Oddities::FOLDED);
                continue;
            }
            match memchr::memchr(b':', line).and_then(|colon| line.get(..colon)) {
                None => odd.add(Oddities::NO_COLON),
                Some(name) => {
                    if name.last().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                        odd.add(Oddities::SPACE_BEFORE_COLON);
                    }
                    let name = without_spaces(name);
                    if name.is_empty() || !name.iter().all(|b| is_token_byte(*b)) {
                        odd.add(Oddities::BAD_NAME);
                    }
                    hosts += u32::from(name.eq_ignore_ascii_case(b"host"));
                }
            }
        }
        if hosts > 1 {
            odd.add(Oddities::HOSTS);
        }
        odd
    }
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

fn announced(fields: Fields<'_>, odd: &mut Oddities) -> Announced {
    let mut found = Announced::default();
    for (name, value) in fields.iter() {
        if name.eq_ignore_ascii_case(b"content-length") {
            for part in value.split(|b| *b == b',') {
                match (length(part.trim_ascii()), found.length) {
                    (None, _) => odd.add(Oddities::BAD_LENGTH),
                    (Some(n), None) => found.length = Some(n),
                    (Some(n), Some(before)) if n == before => odd.add(Oddities::LENGTH_REPEATED),
                    (Some(_), Some(_)) => odd.add(Oddities::LENGTHS_DIFFER),
                }
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            for coding in value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|c| !c.is_empty()) {
                if found.chunked {
                    odd.add(Oddities::CHUNKED_NOT_LAST);
                }
                let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
                found.chunked = is(b"chunked");
                found.until_close = !found.chunked && !is(b"identity");
                if found.until_close
                    && ![&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
                        .iter()
                        .any(|n| is(n))
                {
                    odd.add(Oddities::OTHER_CODING);
                }
            }
        }
    }
    if found.length.is_some() && (found.chunked || found.until_close) {
        odd.add(Oddities::LENGTH_AND_CHUNKED);
        found.length = None;
    }
    found
}

fn length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `1.1`; empty for what came before 1.0.
    pub(super) version: &'a [u8],
    pub(super) fields: Fields<'a>,
    pub(super) body: Announced,
    pub(super) odd: Oddities,
}

/// A response's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'a> {
    pub(super) version: &'a [u8],
    pub(super) code: u16,
    pub(super) reason: &'a [u8],
    pub(super) fields: Fields<'a>,
    pub(super) body: Announced,
    pub(super) odd: Oddities,
}

/// The first line and the fields behind it.
fn split(head: &[u8]) -> (&[u8], Fields<'_>, Oddities) {
    let end = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    let (first, lines) = head.split_at(end);
    let fields = Fields { lines };
    let mut odd = fields.oddities();
    if !first.ends_with(b"\r\n") {
        odd.add(Oddities::BARE_LF);
    }
    (first.trim_ascii_end(), fields, odd)
}

impl<'a> Request<'a> {
    /// Reads a whole head.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        let (first, fields, mut odd) = split(head);
        let (method, target, version, odd_line) = request_line(first)?;
        odd.add(odd_line);
        let body = announced(fields, &mut odd);
        Some(Self { method, target, version, fields, body, odd })
    }

    /// Reads as much of a head as is there of one that is cut: its whole lines, or of the first one method and target.
    pub(super) fn parse_cut(cut: &'a [u8]) -> Option<Self> {
        let lines = whole_lines(cut);
        if !lines.is_empty() {
            return Self::parse(lines);
        }
        // The target must be whole, so what follows it is there too.
        let mut parts = cut.splitn(3, |b| *b == b' ');
        let (method, target, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let is_request = METHODS.contains(&method) && !target.is_empty();
        (is_request && b"HTTP/1.".starts_with(rest.get(..7).unwrap_or(rest))).then_some(Self {
            method,
            target,
            version: &[],
            fields: Fields { lines: &[] },
            body: Announced::default(),
            odd: Oddities::default(),
        })
    }
}

/// The whole lines of a head that is cut.
fn whole_lines(cut: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', cut).map_or(0, |at| at + 1);
    cut.get(..end).unwrap_or_default()
}

/// Method, target, version and what is odd in a request's first line.
type FirstLine<'a> = (&'a [u8], &'a [u8], &'a [u8], u16);

/// Reads a request's first line. The version is empty where there is none or another than of HTTP/1; the
/// target is empty where there is none.
fn request_line(line: &[u8]) -> Option<FirstLine<'_>> {
    let (method, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
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
    /// Reads a whole head.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        let (first, fields, mut odd) = split(head);
        let rest = first.strip_prefix(b"HTTP/")?;
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
        let body = announced(fields, &mut odd);
        (100..1000).contains(&code).then_some(Self {
            version,
            code,
            reason: reason.trim_ascii(),
            fields,
            body,
            odd,
        })
    }

    /// Reads the whole lines of a head that is cut.
    pub(super) fn parse_cut(cut: &'a [u8]) -> Option<Self> {
        Self::parse(whole_lines(cut))
    }
}

/// A method is a word of these characters; longer ones than any that is in use are none.
pub(super) fn is_method(word: &[u8]) -> bool {
    (1..=24).contains(&word.len()) && word.iter().all(|b| is_token_byte(*b))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The length of a request as it was before HTTP/1.0, if one is here: a line without a version.
pub(super) fn simple_request(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.get(..end)?;
    // The usual request is known by its last bytes.
    if line.trim_ascii_end().last_chunk().is_some_and(|version: &[u8; 8]| version.starts_with(b"HTTP/1.")) {
        return None;
    }
    let (_, _, _, odd) = request_line(line.trim_ascii_end())?;
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

/// What the beginning of a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Request,
    Response,
    /// HTTP/2 without TLS.
    Http2,
    /// Too little to say.
    Maybe,
    Nothing,
}

/// The methods that a request is known by where nothing else tells.
const METHODS: [&[u8]; 24] = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"M-SEARCH",
    b"PURGE",
    b"CHECKOUT",
    b"MERGE",
];

/// What begins here: strict, for where nothing else tells.
pub(super) fn begins(bytes: &[u8]) -> Begins {
    let bytes = bytes.get(..512).unwrap_or(bytes);
    for (mark, what) in [(&b"HTTP/1."[..], Begins::Response), (b"PRI * HTTP/2.0\r\n", Begins::Http2)] {
        if bytes.starts_with(mark) {
            return what;
        }
        if mark.starts_with(bytes) {
            return Begins::Maybe;
        }
    }
    let Some(space) = memchr::memchr(b' ', bytes) else {
        let may_be = METHODS.iter().any(|m| m.starts_with(bytes));
        return if may_be { Begins::Maybe } else { Begins::Nothing };
    };
    if !METHODS.contains(&bytes.get(..space).unwrap_or_default()) {
        return Begins::Nothing;
    }
    let line = memchr::memchr(b'\n', bytes).map_or(bytes, |end| bytes.get(..end).unwrap_or(bytes));
    let is_text = line.iter().all(|b| *b >= 0x20 && *b != 0x7f || *b == b'\r');
    let ends = line.len() < bytes.len();
    match (is_text, ends) {
        (false, _) => Begins::Nothing,
        (true, true) if line.windows(8).any(|w| w == b" HTTP/1.") => Begins::Request,
        (true, true) => Begins::Nothing,
        // A long target.
        (true, false) if bytes.len() == 512 => Begins::Request,
        (true, false) => Begins::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head() {
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", 0), Some(27));
        assert_eq!(end(b"GET / HTTP/1.1\n\nx", 0), Some(16));
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n", 0), None);
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for from in 0..head.len() {
            assert_eq!(end(head, from), Some(head.len()), "{from}");
        }
    }

    #[test]
    fn requests() {
        let request =
            Request::parse(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!(
            (request.method, request.target, request.version),
            (&b"POST"[..], &b"/a?b=c"[..], &b"1.1"[..])
        );
        assert_eq!(request.fields.get("HOST"), Some(&b"x"[..]));
        assert_eq!(request.body, Announced { length: Some(5), ..Announced::default() });
        assert!(request.odd.is_empty());
        let spaces = Request::parse(b"GET /a b HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(spaces.target, b"/a b");
        for head in [
            &b"GET key\r\n\r\n"[..],
            b"G@T / HTTP/1.1\r\n\r\n",
            b"\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2 x\r\n\r\n",
        ] {
            assert!(Request::parse(head).is_none(), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn requests_without_a_version() {
        assert_eq!(simple_request(b"GET /a\r\nHost: x"), Some(8));
        assert_eq!(simple_request(b"GET /a HTTP/1.0\r\n"), None);
        assert_eq!(simple_request(b"GET /a"), None);
        let request = Request::parse(b"GET /a?b HTTP 1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!((request.target, request.version), (&b"/a?b HTTP 1"[..], &b""[..]));
        assert_eq!(request.odd.words().collect::<Vec<_>>(), ["no protocol version"]);
    }

    #[test]
    fn odd_first_lines() {
        for (head, target, version, word) in [
            (&b"GET HTTP/1.1\r\n\r\n"[..], &b""[..], &b"1.1"[..], "no target"),
            (b"BREW / HTTP/1.\r\n\r\n", b"/", b"", "not a version of HTTP/1"),
            (b"GET / HTTP/2.0\r\n\r\n", b"/", b"", "not a version of HTTP/1"),
        ] {
            let request = Request::parse(head).unwrap();
            assert_eq!((request.target, request.version), (target, version));
            assert_eq!(request.odd.words().collect::<Vec<_>>(), [word]);
        }
    }

    #[test]
    fn heads_that_are_cut() {
        let request = |cut| Request::parse_cut(cut).map(|r| (r.method, r.target, r.fields.get("host")));
        assert_eq!(
            request(b"GET /a HTTP/1.1\r\nHost: x\r\nUser-Ag"),
            Some((&b"GET"[..], &b"/a"[..], Some(&b"x"[..])))
        );
        assert_eq!(request(b"GET /a HTT"), Some((&b"GET"[..], &b"/a"[..], None)));
        for cut in [&b"GET /a"[..], b"GE", b"", b"GET /a HTP", b"get /a HTTP/1.1"] {
            assert_eq!(request(cut), None, "{}", cut.escape_ascii());
        }
        let code = |cut| Response::parse_cut(cut).map(|r| r.code);
        assert_eq!(code(b"HTTP/1.1 204 No Content\r\nServer"), Some(204));
        assert_eq!(code(b"HTTP/1.1 204 No"), None);
    }

    #[test]
    fn any_method_where_the_port_tells() {
        for bytes in [&b"BREW /pot HTTP/1.1\r\n"[..], b"BREW", b"B", b"", b"BREW /p", b"GET /old\r\n"] {
            assert!(may_begin_request(bytes), "{}", bytes.escape_ascii());
        }
        for bytes in [&b"SSH-2.0-x y\r\n"[..], b"\x16\x03", b"*1\r\n", b"(BREW /", b"EHLO x\r\n"] {
            assert!(!may_begin_request(bytes), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn folded_values_are_whole() {
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\nA: b\r\n\tc\r\nD: e\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert!(request.body.chunked);
        let fields: Vec<_> = request.fields.iter().skip(1).collect();
        assert_eq!(fields, [(&b"A"[..], &b"b\r\n\tc"[..]), (b"D", b"e")]);
    }

    #[test]
    fn responses() {
        let response =
            Response::parse(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").unwrap();
        assert_eq!((response.code, response.reason), (404, &b"Not Found"[..]));
        assert!(response.body.chunked);
        assert_eq!(Response::parse(b"HTTP/1.0 200\r\n\r\n").unwrap().reason, b"");
        for head in [
            &b"HTTP/1.1 20 OK\r\n\r\n"[..],
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
        ] {
            assert!(Response::parse(head).is_none(), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn oddities_are_told() {
        let odd = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            (request.odd.words().collect::<Vec<_>>().join("; "), request.body)
        };
        let length = |n| Announced { length: Some(n), ..Announced::default() };
        assert_eq!(
            odd("Content-Length: 5\r\nContent-Length: 5"),
            ("content length repeated".to_owned(), length(5))
        );
        assert_eq!(odd("Content-Length: 5, 6"), ("content lengths that differ".to_owned(), length(5)));
        assert_eq!(odd("Content-Length: +5").0, "a content length that is no number");
        let both = odd("Content-Length: 5\r\nTransfer-Encoding: chunked");
        assert_eq!(both.0, "both content length and chunked");
        assert_eq!(both.1, Announced { chunked: true, ..Announced::default() });
        assert_eq!(odd("A: b\r\n  c\r\nD : e").0, "folded header lines; space before a colon");
        assert_eq!(odd("Host: a\r\nHost: b\r\nnonsense").0, "a header line without a colon; several hosts");
        assert_eq!(odd("Transfer-Encoding: chunked, gzip").0, "chunked is not the last transfer coding");
        assert_eq!(odd("Transfer-Encoding: chunkedx").0, "a transfer coding that is not known");
        // Another name than it seems to be.
        let hidden = odd("Content-Length: 5\r\n\r\rTransfer-Encoding: chunked");
        assert_eq!(hidden, ("a header name with odd characters".to_owned(), length(5)));
        let bare = Request::parse(b"GET / HTTP/1.1\nHost: a\n\n").unwrap();
        assert_eq!(bare.odd.words().collect::<Vec<_>>(), ["lines end with LF alone"]);
    }

    #[test]
    fn what_begins() {
        for (bytes, what) in [
            (&b"GET / HTTP/1.1\r\n"[..], Begins::Request),
            (b"HTTP/1.1 200 OK", Begins::Response),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Begins::Http2),
            (b"GET / HTT", Begins::Maybe),
            (b"PO", Begins::Maybe),
            (b"", Begins::Maybe),
            (b"GET key\r\n", Begins::Nothing),
            (b"*1\r\n$4\r\nPING\r\n", Begins::Nothing),
            (b"GETX / HTTP/1.1\r\n", Begins::Nothing),
            (b"\x16\x03\x01", Begins::Nothing),
        ] {
            assert_eq!(begins(bytes), what, "{}", bytes.escape_ascii());
        }
    }
}

//! A request on its way, and what was kept of it; the response that is read.

use sniff_x_flow::Nanos;

use super::Settings;
use super::body::Body;
use super::content::Codings;
use super::event_stream::EventStream;
use super::fields::Fields;
use super::head::{Oddities, Request, Response};
use crate::event::IncompleteReason;
use crate::event::redact::{SECRET, is_secret_name};

/// Bytes that are missing in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) reason: IncompleteReason,
    pub(super) bytes: u64,
}

/// One request. Its texts lie in the queue's buffer, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// When its first byte was seen, and its last one so far.
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    /// Lengths of the texts, also of those that are not kept whole: see [`Texts`].
    lens: [usize; 6],
    /// `1.1` as 11.
    pub(super) version: u8,
    pub(super) odd: Oddities,
    pub(super) codings: Codings,
    pub(super) body_size: u64,
    /// What is kept of the body is its beginning, and what follows it was not kept.
    pub(super) is_cut: bool,
    /// The method is HEAD: the response has no body, whatever its head says.
    pub(super) is_head: bool,
    /// The method is CONNECT: what comes behind the response is another protocol.
    pub(super) is_connect: bool,
    /// The client wants the server's consent before it sends the body.
    pub(super) expects: bool,
    /// Its last byte was seen.
    pub(super) complete: bool,
    /// An event told of it.
    pub(super) reported: bool,
    pub(super) loss: Option<Loss>,
}

/// What was kept of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// Length of all of it.
    pub(super) len: u64,
}

/// The texts of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Texts<'a> {
    pub(super) method: Text<'a>,
    pub(super) path: Text<'a>,
    pub(super) query: Text<'a>,
    pub(super) host: Text<'a>,
    pub(super) agent: Text<'a>,
    /// The wanted header fields: see [`kept_fields`].
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Exchange {
    /// `texts`: what is to be kept of it.
    pub(super) fn new(request: &Request<'_>, texts: &[&[u8]; 6], start: Nanos) -> Self {
        Self {
            start,
            end: start,
            lens: texts.map(<[u8]>::len),
            version: version(request.version),
            odd: request.odd,
            codings: Codings::of(&request.fields),
            body_size: 0,
            is_cut: false,
            is_head: request.method == b"HEAD",
            is_connect: request.method == b"CONNECT",
            expects: request.fields.expects,
            complete: false,
            reported: false,
            loss: None,
        }
    }

    /// Whether more of its body is to be kept, where `shown` bytes of the content are shown.
    pub(super) fn wants_body(&self, shown: usize) -> bool {
        !self.is_cut && self.body_size < self.codings.kept(shown) as u64
    }

    /// It has no version and was seen whole: the response may come without a head.
    pub(super) fn is_before_1_0(&self) -> bool {
        self.odd.has(Oddities::NO_VERSION) && self.complete && self.loss.is_none()
    }

    /// The texts of a request's head in the order in which they are kept.
    pub(super) fn texts<'a>(request: &Request<'a>, headers: &'a [u8]) -> [&'a [u8]; 6] {
        let target = request.target;
        // A proxy is sent whole addresses.
        let (host, target) = match target.strip_prefix(b"http://") {
            Some(rest) => {
                let slash = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
                let (host, target) = rest.split_at(slash);
                // What stands before an @ is a user with a password.
                (host.rsplit(|b| *b == b'@').next(), target)
            }
            None => (None, target),
        };
        let (path, query) = path_and_query(target);
        let host = host.unwrap_or(request.fields.host);
        let agent = request.fields.agent;
        [request.method, path, query, host, agent, headers]
    }

    /// The texts out of what was kept: of each at most `max` bytes.
    pub(super) fn kept<'a>(&self, mut kept: &'a [u8], max: usize) -> Texts<'a> {
        let mut next = |len: usize| {
            let (bytes, rest) = kept.split_at(len.min(max).min(kept.len()));
            kept = rest;
            Text { bytes, len: len as u64 }
        };
        let [method, path, query, host, agent, headers] = self.lens.map(&mut next);
        Texts { method, path, query, host, agent, headers: headers.bytes, body: kept }
    }

    /// Bytes of it are missing; the first reason stays.
    pub(super) fn lose(&mut self, reason: IncompleteReason, bytes: u64) {
        let loss = self.loss.get_or_insert(Loss { reason, bytes: 0 });
        loss.bytes = loss.bytes.saturating_add(bytes);
    }
}

/// The response that is read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) version: u8,
    pub(super) odd: Oddities,
    /// The server's words for an error.
    pub(super) reason: Vec<u8>,
    /// The wanted header fields: see [`kept_fields`].
    pub(super) headers: Vec<u8>,
    pub(super) codings: Codings,
    pub(super) body: Body,
    pub(super) body_size: u64,
    /// The beginning of the body.
    pub(super) preview: Vec<u8>,
    /// Bytes of the body are missing: what follows them is no part of its beginning.
    pub(super) is_cut: bool,
    /// Server-sent events so far, where it is a stream of these.
    pub(super) events: Option<EventStream>,
    /// When its first byte was seen.
    pub(super) first_byte: Nanos,
    /// A head was read; the body goes on.
    pub(super) open: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            code: 0,
            version: 0,
            odd: Oddities::default(),
            reason: Vec::new(),
            headers: Vec::new(),
            codings: Codings::default(),
            body: Body::Over,
            body_size: 0,
            preview: Vec::new(),
            is_cut: false,
            events: None,
            first_byte: Nanos(0),
            open: false,
        }
    }
}

impl Answer {
    /// A response begins.
    pub(super) fn begin(&mut self, response: &Response<'_>, settings: &Settings, at: Nanos) {
        const MAX_REASON: usize = 128;
        self.code = response.code;
        self.version = version(response.version);
        self.odd = response.odd;
        self.reason.clear();
        if self.is_error() {
            self.reason.extend_from_slice(response.reason.get(..MAX_REASON).unwrap_or(response.reason));
        }
        self.headers.clear();
        collect(&response.fields, settings, &mut self.headers);
        self.body_size = 0;
        self.preview.clear();
        self.is_cut = false;
        let is_stream = starts_with(response.fields.content_type, b"text/event-stream");
        let reads = is_stream || settings.body > 0;
        self.codings = if reads { Codings::of(&response.fields) } else { Codings::default() };
        self.events = (is_stream && self.codings.is_none()).then(EventStream::default);
        self.first_byte = at;
        self.open = true;
    }

    pub(super) fn is_error(&self) -> bool {
        self.code >= 400
    }

    /// A response without a head begins: a body up to the connection's end.
    pub(super) fn begin_without_head(&mut self, at: Nanos) {
        (self.code, self.version, self.odd) = (0, 0, Oddities::default());
        self.reason.clear();
        self.headers.clear();
        self.preview.clear();
        (self.codings, self.body, self.body_size) = (Codings::default(), Body::UntilClose, 0);
        self.is_cut = false;
        self.events = None;
        (self.first_byte, self.open) = (at, true);
    }

    /// Gives the memory of a body back.
    pub(super) fn shrink(&mut self) {
        self.preview = Vec::new();
    }

    /// Whether more of the body is to be kept, where `kept` bytes are.
    pub(super) fn wants(&self, kept: usize) -> bool {
        !self.is_cut && self.preview.len() < kept
    }

    /// Bytes of the body; `kept` of all are kept.
    pub(super) fn content(&mut self, bytes: &[u8], kept: usize) {
        self.body_size += bytes.len() as u64;
        if self.wants(kept) {
            let room = kept - self.preview.len();
            self.preview.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        if let Some(events) = &mut self.events {
            events.read(bytes);
        }
    }
}

/// The wanted header fields as [`kept_fields`] reads them; secrets are left out where they stand.
pub(super) fn collect(fields: &Fields<'_>, settings: &Settings, to: &mut Vec<u8>) {
    if settings.headers.is_empty() {
        return;
    }
    for (name, value) in fields.iter() {
        let Some(wanted) = settings.headers.iter().find(|h| name.eq_ignore_ascii_case(h.as_bytes())) else {
            continue;
        };
        to.extend_from_slice(wanted.as_bytes());
        let head = to.len();
        to.extend_from_slice(&[0; 5]);
        if is_secret(wanted, value) {
            to.extend_from_slice(SECRET);
        } else {
            // A fold means a space.
            for (index, line) in value.split(|b| *b == b'\n').enumerate() {
                if index > 0 {
                    to.push(b' ');
                }
                to.extend_from_slice(line.trim_ascii());
            }
        }
        let len = u32::try_from(to.len() - head - 5).unwrap_or(u32::MAX);
        if let Some(place) = to.get_mut(head + 1..head + 5) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }
}

/// Names and values of the fields that were kept: name, a zero byte, the value's length, the value.
pub(super) fn kept_fields(mut kept: &[u8]) -> impl Iterator<Item = (&[u8], Text<'_>)> {
    core::iter::from_fn(move || {
        let (name, rest) = kept.split_at_checked(memchr::memchr(0, kept)?)?;
        let (len, rest) = rest.get(1..)?.split_first_chunk()?;
        let len = u32::from_le_bytes(*len);
        // Cut where all that is kept of a request is.
        let (bytes, rest) = rest.split_at(usize::try_from(len).ok()?.min(rest.len()));
        kept = rest;
        Some((name, Text { bytes, len: len.into() }))
    })
}

/// Fields whose values are secrets; names in lower case.
fn is_secret(name: &str, value: &[u8]) -> bool {
    name.starts_with("x-auth") || is_secret_name(name.as_bytes(), value) || has_credentials(name, value)
}

/// Whether a value is made as that of `Authorization` is, or holds a token as WebSocket clients send theirs (`base64url.bearer.authorization.…`). A server's
/// challenge is none.
fn has_credentials(name: &str, value: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 5] = [b"Basic ", b"Digest ", b"Negotiate ", b"NTLM ", b"AWS4-HMAC-SHA256 "];
    let is_challenge = name.ends_with("-authenticate");
    !is_challenge
        && (SCHEMES.iter().any(|scheme| starts_with(value.trim_ascii(), scheme))
            || value.windows(6).any(|word| word.eq_ignore_ascii_case(b"bearer")))
}

/// The path and the query of a target; what only the client is to know, behind `#`, is in neither.
fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    let Some((path, rest)) = memchr::memchr2(b'?', b'#', target).and_then(|at| target.split_at_checked(at))
    else {
        return (target, &[]);
    };
    let Some((b'?', query)) = rest.split_first() else { return (path, &[]) };
    (path, memchr::memchr(b'#', query).and_then(|end| query.get(..end)).unwrap_or(query))
}

fn version(version: &[u8]) -> u8 {
    match version {
        [major, b'.', minor] => (major & 0xf) * 10 + (minor & 0xf),
        _ => 0,
    }
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

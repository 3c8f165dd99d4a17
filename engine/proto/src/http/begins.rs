//! What begins at a byte: strict, for where nothing else tells that it is HTTP, or that a message begins.

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
pub(super) const METHODS: [&[u8]; 24] = [
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

//! Heads, whole, odd and cut.

use super::super::fields::Announced;
use super::*;

fn whole_request(head: &[u8]) -> Option<Request<'_>> {
    let mut request = Request::default();
    match request.read(head) {
        Read::Whole(_) => Some(request),
        Read::More | Read::Malformed => None,
    }
}

fn whole_response(head: &[u8]) -> Option<Response<'_>> {
    let mut response = Response::default();
    match response.read(head) {
        Read::Whole(_) => Some(response),
        Read::More | Read::Malformed => None,
    }
}

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
    let request = whole_request(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!(
        (request.method, request.target, request.version),
        (&b"POST"[..], &b"/a?b=c"[..], &b"1.1"[..])
    );
    assert_eq!(request.fields.host, b"x");
    assert_eq!(request.fields.body, Announced { length: Some(5), ..Announced::default() });
    assert!(request.odd.is_empty());
    let spaces = whole_request(b"GET /a b HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(spaces.target, b"/a b");
    for head in
        [&b"GET key\r\n\r\n"[..], b"G@T / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"SSH-2.0-OpenSSH_9.2 x\r\n\r\n"]
    {
        assert!(whole_request(head).is_none(), "{}", head.escape_ascii());
    }
}

#[test]
fn requests_without_a_version() {
    assert_eq!(simple_request(b"GET /a\r\nHost: x"), Some(8));
    assert_eq!(simple_request(b"GET /a HTTP/1.0\r\n"), None);
    assert_eq!(simple_request(b"GET /a"), None);
    let request = whole_request(b"GET /a?b HTTP 1\r\nHost: x\r\n\r\n").unwrap();
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
        let request = whole_request(head).unwrap();
        assert_eq!((request.target, request.version), (target, version));
        assert_eq!(request.odd.words().collect::<Vec<_>>(), [word]);
    }
}

#[test]
fn heads_that_are_cut() {
    let cut_request = |cut| Request::parse_cut(cut).map(|r| (r.method, r.target, r.fields.host));
    assert_eq!(
        cut_request(b"GET /a HTTP/1.1\r\nHost: x\r\nUser-Ag"),
        Some((&b"GET"[..], &b"/a"[..], &b"x"[..]))
    );
    assert_eq!(cut_request(b"GET /a HTT"), Some((&b"GET"[..], &b"/a"[..], &b""[..])));
    for cut in [&b"GET /a"[..], b"GE", b"", b"GET /a HTP", b"get /a HTTP/1.1"] {
        assert_eq!(cut_request(cut), None, "{}", cut.escape_ascii());
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
    let request = whole_request(head).unwrap();
    assert!(request.fields.body.chunked);
    let fields: Vec<_> = request.fields.iter().skip(1).collect();
    assert_eq!(fields, [(&b"A"[..], &b"b\r\n\tc"[..]), (b"D", b"e")]);
}

#[test]
fn responses() {
    let response =
        whole_response(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").unwrap();
    assert_eq!((response.code, response.reason), (404, &b"Not Found"[..]));
    assert!(response.fields.body.chunked);
    assert_eq!(whole_response(b"HTTP/1.0 200\r\n\r\n").unwrap().reason, b"");
    for head in [
        &b"HTTP/1.1 20 OK\r\n\r\n"[..],
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
    ] {
        assert!(whole_response(head).is_none(), "{}", head.escape_ascii());
    }
}

#[test]
fn oddities_are_told() {
    let odd = |fields: &str| {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        let request = whole_request(head.as_bytes()).unwrap();
        (request.odd.words().collect::<Vec<_>>().join("; "), request.fields.body)
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
    let old = whole_request(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert!(old.fields.body.chunked);
    assert_eq!(old.odd.words().collect::<Vec<_>>(), ["a transfer coding before HTTP/1.1"]);
    let old = whole_response(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").unwrap();
    assert_eq!(old.odd.words().collect::<Vec<_>>(), ["a transfer coding before HTTP/1.1"]);
    assert!(whole_request(b"GET / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n").unwrap().odd.is_empty());
    assert_eq!(odd("A: b\r\n  c\r\nD : e").0, "folded header lines; space before a colon");
    assert_eq!(odd("Host: a\r\nHost: b\r\nnonsense").0, "a header line without a colon; several hosts");
    assert_eq!(odd("Transfer-Encoding: chunked, gzip").0, "chunked is not the last transfer coding");
    // The last one is chunked, so the body is in chunks; in whatever lines they stand (RFC 9112, 6.1 and 6.3).
    let chunked = Announced { chunked: true, ..Announced::default() };
    for fields in [
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked",
        "Transfer-Encoding: chunked, gzip, chunked",
    ] {
        assert_eq!(odd(fields), ("chunked twice".to_owned(), chunked), "{fields}");
    }
    assert_eq!(
        odd("Transfer-Encoding: chunked, chunked, gzip").0,
        "chunked is not the last transfer coding; chunked twice"
    );
    assert_eq!(odd("Transfer-Encoding: chunkedx").0, "a transfer coding that is not known");
    // Another name than it seems to be.
    let hidden = odd("Content-Length: 5\r\n\r\rTransfer-Encoding: chunked");
    assert_eq!(hidden, ("a header name with odd characters".to_owned(), length(5)));
    let bare = whole_request(b"GET / HTTP/1.1\nHost: a\n\n").unwrap();
    assert_eq!(bare.odd.words().collect::<Vec<_>>(), ["lines end with LF alone"]);
}

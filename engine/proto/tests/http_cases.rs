//! HTTP by hand, case by case: what RFC 9110, RFC 9112 and the descriptions of content codings say about the bytes, against what the plugin tells of them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

#[path = "http_support/by_hand.rs"]
mod by_hand;
mod support;

use by_hand::{begin, client, each, heads, play, play_with, server, values};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::http::Http;
use sniff_x_proto::replay::Step;
use sniff_x_proto::{Options, Plugin};
use support::{field, head};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn versions() {
    let lines = play(&[
        client("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        server("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"),
        client("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
        server(OK),
    ]);
    assert_eq!(heads(&lines), [("exchange", "ok"); 2]);
    assert_eq!(values(&lines, "network.protocol.version"), ["1.0", "1.1"]);
    assert_eq!(values(&lines, "sniffx.http.host"), ["", "a"]);
}

/// RFC 9112, 9.3.2: responses come in the order of their requests.
#[test]
fn pipelined_requests() {
    let lines = play(&[
        client(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n",
        ),
        client("Host: a\r\n\r\n"),
        server(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
        ),
        server("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
    ]);
    assert_eq!(values(&lines, "url.path"), ["/1", "/2", "/3"]);
    assert_eq!(values(&lines, "http.response.status_code"), ["200", "201", "404"]);
    assert_eq!(values(&lines, "http.request.body.size"), ["0", "3", "0"]);
    assert_eq!(values(&lines, "http.response.body.size"), ["0", "1", "2"]);
    assert_eq!(values(&lines, "error.message"), ["", "", "Not Found"]);
}

/// RFC 9112, 7.1: extensions, sizes in either case with leading zeros, and trailer fields are no content.
#[test]
fn chunks_with_extensions_and_trailers() {
    let body = "5;name=value\r\nhello\r\n00A;quoted=\"a;b\"\r\n, 12345678\r\n0;last\r\nChecksum: 7\r\nContent-Length: 99\r\n\r\n";
    let request = format!("POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
    let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let lines = play_with(
        &[("body", "100")],
        &[client(request), server(response), client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"), server(OK)],
    );
    assert_eq!(values(&lines, "url.path"), ["/u", "/next"]);
    assert_eq!(values(&lines, "http.request.body.size"), ["15", "0"]);
    assert_eq!(values(&lines, "http.response.body.size"), ["15", "2"]);
    assert_eq!(values(&lines, "sniffx.http.request.body"), ["hello, 12345678", ""]);
    assert_eq!(values(&lines, "sniffx.http.response.body"), ["hello, 12345678", "hi"]);
    assert_eq!(each(&lines, "sniffx.notice"), [None, None]);
}

/// RFC 9112, 6.3: what these responses announce is no body of theirs.
#[test]
fn responses_without_a_body() {
    let get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, response, code) in [
        ("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "200"),
        (
            "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200",
        ),
        (get, "HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"1\"\r\n\r\n", "304"),
    ] {
        let lines = play(&[client(request), server(response), client(get), server(OK)]);
        assert_eq!(values(&lines, "http.response.status_code"), [code, "200"], "{response}");
        assert_eq!(values(&lines, "http.response.body.size"), ["0", "2"], "{response}");
    }
}

/// RFC 9110, 15.2: any number of interim responses comes before the one that counts.
#[test]
fn interim_responses() {
    let lines = play(&[
        client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        server("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
        server(OK),
    ]);
    assert_eq!(values(&lines, "http.response.status_code"), ["200"]);
    assert_eq!(heads(&lines), [("exchange", "ok")]);
}

/// RFC 9110, 10.1.1: the client waits for 100 before it sends the content.
#[test]
fn content_that_is_expected() {
    let steps = [
        client("PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"),
        server("HTTP/1.1 100 Continue\r\n\r\n"),
        client("content"),
        server("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        server(OK),
    ];
    let lines = play(&steps);
    assert_eq!(heads(&lines), [("exchange", "ok"); 2]);
    assert_eq!(values(&lines, "http.response.status_code"), ["201", "200"]);
    assert_eq!(values(&lines, "http.request.body.size"), ["7", "0"]);
}

/// RFC 9110, 10.1.1: a final status instead of 100 tells the client to leave the body out; one that does not wait has sent it already.
#[test]
fn content_that_is_refused() {
    let asked = client("PUT /big HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n");
    let refused = server("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    let next = [client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"), server(OK)];
    for body in [None, Some("content"), Some("G 12345")] {
        let steps = [Some(asked.clone()), Some(refused.clone()), body.map(client)];
        let steps: Vec<_> = steps.into_iter().flatten().chain(next.clone()).collect();
        let lines = play(&steps);
        assert_eq!(values(&lines, "url.path"), ["/big", "/next"], "{body:?}: {lines:#?}");
        assert_eq!(values(&lines, "http.response.status_code"), ["417", "200"]);
    }
}

/// A server that closes an idle connection may say why.
#[test]
fn responses_that_nobody_asked_for() {
    let lines = play(&[
        client("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        server(OK),
        server("HTTP/1.1 408 Request Time-out\r\nConnection: close\r\n\r\n"),
    ]);
    assert_eq!(heads(&lines), [("exchange", "ok"), ("notice", "")], "{lines:#?}");
    assert_eq!(values(&lines, "http.response.status_code"), ["200", "408"]);
}

/// RFC 9110, 9.3.6: a tunnel begins behind any 2xx, lengths or not; any other response leaves HTTP going.
#[test]
fn connect() {
    let lines = play(&[
        client("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
        server("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno!\n"),
        client("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
        server("HTTP/1.1 200 Connection established\r\nContent-Length: 10\r\n\r\n"),
        client("\x16\x03\x01 GET / HTTP/1.1\r\n\r\n"),
    ]);
    assert_eq!(heads(&lines), [("exchange", "error"), ("exchange", "ok"), ("session", "")], "{lines:#?}");
    assert_eq!(values(&lines, "http.response.body.size"), ["4", "0", ""]);
    assert_eq!(field(&lines[2], "sniffx.session.state").as_deref(), Some("tunnel"));
}

/// RFC 9110, 7.8: a server may ignore the wish for another protocol.
#[test]
fn upgrades_that_are_refused() {
    let wish = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let lines = play(&[client(wish), server(OK), client("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), server(OK)]);
    assert_eq!(heads(&lines), [("exchange", "ok"); 2]);
    assert_eq!(values(&lines, "url.path"), ["/chat", "/b"]);
}

/// RFC 1952, RFC 1950 with RFC 1951, RFC 7932, RFC 8878: `hello`, stored.
#[test]
fn content_codings() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x05\0\xfa\xffhello\x86\xa6\x10\x36\x05\0\0\0";
    let deflate = b"\x78\x01\x01\x05\0\xfa\xffhello\x06\x2c\x02\x15";
    let brotli = b"\x0b\x02\x80hello\x03";
    let zstd = b"\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello";
    for (coding, body) in [
        ("gzip", &gzip[..]),
        ("x-gzip", gzip),
        ("deflate", deflate),
        ("br", brotli),
        ("zstd", zstd),
        ("identity", b"hello"),
        ("GZIP", gzip),
    ] {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        response.extend(body);
        let request = client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let lines = play_with(&[("body", "100")], &[request.clone(), server(&response)]);
        assert_eq!(values(&lines, "sniffx.http.response.body"), ["hello"], "{coding}");
        // Its size is that of what was sent.
        assert_eq!(values(&lines, "http.response.body.size"), [body.len().to_string()], "{coding}");
        let short = play_with(&[("body", "3")], &[request.clone(), server(&response)]);
        assert_eq!(values(&short, "sniffx.http.response.body"), ["hel"], "{coding}");
        assert_eq!(each(&play(&[request, server(&response)]), "sniffx.http.response.body"), [None]);
    }
}

/// RFC 9112, 2.2, 5.1, 5.2 and 6.3: read as others read it, and told.
#[test]
fn odd_heads() {
    for (request, notice, size) in [
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", "lines end with LF alone", "3"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
            "folded header lines",
            "3",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "content length repeated",
            "3",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            "content lengths that differ",
            "3",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", "space before a colon", "3"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "both content length and chunked",
            "3",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "a transfer coding before HTTP/1.1",
            "3",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "chunked twice",
            "3",
        ),
    ] {
        let next = client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let lines = play(&[client(request), server(OK), next, server(OK)]);
        assert_eq!(each(&lines, "sniffx.notice"), [Some(notice.to_owned()), None], "{request}");
        assert_eq!(values(&lines, "http.request.body.size"), [size, "0"], "{request}");
        assert_eq!(values(&lines, "url.path"), ["/", "/next"], "{request}");
    }
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nhi";
    let lines = play(&[client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), server(response)]);
    assert_eq!(values(&lines, "sniffx.notice"), ["in the response: content lengths that differ"]);
}

/// RFC 9112, 7.1: each of these lines ends with CR LF. Where one does not, others may take what follows for something else.
#[test]
fn chunks_whose_lines_end_with_lf_alone() {
    let notice = "lines between chunks end with LF alone";
    for (body, is_odd) in [
        ("3\r\nabc\r\n0\r\nA: b\r\n\r\n", false),
        ("3\nabc\r\n0\r\n\r\n", true),
        ("3;a=b\nabc\r\n0\r\n\r\n", true),
        ("3\r\nabc\n0\r\n\r\n", true),
        ("3\r\nabc\r\n0\n\r\n", true),
        ("3\r\nabc\r\n0\r\nA: b\n\r\n", true),
        ("3\r\nabc\r\n0\r\n\n", true),
    ] {
        let next = || client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let chunked = "Transfer-Encoding: chunked";
        let lines = play(&[
            client(format!("POST / HTTP/1.1\r\nHost: a\r\n{chunked}\r\n\r\n{body}")),
            server(OK),
            next(),
            server(format!("HTTP/1.1 200 OK\r\n{chunked}\r\n\r\n{body}")),
            next(),
            server(OK),
        ]);
        let told = |before: &str| is_odd.then(|| format!("{before}{notice}"));
        assert_eq!(each(&lines, "sniffx.notice"), [told(""), told("in the response: "), None], "{body:?}");
        assert_eq!(values(&lines, "http.request.body.size"), ["3", "0", "0"], "{body:?}");
        assert_eq!(values(&lines, "http.response.body.size"), ["2", "3", "2"], "{body:?}");
    }
}

/// RFC 9112, 2.2: a server ignores at least one empty line in front of a request.
#[test]
fn empty_lines_between_requests() {
    let lines = play(&[
        client("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n"),
        server(OK),
        client("\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
        server(OK),
    ]);
    assert_eq!(values(&lines, "url.path"), ["/a", "/b"]);
    assert_eq!(heads(&lines), [("exchange", "ok"); 2]);
}

/// RFC 9112, 6.3 and 8: a body without a length is whole when the server has closed its side, not when the connection broke.
#[test]
fn bodies_up_to_the_end_of_the_connection() {
    let request = client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    let told = |steps: &[Step], closes: &[Direction], end: End| {
        let mut replay = begin(&[("body", "9")]);
        steps.iter().for_each(|step| replay.step(step));
        closes.iter().for_each(|side| replay.half_close(*side));
        let lines = replay.finish(end);
        assert_eq!(values(&lines, "sniffx.http.response.body"), ["hello"]);
        head(&lines[0]).1.to_owned()
    };
    let steps = [request.clone(), response.clone()];
    let both = [Direction::ToServer, Direction::ToClient];
    assert_eq!(told(&steps, &[Direction::ToClient], End::Fin), "ok");
    // Clients may close their side first.
    assert_eq!(told(&steps, &both, End::Fin), "ok");
    assert_eq!(told(&steps, &[Direction::ToServer], End::Rst), "incomplete:eof");
    assert_eq!(told(&steps, &[], End::Rst), "incomplete:eof");
    assert_eq!(told(&steps, &[], End::Evicted), "incomplete:evicted");
    // What is missing makes it incomplete, however it ends.
    let gap = [request, response, Step::Gap(Direction::ToClient, 7)];
    assert_eq!(told(&gap, &[Direction::ToClient], End::Fin), "incomplete:gap");
    // A length that was announced was not reached.
    let short = server("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello");
    assert_eq!(told(&[steps[0].clone(), short], &both, End::Fin), "incomplete:eof");
}

#[test]
fn only_slow_ones_or_errors_if_that_is_asked_for() {
    let ask = |path: &str| client(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let steps = [
        ask("/fast"),
        server(OK),
        ask("/slow"),
        Step::Wait(200_000_000),
        server(OK),
        ask("/missing"),
        server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ask("/broken"),
        Step::Wait(200_000_000),
        server("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
        ask("/never"),
    ];
    for (options, paths) in [
        (&[][..], &["/fast", "/slow", "/missing", "/broken", "/never"][..]),
        (&[("slow", "100")], &["/slow", "/broken"]),
        (&[("slow", "300")], &[]),
        (&[("errors", "")], &["/missing", "/broken"]),
        (&[("errors", ""), ("slow", "100")], &["/broken"]),
    ] {
        assert_eq!(values(&play_with(options, &steps), "url.path"), paths, "{options:?}");
    }
    // Nobody answered within the time: slow, whatever the number.
    let late = [&steps[10..], &[Step::Wait(3_600_000_000_000)]].concat();
    assert_eq!(heads(&play_with(&[("slow", "5000000")], &late)), [("exchange", "incomplete:timeout")]);
}

#[test]
fn options_that_make_no_sense() {
    for (name, value, expected) in [
        ("body", "65537", "a number of bytes up to 65536"),
        ("body", "all", "a number of bytes up to 65536"),
        ("header", "", "the name of a header field"),
        ("header", "a b", "the name of a header field"),
        ("header", "a:", "the name of a header field"),
        ("header", "\"a\"", "the name of a header field"),
        ("header", "ä", "the name of a header field"),
        ("port", "0", "a port"),
        ("slow", "fast", "milliseconds"),
    ] {
        let mut options = Options::default();
        options.push(name, value);
        let error = Http::default().configure(&options).unwrap_err().to_string();
        assert!(error.contains(expected), "{name} {value}: {error}");
    }
}

/// The first byte of the response, and its last one, counted from the request's first.
#[test]
fn first_byte_and_total() {
    let millisecond = 1_000_000;
    let mut replay = begin(&[]);
    let started = {
        let mut at = 0;
        replay.step_then(&client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"), |_, now| {
            at = now.0
        });
        at
    };
    let (mut first, mut last, mut duration) = (0, 0, None);
    replay.step(&Step::Wait(millisecond));
    replay.step(&client("y"));
    replay.step(&Step::Wait(2 * millisecond));
    replay.step_then(&server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"), |_, now| first = now.0);
    replay.step(&Step::Wait(3 * millisecond));
    replay.step_then(&server("i"), |host, now| {
        last = now.0;
        duration = host.arena.events().next().and_then(|event| event.head.duration);
    });
    let lines = replay.finish(End::Fin);
    assert_eq!(values(&lines, "sniffx.http.first_byte_ns"), [(first - started).to_string()]);
    assert_eq!(duration, Some(last - started));
    assert!(first - started > 3 * millisecond && last - started > 6 * millisecond);
}

/// Names in any case, fields that come several times, folds.
#[test]
fn chosen_headers() {
    let options = [("header", "X-Trace"), ("header", "vary")];
    let lines = play_with(
        &options,
        &[
            client("GET / HTTP/1.1\r\nHost: a\r\nx-trace: 1\r\nX-TRACE:   2  \r\n\r\n"),
            server("HTTP/1.1 200 OK\r\nVary: accept,\r\n\tcookie\r\nContent-Length: 0\r\n\r\n"),
        ],
    );
    assert_eq!(lines[0].matches("http.request.header.x-trace=").count(), 2, "{lines:#?}");
    assert!(lines[0].contains("x-trace='1'") && lines[0].contains("x-trace='2'"), "{lines:#?}");
    assert_eq!(values(&lines, "http.response.header.vary"), ["accept, cookie"]);
}

/// Credentials in fields of any name, and of a server's challenge none.
#[test]
fn chosen_headers_with_credentials() {
    let hidden = [
        "Authorization: Custom hunter2",
        "authorization:\r\n  Basic hunter2",
        "Proxy-Authorization: Basic hunter2",
        "Cookie: a=hunter2",
        "X-Original: Bearer hunter2",
        "X-Original: basic hunter2",
        "X-Original: token, bearer hunter2",
        "Sec-WebSocket-Protocol: v4, base64url.bearer.authorization.k8s.io.hunter2",
        "X-Backend: AWS4-HMAC-SHA256 Credential=hunter2",
    ];
    for line in hidden {
        let name = line.split(':').next().unwrap();
        let lines = play_with(
            &[("header", name)],
            &[
                client(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")),
                server(format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n")),
            ],
        );
        assert!(!lines[0].contains("hunter2") && lines[0].matches("<secret>").count() == 2, "{lines:#?}");
    }
    for line in
        ["WWW-Authenticate: Basic realm=\"a\"", "Proxy-Authenticate: Bearer realm=\"a\"", "X-A: basics"]
    {
        let (name, value) = line.split_once(": ").unwrap();
        let lines = play_with(
            &[("header", name)],
            &[
                client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                server(format!("HTTP/1.1 401 Unauthorized\r\n{line}\r\nContent-Length: 0\r\n\r\n")),
            ],
        );
        let key = format!("http.response.header.{}", name.to_ascii_lowercase());
        assert_eq!(values(&lines, &key), [value], "{lines:#?}");
    }
}

/// RFC 9110, 5.6.2: what a name is made of.
#[test]
fn chosen_headers_of_any_name() {
    const NAME: &str = "!#$%&'*+-.^_`|~09AZaz";
    let lines = play_with(
        &[("header", NAME), ("header", "$wsep")],
        &[
            client(format!("GET / HTTP/1.1\r\nHost: a\r\n{}: 1\r\n\r\n", NAME.to_ascii_uppercase())),
            server(format!("HTTP/1.1 200 OK\r\n$WSEP: \r\n{NAME}: 2\r\nContent-Length: 0\r\n\r\n")),
        ],
    );
    // As the replay writes it.
    let key = NAME.to_ascii_lowercase().replace('\'', "\\'");
    assert_eq!(values(&lines, &format!("http.request.header.{key}")), ["1"], "{lines:#?}");
    assert_eq!(values(&lines, &format!("http.response.header.{key}")), ["2"], "{lines:#?}");
    assert_eq!(each(&lines, "http.response.header.$wsep"), [Some(String::new())], "{lines:#?}");
}

#[test]
fn half_finished_exchanges_say_why() {
    let request = client("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let half = server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let hour = Step::Wait(3_600_000_000_000);
    for (steps, status, code) in [
        (vec![request.clone()], "incomplete:eof", None),
        (vec![request.clone(), half.clone()], "incomplete:eof", Some("200")),
        (vec![request.clone(), hour.clone()], "incomplete:timeout", None),
        (vec![request.clone(), half, hour], "incomplete:timeout", Some("200")),
        (vec![request.clone(), Step::Gap(Direction::ToClient, 30)], "incomplete:gap", None),
        (
            vec![client("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")],
            "incomplete:eof",
            None,
        ),
        (vec![client("GET /slow HTTP/1.1\r\nHost: a\r\nUser-")], "incomplete:eof", None),
        (
            vec![request, server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")],
            "incomplete:malformed",
            Some("200"),
        ),
    ] {
        let lines: Vec<_> = play(&steps).into_iter().filter(|line| !line.starts_with("notice")).collect();
        assert_eq!(heads(&lines), [("exchange", status)], "{steps:?}");
        assert_eq!(values(&lines, "url.path"), ["/slow"], "{steps:?}");
        assert_eq!(each(&lines, "http.response.status_code"), [code.map(str::to_owned)], "{steps:?}");
    }
}

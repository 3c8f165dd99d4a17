//! What `--body` shows, by hand: bodies that were compressed, several times, in requests too, and with bytes missing in them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

#[path = "http_support/by_hand.rs"]
mod by_hand;
mod support;

use std::io::Write;

use by_hand::{begin, client, each, heads, play_with, server, values};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::replay::Step;
use support::{Random, field, split_invariant, untimed};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(text).unwrap();
    zlib.finish().unwrap()
}

/// A message with this first line, these lines behind it, and this body.
fn message(first: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    [format!("{first}\r\n{lines}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn response(lines: &str, body: &[u8]) -> Vec<u8> {
    message("HTTP/1.1 200 OK", lines, body)
}

/// Events with so much of each body, without their times, which depend on how the bytes are cut.
fn told(body: &str, steps: &[Step]) -> Vec<String> {
    let lines = play_with(&[("body", body)], steps);
    lines.iter().map(|line| untimed(line, "sniffx.http.first_byte_ns")).collect()
}

const BODY: &str = "sniffx.http.response.body";

/// RFC 9110, 8.4: what was applied last is taken off first.
#[test]
fn several_codings() {
    let text = b"hello, hello, hello";
    let body = gzip(&zlib(text));
    for lines in [
        "Content-Encoding: deflate, gzip\r\n",
        "Content-Encoding: Deflate\r\nServer: x\r\nContent-Encoding: x-gzip\r\n",
        "Content-Encoding: identity, deflate\r\nContent-Encoding: gzip\r\n",
    ] {
        let steps = [client(GET), server(response(lines, &body))];
        let told = |steps: &[Step]| told("100", steps);
        assert_eq!(values(&told(&steps), BODY), ["hello, hello, hello"], "{lines}");
        assert_eq!(values(&told(&steps), "http.response.body.size"), [body.len().to_string()]);
        assert_eq!(each(&told(&steps), "sniffx.notice"), [None]);
        split_invariant(told, &steps, &mut Random(7), true, lines);
    }
}

#[test]
fn what_can_not_be_read_is_shown_as_it_is() {
    for (lines, body, notice) in [
        ("Content-Encoding: compress\r\n", &b"0123456789"[..], "content codings that are not taken off"),
        ("Content-Encoding: dcb, gzip\r\n", b"0123456789", "content codings that are not taken off"),
        ("Content-Encoding: gzip\r\n", b"0123456789", "a body that can't be decompressed"),
        ("Content-Encoding: zstd, br\r\n", b"0123456789", "a body that can't be decompressed"),
    ] {
        let request = message("POST / HTTP/1.1\r\nHost: a", lines, body);
        let steps = [client(request), server(response(lines, body))];
        let told = play_with(&[("body", "5")], &steps);
        assert_eq!(values(&told, "sniffx.http.request.body"), ["01234"], "{lines}");
        assert_eq!(values(&told, BODY), ["01234"], "{lines}");
        assert_eq!(
            values(&told, "sniffx.notice"),
            [format!("{notice}; in the response: {notice}")],
            "{lines}"
        );
        // Nobody asked for it.
        assert_eq!(each(&play_with(&[], &steps), "sniffx.notice"), [None], "{lines}");
    }
}

#[test]
fn requests_are_decompressed_too() {
    let text = b"[1, 2, 3, 4, 5, 6]".repeat(2000);
    let ask = message("POST /one HTTP/1.1\r\nHost: a", "Content-Encoding: gzip\r\n", &gzip(&text));
    let next = message("POST /two HTTP/1.1\r\nHost: a", "", b"plain");
    let steps = [client([ask, next].concat()), server(OK), server(OK)];
    let told = |steps: &[Step]| told("9", steps);
    assert_eq!(values(&told(&steps), "sniffx.http.request.body"), ["[1, 2, 3,", "plain"]);
    assert_eq!(values(&told(&steps), "http.request.body.size")[1], "5");
    split_invariant(told, &steps, &mut Random(7), true, "requests");
}

/// What follows missing bytes is not the beginning of a body, and makes no sense to a decompressor.
#[test]
fn only_what_comes_before_missing_bytes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";
    let ask = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n";
    let steps = [
        client(format!("{ask}01234")),
        Step::Gap(Direction::ToServer, 10),
        client("56789"),
        server(format!("{head}01234")),
        Step::Gap(Direction::ToClient, 10),
        server("56789"),
        client(ask),
        client("01234567890123456789"),
        server(format!("{head}01234567890123456789")),
    ];
    let told = play_with(&[("body", "100")], &steps);
    assert_eq!(heads(&told), [("exchange", "incomplete:gap"), ("exchange", "ok")]);
    assert_eq!(values(&told, "sniffx.http.request.body"), ["01234", "01234567890123456789"]);
    assert_eq!(values(&told, BODY), ["01234", "01234567890123456789"]);
    assert_eq!(values(&told, "http.response.body.size"), ["20", "20"]);
}

/// Of a long body only the beginning is kept: a decompressor that keeps back what it may look back at must show that.
#[test]
fn the_beginning_of_long_bodies() {
    let mut random = Random(3);
    let text: Vec<u8> = (0..2_000_000).map(|_| b"0123456789abcdef"[random.below(16)]).collect();
    let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (coding, body) in [("gzip", gzip(&text)), ("zstd", zstd)] {
        assert!(body.len() > 500_000);
        let steps = [client(GET), server(response(&format!("Content-Encoding: {coding}\r\n"), &body))];
        let shown = values(&play_with(&[("body", "1000")], &steps), BODY);
        assert_eq!(shown, [std::str::from_utf8(&text[..1000]).unwrap()], "{coding}");
    }
}

/// A body that was shown keeps no memory of a connection that is silent.
#[test]
fn bodies_leave_no_memory_behind() {
    let mut replay = begin(&[("body", "65536")]);
    replay.step(&client(GET));
    replay.step(&server(response("", &[b'x'; 70_000])));
    assert!(replay.kept() >= 65_536, "{}", replay.kept());
    replay.step(&Step::Wait(2_000_000_000));
    replay.step(&client(GET));
    assert!(replay.kept() < 4096, "{}", replay.kept());
    assert_eq!(heads(&replay.finish(End::Fin)), [("exchange", "ok"), ("exchange", "incomplete:eof")]);
}

/// What waits keeps only so much: texts that are not kept whole say so, and no body is taken for the rest of one.
#[test]
fn texts_that_there_is_no_room_for() {
    let path = format!("/{}", "x".repeat(4000));
    let ask =
        |n: usize| client(format!("POST {path}{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
    let mut steps: Vec<_> = (0..300).map(ask).collect();
    steps.extend((0..300).map(|_| server(OK)));
    let lines = told("100", &steps);
    assert_eq!(lines.len(), 300);
    let (mut whole, mut cut) = (0, 0);
    for (line, n) in lines.iter().zip(0..) {
        let told = field(line, "url.path").unwrap();
        let asked = format!("{path}{n}");
        let body = field(line, "sniffx.http.request.body");
        let length = field(line, "sniffx.text.length");
        if told == asked {
            assert_eq!(length, None);
            whole += 1;
        } else {
            assert!(asked.starts_with(&told), "{line}");
            assert_eq!((length, body), (Some(asked.len().to_string()), None));
            cut += 1;
        }
    }
    assert!(whole > 200 && cut > 20, "{whole} {cut}");
}

/// Of a body that ends too early so much is told as was sent, whether it is shown or passed over; also when it is late.
#[test]
fn bodies_that_end_too_early() {
    let late = Step::Wait(3_600_000_000_000);
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789";
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n0123456789";
    for body in ["0", "5", "5000"] {
        for wait in [&[][..], std::slice::from_ref(&late)] {
            let steps = [&[client(GET), server(part), server("01234")], wait].concat();
            assert_eq!(values(&told(body, &steps), "http.response.body.size"), ["15"], "{body} {wait:?}");
        }
        // Whether its length is known or not, and also where the server does not wait for the rest.
        let refuses = server("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        for upload in [upload.to_owned(), upload.replace("Content-Length: 1000", "Transfer-Encoding: odd")] {
            let steps = [client(upload), client("01234"), refuses.clone()];
            for steps in [&steps[..], &steps[..2]] {
                assert_eq!(values(&told(body, steps), "http.request.body.size"), ["15"], "{body}");
            }
        }
    }
}

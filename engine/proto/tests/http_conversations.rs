//! Generated HTTP conversations: what the plugin tells is what was generated, however the bytes are cut and whatever is missing.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod http_support;
mod support;

use http_support::Generator;
use sniff_x_flow::{Direction, End};
use sniff_x_proto::http::Http;
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Options, Plugin};
use support::{
    Random, check_all, field, gaps_everywhere, is_true, joined_everywhere, only_truth, seeds,
    split_invariant, untimed,
};

fn play_with(options: &[(&str, &str)], midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut given = Options::default();
    for (name, value) in options {
        given.push(*name, *value);
    }
    let mut plugin = Http::default();
    plugin.configure(&given).unwrap();
    let mut replay = Replay::new(Box::new(plugin), 80, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// Events without their times, which depend on how the bytes are cut.
fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    play_with(&[], midstream, steps)
        .into_iter()
        .map(|line| untimed(&line, "sniffx.http.first_byte_ns"))
        .collect()
}

fn client(text: &str) -> Step {
    Step::Data(Direction::ToServer, text.as_bytes().to_vec())
}

fn server(text: &str) -> Step {
    Step::Data(Direction::ToClient, text.as_bytes().to_vec())
}

#[test]
fn told_as_generated() {
    for seed in seeds(300) {
        let generated = Generator::conversation(seed, 8);
        check_all(&generated, &play(false, &generated.steps), seed);
    }
}

#[test]
fn split_invariance() {
    for seed in seeds(6) {
        let generated = Generator::conversation(seed, 3);
        let mut random = Random(seed + 1);
        split_invariant(|s| play(false, s), &generated.steps, &mut random, true, &format!("seed {seed}"));
        let joined = &generated.steps[generated.steps.len() / 2..];
        split_invariant(|s| play(true, s), joined, &mut random, false, &format!("seed {seed}, midstream"));
    }
}

#[test]
fn gaps_at_every_byte() {
    for seed in seeds(6) {
        let generated = Generator::conversation(seed, 4);
        let mut random = Random(seed + 99);
        gaps_everywhere(&generated, |s| play(false, s), &[], &mut random, &format!("seed {seed}"));
    }
}

#[test]
fn joined_at_every_byte() {
    for seed in seeds(6) {
        let generated = Generator::conversation(seed, 5);
        joined_everywhere(
            &generated.steps,
            |s| play(true, s),
            |lines, _, index, at| {
                let what = format!("seed {seed}, from step {index} byte {at}");
                only_truth(&generated, lines, &[], &what);
                for (event, asked) in generated.events.iter().zip(&generated.asked_at) {
                    let turned = generated.steps[index..*asked.max(&index)]
                        .iter()
                        .any(|s| matches!(s, Step::Data(Direction::ToClient, _)));
                    if *asked > index && turned {
                        assert!(
                            lines.iter().any(|line| is_true(line, event, &[])),
                            "{what}: {event:?} is missing in {lines:#?}"
                        );
                    }
                }
            },
        );
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for seed in seeds(60) {
        let generated = Generator::conversation(seed, 6);
        let mut random = Random(seed + 3);
        for _ in 0..60 {
            let mut steps = generated.steps.clone();
            for _ in 0..1 + random.below(3) {
                let index = random.below(steps.len());
                if let Step::Data(_, bytes) = &mut steps[index] {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            let _ = play_with(&[("body", "100")], random.below(2) == 0, &steps);
        }
    }
}

#[test]
fn a_body_up_to_the_end_of_the_connection() {
    let steps = [client("GET /a HTTP/1.0\r\n\r\n"), server("HTTP/1.0 200 OK\r\n\r\nhello "), server("world")];
    let lines = play(false, &steps);
    // Replay ends without a half-close of its own: the last byte could be missing.
    assert_eq!(lines.len(), 1);
    assert_eq!(field(&lines[0], "http.response.body.size").as_deref(), Some("11"));
}

#[test]
fn before_http_1_0() {
    let steps = [client("GET /old\r\n"), server("<html>\n"), server("</html>\n")];
    for steps in [&steps[..], &[client("GET /old\r\nHost: a\r\n\r\n"), steps[1].clone(), steps[2].clone()]] {
        let lines = play(false, steps);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert_eq!(field(&lines[0], "url.path").as_deref(), Some("/old"));
        assert_eq!(field(&lines[0], "http.response.body.size").as_deref(), Some("15"));
        assert_eq!(field(&lines[0], "http.response.status_code"), None);
        assert_eq!(field(&lines[0], "sniffx.notice").as_deref(), Some("no protocol version"));
    }
}

#[test]
fn chosen_headers_are_shown_and_secrets_are_not() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nAuthorization: Bearer hunter2\r\nCookie: s=hunter2\r\n\r\n";
    let response =
        "HTTP/1.1 200 OK\r\nSet-Cookie: s=hunter2\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";
    let options =
        ["x-request-id", "Authorization", "cookie", "set-cookie", "content-type"].map(|n| ("header", n));
    let lines =
        play_with(&[&options[..], &[("body", "10")]].concat(), false, &[client(request), server(response)]);
    let line = &lines[0];
    assert!(!line.contains("hunter2"), "{line}");
    assert_eq!(field(line, "http.request.header.x-request-id").as_deref(), Some("7"));
    assert_eq!(field(line, "http.request.header.authorization").as_deref(), Some("<secret>"));
    assert_eq!(field(line, "http.response.header.set-cookie").as_deref(), Some("<secret>"));
    assert_eq!(field(line, "http.response.header.content-type").as_deref(), Some("text/plain"));
    assert_eq!(field(line, "sniffx.http.response.body").as_deref(), Some("hi"));
}

#[test]
fn websockets() {
    let request = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let response =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi";
    let steps = [
        client(request),
        Step::Data(Direction::ToClient, response.to_vec()),
        Step::Data(Direction::ToServer, b"\x81\x83\0\0\0\0abc\x88\x80\0\0\0\0".to_vec()),
    ];
    let lines = play_with(&[("body", "100")], false, &steps);
    let heads: Vec<_> = lines.iter().map(|l| support::head(l)).collect();
    assert_eq!(
        heads,
        [("exchange", "ok"), ("message", ""), ("message", ""), ("session", "ok")],
        "{lines:#?}"
    );
    assert_eq!(field(&lines[1], "sniffx.http.response.body").as_deref(), Some("hi"));
    assert_eq!(field(&lines[2], "sniffx.http.request.body").as_deref(), Some("abc"));
    assert_eq!(field(&lines[3], "sniffx.http.to_server.frames").as_deref(), Some("2"));
    assert_eq!(play(false, &steps).len(), 2, "messages are shown with --body alone");
}

#[test]
fn what_is_not_decoded_is_said() {
    let state = |steps: &[Step]| {
        let lines = play(false, steps);
        lines.iter().find_map(|l| field(l, "sniffx.session.state")).unwrap_or_default()
    };
    assert_eq!(state(&[client("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]), "http/2");
    assert_eq!(state(&[Step::Data(Direction::ToServer, vec![0x16, 3, 1, 0, 5])]), "encrypted");
    let connect = [client("CONNECT a:443 HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\n\r\n")];
    assert_eq!(state(&connect), "tunnel");
    let h2c = [
        client("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"),
        server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
    ];
    assert_eq!(state(&h2c), "upgraded");
    let lines = play(false, &[client("\x00\x01\x02\x03 nonsense\r\n\r\n")]);
    assert!(lines[0].starts_with("notice"), "{lines:#?}");
}

#[test]
fn events_of_a_stream_are_counted() {
    let response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 36\r\n\r\ndata: 1\n\ndata: 2\r\n\r\nid: 3\n\n: ping\n\nx";
    let lines = play(false, &[client("GET /e HTTP/1.1\r\n\r\n"), server(response)]);
    assert_eq!(field(&lines[0], "sniffx.http.events").as_deref(), Some("2"), "{lines:#?}");
}

/// Lengths that two programs may read differently are told.
#[test]
fn smuggling_is_told() {
    let request =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let lines = play(false, &[client(request), server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]);
    assert_eq!(field(&lines[0], "sniffx.notice").as_deref(), Some("both content length and chunked"));
}

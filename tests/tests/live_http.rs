//! HTTP live: nginx with curl and requests, and a WebSocket server with its client. What the events tell is held against the server's access log, both ways,
//! and against what the clients say.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::clients::python_with;
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::nginx::Nginx;
use sniff_x_tests::oracle::text;
use sniff_x_tests::recording::Recording;
use sniff_x_tests::tshark;
use sniff_x_tests::{has_program, is_root, live, root};

/// Bytes of a large body.
const LARGE: usize = 5_000_000;

fn can_run() -> Option<PathBuf> {
    let programs = [("ip", "iproute2"), ("nginx", "nginx-light"), ("curl", "curl"), ("tcpdump", "tcpdump")];
    if is_root() && programs.iter().all(|(name, package)| has_program(name, package)) {
        python_with("requests, websockets")
    } else {
        None
    }
}

fn capture(net: &Net, options: &[&str]) -> Capture {
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v", "http"]).args(options);
    Capture::start(command)
}

fn curl(net: &Net, number: &str, options: &[&str], path: &str) {
    let output = net
        .on_client("curl")
        .args(["-s", "-o", "/dev/null", "-H", &format!("X-Number: {number}")])
        .args(options)
        .arg(format!("http://{SERVER}{path}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{number}: {output:?}");
}

#[test]
fn every_exchange_is_seen_once_as_the_server_logs_it() {
    let Some(python) = can_run() else { return };
    live("http");
    let net = Net::new();
    let server = Nginx::start(&net, LARGE);
    let options = ["--header", "x-number", "--header", "authorization", "--header", "cookie", "--body", "40"];
    let recording = Recording::start(&net);
    let capture = capture(&net, &options);
    let script = root().join("tests/scripts/http_client.py");
    let output = net.on_client(python).arg(script).args([SERVER, &LARGE.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = binary::parse(&output.stdout);
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), vec![b'e'; 2_000_000]).unwrap();
    let upload = format!("@{}", body.path().display());
    curl(&net, "c1", &["-H", "Expect: 100-continue", "--data-binary", &upload], "/upload");
    curl(&net, "c2", &["--http1.0"], "/text.txt");
    curl(&net, "c3", &["--compressed"], "/text.txt");
    curl(&net, "c4", &["-I"], "/text.txt");
    curl(&net, "c5", &["-r", "10-19"], "/text.txt");
    curl(&net, "c6", &["-X", "BREW"], "/small.txt");
    let (events, stderr, status) = capture.stop();
    assert!(status.success(), "{stderr}");
    assert!(!format!("{events:?}{stderr}").contains("s3cret"), "a secret is shown");

    // Both ways: as many events as lines, each line with its event.
    let log = server.log();
    let number = |event: &Value| text(event, "http.request.header.x-number").to_owned();
    let told: BTreeMap<String, &Value> = events.iter().map(|e| (number(e), e)).collect();
    assert_eq!(events.len(), log.len(), "{events:#?}\n{log:#?}");
    assert_eq!(told.len(), log.len());
    for line in &log {
        let event = told[text(line, "number")];
        let query = event["url.query"].as_str().map(|q| format!("?{q}")).unwrap_or_default();
        assert_eq!(text(event, "http.request.method"), text(line, "method"), "{event}");
        assert_eq!(format!("{}{query}", text(event, "url.path")), text(line, "uri"), "{event}");
        assert_eq!(event["http.response.status_code"], line["status"], "{event}");
        assert_eq!(event["client.port"], line["port"], "{event}");
        assert_eq!(text(event, "user_agent.original"), text(line, "agent"), "{event}");
        let failed = line["status"].as_u64().unwrap() >= 400;
        assert_eq!(event["status"], if failed { "error" } else { "ok" }, "{event}");
        // The server counts what it sent behind the head: chunks with their lengths.
        let (sent, size) =
            (line["sent"].as_u64().unwrap(), event["http.response.body.size"].as_u64().unwrap());
        let is_chunked = said.iter().any(|s| s["number"] == line["number"] && s["chunked"] == true)
            || text(line, "number") == "c3";
        if is_chunked {
            assert!(size < sent && size > sent / 2, "{event} {line}");
        } else {
            // The interim response counts as sent, too.
            let interim =
                if text(line, "number") == "c1" { b"HTTP/1.1 100 Continue\r\n\r\n".len() as u64 } else { 0 };
            assert_eq!(size + interim, sent, "{event} {line}");
        }
        // It counts what it received with the head.
        let received = line["received"].as_u64().unwrap();
        let body = event["http.request.body.size"].as_u64().unwrap();
        assert!(body < received && received - body < 1000, "{event} {line}");
        let (first, all) =
            (event["sniffx.http.first_byte_ns"].as_u64().unwrap(), event["duration_ns"].as_u64().unwrap());
        assert!(first <= all, "{event}");
        if text(line, "uri") == "/slow.bin" {
            // 150,000 bytes at 100 KiB a second.
            let seconds = line["seconds"].as_f64().unwrap();
            assert!(all > 300_000_000 && seconds > 0.3, "{event} {line}");
        }
    }
    // What the client says: each number with its status, sizes as it received them.
    for said in &said {
        let event = told[text(said, "number")];
        assert_eq!(event["http.response.status_code"], said["status"], "{event}");
        // Of chunks urllib3 does not count what it received.
        if let Some(received) = said["received"].as_u64().filter(|_| said["chunked"] != true) {
            assert_eq!(event["http.response.body.size"], received, "{event} {said}");
        }
    }
    let of = |number: &str| told[number];
    assert_eq!(of("9")["http.request.body.size"], LARGE);
    assert_eq!(of("10")["http.request.body.size"], 100_000);
    assert_eq!(of("c1")["http.request.body.size"], 2_000_000);
    assert_eq!(of("12")["http.request.header.authorization"], "<secret>");
    assert_eq!(of("12")["http.request.header.cookie"], "<secret>");
    // Shown decompressed, and as it is.
    let shown = "some text that repeats itself; some text";
    for number in ["6", "7", "p2", "c3"] {
        assert!(
            text(of(number), "sniffx.http.response.body").starts_with("some text that"),
            "{}",
            of(number)
        );
    }
    assert_eq!(of("7")["sniffx.http.response.body"], shown);
    let dissected = check_recording(recording.stop().path(), &events);
    eprintln!(
        "{} exchanges, {} said by requests, {} lines of the log, {dissected} dissected by tshark",
        events.len(),
        said.len(),
        log.len()
    );
}

/// Of a connection: requests and codes, in order.
type Said = (Vec<[String; 2]>, Vec<String>);

/// What tshark dissects in a recording of the same traffic: requests and codes of each connection, in order. How many exchanges these are.
fn check_recording(recording: &Path, events: &[Value]) -> usize {
    let fields =
        ["tcp.srcport", "tcp.dstport", "http.request.method", "http.request.uri", "http.response.code"];
    let Some(frames) = tshark::fields(recording, "http", &fields) else { return 0 };
    let mut dissected: BTreeMap<String, Said> = BTreeMap::new();
    for frame in &frames {
        let [source, destination, methods, uris, codes] = &frame[..] else { unreachable!() };
        let of = |port: &[String]| port[0].clone();
        // Several requests of a pipeline are in one frame.
        let requests = methods.iter().zip(uris).map(|(method, uri)| [method.clone(), uri.clone()]);
        dissected.entry(of(source)).or_default().0.extend(requests);
        // Interim responses are no exchange's.
        let codes = codes.iter().filter(|code| *code != "100").cloned();
        dissected.entry(of(destination)).or_default().1.extend(codes);
    }
    let mut told: BTreeMap<String, Said> = BTreeMap::new();
    for event in events {
        let query = event["url.query"].as_str().map(|q| format!("?{q}")).unwrap_or_default();
        let uri = format!("{}{query}", text(event, "url.path"));
        let of = told.entry(event["client.port"].to_string()).or_default();
        // tshark does not know that method.
        let method = text(event, "http.request.method");
        of.0.extend((method != "BREW").then(|| [method.to_owned(), uri]));
        of.1.push(event["http.response.status_code"].to_string());
    }
    dissected.remove("80");
    assert_eq!(told, dissected);
    told.values().map(|(_, codes)| codes.len()).sum()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// What curl gets out of a body that was compressed twice is what is shown of it.
#[test]
fn a_body_that_was_compressed_twice_is_what_the_client_gets() {
    if can_run().is_none() {
        return;
    }
    live("http, several content codings");
    let net = Net::new();
    let server = Nginx::start(&net, LARGE);
    server.serve("twice.txt", &gzip(&gzip(&b"some text, compressed twice; ".repeat(1000))));
    let capture = capture(&net, &["--body", "200", "--header", "content-encoding"]);
    let url = format!("http://{SERVER}/twice.txt");
    let output = net.on_client("curl").args(["-s", "--compressed", &url]).output().unwrap();
    assert!(output.status.success() && output.stdout.len() > 20_000, "{output:?}");
    let (events, stderr, status) = capture.stop();
    assert!(status.success(), "{stderr}");
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(text(event, "http.response.header.content-encoding"), "gzip, gzip");
    assert_eq!(text(event, "sniffx.http.response.body").as_bytes(), &output.stdout[..200]);
}

#[test]
fn websocket_messages_are_those_of_the_client() {
    let Some(python) = can_run() else { return };
    live("websocket");
    let net = Net::new();
    let script = root().join("tests/scripts/websocket.py");
    let run = |role: &str, python: &Path| -> std::process::Command {
        let mut command = if role == "serve" { net.on_server(python) } else { net.on_client(python) };
        command.arg(&script).args([role, SERVER]);
        command
    };
    let mut server = run("serve", &python).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    let capture = capture(&net, &["--body", "65536"]);
    let output = run("ask", &python).output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = &binary::parse(&output.stdout)[0];
    let (events, stderr, status) = capture.stop();
    assert!(status.success(), "{stderr}");
    let upgrades: Vec<_> = events.iter().filter(|e| e["http.response.status_code"] == 101).collect();
    assert_eq!(upgrades.len(), 2, "{events:#?}");
    let texts: Vec<&str> = said["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    for upgrade in upgrades {
        let of_connection: Vec<_> =
            events.iter().filter(|e| e["client.port"] == upgrade["client.port"]).collect();
        let session = of_connection.iter().find(|e| e["sniffx.session.state"] == "websocket").unwrap();
        assert_eq!(session["status"], "ok", "{session}");
        // Each message is a frame, and the closing one.
        let frames = said["messages"].as_u64().unwrap() + 1;
        assert_eq!(session["sniffx.http.to_server.frames"], frames, "{session}");
        assert_eq!(session["sniffx.http.to_client.frames"], frames, "{session}");
        for key in ["sniffx.http.request.body", "sniffx.http.response.body"] {
            let shown: Vec<_> = of_connection
                .iter()
                .filter(|e| e["sniffx.kind"] == "message" && e.get(key).is_some())
                .map(|e| text(e, key))
                .collect();
            assert_eq!(shown.len(), texts.len(), "{key}: {shown:.300?}");
            for (shown, sent) in shown.iter().zip(&texts) {
                assert!(
                    shown == sent || sent.len() > 65_536 && sent.starts_with(*shown),
                    "{shown:.100} is not {sent:.100}"
                );
            }
        }
    }
    eprintln!("2 connections, {} messages each way", said["messages"]);
}

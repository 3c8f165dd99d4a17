//! `http` on every real capture that holds HTTP/1, against what others tell of it: tshark's messages (every request, its response, sizes and times), Zeek's logs,
//! Percona's expectations.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test"
)]

#[path = "http_captures/explained.rs"]
mod explained;

use std::collections::BTreeMap;

use explained::Explained;
use serde_json::Value;
use sniff_x_tests::oracle::{self, Ends, endpoint, event_end, event_time, text};
use sniff_x_tests::shared_captures;

/// Asserts that `found` are exactly the differences that are explained.
fn check(found: Vec<String>, explained: &[Explained]) {
    let each = |(capture, differences, why): &Explained| {
        let (capture, why) = (*capture, *why);
        differences.iter().map(move |difference| (capture, *difference, why))
    };
    oracle::check(found, &explained.iter().flat_map(each).collect::<Vec<_>>());
}

/// The port in an address with its port.
fn port(endpoint: &str) -> &str {
    endpoint.rsplit(':').next().unwrap()
}

/// Whether a message of tshark is a request or a response. (Its own word for that is missing for methods that it does not know.)
fn is_request(message: &Value) -> Option<bool> {
    if message.get("request_method").is_some() {
        return Some(true);
    }
    message.get("response_code").or(message.get("response_version")).map(|_| false)
}

/// tshark's messages of a capture by connection, with the server's ports.
fn connections(messages: &[Value]) -> (BTreeMap<Ends, Vec<&Value>>, Vec<String>) {
    let mut connections: BTreeMap<Ends, Vec<&Value>> = BTreeMap::new();
    let mut ports = Vec::new();
    for message in messages {
        let (source, destination) = (endpoint(text(message, "src")), endpoint(text(message, "dst")));
        let ends = match is_request(message) {
            Some(true) => (source, destination),
            Some(false) => (destination, source),
            None => continue,
        };
        ports.push(port(&ends.1).to_owned());
        connections.entry(ends).or_default().push(message);
    }
    ports.sort();
    ports.dedup();
    (connections, ports)
}

/// Bytes of a message's body on the wire; what tshark gives as the body is decompressed.
fn body_size(message: &Value) -> u64 {
    let number = |key: &str| text(message, key).parse::<u64>().ok();
    if let Some(chunks) = message["chunk_sizes"].as_array() {
        return chunks.iter().map(|c| c.as_str().unwrap().parse::<u64>().unwrap()).sum();
    }
    let body = message["body_len"].as_u64();
    let compressed = message.get("content_encoding").is_some();
    number("content_length_header").filter(|_| compressed && body.is_some()).or(body).unwrap_or(0)
}

struct Comparison<'a> {
    name: String,
    client: &'a str,
    differences: Vec<String>,
    compared: usize,
}

/// `theirs`, with the values hidden that `ours` hides: those of parameters whose names say that they are secrets.
fn hidden_as_in(ours: &str, theirs: &str) -> String {
    // The last one is none, but by its name it might be.
    const SECRETS: [&str; 6] = ["api_key", "pass", "signature", "token", "sid", "ct_cookie_present"];
    let cut =
        |text: &str| -> Vec<String> { text.split_inclusive(['?', '&', ';']).map(str::to_owned).collect() };
    let (mine, other) = (cut(ours), cut(theirs));
    if mine.len() != other.len() {
        return theirs.to_owned();
    }
    let hidden =
        |(mine, other): (&String, &String)| match (mine.split_once("=<secret>"), other.split_once('=')) {
            (Some((name, _)), Some((same, value)))
                if name == same
                    && SECRETS.contains(&name.to_lowercase().as_str())
                    && !value.trim_end_matches(['&', ';']).is_empty() =>
            {
                mine.clone()
            }
            _ => other.clone(),
        };
    mine.iter().zip(&other).map(hidden).collect()
}

impl Comparison<'_> {
    fn differs(&mut self, what: &str) {
        self.differences.push(format!("{} {}: {what}", self.name, port(self.client)));
    }

    fn same(&mut self, what: &str, ours: &str, theirs: &str) {
        self.compared += 1;
        if ours != theirs {
            let cut = |text: &str| text.chars().take(60).collect::<String>();
            self.differs(&format!("{what} is {}, not {}", cut(ours), cut(theirs)));
        }
    }

    fn request(&mut self, event: &Value, request: &Value) {
        let path = text(event, "url.path");
        let query = event["url.query"].as_str().map(|q| format!("?{q}")).unwrap_or_default();
        // A proxy is sent the host in the target, and an empty query is none.
        let uri = text(request, "request_uri");
        let uri = uri.strip_prefix(&format!("http://{}", text(event, "sniffx.http.host"))).unwrap_or(uri);
        let target = format!("{path}{query}");
        self.same("target", &target, &hidden_as_in(&target, uri.trim_end_matches('?')));
        self.same("method", text(event, "http.request.method"), text(request, "request_method"));
        // A header without a value comes as its bytes, in hexadecimal digits.
        let value = |key| Some(text(request, key)).filter(|v| !v.ends_with("0d0a") && !v.ends_with("3a0a"));
        self.same("host", text(event, "sniffx.http.host"), value("host").unwrap_or_default());
        self.same("agent", text(event, "user_agent.original"), value("user_agent").unwrap_or_default());
        let size = event["http.request.body.size"].as_u64().unwrap();
        self.same("request's size", &size.to_string(), &body_size(request).to_string());
        // tshark's frame is the one with the request's last byte, the event's time that of its first.
        self.compared += 1;
        if event_time(event) > oracle::time(text(request, "ts")) {
            self.differs("begins later");
        }
    }

    fn response(&mut self, event: &Value, response: &Value) {
        let code = event["http.response.status_code"].as_u64().map(|c| c.to_string()).unwrap_or_default();
        self.same("code", &code, text(response, "response_code"));
        let size = event["http.response.body.size"].as_u64().unwrap_or(0);
        self.same("response's size", &size.to_string(), &body_size(response).to_string());
        self.compared += 1;
        let (end, theirs) = (event_end(event).unwrap(), oracle::time(text(response, "ts")));
        if end != theirs {
            self.differs(if end < theirs { "ends earlier" } else { "ends later" });
        }
    }

    /// All requests of a connection with their responses.
    fn connection(&mut self, events: &[&Value], messages: &[&Value]) {
        let (requests, mut responses): (Vec<&Value>, Vec<&Value>) =
            messages.iter().partition(|m| is_request(m) == Some(true));
        responses.retain(|r| !text(r, "response_code").starts_with('1') || text(r, "response_code") == "101");
        if events.len() != requests.len() {
            return self.differs(&format!("{} exchanges, not {}", events.len(), requests.len()));
        }
        for (number, (event, request)) in events.iter().zip(&requests).enumerate() {
            self.request(event, request);
            let frame = request["frame"].to_string();
            // The one that tshark pairs with it; else, where it pairs none, the one that ends when ours does.
            let paired = responses.iter().position(|r| text(r, "request_in") == frame).or_else(|| {
                let unpaired = |r: &&Value| r.get("request_in").is_none();
                let end = event_end(event);
                responses.iter().position(|r| unpaired(r) && Some(oracle::time(text(r, "ts"))) == end)
            });
            // Or, where tshark pairs nothing and there are as many of both left, the next one.
            let rest = requests.len() - number;
            let next = || (responses.len() == rest && responses[0].get("request_in").is_none()).then_some(0);
            let response = paired.or_else(next).map(|at| responses.remove(at));
            match (text(event, "status"), response) {
                // Of a connection that was joined in the middle, the first response may belong to an earlier request.
                ("incomplete", _) if number == 0 && event["sniffx.incomplete.reason"] == "midstream" => {}
                ("incomplete", None) => {}
                ("incomplete", Some(_)) => {
                    let reason = text(event, "sniffx.incomplete.reason");
                    self.differs(&format!("incomplete: {reason}"));
                }
                (_, None) => self.differs(&format!("answered {}", event["http.response.status_code"])),
                (_, Some(response)) => self.response(event, response),
            }
        }
        // Without any request a response tells of nothing.
        if !responses.is_empty() && !requests.is_empty() {
            self.differs(&format!("{} responses more", responses.len()));
        }
    }
}

#[test]
fn every_exchange_as_tshark_tells_it() {
    let Some(root) = shared_captures() else { return };
    let (mut differences, mut captures, mut exchanges, mut compared) = (Vec::new(), 0, 0, 0);
    for capture in oracle::captures(&root, &[]) {
        let messages = oracle::messages(&capture, "oracle.jsonl");
        let (connections, ports) = connections(&messages);
        if ports.is_empty() {
            continue;
        }
        captures += 1;
        let options: Vec<_> = ports.iter().flat_map(|p| ["--port", p]).collect();
        let mut events = oracle::events(&capture, &[&["http"], &options[..]].concat());
        let name = oracle::name(&capture);
        for (ends, messages) in connections {
            let events = events.remove(&ends).unwrap_or_default();
            let events: Vec<_> = events.iter().filter(|e| e["sniffx.kind"] == "exchange").collect();
            let mut comparison =
                Comparison { name: name.clone(), client: &ends.0, differences: Vec::new(), compared: 0 };
            comparison.connection(&events, &messages);
            comparison.differences.dedup();
            exchanges += events.len();
            compared += comparison.compared;
            differences.append(&mut comparison.differences);
        }
        for ((client, _), events) in events {
            if events.iter().any(|e| e["sniffx.kind"] == "exchange") {
                differences.push(format!("{name} {}: tshark has nothing", port(&client)));
            }
        }
    }
    eprintln!(
        "{captures} captures, {exchanges} exchanges, {compared} facts compared, {} differ",
        differences.len()
    );
    assert!(captures > 200 && exchanges > 2800 && compared > 15_000);
    check(differences, explained::TSHARK);
}

/// A line of Zeek's log by the names in its head.
fn zeek(log: &str) -> Vec<BTreeMap<&str, &str>> {
    let Some(names) = log.lines().find_map(|l| l.strip_prefix("#fields\t")) else { return Vec::new() };
    let names: Vec<_> = names.split('\t').collect();
    let lines = log.lines().filter(|l| !l.starts_with('#'));
    lines.map(|line| names.iter().copied().zip(line.split('\t')).collect()).collect()
}

/// What Zeek's log tells of each request: `-` is what it does not know.
#[test]
fn every_exchange_as_zeek_logs_it() {
    let Some(root) = shared_captures() else { return };
    let (mut differences, mut lines, mut compared) = (Vec::new(), 0, 0);
    for capture in oracle::captures(&root, &["http1", "reassembly"]) {
        for log in oracle::expected(&capture, "http.log")
            .into_iter()
            .chain(oracle::expected(&capture, "-http.log.cut"))
        {
            let mut connections: BTreeMap<Ends, Vec<BTreeMap<&str, &str>>> = BTreeMap::new();
            for line in zeek(&log) {
                // Without a method Zeek logs what it can't read.
                let Some(client) =
                    line.get("id.orig_h").filter(|_| line.get("method").is_some_and(|m| *m != "-"))
                else {
                    continue;
                };
                let client = endpoint(&format!("{client}:{}", line["id.orig_p"]));
                let server = endpoint(&format!("{}:{}", line["id.resp_h"], line["id.resp_p"]));
                connections.entry((client, server)).or_default().push(line);
            }
            let ports: Vec<_> = connections.keys().flat_map(|(_, s)| ["--port", port(s)]).collect();
            if ports.is_empty() {
                continue;
            }
            let mut events = oracle::events(&capture, &[&["http"], &ports[..]].concat());
            for (ends, log) in connections {
                lines += log.len();
                let events = events.remove(&ends).unwrap_or_default();
                let events: Vec<_> = events.iter().filter(|e| e["sniffx.kind"] == "exchange").collect();
                let mut comparison = Comparison {
                    name: oracle::name(&capture),
                    client: &ends.0,
                    differences: Vec::new(),
                    compared: 0,
                };
                if events.len() != log.len() {
                    comparison.differs(&format!("{} exchanges, not {}", events.len(), log.len()));
                    differences.append(&mut comparison.differences);
                    continue;
                }
                for (event, line) in events.iter().zip(log) {
                    let query = event["url.query"].as_str().map(|q| format!("?{q}")).unwrap_or_default();
                    let target = format!("{}{query}", text(event, "url.path"));
                    let number = |key: &str| event[key].as_u64().map(|n| n.to_string()).unwrap_or_default();
                    for (name, ours) in [
                        ("method", text(event, "http.request.method").to_owned()),
                        ("host", text(event, "sniffx.http.host").to_owned()),
                        ("uri", target),
                        ("user_agent", text(event, "user_agent.original").to_owned()),
                        ("request_body_len", number("http.request.body.size")),
                        ("response_body_len", number("http.response.body.size")),
                        ("status_code", number("http.response.status_code")),
                    ] {
                        let theirs = line.get(name).copied().unwrap_or("-");
                        // What comes before HTTP/1.0 has no head to Zeek, whatever is in it.
                        let has_head = event.get("http.response.status_code").is_some();
                        if has_head && line.get("status_code") == Some(&"0") && name.contains(['_']) {
                            continue;
                        }
                        if theirs != "-" && !(ours.is_empty() && theirs == "0") {
                            comparison.same(name, &ours, &theirs.replace("(empty)", ""));
                        }
                    }
                }
                compared += comparison.compared;
                differences.append(&mut comparison.differences);
            }
        }
    }
    eprintln!("{lines} lines of Zeek, {compared} facts compared, {} differ", differences.len());
    assert!(lines >= 50 && compared > 270);
    check(differences, explained::ZEEK);
}

/// Percona's expectations: when a request began, how long its first byte and the rest of the response took, bytes, status.
#[test]
fn every_exchange_as_percona_expects_it() {
    let Some(root) = shared_captures() else { return };
    let expectations =
        std::fs::read_to_string(root.join("_expected/percona-toolkit/HTTPProtocolParser.t")).unwrap();
    let mut compared = 0;
    for capture in oracle::captures(&root, &["http1"]) {
        let name = oracle::name(&capture);
        let Some(name) = name.strip_prefix("http1/percona-toolkit__") else { continue };
        let Some((_, of_file)) = expectations.split_once(&format!("{name}.txt")) else { continue };
        let of_file = of_file.split(");").next().unwrap();
        let all = oracle::events(&capture, &["http", "--port", "80"]);
        let mut events: Vec<_> = all.values().flatten().filter(|e| e["sniffx.kind"] == "exchange").collect();
        events.sort_by_key(|e| event_time(e));
        let mut count = 0;
        for expected in of_file.split('{').skip(1) {
            let facts: BTreeMap<&str, &str> = expected
                .lines()
                .filter_map(|line| line.split_once("=>"))
                .map(|(key, value)| (key.trim(), value.trim().trim_end_matches(',').trim_matches('\'')))
                .collect();
            let at = facts["ts"].replace(' ', "T");
            let Some(event) = events.iter().find(|e| text(e, "timestamp").starts_with(&at)) else {
                panic!("{name}: no event at {at}: {events:#?}")
            };
            count += 1;
            // The first exchange of a connection that was joined in the middle is not known to have this response.
            if event["sniffx.incomplete.reason"] == "midstream" {
                continue;
            }
            let query = event["url.query"].as_str().map(|q| format!("?{q}")).unwrap_or_default();
            let method = text(event, "http.request.method").to_lowercase();
            let target =
                format!("{method} {}{}{query}", text(event, "sniffx.http.host"), text(event, "url.path"));
            assert_eq!(target, facts["arg"], "{name}");
            assert_eq!(
                event["http.response.status_code"].to_string(),
                facts["Status_code"],
                "{name}: {event}"
            );
            let bytes = &event["http.response.body.size"];
            assert_eq!(bytes.to_string(), facts["bytes"], "{name}: {event}");
            compared += 1;
            if name == "http_tcpdump004" {
                // The response's first segments were captured in another order: Percona measures to the first that came.
                continue;
            }
            let seconds = |nanos: u64| format!("{}.{:06}", nanos / 1_000_000_000, nanos / 1000 % 1_000_000);
            let first = event["sniffx.http.first_byte_ns"].as_u64().unwrap();
            assert_eq!(seconds(first), facts["Query_time"], "{name}: {event}");
            let rest = event["duration_ns"].as_u64().unwrap() - first;
            assert_eq!(seconds(rest), facts["Transmit_time"], "{name}: {event}");
        }
        assert_eq!(events.len(), count, "{name}: {events:#?}");
    }
    eprintln!("{compared} exchanges of Percona compared");
    assert!(compared >= 10, "{compared}");
}

//! `redis` on every real capture, against what others tell of it: a second decoder's messages (every command, its reply's type, size and error), tshark's
//! times, Zeek's logs, DeepFlow's expectations.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sniff_x_tests::oracle::{self, Ends, endpoint, event_end, event_time, text};
use sniff_x_tests::shared_captures;

/// The ports of the servers.
const PORTS: [&str; 2] = ["6379", "10625"];

fn is_server(endpoint: &str) -> bool {
    PORTS.contains(&endpoint.rsplit(':').next().unwrap())
}

fn events(capture: &Path) -> BTreeMap<Ends, Vec<Value>> {
    oracle::events(capture, &["redis", "--port", PORTS[0], "--port", PORTS[1]])
}

/// Commands and their replies.
fn exchanges(events: &[Value]) -> Vec<&Value> {
    let is_command = |e: &&Value| e["sniffx.kind"] == "exchange" || e["sniffx.kind"] == "message";
    events.iter().filter(is_command).collect()
}

/// One direction's messages of a stream.
type Messages<'a> = Vec<&'a Value>;

/// The messages of each stream: from the client, from the server, and the client.
fn streams(messages: &[Value]) -> BTreeMap<u64, (Messages<'_>, Messages<'_>, String)> {
    let mut streams: BTreeMap<u64, (Messages<'_>, Messages<'_>, String)> = BTreeMap::new();
    for message in messages {
        let stream = streams.entry(message["tcp_stream"].as_u64().unwrap()).or_default();
        if is_server(text(message, "from")) {
            stream.1.push(message);
        } else {
            stream.2 = endpoint(text(message, "from"));
            stream.0.push(message);
        }
    }
    streams
}

/// The words of a message of a client; none where it is not one command.
fn words(message: &Value) -> Option<Vec<String>> {
    let value = &message["value"];
    match text(message, "type") {
        "array" => {
            // Of a long word the beginning.
            let word = |word: &Value| word[1].as_str().or(word[1]["trunc"].as_str()).unwrap().to_owned();
            Some(value.as_array()?.iter().map(word).collect())
        }
        // What begins like a reply is a line to a server.
        "inline" => Some(value.as_str().unwrap().split_whitespace().map(str::to_owned).collect()),
        "bulk" => Some(vec![value.as_str().map_or("$-1", |_| "$0").to_owned()]),
        "simple" => Some(vec![format!("+{}", value.as_str().unwrap())]),
        "error" => Some(vec![format!("-{}", value.as_str().unwrap())]),
        "int" => Some(vec![format!(":{}", value.as_str().unwrap())]),
        _ => None,
    }
    .filter(|words| !words.is_empty())
}

/// Whether the words of an inline command, quotes taken away, are the same text.
fn same_text(shown: &str, words: &[String]) -> bool {
    let secret = matches!(words[0].to_ascii_uppercase().as_str(), "AUTH");
    let bare = |text: &str| text.replace(['"', '\'', '\\'], "");
    let words =
        if secret { [&words[..words.len() - 1], &["<secret>".to_owned()]].concat() } else { words.to_vec() };
    let text = words.join(" ");
    // A long word is told by its beginning, which is all of it that is compared.
    let cut = text.len() > 100 && words.last().is_some_and(|w| w.len() > 50) && shown.starts_with(&text);
    cut || shown == text || bare(shown) == bare(&text)
}

/// Type, number of values and error of a reply as events name them.
fn reply(message: &Value) -> (&'static str, Option<u64>, Option<&str>) {
    let value = &message["value"];
    let count = value.as_array().map(|values| values.iter().filter(|v| v[0] != "attribute").count() as u64);
    match text(message, "type") {
        "simple" => ("status", None, None),
        "error" => ("error", None, value.as_str()),
        "int" => ("integer", None, None),
        "bulk" | "array" | "null" if value.is_null() => ("nil", None, None),
        "bulk" => ("string", None, None),
        "array" => ("array", count, None),
        other => panic!("{other}"),
    }
}

/// Replies that a client turned off: the commands that have one, by the protocol's description of CLIENT REPLY.
#[derive(Default)]
struct Silence {
    off: bool,
    skip: bool,
}

impl Silence {
    fn answers(&mut self, words: &[String]) -> bool {
        let upper: Vec<_> = words.iter().map(|w| w.to_ascii_uppercase()).collect();
        let upper: Vec<_> = upper.iter().map(String::as_str).collect();
        let skipped = std::mem::take(&mut self.skip);
        match upper[..] {
            ["CLIENT", "REPLY", "ON"] => self.off = false,
            ["CLIENT", "REPLY", "OFF"] => self.off = true,
            ["CLIENT", "REPLY", "SKIP"] if !self.off => {
                self.skip = true;
                return false;
            }
            _ => {}
        }
        !self.off && !skipped
    }
}

#[test]
fn every_command_as_a_second_decoder_tells_it() {
    let Some(root) = shared_captures() else { return };
    let (mut captures, mut commands, mut messages_compared, mut first_of_midstream) = (0, 0, 0, 0);
    for capture in oracle::captures(&root, &["redis"]) {
        captures += 1;
        let messages = oracle::messages(&capture, "resp2.jsonl");
        let events = events(&capture);
        for (_, (asked, answered, client)) in streams(&messages) {
            let what = format!("{} {client}", oracle::name(&capture));
            let empty = Vec::new();
            let events = events.iter().find(|((c, _), _)| *c == client).map_or(&empty, |(_, e)| e);
            let found = exchanges(events);
            let asked: Vec<_> = asked.iter().filter_map(|m| Some((*m, words(m)?))).collect();
            // An attribute tells of the reply behind it; a line feed is none.
            let mut replies = answered.iter().filter(|m| !matches!(text(m, "type"), "attribute" | "inline"));
            let mut silence = Silence::default();
            let midstream = found.first().is_some_and(|e| e["sniffx.incomplete.reason"] == "midstream");
            if asked.is_empty() {
                // What was sent is no command; servers say so. "$-20" and the "hi" behind it are two lines.
                let refused = |e: &Value| e["sniffx.kind"] == "notice" || e["status"] == "error";
                assert!(events.iter().all(refused), "{what}: {events:#?}");
                continue;
            }
            assert_eq!(found.len(), asked.len(), "{what}: {found:#?}\n{asked:#?}");
            for (number, (event, (_, words))) in found.iter().zip(&asked).enumerate() {
                commands += 1;
                messages_compared += 1;
                let shown = text(event, "db.query.text");
                assert!(same_text(shown, words), "{what}: '{shown}' is not {words:?}");
                let name: String = words[0].to_ascii_uppercase().chars().take(32).collect();
                assert_eq!(event["db.operation.name"], name.as_str(), "{what}");
                if !silence.answers(words) {
                    assert_eq!(event["sniffx.kind"], "message", "{what}: {event}");
                    continue;
                }
                let reply_message = replies.next();
                if midstream && number == 0 {
                    // Of a connection that was joined in the middle, the first reply may belong to an earlier command.
                    first_of_midstream += 1;
                    continue;
                }
                // The last one of a capture that ends too early (a reply of 499,712 bytes was cut), or that a server did not answer any more.
                let Some(message) = reply_message.filter(|m| text(m, "type") != "INCOMPLETE") else {
                    assert_eq!(event["status"], "incomplete", "{what}: {event}");
                    continue;
                };
                messages_compared += 1;
                let (kind, count, error) = reply(message);
                assert_eq!(event["sniffx.redis.reply.type"], kind, "{what}: {event}");
                assert_eq!(event["sniffx.redis.reply.count"].as_u64(), count, "{what}: {event}");
                assert_eq!(event["sniffx.db.response.size"], message["len"], "{what}: {event}");
                assert_eq!(event["status"], if error.is_some() { "error" } else { "ok" }, "{what}");
                assert_eq!(event["error.message"].as_str(), error, "{what}");
                if let Some(error) = error {
                    assert_eq!(event["db.response.status_code"].as_str(), error.split(' ').next(), "{what}");
                }
                let value = message["value"].as_str().or(message["value"]["trunc"].as_str());
                if let (Some(value), "string" | "status" | "integer") = (value, kind) {
                    let shown = text(event, "sniffx.redis.reply");
                    assert!(value.starts_with(shown), "{what}: {shown} is not {value:.100}");
                    assert!(shown.len() == value.len().min(64) || !value.is_ascii(), "{what}: {shown}");
                }
            }
            assert_eq!(replies.count(), 0, "{what}: replies that no command has");
        }
    }
    eprintln!(
        "{captures} captures, {commands} commands, {messages_compared} messages compared; {first_of_midstream} first replies of connections joined in the middle"
    );
    assert!(captures == 14 && commands == 1287 && messages_compared == 2559 && first_of_midstream == 7);
}

/// Each event ends when tshark has the reply, and begins when it has the command, where both count the same messages.
#[test]
fn times_as_tshark_tells_them() {
    let Some(root) = shared_captures() else { return };
    let (mut compared, mut connections) = (0, 0);
    for capture in oracle::captures(&root, &["redis"]) {
        let messages = oracle::messages(&capture, "oracle.jsonl");
        for ((client, _), events) in events(&capture) {
            let of = |end: &str| -> Vec<(u64, usize)> {
                let from = messages
                    .iter()
                    .filter(|m| endpoint(text(m, end)) == client && text(m, "proto") == "resp");
                from.map(|m| (oracle::time(text(m, "ts")), m["elements"].as_array().unwrap().len())).collect()
            };
            let each = |frames: Vec<(u64, usize)>| -> Vec<u64> {
                frames.iter().flat_map(|(time, count)| std::iter::repeat_n(*time, *count)).collect()
            };
            let (asked, answered) = (each(of("src")), each(of("dst")));
            let found = exchanges(&events);
            if found.len() != asked.len() || found.len() != answered.len() {
                continue;
            }
            connections += 1;
            for ((event, asked), answered) in found.iter().zip(asked).zip(answered) {
                if let Some(end) = event_end(event) {
                    assert_eq!(end, answered, "{event}");
                    // A command in several frames is whole later than it begins.
                    let short = text(event, "db.query.text").len() < 1000;
                    assert!(event_time(event) == asked || event_time(event) < asked && !short, "{event}");
                    compared += 1;
                }
            }
        }
    }
    eprintln!("{connections} connections, {compared} exchanges' times compared");
    assert!(connections > 5 && compared > 200);
}

#[test]
fn commands_as_zeek_logs_them() {
    let Some(root) = shared_captures() else { return };
    let mut compared = 0;
    for capture in oracle::captures(&root, &["redis"]) {
        for log in oracle::expected(&capture, "redis.log") {
            let events = events(&capture);
            let mut found = events.values().flat_map(|e| exchanges(e));
            for line in log.lines().filter(|l| !l.starts_with('#')) {
                let fields: Vec<_> = line.split('\t').skip(2).collect();
                let [client, port, _, _, name, key, value, success, reply] = fields[..] else {
                    panic!("{line}")
                };
                let event = found.next().unwrap_or_else(|| panic!("no event for {line}"));
                assert_eq!(
                    (text(event, "client.address"), event["client.port"].to_string()),
                    (client, port.to_owned())
                );
                // Behind too many commands at once Zeek knows only the replies.
                assert!(text(event, "db.operation.name") == name || name == "-", "{line}");
                let bare = |text: &str| text.replace(['"', '\'', '\\'], "");
                let argument = |at: usize| text(event, "db.query.text").splitn(at + 1, ' ').nth(at).map(bare);
                let logged =
                    |text: &str| Some(text).filter(|t| *t != "-").map(|t| bare(&t.replace("(empty)", "")));
                if let Some(key) = logged(key) {
                    assert_eq!(
                        argument(1).as_ref().and_then(|a| a.split(' ').next()),
                        Some(key.as_str()),
                        "{line}"
                    );
                }
                if let Some(value) = logged(value) {
                    assert!(argument(2).unwrap().starts_with(&value), "{line}: {event}");
                }
                // Of a connection that was joined in the middle, the first reply may belong to an earlier command.
                if event["sniffx.incomplete.reason"] != "midstream" {
                    let status = match (success, text(event, "sniffx.kind")) {
                        ("T", _) => "ok",
                        ("F", _) => "error",
                        (_, "message") => "",
                        _ => "incomplete",
                    };
                    assert_eq!(text(event, "status"), status, "{line}: {event}");
                    let shown = event.get("error.message").or(event.get("sniffx.redis.reply"));
                    if let (Some(reply), Some(shown)) = (logged(reply), shown.and_then(Value::as_str)) {
                        let (reply, shown) =
                            (reply.replace(['[', ']', ','], ""), bare(shown).replace(',', ""));
                        assert!(reply.starts_with(&shown), "{line}: {event}");
                    }
                }
                compared += 1;
            }
            assert_eq!(found.count(), 0, "{}", oracle::name(&capture));
        }
    }
    eprintln!("{compared} lines of Zeek compared");
    assert!(compared > 150);
}

#[test]
fn commands_as_deepflow_expects_them() {
    let Some(root) = shared_captures() else { return };
    let mut compared = 0;
    for capture in oracle::captures(&root, &["redis"]) {
        for result in oracle::expected(&capture, "deepflow.result") {
            let quoted = |line: &str, name: &str| -> String {
                line.split(&format!("{name}: \"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
            };
            let mut asked: Vec<String> =
                result.lines().map(|line| quoted(line, " request")).filter(|r| !r.is_empty()).collect();
            let errors: Vec<String> =
                result.lines().map(|line| quoted(line, "error")).filter(|r| !r.is_empty()).collect();
            let events = events(&capture);
            let mut found: Vec<_> = events
                .values()
                .flat_map(|e| exchanges(e))
                .map(|e| text(e, "db.query.text").to_owned())
                .collect();
            asked.sort();
            found.sort();
            assert_eq!(found, asked, "{}", oracle::name(&capture));
            // It is the first reply of a connection joined in the middle.
            assert!(errors.len() <= 1, "{errors:?}");
            compared += asked.len();
        }
    }
    eprintln!("{compared} commands of DeepFlow compared");
    assert_eq!(compared, 11);
}

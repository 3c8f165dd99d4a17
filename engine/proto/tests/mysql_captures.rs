//! Real captures against independent dissections: tshark's (`NAME.oracle.jsonl`) and Percona's expected events.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use std::collections::BTreeMap;

use mysql_support::{SERVERS, capture_files, captures, conversations, field};
use serde_json::Value;

/// A command as both tell it: its number with its text or id, how it ended, rows of a text result.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    command: String,
    error: Option<String>,
    rows: Option<usize>,
}

const NAMES: &[(&str, &str)] = &[
    ("1", "QUIT"),
    ("2", "INIT_DB"),
    ("4", "FIELD_LIST"),
    ("9", "STATISTICS"),
    ("14", "PING"),
    ("17", "CHANGE_USER"),
];

/// What our events tell of a connection's commands.
fn ours(lines: &[String]) -> Vec<Told> {
    let mut told = Vec::new();
    for line in lines.iter().filter(|l| l.starts_with("exchange") || l.starts_with("message")) {
        let operation = field(line, "db.operation.name").unwrap();
        let id = field(line, "sniffx.db.statement_id").unwrap_or_default();
        let text = field(line, "db.query.text").unwrap_or_default();
        let named = NAMES.iter().find(|(_, name)| *name == operation);
        let command = match (named, operation.as_str()) {
            (Some((number, _)), _) => (*number).to_owned(),
            (None, "PREPARE") => format!("22 {text}"),
            (None, "CLOSE") => format!("25 {id}"),
            (None, "RESET") => format!("26 {id}"),
            (None, _) if !id.is_empty() => format!("23 {id}"),
            (None, _) => format!("3 {text}"),
        };
        let rows = field(line, "db.response.returned_rows").map(|r| r.parse().unwrap());
        let rows = rows.filter(|_| command.starts_with("3 "));
        told.push(Told { command, error: field(line, "db.response.status_code"), rows });
    }
    told
}

/// What tshark tells of each stream's commands; none for a stream where it gave up.
fn theirs(oracle: &str) -> BTreeMap<usize, Option<Vec<Told>>> {
    let mut streams: BTreeMap<usize, Option<Vec<Told>>> = BTreeMap::new();
    for line in oracle.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
        let stream = usize::try_from(message["tcp_stream"].as_u64().unwrap()).unwrap();
        let told = streams.entry(stream).or_insert_with(|| Some(Vec::new()));
        if message["proto"] == "_ws.malformed" || message.get("command_invalid").is_some() {
            *told = None;
        }
        let Some(told) = told else { continue };
        if let Some(number) = text("command") {
            let detail = text("query").or_else(|| text("stmt_id"));
            let command = match detail {
                Some(detail) => format!("{number} {detail}"),
                None => number,
            };
            told.push(Told { command, error: None, rows: None });
        } else if let Some(last) = told.last_mut() {
            last.error = last.error.take().or(text("error_code"));
            match text("kind").as_deref() {
                Some("column count") => last.rows = last.rows.or(Some(0)),
                Some("row packet") => last.rows = last.rows.map(|n| n + 1),
                _ => {}
            }
            last.rows = last.rows.filter(|_| last.command.starts_with("3 "));
        }
    }
    streams
}

/// Where tshark is wrong about rows: all of these connections are joined in the middle, so that it has seen no capabilities. It takes the EOF
/// packet behind the column definitions for the end of the rows, and the rows for further results. The rows here are counted from its
/// own list of packets: all that lie between the two EOF packets.
const ROWS: &[(&str, usize, &str, usize)] = &[
    // Packets 1 to 23: number of columns, 21 definitions, EOF; 24 to 26 rows; 27 EOF.
    ("deepflow__truncate-1024", 0, "3 SELECT * FROM `controller`", 3),
    // Packets 1 to 3: number of columns, a definition, EOF; 4 to 7 rows ("1" … "4"); 8 EOF.
    ("percona-toolkit__tcpdump006", 0, "3 select * from t", 4),
    // Packets 1 to 3: number of columns, a definition, EOF; 4 a row; 5 EOF.
    ("percona-toolkit__tcpdump018", 0, "3 select * from foo", 1),
    ("percona-toolkit__tcpdump018", 1, "3 select * from bar", 1),
];

#[test]
fn commands_as_tshark_tells_them() {
    let Some(folder) = captures() else { return };
    let (mut commands, mut corrected) = (0, 0);
    for path in capture_files(&folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Ok(oracle) = std::fs::read_to_string(folder.join(format!("{name}.oracle.jsonl"))) else {
            continue;
        };
        let mut theirs = theirs(&oracle);
        for conversation in conversations(&path, SERVERS) {
            let stream = conversation.stream;
            let Some(Some(mut expected)) = theirs.remove(&stream) else { continue };
            for told in &mut expected {
                let of = |row: &&(&str, usize, &str, usize)| {
                    row.0 == name && row.1 == stream && row.2 == told.command
                };
                if let Some((_, _, _, rows)) = ROWS.iter().find(of) {
                    assert_ne!(told.rows, Some(*rows), "{name}: tshark has learnt it");
                    told.rows = Some(*rows);
                    corrected += 1;
                }
            }
            let found = ours(&conversation.play());
            assert_eq!(found, expected, "{name} stream {stream}");
            commands += found.len();
        }
    }
    assert_eq!(corrected, ROWS.len());
    assert!(commands > 100, "only {commands} commands were compared");
}

/// The streams that tshark gives up are told nevertheless: what is expected of them was read from the bytes.
#[test]
fn where_tshark_gives_up() {
    let Some(folder) = captures() else { return };
    for (name, expected) in [
        // A lone 0xfe asks for the old authentication; tshark reads an EOF.
        ("percona-toolkit__tcpdump009", &["session incomplete:eof"][..]),
        ("percona-toolkit__tcpdump010", &["session ok", "exchange ok", "message"]),
        // Compressed; the last packet is a request, which joined in the middle is what the next capture begins with. The twelve bytes that answer there
        // are a frame of one byte and the beginning of another: no packet.
        ("percona-toolkit__tcpdump013", &["session ok", "exchange incomplete:eof"]),
        ("percona-toolkit__tcpdump014", &["exchange incomplete:midstream"]),
        // A query with attributes, which tshark 4.4 can't dissect.
        ("zeek__mysql-9.0.0-query-attributes", &["session ok", "exchange ok", "exchange ok", "message"]),
        // Joined in the middle, prepared statements: tshark reads binary rows as OK packets.
        ("percona-toolkit__tcpdump021", &["exchange ok", "exchange ok", "message"]),
        ("percona-toolkit__tcpdump028", &["exchange ok"; 4]),
        ("percona-toolkit__tcpdump029", &["exchange ok", "exchange ok", "message", "message"]),
        // By their TCP numbers these are a request with 2885 bytes missing inside: nothing whole is there to tell. Percona's text for them is the
        // payloads put together regardless of the numbers.
        ("percona-toolkit__tcpdump031", &[]),
        ("percona-toolkit__tcpdump032", &[]),
    ] {
        let path = folder.join(format!("{name}.pcap"));
        let lines: Vec<_> =
            conversations(&path, SERVERS).iter().flat_map(mysql_support::Conversation::play).collect();
        let heads: Vec<_> = lines
            .iter()
            .map(|line| line.split(' ').take_while(|word| !word.contains('=')).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(heads, expected, "{name}: {lines:#?}");
    }
}

/// Our events in the words of Percona's `MySQLProtocolParser`.
fn as_percona(lines: &[String]) -> Vec<(String, Option<String>)> {
    let mut told = Vec::new();
    for line in lines {
        let operation = field(line, "db.operation.name").unwrap_or_default();
        let text = field(line, "db.query.text").unwrap_or_default();
        let id = field(line, "sniffx.db.statement_id");
        let arg = match (operation.as_str(), id) {
            ("", _) => "administrator command: Connect".to_owned(),
            ("QUIT", _) => "administrator command: Quit".to_owned(),
            ("PREPARE", _) => format!("PREPARE {text}"),
            ("CLOSE", Some(id)) => format!("DEALLOCATE PREPARE {id}"),
            (_, Some(_)) => format!("EXECUTE {text}"),
            _ => text,
        };
        told.push((arg, field(line, "db.response.status_code")));
    }
    told
}

/// What Percona expects of each capture: statement and error code.
fn percona(test: &str) -> BTreeMap<String, Vec<(String, Option<String>)>> {
    let mut expected: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
    let mut file = String::new();
    for line in test.lines() {
        // Each event is a block in braces.
        if line.trim_start().starts_with('{') {
            expected.entry(file.clone()).or_default().push((String::new(), None));
        }
        let Some((key, value)) = line.split_once("=>") else { continue };
        let value = value.trim().trim_end_matches(',');
        let unquoted = value.trim_matches(|c| c == '\'' || c == '"').replace("\\'", "'");
        match key.trim().trim_start_matches('{').trim() {
            "file" => {
                let name = unquoted.rsplit('/').next().unwrap().trim_end_matches(".txt").to_owned();
                // A capture that is tested twice is the same one.
                file = if expected.contains_key(&name) { String::new() } else { name };
                expected.entry(file.clone()).or_default();
            }
            "arg" => expected.get_mut(&file).unwrap().last_mut().unwrap().0 = unquoted,
            "Error_no" => expected.get_mut(&file).unwrap().last_mut().unwrap().1 = Some(unquoted),
            _ => {}
        }
    }
    expected
}

/// Whether `text`, with a value in place of each `?`, is `filled`.
fn filled_in(text: &str, filled: &str) -> bool {
    let mut rest = filled;
    let mut parts = text.split('?');
    let Some(after) = rest.strip_prefix(parts.next().unwrap()) else { return false };
    rest = after;
    for part in parts {
        match rest.find(part) {
            Some(at) if !part.is_empty() => rest = &rest[at + part.len()..],
            Some(_) => rest = "",
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn statements_as_percona_tells_them() {
    let Some(folder) = captures() else { return };
    let test = folder.join("../_expected/percona-toolkit/MySQLProtocolParser.t");
    let expected = percona(&std::fs::read_to_string(test).unwrap());
    let mut compared = 0;
    for path in capture_files(&folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(number) = name.strip_prefix("percona-toolkit__") else { continue };
        let Some(mut expected) = expected.get(number).cloned() else { continue };
        match number {
            // The client's bytes between the login and the query, and the end of the query's frame, are not in the capture: 502 and 1 bytes by its TCP numbers.
            "tcpdump015" => continue,
            // Percona tells a statement when its response comes; here that is missing.
            "tcpdump013" => expected.push(("show databases".to_owned(), None)),
            // See `where_tshark_gives_up`.
            "tcpdump014" | "tcpdump031" | "tcpdump032" => continue,
            _ => {}
        }
        let lines: Vec<_> =
            conversations(&path, SERVERS).iter().flat_map(mysql_support::Conversation::play).collect();
        let found = as_percona(&lines);
        assert_eq!(found.len(), expected.len(), "{name}: {lines:#?}");
        for ((arg, error), (expected, expected_error)) in found.iter().zip(&expected) {
            assert!(filled_in(arg, expected), "{name}: {arg:?} is not {expected:?}");
            assert_eq!(error, expected_error, "{name}: {arg}");
        }
        compared += found.len();
    }
    assert!(compared > 25, "only {compared} statements were compared");
}

//! Real captures against what else is told of them: tshark's results and logins, Zeek's logs, Percona's, DeepFlow's and Arkime's expectations. (Which
//! statements there are is held in `mysql_captures`.)
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
use std::path::{Path, PathBuf};

use mysql_support::{Conversation, SERVERS, capture_files, captures, conversations, field};
use serde_json::Value;

/// Fields that an event must have, by their names; empty where it must not have them.
type Facts = BTreeMap<&'static str, String>;

/// The events that tell `facts`, one each, in order.
fn check(lines: &[String], facts: &[Facts], what: &str) {
    for (line, facts) in lines.iter().zip(facts) {
        for (name, value) in facts {
            assert_eq!(&field(line, name).unwrap_or_default(), value, "{what}: {name} in {line}");
        }
    }
    assert_eq!(lines.len(), facts.len(), "{what}: {lines:#?}\n{facts:#?}");
}

fn exchanges(lines: &[String]) -> Vec<String> {
    lines.iter().filter(|l| l.starts_with("exchange") || l.starts_with("message")).cloned().collect()
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The messages that tshark dissected of a capture, by stream.
fn oracle(folder: &Path, name: &str) -> BTreeMap<usize, Vec<Value>> {
    let mut streams: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    let text = std::fs::read_to_string(folder.join(format!("{name}.oracle.jsonl"))).unwrap_or_default();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let stream = usize::try_from(message["tcp_stream"].as_u64().unwrap()).unwrap();
        streams.entry(stream).or_default().push(message);
    }
    streams
}

/// All conversations with tshark's messages of them.
fn told_by_tshark(folder: &Path) -> Vec<(String, Conversation, Vec<Value>)> {
    let mut all = Vec::new();
    for path in capture_files(folder) {
        let name = name_of(&path);
        let mut streams = oracle(folder, &name);
        for conversation in conversations(&path, SERVERS) {
            let messages = streams.remove(&conversation.stream).unwrap_or_default();
            all.push((format!("{name} stream {}", conversation.stream), conversation, messages));
        }
    }
    all
}

fn text(message: &Value, key: &str) -> Option<String> {
    message.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[test]
fn logins() {
    let Some(folder) = captures() else { return };
    let mut compared = 0;
    for (what, conversation, messages) in told_by_tshark(&folder) {
        let Some(login) = messages.iter().find(|m| m.get("login_request").is_some()) else { continue };
        let mut facts = Facts::new();
        if let Some(greeting) = messages.iter().find(|m| m.get("server_greeting").is_some()) {
            facts.insert("sniffx.db.server_version", text(greeting, "version").unwrap());
            facts.insert("sniffx.db.connection_id", text(greeting, "thread_id").unwrap());
        }
        // A request for TLS is dissected as a login without a name.
        facts.insert("sniffx.db.user", text(login, "user").unwrap_or_default());
        facts.insert("db.namespace", text(login, "schema").unwrap_or_default());
        let switched = messages.iter().find_map(|m| text(m, "auth_switch_request_name"));
        if let Some(method) = switched.or_else(|| text(login, "client_auth_plugin")) {
            facts.insert("sniffx.db.auth_method", method);
        }
        let lines = conversation.play();
        let session: Vec<_> = lines.iter().filter(|l| l.starts_with("session")).take(1).cloned().collect();
        check(&session, &[facts], &what);
        compared += 1;
    }
    assert!(compared >= 25, "only {compared} logins were compared");
}

/// What tshark tells of the outcome of each command, for connections that it saw from their beginning: elsewhere it guesses the capabilities.
fn outcomes(messages: &[Value]) -> Vec<Facts> {
    let mut all: Vec<Facts> = Vec::new();
    let mut current: Option<(String, Facts, bool)> = None;
    for message in messages {
        if let Some(command) = text(message, "command") {
            all.extend(current.take().map(|(_, facts, _)| facts));
            current = Some((command, Facts::new(), true));
            continue;
        }
        let Some((command, facts, first)) = &mut current else { continue };
        let kind = text(message, "kind").unwrap_or_default();
        let put = |facts: &mut Facts, name: &'static str, key: &str| {
            let value = text(message, key).filter(|v| name != "sniffx.db.warnings" || v != "0");
            facts.insert(name, value.unwrap_or_default());
        };
        match kind.as_str() {
            "response OK" if *first => {
                if matches!(command.as_str(), "3" | "23") {
                    put(facts, "sniffx.db.affected_rows", "affected_rows");
                    facts.insert("db.response.returned_rows", String::new());
                }
                let id = text(message, "insert_id").filter(|id| id != "0");
                put(facts, "sniffx.db.warnings", "warnings");
                facts.insert("sniffx.db.last_insert_id", id.unwrap_or_default());
            }
            "response ERROR" => {
                put(facts, "db.response.status_code", "error_code");
                put(facts, "sniffx.db.sqlstate", "sqlstate");
                put(facts, "error.message", "error_message");
            }
            "column count" if *first => {
                put(facts, "sniffx.db.columns", "num_fields");
                facts.insert("db.response.returned_rows", "0".to_owned());
            }
            "row packet" => {
                let rows = facts.get_mut("db.response.returned_rows").unwrap();
                *rows = (rows.parse::<u64>().unwrap() + 1).to_string();
            }
            "response EOF" | "response OK" if facts.contains_key("db.response.returned_rows") => {
                put(facts, "sniffx.db.warnings", "warnings");
            }
            "response to PREPARE" => {
                put(facts, "sniffx.db.statement_id", "stmt_id");
                put(facts, "sniffx.db.warnings", "warnings");
                let columns = text(message, "num_fields").filter(|n| n != "0");
                facts.insert("sniffx.db.columns", columns.unwrap_or_default());
            }
            _ => {}
        }
        *first = false;
    }
    all.extend(current.map(|(_, facts, _)| facts));
    all
}

#[test]
fn outcomes_as_tshark_tells_them() {
    let Some(folder) = captures() else { return };
    let (mut commands, mut facts) = (0, 0);
    for (what, conversation, messages) in told_by_tshark(&folder) {
        let gave_up =
            messages.iter().any(|m| m["proto"] == "_ws.malformed" || m.get("command_invalid").is_some());
        if gave_up || conversation.midstream {
            continue;
        }
        let expected = outcomes(&messages);
        check(&exchanges(&conversation.play()), &expected, &what);
        commands += expected.len();
        facts += expected.iter().map(Facts::len).sum::<usize>();
    }
    assert!(commands > 70 && facts > 150, "only {facts} facts of {commands} commands were compared");
}

/// The file with that end in the folder of what a project expects of a capture.
fn expected_file(folder: &Path, name: &str, end: &str) -> Option<String> {
    let files = std::fs::read_dir(folder.join(format!("{name}.expected"))).ok()?;
    let mut files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.to_string_lossy().ends_with(end));
    Some(std::fs::read_to_string(files.first()?).unwrap())
}

/// A line of Zeek's log: command, argument, success, rows, response.
fn zeek(line: &str) -> Facts {
    let fields: Vec<_> = line.split('\t').skip(6).collect();
    let [command, argument, success, rows, response] = fields[..] else { panic!("{line}") };
    let argument = argument.replace("(empty)", "").replace("\\x00", "");
    let mut facts = Facts::new();
    match command {
        "login" => {
            facts.insert("sniffx.db.user", argument);
            let state = if success == "T" { "connected" } else { "rejected" };
            facts.insert("sniffx.session.state", state.to_owned());
        }
        "query" => {
            facts.insert("db.query.text", argument);
        }
        "init_db" => {
            facts.insert("db.namespace", argument);
        }
        "field_list" => {
            facts.insert("db.collection.name", argument);
        }
        "change_user" => {
            facts.insert("sniffx.db.user", argument);
        }
        "ping" | "quit" => assert_eq!(argument, ""),
        other => panic!("{other}"),
    }
    if command != "login" && command != "query" {
        facts.insert("db.operation.name", command.to_uppercase());
    }
    if rows != "-" && rows != "0" {
        facts.insert("sniffx.db.affected_rows", rows.to_owned());
    }
    if response != "-" {
        facts.insert("error.message", response.to_owned());
    }
    facts
}

#[test]
fn logs_of_zeek() {
    let Some(folder) = captures() else { return };
    let mut compared = 0;
    for path in capture_files(&folder) {
        let name = name_of(&path);
        let Some(log) = expected_file(&folder, &name, "mysql.log") else { continue };
        let facts: Vec<_> = log.lines().filter(|l| !l.starts_with('#')).map(zeek).collect();
        let lines: Vec<_> = conversations(&path, SERVERS).iter().flat_map(Conversation::play).collect();
        check(&lines, &facts, &name);
        compared += facts.len();
    }
    assert!(compared >= 45, "only {compared} lines were compared");
}

#[test]
fn expectations_of_arkime() {
    let Some(folder) = captures() else { return };
    let mut compared = 0;
    for path in capture_files(&folder) {
        let name = name_of(&path);
        let Some(expected) = expected_file(&folder, &name, "arkime.test.json") else { continue };
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let mysql = expected["sessions3"].as_array().unwrap().iter().filter_map(|s| s["body"].get("mysql"));
        let facts: Vec<Facts> = mysql
            .map(|mysql| {
                let user = ("sniffx.db.user", text(mysql, "user").unwrap_or_default());
                [user, ("sniffx.db.server_version", text(mysql, "version").unwrap())].into()
            })
            .collect();
        let lines: Vec<_> = conversations(&path, SERVERS).iter().flat_map(Conversation::play).collect();
        let sessions: Vec<_> = lines.into_iter().filter(|l| l.starts_with("session")).collect();
        check(&sessions, &facts, &name);
        compared += facts.len();
    }
    assert_eq!(compared, 3);
}

/// What DeepFlow expects of a capture with one connection: its requests with the outcomes that it tells.
fn deepflow(result: &str) -> Vec<Facts> {
    let mut all: Vec<Facts> = Vec::new();
    for line in result.lines() {
        let Some((json, _)) = line.split_once(" is_mysql") else { continue };
        let message: Value = serde_json::from_str(json).unwrap();
        // The one byte there that is no UTF-8 is shown as a replacement character.
        let resource = text(&message, "request_resource").unwrap_or_default().replace('\u{fffd}', "\\x89");
        let mut facts = Facts::new();
        match (message["msg_type"].as_str().unwrap(), message["request_type"].as_u64().unwrap()) {
            ("Request", 0) => {
                let login = resource.strip_prefix("Login username: ").unwrap();
                let (user, database) = login.split_once(" db: ").unwrap_or((login, ""));
                facts.insert("sniffx.db.user", user.to_owned());
                facts.insert("db.namespace", database.to_owned());
            }
            ("Request", 2) => drop(facts.insert("db.namespace", resource)),
            ("Request", 3) => drop(facts.insert("db.query.text", resource)),
            ("Request", 22) => {
                facts.insert("db.query.text", resource);
                facts.insert("db.operation.name", "PREPARE".to_owned());
            }
            ("Request", 23) => {
                facts.insert("sniffx.db.statement_id", message["statement_id"].to_string());
            }
            ("Request", 4) => drop(facts.insert("db.operation.name", "FIELD_LIST".to_owned())),
            ("Session", 25) => drop(facts.insert("db.operation.name", "CLOSE".to_owned())),
            ("Session", 1) => drop(facts.insert("db.operation.name", "QUIT".to_owned())),
            ("Response", _) => {
                let last = all.last_mut().unwrap();
                let prepare = last.get("db.operation.name").is_some_and(|name| name == "PREPARE");
                if prepare {
                    last.insert("sniffx.db.statement_id", message["statement_id"].to_string());
                } else if let Some(rows) = message.get("sql_affected_rows") {
                    last.insert("sniffx.db.affected_rows", rows.to_string());
                }
                if let Some(error) = text(&message, "response_execption") {
                    last.insert("error.message", error);
                }
                continue;
            }
            ("Other", _) => continue,
            other => panic!("{other:?}"),
        }
        all.push(facts);
    }
    all
}

#[test]
fn expectations_of_deepflow() {
    let Some(folder) = captures() else { return };
    let mut compared = 0;
    for path in capture_files(&folder) {
        let name = name_of(&path);
        let Some(result) = expected_file(&folder, &name, "deepflow.result") else { continue };
        // Eleven connections mixed, of which DeepFlow's test makes one.
        if name == "deepflow__mysql-statement" {
            continue;
        }
        let lines: Vec<_> = conversations(&path, SERVERS).iter().flat_map(Conversation::play).collect();
        let facts = deepflow(&result);
        check(&lines, &facts, &name);
        compared += facts.len();
    }
    assert!(compared >= 35, "only {compared} messages were compared");
}

/// What Percona expects of each capture, event by event: its names and values, `undef` as nothing.
fn percona(test: &str) -> BTreeMap<String, Vec<BTreeMap<String, String>>> {
    let mut all: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    let mut file = String::new();
    for line in test.lines() {
        if line.trim_start().starts_with('{') {
            all.entry(file.clone()).or_default().push(BTreeMap::new());
        }
        let Some((key, value)) = line.split_once("=>") else { continue };
        let value = value.trim().trim_end_matches(',');
        let value = value.trim_matches(|c| c == '\'' || c == '"').replace("\\'", "'");
        let key = key.trim().trim_start_matches('{').trim();
        if key == "file" {
            let name = value.rsplit('/').next().unwrap().trim_end_matches(".txt").to_owned();
            // A capture that is tested twice is the same one.
            file = if all.contains_key(&name) { String::new() } else { name };
            all.entry(file.clone()).or_default();
        } else if let Some(event) = all.get_mut(&file).and_then(|events| events.last_mut()) {
            event.insert(key.to_owned(), if value == "undef" { String::new() } else { value });
        }
    }
    all
}

#[test]
fn expectations_of_percona() {
    let Some(folder) = captures() else { return };
    let test = folder.join("../_expected/percona-toolkit/MySQLProtocolParser.t");
    let all = percona(&std::fs::read_to_string(test).unwrap());
    let mut compared = 0;
    for path in capture_files(&folder) {
        let name = name_of(&path);
        let Some(expected) = name.strip_prefix("percona-toolkit__").and_then(|n| all.get(n)) else {
            continue;
        };
        // Compressed, and joined with bytes missing: see `mysql_captures`.
        if matches!(
            name.rsplit('_').next(),
            Some("tcpdump013" | "tcpdump014" | "tcpdump015" | "tcpdump031" | "tcpdump032")
        ) {
            continue;
        }
        let lines: Vec<_> = conversations(&path, SERVERS).iter().flat_map(Conversation::play).collect();
        let facts: Vec<Facts> = expected
            .iter()
            .map(|event| {
                let value = |key: &str| event.get(key).cloned().unwrap_or_default();
                let number = |key: &str| Some(value(key)).filter(|v| v != "0").unwrap_or_default();
                let mut facts = Facts::new();
                facts.insert("sniffx.db.user", value("user"));
                facts.insert("db.namespace", value("db"));
                facts.insert("sniffx.db.warnings", number("Warning_count"));
                facts.insert("db.response.status_code", value("Error_no"));
                if !number("Rows_affected").is_empty() {
                    facts.insert("sniffx.db.affected_rows", value("Rows_affected"));
                }
                if let Some(id) = event.get("Statement_id") {
                    facts.insert("sniffx.db.statement_id", id.clone());
                }
                facts
            })
            .collect();
        check(&lines, &facts, &name);
        compared += facts.len();
    }
    assert!(compared > 20, "only {compared} events were compared");
}

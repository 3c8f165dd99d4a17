//! The proof: what a MariaDB server logs that it was asked is what the events tell, each once, with its parameters and its outcome, and nothing else.
//!
//! Real clients of three kinds work at once; the server's general log says what arrived, the clients say what came back. How the log writes things
//! stands in `sniff_x_tests::general_log`.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture, bytes};
use sniff_x_tests::general_log::{self, Entry};
use sniff_x_tests::mariadb::{MariaDb, PASSWORD};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::recording::Recording;
use sniff_x_tests::{clients, has_program, is_root, live};
use tempfile::NamedTempFile;

/// The default of `--max-text`.
const MAX_TEXT: usize = 64 << 10;

/// What the server does not log, and what it does not log when it fails.
const NOT_LOGGED: [&str; 4] = ["Fetch", "Ping", "Set option", "Reset connection"];
const NOT_LOGGED_IF_FAILED: [&str; 2] = ["Prepare", "Init DB"];

/// A request as the events tell of it: one event for each result.
#[derive(Debug)]
struct Request<'a> {
    /// As the log names it.
    command: &'static str,
    first: &'a Value,
    results: Vec<&'a Value>,
}

fn string<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

impl<'a> Request<'a> {
    fn command(event: &Value) -> &'static str {
        let prepared = event.get("sniffx.db.statement_id").is_some();
        let text = event.get("db.query.text");
        if event["sniffx.kind"] == "session" {
            return "Connect";
        }
        match (string(event, "db.operation.name"), prepared) {
            ("CLOSE", true) => "Close stmt",
            ("RESET", true) => "Reset stmt",
            ("SEND_LONG_DATA", _) => "Long Data",
            ("FETCH", true) => "Fetch",
            // In SQL it would begin with the word.
            ("PREPARE", _) if !string(event, "db.query.text").starts_with("PREPARE") => "Prepare",
            ("QUIT", _) => "Quit",
            ("INIT_DB", _) => "Init DB",
            ("PING", _) => "Ping",
            ("SET_OPTION", _) => "Set option",
            ("RESET_CONNECTION", _) => "Reset connection",
            ("STATISTICS", _) => "Statistics",
            ("REFRESH", _) => "Refresh",
            ("FIELD_LIST", _) => "Field List",
            ("CHANGE_USER", _) => "Change user",
            (_, true) => "Execute",
            (_, false) if text.is_some() => "Query",
            _ => panic!("what is this? {event}"),
        }
    }

    /// The events of a connection, gathered by requests.
    fn all(events: &[&'a Value]) -> Vec<Self> {
        let mut requests: Vec<Self> = Vec::new();
        for event in events {
            if event["sniffx.db.result_index"].as_u64() > Some(0) {
                requests.last_mut().unwrap().results.push(event);
            } else {
                requests.push(Self { command: Self::command(event), first: event, results: vec![event] });
            }
        }
        requests
    }

    fn is_logged(&self) -> bool {
        let failed = self.first["status"] == "error";
        !NOT_LOGGED.contains(&self.command) && !(failed && NOT_LOGGED_IF_FAILED.contains(&self.command))
    }

    /// Whether `text` is the statement's, as far as it is shown.
    fn has_text(&self, text: &[u8]) -> bool {
        let shown = bytes(string(self.first, "db.query.text"));
        // A parameter that was cut has a length, too.
        if text.len() <= MAX_TEXT || self.first.get("sniffx.text.length").is_none() {
            return general_log::as_logged(&shown) == general_log::as_logged(text);
        }
        let cut = (MAX_TEXT - 3..=MAX_TEXT).contains(&shown.len()) && text.starts_with(&shown);
        cut && self.first["sniffx.text.length"] == text.len()
    }

    fn parameters(&self) -> Vec<&'a Value> {
        (0..).map_while(|n| self.first.get(format!("db.query.parameter.{n}"))).collect()
    }

    /// Whether it is what the log has, or how it differs.
    fn is_entry(&self, entry: &Entry) -> Result<(), String> {
        if self.command != entry.command {
            return Err(format!("{} is not {}", self.command, entry.command));
        }
        let logged = String::from_utf8_lossy(&entry.argument);
        let whence = || {
            let (user, address) =
                (string(self.first, "sniffx.db.user"), string(self.first, "client.address"));
            format!("{user}@{address} on {} using TCP/IP", string(self.first, "db.namespace"))
        };
        let same = match self.command {
            "Connect" | "Change user" => logged == whence(),
            "Init DB" => logged == string(self.first, "db.namespace"),
            "Field List" => logged.trim_end() == string(self.first, "db.collection.name"),
            "Query" | "Prepare" => self.has_text(&entry.argument),
            "Execute" => return self.is_execution(&entry.argument),
            _ => logged.is_empty(),
        };
        if same { Ok(()) } else { Err(format!("{} is not '{:.200}'", self.first, logged)) }
    }

    /// An execution is its statement with the values in it.
    fn is_execution(&self, logged: &[u8]) -> Result<(), String> {
        let statement = bytes(string(self.first, "db.query.text"));
        if general_log::as_logged(&statement) == logged {
            // Without parameters, or a bulk execution.
            return Ok(());
        }
        let literals = general_log::filled_in(general_log::as_logged(&statement), logged)?;
        let parameters = self.parameters();
        if literals.len() != parameters.len() {
            return Err(format!(
                "{} values in the log, {} parameters: {}",
                literals.len(),
                parameters.len(),
                self.first
            ));
        }
        let differs =
            literals.iter().zip(&parameters).position(|(literal, shown)| !literal.is(shown, MAX_TEXT));
        differs.map_or(Ok(()), |n| Err(format!("parameter {n}: {:?} is not {}", literals[n], parameters[n])))
    }

    /// Whether it is what a client says that it sent.
    fn is_said(&self, said: &Value) -> bool {
        let text = match said["text_hex"].as_str() {
            Some(hex) => Some(from_hex(hex)),
            None => said["text"].as_str().map(|t| t.as_bytes().to_vec()),
        };
        let same_text = text.is_none_or(|text| match self.command {
            "Init DB" => text == string(self.first, "db.namespace").as_bytes(),
            "Field List" => text == string(self.first, "db.collection.name").as_bytes(),
            _ => match said["length"].as_u64() {
                // Clients tell of the beginning, and of the length.
                Some(len) if len > text.len() as u64 => {
                    self.first["sniffx.text.length"] == len
                        && text.starts_with(&bytes(string(self.first, "db.query.text")))
                }
                _ => self.has_text(&text),
            },
        });
        let same_parameters = said["params"].as_array().is_none_or(|said| {
            let shown = self.parameters();
            said.len() == shown.len() && said.iter().zip(shown).all(|(said, shown)| is_value(said, shown))
        });
        let said_command = if said["request"] == "Bulk" { "Execute" } else { string(said, "request") };
        self.command == said_command && same_text && same_parameters
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Whether a parameter is shown as it has to be: integers, times and strings exactly, numbers with a point as the shortest that is the same.
fn is_value(said: &Value, shown: &Value) -> bool {
    let (Some(shown), Some(value)) = (shown.as_str(), said[1].as_str()) else {
        return said.is_null() && shown.is_null();
    };
    let digits =
        |s: &str| s.split('e').next().unwrap().bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    let significant = |s: &str| {
        let digits = digits(s);
        let from = digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
        let to = digits.iter().rposition(|d| *d != b'0').map_or(from, |last| last + 1);
        digits[from..to].to_vec()
    };
    match said[0].as_str().unwrap() {
        "real" => {
            let (value, seen): (f64, f64) = (value.parse().unwrap(), shown.parse().unwrap());
            value.to_bits() == seen.to_bits() && significant(shown) == significant(&format!("{value:e}"))
        }
        "float" => {
            let (value, seen): (f32, f32) = (value.parse().unwrap(), shown.parse().unwrap());
            value.to_bits() == seen.to_bits() && significant(shown) == significant(&format!("{value:e}"))
        }
        "hex" => {
            let (value, len) = (from_hex(value), said[2].as_u64().unwrap());
            let shown = bytes(shown);
            if len <= MAX_TEXT as u64 {
                shown == value
            } else {
                !shown.is_empty() && value.starts_with(&shown)
            }
        }
        _ => value == shown,
    }
}

/// Checks the outcome of one result.
fn check_result(event: &Value, saw: &Value) {
    for (key, what) in [
        ("db.response.status_code", "error"),
        ("sniffx.db.sqlstate", "sqlstate"),
        ("error.message", "message"),
        ("db.response.returned_rows", "rows"),
        ("sniffx.db.affected_rows", "affected"),
        ("sniffx.db.last_insert_id", "last_insert_id"),
        ("sniffx.db.warnings", "warnings"),
        ("sniffx.db.columns", "columns"),
    ] {
        let absent_if_none = key == "sniffx.db.columns" && saw[what] == 0;
        if let Some(value) = saw.get(what).filter(|_| !absent_if_none) {
            assert_eq!(event[key], *value, "{what} {saw} of {event}");
        }
    }
    assert_eq!(event["status"], if saw.get("error").is_some() { "error" } else { "ok" }, "{event}");
    assert!(event["duration_ns"].as_u64() > Some(0), "{event}");
    if string(event, "db.query.text") == "SELECT SLEEP(0.05)" {
        assert!(event["duration_ns"].as_u64() >= Some(50_000_000), "{event}");
    }
}

/// Holds the requests of one connection against what its client said, in order.
fn check_client(requests: &[Request<'_>], client: &[&Value]) {
    let mut rest = requests.iter().peekable();
    for said in client {
        let request = rest.find(|request| {
            let found = request.is_said(said);
            // Drivers make settings of their own accord, and look after their statements.
            let own = ["Connect", "Prepare", "Close stmt", "Reset stmt", "Long Data", "Fetch", "Ping"]
                .contains(&request.command)
                || string(request.first, "db.query.text").starts_with("SET ");
            assert!(
                found || own,
                "the client said {:.1000}\nseen was {:.1000}",
                said.to_string(),
                request.first.to_string()
            );
            found
        });
        let request = request.unwrap_or_else(|| panic!("not seen: {:.1000}", said.to_string()));
        if said["fetched"] == true {
            // The rows come with the fetches.
            let mut count = request.first["db.response.returned_rows"].as_u64().unwrap();
            while let Some(fetch) = rest.next_if(|r| r.command == "Fetch") {
                assert_eq!(fetch.first["status"], "ok");
                count += fetch.first["db.response.returned_rows"].as_u64().unwrap();
            }
            assert_eq!(said["results"][0]["rows"], count, "{said}");
            continue;
        }
        for (key, what) in [
            ("sniffx.mysql.infile.size", "infile"),
            ("sniffx.mysql.long_data.size", "size"),
            ("db.operation.batch.size", "bulk"),
        ] {
            if let Some(value) = said.get(what) {
                assert_eq!(request.first[key], *value, "{what} {said}");
            }
        }
        let results = said["results"].as_array().unwrap();
        assert_eq!(request.results.len(), results.len().max(1), "{:.1000}\n{request:#?}", said.to_string());
        for (event, saw) in request.results.iter().zip(results) {
            check_result(event, saw);
        }
    }
    let left: Vec<_> = rest.collect();
    assert!(left.is_empty(), "the client did not say {left:#?}");
}

/// Holds events against the log and the clients, both ways.
fn check(events: &[Value], log: &[u8], said: &[Value]) {
    for event in events {
        assert!(event["sniffx.kind"] != "notice" && event["status"] != "incomplete", "{event}");
    }
    let mut connections: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for event in events {
        connections.entry(event["client.port"].as_u64().unwrap()).or_default().push(event);
    }
    let mut log = general_log::parse(log);
    for events in connections.values() {
        let thread = events[0]["sniffx.db.connection_id"].as_u64().unwrap();
        let mut entries = log.remove(&thread).unwrap_or_else(|| panic!("not in the log: {}", events[0]));
        if entries.pop_if(|e| e.argument.starts_with(b"Access denied")).is_some() {
            assert_eq!(events[0]["sniffx.session.state"], "rejected");
        }
        let requests = Request::all(events);
        let mut logged = requests.iter().filter(|r| r.is_logged());
        for entry in &entries {
            let argument = String::from_utf8_lossy(&entry.argument);
            let request =
                logged.next().unwrap_or_else(|| panic!("only in the log: {} {argument:.400}", entry.command));
            if let Err(difference) = request.is_entry(entry) {
                panic!(
                    "{difference}\nlog: {} {argument:.1000}\nseen: {:.2000}",
                    entry.command,
                    request.first.to_string()
                );
            }
        }
        let left: Vec<_> = logged.collect();
        assert!(left.is_empty(), "not in the log: {left:#?}");
        let client: Vec<_> = said.iter().filter(|s| s["thread"] == thread).collect();
        if !client.is_empty() {
            check_client(&requests, &client);
        }
    }
    assert!(log.is_empty(), "only in the log: {log:#?}");
    for said in said {
        assert!(
            events.iter().any(|e| e["sniffx.db.connection_id"] == said["thread"]),
            "no such connection: {said}"
        );
    }
}

/// A client at work. What it prints goes to a file: with a pipe that nobody reads yet it would wait, with locks in the server.
struct Client {
    process: Child,
    printed: NamedTempFile,
}

impl Client {
    fn start(mut command: Command, args: &[&str]) -> Self {
        let printed = NamedTempFile::new().unwrap();
        let process =
            command.args(args).stdout(printed.reopen().unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        Self { process, printed }
    }

    /// What it said, once it is done.
    fn said(self) -> Vec<Value> {
        let output = self.process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        binary::parse(&std::fs::read(self.printed.path()).unwrap())
    }
}

/// Captures what `work` makes clients do, live and in a recording, and holds both against the log and what the clients said.
fn prove(options: &[&str], work: impl FnOnce(&Net) -> Vec<Value>) {
    let net = Net::new();
    let server = MariaDb::start(&net);
    let recording = Recording::start(&net);
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v"]).args(options).arg("mysql");
    let capture = Capture::start(command);
    let said = work(&net);
    let (events, noise, status) = capture.stop();
    assert!(status.success(), "{noise}");
    let log = server.general_log();
    check(&events, &log, &said);
    let everything = format!("{events:?}{noise}");
    assert!(!everything.contains(PASSWORD), "a password is shown");
    let file = recording.stop();
    let args = options.iter().map(OsStr::new).chain([
        OsStr::new("--read"),
        file.path().as_os_str(),
        OsStr::new("mysql"),
    ]);
    check(&binary::events(args), &log, &said);
}

fn can_run() -> Option<PathBuf> {
    let programs =
        [("ip", "iproute2"), ("mariadbd", "mariadb-server"), ("openssl", "openssl"), ("tcpdump", "tcpdump")];
    if is_root() && programs.iter().all(|(name, package)| has_program(name, package)) {
        clients::python()
    } else {
        None
    }
}

#[test]
fn the_general_log_and_the_events_tell_the_same() {
    let Some(python) = can_run() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = clients::libmariadb(folder.path()) else { return };
    live("general_log");
    let script = sniff_x_tests::root().join("tests/scripts/python_clients.py");
    prove(&[], |net| {
        let on_python = |driver: &str| {
            let mut command = net.on_client(&python);
            command.arg(&script);
            Client::start(command, &[driver, SERVER, PASSWORD, "1"])
        };
        let with_library =
            |seed: &str| Client::start(net.on_client(&library), &[SERVER, PASSWORD, "broad", seed]);
        let clients = [with_library("1"), on_python("connector"), on_python("pymysql"), with_library("2")];
        // A login that fails.
        let wrong = net.on_client(&library).args([SERVER, "wrong", "broad", "0"]).output().unwrap();
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("Access denied"), "{wrong:?}");
        clients.into_iter().flat_map(Client::said).collect()
    });
}

#[test]
fn statements_and_parameters_of_20_mib() {
    if can_run().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = clients::libmariadb(folder.path()) else { return };
    live("general_log_big");
    prove(&[], |net| Client::start(net.on_client(&library), &[SERVER, PASSWORD, "big", "1"]).said());
}

#[test]
fn the_check_finds_what_is_wrong() {
    let events = vec![serde_json::json!({
        "sniffx.kind": "session", "status": "ok", "client.port": 1, "client.address": "a", "sniffx.db.user": "u", "db.namespace": "d",
        "sniffx.db.connection_id": 4, "sniffx.session.state": "connected"
    })];
    let log = |more: &str| format!("\t\t     4 Connect\tu@a on d using TCP/IP\n{more}").into_bytes();
    let holds = |log: Vec<u8>| {
        let events = events.clone();
        std::panic::catch_unwind(move || check(&events, &log, &[])).is_ok()
    };
    assert!(holds(log("")));
    assert!(!holds(log("\t\t     4 Query\tSELECT 1\n")));
    assert!(!holds(log("\t\t     5 Connect\tu@a on d using TCP/IP\n")));
    assert!(!holds(b"".to_vec()));
}

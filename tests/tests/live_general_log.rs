//! The proof: what a MariaDB server logs that it was asked is what the events tell, each once, with its parameters and its outcome, and nothing else.
//!
//! Real clients of three kinds work at once; the server's general log says what arrived, the clients say what came back. How the log writes things
//! stands in `sniff_x_tests::general_log`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::general_log;
use sniff_x_tests::mariadb::{MariaDb, PASSWORD};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::recording::Recording;
use sniff_x_tests::requests::{Request, string};
use sniff_x_tests::{clients, has_program, is_root, live};
use tempfile::NamedTempFile;

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

/// Captures what `work` makes clients do, live and in a recording, and holds both against the log and what the clients said. Gives the recording and its
/// events.
fn prove(options: &[&str], work: impl FnOnce(&Net) -> Vec<Value>) -> (Recording, Vec<Value>) {
    let net = Net::new();
    let server = MariaDb::start(&net);
    let recording = Recording::start(&net);
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v"]).args(options).arg("mysql");
    let capture = Capture::start(command);
    let said = work(&net);
    let (events, noise, status) = capture.stop();
    assert!(status.success(), "{noise}");
    assert!(
        noise.contains(" 0 dropped by the kernel"),
        "frames were lost, so there is nothing to compare:\n{noise}"
    );
    let log = server.general_log_bytes();
    check(&events, &log, &said);
    let everything = format!("{events:?}{noise}");
    assert!(!everything.contains(PASSWORD), "a password is shown");
    let file = recording.stop();
    let args = options.iter().map(OsStr::new).chain([
        OsStr::new("--read"),
        file.path().as_os_str(),
        OsStr::new("mysql"),
    ]);
    let events = binary::events(args);
    check(&events, &log, &said);
    (file, events)
}

/// Holds what is left of a recording against `truth`, the events of all of it: what the events say in full is true, whatever was lost.
fn check_honesty(left: &Path, truth: &[Value]) {
    let key = |e: &Value| (e["client.port"].as_u64(), string(e, "timestamp").to_owned());
    let mut known: BTreeMap<_, Vec<&Value>> = BTreeMap::new();
    for event in truth {
        known.entry(key(event)).or_default().push(event);
    }
    let events = binary::events([Path::new("--read"), left, Path::new("mysql")]);
    let complete: Vec<_> =
        events.iter().filter(|e| e["sniffx.kind"] == "exchange" && e["status"] != "incomplete").collect();
    assert!(complete.len() > truth.len() / 2, "{} of {} events", complete.len(), truth.len());
    // Which response belongs to which of the requests sent ahead is not always told rightly when one of them was lost.
    let ahead = |e: &Value| string(e, "db.query.text").contains("/* ahead */");
    for event in complete.into_iter().filter(|e| !ahead(e)) {
        // Who was not there at the login takes it for MySQL, and an execution whose statement was not seen has the command's own name.
        let unknown = |key: &str| {
            key == "db.system.name" || key == "db.operation.name" && event.get("db.query.text").is_none()
        };
        let differs = |truth: &&Value| {
            let mut fields = event.as_object().unwrap().iter();
            fields
                .find(|(key, value)| truth.get(key) != Some(value) && !unknown(key))
                .map(|(key, _)| key.clone())
        };
        let truth = known.get(&key(event)).map_or(&[][..], Vec::as_slice);
        let differences: Vec<_> = truth.iter().map(differs).collect();
        assert!(differences.contains(&None), "{event}\nis not true: {differences:?} of {truth:?}");
    }
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
    let (recording, events) = prove(&["--threads", "2"], |net| {
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
    // With a hole: from one frame to hundreds are lost, somewhere.
    for seed in 0..30_usize {
        let (from, count) = (1 + seed * seed * 11 % 1500, 1 << (seed % 9));
        let left = recording.without(|number| !(from..from + count).contains(&number));
        check_honesty(left.path(), &events);
    }
}

#[test]
fn statements_and_parameters_of_20_mib() {
    if can_run().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = clients::libmariadb(folder.path()) else { return };
    live("general_log_big");
    let work = |net: &Net| Client::start(net.on_client(&library), &[SERVER, PASSWORD, "big", "1"]).said();
    prove(&[], work);
}

/// The same over the compressed protocol, with both drivers that have it.
#[test]
fn compressed_connections_tell_the_same() {
    let Some(python) = can_run() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = clients::libmariadb(folder.path()) else { return };
    live("general_log_compressed");
    let script = sniff_x_tests::root().join("tests/scripts/python_clients.py");
    let (_, events) = prove(&[], |net| {
        let mut connector = net.on_client(&python);
        connector.arg(&script);
        let connector = Client::start(connector, &["connector", SERVER, PASSWORD, "1", "compressed"]);
        let with_library =
            |role| Client::start(net.on_client(&library), &[SERVER, PASSWORD, role, "3", "compressed"]);
        let clients = [with_library("broad"), connector, with_library("big")];
        clients.into_iter().flat_map(Client::said).collect()
    });
    for login in events.iter().filter(|e| e["sniffx.kind"] == "session") {
        assert_eq!(login["sniffx.db.compression"], "zlib", "{login}");
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let event = |more: Value| {
        let mut event = json!({"sniffx.kind": "exchange", "status": "ok", "duration_ns": 1, "client.port": 1, "client.address": "a"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = [
        event(
            json!({"sniffx.kind": "session", "sniffx.db.user": "u", "db.namespace": "d", "sniffx.db.connection_id": 4}),
        ),
        event(
            json!({"db.operation.name": "SELECT", "db.query.text": "SELECT 1", "db.response.returned_rows": 1}),
        ),
        event(
            json!({"db.operation.name": "DO", "db.query.text": "DO ?", "sniffx.db.statement_id": 1, "db.query.parameter.0": "5"}),
        ),
    ];
    let log =
        "\t\t     4 Connect\tu@a on d using TCP/IP\n\t\t     4 Query\tSELECT 1\n\t\t     4 Execute\tDO 5\n";
    let said = [
        json!({"thread": 4, "request": "Query", "text": "SELECT 1", "length": 8, "results": [{"rows": 1}]}),
        json!({"thread": 4, "request": "Execute", "text": "DO ?", "length": 4, "params": [["int", "5"]], "results": [{}]}),
    ];
    let holds = |events: &[Value], log: &str, said: &[Value]| {
        std::panic::catch_unwind(|| check(events, log.as_bytes(), said)).is_ok()
    };
    assert!(holds(&events, log, &said));
    // An event too few, and twice.
    for n in 0..events.len() {
        let mut fewer = events.to_vec();
        let event = fewer.remove(n);
        assert!(!holds(&fewer, log, &[]), "without {event}");
        let mut more = events.to_vec();
        more.insert(n, event.clone());
        assert!(!holds(&more, log, &[]), "twice {event}");
    }
    // Each value that should matter, changed.
    for (n, key, value) in [
        (1, "db.query.text", json!("SELECT 2")),
        (1, "db.response.returned_rows", json!(2)),
        (1, "status", json!("error")),
        (1, "status", json!("incomplete")),
        (2, "db.query.parameter.0", json!("6")),
        (2, "db.query.parameter.0", json!(null)),
        (2, "db.query.parameter.1", json!("5")),
        (0, "sniffx.db.connection_id", json!(5)),
    ] {
        let mut changed = events.clone();
        changed[n][key] = value;
        assert!(!holds(&changed, log, &said), "{}", changed[n]);
    }
    assert!(!holds(&events, &format!("{log}\t\t     5 Connect\tu@a on d using TCP/IP\n"), &[]));
}

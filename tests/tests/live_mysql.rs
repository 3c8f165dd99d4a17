//! The main job, live: a real MariaDB server, three real clients, a veth pair between two hosts; what the clients say they did is the truth.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::clients::python;
use sniff_x_tests::mariadb::{MariaDb, PASSWORD};
use sniff_x_tests::netns::{CLIENT, IFACE, Net, SERVER};
use sniff_x_tests::recording::Recording;
use sniff_x_tests::{general_log, has_program, is_root, live, root};

fn can_run() -> Option<PathBuf> {
    let programs = [
        ("ip", "iproute2"),
        ("mariadbd", "mariadb-server"),
        ("openssl", "openssl"),
        ("mariadb", "mariadb-client"),
        ("tcpdump", "tcpdump"),
    ];
    if is_root() && programs.iter().all(|(name, package)| has_program(name, package)) {
        python()
    } else {
        None
    }
}

fn script(net: &Net, python: &Path, name: &str, size: &str) -> Vec<Value> {
    let output = net
        .on_client(python)
        .arg(root().join("tests/scripts").join(name))
        .args([SERVER, PASSWORD, size])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    binary::parse(&output.stdout)
}

/// The events that tell of statements, as (text, outcome): comparable with what clients say and between runs.
fn statements(events: &[Value]) -> Vec<Value> {
    let about_statements = ["PREPARE", "RESET", "CLOSE"].map(Value::from);
    let is_statement = |e: &&Value| {
        let executed = !about_statements.contains(&e["db.operation.name"]);
        e["sniffx.kind"] == "exchange" && e.get("db.query.text").is_some() && executed
    };
    events.iter().filter(is_statement).cloned().collect()
}

/// Checks the events against what a client saw, in order: every statement once, with its rows, error or count.
fn check(events: &[Value], client: &[Value]) {
    let short = |e: &Value| {
        let text: String = e["db.query.text"].as_str().unwrap_or_default().chars().take(80).collect();
        format!("{} ({}): {text}", e["db.operation.name"], e["status"])
    };
    let texts: Vec<_> = events.iter().map(short).collect();
    assert_eq!(events.len(), client.len(), "statements seen: {texts:#?}");
    for (event, saw) in events.iter().zip(client) {
        let text = saw["text"].as_str().unwrap();
        let shown = event["db.query.text"].as_str().unwrap();
        if text.len() > 64 << 10 {
            assert!(shown == &text[..64 << 10], "cut wrongly");
            assert_eq!(event["sniffx.text.length"], text.len());
        } else {
            assert_eq!(shown, text);
        }
        assert_eq!(event["client.address"], CLIENT);
        assert_eq!(event["server.address"], SERVER);
        assert_eq!(event["server.port"], 3306);
        assert_eq!(event["db.namespace"], "shop", "{event}");
        if let Some(error) = saw.get("error") {
            assert_eq!(event["status"], "error", "{event}");
            assert_eq!(event["db.response.status_code"], *error, "{event}");
            assert_eq!(event["error.message"], saw["message"], "{event}");
        } else {
            assert_eq!(event["status"], "ok", "{event}");
        }
        for (key, what) in [
            ("db.response.returned_rows", "rows"),
            ("sniffx.db.columns", "columns"),
            ("sniffx.db.affected_rows", "affected"),
        ] {
            if let Some(value) = saw.get(what) {
                assert_eq!(event[key], *value, "{what} of {event}");
            }
        }
        if text == "SELECT SLEEP(0.2)" {
            let millis = event["duration_ns"].as_u64().unwrap() / 1_000_000;
            assert!((200..2000).contains(&millis), "{event}");
        }
    }
}

/// Without the settings that a driver makes of its own accord.
fn without_settings(events: &[Value]) -> Vec<Value> {
    let setting = |e: &&Value| e["db.query.text"].as_str().unwrap().starts_with("SET ");
    events.iter().filter(|e| !setting(e)).cloned().collect()
}

/// Only the events of connections whose client port is in the list of ports of that order.
fn by_connection(events: &[Value]) -> Vec<(u64, Vec<Value>)> {
    let mut connections: Vec<(u64, Vec<Value>)> = Vec::new();
    for event in events {
        let port = event["client.port"].as_u64().unwrap();
        match connections.iter_mut().find(|(p, _)| *p == port) {
            Some((_, list)) => list.push(event.clone()),
            None => connections.push((port, vec![event.clone()])),
        }
    }
    connections
}

#[test]
fn every_statement_is_seen_once_with_its_outcome() {
    let Some(python) = can_run() else { return };
    live("mysql");
    let net = Net::new();
    let server = MariaDb::start(&net);
    let recording = Recording::start(&net);
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v", "mysql"]);
    let capture = Capture::start(command);

    // Kept recordings become the project's own capture, which should be small.
    let keep = std::env::var_os("SNIFFX_KEEP_RECORDING");
    let size = if keep.is_some() { "small" } else { "big" };
    let pymysql = script(&net, &python, "pymysql_client.py", size);
    let connector = script(&net, &python, "connector_client.py", size);
    let tool = net
        .on_client("mariadb")
        .args([
            "--no-defaults",
            "-h",
            SERVER,
            "-uapp",
            &format!("-p{PASSWORD}"),
            "--skip-ssl",
            "-vvv",
            "shop",
            "-e",
        ])
        .arg(format!(
            "SELECT id FROM item ORDER BY id; SHOW TABLES; CREATE USER bob IDENTIFIED BY '{PASSWORD}'; SELECT * FROM nowhere"
        ))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&tool.stderr).contains("ERROR 1146"), "{tool:?}");

    let encrypted = net
        .on_client("mariadb")
        .args([
            "--no-defaults",
            "-h",
            SERVER,
            "-uapp",
            &format!("-p{PASSWORD}"),
            "--ssl",
            "-e",
            "SELECT 'unseen'",
        ])
        .output()
        .unwrap();
    assert!(encrypted.status.success() && encrypted.stdout.starts_with(b"unseen"), "{encrypted:?}");

    // The last frames are in the ring; stopping drains it.
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    let seen = by_connection(&statements(&events));
    let [(_, first), (_, second), (_, third)] = &seen[..] else {
        panic!("three clients, {} connections:\n{events:#?}", seen.len())
    };
    check(&without_settings(first), &pymysql);
    check(&without_settings(second), &connector);
    let prepared = events.iter().filter(|e| e["db.operation.name"] == "PREPARE").count();
    assert_eq!(prepared, {
        let log = general_log::parse(&server.general_log_bytes());
        log.values().flatten().filter(|e| e.command == "Prepare").count()
    });
    // The mariadb tool sends the batch statement by statement and stops at the error.
    let third: Vec<_> =
        third.iter().filter(|e| e["db.query.text"] != "select @@version_comment limit 1").collect();
    let shown: Vec<_> =
        third.iter().map(|e| (e["db.query.text"].as_str().unwrap(), e["status"].as_str().unwrap())).collect();
    assert_eq!(
        shown,
        [
            ("SELECT id FROM item ORDER BY id", "ok"),
            ("SHOW TABLES", "ok"),
            ("CREATE USER bob IDENTIFIED BY <secret>", "ok"),
            ("SELECT * FROM nowhere", "error")
        ]
    );
    assert_eq!(third[0]["db.response.returned_rows"], 3);
    let logins: Vec<_> =
        events.iter().filter(|e| e["sniffx.kind"] == "session" && e["sniffx.db.user"] == "app").collect();
    // A TLS connection is one event, and nothing of what it carries.
    let encrypted: Vec<_> = events.iter().filter(|e| e["sniffx.session.state"] == "encrypted").collect();
    assert_eq!(encrypted.len(), 1, "{encrypted:#?}");
    let port = &encrypted[0]["client.port"];
    assert_eq!(events.iter().filter(|e| e["client.port"] == *port).count(), 1);
    assert_eq!(logins.len(), 3, "{events:#?}");
    assert!(
        logins.iter().all(|l| l["db.system.name"] == "mariadb" && l["db.namespace"] == "shop"),
        "{logins:#?}"
    );
    let everything = format!("{events:?}{said}");
    assert!(!everything.contains(PASSWORD), "a password is shown");
    // Reported, not asserted: a busy machine may drop frames.
    eprintln_drops(&said);

    // The same traffic, recorded by tcpdump, gives the same events.
    let recording = recording.stop();
    let again = binary::events([Path::new("--read"), recording.path(), Path::new("mysql")]);
    let bare = |events: &[Value]| -> Vec<Value> {
        let mut events = events.to_vec();
        for event in &mut events {
            let event = event.as_object_mut().unwrap();
            event.remove("timestamp");
            event.remove("duration_ns");
        }
        events
    };
    let (again, events) = (bare(&again), bare(&events));
    for (again, event) in again.iter().zip(&events) {
        assert_eq!(again, event);
    }
    assert_eq!(again.len(), events.len());
    if let Some(place) = keep {
        std::fs::copy(recording.path(), place).unwrap();
    }
}

#[expect(clippy::print_stderr, reason = "a report for whoever reads the test's output")]
fn eprintln_drops(said: &str) {
    for line in said.lines().filter(|l| l.contains("drop")) {
        eprintln!("{line}");
    }
}

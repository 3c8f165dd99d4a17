//! The compressed protocol, live: a real MariaDB server and two clients that compress; what the clients say they did, and the server's log, are the
//! truth.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::mariadb::{MariaDb, PASSWORD};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::{has_program, is_root, live, root, skip};

/// A Python that has the driver: the one that `.ci/setup` makes, or the system's.
fn python() -> Option<PathBuf> {
    let candidates = [root().join("target/venv/bin/python3"), PathBuf::from("python3")];
    let found = candidates.into_iter().find(|python| {
        let check = Command::new(python).args(["-c", "import mysql.connector"]).output();
        check.is_ok_and(|o| o.status.success())
    });
    if found.is_none() {
        skip("no Python with mysql-connector-python (.ci/setup makes one)");
    }
    found
}

fn can_run() -> Option<PathBuf> {
    let programs = [("ip", "iproute2"), ("mariadbd", "mariadb-server"), ("mariadb", "mariadb-client")];
    if is_root() && programs.iter().all(|(name, package)| has_program(name, package)) {
        python()
    } else {
        None
    }
}

/// The statements that the tool sends one by one, with the rows that they return.
const TOOL: &[(&str, u64)] = &[
    ("SELECT 7", 1),
    ("SELECT seq FROM seq_1_to_3000", 3000),
    ("SELECT REPEAT('z', 20000000)", 1),
    ("SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop'", 2),
];

/// Events of statements that were executed, by connection, in order.
fn executed(events: &[Value]) -> Vec<(u64, Vec<&Value>)> {
    let mut connections: Vec<(u64, Vec<&Value>)> = Vec::new();
    for event in events.iter().filter(|e| e["sniffx.kind"] == "exchange" && e.get("db.query.text").is_some())
    {
        let own = ["PREPARE", "RESET", "SET"].iter().any(|name| event["db.operation.name"] == *name);
        let port = event["client.port"].as_u64().unwrap();
        match connections.iter_mut().find(|(p, _)| *p == port) {
            Some((_, list)) if !own => list.push(event),
            None => connections.push((port, if own { vec![] } else { vec![event] })),
            Some(_) => {}
        }
    }
    connections
}

#[test]
fn every_statement_is_seen_once_with_its_outcome() {
    let Some(python) = can_run() else { return };
    live("mysql-compressed");
    let net = Net::new();
    let server = MariaDb::start(&net);
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v", "mysql"]);
    let capture = Capture::start(command);

    let output = net
        .on_client(python)
        .arg(root().join("tests/scripts/compressed_client.py"))
        .args([SERVER, PASSWORD])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let connector = binary::parse(&output.stdout);
    let text: Vec<_> = TOOL.iter().map(|(text, _)| *text).collect();
    let tool = net
        .on_client("mariadb")
        .args(["--no-defaults", "-h", SERVER, "-uapp", &format!("-p{PASSWORD}"), "--skip-ssl"])
        .args(["--compress", "--max-allowed-packet=64M", "shop", "-e"])
        .arg(text.join("; "))
        .output()
        .unwrap();
    assert!(tool.status.success(), "{tool:?}");

    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    let logins: Vec<_> = events.iter().filter(|e| e["sniffx.kind"] == "session").collect();
    assert_eq!(logins.len(), 2, "{logins:#?}");
    for login in logins {
        assert_eq!(login["sniffx.session.state"], "connected");
        assert_eq!(login["sniffx.db.compression"], "zlib");
    }
    let notices: Vec<_> = events.iter().filter(|e| e["sniffx.kind"] == "notice").collect();
    assert!(notices.is_empty(), "{notices:#?}\n{said}");

    let seen = executed(&events);
    let [(_, first), (_, second)] = &seen[..] else { panic!("{} connections", seen.len()) };
    assert_eq!(first.len(), connector.len(), "{first:#?}");
    for (event, saw) in first.iter().zip(&connector) {
        let text = saw["text"].as_str().unwrap();
        let shown = event["db.query.text"].as_str().unwrap();
        if text.len() > 64 << 10 {
            assert!(shown == &text[..64 << 10], "cut wrongly");
            assert_eq!(event["sniffx.text.length"], text.len());
        } else {
            assert_eq!(shown, text);
        }
        let short = format!("{text:.80}: {}", event["status"]);
        if let Some(error) = saw.get("error") {
            assert_eq!(event["status"], "error", "{short}");
            assert_eq!(event["db.response.status_code"], *error, "{short}");
        } else {
            assert_eq!(event["status"], "ok", "{short}");
        }
        for (key, what) in [
            ("db.response.returned_rows", "rows"),
            ("sniffx.db.columns", "columns"),
            ("sniffx.db.affected_rows", "affected"),
        ] {
            if let Some(value) = saw.get(what) {
                assert_eq!(event[key], *value, "{what} of {short}");
            }
        }
    }
    let second: Vec<_> =
        second.iter().filter(|e| e["db.query.text"] != "select @@version_comment limit 1").collect();
    assert_eq!(second.len(), TOOL.len(), "{second:#?}");
    for (event, (text, rows)) in second.iter().zip(TOOL) {
        assert_eq!(event["db.query.text"], *text);
        assert_eq!(event["status"], "ok", "{event}");
        assert_eq!(event["db.response.returned_rows"], *rows, "{event}");
    }
    // The server counts the same: every statement of its log that came over the wire, once.
    let log = server.general_log();
    let executed = log.lines().filter(|l| l.contains(" Execute\t")).count();
    let inserts = events.iter().filter(|e| e["db.operation.name"] == "INSERT").count();
    assert_eq!(inserts, executed, "{log:.2000}");
    assert!(!format!("{events:?}{said}").contains(PASSWORD), "a password is shown");
}

//! The load generators that everybody uses, live: many connections at once, on a veth pair. What they and the servers counted is the truth: every
//! request is told once.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::mariadb::{self, MariaDb};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::nginx::Nginx;
use sniff_x_tests::redis::{self, Redis};
use sniff_x_tests::{has_program, is_root, live};

const CONNECTIONS: usize = 16;

fn can_run(name: &str, programs: &[(&str, &str)]) -> bool {
    let can = is_root()
        && has_program("ip", "iproute2")
        && programs.iter().all(|(name, package)| has_program(name, package));
    if can {
        live(name);
    }
    can
}

fn capture(net: &Net, plugin: &str) -> Capture {
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v", plugin]);
    Capture::start(command)
}

/// Runs a program on the client's host; what it printed.
fn run(net: &Net, program: &str, arguments: &[&str]) -> String {
    let output = net.on_client(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first number on the line with `what`.
fn number(text: &str, what: &str) -> usize {
    let line = text.lines().find(|line| line.contains(what)).unwrap();
    line.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty()).unwrap().parse().unwrap()
}

/// How many exchanges of each operation went well, and how many did not.
fn operations(events: &[Value]) -> (BTreeMap<&str, usize>, usize) {
    let (mut well, mut failed) = (BTreeMap::new(), 0);
    for event in events.iter().filter(|e| e["sniffx.kind"] == "exchange") {
        match event["status"].as_str().unwrap() {
            "ok" => *well.entry(event["db.operation.name"].as_str().unwrap()).or_default() += 1,
            status => {
                assert_eq!(status, "error", "{event}");
                failed += 1;
            }
        }
    }
    (well, failed)
}

#[test]
fn every_statement_of_sysbench() {
    let programs = [
        ("sysbench", "sysbench"),
        ("mariadbd", "mariadb-server"),
        ("openssl", "openssl"),
        ("mariadb-admin", "mariadb-client"),
    ];
    if !can_run("sysbench", &programs) {
        return;
    }
    let net = Net::new();
    let _server = MariaDb::start(&net);
    let password = format!("--mysql-password={}", mariadb::PASSWORD);
    let threads = format!("--threads={CONNECTIONS}");
    let sysbench = |more: &[&str]| {
        let host = format!("--mysql-host={SERVER}");
        let common =
            ["oltp_read_write", &host, "--mysql-user=app", &password, "--mysql-db=shop", "--table-size=5000"];
        run(&net, "sysbench", &[&common, more].concat())
    };
    sysbench(&["prepare"]);
    for mode in ["auto", "disable"] {
        let capture = capture(&net, "mysql");
        let mode = format!("--db-ps-mode={mode}");
        let report = sysbench(&[&threads, "--events=120", "--time=0", &mode, "run"]);
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        let (of, failed) = operations(&events);
        // A deadlock, after which it begins the transaction anew.
        assert_eq!(failed, number(&report, "ignored errors:"), "{mode}\n{report}");
        // As it counts them: an update of a row that is not there is another statement, none that writes.
        let count = |is: &dyn Fn(&Value) -> bool| {
            let executed = |e: &&Value| {
                e["status"] == "ok"
                    && !["PREPARE", "CLOSE"].map(Value::from).contains(&e["db.operation.name"])
            };
            events
                .iter()
                .filter(|e| e["sniffx.kind"] == "exchange")
                .filter(executed)
                .filter(|e| is(e))
                .count()
        };
        let reads = |e: &Value| e.get("db.response.returned_rows").is_some();
        let writes = |e: &Value| e["sniffx.db.affected_rows"].as_u64().is_some_and(|rows| rows > 0);
        assert_eq!(count(&reads), number(&report, "read:"), "{mode}: {of:?}\n{report}");
        assert_eq!(count(&writes), number(&report, "write:"), "{mode}: {of:?}\n{report}");
        assert_eq!(
            count(&|e| !reads(e) && !writes(e)),
            number(&report, "other:"),
            "{mode}: {of:?}\n{report}"
        );
        assert_eq!(of.contains_key("PREPARE"), mode.ends_with("auto"), "{of:?}");
        let executed = events.iter().filter(|e| e["db.operation.name"] == "SELECT");
        for event in executed {
            let is_prepared = event.get("sniffx.db.statement_id").is_some();
            let parameters = event.get("db.query.parameter.0").is_some();
            assert_eq!(
                (is_prepared, parameters),
                (mode.ends_with("auto"), mode.ends_with("auto")),
                "{event}"
            );
            let text = event["db.query.text"].as_str().unwrap();
            assert_eq!(text.contains('?'), is_prepared, "{event}");
        }
    }
}

#[test]
fn every_command_of_redis_benchmark() {
    if !can_run(
        "redis-benchmark",
        &[("redis-benchmark", "redis-tools"), ("redis-server", "redis-server"), ("redis-cli", "redis-tools")],
    ) {
        return;
    }
    let net = Net::new();
    let server = Redis::start(net.on_server("redis-server"), &[]);
    let clients = CONNECTIONS.to_string();
    for pipelined in ["1", "16"] {
        let capture = capture(&net, "redis");
        server.reset_counts();
        let arguments =
            ["-h", SERVER, "-a", redis::PASSWORD, "-c", &clients, "-n", "1600", "-P", pipelined, "-q"];
        run(&net, "redis-benchmark", &[&arguments[..], &["-t", "set,get,incr,lpush,mset,zadd"]].concat());
        let counts = server.counts();
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        let (of, failed) = operations(&events);
        assert_eq!(failed, 0);
        for name in ["SET", "GET", "INCR", "LPUSH", "MSET", "ZADD"] {
            let counted = counts[&name.to_lowercase()].calls;
            assert!(counted >= 1600, "{counts:?}");
            assert_eq!(of.get(name).copied(), usize::try_from(counted).ok(), "{name}, {pipelined} at once");
        }
    }
}

#[test]
fn every_request_of_wrk() {
    if !can_run("wrk", &[("wrk", "wrk"), ("nginx", "nginx-light")]) {
        return;
    }
    let net = Net::new();
    let server = Nginx::start(&net, 1);
    let capture = capture(&net, "http");
    let clients = CONNECTIONS.to_string();
    let url = format!("http://{SERVER}/small.txt");
    let report = run(&net, "wrk", &["-t", "2", "-c", &clients, "-d", "1s", &url]);
    let (events, said, status) = capture.stop();
    assert!(status.success(), "{said}");
    let answered =
        events.iter().filter(|e| e["http.response.status_code"] == 200 && e["status"] == "ok").count();
    let (counted, logged) = (number(&report, " requests in "), server.log().len());
    // When its time is over wrk goes, whatever is on its way: at most one request on each connection.
    assert!(
        counted > 0 && counted <= answered && answered <= logged,
        "{counted} {answered} {logged}\n{report}"
    );
    assert!(logged - counted <= CONNECTIONS, "{counted} {answered} {logged}\n{report}");
}

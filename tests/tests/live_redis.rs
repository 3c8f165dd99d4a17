//! Redis live: a real server, redis-cli and redis-py in RESP2 and RESP3. The truth is what the clients say that they sent, and what the server counted
//! of each command (`INFO commandstats`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that waits for real processes"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::clients::python_with;
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::oracle::text;
use sniff_x_tests::recording::Recording;
use sniff_x_tests::redis::{Count, PASSWORD, Redis};
use sniff_x_tests::tshark;
use sniff_x_tests::{has_program, is_root, live, root};

fn can_run() -> Option<PathBuf> {
    let programs = [
        ("ip", "iproute2"),
        ("redis-server", "redis-server"),
        ("redis-cli", "redis-tools"),
        ("tcpdump", "tcpdump"),
    ];
    if is_root() && programs.iter().all(|(name, package)| has_program(name, package)) {
        python_with("redis")
    } else {
        None
    }
}

fn capture(net: &Net) -> Capture {
    let mut command = net.on_server(binary::path());
    command.args(["--iface", IFACE, "--format", "json", "-v", "redis"]);
    Capture::start(command)
}

/// What the redis-py script says.
fn redis_py(net: &Net, python: &Path, protocol: &str) -> Vec<Value> {
    let script = root().join("tests/scripts/redis_client.py");
    let output = net.on_client(python).arg(script).args([SERVER, PASSWORD, protocol]).output().unwrap();
    assert!(output.status.success(), "RESP{protocol}: {}", String::from_utf8_lossy(&output.stderr));
    binary::parse(&output.stdout)
}

/// Lines for redis-cli, with the reply's type and the number of values in it.
const LINES: [(&str, &str, Option<u64>); 10] = [
    ("DEL letters h", "integer", None),
    ("SET greeting 'hello world'", "status", None),
    ("GET greeting", "string", None),
    ("GET nothing", "nil", None),
    ("RPUSH letters a b c", "integer", None),
    ("LRANGE letters 0 -1", "array", Some(3)),
    ("HSET h f v", "integer", None),
    ("LPUSH greeting x", "error", None),
    ("NONSENSE", "error", None),
    ("DBSIZE", "integer", None),
];

fn redis_cli(net: &Net, options: &[&str]) {
    let mut cli = net
        .on_client("redis-cli")
        .args(["-h", SERVER, "--no-auth-warning", "-a", PASSWORD])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines: String = LINES.iter().map(|(line, ..)| format!("{line}\n")).collect();
    cli.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(cli.wait().unwrap().success());
}

/// A command of which the server does not say anything afterwards: it was never carried out.
fn is_not_run(event: &Value) -> bool {
    event.get("sniffx.notice").is_some()
}

fn is_command(event: &Value) -> bool {
    let told_to_listeners = ["MESSAGE", "PMESSAGE", "MONITOR", "INVALIDATE"];
    event["sniffx.kind"] == "exchange"
        || event["sniffx.kind"] == "message" && !told_to_listeners.contains(&text(event, "db.operation.name"))
}

/// Commands whose first argument is part of the name.
const CONTAINERS: [&str; 5] = ["CLIENT", "CONFIG", "ACL", "SCRIPT", "COMMAND"];

/// As the server names it.
fn name(event: &Value) -> String {
    let operation = text(event, "db.operation.name");
    let mut words = text(event, "db.query.text").split(' ');
    let name = match words.nth(1) {
        Some(argument) if CONTAINERS.contains(&operation) => format!("{operation}|{argument}"),
        _ => operation.to_owned(),
    };
    name.to_lowercase()
}

/// What the events tell of each command, as a server counts it.
fn counts(events: &[Value]) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for event in events.iter().filter(|e| is_command(e) && !is_not_run(e)) {
        if text(event, "error.message").starts_with("ERR unknown ") {
            // The server does not count what it does not know.
            continue;
        }
        let count = counts.entry(name(event)).or_default();
        count.calls += 1;
        count.errors += u64::from(event["status"] == "error");
    }
    counts
}

/// The events of a connection are what its client says, in order. Returns how many.
fn check_connection(events: &[&Value], said: &[&Value]) -> usize {
    let sent: Vec<_> = said.iter().filter(|s| s.get("hex").is_some()).collect();
    let mut commands: Vec<_> = events.iter().filter(|e| is_command(e)).collect();
    // EXEC's results are told before EXEC, whose request came later: all are in the order in which they were sent.
    commands.sort_by_key(|e| sniff_x_tests::oracle::event_time(e));
    assert_eq!(commands.len(), sent.len(), "{commands:#?}\n{sent:#?}");
    let mut errors = said.iter().filter_map(|s| s["error"].as_str());
    let mut told_errors = Vec::new();
    for (event, sent) in commands.iter().zip(&sent) {
        let expected: Vec<u8> = (0..text(sent, "hex").len() / 2)
            .map(|i| u8::from_str_radix(&text(sent, "hex")[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let length = sent["length"].as_u64().unwrap();
        let shown = binary::bytes(text(event, "db.query.text"));
        if length > 64 << 10 {
            assert!(expected.starts_with(&shown) && shown.len() > 65_000, "cut wrongly");
            assert_eq!(event["sniffx.text.length"], length);
        } else {
            assert!(shown == expected, "{event} is not {}", expected.escape_ascii());
        }
        if event["status"] == "error" {
            told_errors.push(text(event, "error.message"));
        }
        assert_ne!(event["status"], "incomplete", "{event}");
    }
    for told in &told_errors {
        let error = errors.next();
        assert!(error.is_some(), "{told_errors:?} are more than the client got: {said:#?}");
        let error = error.unwrap();
        // The driver takes the first word away from those that it knows, and adds words to those of a pipeline.
        let core = told.split_once(' ').map_or(*told, |(_, rest)| rest);
        assert!(error.contains(core), "{told} is not {error}");
    }
    assert_eq!(errors.next(), None, "{told_errors:?}");
    sent.len()
}

fn by_port<'a>(values: impl IntoIterator<Item = &'a Value>, key: &str) -> BTreeMap<u64, Vec<&'a Value>> {
    let mut ports: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for value in values {
        ports.entry(value[key].as_u64().unwrap()).or_default().push(value);
    }
    ports
}

#[test]
fn every_command_is_seen_once_with_its_outcome() {
    let Some(python) = can_run() else { return };
    live("redis");
    let net = Net::new();
    let server = Redis::start(net.on_server("redis-server"), &[]);
    let recording = Recording::start(&net);
    let capture = capture(&net);
    server.reset_counts();
    let said: Vec<_> = ["2", "3"].iter().flat_map(|protocol| redis_py(&net, &python, protocol)).collect();
    redis_cli(&net, &[]);
    redis_cli(&net, &["-3"]);
    let mut counted = server.counts();
    let (events, stderr, status) = capture.stop();
    assert!(status.success(), "{stderr}");
    let everything = format!("{events:?}{stderr}");
    assert!(!everything.contains(PASSWORD), "a password is shown");

    // What redis-py says, connection by connection.
    let mut ports = by_port(&events, "client.port");
    let (mut commands, mut connections) = (0, 0);
    for (port, said) in by_port(&said, "port") {
        commands += check_connection(&ports.remove(&port).unwrap_or_default(), &said);
        connections += 1;
    }
    // What is left is redis-cli.
    assert_eq!(ports.len(), 2);
    for (cli, greeting) in ports.values().zip([&[][..], &["HELLO"]]) {
        let names: Vec<_> = cli.iter().map(|e| text(e, "db.operation.name")).collect();
        let (before, rest) = names.split_at(names.len() - LINES.len());
        assert!(before.contains(&"AUTH") && greeting.iter().all(|g| before.contains(g)), "{names:?}");
        for (event, (line, kind, count)) in cli[names.len() - LINES.len()..].iter().zip(LINES) {
            assert_eq!(text(event, "db.query.text"), line.replace('\'', ""));
            assert_eq!(event["sniffx.redis.reply.type"], kind, "{event}");
            assert_eq!(event["sniffx.redis.reply.count"].as_u64(), count, "{event}");
            assert_eq!(event["status"], if kind == "error" { "error" } else { "ok" });
        }
        assert_eq!(rest.len(), LINES.len());
    }

    // What the server counted. What scripts do is counted there alone: for each protocol twice a counter, once a try on a text.
    assert_eq!(counted.remove("incr"), Some(Count { calls: 6, errors: 2 }));
    let mut told = counts(&events);
    // Those over the Unix socket are told by nobody.
    for counts in [&mut told, &mut counted] {
        counts.remove("info");
    }
    assert_eq!(told, counted);

    check_details(&events);
    let recording = recording.stop();
    check_recording(recording.path(), &events);
    check_dissected(recording.path(), &events);
    let failed: u64 = counted.values().map(|c| c.errors).sum();
    eprintln!(
        "{} events; {commands} commands of {connections} connections of redis-py; {} calls of {} commands counted by the server, {failed} failed",
        events.len(),
        counted.values().map(|c| c.calls).sum::<u64>(),
        counted.len(),
    );
    for line in stderr.lines().filter(|l| l.contains("drop")) {
        eprintln!("{line}");
    }
    if let Some(place) = std::env::var_os("SNIFFX_KEEP_RECORDING") {
        std::fs::copy(recording.path(), place).unwrap();
    }
}

/// Messages, databases, users, waiting.
fn check_details(events: &[Value]) {
    let of = |operation: &str| -> Vec<&Value> {
        events.iter().filter(|e| e["db.operation.name"] == operation).collect()
    };
    let texts =
        |operation: &str| -> Vec<&str> { of(operation).iter().map(|e| text(e, "db.query.text")).collect() };
    assert_eq!(texts("MESSAGE"), ["news first", "weather third"].repeat(2));
    assert_eq!(texts("PMESSAGE"), ["sp* sports second"; 2]);
    assert_eq!(texts("INVALIDATE"), ["name"]);
    let monitored = texts("MONITOR");
    let lines: Vec<_> = monitored.iter().filter(|t| t.contains("\"monitored\"")).collect();
    assert_eq!(lines.len(), 4, "{monitored:?}");
    assert!(lines[0].ends_with("\"SET\" \"monitored\" \"yes\""), "{lines:?}");
    for event in events.iter().filter(|e| text(e, "db.query.text") == "SET in three") {
        assert_eq!(event["db.namespace"], "3");
        assert_eq!(event["sniffx.db.user"], "app");
    }
    let waited: Vec<_> = of("BLPOP").iter().map(|e| e["duration_ns"].as_u64().unwrap() / 1_000_000).collect();
    assert!(waited.iter().all(|millis| (300..20_000).contains(millis)), "{waited:?}");
    let big: Vec<_> = events.iter().filter(|e| text(e, "db.query.text") == "GET big").collect();
    assert_eq!(big.len(), 2);
    assert!(big.iter().all(|e| e["sniffx.db.response.size"] == 1_500_000 + 12), "{big:?}");
}

/// The same traffic, recorded by tcpdump, gives the same events.
fn check_recording(recording: &Path, events: &[Value]) {
    let again = binary::events([Path::new("--read"), recording, Path::new("redis")]);
    let bare = |events: &[Value]| -> Vec<Value> {
        let mut events = events.to_vec();
        for event in &mut events {
            let event = event.as_object_mut().unwrap();
            event.remove("timestamp");
            event.remove("duration_ns");
        }
        events.sort_by_key(|e| e["client.port"].as_u64());
        events
    };
    let (again, events) = (bare(&again), bare(events));
    for (again, event) in again.iter().zip(&events) {
        assert_eq!(again, event);
    }
    assert_eq!(again.len(), events.len());
}

/// tshark dissects the same commands in the recording, connection by connection; of RESP2 the same errors too (it does not know RESP3).
fn check_dissected(recording: &Path, events: &[Value]) {
    let fields = [
        "tcp.srcport",
        "tcp.dstport",
        "resp.array.length",
        "resp.bulk_string.length",
        "resp.bulk_string.value",
        "resp.error",
    ];
    let Some(frames) = tshark::fields(recording, "resp", &fields) else { return };
    let (mut names, mut errors): (BTreeMap<String, Vec<String>>, BTreeMap<String, Vec<String>>) =
        Default::default();
    for frame in &frames {
        let [source, destination, arrays, lengths, values, failed] = &frame[..] else { unreachable!() };
        if destination[0] != "6379" {
            errors.entry(destination[0].clone()).or_default().extend(failed.iter().cloned());
            continue;
        }
        let (mut lengths, mut values) = (lengths.iter(), values.iter());
        for count in arrays {
            let mut words = (0..count.parse::<u64>().unwrap()).map(|_| {
                // An empty word has no value.
                if lengths.next().unwrap() == "0" { "" } else { values.next().unwrap() }
            });
            let hex = words.next().unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let name: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            words.for_each(drop);
            let name = String::from_utf8(name).unwrap().to_ascii_uppercase();
            names.entry(source[0].clone()).or_default().push(name);
        }
    }
    let mut commands = 0;
    for (port, told) in by_port(events, "client.port") {
        let mut told: Vec<_> = told.into_iter().filter(|e| is_command(e)).collect();
        told.sort_by_key(|e| sniff_x_tests::oracle::event_time(e));
        let port = port.to_string();
        let of_events: Vec<_> = told.iter().map(|e| text(e, "db.operation.name").to_owned()).collect();
        assert_eq!(of_events, names.remove(&port).unwrap_or_default(), "commands of {port}");
        commands += of_events.len();
        let resp3 = told.iter().any(|e| text(e, "db.query.text").to_ascii_uppercase().starts_with("HELLO 3"));
        if !resp3 {
            let failed = told.iter().filter(|e| e["status"] == "error");
            let failed: Vec<_> = failed.map(|e| text(e, "error.message").to_owned()).collect();
            assert_eq!(failed, errors.remove(&port).unwrap_or_default(), "errors of {port}");
        }
    }
    assert!(names.is_empty(), "told by nobody: {names:?}");
    eprintln!("{commands} commands, as tshark dissects them");
}

/// A replica's stream is told as what it amounts to, with the copy in both of its forms.
#[test]
fn replication_is_counted_as_the_server_counts_it() {
    let Some(_) = can_run() else { return };
    live("redis replication");
    for diskless in ["yes", "no"] {
        let net = Net::new();
        let server = Redis::start(
            net.on_server("redis-server"),
            &["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"],
        );
        assert_eq!(server.ask(&["SET", "before", &"x".repeat(5000)]).trim(), "OK");
        let capture = capture(&net);
        let replica = Redis::start(
            net.on_client("redis-server"),
            &["--replicaof", &format!("{SERVER} 6379"), "--masterauth", PASSWORD],
        );
        let deadline = std::time::Duration::from_secs(30);
        let begun = std::time::Instant::now();
        while replica.info("replication", "master_link_status") != "up" {
            assert!(begun.elapsed() < deadline, "no replication: {}", replica.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let offset = || server.info("replication", "master_repl_offset").parse::<u64>().unwrap();
        for number in 0..100 {
            assert_eq!(server.ask(&["SET", &format!("k{number}"), "v"]).trim(), "OK");
        }
        while replica.ask(&["GET", "k99"]).trim() != "v" {
            assert!(begun.elapsed() < deadline, "no replication: {}", replica.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let before = offset();
        drop(replica);
        let after = offset();
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        let states: Vec<_> = events.iter().filter_map(|e| e["sniffx.session.state"].as_str()).collect();
        assert_eq!(states, ["replicating", "replicated"], "{events:#?}");
        let total = events.iter().find(|e| e["sniffx.session.state"] == "replicated").unwrap();
        let log = server.log();
        let changes = total["sniffx.redis.changes.size"].as_u64().unwrap();
        // A ping of the server may come in between.
        assert!(
            (before..=after).contains(&changes),
            "{changes} bytes told, {before} to {after} counted:\n{log}"
        );
        let sets = total["sniffx.redis.changes"].as_u64().unwrap();
        assert!((101..110).contains(&sets), "a SELECT, 100 SETs, pings: {sets}");
        let copied = total["sniffx.redis.copy.size"].as_u64().unwrap();
        assert!(copied > 100, "the copy holds what there was: {copied}");
        assert!(!format!("{events:?}").contains(PASSWORD), "a password is shown");
        eprintln!(
            "diskless {diskless}: copy of {copied} bytes, {changes} bytes of {sets} changes; the server counts {after}"
        );
    }
}

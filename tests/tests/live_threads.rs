//! Several workers on a live line, with the real binary: a ring for each, or one ring for all. The events are the same either way, and what
//! the two programs exchanged is the truth.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use sniff_x_tests::binary::{self, Capture};
use sniff_x_tests::netns::{IFACE, Net, SERVER};
use sniff_x_tests::{has_program, is_root, live, root};

const PORT: &str = "7777";
const CONNECTIONS: u64 = 64;
/// Requests of a connection, where there are several.
const REQUESTS: u64 = 40;

fn can_run(name: &str) -> bool {
    let can = is_root() && has_program("ip", "iproute2") && has_program("python3", "python3");
    if can {
        live(name);
    }
    can
}

/// All connections of a script at once; `server` and `client` make commands on the two hosts, `numbers` are the script's.
fn run(
    script: &str,
    numbers: &[u64],
    address: &str,
    server: impl Fn() -> Command,
    client: impl Fn() -> Command,
) {
    let script = root().join("tests/scripts").join(script);
    let as_role = |mut command: Command, role| {
        command.arg(&script).args([role, address, PORT]).args(numbers.iter().map(u64::to_string));
        command
    };
    let mut serving = as_role(server(), "serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    let asked = as_role(client(), "ask").status().unwrap();
    assert!(asked.success() && serving.wait().unwrap().success());
}

fn exchange(server: impl Fn() -> Command, client: impl Fn() -> Command, address: &str) {
    run("many_exchanges.py", &[CONNECTIONS], address, server, client);
}

fn over_veth(net: &Net) {
    exchange(|| net.on_server("python3"), || net.on_client("python3"), SERVER);
}

/// Every connection once, and whole.
fn assert_all(events: &[Value], said: &str) {
    let mut sizes = BTreeMap::new();
    for event in events {
        assert_eq!(event["status"], "ok", "{event:#}");
        assert_eq!(event["sniffx.tcp.end"], "fin", "{event:#}");
        let bytes = |key| event[key].as_u64().unwrap();
        let before = sizes.insert(bytes("sniffx.to_server.bytes"), bytes("sniffx.to_client.bytes"));
        assert_eq!(before, None, "twice: {event:#}");
    }
    let expected = (0..CONNECTIONS).map(|n| (1000 * n + 1, 2 * (1000 * n + 1))).collect();
    assert_eq!(sizes, expected, "{said}");
}

/// What is said of the frames that each reader got.
fn show_split(said: &str) {
    let line = said.lines().find(|line| line.contains("frames of each reader"));
    eprintln!("{}", line.unwrap_or("one reader"));
}

#[test]
fn each_worker_has_a_ring() {
    if !can_run("fanout") {
        return;
    }
    let net = Net::new();
    let folder = tempfile::tempdir().unwrap();
    for (interface, threads) in [(IFACE, "2"), (IFACE, "4"), ("lo", "2")] {
        let stats = folder.path().join("stats.json");
        let mut command = net.on_server(binary::path());
        command.args([
            "--iface",
            interface,
            "--threads",
            threads,
            "--ring-size",
            "8M",
            "--stats-interval",
            "1",
        ]);
        command.arg("--stats-file").arg(&stats);
        command.args(["--format", "json", "-vv", "tcp", "-p", PORT]);
        let mut capture = Capture::start(command);
        if interface == "lo" {
            exchange(|| net.on_server("python3"), || net.on_server("python3"), "127.0.0.1");
        } else {
            over_veth(&net);
        }
        capture.wait_for("frames.received=");
        let (events, said, status) = capture.stop();
        assert!(status.success() && said.contains(&format!("with {threads} rings")), "{said}");
        assert_all(&events, &said);
        show_split(&said);
        // What all rings have in common is counted once, the rest is the sum.
        let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
        let count = |name: &str| stats["counters"][name].as_u64().unwrap();
        assert_eq!(count("frames.passed"), count("tcp.segments"), "{stats:#}");
        assert_eq!(
            count("frames.received"),
            count("frames.passed") + count("frames.filtered") + count("frames.dropped"),
            "{stats:#}"
        );
        assert_eq!((count("tcp.opened"), count("events.written")), (CONNECTIONS, CONNECTIONS), "{stats:#}");
    }
}

/// The events of each connection are its exchanges in their order, each with what the server answered.
fn assert_in_order(events: &[Value], said: &str) {
    let mut told: BTreeMap<u64, Vec<(u64, u64, u64)>> = BTreeMap::new();
    for event in events {
        assert_eq!(
            event["status"],
            if event["http.response.status_code"].as_u64() < Some(400) { "ok" } else { "error" }
        );
        let path = event["url.path"].as_str().unwrap();
        let (connection, nth) = path[1..].split_once('/').unwrap();
        let number = |key: &str| event[key].as_u64().unwrap();
        told.entry(connection.parse().unwrap()).or_default().push((
            nth.parse().unwrap(),
            number("http.response.status_code"),
            number("http.response.body.size"),
        ));
    }
    let statuses = [200, 201, 203, 404, 500, 503].into_iter().cycle();
    let expected = (0..CONNECTIONS).map(|connection| {
        let exchanges = (0..REQUESTS).zip(statuses.clone());
        (connection, exchanges.map(|(nth, status)| (nth, status, 37 * connection + nth)).collect())
    });
    assert_eq!(told, expected.collect(), "{said}");
}

#[test]
fn events_of_a_connection_keep_their_order() {
    if !can_run("order") {
        return;
    }
    let net = Net::new();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.pcapng");
    let numbers = [CONNECTIONS, REQUESTS];
    // A ring for each worker; with a file to write one reader for all.
    for (interface, threads, write) in
        [(IFACE, "2", false), (IFACE, "4", false), ("lo", "2", false), (IFACE, "3", true)]
    {
        let mut command = net.on_server(binary::path());
        command.args(["--iface", interface, "--threads", threads, "--ring-size", "16M", "--format", "json"]);
        if write {
            command.arg("--write").arg(&copy);
        }
        command.args(["-vv", "http", "-p", PORT]);
        let capture = Capture::start(command);
        let server = || net.on_server("python3");
        if interface == "lo" {
            run("many_requests.py", &numbers, "127.0.0.1", server, server);
        } else {
            run("many_requests.py", &numbers, SERVER, server, || net.on_client("python3"));
        }
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        assert_eq!(said.contains(&format!("with {threads} rings")), !write, "{said}");
        assert_in_order(&events, &said);
        show_split(&said);
    }
}

#[test]
fn workers_share_one_ring_where_the_kernel_can_not_share_out() {
    if !can_run("no fanout") || !has_program("setpriv", "util-linux") {
        return;
    }
    let net = Net::new();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("sniff-x");
    std::fs::copy(binary::path(), &copy).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Without CAP_BPF; and with too few file descriptors for so many rings.
    let mut ordinary = net.on_server("setpriv");
    let only = "-all,+net_raw";
    ordinary.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    ordinary.args([format!("--inh-caps={only}"), format!("--ambient-caps={only}")]);
    ordinary.arg(format!("--bounding-set={only}")).arg(&copy).args(["--threads", "2"]);
    let mut narrow = net.on_server("sh");
    narrow.args(["-c", "ulimit -n 32; exec \"$@\"", "sh"]).arg(&copy).args(["--threads", "40"]);
    for (mut command, why) in [(ordinary, "cap_bpf"), (narrow, "(AF_PACKET)")] {
        command.args(["--ring-size", "8M", "--iface", IFACE, "--format", "json", "-v", "tcp", "-p", PORT]);
        let capture = Capture::start(command);
        over_veth(&net);
        let (events, said, status) = capture.stop();
        assert!(status.success(), "{said}");
        let lines: Vec<_> = said.lines().filter(|line| line.contains("one ring instead of")).collect();
        assert!(lines.len() == 1 && lines.iter().all(|line| line.contains(why)), "{said}");
        assert_all(&events, &said);
    }
}

#[test]
fn all_readers_stop_together() {
    if !can_run("fanout stops") {
        return;
    }
    let net = Net::new();
    let sniff = |more: &[&str]| {
        let mut command = net.on_server(binary::path());
        command.args(["--iface", IFACE, "--threads", "2", "--ring-size", "8M", "--format", "json", "-v"]);
        command.args(more).args(["tcp", "-p", PORT]);
        command
    };
    let timed = sniff(&["--duration", "1"]).output().unwrap();
    assert!(timed.status.success(), "{}", String::from_utf8_lossy(&timed.stderr));

    let mut counted = Capture::start(sniff(&["--count", "10"]));
    over_veth(&net);
    counted.wait_for("events  10 written");
    let (events, said, status) = counted.stop();
    assert!(status.success() && events.len() == 10, "{said}");

    let mut gone = Capture::start(sniff(&[]));
    let deleted = net.on_server("ip").args(["link", "del", IFACE]).status().unwrap();
    assert!(deleted.success());
    gone.wait_for("is gone");
    gone.wait_for("events  0 written");
    let (_, said, status) = gone.stop();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("interface.down 1"), "counted once: {said}");
    assert_eq!(said.matches("warning: interface").count(), 1, "told once: {said}");
}

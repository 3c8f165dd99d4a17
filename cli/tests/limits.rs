//! Every limit through the real program: an option sets it, traffic reaches it, and a counter of `--stats-file` says so; with the default
//! the same traffic does not reach it.
#![expect(clippy::unwrap_used, reason = "a test over files of its own making may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// A second after the other one in packet time.
const SECOND: u64 = 1_000_000;

/// A capture under construction: its records, and packet time in microseconds.
struct Capture {
    file: Vec<u8>,
    now: u64,
    /// The server's TCP port.
    server: u16,
}

impl Capture {
    fn new() -> Self {
        let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101];
        let file = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { file, now: 1_772_359_200_000_000, server: 3306 }
    }

    /// An IPv4 packet or fragment; `ends` are the last bytes of the addresses.
    fn ipv4(&mut self, ends: [u8; 2], id: u8, offset: u16, protocol: u8, payload: &[u8]) {
        let total = u16::try_from(20 + payload.len()).unwrap();
        let length = u32::from(total);
        let time = [self.now / SECOND, self.now % SECOND].map(|part| u32::try_from(part).unwrap());
        [time[0], time[1], length, length].iter().for_each(|word| self.file.extend(word.to_le_bytes()));
        self.file.extend([0x45, 0]);
        self.file.extend(total.to_be_bytes());
        self.file.extend([0, id]);
        self.file.extend(offset.to_be_bytes());
        self.file.extend([64, protocol, 0, 0, 10, 0, 0, ends[0], 10, 0, 0, ends[1]]);
        self.file.extend(payload);
        self.now += 1000;
    }

    fn tcp(&mut self, from_client: bool, port: u16, numbers: [u32; 2], flags: u8, payload: &[u8]) {
        let (ends, ports) =
            if from_client { ([1, 2], [port, self.server]) } else { ([2, 1], [self.server, port]) };
        let mut segment: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        segment.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.ipv4(ends, 0, 0, 6, &segment);
    }

    fn udp(&mut self, port: u16) {
        let mut datagram: Vec<u8> = [port, 9999, 12, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
        datagram.extend(b"ping");
        self.ipv4([1, 2], 0, 0, 17, &datagram);
    }

    /// SYN, SYN-ACK, ACK.
    fn open(&mut self, port: u16) {
        self.tcp(true, port, [99, 0], SYN, b"");
        self.tcp(false, port, [499, 100], SYN_ACK, b"");
        self.tcp(true, port, [100, 500], ACK, b"");
    }

    fn wait(&mut self, seconds: u64) {
        self.now += seconds * SECOND;
    }
}

fn connections(capture: &mut Capture) {
    (1..=10).for_each(|port| capture.open(port));
}

fn syns(capture: &mut Capture) {
    (1..=10).for_each(|port| capture.tcp(true, port, [99, 0], SYN, b""));
}

/// Each second byte of a connection is lost.
fn holes(capture: &mut Capture) {
    capture.open(1);
    (1..=10).for_each(|n| capture.tcp(true, 1, [100 + 2 * n, 500], ACK, b"x"));
}

fn silence(capture: &mut Capture) {
    capture.open(1);
    capture.wait(20);
    capture.open(2);
}

fn an_unanswered_syn(capture: &mut Capture) {
    capture.tcp(true, 1, [99, 0], SYN, b"");
    capture.wait(10);
    capture.open(2);
}

fn datagrams(capture: &mut Capture) {
    (1..=10).for_each(|port| capture.udp(port));
}

fn silent_datagrams(capture: &mut Capture) {
    capture.udp(1);
    capture.wait(20);
    capture.udp(2);
}

/// The first fragments of ten datagrams.
fn fragments(capture: &mut Capture) {
    const MORE: u16 = 0x2000;
    (1..=10).for_each(|id| capture.ipv4([1, 2], id, MORE, 17, &[7; 1400]));
}

fn a_late_fragment(capture: &mut Capture) {
    fragments(capture);
    capture.wait(10);
    capture.ipv4([1, 2], 20, 0x2000, 17, &[7; 1400]);
}

/// Opens a connection to a MySQL server and logs in; gives the numbers that both sides are at.
fn login(capture: &mut Capture, port: u16) -> [u32; 2] {
    const GREETING: &[u8] = b"M\0\0\0\x0a5.7.0-log\0\x07\0\0\0abcdefgh\0\xff\xf7!\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0";
    const OKAY: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    let login = [&[0x24, 0, 0, 1, 5, 0xa2, 8, 0, 0, 0, 0, 1, 33][..], &[0; 23], b"me\0\0"].concat();
    let login_len = u32::try_from(login.len()).unwrap();
    let [greeting_len, okay_len] = [GREETING, OKAY].map(|bytes| u32::try_from(bytes.len()).unwrap());
    capture.open(port);
    capture.tcp(false, port, [500, 100], ACK, GREETING);
    capture.tcp(true, port, [100, 500 + greeting_len], ACK, &login);
    capture.tcp(false, port, [500 + greeting_len, 100 + login_len], ACK, OKAY);
    [100 + login_len, 500 + greeting_len + okay_len]
}

/// Requests whose heads have 7,000 bytes so far.
fn unfinished(capture: &mut Capture) {
    capture.server = 80;
    for port in 1..=10 {
        capture.open(port);
        let head = [&b"GET / HTTP/1.1\r\nHost: a\r\nX: "[..], &[b'x'; 7000 - 30]].concat();
        for (at, piece) in (100..).step_by(1000).zip(head.chunks(1000)) {
            capture.tcp(true, port, [at, 500], ACK, piece);
        }
    }
}

/// A statement that is answered after twenty seconds.
fn slow(capture: &mut Capture) {
    const STATEMENT: &[u8] = b"\x17\0\0\0\x03DELETE FROM t WHERE a=1";
    let [client, server] = login(capture, 1);
    capture.tcp(true, 1, [client, server], ACK, STATEMENT);
    // Somebody else's packet moves the clock.
    capture.wait(20);
    capture.open(2);
    let client = client + u32::try_from(STATEMENT.len()).unwrap();
    capture.tcp(false, 1, [server, client], ACK, b"\x07\0\0\x01\0\x01\0\x02\0\0\0");
}

type Made = fn(&mut Capture);

/// Plugin, option, value, traffic, counter, and what it is then.
const LIMITS: &[(&str, &str, &str, Made, &str, u64)] = &[
    ("tcp", "--max-connections", "3", connections, "tcp.limit_connections", 7),
    ("tcp", "--max-embryonic", "3", syns, "tcp.limit_embryonic", 7),
    ("tcp", "--max-pages-per-connection", "4", holes, "tcp.limit_pages_per_connection", 6),
    ("tcp", "--max-pages", "4", holes, "tcp.limit_pages_total", 6),
    ("tcp", "--idle-timeout", "10", silence, "tcp.closed_idle", 1),
    ("tcp", "--embryonic-timeout", "5", an_unanswered_syn, "tcp.closed_idle", 1),
    ("auto", "--max-udp-flows", "3", datagrams, "udp.closed_evicted", 7),
    ("auto", "--udp-idle-timeout", "10", silent_datagrams, "udp.closed_idle", 1),
    ("auto", "--max-fragmented", "3", fragments, "fragments.limit", 7),
    ("auto", "--max-fragment-pages", "3", fragments, "fragments.limit", 7),
    ("auto", "--fragment-timeout", "5", a_late_fragment, "fragments.timed_out", 10),
    ("http", "--max-message", "5k", unfinished, "decoder.oversized_messages", 10),
    // There is room for two of them.
    ("http", "--max-kept", "20k", unfinished, "decoder.crowded_out_messages", 8),
];

/// Runs over `a.pcap` of the folder; gives the events.
fn run(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_sniff-x"))
        .current_dir(folder)
        .args(["--read", "a.pcap", "--stats-file", "stats.json", "--threads", "1", "-q", "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let events = String::from_utf8(output.stdout).unwrap();
    events.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn counters(folder: &Path, arguments: &[&str]) -> Value {
    run(folder, arguments);
    serde_json::from_slice(&fs::read(folder.join("stats.json")).unwrap()).unwrap()
}

#[test]
fn each_limit_has_an_option_and_a_counter() {
    let folder = tempfile::tempdir().unwrap();
    for &(plugin, option, value, made, counter, expected) in LIMITS {
        let mut capture = Capture::new();
        made(&mut capture);
        fs::write(folder.path().join("a.pcap"), capture.file).unwrap();
        let count = |arguments: &[&str]| counters(folder.path(), arguments)["counters"][counter].as_u64();
        assert_eq!(count(&[plugin]), Some(0), "without {option}: {counter}");
        assert_eq!(count(&[option, value, plugin]), Some(expected), "{option} {value}: {counter}");
    }
}

/// Limits that the events themselves tell of: option, value, member, and what it is then.
const OF_EVENTS: &[(&str, &str, &str, &str)] = &[
    ("--max-text", "10", "sniffx.text.length", "22"),
    ("--exchange-timeout", "5", "sniffx.incomplete.reason", "\"timeout\""),
];

#[test]
fn each_limit_of_events_is_told_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::new();
    slow(&mut capture);
    fs::write(folder.path().join("a.pcap"), capture.file).unwrap();
    for &(option, value, member, expected) in OF_EVENTS {
        let told = |arguments: &[&str]| -> Vec<String> {
            let events = run(folder.path(), arguments);
            events.iter().filter_map(|event| Some(event.get(member)?.to_string())).collect()
        };
        // Who waits is looked at when the connection was silent for long.
        let idle = ["--idle-timeout", "10", "mysql"];
        assert!(told(&idle).is_empty(), "without {option}");
        let told = told(&[&[option, value][..], &idle].concat());
        assert_eq!(told.last().map(String::as_str), Some(expected), "{option} {value}: the statement's");
    }
}

#[test]
fn no_limit_is_without_a_test() {
    let output = Command::new(env!("CARGO_BIN_EXE_sniff-x")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let limits = help.split("\nLimits:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let options: Vec<&str> = limits.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(options.len() >= 15, "{limits}");
    for option in options {
        let tested =
            LIMITS.iter().any(|limit| limit.1 == option) || OF_EVENTS.iter().any(|limit| limit.0 == option);
        assert!(tested, "{option} has no test");
    }
}

//! Runs of the real program on small files of our own and on the loopback interface: results, exit codes, signals.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says why it is skipped")]

mod pcap;
mod program;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use program::program;
use serde_json::Value;
use tempfile::TempDir;

/// Three packets, the third with five bytes.
fn three() -> Vec<u8> {
    pcap::file(&[(true, b"hello")])
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("three.pcap"), three()).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sniff_x(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = program(self.folder.path()).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn events_go_to_standard_output_and_the_summary_to_standard_error() {
    let place = Place::new();
    let (code, out, err) = place.sniff_x(&["--read", "three.pcap", "--format", "json", "tcp"]);
    assert_eq!(code, Some(0), "{err}");
    let event: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(event["timestamp"], "2026-03-01T10:00:00.000000000Z");
    assert_eq!((&event["client.address"], &event["client.port"]), (&"10.0.0.1".into(), &50_000.into()));
    assert_eq!((&event["server.address"], &event["server.port"]), (&"10.0.0.2".into(), &4000.into()));
    assert_eq!(event["sniffx.to_server.bytes"], 5);
    assert_eq!(event["duration_ns"], 2_000_000);
    for expected in
        ["3 received", "3 passed", "1 connections, 5 bytes in order, 0 gaps", "1 written, 0 dropped"]
    {
        assert!(err.contains(expected), "{expected}: {err}");
    }

    let (code, out, err) = place.sniff_x(&["--read", "three.pcap", "-q", "--color", "always", "tcp"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("\x1b[2m10:00:00.000000\x1b[0m 10.0.0.1:50000 → 10.0.0.2:4000 "), "{out}");
    let (_, plain, _) = place.sniff_x(&["--read", "three.pcap", "-q", "tcp"]);
    assert!(!plain.contains('\x1b'), "no colours where there is no terminal");
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let place = Place::new();
    let (_, expected, _) = place.sniff_x(&["--read", "three.pcap", "--format", "json", "tcp"]);
    let input = fs::File::open(place.file("three.pcap")).unwrap();
    let output = program(place.folder.path())
        .args(["--read", "-", "--format", "json", "tcp"])
        .stdin(input)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn counters_as_json() {
    let place = Place::new();
    let (code, _, err) = place.sniff_x(&["--read", "three.pcap", "--stats-file", "stats.json", "-q", "tcp"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let stats: Value = serde_json::from_slice(&fs::read(place.file("stats.json")).unwrap()).unwrap();
    assert!(stats["schema_version"].is_string());
    assert_eq!(stats["counters"]["frames.received"], 3);
    assert_eq!(stats["counters"]["events.written"], 1);
    let (code, _, err) = place.sniff_x(&["--read", "three.pcap", "--stats-file", "no/stats.json", "tcp"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no/stats.json"), "{err}");
}

#[test]
fn frames_alone_are_written_without_a_plugin() {
    let place = Place::new();
    let (code, out, err) =
        place.sniff_x(&["--read", "three.pcap", "--write", "copy.pcapng", "--filter", "src port 4000"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let (_, _, err) = place.sniff_x(&["--read", "copy.pcapng", "tcp"]);
    assert!(err.contains("1 received"), "{err}");

    let output =
        program(place.folder.path()).args(["--read", "three.pcap", "--write", "-"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.get(..4), Some(&[0x0a, 0x0d, 0x0d, 0x0a][..]), "a pcapng section");
}

#[test]
fn what_is_no_capture_file_is_said() {
    let place = Place::new();
    fs::write(place.file("page.html"), "<!DOCTYPE html><html>").unwrap();
    let (code, _, err) = place.sniff_x(&["--read", "page.html", "tcp"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("page.html: not a capture file"), "{err}");
    let (code, _, err) = place.sniff_x(&["--read", "missing.pcap", "tcp"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("missing.pcap"), "{err}");
}

#[test]
fn a_file_cut_short_gives_its_whole_packets_and_a_warning() {
    let place = Place::new();
    let whole = three();
    fs::write(place.file("cut.pcap"), whole.get(..whole.len() - 3).unwrap()).unwrap();
    let (code, _, err) = place.sniff_x(&["--read", "cut.pcap", "tcp"]);
    assert_eq!(code, Some(0));
    assert!(
        err.contains("warning") && err.contains("2 passed") && err.contains("frames.unreadable 1"),
        "{err}"
    );
    let (code, _, err) = place.sniff_x(&["--read", "cut.pcap", "-q", "tcp"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "-q says errors only");
}

/// However many threads read it: one file, told of and counted once.
#[test]
fn several_readers_of_a_file_are_as_one() {
    let place = Place::new();
    let whole = three();
    fs::write(place.file("cut.pcap"), whole.get(..whole.len() - 3).unwrap()).unwrap();
    let mut unknown = whole;
    for (place, byte) in unknown.iter_mut().skip(20).zip(250_u32.to_le_bytes()) {
        *place = byte;
    }
    fs::write(place.file("unknown.pcap"), unknown).unwrap();
    for (file, warning, filter) in [
        ("cut.pcap", "cut short", "port 4000"),
        ("unknown.pcap", "link type 250 is not supported", ""),
        ("unknown.pcap", "--filter matches no frame", "arp"),
    ] {
        let run = |threads: &str| {
            let mut arguments = vec![
                "--read",
                file,
                "--threads",
                threads,
                "--stats-file",
                "stats.json",
                "--format",
                "json",
                "tcp",
            ];
            if !filter.is_empty() {
                arguments.extend(["--filter", filter]);
            }
            let (code, out, err) = place.sniff_x(&arguments);
            assert_eq!(code, Some(0), "{err}");
            assert_eq!(err.matches(warning).count(), 1, "{threads} threads: {err}");
            (out, fs::read_to_string(place.file("stats.json")).unwrap())
        };
        let one = run("1");
        for threads in ["2", "4", "6"] {
            assert_eq!(run(threads), one, "{file}, {threads} threads");
        }
    }
}

/// tcpdump refuses what a file's kind of link can't be asked; here a file can have several kinds, so it is a word, once.
#[test]
fn a_filter_that_the_kind_of_link_rules_out_is_told() {
    let place = Place::new();
    let mut raw = three();
    for (place, byte) in raw.iter_mut().skip(20).zip(101_u32.to_le_bytes()) {
        *place = byte;
    }
    fs::write(place.file("raw.pcap"), raw).unwrap();
    for (file, filter, told) in [
        ("raw.pcap", "vlan", Some("--filter matches no frame of link type 101: there are no VLAN tags")),
        ("raw.pcap", "arp", Some("--filter can match no frame of link type 101")),
        ("raw.pcap", "tcp port 9", None),
        ("three.pcap", "vlan", None),
        ("three.pcap", "arp", None),
    ] {
        let (code, _, err) = place.sniff_x(&["--read", file, "--filter", filter, "tcp"]);
        assert!(code == Some(0) && err.contains("3 filtered, 0 passed"), "{err}");
        assert_eq!(err.matches("link type").count(), usize::from(told.is_some()), "{file} {filter}: {err}");
        assert!(told.is_none_or(|told| err.contains(told)), "{file} {filter}: {err}");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// As nobody, who has no capabilities.
#[test]
fn missing_capabilities_are_named_with_the_line_that_grants_them() {
    let place = Place::new();
    let copy = place.file("sniff-x");
    fs::copy(env!("CARGO_BIN_EXE_sniff-x"), &copy).unwrap();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&copy);
    command.args(["--iface", "lo", "mysql"]).current_dir("/").stdin(Stdio::null());
    if is_root() {
        const NOBODY: u32 = 65_534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("cap_net_raw"), "{err}");
    let line = format!("sudo setcap cap_net_raw,cap_bpf=ep {}", copy.canonicalize().unwrap().display());
    assert!(err.contains(&line), "{err}");
}

/// Sends `signal` with kill(1).
fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// Live on the loopback interface until it says on standard error that it has begun.
fn started(arguments: &[&str]) -> Option<Child> {
    if !is_root() {
        println!("skipped: live capture needs root");
        return None;
    }
    let folder = std::env::temp_dir();
    let mut child = program(&folder)
        .args(["--iface", "lo", "-vv"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, mut buffer) = (String::new(), [0; 1024]);
    while !said.contains("capabilities given up") {
        let n = child.stderr.as_mut().unwrap().read(&mut buffer).unwrap();
        assert!(n > 0, "it ended: {said}");
        said += &String::from_utf8_lossy(buffer.get(..n).unwrap());
    }
    Some(child)
}

#[test]
fn the_first_signal_ends_a_live_run_with_its_summary() {
    for signal in ["-INT", "-TERM"] {
        let Some(child) = started(&["tcp"]) else { return };
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{err}");
        assert!(err.contains("received") && err.contains("dropped by the kernel"), "{err}");
    }
}

/// Standard input that never ends keeps the reader from seeing the first signal.
#[test]
fn the_second_signal_ends_it_at_once() {
    let folder = std::env::temp_dir();
    let mut child = program(&folder)
        .args(["--read", "-", "-q", "tcp"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Signals sent before the program listens would end it by default, so give it time to come up; then until it is gone.
    thread::sleep(Duration::from_millis(300));
    send("-INT", &child);
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(20));
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(130));
            return;
        }
        send("-INT", &child);
    }
    child.kill().unwrap();
    panic!("still there after many signals");
}

#[test]
fn duration_ends_a_live_run() {
    let Some(child) = started(&["--duration", "0.3", "tcp"]) else { return };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

/// Without `-v`: whoever asks for counters sees them.
#[test]
fn counters_are_logged_when_they_are_asked_for() {
    if !is_root() {
        return println!("skipped: live capture needs root");
    }
    let place = Place::new();
    let (code, _, err) =
        place.sniff_x(&["--iface", "lo", "--duration", "0.4", "--stats-interval", "0.1", "tcp"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("sniff-x: info: "), "{err}");
    let (_, _, err) = place.sniff_x(&["--iface", "lo", "--duration", "0.1", "tcp"]);
    assert!(!err.contains("sniff-x: info: "), "{err}");
}

/// After the sources are open nothing is left, and what was started keeps running.
#[test]
fn capabilities_are_given_up_once_the_sources_are_open() {
    let Some(mut child) = started(&["tcp"]) else { return };
    for task in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            let mask = status.lines().find_map(|l| l.strip_prefix(set)).unwrap().trim();
            assert!(mask.bytes().all(|b| b == b'0'), "{set} {mask}\n{status}");
        }
    }
    assert!(child.try_wait().unwrap().is_none());
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn no_file_is_written_over_the_one_that_is_read() {
    let place = Place::new();
    fs::hard_link(place.file("three.pcap"), place.file("same.pcap")).unwrap();
    for (arguments, message) in [
        (&["--write", "three.pcap"][..], "--write three.pcap would overwrite the file of --read"),
        (&["--write", "./same.pcap"], "--write ./same.pcap would overwrite the file of --read"),
        (&["--stats-file", "three.pcap"], "--stats-file three.pcap would overwrite the file of --read"),
        (&["--write", "new", "--stats-file", "new"], "--stats-file new would overwrite the file of --write"),
    ] {
        let all = [&["--read", "three.pcap", "tcp"], arguments].concat();
        let (code, out, err) = place.sniff_x(&all);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(message), "{err}");
        assert_eq!(fs::read(place.file("three.pcap")).unwrap(), three(), "{arguments:?}");
    }
    let (code, ..) =
        place.sniff_x(&["--read", "three.pcap", "--stats-file", "/dev/null", "--write", "/dev/null", "tcp"]);
    assert_eq!(code, Some(0));
}

/// `>>` means: behind what is there.
#[test]
fn writing_to_standard_output_keeps_what_the_file_holds() {
    let place = Place::new();
    let kept = place.file("kept");
    fs::write(&kept, "before").unwrap();
    let out = fs::OpenOptions::new().append(true).open(&kept).unwrap();
    let arguments = ["-q", "--read", "three.pcap", "--write", "-"];
    let status = program(place.folder.path()).args(arguments).stdout(out).status().unwrap();
    assert!(status.success());
    assert!(fs::read(kept).unwrap().starts_with(b"before\x0a\x0d\x0d\x0a"));
}

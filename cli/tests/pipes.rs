//! What reads standard output may stop doing so at any time: `sniff-x … | head -1`.
#![expect(clippy::unwrap_used, reason = "a test: what is not as expected shall stop it")]

mod pcap;
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use program::program;

/// Nobody reads standard output, from the beginning on: whatever would be written there, the end is a good one.
#[test]
fn a_closed_pipe_ends_quietly() {
    let place = tempfile::tempdir().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures/mysql-mariadb.pcapng");
    let read = ["-q", "--read", capture.to_str().unwrap()];
    let of_run = |arguments: &[&'static str]| [&read[..], arguments].concat();
    for arguments in [
        of_run(&["tcp"]),
        of_run(&["--format", "json", "mysql"]),
        of_run(&["--format", "json", "--threads", "3", "all"]),
        of_run(&["--group-by", "db", "mysql"]),
        of_run(&["tcp", "--content", "hex"]),
        of_run(&["--write", "-"]),
        of_run(&["--write", "-", "--filter", "tcp"]),
        vec!["--list"],
        vec!["--env"],
        vec!["--ver"],
        vec!["--dev"],
        vec!["--help"],
        vec!["mysql", "--help"],
        vec!["--man"],
        vec!["--completions", "zsh"],
        vec!["--dump-filter", "ebpf", "mysql"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(place.path()).args(&arguments).stdout(writer).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

/// Somebody reads the first line alone: more is not waited for, though standard input stays open.
#[test]
fn a_pipe_that_is_closed_ends_a_run_that_would_go_on() {
    let place = tempfile::tempdir().unwrap();
    // More events than a pipe holds.
    let capture = pcap::file(&[(true, &b"PING\r\n"[..]), (false, b"+PONG\r\n")].repeat(5000));
    let mut child = program(place.path())
        .args(["-q", "--read", "-", "--format", "json", "redis", "-p", "4000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let (done, wait) = mpsc::channel::<()>();
    let writes = thread::spawn(move || {
        let _ = input.write_all(&capture);
        let _ = wait.recv();
    });
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(r#""db.query.text":"PING""#), "{first}");
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    drop(done);
    writes.join().unwrap();
}

/// Nothing more comes that could be written: the end of the pipe is noticed all the same.
#[test]
fn a_pipe_that_is_closed_ends_a_silent_run() {
    let place = tempfile::tempdir().unwrap();
    let capture = pcap::file(&[(true, b"PING\r\n"), (false, b"+PONG\r\n")]);
    for (arguments, begins) in [
        (&["--format", "json", "redis", "-p", "4000"][..], "{"),
        (&["redis", "-p", "4000"], "10:00:00"),
        (&["--threads", "2", "redis", "-p", "4000"], "10:00:00"),
        (&["--write", "-"], "\n\r\r\n"),
        // Written at the end alone.
        (&["--group-by", "protocol", "redis", "-p", "4000"], ""),
    ] {
        let mut child = program(place.path())
            .args(["-q", "--read", "-"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Stays open.
        let mut input = child.stdin.take().unwrap();
        input.write_all(&capture).unwrap();
        let mut first = vec![0; begins.len()];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(first, begins.as_bytes(), "{arguments:?}");
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{arguments:?}");
        drop(input);
    }
}

/// Nothing is written there, so it does not matter who reads.
#[test]
fn a_closed_pipe_without_a_use_ends_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = program(place.path())
        .args(["-q", "--read", "-", "--write", "copy.pcapng"])
        .stdin(Stdio::piped())
        .stdout(writer)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    input.write_all(&pcap::file(&[(true, b"PING\r\n")])).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let output = program(place.path()).args(["--read", "copy.pcapng", "tcp"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && err.contains("3 received"), "{err}");
}

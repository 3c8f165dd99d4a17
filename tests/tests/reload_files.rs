//! SIGHUP while a capture is read from standard input. What a run that had the new options from the start shows is the truth.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sniff_x_tests::{binary, root};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(binary::path());
    command.args(["--read", "-", "--format", "json", "-v"]).args(arguments).env_remove("RUST_LOG");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // With its first block the file is open.
    child.stdin.as_mut().unwrap().write_all(&parts().0).unwrap();
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 1 != 0
    };
    while !catches() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

fn capture() -> PathBuf {
    root().join("tests/captures/mysql-mariadb.pcapng")
}

/// The section header block, and the rest of the capture.
fn parts() -> (Vec<u8>, Vec<u8>) {
    let mut first = std::fs::read(capture()).unwrap();
    let length = u32::from_le_bytes(*first.get(4..).and_then(|bytes| bytes.first_chunk()).unwrap());
    let rest = first.split_off(usize::try_from(length).unwrap());
    (first, rest)
}

/// Sends SIGHUP, waits for the line that it makes, and feeds the capture; that line, and the events.
fn hang_up(mut child: Child) -> (String, Vec<serde_json::Value>) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGHUP).unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("SIGHUP") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&parts().1).unwrap();
    drop(stdin);
    let mut events = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut events).unwrap();
    assert!(child.wait().unwrap().success());
    (line, binary::parse(&events))
}

#[test]
fn the_new_options_hold_for_the_rest_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "plugin = 'mysql'\n[mysql]\nport = 1").unwrap();
    let path = capture();
    let expected = binary::events(["--read", path.to_str().unwrap(), "mysql"]);
    assert!(!expected.is_empty());
    let child = start(&["--config", file.to_str().unwrap()]);
    std::fs::write(&file, "plugin = 'mysql'").unwrap();
    let (line, events) = hang_up(child);
    assert!(line.contains("--config was read again, changed: --port"), "{line}");
    assert_eq!(events, expected);
}

#[test]
fn without_a_file_the_reading_goes_on() {
    let path = capture();
    let expected = binary::events(["--read", path.to_str().unwrap(), "mysql"]);
    let (line, events) = hang_up(start(&["mysql"]));
    assert!(line.contains("there is no --config FILE"), "{line}");
    assert_eq!(events, expected);
}

#[test]
fn auto_stays_auto() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "plugin = 'auto'\n[mysql]\nslow = 3600000").unwrap();
    let path = capture();
    let expected = binary::events(["--read", path.to_str().unwrap(), "mysql"]);
    let child = start(&["--config", file.to_str().unwrap()]);
    std::fs::write(&file, "plugin = 'auto'").unwrap();
    let (line, events) = hang_up(child);
    assert!(line.contains("changed: --mysql.slow"), "{line}");
    assert_eq!(events, expected, "as with the port");
}

#[test]
fn what_redact_hides_stays_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (file, dump) = (folder.path().join("x.toml"), folder.path().join("dump"));
    let path = capture();
    let expected = binary::events(["--redact", "--read", path.to_str().unwrap(), "tcp"]);
    assert!(!expected.is_empty());
    let dump_option = format!("dump = '{}'", dump.display());
    for redact in ["redact = true\n", ""] {
        for (option, why) in
            [("content = 'text'", "--content writes bytes as they came"), (&dump_option, "--dump writes")]
        {
            std::fs::write(&file, "plugin = 'tcp'\nredact = true").unwrap();
            let child = start(&["--config", file.to_str().unwrap()]);
            std::fs::write(&file, format!("plugin = 'tcp'\n{redact}[tcp]\n{option}")).unwrap();
            let (line, events) = hang_up(child);
            assert!(line.contains(why) && line.contains("all stays as it was"), "{line}");
            assert_eq!(events, expected);
            assert!(!dump.exists());
        }
    }
}

//! The real `sniff-x` binary: run to its end, or in the background until it is stopped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Where the binary is: beside the test programs of the same build.
#[must_use]
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("target/profile/deps/test");
    let binary = folder.join("sniff-x");
    assert!(
        binary.is_file(),
        "{} is missing: run the tests of the whole workspace (cargo test --workspace)",
        binary.display()
    );
    binary
}

/// Runs the binary to its end.
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(path())
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

/// Runs the binary with JSON output, which must succeed, and gives its events.
pub fn events<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<Value> {
    let output = run([OsStr::new("--format").to_owned(), OsStr::new("json").to_owned()]
        .into_iter()
        .chain(args.into_iter().map(|a| a.as_ref().to_owned())));
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

/// JSON Lines as values.
#[must_use]
pub fn parse(lines: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(lines).expect("events are UTF-8");
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// The bytes that a text in an event stands for: each `\xNN` is one that is not UTF-8.
#[must_use]
pub fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|digits| digits.get(..2)).filter(|_| first == b'\\');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

/// A `sniff-x` that captures in the background.
pub struct Capture {
    child: Child,
    stdout: std::thread::JoinHandle<Vec<u8>>,
    stderr: Receiver<String>,
    said: String,
}

impl Capture {
    /// Starts the command, which must run `sniff-x -v …`, and waits until it captures.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("sniff-x starts");
        let mut stdout = child.stdout.take().expect("piped");
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).expect("standard output");
            bytes
        });
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (lines, received) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut capture = Self { child, stdout, stderr: received, said: String::new() };
        capture.wait_for("capturing");
        capture
    }

    /// Waits until a line with `what` comes on standard error.
    pub fn wait_for(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Ok(line) = self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(what) {
                return;
            }
        }
        panic!("sniff-x did not say '{what}':\n{}", self.said);
    }

    /// Interrupts it as Ctrl-C does and gives its events, what it said on standard error, and how it ended.
    #[must_use]
    pub fn stop(mut self) -> (Vec<Value>, String, ExitStatus) {
        // The child is `ip netns exec`, which becomes sniff-x by exec.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGINT).expect("it still runs");
        let status = self.child.wait().expect("it ends");
        let events = parse(&self.stdout.join().expect("standard output"));
        self.said.extend(self.stderr.iter().map(|l| l + "\n"));
        (events, self.said, status)
    }
}

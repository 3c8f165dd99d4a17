//! The real `sniff-x` binary: run to its end, or in the background until it is stopped.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::netns::Net;

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
    stdout: std::thread::JoinHandle<()>,
    events: Arc<Mutex<Vec<u8>>>,
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
        let events = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&events);
        let stdout = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                into.lock().expect("no panic").extend(&bytes[..read]);
            }
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
        let mut capture = Self { child, stdout, events, stderr: received, said: String::new() };
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

    /// Waits until an event with `what` is written.
    pub fn wait_for_event(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let events = String::from_utf8_lossy(&self.events.lock().expect("no panic")).into_owned();
            if events.contains(what) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("sniff-x wrote no event with '{what}'");
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGHUP and waits for a line with `what`, which it gives.
    pub fn hang_up(&mut self, what: &str) -> String {
        kill(self.pid(), Signal::SIGHUP).expect("it still runs");
        let before = self.said.len();
        self.wait_for(what);
        self.said.get(before..).unwrap_or_default().to_owned()
    }

    fn pid(&self) -> Pid {
        // The child is `ip netns exec`, which becomes sniff-x by exec.
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Interrupts it as Ctrl-C does and gives its events, what it said on standard error, and how it ended.
    #[must_use]
    pub fn stop(mut self) -> (Vec<Value>, String, ExitStatus) {
        kill(self.pid(), Signal::SIGINT).expect("it still runs");
        let status = self.child.wait().expect("it ends");
        self.stdout.join().expect("standard output");
        let events = parse(&self.events.lock().expect("no panic"));
        self.said.extend(self.stderr.iter().map(|l| l + "\n"));
        (events, self.said, status)
    }
}

/// A copy of sniff-x that any user may run: the build folder may lie where an ordinary user can't go.
pub struct ForAll(tempfile::TempDir);

impl ForAll {
    /// Makes the copy.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let copy = Self(folder);
        // By another process: a child that this one starts meanwhile would inherit the open file, and a busy one can't be run.
        let copied = Command::new("install").args(["-m", "755"]).arg(path()).arg(copy.path()).status();
        assert!(copied.unwrap().success());
        copy
    }

    /// A folder that any user may read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("sniff-x")
    }

    /// A command that runs it as an ordinary user with the given capabilities: `,+net_raw`.
    #[must_use]
    pub fn with(&self, net: &Net, capabilities: &str) -> Command {
        let mut command = net.on_server("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        command.arg(format!("--inh-caps=-all{capabilities}"));
        command.arg(format!("--ambient-caps=-all{capabilities}"));
        command.arg(format!("--bounding-set=-all{capabilities}"));
        command.arg(self.path());
        command
    }
}

impl Default for ForAll {
    fn default() -> Self {
        Self::new()
    }
}

//! Redis servers of the test's own, each in a temporary folder, on the hosts of a [`crate::netns::Net`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The password of the users `default` and `app`: tests look for it where it must not be.
pub const PASSWORD: &str = "s3cret-R3d1s";

/// A running server on port 6379, without persistence.
pub struct Redis {
    child: Child,
    folder: TempDir,
}

/// What a server counted of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Carried out or refused.
    pub calls: u64,
    /// Ended with an error.
    pub errors: u64,
}

impl Redis {
    /// Starts it with `command`, which runs `redis-server` on one of the hosts, and these settings; waits until it answers.
    #[must_use]
    pub fn start(mut command: Command, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = command
            .args([
                "--port",
                "6379",
                "--bind",
                "0.0.0.0",
                "--protected-mode",
                "no",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--requirepass", PASSWORD])
            .args(["--unixsocketperm", "700", "--unixsocket"])
            .arg(folder.path().join("s"))
            .arg("--dir")
            .arg(folder.path())
            .arg("--logfile")
            .arg(folder.path().join("log"))
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let server = Self { child, folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.ask(&["PING"]).trim() != "PONG" {
            assert!(Instant::now() < deadline, "redis-server does not answer: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let user = server.ask(&["ACL", "SETUSER", "app", "on", &format!(">{PASSWORD}"), "~*", "&*", "+@all"]);
        assert_eq!(user.trim(), "OK");
        server
    }

    /// What the server logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Asks over the Unix socket, which the capture does not see.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(["--no-auth-warning", "-a", PASSWORD])
            .args(command)
            .output()
            .expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A field of `INFO`.
    #[must_use]
    pub fn info(&self, section: &str, name: &str) -> String {
        let info = self.ask(&["INFO", section]);
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }

    /// Begins to count anew.
    pub fn reset_counts(&self) {
        assert_eq!(self.ask(&["CONFIG", "RESETSTAT"]).trim(), "OK");
    }

    /// `INFO commandstats` by command, those over the Unix socket taken out.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Count> {
        let info = self.ask(&["INFO", "commandstats"]);
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for line in info.lines().filter_map(|l| l.strip_prefix("cmdstat_")) {
            let (name, fields) = line.trim().split_once(':').expect("a name and its counts");
            let of = |field: &str| {
                let value = fields.split(',').find_map(|f| f.strip_prefix(field)?.strip_prefix('='));
                value.expect("a count").parse::<u64>().expect("a number")
            };
            let (calls, rejected) = (of("calls"), of("rejected_calls"));
            counts.insert(
                name.to_owned(),
                Count { calls: calls + rejected, errors: of("failed_calls") + rejected },
            );
        }
        // That of `reset_counts` is counted behind itself; the login of this question too.
        for own in ["config|resetstat", "auth"] {
            if let Some(count) = counts.get_mut(own) {
                count.calls -= 1;
            }
        }
        counts.retain(|_, count| count.calls > 0);
        counts
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

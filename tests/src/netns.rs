//! Two network namespaces joined by a veth pair: a network of two hosts that nothing else is on.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A client host and a server host. Gone when dropped.
pub struct Net {
    client: String,
    server: String,
}

/// The server's address.
pub const SERVER: &str = "10.213.0.1";
/// The client's address.
pub const CLIENT: &str = "10.213.0.2";
/// The interface of both hosts.
pub const IFACE: &str = "veth0";

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Net {
    /// Makes the two hosts.
    #[must_use]
    pub fn new() -> Self {
        let id = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let net = Self { client: format!("sxc-{id}"), server: format!("sxs-{id}") };
        for ns in [&net.client, &net.server] {
            ip(&["netns", "add", ns]);
            ip(&["-n", ns, "link", "set", "lo", "up"]);
        }
        ip(&[
            "-n",
            &net.server,
            "link",
            "add",
            IFACE,
            "type",
            "veth",
            "peer",
            "name",
            IFACE,
            "netns",
            &net.client,
        ]);
        for (ns, address) in [(&net.server, SERVER), (&net.client, CLIENT)] {
            ip(&["-n", ns, "addr", "add", &format!("{address}/24"), "dev", IFACE]);
            ip(&["-n", ns, "link", "set", IFACE, "up"]);
        }
        net
    }

    /// A command on the server host.
    pub fn on_server(&self, program: impl AsRef<OsStr>) -> Command {
        within(&self.server, program.as_ref())
    }

    /// A command on the client host.
    pub fn on_client(&self, program: impl AsRef<OsStr>) -> Command {
        within(&self.client, program.as_ref())
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [&self.client, &self.server] {
            let _ = Command::new("ip").args(["netns", "del", ns]).status();
        }
    }
}

fn within(ns: &str, program: &OsStr) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", ns]).arg(program);
    command
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("ip (Debian package iproute2)");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

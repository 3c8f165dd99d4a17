//! What the end-to-end tests share: the real binary, network namespaces with a veth pair, real servers.
//!
//! A test that can't run prints `skipped:` and why. With `SNIFFX_REQUIRE=all` in the environment such a skip is a failure (but for the
//! folder of real captures, which lies outside the project).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "test support: failing loudly is its job, and it waits for real processes"
)]

pub mod binary;
pub mod clients;
pub mod external;
pub mod fragments;
pub mod frames;
pub mod general_log;
pub mod made;
pub mod mariadb;
pub mod netns;
pub mod nginx;
pub mod oracle;
pub mod recording;
pub mod redis;
pub mod requests;
pub mod tshark;

use std::path::PathBuf;

/// Says why a test does not run; panics when everything is required.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("SNIFFX_REQUIRE").is_none_or(|v| v != "all"),
        "required, but can't run: {reason}"
    );
    eprintln!("skipped: {reason}");
}

/// Says that a live test runs, for the count at the end of a CI run.
pub fn live(name: &str) {
    if let Some(file) = std::env::var_os("SNIFFX_LIVE_LOG") {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{name}").unwrap();
    }
}

/// The project's root folder.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of real captures beside the project, or a printed skip.
#[must_use]
pub fn shared_captures() -> Option<PathBuf> {
    let folder = root().parent().unwrap().join("shared/captures");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: ../shared/captures is not here");
    None
}

/// Whether the test runs as root, or a skip.
#[must_use]
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("needs root, for network namespaces and packet sockets");
    }
    root
}

/// Whether a program is installed, or a skip that says how to get it.
#[must_use]
pub fn has_program(name: &str, package: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
            .any(|d| d.join(name).is_file())
    });
    if !found {
        skip(&format!("{name} is not installed (Debian package {package})"));
    }
    found
}

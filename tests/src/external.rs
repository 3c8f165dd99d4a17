//! The external plugin of the plugin crate's tests, built by a C compiler.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A folder of the plugin path with the plugin `lines` (TCP port 4000: a line is answered by a line); none without a compiler.
#[must_use]
pub fn lines() -> Option<TempDir> {
    built(&[])
}

/// The same for UDP: each datagram is a message.
#[must_use]
pub fn datagrams() -> Option<TempDir> {
    built(&["-DDATAGRAMS"])
}

fn built(flags: &[&str]) -> Option<TempDir> {
    if Command::new("cc").arg("--version").output().is_err() {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/plugin");
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("lines.so");
    let status = Command::new("cc")
        .args(flags)
        .args(["-std=c11", "-shared", "-fPIC", "-I"])
        .arg(source.join("include"))
        .arg("-o")
        .args([&library, &source.join("tests/lines.c")])
        .status();
    assert!(status.expect("cc runs").success());
    // Whatever the umask is: a library that others can change is not loaded.
    std::fs::set_permissions(&library, Permissions::from_mode(0o755)).expect("permissions");
    Some(folder)
}

//! `cargo xtask … | head -1`: who has read enough closes standard output, and the task ends quietly.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::pipe;
use std::process::{Command, Stdio};

/// What is said on standard error, with the exit code, where nobody reads standard output.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nobody_reads_on() {
    for arguments in
        [&["bench", "parts", "--list"][..], &["bench", "parts", "--once", "TCP flags"], &["--help"]]
    {
        assert_eq!(unread(arguments), (Some(0), String::new()), "{arguments:?}");
    }
    // What goes wrong otherwise is still said.
    let (code, said) = unread(&["bench", "parts", "--once", "no such part"]);
    assert!(code == Some(1) && said.contains("no such part"), "{code:?} {said}");
}

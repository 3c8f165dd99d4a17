//! The program as tests run it: in a folder of their own, with nothing of the user's.

use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sniff-x"));
    command
        .current_dir(folder)
        .env("XDG_DATA_HOME", folder)
        .env_remove("SNIFF_X_PLUGIN_DIR")
        .env_remove("RUST_LOG");
    command.stdin(Stdio::null());
    command
}

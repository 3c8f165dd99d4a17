//! Real clients: Python drivers, and a program on MariaDB's C library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{has_program, root, skip};

/// A Python that has the drivers: the one that `.ci/setup` makes, or the system's.
#[must_use]
pub fn python() -> Option<PathBuf> {
    python_with("pymysql, mysql.connector")
}

/// The same with these modules.
#[must_use]
pub fn python_with(modules: &str) -> Option<PathBuf> {
    let candidates = [root().join("target/venv/bin/python3"), PathBuf::from("python3")];
    let found = candidates.into_iter().find(|python| {
        let check = Command::new(python).args(["-c", &format!("import {modules}")]).output();
        check.is_ok_and(|o| o.status.success())
    });
    if found.is_none() {
        skip(&format!("no Python with {modules} (.ci/setup makes one)"));
    }
    found
}

/// The program in `tests/scripts/libmariadb`, built into `folder`.
#[must_use]
pub fn libmariadb(folder: &Path) -> Option<PathBuf> {
    if !has_program("gcc", "gcc") || !has_program("mariadb_config", "libmariadb-dev") {
        return None;
    }
    let flags =
        Command::new("mariadb_config").args(["--include", "--libs"]).output().expect("mariadb_config");
    let program = folder.join("libmariadb_client");
    let built = Command::new("gcc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-O1", "-o"])
        .arg(&program)
        .args(["main.c", "say.c", "values.c"].map(|part| root().join("tests/scripts/libmariadb").join(part)))
        .args(String::from_utf8_lossy(&flags.stdout).split_whitespace())
        .output()
        .expect("gcc");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

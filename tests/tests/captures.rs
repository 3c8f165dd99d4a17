//! `--read` on the project's own capture, against its golden.
#![expect(clippy::unwrap_used, reason = "a test")]

use sniff_x_tests::{binary, root};

/// Compares with a golden file; `UPDATE_GOLDENS=1` rewrites it instead (read the diff before you commit it).
fn golden(name: &str, actual: &str) {
    let path = root().join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name} differs; UPDATE_GOLDENS=1 rewrites it:\n{actual}");
}

/// The golden was accepted against the clients' own logs: the recording is the traffic of `live_mysql.rs`.
#[test]
fn the_capture_of_the_readme_decodes_to_its_golden() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    for (format, name) in [("json", "mysql-mariadb.jsonl"), ("text", "mysql-mariadb.txt")] {
        let output = binary::run(["--format", format, "--read", capture.to_str().unwrap(), "mysql"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        golden(name, &String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn more_workers_give_the_same_events() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    let run = |threads: &str| {
        let mut events = binary::events(["--threads", threads, "--read", capture.to_str().unwrap(), "mysql"]);
        // Order holds within a connection, not between them.
        events.sort_by_key(|e| e["client.port"].as_u64());
        events
    };
    let one = run("1");
    assert!(!one.is_empty());
    // Each reads for itself, one reads for all.
    for threads in ["2", "4", "6"] {
        assert_eq!(one, run(threads), "{threads}");
    }
}

#[test]
fn a_filter_selects_connections() {
    let capture = root().join("tests/captures/mysql-mariadb.pcapng");
    let all = binary::events(["--read", capture.to_str().unwrap(), "mysql"]);
    let port = all[0]["client.port"].as_u64().unwrap();
    let filter = format!("tcp port {port}");
    let some = binary::events(["--filter", &filter, "--read", capture.to_str().unwrap(), "mysql"]);
    let wanted: Vec<_> = all.iter().filter(|e| e["client.port"] == port).cloned().collect();
    assert!(wanted.len() < all.len());
    assert_eq!(some, wanted);
}

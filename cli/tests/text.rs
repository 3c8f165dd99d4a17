//! Lines for people, as they come into a pipe and onto a terminal: widths, columns, times, groups. JSON's events say what is to be there.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says why it is skipped")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sniff-x");

/// Three clients and a MariaDB server.
fn capture() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/captures/mysql-mariadb.pcapng");
    path.to_str().unwrap().to_owned()
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("XDG_DATA_HOME", std::env::temp_dir().join("sniff-x-test-no-plugins-here"));
    command
        .env("TERM", "xterm")
        .env_remove("SNIFF_X_PLUGIN_DIR")
        .env_remove("RUST_LOG")
        .env_remove("NO_COLOR");
    command.stdin(Stdio::null());
    command
}

fn sniff_x(options: &[&str]) -> Output {
    command(PROGRAM).args(["--read", &capture(), "-q"]).args(options).arg("mysql").output().unwrap()
}

/// What comes out where standard output is a pipe.
#[track_caller]
fn piped(options: &[&str]) -> String {
    let output = sniff_x(options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What comes onto a terminal with so many columns: a pseudo terminal that script(1) makes.
fn on_terminal(columns: usize, options: &[&str]) -> Option<String> {
    let line = format!(
        "stty cols {columns} rows 24; exec '{PROGRAM}' --read '{}' -q {} mysql",
        capture(),
        options.join(" ")
    );
    let Ok(output) = command("script").args(["-qec", &line, "/dev/null"]).output() else {
        assert!(std::env::var_os("SNIFFX_REQUIRE").is_none(), "script(1) is missing");
        println!("skipped: script(1) is missing");
        return None;
    };
    let out = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    assert!(output.status.success(), "{out}");
    Some(out)
}

fn events() -> Vec<Value> {
    piped(&["--format", "json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statement(event: &Value) -> &str {
    event.get("db.query.text").and_then(Value::as_str).unwrap_or_default()
}

/// The capture has no wide characters: columns are characters.
fn columns(line: &str) -> usize {
    line.chars().count()
}

/// Without the colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn nothing_is_cut_in_a_pipe() {
    for options in [&[][..], &["--wide"]] {
        let out = piped(options);
        let events = events();
        assert_eq!(out.lines().count(), events.len());
        for (line, event) in out.lines().zip(&events) {
            assert!(line.contains(statement(event)) && !line.contains('…'), "{line}");
            let server = format!(" → {}:3306 ", event["server.address"].as_str().unwrap());
            assert!(line.contains(&server), "{line}");
        }
    }
}

#[test]
fn lines_are_cut_to_the_terminal() {
    let events = events();
    for terminal in [40, 80, 100, 120, 200] {
        for color in ["--color=never", "--color=always"] {
            let Some(out) = on_terminal(terminal, &[color]) else { return };
            let out = plain(&out);
            assert_eq!(out.lines().count(), events.len());
            let mut cut = 0;
            for (line, event) in out.lines().zip(&events) {
                assert!(columns(line) <= terminal, "{terminal}: {line}");
                cut += usize::from(line.contains('…'));
                // What is there of the statement is its beginning; times are those of the event.
                let clock = event["timestamp"].as_str().unwrap().get(11..26).unwrap();
                assert!(line.starts_with(clock), "{line}");
                let word: String = statement(event).chars().take_while(|c| *c != ' ').collect();
                assert!(terminal < 80 || line.contains(&word), "{line}");
            }
            assert!(cut > 0 || terminal == 200, "{out}");
        }
    }
}

#[test]
fn wide_lines_are_wrapped_and_whole() {
    for terminal in [60, 80, 120] {
        let Some(out) = on_terminal(terminal, &["--wide", "--color=never"]) else { return };
        assert!(out.lines().all(|line| columns(line) <= terminal), "{out}");
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let all = squeezed(&out);
        let mut rest = all.as_str();
        for event in events() {
            let statement = squeezed(statement(&event));
            let at =
                rest.find(&statement).unwrap_or_else(|| panic!("{statement} is missing or late in\n{out}"));
            rest = rest.get(at..).unwrap();
        }
        // An event of several lines counts once.
        let some = on_terminal(terminal, &["--wide", "--color=never", "--count", "7"]).unwrap();
        assert!(out.starts_with(&some) && some.lines().count() > 7, "{some}");
        let clock = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
        assert_eq!(some.lines().filter(clock).count(), 7, "{some}");
    }
}

#[test]
fn columns_and_times_as_asked_for() {
    let out = piped(&["--columns", "time,rows,text", "--time", "relative"]);
    let events = events();
    let micros = |event: &Value| {
        let clock = event["timestamp"].as_str().unwrap();
        let number = |from: usize, to: usize| clock.get(from..to).unwrap().parse::<i64>().unwrap();
        ((number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19)) * 1_000_000_000 + number(20, 29)
    };
    let first = micros(events.first().unwrap());
    for (line, event) in out.lines().zip(&events) {
        let mut words = line.split_whitespace();
        let since = (micros(event) - first) / 1000;
        assert_eq!(
            words.next().unwrap(),
            format!("{}.{:06}", since / 1_000_000, since % 1_000_000),
            "{line}"
        );
        let rows = event.get("db.response.returned_rows").or_else(|| event.get("sniffx.db.affected_rows"));
        if let Some(rows) = rows {
            assert_eq!(words.next(), Some(rows.to_string().as_str()), "{line}");
        }
        assert!(line.contains(statement(event)), "{line}");
        assert!(!line.contains("3306"), "{line}");
    }
    let date = piped(&["--time", "date", "--count", "1"]);
    let expected =
        events.first().unwrap()["timestamp"].as_str().unwrap().get(..26).unwrap().replace('T', " ");
    assert!(date.starts_with(&expected), "{date}");
    let delta = piped(&["--time", "delta", "--columns", "time"]);
    let last = micros(events.last().unwrap()) / 1000 - micros(events.get(events.len() - 2).unwrap()) / 1000;
    let told = delta.lines().last().unwrap().trim().replace('.', "").parse::<i64>().unwrap();
    assert!((told - last).abs() <= 1, "{told} {last}");
}

/// Name, events, errors, rows of each group as JSON's events have them.
fn sums(key: &str) -> BTreeMap<String, [u64; 3]> {
    let mut sums = BTreeMap::new();
    for event in events() {
        let name = event.get(key).and_then(Value::as_str).unwrap_or("(none)").to_owned();
        let is_error = u64::from(event.get("status").is_some_and(|status| status == "error"));
        let rows = event.get("db.response.returned_rows").and_then(Value::as_u64).unwrap_or(0);
        for name in [name, "all".into()] {
            let sum: &mut [u64; 3] = sums.entry(name).or_default();
            *sum = [sum[0] + 1, sum[1] + is_error, sum[2] + rows];
        }
    }
    sums
}

fn told(table: &str) -> BTreeMap<String, [u64; 3]> {
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let number = |row: &[&str], i: usize| row.get(i).unwrap().parse().unwrap();
    rows.map(|row| ((*row.first().unwrap()).to_owned(), [number(&row, 1), number(&row, 2), number(&row, 4)]))
        .collect()
}

#[test]
fn groups_sum_up_what_the_events_say() {
    for (by, key) in [("client", "client.address"), ("db", "db.namespace"), ("user", "sniffx.db.user")] {
        for threads in ["1", "3"] {
            let table = piped(&["--group-by", by, "--threads", threads]);
            assert_eq!(told(&table), sums(key), "{table}");
            assert!(table.starts_with(by), "{table}");
        }
    }
    let table = piped(&["--group-by", "operation", "--count", "5"]);
    assert_eq!(told(&table).get("all").unwrap()[0], 5, "{table}");
    // A file is over before the table would be shown a second time.
    let Some(shown) = on_terminal(100, &["--group-by", "client"]) else { return };
    assert_eq!(told(&plain(&shown)), sums("client.address"), "{shown}");
}

/// A pipe that stays open after the last frame: the table is there before the end, then goes away for the last one.
#[test]
fn a_table_is_shown_in_its_place_while_it_grows() {
    let line = format!(
        "stty cols 100 rows 24; (cat '{}'; sleep 2) | '{PROGRAM}' --read - -q --group-by client mysql",
        capture()
    );
    let Ok(output) = command("script").args(["-qec", &line, "/dev/null"]).output() else {
        return println!("skipped: script(1) is missing");
    };
    let out = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    let tables: Vec<_> = out.split("\x1b[3A\r\x1b[J").collect();
    assert!(tables.len() >= 2, "{out}");
    for table in tables {
        assert_eq!(told(&plain(table)), sums("client.address"), "{out}");
    }
}

#[test]
fn events_that_are_counted_are_in_the_summary() {
    let output = command(PROGRAM).args(["--read", &capture(), "--group-by", "db", "mysql"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains(&format!("{} written, 0 dropped", events().len())), "{err}");
}

#[test]
fn what_does_not_go_together_is_told() {
    let wrong = |options: &[&str], helps: &[&str]| {
        let output = sniff_x(options);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{options:?}: {err}");
        for help in helps {
            assert!(err.contains(help), "{options:?}: no {help:?} in {err}");
        }
    };
    for option in [&["--wide"][..], &["--columns", "time"], &["--time", "delta"], &["--group-by", "db"]] {
        let all = [&["--format", "json"], option].concat();
        wrong(&all, &[option.first().unwrap(), "is for text: not with --format json"]);
    }
    wrong(&["--columns", "time,foo"], &["'foo'", "time, client, server", "details"]);
    wrong(&["--columns", ""], &["--columns"]);
    wrong(&["--time", "local"], &["absolute, date, relative, delta"]);
    wrong(&["--group-by", "port"], &["client, server, db, operation, user, protocol"]);
    wrong(&["--group-by", "db", "--wide"], &["cannot be used with"]);
    wrong(&["--group-by", "db", "--time", "date"], &["--time is for lines"]);
}

#[test]
fn a_configuration_may_say_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let file_name = file.to_str().unwrap();
    fs::write(&file, "columns = ['user', 'text']\ntime = 'relative'\nwide = true\n").unwrap();
    assert_eq!(piped(&["--config", file_name]), piped(&["--columns", "user,text"]));
    fs::write(&file, "columns = 'user,text'").unwrap();
    assert_eq!(piped(&["--config", file_name]), piped(&["--columns", "user", "--columns", "text"]));
    fs::write(&file, "group-by = 'db'").unwrap();
    assert_eq!(piped(&["--config", file_name]), piped(&["--group-by", "db"]));
}

//! What others tell of the captures beside the project (`../shared/captures`): tshark's messages, second decoders, expectations of other projects; and the events
//! of `sniff-x` on the same file, by connection.
//!
//! Differences between both are collected as lines and must be exactly those that a test explains, so that a new one fails and one that is gone does too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary;

/// The captures in these folders (all folders if none is named), sorted.
#[must_use]
pub fn captures(root: &Path, folders: &[&str]) -> Vec<PathBuf> {
    let all = std::fs::read_dir(root).expect("the folder of captures").map(|e| e.expect("an entry").path());
    let named =
        |path: &PathBuf| folders.is_empty() || folders.iter().any(|f| path.file_name() == Some(f.as_ref()));
    let mut files: Vec<PathBuf> = all
        .filter(|path| path.is_dir() && named(path))
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "cap"))
        .collect();
    files.sort();
    files
}

/// Folder and name of a capture, as differences name it.
#[must_use]
pub fn name(capture: &Path) -> String {
    let folder = capture.parent().and_then(Path::file_name).expect("a folder").to_string_lossy();
    format!("{folder}/{}", capture.file_stem().expect("a name").to_string_lossy())
}

/// The messages in `NAME.END`, one JSON object a line; none where there is no such file.
#[must_use]
pub fn messages(capture: &Path, end: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(capture.with_extension(end)).unwrap_or_default();
    binary::parse(text.as_bytes())
}

/// The files in `NAME.expected` whose names end so.
#[must_use]
pub fn expected(capture: &Path, end: &str) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(capture.with_extension("expected")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.to_string_lossy().ends_with(end));
    files.sort();
    files.iter().map(|f| String::from_utf8_lossy(&std::fs::read(f).expect("a file")).into_owned()).collect()
}

/// A text of a message; empty where it has none.
#[must_use]
pub fn text<'a>(message: &'a Value, key: &str) -> &'a str {
    message[key].as_str().unwrap_or_default()
}

/// Nanoseconds since 1970 of tshark's seconds.
#[must_use]
pub fn time(seconds: &str) -> u64 {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let nanos = format!("{part:0<9}");
    whole.parse::<u64>().expect("seconds") * 1_000_000_000 + nanos[..9].parse::<u64>().expect("nanoseconds")
}

/// Nanoseconds since 1970 of an event's time.
#[must_use]
pub fn event_time(event: &Value) -> u64 {
    let text = text(event, "timestamp");
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("a time");
    // Days since 1970 of a date: <https://howardhinnant.github.io/date_algorithms.html>.
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    time(&format!("{seconds}.{}", text[20..].trim_end_matches('Z')))
}

/// When an event ended.
#[must_use]
pub fn event_end(event: &Value) -> Option<u64> {
    event["duration_ns"].as_u64().map(|duration| event_time(event) + duration)
}

/// An address with its port as all write it here: IPv6 without brackets, mapped IPv4 as IPv4.
#[must_use]
pub fn endpoint(text: &str) -> String {
    text.replace(['[', ']'], "").replace("::ffff:", "")
}

/// Client and server.
pub type Ends = (String, String);

/// The events of a plugin on a capture, by connection (those of a tuple that is used again are one).
#[must_use]
pub fn events(capture: &Path, arguments: &[&str]) -> BTreeMap<Ends, Vec<Value>> {
    let file = capture.to_string_lossy().into_owned();
    let mut connections: BTreeMap<Ends, Vec<Value>> = BTreeMap::new();
    for event in binary::events([&["-q", "--read", &file], arguments].concat()) {
        let end = |side: &str| {
            endpoint(&format!(
                "{}:{}",
                text(&event, &format!("{side}.address")),
                event[&format!("{side}.port")]
            ))
        };
        connections.entry((end("client"), end("server"))).or_default().push(event);
    }
    connections
}

/// Asserts that `found` are exactly the differences that are explained: capture, what differs, why.
pub fn check(mut found: Vec<String>, explained: &[(&str, &str, &str)]) {
    found.sort();
    let mut expected: Vec<String> =
        explained.iter().map(|(capture, what, _)| format!("{capture} {what}")).collect();
    expected.sort();
    let new: Vec<_> = found.iter().filter(|f| !expected.contains(f)).collect();
    let gone: Vec<_> = expected.iter().filter(|e| !found.contains(e)).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not explained: {new:#?}\nexplained, but not there: {gone:#?}"
    );
}

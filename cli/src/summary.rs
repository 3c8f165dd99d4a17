//! The end of a run: a block for people on standard error, JSON for `--stats-file`.

use std::io::{self, Write};

use serde_json::{Map, Value};
use sniff_x_proto::event::SCHEMA_VERSION;

/// What the block always shows, and how it is called there; all other counters only when they are not 0.
const SHOWN: &[(&str, &[(&str, &str)])] = &[
    (
        "frames",
        &[
            ("frames.received", "received"),
            ("frames.dropped", "dropped by the kernel"),
            ("frames.filtered", "filtered"),
            ("frames.passed", "passed"),
            ("frames.truncated", "truncated"),
            ("frames.bytes", "bytes"),
        ],
    ),
    (
        "tcp",
        &[
            ("tcp.opened", "connections"),
            ("tcp.bytes", "bytes in order"),
            ("tcp.gaps", "gaps"),
            ("tcp.gap_bytes", "bytes missing"),
        ],
    ),
    ("events", &[("events.written", "written"), ("events.dropped", "dropped")]),
];

/// A few lines with all counters that tell something.
pub(crate) fn block(counters: &[(&'static str, u64)]) -> String {
    let find = |name: &str| counters.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let mut text = String::new();
    for (title, names) in SHOWN {
        let parts = names.iter().filter_map(|(name, word)| Some(format!("{} {word}", find(name)?)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        text += &format!("{title:<8}{parts}\n");
    }
    let is_shown = |name: &str| SHOWN.iter().any(|(_, names)| names.iter().any(|(n, _)| *n == name));
    let rest = counters.iter().filter(|(name, value)| *value > 0 && !is_shown(name));
    let rest: Vec<_> = rest.map(|(name, value)| format!("{name} {value}")).collect();
    for line in wrapped(&rest, 100) {
        text += &format!("{:<8}{line}\n", "");
    }
    text
}

/// `parts` joined by commas, in lines of at most `width` where a part fits.
fn wrapped(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut().filter(|line| line.len() + part.len() + 2 <= width) {
            Some(line) => *line += &format!(", {part}"),
            None => lines.push(part.clone()),
        }
    }
    lines
}

/// `{"schema_version":"1.0","version":"0.1.0","counters":{…}}` and a line feed. A counter that could not be known is not there.
pub(crate) fn write_json(counters: &[(&'static str, u64)], mut to: impl Write) -> io::Result<()> {
    let counters: Map<_, _> = counters.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))).collect();
    let all = serde_json::json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "counters": counters,
    });
    writeln!(to, "{all}")?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTERS: &[(&str, u64)] = &[
        ("frames.received", 12),
        ("frames.filtered", 2),
        ("frames.passed", 10),
        ("frames.truncated", 0),
        ("frames.bytes", 1234),
        ("packets.tcp", 10),
        ("packets.udp", 0),
        ("tcp.opened", 1),
        ("tcp.bytes", 5),
        ("tcp.gaps", 0),
        ("tcp.gap_bytes", 0),
        ("events.written", 3),
        ("events.dropped", 0),
    ];

    #[test]
    fn the_block_shows_what_matters_and_what_is_not_zero() {
        let expected = "\
frames  12 received, 2 filtered, 10 passed, 0 truncated, 1234 bytes
tcp     1 connections, 5 bytes in order, 0 gaps, 0 bytes missing
events  3 written, 0 dropped
        packets.tcp 10
";
        assert_eq!(block(COUNTERS), expected);
    }

    #[test]
    fn json_has_every_counter() {
        let mut out = Vec::new();
        write_json(COUNTERS, &mut out).unwrap();
        let json: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["schema_version"], SCHEMA_VERSION);
        assert_eq!(json["counters"].as_object().unwrap().len(), COUNTERS.len());
        assert_eq!(json["counters"]["packets.udp"], 0);
        assert_eq!(json["counters"]["frames.bytes"], 1234);
    }
}

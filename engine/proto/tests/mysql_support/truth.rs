//! What a conversation's events are held against: the truth about it, however its bytes are cut and whatever is missing.

use sniff_x_proto::replay::Step;

use super::field;
use super::generate::{Event, Generated};

/// The seeds of a test: `few`, or as many as `SNIFFX_SEEDS` says.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    0..std::env::var("SNIFFX_SEEDS").map_or(few, |n| n.parse().unwrap())
}

/// Kind and status of an event line.
pub(crate) fn head(line: &str) -> (&str, &str) {
    let mut words = line.split(' ');
    let kind = words.next().unwrap();
    let status = words.next().filter(|w| !w.contains('=')).unwrap_or("");
    (kind, status)
}

/// Why `line` is not `event`; none when it is.
pub(crate) fn differs(line: &str, event: &Event) -> Option<String> {
    let (kind, status) = head(line);
    for (name, expected) in event {
        let found = match &**name {
            "kind" => Some(kind.to_owned()),
            "status" => Some(status.to_owned()),
            name => field(line, name),
        };
        if found.as_ref() != Some(expected) {
            return Some(format!("{name}: expected {expected:?}, found {found:?}"));
        }
    }
    invented(line, event)
}

/// A parameter or attribute in `line` that `event` does not have.
fn invented(line: &str, event: &Event) -> Option<String> {
    [" db.query.parameter.", " sniffx.mysql.attribute."].iter().find_map(|family| {
        line.match_indices(family).find_map(|(at, _)| {
            let name = line[at + 1..].split('=').next().unwrap();
            // In a text, such a word has no value behind it.
            (!event.contains_key(name)).then(|| format!("{name} was never sent"))
        })
    })
}

/// Whether `line` says nothing that `event` does not: fields may be missing where bytes are, none may be wrong.
pub(crate) fn is_true(line: &str, event: &Event) -> bool {
    let (kind, status) = head(line);
    event["kind"] == kind
        && event["status"] == status
        && event.iter().filter(|(name, _)| !matches!(&***name, "kind" | "status")).all(|(name, expected)| {
            match field(line, name) {
                Some(found) if &**name == "db.operation.name" => {
                    // Without the prepare the statement of an execute is not known.
                    found == *expected || found == "EXECUTE" && field(line, "db.query.text").is_none()
                }
                Some(found) => found == *expected,
                None if name.starts_with("db.query.parameter.")
                    || name.starts_with("sniffx.mysql.attribute.") =>
                {
                    true
                }
                None => matches!(
                    &**name,
                    "db.namespace"
                        | "sniffx.db.user"
                        | "db.query.text"
                        | "sniffx.db.server_version"
                        | "sniffx.db.connection_id"
                ),
            }
        })
        && invented(line, event).is_none()
        && (!event.contains_key("db.namespace")).then(|| field(line, "db.namespace")).flatten().is_none()
}

pub(crate) fn check_all(generated: &Generated, lines: &[String], seed: u64) {
    for (line, event) in lines.iter().zip(&generated.events) {
        assert_eq!(differs(line, event), None, "seed {seed}: {line}");
    }
    assert_eq!(lines.len(), generated.events.len(), "seed {seed}: {lines:#?}");
}

/// Takes `len` bytes out of a direction, from `at` in step `index` on; they may reach over several steps.
pub(crate) fn without(steps: &[Step], index: usize, at: usize, len: usize) -> Vec<Step> {
    let mut out = steps[..index].to_vec();
    let Step::Data(direction, _) = &steps[index] else { unreachable!() };
    let mut left = len;
    for (i, step) in steps.iter().enumerate().skip(index) {
        match step {
            Step::Data(d, bytes) if d == direction && left > 0 => {
                let from = if i == index { at } else { 0 };
                let gone = left.min(bytes.len() - from);
                left -= gone;
                if from > 0 {
                    out.push(Step::Data(*d, bytes[..from].to_vec()));
                }
                out.push(Step::Gap(*d, gone as u64));
                if from + gone < bytes.len() {
                    out.push(Step::Data(*d, bytes[from + gone..].to_vec()));
                }
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// No line claims a success or an error that did not happen, and none happens twice.
pub(crate) fn only_truth(generated: &Generated, lines: &[String], what: &str) {
    let mut from = 0;
    for line in lines {
        let (kind, status) = head(line);
        let claims = match kind {
            "exchange" => status == "ok" || status == "error",
            kind => kind == "message" && status.is_empty(),
        };
        if !claims {
            continue;
        }
        let found = generated.events[from..].iter().position(|event| is_true(line, event));
        let Some(found) = found else {
            panic!(
                "{what}: not true, or not in order: {line}\nall: {lines:#?}\ntruth: {:#?}",
                generated.events
            );
        };
        from += found + 1;
    }
}

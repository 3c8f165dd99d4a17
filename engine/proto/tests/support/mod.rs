//! Generated conversations of any protocol: how they are cut, what is taken out of them, and whether what is told of them is true.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

/// Numbers that look random and are the same in each run (xorshift*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// The seeds of a test: `few`, or as many as `SNIFFX_SEEDS` says.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    0..std::env::var("SNIFFX_SEEDS").map_or(few, |n| n.parse().unwrap())
}

/// The fields that an event must have, `kind` and `status` among them.
pub(crate) type Event = BTreeMap<Cow<'static, str>, String>;

/// A conversation and the truth about it.
#[derive(Default)]
pub(crate) struct Generated {
    pub(crate) steps: Vec<Step>,
    pub(crate) events: Vec<Event>,
    /// For each event, the step that holds its request.
    pub(crate) asked_at: Vec<usize>,
}

/// Text as [`field`] gives it back: bytes that are not UTF-8 escaped.
pub(crate) fn as_shown(text: &[u8]) -> String {
    let show = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|b| format!("\\x{b:02x}")).collect();
        chunk.valid().to_owned() + &invalid
    };
    text.utf8_chunks().map(show).collect()
}

/// The text of `field` in an event line of [`sniff_x_proto::replay::Replay`], escapes undone; numbers as they stand.
pub(crate) fn field(line: &str, name: &str) -> Option<String> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    let rest = &line[start..];
    let Some(rest) = rest.strip_prefix('\'') else {
        return Some(rest.split(' ').next().unwrap().to_owned());
    };
    let (mut text, mut bytes) = (Vec::new(), rest.bytes());
    while let Some(b) = bytes.next() {
        match b {
            b'\'' => break,
            b'\\' => match bytes.next().unwrap() {
                b'n' => text.push(b'\n'),
                b'r' => text.push(b'\r'),
                b't' => text.push(b'\t'),
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    text.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    Some(as_shown(&text))
}

/// The event line without a number that depends on how the bytes are cut.
pub(crate) fn untimed(line: &str, name: &str) -> String {
    match line.split_once(&format!(" {name}=")) {
        Some((head, rest)) => head.to_owned() + rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => line.to_owned(),
    }
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
    event.iter().find_map(|(name, expected)| {
        let found = match &**name {
            "kind" => Some(kind.to_owned()),
            "status" => Some(status.to_owned()),
            name => field(line, name),
        };
        (found.as_ref() != Some(expected)).then(|| format!("{name}: expected {expected:?}, found {found:?}"))
    })
}

/// Whether `line` says nothing that `event` does not: the fields in `optional` may be missing where bytes are, none may be wrong.
pub(crate) fn is_true(line: &str, event: &Event, optional: &[&str]) -> bool {
    let (kind, status) = head(line);
    event["kind"] == kind
        && event["status"] == status
        && event.iter().filter(|(name, _)| !matches!(&***name, "kind" | "status")).all(|(name, expected)| {
            field(line, name).map_or(optional.contains(&&**name), |found| found == *expected)
        })
        && optional.iter().all(|name| event.contains_key(*name) || field(line, name).is_none())
}

pub(crate) fn check_all(generated: &Generated, lines: &[String], seed: u64) {
    for (line, event) in lines.iter().zip(&generated.events) {
        assert_eq!(differs(line, event), None, "seed {seed}: {line}");
    }
    assert_eq!(lines.len(), generated.events.len(), "seed {seed}: {lines:#?}\n{:#?}", generated.events);
}

/// No line claims a success or an error that did not happen, and none happens twice.
pub(crate) fn only_truth(generated: &Generated, lines: &[String], optional: &[&str], what: &str) {
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
        let found = generated.events[from..].iter().position(|event| is_true(line, event, optional));
        let Some(found) = found else {
            panic!(
                "{what}: not true, or not in order: {line}\nall: {lines:#?}\ntruth: {:#?}",
                generated.events
            );
        };
        from += found + 1;
    }
}

fn cut(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut ends = at.to_vec();
    ends.push(bytes.len());
    let mut start = 0;
    let mut parts = Vec::new();
    for end in ends {
        if end > start {
            parts.push(bytes[start..end].to_vec());
            start = end;
        }
    }
    parts
}

fn cut_steps(steps: &[Step], mut at: impl FnMut(usize, usize) -> Vec<usize>) -> Vec<Step> {
    let mut out = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Data(direction, bytes) => {
                out.extend(cut(bytes, &at(index, bytes.len())).into_iter().map(|p| Step::Data(*direction, p)))
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// The same events for every single cut (if `singles`), for one byte at a time, and for random cuts.
pub(crate) fn split_invariant(
    play: impl Fn(&[Step]) -> Vec<String>,
    steps: &[Step],
    random: &mut Random,
    singles: bool,
    what: &str,
) {
    let whole = play(steps);
    let bytewise = cut_steps(steps, |_, len| (1..len).collect());
    assert_eq!(play(&bytewise), whole, "{what}: one byte at a time");
    for round in 0..200 {
        let cuts = cut_steps(steps, |_, len| {
            let mut at: Vec<_> = (0..random.below(4)).map(|_| random.below(len.max(1))).collect();
            at.sort_unstable();
            at
        });
        assert_eq!(play(&cuts), whole, "{what}: random cuts {round}");
    }
    if !singles {
        return;
    }
    for (index, step) in steps.iter().enumerate() {
        let Step::Data(_, bytes) = step else { continue };
        for at in 1..bytes.len() {
            let one = cut_steps(steps, |i, _| if i == index { vec![at] } else { vec![] });
            assert_eq!(play(&one), whole, "{what}: step {index} cut at {at}");
        }
    }
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

/// Places of gaps, at most `most`: step, byte, length.
pub(crate) fn gap_places(steps: &[Step], most: usize, random: &mut Random) -> Vec<(usize, usize, usize)> {
    (0..most)
        .filter_map(|_| {
            let index = random.below(steps.len());
            let Step::Data(_, bytes) = &steps[index] else { return None };
            let at = random.below(bytes.len());
            Some((index, at, 1 + random.below(bytes.len() - at + 40)))
        })
        .collect()
}

/// Takes bytes out at every place, in each of several lengths, and asks for nothing but truth.
pub(crate) fn gaps_everywhere(
    generated: &Generated,
    play: impl Fn(&[Step]) -> Vec<String>,
    optional: &[&str],
    random: &mut Random,
    what: &str,
) {
    for (index, step) in generated.steps.iter().enumerate() {
        let Step::Data(_, bytes) = step else { continue };
        for at in 0..bytes.len() {
            for len in
                [1, 4, 1 + random.below(60), bytes.len() - at, bytes.len() - at + 1 + random.below(200)]
            {
                let lines = play(&without(&generated.steps, index, at, len));
                let what = format!("{what}, step {index}, {len} bytes from {at}");
                only_truth(generated, &lines, optional, &what);
            }
        }
    }
}

/// Joins at every byte: `check` gets the lines, the step and the byte that come first.
pub(crate) fn joined_everywhere(
    steps: &[Step],
    play: impl Fn(&[Step]) -> Vec<String>,
    mut check: impl FnMut(&[String], Direction, usize, usize),
) {
    for (index, step) in steps.iter().enumerate() {
        let Step::Data(direction, bytes) = step else { continue };
        for at in 0..bytes.len() {
            let mut rest = vec![Step::Data(*direction, bytes[at..].to_vec())];
            rest.extend_from_slice(&steps[index + 1..]);
            check(&play(&rest), *direction, index, at);
        }
    }
}

/// Segments of at most `mss` bytes, of which each from the step `from` on is lost with a probability of `per_mille`. A loss is told before what comes behind
/// it in either direction, as the assembler does: what acknowledges missing bytes waits for them.
pub(crate) fn lossy(
    steps: &[Step],
    from: usize,
    mss: usize,
    per_mille: usize,
    random: &mut Random,
) -> Vec<Step> {
    let mut out = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let Step::Data(direction, bytes) = step else { continue };
        for segment in bytes.chunks(mss) {
            out.push(if index >= from && random.below(1000) < per_mille {
                Step::Gap(*direction, segment.len() as u64)
            } else {
                Step::Data(*direction, segment.to_vec())
            });
        }
    }
    out
}

/// Without what comes before a byte somewhere in the middle.
pub(crate) fn joined_late(steps: &[Step], random: &mut Random) -> Vec<Step> {
    let index = random.below(steps.len());
    let mut steps = steps[index..].to_vec();
    if let Step::Data(_, bytes) = &mut steps[0] {
        bytes.drain(..random.below(bytes.len()));
    }
    steps
}

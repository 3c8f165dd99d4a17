//! What every built-in plugin promises, asked of all that the registry has: a plugin needs a file here that makes its conversations, or this does not
//! build.
//!
//! No bytes make it panic or go on for ever; what it tells does not depend on how the bytes are cut; gaps and joins never make it tell something that
//! did not happen; what it keeps is bounded.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod auto;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use sniff_x_flow::{Direction, End};
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Options, Probe};
use support::{Random, gap_places, joined_everywhere, split_invariant, without};

macro_rules! conversations {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        $(mod $module;)+

        /// The name of each plugin, and what makes a whole conversation of it from a seed.
        const PLUGINS: &[(&str, fn(u64) -> Vec<Step>)] = &[$((stringify!($module), $module::conversation)),+];
    };
}
sniff_x_proto::protocols!(conversations);

/// Bytes that the host and a decoder may keep of a connection: an unfinished message of each direction, texts, the decoder's own state.
const MOST_KEPT: usize = 512 << 10;

/// Plays a conversation; gives the events without times, which depend on how the bytes are cut.
fn play(name: &str, midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut plugin = sniff_x_proto::builtin(name).unwrap();
    plugin.configure(&Options::default()).unwrap();
    let mut replay = Replay::new(plugin, 1, midstream);
    for step in steps {
        replay.step(step);
        let kept = replay.kept();
        assert!(kept <= MOST_KEPT, "{name}: {kept} bytes are kept");
    }
    replay.finish(End::Fin).iter().map(|line| untimed(line)).collect()
}

/// Without the fields that are times.
fn untimed(line: &str) -> String {
    let is_time = |word: &&str| word.split_once('=').is_some_and(|(name, _)| name.ends_with("_ns"));
    line.split(' ').filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ")
}

/// Each plugin with a few conversations.
fn each(seeds: u64, mut check: impl FnMut(&str, u64, Vec<Step>)) {
    for (name, conversation) in PLUGINS {
        (0..seeds).for_each(|seed| check(name, seed, conversation(seed)));
    }
}

#[test]
fn the_conversations_are_understood() {
    each(40, |name, seed, steps| {
        let lines = play(name, false, &steps);
        assert!(!lines.is_empty(), "{name}, seed {seed}");
        assert!(lines.iter().all(|line| !line.starts_with("notice")), "{name}, seed {seed}: {lines:#?}");
        let plugin = sniff_x_proto::builtin(name).unwrap();
        let said = |wanted: Direction| -> Vec<u8> {
            let of = |step: &Step| match step {
                Step::Data(direction, bytes) if *direction == wanted => bytes.clone(),
                _ => Vec::new(),
            };
            steps.iter().flat_map(of).collect()
        };
        let probe = plugin.probe(&said(Direction::ToServer), &said(Direction::ToClient));
        assert_ne!(probe, Probe::No, "{name}, seed {seed}: its own probe refuses it");
        assert_ne!(probe, Probe::Yes { reversed: true }, "{name}, seed {seed}");
    });
}

#[test]
fn cuts_change_nothing() {
    each(3, |name, seed, steps| {
        let mut random = Random(seed + 1);
        let what = format!("{name}, seed {seed}");
        split_invariant(|steps| play(name, false, steps), &steps, &mut random, false, &what);
    });
}

/// Exchanges that are told as done (with whatever outcome) are some of those that are told when nothing is missing.
fn no_others(whole: &BTreeSet<&str>, lines: &[String], what: &str) {
    for line in lines {
        let claims = ["exchange ok", "exchange error"].iter().any(|head| line.starts_with(head));
        assert!(!claims || whole.iter().any(|w| is_part(line, w)), "{what}: not true: {line}\n{whole:#?}");
    }
}

/// What stands for an operation whose statement was not seen.
const UNNAMED: &[&str] = &["db.operation.name='EXECUTE'"];

/// Whether an event says nothing else than another one: what came before (users, databases, prepared statements) may be missing.
fn is_part(line: &str, whole: &str) -> bool {
    let words: BTreeSet<_> = whole.split(' ').collect();
    line.split(' ').all(|word| words.contains(word) || UNNAMED.contains(&word))
}

#[test]
fn gaps_and_joins_make_nothing_up() {
    each(2, |name, seed, steps| {
        let lines = play(name, false, &steps);
        let whole: BTreeSet<_> = lines.iter().map(String::as_str).collect();
        let mut random = Random(seed + 7);
        for (index, at, len) in gap_places(&steps, 150, &mut random) {
            let told = play(name, false, &without(&steps, index, at, len));
            no_others(&whole, &told, &format!("{name}, seed {seed}, step {index}, {len} bytes from {at}"));
        }
        joined_everywhere(
            &steps[..steps.len().min(6)],
            |steps| play(name, true, steps),
            |told, _, index, at| {
                no_others(&whole, told, &format!("{name}, seed {seed}, from step {index} byte {at}"))
            },
        );
    });
}

#[test]
fn random_and_flipped_bytes() {
    each(30, |name, seed, steps| {
        let mut random = Random(seed + 3);
        for _ in 0..20 {
            let mut flipped = steps.clone();
            for _ in 0..1 + random.below(4) {
                let index = random.below(flipped.len());
                if let Step::Data(_, bytes) = &mut flipped[index] {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            let _ = play(name, random.below(2) == 0, &flipped);
            let noise: Vec<_> = (0..random.below(10))
                .map(|_| {
                    let direction =
                        if random.below(2) == 0 { Direction::ToServer } else { Direction::ToClient };
                    match random.below(8) {
                        0 => Step::Gap(direction, 1 + random.next() % 100_000),
                        1 => Step::Wait(random.next() % 10_000_000_000_000),
                        _ => {
                            let len = 1 + random.below(3000);
                            Step::Data(direction, random.bytes(len))
                        }
                    }
                })
                .collect();
            let lines = play(name, random.below(2) == 0, &noise);
            assert!(lines.len() < 200, "{name}: {} events of noise", lines.len());
        }
    });
}

/// A message that never ends, and bytes that never become one, are not kept.
#[test]
fn memory_is_bounded() {
    each(4, |name, seed, steps| {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut steps = steps[..steps.len().min(1 + usize::try_from(seed).unwrap())].to_vec();
            if let Some(Step::Data(_, bytes)) = steps.last_mut() {
                bytes.truncate(bytes.len() / 2);
            }
            for byte in [b'a', b'9', 0, 0xff, b'*', b'$', b' '] {
                let mut flood = steps.clone();
                flood.extend((0..200).map(|_| Step::Data(direction, vec![byte; 8000])));
                let _ = play(name, false, &flood);
            }
        }
    });
}

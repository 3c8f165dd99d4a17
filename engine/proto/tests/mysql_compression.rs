//! The compressed protocol: generated conversations in frames give the events of the plain ones, however the bytes are cut; with bytes missing
//! nothing wrong is told; what bombs and corrupt frames may cost.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use mysql_support::compress::{ZLIB, ZSTD, compress};
use mysql_support::generate::{Generated, Generator};
use mysql_support::truth::{check_all, is_true, only_truth, seeds, without};
use mysql_support::{Random, field, play, split_invariant};
use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

/// A conversation in frames: of zlib for even seeds, of zstd for odd ones.
fn generate(seed: u64, exchanges: usize, cuts: usize, least: usize) -> (Generated, Random) {
    let capability = if seed.is_multiple_of(2) { ZLIB } else { ZSTD };
    let mut random = Random(seed + 77);
    let generated = Generator::compressed(seed, capability).conversation(exchanges);
    (compress(generated, capability, cuts, least, &mut random), random)
}

#[test]
fn told_as_generated() {
    for seed in seeds(400) {
        let (generated, _) = generate(seed, 12, 4, 1);
        let lines = play(false, &generated.steps);
        check_all(&generated, &lines, seed);
        let how = if seed.is_multiple_of(2) { "zlib" } else { "zstd" };
        assert_eq!(field(&lines[0], "sniffx.db.compression").unwrap(), how);
    }
}

#[test]
fn split_invariance() {
    for seed in seeds(8) {
        let (generated, mut random) = generate(seed, 5, 2, 1);
        split_invariant(false, &generated.steps, &mut random, true, &format!("seed {seed}"));
        // Joined in the middle of the second exchange's bytes.
        let joined = &generated.steps[generated.steps.len() / 2..];
        split_invariant(true, joined, &mut random, false, &format!("seed {seed}, midstream"));
    }
}

#[test]
fn gaps_at_every_byte() {
    for seed in seeds(8) {
        let (generated, mut random) = generate(seed, 6, 2, 1);
        for (index, step) in generated.steps.iter().enumerate() {
            let Step::Data(_, bytes) = step else { continue };
            for at in 0..bytes.len() {
                for len in
                    [1, 4, 1 + random.below(60), bytes.len() - at, bytes.len() - at + 1 + random.below(200)]
                {
                    let lines = play(false, &without(&generated.steps, index, at, len));
                    only_truth(
                        &generated,
                        &lines,
                        &format!("seed {seed}, step {index}, {len} bytes from {at}"),
                    );
                }
            }
        }
    }
}

/// Exchanges that begin two exchanges behind a loss are all told.
#[test]
fn back_in_step_after_a_gap() {
    for seed in seeds(30) {
        let (generated, mut random) = generate(seed, 14, 2, 5);
        let index = generated.login + random.below(generated.steps.len() / 2);
        let Step::Data(_, bytes) = &generated.steps[index] else { continue };
        let at = random.below(bytes.len());
        let len = 1 + random.below(bytes.len() - at);
        let lines = play(false, &without(&generated.steps, index, at, len));
        for (event, asked) in generated.events.iter().zip(&generated.asked_at) {
            if *asked > index + 4 {
                assert!(
                    lines.iter().any(|line| is_true(line, event)),
                    "seed {seed}, step {index}, {len} from {at}: {event:?} is missing in {lines:#?}"
                );
            }
        }
    }
}

/// Joined at every byte: nothing wrong is told, and the exchanges are told from the second request on that is seen whole: the first one shows that the
/// bytes are compressed.
#[test]
fn joined_at_every_byte() {
    let (mut joined, mut taken_for_plain) = (0, 0);
    for seed in seeds(8) {
        let (generated, _) = generate(seed, 8, 0, 5);
        for (index, step) in generated.steps.iter().enumerate().skip(generated.login) {
            let Step::Data(direction, bytes) = step else { continue };
            for at in 0..bytes.len() {
                let mut steps = vec![Step::Data(*direction, bytes[at..].to_vec())];
                steps.extend_from_slice(&generated.steps[index + 1..]);
                let lines = play(true, &steps);
                joined += 1;
                let what = format!("seed {seed}, from step {index} byte {at}");
                only_truth(&generated, &lines, &what);
                // What is not compressed in a frame, or its literals, may begin as if nothing was compressed.
                let odd = |line: &String| line.starts_with("notice") || line.contains("incomplete:midstream");
                if lines.first().is_some_and(odd) {
                    taken_for_plain += 1;
                    continue;
                }
                for (event, asked) in generated.events.iter().zip(&generated.asked_at) {
                    let turned = generated.steps[index..*asked.max(&index)]
                        .iter()
                        .any(|s| matches!(s, Step::Data(Direction::ToClient, _)));
                    let from_start = at == 0 && *direction == Direction::ToServer;
                    let whole = *asked > index && turned || *asked >= index && from_start;
                    if whole && event["kind"] == "exchange" {
                        assert!(
                            lines.iter().any(|line| is_true(line, event)),
                            "{what}: {event:?} is missing in {lines:#?}"
                        );
                    }
                }
            }
        }
    }
    assert!(taken_for_plain * 100 < joined, "{taken_for_plain} of {joined}");
}

#[test]
fn flipped_bytes_never_panic() {
    for seed in seeds(60) {
        let (generated, mut random) = generate(seed, 6, 2, 1);
        for _ in 0..60 {
            let mut steps = generated.steps.clone();
            for _ in 0..1 + random.below(3) {
                let index = random.below(steps.len());
                if let Step::Data(_, bytes) = &mut steps[index] {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            let _ = play(random.below(2) == 0, &steps);
        }
    }
}

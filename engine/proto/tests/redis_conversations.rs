//! Generated Redis conversations: what the plugin tells is what was generated, however the bytes are cut and whatever is missing.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod redis_support;
mod support;

use redis_support::Generator;
use sniff_x_flow::{Direction, End};
use sniff_x_proto::redis::Redis;
use sniff_x_proto::replay::{Replay, Step};
use support::{
    Random, check_all, gaps_everywhere, is_true, joined_everywhere, only_truth, seeds, split_invariant,
};

fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(Box::<Redis>::default(), 6379, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

const OPTIONAL: &[&str] = &["db.namespace", "sniffx.db.user"];

#[test]
fn told_as_generated() {
    for seed in seeds(400) {
        let generated = Generator::new(seed).conversation(8);
        check_all(&generated, &play(false, &generated.steps), seed);
    }
}

#[test]
fn split_invariance() {
    for seed in seeds(10) {
        let generated = Generator::new(seed).conversation(4);
        let mut random = Random(seed + 1);
        split_invariant(|s| play(false, s), &generated.steps, &mut random, true, &format!("seed {seed}"));
        let joined = &generated.steps[generated.steps.len() / 2..];
        split_invariant(|s| play(true, s), joined, &mut random, false, &format!("seed {seed}, midstream"));
    }
}

#[test]
fn gaps_at_every_byte() {
    for seed in seeds(8) {
        let generated = Generator::new(seed).conversation(4);
        let mut random = Random(seed + 99);
        gaps_everywhere(&generated, |s| play(false, s), OPTIONAL, &mut random, &format!("seed {seed}"));
    }
}

/// Nothing wrong is told, and every batch that is seen whole behind a turn is.
#[test]
fn joined_at_every_byte() {
    for seed in seeds(8) {
        let generated = Generator::new(seed).conversation(5);
        joined_everywhere(
            &generated.steps,
            |s| play(true, s),
            |lines, _, index, at| {
                let what = format!("seed {seed}, from step {index} byte {at}");
                only_truth(&generated, lines, OPTIONAL, &what);
                for (event, asked) in generated.events.iter().zip(&generated.asked_at) {
                    let turned = generated.steps[index..*asked.max(&index)]
                        .iter()
                        .any(|s| matches!(s, Step::Data(Direction::ToClient, _)));
                    // An inline command is not taken for one there.
                    let array = matches!(&generated.steps[*asked], Step::Data(_, b) if b[0] == b'*');
                    if event["kind"] == "exchange" && *asked > index && turned && array {
                        assert!(
                            lines.iter().any(|line| is_true(line, event, OPTIONAL)),
                            "{what}: {event:?} is missing in {lines:#?}"
                        );
                    }
                }
            },
        );
    }
}

#[test]
fn secrets_never_come_out() {
    for seed in seeds(300) {
        let generated = Generator::new(seed).conversation(10);
        for midstream in [false, true] {
            let lines = play(midstream, &generated.steps[usize::from(midstream)..]);
            assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:#?}");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for seed in seeds(60) {
        let generated = Generator::new(seed).conversation(6);
        let mut random = Random(seed + 3);
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

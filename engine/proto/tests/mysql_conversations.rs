//! Generated conversations: what the plugin tells is what was generated, however the bytes are cut and whatever is missing.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use mysql_support::generate::Generator;
use mysql_support::truth::{check_all, is_true, only_truth, seeds, without};
use mysql_support::{Random, play, split_invariant};
use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

#[test]
fn told_as_generated() {
    for seed in seeds(400) {
        let generated = Generator::new(seed).conversation(12);
        check_all(&generated, &play(false, &generated.steps), seed);
    }
}

#[test]
fn split_invariance() {
    for seed in seeds(12) {
        let generated = Generator::new(seed).conversation(5);
        let mut random = Random(seed + 1);
        split_invariant(false, &generated.steps, &mut random, true, &format!("seed {seed}"));
        // Joined in the middle of the second exchange's bytes.
        let joined = &generated.steps[generated.steps.len() / 2..];
        split_invariant(true, joined, &mut random, false, &format!("seed {seed}, midstream"));
    }
}

#[test]
fn split_invariance_of_captures() {
    let Some(folder) = mysql_support::captures() else { return };
    for path in mysql_support::capture_files(&folder) {
        for conversation in mysql_support::conversations(&path, mysql_support::SERVERS) {
            let what = format!("{} stream {}", path.display(), conversation.stream);
            let mut random = Random(7);
            split_invariant(conversation.midstream, &conversation.steps, &mut random, true, &what);
        }
    }
}

#[test]
fn gaps_at_every_byte() {
    for seed in seeds(6) {
        let generated = Generator::new(seed).conversation(6);
        let mut random = Random(seed + 99);
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
    for seed in seeds(40) {
        let generated = Generator::new(seed).conversation(14);
        let mut random = Random(seed + 5);
        let index = 3 + random.below(generated.steps.len() / 2);
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

/// Joined at every byte: nothing wrong is told, and every exchange that is seen whole is told, unless what is seen before it is the end of a
/// packet of the client that has no response: nothing shows then where the request begins.
#[test]
fn joined_at_every_byte() {
    for seed in seeds(6) {
        let generated = Generator::new(seed).conversation(6);
        for (index, step) in generated.steps.iter().enumerate() {
            let Step::Data(direction, bytes) = step else { continue };
            for at in 0..bytes.len() {
                let mut steps = vec![Step::Data(*direction, bytes[at..].to_vec())];
                steps.extend_from_slice(&generated.steps[index + 1..]);
                let lines = play(true, &steps);
                let what = format!("seed {seed}, from step {index} byte {at}");
                only_truth(&generated, &lines, &what);
                for (event, asked) in generated.events.iter().zip(&generated.asked_at) {
                    let turned = generated.steps[index..*asked.max(&index)]
                        .iter()
                        .any(|s| matches!(s, Step::Data(Direction::ToClient, _)));
                    let from_start = at == 0 && *direction == Direction::ToServer;
                    let answered = *asked > index
                        && matches!(generated.steps[*asked - 1], Step::Data(Direction::ToClient, _));
                    let whole = turned && answered || *asked == index && from_start;
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
}

#[test]
fn garbage_never_panics() {
    for seed in 1..3000 {
        let mut random = Random(seed);
        let steps: Vec<_> = (0..random.below(12))
            .map(|_| {
                let direction = if random.below(2) == 0 { Direction::ToServer } else { Direction::ToClient };
                let len = 1 + random.below(80);
                let mut bytes = random.bytes(len);
                if random.below(2) == 0 {
                    // A header that could be one.
                    let seq = u8::try_from(random.below(3)).unwrap();
                    let head = [u8::try_from(bytes.len()).unwrap(), 0, 0, seq];
                    bytes.splice(..0, head);
                }
                if random.below(9) == 0 {
                    Step::Gap(direction, 1 + random.next() % 5000)
                } else {
                    Step::Data(direction, bytes)
                }
            })
            .collect();
        for midstream in [false, true] {
            let lines = play(midstream, &steps);
            assert!(lines.len() < 100);
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

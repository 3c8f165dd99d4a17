//! Generated Redis conversations with losses anywhere and late joins, of clients that wait and of clients that send ahead: what is told is true all the same.
//!
//! `SNIFFX_SEEDS` says how many conversations are tried.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod redis_support;
mod support;

use std::collections::VecDeque;

use redis_support::Generator;
use sniff_x_flow::{Direction, End};
use sniff_x_proto::redis::Redis;
use sniff_x_proto::replay::{Replay, Step};
use support::{Random, joined_late, lossy, only_truth, seeds};

fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(Box::<Redis>::default(), 6379, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

const OPTIONAL: &[&str] = &["db.namespace", "sniffx.db.user"];

/// The same conversation of a client that sends up to `most` batches before it reads what answers them.
fn sent_together(steps: &[Step], most: usize, random: &mut Random) -> Vec<Step> {
    let (mut out, mut replies, mut together) = (Vec::new(), Vec::new(), 1 + random.below(most));
    for step in steps {
        if let Step::Data(Direction::ToClient, _) = step {
            replies.push(step.clone());
            continue;
        }
        if together == 0 {
            out.append(&mut replies);
            together = 1 + random.below(most);
        }
        together -= 1;
        out.push(step.clone());
    }
    out.append(&mut replies);
    out
}

/// The same conversation of a client that has up to `most` batches on their way, and sends the next as soon as it likes; and the step from which on it was seen to
/// do so three times.
fn sent_on(steps: &[Step], most: usize, random: &mut Random) -> (Vec<Step>, usize) {
    let (mut out, mut unanswered) = (Vec::new(), VecDeque::new());
    let (mut times, mut seen) = (0, usize::MAX);
    for step in steps {
        if let Step::Data(Direction::ToClient, _) = step {
            unanswered.push_back(step.clone());
            continue;
        }
        while unanswered.len() >= most || unanswered.len() > 1 && random.below(3) == 0 {
            out.extend(unanswered.pop_front());
        }
        let server_spoke = matches!(out.last(), Some(Step::Data(Direction::ToClient, _)));
        times += usize::from(server_spoke && !unanswered.is_empty());
        out.push(step.clone());
        if times == 3 {
            seen = seen.min(out.len());
        }
    }
    out.extend(unanswered);
    (out, seen)
}

/// Tries many conversations. `late`: a third of them are joined in the middle. `prepare` gives the steps, and that before which nothing is lost.
fn tried(late: bool, prepare: impl Fn(&[Step], &mut Random) -> (Vec<Step>, usize)) {
    for seed in seeds(300) {
        let mut random = Random((seed ^ 0x5eed) + 1);
        let generated = Generator::new(seed).conversation(12 + random.below(20));
        let (steps, from) = prepare(&generated.steps, &mut random);
        for per_mille in [1, 10, 50, 200] {
            let mss = [40, 200, 1448][random.below(3)];
            let late = late && random.below(3) == 0;
            let steps = if late { joined_late(&steps, &mut random) } else { steps.clone() };
            let lines = play(late, &lossy(&steps, from, mss, per_mille, &mut random));
            let what = format!("seed {seed}, {per_mille} per mille, {mss} bytes, late {late}");
            only_truth(&generated, &lines, OPTIONAL, &what);
        }
    }
}

#[test]
fn clients_that_wait() {
    tried(true, |steps, _| (steps.to_vec(), 0));
}

/// From their beginning: one that is joined at the last of the commands that it sent ahead can't be told from one that waits.
#[test]
fn clients_that_send_together() {
    tried(false, |steps, random| (sent_together(steps, 6, random), 0));
}

/// With losses only where the client was seen sending ahead: until then it can't be told from one that waits.
#[test]
fn clients_that_send_on() {
    tried(false, |steps, random| sent_on(steps, 6, random));
}

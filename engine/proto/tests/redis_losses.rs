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

/// The same conversation of a client that has up to `most` batches on their way, and sends the next as soon as it likes: one is
/// always on its way.
fn sent_on(steps: &[Step], most: usize, random: &mut Random) -> Vec<Step> {
    let (mut out, mut unanswered) = (Vec::new(), VecDeque::new());
    for step in steps {
        if let Step::Data(Direction::ToClient, _) = step {
            unanswered.push_back(step.clone());
            continue;
        }
        while unanswered.len() >= most || unanswered.len() > 1 && random.below(3) == 0 {
            out.extend(unanswered.pop_front());
        }
        out.push(step.clone());
    }
    out.extend(unanswered);
    out
}

/// Tries many conversations. `late`: a third of them are joined in the middle. `prepare` gives the steps.
fn tried(late: bool, prepare: impl Fn(&[Step], &mut Random) -> Vec<Step>) {
    for seed in seeds(300) {
        let mut random = Random((seed ^ 0x5eed) + 1);
        let generated = Generator::new(seed).conversation(12 + random.below(20));
        let steps = prepare(&generated.steps, &mut random);
        for per_mille in [1, 10, 50, 200] {
            let mss = [40, 200, 1448][random.below(3)];
            let late = late && random.below(3) == 0;
            let steps = if late { joined_late(&steps, &mut random) } else { steps.clone() };
            let lines = play(late, &lossy(&steps, 0, mss, per_mille, &mut random));
            let what = format!("seed {seed}, {per_mille} per mille, {mss} bytes, late {late}");
            only_truth(&generated, &lines, OPTIONAL, &what);
        }
    }
}

#[test]
fn clients_that_wait() {
    tried(true, |steps, _| steps.to_vec());
}

/// From their beginning: one that is joined at the last of the commands that it sent ahead can't be told from one that waits.
#[test]
fn clients_that_send_together() {
    tried(false, |steps, random| sent_together(steps, 6, random));
}

/// From their beginning, too.
#[test]
fn clients_that_send_on() {
    tried(false, |steps, random| sent_on(steps, 6, random));
}

/// The second command of a new connection is lost: it may have been sent ahead, and what the server says next may answer it.
#[test]
fn a_command_is_lost_before_the_client_is_known() {
    let ask = |key: &str| Step::Data(Direction::ToServer, redis_support::array(&[b"GET", key.as_bytes()]));
    let say = |n: u8| Step::Data(Direction::ToClient, format!(":{n}\r\n").into_bytes());
    let lost = Step::Gap(Direction::ToServer, 20);
    let steps =
        [ask("1"), lost, say(1), ask("3"), say(2), say(3), Step::Wait(1_000_000_000), ask("4"), say(4)];
    let lines = play(false, &steps);
    let told = lines.iter().filter(|l| support::head(l) == ("exchange", "ok"));
    let told: Vec<_> = told
        .map(|l| {
            (support::field(l, "db.query.text").unwrap(), support::field(l, "sniffx.redis.reply").unwrap())
        })
        .collect();
    let pair = |key: &str, reply: &str| (format!("GET {key}"), reply.to_owned());
    assert_eq!(told, [pair("1", "1"), pair("4", "4")]);
}

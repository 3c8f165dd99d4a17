//! Generated conversations with losses anywhere and late joins, of clients that wait and of clients that send ahead: what is told is true all the same.
//!
//! `SNIFFX_SEEDS` says how many conversations are tried.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;
mod support;

use mysql_support::generate::{Generated, Generator};
use mysql_support::play;
use mysql_support::truth::{only_truth, seeds};
use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;
use support::{Random, joined_late, lossy};

/// The same conversation of a client that sends up to `most` requests before it reads the responses: where each side speaks once in an exchange.
fn sent_ahead(generated: &mut Generated, most: usize, random: &mut Random) {
    let mut asked: Vec<usize> =
        generated.asked_at.iter().copied().filter(|at| *at >= generated.login).collect();
    asked.dedup();
    let mut steps: Vec<Step> = generated.steps[..asked[0]].to_vec();
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    let mut together = 1 + random.below(most);
    for (n, from) in asked.iter().enumerate() {
        let to = asked.get(n + 1).copied().unwrap_or(generated.steps.len());
        let exchange = &generated.steps[*from..to];
        let turns = exchange.windows(2).filter(|w| is_client(&w[0]) != is_client(&w[1])).count();
        let simple = is_client(&exchange[0]) && turns < 2;
        if !simple || together == 0 {
            steps.append(&mut requests);
            steps.append(&mut responses);
            together = 1 + random.below(most);
        }
        if simple {
            requests.extend(exchange.iter().filter(|s| is_client(s)).cloned());
            responses.extend(exchange.iter().filter(|s| !is_client(s)).cloned());
            together -= 1;
        } else {
            steps.extend_from_slice(exchange);
        }
    }
    steps.append(&mut requests);
    steps.append(&mut responses);
    generated.steps = steps;
}

fn is_client(step: &Step) -> bool {
    matches!(step, Step::Data(Direction::ToServer, _))
}

/// Tries many conversations. `late`: a third of them are joined in the middle.
fn tried(late: bool, prepare: impl Fn(&mut Generated, &mut Random)) {
    for seed in seeds(400) {
        let mut random = Random(seed ^ 0x5eed);
        let mut generated = Generator::new(seed).conversation(12 + random.below(20));
        prepare(&mut generated, &mut random);
        for per_mille in [1, 10, 50, 200] {
            let mss = [40, 200, 1448][random.below(3)];
            let late = late && random.below(3) == 0;
            let steps =
                if late { joined_late(&generated.steps, &mut random) } else { generated.steps.clone() };
            let lines = play(late, &lossy(&steps, 0, mss, per_mille, &mut random));
            let what = format!("seed {seed}, {per_mille} per mille, {mss} bytes, late {late}");
            only_truth(&generated, &lines, &what);
        }
    }
}

#[test]
fn clients_that_wait() {
    tried(true, |_, _| {});
}

/// From their beginning: one that is joined at the last of the requests that it sent ahead can't be told from one that waits.
#[test]
fn clients_that_send_ahead() {
    tried(false, |generated, random| sent_ahead(generated, 6, random));
}

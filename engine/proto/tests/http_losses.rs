//! Generated HTTP conversations with losses anywhere and late joins, of clients that wait and of clients that send ahead: what is told is true all the same.
//!
//! `SNIFFX_SEEDS` says how many conversations are tried.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod http_support;
mod support;

use http_support::Generator;
use sniff_x_flow::{Direction, End};
use sniff_x_proto::http::Http;
use sniff_x_proto::replay::{Replay, Step};
use support::{Generated, Random, head, joined_late, lossy, only_truth, seeds};

fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(Box::new(Http::default()), 80, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// The same conversation of a client that does not wait: up to `most` of its messages are on their way before the first of them is answered. `together`: it
/// waits for all responses before it sends more. Gives the number of steps after which anyone can tell: a message was sent after the server spoke, while
/// another was waiting.
fn sent_ahead(generated: &mut Generated, most: usize, together: bool, random: &mut Random) -> usize {
    let is_client = |step: &Step| matches!(step, Step::Data(Direction::ToServer, _));
    let (requests, responses): (Vec<_>, Vec<_>) = generated.steps.drain(..).partition(is_client);
    let (mut requests, mut responses) = (requests.into_iter().peekable(), responses.into_iter());
    let (mut waiting, mut answers, mut shown) = (0, false, None);
    while requests.peek().is_some() || waiting > 0 {
        answers &= waiting > 0;
        let may_send = requests.peek().is_some() && waiting < most && !(together && answers);
        if may_send && (waiting == 0 || random.below(2) == 0) {
            waiting += 1;
            generated.steps.extend(requests.next());
            if answers {
                shown.get_or_insert(generated.steps.len());
            }
        } else {
            (waiting, answers) = (waiting - 1, true);
            generated.steps.extend(responses.next());
        }
    }
    shown.unwrap_or(generated.steps.len())
}

/// Tries many conversations. `late`: a third of them are joined in the middle. `prepare` gives the number of steps of which nothing is lost.
/// Of those seen from their beginning with one segment in a thousand lost: how many exchanges were told whole, and how many there were.
fn tried(late: bool, prepare: impl Fn(&mut Generated, &mut Random) -> usize) -> (usize, usize) {
    let (mut told, mut happened) = (0, 0);
    for seed in seeds(300) {
        let mut random = Random(seed ^ 0x5eed);
        let mut generated = Generator::conversation(seed, 8 + random.below(20));
        let whole = prepare(&mut generated, &mut random);
        for per_mille in [1, 10, 50, 200] {
            let mss = [40, 200, 1448][random.below(3)];
            let late = late && random.below(3) == 0;
            let steps =
                if late { joined_late(&generated.steps, &mut random) } else { generated.steps.clone() };
            let lines = play(late, &lossy(&steps, whole, mss, per_mille, &mut random));
            let what = format!("seed {seed}, {per_mille} per mille, {mss} bytes, late {late}");
            only_truth(&generated, &lines, &[], &what);
            if per_mille == 1 && !late {
                told += lines.iter().filter(|l| matches!(head(l), ("exchange", "ok" | "error"))).count();
                happened += generated.events.len();
            }
        }
    }
    (told, happened)
}

#[test]
fn clients_that_wait() {
    let (told, happened) = tried(true, |_, _| 0);
    assert!(told * 100 > happened * 95, "{told} of {happened}");
}

/// From their beginning, and after they were seen sending ahead once: two requests that are lost together can't be told from one of a client that waits,
/// nor can one that is joined at the last of those that it sent ahead.
#[test]
fn clients_that_send_ahead() {
    let (told, happened) = tried(false, |generated, random| sent_ahead(generated, 6, false, random));
    // Without a silence none of them is followed again.
    assert!(told * 2 > happened, "{told} of {happened}");
}

/// Those that wait for the responses to all that they sent together.
#[test]
fn clients_that_send_several_together() {
    let (told, happened) = tried(false, |generated, random| {
        sent_ahead(generated, 6, true, random);
        0
    });
    assert!(told * 2 > happened, "{told} of {happened}");
}

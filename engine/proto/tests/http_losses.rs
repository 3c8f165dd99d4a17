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
use support::{Generated, Random, field, head, joined_late, lossy, only_truth, seeds};

fn play(midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(Box::new(Http::default()), 80, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// The same conversation of a client that does not wait: up to `most` of its messages are on their way before the first of them is answered. `together`: it
/// waits for all responses before it sends more; otherwise one is always on its way while there is any.
fn sent_ahead(generated: &mut Generated, most: usize, together: bool, random: &mut Random) {
    let is_client = |step: &Step| matches!(step, Step::Data(Direction::ToServer, _));
    let (requests, responses): (Vec<_>, Vec<_>) = generated.steps.drain(..).partition(is_client);
    let (mut requests, mut responses) = (requests.into_iter().peekable(), responses.into_iter());
    let (mut waiting, mut answers) = (0, false);
    let least = if together { 0 } else { 1 };
    while requests.peek().is_some() || waiting > 0 {
        answers &= waiting > 0;
        let may_send = requests.peek().is_some() && waiting < most && !(together && answers);
        if may_send && (waiting <= least || random.below(2) == 0) {
            waiting += 1;
            generated.steps.extend(requests.next());
        } else {
            (waiting, answers) = (waiting - 1, true);
            generated.steps.extend(responses.next());
        }
    }
}

/// Tries many conversations. `late`: a third of them are joined in the middle.
/// Of those seen from their beginning with one segment in a thousand lost: how many exchanges were told whole, and how many there were.
fn tried(late: bool, prepare: impl Fn(&mut Generated, &mut Random)) -> (usize, usize) {
    let (mut told, mut happened) = (0, 0);
    for seed in seeds(300) {
        let mut random = Random(seed ^ 0x5eed);
        let mut generated = Generator::conversation(seed, 8 + random.below(20));
        prepare(&mut generated, &mut random);
        for per_mille in [1, 10, 50, 200] {
            let mss = [40, 200, 1448][random.below(3)];
            let late = late && random.below(3) == 0;
            let steps =
                if late { joined_late(&generated.steps, &mut random) } else { generated.steps.clone() };
            let lines = play(late, &lossy(&steps, 0, mss, per_mille, &mut random));
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
    let (told, happened) = tried(true, |_, _| {});
    assert!(told * 100 > happened * 95, "{told} of {happened}");
}

/// From their beginning: one that is joined at the last of the requests that it sent ahead can't be told from one that waits.
#[test]
fn clients_that_send_ahead() {
    let (told, happened) = tried(false, |generated, random| sent_ahead(generated, 6, false, random));
    // Without a silence none of them is followed again.
    assert!(told * 2 > happened, "{told} of {happened}");
}

/// Those that wait for the responses to all that they sent together.
#[test]
fn clients_that_send_several_together() {
    let (told, happened) = tried(false, |generated, random| sent_ahead(generated, 6, true, random));
    assert!(told * 2 > happened, "{told} of {happened}");
}

fn request(path: &str) -> Step {
    Step::Data(Direction::ToServer, format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes())
}

fn response(code: u16) -> Step {
    let head = format!("HTTP/1.1 {code} Said\r\nContent-Length: 2\r\n\r\nhi");
    Step::Data(Direction::ToClient, head.into_bytes())
}

fn answered(lines: &[String]) -> Vec<(String, String)> {
    let told = lines.iter().filter(|l| matches!(head(l), ("exchange", "ok" | "error")));
    told.map(|l| (field(l, "url.path").unwrap(), field(l, "http.response.status_code").unwrap())).collect()
}

/// The second request of a new connection is lost: it may have been sent ahead, and what the server says next may answer it. After a second of silence
/// nothing is on its way any more.
#[test]
fn a_request_is_lost_before_the_client_is_known() {
    let lost = Step::Gap(Direction::ToServer, 33);
    let steps = [request("1"), lost, response(201), request("3"), response(202), response(203)];
    assert_eq!(answered(&play(false, &steps)), [("/1".to_owned(), "201".to_owned())]);
    let more = [Step::Wait(1_000_000_000), request("4"), response(204)];
    let lines = play(false, &[&steps[..], &more].concat());
    assert_eq!(answered(&lines)[1..], [("/4".to_owned(), "204".to_owned())]);
}

/// After four turns it is one that waits, and is followed again at its next request; after a loss before that, when sixteen were alone.
#[test]
fn clients_that_wait_are_followed_again() {
    for (turns, unknown) in [(5u16, 0), (0, 16)] {
        let turn = |n: u16| [request(&n.to_string()), response(200 + n)];
        let mut steps: Vec<Step> = (0..turns).flat_map(turn).collect();
        // A request is lost.
        steps.extend([Step::Gap(Direction::ToServer, 33), response(299)]);
        steps.extend((turns..turns + unknown + 3).flat_map(turn));
        let numbers: Vec<u16> = (0..turns).chain(turns + unknown..turns + unknown + 3).collect();
        let expected: Vec<_> = numbers.iter().map(|n| (format!("/{n}"), (200 + n).to_string())).collect();
        assert_eq!(answered(&play(false, &steps)), expected, "{turns} turns before");
    }
}

/// All requests were seen, and but one waited: whatever is lost of its response, the next one has its own.
#[test]
fn the_next_request_has_its_response_after_a_loss_of_the_server() {
    for lost in [1, 20, 43, 44] {
        let Step::Data(direction, bytes) = response(201) else { unreachable!() };
        let whole = bytes.len();
        for from in 0..=whole - lost.min(whole) {
            let (front, back) = (bytes[..from].to_vec(), bytes[(from + lost).min(whole)..].to_vec());
            let steps = [
                request("1"),
                Step::Data(direction, front),
                Step::Gap(direction, lost as u64),
                Step::Data(direction, back),
                request("2"),
                response(202),
            ];
            let told = answered(&play(false, &steps));
            assert_eq!(told, [("/2".to_owned(), "202".to_owned())], "{lost} bytes from {from}");
        }
    }
}

/// A gap that is just the rest of a body, with the next response right behind it.
#[test]
fn a_gap_ends_with_the_body() {
    let Step::Data(direction, mut bytes) = response(201) else { unreachable!() };
    bytes.truncate(bytes.len() - 2);
    let steps =
        [request("1"), request("2"), Step::Data(direction, bytes), Step::Gap(direction, 2), response(202)];
    let lines = play(false, &steps);
    assert_eq!(head(&lines[0]), ("exchange", "incomplete:gap"), "{lines:#?}");
    assert_eq!(answered(&lines), [("/2".to_owned(), "202".to_owned())]);
}

//! When things are said to have happened, and how long a login is waited for.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use sniff_x_flow::{Direction, End};
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::{Replay, Step};

/// A connection of whose server nothing was seen, and of whose client no whole packet.
fn unseen_greeting() -> Replay {
    let mut replay = Replay::new(Box::<Mysql>::default(), 3306, false);
    replay.step(&Step::Data(Direction::ToServer, vec![0xb9, 0xb9]));
    replay.step(&Step::Gap(Direction::ToClient, 77));
    replay
}

#[test]
fn a_login_of_nothing_is_not_from_1970() {
    let replay = unseen_greeting();
    let start = replay.now();
    let mut times = Vec::new();
    let lines = replay.finish_then(End::Fin, |host, _| {
        times.extend(host.arena.events().map(|event| event.head.timestamp));
    });
    assert!(lines.last().unwrap().starts_with("session incomplete:gap"), "{lines:?}");
    assert!(times.iter().all(|time| time.since(start) == 0 && start.since(*time) < 10_000), "{times:?}");
}

#[test]
fn a_login_of_nothing_is_waited_for() {
    let mut replay = unseen_greeting();
    replay.step(&Step::Wait(60_000_000_000));
    let lines = replay.finish(End::Fin);
    assert!(
        lines.last().unwrap().starts_with("session incomplete:gap"),
        "no time-out after a minute: {lines:?}"
    );
}

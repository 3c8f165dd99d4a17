//! HTTP by hand: requests and responses as bytes, and what is told of them.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

use sniff_x_flow::{Direction, End};
use sniff_x_proto::http::Http;
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Options, Plugin};

use crate::support::{field, head};

pub(crate) fn begin(options: &[(&str, &str)]) -> Replay {
    let mut given = Options::default();
    for (name, value) in options {
        given.push(*name, *value);
    }
    let mut plugin = Http::default();
    plugin.configure(&given).unwrap();
    Replay::new(Box::new(plugin), 80, false)
}

pub(crate) fn play_with(options: &[(&str, &str)], steps: &[Step]) -> Vec<String> {
    let mut replay = begin(options);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

pub(crate) fn play(steps: &[Step]) -> Vec<String> {
    play_with(&[], steps)
}

pub(crate) fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Data(Direction::ToServer, bytes.as_ref().to_vec())
}

pub(crate) fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Data(Direction::ToClient, bytes.as_ref().to_vec())
}

/// One field of each event.
pub(crate) fn each(lines: &[String], name: &str) -> Vec<Option<String>> {
    lines.iter().map(|line| field(line, name)).collect()
}

pub(crate) fn values(lines: &[String], name: &str) -> Vec<String> {
    each(lines, name).into_iter().map(Option::unwrap_or_default).collect()
}

pub(crate) fn heads(lines: &[String]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| head(line)).collect()
}

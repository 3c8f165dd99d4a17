//! Redis by hand: commands and replies as bytes, and what is told of them in short.

use sniff_x_flow::{Direction, End};
use sniff_x_proto::redis::Redis;
use sniff_x_proto::replay::{Replay, Step};

use super::array;
use crate::support::{field, head};

/// A command of words without spaces.
pub(crate) fn ask(command: &str) -> Step {
    let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
    sent(&array(&words))
}

pub(crate) fn sent(bytes: &[u8]) -> Step {
    Step::Data(Direction::ToServer, bytes.to_vec())
}

pub(crate) fn reply(bytes: impl AsRef<[u8]>) -> Step {
    Step::Data(Direction::ToClient, bytes.as_ref().to_vec())
}

pub(crate) fn lines(steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(Box::<Redis>::default(), 6379, false);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// Kind and status, the text of the command, and type, number of values and text of the reply.
pub(crate) fn told(steps: &[Step]) -> Vec<String> {
    lines(steps).iter().map(|line| brief(line)).collect()
}

pub(crate) fn brief(line: &str) -> String {
    let (kind, status) = head(line);
    let mut out = format!("{kind} {status}").trim_end().to_owned();
    let names = ["sniffx.session.state", "sniffx.notice", "db.query.text"];
    out.extend(names.iter().filter_map(|name| field(line, name)).map(|text| format!(" [{text}]")));
    let of_reply = [
        "sniffx.redis.reply.type",
        "sniffx.redis.reply.count",
        "db.response.status_code",
        "sniffx.redis.reply",
        "error.message",
    ];
    out.extend(of_reply.iter().filter_map(|name| field(line, name)).map(|text| format!(" {text}")));
    out
}

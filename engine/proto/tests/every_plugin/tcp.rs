//! Conversations of whatever comes over TCP.

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use crate::support::Random;

pub(crate) fn conversation(seed: u64) -> Vec<Step> {
    let mut random = Random(seed + 11);
    let mut say = |direction| {
        let len = 1 + random.below(200);
        Step::Data(direction, random.bytes(len))
    };
    (0..8).map(|n| say(if n % 2 == 0 { Direction::ToServer } else { Direction::ToClient })).collect()
}

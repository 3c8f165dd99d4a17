//! Conversations of Redis.

#[path = "../redis_support/mod.rs"]
mod redis_support;

use sniff_x_proto::replay::Step;

pub(crate) fn conversation(seed: u64) -> Vec<Step> {
    redis_support::Generator::new(seed).conversation(5).steps
}

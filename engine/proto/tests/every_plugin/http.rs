//! Conversations of HTTP.

#[path = "../http_support/mod.rs"]
mod http_support;

use sniff_x_proto::replay::Step;

pub(crate) fn conversation(seed: u64) -> Vec<Step> {
    http_support::Generator::conversation(seed, 5).steps
}

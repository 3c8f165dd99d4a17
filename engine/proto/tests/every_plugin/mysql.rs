//! Conversations of MySQL.

#[path = "../mysql_support/mod.rs"]
mod mysql_support;

use sniff_x_proto::replay::Step;

pub(crate) fn conversation(seed: u64) -> Vec<Step> {
    mysql_support::generate::Generator::new(seed).conversation(5).steps
}

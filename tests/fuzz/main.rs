//! Fuzzing without nightly: every target is a plain function over bytes, run on mutated inputs until its time is over.
//!
//! `cargo test` runs each target for a second, `cargo xtask fuzz [TARGET] [--seconds N] [--seed S] [--input FILE]` for as long as is wanted.
//! A target panics when something is wrong; the input is made smaller and printed with what repeats it. The same seed gives the same inputs
//! in the same order. A target is a file in `targets/`; those of protocols come
//! from the registry, the others have a line in [`OTHERS`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a test that is a program: it fails loudly, prints its report, and stops by the clock"
)]

mod harness {
    pub(crate) mod arguments;
    pub(crate) mod corpus;
    pub(crate) mod input;
    pub(crate) mod memory;
    pub(crate) mod mutate;
    pub(crate) mod random;
    pub(crate) mod report;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod trial;
}
mod targets {
    pub(crate) mod assembler;
    pub(crate) mod auto;
    pub(crate) mod conversation;
    pub(crate) mod defragment;
    pub(crate) mod file;
    pub(crate) mod filter;
    pub(crate) mod json;
    pub(crate) mod packet;

    /// Every protocol has a target: a file with its name.
    macro_rules! of_protocols {
        ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
            $(pub(crate) mod $module;)+
        };
    }
    sniff_x_proto::protocols!(of_protocols);
}
mod seeds;
/// What the generators of conversations share.
#[path = "../../engine/proto/tests/support/mod.rs"]
mod support;

use harness::signal::Signal;
use seeds::Seeds;
use targets::{assembler, auto, defragment, file, filter, json, mysql, packet};

/// What is fuzzed, and with what.
struct Target {
    name: &'static str,
    /// Panics when something is wrong with what the input leads to.
    run: fn(&[u8], &mut Signal),
    /// Inputs to begin with, in the target's own format.
    seeds: fn(&Seeds) -> Vec<Vec<u8>>,
    /// What mutations put in now and then.
    words: &'static [&'static [u8]],
    /// The most bytes that one run may have allocated at once, the target's own records included.
    memory: usize,
}

const MIB: usize = 1 << 20;

macro_rules! protocol_targets {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        const PROTOCOLS: &[Target] = &[$(Target {
            name: stringify!($module),
            run: targets::$module::run,
            seeds: targets::$module::seeds,
            words: targets::$module::WORDS,
            memory: 16 * MIB,
        }),+];
    };
}
sniff_x_proto::protocols!(protocol_targets);

const OTHERS: &[Target] = &[
    Target { name: "packet", run: packet::run, seeds: packet::seeds, words: packet::WORDS, memory: MIB },
    Target { name: "assembler", run: assembler::run, seeds: assembler::seeds, words: &[], memory: 16 * MIB },
    Target {
        name: "defragment",
        run: defragment::run,
        seeds: defragment::seeds,
        words: &[],
        memory: 16 * MIB,
    },
    Target { name: "auto", run: auto::run, seeds: auto::seeds, words: auto::WORDS, memory: 16 * MIB },
    Target {
        name: "mysql-packets",
        run: mysql::packets,
        seeds: mysql::packet_seeds,
        words: mysql::WORDS,
        memory: 16 * MIB,
    },
    // A record may have 16 MiB, and the buffer that holds it is made beside the one that it began in.
    Target { name: "pcap", run: file::run, seeds: file::pcap, words: file::PCAP_WORDS, memory: 40 * MIB },
    Target {
        name: "pcapng",
        run: file::run,
        seeds: file::pcapng,
        words: file::PCAPNG_WORDS,
        memory: 40 * MIB,
    },
    Target { name: "filter", run: filter::run, seeds: filter::seeds, words: filter::WORDS, memory: 16 * MIB },
    Target { name: "json", run: json::run, seeds: json::seeds, words: json::WORDS, memory: 16 * MIB },
];

/// All targets.
fn targets() -> impl Iterator<Item = &'static Target> {
    PROTOCOLS.iter().chain(OTHERS)
}

fn main() {
    let done = match harness::arguments::read() {
        Ok(arguments) => harness::run::all(&arguments),
        Err(message) => {
            println!("{message}");
            std::process::exit(2);
        }
    };
    if !done {
        std::process::exit(1);
    }
}

//! Fuzzing without nightly: every target is a plain function over bytes, run on mutated inputs until its time is over.
//!
//! `cargo test` runs each target for a second, `cargo xtask fuzz [TARGET] [--seconds N] [--seed S] [--input FILE]` for as long as is wanted.
//! A target panics when something is wrong; the input is made smaller and printed with what repeats it. The same seed gives the same inputs
//! in the same order. A target is a file in `targets/` and a line in [`TARGETS`].
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
    pub(crate) mod conversation;
    pub(crate) mod defragment;
    pub(crate) mod file;
    pub(crate) mod filter;
    pub(crate) mod json;
    pub(crate) mod mysql;
    pub(crate) mod packet;
    pub(crate) mod tcp;
}
mod seeds;

use harness::signal::Signal;
use seeds::Seeds;
use targets::{assembler, defragment, file, filter, json, mysql, packet, tcp};

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

const TARGETS: &[Target] = &[
    Target { name: "packet", run: packet::run, seeds: packet::seeds, words: packet::WORDS, memory: MIB },
    Target { name: "assembler", run: assembler::run, seeds: assembler::seeds, words: &[], memory: 16 * MIB },
    Target {
        name: "defragment",
        run: defragment::run,
        seeds: defragment::seeds,
        words: &[],
        memory: 16 * MIB,
    },
    Target { name: "mysql", run: mysql::run, seeds: mysql::seeds, words: mysql::WORDS, memory: 16 * MIB },
    Target {
        name: "mysql-packets",
        run: mysql::packets,
        seeds: mysql::packet_seeds,
        words: mysql::WORDS,
        memory: 16 * MIB,
    },
    Target { name: "tcp", run: tcp::run, seeds: tcp::seeds, words: &[], memory: 16 * MIB },
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

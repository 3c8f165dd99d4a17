//! `cargo xtask soak`: the assembler's generated tests for as long as one likes: the byte map, shuffled conversations, arbitrary operations.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;

/// Cases of each test in a round.
const ROUND: u64 = 50_000;

/// How long, or how much.
#[derive(Args, Clone, Debug)]
pub(crate) struct Soak {
    /// So long, in rounds of 50,000 cases of each test
    #[arg(long, default_value_t = 10, conflicts_with = "cases")]
    minutes: u64,
    /// So many cases of each test
    #[arg(long)]
    cases: Option<u64>,
}

impl Soak {
    #[expect(
        clippy::print_stdout,
        clippy::disallowed_methods,
        reason = "the report; minutes of the user, not of packets"
    )]
    pub(crate) fn run(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_mins(self.minutes);
        let (mut done, mut round) = (0, 0u64);
        loop {
            let cases = self.cases.map_or(ROUND, |cases| (cases - done).min(ROUND));
            if cases == 0 || (self.cases.is_none() && Instant::now() >= end) {
                println!("{done} cases of each test, no difference");
                return Ok(());
            }
            // Arbitrary operations are many in a case.
            for (tests, cases) in [("oracle shuffle", cases), ("fuzz", cases.div_ceil(20))] {
                let status = Command::new("cargo")
                    .args(["test", "--quiet", "--package", "sniff-x-flow", "--lib", "--"])
                    .args(tests.split(' ').map(|test| format!("assembler::tests::{test}")))
                    .env("PROPTEST_CASES", cases.to_string())
                    .env("SNIFFX_SEED", (round + u64::from(std::process::id())).to_string())
                    .status()?;
                ensure!(status.success(), "round {round}, {cases} cases, process {}", std::process::id());
            }
            done += cases;
            round += 1;
        }
    }
}

//! `cargo xtask soak`: the generated tests of reassembly for as long as one likes: segments against the byte map, shuffled conversations,
//! arbitrary operations, fragments against their models.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::Args;

use crate::output::say;

/// Cases of a round.
const ROUND: u64 = 20_000;

/// Tests that a round runs.
struct Group {
    names: &'static [&'static str],
    /// One of so many cases: those of some take longer.
    share: u64,
    /// How many tests the names stand for.
    tests: u64,
}

const GROUPS: [Group; 3] = [
    Group { names: &["assembler::tests::oracle", "assembler::tests::shuffle"], share: 1, tests: 3 },
    Group { names: &["packet::defragment::tests::oracle"], share: 10, tests: 3 },
    Group { names: &["assembler::tests::fuzz"], share: 20, tests: 1 },
];

/// How long, or how much.
#[derive(Args, Clone, Debug)]
pub(crate) struct Soak {
    /// So long, in rounds of 20,000 cases
    #[arg(long, default_value_t = 10, conflicts_with = "cases")]
    minutes: u64,
    /// So many cases of each test of the assembler's bytes; of those that take longer fewer
    #[arg(long)]
    cases: Option<u64>,
    /// Where the random numbers begin; without it other ones each time
    #[arg(long)]
    seed: Option<u64>,
}

impl Soak {
    #[expect(clippy::disallowed_methods, reason = "minutes of the user, not of packets")]
    pub(crate) fn run(&self) -> Result<()> {
        let (start, most) = (Instant::now(), Duration::from_mins(self.minutes));
        let any = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() << 20);
        let seed = self.seed.unwrap_or_else(any);
        let (mut cases, mut schedules) = (0, 0);
        for round in 0.. {
            let now = self.cases.map_or(ROUND, |all| (all - cases).min(ROUND));
            if now == 0 || (self.cases.is_none() && start.elapsed() >= most) {
                break;
            }
            for group in &GROUPS {
                let share = now.div_ceil(group.share);
                let passed = group.run(share, seed.wrapping_add(round))?;
                ensure!(passed, "{}", group.repeat(share, seed.wrapping_add(round)));
                schedules += share * group.tests;
            }
            cases += now;
            let seconds = start.elapsed().as_secs();
            say(format_args!("{cases} cases, {schedules} schedules in {seconds} s, seed {seed}"))?;
        }
        say(format_args!("no difference in {schedules} schedules"))
    }
}

impl Group {
    const CARGO: [&str; 7] = ["test", "--quiet", "--profile", "soak", "--package", "sniff-x-flow", "--lib"];

    fn variables(cases: u64, seed: u64) -> [(&'static str, String); 2] {
        [("PROPTEST_CASES", cases.to_string()), ("PROPTEST_RNG_SEED", seed.to_string())]
    }

    /// Runs the tests; whether they passed. What they print is shown when they did not.
    fn run(&self, cases: u64, seed: u64) -> Result<bool> {
        let mut command = Command::new("cargo");
        command.args(Self::CARGO).arg("--").args(self.names).envs(Self::variables(cases, seed));
        let output = command.output()?;
        if !output.status.success() {
            std::io::Write::write_all(&mut std::io::stdout(), &[output.stdout, output.stderr].concat())?;
        }
        Ok(output.status.success())
    }

    /// How to run them again.
    fn repeat(&self, cases: u64, seed: u64) -> String {
        let variables = Self::variables(cases, seed).map(|(name, value)| format!("{name}={value}")).join(" ");
        format!("again: {variables} cargo {} -- {}", Self::CARGO.join(" "), self.names.join(" "))
    }
}

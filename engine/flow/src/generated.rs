//! How much generated tests try: what a test run has time for, or what a long run (`cargo xtask soak`) says in the variables that proptest
//! reads, too.

use proptest::prelude::ProptestConfig;

fn variable<T: core::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many times a test runs: `usual`, or what `PROPTEST_CASES` says.
pub(crate) fn times(usual: u32) -> u32 {
    variable("PROPTEST_CASES").unwrap_or(usual)
}

/// Where tests with random numbers of their own begin: `PROPTEST_RNG_SEED`, or always the same.
pub(crate) fn seed() -> u64 {
    variable("PROPTEST_RNG_SEED").unwrap_or(0)
}

/// For proptest: nothing is written beside the sources.
pub(crate) fn config(usual: u32) -> ProptestConfig {
    ProptestConfig { cases: times(usual), failure_persistence: None, ..ProptestConfig::default() }
}

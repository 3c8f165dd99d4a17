//! Developer tasks: `cargo xtask TASK`.

mod bench;
mod generate;

use anyhow::Result;
use clap::Parser;

/// Developer tasks of sniff-x
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Measure what each stage of the data path costs on a capture
    Bench(bench::Bench),
    /// Write a MySQL capture of any size
    Generate(generate::Generate),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Bench(bench) => bench.run(),
        Task::Generate(generate) => generate.run(),
    }
}

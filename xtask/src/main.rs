//! Developer tasks: `cargo xtask TASK`, one module each.

mod assembly;
mod bench;
mod build_ebpf;
mod fmt;
mod fuzz;
mod generate;
mod new_plugin;
mod output;
mod prefilter;
mod soak;

use anyhow::Result;
use clap::Parser;

/// Developer tasks of sniff-x
#[derive(Parser)]
enum Task {
    /// Measure what each stage of the data path costs on a capture
    Bench(Box<bench::Bench>),
    /// Build the eBPF programs into ebpf/prebuilt/
    BuildEbpf(build_ebpf::BuildEbpf),
    /// Format all code, that of the protocols too
    Fmt(fmt::Fmt),
    /// Run the fuzz targets
    Fuzz(fuzz::Fuzz),
    /// Write a MySQL capture of any size
    Generate(generate::Generate),
    /// Begin a new protocol
    NewPlugin(new_plugin::NewPlugin),
    /// Run the assembler's generated tests for long
    Soak(soak::Soak),
}

fn main() -> Result<()> {
    let done = match Task::parse() {
        Task::Bench(bench) => bench.run(),
        Task::BuildEbpf(build) => build.run(),
        Task::Fmt(fmt) => fmt.run(),
        Task::Fuzz(fuzz) => fuzz.run(),
        Task::Generate(generate) => generate.run(),
        Task::NewPlugin(new_plugin) => new_plugin.run(),
        Task::Soak(soak) => soak.run(),
    };
    match done {
        Err(error) if error.is::<output::Closed>() => Ok(()),
        done => done,
    }
}

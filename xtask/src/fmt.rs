//! `cargo xtask fmt`: `cargo fmt`, and what it does not find: the eBPF program, a workspace of its own, and the protocols' folders, whose modules stand in the
//! registry's macro.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

macro_rules! folders {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        /// Modules in macros, and beside which file.
        const MODULES: &[(&str, &str)] = &[$(
            ("engine/proto/src", concat!(stringify!($module), "/mod.rs")),
            ("engine/proto/tests/every_plugin", concat!(stringify!($module), ".rs")),
            ("tests/fuzz/targets", concat!(stringify!($module), ".rs")),
        )+];
    };
}
sniff_x_proto::protocols!(folders);

/// How to format.
#[derive(Args, Clone, Debug)]
pub(crate) struct Fmt {
    /// Only say what would change
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(crate) fn run(&self) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
        let run = |command: &mut Command| {
            let command = command.current_dir(root).args(self.check.then_some("--check"));
            ensure!(command.status()?.success(), "not formatted, or it could not be done");
            Ok(())
        };
        run(Command::new("cargo").args(["fmt", "--all"]))?;
        run(Command::new("cargo").args(["fmt", "--manifest-path", "ebpf/Cargo.toml"]))?;
        let files = MODULES.iter().map(|(folder, file)| root.join(folder).join(file));
        run(Command::new("rustfmt").args(["--edition", "2024"]).args(files))
    }
}

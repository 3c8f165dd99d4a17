//! `cargo xtask build-ebpf`: `ebpf/` → `ebpf/prebuilt/`.
//!
//! The object is committed, so that a plain build needs stable Rust only. It is made the same, byte for byte, wherever the repository lies,
//! by the toolchain that `ebpf/prebuilt/TOOLCHAIN` names; `--check` proves that.

mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sniff_x_capture::CaptureError;
use sniff_x_capture::prefilter::{Link, Prefilter};

use self::toolchain::{Route, Toolchain};
use crate::output::say;

/// How to build.
#[derive(Args, Clone, Debug)]
pub(crate) struct BuildEbpf {
    /// Write nothing: build apart, and compare with what is committed if the toolchain is the one that made it, else load it
    #[arg(long)]
    check: bool,
    /// Which compiler to use; without it the one that TOOLCHAIN names if it is here, else the first that is
    #[arg(long)]
    toolchain: Option<Route>,
}

const TARGET: &str = "bpfel-unknown-none";
/// The object's name where cargo puts it.
const PROGRAM: &str = "sniff-x";

impl BuildEbpf {
    pub(crate) fn run(&self) -> Result<()> {
        let sources =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../ebpf").canonicalize().context("ebpf/")?;
        let prebuilt = Prebuilt::of(&sources);
        let recorded = fs::read_to_string(&prebuilt.toolchain).unwrap_or_default();
        let toolchain = Toolchain::find(self.toolchain, &recorded, &sources)?;
        let object = build(&sources, &toolchain)?;
        if !self.check {
            prebuilt.write(&object, &toolchain)?;
            let file = prebuilt.object.display();
            return say(format!("{file} ({} bytes), built by\n{toolchain}", object.len()));
        }
        if toolchain.to_string() == recorded {
            ensure!(
                fs::read(&prebuilt.object).context("the committed object")? == object,
                "{} is not what its sources make: run `cargo xtask build-ebpf` and commit the result",
                prebuilt.object.display()
            );
            return say(format!("{} is what its sources make", prebuilt.object.display()));
        }
        say(format!("not compared byte for byte: this toolchain is\n{toolchain}TOOLCHAIN says\n{recorded}"))?;
        load(&object)
    }
}

/// The committed files.
struct Prebuilt {
    object: PathBuf,
    toolchain: PathBuf,
}

impl Prebuilt {
    fn of(sources: &Path) -> Self {
        let folder = sources.join("prebuilt");
        Self { object: folder.join("sniff-x.bpf.o"), toolchain: folder.join("TOOLCHAIN") }
    }

    fn write(&self, object: &[u8], toolchain: &Toolchain) -> Result<()> {
        fs::write(&self.object, object).with_context(|| self.object.display().to_string())?;
        fs::write(&self.toolchain, toolchain.to_string())
            .with_context(|| self.toolchain.display().to_string())
    }
}

/// Builds in a folder of its own, from nothing.
fn build(sources: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("a folder to build in")?;
    let registry = env::var_os("CARGO_HOME").map_or_else(|| PathBuf::from("/cargo"), PathBuf::from);
    let flags = [
        // Kernel 5.1; CAP_BPF came with 5.8.
        "-Ctarget-cpu=v3".to_owned(),
        // A call of memset or memcpy does not load without CAP_PERFMON: better that it fails here.
        "-Clink-arg=--disable-memory-builtins".to_owned(),
        format!("--remap-path-prefix={}=ebpf", sources.display()),
        format!("--remap-path-prefix={}=cargo", registry.display()),
    ];
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(folder.path())
        .args(toolchain.arguments())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .current_dir(sources);
    let status = cargo.status().with_context(|| format!("{cargo:?}"))?;
    ensure!(status.success(), "{cargo:?}: {status}");
    let object = folder.path().join(TARGET).join("release").join(PROGRAM);
    fs::read(&object).with_context(|| object.display().to_string())
}

/// Whether the kernel takes the object's programs.
fn load(object: &[u8]) -> Result<()> {
    for link in [Link::Ethernet, Link::RawIp, Link::Any] {
        match Prefilter::load_object(object, link) {
            Ok(_) => {}
            Err(error @ CaptureError::Permission { .. })
                if env::var("SNIFFX_REQUIRE").as_deref() != Ok("all") =>
            {
                return say(format!("skipped: loading it: {error}"));
            }
            Err(error) => return Err(error).context("this toolchain's object does not load"),
        }
    }
    say("this toolchain's object loads")
}

/// Runs a command for what it prints; None if it is not there or fails.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

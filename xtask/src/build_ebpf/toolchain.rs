//! Which compiler and linker there are, and what to say when one is missing.

use core::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{TARGET, output_of};

/// Where the compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Route {
    /// rustup's nightly, which compiles `core` from the component rust-src
    Nightly,
    /// Debian's compiler with Debian's compiled `core`
    Debian,
}

impl Route {
    const fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Debian => "debian",
        }
    }

    /// The compiler, if it is here with its `core`.
    fn rustc(self) -> Option<Command> {
        let rustc = || match self {
            Self::Nightly => {
                let mut rustc = Command::new("rustup");
                rustc.args(["run", "nightly", "rustc"]);
                rustc
            }
            Self::Debian => Command::new(DEBIAN_RUSTC),
        };
        let printed =
            |arguments: &[&str]| output_of(rustc().args(arguments)).map(|text| PathBuf::from(text.trim()));
        let here = match self {
            Self::Nightly => printed(&["--print", "sysroot"])?
                .join("lib/rustlib/src/rust/library/core/Cargo.toml")
                .is_file(),
            Self::Debian => fs::read_dir(printed(&["--print", "target-libdir", "--target", TARGET])?)
                .ok()?
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")),
        };
        here.then(rustc)
    }
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

const INSTALL_COMPILER: &str = "no Rust compiler for eBPF. Either of these installs one:
  apt-get install rustc-web libstd-rust-web-dev-bpf llvm-22-dev
  rustup toolchain install nightly --component rust-src";

const INSTALL_LINKER: &str = "no bpf-linker. It needs LLVM 22 (apt-get install llvm-22-dev); this installs it:
  LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22,llvm-link-static";

/// A compiler and a linker, with all versions that the object depends on. Displayed as the file TOOLCHAIN.
#[derive(Clone, Debug)]
pub(super) struct Toolchain {
    route: Route,
    rustc: String,
    llvm: String,
    linker: String,
    aya: String,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "route: {}", self.route.name())?;
        writeln!(f, "rustc: {}", self.rustc)?;
        writeln!(f, "LLVM of rustc: {}", self.llvm)?;
        writeln!(f, "bpf-linker: {}", self.linker)?;
        writeln!(f, "aya-ebpf: {}", self.aya)
    }
}

impl Toolchain {
    /// The toolchain of the route that is asked for; else of that in `recorded` (what TOOLCHAIN says) if it is here; else the first that is.
    pub(super) fn find(asked: Option<Route>, recorded: &str, sources: &Path) -> Result<Self> {
        let linker = linker()?;
        let aya = locked_version(sources, "aya-ebpf")?;
        let routes = match asked {
            Some(route) => vec![route],
            None => {
                let mut routes = Route::value_variants().to_vec();
                let first =
                    |route: &Route| recorded.lines().next() != Some(&format!("route: {}", route.name()));
                routes.sort_by_key(first);
                routes
            }
        };
        for route in routes {
            let Some(mut rustc) = route.rustc() else { continue };
            let version = output_of(rustc.arg("-vV")).context("rustc -vV")?;
            let line = |start: &str| {
                version.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default().to_owned()
            };
            return Ok(Self { route, rustc: line("rustc "), llvm: line("LLVM version: "), linker, aya });
        }
        bail!(INSTALL_COMPILER)
    }

    /// The cargo that runs this compiler.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = match self.route {
            Route::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo"]);
                cargo
            }
            Route::Debian => {
                let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        };
        // What a surrounding cargo or rustup left for its own compiler, and settings that would change the object.
        for name in [
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_TARGET",
            "CARGO_INCREMENTAL",
        ] {
            cargo.env_remove(name);
        }
        if self.route == Route::Nightly {
            cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC").env_remove("CARGO");
        }
        cargo
    }

    /// Cargo's further arguments.
    pub(super) const fn arguments(&self) -> &'static [&'static str] {
        match self.route {
            Route::Nightly => &["-Zbuild-std=core"],
            Route::Debian => &[],
        }
    }
}

/// bpf-linker's version and that of the LLVM in it.
fn linker() -> Result<String> {
    let version = output_of(Command::new("bpf-linker").arg("--version")).context(INSTALL_LINKER)?;
    let version = version.trim().trim_start_matches("bpf-linker ");
    // It does not say which LLVM it has; the strings of a static one do.
    let program = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("bpf-linker"))
        .find(|path| path.is_file())
        .and_then(|path| fs::read(path).ok())
        .unwrap_or_default();
    let llvm = llvm_version(&program).unwrap_or_else(|| "unknown".to_owned());
    Ok(format!("{version} (LLVM {llvm})"))
}

/// The version behind the first `LLVM` that one follows.
fn llvm_version(program: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"LLVM";
    program.windows(NAME.len() + 12).find_map(|window| {
        let behind = window.strip_prefix(NAME)?;
        let len = behind.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        let version = core::str::from_utf8(behind.get(..len)?).ok()?;
        (version.split('.').filter(|part| !part.is_empty()).count() == 3).then(|| version.to_owned())
    })
}

/// A package's version in `ebpf/Cargo.lock`.
fn locked_version(sources: &Path, package: &str) -> Result<String> {
    let path = sources.join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    lock.split("[[package]]")
        .find(|entry| entry.contains(&format!("name = \"{package}\"\n")))
        .and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")))
        .map(|version| version.trim_matches('"').to_owned())
        .with_context(|| format!("no {package} in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::llvm_version;

    #[test]
    fn the_version_of_llvm_is_found_in_the_linker() {
        assert_eq!(llvm_version(b"..LLVM\0..LLVM22.1.8\0............").as_deref(), Some("22.1.8"));
        assert_eq!(llvm_version(b"LLVM version, LLVM22\0, LLVM.....\0........"), None);
    }
}

//! `cargo xtask new-plugin NAME`: a folder for a new protocol with a small one in it that works, its tests, its fuzz target, its line in the registry.
//!
//! `--check` does so in a copy of the tree and runs what was made there: CI's proof that the template is no worse than the code around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::output::say;

/// Where the registry's lines are, and what stands behind the last one.
const REGISTRY: &str = "engine/proto/src/registry.rs";
const LAST: &str = "            tcp: Tcp, TcpDecoder;\n";

/// The files of a plugin: where they go, what is in them.
const FILES: &[(&str, &str)] = &[
    ("engine/proto/src/@NAME@/mod.rs", include_str!("template/mod.rs.txt")),
    ("engine/proto/src/@NAME@/parser.rs", include_str!("template/parser.rs.txt")),
    ("engine/proto/src/@NAME@/decoder.rs", include_str!("template/decoder.rs.txt")),
    ("engine/proto/tests/@NAME@_support/mod.rs", include_str!("template/generator.rs.txt")),
    ("engine/proto/tests/@NAME@_conversations.rs", include_str!("template/conversations.rs.txt")),
    ("engine/proto/tests/every_plugin/@NAME@.rs", include_str!("template/every_plugin.rs.txt")),
    ("tests/fuzz/targets/@NAME@.rs", include_str!("template/fuzz.rs.txt")),
];

/// What to make.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewPlugin {
    /// The plugin's name: small letters and digits
    #[arg(required_unless_present = "check")]
    name: Option<String>,
    /// The port of its servers
    #[arg(long, default_value_t = 7777)]
    port: u16,
    /// Make one in a copy of the tree, and run its tests there
    #[arg(long, conflicts_with = "name")]
    check: bool,
}

impl NewPlugin {
    pub(crate) fn run(&self) -> Result<()> {
        let root = root()?;
        match &self.name {
            Some(name) => {
                let written = make(&root, name, self.port)?;
                written.iter().try_for_each(say)?;
                say(format!("\nTry: cargo test -p sniff-x-proto {name}\n     cargo xtask fuzz {name}"))
            }
            None => check(&root),
        }
    }
}

fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    Ok(root.to_owned())
}

/// Writes the plugin's files and its line; gives their names.
fn make(root: &Path, name: &str, port: u16) -> Result<Vec<String>> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ensure!(
        letters && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 24,
        "'{name}' is no name for a plugin: small letters and digits, at most 24, the first a letter"
    );
    ensure!(!["all", "auto"].contains(&name), "'{name}' is the word for several plugins");
    let registry = root.join(REGISTRY);
    let lines = fs::read_to_string(&registry).with_context(|| registry.display().to_string())?;
    let own = format!("            {name}: ");
    ensure!(!lines.contains(&own), "{REGISTRY} has a plugin '{name}' already");
    let kind: String =
        name.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(name.chars().skip(1)).collect();
    let fill = |text: &str| {
        text.replace("@NAME@", name).replace("@TYPE@", &kind).replace("@PORT@", &port.to_string())
    };
    let mut written = Vec::new();
    for (place, _) in FILES {
        let path = root.join(fill(place));
        ensure!(!path.exists(), "{} is there already", path.display());
    }
    for (place, text) in FILES {
        let (place, path) = (fill(place), root.join(fill(place)));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&path, fill(text)).with_context(|| path.display().to_string())?;
        written.push(place);
    }
    // Names differ in length: lines break elsewhere.
    let status = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .args(written.iter().map(|file| root.join(file)))
        .current_dir(root)
        .status();
    ensure!(status.context("rustfmt")?.success(), "rustfmt failed");
    // Before the one that takes any stream.
    let Some((before, behind)) = lines.split_once(LAST) else { bail!("{REGISTRY}: no line of tcp") };
    let lines = format!("{before}{own}{kind}, {kind}Decoder;\n{LAST}{behind}");
    fs::write(&registry, lines).with_context(|| registry.display().to_string())?;
    written.push(REGISTRY.to_owned());
    Ok(written)
}

/// Makes a plugin in a copy of the tree, and runs its tests, lints and fuzz target.
fn check(root: &Path) -> Result<()> {
    const NAME: &str = "example";
    let copy = root.join("target/tmp/new-plugin");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| copy.display().to_string())?;
    }
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    ensure!(listed.status.success(), "git ls-files failed");
    for file in String::from_utf8(listed.stdout)?.lines() {
        let (from, to) = (root.join(file), copy.join(file));
        if !from.is_file() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&from, &to).with_context(|| file.to_owned())?;
    }
    make(&copy, NAME, 7777)?;
    ensure!(make(&copy, NAME, 7777).is_err(), "a second plugin of the same name was made");
    let conversations = format!("{NAME}_conversations");
    let steps: [&[&str]; 4] = [
        &["test", "-p", "sniff-x-proto", "--lib", NAME],
        &["test", "-p", "sniff-x-proto", "--test", "every_plugin", "--test", &conversations],
        &["test", "-p", "sniff-x-tests", "--test", "fuzz", "--", "--target", NAME, "--seconds", "5"],
        &["clippy", "-p", "sniff-x-proto", "--all-targets", "--", "-D", "warnings"],
    ];
    for step in steps {
        let (command, rest) = step.split_first().context("a command")?;
        let status = Command::new("cargo")
            .arg(command)
            .args(["--locked", "--quiet"])
            .args(rest)
            // Not the tree's own: cargo takes the packages of both for the same, and their files for unchanged.
            .env("CARGO_TARGET_DIR", root.join("target/new-plugin"))
            .current_dir(&copy)
            .status();
        ensure!(status.context("cargo")?.success(), "cargo {}: failed in {}", step.join(" "), copy.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        let root = root().unwrap();
        for name in ["", "My", "a-b", "1a", "all", "auto", "mysql", "averyveryverylongnameofaplugin"] {
            assert!(make(&root, name, 1).is_err(), "{name}");
        }
    }

    #[test]
    fn the_registry_has_the_line_that_new_ones_stand_before() {
        assert!(fs::read_to_string(root().unwrap().join(REGISTRY)).unwrap().contains(LAST));
    }
}

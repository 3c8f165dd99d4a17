//! What is shown instead of running: `--list`, `--env`, `--ver`, `--dev`, `--man`, `--completions`.

use std::fs;
use std::io::{self, Write};

use anyhow::Context;
use clap::ArgMatches;
use clap_complete::Shell;
use sniff_x_flow::LinkType;
use sniff_x_proto::About;
use sniff_x_proto::event::SCHEMA_VERSION;

use crate::catalog::{ALL, AUTO, Catalog, NOT_IN_ALL, abouts, builtin};
use crate::failure::Failure;
use crate::options::with_all_plugins;

/// Shows what the arguments ask for; false when they ask for a run.
pub(crate) fn show(matches: &ArgMatches, catalog: &mut Catalog) -> Result<bool, Failure> {
    let mut text = Vec::new();
    if matches.get_flag("ver") {
        version(&mut text)?;
    } else if matches.get_flag("list") {
        list(catalog, &mut text)?;
    } else if matches.get_flag("env") {
        environment(catalog, &mut text)?;
    } else if matches.get_flag("dev") {
        devices(&mut text)?;
    } else if matches.get_flag("man") {
        let plugins = builtin();
        clap_mangen::Man::new(with_all_plugins(&abouts(&plugins))).render(&mut text)?;
    } else if let Some(shell) = matches.get_one::<Shell>("completions") {
        let plugins = builtin();
        let mut command = with_all_plugins(&abouts(&plugins));
        clap_complete::generate(*shell, &mut command, "sniff-x", &mut text);
    } else {
        return Ok(false);
    }
    io::stdout().write_all(&text)?;
    io::stdout().flush()?;
    Ok(true)
}

fn version(text: &mut Vec<u8>) -> io::Result<()> {
    let features = if cfg!(feature = "libpcap") { "libpcap" } else { "none" };
    let toolchain = match env!("SNIFF_X_EBPF_TOOLCHAIN") {
        "" => "not in this build",
        toolchain => toolchain,
    };
    writeln!(text, "sniff-x {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(text, "event schema    {SCHEMA_VERSION}")?;
    writeln!(text, "features        {features}")?;
    writeln!(text, "eBPF toolchain  {toolchain}")
}

fn list(catalog: &mut Catalog, text: &mut Vec<u8>) -> io::Result<()> {
    let builtin = builtin();
    let external = catalog.external();
    let mut rows: Vec<(&About, String)> =
        builtin.iter().map(|p| (p.about(), "built in".to_owned())).collect();
    rows.extend(external.iter().map(|e| (e.plugin.about(), e.library.display().to_string())));
    let width =
        |column: fn(&About) -> &str| rows.iter().map(|(about, _)| column(about).len()).max().unwrap_or(0);
    let (name, version, summary) = (width(|a| a.name), width(|a| a.version), width(|a| a.summary));
    for (about, origin) in &rows {
        writeln!(
            text,
            "{:<name$}  {:<version$}  {:<summary$}  {origin}",
            about.name, about.version, about.summary
        )?;
    }
    writeln!(text, "\nIn place of a name:")?;
    writeln!(text, "{ALL:<name$}  every protocol on its ports, but {NOT_IN_ALL}")?;
    writeln!(
        text,
        "{AUTO:<name$}  every protocol on any port, by the first bytes of a connection, but {NOT_IN_ALL}"
    )
}

fn environment(catalog: &Catalog, text: &mut Vec<u8>) -> io::Result<()> {
    writeln!(text, "External plugins are looked for in:")?;
    for folder in catalog.path().folders() {
        let state = match fs::metadata(&folder.path) {
            Ok(meta) if meta.is_dir() => "exists",
            Ok(_) => "is not a folder",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist",
            Err(_) => "can't be read",
        };
        writeln!(text, "  {}  ({}, {state})", folder.path.display(), folder.origin.as_str())?;
    }
    Ok(())
}

fn devices(text: &mut Vec<u8>) -> Result<(), Failure> {
    let devices = sniff_x_capture::devices().context("listing devices")?;
    let name_width = devices.iter().map(|device| device.name.len()).max().unwrap_or(0);
    for device in devices {
        let states = [(device.up, "up"), (device.running, "running"), (device.loopback, "loopback")];
        let states: Vec<_> = states.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        let link = device.link_type.map_or("unknown", link_name);
        let addresses: Vec<_> = device.addresses.iter().map(ToString::to_string).collect();
        writeln!(
            text,
            "{:>4}  {:<name_width$}  {:<20}  {link:<12}  {}",
            device.index,
            device.name,
            states.join(","),
            addresses.join(" ")
        )?;
    }
    Ok(())
}

const fn link_name(link_type: LinkType) -> &'static str {
    match link_type {
        LinkType::ETHERNET => "ethernet",
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => "ip",
        LinkType::NULL | LinkType::LOOP => "loopback",
        LinkType::LINUX_SLL | LinkType::LINUX_SLL2 => "cooked",
        _ => "other",
    }
}

/// The names of the interfaces; empty where the system does not say.
pub(crate) fn interfaces() -> Vec<String> {
    sniff_x_capture::devices().unwrap_or_default().into_iter().map(|device| device.name).collect()
}

//! `--dump-filter`: what the rules and the filter are made into, instead of running.

use std::io::{self, Write};

use clap::ArgMatches;
use sniff_x_engine::Chosen;
use sniff_x_engine::config::rules;
use sniff_x_filter::{ClassicListing, EbpfOptions, Link, Listing, Outline, RuleSet};
use sniff_x_flow::LinkType;

use crate::config;
use crate::failure::Failure;

/// Stands for the map of large sets of ports: there is none as long as nothing is loaded.
const SETS: i32 = 0;

/// Shows what `--dump-filter` asks for; false when it isn't there.
pub(crate) fn show(matches: &ArgMatches, plugins: &mut [Chosen]) -> Result<bool, Failure> {
    let Some(form) = matches.get_one::<String>("dump-filter") else { return Ok(false) };
    config::configure(matches, None, plugins)?;
    let asked = rules(plugins);
    let rules = RuleSet {
        filter: config::filter(matches)?,
        rules: asked.iter().map(|(name, text)| rule(name, text)).collect::<Result<_, _>>()?,
    };
    let mut text = Vec::new();
    let link = link(matches);
    let refused =
        |error: sniff_x_filter::CompileError| Failure::Usage(format!("--dump-filter {form}: {error}"));
    match form.as_str() {
        "ebpf" => {
            let options = EbpfOptions { accept: u32::MAX, counters_fd: None, link };
            write!(
                text,
                "{}",
                Listing(&rules.compile_ebpf_with_sets(&options, |_| Some(SETS)).map_err(refused)?)
            )?;
        }
        "cbpf" => write!(text, "{}", ClassicListing(&rules.compile_cbpf(u32::MAX, link).map_err(refused)?))?,
        _ => {
            for ((name, _), rule) in asked.iter().zip(&rules.rules) {
                write!(text, "rule of {name}, of the innermost TCP or UDP header\n{}", Outline(rule))?;
            }
            if let Some(filter) = &rules.filter {
                write!(text, "--filter, of the frame\n{}", Outline(filter))?;
            }
        }
    }
    if form != "ast" && !rules.filter_is_final(link) {
        writeln!(
            text,
            "what this program can't tell passes, and --filter is asked of it again in user space"
        )?;
    }
    io::stdout().write_all(&text)?;
    io::stdout().flush()?;
    Ok(true)
}

fn rule(name: &str, text: &str) -> Result<sniff_x_filter::Expression, Failure> {
    sniff_x_filter::parse_rule(text).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

/// How frames of the interface that is named begin; Ethernet, if none is.
fn link(matches: &ArgMatches) -> Link {
    let named = matches.get_many::<String>("iface").and_then(|mut names| names.next());
    let Some(name) = named else { return Link::Ethernet };
    let devices = sniff_x_capture::devices().unwrap_or_default();
    match devices.iter().find(|device| device.name == *name).and_then(|device| device.link_type) {
        Some(LinkType::RAW) => Link::RawIp,
        None if name == "any" => Link::Any,
        _ => Link::Ethernet,
    }
}

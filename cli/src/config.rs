//! Matched arguments → a checked [`Config`].

use core::time::Duration;
use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ArgMatches;
use clap::parser::ValueSource;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sniff_x_engine::config::{Backend, Limits, Output};
use sniff_x_engine::sink::groups::{GroupBy, GroupOptions};
use sniff_x_engine::sink::terminal::{Size, Terminal};
use sniff_x_engine::sink::text::{Column, Origin, TextOptions, TimeStyle};
use sniff_x_engine::{Chosen, Config, Format, Input};
use sniff_x_flow::LinkType;
use sniff_x_flow::packet::ParseOptions;
use sniff_x_proto::event::KeyTable;

use crate::catalog::{ALL, AUTO, abouts_of};
use crate::failure::Failure;
use crate::names::System;
use crate::values::nearest;
use crate::{information, options};

/// How long the kernel keeps a block that isn't full: the delay of events on a quiet line.
const RETIRE: Duration = Duration::from_millis(10);

/// Gives `plugins` their options and puts the configuration together. Files are not touched yet.
pub(crate) fn build(
    matches: &ArgMatches,
    mut plugins: Vec<Chosen>,
    keys: KeyTable,
) -> Result<Config, Failure> {
    let input = input(matches)?;
    let write = write_target(matches, !plugins.is_empty())?;
    if plugins.is_empty() && write.is_none() {
        let names: Vec<_> = sniff_x_proto::names().collect();
        return Err(Failure::Usage(format!(
            "name a PLUGIN, or capture only with --write FILE\nPlugins: {}, {ALL}, {AUTO}\nTry: sniff-x {} mysql",
            names.join(", "),
            source_as_given(&input)
        )));
    }
    let filter = filter(matches)?;
    let dump = configure(matches, None, &mut plugins)?;
    let redact = matches.get_flag("redact");
    if redact {
        check_redaction(matches, &plugins, write.is_some())?;
    }
    let used = !plugins.is_empty() || write.as_deref() == Some(Path::new("-"));
    Ok(Config {
        input,
        plugins,
        keys,
        filter,
        redact,
        parse: ParseOptions {
            merge_vlans: matches.get_flag("merge-vlans"),
            verify_checksums: matches.get_flag("verify-checksums"),
        },
        threads: number(matches, "threads", 1),
        output: output(matches, used)?,
        write,
        dump,
        duration: matches.get_one("duration").copied(),
        stats_interval: matches.get_one("stats-interval").copied(),
        limits: limits(matches),
    })
}

/// What writes bytes as they came has nothing to hide in them.
pub(crate) fn check_redaction(matches: &ArgMatches, plugins: &[Chosen], writes: bool) -> Result<(), Failure> {
    let is_tcp = plugins.iter().any(|chosen| chosen.plugin.about().name == "tcp");
    let asks = |option: &str| is_tcp && matches.contains_id(&format!("tcp.{option}"));
    let (option, what) = if writes {
        ("--write", "whole frames")
    } else if asks("dump") {
        ("--dump", "whole streams")
    } else if asks("content") {
        ("--content", "bytes as they came")
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!("{option} writes {what}, with all that --redact hides: use one of them")))
}

/// `--filter`. What can be asked of no kind of frame is a mistake, what no frame can match deserves a word.
pub(crate) fn filter(matches: &ArgMatches) -> Result<Option<sniff_x_filter::Expression>, Failure> {
    let Some(text) = matches.get_one::<String>("filter") else { return Ok(None) };
    let filter = sniff_x_filter::parse_with(text, &System)
        .map_err(|error| Failure::Usage(format!("--filter: {error}")))?;
    // All of it can be asked of Ethernet, or of nothing.
    if let Some(why) = filter.refused_on(LinkType::ETHERNET) {
        return Err(Failure::Usage(format!("--filter: {why}\n  {text}")));
    }
    if filter.reads_nothing() {
        log::warn!(
            "--filter: 'byte N & M' and 'byte N | M' read no byte, as in tcpdump: write 'link[N] & M != 0': {text}"
        );
    }
    if filter.never_matches_anything() {
        log::warn!("--filter: no frame can match this: {text}");
    }
    Ok(Some(filter))
}

/// Hands the options to the plugins; gives the folder of `tcp --dump`. `started`: the options that a run began with which goes on.
pub(crate) fn configure(
    matches: &ArgMatches,
    started: Option<&ArgMatches>,
    plugins: &mut [Chosen],
) -> Result<Option<PathBuf>, Failure> {
    let given: Vec<_> = {
        let all = abouts_of(plugins);
        all.iter().map(|about| options::given(matches, started, &all, about)).collect::<Result<_, _>>()?
    };
    let mut dump = None;
    for (Chosen { plugin, by_rule, .. }, options) in plugins.iter_mut().zip(given) {
        let name = plugin.about().name;
        if name == "tcp" {
            dump = options.last("dump").map(PathBuf::from);
        }
        if !*by_rule && options.switch("port") {
            log::warn!(
                "{AUTO} looks at all ports; name {name}, too, for what it does not know there: {name},{AUTO}"
            );
        }
        plugin.configure(&options).map_err(|error| {
            let about = plugin.about();
            Failure::Usage(format!("{}: {error}\n\n{}", about.name, options::listed(about)))
        })?;
    }
    Ok(dump)
}

fn input(matches: &ArgMatches) -> Result<Input, Failure> {
    if let Some(file) = matches.get_one::<PathBuf>("read") {
        return Ok(Input::File(file.clone()));
    }
    let interfaces: Vec<String> = matches.get_many("iface").into_iter().flatten().cloned().collect();
    if interfaces.is_empty() {
        return Err(Failure::Usage(format!(
            "say where frames come from: --iface IF or --read FILE\n{}\nTry: sniff-x --iface {} mysql",
            devices_line(),
            information::interfaces().into_iter().find(|name| name != "lo").as_deref().unwrap_or("any")
        )));
    }
    check_interfaces(&interfaces, &information::interfaces())?;
    let snaplen = number(matches, "snaplen", 0);
    Ok(Input::Live {
        interfaces,
        backend: match matches.get_one::<String>("backend").map(String::as_str) {
            Some("afpacket") => Backend::AfPacket,
            Some("libpcap") => Backend::Libpcap,
            _ => Backend::Auto,
        },
        ring_size: number(matches, "ring-size", crate::args::RING_SIZE),
        block_size: number(matches, "block-size", crate::args::BLOCK_SIZE),
        snaplen: u32::try_from(snaplen)
            .map_err(|_| Failure::Usage(format!("--snaplen {snaplen} is too large")))?,
        retire: RETIRE,
        promiscuous: !matches.get_flag("no-promiscuous"),
    })
}

/// No file is written over the one that is read, nor two into one.
pub(crate) fn check_files(config: &Config, stats_file: Option<&Path>) -> Result<(), Failure> {
    let read = match &config.input {
        Input::File(file) => Some(file.as_path()),
        Input::Live { .. } | Input::Sources(_) => None,
    };
    let (write, names) = (config.write.as_deref(), ["--read", "--write", "--stats-file"]);
    let files = [read, write, stats_file];
    for (later, name) in files.iter().zip(names).skip(1) {
        for (earlier, other) in files.iter().zip(names).take_while(|(_, other)| *other != name) {
            if let (Some(earlier), Some(later)) = (earlier, later)
                && is_same_file(earlier, later)
            {
                return Err(Failure::Usage(format!(
                    "{name} {} would overwrite the file of {other}",
                    later.display()
                )));
            }
        }
    }
    Ok(())
}

/// Whether both are one regular file, or will be: the same path to a file that is not there yet.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.is_file() && one.dev() == other.dev() && one.ino() == other.ino(),
        (Err(_), Err(_)) => one == other && one != Path::new("-"),
        _ => false,
    }
}

/// Wrong names are told apart here already: without privileges the engine would fail for another reason.
fn check_interfaces(asked: &[String], existing: &[String]) -> Result<(), Failure> {
    let is_any = |name: &String| name == "any";
    if asked.iter().any(is_any) && asked.len() > 1 {
        return Err(Failure::Usage("--iface any is all interfaces: name no further one".into()));
    }
    let unknown = asked.iter().find(|name| !is_any(name) && !existing.contains(name));
    match unknown {
        Some(name) if !existing.is_empty() => Err(Failure::Usage(unknown_interface(name, existing))),
        _ => Ok(()),
    }
}

/// What is said about an interface that does not exist.
pub(crate) fn unknown_interface(name: &str, existing: &[String]) -> String {
    let near = nearest(name, existing.iter().map(String::as_str).chain(["any"]));
    let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    format!("no interface '{name}'{near}\nInterfaces: {}, any", existing.join(", "))
}

fn devices_line() -> String {
    format!("Interfaces: {}, any", information::interfaces().join(", "))
}

/// The source as it was given, for an example line.
fn source_as_given(input: &Input) -> String {
    match input {
        Input::File(file) => format!("--read {}", file.display()),
        Input::Live { interfaces, .. } => format!("--iface {}", interfaces.join(" --iface ")),
        Input::Sources(_) => String::new(),
    }
}

/// `used`: something is written to standard output.
fn output(matches: &ArgMatches, used: bool) -> Result<Output, Failure> {
    let format = format(matches)?;
    // A file of our own: the standard library's handle looks for line ends in everything and flushes at each.
    let to = io::stdout().as_fd().try_clone_to_owned().context("standard output")?;
    let count = matches.get_one::<usize>("count").and_then(|n| u64::try_from(*n).ok());
    let to = File::from(to);
    let kind = to.metadata().context("standard output")?.file_type();
    let is_watched = used && (kind.is_fifo() || kind.is_socket());
    let is_abandoned = Box::new(move || is_watched && nobody_reads(io::stdout().as_fd()));
    Ok(Output { format, to: Box::new(to), is_abandoned, count })
}

/// Whether a pipe's other end is closed: the kernel says so unasked (<https://man7.org/linux/man-pages/man2/poll.2.html>, `POLLERR`, `POLLHUP`).
fn nobody_reads(pipe: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::new(pipe, PollFlags::empty())];
    let told = PollFlags::POLLERR | PollFlags::POLLHUP;
    poll(&mut descriptors, PollTimeout::ZERO).is_ok()
        && descriptors.iter().any(|d| d.revents().is_some_and(|events| events.intersects(told)))
}

/// `--format`, and the options of text.
fn format(matches: &ArgMatches) -> Result<Format, Failure> {
    let given =
        |id: &&str| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue);
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        return match ["columns", "time", "wide", "group-by"].iter().find(|id| given(id)) {
            Some(id) => Err(Failure::Usage(format!(
                "--{id} is for text: not with --format json, whose lines have everything"
            ))),
            None => Ok(Format::Json),
        };
    }
    let (color, terminal) = (color(matches), terminal());
    if let Some(key) = matches.get_one::<String>("group-by") {
        if given(&"time") {
            return Err(Failure::Usage("--time is for lines: a table of --group-by has none".into()));
        }
        let by = GroupBy::ALL.into_iter().find(|by| by.name() == key).unwrap_or(GroupBy::Client);
        return Ok(Format::Groups(GroupOptions { by, color, terminal }));
    }
    let columns = matches.get_many::<String>("columns").map(|names| {
        let column = |name: &String| Column::ALL.into_iter().find(|column| column.name() == name);
        names.filter_map(column).collect()
    });
    Ok(Format::Text(TextOptions {
        color,
        columns,
        time: match matches.get_one::<String>("time").map(String::as_str) {
            Some("date") => TimeStyle::Date,
            Some("relative") => TimeStyle::Relative,
            Some("delta") => TimeStyle::Delta,
            _ => TimeStyle::Absolute,
        },
        wide: matches.get_flag("wide"),
        terminal,
        origin: Origin::default(),
    }))
}

/// The terminal that standard output is, if it understands more than lines.
fn terminal() -> Option<Terminal> {
    if !io::stdout().is_terminal() || env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    Some(Terminal::new(|| {
        let (columns, rows) = terminal_size::terminal_size_of(io::stdout())?;
        Some(Size { columns: columns.0.into(), rows: rows.0.into() })
    }))
}

/// <https://no-color.org>: NO_COLOR counts when it is not empty.
fn color(matches: &ArgMatches) -> bool {
    match matches.get_one::<String>("color").map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        _ => io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

/// `--write`; `-` is standard output as long as no events go there.
fn write_target(matches: &ArgMatches, has_plugins: bool) -> Result<Option<PathBuf>, Failure> {
    let target = matches.get_one::<PathBuf>("write");
    if target.is_none_or(|t| t != Path::new("-")) {
        return Ok(target.cloned());
    }
    if has_plugins {
        return Err(Failure::Usage(
            "--write - needs standard output for itself: name a file, or no PLUGIN".into(),
        ));
    }
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "--write - would write a capture file to the terminal: send it to a pipe".into(),
        ));
    }
    Ok(target.cloned())
}

fn limits(matches: &ArgMatches) -> Limits {
    let default = Limits::default();
    let time = |id, default| matches.get_one::<Duration>(id).copied().unwrap_or(default);
    Limits {
        max_text: number(matches, "max-text", default.max_text),
        max_message: number(matches, "max-message", default.max_message),
        max_kept: number(matches, "max-kept", default.max_kept),
        max_connections: number(matches, "max-connections", default.max_connections),
        max_embryonic: number(matches, "max-embryonic", default.max_embryonic),
        max_pages_per_connection: number(
            matches,
            "max-pages-per-connection",
            default.max_pages_per_connection,
        ),
        max_pages: number(matches, "max-pages", default.max_pages),
        idle_timeout: time("idle-timeout", default.idle_timeout),
        max_udp_flows: number(matches, "max-udp-flows", default.max_udp_flows),
        udp_idle_timeout: time("udp-idle-timeout", default.udp_idle_timeout),
        max_fragmented: number(matches, "max-fragmented", default.max_fragmented),
        max_fragment_pages: number(matches, "max-fragment-pages", default.max_fragment_pages),
        fragment_timeout: matches.get_one("fragment-timeout").copied(),
        embryonic_timeout: time("embryonic-timeout", default.embryonic_timeout),
        exchange_timeout: time("exchange-timeout", default.exchange_timeout),
    }
}

fn number(matches: &ArgMatches, id: &str, default: usize) -> usize {
    matches.get_one(id).copied().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn interfaces_that_exist_are_taken() {
        let existing = names(&["lo", "eth0"]);
        for asked in [&["lo"][..], &["any"], &["eth0", "lo"]] {
            assert!(check_interfaces(&names(asked), &existing).is_ok(), "{asked:?}");
        }
        // Where they can't be listed the engine finds out.
        assert!(check_interfaces(&names(&["eth7"]), &[]).is_ok());
    }

    #[test]
    fn others_are_not() {
        let existing = names(&["lo", "eth0"]);
        let Err(Failure::Usage(message)) = check_interfaces(&names(&["lo", "eht0"]), &existing) else {
            panic!()
        };
        assert_eq!(message, "no interface 'eht0'; did you mean 'eth0'?\nInterfaces: lo, eth0, any");
        let Err(Failure::Usage(message)) = check_interfaces(&names(&["wlan7"]), &existing) else { panic!() };
        assert_eq!(message, "no interface 'wlan7'\nInterfaces: lo, eth0, any");
        assert!(check_interfaces(&names(&["any", "lo"]), &existing).is_err());
    }

    /// The help shows the library's defaults, so leaving an option away changes nothing.
    #[test]
    fn the_defaults_of_the_help_are_those_of_the_engine() {
        let matches = crate::args::own().get_matches_from(["sniff-x"]);
        assert_eq!(format!("{:?}", limits(&matches)), format!("{:?}", Limits::default()));
    }
}

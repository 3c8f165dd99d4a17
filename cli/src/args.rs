//! sniff-x's own options: the one definition that parsing, help, man page and completions are made from.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;
use sniff_x_engine::config::Limits;
use sniff_x_engine::sink::groups::GroupBy;
use sniff_x_engine::sink::text::Column;

use crate::values::{positive, seconds, show_size, size, threads};

/// Bytes of a ring, and of one of its blocks, unless told otherwise.
pub(crate) const RING_SIZE: usize = 64 << 20;
pub(crate) const BLOCK_SIZE: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  sniff-x --iface eth0 mysql                     statements on eth0
  sniff-x --iface eth0 mysql -p 3307             on another port
  sniff-x --read dump.pcapng --format json tcp   connections in a file, as JSON Lines
  sniff-x --iface eth0 --group-by client mysql   who asks how much, and how long it takes
  sniff-x --iface eth0 auto                      whatever is understood, on any port
  sniff-x --iface any --write all.pcapng         capture only

Options behind PLUGIN belong to the plugin if it has them: `sniff-x mysql --help`
shows those of mysql. With several plugins name the one that is meant:
--mysql.port 3307.";

/// sniff-x without any plugin's options.
pub(crate) fn own() -> Command {
    with_first(Vec::new())
}

/// sniff-x with `first`, plugins' options, before its own in the help.
pub(crate) fn with_first(first: Vec<Arg>) -> Command {
    Command::new("sniff-x")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Shows what services say to their databases, caches and APIs, from the wire")
        .override_usage(
            "sniff-x [--iface IF]… | [--read FILE]  PLUGIN[,PLUGIN…] [PLUGIN OPTIONS]\n       \
             sniff-x --list | --env | --ver | --dev | --help",
        )
        .after_help(EXAMPLES)
        .max_term_width(120)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("plugin").value_name("PLUGIN").help(
                "What to decode, separated by commas: mysql,redis. `all` is every protocol on its ports, `auto` every protocol on any port, \
                 told by a connection's first bytes; both without tcp (see --list)",
            ),
        )
        .args(first)
        .args(under("Input", input()))
        .args(under("Output", output()))
        .args(under("Limits", limits()))
        .args(under("Program", program()))
        .args(under("Information", information()))
}

fn under(heading: &'static str, args: Vec<Arg>) -> impl Iterator<Item = Arg> {
    args.into_iter().map(move |arg| arg.help_heading(heading))
}

fn value(id: &'static str, name: &'static str, help: impl Into<String>) -> Arg {
    Arg::new(id).long(id).value_name(name).help(help.into()).action(ArgAction::Set)
}

fn switch(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).help(help).action(ArgAction::SetTrue)
}

fn input() -> Vec<Arg> {
    vec![
        value("iface", "IF", "Capture on this interface; may be repeated; `any` is all of them (see --dev)")
            .short('i')
            .action(ArgAction::Append)
            .conflicts_with("read"),
        value("read", "FILE", "Read a capture file (pcap, pcapng, also compressed); `-` is standard input")
            .value_parser(value_parser!(PathBuf)),
        value(
            "filter",
            "EXPR",
            "Only frames that match, in pcap-filter syntax: 'host 10.0.0.1 and not port 22'",
        ),
        switch(
            "merge-vlans",
            "Take equal addresses and ports for one flow whatever VLAN or tunnel they are in: where the two directions differ in that",
        ),
        switch(
            "verify-checksums",
            "Don't use packets whose IPv4, TCP or UDP checksum is wrong; those of the capturing host itself often are",
        ),
        value("backend", "BACKEND", "How to capture")
            .value_parser(PossibleValuesParser::new(["auto", "afpacket", "libpcap"]))
            .default_value("auto"),
        value("ring-size", "SIZE", "Memory of a capture ring (K, M and G are understood)")
            .value_parser(size)
            .default_value(show_size(RING_SIZE)),
        value("block-size", "SIZE", "Memory of one block of the ring")
            .value_parser(size)
            .default_value(show_size(BLOCK_SIZE)),
        value("snaplen", "SIZE", "Bytes of each frame that are kept; 0 is all")
            .value_parser(size)
            .default_value("0"),
        switch("no-promiscuous", "Don't put interfaces into promiscuous mode"),
        value("duration", "SECS", "Stop after so many seconds").value_parser(seconds),
        value(
            "threads",
            "N",
            "Workers; 1 reads and decodes in one thread. Live, each of several has rings of its own, if it may (CAP_BPF); up to four of \
             a file that is not compressed each read it; else, and with --write, one thread reads for all",
        )
        .value_parser(threads)
            .default_value("1"),
    ]
}

fn output() -> Vec<Arg> {
    vec![
        value("format", "FORMAT", "Events as lines for people or as JSON Lines")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .default_value("text"),
        value("color", "WHEN", "Colours in text; auto: on a terminal, unless NO_COLOR is set")
            .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
            .default_value("auto"),
        value(
            "columns",
            "LIST",
            "Show these columns of text, in this order, separated by commas [default: time,client,server,protocol,duration,text,result,\
             details; on a terminal with less than 120 columns without server]",
        )
        .value_delimiter(',')
        .action(ArgAction::Append)
        .value_parser(PossibleValuesParser::new(Column::ALL.map(Column::name))),
        value(
            "time",
            "STYLE",
            "Times in text: of the day in UTC (absolute), with the date (date), in seconds since the first event (relative) or since the one \
             before (delta)",
        )
        .value_parser(PossibleValuesParser::new(["absolute", "date", "relative", "delta"]))
        .default_value("absolute"),
        switch("wide", "Wrap lines that are too long for the terminal; else they are cut. Where there is no terminal neither is done"),
        value(
            "group-by",
            "KEY",
            "In place of lines a table: events, errors, rows and durations by client, server, …; on a terminal as they come, and at the end",
        )
        .value_parser(PossibleValuesParser::new(GroupBy::ALL.map(GroupBy::name)))
        .conflicts_with_all(["columns", "wide"]),
        switch(
            "redact",
            "Hide what users put in: literals of statements, parameters, values, bodies (docs/privacy.md); passwords and tokens are hidden always",
        ),
        value("count", "EVENTS", "Stop after so many events").value_parser(positive),
        value(
            "write",
            "FILE",
            "Write the frames that passed to a pcapng file; without PLUGIN nothing is decoded, and `-` is standard output",
        )
        .value_parser(value_parser!(PathBuf)),
        value("stats-interval", "SECS", "Log the counters so often").value_parser(seconds),
        value("stats-file", "FILE", "Write the counters as JSON at the end").value_parser(value_parser!(PathBuf)),
    ]
}

fn limits() -> Vec<Arg> {
    let default = Limits::default();
    vec![
        value("max-text", "SIZE", "Bytes of a statement or another text that are kept")
            .value_parser(size)
            .default_value(show_size(default.max_text)),
        value("max-message", "SIZE", "Bytes of an unfinished message that are kept")
            .value_parser(size)
            .default_value(show_size(default.max_message)),
        value(
            "max-kept",
            "SIZE",
            "Bytes of unfinished messages and exchanges of all connections that are kept",
        )
        .value_parser(size)
        .default_value(show_size(default.max_kept)),
        value("max-connections", "N", "Connections followed at once; the oldest go first")
            .value_parser(positive)
            .default_value(default.max_connections.to_string()),
        value("max-embryonic", "N", "Connections with nothing but SYNs so far; the oldest go first")
            .value_parser(positive)
            .default_value(default.max_embryonic.to_string()),
        value("max-pages-per-connection", "N", "Out-of-order pages of one connection")
            .value_parser(positive)
            .default_value(default.max_pages_per_connection.to_string()),
        value("max-pages", "N", "Out-of-order pages of all connections")
            .value_parser(positive)
            .default_value(default.max_pages.to_string()),
        value("idle-timeout", "SECS", "Close a connection that was silent for so long")
            .value_parser(seconds)
            .default_value(default.idle_timeout.as_secs().to_string()),
        value("max-udp-flows", "N", "UDP flows followed at once; the oldest go first")
            .value_parser(positive)
            .default_value(default.max_udp_flows.to_string()),
        value("udp-idle-timeout", "SECS", "Close a UDP flow that was silent for so long")
            .value_parser(seconds)
            .default_value(default.udp_idle_timeout.as_secs().to_string()),
        value(
            "max-fragmented",
            "N",
            "IP datagrams in fragments that are put together at once; the oldest go first",
        )
        .value_parser(positive)
        .default_value(default.max_fragmented.to_string()),
        value(
            "max-fragment-pages",
            "N",
            "Pages (2 KiB) of fragments that wait for others; the oldest datagrams go first",
        )
        .value_parser(positive)
        .default_value(default.max_fragment_pages.to_string()),
        value(
            "fragment-timeout",
            "SECS",
            "Give up a datagram in fragments that is not whole after so long [default: 30, IPv6: 60]",
        )
        .value_parser(seconds),
        value("embryonic-timeout", "SECS", "Close a connection that had nothing but SYNs for so long")
            .value_parser(seconds)
            .default_value(default.embryonic_timeout.as_secs().to_string()),
        value(
            "exchange-timeout",
            "SECS",
            "Give up a request that had no response for so long, but not before --idle-timeout",
        )
        .value_parser(seconds)
        .default_value(default.exchange_timeout.as_secs().to_string()),
    ]
}

fn program() -> Vec<Arg> {
    vec![
        value(
            "config",
            "FILE",
            "Read options from this TOML file, by their names; those of a plugin in a table with its name. The command line wins. SIGHUP \
             has it read again",
        )
        .value_parser(value_parser!(PathBuf)),
        value(
            "plugin-dir",
            "DIR",
            "Look for external plugins here, before SNIFF_X_PLUGIN_DIR; may be repeated",
        )
        .value_parser(value_parser!(PathBuf))
        .action(ArgAction::Append),
        Arg::new("verbose")
            .long("verbose")
            .short('v')
            .help("Log more; twice: much more (RUST_LOG is understood)")
            .action(ArgAction::Count),
        switch("quiet", "Only events and errors: no warnings, progress or summary")
            .short('q')
            .conflicts_with("verbose"),
    ]
}

fn information() -> Vec<Arg> {
    vec![
        switch("help", "Show this; behind PLUGIN with the plugin's options")
            .short('h')
            .action(ArgAction::Help),
        switch("list", "List the plugins"),
        switch("env", "Show where external plugins are looked for"),
        switch("ver", "Show the version").alias("version"),
        switch("dev", "List the devices with their addresses"),
        value(
            "dump-filter",
            "FORM",
            "Print what --filter and the rules of PLUGIN are made into: the expression, or a program",
        )
        .value_parser(PossibleValuesParser::new(["ast", "ebpf", "cbpf"])),
        switch("man", "Print the man page"),
        value("completions", "SHELL", "Print completions for a shell").value_parser(value_parser!(Shell)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        own().debug_assert();
    }

    #[test]
    fn every_option_is_under_a_heading_and_says_what_it_does() {
        for arg in own().get_arguments().filter(|arg| !arg.is_positional()) {
            assert!(arg.get_help_heading().is_some(), "{}", arg.get_id());
            assert!(arg.get_help().is_some(), "{}", arg.get_id());
        }
    }
}

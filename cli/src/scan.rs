//! A first look at the arguments: which plugins are named, where further ones lie, and which file says more. Only then is it known which options exist.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command};

/// What the first look finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// PLUGIN as it was written: `mysql,redis`.
    pub(crate) plugins: Option<String>,
    /// The folders of `--plugin-dir`.
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// The file of `--config`.
    pub(crate) config: Option<PathBuf>,
}

/// Looks through `arguments` (without the program's name) for what `own`, sniff-x's own options, leaves over.
///
/// An option that is not known before PLUGIN ends the search for it: it may have a value, and the next word may be that.
pub(crate) fn scan(own: &Command, arguments: &[OsString]) -> Scan {
    let mut found = Scan::default();
    let mut plugin_may_come = true;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(text) = argument.to_str() else {
            plugin_may_come = false;
            continue;
        };
        match option(own, text) {
            Word::Plain if text == "--" => {
                if let (true, Some(next)) = (plugin_may_come, rest.next()) {
                    found.plugins = next.to_str().map(str::to_owned);
                }
                break;
            }
            Word::Plain => {
                if plugin_may_come {
                    found.plugins = Some(text.to_owned());
                }
                plugin_may_come = false;
            }
            Word::Unknown => plugin_may_come = false,
            Word::Switch => {}
            Word::Option { arg, value } => {
                let value = match value {
                    Some(value) => Some(OsString::from(value)),
                    None => rest.next().cloned(),
                };
                match (arg.get_id().as_str(), value) {
                    ("plugin-dir", Some(value)) => found.plugin_dirs.push(value.into()),
                    ("config", Some(value)) => found.config = Some(value.into()),
                    _ => {}
                }
            }
        }
    }
    found
}

/// What one argument is.
enum Word<'a> {
    /// No option, or `--`.
    Plain,
    /// An option that sniff-x does not have.
    Unknown,
    /// One or several options without a value.
    Switch,
    /// An option with a value, which may stand in the same word.
    Option { arg: &'a Arg, value: Option<&'a str> },
}

fn option<'a>(own: &'a Command, text: &'a str) -> Word<'a> {
    if let Some(long) = text.strip_prefix("--").filter(|l| !l.is_empty()) {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let is_named = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        };
        return match own.get_arguments().find(is_named) {
            Some(arg) if takes_value(arg) => Word::Option { arg, value },
            Some(_) => Word::Switch,
            None => Word::Unknown,
        };
    }
    let Some(shorts) = text.strip_prefix('-').filter(|s| !s.is_empty() && !s.starts_with('-')) else {
        return Word::Plain;
    };
    for (at, short) in shorts.char_indices() {
        match own.get_arguments().find(|arg| arg.get_short() == Some(short)) {
            Some(arg) if takes_value(arg) => {
                let value = shorts.get(at + short.len_utf8()..).filter(|v| !v.is_empty());
                return Word::Option { arg, value };
            }
            Some(_) => {}
            None => return Word::Unknown,
        }
    }
    Word::Switch
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(arguments: &[&str]) -> Scan {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        scan(&crate::args::own(), &arguments)
    }

    fn plugins(arguments: &[&str]) -> Option<String> {
        scanned(arguments).plugins
    }

    #[test]
    fn the_first_word_that_is_no_value_is_the_plugin() {
        assert_eq!(plugins(&["--iface", "eth0", "mysql"]).as_deref(), Some("mysql"));
        assert_eq!(plugins(&["-ieth0", "-vv", "mysql,redis", "-p", "3307"]).as_deref(), Some("mysql,redis"));
        assert_eq!(plugins(&["-vi", "eth0", "mysql", "tcp"]).as_deref(), Some("mysql"));
        assert_eq!(plugins(&["--format=json", "--read", "-", "tcp"]).as_deref(), Some("tcp"));
        assert_eq!(plugins(&["--read", "mysql", "--", "tcp"]).as_deref(), Some("tcp"));
        assert_eq!(plugins(&["--help", "mysql"]).as_deref(), Some("mysql"));
        assert_eq!(plugins(&["--iface", "mysql"]), None);
        assert_eq!(plugins(&["--list"]), None);
    }

    #[test]
    fn a_value_of_an_unknown_option_is_no_plugin() {
        assert_eq!(plugins(&["-p", "3307", "mysql"]), None);
        assert_eq!(plugins(&["--port", "3307", "mysql"]), None);
    }

    #[test]
    fn plugin_folders_are_found_everywhere() {
        let found = scanned(&["--plugin-dir", "a", "mine", "--depth", "3", "--plugin-dir=b"]);
        assert_eq!(found.plugins.as_deref(), Some("mine"));
        assert_eq!(found.plugin_dirs, [PathBuf::from("a"), PathBuf::from("b")]);
    }
}

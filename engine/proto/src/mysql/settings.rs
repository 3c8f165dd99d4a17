//! The plugin's options: which ports, which events are wanted, whether parameters are shown.

use regex::bytes::{Regex, RegexBuilder};

use super::x_protocol;
use crate::event::{IncompleteReason, Kind, Status};
use crate::{OptionError, OptionSpec, Options};

/// The port that IANA gave the protocol, and that of the X Protocol, which is recognised.
const DEFAULT_PORTS: [u16; 2] = [3306, x_protocol::PORT];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::port("3306 and 33060"),
    OptionSpec::SLOW,
    OptionSpec::ERRORS,
    OptionSpec {
        long: "user",
        short: None,
        value: Some("NAME"),
        repeatable: true,
        help: "Only what this database user does",
        default: None,
    },
    OptionSpec {
        long: "db",
        short: None,
        value: Some("NAME"),
        repeatable: true,
        help: "Only what is done in this database",
        default: None,
    },
    OptionSpec {
        long: "statement",
        short: None,
        value: Some("REGEX"),
        repeatable: false,
        help: "Only statements whose text matches, such as '(?i)^update.*orders'",
        default: None,
    },
    OptionSpec {
        long: "no-params",
        short: None,
        value: None,
        repeatable: false,
        help: "Leave out parameters of prepared statements and attributes of queries",
        default: None,
    },
];

/// What the options say.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ports: Vec<u16>,
    /// Parameters and attributes are kept and shown.
    pub(super) parameters: bool,
    wanted: Option<Wanted>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ports: DEFAULT_PORTS.to_vec(), parameters: true, wanted: None }
    }
}

/// Which events are wanted, when not all are: all that is given must hold.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Nanoseconds.
    slow: Option<u64>,
    errors: bool,
    users: Vec<String>,
    databases: Vec<String>,
    statement: Option<Regex>,
}

/// What an event is about, as far as the options ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) kind: Kind,
    pub(super) status: Option<Status>,
    /// Nanoseconds.
    pub(super) duration: Option<u64>,
    pub(super) user: &'a [u8],
    pub(super) database: &'a [u8],
    pub(super) text: Option<&'a [u8]>,
}

/// Memory that a compiled expression may have.
const MAX_REGEX: usize = 4 << 20;

impl Settings {
    pub(super) fn new(options: &Options) -> Result<Self, OptionError> {
        let statement = options.last("statement").map(expression).transpose()?;
        let names = |option: &'static str| options.all(option).map(str::to_owned).collect();
        let wanted = Wanted {
            slow: options.milliseconds("slow")?,
            errors: options.switch("errors"),
            users: names("user"),
            databases: names("db"),
            statement,
        };
        let all = wanted.slow.is_none()
            && !wanted.errors
            && wanted.users.is_empty()
            && wanted.databases.is_empty()
            && wanted.statement.is_none();
        Ok(Self {
            ports: options.ports(&DEFAULT_PORTS)?,
            parameters: !options.switch("no-params"),
            wanted: (!all).then_some(wanted),
        })
    }

    /// Whether an event is wanted.
    pub(super) fn want<'a>(&self, facts: impl FnOnce() -> Facts<'a>) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.hold(&facts()))
    }
}

impl Wanted {
    fn hold(&self, facts: &Facts<'_>) -> bool {
        self.slow.is_none_or(|slow| facts.is_slow(slow))
            && (!self.errors || facts.status == Some(Status::Error))
            && is_one_of(&self.users, facts.user)
            && is_one_of(&self.databases, facts.database)
            && self.statement.as_ref().is_none_or(|s| facts.text.is_some_and(|text| s.is_match(text)))
    }
}

impl Facts<'_> {
    /// What timed out took longer than anyone waits.
    fn is_slow(&self, slow: u64) -> bool {
        let timed_out = self.status == Some(Status::Incomplete(IncompleteReason::Timeout));
        self.kind == Kind::Exchange && (timed_out || self.duration.is_some_and(|d| d >= slow))
    }
}

fn is_one_of(names: &[String], name: &[u8]) -> bool {
    names.is_empty() || names.iter().any(|n| n.as_bytes() == name)
}

fn expression(value: &str) -> Result<Regex, OptionError> {
    RegexBuilder::new(value).size_limit(MAX_REGEX).build().map_err(|error| {
        let why = error.to_string();
        // The last line says what is wrong; those before it draw where.
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        OptionError::new("statement", value, format!("a regular expression: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &[(&str, &str)]) -> Result<Settings, OptionError> {
        let mut given = Options::default();
        for (name, value) in options {
            given.push(*name, *value);
        }
        Settings::new(&given)
    }

    const EVENT: Facts<'static> = Facts {
        kind: Kind::Exchange,
        status: Some(Status::Ok),
        duration: Some(2_000_000),
        user: b"app",
        database: b"shop",
        text: Some(b"SELECT * FROM orders"),
    };

    #[test]
    fn all_that_is_given_must_hold() {
        let wants =
            |options: &[(&str, &str)], facts: Facts<'static>| settings(options).unwrap().want(|| facts);
        assert!(wants(&[], EVENT));
        assert!(wants(&[("no-params", "")], EVENT));
        for (option, value, holds) in [
            ("slow", "2", true),
            ("slow", "2.5", false),
            ("slow", "0", true),
            ("errors", "", false),
            ("user", "app", true),
            ("user", "ap", false),
            ("db", "shop", true),
            ("db", "SHOP", false),
            ("statement", "FROM (orders|carts)", true),
            ("statement", "^from", false),
        ] {
            assert_eq!(wants(&[(option, value)], EVENT), holds, "--{option} {value}");
        }
        assert!(wants(&[("user", "x"), ("user", "app")], EVENT), "one of several");
        assert!(!wants(&[("user", "app"), ("slow", "10")], EVENT));
        let failed = Facts { status: Some(Status::Error), ..EVENT };
        assert!(wants(&[("errors", "")], failed));
        let late =
            Facts { status: Some(Status::Incomplete(IncompleteReason::Timeout)), duration: None, ..EVENT };
        assert!(wants(&[("slow", "5000")], late));
        let login = Facts { kind: Kind::Session, text: None, ..EVENT };
        assert!(wants(&[("user", "app")], login));
        assert!(!wants(&[("slow", "0")], login));
        assert!(!wants(&[("statement", "")], login), "it has no text");
    }

    #[test]
    fn values_that_can_not_be_used() {
        for (option, value) in [
            ("slow", "fast"),
            ("slow", "-1"),
            ("slow", "inf"),
            ("statement", "("),
            ("statement", "(?:a{1000}){1000}"),
            ("port", "0"),
        ] {
            let error = settings(&[(option, value)]).err().map(|e| e.option);
            assert_eq!(error, Some(option), "--{option} {value}");
        }
        let error = settings(&[("statement", "a(")]).unwrap_err().to_string();
        assert_eq!(error, "--statement: 'a(' is not a regular expression: unclosed group");
    }
}

//! Options of plugins: what a plugin declares, and the values that the command line gives it.

use std::borrow::Cow;

use thiserror::Error;

/// One option that a plugin declares. The command line, its help and its completions are made from it.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The long name without dashes: `port`.
    pub long: &'static str,
    /// The short name: `p`.
    pub short: Option<char>,
    /// What the value is called in the help; none for a switch.
    pub value: Option<&'static str>,
    /// May be given more than once.
    pub repeatable: bool,
    /// One line for the help.
    pub help: &'static str,
    /// The default as the help shows it.
    pub default: Option<&'static str>,
}

impl OptionSpec {
    /// Only exchanges that took long: `--slow MS`, read by [`Options::milliseconds`].
    pub const SLOW: Self = Self {
        long: "slow",
        short: None,
        value: Some("MS"),
        repeatable: false,
        help: "Only exchanges that took at least so many milliseconds",
        default: None,
    };

    /// Only what went wrong: `--errors`.
    pub const ERRORS: Self = Self {
        long: "errors",
        short: None,
        value: None,
        repeatable: false,
        help: "Only what the server answered with an error",
        default: None,
    };

    /// The server's port: `-p`, `--port`, read by [`Options::ports`].
    #[must_use]
    pub const fn port(default: &'static str) -> Self {
        Self {
            long: "port",
            short: Some('p'),
            value: Some("PORT"),
            repeatable: true,
            help: "The server's port",
            default: Some(default),
        }
    }
}

/// The values given to one plugin, in the order of the command line; a switch has an empty value.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: Vec<(String, String)>,
}

impl Options {
    /// Adds a value of the option with the long name `name`.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.push((name.into(), value.into()));
    }

    /// All values of an option.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The last value of an option.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether a switch was given.
    #[must_use]
    pub fn switch(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// All pairs of name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The last value of an option in milliseconds, up to a day, as nanoseconds.
    ///
    /// # Errors
    /// A value that is no such number.
    pub fn milliseconds(&self, name: &'static str) -> Result<Option<u64>, OptionError> {
        let Some(value) = self.last(name) else { return Ok(None) };
        let milliseconds = value.parse::<f64>().ok().filter(|ms| (0.0..=86_400_000.0).contains(ms));
        let duration = milliseconds.map(|ms| core::time::Duration::from_secs_f64(ms / 1e3));
        duration
            .and_then(|d| u64::try_from(d.as_nanos()).ok())
            .map(Some)
            .ok_or_else(|| OptionError::new(name, value, "a number of milliseconds, such as 100 or 0.5"))
    }

    /// The values of `--port`, or `default` when none was given.
    ///
    /// # Errors
    /// A value that is not a port from 1 to 65535.
    pub fn ports(&self, default: &[u16]) -> Result<Vec<u16>, OptionError> {
        let mut ports = Vec::new();
        for value in self.all("port") {
            match value.parse::<u16>() {
                Ok(port) if port > 0 => ports.push(port),
                _ => return Err(OptionError::new("port", value, "a port from 1 to 65535")),
            }
        }
        if ports.is_empty() {
            ports.extend_from_slice(default);
        }
        Ok(ports)
    }
}

/// The rule of a TCP plugin with these server ports: `tcp and (port 3306 or port 3307)`; without ports all of TCP.
#[must_use]
pub fn port_rule(ports: &[u16]) -> String {
    match ports {
        [] => "tcp".to_owned(),
        [port] => format!("tcp and port {port}"),
        ports => {
            let ports: Vec<_> = ports.iter().map(|p| format!("port {p}")).collect();
            format!("tcp and ({})", ports.join(" or "))
        }
    }
}

/// A plugin's option has a value that it can't use.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("--{option}: '{value}' is not {expected}")]
pub struct OptionError {
    /// The option's long name.
    pub option: &'static str,
    /// What was given.
    pub value: String,
    /// What would have been right: `a port from 1 to 65535`.
    pub expected: Cow<'static, str>,
}

impl OptionError {
    /// An error for `--option value`, where `expected` would have been right.
    #[must_use]
    pub fn new(
        option: &'static str,
        value: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { option, value: value.into(), expected: expected.into() }
    }
}

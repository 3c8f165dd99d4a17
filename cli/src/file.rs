//! The configuration file of `--config`: TOML whose names are those of the options. What stands on the command line wins. SIGHUP has it read
//! again (`reload`).
//!
//! ```toml
//! plugin = "mysql"              # or ["mysql", "redis"]
//! iface = ["eth0", "eth1"]
//! format = "json"
//! no-promiscuous = true
//!
//! [mysql]                       # options of a plugin
//! port = [3306, 3307]
//! slow = 100
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use sniff_x_proto::About;
use toml::{Table, Value};

use crate::failure::Failure;
use crate::options::is_of_plugin;
use crate::values::nearest;

/// Options that are questions to the program, or would lead to another file.
const NOT_IN_FILE: [&str; 8] = ["config", "help", "list", "env", "ver", "dev", "man", "completions"];

/// Options of which one on the command line puts the other in the file out of force.
const EITHER: [(&str, &str); 2] = [("iface", "read"), ("quiet", "verbose")];

/// A configuration file.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    table: Table,
}

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("--config {}: {error}", path.display())))?;
        let table = text
            .parse::<Table>()
            .map_err(|error| Failure::Usage(format!("--config {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), table })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// PLUGIN as the command line would have it: `mysql,redis`.
    pub(crate) fn plugins(&self) -> Result<Option<String>, Failure> {
        let Some(value) = self.table.get("plugin") else { return Ok(None) };
        Ok(Some(self.texts("plugin", value, true)?.join(",")))
    }

    /// The folders in which external plugins lie.
    pub(crate) fn plugin_dirs(&self) -> Result<Vec<PathBuf>, Failure> {
        let Some(value) = self.table.get("plugin-dir") else { return Ok(Vec::new()) };
        Ok(self.texts("plugin-dir", value, true)?.into_iter().map(PathBuf::from).collect())
    }

    /// The arguments that the file stands for: those that `given`, the matches of the command line alone, does not have. `command` is the whole
    /// definition, `plugins` are those that were chosen, and `known` the names of all there are.
    pub(crate) fn arguments(
        &self,
        command: &Command,
        given: &ArgMatches,
        plugins: &[&About],
        known: &[&str],
    ) -> Result<Vec<OsString>, Failure> {
        let mut arguments = Vec::new();
        let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
        for (name, value) in &self.table {
            if let Value::Table(options) = value {
                let Some(about) = plugins.iter().find(|about| about.name == name) else {
                    if known.contains(&name.as_str()) {
                        // The options of a plugin that is not used this time.
                        continue;
                    }
                    return Err(self.unknown("plugin", name, known.iter().copied()));
                };
                for (long, value) in options {
                    let Some(spec) = about.options.iter().find(|spec| spec.long == long) else {
                        return Err(self.unknown(
                            &format!("option of {name}"),
                            long,
                            about.options.iter().map(|spec| spec.long),
                        ));
                    };
                    let id = format!("{name}.{}", spec.long);
                    let arg = command.get_arguments().find(|arg| arg.get_id() == id.as_str());
                    if let Some(arg) = arg.filter(|_| !is_given(&id)) {
                        self.put(&id, arg, value, &mut arguments)?;
                    }
                }
                continue;
            }
            if name == "plugin" {
                continue;
            }
            let may_stand_here = |arg: &&Arg| {
                arg.get_help_heading().is_some()
                    && !is_of_plugin(arg)
                    && !NOT_IN_FILE.contains(&arg.get_id().as_str())
            };
            let own = || command.get_arguments().filter(may_stand_here);
            let Some(arg) = own().find(|arg| arg.get_long() == Some(name)) else {
                return Err(self.unknown("option", name, own().filter_map(Arg::get_long)));
            };
            let other = EITHER.iter().find_map(|(one, other)| match name.as_str() {
                n if n == *one => Some(*other),
                n if n == *other => Some(*one),
                _ => None,
            });
            if !is_given(name) && !other.is_some_and(is_given) {
                self.put(name, arg, value, &mut arguments)?;
            }
        }
        Ok(arguments)
    }

    /// Appends what one option in the file stands for.
    fn put(&self, long: &str, arg: &Arg, value: &Value, to: &mut Vec<OsString>) -> Result<(), Failure> {
        match (arg.get_action(), value) {
            (ArgAction::SetTrue | ArgAction::Count, Value::Boolean(on)) => {
                to.extend(on.then(|| format!("--{long}").into()));
            }
            (ArgAction::Count, Value::Integer(times @ 0..=9)) => {
                to.extend((0..*times).map(|_| format!("--{long}").into()));
            }
            (ArgAction::SetTrue | ArgAction::Count, _) => {
                return Err(self.wrong(long, "expected true or false"));
            }
            (action, value) => {
                let repeatable = matches!(action, ArgAction::Append);
                let texts = self.texts(long, value, repeatable)?;
                to.extend(texts.into_iter().map(|text| format!("--{long}={text}").into()));
            }
        }
        Ok(())
    }

    /// A value, or several where that is allowed, as the command line would have them.
    fn texts(&self, name: &str, value: &Value, several: bool) -> Result<Vec<String>, Failure> {
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Float(number) => Ok(number.to_string()),
            _ => Err(self.wrong(name, "expected a string or a number")),
        };
        match value {
            Value::Array(values) if several => values.iter().map(text).collect(),
            Value::Array(_) => Err(self.wrong(name, "expected one value, not a list")),
            value => Ok(vec![text(value)?]),
        }
    }

    fn wrong(&self, name: &str, what: &str) -> Failure {
        Failure::Usage(format!("--config {}: {name}: {what}", self.path.display()))
    }

    fn unknown<'a>(&self, what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Failure {
        let near = nearest(name, names).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        Failure::Usage(format!("--config {}: no {what} '{name}'{near}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::with_plugins;

    /// The arguments that `file` adds to the command line.
    fn merged(file: &str, line: &str) -> Result<Vec<String>, String> {
        let mysql = sniff_x_proto::builtin("mysql").unwrap();
        let file = ConfigFile { path: "x.toml".into(), table: file.parse().unwrap() };
        let command = with_plugins(&[mysql.about()]);
        let given = command.clone().try_get_matches_from(line.split(' ')).unwrap();
        let known: Vec<_> = sniff_x_proto::names().collect();
        let arguments = file.arguments(&command, &given, &[mysql.about()], &known);
        match arguments {
            Ok(arguments) => {
                // The whole must be understood.
                let all = line.split(' ').map(OsString::from).chain(arguments.clone());
                command.clone().try_get_matches_from(all).map_err(|e| e.to_string())?;
                Ok(arguments.into_iter().map(|a| a.into_string().unwrap()).collect())
            }
            Err(Failure::Usage(message)) => Err(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    const FILE: &str = "plugin = 'mysql'\niface = ['eth0', 'eth1']\nformat = 'json'\nno-promiscuous = true\nquiet = false\nduration = 1.5\n\
        [mysql]\nport = [3306, 3307]\nerrors = true\n[redis]\nport = 1";

    #[test]
    fn what_the_file_says_is_added() {
        let mut arguments = merged(FILE, "sniff-x mysql").unwrap();
        arguments.sort();
        let expected = [
            "--duration=1.5",
            "--format=json",
            "--iface=eth0",
            "--iface=eth1",
            "--mysql.errors",
            "--mysql.port=3306",
            "--mysql.port=3307",
            "--no-promiscuous",
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn the_command_line_wins() {
        let arguments = merged(FILE, "sniff-x --read x.pcap --format text mysql -p 5 --errors").unwrap();
        assert_eq!(arguments, ["--duration=1.5", "--no-promiscuous"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (file, message) in [
            ("fromat = 'json'", "--config x.toml: no option 'fromat'; did you mean 'format'?"),
            ("help = true", "--config x.toml: no option 'help'"),
            ("port = 3307", "--config x.toml: no option 'port'"),
            ("[mysql]\nprot = 1", "--config x.toml: no option of mysql 'prot'; did you mean 'port'?"),
            ("[mysqk]\nport = 1", "--config x.toml: no plugin 'mysqk'; did you mean 'mysql'?"),
            ("format = ['json']", "--config x.toml: format: expected one value, not a list"),
            ("no-promiscuous = 'yes'", "--config x.toml: no-promiscuous: expected true or false"),
            ("iface = [true]", "--config x.toml: iface: expected a string or a number"),
        ] {
            let error = merged(file, "sniff-x mysql").unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}

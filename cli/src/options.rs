//! Plugins' options on the command line: `--port`, or `--mysql.port` where several plugins have a port.

use clap::{Arg, ArgAction, ArgMatches, Command};
use sniff_x_proto::{About, OptionSpec, Options};

use crate::args;
use crate::failure::Failure;

/// Options of plugins that stay as they are while a run goes on: where files are written.
pub(crate) const FIXED: [&str; 1] = ["tcp.dump"];

/// What stands over a plugin's options in the help, before its name.
const HEADING: &str = "Options of ";

/// Whether it is an option of a plugin.
pub(crate) fn is_of_plugin(arg: &Arg) -> bool {
    arg.get_help_heading().is_some_and(|heading| heading.starts_with(HEADING))
}

/// sniff-x's command line with the options of `plugins`, each also under its plugin's name.
pub(crate) fn with_plugins(plugins: &[&About]) -> Command {
    let mut args = Vec::new();
    let mut ambiguous: Vec<&str> = Vec::new();
    for about in plugins {
        for spec in about.options {
            let long_is_shared = declaring(plugins, |s| s.long == spec.long).count() > 1;
            let short_is_shared = declaring(plugins, |s| s.short == spec.short).count() > 1;
            let qualified = qualified(about, spec);
            let mut arg = declared(about, spec);
            if long_is_shared {
                arg = arg.long(qualified);
                if !ambiguous.contains(&spec.long) {
                    ambiguous.push(spec.long);
                    args.push(ambiguous_option(spec, short_is_shared));
                }
            } else {
                arg = arg.long(spec.long).alias(qualified);
            }
            if let Some(short) = spec.short.filter(|_| !short_is_shared) {
                arg = arg.short(short);
            }
            args.push(arg);
        }
    }
    let command = args::with_first(args);
    if plugins.is_empty() {
        return command;
    }
    let about = plugins.iter().map(|about| format!("{} {}: {}", about.name, about.version, about.summary));
    command.before_help(about.collect::<Vec<_>>().join("\n"))
}

/// sniff-x's command line with the options of all `plugins` under their full names, for the man page and completions.
pub(crate) fn with_all_plugins(plugins: &[&About]) -> Command {
    let options = plugins.iter().flat_map(|about| about.options.iter().map(|spec| (*about, spec)));
    let args = options.map(|(about, spec)| declared(about, spec).long(qualified(about, spec)));
    args::with_first(args.collect())
}

/// The option, still without a name on the command line.
fn declared(about: &About, spec: &OptionSpec) -> Arg {
    let help = match spec.default {
        Some(default) => format!("{} [default: {default}]", spec.help),
        None => spec.help.to_owned(),
    };
    let action = match (spec.value, spec.repeatable) {
        (Some(_), true) => ArgAction::Append,
        (Some(_), false) => ArgAction::Set,
        (None, true) => ArgAction::Count,
        (None, false) => ArgAction::SetTrue,
    };
    let arg = Arg::new(qualified(about, spec)).help(help).action(action);
    let arg = arg.help_heading(format!("{HEADING}{}", about.name));
    match spec.value {
        Some(name) => arg.value_name(name),
        None => arg,
    }
}

/// Stands for a name that several of the plugins have: whoever uses it is told how to say which.
fn ambiguous_option(spec: &OptionSpec, short: bool) -> Arg {
    let arg =
        Arg::new(format!("ambiguous.{}", spec.long)).long(spec.long).hide(true).action(ArgAction::Append);
    // Anything may follow; the use alone is wrong.
    let arg = arg.num_args(0..=1).default_missing_value("");
    match spec.short.filter(|_| short) {
        Some(short) => arg.short(short),
        None => arg,
    }
}

/// The options that were given to one of `plugins`. Of a run that `started` with others: those that can't change since are as they were.
pub(crate) fn given(
    matches: &ArgMatches,
    started: Option<&ArgMatches>,
    plugins: &[&About],
    about: &About,
) -> Result<Options, Failure> {
    let mut options = Options::default();
    for spec in about.options {
        let ambiguous = format!("ambiguous.{}", spec.long);
        if matches.try_contains_id(&ambiguous).unwrap_or(false) {
            return Err(Failure::Usage(ambiguity(plugins, spec)));
        }
        let id = qualified(about, spec);
        let matches = started.filter(|_| FIXED.contains(&id.as_str())).unwrap_or(matches);
        if spec.value.is_some() {
            for value in matches.get_many::<String>(&id).into_iter().flatten() {
                options.push(spec.long, value);
            }
        } else {
            let times =
                if spec.repeatable { matches.get_count(&id) } else { u8::from(matches.get_flag(&id)) };
            (0..times).for_each(|_| options.push(spec.long, ""));
        }
    }
    Ok(options)
}

fn ambiguity(plugins: &[&About], spec: &OptionSpec) -> String {
    let names = declaring(plugins, |s| s.long == spec.long);
    let (names, ways): (Vec<_>, Vec<_>) =
        names.map(|(about, spec)| (about.name, format!("--{}", qualified(about, spec)))).unzip();
    format!("'--{}' is an option of {}: write {}", spec.long, names.join(" and "), ways.join(" or "))
}

fn declaring<'a>(
    plugins: &'a [&'a About],
    is_meant: impl Fn(&OptionSpec) -> bool + 'a,
) -> impl Iterator<Item = (&'a About, &'a OptionSpec)> {
    let pairs = plugins.iter().flat_map(|about| about.options.iter().map(|spec| (*about, spec)));
    pairs.filter(move |(_, spec)| is_meant(spec))
}

fn qualified(about: &About, spec: &OptionSpec) -> String {
    format!("{}.{}", about.name, spec.long)
}

/// A plugin's options as a list, for messages about wrong ones.
pub(crate) fn listed(about: &About) -> String {
    let mut text = if about.options.is_empty() {
        format!("{} has no options.", about.name)
    } else {
        format!("Options of {}:", about.name)
    };
    for spec in about.options {
        let short = spec.short.map_or_else(|| "    ".to_owned(), |s| format!("-{s}, "));
        let value = spec.value.map_or_else(String::new, |v| format!(" <{v}>"));
        let default = spec.default.map_or_else(String::new, |d| format!(" [default: {d}]"));
        text += &format!("\n  {:<26} {}{default}", format!("{short}--{}{value}", spec.long), spec.help);
    }
    text
}

/// The name of an option of `about` that sniff-x has, too.
pub(crate) fn clash(own: &Command, about: &About) -> Option<String> {
    about.options.iter().find_map(|spec| {
        let long = |arg: &&Arg| {
            arg.get_long() == Some(spec.long) || arg.get_all_aliases().is_some_and(|a| a.contains(&spec.long))
        };
        if own.get_arguments().any(|arg| long(&arg)) {
            return Some(format!("--{}", spec.long));
        }
        let short = spec.short?;
        let taken = own.get_arguments().any(|arg| arg.get_short() == Some(short));
        taken.then(|| format!("-{short}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::own;
    use sniff_x_proto::OpensAt;

    const fn option(long: &'static str, short: Option<char>, value: Option<&'static str>) -> OptionSpec {
        OptionSpec { long, short, value, repeatable: true, help: "help", default: None }
    }

    const fn plugin(name: &'static str, options: &'static [OptionSpec]) -> About {
        About { name, version: "1", summary: "", options, keys: &[], opens_at: OpensAt::FirstPayload }
    }

    const ONE: About =
        plugin("one", &[option("port", Some('p'), Some("PORT")), option("deep", Some('d'), None)]);
    const TWO: About =
        plugin("two", &[option("port", Some('p'), Some("PORT")), option("dir", None, Some("DIR"))]);

    fn values(plugins: &[&About], about: &About, line: &str) -> Result<Vec<(String, String)>, Failure> {
        let command = with_plugins(plugins);
        command.clone().debug_assert();
        let matches = command
            .try_get_matches_from(line.split(' '))
            .map_err(|e| Failure::Clap { error: Box::new(e), more: String::new() })?;
        let given = given(&matches, None, plugins, about)?;
        Ok(given.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// design.md §9: a name that is both sniff-x's and a plugin's.
    #[test]
    fn no_builtin_plugin_takes_a_name_of_sniff_x() {
        for name in sniff_x_proto::names() {
            let plugin = sniff_x_proto::builtin(name).unwrap();
            assert_eq!(clash(&own(), plugin.about()), None, "{name}");
        }
        const READ: About = plugin("bad", &[option("read", None, None)]);
        const SHORT: About = plugin("bad", &[option("other", Some('i'), None)]);
        const ALIAS: About = plugin("bad", &[option("version", None, None)]);
        assert_eq!(clash(&own(), &READ), Some("--read".into()));
        assert_eq!(clash(&own(), &SHORT), Some("-i".into()));
        assert_eq!(clash(&own(), &ALIAS), Some("--version".into()));
    }

    #[test]
    fn one_plugin_has_its_names_for_itself() {
        let expected = vec![pair("port", "1"), pair("port", "2"), pair("port", "3"), pair("deep", "")];
        assert_eq!(values(&[&ONE], &ONE, "sniff-x one -p 1 --port 2 --one.port=3 -d -v").unwrap(), expected);
        assert!(matches!(values(&[&ONE], &ONE, "sniff-x one --dir x"), Err(Failure::Clap { .. })));
    }

    #[test]
    fn several_plugins_need_full_names_where_they_meet() {
        let (both, line) = ([&ONE, &TWO], "sniff-x one,two --one.port 1 --two.port 2 -d --dir x");
        assert_eq!(values(&both, &ONE, line).unwrap(), [pair("port", "1"), pair("deep", "")]);
        assert_eq!(values(&both, &TWO, line).unwrap(), [pair("port", "2"), pair("dir", "x")]);
        for line in ["sniff-x one,two --port 1", "sniff-x one,two -p 1", "sniff-x one,two --port"] {
            let Err(Failure::Usage(message)) = values(&both, &ONE, line) else { panic!("{line}") };
            assert_eq!(message, "'--port' is an option of one and two: write --one.port or --two.port");
        }
    }

    #[test]
    fn all_at_once_for_the_man_page() {
        with_all_plugins(&[&ONE, &TWO]).debug_assert();
    }
}

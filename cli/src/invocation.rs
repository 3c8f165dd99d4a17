//! Arguments and the file of `--config` → what was asked for: matched options, and the plugins that are named.
//!
//! It is done at the start, and again whenever the file is read again; then PLUGIN and the plugin path stay those of the start.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind as Wrong};
use clap::{ArgMatches, Command};
use sniff_x_engine::Chosen;
use sniff_x_plugin::PluginPath;
use sniff_x_proto::About;
use sniff_x_proto::event::KeyTable;

use crate::catalog::{Catalog, abouts_of};
use crate::failure::Failure;
use crate::file::ConfigFile;
use crate::scan::scan;
use crate::{args, options};

/// What was asked for.
pub(crate) struct Invocation {
    /// The definition of all options that there are.
    pub(crate) command: Command,
    /// The options that were given.
    pub(crate) matches: ArgMatches,
    /// The plugins that are named, not yet configured.
    pub(crate) plugins: Vec<Chosen>,
    /// All plugins.
    pub(crate) catalog: Catalog,
    /// The file of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// What PLUGIN and the plugin path are.
    pub(crate) fixed: Fixed,
}

/// What stays as it is while a run goes on, even if the file says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// PLUGIN as it was written: `mysql,redis`.
    named: Option<String>,
    /// The folders of `--plugin-dir`.
    folders: Vec<PathBuf>,
}

impl Invocation {
    /// Reads the arguments (with the program's name), and the file if they name one.
    pub(crate) fn new(arguments: &[OsString]) -> Result<Self, Failure> {
        let first_look = scan(&args::own(), arguments.get(1..).unwrap_or_default());
        let file = first_look.config.as_deref().map(ConfigFile::read).transpose()?;
        let fixed = Fixed::of(arguments, file.as_ref())?;
        Self::with(arguments, file.as_ref(), fixed, KeyTable::default())
    }

    /// Reads both again, for a run with these plugins and these keys. `stays` is told which of its choices the file has otherwise.
    pub(crate) fn again(
        arguments: &[OsString],
        fixed: &Fixed,
        keys: KeyTable,
        stays: &mut dyn FnMut(&str, String),
    ) -> Result<Self, Failure> {
        let first_look = scan(&args::own(), arguments.get(1..).unwrap_or_default());
        let file = first_look.config.as_deref().map(ConfigFile::read).transpose()?;
        let now = Fixed::of(arguments, file.as_ref())?;
        if now.named != fixed.named {
            stays("PLUGIN", fixed.named.clone().unwrap_or_default());
        }
        if now.folders != fixed.folders {
            let folders = fixed.folders.iter().map(|folder| folder.display().to_string());
            stays("--plugin-dir", folders.collect::<Vec<_>>().join(", "));
        }
        Self::with(arguments, file.as_ref(), fixed.clone(), keys)
    }

    fn with(
        arguments: &[OsString],
        file: Option<&ConfigFile>,
        fixed: Fixed,
        keys: KeyTable,
    ) -> Result<Self, Failure> {
        let mut arguments = arguments.to_vec();
        if let (Some(named), None) =
            (&fixed.named, scan(&args::own(), arguments.get(1..).unwrap_or_default()).plugins)
        {
            arguments.insert(1.min(arguments.len()), named.into());
        }
        let mut catalog = Catalog::new(args::own(), PluginPath::from_environment(&fixed.folders));
        catalog.keys = keys;
        let plugins = match &fixed.named {
            Some(named) => catalog.choose(named)?,
            None => Vec::new(),
        };
        let command = options::with_plugins(&abouts_of(&plugins));
        let parse = |arguments: &[OsString]| {
            command.clone().try_get_matches_from(arguments).map_err(|e| wrong(e, &abouts_of(&plugins)))
        };
        let mut matches = parse(&arguments)?;
        if let Some(file) = file {
            arguments.extend(file.arguments(&command, &matches, &abouts_of(&plugins), &catalog.names())?);
            matches = parse(&arguments)?;
        }
        let file = file.map(|file| file.path().to_owned());
        Ok(Self { command, matches, plugins, catalog, file, fixed })
    }
}

impl Fixed {
    fn of(arguments: &[OsString], file: Option<&ConfigFile>) -> Result<Self, Failure> {
        let first_look = scan(&args::own(), arguments.get(1..).unwrap_or_default());
        let (mut named, mut folders) = (first_look.plugins, first_look.plugin_dirs);
        if let Some(file) = file {
            folders.extend(file.plugin_dirs()?);
            if named.is_none() {
                named = file.plugins()?;
            }
        }
        Ok(Self { named, folders })
    }
}

/// clap's error with what it can't know: the options of the plugins.
fn wrong(mut error: clap::Error, plugins: &[&About]) -> Failure {
    // "To pass it as a value, use --": no plugin has a name with a dash in front.
    error.remove(ContextKind::Suggested);
    let more = match error.kind() {
        Wrong::UnknownArgument if plugins.is_empty() => {
            "Options of a plugin stand behind its name: sniff-x --iface eth0 mysql -p 3307".into()
        }
        Wrong::UnknownArgument => {
            plugins.iter().map(|about| options::listed(about)).collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    };
    Failure::Clap { error: Box::new(error), more }
}

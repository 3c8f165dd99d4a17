//! The plugins that there are, and those that the command line names.

use clap::Command;
use sniff_x_engine::Chosen;
use sniff_x_plugin::PluginPath;
use sniff_x_proto::event::KeyTable;
use sniff_x_proto::{About, Plugin};

use crate::failure::Failure;
use crate::options;
use crate::values::nearest;

/// The word that names every protocol at once.
pub(crate) const ALL: &str = "all";
/// The word for every protocol on whatever ports.
pub(crate) const AUTO: &str = "auto";
/// Not part of `all` and `auto`: it takes any stream.
pub(crate) const NOT_IN_ALL: &str = "tcp";

/// All plugins, built in and external. External ones are loaded at the first need, and only then.
pub(crate) struct Catalog {
    own: Command,
    path: PluginPath,
    external: Option<Vec<External>>,
    /// Why folders or libraries could not be used.
    pub(crate) problems: Vec<String>,
    /// The keys of all plugins that were loaded.
    pub(crate) keys: KeyTable,
}

/// A plugin from a shared library.
pub(crate) struct External {
    /// The plugin.
    pub(crate) plugin: Box<dyn Plugin>,
    /// Its library.
    pub(crate) library: std::path::PathBuf,
}

impl Catalog {
    /// The catalog with the external plugins of `path`; none may have an option of `own`.
    pub(crate) fn new(own: Command, path: PluginPath) -> Self {
        Self { own, path, external: None, problems: Vec::new(), keys: KeyTable::default() }
    }

    pub(crate) fn path(&self) -> &PluginPath {
        &self.path
    }

    /// The external plugins.
    pub(crate) fn external(&mut self) -> &mut Vec<External> {
        if self.external.is_none() {
            let loaded = self.load();
            self.external = Some(loaded);
        }
        self.external.get_or_insert_default()
    }

    fn load(&mut self) -> Vec<External> {
        let (libraries, errors) = self.path.libraries();
        self.problems.extend(errors.iter().map(ToString::to_string));
        let mut external: Vec<External> = Vec::new();
        for library in libraries {
            match sniff_x_plugin::load(&library, &mut self.keys) {
                Ok(plugin) => match self.objection(plugin.about(), &external) {
                    Some(objection) => self.problems.push(format!("{}: {objection}", library.display())),
                    None => external.push(External { plugin, library }),
                },
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        external
    }

    /// Why a plugin can't stand beside those that are there already.
    fn objection(&self, about: &About, loaded: &[External]) -> Option<String> {
        let name = about.name;
        if [ALL, AUTO].contains(&name) {
            return Some(format!("'{name}' is the word for several plugins"));
        }
        if sniff_x_proto::names().any(|n| n == name) {
            return Some(format!("a plugin '{name}' is built in"));
        }
        if let Some(first) = loaded.iter().find(|e| e.plugin.about().name == name) {
            return Some(format!("the plugin '{name}' is already loaded from {}", first.library.display()));
        }
        let clash = options::clash(&self.own, about)?;
        Some(format!("the plugin '{name}' has the option {clash}, which is sniff-x's own"))
    }

    /// The plugins that `named` (`mysql,redis`) asks for, not yet configured, each once.
    pub(crate) fn choose(&mut self, named: &str) -> Result<Vec<Chosen>, Failure> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for name in named.split(',').map(str::trim) {
            match name {
                ALL | AUTO => {
                    // An external plugin that was chosen is not in the catalog any more.
                    for twice in chosen.iter_mut().filter(|c| c.plugin.about().name != NOT_IN_ALL) {
                        more_flows(twice, name == AUTO);
                    }
                    for plugin in self.decoders() {
                        choose(&mut chosen, plugin, name == AUTO);
                    }
                }
                name => match chosen.iter_mut().find(|c| c.plugin.about().name == name) {
                    Some(twice) => more_flows(twice, false),
                    None => choose(&mut chosen, self.take(name)?, false),
                },
            }
        }
        Ok(chosen)
    }

    /// Every decoder, but for the one that takes any stream.
    fn decoders(&mut self) -> Vec<Box<dyn Plugin>> {
        let builtin = sniff_x_proto::names().filter(|n| *n != NOT_IN_ALL);
        let mut all = builtin.filter_map(sniff_x_proto::builtin).collect::<Vec<_>>();
        all.extend(self.external().drain(..).map(|e| e.plugin));
        all
    }

    fn take(&mut self, name: &str) -> Result<Box<dyn Plugin>, Failure> {
        if let Some(plugin) = sniff_x_proto::builtin(name) {
            return Ok(plugin);
        }
        let external = self.external();
        if let Some(at) = external.iter().position(|e| e.plugin.about().name == name) {
            return Ok(external.swap_remove(at).plugin);
        }
        Err(Failure::Usage(self.unknown(name)))
    }

    /// The names of all plugins.
    pub(crate) fn names(&mut self) -> Vec<&'static str> {
        let external = self.external().iter().map(|e| e.plugin.about().name);
        sniff_x_proto::names().chain(external).collect()
    }

    fn unknown(&mut self, name: &str) -> String {
        let mut names = self.names();
        names.extend([ALL, AUTO]);
        let mut message = format!("no plugin '{name}'");
        if let Some(near) = nearest(name, names.iter().copied()) {
            message += &format!("; did you mean '{near}'?");
        }
        message += &format!("\nPlugins: {}", names.join(", "));
        for problem in &self.problems {
            message += &format!("\n{problem}");
        }
        message
    }
}

/// Adds a plugin; one that is there already gets more flows instead: those of its rule, or any that it knows (`auto`).
fn choose(chosen: &mut Vec<Chosen>, plugin: Box<dyn Plugin>, auto: bool) {
    match chosen.iter_mut().find(|c| c.plugin.about().name == plugin.about().name) {
        Some(twice) => more_flows(twice, auto),
        None => chosen.push(Chosen { plugin, by_rule: !auto, by_probe: auto }),
    }
}

/// The flows of its rule, or any that it knows (`auto`).
fn more_flows(chosen: &mut Chosen, auto: bool) {
    chosen.by_rule |= !auto;
    chosen.by_probe |= auto;
}

/// A new instance of every built-in plugin.
pub(crate) fn builtin() -> Vec<Box<dyn Plugin>> {
    sniff_x_proto::names().filter_map(sniff_x_proto::builtin).collect()
}

/// What the plugins say of themselves.
pub(crate) fn abouts(plugins: &[Box<dyn Plugin>]) -> Vec<&About> {
    plugins.iter().map(|plugin| plugin.about()).collect()
}

/// What the chosen plugins say of themselves.
pub(crate) fn abouts_of(chosen: &[Chosen]) -> Vec<&About> {
    chosen.iter().map(|chosen| chosen.plugin.about()).collect()
}

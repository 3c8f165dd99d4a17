//! The one list of built-in protocols: a protocol is added by its folder and its line here.

use crate::Plugin;

type Make = fn() -> Box<dyn Plugin>;

const BUILTIN: &[(&str, Make)] = &[
    ("mysql", || Box::<crate::mysql::Mysql>::default()),
    ("redis", || Box::<crate::redis::Redis>::default()),
    ("http", || Box::<crate::http::Http>::default()),
    ("tcp", || Box::<crate::tcp::Tcp>::default()),
];

/// The names of the built-in plugins, in the order in which `--list` shows them.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// A new, unconfigured plugin by its name.
#[must_use]
pub fn builtin(name: &str) -> Option<Box<dyn Plugin>> {
    BUILTIN.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
}

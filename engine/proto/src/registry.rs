//! The one list of built-in protocols: a protocol is added by its folder and its line in [`protocols!`](crate::protocols).
//!
//! Whatever has to know all protocols passes a macro of its own to the list: the crate's modules, [`Decoder`](crate::Decoder), the functions
//! below, the tests and fuzz targets that every protocol must have.

use crate::Plugin;

/// Passes the list of built-in protocols to the macro named `then`: module, plugin and decoder of each, in the order in which `--list` shows
/// them. The plugin's name on the command line is the module's.
///
/// (Rustfmt does not look for modules in macros: `cargo xtask fmt` formats them, too.)
#[macro_export]
macro_rules! protocols {
    ($then:ident) => {
        $then! {
            mysql: Mysql, MysqlDecoder;
            redis: Redis, RedisDecoder;
            http: Http, HttpDecoder;
            tcp: Tcp, TcpDecoder;
        }
    };
}

type Make = fn() -> Box<dyn Plugin>;

macro_rules! list {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        const BUILTIN: &[(&str, Make)] =
            &[$((stringify!($module), || Box::<crate::$module::$plugin>::default())),+];
    };
}
protocols!(list);

/// The names of the built-in plugins, in the order in which `--list` shows them.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// A new, unconfigured plugin by its name.
#[must_use]
pub fn builtin(name: &str) -> Option<Box<dyn Plugin>> {
    BUILTIN.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_have_the_names_of_their_modules() {
        for name in names() {
            assert_eq!(builtin(name).unwrap().about().name, name);
        }
    }
}

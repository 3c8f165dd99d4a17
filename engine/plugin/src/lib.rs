//! External plugins: where they are looked for, the C interface, and loading them.
//!
//! A shared library in a folder of the [`PluginPath`] that exports what `include/sniff_x_plugin.h` says is a plugin like those that are
//! built in: [`load`] makes a [`sniff_x_proto::Plugin`] of it. `unsafe` is needed to call foreign code; each use says what
//! promise of the header it rests on.
#![expect(unsafe_code, reason = "foreign functions are called and read from")]

mod abi;
mod decoder;
mod load;
mod out;
mod path;

pub use load::{LoadError, load};
pub use path::{Folder, Origin, PathError, PluginPath};

#[cfg(test)]
mod tests;

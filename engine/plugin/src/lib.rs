//! External plugins: where they are looked for, and loading them.

mod path;

pub use path::{Folder, Origin, PathError, PluginPath};

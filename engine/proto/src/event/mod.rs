//! The event record: what a plugin reports and a sink prints or ships.
//!
//! A decoder writes typed records into its worker's [`Arena`] through [`out::Out`]; sinks read them from there. There is no
//! value tree in between, and text is copied once, from the wire (or a decoder's buffer) into the arena.

mod arena;
mod key;
pub mod out;
pub(crate) mod redact;

pub(crate) use arena::Mark;
pub use arena::{Arena, Content, Event, Head, IncompleteReason, Kind, Piece, Status, Suffix, ValueRef};
pub use key::{Key, KeyInfo, KeyTable, SCHEMA_VERSION, ValueType};
pub use redact::{Dialect, Language, Sensitivity, Sql};

//! Stage: bytes in order → message → event.
//!
//! The plugin interface ([`Plugin`], [`Decode`]), the host that feeds a decoder ([`host`]), the event record ([`event`])
//! and the built-in protocols with their registry. Pure: no I/O, no threads, no clock; time is the frame's timestamp.
#![forbid(unsafe_code)]

#[macro_use]
mod registry;

macro_rules! modules {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        $(pub mod $module;)+
    };
}
protocols!(modules);

pub mod event;
pub mod host;
pub mod replay;

mod decode;
mod half;
mod inflate;
mod options;
mod pending;
mod plugin;
mod proxied;
mod stock;
mod tail;
mod texts;
mod turns;
mod window;

pub use decode::{BypassReason, Decode, Decoder, Lost, Next};
pub use event::out::{EventBuilder, Out};
pub use event::{Dialect, Language, Sensitivity, Sql};
pub use options::{OptionError, OptionSpec, Options, port_rule};
pub use plugin::{About, OpensAt, Plugin, Probe};
pub use proxied::ProxiedClient;
pub use registry::{builtin, names};
pub use window::{Seen, Window};

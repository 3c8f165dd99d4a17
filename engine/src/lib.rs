//! The engine: puts sources, filters, assemblers, plugins and sinks together and runs them.
//!
//! In goes a checked [`Config`]; out come events on the configured output and a [`Summary`] of all counters.
#![forbid(unsafe_code)]

pub mod config;
pub mod pipeline;
pub mod sink;

pub use config::{Backend, Chosen, Config, Control, Format, Input, Limits, Output};
pub use pipeline::{Change, EngineError, Summary, Switch, run};

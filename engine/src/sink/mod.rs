//! Stage: event → output. Text and JSON are written from the event record, with no value tree in between; frames go to pcapng.

mod address;
pub(crate) mod dump;
pub mod json;
pub(crate) mod pcapng;
#[cfg(test)]
mod sample;
pub mod text;
pub mod time;

//! Stage: event → output. Text and JSON are written from the event record, with no value tree in between; frames go to pcapng.

mod address;
pub(crate) mod dump;
pub mod groups;
mod human;
pub mod json;
pub(crate) mod pcapng;
#[cfg(test)]
mod sample;
pub mod terminal;
pub mod text;
pub mod time;

use sniff_x_proto::event::{Arena, Event, KeyTable};

use crate::config::Format;
use groups::Groups;
use text::Text;

/// What a worker does with events.
pub(crate) enum Sink {
    /// Each is written.
    Lines(LineSink),
    /// They are counted.
    Groups(Groups),
}

/// How an event becomes text.
pub(crate) enum LineSink {
    Text(Box<Text>),
    Json,
}

impl Sink {
    /// One worker's.
    pub(crate) fn new(format: &Format) -> Self {
        match format {
            Format::Text(options) => Self::Lines(LineSink::Text(Box::new(Text::new(options.clone())))),
            Format::Json => Self::Lines(LineSink::Json),
            Format::Groups(options) => Self::Groups(Groups::new(options.by)),
        }
    }
}

impl LineSink {
    /// Some events are to be written.
    pub(crate) fn begin(&mut self) {
        if let Self::Text(text) = self {
            text.begin();
        }
    }

    /// Appends `event`, whose fields lie in `arena`.
    #[inline]
    pub(crate) fn write(&mut self, arena: &Arena, event: &Event, keys: &KeyTable, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => text.write(arena, event, keys, out),
            Self::Json => json::write(arena, event, keys, out),
        }
    }
}

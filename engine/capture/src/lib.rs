//! Stage: wire or file → frames.
//!
//! A [`Source`] lends batches of frames: a block of a TPACKET_V3 ring, a read buffer of a capture file. The bytes stay where the
//! kernel put them as long as a [`Lease`] on them is held. With the prefilter the kernel rejects what no rule asks for.

mod buffers;
mod bytes;
mod file;
mod lease;
#[cfg(target_os = "linux")]
pub mod prefilter;
pub mod source;

pub use file::open_file;
pub use lease::{Frames, Lease};
pub use source::{Batch, CaptureError, FilterLevel, Interface, Source, SourceCounters};

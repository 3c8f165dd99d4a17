//! Stage: wire or file → frames.
//!
//! A [`Source`] lends batches of frames: a block of a TPACKET_V3 ring, a read buffer of a capture file. The bytes stay where the
//! kernel put them as long as a [`Lease`] on them is held. With the prefilter the kernel rejects what no rule asks for.

#[cfg(target_os = "linux")]
mod afpacket;
mod buffers;
mod bytes;
mod devices;
mod fanout;
mod file;
#[cfg(all(target_os = "linux", feature = "generator"))]
pub mod generator;
mod lease;
#[cfg(feature = "libpcap")]
mod libpcap;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod prefilter;
pub mod source;

#[cfg(target_os = "linux")]
pub use afpacket::open_live;
pub use devices::{Device, devices};
pub use fanout::fanout_number;
pub use file::{open_file, open_file_again};
pub use lease::{Frames, Lease};
#[cfg(feature = "libpcap")]
pub use libpcap::open_libpcap;
pub use source::{
    Batch, CaptureError, FilterLevel, Interface, LiveOptions, RuleSwitch, Source, SourceCounters,
};

/// There is no AF_PACKET on this system.
///
/// # Errors
/// Always [`CaptureError::Config`].
#[cfg(not(target_os = "linux"))]
pub fn open_live(_: LiveOptions) -> Result<Vec<Box<dyn Source>>, CaptureError> {
    Err(CaptureError::Config("AF_PACKET is Linux's; here the libpcap backend captures".to_owned()))
}

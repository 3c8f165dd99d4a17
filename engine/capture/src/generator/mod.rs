//! What measures a capture: traffic on an interface as fast as the kernel takes it, and ring blocks that are replayed from memory.
//!
//! [`tx_ring`] sends over an interface as any program could; behind it all of the kernel's sending side is paid, too. [`live_frames`] puts
//! frames into the receiving side of an interface without anybody having sent them, which is the fastest way here: several times what a
//! program can send on one core. Both send the frames of a prepared trace in turn, over and over, so that nothing is made or copied for a frame that
//! was not there before. [`Recording`] is a capture ring without a kernel: what the reader can do where no generator is fast enough.

mod live_frames;
mod recording;
#[cfg(test)]
mod tests;
mod tx_ring;

use crate::CaptureError;

pub use live_frames::LiveFrames;
pub use recording::{Recorded, Recording};
pub use tx_ring::TxRing;

/// The longest frame that a generator sends, in bytes: Ethernet's with a VLAN tag, without its checksum.
pub const LONGEST: usize = 1518;

/// Bytes of a frame's place in a generator's memory.
const SLOT: usize = 2048;

/// Sends the frames of its trace in turn, over and over.
pub trait Generator: Send {
    /// Sends the next `count` frames, as fast as the kernel takes them; gives how many were sent.
    ///
    /// # Errors
    /// [`CaptureError::System`]: the kernel refused.
    fn send(&mut self, count: u32) -> Result<u32, CaptureError>;
}

/// Sends over an interface with PACKET_TX_RING, past the queueing discipline. The interface must be up. Needs CAP_NET_RAW.
///
/// # Errors
/// [`CaptureError::Config`] for a trace that is empty or has frames that are too short or too long, [`CaptureError::System`].
pub fn tx_ring(interface: &str, trace: &[Vec<u8>]) -> Result<Box<dyn Generator>, CaptureError> {
    check(trace)?;
    Ok(Box::new(TxRing::open(interface, trace)?))
}

/// Puts frames into the receiving side of an interface, with an XDP program that writes them there (`BPF_PROG_TEST_RUN` with live frames). The
/// interface's own counters don't show them. Needs CAP_BPF and CAP_NET_ADMIN; kernel 5.18.
///
/// # Errors
/// [`CaptureError::Config`] for a trace that is empty or has frames that are too short or too long, [`CaptureError::System`],
/// [`CaptureError::Prefilter`] when the kernel does not take the program.
pub fn live_frames(interface: &str, trace: &[Vec<u8>]) -> Result<Box<dyn Generator>, CaptureError> {
    check(trace)?;
    Ok(Box::new(LiveFrames::open(interface, trace)?))
}

fn check(trace: &[Vec<u8>]) -> Result<(), CaptureError> {
    const SHORTEST: usize = 14;
    if trace.is_empty() {
        return Err(CaptureError::Config("no frames to send".to_owned()));
    }
    match trace.iter().find(|frame| !(SHORTEST..=LONGEST).contains(&frame.len())) {
        Some(frame) => Err(CaptureError::Config(format!(
            "a frame of {} bytes can't be sent: {SHORTEST} to {LONGEST} can",
            frame.len()
        ))),
        None => Ok(()),
    }
}

fn index_of(interface: &str) -> Result<u32, CaptureError> {
    nix::net::if_::if_nametoindex(interface)
        .map_err(|error| CaptureError::Config(format!("no interface '{interface}': {}", error.desc())))
}

fn system(call: &'static str) -> impl Fn(std::io::Error) -> CaptureError {
    move |error| CaptureError::System { call, error }
}

fn errno(call: &'static str) -> impl Fn(nix::errno::Errno) -> CaptureError {
    move |error| CaptureError::System { call, error: error.into() }
}

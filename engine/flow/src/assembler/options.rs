//! What an assembler may use and how it decides.

use core::time::Duration;

/// Which bytes count where two segments give different ones for the same place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Those that were captured first.
    #[default]
    First,
    /// Those that were captured last, unless the first ones were handed on already.
    Last,
}

/// Bounds and policies of an [`Assembler`](super::Assembler). `None` is unlimited; the defaults are bounded.
#[derive(Clone, Debug)]
pub struct AssemblerOptions {
    /// Pages of out-of-order bytes for one connection. Above it, its first hole is given up.
    pub max_buffered_pages_per_connection: Option<usize>,
    /// Pages of out-of-order bytes in all. Above it, the hole that has waited longest is given up.
    pub max_buffered_pages_total: Option<usize>,
    /// Connections, embryonic and closed ones included. Above it the oldest goes: a closed one, else an embryonic one,
    /// else the one without packets for the longest time.
    pub max_connections: Option<usize>,
    /// Connections with nothing but SYNs so far. Above it the oldest of them goes, so that a flood of SYNs costs nobody else.
    pub max_embryonic: Option<usize>,
    /// Connections that ended and are remembered so that stragglers open no new ones. Above it, the oldest is forgotten.
    pub max_closed: Option<usize>,
    /// A connection without packets for so long is closed, unless its stream says no.
    pub idle_timeout: Option<Duration>,
    /// A connection that got no further than SYNs for so long is closed.
    pub embryonic_timeout: Option<Duration>,
    /// How long a connection that ended is remembered.
    pub closed_timeout: Duration,
    /// Which bytes count where segments overlap.
    pub overlap: Overlap,
    /// Packet time after which a hole is given up whose bytes the receiver acknowledged.
    pub hole_timeout: Duration,
    /// Segments of the connection after which such a hole is given up.
    pub hole_segments: u32,
    /// The serial number of the first connection.
    pub first_serial: u64,
    /// What is added for each further one: the number of assemblers that count together.
    pub serial_step: u64,
}

impl Default for AssemblerOptions {
    fn default() -> Self {
        Self {
            max_buffered_pages_per_connection: Some(512),
            max_buffered_pages_total: Some(32 << 10),
            max_connections: Some(1 << 20),
            max_embryonic: Some(64 << 10),
            max_closed: Some(16 << 10),
            idle_timeout: Some(Duration::from_secs(300)),
            embryonic_timeout: Some(Duration::from_secs(20)),
            closed_timeout: Duration::from_secs(60),
            overlap: Overlap::First,
            hole_timeout: Duration::from_millis(200),
            hole_segments: 256,
            first_serial: 0,
            serial_step: 1,
        }
    }
}

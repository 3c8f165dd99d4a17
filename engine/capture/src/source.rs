//! The source of frames: the trait that the engine reads from, and the lease on a batch's memory.

use core::time::Duration;
use std::io;
use std::path::PathBuf;

use sniff_x_filter::RuleSet;
use sniff_x_flow::LinkType;
use thiserror::Error;

use crate::Lease;

/// A source of frames. Owned and called by one reader thread.
pub trait Source: Send {
    /// The next batch; waits up to `wait` for one. A regular file never waits, except for a read buffer when all of them are
    /// still leased.
    ///
    /// # Errors
    /// The source can't go on. What it delivered before is whole.
    fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError>;

    /// Ends the intake. What was captured before still comes out of [`Source::next`], then [`Batch::End`]: so the engine drains a
    /// live source by calling `stop` once and then `next` until `End`. That takes no longer than the ring's retire time-out, in
    /// which the kernel hands over the block that it was filling. A file ends at once.
    fn stop(&mut self);

    /// The interfaces seen so far; a frame's `interface` is found by `Interface::id`.
    fn interfaces(&self) -> Vec<Interface>;

    /// What was counted since the source was opened. May call the kernel: not per frame.
    fn counters(&mut self) -> SourceCounters;

    /// Who has the last word on a frame: at [`FilterLevel::UserSpace`] the engine evaluates the rules and the filter on every
    /// frame, whatever the kernel rejected before.
    fn filter_level(&self) -> FilterLevel;

    /// How far a file was read and how long it is, in bytes, where that is known.
    fn progress(&self) -> Option<(u64, u64)>;

    /// What replaces the rules in the kernel while frames are read: one for all sources that were opened together. None where nothing
    /// in the kernel depends on the rules; then they only have to be replaced where they are asked.
    fn rule_switch(&self) -> Option<Box<dyn RuleSwitch>> {
        None
    }
}

/// Replaces the rules that the kernel applies for open sources, in two steps, so that whoever decodes can be told between them. Lives in
/// another thread than the sources' readers; with eBPF that thread needs CAP_BPF.
pub trait RuleSwitch: Send {
    /// Makes what the kernel needs for these rules. Nothing changes yet.
    ///
    /// # Errors
    /// These rules can't be put in force; those that are stay.
    fn prepare(&mut self, rules: &RuleSet) -> Result<(), CaptureError>;

    /// Puts in force what was prepared, for every frame from now on: no frame is lost that the old and the new rules let pass. Says who
    /// has the last word on frames now, as [`Source::filter_level`] does from now on.
    ///
    /// # Errors
    /// The rules before stay in force.
    fn commit(&mut self) -> Result<FilterLevel, CaptureError>;
}

/// How live interfaces are captured.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Interface names; `any` alone is all of them.
    pub interfaces: Vec<String>,
    /// In how many sources the flows are shared out, each with a ring for every interface; 0 is 1. libpcap has one.
    pub rings: usize,
    /// Bytes of each ring; 64 MiB is a good size.
    pub ring_size: usize,
    /// Bytes of a block of the ring. A frame has to fit: 1 MiB has room for the largest.
    pub block_size: usize,
    /// Bytes of a frame that are kept; 0 is all.
    pub snaplen: u32,
    /// How long a block that isn't full waits before the kernel hands it over: the delay on a quiet line.
    pub retire: Duration,
    /// Whether the interfaces are put into promiscuous mode.
    pub promiscuous: bool,
    /// What the kernel's filter shall let pass.
    pub rules: RuleSet,
}

/// What [`Source::next`] gives.
#[derive(Debug)]
pub enum Batch {
    /// Frames to read.
    Frames(Lease),
    /// Nothing came in time.
    Idle,
    /// There is no more.
    End,
}

/// An interface that frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What a frame's `interface` says.
    pub id: u32,
    /// Its name: `eth0`; empty where a file has none.
    pub name: String,
    /// The link type of its frames.
    pub link_type: LinkType,
    /// The most bytes of a frame that are kept; 0 is no limit.
    pub snaplen: u32,
}

/// Where the filters are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterLevel {
    /// In the kernel, by eBPF.
    Ebpf,
    /// In the kernel, by classic BPF, which needs no CAP_BPF and counts nothing.
    Classic,
    /// By the engine.
    UserSpace,
}

impl core::fmt::Display for FilterLevel {
    /// Where it happens, for people: `in the kernel (eBPF)`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ebpf => "in the kernel (eBPF)",
            Self::Classic => "in the kernel (classic BPF)",
            Self::UserSpace => "in user space",
        })
    }
}

/// What a source counted. None: this source can't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Frames that reached the source, those that were filtered or dropped included.
    pub received: Option<u64>,
    /// Frames that the kernel dropped for want of room in the ring.
    pub dropped: Option<u64>,
    /// Frames that the kernel's filter rejected.
    pub filtered: Option<u64>,
    /// Second sights of frames on a loopback interface, and copies on further interfaces.
    pub duplicates: u64,
    /// Times that the interface went down.
    pub interface_down: u64,
    /// Frames or records that could not be read (a file cut short, a broken record).
    pub unreadable: u64,
}

impl SourceCounters {
    /// Adds what another source of the same capture counted. What one of them can't know nobody knows.
    pub fn add(&mut self, other: &Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        self.received = sum(self.received, other.received);
        self.dropped = sum(self.dropped, other.dropped);
        self.filtered = sum(self.filtered, other.filtered);
        self.duplicates += other.duplicates;
        self.interface_down += other.interface_down;
        self.unreadable += other.unreadable;
    }
}

/// A source failed.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The process lacks a capability.
    #[error("{call}: permission denied (needs {capabilities})")]
    Permission {
        /// The system call.
        call: &'static str,
        /// The missing capabilities, as `setcap` names them.
        capabilities: &'static str,
    },
    /// There is no such interface.
    #[error("no interface '{name}'; there are: {}", existing.join(", "))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What exists.
        existing: Vec<String>,
    },
    /// A system call failed.
    #[error("{call}: {error}")]
    System {
        /// The system call and its argument: `setsockopt(PACKET_RX_RING)`.
        call: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// The interface is gone.
    #[error("interface '{0}' is gone")]
    InterfaceGone(String),
    /// A file could not be opened or read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Not a capture file.
    #[error("{}: not a capture file: {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found instead: `begins with 7f 45 4c 46 (an ELF program)`.
        found: String,
    },
    /// The prefilter could not be loaded.
    #[error("eBPF prefilter: {0}")]
    Prefilter(String),
    /// An option of the source has a value that can't be used.
    #[error("{0}")]
    Config(String),
    /// libpcap said no.
    #[error("libpcap: {0}")]
    Libpcap(String),
}

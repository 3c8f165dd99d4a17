//! Stage: wire → frames, on Linux.
//!
//! A packet socket with a TPACKET_V3 ring for each interface, or one for all of them (`any`). The source takes blocks in the order in
//! which the kernel fills them and lends them; it waits when there is none. Where the kernel does eBPF and we may load it, the
//! prefilter rejects there what no rule asks for, and shares the flows out to several such sources, each with rings of its own; else the
//! engine does. The rules can be replaced while frames come.

pub(crate) mod block;
mod filtering;
mod open;
pub(crate) mod ring;
pub(crate) mod socket;
mod switch;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sniff_x_flow::LinkType;

use self::block::Reading;
use self::filtering::Filtering;
use self::ring::Ring;
use self::socket::Socket;
use self::switch::{Shared, Switch};
use crate::{
    Batch, CaptureError, Device, FilterLevel, Interface, Lease, LiveOptions, RuleSwitch, Source,
    SourceCounters, devices,
};

pub use self::open::open_live;

/// The name that stands for all interfaces.
const ANY: &str = "any";

/// `poll` returned, but the next block isn't there: sleep so long, doubling.
const SHORTEST_NAP: Duration = Duration::from_micros(200);
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// What the kernel's timer may be late when it retires a block.
const GRACE: Duration = Duration::from_millis(10);

/// Live interfaces, each with its ring.
pub(crate) struct AfPacket {
    captures: Vec<Capture>,
    /// Of all sources that share the flows out; none of them passes frames when it is gone.
    shared: Arc<Shared>,
    /// Of those sources this is the one that tells what is the same for all: what the prefilter counted, how the interfaces are.
    leads: bool,
    /// Whose turn it is to be looked at first.
    turn: usize,
    snaplen: u32,
    retire: Duration,
    /// What was there at the start; interfaces that vanish stay known.
    devices: Vec<Device>,
    stopped: bool,
}

/// An interface's socket and ring.
struct Capture {
    /// None for all interfaces.
    device: Option<Device>,
    socket: Arc<Socket>,
    ring: Arc<Ring>,
    /// The block that the kernel hands over next.
    next: usize,
    packets: u64,
    drops: u64,
    downs: u64,
    gone: bool,
}

impl AfPacket {
    /// The next block of any ring, each ring in its turn.
    fn take(&mut self) -> Option<Lease> {
        let count = self.captures.len();
        for at in 0..count {
            let index = (self.turn + at) % count;
            if let Some(lease) = self.captures.get_mut(index).and_then(Capture::take) {
                self.turn = index + 1;
                return Some(lease);
            }
        }
        None
    }

    /// Whether no further frame comes in: what is left is in blocks that the kernel will hand over when they are due.
    fn ending(&self) -> bool {
        self.stopped || self.captures.iter().all(|capture| capture.gone)
    }

    /// Waits for a block or an error of any socket; false when the time is over or a signal came.
    fn poll(&mut self, wait: Duration) -> Result<bool, CaptureError> {
        let wanted = PollFlags::POLLIN | PollFlags::POLLERR;
        let mut descriptors: Vec<PollFd<'_>> =
            self.captures.iter().map(|capture| PollFd::new(capture.socket.as_fd(), wanted)).collect();
        // In whole milliseconds, not less than asked for.
        let wait = wait.saturating_add(Duration::from_nanos(999_999));
        match poll(&mut descriptors, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(CaptureError::System { call: "poll", error: error.into() }),
        }
        let failed: Vec<bool> = descriptors
            .iter()
            .map(|descriptor| descriptor.revents().is_some_and(|events| events.contains(PollFlags::POLLERR)))
            .collect();
        for (capture, _) in self.captures.iter_mut().zip(failed).filter(|(_, failed)| *failed) {
            capture.failed(self.leads)?;
        }
        Ok(true)
    }
}

impl Source for AfPacket {
    fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError> {
        let mut left = if self.ending() { self.retire + GRACE } else { wait };
        let mut nap = SHORTEST_NAP;
        loop {
            // The blocks first: poll looks only at the one that the kernel handed over last.
            if let Some(lease) = self.take() {
                return Ok(Batch::Frames(lease));
            }
            if left.is_zero() {
                break;
            }
            let was_ending = self.ending();
            if !self.poll(left)? {
                left = Duration::ZERO;
                continue;
            }
            if self.ending() && !was_ending {
                left = self.retire + GRACE;
            }
            if let Some(lease) = self.take() {
                return Ok(Batch::Frames(lease));
            }
            // An error was reported, or poll speaks of a block that is leased: it would return at once again.
            thread::sleep(nap.min(left));
            left = left.saturating_sub(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
        if self.stopped {
            return Ok(Batch::End);
        }
        if let (true, Some(device)) = (self.ending(), self.captures.iter().find_map(|c| c.device.as_ref())) {
            return Err(CaptureError::InterfaceGone(device.name.clone()));
        }
        Ok(Batch::Idle)
    }

    fn stop(&mut self) {
        self.stopped = true;
        // From here on nobody else replaces the sockets' filters.
        self.shared.filtering().stopped = true;
        for capture in &mut self.captures {
            if let Err(error) = capture.socket.keep(0) {
                log::warn!("the intake can't be stopped: {error}");
            }
        }
    }

    fn interfaces(&self) -> Vec<Interface> {
        let interface = |device: &Device| Interface {
            id: device.index,
            name: device.name.clone(),
            link_type: device.link_type.unwrap_or(LinkType::ETHERNET),
            snaplen: self.snaplen,
        };
        let chosen: Vec<Interface> =
            self.captures.iter().filter_map(|capture| capture.device.as_ref()).map(interface).collect();
        if !chosen.is_empty() {
            return chosen;
        }
        // All of them: those that came later, too.
        let mut all: Vec<Interface> = devices().unwrap_or_default().iter().map(interface).collect();
        for device in &self.devices {
            if all.iter().all(|known| known.id != device.index) {
                all.push(interface(device));
            }
        }
        all
    }

    fn counters(&mut self) -> SourceCounters {
        let mut counters = SourceCounters { dropped: Some(0), ..SourceCounters::default() };
        let mut packets = 0;
        for capture in &mut self.captures {
            capture.read_statistics();
            let uncounted = capture.ring.uncounted();
            packets += capture.packets;
            counters.dropped = counters.dropped.map(|dropped| dropped + capture.drops);
            counters.duplicates += uncounted.duplicates;
            counters.unreadable += uncounted.unreadable;
            counters.interface_down += capture.downs;
        }
        if self.leads {
            self.shared.filtering().count(packets, &mut counters);
        } else {
            (counters.received, counters.filtered) = (Some(0), Some(0));
        }
        counters
    }

    fn filter_level(&self) -> FilterLevel {
        self.shared.level()
    }

    fn rule_switch(&self) -> Option<Box<dyn RuleSwitch>> {
        Some(Box::new(Switch::new(Arc::clone(&self.shared))))
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}

impl Capture {
    /// Opens a socket with its ring. The order matters: with the filter first no frame comes in that it would reject; the ring,
    /// last, purges what came in from other interfaces before the socket was bound.
    fn open(
        device: Option<Device>,
        options: &LiveOptions,
        blocks: usize,
        filtering: &Filtering,
    ) -> Result<Self, CaptureError> {
        let mut socket = Socket::open()?;
        filtering.attach(&socket)?;
        if let Some(device) = &device {
            socket.bind(&device.name)?;
            if options.promiscuous {
                socket.promiscuous(&device.name)?;
            }
        }
        let memory = socket.ring(options.block_size, blocks, options.retire)?;
        // Frames from before the ring are counted: start at zero.
        socket.statistics()?;
        let reading = Reading {
            snaplen: if options.snaplen == 0 { u32::MAX } else { options.snaplen },
            drop_duplicates: !filtering.in_kernel(),
        };
        let ring = Arc::new(Ring::new(memory, options.block_size, reading));
        Ok(Self {
            device,
            socket: Arc::new(socket),
            ring,
            next: 0,
            packets: 0,
            drops: 0,
            downs: 0,
            gone: false,
        })
    }

    /// The next block, if the kernel handed it over.
    fn take(&mut self) -> Option<Lease> {
        let block = self.ring.take(self.next)?;
        let losing = self.ring.status(self.next).is_some_and(|status| status & libc::TP_STATUS_LOSING != 0);
        self.next = (self.next + 1) % self.ring.len();
        if losing {
            // Reading them makes the kernel take the mark off again, so that the next one means a further loss.
            self.read_statistics();
        }
        Some(Lease::block(block))
    }

    fn name(&self) -> &str {
        self.device.as_ref().map_or(ANY, |device| &device.name)
    }

    fn read_statistics(&mut self) {
        match self.socket.statistics() {
            Ok(new) => {
                if self.drops == 0 && new.drops > 0 {
                    log::warn!(
                        "{}: the kernel drops frames, the ring is full; how many is in the summary",
                        self.name()
                    );
                }
                self.packets += new.packets;
                self.drops += new.drops;
            }
            Err(error) => log::debug!("{}: {error}", self.name()),
        }
    }

    /// The socket has an error: the interface went down, or is gone. Every ring of it learns that; only the one that `tells` speaks of it.
    fn failed(&mut self, tells: bool) -> Result<(), CaptureError> {
        match Errno::from_raw(self.socket.take_error()) {
            Errno::ENETDOWN => {}
            // Read by an earlier poll, or nothing that concerns the ring.
            Errno::UnknownErrno => return Ok(()),
            error => return Err(CaptureError::System { call: "poll(AF_PACKET)", error: error.into() }),
        }
        let index = self.device.as_ref().map(|device| device.index);
        self.gone = index.is_some() && !devices()?.iter().any(|there| Some(there.index) == index);
        if tells {
            self.downs += 1;
            let what = if self.gone { "is gone" } else { "went down" };
            log::warn!("interface {} {what}", self.name());
        }
        Ok(())
    }
}

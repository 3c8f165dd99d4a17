//! Where the rules are applied: in the kernel by the prefilter, or else by the engine.

use std::os::fd::{AsFd, BorrowedFd};

use sniff_x_filter::{EbpfOptions, Instruction, RuleSet};
use sniff_x_flow::LinkType;

use super::socket::Socket;
use crate::prefilter::{Link, Prefilter, PrefilterCounters};
use crate::{CaptureError, Device, FilterLevel, SourceCounters};

/// The level of filtering of a source's sockets.
pub(super) struct Filtering {
    level: Level,
    /// Bytes of a frame that are kept, `u32::MAX` for all.
    keep: u32,
}

enum Level {
    Ebpf {
        prefilter: Box<Prefilter>,
        link: Link,
        /// The program lets pass what it can't judge by the expression of `--filter`.
        undecided: bool,
        /// What was counted when it could be read last.
        counted: PrefilterCounters,
    },
    /// Each socket has the whole program from the start.
    Classic {
        program: Vec<Instruction>,
        /// As above.
        undecided: bool,
        /// Why it is not eBPF.
        why: String,
    },
    UserSpace {
        why: String,
    },
}

impl Filtering {
    /// Loads the prefilter for these interfaces, if it can be loaded; else the rules become a classic program, if they can.
    pub(super) fn load(chosen: &[Option<Device>], snaplen: u32, rules: &RuleSet) -> Self {
        let keep = if snaplen == 0 { u32::MAX } else { snaplen };
        let level = match link(chosen) {
            Some(link) => match Prefilter::load(link) {
                Ok(prefilter) => Level::Ebpf {
                    prefilter: Box::new(prefilter),
                    link,
                    undecided: false,
                    counted: PrefilterCounters::default(),
                },
                Err(error) => Level::classic(rules, link, keep, error.to_string()),
            },
            None => Level::UserSpace { why: "the interface has neither Ethernet nor IP frames".to_owned() },
        };
        Self { level, keep }
    }

    /// Classic BPF, as without CAP_BPF.
    #[cfg(test)]
    pub(super) fn classic(chosen: &[Option<Device>], snaplen: u32, rules: &RuleSet) -> Self {
        let keep = if snaplen == 0 { u32::MAX } else { snaplen };
        let level = match link(chosen) {
            Some(link) => Level::classic(rules, link, keep, "a test wants it so".to_owned()),
            None => Level::UserSpace { why: "the interface has neither Ethernet nor IP frames".to_owned() },
        };
        Self { level, keep }
    }

    /// User space, whatever the kernel can do.
    #[cfg(test)]
    pub(super) fn user_space(_: &[Option<Device>], snaplen: u32, _: &RuleSet) -> Self {
        let keep = if snaplen == 0 { u32::MAX } else { snaplen };
        Self { level: Level::UserSpace { why: "a test wants it so".to_owned() }, keep }
    }

    /// Gives a socket its filter, before it is bound.
    pub(super) fn attach(&self, socket: &mut Socket) -> Result<(), CaptureError> {
        match &self.level {
            Level::Ebpf { prefilter, .. } => prefilter.attach(socket.as_fd()),
            Level::Classic { program, .. } => socket.filter(program),
            // The kernel doesn't copy what nobody keeps.
            Level::UserSpace { .. } if self.keep < u32::MAX => socket.keep(self.keep),
            Level::UserSpace { .. } => Ok(()),
        }
    }

    /// Makes the fanout group of this socket share the flows out.
    pub(super) fn choose_rings(&mut self, socket: BorrowedFd<'_>) -> Result<(), CaptureError> {
        match &mut self.level {
            Level::Ebpf { prefilter, .. } => prefilter.choose_rings(socket),
            Level::Classic { why, .. } | Level::UserSpace { why } => {
                Err(CaptureError::Prefilter(why.clone()))
            }
        }
    }

    /// Puts the rules in: all sockets have their filter and ring. False when it could not be done; then the level is the next one,
    /// and the sockets have to be opened again, without the prefilter.
    pub(super) fn start(&mut self, rules: &RuleSet) -> bool {
        let Level::Ebpf { prefilter, link, undecided, .. } = &mut self.level else { return true };
        let link = *link;
        *undecided = !rules.filter_is_final(link);
        let accept = self.keep;
        let result = prefilter.set_rules(|maps| {
            let options = EbpfOptions { accept, counters_fd: Some(maps.counters), link };
            rules.compile_ebpf_with_sets(&options, |sets| maps.port_sets(sets))
        });
        match result {
            Ok(()) => true,
            Err(error) => {
                self.level = Level::classic(rules, link, accept, error.to_string());
                false
            }
        }
    }

    /// Says why it is not the best level; which one it is the engine says.
    pub(super) fn report(&self) {
        match &self.level {
            Level::Ebpf { .. } => log::debug!("the prefilter and the program of the rules are in the kernel"),
            Level::Classic { program, why, .. } => {
                log::info!("filtering by classic BPF, {} instructions on each socket: {why}", program.len());
            }
            Level::UserSpace { why } => log::info!("filtering in user space, every frame is copied: {why}"),
        }
    }

    /// Why it is not the best level, if it isn't.
    pub(super) fn why(&self) -> Option<&str> {
        match &self.level {
            Level::Ebpf { .. } => None,
            Level::Classic { why, .. } | Level::UserSpace { why } => Some(why),
        }
    }

    /// The prefilter is there: it drops the second sight of loopback frames, and can share the flows out.
    pub(super) const fn in_kernel(&self) -> bool {
        matches!(self.level, Level::Ebpf { .. })
    }

    /// Who has the last word on a frame.
    pub(super) const fn level(&self) -> FilterLevel {
        match self.level {
            Level::Ebpf { undecided: false, .. } => FilterLevel::Ebpf,
            Level::Classic { undecided: false, .. } => FilterLevel::Classic,
            Level::Ebpf { .. } | Level::Classic { .. } | Level::UserSpace { .. } => FilterLevel::UserSpace,
        }
    }

    /// Completes what the sockets counted: `packets` are those that their filters let pass.
    pub(super) fn count(&mut self, packets: u64, counters: &mut SourceCounters) {
        match &mut self.level {
            Level::Ebpf { prefilter, counted, .. } => {
                match prefilter.counters() {
                    Ok(now) => *counted = now,
                    Err(error) => log::debug!("the prefilter's counters: {error}"),
                }
                counters.received = Some(counted.seen);
                counters.filtered = Some(counted.filtered);
                counters.duplicates += counted.loopback_duplicates;
            }
            // What the program rejects nobody counts.
            Level::Classic { .. } => {}
            Level::UserSpace { .. } => {
                counters.received = Some(packets.saturating_sub(counters.duplicates));
                counters.filtered = Some(0);
            }
        }
    }
}

impl Level {
    /// Classic BPF, or user space where the rules make no such program.
    fn classic(rules: &RuleSet, link: Link, keep: u32, why: String) -> Self {
        match rules.compile_cbpf(keep, link) {
            Ok(program) => Self::Classic { program, undecided: !rules.filter_is_final(link), why },
            Err(error) => Self::UserSpace { why: format!("{why}; {error}") },
        }
    }
}

/// How the frames of all of these begin; none when the programs can't read them.
fn link(chosen: &[Option<Device>]) -> Option<Link> {
    let mut links = chosen.iter().map(|device| match device {
        None => Some(Link::Any),
        Some(device) => match device.link_type? {
            LinkType::ETHERNET => Some(Link::Ethernet),
            LinkType::RAW => Some(Link::RawIp),
            _ => None,
        },
    });
    let first = links.next()??;
    links.try_fold(first, |all, link| Some(if link? == all { all } else { Link::Any }))
}

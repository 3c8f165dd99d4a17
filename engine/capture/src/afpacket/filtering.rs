//! Where the rules are applied: in the kernel by the prefilter, or else by the engine.
//!
//! [`Filtering`] is chosen when the sockets are opened and shared by all sources of a capture. What replaces its rules later is in
//! `switch`.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};

use sniff_x_filter::{EbpfOptions, Instruction, RuleSet};
use sniff_x_flow::LinkType;

use super::socket::Socket;
use crate::prefilter::{Link, LoadedRules, Prefilter, PrefilterCounters};
use crate::{CaptureError, Device, FilterLevel, SourceCounters};

/// The level of filtering of a capture's sockets.
pub(super) struct Filtering {
    pub(super) level: Level,
    /// The interfaces; none is all of them.
    chosen: Vec<Option<Device>>,
    /// Bytes of a frame that are kept, `u32::MAX` for all.
    keep: u32,
    /// All sockets, as long as their sources are there.
    pub(super) sockets: Vec<Weak<Socket>>,
    /// The intake has ended: no socket gets another filter.
    pub(super) stopped: bool,
    /// A classic program was in force: nobody counted what it rejected.
    uncounted: bool,
}

/// Who applies the rules.
pub(super) enum Level {
    Ebpf {
        prefilter: Box<Prefilter>,
        /// The program lets pass what it can't judge by the expression of `--filter`.
        undecided: bool,
        /// What was counted when it could be read last.
        counted: PrefilterCounters,
    },
    Unprivileged(Unprivileged),
}

/// Filtering without the prefilter.
pub(super) enum Unprivileged {
    /// Each socket has the whole program from the start.
    Classic {
        program: Vec<Instruction>,
        /// The program lets pass what it can't judge by the expression of `--filter`.
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
        let level = |this: &Self| match this.link().map(Prefilter::load) {
            Some(Ok(prefilter)) => Level::Ebpf {
                prefilter: Box::new(prefilter),
                undecided: false,
                counted: PrefilterCounters::default(),
            },
            Some(Err(error)) => Level::Unprivileged(this.unprivileged(rules, error.to_string())),
            None => Level::Unprivileged(this.unprivileged(rules, String::new())),
        };
        Self::with(chosen, snaplen, level)
    }

    /// Classic BPF, as without CAP_BPF.
    #[cfg(test)]
    pub(super) fn classic(chosen: &[Option<Device>], snaplen: u32, rules: &RuleSet) -> Self {
        let why = "a test wants it so".to_owned();
        Self::with(chosen, snaplen, |this| Level::Unprivileged(this.unprivileged(rules, why)))
    }

    /// User space, whatever the kernel can do.
    #[cfg(test)]
    pub(super) fn user_space(chosen: &[Option<Device>], snaplen: u32, _: &RuleSet) -> Self {
        let why = "a test wants it so".to_owned();
        Self::with(chosen, snaplen, |_| Level::Unprivileged(Unprivileged::UserSpace { why }))
    }

    fn with(chosen: &[Option<Device>], snaplen: u32, level: impl FnOnce(&Self) -> Level) -> Self {
        let mut this = Self {
            level: Level::Unprivileged(Unprivileged::UserSpace { why: String::new() }),
            chosen: chosen.to_vec(),
            keep: if snaplen == 0 { u32::MAX } else { snaplen },
            sockets: Vec::new(),
            stopped: false,
            uncounted: false,
        };
        this.level = level(&this);
        this.uncounted = this.is_classic();
        this
    }

    /// How the frames of all interfaces begin; none when the programs can't read them.
    fn link(&self) -> Option<Link> {
        let mut links = self.chosen.iter().map(|device| match device {
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

    /// Classic BPF, or user space where the rules make no such program.
    pub(super) fn unprivileged(&self, rules: &RuleSet, why: String) -> Unprivileged {
        let Some(link) = self.link() else {
            return Unprivileged::UserSpace {
                why: "the interface has neither Ethernet nor IP frames".to_owned(),
            };
        };
        match rules.compile_cbpf(self.keep, link) {
            Ok(program) => Unprivileged::Classic { program, undecided: !rules.filter_is_final(link), why },
            Err(error) => Unprivileged::UserSpace { why: format!("{why}; {error}") },
        }
    }

    /// A filter that can't be asked of any frame of an interface is a mistake, as it is to libpcap.
    pub(super) fn check(&self, rules: &RuleSet) -> Result<(), CaptureError> {
        let Some(filter) = &rules.filter else { return Ok(()) };
        for device in self.chosen.iter().flatten() {
            if let Some(why) = device.link_type.and_then(|link_type| filter.refused_on(link_type)) {
                return Err(CaptureError::Config(format!("--filter on {}: {why}", device.name)));
            }
        }
        Ok(())
    }

    /// Gives a socket its filter, before it is bound.
    pub(super) fn attach(&self, socket: &Socket) -> Result<(), CaptureError> {
        match &self.level {
            Level::Ebpf { prefilter, .. } => prefilter.attach(socket.as_fd()),
            Level::Unprivileged(unprivileged) => unprivileged.attach(socket, self.keep),
        }
    }

    /// Makes the fanout group of this socket share the flows out.
    pub(super) fn choose_rings(&mut self, socket: BorrowedFd<'_>) -> Result<(), CaptureError> {
        match &mut self.level {
            Level::Ebpf { prefilter, .. } => prefilter.choose_rings(socket),
            Level::Unprivileged(unprivileged) => Err(CaptureError::Prefilter(unprivileged.why().to_owned())),
        }
    }

    /// Puts the rules in: all sockets have their filter and ring. False when it could not be done; then the level is the next one,
    /// and the sockets have to be opened again, without the prefilter.
    pub(super) fn start(&mut self, rules: &RuleSet) -> bool {
        let put = self.load_rules(rules).and_then(|loaded| self.put_rules(loaded));
        if let Err(error) = put {
            self.level = Level::Unprivileged(self.unprivileged(rules, error.to_string()));
            self.uncounted = self.is_classic();
            return false;
        }
        true
    }

    /// Loads the program of these rules; nothing where there is no prefilter.
    pub(super) fn load_rules(
        &mut self,
        rules: &RuleSet,
    ) -> Result<Option<(LoadedRules, bool)>, CaptureError> {
        let (link, accept) = (self.link(), self.keep);
        let (Level::Ebpf { prefilter, .. }, Some(link)) = (&mut self.level, link) else { return Ok(None) };
        let loaded = prefilter.load_rules(|maps| {
            let options = EbpfOptions { accept, counters_fd: Some(maps.counters), link };
            rules.compile_ebpf_with_sets(&options, |sets| maps.port_sets(sets))
        })?;
        Ok(Some((loaded, !rules.filter_is_final(link))))
    }

    /// Puts such a program in its place.
    pub(super) fn put_rules(&mut self, loaded: Option<(LoadedRules, bool)>) -> Result<(), CaptureError> {
        if let (Level::Ebpf { prefilter, undecided, .. }, Some((rules, is_undecided))) =
            (&mut self.level, loaded)
        {
            prefilter.put_rules(&rules)?;
            *undecided = is_undecided;
        }
        Ok(())
    }

    /// Gives all sockets another filter, without the prefilter.
    pub(super) fn put_unprivileged(&mut self, next: Unprivileged) -> Result<(), CaptureError> {
        let Level::Unprivileged(current) = &mut self.level else { return Ok(()) };
        let sockets: Vec<_> = self.sockets.iter().filter_map(Weak::upgrade).collect();
        let all = |filter: &Unprivileged| -> Result<(), CaptureError> {
            sockets.iter().try_for_each(|socket: &Arc<Socket>| filter.replace(socket, self.keep))
        };
        if let Err(error) = all(&next) {
            // Those that have it already must not be alone with it.
            all(current)?;
            return Err(error);
        }
        self.uncounted |= matches!(next, Unprivileged::Classic { .. });
        *current = next;
        Ok(())
    }

    /// The sockets have classic programs, whether or not those have the last word.
    const fn is_classic(&self) -> bool {
        matches!(self.level, Level::Unprivileged(Unprivileged::Classic { .. }))
    }

    /// Says why it is not the best level; which one it is the engine says.
    pub(super) fn report(&self) {
        if let Level::Ebpf { undecided: true, .. }
        | Level::Unprivileged(Unprivileged::Classic { undecided: true, .. }) = &self.level
        {
            log::info!(
                "what the kernel's program can't tell passes, and --filter is asked of it again in user space"
            );
        }
        match &self.level {
            Level::Ebpf { .. } => log::debug!("the prefilter and the program of the rules are in the kernel"),
            Level::Unprivileged(Unprivileged::Classic { program, why, .. }) => {
                log::info!("filtering by classic BPF, {} instructions on each socket: {why}", program.len());
            }
            Level::Unprivileged(Unprivileged::UserSpace { why }) => {
                log::info!("filtering in user space, every frame is copied: {why}");
            }
        }
    }

    /// Why it is not the best level, if it isn't.
    pub(super) fn why(&self) -> Option<&str> {
        match &self.level {
            Level::Ebpf { .. } => None,
            Level::Unprivileged(unprivileged) => Some(unprivileged.why()),
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
            Level::Unprivileged(Unprivileged::Classic { undecided: false, .. }) => FilterLevel::Classic,
            Level::Ebpf { .. } | Level::Unprivileged(_) => FilterLevel::UserSpace,
        }
    }

    /// Completes what the sockets counted: `packets` are those that their filters let pass. How many a classic program rejected, and so how
    /// many there were, nobody knows.
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
            Level::Unprivileged(_) if self.uncounted => {}
            Level::Unprivileged(_) => {
                counters.received = Some(packets.saturating_sub(counters.duplicates));
                counters.filtered = Some(0);
            }
        }
    }
}

impl Unprivileged {
    /// The filter of a new socket.
    fn attach(&self, socket: &Socket, keep: u32) -> Result<(), CaptureError> {
        match self {
            // A new socket has none: all of every frame passes.
            Self::UserSpace { .. } if keep == u32::MAX => Ok(()),
            _ => self.replace(socket, keep),
        }
    }

    /// The filter of a socket that has one.
    fn replace(&self, socket: &Socket, keep: u32) -> Result<(), CaptureError> {
        match self {
            Self::Classic { program, .. } => socket.filter(program),
            // The kernel doesn't copy what nobody keeps.
            Self::UserSpace { .. } => socket.keep(keep),
        }
    }

    pub(super) fn why(&self) -> &str {
        match self {
            Self::Classic { why, .. } | Self::UserSpace { why } => why,
        }
    }
}

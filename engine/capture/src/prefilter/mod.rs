//! Stage: the kernel's filter, before the ring.
//!
//! [`Prefilter`] loads the static eBPF program (`ebpf/`, built ahead by `cargo xtask build-ebpf`), attaches it to packet sockets, puts the
//! program generated from the rules into its slot, and reads its counters. All sockets of a capture share one: attach them, then set the
//! rules; until then no frame passes. Rules are replaced as they are set first, while frames come. It needs CAP_BPF while it loads the
//! static program and each rule program; attaching, counters and what is loaded go on without.

mod fanout;
pub(crate) mod object;
#[cfg(test)]
mod tests;

use core::error::Error;
use core::fmt::{self, Display};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};

use aya::maps::{Array, IterableMap as _, MapData, PerCpuArray, ProgramArray};
use aya::programs::{ProgramError, SocketFilter};
use aya::{Ebpf, EbpfLoader};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use sniff_x_ebpf_common::counter;
pub use sniff_x_filter::Link;
use sniff_x_filter::PortSet;

use crate::CaptureError;

/// The static program. Which toolchain made it is in `ebpf/prebuilt/TOOLCHAIN`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../ebpf/prebuilt/sniff-x.bpf.o");

/// The name of the static program for sockets whose frames begin so.
const fn program_for(link: Link) -> &'static str {
    match link {
        Link::Ethernet => "ethernet",
        Link::RawIp => "raw_ip",
        Link::Any => "any",
    }
}

/// Maps that a rule program may use, by their descriptors, to be embedded in its instructions (BPF_PSEUDO_MAP_FD). They are valid while the
/// rule program is made and loaded.
pub struct RuleMaps<'l> {
    /// The per-CPU array of 64-bit counters, indexed by [`sniff_x_ebpf_common::counter`].
    pub counters: RawFd,
    loader: &'l mut EbpfLoader<'static>,
    /// The kernel keeps it for the program once that is loaded.
    sets: Option<Array<MapData, u64>>,
}

impl RuleMaps<'_> {
    /// Makes the map in which these sets lie one behind the other, and gives its descriptor; none where it can't be made.
    pub fn port_sets(&mut self, sets: &[PortSet]) -> Option<RawFd> {
        match self.make_sets(sets) {
            Ok(map) => Some(self.sets.insert(map).map().fd().as_fd().as_raw_fd()),
            Err(error) => {
                log::debug!("a map of {} port sets: {error}", sets.len());
                None
            }
        }
    }

    fn make_sets(&mut self, sets: &[PortSet]) -> Result<Array<MapData, u64>, CaptureError> {
        let words = || sets.iter().flat_map(|set| set.words());
        let object = object::array(8, u32::try_from(words().count()).unwrap_or(u32::MAX))?;
        let mut made = self.loader.load(&object).map_err(refused)?;
        let mut map = Array::try_from(take_map(&mut made, object::ARRAY)?).map_err(refused)?;
        for (index, word) in (0..).zip(words()).filter(|(_, word)| **word != 0) {
            map.set(index, word, 0).map_err(refused)?;
        }
        Ok(map)
    }
}

impl fmt::Debug for RuleMaps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleMaps").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// A rule program that the kernel has taken, not in its place yet.
pub struct LoadedRules(Ebpf);

impl LoadedRules {
    /// Bytes of machine code that the kernel made of it; none where it interprets programs, or does not tell.
    #[must_use]
    pub fn machine_code(&self) -> Option<u32> {
        let program: &SocketFilter = self.0.program(object::RULE_PROGRAM)?.try_into().ok()?;
        Some(program.info().ok()?.size_jitted()).filter(|bytes| *bytes > 0)
    }
}

impl fmt::Debug for LoadedRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedRules").finish_non_exhaustive()
    }
}

/// What the prefilter counted since the rules were set first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefilterCounters {
    /// Frames seen, those that were filtered included, second sights on the loopback interface not.
    pub seen: u64,
    /// Second sights of frames on the loopback interface, which were rejected.
    pub loopback_duplicates: u64,
    /// Frames that the rules rejected.
    pub filtered: u64,
}

/// The loaded prefilter. Dropping it lets nothing pass any more on the sockets that it is attached to.
pub struct Prefilter {
    loader: EbpfLoader<'static>,
    link: Link,
    program: Ebpf,
    counters: PerCpuArray<MapData, u64>,
    /// The kernel empties the slot when the last descriptor of this map closes: it stays open as long as the capture.
    slot: ProgramArray<MapData>,
    /// Second sights that were counted before there were rules.
    duplicates_before: Option<u64>,
}

impl Prefilter {
    /// Loads the static program into the kernel. No frame passes yet. The calling thread's network namespace tells which interface is
    /// the loopback.
    ///
    /// # Errors
    /// [`CaptureError::Permission`] without CAP_BPF; [`CaptureError::Prefilter`] with the verifier's words, or where there is no eBPF.
    pub fn load(link: Link) -> Result<Self, CaptureError> {
        Self::load_object(OBJECT, link)
    }

    /// As [`Prefilter::load`], from another build of the static program: an ELF file, aligned to 8 bytes as
    /// what `std::fs::read` gives.
    ///
    /// # Errors
    /// As [`Prefilter::load`].
    pub fn load_object(object: &[u8], link: Link) -> Result<Self, CaptureError> {
        // Making a loader reads all of the kernel's type information, tens of milliseconds; so there is one, and nothing needs the types.
        let mut loader = EbpfLoader::new();
        let mut program = loader.btf(None).load(object).map_err(refused)?;
        socket_filter(&mut program, program_for(link))?.load().map_err(refused)?;
        let mut loopback = Array::try_from(take_map(&mut program, "LOOPBACK")?).map_err(refused)?;
        loopback.set(0, loopback_index()?, 0).map_err(refused)?;
        let counters = PerCpuArray::try_from(take_map(&mut program, "COUNTERS")?).map_err(refused)?;
        let slot = ProgramArray::try_from(take_map(&mut program, "RULE_PROGRAM")?).map_err(refused)?;
        Ok(Self { loader, link, program, counters, slot, duplicates_before: None })
    }

    /// Makes it the filter of a packet socket: after `socket`, before `bind`. Needs no capability.
    ///
    /// # Errors
    /// [`CaptureError::System`].
    pub fn attach(&self, socket: BorrowedFd<'_>) -> Result<(), CaptureError> {
        let program: &SocketFilter = match self.program.program(program_for(self.link)) {
            Some(program) => program.try_into().map_err(refused::<ProgramError>)?,
            None => return Err(missing(program_for(self.link))),
        };
        program.attach(socket).map_err(|error| match io_error(&error) {
            Some(io) => CaptureError::System { call: "setsockopt(SO_ATTACH_BPF)", error: copy(io) },
            None => CaptureError::Prefilter(error.to_string()),
        })
    }

    /// Makes the fanout group that `socket` has joined (with `PACKET_FANOUT_EBPF`) choose the ring by flow: both directions meet, fragments
    /// go by their addresses. Once per group; needs CAP_BPF.
    ///
    /// # Errors
    /// [`CaptureError::Permission`] without CAP_BPF; [`CaptureError::System`] if the socket is in no such group;
    /// [`CaptureError::Prefilter`] with the verifier's words.
    pub fn choose_rings(&mut self, socket: BorrowedFd<'_>) -> Result<(), CaptureError> {
        let program = socket_filter(&mut self.program, FANOUT_PROGRAM)?;
        match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => return Err(refused(error)),
        }
        let fd = program.fd().map_err(refused)?.as_fd();
        fanout::set_program(socket, fd)
            .map_err(|error| CaptureError::System { call: "setsockopt(PACKET_FANOUT_DATA)", error })
    }

    /// Generates, loads and puts in place the rule program: [`Self::load_rules`] and [`Self::put_rules`].
    ///
    /// # Errors
    /// As theirs. The rules that were in place stay.
    pub fn set_rules<E: Display>(
        &mut self,
        generate: impl FnOnce(&mut RuleMaps<'_>) -> Result<Vec<u8>, E>,
    ) -> Result<(), CaptureError> {
        let rules = self.load_rules(generate)?;
        self.put_rules(&rules)
    }

    /// Generates and loads a rule program. `generate` gives eBPF instructions, 8 bytes each, of a socket filter: `r1` is the context, `cb`
    /// holds what `sniff-x-ebpf-common` says, the result is the number of bytes to keep, 0 to reject (counted there as
    /// [`counter::FILTERED`]).
    ///
    /// # Errors
    /// What `generate` said; [`CaptureError::Permission`] without CAP_BPF; [`CaptureError::Prefilter`] with the verifier's words.
    pub fn load_rules<E: Display>(
        &mut self,
        generate: impl FnOnce(&mut RuleMaps<'_>) -> Result<Vec<u8>, E>,
    ) -> Result<LoadedRules, CaptureError> {
        let counters = self.counters_fd().as_raw_fd();
        let mut maps = RuleMaps { counters, loader: &mut self.loader, sets: None };
        let instructions = generate(&mut maps).map_err(|error| CaptureError::Prefilter(error.to_string()))?;
        // Until the program is loaded nobody else keeps it.
        let _sets = maps.sets;
        let mut rules = self.loader.load(&object::wrap(object::SOCKET, &instructions)?).map_err(refused)?;
        socket_filter(&mut rules, object::RULE_PROGRAM)?.load().map_err(refused)?;
        Ok(LoadedRules(rules))
    }

    /// Puts a rule program in its place; the one that was there ends with the frame that it is at, none is lost between. The program stays
    /// there also when `rules` is dropped. Needs no capability.
    ///
    /// # Errors
    /// [`CaptureError::Prefilter`]; the rules that were in place stay.
    pub fn put_rules(&mut self, rules: &LoadedRules) -> Result<(), CaptureError> {
        let program: &SocketFilter = match rules.0.program(object::RULE_PROGRAM) {
            Some(program) => program.try_into().map_err(refused::<ProgramError>)?,
            None => return Err(missing(object::RULE_PROGRAM)),
        };
        if self.duplicates_before.is_none() {
            self.duplicates_before = Some(self.counter(counter::LOOPBACK_DUPLICATES)?);
        }
        self.slot.set(0, program.fd().map_err(refused)?, 0).map_err(refused)
    }

    /// Reads the counters; all zero until there are rules. A system call per counter: not per frame.
    ///
    /// # Errors
    /// [`CaptureError::Prefilter`].
    pub fn counters(&self) -> Result<PrefilterCounters, CaptureError> {
        let Some(duplicates_before) = self.duplicates_before else { return Ok(PrefilterCounters::default()) };
        // A frame is counted as seen first: read in the reverse order, so that never more are filtered than seen.
        let filtered = self.counter(counter::FILTERED)?;
        let seen = self.counter(counter::SEEN)?;
        let duplicates = self.counter(counter::LOOPBACK_DUPLICATES)?;
        Ok(PrefilterCounters {
            seen,
            loopback_duplicates: duplicates.saturating_sub(duplicates_before),
            filtered,
        })
    }

    fn counter(&self, index: u32) -> Result<u64, CaptureError> {
        let per_cpu = self.counters.get(&index, 0).map_err(refused)?;
        Ok(per_cpu.iter().fold(0, |sum, n| sum.wrapping_add(*n)))
    }

    fn counters_fd(&self) -> BorrowedFd<'_> {
        self.counters.map().fd().as_fd()
    }
}

impl fmt::Debug for Prefilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefilter")
            .field("link", &self.link)
            .field("rules", &self.duplicates_before.is_some())
            .finish_non_exhaustive()
    }
}

/// The name of the program that chooses the ring.
const FANOUT_PROGRAM: &str = "ring";

fn socket_filter<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SocketFilter, CaptureError> {
    ebpf.program_mut(name).ok_or_else(|| missing(name))?.try_into().map_err(refused::<ProgramError>)
}

pub(crate) fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, CaptureError> {
    ebpf.take_map(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> CaptureError {
    CaptureError::Prefilter(format!("the object has no '{name}'"))
}

/// The index of the loopback interface in this network namespace; 0 if there is none. A namespace has at most one.
fn loopback_index() -> Result<u32, CaptureError> {
    let system = |call| move |error: nix::Error| CaptureError::System { call, error: error.into() };
    let mut interfaces = getifaddrs().map_err(system("getifaddrs"))?;
    match interfaces.find(|interface| interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)) {
        Some(loopback) => if_nametoindex(loopback.interface_name.as_str()).map_err(system("if_nametoindex")),
        None => Ok(0),
    }
}

/// What the kernel's or aya's refusal means: a missing capability, or a program that the verifier does not take.
pub(crate) fn refused<E: Error + 'static>(error: E) -> CaptureError {
    let log = verifier_log(&error).unwrap_or_default();
    let io = io_error(&error);
    // The verifier says EACCES or EINVAL, and why; without the capability it never runs.
    if log.is_empty() && io.and_then(io::Error::raw_os_error) == Some(libc::EPERM) {
        return CaptureError::Permission { call: "bpf", capabilities: "cap_bpf" };
    }
    let mut text = error.to_string();
    // aya says which call failed, the cause is in the sources.
    if let Some(io) = io.map(ToString::to_string).filter(|io| !text.contains(io)) {
        text = format!("{text}: {io}");
    }
    if !log.is_empty() && !text.contains(&log) {
        text = format!("{text}\n{log}");
    }
    CaptureError::Prefilter(text)
}

/// The first `T` among an error and its sources.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    cause(error)
}

fn verifier_log(error: &(dyn Error + 'static)) -> Option<String> {
    match cause::<ProgramError>(error)? {
        ProgramError::LoadError { verifier_log, .. } => Some(verifier_log.to_string()),
        _ => None,
    }
}

fn copy(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

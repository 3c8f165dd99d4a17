//! Stage: rules → an eBPF socket filter, as instructions.
//!
//! The program is entered by tail call from the static prefilter (<https://docs.kernel.org/bpf/>). It asks the plugins' rules of what
//! the prefilter left in `skb->cb` (flow mode), then the filter of the frame itself (frame mode), counts what it rejects, and returns the
//! bytes of the frame to keep.
//!
//! It loads with `CAP_BPF` alone (kernel 5.8): without `CAP_PERFMON` the verifier wants every stack access at a constant place and every byte that
//! is read written before, so all loads have constant sizes and targets.

mod asm;
mod flow;
mod frame;
mod listing;
mod parsed;
mod ports;
mod set;
mod walk;
mod window;

use sniff_x_ebpf_common::counter;

use self::asm::{Assembler, FP, Helper, If, R0, R1, R2, R6, Size};
use self::ports::Sets;
use self::walk::Verdicts;
use crate::RuleSet;

pub use listing::Listing;
pub use ports::PortSet;

/// The most instructions of a program: as many as a jump reaches.
pub const LONGEST: usize = 32_767;

/// What the generated program needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EbpfOptions {
    /// What the program returns for a frame that passes: the number of bytes to keep, `u32::MAX` for all.
    pub accept: u32,
    /// The descriptor of the prefilter's counters, a per-CPU array of 64-bit numbers, if rejected frames are to be counted.
    pub counters_fd: Option<i32>,
    /// How frames begin.
    pub link: Link,
}

/// How the frames of an interface begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header; a VLAN tag may have been taken out into metadata.
    Ethernet,
    /// IP without a link header.
    RawIp,
    /// It differs from frame to frame (`any`). The filter then reads relative to the network header and takes the kernel's word for the
    /// protocol. A field that can't be read so (a frame cut short, headers outside of the buffer's linear part) is no reason to reject:
    /// such a frame passes, and [`RuleSet::matches_frame`] decides in user space ([`RuleSet::filter_is_final`]).
    Any,
}

impl Link {
    /// How frames of an interface with this `ARPHRD_` number begin, as a raw packet socket gives them: Ethernet, or IP for those without
    /// a header of their own. None for others.
    #[must_use]
    #[inline]
    pub fn of_hardware(hardware: u16) -> Option<Self> {
        if Self::ETHERNET.contains(&hardware) {
            return Some(Self::Ethernet);
        }
        Self::RAW_IP.contains(&hardware).then_some(Self::RawIp)
    }

    /// Of `linux/if_arp.h`: Ethernet, loopback.
    pub(crate) const ETHERNET: [u16; 2] = [1, 772];
    /// PPP, raw IP, IP in IP, IPv6 tunnels, 6in4, GRE over IPv4 and IPv6, none, void.
    pub(crate) const RAW_IP: [u16; 9] = [512, 519, 768, 769, 776, 778, 823, 0xfffe, 0xffff];
}

/// The rules can't be put into a program that the kernel takes: they must be evaluated in user space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Longer than a program may be.
    #[error("the rules make a program of {instructions} instructions, {most} is the most")]
    TooLarge {
        /// The program's length.
        instructions: usize,
        /// What the kernel takes, or a jump reaches.
        most: usize,
    },
    /// Unfinished arithmetic finds no place.
    #[error("the filter's arithmetic is nested too deeply for a program")]
    TooDeep,
    /// The filter can't be asked of this link.
    #[error("{0}")]
    Refused(String),
}

/// Words of `struct __sk_buff` by their offset, and constants of its helpers.
mod skb {
    pub(super) const LEN: i16 = 0;
    pub(super) const PKT_TYPE: i16 = 4;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const VLAN_TCI: i16 = 24;
    pub(super) const VLAN_PROTO: i16 = 28;
    pub(super) const IFINDEX: i16 = 40;
    /// `BPF_HDR_START_NET`.
    pub(super) const RELATIVE_TO_NETWORK_HEADER: u32 = 1;

    /// One of the five words that programs leave to each other.
    #[expect(clippy::cast_possible_truncation, reason = "0 to 4")]
    pub(super) const fn cb(word: usize) -> i16 {
        48 + 4 * word as i16
    }
}

/// Where the counter's index is put for the look-up: what else lay there is no longer needed by then.
const COUNTER: i16 = -4;

impl RuleSet {
    /// The rules as a program of type `SOCKET_FILTER`: instructions of 8 bytes, little endian.
    ///
    /// It returns 0 for a frame that is filtered, having counted it, and [`EbpfOptions::accept`] for one that passes. What flow mode can't
    /// decide in the kernel (fragments, deep tunnels) passes.
    ///
    /// # Errors
    /// The program would be longer than [`LONGEST`], or the filter can't be asked of this link.
    pub fn compile_ebpf(&self, options: &EbpfOptions) -> Result<Vec<u8>, CompileError> {
        finish(self.write(options, || Sets::new(false))?)
    }

    /// [`Self::compile_ebpf`], with large sets of ports in a map. `map` is given them, if there are any, and gives the descriptor of an array
    /// of 64-bit words in which their words lie one set behind the other; or nothing, and the program does without.
    ///
    /// # Errors
    /// As [`Self::compile_ebpf`].
    pub fn compile_ebpf_with_sets(
        &self,
        options: &EbpfOptions,
        map: impl FnOnce(&[PortSet]) -> Option<i32>,
    ) -> Result<Vec<u8>, CompileError> {
        let mut asm = self.write(options, || Sets::new(true))?;
        let sets = asm.sets.bitmaps();
        if !sets.is_empty() {
            match map(&sets) {
                Some(fd) => asm.set_map_of_sets(fd),
                None => return self.compile_ebpf(options),
            }
        }
        finish(asm)
    }

    /// The fast form, or where that is too long the short one.
    fn write(&self, options: &EbpfOptions, sets: impl Fn() -> Sets) -> Result<Assembler, CompileError> {
        match self.write_form(options, sets(), true) {
            Err(CompileError::TooLarge { .. }) => self.write_form(options, sets(), false),
            written => written,
        }
    }

    /// With `parsed` plain frames have a program of their own.
    fn write_form(&self, options: &EbpfOptions, sets: Sets, parsed: bool) -> Result<Assembler, CompileError> {
        let mut asm = Assembler::default();
        asm.sets = sets;
        let (filter, pass, reject) = (asm.label(), asm.label(), asm.label());
        asm.mov(R6, R1);
        if let Some(graph) = self.rule_tests() {
            flow::write(&mut asm, &graph, options.link, Verdicts { accept: filter, reject });
        }
        asm.bind(filter);
        match self.frame_tests(options.link).map_err(|why| CompileError::Refused(why.to_string()))? {
            Some(graph) => {
                let end = if options.link == Link::Any { pass } else { reject };
                frame::write(
                    &mut asm,
                    &graph,
                    (options.link, parsed),
                    Verdicts { accept: pass, reject },
                    end,
                )
                .map_err(|frame::TooDeep| CompileError::TooDeep)?;
            }
            None => asm.jump(pass),
        }
        if asm.is_used(pass) {
            asm.bind(pass);
            asm.set(R0, options.accept);
            asm.exit();
        }
        if asm.is_used(reject) {
            asm.bind(reject);
            if let Some(fd) = options.counters_fd {
                count(&mut asm, fd);
            }
            asm.set(R0, 0);
            asm.exit();
        }
        let instructions = asm.len();
        if instructions > LONGEST {
            Err(CompileError::TooLarge { instructions, most: LONGEST })
        } else {
            Ok(asm)
        }
    }
}

fn finish(asm: Assembler) -> Result<Vec<u8>, CompileError> {
    let instructions = asm.len();
    asm.finish().map_err(|asm::TooFar| CompileError::TooLarge { instructions, most: LONGEST })
}

/// Adds one to the counter of filtered frames. The array is per CPU, so nothing else writes it at the same time.
fn count(asm: &mut Assembler, fd: i32) {
    let none = asm.label();
    asm.store_word(FP, COUNTER, counter::FILTERED);
    asm.load_map(R1, fd);
    asm.mov(R2, FP);
    asm.add_pointer(R2, i32::from(COUNTER));
    asm.call(Helper::MapLookupElem);
    asm.jump_if_64(If::Eq, R0, 0, none);
    asm.load(Size::Double, R1, R0, 0);
    asm.increment(R1);
    asm.store(Size::Double, R0, 0, R1);
    asm.bind(none);
}

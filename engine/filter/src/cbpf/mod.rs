//! Stage: rules → a classic BPF program, for a process without CAP_BPF.
//!
//! It is attached with `SO_ATTACH_FILTER`, which asks for no capability, and has no help from the static prefilter: it parses for flow mode
//! itself, and lets pass what takes more than a few instructions to parse. A VLAN tag that the kernel took out is read through the ancillary
//! loads (<https://docs.kernel.org/networking/filter.html>). There is no count of what it rejects.

mod asm;
mod flow;
mod frame;
mod listing;
mod set;

use self::asm::{Assembler, Op};
use crate::RuleSet;
use crate::ebpf::{CompileError, Link};
use crate::graph::Next;

pub use listing::ClassicListing;

/// An instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions are left out when its condition holds.
    pub jt: u8,
    /// And when it does not.
    pub jf: u8,
    /// Its number.
    pub k: u32,
}

/// `BPF_MAXINSNS`: the kernel takes no more.
const LONGEST: usize = 4096;

/// Offsets of the kernel's own words, as the assembler of the kernel's documentation names them.
mod ancillary {
    const AD_OFF: u32 = 0xffff_f000;
    pub(super) const PACKET_TYPE: u32 = AD_OFF + 4;
    pub(super) const INTERFACE: u32 = AD_OFF + 8;
    pub(super) const TAG_CONTROL: u32 = AD_OFF + 44;
    pub(super) const TAG_PRESENT: u32 = AD_OFF + 48;
    pub(super) const TAG_TYPE: u32 = AD_OFF + 60;
}

impl RuleSet {
    /// The rules as a classic BPF program that returns `accept` for what passes, else 0. What flow mode can't decide (fragments, tunnels,
    /// IPv6 extension headers) passes; whether the filter's verdict is the last, [`Self::filter_is_final`] says.
    ///
    /// # Errors
    /// The program would be longer than 4,096 instructions; the link is [`Link::Any`], where loads have no place to count from that is there
    /// for every frame; the filter can't be asked of this link.
    pub fn compile_cbpf(&self, accept: u32, link: Link) -> Result<Vec<Instruction>, CompileError> {
        if link == Link::Any {
            return Err(CompileError::Refused(
                "classic BPF can't tell the headers of frames of any link".to_owned(),
            ));
        }
        let mut asm = Assembler::default();
        let (filter, pass, reject) = (asm.label(), asm.label(), asm.label());
        if let Some(graph) = self.rule_tests() {
            flow::write(&mut asm, &graph, link, (filter, reject));
        }
        asm.bind(filter);
        match self.frame_tests(link).map_err(|why| CompileError::Refused(why.to_string()))? {
            Some(graph) => {
                frame::write(&mut asm, &graph, link, (pass, reject))
                    .map_err(|frame::TooDeep| CompileError::TooDeep)?;
            }
            None => asm.jump(pass),
        }
        asm.bind(pass);
        asm.op(Op::Return, accept);
        asm.bind(reject);
        asm.op(Op::Return, 0);
        asm.finish().map_err(|asm::TooLong(instructions)| CompileError::TooLarge { instructions })
    }
}

/// Where a graph's step or verdict is.
fn label(next: Next, labels: &[asm::Label], (accept, reject): (asm::Label, asm::Label)) -> asm::Label {
    match next {
        Next::Accept => accept,
        Next::Reject => reject,
        Next::Step(index) => labels.get(index).copied().unwrap_or(reject),
    }
}

//! Stage: rules → a classic BPF program, for a process without CAP_BPF.
//!
//! It is attached with `SO_ATTACH_FILTER`, which asks for no capability, and has no help from the static prefilter: it parses for flow mode
//! itself, and lets pass what takes more than a few instructions to parse. On all interfaces at once ([`Link::Any`]) it begins with the kind
//! of the frame's interface and has a program for each that it knows; frames of others pass. A VLAN tag that the kernel took out is read through the ancillary
//! loads (<https://docs.kernel.org/networking/filter.html>). There is no count of what it rejects.

mod asm;
mod flow;
mod frame;
mod listing;
mod set;

use self::asm::{Assembler, Op};
use crate::RuleSet;
use crate::ebpf::{CompileError, Link};
use crate::frame::Refused;
use crate::graph::Next;
use crate::ranges::Ranges;

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
    pub(super) const HARDWARE: u32 = AD_OFF + 28;
    pub(super) const TAG_CONTROL: u32 = AD_OFF + 44;
    pub(super) const TAG_PRESENT: u32 = AD_OFF + 48;
    pub(super) const TAG_TYPE: u32 = AD_OFF + 60;
}

impl RuleSet {
    /// The rules as a classic BPF program that returns `accept` for what passes, else 0. What flow mode can't decide (fragments, tunnels,
    /// IPv6 extension headers) passes; whether the filter's verdict is the last, [`Self::filter_is_final`] says.
    ///
    /// # Errors
    /// The program would be longer than 4,096 instructions; the filter can't be asked of this link.
    pub fn compile_cbpf(&self, accept: u32, link: Link) -> Result<Vec<Instruction>, CompileError> {
        let mut asm = Assembler::default();
        let verdicts = (asm.label(), asm.label());
        match link {
            Link::Any => self.write_any(&mut asm, verdicts)?,
            link => self
                .write_classic(&mut asm, link, verdicts)?
                .map_err(|why| CompileError::Refused(why.to_string()))?,
        }
        let (pass, reject) = verdicts;
        asm.bind(pass);
        asm.op(Op::Return, accept);
        asm.bind(reject);
        asm.op(Op::Return, 0);
        asm.finish()
            .map_err(|asm::TooLong(instructions)| CompileError::TooLarge { instructions, most: LONGEST })
    }

    /// The program for frames of all interfaces.
    fn write_any(&self, asm: &mut Assembler, verdicts: Verdicts) -> Result<(), CompileError> {
        let (pass, reject) = verdicts;
        let (ethernet, other, raw) = (asm.label(), asm.label(), asm.label());
        let kinds = |numbers: &[u16]| Ranges::new(numbers.iter().map(|n| (u32::from(*n), u32::from(*n))));
        asm.op(Op::Absolute4, ancillary::HARDWARE);
        set::branch(asm, kinds(&Link::ETHERNET).as_slice(), ethernet, other);
        asm.bind(other);
        set::branch(asm, kinds(&Link::RAW_IP).as_slice(), raw, pass);
        for (here, link) in [(ethernet, Link::Ethernet), (raw, Link::RawIp)] {
            asm.bind(here);
            if self.write_classic(asm, link, verdicts)?.is_err() {
                // As the evaluator says of a filter that can't be asked of a frame.
                asm.jump(reject);
            }
        }
        Ok(())
    }

    /// The program for one kind of link; the inner error: the filter can't be asked of it.
    fn write_classic(
        &self,
        asm: &mut Assembler,
        link: Link,
        (pass, reject): Verdicts,
    ) -> Result<Result<(), Refused>, CompileError> {
        let graph = match self.frame_tests(link) {
            Ok(graph) => graph,
            Err(why) => return Ok(Err(why)),
        };
        let filter = asm.label();
        if let Some(rules) = self.rule_tests() {
            flow::write(asm, &rules, link, (filter, reject));
        }
        asm.bind(filter);
        match graph {
            Some(graph) => frame::write(asm, &graph, link, (pass, reject))
                .map_err(|frame::TooDeep| CompileError::TooDeep)?,
            None => asm.jump(pass),
        }
        Ok(Ok(()))
    }
}

/// Where accepted and rejected frames go.
type Verdicts = (asm::Label, asm::Label);

/// Where a graph's step or verdict is.
fn label(next: Next, labels: &[asm::Label], (accept, reject): (asm::Label, asm::Label)) -> asm::Label {
    match next {
        Next::Accept => accept,
        Next::Reject => reject,
        Next::Step(index) => labels.get(index).copied().unwrap_or(reject),
    }
}

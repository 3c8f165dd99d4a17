//! Flow mode in eBPF: what the prefilter parsed comes in `skb->cb`, so most rules touch no byte of the frame.

use sniff_x_ebpf_common::{cb, found};

use super::asm::{Alu, Assembler, Branch, FP, Helper, If, Label, R0, R1, R2, R3, R4, R5, R6, R8, R9, Size};
use super::walk::{Present, Verdicts, walk};
use super::{Link, set, skb};
use crate::ast::{Family, ip};
use crate::flow::{End, Test};
use crate::graph::Graph;
use crate::simplify::{Knowledge, simplify};

/// Source and destination address of the innermost IP header, on the stack.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    id: u8,
    stack: i16,
    /// Where they lie in the header, and the bytes of one.
    offset: u32,
    len: i16,
}

const V4: Addresses = Addresses { id: 0, stack: -144, offset: 12, len: 4 };
const V6: Addresses = Addresses { id: 1, stack: -176, offset: 8, len: 16 };

/// Writes the rules' tests. R6 holds the context. What the prefilter could not decide is accepted.
pub(super) fn write(asm: &mut Assembler, graph: &Graph<Test>, link: Link, verdicts: Verdicts) {
    asm.load(Size::Word, R8, R6, skb::cb(cb::FOUND));
    asm.jump_if(If::Set, R8, found::FRAGMENT | found::UNDECIDED, verdicts.accept);
    let asked = asm.label();
    asm.jump_if(If::Set, R8, found::PORTS, asked);
    asm.jump(verdicts.reject);
    asm.bind(asked);
    if graph.steps.iter().any(|step| matches!(step.test, Test::Port { .. })) {
        asm.load(Size::Word, R9, R6, skb::cb(cb::PORTS));
    }
    let graph = simplify(graph, Known { families: [true; 2], transports: [true; 2] });
    walk(asm, &graph, verdicts, Present::default(), |asm, (test, _), present, to| {
        write_test(asm, test, present, to, (link, verdicts.accept));
    });
}

fn write_test(
    asm: &mut Assembler,
    test: &Test,
    present: &mut Present,
    to: Branch,
    (link, undecided): (Link, Label),
) {
    match test {
        Test::Family(Family::V4) => asm.branch(If::Set, R8, found::IPV4, to),
        Test::Family(Family::V6) => asm.branch(If::Set, R8, found::IPV6, to),
        Test::Protocol(number) => {
            asm.mov(R0, R8);
            asm.alu(Alu::And, R0, 0xff);
            asm.branch(If::Eq, R0, u32::from(*number), to);
        }
        Test::Port { end, set } => {
            asm.mov(R0, R9);
            match end {
                End::Source => asm.alu(Alu::Shr, R0, 16),
                End::Destination => asm.alu(Alu::And, R0, 0xffff),
            }
            set::member(asm, set, 0xffff, to);
        }
        Test::V4 { end, address, mask } => {
            let ask = Ask { addresses: V4, end: *end, link, undecided };
            ask.write(asm, &[(*address, *mask)], present, to);
        }
        Test::V6 { end, address, mask } => {
            let words = [96, 64, 32, 0].map(|shift| (word(*address, shift), word(*mask, shift)));
            Ask { addresses: V6, end: *end, link, undecided }.write(asm, &words, present, to);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "one word of four")]
const fn word(number: u128, shift: u32) -> u32 {
    (number >> shift) as u32
}

/// A question about an address.
struct Ask {
    addresses: Addresses,
    end: End,
    link: Link,
    undecided: Label,
}

impl Ask {
    /// Goes to `to.yes` when each word of the address is as given under its mask.
    fn write(&self, asm: &mut Assembler, words: &[(u32, u32)], present: &mut Present, to: Branch) {
        let Addresses { id, stack, offset, len } = self.addresses;
        if !present.has(id) {
            let loaded = self.load(asm, offset);
            asm.jump_if_64(If::Ne, loaded, 0, self.undecided);
            present.add(id);
        }
        let start = if self.end == End::Source { stack } else { stack + len };
        for (at, (value, mask)) in (start..).step_by(4).zip(words).filter(|(_, (_, mask))| *mask != 0) {
            asm.load(Size::Word, R0, FP, at);
            if *mask != u32::MAX {
                asm.alu(Alu::And, R0, mask.swap_bytes());
            }
            asm.jump_if(If::Ne, R0, value.swap_bytes(), to.no);
        }
        if to.next != Some(to.yes) {
            asm.jump(to.yes);
        }
    }

    /// Both addresses; R0 says whether the frame holds them.
    fn load(&self, asm: &mut Assembler, offset: u32) -> super::asm::Reg {
        asm.mov(R1, R6);
        asm.load(Size::Word, R2, R6, skb::cb(cb::OFFSETS));
        asm.alu(Alu::And, R2, 0xffff);
        asm.alu(Alu::Add, R2, offset);
        asm.mov(R3, FP);
        asm.add_pointer(R3, i32::from(self.addresses.stack));
        asm.set(R4, u32::from(self.addresses.len.unsigned_abs()) * 2);
        // What the prefilter's offsets count from.
        if self.link == Link::Any {
            asm.set(R5, skb::RELATIVE_TO_NETWORK_HEADER);
            asm.call(Helper::SkbLoadBytesRelative);
        } else {
            asm.call(Helper::SkbLoadBytes);
        }
        R0
    }
}

/// What is known of a packet: whether each version of IP, and TCP and UDP, are still possible.
#[derive(Clone, Copy, Debug)]
struct Known {
    families: [bool; 2],
    transports: [bool; 2],
}

impl Known {
    /// The possibilities that a test splits, and which of the two it asks for.
    fn split(&mut self, test: &Test) -> Option<(&mut [bool; 2], usize)> {
        match test {
            Test::Family(family) => Some((&mut self.families, usize::from(*family == Family::V6))),
            Test::Protocol(number) => Some((&mut self.transports, usize::from(*number == ip::UDP))),
            Test::Port { .. } | Test::V4 { .. } | Test::V6 { .. } => None,
        }
    }
}

impl Knowledge<Test> for Known {
    fn answer(&self, test: &Test) -> Option<bool> {
        let mut copy = *self;
        let (possible, asked) = copy.split(test)?;
        match (possible.get(asked), possible.get(1 - asked)) {
            (Some(false), _) => Some(false),
            (_, Some(false)) => Some(true),
            _ => None,
        }
    }

    fn and(mut self, test: &Test, answer: bool) -> Self {
        if let Some((possible, asked)) = self.split(test)
            && let Some(excluded) = possible.get_mut(if answer { 1 - asked } else { asked })
        {
            *excluded = false;
        }
        self
    }

    fn or(self, other: Self) -> Self {
        let either = |a: [bool; 2], b: [bool; 2]| [a[0] || b[0], a[1] || b[1]];
        Self {
            families: either(self.families, other.families),
            transports: either(self.transports, other.transports),
        }
    }
}

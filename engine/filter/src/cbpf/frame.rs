//! Frame mode in classic BPF: libpcap's way to write it, with the number of the test before kept in A where it is the same.
//!
//! A load past the end of the frame returns 0 from the program: it rejects, as it must.

use super::asm::{Alu, Assembler, If, Label, Op};
use super::{ancillary, label, set};
use crate::ast::Operator;
use crate::ebpf::Link;
use crate::frame::{
    self, Compare, Known, Load, REGISTERS, Test, Value, settled, simplified, simplified_beside,
};
use crate::graph::{Graph, Next};

/// No frame is as long as this; the kernel reads offsets above the middle as its own words.
const TOO_FAR: u32 = 1 << 24;

/// Arithmetic needs more scratch memory than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Writes `graph`'s tests; they end at one of `verdicts`, accept and reject.
pub(super) fn write(
    asm: &mut Assembler,
    graph: &Graph<Test>,
    link: Link,
    verdicts: (Label, Label),
) -> Result<(), TooDeep> {
    let (_, reject) = verdicts;
    let plain = settled(simplified(graph, Known::default()));
    let place = frame::Link::Ethernet.tag_place().filter(|_| link == Link::Ethernet);
    if let Some(place) = place {
        let beside = settled(simplified_beside(graph, place));
        let (untagged, tagged) = (asm.label(), asm.label());
        asm.op(Op::Absolute4, ancillary::TAG_PRESENT);
        asm.branch(If::Eq, 0, untagged, tagged);
        asm.bind(tagged);
        Code { asm: &mut *asm, reject, first: 0 }.graph(&beside, verdicts)?;
        asm.bind(untagged);
    }
    Code { asm, reject, first: 0 }.graph(&plain, verdicts)
}

struct Code<'a> {
    asm: &'a mut Assembler,
    reject: Label,
    /// The first word of scratch memory that is no register of the filter's.
    first: usize,
}

impl Code<'_> {
    fn graph(&mut self, graph: &Graph<(Test, Known)>, verdicts: (Label, Label)) -> Result<(), TooDeep> {
        let used = |register: &u8| {
            graph.steps.iter().any(|step| match &step.test.0 {
                Test::Field { value, .. } => value.needs(*register),
                Test::Compare { left, right, .. } => left.needs(*register) || right.needs(*register),
                Test::Set { register: set, value } => set == register || value.needs(*register),
                Test::Chain(_) | Test::LookedAt { .. } | Test::Undecided => false,
            })
        };
        let registers: Vec<u8> = (0..=u8::MAX).take(REGISTERS).filter(used).collect();
        self.first = registers.last().map_or(0, |last| usize::from(*last) + 1);
        // The kernel takes no program that could read memory before it is written.
        if !registers.is_empty() {
            self.asm.op(Op::Immediate, 0);
        }
        for register in registers {
            self.asm.op(Op::Store, u32::from(register));
        }
        let labels: Vec<Label> = graph.steps.iter().map(|_| self.asm.label()).collect();
        self.asm.jump(label(graph.entry, &labels, verdicts));
        let kept = kept(graph);
        for (index, step) in graph.steps.iter().enumerate() {
            if let Some(here) = labels.get(index) {
                self.asm.bind(*here);
            }
            let (yes, no) = (label(step.yes, &labels, verdicts), label(step.no, &labels, verdicts));
            self.test(&step.test.0, kept.get(index) == Some(&true), yes, no)?;
        }
        Ok(())
    }

    fn test(&mut self, test: &Test, kept: bool, yes: Label, no: Label) -> Result<(), TooDeep> {
        match test {
            Test::Field { value, mask, set } => {
                if !kept {
                    self.value(value, self.first)?;
                }
                if *mask != u32::MAX {
                    self.asm.alu(Alu::And, *mask);
                }
                set::branch(self.asm, set.as_slice(), yes, no);
            }
            Test::Compare { left, how, right } => {
                let place = self.temporary(self.first)?;
                self.value(right, self.first)?;
                self.asm.op(Op::Store, place);
                self.value(left, self.first + 1)?;
                self.asm.op(Op::LoadMemoryX, place);
                let condition = match how {
                    Compare::Equal => If::Eq,
                    Compare::Greater => If::Gt,
                    Compare::GreaterOrEqual => If::Ge,
                };
                self.asm.branch_x(condition, yes, no);
            }
            Test::Set { register, value } => {
                self.value(value, self.first)?;
                self.asm.op(Op::Store, u32::from(*register));
                self.asm.jump(yes);
            }
            // A settled graph has none.
            Test::Chain(_) | Test::LookedAt { .. } | Test::Undecided => self.asm.jump(yes),
        }
        Ok(())
    }

    fn temporary(&self, at: usize) -> Result<u32, TooDeep> {
        u32::try_from(at).ok().filter(|_| at < REGISTERS).ok_or(TooDeep)
    }

    /// A: the number. Scratch memory from `free` on may be used.
    fn value(&mut self, value: &Value, free: usize) -> Result<(), TooDeep> {
        match value {
            Value::Number(number) => self.asm.op(Op::Immediate, *number),
            Value::Length => self.asm.op(Op::Length, 0),
            Value::PacketType => self.asm.op(Op::Absolute4, ancillary::PACKET_TYPE),
            Value::Interface => self.asm.op(Op::Absolute4, ancillary::INTERFACE),
            Value::TagType => self.asm.op(Op::Absolute4, ancillary::TAG_TYPE),
            Value::TagControl => self.asm.op(Op::Absolute4, ancillary::TAG_CONTROL),
            // Only where the link is not known, and there is no such program.
            Value::Protocol => self.asm.op(Op::Immediate, 0),
            Value::Register(register) => self.asm.op(Op::LoadMemory, u32::from(*register)),
            Value::Load(load) => self.load(load, free)?,
            Value::Binary(operator, sides) => self.binary(*operator, &sides.0, &sides.1, free)?,
        }
        Ok(())
    }

    fn load(&mut self, load: &Load, free: usize) -> Result<(), TooDeep> {
        let offset = load.offset.min(TOO_FAR);
        let Some(base) = &load.base else {
            let op = match load.size {
                1 => Op::Absolute1,
                2 => Op::Absolute2,
                _ => Op::Absolute4,
            };
            self.asm.op(op, offset);
            return Ok(());
        };
        if let Some(header) = header_len(base) {
            self.asm.op(Op::HeaderLen, header);
        } else {
            self.value(base, free)?;
            if base.bounds().1 >= TOO_FAR {
                let near = self.asm.label();
                self.asm.branch(If::Ge, TOO_FAR, self.reject, near);
                self.asm.bind(near);
            }
            self.asm.op(Op::Tax, 0);
        }
        let op = match load.size {
            1 => Op::Indirect1,
            2 => Op::Indirect2,
            _ => Op::Indirect4,
        };
        self.asm.op(op, offset);
        Ok(())
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &Value,
        right: &Value,
        free: usize,
    ) -> Result<(), TooDeep> {
        let shift = matches!(operator, Operator::ShiftLeft | Operator::ShiftRight);
        if let Value::Number(number) = *right {
            self.value(left, free)?;
            match operator {
                Operator::Divide | Operator::Modulo if number == 0 => {
                    // The kernel refuses the division itself; nothing goes on from here.
                    self.asm.jump(self.reject);
                }
                _ if shift && number >= u32::BITS => self.asm.op(Op::Immediate, 0),
                _ => self.asm.alu(alu(operator), number),
            }
            return Ok(());
        }
        let place = self.temporary(free)?;
        self.value(right, free)?;
        self.asm.op(Op::Store, place);
        self.value(left, free + 1)?;
        if shift && right.bounds().1 >= u32::BITS {
            // The kernel would shift by the lowest bits alone.
            let other = self.temporary(free + 1)?;
            let (far, near, done) = (self.asm.label(), self.asm.label(), self.asm.label());
            self.asm.op(Op::Store, other);
            self.asm.op(Op::LoadMemory, place);
            self.asm.branch(If::Ge, u32::BITS, far, near);
            self.asm.bind(near);
            self.asm.op(Op::Tax, 0);
            self.asm.op(Op::LoadMemory, other);
            self.asm.alu_x(alu(operator));
            self.asm.jump(done);
            self.asm.bind(far);
            self.asm.op(Op::Immediate, 0);
            self.asm.bind(done);
            return Ok(());
        }
        self.asm.op(Op::LoadMemoryX, place);
        self.asm.alu_x(alu(operator));
        Ok(())
    }
}

/// For each step, whether A holds what it looks at: it is only reached from the step before, which looked at the same.
fn kept(graph: &Graph<(Test, Known)>) -> Vec<bool> {
    let look = |at: usize| match graph.steps.get(at).map(|step| &step.test.0) {
        Some(Test::Field { value, mask, .. }) => Some((value, *mask)),
        _ => None,
    };
    // Whether a step is reached from elsewhere than from the step before.
    let mut elsewhere = vec![false; graph.steps.len()];
    let mut reach = |from: Option<usize>, next: Next| {
        if let Next::Step(index) = next
            && from.is_none_or(|from| from + 1 != index)
            && let Some(flag) = elsewhere.get_mut(index)
        {
            *flag = true;
        }
    };
    reach(None, graph.entry);
    for (at, step) in graph.steps.iter().enumerate() {
        reach(Some(at), step.yes);
        reach(Some(at), step.no);
    }
    let same = |index: usize| {
        let before = index.checked_sub(1).and_then(look);
        matches!((before, look(index)), (Some((a, u32::MAX)), Some((b, _))) if a == b)
    };
    elsewhere.iter().enumerate().map(|(index, elsewhere)| !elsewhere && same(index)).collect()
}

/// Where the IPv4 header is whose length this is.
fn header_len(base: &Value) -> Option<u32> {
    let Value::Binary(Operator::ShiftLeft, sides) = base else { return None };
    let (Value::Binary(Operator::And, sides), Value::Number(2)) = &**sides else { return None };
    match &**sides {
        (Value::Load(Load { base: None, offset, size: 1 }), Value::Number(0x0f)) => Some(*offset),
        _ => None,
    }
}

const fn alu(operator: Operator) -> Alu {
    match operator {
        Operator::Add => Alu::Add,
        Operator::Subtract => Alu::Sub,
        Operator::Multiply => Alu::Mul,
        Operator::Divide => Alu::Div,
        Operator::Modulo => Alu::Mod,
        Operator::And => Alu::And,
        Operator::Or => Alu::Or,
        Operator::Xor => Alu::Xor,
        Operator::ShiftLeft => Alu::Shl,
        Operator::ShiftRight => Alu::Shr,
    }
}

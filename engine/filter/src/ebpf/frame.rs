//! Frame mode in eBPF.
//!
//! A window that runs past the end of the frame proves nothing, because a smaller load might not have: then a second form of the
//! program, with one load per field in libpcap's order, decides. So ordinary frames cost one or two loads and short ones get the exact
//! verdict. A frame whose VLAN tag lies beside it has a program of its own, with the offsets that it has; so has a plain one, of which the
//! prefilter left in `skb->cb` what filters mostly ask about (`parsed`).

use super::asm::{Alu, Assembler, Branch, FP, Helper, If, Label, R0, R1, R2, R3, R4, R5, R6, R7, Size};
use super::walk::{Present, Verdicts, walk};
use super::window::headers;
use super::{Link, parsed, set, skb};
use crate::ast::Operator;
use crate::frame::{
    self, Compare, Known, Load, REGISTERS, Test, Value, settled, simplified, simplified_beside,
};
use crate::graph::{Graph, Next};
use crate::ranges::Ranges;

/// Where the exact form puts each field.
const SCRATCH: i16 = -136;
/// The filter's registers, downwards.
const FIRST_REGISTER: i16 = -188;
/// Numbers of unfinished arithmetic, downwards.
const FIRST_TEMPORARY: i16 = -256;
/// So many there is place for.
const TEMPORARIES: usize = 60;

/// No frame is as long as this: an offset from here on is past the end, and below it no sum of offsets wraps.
const TOO_FAR: u32 = 1 << 24;

/// Arithmetic needs more places than the stack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Writes `graph`'s tests. R6 holds the context. `end` is where a load past the end leads. Without `parsed` all frames are read.
pub(super) fn write(
    asm: &mut Assembler,
    graph: &Graph<Test>,
    (link, parsed): (Link, bool),
    verdicts: Verdicts,
    end: Label,
) -> Result<(), TooDeep> {
    let program = |frames| Program { link, verdicts, end, frames };
    let others = settled(simplified(graph, Known::default()));
    if link != Link::Ethernet {
        return program(Frames::Other).write(asm, &others);
    }
    let beside = settled(simplified_beside(graph, frame::Link::Ethernet.tag_place().unwrap_or_default()));
    let (tagged, plain) = (asm.label(), asm.label());
    asm.load(Size::Word, R0, R6, skb::VLAN_PRESENT);
    asm.jump_if(If::Ne, R0, 0, tagged);
    if parsed {
        parsed::branch(asm, plain);
    }
    program(Frames::Other).write(asm, &others)?;
    if parsed {
        asm.bind(plain);
        program(Frames::Plain).write(asm, &settled(simplified(graph, parsed::known())))?;
    }
    asm.bind(tagged);
    program(Frames::Tagged).write(asm, &beside)
}

/// The frames that a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frames {
    /// The tag lies beside them.
    Tagged,
    /// The prefilter read them.
    Plain,
    Other,
}

/// The two forms of a program.
struct Program {
    link: Link,
    verdicts: Verdicts,
    end: Label,
    frames: Frames,
}

impl Program {
    fn write(&self, asm: &mut Assembler, graph: &Graph<(Test, Known)>) -> Result<(), TooDeep> {
        let Self { link, verdicts, end, frames } = *self;
        let exact = asm.label();
        let fields = graph.steps.iter().filter_map(|step| match &step.test.0 {
            Test::Field { value, .. } => Some(value),
            _ => None,
        });
        let headers = headers(fields);
        let registers = graph
            .steps
            .iter()
            .any(|step| matches!(step.test.0, Test::Set { .. }) || step.test.0.reads_register());
        let code = Code { link, frames, exact: false, headers: &headers, past_the_end: exact };
        let mut result = Ok(());
        if matches!(graph.entry, Next::Step(_)) {
            if registers {
                for register in 0..REGISTERS {
                    asm.store_word(FP, place(FIRST_REGISTER, register), 0);
                }
            }
            code.protocol(asm, graph);
        }
        walk(asm, graph, verdicts, Present::default(), |asm, (test, known), present, to| {
            result = result.and(code.test(asm, test, known, present, to));
        });
        result?;
        if asm.is_used(exact) {
            asm.bind(exact);
            let code = Code { exact: true, past_the_end: end, ..code };
            walk(asm, graph, verdicts, Present::default(), |asm, (test, known), present, to| {
                result = result.and(code.test(asm, test, known, present, to));
            });
        }
        result
    }
}

fn place(first: i16, index: usize) -> i16 {
    i16::try_from(index).map_or(first, |index| first - 4 * index)
}

pub(super) struct Code<'g> {
    pub(super) link: Link,
    frames: Frames,
    /// One load per field.
    exact: bool,
    /// IPv4 headers behind which ports are asked for.
    pub(super) headers: &'g [u32],
    past_the_end: Label,
}

impl Code<'_> {
    /// R7: what the kernel says of the protocol, where the link layer can't be read.
    fn protocol(&self, asm: &mut Assembler, graph: &Graph<(Test, Known)>) {
        let asked = |test: &Test| matches!(test, Test::Field { value: Value::Protocol, .. });
        if graph.steps.iter().any(|step| asked(&step.test.0)) {
            let untagged = asm.label();
            asm.load(Size::Word, R7, R6, skb::PROTOCOL);
            asm.load(Size::Word, R0, R6, skb::VLAN_PRESENT);
            asm.jump_if(If::Eq, R0, 0, untagged);
            asm.load(Size::Word, R7, R6, skb::VLAN_PROTO);
            asm.bind(untagged);
        }
    }

    fn test(
        &self,
        asm: &mut Assembler,
        test: &Test,
        known: &Known,
        present: &mut Present,
        to: Branch,
    ) -> Result<(), TooDeep> {
        match test {
            Test::Field { value: Value::Load(load), mask, set } => {
                if let Some(left) = self.left(load) {
                    left.compare(asm, *mask, set, to);
                    return Ok(());
                }
                let stack = if self.exact { None } else { self.windowed(asm, load, known, present) };
                match stack {
                    Some(stack) => compare_at(asm, load.size, (stack, *mask, set), to),
                    None => {
                        self.fetch(asm, load, 0, present)?;
                        compare_at(asm, load.size, (SCRATCH, *mask, set), to);
                    }
                }
            }
            Test::Field { value: Value::Protocol, mask: u32::MAX, set }
                if set.only().is_some_and(|n| n <= 0xffff) =>
            {
                let number = set.only().unwrap_or_default();
                asm.branch(If::Eq, R7, number.swap_bytes() >> 16, to);
            }
            Test::Field { value, mask, set } => {
                self.value(asm, value, 0, present)?;
                if *mask != u32::MAX {
                    asm.alu(Alu::And, R0, *mask);
                }
                set::member(asm, set, u32::MAX, to);
            }
            Test::Compare { left, how, right } => {
                self.value(asm, right, 0, present)?;
                asm.store(Size::Word, FP, temporary(0)?, R0);
                self.value(asm, left, 1, present)?;
                asm.load(Size::Word, R1, FP, temporary(0)?);
                let condition = match how {
                    Compare::Equal => If::Eq,
                    Compare::Greater => If::Gt,
                    Compare::GreaterOrEqual => If::Ge,
                };
                asm.branch_registers(condition, R0, R1, to);
            }
            Test::Set { register, value } => {
                self.value(asm, value, 0, present)?;
                asm.store(Size::Word, FP, place(FIRST_REGISTER, usize::from(*register)), R0);
                if to.next != Some(to.yes) {
                    asm.jump(to.yes);
                }
            }
            // A settled graph has none.
            Test::Chain(_) | Test::LookedAt { .. } | Test::Undecided => asm.jump(to.yes),
        }
        Ok(())
    }

    /// Where the prefilter left the field.
    fn left(&self, load: &Load) -> Option<parsed::Left> {
        if self.frames == Frames::Plain { parsed::Left::of(load) } else { None }
    }

    /// R0: the number. Temporaries from `depth` on are free. Calls of helpers leave nothing in the other registers up to R5.
    fn value(
        &self,
        asm: &mut Assembler,
        value: &Value,
        depth: usize,
        present: &mut Present,
    ) -> Result<(), TooDeep> {
        match value {
            Value::Number(number) => asm.set(R0, *number),
            Value::Length => asm.load(Size::Word, R0, R6, skb::LEN),
            Value::PacketType => asm.load(Size::Word, R0, R6, skb::PKT_TYPE),
            Value::Interface => asm.load(Size::Word, R0, R6, skb::IFINDEX),
            Value::Protocol => {
                asm.mov(R0, R7);
                asm.network_order(R0, 16);
            }
            Value::TagType => {
                debug_assert!(self.frames == Frames::Tagged, "asked of tagged frames alone");
                asm.load(Size::Word, R0, R6, skb::VLAN_PROTO);
                asm.network_order(R0, 16);
            }
            Value::TagControl => asm.load(Size::Word, R0, R6, skb::VLAN_TCI),
            Value::Register(register) => {
                asm.load(Size::Word, R0, FP, place(FIRST_REGISTER, usize::from(*register)));
            }
            Value::Load(load) => {
                self.fetch(asm, load, depth, present)?;
                let size = size_of(load.size);
                asm.load(size, R0, FP, SCRATCH);
                if load.size > 1 {
                    asm.network_order(R0, load.size * 8);
                }
            }
            Value::Binary(operator, sides) => {
                self.binary(asm, *operator, &sides.0, &sides.1, depth, present)?
            }
        }
        Ok(())
    }

    fn binary(
        &self,
        asm: &mut Assembler,
        operator: Operator,
        left: &Value,
        right: &Value,
        depth: usize,
        present: &mut Present,
    ) -> Result<(), TooDeep> {
        if let Value::Number(number) = *right {
            self.value(asm, left, depth, present)?;
            match operator {
                Operator::Subtract => asm.alu(Alu::Add, R0, number.wrapping_neg()),
                // Always: but the verifier wants what follows to be reached.
                Operator::Divide | Operator::Modulo if number == 0 => {
                    asm.set(R0, 0);
                    asm.jump_if(If::Eq, R0, 0, self.past_the_end);
                }
                Operator::ShiftLeft | Operator::ShiftRight if number >= u32::BITS => asm.set(R0, 0),
                _ => asm.alu(alu(operator), R0, number),
            }
            return Ok(());
        }
        let (_, most) = right.bounds();
        self.value(asm, right, depth, present)?;
        asm.store(Size::Word, FP, temporary(depth)?, R0);
        self.value(asm, left, depth + 1, present)?;
        asm.load(Size::Word, R1, FP, temporary(depth)?);
        match operator {
            Operator::Divide | Operator::Modulo => {
                asm.jump_if(If::Eq, R1, 0, self.past_the_end);
                asm.alu_registers(alu(operator), R0, R1);
            }
            Operator::ShiftLeft | Operator::ShiftRight if most >= u32::BITS => {
                let (fits, done) = (asm.label(), asm.label());
                asm.jump_if(If::Lt, R1, u32::BITS, fits);
                asm.set(R0, 0);
                asm.jump(done);
                asm.bind(fits);
                asm.alu_registers(alu(operator), R0, R1);
                asm.bind(done);
            }
            _ => asm.alu_registers(alu(operator), R0, R1),
        }
        Ok(())
    }

    /// Puts the field into the scratch place.
    fn fetch(
        &self,
        asm: &mut Assembler,
        load: &Load,
        depth: usize,
        present: &mut Present,
    ) -> Result<(), TooDeep> {
        let fixed = if self.frames == Frames::Plain { parsed::fixed(load) } else { None };
        let load = fixed.as_ref().unwrap_or(load);
        let Some(base) = &load.base else {
            self.field(asm, load);
            return Ok(());
        };
        self.value(asm, base, depth, present)?;
        // Neither the base nor the sum may wrap: both would look like an offset in the frame.
        let offset = load.offset;
        if base.bounds().1 >= TOO_FAR {
            asm.jump_if(If::Ge, R0, TOO_FAR, self.past_the_end);
        }
        asm.mov(R2, R0);
        asm.alu(Alu::Add, R2, offset.min(TOO_FAR));
        self.load_bytes(asm, u32::from(load.size), SCRATCH);
        Ok(())
    }

    /// The same, at a constant offset.
    pub(super) fn field(&self, asm: &mut Assembler, load: &Load) {
        asm.set(R2, load.offset.min(TOO_FAR));
        self.load_bytes(asm, u32::from(load.size), SCRATCH);
        if load.size == 1 {
            asm.load(Size::Byte, R0, FP, SCRATCH);
        }
    }

    /// Loads `len` bytes at R2 to the stack.
    pub(super) fn load_bytes(&self, asm: &mut Assembler, len: u32, stack: i16) {
        asm.mov(R1, R6);
        asm.mov(R3, FP);
        asm.add_pointer(R3, i32::from(stack));
        asm.set(R4, len);
        if self.link == Link::Any {
            asm.set(R5, skb::RELATIVE_TO_NETWORK_HEADER);
            asm.call(Helper::SkbLoadBytesRelative);
        } else {
            asm.call(Helper::SkbLoadBytes);
        }
        asm.jump_if_64(If::Ne, R0, 0, self.past_the_end);
    }
}

impl Test {
    fn reads_register(&self) -> bool {
        let reads = |value: &Value| (0..REGISTERS).any(|r| u8::try_from(r).is_ok_and(|r| value.needs(r)));
        match self {
            Self::Field { value, .. } | Self::Set { value, .. } => reads(value),
            Self::Compare { left, right, .. } => reads(left) || reads(right),
            Self::Chain(_) | Self::LookedAt { .. } | Self::Undecided => false,
        }
    }
}

fn temporary(depth: usize) -> Result<i16, TooDeep> {
    if depth < TEMPORARIES { Ok(place(FIRST_TEMPORARY, depth)) } else { Err(TooDeep) }
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

const fn size_of(bytes: u8) -> Size {
    match bytes {
        1 => Size::Byte,
        2 => Size::Half,
        _ => Size::Word,
    }
}

/// Compares the field of `bytes` bytes at `stack`.
fn compare_at(asm: &mut Assembler, bytes: u8, (stack, mask, set): (i16, u32, &Ranges), to: Branch) {
    let size = size_of(bytes);
    let max = match bytes {
        1 => 0xff,
        2 => 0xffff,
        _ => u32::MAX,
    };
    if size == Size::Word && stack % 4 != 0 {
        // The verifier wants words on the stack aligned; ARP's source address is not.
        asm.load(Size::Half, R0, FP, stack);
        asm.load(Size::Half, R1, FP, stack + 2);
        asm.alu(Alu::Shl, R1, 16);
        asm.alu_registers(Alu::Or, R0, R1);
    } else {
        asm.load(size, R0, FP, stack);
    }
    if let Some(number) = set.only() {
        if number > max {
            return asm.jump(to.no);
        }
        // One number: it is turned around here instead of the field there.
        let turned = |number: u32| match bytes {
            1 => number & max,
            2 => (number & max).swap_bytes() >> 16,
            _ => number.swap_bytes(),
        };
        if mask & max != max {
            asm.alu(Alu::And, R0, turned(mask));
        }
        return asm.branch(If::Eq, R0, turned(number), to);
    }
    match bytes {
        1 => {}
        _ => asm.network_order(R0, bytes * 8),
    }
    if mask & max != max {
        asm.alu(Alu::And, R0, mask);
    }
    set::member(asm, set, max, to);
}

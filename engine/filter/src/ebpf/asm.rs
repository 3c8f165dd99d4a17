//! An assembler for eBPF instructions: labels, jumps that are checked for their 16 bits, and a listing to read.
//!
//! Encoding: <https://docs.kernel.org/bpf/standardization/instruction-set.html>. Words are those of a little-endian kernel.

use core::fmt;

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(u8);

/// What a call returns, and scratch.
pub(crate) const R0: Reg = Reg(0);
/// A call's arguments, lost by it.
pub(crate) const R1: Reg = Reg(1);
pub(crate) const R2: Reg = Reg(2);
pub(crate) const R3: Reg = Reg(3);
pub(crate) const R4: Reg = Reg(4);
pub(crate) const R5: Reg = Reg(5);
/// Kept over calls.
pub(crate) const R6: Reg = Reg(6);
pub(crate) const R7: Reg = Reg(7);
pub(crate) const R8: Reg = Reg(8);
pub(crate) const R9: Reg = Reg(9);
/// The stack's upper end.
pub(crate) const FP: Reg = Reg(10);

/// Conditions of jumps, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum If {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Any of the bits is set.
    Set,
}

impl If {
    const fn code(self) -> u8 {
        match self {
            Self::Eq => 0x10,
            Self::Gt => 0x20,
            Self::Ge => 0x30,
            Self::Set => 0x40,
            Self::Ne => 0x50,
            Self::Lt => 0xa0,
            Self::Le => 0xb0,
        }
    }

    /// The opposite; bits have none.
    const fn inverse(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Set => return None,
        })
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Byte,
    Half,
    Word,
    Double,
}

impl Size {
    const fn code(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }
}

/// Arithmetic on 32 bits, which clears the upper half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add,
    And,
    Shl,
    Shr,
}

impl Alu {
    const fn code(self) -> u8 {
        match self {
            Self::Add => 0x00,
            Self::And => 0x50,
            Self::Shl => 0x60,
            Self::Shr => 0x70,
        }
    }
}

/// Helper functions of the kernel (`enum bpf_func_id` in <https://github.com/torvalds/linux/blob/master/include/uapi/linux/bpf.h>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    MapLookupElem = 1,
    SkbLoadBytes = 26,
    SkbLoadBytesRelative = 68,
}

/// A place in the program, bound once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label(usize);

/// Where a test leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch {
    pub(crate) yes: Label,
    pub(crate) no: Label,
    /// What is bound right behind the test.
    pub(crate) next: Option<Label>,
}

const JUMP: u8 = 0x05;

#[derive(Clone, Copy, Debug)]
struct Insn {
    op: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
    target: Option<Label>,
}

/// A jump is too far for 16 bits, or a label was never bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFar;

#[derive(Debug, Default)]
pub(crate) struct Assembler {
    insns: Vec<Insn>,
    /// Where each label is bound.
    labels: Vec<Option<usize>>,
    /// Whether anything jumps to it.
    used: Vec<bool>,
}

impl Assembler {
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        self.used.push(false);
        Label(self.labels.len() - 1)
    }

    pub(crate) fn bind(&mut self, label: Label) {
        // A jump to the next instruction says nothing, unless another label already stands behind it.
        let here = Some(self.insns.len());
        if self.insns.last().is_some_and(|last| last.op == JUMP && last.target == Some(label))
            && !self.labels.contains(&here)
        {
            self.insns.pop();
        }
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.insns.len());
        }
    }

    /// Whether a jump to the label was written: code that nothing reaches is refused by the verifier.
    pub(crate) fn is_used(&self, label: Label) -> bool {
        self.used.get(label.0).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.insns.len()
    }

    pub(crate) fn mov(&mut self, dst: Reg, src: Reg) {
        self.push(0xbf, dst, src, 0, 0);
    }

    /// Sets the lower 32 bits and clears the upper.
    pub(crate) fn set(&mut self, dst: Reg, value: u32) {
        self.push(0xb4, dst, R0, 0, value.cast_signed());
    }

    pub(crate) fn alu(&mut self, alu: Alu, dst: Reg, value: u32) {
        self.push(0x04 | alu.code(), dst, R0, 0, value.cast_signed());
    }

    pub(crate) fn or(&mut self, dst: Reg, src: Reg) {
        self.push(0x4c, dst, src, 0, 0);
    }

    /// `dst += value` on 64 bits, for pointers.
    pub(crate) fn add_pointer(&mut self, dst: Reg, value: i32) {
        self.push(0x07, dst, R0, 0, value);
    }

    pub(crate) fn increment(&mut self, dst: Reg) {
        self.push(0x07, dst, R0, 0, 1);
    }

    /// Turns a number of 16 or 32 bits from network order.
    pub(crate) fn network_order(&mut self, dst: Reg, bits: u8) {
        self.push(0xdc, dst, R0, 0, i32::from(bits));
    }

    pub(crate) fn load(&mut self, size: Size, dst: Reg, base: Reg, offset: i16) {
        self.push(0x61 | size.code(), dst, base, offset, 0);
    }

    pub(crate) fn store(&mut self, size: Size, base: Reg, offset: i16, src: Reg) {
        self.push(0x63 | size.code(), base, src, offset, 0);
    }

    pub(crate) fn store_word(&mut self, base: Reg, offset: i16, value: u32) {
        self.push(0x62, base, R0, offset, value.cast_signed());
    }

    /// Jumps when the register's lower 32 bits compare so with `value`.
    pub(crate) fn jump_if(&mut self, condition: If, reg: Reg, value: u32, to: Label) {
        self.jump_insn(0x06 | condition.code(), reg, value, to);
    }

    /// Goes to `yes` or `no`; one of them may be what is bound next.
    pub(crate) fn branch(&mut self, condition: If, reg: Reg, value: u32, to: Branch) {
        match condition.inverse() {
            Some(inverse) if to.next == Some(to.yes) => self.jump_if(inverse, reg, value, to.no),
            _ => {
                self.jump_if(condition, reg, value, to.yes);
                if to.next != Some(to.no) {
                    self.jump(to.no);
                }
            }
        }
    }

    /// The same on all 64 bits: a helper's return value, a pointer.
    pub(crate) fn jump_if_64(&mut self, condition: If, reg: Reg, value: u32, to: Label) {
        self.jump_insn(0x05 | condition.code(), reg, value, to);
    }

    pub(crate) fn jump(&mut self, to: Label) {
        self.jump_insn(JUMP, R0, 0, to);
    }

    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(0x85, R0, R0, 0, helper as i32);
    }

    pub(crate) fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    /// The map that this descriptor is, as the verifier wants it: `BPF_PSEUDO_MAP_FD`.
    pub(crate) fn load_map(&mut self, dst: Reg, fd: i32) {
        self.push(0x18, dst, Reg(1), 0, fd);
        self.push(0x00, R0, R0, 0, 0);
    }

    /// The program's bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>, TooFar> {
        let mut bytes = Vec::with_capacity(self.insns.len() * 8);
        for (at, insn) in self.insns.iter().enumerate() {
            let off = match insn.target {
                None => insn.off,
                Some(label) => {
                    let to = self.labels.get(label.0).copied().flatten().ok_or(TooFar)?;
                    to.checked_sub(at + 1).and_then(|far| i16::try_from(far).ok()).ok_or(TooFar)?
                }
            };
            bytes.extend([insn.op, insn.src << 4 | insn.dst]);
            bytes.extend(off.to_le_bytes());
            bytes.extend(insn.imm.to_le_bytes());
        }
        Ok(bytes)
    }

    fn jump_insn(&mut self, op: u8, reg: Reg, value: u32, to: Label) {
        if let Some(used) = self.used.get_mut(to.0) {
            *used = true;
        }
        let imm = value.cast_signed();
        self.insns.push(Insn { op, dst: reg.0, src: 0, off: 0, imm, target: Some(to) });
    }

    fn push(&mut self, op: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        self.insns.push(Insn { op, dst: dst.0, src: src.0, off, imm, target: None });
    }
}

/// A program to read, one instruction a line: index, then what it does; jumps name the index they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a>(pub &'a [u8]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wide = false;
        for (at, insn) in self.0.chunks_exact(8).enumerate() {
            if let &[op, regs, o0, o1, i0, i1, i2, i3] = insn
                && !core::mem::take(&mut wide)
            {
                let off = i16::from_le_bytes([o0, o1]);
                let imm = i32::from_le_bytes([i0, i1, i2, i3]);
                write!(f, "{at:4}: ")?;
                line(f, at, (op, regs & 0x0f, regs >> 4, off, imm))?;
                writeln!(f)?;
                wide = op == 0x18;
            }
        }
        Ok(())
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    at: usize,
    (op, dst, src, off, imm): (u8, u8, u8, i16, i32),
) -> fmt::Result {
    let size = ["u32", "u16", "u8", "u64"].get(usize::from(op >> 3 & 3)).copied().unwrap_or_default();
    let name = |code: u8, table: &[(u8, &'static str)]| {
        table.iter().find(|(c, _)| *c == code).map_or("?", |(_, name)| *name)
    };
    let target = || i64::try_from(at).unwrap_or_default() + i64::from(off) + 1;
    match op {
        0xbf => write!(f, "r{dst} = r{src}"),
        0xb4 => write!(f, "w{dst} = {:#x}", imm.cast_unsigned()),
        0x07 => write!(f, "r{dst} += {imm}"),
        0x4c => write!(f, "w{dst} |= w{src}"),
        0xdc => write!(f, "r{dst} = be{imm} r{dst}"),
        0x18 => write!(f, "r{dst} = map {imm}"),
        0x85 => {
            let helpers = [(1, "map_lookup_elem"), (26, "skb_load_bytes"), (68, "skb_load_bytes_relative")];
            write!(f, "call {}", name(u8::try_from(imm).unwrap_or_default(), &helpers))
        }
        0x95 => f.write_str("exit"),
        0x05 => write!(f, "goto {}", target()),
        _ => match op & 0x07 {
            0x01 => write!(f, "r{dst} = *({size} *)(r{src} {off:+})"),
            0x02 => write!(f, "*({size} *)(r{dst} {off:+}) = {imm:#x}"),
            0x03 => write!(f, "*({size} *)(r{dst} {off:+}) = r{src}"),
            0x04 => {
                let operators = [(0x00, "+="), (0x50, "&="), (0x60, "<<="), (0x70, ">>=")];
                write!(f, "w{dst} {} {:#x}", name(op & 0xf0, &operators), imm.cast_unsigned())
            }
            class @ (0x05 | 0x06) => {
                let conditions = [
                    (0x10, "=="),
                    (0x20, ">"),
                    (0x30, ">="),
                    (0x40, "&"),
                    (0x50, "!="),
                    (0xa0, "<"),
                    (0xb0, "<="),
                ];
                let reg = if class == 0x05 { 'r' } else { 'w' };
                let condition = name(op & 0xf0, &conditions);
                write!(f, "if {reg}{dst} {condition} {:#x} goto {}", imm.cast_unsigned(), target())
            }
            _ => write!(f, "? {op:#04x}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Alu, Assembler, Branch, FP, Helper, If, Listing, R0, R1, R6, Size, TooFar};

    #[test]
    fn a_program_and_its_listing() {
        let mut asm = Assembler::default();
        let (yes, no) = (asm.label(), asm.label());
        asm.mov(R6, R1);
        asm.load_map(R1, 5);
        asm.store_word(FP, -4, 2);
        asm.call(Helper::SkbLoadBytes);
        asm.load(Size::Half, R0, FP, -26);
        asm.alu(Alu::And, R0, 0xff1f);
        asm.branch(If::Eq, R0, 0x50, Branch { yes, no, next: Some(yes) });
        asm.bind(yes);
        asm.exit();
        asm.bind(no);
        asm.set(R0, u32::MAX);
        asm.exit();
        let program = asm.finish().unwrap();
        assert_eq!(program.len(), 11 * 8);
        assert_eq!(program[..16], [0xbf, 0x16, 0, 0, 0, 0, 0, 0, 0x18, 0x11, 0, 0, 5, 0, 0, 0]);
        let listing = [
            "   0: r6 = r1",
            "   1: r1 = map 5",
            "   3: *(u32 *)(r10 -4) = 0x2",
            "   4: call skb_load_bytes",
            "   5: r0 = *(u16 *)(r10 -26)",
            "   6: w0 &= 0xff1f",
            "   7: if w0 != 0x50 goto 9",
            "   8: exit",
            "   9: w0 = 0xffffffff",
            "  10: exit",
            "",
        ];
        assert_eq!(Listing(&program).to_string(), listing.join("\n"));
    }

    #[test]
    fn jumps_have_16_bits() {
        for (far, reaches) in [(32_767, true), (32_768, false)] {
            let mut asm = Assembler::default();
            let end = asm.label();
            asm.jump_if(If::Eq, R0, 1, end);
            (0..far).for_each(|_| asm.set(R0, 0));
            asm.bind(end);
            asm.exit();
            assert_eq!(asm.finish().is_ok(), reaches);
        }
        let mut asm = Assembler::default();
        let nowhere = asm.label();
        asm.jump(nowhere);
        assert_eq!(asm.finish(), Err(TooFar));
    }

    #[test]
    fn a_jump_to_the_next_instruction_is_left_out() {
        let mut asm = Assembler::default();
        let (a, b) = (asm.label(), asm.label());
        asm.jump_if(If::Eq, R0, 1, b);
        asm.jump(a);
        asm.bind(a);
        asm.bind(b);
        asm.exit();
        assert_eq!(asm.finish().unwrap().len(), 2 * 8);
    }
}

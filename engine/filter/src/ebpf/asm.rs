//! An assembler for eBPF instructions: labels, and jumps that are checked for their 16 bits.
//!
//! Encoding: <https://docs.kernel.org/bpf/standardization/instruction-set.html>. Words are those of a little-endian kernel.

use super::ports::Sets;

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
    Sub,
    Mul,
    /// Without a sign.
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

impl Alu {
    const fn code(self) -> u8 {
        match self {
            Self::Add => 0x00,
            Self::Sub => 0x10,
            Self::Mul => 0x20,
            Self::Div => 0x30,
            Self::Or => 0x40,
            Self::And => 0x50,
            Self::Shl => 0x60,
            Self::Shr => 0x70,
            Self::Mod => 0x90,
            Self::Xor => 0xa0,
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
const LOAD_MAP: u8 = 0x18;

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
    /// Where a label was bound last.
    bound: Option<usize>,
    /// Whether anything jumps to it.
    used: Vec<bool>,
    /// The sets that the program looks into.
    pub(super) sets: Sets,
}

/// Stands for the descriptor of the map of sets, until that is known.
const SETS: i32 = i32::MIN;

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
            && self.bound != here
        {
            self.insns.pop();
        }
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.insns.len());
        }
        self.bound = Some(self.insns.len());
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

    pub(crate) fn alu_registers(&mut self, alu: Alu, dst: Reg, src: Reg) {
        self.push(0x0c | alu.code(), dst, src, 0, 0);
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

    /// Goes to `yes` when the lower 32 bits of the two compare so, else to `no`.
    pub(crate) fn branch_registers(&mut self, condition: If, left: Reg, right: Reg, to: Branch) {
        let (condition, first, second) = match condition.inverse() {
            Some(inverse) if to.next == Some(to.yes) => (inverse, to.no, to.yes),
            _ => (condition, to.yes, to.no),
        };
        self.jump_insn(0x0e | condition.code(), left, 0, first);
        if let Some(insn) = self.insns.last_mut() {
            insn.src = right.0;
        }
        if to.next != Some(second) {
            self.jump(second);
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
        self.push(LOAD_MAP, dst, Reg(1), 0, fd);
        self.push(0x00, R0, R0, 0, 0);
    }

    /// The map of the sets.
    pub(crate) fn load_sets(&mut self, dst: Reg) {
        self.load_map(dst, SETS);
    }

    /// Says which map that is.
    pub(crate) fn set_map_of_sets(&mut self, fd: i32) {
        for insn in self.insns.iter_mut().filter(|insn| insn.op == LOAD_MAP && insn.imm == SETS) {
            insn.imm = fd;
        }
    }

    /// `dst >>= src` on 64 bits.
    pub(crate) fn shift_right_64(&mut self, dst: Reg, src: Reg) {
        self.push(0x7f, dst, src, 0, 0);
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

#[cfg(test)]
mod tests;

//! An assembler for classic BPF: labels, and jumps as long as they must be.
//!
//! Encoding: <https://docs.kernel.org/networking/filter.html>. A conditional jump reaches 255 instructions; where that is too short it
//! leads to an unconditional one.

use super::{Instruction, LONGEST};

/// Where a number is loaded from or put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A = number.
    Immediate = 0x00,
    /// A = bytes at the constant, by size.
    Absolute4 = 0x20,
    Absolute2 = 0x28,
    Absolute1 = 0x30,
    /// A = bytes at X and the constant.
    Indirect4 = 0x40,
    Indirect2 = 0x48,
    Indirect1 = 0x50,
    /// A = scratch memory.
    LoadMemory = 0x60,
    LoadMemoryX = 0x61,
    /// A = the frame's length.
    Length = 0x80,
    /// X = the length of the IPv4 header at the constant.
    HeaderLen = 0xb1,
    Store = 0x02,
    /// X = A.
    Tax = 0x07,
    Return = 0x06,
}

/// Arithmetic on A; the other side is a number, or X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Shl = 0x60,
    Shr = 0x70,
    Mod = 0x90,
    Xor = 0xa0,
}

/// Conditions on A; the other side is a number, or X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum If {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Set = 0x40,
}

/// That the other side is X.
const X: u16 = 0x08;
const ALU: u16 = 0x04;
const JUMP: u16 = 0x05;

/// A place in the program, bound once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Clone, Copy, Debug)]
enum Item {
    Plain { code: u16, k: u32 },
    Jump(Label),
    Branch { code: u16, k: u32, yes: Label, no: Label },
}

/// The program is longer than the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

#[derive(Debug, Default)]
pub(super) struct Assembler {
    items: Vec<Item>,
    labels: Vec<Option<usize>>,
}

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub(super) fn bind(&mut self, label: Label) {
        let here = self.items.len();
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(here);
        }
    }

    pub(super) fn op(&mut self, op: Op, k: u32) {
        self.items.push(Item::Plain { code: op as u16, k });
    }

    pub(super) fn alu(&mut self, alu: Alu, k: u32) {
        self.items.push(Item::Plain { code: ALU | alu as u16, k });
    }

    pub(super) fn alu_x(&mut self, alu: Alu) {
        self.items.push(Item::Plain { code: ALU | X | alu as u16, k: 0 });
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.items.push(Item::Jump(to));
    }

    pub(super) fn branch(&mut self, condition: If, k: u32, yes: Label, no: Label) {
        self.items.push(Item::Branch { code: JUMP | condition as u16, k, yes, no });
    }

    pub(super) fn branch_x(&mut self, condition: If, yes: Label, no: Label) {
        self.items.push(Item::Branch { code: JUMP | X | condition as u16, k: 0, yes, no });
    }

    /// The program. What nothing leads to is left out: the kernel would refuse it for what it reads.
    pub(super) fn finish(mut self) -> Result<Vec<Instruction>, TooLong> {
        self.shorten();
        self.drop_unreached();
        let mut widths: Vec<usize> = vec![1; self.items.len()];
        loop {
            let starts = starts(&widths);
            if let Some(length) = starts.last().filter(|length| **length > LONGEST) {
                return Err(TooLong(*length));
            }
            let grown = self.grow(&mut widths, &starts);
            if !grown {
                return Ok(self.write(&widths, &starts));
            }
        }
    }

    fn place(&self, label: Label, starts: &[usize]) -> usize {
        let item = self.labels.get(label.0).copied().flatten().unwrap_or(self.items.len());
        starts.get(item).copied().unwrap_or_default()
    }

    fn target(&self, label: Label) -> usize {
        self.labels.get(label.0).copied().flatten().unwrap_or(self.items.len())
    }

    /// What leads to a jump leads to where that leads. All jumps go forward.
    fn shorten(&mut self) {
        for label in 0..self.labels.len() {
            let mut place = self.target(Label(label));
            while let Some(Item::Jump(further)) = self.items.get(place) {
                place = self.target(*further);
            }
            if let Some(known) = self.labels.get_mut(label) {
                *known = Some(place);
            }
        }
    }

    fn drop_unreached(&mut self) {
        let mut reached = vec![false; self.items.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for (at, item) in self.items.iter().enumerate() {
            if reached.get(at) != Some(&true) {
                continue;
            }
            let next = match *item {
                Item::Plain { code, .. } if code == Op::Return as u16 => [None, None],
                Item::Plain { .. } => [Some(at + 1), None],
                Item::Jump(to) => [Some(self.target(to)), None],
                Item::Branch { yes, no, .. } => [Some(self.target(yes)), Some(self.target(no))],
            };
            for flag in next.into_iter().flatten() {
                if let Some(flag) = reached.get_mut(flag) {
                    *flag = true;
                }
            }
        }
        let mut left = 0;
        let numbers: Vec<usize> = reached
            .iter()
            .map(|reached| {
                let number = left;
                left += usize::from(*reached);
                number
            })
            .collect();
        for place in self.labels.iter_mut().flatten() {
            *place = numbers.get(*place).copied().unwrap_or_default();
        }
        let mut flags = reached.iter();
        self.items.retain(|_| flags.next() == Some(&true));
    }

    /// Makes longer what does not reach its target; whether there was any.
    fn grow(&self, widths: &mut [usize], starts: &[usize]) -> bool {
        let mut grown = false;
        for ((item, width), start) in self.items.iter().zip(widths.iter_mut()).zip(starts) {
            if let Item::Branch { yes, no, .. } = item
                && *width == 1
                && [yes, no].into_iter().any(|label| self.place(*label, starts) - start > 256)
            {
                *width = 3;
                grown = true;
            }
        }
        grown
    }

    fn write(&self, widths: &[usize], starts: &[usize]) -> Vec<Instruction> {
        let mut program = Vec::with_capacity(starts.last().copied().unwrap_or_default());
        let far = |from: usize, label: Label| {
            u32::try_from(self.place(label, starts).saturating_sub(from + 1)).unwrap_or(u32::MAX)
        };
        let near = |from: usize, label: Label| u8::try_from(far(from, label)).unwrap_or(u8::MAX);
        for ((item, width), start) in self.items.iter().zip(widths).zip(starts) {
            match *item {
                Item::Plain { code, k } => program.push(Instruction { code, jt: 0, jf: 0, k }),
                Item::Jump(to) => program.push(Instruction { code: JUMP, jt: 0, jf: 0, k: far(*start, to) }),
                Item::Branch { code, k, yes, no } if *width == 1 => {
                    program.push(Instruction { code, jt: near(*start, yes), jf: near(*start, no), k });
                }
                Item::Branch { code, k, yes, no } => {
                    program.push(Instruction { code, jt: 0, jf: 1, k });
                    program.push(Instruction { code: JUMP, jt: 0, jf: 0, k: far(start + 1, yes) });
                    program.push(Instruction { code: JUMP, jt: 0, jf: 0, k: far(start + 2, no) });
                }
            }
        }
        program
    }
}

/// Where each item starts, and the end.
fn starts(widths: &[usize]) -> Vec<usize> {
    let mut at = 0;
    let mut starts = Vec::with_capacity(widths.len() + 1);
    for width in widths {
        starts.push(at);
        at += width;
    }
    starts.push(at);
    starts
}

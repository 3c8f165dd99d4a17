//! Membership in a set of numbers: a balanced tree of comparisons, or for large sets of ports a bitmap in a map.

use super::asm::{Alu, Assembler, Branch, FP, Helper, If, Label, R0, R1, R2, Reg, Size};
use crate::ranges::Ranges;

/// Up to so many ranges are asked one by one.
const LEAF: usize = 4;

/// From so many ranges on a set of ports is a bitmap.
const LARGE: usize = 32;

/// Where the number, and the index of its word in the map, are put for the look-up. Nothing else lies there.
const NUMBER: i16 = -504;
const INDEX: i16 = -500;

/// Goes to `to.yes` when R0 is in the set, else to `to.no`. It is at most `max`.
pub(super) fn member(asm: &mut Assembler, set: &Ranges, max: u32, to: Branch) {
    let ranges = set.as_slice();
    let place = if max <= u32::from(u16::MAX) && ranges.len() >= LARGE { asm.sets.place(set) } else { None };
    let Some(first_word) = place else { return branch(asm, R0, ranges, max, to) };
    asm.store(Size::Word, FP, NUMBER, R0);
    asm.alu(Alu::Shr, R0, 6);
    asm.alu(Alu::Add, R0, first_word);
    asm.store(Size::Word, FP, INDEX, R0);
    asm.load_sets(R1);
    asm.mov(R2, FP);
    asm.add_pointer(R2, i32::from(INDEX));
    asm.call(Helper::MapLookupElem);
    asm.jump_if_64(If::Eq, R0, 0, to.no);
    asm.load(Size::Double, R0, R0, 0);
    asm.load(Size::Word, R1, FP, NUMBER);
    asm.alu(Alu::And, R1, 63);
    asm.shift_right_64(R0, R1);
    asm.alu(Alu::And, R0, 1);
    asm.branch(If::Ne, R0, 0, to);
}

/// Goes to `to.yes` when `reg` is in one of `ranges` (sorted, apart from each other), else to `to.no`. Numbers are at most `max`.
fn branch(asm: &mut Assembler, reg: Reg, ranges: &[(u32, u32)], max: u32, to: Branch) {
    let half = ranges.len() / 2;
    let (low, high) = ranges.split_at(half);
    match (ranges, high) {
        ([], _) => asm.jump(to.no),
        ([(first, last)], _) => one(asm, reg, (*first, *last), max, to),
        (_, [(pivot, _), ..]) if ranges.len() > LEAF => {
            let upper = asm.label();
            asm.jump_if(If::Ge, reg, *pivot, upper);
            branch(asm, reg, low, pivot.saturating_sub(1), Branch { next: Some(upper), ..to });
            asm.bind(upper);
            branch(asm, reg, high, max, to);
        }
        ([others @ .., (first, last)], _) => {
            for range in others {
                some(asm, reg, *range, to.yes);
            }
            one(asm, reg, (*first, *last), max, to);
        }
    }
}

fn one(asm: &mut Assembler, reg: Reg, (first, last): (u32, u32), max: u32, to: Branch) {
    if first == last {
        asm.branch(If::Eq, reg, first, to);
    } else if last >= max {
        asm.branch(If::Ge, reg, first, to);
    } else {
        if first > 0 {
            asm.jump_if(If::Lt, reg, first, to.no);
        }
        asm.branch(If::Le, reg, last, to);
    }
}

/// Goes to `yes` when `reg` is in the range, else on.
fn some(asm: &mut Assembler, reg: Reg, (first, last): (u32, u32), yes: Label) {
    if first == last {
        asm.jump_if(If::Eq, reg, first, yes);
    } else if first == 0 {
        asm.jump_if(If::Le, reg, last, yes);
    } else {
        let on = asm.label();
        asm.jump_if(If::Lt, reg, first, on);
        asm.jump_if(If::Le, reg, last, yes);
        asm.bind(on);
    }
}

//! Membership in a set of numbers: a balanced tree of comparisons.

use super::asm::{Assembler, Branch, If, Label, Reg};

/// Up to so many ranges are asked one by one.
const LEAF: usize = 4;

/// Goes to `to.yes` when `reg` is in one of `ranges` (sorted, apart from each other), else to `to.no`. Numbers are at most `max`.
pub(super) fn branch(asm: &mut Assembler, reg: Reg, ranges: &[(u32, u32)], max: u32, to: Branch) {
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

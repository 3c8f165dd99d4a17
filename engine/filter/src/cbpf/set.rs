//! Membership of A in a set of numbers: a balanced tree of comparisons.

use super::asm::{Assembler, If, Label};

/// Goes to `yes` when A is in one of `ranges` (sorted, apart from each other), else to `no`.
pub(super) fn branch(asm: &mut Assembler, ranges: &[(u32, u32)], yes: Label, no: Label) {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    match (ranges, high) {
        ([], _) => asm.jump(no),
        ([(first, last)], _) => one(asm, (*first, *last), yes, no),
        (_, [(pivot, _), ..]) => {
            let (upper, lower) = (asm.label(), asm.label());
            asm.branch(If::Ge, *pivot, upper, lower);
            asm.bind(lower);
            branch(asm, low, yes, no);
            asm.bind(upper);
            branch(asm, high, yes, no);
        }
        (_, []) => asm.jump(no),
    }
}

fn one(asm: &mut Assembler, (first, last): (u32, u32), yes: Label, no: Label) {
    if first == last {
        return asm.branch(If::Eq, first, yes, no);
    }
    if first > 0 {
        let inside = asm.label();
        asm.branch(If::Ge, first, inside, no);
        asm.bind(inside);
    }
    if last == u32::MAX { asm.jump(yes) } else { asm.branch(If::Gt, last, no, yes) }
}

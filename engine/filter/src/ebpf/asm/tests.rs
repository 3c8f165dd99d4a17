//! The encoding, and what the assembler refuses and leaves out.

use super::super::listing::Listing;
use super::{Alu, Assembler, Branch, FP, Helper, If, R0, R1, R6, Size, TooFar};

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

//! Hand-written rule programs, independent of the generator.

use std::os::fd::RawFd;

use sniff_x_ebpf_common::counter;

/// An instruction: opcode, destination and source registers, offset, immediate.
/// Source: <https://www.kernel.org/doc/html/latest/bpf/standardization/instruction-set.html>.
fn insn(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> [u8; 8] {
    let [o0, o1] = offset.to_le_bytes();
    let [i0, i1, i2, i3] = imm.to_le_bytes();
    [opcode, src << 4 | dst, o0, o1, i0, i1, i2, i3]
}

/// `dst = imm`
fn set(dst: u8, imm: i32) -> [u8; 8] {
    insn(0xb7, dst, 0, 0, imm)
}

/// `exit`
fn exit() -> [u8; 8] {
    insn(0x95, 0, 0, 0, 0)
}

/// Returns the same for every frame.
pub(super) fn constant(keep: i32) -> Vec<u8> {
    [set(0, keep), exit()].concat()
}

/// Reads a register that nothing was put into.
pub(super) fn uninitialised() -> Vec<u8> {
    // r0 = r2
    [insn(0xbf, 0, 2, 0, 0), exit()].concat()
}

/// Rejects every frame and counts that.
pub(super) fn reject_and_count(counters: RawFd) -> Vec<u8> {
    [
        // *(u32 *)(r10 - 4) = FILTERED; r2 = r10 - 4
        insn(0x62, 10, 0, -4, i32::try_from(counter::FILTERED).unwrap()),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        // r1 = the map; call bpf_map_lookup_elem
        insn(0x18, 1, 1, 0, counters),
        insn(0, 0, 0, 0, 0),
        insn(0x85, 0, 0, 0, 1),
        // if r0 == 0 goto +3; r1 = *(u64 *)r0; r1 += 1; *(u64 *)r0 = r1
        insn(0x15, 0, 0, 3, 0),
        insn(0x79, 1, 0, 0, 0),
        insn(0x07, 1, 0, 0, 1),
        insn(0x7b, 0, 1, 0, 0),
        set(0, 0),
        exit(),
    ]
    .concat()
}

/// Writes `cb` words 0 to 2 into the map's value, 1 into its fourth word, and keeps the frame.
pub(super) fn report(value: RawFd) -> Vec<u8> {
    let mut program = [
        // r2 = the map's value (BPF_PSEUDO_MAP_VALUE)
        insn(0x18, 2, 2, 0, value),
        insn(0, 0, 0, 0, 0),
    ]
    .concat();
    for word in 0..3 {
        // r3 = *(u32 *)(r1 + cb); *(u32 *)(r2 + word) = r3
        program.extend(insn(0x61, 3, 1, 48 + 4 * word, 0));
        program.extend(insn(0x63, 2, 3, 4 * word, 0));
    }
    // *(u32 *)(r2 + 12) = 1
    program.extend(insn(0x62, 2, 0, 12, 1));
    program.extend([set(0, i32::MAX), exit()].concat());
    program
}

/// Keeps frames of TCP whose destination is the port, and all that the static program did not decide.
pub(super) fn tcp_to(port: u16) -> Vec<u8> {
    [
        // r2 = cb[0]; if r2 & (FRAGMENT | UNDECIDED) goto keep
        insn(0x61, 2, 1, 48, 0),
        insn(0x45, 2, 0, 5, (1 << 11) | (1 << 12)),
        // r2 &= 0xff; if r2 != 6 goto reject
        insn(0x57, 2, 0, 0, 0xff),
        insn(0x55, 2, 0, 5, 6),
        // r2 = cb[2] & 0xffff; if r2 != port goto reject
        insn(0x61, 2, 1, 56, 0),
        insn(0x57, 2, 0, 0, 0xffff),
        insn(0x55, 2, 0, 2, i32::from(port)),
        set(0, i32::MAX),
        exit(),
        set(0, 0),
        exit(),
    ]
    .concat()
}

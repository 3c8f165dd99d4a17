//! The kernel verifier's rules that a generated program must keep, as far as they can be asked without a kernel: every instruction is
//! reached, jumps go forward and stay inside, registers and stack bytes are written before they are read, on every way, at aligned
//! constant places. Written from the verifier's side, it knows nothing of the generator.

/// What is written at an instruction, whichever way led there.
#[derive(Clone, Copy)]
struct State {
    registers: u16,
    /// One bit a byte of the stack; bit 0 is the lowest byte, 512 below the frame pointer.
    stack: [u64; 8],
    /// The offset from the frame pointer that R2 and R3 hold, if that is what they hold.
    pointers: [Option<i32>; 11],
}

impl State {
    fn meet(&mut self, other: &Self) {
        self.registers &= other.registers;
        self.stack.iter_mut().zip(other.stack).for_each(|(a, b)| *a &= b);
        for (a, b) in self.pointers.iter_mut().zip(other.pointers) {
            if *a != b {
                *a = None;
            }
        }
    }

    fn bytes(offset: i32, len: i32) -> impl Iterator<Item = (usize, u64)> {
        let low = 512 + offset;
        assert!(low >= 0 && offset + len <= 0, "stack access at {offset}, {len} bytes");
        (low..low + len).map(|byte| (byte as usize / 64, 1 << (byte % 64)))
    }

    fn write_stack(&mut self, offset: i32, len: i32) {
        Self::bytes(offset, len).for_each(|(word, bit)| self.stack[word] |= bit);
    }

    fn stack_is_written(&self, offset: i32, len: i32) -> bool {
        Self::bytes(offset, len).all(|(word, bit)| self.stack[word] & bit != 0)
    }
}

/// Says what is wrong with `program`.
pub(crate) fn verify(program: &[u8]) -> Result<(), String> {
    let insns: Vec<&[u8]> = program.chunks(8).collect();
    let mut states: Vec<Option<State>> = vec![None; insns.len()];
    let mut pointers = [None; 11];
    pointers[10] = Some(0);
    states[0] = Some(State { registers: 1 << 1 | 1 << 10, stack: [0; 8], pointers });
    let mut lengths = [None; 11];
    let mut at = 0;
    while at < insns.len() {
        let insn = insns[at];
        let (op, dst, src) = (insn[0], usize::from(insn[1] & 15), usize::from(insn[1] >> 4));
        let off = i32::from(i16::from_le_bytes([insn[2], insn[3]]));
        let imm = i32::from_le_bytes(insn[4..8].try_into().unwrap());
        let mut state = states[at].ok_or(format!("{at}: not reached"))?;
        let read = |state: &State, register: usize| {
            let written = state.registers & 1 << register != 0;
            if written { Ok(()) } else { Err(format!("{at}: r{register} read before it is written")) }
        };
        let mut to = Vec::new();
        let mut width = 1;
        let size = [4, 2, 1, 8][usize::from(op >> 3 & 3)];
        match op & 7 {
            // LDX
            1 => {
                read(&state, src)?;
                if let Some(base) = state.pointers[src] {
                    let place = base + off;
                    if place % size != 0 || !state.stack_is_written(place, size) {
                        return Err(format!("{at}: reads the stack at {place}, {size} bytes"));
                    }
                }
                state.registers |= 1 << dst;
                state.pointers[dst] = None;
            }
            // ST, STX
            class @ (2 | 3) => {
                read(&state, dst)?;
                if class == 3 {
                    read(&state, src)?;
                }
                if let Some(base) = state.pointers[dst] {
                    let place = base + off;
                    if place % size != 0 {
                        return Err(format!("{at}: writes the stack at {place}, {size} bytes"));
                    }
                    state.write_stack(place, size);
                }
            }
            // ALU, ALU64
            class @ (4 | 7) => {
                let mov = op & 0xf0 == 0xb0;
                let of_register = op & 8 != 0 && op & 0xf0 != 0xd0;
                if !mov {
                    read(&state, dst)?;
                }
                if of_register {
                    read(&state, src)?;
                }
                state.pointers[dst] = match (class, op & 0xf0, of_register) {
                    (7, 0xb0, true) => state.pointers[src],
                    (7, 0x00, false) => state.pointers[dst].map(|p| p + imm),
                    _ => None,
                };
                lengths[dst] = (mov && !of_register).then_some(imm);
                state.registers |= 1 << dst;
            }
            // LD: a map's address, two instructions wide
            0 if op == 0x18 && src == 1 => {
                state.registers |= 1 << dst;
                state.pointers[dst] = None;
                width = 2;
                states[at + 1] = Some(state);
            }
            5 if op == 0x95 => {
                read(&state, 0)?;
                at += 1;
                continue;
            }
            5 if op == 0x85 => {
                let arguments = match imm {
                    1 => {
                        let key = state.pointers[2].ok_or("key is not on the stack")?;
                        if !state.stack_is_written(key, 4) {
                            return Err(format!("{at}: key not written"));
                        }
                        2
                    }
                    26 | 68 => {
                        let place = state.pointers[3].ok_or(format!("{at}: target is not on the stack"))?;
                        let len = lengths[4].ok_or(format!("{at}: length is no constant"))?;
                        state.write_stack(place, len);
                        if imm == 26 { 4 } else { 5 }
                    }
                    _ => return Err(format!("{at}: unknown helper {imm}")),
                };
                (1..=arguments).try_for_each(|register| read(&state, register))?;
                state.registers = state.registers & !0x3f | 1;
                state.pointers[..6].fill(None);
            }
            5 | 6 => {
                if op != 5 {
                    read(&state, dst)?;
                }
                if off < 0 {
                    return Err(format!("{at}: jumps back"));
                }
                to.push(at + 1 + off as usize);
            }
            _ => return Err(format!("{at}: unknown instruction {op:#04x}")),
        }
        if op != 5 {
            to.push(at + width);
        }
        for next in to {
            match states.get_mut(next) {
                Some(Some(known)) => known.meet(&state),
                Some(unknown) => *unknown = Some(state),
                None => return Err(format!("{at}: leads out of the program")),
            }
        }
        at += width;
    }
    Ok(())
}

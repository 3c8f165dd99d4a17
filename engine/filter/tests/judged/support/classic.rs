//! The kernel's side of classic BPF: its machine, with the words of its own, and what it takes
//! (`net/core/filter.c`: `bpf_check_classic`, `check_load_and_stores`). Written from the kernel's documentation
//! (<https://docs.kernel.org/networking/filter.html>), it knows nothing of the generator.

use sniff_x_filter::Instruction;
use sniff_x_flow::VlanTag;

/// What the kernel knows of a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meta {
    pub(crate) tag: Option<VlanTag>,
    pub(crate) packet_type: u32,
    pub(crate) interface: u32,
    /// The interface's `ARPHRD_` number.
    pub(crate) hardware: u32,
}

/// Runs the program; a load past the end returns 0.
pub(crate) fn run(program: &[Instruction], bytes: &[u8], meta: &Meta) -> u32 {
    // As processors shift.
    let width = |by| by & 31;
    step_through(program, bytes, meta, program.len(), width).expect("the kernel's programs have no loops")
}

/// The same by libpcap's own machine, for a program that may have loops; none when it has not ended after so many steps.
pub(crate) fn run_for(program: &[Instruction], bytes: &[u8], steps: usize) -> Option<u32> {
    step_through(program, bytes, &Meta::default(), steps, |by| by)
}

fn step_through(
    program: &[Instruction],
    bytes: &[u8],
    meta: &Meta,
    steps: usize,
    width: fn(u32) -> u32,
) -> Option<u32> {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let load = |at: u64, size: usize| -> Option<u32> {
        let field = bytes.get(at as usize..at as usize + size)?;
        Some(field.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    };
    let mut at: usize = 0;
    for _ in 0..steps {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let size = [4, 2, 1, 0][usize::from(code >> 3 & 3)];
        let other = if code & 8 != 0 { x } else { k };
        match code {
            0x00 => a = k,
            0x01 => x = k,
            0x20 | 0x28 | 0x30 if k >= 0xffff_f000 => {
                a = match k - 0xffff_f000 {
                    4 => meta.packet_type,
                    8 => meta.interface,
                    28 => meta.hardware,
                    44 => meta.tag.map_or(0, |tag| u32::from(tag.tci)),
                    48 => u32::from(meta.tag.is_some()),
                    60 => meta.tag.map_or(0, |tag| u32::from(tag.tpid)),
                    other => panic!("own word {other}"),
                }
            }
            0x20 | 0x28 | 0x30 => match load(u64::from(k), size) {
                Some(number) => a = number,
                None => return Some(0),
            },
            0x40 | 0x48 | 0x50 => {
                let sum = x.wrapping_add(k);
                assert!(sum < 0x8000_0000, "an offset that the kernel reads as its own");
                match load(u64::from(sum), size) {
                    Some(number) => a = number,
                    None => return Some(0),
                }
            }
            0x60 => a = memory[k as usize],
            0x61 => x = memory[k as usize],
            0x80 => a = bytes.len() as u32,
            0xb1 => match load(u64::from(k), 1) {
                Some(number) => x = (number & 0xf) * 4,
                None => return Some(0),
            },
            0x02 => memory[k as usize] = a,
            0x07 => x = a,
            0x87 => a = x,
            0x06 => return Some(k),
            0x05 => at = at.wrapping_add_signed(k as i32 as isize),
            _ if code & 7 == 4 => {
                a = match code & 0xf0 {
                    0x00 => a.wrapping_add(other),
                    0x10 => a.wrapping_sub(other),
                    0x20 => a.wrapping_mul(other),
                    0x30 | 0x90 if other == 0 => return Some(0),
                    0x30 => a / other,
                    0x90 => a % other,
                    0x40 => a | other,
                    0x50 => a & other,
                    0xa0 => a ^ other,
                    0x80 => a.wrapping_neg(),
                    0x60 => a.checked_shl(width(other)).unwrap_or_default(),
                    0x70 => a.checked_shr(width(other)).unwrap_or_default(),
                    _ => panic!("{code:#x}"),
                }
            }
            _ if code & 7 == 5 => {
                let holds = match code & 0xf0 {
                    0x10 => a == other,
                    0x20 => a > other,
                    0x30 => a >= other,
                    0x40 => a & other != 0,
                    _ => panic!("{code:#x}"),
                };
                at += usize::from(if holds { jt } else { jf });
            }
            _ => panic!("{code:#x}"),
        }
    }
    None
}

/// Says why the kernel would refuse the program.
pub(crate) fn verify(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > 4096 {
        return Err(format!("{} instructions", program.len()));
    }
    if program.last().map(|last| last.code) != Some(0x06) {
        return Err("the last instruction is no return".into());
    }
    // The words of memory that are written on every way to an instruction.
    let mut written: Vec<u16> = vec![u16::MAX; program.len()];
    written[0] = 0;
    for (at, Instruction { code, jt, jf, k }) in program.iter().enumerate() {
        let mut here = written[at];
        match code {
            0x02 if *k < 16 => here |= 1 << k,
            0x60 | 0x61 if *k < 16 && here & 1 << k != 0 => {}
            0x02 | 0x60 | 0x61 => return Err(format!("{at}: memory {k}")),
            0x34 | 0x94 if *k == 0 => return Err(format!("{at}: divides by zero")),
            0x64 | 0x74 if *k >= 32 => return Err(format!("{at}: shifts by {k}")),
            _ => {}
        }
        let next = match code {
            0x06 => vec![],
            0x05 => vec![at + 1 + *k as usize],
            _ if code & 7 == 5 => vec![at + 1 + usize::from(*jt), at + 1 + usize::from(*jf)],
            _ => vec![at + 1],
        };
        for to in next {
            *written.get_mut(to).ok_or(format!("{at}: leads out of the program"))? &= here;
        }
    }
    Ok(())
}

//! A program as text, for people.

use core::fmt;

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
        0x7f => write!(f, "r{dst} >>= r{src}"),
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
                let operators = [
                    (0x00, "+="),
                    (0x10, "-="),
                    (0x20, "*="),
                    (0x30, "/="),
                    (0x40, "|="),
                    (0x50, "&="),
                    (0x60, "<<="),
                    (0x70, ">>="),
                    (0x90, "%="),
                    (0xa0, "^="),
                ];
                let operator = name(op & 0xf0, &operators);
                match op & 0x08 {
                    0 => write!(f, "w{dst} {operator} {:#x}", imm.cast_unsigned()),
                    _ => write!(f, "w{dst} {operator} w{src}"),
                }
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
                match op & 0x08 {
                    0 => write!(f, "if {reg}{dst} {condition} {:#x} goto {}", imm.cast_unsigned(), target()),
                    _ => write!(f, "if {reg}{dst} {condition} {reg}{src} goto {}", target()),
                }
            }
            _ => write!(f, "? {op:#04x}"),
        },
    }
}

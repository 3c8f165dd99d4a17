//! A classic program as text, as the kernel's documentation and `tcpdump -d` write it.

use core::fmt;

use super::Instruction;

/// A program to read, one instruction a line: index, then what it does; jumps name the index they lead to.
#[derive(Clone, Copy, Debug)]
pub struct ClassicListing<'a>(pub &'a [Instruction]);

impl fmt::Display for ClassicListing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, insn)| {
            write!(f, "{at:4}: ")?;
            line(f, at, *insn)?;
            writeln!(f)
        })
    }
}

fn line(f: &mut fmt::Formatter<'_>, at: usize, Instruction { code, jt, jf, k }: Instruction) -> fmt::Result {
    let size = match code & 0x18 {
        0x00 => "",
        0x08 => "h",
        _ => "b",
    };
    match code {
        0x00 => write!(f, "ld #{k:#x}"),
        0x20 | 0x28 | 0x30 => match own_word(k) {
            Some(name) => write!(f, "ld {name}"),
            None => write!(f, "ld{size} [{k}]"),
        },
        0x40 | 0x48 | 0x50 => write!(f, "ld{size} [x + {k}]"),
        0x60 => write!(f, "ld M[{k}]"),
        0x61 => write!(f, "ldx M[{k}]"),
        0x80 => f.write_str("ld #pktlen"),
        0xb1 => write!(f, "ldxb 4*([{k}]&0xf)"),
        0x02 => write!(f, "st M[{k}]"),
        0x07 => f.write_str("tax"),
        0x87 => f.write_str("txa"),
        0x06 => write!(f, "ret #{k}"),
        0x05 => write!(f, "ja {}", at as u64 + u64::from(k) + 1),
        _ => operation(f, at, code, (jt, jf), k),
    }
}

fn operation(f: &mut fmt::Formatter<'_>, at: usize, code: u16, (jt, jf): (u8, u8), k: u32) -> fmt::Result {
    let other = if code & 0x08 != 0 { "x".to_owned() } else { format!("#{k:#x}") };
    let name = |list: &[(u16, &'static str)]| {
        list.iter().find(|(known, _)| *known == code & 0xf0).map_or("?", |(_, name)| *name)
    };
    match code & 0x07 {
        0x04 => {
            let name = name(&[
                (0x00, "add"),
                (0x10, "sub"),
                (0x20, "mul"),
                (0x30, "div"),
                (0x40, "or"),
                (0x50, "and"),
                (0x60, "lsh"),
                (0x70, "rsh"),
                (0x90, "mod"),
                (0xa0, "xor"),
            ]);
            write!(f, "{name} {other}")
        }
        0x05 => {
            let name = name(&[(0x10, "jeq"), (0x20, "jgt"), (0x30, "jge"), (0x40, "jset")]);
            let to = |far: u8| at + usize::from(far) + 1;
            write!(f, "{name} {other} jt {} jf {}", to(jt), to(jf))
        }
        _ => write!(f, "? {code:#06x}"),
    }
}

/// The kernel's own word at this offset.
fn own_word(offset: u32) -> Option<&'static str> {
    use super::ancillary;
    Some(match offset {
        ancillary::PACKET_TYPE => "type",
        ancillary::INTERFACE => "ifidx",
        ancillary::TAG_CONTROL => "vlan_tci",
        ancillary::TAG_PRESENT => "vlan_avail",
        ancillary::TAG_TYPE => "vlan_tpid",
        _ => return None,
    })
}

//! What a test looks at: a number from the frame or from what is known of it, or arithmetic on such numbers.

use std::sync::Arc;

use sniff_x_flow::Frame;

use super::link::Link;
use crate::ast::Operator;
use crate::graph::PastTheEnd;

/// A number of 32 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Number(u32),
    /// The frame's length on the wire.
    Length,
    /// [`OUTGOING`] for a frame that this host sent, something else for others.
    PacketType,
    /// The index of the interface.
    Interface,
    /// The Ethernet type as the kernel knows it, where the link header is not known.
    Protocol,
    /// The type that announces the tag beside the frame, and its control information: in programs alone, the evaluator puts it back.
    TagType,
    TagControl,
    Register(u8),
    Load(Load),
    Binary(Operator, Arc<(Self, Self)>),
}

/// A big-endian number in the frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Load {
    /// What is added to the offset.
    pub(crate) base: Option<Arc<Value>>,
    pub(crate) offset: u32,
    /// 1, 2 or 4 bytes.
    pub(crate) size: u8,
}

/// Numbers that tests leave for later ones.
pub(crate) const REGISTERS: usize = 16;

/// `PACKET_OUTGOING` (<https://github.com/torvalds/linux/blob/master/include/uapi/linux/if_packet.h>).
pub(crate) const OUTGOING: u32 = 4;

impl Value {
    pub(crate) const fn load(offset: u32, size: u8) -> Self {
        Self::Load(Load { base: None, offset, size })
    }

    /// `a operator b`, worked out where both are known.
    pub(crate) fn binary(operator: Operator, a: Self, b: Self) -> Self {
        if let (Self::Number(a), Self::Number(b)) = (&a, &b)
            && let Some(number) = operator.apply(*a, *b)
        {
            return Self::Number(number);
        }
        match (operator, &a, &b) {
            (Operator::Add, Self::Number(0), _) => b,
            (
                Operator::Add | Operator::Subtract | Operator::ShiftLeft | Operator::ShiftRight,
                _,
                Self::Number(0),
            ) => a,
            _ => Self::Binary(operator, Arc::new((a, b))),
        }
    }

    /// The least and the greatest number that it can be.
    pub(crate) fn bounds(&self) -> (u32, u32) {
        match self {
            Self::Number(number) => (*number, *number),
            Self::Load(Load { size: 1, .. }) => (0, 0xff),
            Self::Load(Load { size: 2, .. }) | Self::Protocol | Self::TagType | Self::TagControl => {
                (0, 0xffff)
            }
            Self::Binary(operator, sides) => {
                let ((a_least, a_most), (b_least, b_most)) = (sides.0.bounds(), sides.1.bounds());
                match operator {
                    Operator::And => (0, a_most.min(b_most)),
                    Operator::Add => match a_most.checked_add(b_most) {
                        Some(most) => (a_least + b_least, most),
                        None => (0, u32::MAX),
                    },
                    Operator::Multiply => match a_most.checked_mul(b_most) {
                        Some(most) => (a_least * b_least, most),
                        None => (0, u32::MAX),
                    },
                    Operator::ShiftLeft if b_most < 32 && a_most.leading_zeros() >= b_most => {
                        (a_least << b_least, a_most << b_most)
                    }
                    Operator::Divide | Operator::ShiftRight => (0, a_most),
                    Operator::Modulo => (0, a_most.min(b_most.saturating_sub(1))),
                    _ => (0, u32::MAX),
                }
            }
            _ => (0, u32::MAX),
        }
    }

    /// Whether it needs `register`.
    pub(crate) fn needs(&self, register: u8) -> bool {
        match self {
            Self::Register(number) => *number == register,
            Self::Load(load) => load.base.as_ref().is_some_and(|base| base.needs(register)),
            Self::Binary(_, sides) => sides.0.needs(register) || sides.1.needs(register),
            _ => false,
        }
    }
}

/// A frame as tests see it: with a tag that the kernel took out back in its place.
pub(super) struct View<'f> {
    frame: &'f Frame<'f>,
    /// The place of the tag, and the tag.
    tag: Option<(u64, [u8; 4])>,
    pub(super) registers: [u32; REGISTERS],
    /// The number that the last test made of what it looked at.
    pub(super) looked_at: u32,
}

impl<'f> View<'f> {
    pub(super) fn new(frame: &'f Frame<'f>, link: Link) -> Self {
        let tag = frame.vlan.zip(link.tag_place()).map(|(tag, place)| {
            let [[a, b], [c, d]] = [tag.tpid.to_be_bytes(), tag.tci.to_be_bytes()];
            (u64::from(place), [a, b, c, d])
        });
        Self { frame, tag, registers: [0; REGISTERS], looked_at: 0 }
    }

    pub(super) fn value(&self, value: &Value) -> Result<u32, PastTheEnd> {
        Ok(match value {
            Value::Number(number) => *number,
            Value::Length => self.frame.original_len.saturating_add(if self.tag.is_some() { 4 } else { 0 }),
            Value::PacketType => {
                if self.frame.flags.outgoing {
                    OUTGOING
                } else {
                    0
                }
            }
            Value::Interface => self.frame.interface,
            Value::Register(number) => self.registers.get(usize::from(*number)).copied().unwrap_or_default(),
            Value::Load(load) => {
                let base = match &load.base {
                    Some(base) => self.value(base)?,
                    None => 0,
                };
                self.load(u64::from(base) + u64::from(load.offset), load.size)?
            }
            Value::Binary(operator, sides) => {
                operator.apply(self.value(&sides.0)?, self.value(&sides.1)?).ok_or(PastTheEnd)?
            }
            // Made for programs alone.
            Value::Protocol | Value::TagType | Value::TagControl => return Err(PastTheEnd),
        })
    }

    /// Bytes of the frame that are there.
    pub(super) const fn len(&self) -> usize {
        self.frame.bytes.len()
    }

    /// `size` bytes from `start` on.
    #[inline]
    pub(super) fn load(&self, start: u64, size: u8) -> Result<u32, PastTheEnd> {
        let start = match self.tag {
            Some((place, _)) if start >= place + 4 => start - 4,
            Some((place, tag)) if start + u64::from(size) > place => {
                return self.around_tag(start, size, place, tag);
            }
            _ => start,
        };
        let start = usize::try_from(start).map_err(|_| PastTheEnd)?;
        match self.frame.bytes.get(start..start + usize::from(size)) {
            Some(&[a]) => Ok(u32::from(a)),
            Some(&[a, b]) => Ok(u32::from(u16::from_be_bytes([a, b]))),
            Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
            _ => Err(PastTheEnd),
        }
    }

    /// A load that touches the tag, byte by byte.
    fn around_tag(&self, start: u64, size: u8, place: u64, tag: [u8; 4]) -> Result<u32, PastTheEnd> {
        let byte = |at: u64| {
            let in_tag = at.checked_sub(place).and_then(|at| tag.get(usize::try_from(at).ok()?));
            match in_tag {
                // Without the addresses before it there is no place for it.
                Some(byte) if self.frame.bytes.len() as u64 >= place => Some(*byte),
                Some(_) => None,
                None => {
                    let at = if at >= place + 4 { at - 4 } else { at };
                    self.frame.bytes.get(usize::try_from(at).ok()?).copied()
                }
            }
        };
        (start..start + u64::from(size))
            .try_fold(0, |number, at| byte(at).map(|byte| number << 8 | u32::from(byte)))
            .ok_or(PastTheEnd)
    }
}

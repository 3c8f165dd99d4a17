//! Arithmetic: what a relation compares.

use core::fmt;

use super::Protocol;

/// A number, or how to get one from a packet. All arithmetic is on 32 bits without a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arith {
    Number(u32),
    /// The frame's length on the wire.
    Length,
    /// 1, 2 or 4 bytes of a protocol's header and what follows it.
    Bytes {
        protocol: Protocol,
        index: Box<Self>,
        size: u8,
    },
    Binary(Operator, Box<Self>, Box<Self>),
    Negative(Box<Self>),
}

/// An operator between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

impl Operator {
    const ALL: [(&'static str, Self, Option<u8>); 10] = [
        ("+", Self::Add, Some(4)),
        ("-", Self::Subtract, Some(4)),
        ("*", Self::Multiply, Some(5)),
        ("/", Self::Divide, Some(5)),
        ("%", Self::Modulo, None),
        ("&", Self::And, Some(2)),
        ("|", Self::Or, Some(1)),
        ("^", Self::Xor, None),
        ("<<", Self::ShiftLeft, Some(3)),
        (">>", Self::ShiftRight, Some(3)),
    ];

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(symbol, ..)| *symbol == text).map(|(_, operator, _)| *operator)
    }

    pub(super) fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator, _)| *operator == self).map_or("", |(symbol, ..)| symbol)
    }

    /// How tightly it binds. libpcap's grammar gives `%` and `^` no rank: they take what stands to the right of them, whole.
    pub(crate) fn rank(self) -> Option<u8> {
        Self::ALL.iter().find(|(_, operator, _)| *operator == self).and_then(|(.., rank)| *rank)
    }

    /// The result, as BPF computes it; none for a division by zero, which rejects the frame.
    pub(crate) const fn apply(self, a: u32, b: u32) -> Option<u32> {
        Some(match self {
            Self::Add => a.wrapping_add(b),
            Self::Subtract => a.wrapping_sub(b),
            Self::Multiply => a.wrapping_mul(b),
            Self::Divide => return a.checked_div(b),
            Self::Modulo => return a.checked_rem(b),
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::ShiftLeft => {
                if b < u32::BITS {
                    a << b
                } else {
                    0
                }
            }
            Self::ShiftRight => {
                if b < u32::BITS {
                    a >> b
                } else {
                    0
                }
            }
        })
    }
}

/// How the two sides of a relation are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Equal,
    LessOrEqual,
    Less,
    NotEqual,
}

impl Comparison {
    const ALL: [(&'static str, Self); 7] = [
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
        ("=", Self::Equal),
        ("==", Self::Equal),
        ("<=", Self::LessOrEqual),
        ("<", Self::Less),
        ("!=", Self::NotEqual),
    ];

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(symbol, _)| *symbol == text).map(|(_, comparison)| *comparison)
    }

    pub(super) fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(symbol, _)| symbol)
    }
}

impl Arith {
    /// The number that stands first in it, if it starts with one: libpcap looks at no more of a divisor or a shift's width.
    pub(crate) fn first_number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Binary(_, left, _) => left.first_number(),
            Self::Negative(inner) => inner.first_number(),
            Self::Length | Self::Bytes { .. } => None,
        }
    }
}

impl fmt::Display for Arith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Length => f.write_str("len"),
            Self::Bytes { protocol, index, size: 1 } => write!(f, "{}[{index}]", protocol.name()),
            Self::Bytes { protocol, index, size } => write!(f, "{}[{index}:{size}]", protocol.name()),
            Self::Binary(operator, left, right) => {
                left.fmt_operand(f)?;
                write!(f, " {} ", operator.symbol())?;
                right.fmt_operand(f)
            }
            Self::Negative(inner) => {
                f.write_str("- ")?;
                inner.fmt_operand(f)
            }
        }
    }
}

impl Arith {
    fn fmt_operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(..) | Self::Negative(_) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}

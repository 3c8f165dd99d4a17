//! Frame mode: libpcap's verdict on the outer frame.
//!
//! The tests are libpcap's own (`gencode.c` of 1.10), before its optimiser: where they look, in which order, and that a load past the
//! end of the frame rejects it, under `not` as well.

mod announced;
mod chain;
mod decnet;
mod ethernet;
mod geneve;
mod known;
mod link;
mod lower;
mod ports;
mod relation;
mod scope;
mod tag;
#[cfg(test)]
mod tests;
mod value;

use sniff_x_flow::Frame;

pub(crate) use known::{Known, settled, simplified, simplified_beside};
pub(crate) use link::Link;
pub(crate) use lower::lower;
pub(crate) use value::{Load, REGISTERS, Value};

use crate::ast::Operator;
use crate::graph::{Graph, Next, PastTheEnd};
use crate::ranges::Ranges;

/// The place of a fragment in its field of the IPv4 header.
pub(super) const FRAGMENT_OFFSET: u32 = 0x1fff;

/// One look at a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Whether a number, under a mask, is in a set.
    Field { value: Value, mask: u32, set: Ranges },
    /// Whether two numbers compare so.
    Compare { left: Value, how: Compare, right: Value },
    /// No question: puts a number into a register.
    Set { register: u8, value: Value },
    /// Whether a protocol comes behind the headers that follow the IP header; programs can't tell.
    Chain(chain::Chain),
    /// Whether what the test before looked at and a number make another number than 0; programs can't tell.
    LookedAt { operator: Operator, number: u32 },
    /// What this program can't tell: it lets pass, and user space decides.
    Undecided,
}

impl Test {
    /// Whether a program lets pass what gets to this test.
    pub(crate) const fn is_left_open(&self) -> bool {
        matches!(self, Self::Chain(_) | Self::LookedAt { .. } | Self::Undecided)
    }
}

/// How two numbers compare; the other ways are these, turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Greater,
    GreaterOrEqual,
    Equal,
}

impl Compare {
    pub(crate) const fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => left == right,
        }
    }
}

/// Why an expression can't be asked of a link layer: libpcap refuses it there as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there are no {0} on a link of type {1}")]
    No(&'static str, &'static str),
    #[error("'vlan' can't stand behind 'mpls'")]
    TagBehindLabel,
    #[error("behind 'mpls' only IPv4 and IPv6 can be told")]
    OverMpls,
    #[error("'protochain' can't stand behind 'geneve'")]
    ChainInTunnel,
    #[error("'geneve' stands in itself too often")]
    TooManyTunnels,
}

/// libpcap's verdict on `frame`, whose link layer the graph was made for.
pub(crate) fn accepts(graph: &Graph<Test>, link: Link, frame: &Frame<'_>) -> bool {
    if graph.entry == Next::Accept {
        return true;
    }
    let mut view = value::View::new(frame, link);
    graph.accepts(|test| {
        Ok(match test {
            Test::Field { value, mask, set } => {
                let number = view.value(value)?;
                // The fragment's place is asked by BPF_JSET, which leaves all bits.
                view.looked_at = if *mask == FRAGMENT_OFFSET { number } else { number & mask };
                set.contains(number & mask)
            }
            Test::Compare { left, how, right } => {
                let (left, right) = (view.value(left)?, view.value(right)?);
                // BPF compares for equality by a difference.
                view.looked_at = if *how == Compare::Equal { left.wrapping_sub(right) } else { left };
                how.holds(left, right)
            }
            Test::LookedAt { operator, number } => {
                // `&` leaves the number as it was.
                let made = operator.apply(view.looked_at, *number).ok_or(PastTheEnd)?;
                view.looked_at = made;
                made != 0
            }
            Test::Set { register, value } => {
                let number = view.value(value)?;
                // A tunnel's tests end with an empty one.
                view.looked_at = 0;
                if let Some(register) = view.registers.get_mut(usize::from(*register)) {
                    *register = number;
                }
                true
            }
            Test::Chain(chain) => chain.holds(&view)?,
            Test::Undecided => true,
        })
    })
}

//! What the tests of a frame teach: which network protocols, and which values of a protocol byte, are still possible.

use super::simplify::Knowledge;
use crate::frame::{Load, Test};
use crate::graph::Graph;
use crate::ranges::Ranges;

/// The network protocols that a graph asks for. Bit `n` of a mask stands for the `n`th, the highest bit for all others.
#[derive(Debug)]
pub(super) struct Protocols(Vec<u16>);

const OTHERS: u64 = 1 << 63;

impl Protocols {
    pub(super) fn of(graph: &Graph<Test>) -> Self {
        let mut list: Vec<u16> = graph
            .steps
            .iter()
            .filter_map(|step| match step.test {
                Test::Link(protocol) => Some(protocol),
                Test::Field { .. } => None,
            })
            .collect();
        list.sort_unstable();
        list.dedup();
        // Of those beyond the mask nothing is ever known.
        list.truncate(63);
        Self(list)
    }

    fn all(&self, possible: impl Fn(u16) -> bool) -> u64 {
        self.0
            .iter()
            .filter(|p| possible(**p))
            .fold(OTHERS, |mask, p| mask | self.bit(*p).unwrap_or_default())
    }

    fn bit(&self, protocol: u16) -> Option<u64> {
        self.0.binary_search(&protocol).ok().map(|index| 1 << index)
    }
}

/// What is known of a frame.
#[derive(Clone, Debug)]
pub(super) struct Known<'p> {
    asked: &'p Protocols,
    /// The protocols that are still possible.
    protocols: u64,
    /// For each byte that was read, the values that are still possible.
    bytes: Vec<(Load, [u64; 4])>,
}

impl<'p> Known<'p> {
    /// What is known before the first test, on a link that can announce the `possible` protocols.
    pub(super) fn new(asked: &'p Protocols, possible: impl Fn(u16) -> bool) -> Self {
        Self { asked, protocols: asked.all(possible), bytes: Vec::new() }
    }

    /// The protocol, if there is only one left.
    pub(super) fn protocol(&self) -> Option<u16> {
        let one = self.protocols.is_power_of_two() && self.protocols != OTHERS;
        one.then(|| self.asked.0.get(self.protocols.trailing_zeros() as usize).copied()).flatten()
    }
}

impl Knowledge<Test> for Known<'_> {
    fn answer(&self, test: &Test) -> Option<bool> {
        match test {
            Test::Link(protocol) => {
                let bit = self.asked.bit(*protocol)?;
                match self.protocols & bit {
                    0 => Some(false),
                    _ if self.protocols == bit => Some(true),
                    _ => None,
                }
            }
            Test::Field { load, mask, set } => {
                let (_, possible) = self.bytes.iter().find(|(known, _)| known == load)?;
                let set = byte_set(*mask, set);
                let inside = possible.iter().zip(&set).any(|(p, s)| p & s != 0);
                let outside = possible.iter().zip(&set).any(|(p, s)| p & !s != 0);
                (inside != outside).then_some(inside)
            }
        }
    }

    fn and(mut self, test: &Test, answer: bool) -> Self {
        match test {
            Test::Link(protocol) => {
                if let Some(bit) = self.asked.bit(*protocol) {
                    self.protocols &= if answer { bit } else { !bit };
                }
            }
            Test::Field { load, mask, set } if load.size == 1 => {
                let index =
                    self.bytes.iter().position(|(known, _)| known == load).unwrap_or(self.bytes.len());
                if index == self.bytes.len() {
                    self.bytes.push((*load, [u64::MAX; 4]));
                }
                if let Some((_, possible)) = self.bytes.get_mut(index) {
                    for (word, set) in possible.iter_mut().zip(byte_set(*mask, set)) {
                        *word &= if answer { set } else { !set };
                    }
                }
            }
            Test::Field { .. } => {}
        }
        self
    }

    fn or(mut self, other: Self) -> Self {
        self.protocols |= other.protocols;
        self.bytes.retain_mut(|(load, possible)| {
            let Some((_, others)) = other.bytes.iter().find(|(known, _)| known == load) else { return false };
            possible.iter_mut().zip(others).for_each(|(a, b)| *a |= b);
            true
        });
        self
    }
}

/// The bytes that are in `set` under `mask`.
fn byte_set(mask: u32, set: &Ranges) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, first) in words.iter_mut().zip([0_u32, 64, 128, 192]) {
        for bit in (0..64_u32).filter(|bit| set.contains((first + bit) & mask)) {
            *word |= 1 << bit;
        }
    }
    words
}

//! Stage: decision graph → the same graph without questions whose answer is known.
//!
//! Each way through the graph carries what its tests taught: which network protocols, and which values of a protocol byte, are still
//! possible. A test that can only have one answer is stepped over. Only what was read before on the same way is known, so a load that
//! could run past the end is never left out.

use crate::frame::{Load, Test};
use crate::graph::{Graph, Next, Step};
use crate::ranges::Ranges;

/// A test and the network protocol that it is made under, where only one is possible.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) test: Test,
    pub(super) protocol: Option<u16>,
}

/// What the link layer can announce.
pub(super) trait Links {
    /// Whether any frame of this link can have the protocol.
    fn possible(&self, protocol: u16) -> bool;
}

/// Simplifies `graph`. With `whole` every field lies inside the frame, so a test of no bits needs no load.
pub(super) fn simplify(graph: &Graph<Test>, links: &impl Links, whole: bool) -> Graph<Located> {
    let protocols = Protocols::of(graph);
    let start = Known { protocols: protocols.all(links), bytes: Vec::new() };
    let mut known: Vec<Option<Known>> = vec![None; graph.steps.len()];
    let mut edges = vec![(Next::Reject, Next::Reject); graph.steps.len()];
    let follow = |known: &mut Vec<Option<Known>>, mut next: Next, now: Known| {
        while let Next::Step(index) = next
            && let Some(step) = graph.steps.get(index)
        {
            next = match now.answer(&step.test, &protocols, whole) {
                Some(true) => step.yes,
                Some(false) => step.no,
                None => break,
            };
        }
        if let Next::Step(index) = next
            && let Some(entry) = known.get_mut(index)
        {
            *entry = Some(match entry.take() {
                Some(other) => other.or(now),
                None => now,
            });
        }
        next
    };
    let entry = follow(&mut known, graph.entry, start);
    for (index, step) in graph.steps.iter().enumerate() {
        let Some(now) = known.get(index).cloned().flatten() else { continue };
        let yes = follow(&mut known, step.yes, now.clone().and(&step.test, &protocols, true));
        let no = follow(&mut known, step.no, now.and(&step.test, &protocols, false));
        if let Some(edge) = edges.get_mut(index) {
            *edge = (yes, no);
        }
    }
    let steps = graph.steps.iter().zip(known).zip(edges).map(|((step, known), (yes, no))| {
        let protocol = known.and_then(|known| protocols.only(known.protocols));
        Step { test: Located { test: step.test.clone(), protocol }, yes, no }
    });
    Graph { steps: steps.collect(), entry }.reached()
}

/// The network protocols that a graph asks for. Bit `n` of a mask stands for the `n`th, the highest bit for all others.
struct Protocols(Vec<u16>);

const OTHERS: u64 = 1 << 63;

impl Protocols {
    fn of(graph: &Graph<Test>) -> Self {
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

    fn all(&self, links: &impl Links) -> u64 {
        self.0
            .iter()
            .filter(|p| links.possible(**p))
            .fold(OTHERS, |mask, p| mask | self.bit(*p).unwrap_or_default())
    }

    fn bit(&self, protocol: u16) -> Option<u64> {
        self.0.binary_search(&protocol).ok().map(|index| 1 << index)
    }

    fn only(&self, mask: u64) -> Option<u16> {
        let one = mask.is_power_of_two() && mask != OTHERS;
        one.then(|| self.0.get(mask.trailing_zeros() as usize).copied()).flatten()
    }
}

/// What is known at a place.
#[derive(Clone, Debug)]
struct Known {
    /// The protocols that are still possible.
    protocols: u64,
    /// For each byte that was read, the values that are still possible.
    bytes: Vec<(Load, [u64; 4])>,
}

impl Known {
    fn answer(&self, test: &Test, protocols: &Protocols, whole: bool) -> Option<bool> {
        match test {
            Test::Link(protocol) => {
                let bit = protocols.bit(*protocol)?;
                match self.protocols & bit {
                    0 => Some(false),
                    _ if self.protocols == bit => Some(true),
                    _ => None,
                }
            }
            Test::Field { mask: 0, set, .. } if whole => Some(set.contains(0)),
            Test::Field { load, mask, set } => {
                let (_, possible) = self.bytes.iter().find(|(known, _)| known == load)?;
                let set = byte_set(*mask, set);
                let inside = possible.iter().zip(&set).any(|(p, s)| p & s != 0);
                let outside = possible.iter().zip(&set).any(|(p, s)| p & !s != 0);
                (inside != outside).then_some(inside)
            }
        }
    }

    /// With the answer to one more test.
    fn and(mut self, test: &Test, protocols: &Protocols, answer: bool) -> Self {
        match test {
            Test::Link(protocol) => {
                if let Some(bit) = protocols.bit(*protocol) {
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

    /// What holds whichever of two ways was taken.
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

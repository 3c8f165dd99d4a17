//! What the tests of a frame teach: which numbers a value can still be.

use super::tag::beside;
use super::{Test, Value};
use crate::ast::ether;
use crate::graph::{Graph, Next, Step};
use crate::ranges::Ranges;
use crate::simplify::{Knowledge, simplify};

/// So many values are remembered; the oldest are forgotten.
const MOST: usize = 48;

/// Sets with more ranges teach nothing.
const MOST_RANGES: usize = 24;

/// What is known at a place of a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Vec<Fact>);

/// A value that was read, and what it is, under a mask, among.
#[derive(Clone, Debug)]
struct Fact {
    value: Value,
    mask: u32,
    possible: Ranges,
}

/// The graph without questions whose answer is known, from what is known before the first.
pub(crate) fn simplified(graph: &Graph<Test>, start: Known) -> Graph<(Test, Known)> {
    simplify(graph, start).reached()
}

/// The tests of frames whose tag, at `place`, lies beside them.
pub(crate) fn simplified_beside(graph: &Graph<Test>, place: u32) -> Graph<(Test, Known)> {
    let tags = ether::TAGS.map(|tag| (tag, tag));
    simplified(&beside(graph, place), Known::default().knowing(Value::TagType, u32::MAX, Ranges::new(tags)))
}

/// A program's graph: what it can't tell, it accepts.
pub(crate) fn settled(graph: Graph<(Test, Known)>) -> Graph<(Test, Known)> {
    let undecided: Vec<bool> = graph.steps.iter().map(|step| step.test.0.is_left_open()).collect();
    let turn = |next| match next {
        Next::Step(index) if undecided.get(index) == Some(&true) => Next::Accept,
        next => next,
    };
    let steps = graph.steps.into_iter().map(|s| Step { yes: turn(s.yes), no: turn(s.no), test: s.test });
    Graph { steps: steps.collect(), entry: turn(graph.entry) }.reached()
}

impl Known {
    /// Knowing also that `value`, which can be read, is under `mask` among `possible`.
    pub(crate) fn knowing(mut self, value: Value, mask: u32, possible: Ranges) -> Self {
        self.0.push(Fact { value, mask, possible });
        self
    }

    /// The number that `value` is, if that is known.
    pub(crate) fn only(&self, value: &Value) -> Option<u32> {
        self.0.iter().find(|fact| fact.mask == u32::MAX && fact.value == *value)?.possible.only()
    }

    fn fact(&self, value: &Value, mask: u32) -> Option<&Fact> {
        self.0.iter().find(|fact| fact.mask == mask && fact.value == *value)
    }
}

impl Knowledge<Test> for Known {
    fn answer(&self, test: &Test) -> Option<bool> {
        let (value, mask, set) = match test {
            Test::Field { value, mask, set } => (value, mask, set),
            Test::Compare { left: Value::Number(left), how, right: Value::Number(right) } => {
                return Some(how.holds(*left, *right));
            }
            _ => return None,
        };
        if let Some(number) = self.only(value) {
            return Some(set.contains(number & mask));
        }
        let possible = &self.fact(value, *mask)?.possible;
        let inside = possible.and(set);
        if inside.is_empty() { Some(false) } else { (inside == *possible).then_some(true) }
    }

    fn certain(&self, test: &Test) -> Option<bool> {
        let (value, mask, set) = match test {
            Test::Field { value, mask, set } => (value, mask, set),
            Test::Chain(chain) => return chain.never_holds().then_some(false),
            _ => return None,
        };
        let all = Ranges::new([(0, value.bounds().1.min(*mask))]);
        let inside = all.and(set);
        if inside.is_empty() { Some(false) } else { (inside == all).then_some(true) }
    }

    fn and(mut self, test: &Test, answer: bool) -> Self {
        match test {
            Test::Field { value, mask, set } if set.as_slice().len() <= MOST_RANGES => {
                let possible = if answer { set.clone() } else { set.others() };
                match self.0.iter_mut().find(|fact| fact.mask == *mask && fact.value == *value) {
                    Some(fact) => {
                        let both = fact.possible.and(&possible);
                        if both.as_slice().len() <= MOST_RANGES {
                            fact.possible = both;
                        }
                    }
                    None => {
                        if self.0.len() == MOST {
                            self.0.remove(0);
                        }
                        let all = Ranges::new([(0, value.bounds().1.min(*mask))]);
                        self.0.push(Fact { value: value.clone(), mask: *mask, possible: possible.and(&all) });
                    }
                }
            }
            Test::Set { register, .. } => self.0.retain(|fact| !fact.value.needs(*register)),
            _ => {}
        }
        self
    }

    fn or(mut self, other: Self) -> Self {
        self.0.retain_mut(|fact| {
            let Some(same) = other.fact(&fact.value, fact.mask) else { return false };
            fact.possible = fact.possible.or(&same.possible);
            fact.possible.as_slice().len() <= MOST_RANGES
        });
        self
    }
}

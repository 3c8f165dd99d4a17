//! Stage: decision graph → the same graph without questions whose answer is known.
//!
//! Each way through the graph carries what its tests taught. A test that can only have one answer there is stepped over. Only what was
//! asked before on the same way is known, so a load that could run past the end is never left out.
//!
//! Each way from a step is followed over a bounded number of known answers: the work grows with the graph's length, not with its square.

use crate::graph::{Graph, Next, Step};

/// So many tests with a known answer are stepped over at once; the next is asked, though its answer is known.
const FARTHEST: usize = 128;

/// In short graphs more: together so many are looked at in any case.
const ANYWAY: usize = 1 << 18;

/// What is known at a place of a graph.
pub(crate) trait Knowledge<T>: Clone {
    /// The answer, if only one is possible and the test can be left out.
    fn answer(&self, test: &T) -> Option<bool>;

    /// The answer, if only one is possible, of a test that must be made all the same: it may read past the end.
    fn certain(&self, _test: &T) -> Option<bool> {
        None
    }

    /// With the answer to one more test.
    fn and(self, test: &T, answer: bool) -> Self;

    /// What holds whichever of two ways was taken.
    fn or(self, other: Self) -> Self;
}

/// Simplifies `graph`, of which `start` is known before its first test. Each test comes with what is known where it is asked.
pub(crate) fn simplify<T: Clone, K: Knowledge<T>>(graph: &Graph<T>, start: K) -> Graph<(T, K)> {
    let mut known: Vec<Option<K>> = vec![None; graph.steps.len()];
    let farthest = FARTHEST + ANYWAY / graph.steps.len().max(1);
    let entry = follow(graph, farthest, &mut known, graph.entry, start);
    let mut steps = Vec::with_capacity(graph.steps.len());
    // Old numbers of the steps that are left, in order.
    let mut numbers = Vec::with_capacity(graph.steps.len());
    for (index, step) in graph.steps.iter().enumerate() {
        numbers.push(steps.len());
        let Some(now) = known.get_mut(index).and_then(Option::take) else { continue };
        // One that was too far away to be stepped over has an answer, too.
        let certain = now.certain(&step.test).or_else(|| now.answer(&step.test));
        let mut lead = |answer: bool| {
            let next = if certain.unwrap_or(answer) { step.yes } else { step.no };
            follow(graph, farthest, &mut known, next, now.clone().and(&step.test, certain.unwrap_or(answer)))
        };
        let (yes, no) = (lead(true), lead(false));
        steps.push(Step { test: (step.test.clone(), now), yes, no });
    }
    let turn = |next: Next| match next {
        Next::Step(index) => numbers.get(index).copied().map_or(Next::Reject, Next::Step),
        verdict => verdict,
    };
    for step in &mut steps {
        (step.yes, step.no) = (turn(step.yes), turn(step.no));
    }
    Graph { steps, entry: turn(entry) }
}

/// Where `next` leads with `now` known, over at most `farthest` steps, and notes that there.
fn follow<T, K: Knowledge<T>>(
    graph: &Graph<T>,
    farthest: usize,
    known: &mut [Option<K>],
    mut next: Next,
    now: K,
) -> Next {
    for _ in 0..farthest {
        let Next::Step(index) = next else { break };
        let Some(step) = graph.steps.get(index) else { break };
        next = match now.answer(&step.test) {
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
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{Knowledge, simplify};
    use crate::graph::{Graph, Next, Step};

    /// Knows all answers but that of each test's first look, and counts what it is asked.
    #[derive(Clone)]
    struct Counting<'c>(&'c Cell<usize>);

    impl Knowledge<bool> for Counting<'_> {
        fn answer(&self, test: &bool) -> Option<bool> {
            self.0.set(self.0.get() + 1);
            if *test { None } else { Some(false) }
        }

        fn and(self, _: &bool, _: bool) -> Self {
            self
        }

        fn or(self, _: Self) -> Self {
            self
        }
    }

    /// Questions asked of a chain of `len` tests, of which the first half must be made and leads into the second, all known.
    fn questions(len: usize) -> usize {
        let step = |index| {
            let asked = index < len / 2;
            let no = if index + 1 < len { Next::Step(index + 1) } else { Next::Reject };
            let yes = if asked { Next::Step(len / 2) } else { Next::Accept };
            Step { test: asked, yes, no }
        };
        let graph = Graph { steps: (0..len).map(step).collect(), entry: Next::Step(0) };
        let count = Cell::new(0);
        let simple = simplify(&graph, Counting(&count));
        assert!(simple.steps.len() >= len / 2);
        count.get()
    }

    #[test]
    fn the_work_grows_with_the_length() {
        let (short, long, longer) = (questions(400), questions(40_000), questions(80_000));
        // All known ones are left out of a short graph.
        assert!(short > 200 * 200, "{short}");
        assert!(longer < 80_000 * 140, "{longer}");
        assert!(longer < long * 21 / 10, "{long} {longer}");
    }
}

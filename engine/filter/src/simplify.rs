//! Stage: decision graph → the same graph without questions whose answer is known.
//!
//! Each way through the graph carries what its tests taught. A test that can only have one answer there is stepped over. Only what was
//! asked before on the same way is known, so a load that could run past the end is never left out.

use crate::graph::{Graph, Next, Step};

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
    let entry = follow(graph, &mut known, graph.entry, start);
    let mut steps = Vec::with_capacity(graph.steps.len());
    // Old numbers of the steps that are left, in order.
    let mut numbers = Vec::with_capacity(graph.steps.len());
    for (index, step) in graph.steps.iter().enumerate() {
        numbers.push(steps.len());
        let Some(now) = known.get_mut(index).and_then(Option::take) else { continue };
        let certain = now.certain(&step.test);
        let mut lead = |answer: bool| {
            let next = if certain.unwrap_or(answer) { step.yes } else { step.no };
            follow(graph, &mut known, next, now.clone().and(&step.test, certain.unwrap_or(answer)))
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

/// Where `next` leads with `now` known, and notes that there.
fn follow<T, K: Knowledge<T>>(graph: &Graph<T>, known: &mut [Option<K>], mut next: Next, now: K) -> Next {
    while let Next::Step(index) = next
        && let Some(step) = graph.steps.get(index)
    {
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

//! Writes a decision graph as code, one test after the other.

use super::asm::{Assembler, Branch, Label};
use crate::graph::{Graph, Next};

/// The labels that the verdicts of a graph lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdicts {
    pub(super) accept: Label,
    pub(super) reject: Label,
}

/// A set of small numbers: what lies on the stack at a place of the program, whichever way led there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present(u8);

impl Present {
    pub(super) const fn has(self, chunk: u8) -> bool {
        self.0 & 1 << chunk != 0
    }

    pub(super) const fn add(&mut self, chunk: u8) {
        self.0 |= 1 << chunk;
    }
}

/// Writes all tests; `write` writes one and adds to what is on the stack behind it. Every step of the graph must be reached.
pub(super) fn walk<T>(
    asm: &mut Assembler,
    graph: &Graph<T>,
    verdicts: Verdicts,
    present: Present,
    mut write: impl FnMut(&mut Assembler, &T, &mut Present, Branch),
) {
    let labels: Vec<Label> = graph.steps.iter().map(|_| asm.label()).collect();
    let label = |next: Next| match next {
        Next::Accept => verdicts.accept,
        Next::Reject => verdicts.reject,
        Next::Step(index) => labels.get(index).copied().unwrap_or(verdicts.reject),
    };
    // What every way to a step has in common, None until the first way is known. All ways come from above.
    let mut common: Vec<Option<Present>> = vec![None; graph.steps.len()];
    let reach = |common: &mut Vec<Option<Present>>, next: Next, present: Present| {
        if let Next::Step(index) = next
            && let Some(entry) = common.get_mut(index)
        {
            *entry = Some(Present(entry.map_or(present.0, |other| other.0 & present.0)));
        }
    };
    reach(&mut common, graph.entry, present);
    asm.jump(label(graph.entry));
    for (index, step) in graph.steps.iter().enumerate() {
        let mut present = common.get(index).copied().flatten().unwrap_or_default();
        asm.bind(label(Next::Step(index)));
        let next = labels.get(index + 1).copied();
        write(asm, &step.test, &mut present, Branch { yes: label(step.yes), no: label(step.no), next });
        reach(&mut common, step.yes, present);
        reach(&mut common, step.no, present);
    }
}

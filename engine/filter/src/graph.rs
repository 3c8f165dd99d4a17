//! Stage: expression tree → decision graph.
//!
//! A graph is a list of tests. Each says which test comes next when it holds and when it does not, always one further down, until one
//! accepts or rejects. The tests stand in the order in which libpcap's program makes them, because the order shows: the first
//! load past the end of a frame rejects it, whatever the rest would have said. Evaluator and code generator both walk this list.

use crate::ast::{Ends, Node, Primitive, Transport};

/// Where to go on: a step further down, or the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    Accept,
    Reject,
    Step(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step<T> {
    pub(crate) test: T,
    pub(crate) yes: Next,
    pub(crate) no: Next,
}

/// A test's answer when the frame ends before what it reads.
pub(crate) struct PastTheEnd;

/// The tests of an expression. Invariants: a step's `yes` and `no` are larger than its own index; every step is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Graph<T> {
    pub(crate) steps: Vec<Step<T>>,
    pub(crate) entry: Next,
}

impl<T> Graph<T> {
    /// The verdict; ends because every step leads further down.
    #[inline]
    pub(crate) fn accepts(&self, mut test: impl FnMut(&T) -> Result<bool, PastTheEnd>) -> bool {
        let mut next = self.entry;
        loop {
            let step = match next {
                Next::Accept => return true,
                Next::Reject => return false,
                Next::Step(index) => self.steps.get(index),
            };
            let Some(step) = step else { return false };
            next = match test(&step.test) {
                Ok(true) => step.yes,
                Ok(false) => step.no,
                Err(PastTheEnd) => return false,
            };
        }
    }
}

/// What a primitive asks, in one of the two modes.
pub(crate) trait Lower {
    /// A mode's test.
    type Test;

    /// The tests of a primitive that has no ports; it is the expression's `term`th in the order of the text.
    fn primitive(
        &self,
        builder: &mut Builder<Self::Test>,
        primitive: &Primitive,
        term: usize,
        yes: Next,
        no: Next,
    ) -> Next;

    /// The tests of a list of ports or ranges, joined by `or`.
    fn ports(&self, builder: &mut Builder<Self::Test>, ports: &Ports, yes: Next, no: Next) -> Next;
}

/// Ports and ranges joined by `or`, with the same qualifiers, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) transport: Option<Transport>,
    pub(crate) ends: Ends,
    /// Never empty; just one with [`Ends::Both`], since both ends must be in the same one.
    pub(crate) ranges: Vec<(u32, u32)>,
    /// The number of the first of them in the order of the text.
    pub(crate) term: usize,
}

/// The graph of an expression; of the empty one, when there is no node.
pub(crate) fn lower<L: Lower>(node: Option<&Node>, mode: &L) -> Graph<L::Test> {
    let mut builder = Builder { steps: Vec::new(), terms: node.map_or(0, terms) };
    let entry = match node {
        Some(node) => builder.node(mode, node, Next::Accept, Next::Reject),
        None => Next::Accept,
    };
    builder.finish(entry)
}

fn terms(node: &Node) -> usize {
    match node {
        Node::Primitive(_) => 1,
        Node::Not(inner) => terms(inner),
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().map(terms).sum(),
    }
}

/// Builds a graph from its end: what a test leads to is known before the test itself.
#[derive(Debug)]
pub(crate) struct Builder<T> {
    /// In reverse: the last step first.
    steps: Vec<Step<T>>,
    /// Terms that are still to be lowered: the last one first.
    terms: usize,
}

impl<T> Builder<T> {
    /// Adds a test before all that were added; `yes` and `no` are among those.
    pub(crate) fn test(&mut self, test: T, yes: Next, no: Next) -> Next {
        self.steps.push(Step { test, yes, no });
        Next::Step(self.steps.len() - 1)
    }

    fn node<L: Lower<Test = T>>(&mut self, mode: &L, node: &Node, yes: Next, no: Next) -> Next {
        match node {
            Node::Primitive(primitive) => {
                self.terms = self.terms.saturating_sub(1);
                match port(primitive, self.terms) {
                    Some(ports) => mode.ports(self, &ports, yes, no),
                    None => mode.primitive(self, primitive, self.terms, yes, no),
                }
            }
            Node::Not(inner) => self.node(mode, inner, no, yes),
            Node::All(nodes) => nodes.iter().rev().fold(yes, |next, node| self.node(mode, node, next, no)),
            Node::Any(nodes) => self.any(mode, nodes, yes, no),
        }
    }

    /// One after the other, except that ports side by side become one list.
    fn any<L: Lower<Test = T>>(&mut self, mode: &L, nodes: &[Node], yes: Next, no: Next) -> Next {
        let mut next = no;
        let mut pending: Option<Ports> = None;
        for node in nodes.iter().rev() {
            let ports = match node {
                Node::Primitive(primitive) => port(primitive, self.terms.saturating_sub(1)),
                _ => None,
            };
            if ports.is_some() {
                self.terms = self.terms.saturating_sub(1);
            }
            if let (Some(list), Some(ports)) = (&mut pending, &ports)
                && (list.transport, list.ends) == (ports.transport, ports.ends)
                && list.ends != Ends::Both
            {
                list.ranges.extend(&ports.ranges);
                list.term = ports.term;
                continue;
            }
            if let Some(list) = pending.take() {
                next = self.port_list(mode, list, yes, next);
            }
            match ports {
                Some(ports) => pending = Some(ports),
                None => next = self.node(mode, node, yes, next),
            }
        }
        match pending {
            Some(list) => self.port_list(mode, list, yes, next),
            None => next,
        }
    }

    fn port_list<L: Lower<Test = T>>(&mut self, mode: &L, mut list: Ports, yes: Next, no: Next) -> Next {
        list.ranges.reverse();
        mode.ports(self, &list, yes, no)
    }

    fn finish(self, entry: Next) -> Graph<T> {
        let last = self.steps.len().saturating_sub(1);
        let turn = |next| match next {
            Next::Step(index) => Next::Step(last - index),
            verdict => verdict,
        };
        let steps =
            self.steps.into_iter().rev().map(|s| Step { test: s.test, yes: turn(s.yes), no: turn(s.no) });
        Graph { steps: steps.collect(), entry: turn(entry) }.reached()
    }
}

impl<T> Graph<T> {
    /// Whether no way leads to acceptance; of a graph whose steps are all reached.
    pub(crate) fn never_accepts(&self) -> bool {
        let leads = |next| next == Next::Accept;
        !leads(self.entry) && !self.steps.iter().any(|step| leads(step.yes) || leads(step.no))
    }

    /// Without the steps that no way leads to.
    pub(crate) fn reached(self) -> Self {
        let mut reached = vec![false; self.steps.len()];
        let reach = |reached: &mut Vec<bool>, next| {
            if let Next::Step(index) = next
                && let Some(flag) = reached.get_mut(index)
            {
                *flag = true;
            }
        };
        reach(&mut reached, self.entry);
        // All ways to a step come from above it.
        for (index, step) in self.steps.iter().enumerate() {
            if reached.get(index) == Some(&true) {
                reach(&mut reached, step.yes);
                reach(&mut reached, step.no);
            }
        }
        let mut left = 0;
        let numbers: Vec<usize> = reached
            .iter()
            .map(|reached| {
                left += usize::from(*reached);
                left.saturating_sub(1)
            })
            .collect();
        let turn = |next| match next {
            Next::Step(index) => numbers.get(index).copied().map_or(Next::Reject, Next::Step),
            verdict => verdict,
        };
        let steps = self.steps.into_iter().zip(reached).filter(|(_, reached)| *reached);
        let steps = steps.map(|(s, _)| Step { test: s.test, yes: turn(s.yes), no: turn(s.no) });
        Self { steps: steps.collect(), entry: turn(self.entry) }
    }
}

fn port(primitive: &Primitive, term: usize) -> Option<Ports> {
    match *primitive {
        Primitive::Port { transport, ends, first, last } => {
            Some(Ports { transport, ends, ranges: vec![(u32::from(first), u32::from(last))], term })
        }
        _ => None,
    }
}

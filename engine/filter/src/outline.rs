//! An expression as a tree, for people.

use core::fmt;

use crate::Expression;
use crate::ast::Node;

/// An expression to read: a term a line, what joins them above them.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a>(pub &'a Expression);

impl fmt::Display for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.node {
            Some(node) => write(f, node, 0),
            None => writeln!(f, "everything"),
        }
    }
}

fn write(f: &mut fmt::Formatter<'_>, node: &Node, depth: usize) -> fmt::Result {
    let indent = 2 * depth;
    let mut joined = |word: &str, nodes: &[Node]| {
        writeln!(f, "{:indent$}{word}", "")?;
        nodes.iter().try_for_each(|node| write(f, node, depth + 1))
    };
    match node {
        Node::Primitive(primitive) => writeln!(f, "{:indent$}{primitive}", ""),
        Node::Not(inner) => joined("not", core::slice::from_ref(inner)),
        Node::All(nodes) => joined("and", nodes),
        Node::Any(nodes) => joined("or", nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::Outline;

    #[test]
    fn what_joins_stands_above() {
        let expression = crate::parse("not (tcp or tcp[13] & 2 != 0) and port 80 or 443").unwrap();
        let text = Outline(&expression).to_string();
        let lines = [
            "or",
            "  and",
            "    not",
            "      or",
            "        tcp",
            "        tcp[13] & 2 != 0",
            "    port 80",
            "  port 443",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert_eq!(Outline(&crate::parse("").unwrap()).to_string(), "everything\n");
    }
}

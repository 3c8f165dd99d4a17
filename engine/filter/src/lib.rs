//! Stage: rule text → expression → eBPF | evaluator.
//!
//! One language, pcap-filter(7) syntax, with two meanings: *frame mode* (libpcap's verdict on the outer frame, for `--filter`) and
//! *flow mode* (asked of the innermost TCP or UDP header, for plugins' rules). Pure: no I/O, no system calls.
//!
//! What is read today: the protocols `ip`, `ip6`, `arp`, `rarp`, `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, `igmp`, `igrp`, `pim`, `vrrp`, `carp`,
//! `ah`, `esp`; `proto` behind `ip`, `ip6`, `ether` or alone; `port`, `portrange`, `host`, `net` with all of their qualifiers and lists; `and`,
//! `or`, `not` and parentheses. The rest of the language is refused with an error that says so.
//!
//! The way of a rule: `lex` → `parse` → `ast` → a decision `graph` of `frame` or `flow` tests → evaluator, or instructions in `ebpf`.
#![forbid(unsafe_code)]

mod ast;
mod ebpf;
mod error;
mod flow;
mod frame;
mod graph;
mod lex;
mod parse;
mod ranges;
mod rules;

use core::fmt;

use sniff_x_flow::packet::Packet;
use sniff_x_flow::{FlowKey, Frame};

pub use ebpf::{CompileError, EbpfOptions, Link, Listing};
pub use error::ParseError;
pub use rules::RuleSet;

/// A parsed expression. The empty one matches everything.
///
/// `Display` writes it as a rule in a canonical form, which parses into an equal expression.
#[derive(Clone)]
pub struct Expression {
    node: Option<ast::Node>,
    frame: graph::Graph<frame::Test>,
    flow: graph::Graph<flow::Test>,
}

/// Parses a rule.
///
/// # Errors
/// The text is no rule, or uses a part of the language that is not supported yet; the error says which and where.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    parse::parse(text).map(Expression::new)
}

impl Expression {
    fn new(node: Option<ast::Node>) -> Self {
        let frame = graph::lower::<frame::Mode>(node.as_ref());
        let flow = graph::lower::<flow::Mode>(node.as_ref());
        Self { node, frame, flow }
    }

    /// Frame mode: libpcap's verdict on the outer frame.
    ///
    /// A tag in [`Frame::vlan`] counts as a tag in the frame, so `tcp` does not match a tagged frame. Frames of a link type other than
    /// Ethernet, raw IP, Linux cooked (v1, v2), NULL and LOOP match only the empty expression.
    #[must_use]
    pub fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        frame::accepts(&self.frame, frame)
    }

    /// Flow mode: asked of the innermost TCP or UDP header.
    #[must_use]
    pub fn matches_packet(&self, packet: &Packet) -> bool {
        flow::accepts_packet(&self.flow, packet)
    }

    /// Flow mode in either direction: whether this rule asks for the connection.
    #[must_use]
    pub fn matches_flow(&self, flow: &FlowKey) -> bool {
        flow::accepts_flow(&self.flow, flow)
    }

    const fn frame_graph(&self) -> &graph::Graph<frame::Test> {
        &self.frame
    }

    /// Whether this is the empty expression, which matches everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.node.is_none()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from the tree.
        self.node == other.node
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.as_ref().map_or(Ok(()), |node| node.fmt(f))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.to_string()).finish()
    }
}

impl core::str::FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text)
    }
}

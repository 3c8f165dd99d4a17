//! Stage: rule text → expression → eBPF | evaluator.
//!
//! One language, pcap-filter(7) syntax, with two meanings: *frame mode* (libpcap's verdict on the outer frame, for `--filter`) and
//! *flow mode* (asked of the innermost TCP or UDP header, for plugins' rules). Pure: no I/O, no system calls.
//!
//! The language is that of libpcap 1.10 for Ethernet, raw IP, Linux cooked (v1, v2) and BSD loopback frames; `docs/filter.md` says what it
//! refuses and why. Names are answered by whoever parses ([`Names`]).
//!
//! The way of a rule: `lex` → `parse` → `ast` → a decision `graph` of `frame` or `flow` tests → evaluator, or instructions in `ebpf` and
//! `cbpf`.
#![forbid(unsafe_code)]

mod ast;
mod cbpf;
mod ebpf;
mod error;
mod flow;
mod frame;
mod graph;
mod lex;
mod names;
mod outline;
mod parse;
mod ranges;
mod rules;
mod simplify;

use core::fmt;
use std::sync::{Arc, OnceLock};

use sniff_x_flow::packet::Packet;
use sniff_x_flow::{FlowKey, Frame, LinkType, Transport};

pub use cbpf::{ClassicListing, Instruction};
pub use ebpf::{CompileError, EbpfOptions, LONGEST, Link, Listing, PortSet};
pub use error::ParseError;
pub use names::{Names, Service, WellKnown};
pub use outline::Outline;
pub use rules::RuleSet;

/// A parsed expression. The empty one matches everything.
///
/// `Display` writes it as a rule in a canonical form, which parses into an equal expression.
#[derive(Clone)]
pub struct Expression {
    node: Option<ast::Node>,
    frame: Arc<Frames>,
    flow: graph::Graph<flow::Test>,
}

/// An expression's tests of frames, for each link layer made when the first frame of it comes.
type Frames = [OnceLock<Result<graph::Graph<frame::Test>, frame::Refused>>; frame::Link::ALL.len()];

/// Parses a filter: the whole language, with the names that are the same everywhere.
///
/// # Errors
/// The text is no filter; the error says why and where.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    parse_with(text, &WellKnown)
}

/// Parses a filter; `names` answers for the names in it.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, names: &dyn Names) -> Result<Expression, ParseError> {
    parse::parse(text, parse::About::Frame, names).map(Expression::new)
}

/// Parses a plugin's rule, which is asked of TCP and UDP packets alone.
///
/// # Errors
/// As [`parse`]; and for a term that only a frame can answer, such as `vlan`.
pub fn parse_rule(text: &str) -> Result<Expression, ParseError> {
    parse::parse(text, parse::About::Flow, &WellKnown).map(Expression::new)
}

impl Expression {
    fn new(node: Option<ast::Node>) -> Self {
        let flow = graph::lower(node.as_ref(), &flow::Mode);
        Self { node, frame: Arc::default(), flow }
    }

    /// Frame mode: libpcap's verdict on the outer frame.
    ///
    /// A tag in [`Frame::vlan`] counts as a tag in the frame, so `tcp` does not match a tagged frame. Frames of a link type other than
    /// Ethernet, raw IP, Linux cooked (v1, v2), NULL and LOOP match only the empty expression, and so do frames of a link type that the
    /// expression can't be asked of ([`Self::refused_on`]).
    #[must_use]
    pub fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        let Some(link) = frame::Link::of(frame.link_type) else { return self.is_empty() };
        match self.tests(link) {
            Ok(graph) => frame::accepts(graph, link, frame),
            Err(_) => false,
        }
    }

    /// Why the expression can't be asked of frames of this type, if it can't: an Ethernet address on raw IP, for one. libpcap refuses it
    /// there.
    #[must_use]
    pub fn refused_on(&self, link_type: LinkType) -> Option<String> {
        match frame::Link::of(link_type).map(|link| self.tests(link)) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why.to_string()),
            None if self.is_empty() => None,
            None => Some(format!("frames of link type {} can't be filtered", link_type.0)),
        }
    }

    /// Whether no frame of this type can match, as far as the tests themselves show: `ip and arp`.
    #[must_use]
    pub fn never_matches(&self, link_type: LinkType) -> bool {
        frame::Link::of(link_type).is_some_and(|link| self.never_matches_on(link))
    }

    /// Whether a term reads nothing of the frame: `byte 0 & 1`, whose load libpcap leaves out.
    #[must_use]
    pub fn reads_nothing(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.has(ast::Primitive::reads_nothing))
    }

    /// Whether no frame of any type can match.
    #[must_use]
    pub fn never_matches_anything(&self) -> bool {
        frame::Link::ALL.into_iter().all(|link| self.never_matches_on(link))
    }

    fn never_matches_on(&self, link: frame::Link) -> bool {
        match self.tests(link) {
            Ok(graph) => frame::simplified(graph, frame::Known::default()).never_accepts(),
            Err(_) => true,
        }
    }

    fn tests(&self, link: frame::Link) -> Result<&graph::Graph<frame::Test>, frame::Refused> {
        match self.frame.get(link as usize) {
            Some(tests) => {
                tests.get_or_init(|| frame::lower(self.node.as_ref(), link)).as_ref().map_err(|why| *why)
            }
            // `any` is no frame's link type.
            None => Err(frame::Refused::No("frames", "any")),
        }
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

    /// Flow mode: whether any flow of `transport` could match, whatever its addresses and ports.
    #[must_use]
    pub fn may_match_flows_of(&self, transport: Transport) -> bool {
        flow::may_accept(&self.flow, transport)
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

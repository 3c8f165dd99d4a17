//! A run's rules together: the filter in frame mode and the plugins' rules in flow mode.

use sniff_x_flow::Frame;
use sniff_x_flow::packet::{Packet, Parsed};

use crate::ast::Node;
use crate::frame::{self, Test};
use crate::graph::{self, Graph, Next};
use crate::{Expression, Link, flow};

/// What passes: frames that the filter matches and that any of the rules asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// `--filter`, in frame mode; none passes everything.
    pub filter: Option<Expression>,
    /// The active plugins' rules, in flow mode; with no rule every frame passes.
    pub rules: Vec<Expression>,
}

impl RuleSet {
    /// Whether the filter passes the frame. Asked first, before the frame is parsed.
    #[must_use]
    pub fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches_frame(frame))
    }

    /// Whether any rule asks for the packet. Asked of what the filter passed.
    #[must_use]
    pub fn matches_packet(&self, packet: &Packet) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.matches_packet(packet))
    }

    /// [`Self::matches_packet`] for anything that a frame turned out to be. A fragment passes, because only the whole datagram shows
    /// its ports; what is neither TCP nor UDP has no header that a rule could be asked of and passes only when there are no rules.
    #[must_use]
    pub fn matches_parsed(&self, parsed: &Parsed) -> bool {
        match parsed {
            Parsed::Tcp(segment) => self.matches_packet(&segment.packet),
            Parsed::Udp(datagram) => self.matches_packet(&datagram.packet),
            Parsed::Fragment(_) => true,
            Parsed::Other | Parsed::Malformed | Parsed::BadChecksum | Parsed::UnknownLink => {
                self.rules.is_empty()
            }
        }
    }

    /// Whether the program of [`Self::compile_ebpf`] says the filter's last word on this link. If not, [`Self::matches_frame`] must be
    /// asked of what it passed. (Rules are asked again in any case, of the fragments and tunnels that the kernel leaves open.)
    #[must_use]
    pub fn filter_is_final(&self, link: Link) -> bool {
        match self.frame_tests(link) {
            Ok(None) => true,
            Ok(Some(_)) if link == Link::Any => false,
            Ok(Some(graph)) => {
                let place = frame::Link::Ethernet.tag_place().filter(|_| link == Link::Ethernet);
                let beside = place.map(|place| frame::simplified_beside(&graph, place));
                let plain = frame::simplified(&graph, frame::Known::default());
                !plain
                    .steps
                    .iter()
                    .chain(beside.iter().flat_map(|beside| &beside.steps))
                    .any(|step| step.test.0.is_left_open())
            }
            Err(_) => false,
        }
    }

    /// The tests of all rules together; none when there are no rules.
    pub(crate) fn rule_tests(&self) -> Option<Graph<flow::Test>> {
        if self.rules.is_empty() {
            return None;
        }
        let nodes: Option<Vec<Node>> = self.rules.iter().map(|rule| rule.node.clone()).collect();
        // One rule that takes everything makes the others idle.
        let any = nodes.and_then(|nodes| nodes.into_iter().reduce(Node::or)).map(flow::cheap_first);
        Some(graph::lower(any.as_ref(), &flow::Mode))
    }

    /// The filter's tests; none when everything passes.
    pub(crate) fn frame_tests(&self, link: Link) -> Result<Option<Graph<Test>>, frame::Refused> {
        let link = match link {
            Link::Ethernet => frame::Link::Ethernet,
            Link::RawIp => frame::Link::Raw,
            Link::Any => frame::Link::Any,
        };
        let graph =
            self.filter.as_ref().map(|filter| frame::lower(filter.node.as_ref(), link)).transpose()?;
        Ok(graph.filter(|graph| graph.entry != Next::Accept))
    }
}

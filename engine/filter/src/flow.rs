//! Flow mode: a plugin's rule asked of the innermost TCP or UDP header.
//!
//! Whatever lies around that header (link, VLAN tags, tunnels, IPv6 extension headers) is not asked about, so `ip` and `ip6` mean the
//! innermost IP header, and protocols other than TCP and UDP are never there. A flow's key does not tell an IPv4 address from the same
//! address mapped into IPv6 (`::ffff:10.0.0.1`, which RFC 6890 keeps off the wire): here both are IPv4.

use core::net::IpAddr;

use sniff_x_flow::packet::Packet;
use sniff_x_flow::{Endpoint, FlowKey, Side, Transport};

use crate::ast::{Asks, Ends, Family, Node, Primitive, V4Inside, ether, ip};
use crate::graph::{Builder, Graph, Lower, Next, Ports};
use crate::ranges::Ranges;

/// One question about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Family(Family),
    /// The transport protocol's number is this one.
    Protocol(u8),
    Port {
        end: End,
        set: Ranges,
    },
    /// The end's address is in this network; asked of IPv4 alone.
    V4 {
        end: End,
        address: u32,
        mask: u32,
    },
    V6 {
        end: End,
        address: u128,
        mask: u128,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// The rule's verdict on a packet.
pub(crate) fn accepts_packet(graph: &Graph<Test>, packet: &Packet) -> bool {
    accepts(graph, &packet.key, packet.sender)
}

/// Whether a packet in at least one direction of the flow would match.
pub(crate) fn accepts_flow(graph: &Graph<Test>, key: &FlowKey) -> bool {
    accepts(graph, key, Side::Low) || accepts(graph, key, Side::High)
}

fn accepts(graph: &Graph<Test>, key: &FlowKey, sender: Side) -> bool {
    let source = key.endpoint(sender);
    let destination = key.endpoint(sender.other());
    let pick = |end: End| -> Endpoint {
        match end {
            End::Source => source,
            End::Destination => destination,
        }
    };
    graph.accepts(|test| {
        Ok(match test {
            Test::Family(Family::V4) => source.address().is_ipv4(),
            Test::Family(Family::V6) => source.address().is_ipv6(),
            Test::Protocol(number) => match key.transport() {
                Transport::Tcp => *number == ip::TCP,
                Transport::Udp => *number == ip::UDP,
            },
            Test::Port { end, set } => set.contains(u32::from(pick(*end).port())),
            Test::V4 { end, address, mask } => match pick(*end).address() {
                IpAddr::V4(v4) => v4.to_bits() & mask == *address,
                IpAddr::V6(_) => false,
            },
            Test::V6 { end, address, mask } => match pick(*end).address() {
                IpAddr::V6(v6) => v6.to_bits() & mask == *address,
                IpAddr::V4(_) => false,
            },
        })
    })
}

/// Whether any flow of the transport could match.
pub(crate) fn may_accept(graph: &Graph<Test>, transport: Transport) -> bool {
    let number = match transport {
        Transport::Tcp => ip::TCP,
        Transport::Udp => ip::UDP,
    };
    let mut seen = vec![false; graph.steps.len()];
    let mut open = vec![graph.entry];
    while let Some(next) = open.pop() {
        let index = match next {
            Next::Accept => return true,
            Next::Reject => continue,
            Next::Step(index) => index,
        };
        let (Some(step), Some(seen)) = (graph.steps.get(index), seen.get_mut(index)) else { continue };
        if core::mem::replace(seen, true) {
            continue;
        }
        match step.test {
            Test::Protocol(asked) => open.push(if asked == number { step.yes } else { step.no }),
            _ => open.extend([step.yes, step.no]),
        }
    }
    false
}

/// Lowers to questions about a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode;

impl Lower for Mode {
    type Test = Test;

    fn primitive(
        &self,
        to: &mut Builder<Test>,
        primitive: &Primitive,
        _: usize,
        yes: Next,
        no: Next,
    ) -> Next {
        match *primitive {
            Primitive::Protocol(protocol) => match protocol.asks() {
                Asks::Link(number) => ether_type(to, number, yes, no),
                Asks::Ip(number, family) => ip_proto(to, family, u32::from(number), yes, no),
                Asks::Iso(_) | Asks::Isis(_) | Asks::Nothing => no,
            },
            Primitive::EtherProto(number) => ether_type(to, number, yes, no),
            Primitive::IpProto { family, number } => ip_proto(to, family, number, yes, no),
            Primitive::V4 { inside: Some(V4Inside::Arp | V4Inside::Rarp), .. } => no,
            Primitive::V4 { inside: None | Some(V4Inside::Ip), ends, address, mask } => {
                // A network of all addresses asks for the version alone.
                let entry = if mask == 0 {
                    yes
                } else {
                    ends_of(to, ends, yes, no, |end| Test::V4 { end, address, mask })
                };
                to.test(Test::Family(Family::V4), entry, no)
            }
            Primitive::V6 { ends, address, prefix } => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default();
                let entry = if mask == 0 {
                    yes
                } else {
                    ends_of(to, ends, yes, no, |end| Test::V6 { end, address, mask })
                };
                to.test(Test::Family(Family::V6), entry, no)
            }
            // Ports come through `ports`; what else there is can't be asked of a flow, and is refused in a rule.
            _ => no,
        }
    }

    fn ports(&self, to: &mut Builder<Test>, ports: &Ports, yes: Next, no: Next) -> Next {
        let set = Ranges::new(ports.ranges.iter().copied());
        let entry = ends_of(to, ports.ends, yes, no, |end| Test::Port { end, set: set.clone() });
        match ports.transport {
            Some(transport) => protocol(to, u32::from(transport.number()), entry, no),
            None => entry,
        }
    }
}

/// The same rule with the terms first that read nothing of the packet: a program has ports and protocols at hand, addresses it has to load.
/// In flow mode the order does not show.
pub(crate) fn cheap_first(node: Node) -> Node {
    let sorted = |nodes: Vec<Node>| {
        let mut nodes: Vec<Node> = nodes.into_iter().map(cheap_first).collect();
        nodes.sort_by_key(loads);
        nodes
    };
    match node {
        Node::Not(inner) => Node::Not(Box::new(cheap_first(*inner))),
        Node::All(nodes) => Node::All(sorted(nodes)),
        Node::Any(nodes) => Node::Any(sorted(nodes)),
        Node::Primitive(_) => node,
    }
}

/// Whether a term reads addresses.
fn loads(node: &Node) -> bool {
    match node {
        Node::Primitive(primitive) => matches!(primitive, Primitive::V4 { .. } | Primitive::V6 { .. }),
        Node::Not(inner) => loads(inner),
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(loads),
    }
}

fn ether_type(to: &mut Builder<Test>, number: u32, yes: Next, no: Next) -> Next {
    match number {
        ether::IPV4 => to.test(Test::Family(Family::V4), yes, no),
        ether::IPV6 => to.test(Test::Family(Family::V6), yes, no),
        _ => no,
    }
}

fn ip_proto(to: &mut Builder<Test>, family: Option<Family>, number: u32, yes: Next, no: Next) -> Next {
    let entry = protocol(to, number, yes, no);
    match family {
        Some(family) if entry != no => to.test(Test::Family(family), entry, no),
        _ => entry,
    }
}

fn protocol(to: &mut Builder<Test>, number: u32, yes: Next, no: Next) -> Next {
    match u8::try_from(number) {
        Ok(number @ (ip::TCP | ip::UDP)) => to.test(Test::Protocol(number), yes, no),
        _ => no,
    }
}

fn ends_of(to: &mut Builder<Test>, ends: Ends, yes: Next, no: Next, test: impl Fn(End) -> Test) -> Next {
    match ends {
        Ends::Source => to.test(test(End::Source), yes, no),
        Ends::Destination => to.test(test(End::Destination), yes, no),
        Ends::Either => {
            let second = to.test(test(End::Destination), yes, no);
            to.test(test(End::Source), yes, second)
        }
        Ends::Both => {
            let second = to.test(test(End::Destination), yes, no);
            to.test(test(End::Source), second, no)
        }
    }
}

//! Terms → tests of a frame, as libpcap's code generator orders them.

use core::cell::Cell;
use std::sync::Arc;

use super::link::Link;
use super::scope::{Layer, Scope, Scopes};
use super::value::{Load, OUTGOING, Value};
use super::{Refused, Test};
use crate::ast::{
    Arith, Asks, Cast, CastOf, Ends, Family, Node, Operator, Primitive, Protocol, V4Inside, ether, ip, iso,
    sap,
};
use crate::graph::{self, Builder, Graph, Lower, Next, Ports};
use crate::ranges::Ranges;

/// The tests of an expression on frames of one link layer.
pub(crate) fn lower(node: Option<&Node>, link: Link) -> Result<Graph<Test>, Refused> {
    let scopes = node.map(|node| Scopes::of(node, link)).transpose()?;
    let writer = Writer {
        scopes: scopes.as_ref(),
        refused: Cell::new(None),
        leaves: node.is_some_and(|node| node.has(Primitive::reads_nothing)),
    };
    let graph = graph::lower(node, &writer);
    writer.refused.get().map_or(Ok(graph), Err)
}

/// Writes the tests of terms.
pub(super) struct Writer<'s> {
    scopes: Option<&'s Scopes>,
    refused: Cell<Option<Refused>>,
    /// A term asks what the test before it looked at: each must leave what libpcap's test leaves.
    pub(super) leaves: bool,
}

/// Whether a number under a mask is this one.
pub(super) fn field(value: Value, mask: u32, number: u32) -> Test {
    Test::Field { value, mask, set: Ranges::one(number) }
}

/// The bytes of an IPv4 header, from its first byte.
fn v4_header_len(first: Value) -> Value {
    let words = Value::binary(Operator::And, first, Value::Number(0x0f));
    Value::binary(Operator::ShiftLeft, words, Value::Number(2))
}

impl Lower for Writer<'_> {
    type Test = Test;

    fn primitive(
        &self,
        to: &mut Builder<Test>,
        primitive: &Primitive,
        term: usize,
        yes: Next,
        no: Next,
    ) -> Next {
        let Some(scope) = self.scopes.and_then(|scopes| scopes.get(term)) else { return no };
        match *primitive {
            Primitive::Protocol(protocol) => match protocol.asks() {
                Asks::Link(number) => self.announced(to, scope, number, yes, no),
                Asks::Ip(number, family) => self.ip_proto(to, scope, family, u32::from(number), yes, no),
                Asks::Iso(number) => self.iso(to, scope, u32::from(number), yes, no),
                Asks::Isis(types) => types
                    .iter()
                    .rev()
                    .fold(no, |no, number| self.isis(to, scope, u32::from(*number), yes, no)),
                Asks::Nothing => no,
            },
            Primitive::EtherProto(number) => self.announced(to, scope, number, yes, no),
            Primitive::IpProto { family, number } => self.ip_proto(to, scope, family, number, yes, no),
            Primitive::ProtoChain { family, number } => self.chain(to, scope, (family, number), yes, no),
            Primitive::IsoProto(number) => self.iso(to, scope, number, yes, no),
            Primitive::IsisProto(number) => self.isis(to, scope, number, yes, no),
            Primitive::V4 { inside, ends, address, mask } => {
                let all = [V4Inside::Ip, V4Inside::Arp, V4Inside::Rarp];
                // Behind MPLS only IP can be told.
                let asked = |i: &&V4Inside| match inside {
                    None => scope.labels == 0 || **i == V4Inside::Ip,
                    Some(only) => only == **i,
                };
                all.iter().rev().filter(asked).fold(no, |no, inside| {
                    either(to, ends, yes, no, |to, end, yes, no| {
                        self.v4(to, scope, (*inside, end), (address, mask), yes, no)
                    })
                })
            }
            Primitive::V6 { ends, address, prefix } => either(to, ends, yes, no, |to, end, yes, no| {
                self.v6(to, scope, end, (address, prefix), yes, no)
            }),
            Primitive::Mac { ends, address } => self.mac(to, scope, (ends, address), yes, no),
            Primitive::Decnet { ends, address } => self.decnet(to, scope, (ends, address), yes, no),
            Primitive::Cast { kind, of } => self.cast(to, scope, kind, of, yes, no),
            Primitive::Vlan(id) => {
                if scope.lost || !scope.is_ethernet() {
                    return to.test(Test::Undecided, yes, no);
                }
                let entry = match id {
                    Some(id) => to.test(field(scope.payload.load(0, 2), 0x0fff, u32::from(id)), yes, no),
                    None => yes,
                };
                let tags = Ranges::new(ether::TAGS.map(|tag| (tag, tag)));
                to.test(Test::Field { value: scope.kind.load(0, 2), mask: u32::MAX, set: tags }, entry, no)
            }
            Primitive::Mpls(label) => {
                let entry = match label {
                    Some(label) if !scope.lost => {
                        to.test(field(scope.network().load(0, 4), 0xffff_f000, label << 12), yes, no)
                    }
                    _ => yes,
                };
                if scope.labels == 0 || scope.lost {
                    return self.announced(to, scope, ether::MPLS, entry, no);
                }
                // The label before it is not the last.
                let last = scope.payload.load((4 * scope.labels).wrapping_sub(2), 1);
                to.test(field(last, 1, 0), entry, no)
            }
            Primitive::Pppoe(session) => {
                let entry = match session {
                    Some(session) if !scope.lost => {
                        to.test(field(scope.network().load(0, 4), 0xffff, u32::from(session)), yes, no)
                    }
                    _ => yes,
                };
                self.announced(to, scope, ether::PPPOE_SESSION, entry, no)
            }
            Primitive::PppoeDiscovery => self.announced(to, scope, ether::PPPOE_DISCOVERY, yes, no),
            Primitive::Geneve(network) => self.geneve(to, scope, network, yes, no),
            Primitive::Outbound => outbound(to, scope, yes, no),
            Primitive::Inbound => outbound(to, scope, no, yes),
            Primitive::Interface(index) => {
                let value = match scope.layer {
                    Layer::Link(Link::Sll2) => scope.header.load(4, 4),
                    _ => Value::Interface,
                };
                to.test(field(value, u32::MAX, index), yes, no)
            }
            Primitive::Llc(kind) => self.llc(to, scope, kind, yes, no),
            // At the beginning nothing was looked at.
            Primitive::UnreadByte { operator, number, .. } if term == 0 => {
                if operator.apply(0, number) == Some(0) { no } else { yes }
            }
            Primitive::UnreadByte { operator, number, .. } => {
                to.test(Test::LookedAt { operator, number }, yes, no)
            }
            Primitive::Relation { ref left, comparison, ref right } => {
                self.relation(to, scope, (left, comparison, right), self.leaves, yes, no)
            }
            Primitive::Byte { index, comparison, number } => {
                let left =
                    Arith::Bytes { protocol: Protocol::Ether, index: Arith::Number(index).into(), size: 1 };
                self.relation(to, scope, (&left, comparison, &Arith::Number(number)), false, yes, no)
            }
            // Ports come through `ports`.
            Primitive::Port { .. } => no,
        }
    }

    fn ports(&self, to: &mut Builder<Test>, ports: &Ports, yes: Next, no: Next) -> Next {
        match self.scopes.and_then(|scopes| scopes.get(ports.term)) {
            Some(scope) => self.port_tests(to, scope, ports, yes, no),
            None => no,
        }
    }
}

impl Writer<'_> {
    /// Notes that the expression can't be asked of this link; what is written is thrown away.
    pub(super) fn refuse(&self, why: Refused) -> Next {
        self.refused.set(Some(why));
        Next::Reject
    }

    /// `size` bytes at `at` behind the IPv4 header, its options included.
    pub(super) fn v4_payload(&self, scope: &Scope, at: u32, size: u8) -> Value {
        let network = scope.network();
        let Value::Load(Load { base, offset, .. }) = network.load(0, 1) else { return Value::Number(0) };
        let mut len = v4_header_len(network.load(0, 1));
        if let Some(base) = base {
            len = Value::binary(Operator::Add, len, Value::clone(&base));
        }
        Value::Load(Load { base: Some(Arc::new(len)), offset: offset.wrapping_add(at), size })
    }

    pub(super) fn ip_proto(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        family: Option<Family>,
        number: u32,
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost {
            return to.test(Test::Undecided, yes, no);
        }
        let byte = |at, number| field(scope.network().load(at, 1), u32::MAX, number);
        let mut no = no;
        if family != Some(Family::V4) {
            // Only a fragment header is looked behind, no other extension header.
            let entry = to.test(byte(40, number), yes, no);
            let entry = to.test(byte(6, u32::from(ip::FRAGMENT)), entry, no);
            let entry = to.test(byte(6, number), yes, entry);
            no = self.announced(to, scope, ether::IPV6, entry, no);
        }
        if family != Some(Family::V6) {
            let entry = to.test(byte(9, number), yes, no);
            no = self.announced(to, scope, ether::IPV4, entry, no);
        }
        no
    }

    fn iso(&self, to: &mut Builder<Test>, scope: &Scope, number: u32, yes: Next, no: Next) -> Next {
        let entry = to.test(field(scope.payload.load(scope.llc, 1), u32::MAX, number), yes, no);
        self.announced(to, scope, sap::ISO, entry, no)
    }

    fn isis(&self, to: &mut Builder<Test>, scope: &Scope, number: u32, yes: Next, no: Next) -> Next {
        let entry = to.test(field(scope.payload.load(scope.llc + 4, 1), u32::MAX, number), yes, no);
        self.iso(to, scope, u32::from(iso::ISIS), entry, no)
    }

    fn v4(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        (inside, end): (V4Inside, Ends),
        (address, mask): (u32, u32),
        yes: Next,
        no: Next,
    ) -> Next {
        let (protocol, source, destination) = match inside {
            V4Inside::Ip => (ether::IPV4, 12, 16),
            V4Inside::Arp => (ether::ARP, 14, 24),
            V4Inside::Rarp => (ether::RARP, 14, 24),
        };
        let at = if end == Ends::Source { source } else { destination };
        let entry = to.test(field(scope.network().load(at, 4), mask, address), yes, no);
        self.announced(to, scope, protocol, entry, no)
    }

    fn v6(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        end: Ends,
        (address, prefix): (u128, u8),
        yes: Next,
        no: Next,
    ) -> Next {
        let start = if end == Ends::Source { 8 } else { 24 };
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default();
        let words = [0_u32, 4, 8, 12];
        let entry = words.iter().rev().fold(yes, |yes, at| {
            let word = |number: u128| (number << (at * 8) >> 96) as u32;
            to.test(field(scope.network().load(start + at, 4), word(mask), word(address)), yes, no)
        });
        self.announced(to, scope, ether::IPV6, entry, no)
    }

    fn cast(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        kind: Cast,
        of: CastOf,
        yes: Next,
        no: Next,
    ) -> Next {
        match (of, kind) {
            (CastOf::Link, _) => self.link_cast(to, scope, kind, yes, no),
            // The network's mask is not known: only the addresses that are the same everywhere.
            (CastOf::Ip, Cast::Broadcast) => {
                let set = Ranges::new([(0, 0), (u32::MAX, u32::MAX)]);
                let entry =
                    to.test(Test::Field { value: scope.network().load(16, 4), mask: u32::MAX, set }, yes, no);
                self.announced(to, scope, ether::IPV4, entry, no)
            }
            (CastOf::Ip, Cast::Multicast) => {
                let set = Ranges::new([(224, 255)]);
                let entry =
                    to.test(Test::Field { value: scope.network().load(16, 1), mask: u32::MAX, set }, yes, no);
                self.announced(to, scope, ether::IPV4, entry, no)
            }
            (CastOf::Ip6, _) => {
                let entry = to.test(field(scope.network().load(24, 1), u32::MAX, 255), yes, no);
                self.announced(to, scope, ether::IPV6, entry, no)
            }
        }
    }
}

fn outbound(to: &mut Builder<Test>, scope: &Scope, yes: Next, no: Next) -> Next {
    let value = match scope.layer {
        Layer::Link(Link::Sll) => scope.header.load(0, 2),
        Layer::Link(Link::Sll2) => scope.header.load(10, 1),
        _ => Value::PacketType,
    };
    to.test(field(value, u32::MAX, OUTGOING), yes, no)
}

/// The tests of one or both ends.
pub(super) fn either(
    to: &mut Builder<Test>,
    ends: Ends,
    yes: Next,
    no: Next,
    one: impl Fn(&mut Builder<Test>, Ends, Next, Next) -> Next,
) -> Next {
    match ends {
        Ends::Source | Ends::Destination => one(to, ends, yes, no),
        Ends::Either => {
            let second = one(to, Ends::Destination, yes, no);
            one(to, Ends::Source, yes, second)
        }
        Ends::Both => {
            let second = one(to, Ends::Destination, yes, no);
            one(to, Ends::Source, second, no)
        }
    }
}

//! How a link layer announces a network protocol.

use super::link::Link;
use super::lower::{Writer, field};
use super::scope::{Layer, Scope};
use super::{Compare, Refused, Test, Value};
use crate::ast::{ether, sap};
use crate::graph::{Builder, Next};
use crate::ranges::Ranges;

/// `AF_INET` everywhere; `AF_INET6` of the systems that write such frames: NetBSD and OpenBSD, FreeBSD, macOS. Linux has no such links.
const AF_INET: &[u32] = &[2];
const AF_INET6: &[u32] = &[24, 28, 30];

/// What a cooked header says instead of an Ethernet type: 802.3 without 802.2, and 802.2.
const SLL_802_3: u32 = 1;
const SLL_802_2: u32 = 4;

/// Organisation codes of SNAP: encapsulated Ethernet, and AppleTalk's.
const ENCAPSULATED: u32 = 0x00_0000;
const APPLE: u32 = 0x08_0007;

impl Writer<'_> {
    /// Whether the link layer of `scope` announces `protocol`, an Ethernet type or an 802.2 access point.
    pub(super) fn announced(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        protocol: u32,
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost {
            return to.test(Test::Undecided, yes, no);
        }
        if scope.labels > 0 {
            let version = match protocol {
                ether::IPV4 => 0x40,
                ether::IPV6 => 0x60,
                _ => return self.refuse(Refused::OverMpls),
            };
            // The last label says so, and then the version tells.
            let entry = to.test(field(scope.network().load(0, 1), 0xf0, version), yes, no);
            let last = scope.payload.load((4 * scope.labels).wrapping_sub(2), 1);
            return to.test(field(last, 1, 1), entry, no);
        }
        match (scope.layer, protocol) {
            (Layer::Link(Link::Ethernet), _) => ethernet(to, scope, protocol, yes, no),
            (Layer::Link(Link::Sll), _) => cooked(to, scope, protocol, yes, no),
            (Layer::Link(Link::Sll2), _) => {
                to.test(field(scope.kind.load(0, 2), u32::MAX, protocol), yes, no)
            }
            (Layer::Link(Link::Any), ..=ether::LARGEST_LENGTH | ether::ATALK | ether::AARP) => {
                to.test(Test::Undecided, yes, no)
            }
            (Layer::Link(Link::Any), _) => to.test(field(Value::Protocol, u32::MAX, protocol), yes, no),
            (Layer::Link(Link::V4), ether::IPV4) | (Layer::Link(Link::V6), ether::IPV6) => {
                self.constant(to, true, yes, no)
            }
            (Layer::Link(Link::Raw), ether::IPV4) => {
                to.test(field(scope.network().load(0, 1), 0xf0, 0x40), yes, no)
            }
            (Layer::Link(Link::Raw), ether::IPV6) => {
                to.test(field(scope.network().load(0, 1), 0xf0, 0x60), yes, no)
            }
            (Layer::Link(Link::Null | Link::Loop), ether::IPV4 | ether::IPV6) => {
                let families = if protocol == ether::IPV4 { AF_INET } else { AF_INET6 };
                // The order of the host that wrote a NULL frame is not known here; no family's number reads as another's backwards.
                let is_null = scope.layer == Layer::Link(Link::Null);
                let backwards = families.iter().filter(|_| is_null).map(|family| family.swap_bytes());
                let all = families.iter().copied().chain(backwards);
                let set = Ranges::new(all.map(|number| (number, number)));
                to.test(Test::Field { value: scope.header.load(0, 4), mask: u32::MAX, set }, yes, no)
            }
            (Layer::Link(Link::Raw | Link::V4 | Link::V6 | Link::Null | Link::Loop), _) => {
                self.constant(to, false, yes, no)
            }
            (Layer::Ppp, _) => to.test(field(scope.kind.load(0, 2), u32::MAX, in_ppp(protocol)), yes, no),
        }
    }
}

impl Writer<'_> {
    /// What the kind of link answers by itself.
    fn constant(&self, to: &mut Builder<Test>, answer: bool, yes: Next, no: Next) -> Next {
        if self.leaves {
            let left = Value::Number(u32::from(!answer));
            return to.test(Test::Compare { left, how: Compare::Equal, right: Value::Number(0) }, yes, no);
        }
        if answer { yes } else { no }
    }
}

/// Whether the Ethernet type is a length, so that 802.2 follows.
pub(super) fn is_length(scope: &Scope) -> Test {
    let lengths = Ranges::new([(0, ether::LARGEST_LENGTH)]);
    Test::Field { value: scope.kind.load(0, 2), mask: u32::MAX, set: lengths }
}

fn ethernet(to: &mut Builder<Test>, scope: &Scope, protocol: u32, yes: Next, no: Next) -> Next {
    let access_point = |size| scope.payload.load(0, size);
    match protocol {
        sap::ISO | sap::NETBEUI => {
            let entry = to.test(field(access_point(2), u32::MAX, protocol << 8 | protocol), yes, no);
            to.test(is_length(scope), entry, no)
        }
        sap::IPX => {
            let entry = to.test(field(access_point(2), u32::MAX, 0xffff), yes, no);
            let entry = to.test(field(access_point(1), u32::MAX, protocol), yes, entry);
            let entry = snap(to, scope, ENCAPSULATED, ether::IPX, yes, entry);
            let entry = to.test(is_length(scope), entry, no);
            to.test(field(scope.kind.load(0, 2), u32::MAX, ether::IPX), yes, entry)
        }
        ether::ATALK | ether::AARP => {
            let organisation = if protocol == ether::ATALK { APPLE } else { ENCAPSULATED };
            let entry = snap(to, scope, organisation, protocol, yes, no);
            let entry = to.test(is_length(scope), entry, no);
            to.test(field(scope.kind.load(0, 2), u32::MAX, protocol), yes, entry)
        }
        ..=ether::LARGEST_LENGTH => {
            let entry = to.test(field(access_point(1), u32::MAX, protocol), yes, no);
            to.test(is_length(scope), entry, no)
        }
        _ => to.test(field(scope.kind.load(0, 2), u32::MAX, protocol), yes, no),
    }
}

fn cooked(to: &mut Builder<Test>, scope: &Scope, protocol: u32, yes: Next, no: Next) -> Next {
    let kind = |number| field(scope.kind.load(0, 2), u32::MAX, number);
    let access_point = |size| scope.payload.load(0, size);
    match protocol {
        sap::ISO | sap::NETBEUI => {
            let entry = to.test(field(access_point(2), u32::MAX, protocol << 8 | protocol), yes, no);
            to.test(kind(SLL_802_2), entry, no)
        }
        sap::IPX => {
            let entry = snap(to, scope, ENCAPSULATED, ether::IPX, yes, no);
            let entry = to.test(field(access_point(1), u32::MAX, protocol), yes, entry);
            let entry = to.test(kind(SLL_802_2), entry, no);
            let entry = to.test(kind(SLL_802_3), yes, entry);
            to.test(kind(ether::IPX), yes, entry)
        }
        ether::ATALK | ether::AARP => {
            let organisation = if protocol == ether::ATALK { APPLE } else { ENCAPSULATED };
            let entry = snap(to, scope, organisation, protocol, yes, no);
            let entry = to.test(kind(SLL_802_2), entry, no);
            to.test(kind(protocol), yes, entry)
        }
        ..=ether::LARGEST_LENGTH => {
            let entry = to.test(field(access_point(1), u32::MAX, protocol), yes, no);
            to.test(kind(SLL_802_2), entry, no)
        }
        _ => to.test(kind(protocol), yes, no),
    }
}

/// 802.2 with a SNAP header: its five bytes behind `aa aa 03`.
fn snap(
    to: &mut Builder<Test>,
    scope: &Scope,
    organisation: u32,
    protocol: u32,
    yes: Next,
    no: Next,
) -> Next {
    let first = 0xaaaa_0300 | organisation >> 16;
    let entry = to.test(field(scope.payload.load(0, 4), u32::MAX, first), yes, no);
    let second = organisation << 16 | protocol;
    to.test(field(scope.payload.load(4, 4), u32::MAX, second), entry, no)
}

/// The number that PPP has for a protocol (<https://www.iana.org/assignments/ppp-numbers>).
fn in_ppp(protocol: u32) -> u32 {
    match protocol {
        ether::IPV4 => 0x21,
        ether::IPV6 => 0x57,
        ether::DECNET => 0x27,
        ether::ATALK => 0x29,
        ether::MPLS => 0x281,
        0x0600 => 0x25,
        sap::ISO => 0x23,
        sap::STP => 0x31,
        sap::IPX => 0x2b,
        other => other,
    }
}

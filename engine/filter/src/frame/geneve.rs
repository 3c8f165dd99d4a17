//! GENEVE (RFC 8926): the tests of a tunnel, and where in it the terms behind it look.
//!
//! Where the inner headers are is found out as the tests run, and left in registers. Behind a test that did not hold nothing is left there,
//! and what the terms see is of no use; to libpcap it is what its memory holds.

use std::sync::Arc;

use super::link::Link;
use super::lower::{Writer, field};
use super::scope::{Layer, Registers, Scope};
use super::value::{Load, Value};
use super::{FRAGMENT_OFFSET, Test};
use crate::ast::{Operator, ether, ip};
use crate::graph::{Builder, Next};

/// The port of tunnels, and the type of what holds an Ethernet frame.
const PORT: u32 = 6081;
const ETHERNET: u32 = 0x6558;

impl Writer<'_> {
    pub(super) fn geneve(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        network: Option<u32>,
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost || scope.layer == Layer::Link(Link::Any) {
            return to.test(Test::Undecided, yes, no);
        }
        let Registers { header, kind, payload } = Registers::behind(scope);
        let set = |to: &mut Builder<Test>, register, value, next| {
            to.test(Test::Set { register, value }, next, next)
        };
        let register = Value::Register;
        let number = Value::Number;
        let add = |a, b| Value::binary(Operator::Add, a, b);
        let at = |register, offset, size| {
            Value::Load(Load { base: Some(Arc::new(Value::Register(register))), offset, size })
        };
        // Behind its header GENEVE holds an Ethernet frame or another protocol's packet.
        let ethernet = set(to, payload, add(register(payload), number(14)), yes);
        let ethernet = set(to, header, register(payload), ethernet);
        let ethernet = set(to, kind, add(register(payload), number(12)), ethernet);
        let other = set(to, header, register(payload), yes);
        let entry = to.test(field(at(header, 2, 2), u32::MAX, ETHERNET), ethernet, other);
        // Until then `header` is where the tunnel's header starts; the length of its options stands in it.
        let options = Value::binary(Operator::And, at(header, 0, 1), number(0x3f));
        let options = Value::binary(Operator::Multiply, options, number(4));
        let entry = set(to, payload, add(add(options, number(8)), register(header)), entry);
        let inside = set(to, kind, add(register(header), number(2)), entry);

        // The UDP header at `udp`: its port, then GENEVE's version and network.
        let tunnel = |to: &mut Builder<Test>, udp: &dyn Fn(u32, u8) -> Value, entry, no| {
            let entry = match network {
                Some(network) => to.test(field(udp(12, 4), 0xffff_ff00, network << 8), entry, no),
                None => entry,
            };
            let entry = to.test(field(udp(8, 1), 0xc0, 0), entry, no);
            to.test(field(udp(2, 2), u32::MAX, PORT), entry, no)
        };
        let start = |udp: Value| match udp {
            Value::Load(Load { base, offset, .. }) => {
                let base = base.map_or(Value::Number(0), |base| Value::clone(&base));
                add(base, number(offset.wrapping_add(8)))
            }
            _ => number(0),
        };
        let byte = |at, number| field(scope.network().load(at, 1), u32::MAX, number);
        let v6 = |at, size| scope.network().load(40 + at, size);
        let entry = set(to, header, start(v6(0, 1)), inside);
        let entry = tunnel(to, &v6, entry, no);
        let entry = to.test(byte(6, u32::from(ip::UDP)), entry, no);
        let no_v4 = self.announced(to, scope, ether::IPV6, entry, no);

        let v4 = |at, size| self.v4_payload(scope, at, size);
        let entry = set(to, header, start(v4(0, 1)), inside);
        let entry = tunnel(to, &v4, entry, no_v4);
        let entry = to.test(field(scope.network().load(6, 2), FRAGMENT_OFFSET, 0), entry, no_v4);
        let entry = to.test(byte(9, u32::from(ip::UDP)), entry, no_v4);
        self.announced(to, scope, ether::IPV4, entry, no_v4)
    }
}

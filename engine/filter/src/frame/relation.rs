//! Relations between numbers → tests. The checks of the protocols whose bytes are read come first, and stay where the relation is
//! turned round: `tcp[13] != 2` is no frame without TCP.

use std::sync::Arc;

use super::link::Link;
use super::lower::{Writer, field};
use super::scope::{Layer, Scope};
use super::value::{Load, Value};
use super::{Compare, FRAGMENT_OFFSET, Refused, Test};
use crate::ast::{Arith, Asks, Comparison, Family, Operator, Protocol, ether};
use crate::graph::{Builder, Next};
use crate::ranges::Ranges;

/// A check that a packet is of the protocol whose bytes are read.
#[derive(Clone, Copy, Debug)]
enum Check {
    Announced(u32),
    IpProto(u8, Option<Family>),
    /// In the IPv6 header itself.
    V6Next(u8),
    /// Not a later fragment.
    NoFragment,
    /// The program can't tell.
    Undecided,
}

impl Writer<'_> {
    pub(super) fn relation(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        (left, comparison, right): (&Arith, Comparison, &Arith),
        leaves: bool,
        yes: Next,
        no: Next,
    ) -> Next {
        let mut checks = Vec::new();
        let left = self.arith(scope, left, &mut checks);
        let right = self.arith(scope, right, &mut checks);
        let (how, positive) = match comparison {
            Comparison::Greater => (Compare::Greater, true),
            Comparison::LessOrEqual => (Compare::Greater, false),
            Comparison::GreaterOrEqual => (Compare::GreaterOrEqual, true),
            Comparison::Less => (Compare::GreaterOrEqual, false),
            Comparison::Equal => (Compare::Equal, true),
            Comparison::NotEqual => (Compare::Equal, false),
        };
        let (holds, fails) = if positive { (yes, no) } else { (no, yes) };
        let made = if leaves { Err(Test::Compare { left, how, right }) } else { compare(left, how, right) };
        let entry = match made {
            Ok(answer) => {
                if answer {
                    holds
                } else {
                    fails
                }
            }
            Err(test) => to.test(test, holds, fails),
        };
        checks.iter().rev().fold(entry, |entry, check| match *check {
            Check::Announced(protocol) => self.announced(to, scope, protocol, entry, no),
            Check::IpProto(number, family) => self.ip_proto(to, scope, family, u32::from(number), entry, no),
            Check::V6Next(number) => {
                to.test(field(scope.network().load(6, 1), u32::MAX, u32::from(number)), entry, no)
            }
            Check::NoFragment => to.test(field(scope.network().load(6, 2), FRAGMENT_OFFSET, 0), entry, no),
            // Whatever the relation would say.
            Check::Undecided => to.test(Test::Undecided, yes, yes),
        })
    }

    fn arith(&self, scope: &Scope, arith: &Arith, checks: &mut Vec<Check>) -> Value {
        match arith {
            Arith::Number(number) => Value::Number(*number),
            Arith::Length => {
                if scope.layer == Layer::Link(Link::Any) {
                    checks.push(Check::Undecided);
                }
                Value::Length
            }
            Arith::Negative(inner) => {
                let inner = self.arith(scope, inner, checks);
                Value::binary(Operator::Subtract, Value::Number(0), inner)
            }
            Arith::Binary(operator, left, right) => {
                let left = self.arith(scope, left, checks);
                // libpcap's arithmetic keeps the checks of its left side alone; what the program can't tell it can't tell on either.
                let mut of_right = Vec::new();
                let right = self.arith(scope, right, &mut of_right);
                for check in of_right {
                    match check {
                        Check::Undecided => checks.push(check),
                        Check::Announced(protocol)
                            if scope.labels > 0 && !matches!(protocol, ether::IPV4 | ether::IPV6) =>
                        {
                            self.refuse(Refused::OverMpls);
                        }
                        _ => {}
                    }
                }
                Value::binary(*operator, left, right)
            }
            Arith::Bytes { protocol, index, size } => {
                let mut of_index = Vec::new();
                let index = self.arith(scope, index, &mut of_index);
                self.bytes(scope, *protocol, (index, of_index), *size, checks)
            }
        }
    }

    fn bytes(
        &self,
        scope: &Scope,
        protocol: Protocol,
        (index, mut of_index): (Value, Vec<Check>),
        size: u8,
        checks: &mut Vec<Check>,
    ) -> Value {
        // Before the network header stands the link's, of which a program for all links knows nothing.
        let before = matches!(index, Value::Number(number) if number > i32::MAX.cast_unsigned());
        let unknown = protocol == Protocol::Ether || before;
        if scope.lost || (unknown && scope.layer == Layer::Link(Link::Any)) {
            checks.push(Check::Undecided);
        }
        // Of a transport protocol IPv4 itself is asked before what the index needs, all else behind it.
        if matches!(protocol.asks(), Asks::Ip(_, None | Some(Family::V4))) {
            checks.push(Check::Announced(ether::IPV4));
        }
        checks.append(&mut of_index);
        match protocol.asks() {
            Asks::Ip(number, Some(Family::V6)) => {
                checks.extend([Check::Announced(ether::IPV6), Check::V6Next(number)]);
                scope.network().plus(40).indexed(index, size)
            }
            Asks::Ip(number, family) => {
                checks.extend([Check::IpProto(number, family), Check::NoFragment]);
                let Value::Load(Load { base: Some(header), offset, .. }) = self.v4_payload(scope, 0, size)
                else {
                    return Value::Number(0);
                };
                let base = Value::binary(Operator::Add, index, Value::clone(&header));
                match &base {
                    // A constant index is part of the offset, as in `Place::indexed`.
                    Value::Binary(Operator::Add, sides) => match &**sides {
                        (Value::Number(number), header) => Value::Load(Load {
                            base: Some(Arc::new(header.clone())),
                            offset: offset.wrapping_add(*number),
                            size,
                        }),
                        _ => Value::Load(Load { base: Some(Arc::new(base)), offset, size }),
                    },
                    _ => Value::Load(Load { base: Some(Arc::new(base)), offset, size }),
                }
            }
            Asks::Link(number) => {
                checks.push(Check::Announced(number));
                scope.network().indexed(index, size)
            }
            Asks::Nothing | Asks::Iso(_) | Asks::Isis(_) => scope.header.indexed(index, size),
        }
    }
}

/// The test of a relation, or its answer.
fn compare(left: Value, how: Compare, right: Value) -> Result<bool, Test> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(how.holds(left, right)),
        (value, Value::Number(number)) => Err(with_number(
            value,
            match how {
                Compare::Equal => Some((number, number)),
                Compare::GreaterOrEqual => Some((number, u32::MAX)),
                Compare::Greater => number.checked_add(1).map(|least| (least, u32::MAX)),
            },
        )),
        (Value::Number(number), value) => Err(with_number(
            value,
            match how {
                Compare::Equal => Some((number, number)),
                Compare::GreaterOrEqual => Some((0, number)),
                Compare::Greater => number.checked_sub(1).map(|most| (0, most)),
            },
        )),
        (left, right) => Err(Test::Compare { left, how, right }),
    }
}

fn with_number(value: Value, range: Option<(u32, u32)>) -> Test {
    let set = Ranges::new(range);
    if let Value::Binary(Operator::And, sides) = &value
        && let (value, Value::Number(mask)) | (Value::Number(mask), value) = &**sides
    {
        return Test::Field { value: value.clone(), mask: *mask, set };
    }
    Test::Field { value, mask: u32::MAX, set }
}

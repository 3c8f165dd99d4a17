//! Ports, behind IPv4 and IPv6.

use super::lower::{Writer, field};
use super::scope::Scope;
use super::value::Value;
use super::{FRAGMENT_OFFSET, Test};
use crate::ast::{Ends, Transport, ether};
use crate::graph::{Builder, Next, Ports};
use crate::ranges::Ranges;

impl Writer<'_> {
    /// The tests of ports, as `graph` puts them together.
    pub(super) fn port_tests(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        ports: &Ports,
        yes: Next,
        no: Next,
    ) -> Next {
        if self.leaves && ports.ranges.len() > 1 {
            return ports.ranges.iter().rev().fold(no, |no, range| {
                self.port_tests(to, scope, &Ports { ranges: vec![*range], ..*ports }, yes, no)
            });
        }
        if scope.lost {
            return to.test(Test::Undecided, yes, no);
        }
        let one = |transport: Transport| Ranges::one(u32::from(transport.number()));
        let all = [Transport::Sctp, Transport::Tcp, Transport::Udp];
        // libpcap asks for one after the other; together they have the same answer, but leave another number.
        let transports: Vec<Ranges> = match ports.transport {
            Some(transport) => vec![one(transport)],
            None if self.leaves => all.map(one).into(),
            None => {
                vec![Ranges::new(all.map(|t| (u32::from(t.number()), u32::from(t.number()))))]
            }
        };
        let protocol = |at, set: &Ranges| Test::Field {
            value: scope.network().load(at, 1),
            mask: u32::MAX,
            set: set.clone(),
        };
        let entry = transports.iter().rev().fold(no, |no, set| {
            let entry = port_list(to, ports, |at| self.v4_payload(scope, at, 2), yes, no);
            // Ports are not looked for in later fragments.
            let entry = to.test(field(scope.network().load(6, 2), FRAGMENT_OFFSET, 0), entry, no);
            to.test(protocol(9, set), entry, no)
        });
        let v4 = self.announced(to, scope, ether::IPV4, entry, no);

        let entry = transports.iter().rev().fold(v4, |no, set| {
            let entry = port_list(to, ports, |at| scope.network().load(40 + at, 2), yes, no);
            to.test(protocol(6, set), entry, no)
        });
        self.announced(to, scope, ether::IPV6, entry, v4)
    }
}

/// The tests of a list of ports; `load` gives the source port at 0 and the destination port at 2. libpcap asks number by number, first the
/// source, then the destination; so where a frame ends between the two, only the first number of the list finds its source port.
fn port_list(
    to: &mut Builder<Test>,
    ports: &Ports,
    load: impl Fn(u32) -> Value,
    yes: Next,
    no: Next,
) -> Next {
    let of = |at, set: &Ranges| Test::Field { value: load(at), mask: u32::MAX, set: set.clone() };
    let set = Ranges::new(ports.ranges.iter().copied());
    match ports.ends {
        Ends::Source => to.test(of(0, &set), yes, no),
        Ends::Destination => to.test(of(2, &set), yes, no),
        Ends::Both => {
            let second = to.test(of(2, &set), yes, no);
            to.test(of(0, &set), second, no)
        }
        Ends::Either => match ports.ranges.as_slice() {
            [first, _, ..] => {
                let others = to.test(of(0, &set), yes, no);
                let second = to.test(of(2, &set), yes, others);
                to.test(of(0, &Ranges::new([*first])), yes, second)
            }
            _ => {
                let second = to.test(of(2, &set), yes, no);
                to.test(of(0, &set), yes, second)
            }
        },
    }
}

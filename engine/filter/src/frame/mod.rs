//! Frame mode: libpcap's verdict on the outer frame.
//!
//! The tests are libpcap's own (`gencode.c` of 1.10), before its optimiser: where they look, in which order, and that a load past the
//! end of the frame rejects it, under `not` as well.

mod link;

use sniff_x_flow::Frame;

pub(crate) use link::{Link, LinkTest};

use crate::ast::{Ends, Family, Primitive, Transport, V4Inside, ether, ip};
use crate::graph::{Builder, Graph, Lower, Next, PastTheEnd, Ports};
use crate::ranges::Ranges;

/// One look at a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Whether the link header announces this network protocol.
    Link(u16),
    /// Whether a field, under a mask, is in a set.
    Field { load: Load, mask: u32, set: Ranges },
}

/// A big-endian number in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Load {
    pub(crate) base: Base,
    pub(crate) offset: u8,
    /// 1, 2 or 4 bytes.
    pub(crate) size: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Base {
    /// The network header.
    Net,
    /// Behind the IPv4 header, its options included.
    V4Payload,
}

/// libpcap's verdict on `frame`. A frame of a link type that is not read here never matches.
pub(crate) fn accepts(graph: &Graph<Test>, frame: &Frame<'_>) -> bool {
    if graph.entry == Next::Accept {
        return true;
    }
    let Some(link) = Link::of(frame.link_type) else { return false };
    graph.accepts(|test| match test {
        Test::Link(protocol) => link.announces(frame, *protocol),
        Test::Field { load, mask, set } => Ok(set.contains(read(frame.bytes, link, *load)? & mask)),
    })
}

fn read(bytes: &[u8], link: Link, load: Load) -> Result<u32, PastTheEnd> {
    let net = link.header_len();
    let start = match load.base {
        Base::Net => net,
        Base::V4Payload => net + usize::from(bytes.get(net).ok_or(PastTheEnd)? & 0x0f) * 4,
    } + usize::from(load.offset);
    big_endian(bytes, start, usize::from(load.size))
}

#[inline]
pub(super) fn big_endian(bytes: &[u8], start: usize, size: usize) -> Result<u32, PastTheEnd> {
    match bytes.get(start..start + size) {
        Some(&[a]) => Ok(u32::from(a)),
        Some(&[a, b]) => Ok(u32::from(u16::from_be_bytes([a, b]))),
        Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(PastTheEnd),
    }
}

/// Lowers to tests of a frame.
pub(crate) enum Mode {}

impl Lower for Mode {
    type Test = Test;

    fn primitive(to: &mut Builder<Test>, primitive: &Primitive, yes: Next, no: Next) -> Next {
        match *primitive {
            Primitive::Protocol(protocol) => match (protocol.ether_type(), protocol.ip_proto()) {
                (Some(number), _) => to.test(Test::Link(number), yes, no),
                (None, Some((number, family))) => ip_proto(to, family, number, yes, no),
                (None, None) => no,
            },
            Primitive::EtherProto(number) => to.test(Test::Link(number), yes, no),
            Primitive::IpProto { family, number } => ip_proto(to, family, number, yes, no),
            Primitive::V4 { inside, ends, address, mask } => {
                let all = [V4Inside::Ip, V4Inside::Arp, V4Inside::Rarp];
                all.iter().rev().filter(|i| inside.is_none_or(|only| only == **i)).fold(no, |no, inside| {
                    either(to, ends, yes, no, |to, end, yes, no| {
                        v4(to, *inside, end, (address, mask), yes, no)
                    })
                })
            }
            Primitive::V6 { ends, address, prefix } => {
                either(to, ends, yes, no, |to, end, yes, no| v6(to, end, address, prefix, yes, no))
            }
            // Ports come through `ports`.
            Primitive::Port { .. } => no,
        }
    }

    fn ports(to: &mut Builder<Test>, ports: &Ports, yes: Next, no: Next) -> Next {
        let transports = match ports.transport {
            Some(transport) => Ranges::one(u32::from(transport.number())),
            None => {
                let all = [Transport::Sctp, Transport::Tcp, Transport::Udp];
                Ranges::new(all.map(|t| (u32::from(t.number()), u32::from(t.number()))))
            }
        };
        // Ports are not looked for in later fragments.
        let entry = port_list(to, ports, Load { base: Base::V4Payload, offset: 0, size: 2 }, yes, no);
        let entry = to.test(field(NET_FRAGMENT, 0x1fff, Ranges::one(0)), entry, no);
        let entry = to.test(field(NET_V4_PROTOCOL, u32::MAX, transports.clone()), entry, no);
        let v4 = to.test(Test::Link(ether::IPV4), entry, no);

        let entry = port_list(to, ports, NET_V6_PAYLOAD_PORT, yes, v4);
        let entry = to.test(field(NET_V6_NEXT, u32::MAX, transports), entry, v4);
        to.test(Test::Link(ether::IPV6), entry, v4)
    }
}

const NET_V4_PROTOCOL: Load = Load { base: Base::Net, offset: 9, size: 1 };
const NET_FRAGMENT: Load = Load { base: Base::Net, offset: 6, size: 2 };
const NET_V6_NEXT: Load = Load { base: Base::Net, offset: 6, size: 1 };
/// The next header in the fragment header that follows the fixed one.
const NET_V6_FRAGMENT_NEXT: Load = Load { base: Base::Net, offset: 40, size: 1 };
const NET_V6_PAYLOAD_PORT: Load = Load { base: Base::Net, offset: 40, size: 2 };

const fn field(load: Load, mask: u32, set: Ranges) -> Test {
    Test::Field { load, mask, set }
}

/// The tests of a list of ports, the source port at `source`, the destination port behind it. libpcap asks number by number, first the
/// source, then the destination; so where a frame ends between the two, only the first number of the list finds its source port.
fn port_list(to: &mut Builder<Test>, ports: &Ports, source: Load, yes: Next, no: Next) -> Next {
    let destination = Load { offset: source.offset + 2, ..source };
    let set = Ranges::new(ports.ranges.iter().copied());
    match ports.ends {
        Ends::Source => to.test(field(source, u32::MAX, set), yes, no),
        Ends::Destination => to.test(field(destination, u32::MAX, set), yes, no),
        Ends::Both => {
            let second = to.test(field(destination, u32::MAX, set.clone()), yes, no);
            to.test(field(source, u32::MAX, set), second, no)
        }
        Ends::Either => match ports.ranges.as_slice() {
            [first, _, ..] => {
                let others = to.test(field(source, u32::MAX, set.clone()), yes, no);
                let second = to.test(field(destination, u32::MAX, set), yes, others);
                to.test(field(source, u32::MAX, Ranges::new([*first])), yes, second)
            }
            _ => {
                let second = to.test(field(destination, u32::MAX, set.clone()), yes, no);
                to.test(field(source, u32::MAX, set), yes, second)
            }
        },
    }
}

fn ip_proto(to: &mut Builder<Test>, family: Option<Family>, number: u8, yes: Next, no: Next) -> Next {
    let number = Ranges::one(u32::from(number));
    let mut no = no;
    if family != Some(Family::V4) {
        // Only a fragment header is looked behind, no other extension header.
        let entry = to.test(field(NET_V6_FRAGMENT_NEXT, u32::MAX, number.clone()), yes, no);
        let entry = to.test(field(NET_V6_NEXT, u32::MAX, Ranges::one(u32::from(ip::FRAGMENT))), entry, no);
        let entry = to.test(field(NET_V6_NEXT, u32::MAX, number.clone()), yes, entry);
        no = to.test(Test::Link(ether::IPV6), entry, no);
    }
    if family != Some(Family::V6) {
        let entry = to.test(field(NET_V4_PROTOCOL, u32::MAX, number), yes, no);
        no = to.test(Test::Link(ether::IPV4), entry, no);
    }
    no
}

/// The tests of one or both ends.
fn either(
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

fn v4(
    to: &mut Builder<Test>,
    inside: V4Inside,
    end: Ends,
    (address, mask): (u32, u32),
    yes: Next,
    no: Next,
) -> Next {
    let (protocol, source, destination) = match inside {
        V4Inside::Ip => (ether::IPV4, 12, 16),
        V4Inside::Arp => (ether::ARP, 14, 24),
        V4Inside::Rarp => (ether::RARP, 14, 24),
    };
    let offset = if end == Ends::Source { source } else { destination };
    let entry =
        to.test(field(Load { base: Base::Net, offset, size: 4 }, mask, Ranges::one(address)), yes, no);
    to.test(Test::Link(protocol), entry, no)
}

fn v6(to: &mut Builder<Test>, end: Ends, address: u128, prefix: u8, yes: Next, no: Next) -> Next {
    let start = if end == Ends::Source { 8 } else { 24 };
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default();
    let words = [0_u8, 4, 8, 12];
    let entry = words.iter().rev().fold(yes, |yes, at| {
        let word = |number: u128| (number << (u32::from(*at) * 8) >> 96) as u32;
        let load = Load { base: Base::Net, offset: start + at, size: 4 };
        to.test(field(load, word(mask), Ranges::one(word(address))), yes, no)
    });
    to.test(Test::Link(ether::IPV6), entry, no)
}

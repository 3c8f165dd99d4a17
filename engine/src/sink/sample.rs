//! Events for the tests of sinks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport};
use sniff_x_proto::event::{Arena, KeyTable, Kind};
use sniff_x_proto::{EventBuilder, Out};

/// 2026-03-01T10:00:00.000123456Z.
pub(super) const TIME: Nanos = Nanos(1_772_359_200_000_123_456);

/// A client at 10.0.0.1:51324 and a server at 10.0.0.2:3306.
pub(super) fn v4() -> FlowInfo {
    let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    flow(Endpoint::new(address(1), 51_324), Endpoint::new(address(2), 3306))
}

/// A client at [2001:db8::1]:51324 and a server at [2001:db8::2]:3306.
pub(super) fn v6() -> FlowInfo {
    let address = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    flow(Endpoint::new(address(1), 51_324), Endpoint::new(address(2), 3306))
}

fn flow(client: Endpoint, server: Endpoint) -> FlowInfo {
    let (key, client_side) = FlowKey::new(client, server, Transport::Tcp, Place::default());
    FlowInfo {
        key,
        client_side,
        oriented_by: OrientedBy::Syn,
        first_seen: TIME,
        last_seen: TIME,
        interface: 1,
        midstream: false,
        serial: 1,
    }
}

/// An arena with the one event that `build` makes, of the plugin `protocol`.
pub(super) fn arena(
    flow: &FlowInfo,
    protocol: &'static str,
    kind: Kind,
    build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>,
) -> Arena {
    let mut arena = Arena::new(1 << 20);
    let totals = [Totals::default(); 2];
    build(Out::new(&mut arena, flow, &totals, TIME, false).event(protocol, kind, TIME)).emit();
    arena
}

/// What a sink makes of the arena's events.
pub(super) fn written(
    arena: &Arena,
    mut write: impl FnMut(&sniff_x_proto::event::Event, &KeyTable, &mut Vec<u8>),
) -> String {
    let (keys, mut out) = (KeyTable::default(), Vec::new());
    for event in arena.events() {
        write(event, &keys, &mut out);
    }
    String::from_utf8(out).unwrap()
}

//! A conversation played into a plugin without a capture: for tests of plugins, built in or not.
//!
//! Each event comes back as one line of `name=value` pairs, in the order of the record, which is easy to compare and to read in a diff.

use std::fmt::Write as _;
use std::sync::Arc;

use sniff_x_flow::assembler::{Chunks, Reassembly, Stream, StreamFactory, Totals};
use sniff_x_flow::datagrams::{DatagramStream, Received};
use sniff_x_flow::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Side, Transport};

use crate::Plugin;
use crate::event::{Arena, Event, KeyTable, Status, Suffix, ValueRef};
use crate::host::{ActivePlugin, Host, HostCounters, Slot};

/// One step of a conversation.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bytes that arrive in order.
    Data(Direction, Vec<u8>),
    /// So many bytes are missing.
    Gap(Direction, u64),
    /// Time passes, in nanoseconds.
    Wait(u64),
}

/// A connection from 10.0.0.1:50000 to 10.0.0.2:`server_port` that a plugin decodes.
pub struct Replay {
    host: Host,
    flow: FlowInfo,
    connection: Slot,
    totals: [Totals; 2],
    now: Nanos,
    lines: Vec<String>,
}

/// Time between two steps, in nanoseconds.
const STEP: u64 = 1_000;
/// The limits of a replay: as the command line's defaults.
const MAX_TEXT: usize = 64 << 10;
const MAX_MESSAGE: usize = 128 << 10;

impl Replay {
    /// Begins a connection. `midstream`: its beginning was not seen.
    #[must_use]
    pub fn new(plugin: Box<dyn Plugin>, server_port: u16, midstream: bool) -> Self {
        Self::of_several(vec![ActivePlugin::by_rule(plugin, |_| true)], server_port, midstream)
    }

    /// Begins a connection that one of several plugins gets.
    #[must_use]
    pub fn of_several(plugins: Vec<ActivePlugin>, server_port: u16, midstream: bool) -> Self {
        let plugins: Arc<[ActivePlugin]> = plugins.into();
        let mut host = Host::new(plugins, Arena::new(MAX_TEXT), MAX_MESSAGE);
        let client = Endpoint::v4([10, 0, 0, 1], 50_000);
        let server = Endpoint::v4([10, 0, 0, 2], server_port);
        let (key, client_side) = FlowKey::new(client, server, Transport::Tcp, Place::default());
        let now = Nanos::new(1_700_000_000, 0);
        let mut flow = FlowInfo {
            key,
            client_side,
            oriented_by: if midstream { OrientedBy::LowerPort } else { OrientedBy::Syn },
            first_seen: now,
            last_seen: now,
            interface: 0,
            midstream,
            serial: 1,
        };
        debug_assert!(client_side == Side::Low, "10.0.0.1 sorts before 10.0.0.2");
        let connection = host.new_stream(&mut flow);
        Self { host, flow, connection, totals: Default::default(), now, lines: Vec::new() }
    }

    /// Packet time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Bytes that the host and the decoder keep of the connection.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.connection.kept()
    }

    /// Those of them that are decompressors, charged by what their streams announce; all connections' together are bounded.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.host.arena.stock.inflaters.lent()
    }

    /// Plays one step.
    pub fn step(&mut self, step: &Step) {
        self.step_then(step, |_, _| {});
    }

    /// Plays one step and shows what came of it, and packet time, before it becomes lines.
    pub fn step_then(&mut self, step: &Step, look: impl FnOnce(&Host, Nanos)) {
        self.now = self.now + std::time::Duration::from_nanos(STEP);
        let (direction, bytes, skip) = match step {
            Step::Data(direction, bytes) => (*direction, bytes.as_slice(), 0),
            Step::Gap(direction, n) => (*direction, &[][..], i64::try_from(*n).unwrap_or(i64::MAX)),
            Step::Wait(nanos) => {
                self.now = self.now + std::time::Duration::from_nanos(*nanos);
                self.connection.idle(&mut self.host, &self.flow, &self.totals, self.now);
                self.collect(look);
                return;
            }
        };
        let chunk = Reassembly { direction, bytes, skip, start: false, end: false, seen: self.now };
        self.connection.reassembled(&mut self.host, &self.flow, &self.totals, Chunks::from_slice(&[chunk]));
        self.collect(look);
    }

    /// One side has said all: its FIN is in order.
    pub fn half_close(&mut self, direction: Direction) {
        self.now = self.now + std::time::Duration::from_nanos(STEP);
        let chunk = Reassembly { direction, bytes: &[], skip: 0, start: false, end: true, seen: self.now };
        self.connection.reassembled(&mut self.host, &self.flow, &self.totals, Chunks::from_slice(&[chunk]));
        self.collect(|_, _| {});
    }

    /// A datagram comes, for plugins that want UDP.
    pub fn datagram(&mut self, direction: Direction, bytes: &[u8]) {
        self.now = self.now + std::time::Duration::from_nanos(STEP);
        let received = Received { direction, bytes, missing: 0, seen: self.now };
        self.connection.datagram(&mut self.host, &self.flow, &self.totals, received);
        self.collect(|_, _| {});
    }

    /// What the host counted so far.
    #[must_use]
    pub fn counters(&self) -> HostCounters {
        self.host.counters
    }

    /// Ends the connection and gives all events.
    #[must_use]
    pub fn finish(self, end: End) -> Vec<String> {
        self.finish_then(end, |_, _| {})
    }

    /// Ends the connection, shows what came of that, and gives all events.
    #[must_use]
    pub fn finish_then(mut self, end: End, look: impl FnOnce(&Host, Nanos)) -> Vec<String> {
        self.connection.reassembly_complete(&mut self.host, &self.flow, &self.totals, end);
        self.collect(look);
        self.lines
    }

    fn collect(&mut self, look: impl FnOnce(&Host, Nanos)) {
        look(&self.host, self.now);
        let keys = KeyTable::default();
        let arena = &self.host.arena;
        self.lines.extend(arena.events().map(|event| line(arena, event, &keys)));
        self.host.arena.clear();
    }
}

/// Plays a whole conversation that ends with FIN.
#[must_use]
pub fn play(plugin: Box<dyn Plugin>, server_port: u16, midstream: bool, steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(plugin, server_port, midstream);
    for step in steps {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// One event as a line: kind, status, then the fields. Times are left out: they depend on how the bytes were cut.
fn line(arena: &Arena, event: &Event, keys: &KeyTable) -> String {
    let mut line = event.head.kind.as_str().to_owned();
    if let Some(status) = event.head.status {
        let _ = write!(line, " {}", status.as_str());
        if let Status::Incomplete(reason) = status {
            let _ = write!(line, ":{}", reason.as_str());
        }
    }
    for (key, suffix, value) in arena.fields(event) {
        let _ = write!(line, " {}", keys.name(key));
        let _ = match suffix {
            Suffix::None => Ok(()),
            Suffix::Index(index) => write!(line, "{index}"),
            Suffix::Name(name) => write!(line, "{}", name.escape_ascii()),
        };
        let _ = match value {
            ValueRef::U64(v) => write!(line, "={v}"),
            ValueRef::I64(v) => write!(line, "={v}"),
            ValueRef::F64(v) => write!(line, "={v}"),
            ValueRef::Bool(v) => write!(line, "={v}"),
            ValueRef::Null => write!(line, "=NULL"),
            ValueRef::Text(v) => write!(line, "='{}'", v.escape_ascii()),
        };
    }
    line
}

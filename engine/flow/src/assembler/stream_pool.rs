//! The stream pool: all connections of an assembler, found by flow, ordered by age.

use hashbrown::HashTable;

use super::LRU;
use super::connection::{Active, Connection, State};
use super::list::List;
use super::pool::{NONE, Pool};
use super::timing::before_payload;
use crate::{Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport};

/// Connections move to the back of their list at most once in so many nanoseconds (2³⁰, about a second), so that a busy
/// one does not touch its neighbours' memory with every segment.
const EPOCH: u32 = 30;

/// The connections.
#[derive(Debug)]
pub(super) struct StreamPool<S> {
    /// Indices into `connections`.
    table: HashTable<u32>,
    pub(super) connections: Pool<Connection<S>, 4>,
    pub(super) actives: Pool<Active, 4>,
    embryonic: List<LRU>,
    open: List<LRU>,
    closed: List<LRU>,
}

impl<S> StreamPool<S> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            connections: Pool::new(|| Connection::new(nobody(), 0)),
            actives: Pool::new(Active::default),
            embryonic: List::EMPTY,
            open: List::EMPTY,
            closed: List::EMPTY,
        }
    }

    /// The connection of a flow.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.table
            .find(hash, |&index| self.connections.get(index).is_some_and(|c| c.flow.key == *key))
            .copied()
    }

    /// What the table takes for the connection of a flow without a look at it; `NONE` if there is none.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> u32 {
        self.table.find(hash, |_| true).copied().unwrap_or(NONE)
    }

    /// Adds a connection, which must not be there, at the back of its state's list.
    pub(super) fn insert(&mut self, mut connection: Connection<S>) -> Option<u32> {
        let index = self.connections.take()?;
        connection.aged = epoch(connection.flow.last_seen);
        let (hash, state) = (connection.hash, connection.state);
        *self.connections.get_mut(index)? = connection;
        let connections = &self.connections;
        self.table.insert_unique(hash, index, |&other| connections.get(other).map_or(0, |c| c.hash));
        self.list(state).push(index);
        Some(index)
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.stream = None;
        let (hash, state) = (connection.hash, connection.state);
        self.release_active(index);
        self.list(state).remove(index);
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
        self.connections.release(index);
    }

    /// Moves a connection to another state, whose youngest it is then.
    pub(super) fn set_state(&mut self, index: u32, state: State, now: Nanos) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let before = core::mem::replace(&mut connection.state, state);
        connection.aged = epoch(now);
        self.list(before).remove(index);
        self.list(state).push(index);
    }

    /// Notes that a segment of the connection was seen at `now`.
    pub(super) fn touch(&mut self, index: u32, now: Nanos) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.flow.last_seen = now;
            self.age(index, now);
        }
    }

    /// Makes a connection the youngest of its state.
    #[inline]
    pub(super) fn age(&mut self, index: u32, now: Nanos) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.aged != epoch(now) {
            connection.aged = epoch(now);
            let state = connection.state;
            self.list(state).touch(index);
        }
    }

    /// Since when a connection is idle: its last segment, or when its stream wanted to be kept.
    pub(super) fn idle_since(&self, index: u32) -> Option<Nanos> {
        let connection = self.connections.get(index)?;
        Some(connection.flow.last_seen.max(Nanos(u64::from(connection.aged) << EPOCH)))
    }

    /// The `Active` part of a connection, made if there is none yet.
    pub(super) fn activate(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.active != NONE {
            return;
        }
        let Some(at) = self.actives.take() else { return };
        connection.active = at;
        if let Some(active) = self.actives.get_mut(at) {
            *active = Active { totals: before_payload(connection), ..Active::default() };
        }
    }

    /// Gives the `Active` part back.
    pub(super) fn release_active(&mut self, index: u32) {
        if let Some(connection) = self.connections.get_mut(index)
            && connection.active != NONE
        {
            self.actives.release(core::mem::replace(&mut connection.active, NONE));
        }
    }

    /// The oldest connection of a state.
    pub(super) fn oldest(&self, state: State) -> Option<u32> {
        let list = match state {
            State::Embryonic => &self.embryonic,
            State::Open => &self.open,
            State::Closed => &self.closed,
        };
        (list.front() != NONE).then(|| list.front())
    }

    /// The next younger connection of the same state.
    pub(super) fn younger(&self, index: u32) -> Option<u32> {
        let next = List::<LRU>::after(&self.connections, index);
        (next != NONE).then_some(next)
    }

    /// How many connections have a state.
    pub(super) fn count(&self, state: State) -> u32 {
        match state {
            State::Embryonic => self.embryonic.len(),
            State::Open => self.open.len(),
            State::Closed => self.closed.len(),
        }
    }

    /// All connections.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Gives memory back that was not needed since the last call.
    pub(super) fn trim(&mut self) {
        let room = self.connections.peak() as usize;
        if room < self.table.capacity() / 4 {
            let connections = &self.connections;
            self.table.shrink_to(room, |&other| connections.get(other).map_or(0, |c| c.hash));
        }
        self.connections.trim();
        self.actives.trim();
    }

    /// Bytes allocated for connections and the table.
    pub(super) fn memory(&self) -> usize {
        self.connections.memory() + self.actives.memory() + self.table.allocation_size()
    }

    fn list(&mut self, state: State) -> Aged<'_, S> {
        let list = match state {
            State::Embryonic => &mut self.embryonic,
            State::Open => &mut self.open,
            State::Closed => &mut self.closed,
        };
        Aged { list, connections: &mut self.connections }
    }
}

/// The coarse time by which connections are ordered.
fn epoch(now: Nanos) -> u32 {
    u32::try_from(now.0 >> EPOCH).unwrap_or(u32::MAX)
}

/// One state's list with the connections in it.
struct Aged<'a, S> {
    list: &'a mut List<LRU>,
    connections: &'a mut Pool<Connection<S>, 4>,
}

impl<S> Aged<'_, S> {
    fn push(self, index: u32) {
        self.list.push(self.connections, index);
    }

    fn remove(self, index: u32) {
        self.list.remove(self.connections, index);
    }

    fn touch(self, index: u32) {
        self.list.touch(self.connections, index);
    }
}

/// The flow of an entry in nobody's use.
fn nobody() -> FlowInfo {
    let end = Endpoint::v4([0; 4], 0);
    let (key, client_side) = FlowKey::new(end, end, Transport::Tcp, Place::default());
    FlowInfo {
        key,
        client_side,
        oriented_by: OrientedBy::LowerPort,
        first_seen: Nanos(0),
        last_seen: Nanos(0),
        interface: 0,
        midstream: false,
        serial: 0,
    }
}

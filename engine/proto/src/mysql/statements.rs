//! The prepared statements of a connection by id: their texts, the number and types of their parameters, data sent ahead. Bounded in number and bytes.
//!
//! What does not fit any more is forgotten, the least recently used first: its executions then have an id and no text.

use std::sync::Arc;

use super::mentions::Mentions;
use super::parameters::Types;

/// The most statements remembered, and the bytes of all that is remembered of them.
const MAX_STATEMENTS: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
/// One prepared statement: a cache line, beside a text that other connections mostly have, too. With many connections an execution finds its
/// statement in memory that was last used a while ago, where each further line costs more than all that is read from it.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Statement {
    /// What was kept of the text; none when it was not seen.
    text: Option<Arc<[u8]>>,
    /// Its length as it was sent.
    len: u64,
    bound: Bound,
    /// Values that came before their execution.
    ahead: Option<Box<SentAhead>>,
    /// When it was last used, on a clock that counts uses and begins anew after its highest.
    used: u32,
    /// How many parameters it has, as the server said.
    pub(super) parameters: u16,
    /// What the text mentions.
    pub(super) mentions: Mentions,
}

const _: () = assert!(size_of::<Statement>() == 64);

/// Types that the last execution sent.
#[derive(Debug)]
enum Bound {
    None,
    /// Those of most statements.
    Few {
        named: bool,
        count: u8,
        len: u8,
        bytes: [u8; Bound::FEW],
    },
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    named: bool,
    count: usize,
    bytes: Box<[u8]>,
}

impl Bound {
    /// Bytes of types beside the statement itself: ten types without names.
    const FEW: usize = 20;

    fn new(types: Types<'_>) -> Self {
        let mut bytes = [0; Self::FEW];
        let few = bytes.get_mut(..types.bytes.len()).map(|bytes| bytes.copy_from_slice(types.bytes));
        match (few, u8::try_from(types.count), u8::try_from(types.bytes.len())) {
            (Some(()), Ok(count), Ok(len)) => Self::Few { named: types.named, count, len, bytes },
            _ => {
                let Types { bytes, named, count } = types;
                Self::Many(Box::new(Many { named, count, bytes: bytes.into() }))
            }
        }
    }

    fn types(&self) -> Option<Types<'_>> {
        match self {
            Self::None => None,
            Self::Few { named, count, len, bytes } => {
                let bytes = bytes.get(..usize::from(*len))?;
                Some(Types { bytes, named: *named, count: usize::from(*count) })
            }
            Self::Many(many) => Some(Types { bytes: &many.bytes, named: many.named, count: many.count }),
        }
    }

    fn held(&self) -> usize {
        if let Self::Many(many) = self { size_of::<Many>() + many.bytes.len() } else { 0 }
    }
}

/// Values that are sent before the execution, of those parameters for which there are any.
#[derive(Debug, Default)]
struct SentAhead {
    values: Vec<LongData>,
}

/// A parameter whose value is sent before the execution, in parts.
#[derive(Debug)]
struct LongData {
    parameter: u16,
    kept: Vec<u8>,
    /// Length of all parts.
    len: u64,
    /// A part was not seen whole.
    lost: bool,
}

impl Statement {
    /// The text and its length before it was cut; none when it was not seen.
    pub(super) fn text(&self) -> Option<(&[u8], u64)> {
        self.text.as_deref().map(|text| (text, self.len))
    }

    /// The types that hold for an execution that sends none.
    pub(super) fn types(&self) -> Option<Types<'_>> {
        self.bound.types()
    }

    /// What was sent ahead of a parameter's value and how long it is; no bytes where some of it were not seen.
    pub(super) fn long_data(&self, parameter: usize) -> Option<(Option<&[u8]>, u64)> {
        let values = &self.ahead.as_ref()?.values;
        let data = values.iter().find(|d| usize::from(d.parameter) == parameter)?;
        Some(((!data.lost).then_some(&data.kept), data.len))
    }

    fn held(&self) -> usize {
        // The text as if nobody else had it.
        let text = self.text.as_ref().map_or(0, |text| text.len());
        text + self.bound.held() + self.ahead.as_ref().map_or(0, |ahead| ahead.held())
    }
}

impl SentAhead {
    fn held(&self) -> usize {
        let kept: usize = self.values.iter().map(|d| d.kept.capacity()).sum();
        size_of::<Self>() + self.values.capacity() * size_of::<LongData>() + kept
    }
}

/// The prepared statements by their ids.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// The ids, sorted: servers count them up, so that new ones go to the end. They lie close together, since each execution looks for one: in the
    /// memory of a connection that was last used a while ago, a search through the statements themselves is what executions would cost most.
    ids: Vec<u32>,
    /// The first of them.
    lowest: u32,
    /// The statements, in the order of `ids`.
    list: Vec<Statement>,
    /// Bytes of all that statements hold: kept as a sum, since it is asked for often.
    held: usize,
    clock: u32,
    last: Option<u32>,
}

/// The id that stands for the statement prepared last (MariaDB clients that send prepare and execute together).
const LAST: u32 = u32::MAX;

impl Statements {
    /// Remembers a statement with `parameters` parameters; of the text what was kept and its whole length, if it was seen.
    pub(super) fn insert(&mut self, id: u32, text: Option<(Arc<[u8]>, u64)>, parameters: u16) {
        self.close(id);
        self.last = Some(id);
        if self.list.len() >= MAX_STATEMENTS {
            self.evict(id);
        }
        let (text, len) = text.filter(|(text, _)| self.make_room(text.len(), id)).unzip();
        let used = self.tick();
        let at = self.ids.partition_point(|known| *known < id);
        let mentions = text.as_ref().map_or(Mentions::default(), |text| Mentions::of(text));
        let len = len.unwrap_or(0);
        let statement = Statement { text, len, bound: Bound::None, ahead: None, used, parameters, mentions };
        self.held += statement.held();
        self.ids.insert(at, id);
        self.note_lowest();
        self.list.insert(at, statement);
    }

    /// A statement; none when its preparation was never seen or is forgotten.
    pub(super) fn get(&mut self, id: u32) -> Option<&Statement> {
        let used = self.tick();
        let statement = self.get_mut(id)?;
        statement.used = used;
        Some(statement)
    }

    /// A statement will be executed: it comes into the cache while the response to that is awaited.
    pub(super) fn foresee(&self, id: u32) {
        let guess = id.wrapping_sub(self.lowest) as usize;
        sniff_x_prefetch::element(&self.ids, guess);
        sniff_x_prefetch::element(&self.list, guess);
    }

    fn tick(&mut self) -> u32 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    /// The id that `id` stands for.
    pub(super) fn resolve(&self, id: u32) -> u32 {
        if id == LAST { self.last.unwrap_or(LAST) } else { id }
    }

    /// An execution sent these types, which hold for the next ones; none: it sent some, but they were not seen.
    pub(super) fn bind(&mut self, id: u32, types: Option<Types<'_>>) {
        let fits = types.filter(|types| self.make_room(types.bytes.len(), id));
        self.change(id, |statement| statement.bound = fits.map_or(Bound::None, Bound::new));
    }

    /// A part of a parameter's value comes ahead: `len` bytes, of which `part` was kept; `lost`: others were not seen. Of the whole value at most
    /// `max` bytes are kept.
    pub(super) fn add_long_data(
        &mut self,
        id: u32,
        parameter: u16,
        part: &[u8],
        len: u64,
        max: usize,
        lost: bool,
    ) {
        let fits = self.make_room(part.len() + size_of::<LongData>(), id);
        self.change(id, |statement| {
            if parameter >= statement.parameters {
                // The server refuses it when the statement is executed.
                return;
            }
            let values = &mut statement.ahead.get_or_insert_default().values;
            let known = values.iter().position(|d| d.parameter == parameter);
            let at = known.unwrap_or(values.len());
            if known.is_none() {
                values.push(LongData { parameter, kept: Vec::new(), len: 0, lost: false });
            }
            if let Some(data) = values.get_mut(at) {
                let whole_so_far = data.kept.len() as u64 == data.len;
                let room = if whole_so_far && fits { max.saturating_sub(data.kept.len()) } else { 0 };
                data.kept.extend_from_slice(part.get(..room).unwrap_or(part));
                data.len = data.len.saturating_add(len);
                data.lost |= lost;
            }
        });
    }

    /// The data that was sent ahead is used up, or thrown away.
    pub(super) fn clear_long_data(&mut self, id: u32) {
        if self.get_mut(id).is_some_and(|statement| statement.ahead.is_some()) {
            self.change(id, |statement| statement.ahead = None);
        }
    }

    /// Forgets a statement.
    pub(super) fn close(&mut self, id: u32) {
        if let Some(at) = self.find(id) {
            self.remove(at);
        }
        if self.last == Some(id) {
            self.last = None;
        }
    }

    /// Forgets all: the connection was reset, or nobody knows which ones were closed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        self.held + self.ids.capacity() * size_of::<u32>() + self.list.capacity() * size_of::<Statement>()
    }

    fn find(&self, id: u32) -> Option<usize> {
        // Without holes between the ids the place is known before the first of them comes from memory, and the statement is fetched with it.
        let guess = id.wrapping_sub(self.lowest) as usize;
        if self.ids.get(guess) == Some(&id) {
            return Some(guess);
        }
        self.ids.binary_search(&id).ok()
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Statement> {
        let at = self.find(id)?;
        self.list.get_mut(at)
    }

    /// Changes a statement, with the sum kept right.
    fn change(&mut self, id: u32, change: impl FnOnce(&mut Statement)) {
        let Some(statement) = self.get_mut(id) else { return };
        let before = statement.held();
        change(statement);
        let after = statement.held();
        self.held = self.held - before + after;
    }

    /// Makes room for `bytes` more, which are `id`'s; false when there is none.
    fn make_room(&mut self, bytes: usize, id: u32) -> bool {
        while self.held + bytes > MAX_BYTES {
            if !self.evict(id) {
                return false;
            }
        }
        true
    }

    fn remove(&mut self, at: usize) {
        self.ids.remove(at);
        self.note_lowest();
        let statement = self.list.remove(at);
        self.held -= statement.held();
    }

    fn note_lowest(&mut self) {
        self.lowest = self.ids.first().copied().unwrap_or(0);
    }

    /// Forgets the least recently used statement that is not `id`; false when there is none.
    fn evict(&mut self, id: u32) -> bool {
        let others = self.ids.iter().zip(&self.list).enumerate().filter(|(_, (other, _))| **other != id);
        let clock = self.clock;
        let oldest = others.max_by_key(|(_, (_, s))| clock.wrapping_sub(s.used)).map(|(at, _)| at);
        oldest.map(|at| self.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests;

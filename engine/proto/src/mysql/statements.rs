//! The prepared statements of a connection: their texts by id, bounded in number and bytes.
//!
//! What does not fit any more is forgotten, the least recently used first: its executions then have an id and no text.

/// The most statements remembered, and the bytes of all their texts.
const MAX_STATEMENTS: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
/// Buffers of closed statements kept for new ones, and the largest of them.
const MAX_SPARE: usize = 16;
const MAX_SPARE_CAPACITY: usize = 4 << 10;

#[derive(Debug)]
struct Statement {
    id: u32,
    text: Vec<u8>,
    /// Length of the text as it was sent.
    len: u64,
    /// When it was last used, on a clock that counts uses.
    used: u64,
}

/// Texts of prepared statements by their ids.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Sorted by id: servers count ids up, so that new ones go to the end.
    list: Vec<Statement>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
    /// Capacity of all texts and spare buffers: kept as a sum, since it is asked for often.
    held: usize,
    clock: u64,
    last: Option<u32>,
}

/// The id that stands for the statement prepared last (MariaDB clients that send prepare and execute together).
const LAST: u32 = u32::MAX;

impl Statements {
    /// Remembers a statement; `len` is the length of the text before it was cut.
    pub(super) fn insert(&mut self, id: u32, text: &[u8], len: u64) {
        self.close(id);
        self.last = Some(id);
        if text.len() > MAX_BYTES {
            return;
        }
        while self.list.len() >= MAX_STATEMENTS || self.bytes + text.len() > MAX_BYTES {
            self.evict();
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        self.held -= buffer.capacity();
        buffer.extend_from_slice(text);
        self.held += buffer.capacity();
        self.bytes += text.len();
        self.clock += 1;
        let at = self.list.partition_point(|s| s.id < id);
        self.list.insert(at, Statement { id, text: buffer, len, used: self.clock });
    }

    /// A statement was prepared whose text is not known.
    pub(super) fn insert_unknown(&mut self, id: u32) {
        self.close(id);
        self.last = Some(id);
    }

    /// The text of a statement and its length before it was cut; none when it was never seen or is forgotten.
    pub(super) fn text(&mut self, id: u32) -> Option<(&[u8], u64)> {
        let at = self.find(id)?;
        self.clock += 1;
        let statement = self.list.get_mut(at)?;
        statement.used = self.clock;
        Some((&statement.text, statement.len))
    }

    /// The id that `id` stands for.
    pub(super) fn resolve(&self, id: u32) -> u32 {
        if id == LAST { self.last.unwrap_or(LAST) } else { id }
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
        self.held + self.list.capacity() * size_of::<Statement>()
    }

    fn find(&self, id: u32) -> Option<usize> {
        self.list.binary_search_by_key(&id, |s| s.id).ok()
    }

    fn remove(&mut self, at: usize) {
        let mut buffer = self.list.remove(at).text;
        self.bytes -= buffer.len();
        if self.spare.len() < MAX_SPARE && buffer.capacity() <= MAX_SPARE_CAPACITY {
            buffer.clear();
            self.spare.push(buffer);
        } else {
            self.held -= buffer.capacity();
        }
    }

    fn evict(&mut self) {
        let oldest = self.list.iter().enumerate().min_by_key(|(_, s)| s.used).map(|(at, _)| at);
        if let Some(at) = oldest {
            self.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted() {
        let mut statements = Statements::default();
        for id in 0..3_000 {
            let text = vec![b'x'; (id as usize * 37) % 6_000];
            statements.insert(id, &text, text.len() as u64);
            if id % 3 == 0 {
                statements.close(id / 2);
            }
            let texts: usize = statements.list.iter().map(|s| s.text.capacity()).sum();
            let spare: usize = statements.spare.iter().map(Vec::capacity).sum();
            assert_eq!(statements.held, texts + spare);
        }
    }

    #[test]
    fn remembers_and_forgets() {
        let mut statements = Statements::default();
        statements.insert(7, b"select ?", 8);
        statements.insert(3, b"select 3", 800);
        assert_eq!(statements.text(7), Some((&b"select ?"[..], 8)));
        assert_eq!(statements.text(3), Some((&b"select 3"[..], 800)));
        assert_eq!(statements.resolve(LAST), 3);
        statements.close(3);
        assert_eq!(statements.text(3), None);
        assert_eq!(statements.resolve(LAST), LAST);
        statements.insert(7, b"again", 5);
        assert_eq!(statements.text(7), Some((&b"again"[..], 5)));
        statements.insert_unknown(7);
        assert_eq!(statements.text(7), None);
    }

    #[test]
    fn number_is_bounded_and_the_least_used_goes_first() {
        let mut statements = Statements::default();
        for id in 0..=u32::try_from(MAX_STATEMENTS).unwrap() {
            statements.insert(id, b"x", 1);
            assert!(statements.text(0).is_some());
        }
        assert_eq!(statements.text(1), None);
        assert!(statements.text(2).is_some());
    }

    #[test]
    fn bytes_are_bounded() {
        let mut statements = Statements::default();
        let text = vec![b'x'; 64 << 10];
        for id in 0..100 {
            statements.insert(id, &text, text.len() as u64);
        }
        assert!(statements.retained() <= MAX_BYTES + (64 << 10), "{}", statements.retained());
        assert_eq!(statements.text(99).unwrap().0.len(), text.len());
    }

    #[test]
    fn closing_and_preparing_again_allocates_nothing_more() {
        let mut statements = Statements::default();
        statements.insert(1, &[b'x'; 500], 500);
        statements.close(1);
        let held = statements.retained();
        for id in 2..1000 {
            statements.insert(id, &[b'y'; 400], 400);
            statements.close(id);
        }
        assert_eq!(statements.retained(), held);
    }
}

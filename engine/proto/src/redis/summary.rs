//! What is told of a value that was read: its type, how many values it has, its size, and the beginning of its text.

use super::resp::Kind;

/// What is told of a value.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) kind: Kind,
    /// Values in it, for an aggregate: pairs of a map count once.
    pub(super) count: Option<u64>,
    /// The beginning of its text; the texts of an aggregate's values, separated by spaces.
    pub(super) text: Vec<u8>,
    /// How much of the text is kept at the most.
    pub(super) limit: usize,
    /// Length of the whole text.
    pub(super) text_len: u64,
    /// Bytes on the wire.
    pub(super) size: u64,
    /// The last number in it.
    pub(super) last_integer: Option<i64>,
}

impl Summary {
    /// Another value begins, of whose text at most `limit` bytes are kept.
    pub(super) fn begin(&mut self, limit: usize) {
        self.text.clear();
        let text = core::mem::take(&mut self.text);
        *self = Self { text, limit, ..Self::default() };
    }

    /// More of the text.
    pub(super) fn put(&mut self, text: &[u8]) {
        let room = self.limit.saturating_sub(self.text.len());
        self.text.extend_from_slice(text.get(..room).unwrap_or(text));
        self.text_len = self.text_len.saturating_add(text.len() as u64);
    }

    /// The first word of an error: `WRONGTYPE`, `MOVED`, `ERR`.
    pub(super) fn error_code(&self) -> &[u8] {
        let word = self.text.split(|b| *b == b' ').next().unwrap_or_default();
        let is_code = !word.is_empty()
            && word.len() <= 32
            && word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
        if is_code { word } else { b"ERR" }
    }
}

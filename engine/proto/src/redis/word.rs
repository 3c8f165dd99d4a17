//! Short words of a command, kept in place: its name, and the arguments that change how the connection goes on.

/// At most `N` bytes of a word; a longer one is known to be longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Word<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Word<N> {
    /// More of it comes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..) {
            let kept = room.len().min(bytes.len());
            if let (Some(to), Some(from)) = (room.get_mut(..kept), bytes.get(..kept)) {
                to.copy_from_slice(from);
            }
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// As much of it as was kept.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// The whole word; none if it is longer than what was kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn is(&self, word: &[u8]) -> bool {
        self.whole().is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    pub(super) fn make_ascii_uppercase(&mut self) {
        self.bytes.make_ascii_uppercase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_parts() {
        let mut word = Word::<6>::default();
        word.push(b"sel");
        assert!(!word.is(b"SELECT"));
        word.push(b"ect");
        assert!(word.is(b"SELECT"));
        word.push(b"x");
        assert_eq!(word.whole(), None);
        assert_eq!(word.as_bytes(), b"select");
    }
}

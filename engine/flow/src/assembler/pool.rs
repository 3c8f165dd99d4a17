//! The pool: where an assembler keeps its connections, pages and holes.
//!
//! Entries are named by a number, stay where they are, and lie in chunks of `64 * W`. A chunk is allocated when all
//! others are full; the lowest free entry is always taken first, so that after a spike the upper chunks empty, and
//! [`Pool::trim`] gives those back. An entry that was released keeps its old content until it is taken again: whoever
//! takes one sets what matters, and a page's 2 KiB need no clearing.

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// Numbered entries in chunks of `64 * W`.
#[derive(Debug)]
pub(crate) struct Pool<T, const W: usize> {
    vacant: fn() -> T,
    chunks: Vec<Chunk<T, W>>,
    /// One bit a chunk: whether it has a free entry or could be allocated.
    open: Vec<u64>,
    /// No word of `open` before this one has a bit set.
    first_open: usize,
    used: u32,
    /// The most entries in use since the last `trim`.
    peak: u32,
    allocated: usize,
}

#[derive(Debug)]
struct Chunk<T, const W: usize> {
    /// Empty while the chunk's memory is given back.
    entries: Box<[T]>,
    taken: [u64; W],
    used: u32,
}

impl<T, const W: usize> Pool<T, W> {
    const PER_CHUNK: usize = 64 * W;

    /// An empty pool; `vacant` makes the entries of a new chunk.
    pub(crate) fn new(vacant: fn() -> T) -> Self {
        Self { vacant, chunks: Vec::new(), open: Vec::new(), first_open: 0, used: 0, peak: 0, allocated: 0 }
    }

    /// Entries in use.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// The most entries in use since the last [`Pool::trim`].
    pub(crate) fn peak(&self) -> u32 {
        self.peak
    }

    /// Bytes of the chunks that are allocated.
    pub(crate) fn memory(&self) -> usize {
        self.allocated * Self::PER_CHUNK * size_of::<T>()
    }

    /// The entry `index`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / Self::PER_CHUNK)?.entries.get(index % Self::PER_CHUNK)
    }

    /// The entry `index`.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let index = index as usize;
        self.chunks.get_mut(index / Self::PER_CHUNK)?.entries.get_mut(index % Self::PER_CHUNK)
    }

    /// Takes a free entry, with the content that it last had. None when the numbers are used up.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let at = self.open_chunk()?;
        let vacant = self.vacant;
        let chunk = self.chunks.get_mut(at)?;
        if chunk.entries.is_empty() {
            chunk.entries = core::iter::repeat_with(vacant).take(Self::PER_CHUNK).collect();
            self.allocated += 1;
        }
        let (word, bits) = chunk.taken.iter_mut().enumerate().find(|(_, bits)| **bits != u64::MAX)?;
        let bit = bits.trailing_ones() as usize;
        *bits |= 1 << bit;
        chunk.used += 1;
        if chunk.used as usize == Self::PER_CHUNK {
            self.set_open(at, false);
        }
        self.used += 1;
        self.peak = self.peak.max(self.used);
        u32::try_from(at * Self::PER_CHUNK + word * 64 + bit).ok()
    }

    /// Gives the entry `index` back. Its content stays until it is taken again.
    pub(crate) fn release(&mut self, index: u32) {
        let index = index as usize;
        let (at, entry) = (index / Self::PER_CHUNK, index % Self::PER_CHUNK);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let Some(bits) = chunk.taken.get_mut(entry / 64) else { return };
        let bit = 1 << (entry % 64);
        debug_assert!(*bits & bit != 0, "entry {index} released twice");
        *bits &= !bit;
        chunk.used -= 1;
        self.used -= 1;
        self.set_open(at, true);
    }

    /// Gives memory back: empty chunks beyond what was needed since the last call.
    pub(crate) fn trim(&mut self) {
        let needed = (self.peak as usize).div_ceil(Self::PER_CHUNK) + 1;
        for chunk in self.chunks.iter_mut().rev() {
            if self.allocated <= needed {
                break;
            }
            if chunk.used == 0 && !chunk.entries.is_empty() {
                chunk.entries = Box::default();
                self.allocated -= 1;
            }
        }
        while self.chunks.last().is_some_and(|c| c.entries.is_empty()) {
            self.chunks.pop();
            self.set_open(self.chunks.len(), false);
        }
        self.chunks.shrink_to(self.chunks.len() * 2);
        self.peak = self.used;
    }

    /// The lowest chunk with a free entry; a new one where there is none.
    fn open_chunk(&mut self) -> Option<usize> {
        let found = self.open.iter().enumerate().skip(self.first_open).find(|(_, bits)| **bits != 0);
        if let Some((word, bits)) = found {
            self.first_open = word;
            return Some(word * 64 + bits.trailing_zeros() as usize);
        }
        let at = self.chunks.len();
        // The last number is `NONE`.
        u32::try_from((at + 1) * Self::PER_CHUNK).ok()?;
        self.chunks.push(Chunk { entries: Box::default(), taken: [0; W], used: 0 });
        self.set_open(at, true);
        Some(at)
    }

    fn set_open(&mut self, chunk: usize, open: bool) {
        let word = chunk / 64;
        if word >= self.open.len() {
            self.open.resize(word + 1, 0);
        }
        if let Some(bits) = self.open.get_mut(word) {
            let bit = 1 << (chunk % 64);
            if open {
                *bits |= bit;
                self.first_open = self.first_open.min(word);
            } else {
                *bits &= !bit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn the_lowest_free_entry_is_taken_first_and_memory_goes_back() {
        let mut pool: Pool<u8, 1> = Pool::new(|| 0);
        let all: Vec<u32> = (0..1000).map(|_| pool.take().unwrap()).collect();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        let high = pool.memory();
        for index in 10..1000 {
            pool.release(index);
        }
        pool.trim();
        assert_eq!(pool.memory(), high, "what was needed since the last trim stays");
        pool.trim();
        assert_eq!(pool.memory(), 2 * 64, "then one chunk in use and one to spare");
        assert_eq!(pool.take(), Some(10));
        assert_eq!(pool.used(), 11);
        assert!((0..500).all(|_| pool.take().is_some()));
        assert_eq!(pool.used(), 511);
        assert_eq!(pool.take(), Some(511));
    }
}

//! Lists through the entries of a pool: pushing, popping and unlinking cost a few stores and never allocate.

use super::pool::{NONE, Pool};

/// An entry's neighbours in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    previous: u32,
    next: u32,
}

impl Links {
    /// In no list.
    pub(crate) const NONE: Self = Self { previous: NONE, next: NONE };
}

/// An entry that can be in a list of kind `L`.
pub(crate) trait Linked<const L: u8> {
    fn links(&mut self) -> &mut Links;
    fn linked(&self) -> Links;
}

/// The two ends of a list of kind `L`: the oldest entry in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<const L: u8> {
    front: u32,
    back: u32,
    len: u32,
}

impl<const L: u8> List<L> {
    pub(crate) const EMPTY: Self = Self { front: NONE, back: NONE, len: 0 };

    /// The entry that was pushed first; `NONE` when the list is empty.
    pub(crate) fn front(&self) -> u32 {
        self.front
    }

    /// Entries in the list.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The entry behind `index`.
    pub(crate) fn after<T: Linked<L>, const W: usize>(pool: &Pool<T, W>, index: u32) -> u32 {
        pool.get(index).map_or(NONE, |entry| entry.linked().next)
    }

    /// Puts an entry that is in no list of this kind at the back.
    pub(crate) fn push<T: Linked<L>, const W: usize>(&mut self, pool: &mut Pool<T, W>, index: u32) {
        let previous = self.back;
        if let Some(entry) = pool.get_mut(index) {
            *entry.links() = Links { previous, next: NONE };
        }
        match pool.get_mut(previous) {
            Some(entry) => entry.links().next = index,
            None => self.front = index,
        }
        self.back = index;
        self.len += 1;
    }

    /// Takes an entry that is in this list out of it.
    pub(crate) fn remove<T: Linked<L>, const W: usize>(&mut self, pool: &mut Pool<T, W>, index: u32) {
        let Some(entry) = pool.get_mut(index) else { return };
        let Links { previous, next } = core::mem::replace(entry.links(), Links::NONE);
        match pool.get_mut(previous) {
            Some(entry) => entry.links().next = next,
            None => self.front = next,
        }
        match pool.get_mut(next) {
            Some(entry) => entry.links().previous = previous,
            None => self.back = previous,
        }
        self.len -= 1;
    }

    /// Moves an entry of this list to the back.
    pub(crate) fn touch<T: Linked<L>, const W: usize>(&mut self, pool: &mut Pool<T, W>, index: u32) {
        if self.back != index {
            self.remove(pool, index);
            self.push(pool, index);
        }
    }
}

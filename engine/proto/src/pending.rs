//! Requests that wait for their responses, in order, with what was kept of them in one buffer that is used again and again.
//!
//! Shared by the protocols whose clients send requests ahead: the newest request grows, the oldest is answered.

use std::collections::VecDeque;

/// Bytes that all waiting requests together may keep.
const MAX_KEPT: usize = 1 << 20;

/// Bytes in front of the buffer that may lie idle before the rest is moved down.
const MAX_IDLE: usize = 64 << 10;

/// Waiting requests, the oldest first.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    list: VecDeque<Entry<T>>,
    /// What was kept, in the order of `list`.
    bytes: Vec<u8>,
    /// How many bytes were thrown away in front of `bytes`.
    base: u64,
}

#[derive(Debug)]
struct Entry<T> {
    request: T,
    /// Where what was kept begins, counted from the first byte that the buffer ever held.
    at: u64,
    len: usize,
}

/// Where more of the newest request is kept.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    bytes: &'a mut Vec<u8>,
    len: &'a mut usize,
    max: usize,
}

impl Room<'_> {
    /// Keeps as much as there is room for; how many bytes that were.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> usize {
        let room = self.max.saturating_sub(*self.len).min(MAX_KEPT.saturating_sub(self.bytes.len()));
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(kept);
        *self.len += kept.len();
        kept.len()
    }
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { list: VecDeque::new(), bytes: Vec::new(), base: 0 }
    }
}

impl<T> Pending<T> {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push(&mut self, request: T) {
        let at = self.base + self.bytes.len() as u64;
        self.list.push_back(Entry { request, at, len: 0 });
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.list.front().map(|e| &e.request)
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.list.front_mut().map(|e| &mut e.request)
    }

    pub(crate) fn back(&self) -> Option<&T> {
        self.list.back().map(|e| &e.request)
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        self.list.back_mut().map(|e| &mut e.request)
    }

    /// Keeps more of the newest request, at most `max` bytes in all; how many were kept.
    pub(crate) fn keep(&mut self, bytes: &[u8], max: usize) -> usize {
        self.newest(max).map_or(0, |(_, mut room)| room.keep(bytes))
    }

    /// The newest request, and the room for what is kept of it: at most `max` bytes in all.
    pub(crate) fn newest(&mut self, max: usize) -> Option<(&mut T, Room<'_>)> {
        let newest = self.list.back_mut()?;
        let room = Room { bytes: &mut self.bytes, len: &mut newest.len, max };
        Some((&mut newest.request, room))
    }

    /// What was kept of the oldest request.
    pub(crate) fn front_bytes(&self) -> &[u8] {
        self.list.front().map_or(&[], |e| self.kept(e))
    }

    fn kept(&self, entry: &Entry<T>) -> &[u8] {
        let start = usize::try_from(entry.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.bytes.get(start..start.saturating_add(entry.len)).unwrap_or_default()
    }

    /// Forgets the oldest request.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let popped = self.list.pop_front()?;
        let Some(front) = self.list.front() else {
            self.bytes.clear();
            self.base = 0;
            return Some(popped.request);
        };
        let idle = usize::try_from(front.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        if idle > MAX_IDLE && idle <= self.bytes.len() {
            self.bytes.drain(..idle);
            self.base += idle as u64;
        }
        Some(popped.request)
    }

    /// Gives memory back when nothing waits.
    pub(crate) fn shrink(&mut self) {
        if self.list.is_empty() {
            *self = Self::default();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn retained(&self) -> usize {
        self.bytes.capacity() + self.list.capacity() * size_of::<Entry<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_with_their_requests() {
        let mut pending = Pending::default();
        let mut sent = VecDeque::new();
        for round in 0..500usize {
            pending.push(round);
            let text = vec![u8::try_from(round % 251).unwrap(); 1 + round * 7 % 2000];
            let (a, b) = text.split_at(text.len() / 2);
            assert_eq!(pending.keep(a, 4096), a.len());
            assert_eq!(pending.keep(b, 4096), b.len());
            sent.push_back(text);
            while sent.len() > 1 + round % 40 {
                assert_eq!(pending.front_bytes(), sent.pop_front().unwrap());
                pending.pop();
            }
        }
        assert!(pending.retained() < 1 << 20);
        while pending.pop().is_some() {}
        pending.shrink();
        assert_eq!(pending.retained(), 0);
    }

    #[test]
    fn bytes_are_bounded() {
        let mut pending = Pending::default();
        pending.push(());
        assert_eq!(pending.keep(&[b'x'; 100], 10), 10);
        assert_eq!(pending.front_bytes(), [b'x'; 10]);
        for _ in 0..1000 {
            pending.push(());
            pending.keep(&[b'y'; 64 << 10], 64 << 10);
        }
        assert!(pending.retained() < 4 * MAX_KEPT);
    }
}

//! A set of numbers as sorted ranges.

use std::sync::Arc;

/// Ranges with both ends inside, in order, with at least one number missing between two of them. Clones share the list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ranges(Arc<[(u32, u32)]>);

impl Ranges {
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut list: Vec<(u32, u32)> = ranges.into_iter().collect();
        list.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(list.len());
        for (first, last) in list {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into())
    }

    pub(crate) fn one(number: u32) -> Self {
        Self(Arc::new([(number, number)]))
    }

    #[inline]
    pub(crate) fn contains(&self, number: u32) -> bool {
        match *self.0 {
            [(first, last)] => (first..=last).contains(&number),
            _ => {
                let behind = self.0.partition_point(|(first, _)| *first <= number);
                behind.checked_sub(1).and_then(|i| self.0.get(i)).is_some_and(|(_, last)| number <= *last)
            }
        }
    }

    /// The number, if there is just one.
    pub(crate) fn only(&self) -> Option<u32> {
        match *self.0 {
            [(first, last)] if first == last => Some(first),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(first, last)), Some(&&(start, end))) = (left.peek(), right.peek()) {
            if first.max(start) <= last.min(end) {
                both.push((first.max(start), last.min(end)));
            }
            if last < end {
                left.next();
            } else {
                right.next();
            }
        }
        Self(both.into())
    }

    /// What is in either.
    pub(crate) fn or(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&*other.0).copied())
    }

    /// What is not in it.
    pub(crate) fn others(&self) -> Self {
        let mut list = Vec::new();
        let mut from = Some(0);
        for (first, last) in &*self.0 {
            if let Some(start) = from.filter(|start| start < first) {
                list.push((start, first - 1));
            }
            from = last.checked_add(1);
        }
        list.extend(from.map(|start| (start, u32::MAX)));
        Self(list.into())
    }

    pub(crate) fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn sorted_merged_and_found() {
        let set = Ranges::new([(10, 20), (5, 5), (21, 30), (15, 18), (40, 40), (0, 0), (u32::MAX, u32::MAX)]);
        assert_eq!(set.as_slice(), [(0, 0), (5, 5), (10, 30), (40, 40), (u32::MAX, u32::MAX)]);
        let inside = (0..=50).filter(|n| set.contains(*n)).count();
        assert_eq!(inside, 1 + 1 + 21 + 1);
        assert!(set.contains(u32::MAX) && !set.contains(u32::MAX - 1));
        assert!(!Ranges::new([]).contains(0));
        let other = Ranges::new([(0, 7), (25, 45)]);
        for n in (0..=50).chain([u32::MAX - 1, u32::MAX]) {
            assert_eq!(set.and(&other).contains(n), set.contains(n) && other.contains(n));
            assert_eq!(set.or(&other).contains(n), set.contains(n) || other.contains(n));
            assert_eq!(set.others().contains(n), !set.contains(n));
            assert_eq!(other.others().contains(n), !other.contains(n));
        }
        assert!(Ranges::new([]).others().others().is_empty());
        assert_eq!((Ranges::one(3).only(), set.only()), (Some(3), None));
    }
}

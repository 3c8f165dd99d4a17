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
    }
}

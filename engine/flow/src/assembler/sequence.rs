//! TCP sequence numbers (RFC 9293, section 3.4).

/// A TCP sequence number: 32 bits that wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(pub u32);

impl Sequence {
    /// The number `n` bytes further on.
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How far `other` lies after `self`, in bytes; negative when it lies before. Right across the wrap: from 2³²−10 to
    /// 10 is 20.
    #[must_use]
    pub const fn difference(self, other: Self) -> i32 {
        other.0.wrapping_sub(self.0).cast_signed()
    }

    /// Bytes from `self` to `other`, which is known to lie at or after it.
    pub(super) const fn distance(self, other: Self) -> u32 {
        other.0.wrapping_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn difference_is_right_across_the_wrap() {
        assert_eq!(Sequence(u32::MAX - 9).difference(Sequence(10)), 20);
        assert_eq!(Sequence(10).difference(Sequence(u32::MAX - 9)), -20);
        assert_eq!(Sequence(7).difference(Sequence(7)), 0);
        assert_eq!(Sequence(u32::MAX).add(1), Sequence(0));
        assert_eq!(Sequence(u32::MAX - 9).add(20), Sequence(10));
    }
}

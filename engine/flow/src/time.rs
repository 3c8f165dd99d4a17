//! Time as the data path knows it: nanoseconds of a frame's timestamp, never a clock of our own.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z, as a capture's timestamps give them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// One second.
    pub const SECOND: u64 = 1_000_000_000;

    /// A timestamp from whole seconds and nanoseconds; saturates far beyond any real capture.
    #[must_use]
    pub const fn new(seconds: u64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(Self::SECOND).saturating_add(nanos as u64))
    }

    /// Nanoseconds from `earlier` to `self`, 0 when time ran backwards (captures are not always sorted).
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Nanos {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Nanos {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Nanos {
    /// Seconds and nanoseconds: `1772697399.481825000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / Self::SECOND, self.0 % Self::SECOND)
    }
}

//! The interfaces of a capture file: a table that the reader appends to while workers look up.
//!
//! An entry never changes or moves once it is there, so a frame's interface is found without a lock.

use std::sync::OnceLock;

use sniff_x_flow::{LinkType, Nanos};

use crate::Interface;

const CHUNK: usize = 256;

/// The most interfaces that a file may have, all sections together; the frames of further ones count as unreadable.
pub(crate) const MAX_INTERFACES: u32 = 65_536;

/// The interfaces in order of their appearance.
#[derive(Default)]
pub(crate) struct Interfaces {
    chunks: Box<[OnceLock<Chunk>]>,
}

/// None stands for an interface whose description can't be read.
type Chunk = Box<[OnceLock<Option<FileInterface>>]>;

/// An interface as its description block gives it.
#[derive(Clone, Debug)]
pub(crate) struct FileInterface {
    pub(crate) name: String,
    pub(crate) link_type: LinkType,
    pub(crate) snaplen: u32,
    pub(crate) clock: Clock,
}

impl Interfaces {
    pub(crate) fn new() -> Self {
        Self { chunks: (0..MAX_INTERFACES as usize / CHUNK).map(|_| OnceLock::new()).collect() }
    }

    /// Puts an interface at `id`, none for one whose description can't be read; false when `id` has no interface afterwards.
    /// Called by the reader alone, in order.
    pub(crate) fn set(&self, id: u32, interface: Option<FileInterface>) -> bool {
        let id = id as usize;
        let usable = interface.is_some();
        self.chunks
            .get(id / CHUNK)
            .map(|chunk| chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect()))
            .and_then(|chunk| chunk.get(id % CHUNK))
            .is_some_and(|slot| slot.set(interface).is_ok())
            && usable
    }

    /// The interface with this number.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&FileInterface> {
        let id = id as usize;
        self.chunks.get(id / CHUNK)?.get()?.get(id % CHUNK)?.get()?.as_ref()
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<Interface> {
        (0..MAX_INTERFACES)
            .zip(self.chunks.iter().map_while(OnceLock::get).flatten().map_while(OnceLock::get))
            .filter_map(|(id, found)| {
                let found = found.as_ref()?;
                let (link_type, snaplen) = (found.link_type, found.snaplen);
                Some(Interface { id, name: found.name.clone(), link_type, snaplen })
            })
            .collect()
    }
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    scale: Scale,
    /// Seconds to add.
    pub(crate) offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// Nanoseconds of a unit.
    Times(u64),
    /// Units of a nanosecond.
    Per(u64),
    /// Units of 2^-n seconds.
    Binary(u8),
}

impl Clock {
    /// Microseconds, what an interface has that doesn't say.
    #[cfg(test)]
    pub(crate) const DEFAULT: Self = Self { scale: Scale::Times(1000), offset: 0 };

    /// From `if_tsresol`: a negative power of 10, or with the highest bit of 2. None for a resolution beyond 64 bits.
    pub(crate) fn new(resolution: u8, offset: i64) -> Option<Self> {
        let scale = match resolution {
            0x80.. => Scale::Binary(Some(resolution & 0x7f).filter(|bits| *bits < 64)?),
            ..=9 => Scale::Times(10_u64.pow(9 - u32::from(resolution))),
            _ => Scale::Per(10_u64.checked_pow(u32::from(resolution) - 9)?),
        };
        Some(Self { scale, offset })
    }

    /// Nanoseconds since 1970 of a raw timestamp; the nearest that there is when it lies outside of what 64 bits hold.
    #[inline]
    pub(crate) fn nanos(&self, raw: u64) -> Nanos {
        let nanos = match self.scale {
            Scale::Times(factor) => raw.saturating_mul(factor),
            Scale::Per(divisor) => raw / divisor,
            Scale::Binary(bits) => {
                let wide = (u128::from(raw) * u128::from(Nanos::SECOND)) >> bits;
                u64::try_from(wide).unwrap_or(u64::MAX)
            }
        };
        if self.offset == 0 {
            return Nanos(nanos);
        }
        let seconds = self.offset.unsigned_abs().saturating_mul(Nanos::SECOND);
        Nanos(if self.offset > 0 { nanos.saturating_add(seconds) } else { nanos.saturating_sub(seconds) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions() {
        let nanos = |resolution, offset, raw| Clock::new(resolution, offset).unwrap().nanos(raw).0;
        assert_eq!(nanos(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(nanos(9, 0, 7), 7);
        assert_eq!(nanos(0, 0, 7), 7_000_000_000);
        assert_eq!(nanos(12, 0, 7_999), 7);
        assert_eq!(nanos(0x80 | 10, 0, 1024 + 512), 1_500_000_000);
        assert_eq!(nanos(0x80 | 32, 0, 1 << 31), 500_000_000);
        assert_eq!(nanos(6, 10, 1), 10_000_001_000);
        assert_eq!(nanos(6, -1, 1_000_001), 1_000);
        assert_eq!(nanos(6, -10, 1), 0, "before 1970");
        assert_eq!(nanos(0, 0, u64::MAX), u64::MAX);
        assert!(Clock::new(40, 0).is_none());
        assert!(Clock::new(0xff, 0).is_none());
    }

    #[test]
    fn table_is_bounded() {
        let table = Interfaces::new();
        let interface = FileInterface {
            name: String::new(),
            link_type: LinkType::ETHERNET,
            snaplen: 0,
            clock: Clock::DEFAULT,
        };
        for id in 0..MAX_INTERFACES {
            assert!(table.set(id, Some(interface.clone())));
        }
        assert!(!table.set(MAX_INTERFACES, Some(interface)));
        assert!(table.get(MAX_INTERFACES).is_none());
        assert_eq!(table.list().len(), MAX_INTERFACES as usize);
    }
}

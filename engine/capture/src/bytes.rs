//! Checked reads of numbers that a file or the kernel wrote.

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The order of this machine.
    #[cfg(any(test, target_os = "linux", feature = "libpcap"))]
    pub(crate) const NATIVE: Self = if cfg!(target_endian = "little") { Self::Little } else { Self::Big };

    /// 16 bits at `at`; none when they aren't inside.
    #[inline]
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(raw),
            Self::Big => u16::from_be_bytes(raw),
        })
    }

    /// A header of four numbers.
    #[inline]
    pub(crate) fn four_u32(self, header: &[u8; 16]) -> [u32; 4] {
        let numbers = [0, 1, 2, 3].map(|at| header.as_chunks().0.get(at).copied().unwrap_or_default());
        match self {
            Self::Little => numbers.map(u32::from_le_bytes),
            Self::Big => numbers.map(u32::from_be_bytes),
        }
    }

    /// 32 bits at `at`.
    #[inline]
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(raw),
            Self::Big => u32::from_be_bytes(raw),
        })
    }
}

//! A hint to the processor: memory that will be read soon.
#![expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]

/// Bytes of a cache line.
const LINE: usize = 64;
/// Lines of a frame that are read in any case: the ring's header, the frame's headers, the beginning of its payload.
const LINES: usize = 3;

/// Begins to fetch the frame that lies at `at` of the block, wherever that is.
#[inline]
pub(crate) fn frame(block: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let place = block.as_ptr().wrapping_add(at).wrapping_add(line * LINE);
        // SAFETY: it is a hint, which never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>()) };
    }
    // Elsewhere there is no such intrinsic in stable Rust.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (block, at, LINE, LINES);
}

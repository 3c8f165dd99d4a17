//! Hints to the processor: memory that will be read soon begins to come into the cache.
//!
//! A read that misses the cache holds up what stands behind it as soon as the processor's window is full; a hint does not. It changes
//! nothing but time, may be wrong, and costs an instruction. All stages may use it, also those without `unsafe`.
#![expect(unsafe_code, reason = "stable Rust has the instruction only as one that takes a raw pointer")]

/// Bytes of a cache line.
const LINE: usize = 64;

/// A value will be read: the lines that it lies in, ten at most.
#[inline(always)]
pub fn value<T: ?Sized>(value: &T) {
    const MOST: usize = 10;
    let place = core::ptr::from_ref(value).cast::<u8>();
    let len = size_of_val(value).min(MOST * LINE);
    let mut at = 0;
    while at < len {
        line(place.wrapping_add(at));
        at += LINE;
    }
}

/// An element of a slice will be read; where there is none nothing is.
#[inline(always)]
pub fn element<T>(slice: &[T], at: usize) {
    if let Some(element) = slice.get(at) {
        value(element);
    }
}

/// `lines` cache lines at `at` of a slice will be read, where that is.
#[inline(always)]
pub fn bytes(slice: &[u8], at: usize, lines: usize) {
    for number in 0..lines {
        line(slice.as_ptr().wrapping_add(at).wrapping_add(number * LINE));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(place: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: it is a hint, which never faults and reads nothing that the program sees, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast::<i8>()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line(place: *const u8) {
    // SAFETY: it is a hint, which never faults and reads nothing that the program sees, whatever the address.
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{place}]",
            place = in(reg) place,
            options(nostack, preserves_flags, readonly)
        );
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_: *const u8) {}

#[cfg(test)]
mod tests {
    #[test]
    fn any_place_will_do() {
        super::value(&[0_u8; 1000]);
        super::value::<[u8]>(&[]);
        super::element(&[1_u64, 2], 5);
        // Also one that is not the program's.
        super::bytes(b"abc", usize::MAX / 2, 3);
        super::bytes(&[], 0, 3);
    }
}

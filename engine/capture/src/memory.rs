//! Memory that is free but still the process's: given back to the system.
//!
//! glibc's allocator keeps what was freed between pieces that are in use (malloc(3), `malloc_trim(3)`): after a spike of connections the process
//! would stay as large as it was in it. It is here because capture is where `unsafe` may be.

/// Gives free memory back to the system; where the allocator has no such call, nothing. Takes about a millisecond for each 10 MiB: only for
/// when much was freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call of the C library")]
pub fn give_back() {
    // SAFETY: it has no preconditions, touches only what is free, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// This allocator has no such call.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    /// Resident bytes of this process.
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn what_lies_between_pieces_in_use_goes_back() {
        const PIECE: usize = 40_000;
        let mut pieces: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; PIECE]).collect();
        let spike = resident();
        // Every hundredth stays.
        let mut at = 0;
        pieces.retain(|_| {
            at += 1;
            at % 100 == 0
        });
        super::give_back();
        let after = resident();
        assert!(after + 3000 * PIECE < spike, "{spike} bytes before, {after} after");
        assert_eq!(pieces.len(), 40);
    }
}

//! The system call that gives a fanout group its program; aya has none.
#![expect(unsafe_code, reason = "setsockopt")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sets `PACKET_FANOUT_DATA`: <https://man7.org/linux/man-pages/man7/packet.7.html>.
pub(super) fn set_program(socket: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let fd: libc::c_int = program.as_raw_fd();
    let len = libc::socklen_t::try_from(size_of_val(&fd)).map_err(io::Error::other)?;
    // SAFETY: the value is an int, and valid for its length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT_DATA,
            (&raw const fd).cast(),
            len,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

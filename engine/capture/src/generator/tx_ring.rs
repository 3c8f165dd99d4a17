//! PACKET_TX_RING: frames that lie in memory shared with the kernel are sent by one call for many of them.
//!
//! The whole trace lies in the ring, a slot for each frame: sending it again is a status word a frame. With PACKET_QDISC_BYPASS the frames
//! go to the device at once. Source: `tpacket_snd` in <https://github.com/torvalds/linux/blob/v6.18/net/packet/af_packet.c>,
//! <https://docs.kernel.org/networking/packet_mmap.html>.
#![expect(unsafe_code, reason = "socket options of AF_PACKET that no crate wraps, and the ring's memory")]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread;

use libc::{c_int, c_uint};
use memmap2::{MmapOptions, MmapRaw};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Generator, SLOT, errno, index_of, system};
use crate::CaptureError;

/// Where a frame begins in its slot: `TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)`.
const FRAME: usize = 32;

/// See the module.
pub struct TxRing {
    socket: OwnedFd,
    ring: MmapRaw,
    slots: usize,
    /// The slot that is sent next.
    next: usize,
}

impl TxRing {
    pub(super) fn open(interface: &str, trace: &[Vec<u8>]) -> Result<Self, CaptureError> {
        let index = index_of(interface)?;
        // Protocol 0: it receives nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .map_err(errno("socket(AF_PACKET)"))?;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as c_int))?;
        set(&socket, libc::PACKET_QDISC_BYPASS, &1)?;
        // The kernel walks all slots in turn, so the trace fills them: it is repeated until they are a whole number of blocks, of a page each.
        let block = page_size().max(SLOT);
        let in_block = block / SLOT;
        let copies = (1..=in_block).find(|n| (trace.len() * n).is_multiple_of(in_block)).unwrap_or(in_block);
        let slots = trace.len() * copies;
        let number = |n: usize| c_uint::try_from(n).unwrap_or(c_uint::MAX);
        let request = libc::tpacket_req {
            tp_block_size: number(block),
            tp_block_nr: number(slots / in_block),
            tp_frame_size: number(SLOT),
            tp_frame_nr: number(slots),
        };
        set(&socket, libc::PACKET_TX_RING, &request)?;
        let ring = MmapOptions::new()
            .len(slots * SLOT)
            .map_raw(socket.as_raw_fd())
            .map_err(system("mmap(PACKET_TX_RING)"))?;
        let this = Self { socket, ring, slots, next: 0 };
        for (slot, frame) in (0..slots).zip(trace.iter().cycle()) {
            this.fill(slot, frame);
        }
        this.bind(index)?;
        Ok(this)
    }

    /// Writes a frame into a slot that was never sent.
    fn fill(&self, slot: usize, frame: &[u8]) {
        let length = frame.len().min(SLOT - FRAME);
        let at = self.ring.as_mut_ptr().wrapping_add(slot * SLOT);
        let words = [length, length].map(|n| u32::try_from(n).unwrap_or(0));
        // SAFETY: the slot lies in the mapping (slot < slots) and has room for header and frame; the kernel looks at it only when its
        // status asks for it. tp_len and tp_snaplen are the second and the third word of `struct tpacket2_hdr`.
        unsafe {
            core::ptr::copy_nonoverlapping(words.as_ptr(), at.add(4).cast::<u32>(), words.len());
            core::ptr::copy_nonoverlapping(frame.as_ptr(), at.add(FRAME), length);
        }
    }

    fn bind(&self, index: c_uint) -> Result<(), CaptureError> {
        // SAFETY: zero is a value of all of its fields.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
        address.sll_ifindex = index.cast_signed();
        let size = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
        // SAFETY: the address is valid for its size.
        let result = unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), size) };
        if result < 0 { Err(system("bind(AF_PACKET)")(io::Error::last_os_error())) } else { Ok(()) }
    }

    fn status(&self, slot: usize) -> &AtomicU32 {
        let word = self.ring.as_mut_ptr().wrapping_add(slot * SLOT).cast::<u32>();
        // SAFETY: the first word of a slot inside the mapping, which lives as long as self and begins at a page; both sides access it
        // atomically.
        unsafe { AtomicU32::from_ptr(word) }
    }
}

impl Generator for TxRing {
    fn send(&mut self, count: u32) -> Result<u32, CaptureError> {
        let mut asked = 0;
        // A slot that is still on its way (its frame was not freed yet) ends the round: the caller comes again.
        while asked < count && (asked as usize) < self.slots {
            let status = self.status(self.next);
            if status.load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
                break;
            }
            status.store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
            self.next = (self.next + 1) % self.slots;
            asked += 1;
        }
        if asked == 0 && count > 0 {
            thread::sleep(Duration::from_micros(50));
            return Ok(0);
        }
        loop {
            // SAFETY: no data is passed: the kernel sends what the ring's slots ask for.
            let result = unsafe { libc::send(self.socket.as_raw_fd(), core::ptr::null(), 0, 0) };
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                _ if result >= 0 => return Ok(asked),
                // The device had no room: what is left is sent by the next call.
                Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => thread::sleep(Duration::from_micros(50)),
                _ => return Err(system("send(PACKET_TX_RING)")(error)),
            }
        }
    }
}

fn page_size() -> usize {
    // SAFETY: it takes a number and gives one.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn set<T>(socket: &OwnedFd, option: c_int, value: &T) -> Result<(), CaptureError> {
    let size = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let value = core::ptr::from_ref(value).cast();
    // SAFETY: the pointer is to a value of the size that is given, alive during the call, which only reads it.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, size) };
    if result < 0 { Err(system("setsockopt(PACKET_TX_RING)")(io::Error::last_os_error())) } else { Ok(()) }
}

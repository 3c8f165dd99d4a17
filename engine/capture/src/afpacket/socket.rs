//! The packet socket: opening, binding, the ring's set-up, fanout groups and the kernel's statistics.
//!
//! Crate `afpacket` opens, binds, sets promiscuous mode and attaches a classic filter. Its socket is neither cloned (both copies would
//! close the descriptor) nor taken out of it (it would be closed behind our back). It has no ring: that is `setsockopt` here.
//! Source: packet(7), <https://docs.kernel.org/networking/packet_mmap.html>.
#![expect(unsafe_code, reason = "socket options of AF_PACKET that no crate wraps")]

use core::mem::size_of;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use afpacket::sync::RawPacketStream;
use libc::{PACKET_FANOUT_EBPF, PACKET_FANOUT_FLAG_UNIQUEID, c_int, c_uint, c_void, socklen_t};
use memmap2::{MmapOptions, MmapRaw};
use sniff_x_filter::Instruction;

use crate::CaptureError;

/// The kernel's granularity of frames in other versions of the ring; version 3 only checks that it is sound.
const FRAME_SIZE: c_uint = 2048;

/// An open packet socket.
pub(super) struct Socket(RawPacketStream);

/// What the kernel counted since the statistics were read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Frames that the filter let pass, the dropped ones included.
    pub(super) packets: u64,
    /// Frames for which the ring had no room.
    pub(super) drops: u64,
}

impl Socket {
    /// Opens a socket on all interfaces; it receives from now on.
    pub(super) fn open() -> Result<Self, CaptureError> {
        RawPacketStream::new().map(Self).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                CaptureError::Permission { call: "socket(AF_PACKET)", capabilities: "cap_net_raw" }
            }
            _ => CaptureError::System { call: "socket(AF_PACKET)", error },
        })
    }

    /// Receives from one interface only. Its name must be that of an interface.
    pub(super) fn bind(&mut self, name: &str) -> Result<(), CaptureError> {
        self.0.bind(name).map_err(system("bind(AF_PACKET)"))
    }

    /// Asks the interface for all frames on its link, until the socket closes.
    pub(super) fn promiscuous(&mut self, name: &str) -> Result<(), CaptureError> {
        self.0.set_promisc(name, true).map_err(system("setsockopt(PACKET_ADD_MEMBERSHIP)"))
    }

    /// Replaces the filter by one that keeps so many bytes of every frame; 0 rejects all.
    pub(super) fn keep(&self, bytes: u32) -> Result<(), CaptureError> {
        const RETURN_CONSTANT: u16 = 0x06;
        self.filter(&[Instruction { code: RETURN_CONSTANT, jt: 0, jf: 0, k: bytes }])
    }

    /// Replaces the filter by a classic BPF program. It is in force when the call returns, for every frame from then on; none comes in
    /// between without a filter. (Crate `afpacket` would want the socket for itself, which another thread reads from.)
    pub(super) fn filter(&self, program: &[Instruction]) -> Result<(), CaptureError> {
        let mut program: Vec<libc::sock_filter> = program
            .iter()
            .map(|insn| libc::sock_filter { code: insn.code, jt: insn.jt, jf: insn.jf, k: insn.k })
            .collect();
        // A length that does not fit is refused, as is every one above 4,096.
        let len = u16::try_from(program.len()).unwrap_or(u16::MAX);
        let value = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        // SAFETY: the pointers are to a value of the size that is given, and in it to `len` instructions, all alive during the call,
        // which only reads them.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const value).cast::<c_void>(),
                socklen(size_of_val(&value)),
            )
        };
        if result < 0 {
            return Err(system("setsockopt(SO_ATTACH_FILTER)")(io::Error::last_os_error()));
        }
        Ok(())
    }

    /// Makes the socket's queue a ring of `blocks` blocks and maps it. What came in before is purged.
    pub(super) fn ring(
        &self,
        block_size: usize,
        blocks: usize,
        retire: Duration,
    ) -> Result<MmapRaw, CaptureError> {
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        self.set(libc::PACKET_VERSION, &version).map_err(system("setsockopt(PACKET_VERSION)"))?;
        let number = |n: usize| c_uint::try_from(n).unwrap_or(c_uint::MAX);
        let request = libc::tpacket_req3 {
            tp_block_size: number(block_size),
            tp_block_nr: number(blocks),
            tp_frame_size: FRAME_SIZE,
            tp_frame_nr: number(block_size / FRAME_SIZE as usize * blocks),
            // 0 would let the kernel choose by the link's speed.
            tp_retire_blk_tov: c_uint::try_from(retire.as_millis()).unwrap_or(c_uint::MAX).max(1),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::PACKET_RX_RING, &request).map_err(system("setsockopt(PACKET_RX_RING)"))?;
        MmapOptions::new().len(block_size * blocks).map_raw(self.0.as_raw_fd()).map_err(system("mmap(ring)"))
    }

    /// Reads the statistics, which starts them, and the blocks' TP_STATUS_LOSING, again from zero.
    pub(super) fn statistics(&self) -> Result<Statistics, CaptureError> {
        let mut raw = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        // SAFETY: any bits are a value of its integers.
        unsafe { self.get(libc::PACKET_STATISTICS, &mut raw) }
            .map_err(system("getsockopt(PACKET_STATISTICS)"))?;
        Ok(Statistics { packets: raw.tp_packets.into(), drops: raw.tp_drops.into() })
    }

    /// Takes the error that the socket has pending, 0 if none: ENETDOWN when its interface went down.
    pub(super) fn take_error(&self) -> c_int {
        nix::sys::socket::getsockopt(self, nix::sys::socket::sockopt::SocketError).unwrap_or(0)
    }

    /// Makes a fanout group of which this socket is the first member and whose program chooses; the number is what further members
    /// [`join`](Self::join). After the ring's set-up. Until the group has its program all goes to the first member.
    /// Minimum kernel: 4.12 (PACKET_FANOUT_FLAG_UNIQUEID).
    pub(super) fn new_group(&self) -> Result<c_int, CaptureError> {
        const UNUSED_ID: c_uint = 0;
        self.join(((PACKET_FANOUT_EBPF | PACKET_FANOUT_FLAG_UNIQUEID) << 16 | UNUSED_ID).cast_signed())?;
        let mut group: c_int = 0;
        // SAFETY: any bits are a value of an integer.
        unsafe { self.get(libc::PACKET_FANOUT, &mut group) }.map_err(system("getsockopt(PACKET_FANOUT)"))?;
        Ok(group)
    }

    /// Becomes the next member of a group. It must be bound as the others are.
    pub(super) fn join(&self, group: c_int) -> Result<(), CaptureError> {
        self.set(libc::PACKET_FANOUT, &group).map_err(system("setsockopt(PACKET_FANOUT)"))
    }

    /// Reads an option of which the kernel writes `size_of::<T>()` bytes at most.
    ///
    /// # Safety
    /// Any bits must be a value of `T`.
    unsafe fn get<T>(&self, option: c_int, value: &mut T) -> io::Result<()> {
        let mut size = socklen(size_of::<T>());
        // SAFETY: the pointers are to a value of the size that is given and to that size, both alive during the call.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                core::ptr::from_mut(value).cast::<c_void>(),
                &raw mut size,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn set<T>(&self, option: c_int, value: &T) -> io::Result<()> {
        // SAFETY: the pointer is to a value of the size that is given, alive during the call, which only reads it.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                core::ptr::from_ref(value).cast::<c_void>(),
                socklen(size_of::<T>()),
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `self.0`, which closes it when it drops.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

/// The `ARPHRD_` number of an interface, asked for with SIOCGIFHWADDR (netdevice(7)).
pub(crate) fn hardware(name: &str) -> Option<u16> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // SAFETY: all zeros is a valid `ifreq`: numbers and arrays of them.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    let (last, front) = request.ifr_name.split_last_mut()?;
    *last = 0;
    if name.len() > front.len() {
        return None;
    }
    for (to, from) in front.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: the request lives during the call, which reads the name and writes the address.
    let result = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the union holds the hardware address.
    Some(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}

fn socklen(size: usize) -> socklen_t {
    socklen_t::try_from(size).unwrap_or(socklen_t::MAX)
}

fn system(call: &'static str) -> impl Fn(io::Error) -> CaptureError {
    move |error| CaptureError::System { call, error }
}

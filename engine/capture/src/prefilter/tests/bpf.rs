//! `bpf(2)`, where aya has no call: running a program on bytes, and a map of the tests.
#![expect(unsafe_code, reason = "system calls of the tests")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Commands of bpf(2): <https://docs.kernel.org/userspace-api/ebpf/syscall.html>.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

/// Calls bpf(2) with the beginning of its attribute union; the kernel takes what is not given as zero.
fn bpf<T>(command: libc::c_long, attribute: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the attribute is as large as is said; the pointers in it are those of the callers below, which outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, core::ptr::from_mut(attribute), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Room for `__sk_buff`, in 32-bit words: the kernel must be able to write back all of its own.
const CONTEXT: usize = 64;
/// Where `cb` is in it.
const CB: core::ops::Range<usize> = 12..17;

/// What a program did on a frame.
pub(super) struct Ran {
    /// What it returned.
    pub(super) result: u32,
    /// What it left in `cb`.
    pub(super) cb: [u32; 5],
}

/// Runs a socket filter on a frame. Its `skb->data` is behind the first 14 bytes, which the kernel takes for an Ethernet header; the
/// network header is there, too.
pub(super) fn run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<Ran> {
    #[repr(C)]
    struct Attribute {
        program: u32,
        result: u32,
        size_in: u32,
        size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        context_size_in: u32,
        context_size_out: u32,
        context_in: u64,
        context_out: u64,
    }
    // cb comes in dirty: the program has to write all that it promises.
    let mut context = [0_u32; CONTEXT];
    context[CB].fill(0xdead_beef);
    let mut left = [0_u32; CONTEXT];
    let context_size = u32::try_from(size_of_val(&context)).unwrap();
    let mut attribute = Attribute {
        program: u32::try_from(program.as_raw_fd()).unwrap(),
        result: 0,
        size_in: u32::try_from(frame.len()).unwrap(),
        size_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
        context_size_in: context_size,
        context_size_out: context_size,
        context_in: context.as_ptr() as u64,
        context_out: left.as_mut_ptr() as u64,
    };
    bpf(BPF_PROG_TEST_RUN, &mut attribute)?;
    let mut cb = [0; 5];
    cb.copy_from_slice(&left[CB]);
    Ok(Ran { result: attribute.result, cb })
}

/// An array of one value of 16 bytes, for a rule program to write into.
pub(super) struct Value(OwnedFd);

impl Value {
    pub(super) fn new() -> Self {
        let mut attribute = [BPF_MAP_TYPE_ARRAY, 4, 16, 1];
        let fd = bpf(BPF_MAP_CREATE, &mut attribute).unwrap();
        // SAFETY: the kernel just gave this descriptor.
        Self(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).unwrap()) })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn read(&self) -> [u32; 4] {
        let (key, mut value) = (0_u32, [0_u32; 4]);
        let map = u64::try_from(self.fd()).unwrap();
        let mut attribute = [map, core::ptr::from_ref(&key) as u64, value.as_mut_ptr() as u64, 0];
        bpf(BPF_MAP_LOOKUP_ELEM, &mut attribute).unwrap();
        value
    }
}

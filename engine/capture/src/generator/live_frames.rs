//! Frames that begin in the kernel's receiving side: `BPF_PROG_TEST_RUN` with BPF_F_TEST_XDP_LIVE_FRAMES.
//!
//! The kernel makes frames in batches, runs an XDP program on each and, where that says XDP_PASS, takes them in as if the interface had
//! received them. One call makes copies of one frame; ours is a program that writes the next frame of the trace, which lies in a map, over it.
//! The kernel knows the interface's receive queue only while an XDP program is attached there, and each call waits for two RCU grace periods
//! (20 ms here) unless the program is attached somewhere: so it is attached to that interface, and lets all frames pass that are not ours, which
//! have metadata in front of them.
//! Source: `bpf_test_run_xdp_live` in <https://github.com/torvalds/linux/blob/v6.18/net/bpf/test_run.c>,
//! <https://docs.kernel.org/bpf/bpf_prog_run.html>. Minimum kernel: 5.18.
#![expect(unsafe_code, reason = "bpf(2), for which aya has no call that runs a program")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};

use aya::maps::{Array, IterableMap as _, MapData};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};

use super::{Generator, LONGEST, SLOT, index_of, system};
use crate::CaptureError;
use crate::prefilter::{object, refused, take_map};

/// Where a frame begins in its map value, behind its length.
const FRAME: usize = size_of::<u64>();

/// Bytes of metadata that tell our frames from others.
const METADATA: usize = 4;

/// Frames that the kernel makes at a time: as many as it takes.
const BATCH: u32 = 256;

/// See the module. Nothing of it is left when it is dropped.
pub struct LiveFrames {
    /// The program, attached until this is dropped.
    writes: Ebpf,
    interface: u32,
    /// Kept as long as the program that uses them.
    _maps: (Array<MapData, [u8; SLOT]>, Array<MapData, u64>),
}

impl LiveFrames {
    pub(super) fn open(interface: &str, trace: &[Vec<u8>]) -> Result<Self, CaptureError> {
        let index = index_of(interface)?;
        let mut loader = EbpfLoader::new();
        let count = u32::try_from(trace.len()).unwrap_or(u32::MAX);
        let mut frames: Array<MapData, [u8; SLOT]> = array(&mut loader, count)?;
        for (at, frame) in (0..).zip(trace) {
            let mut value = [0; SLOT];
            let head = u64::try_from(frame.len()).unwrap_or(0).to_le_bytes();
            value.iter_mut().zip(head.iter().chain(frame)).for_each(|(place, byte)| *place = *byte);
            frames.set(at, value, 0).map_err(refused)?;
        }
        let turn: Array<MapData, u64> = array(&mut loader, 1)?;

        let code = program::writes(count, fd(&frames), fd(&turn));
        let mut writes = loader.load(&object::wrap(XDP, &code)?).map_err(refused)?;
        let program = xdp(&mut writes)?;
        program.load().map_err(refused)?;
        program.attach_to_if_index(index, XdpMode::Default).map_err(refused)?;
        Ok(Self { writes, interface: index, _maps: (frames, turn) })
    }
}

impl Generator for LiveFrames {
    fn send(&mut self, count: u32) -> Result<u32, CaptureError> {
        if count > 0 {
            let program = xdp(&mut self.writes)?.fd().map_err(refused)?;
            run(program.as_fd(), self.interface, count).map_err(system("bpf(BPF_PROG_TEST_RUN)"))?;
        }
        Ok(count)
    }
}

/// The section of an XDP program.
const XDP: &str = "xdp";

fn xdp(loaded: &mut Ebpf) -> Result<&mut Xdp, CaptureError> {
    let program = loaded.program_mut(object::RULE_PROGRAM);
    program
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| CaptureError::Prefilter("the generator's program is not there".to_owned()))
}

fn array<V: Pod>(loader: &mut EbpfLoader<'static>, entries: u32) -> Result<Array<MapData, V>, CaptureError> {
    let size = u32::try_from(size_of::<V>()).unwrap_or(u32::MAX);
    let mut made = loader.load(&object::array(size, entries)?).map_err(refused)?;
    Array::try_from(take_map(&mut made, object::ARRAY)?).map_err(refused)
}

fn fd<V: Pod>(map: &Array<MapData, V>) -> RawFd {
    map.map().fd().as_fd().as_raw_fd()
}

/// Lets the kernel make so many frames on an interface.
fn run(program: BorrowedFd<'_>, interface: u32, count: u32) -> io::Result<()> {
    const BPF_PROG_TEST_RUN: libc::c_long = 10;
    const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    /// The part of `union bpf_attr` that the command has.
    #[repr(C)]
    #[derive(Default)]
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
        flags: u32,
        cpu: u32,
        batch_size: u32,
        unused: u32,
    }
    /// `struct xdp_md`.
    #[repr(C)]
    #[derive(Default)]
    struct Context {
        data: u32,
        data_end: u32,
        data_meta: u32,
        ingress_ifindex: u32,
        rx_queue_index: u32,
        egress_ifindex: u32,
    }
    // What the program finds in a new frame; it writes all of it.
    let frame = [0_u8; METADATA + LONGEST];
    let [data, size] = [METADATA, frame.len()].map(|n| u32::try_from(n).unwrap_or(0));
    let context = Context { data, data_end: size, ingress_ifindex: interface, ..Context::default() };
    let mut attribute = Attribute {
        program: u32::try_from(program.as_raw_fd()).unwrap_or(u32::MAX),
        size_in: size,
        data_in: frame.as_ptr() as u64,
        repeat: count,
        context_size_in: u32::try_from(size_of::<Context>()).unwrap_or(0),
        context_in: (&raw const context) as u64,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: BATCH,
        ..Attribute::default()
    };
    // SAFETY: the attribute is as large as is said; the frame and the context, whose sizes it has, outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut attribute,
            size_of::<Attribute>() - size_of::<u32>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The program, in the instructions of <https://docs.kernel.org/bpf/standardization/instruction-set.html>.
mod program {
    use std::os::fd::RawFd;

    use super::{FRAME, LONGEST};

    const XDP_DROP: i32 = 1;
    const XDP_PASS: i32 = 2;

    const MAP_LOOKUP_ELEM: i32 = 1;
    const XDP_ADJUST_TAIL: i32 = 65;
    const XDP_STORE_BYTES: i32 = 190;

    /// `BPF_PSEUDO_MAP_FD`.
    const MAP: u8 = 1;

    const fn insn(code: u8, dst: u8, src: u8, offset: i16, value: i32) -> [u8; 8] {
        let ([low, high], [a, b, c, d]) = (offset.to_le_bytes(), value.to_le_bytes());
        [code, dst | src << 4, low, high, a, b, c, d]
    }
    const fn mov(dst: u8, src: u8) -> [u8; 8] {
        insn(0xbf, dst, src, 0, 0)
    }
    const fn set(dst: u8, value: i32) -> [u8; 8] {
        insn(0xb7, dst, 0, 0, value)
    }
    const fn add(dst: u8, value: i32) -> [u8; 8] {
        insn(0x07, dst, 0, 0, value)
    }
    const fn subtract(dst: u8, src: u8) -> [u8; 8] {
        insn(0x1f, dst, src, 0, 0)
    }
    /// Of 32 bits.
    const fn load(dst: u8, base: u8, offset: i16) -> [u8; 8] {
        insn(0x61, dst, base, offset, 0)
    }
    /// Of 32 bits.
    const fn store(base: u8, offset: i16, src: u8) -> [u8; 8] {
        insn(0x63, base, src, offset, 0)
    }
    const fn call(helper: i32) -> [u8; 8] {
        insn(0x85, 0, 0, 0, helper)
    }
    const EXIT: [u8; 8] = insn(0x95, 0, 0, 0, 0);
    const EQUAL: u8 = 0x15;
    const NOT_EQUAL: u8 = 0x55;
    const GREATER: u8 = 0x25;
    const NOT_LESS: u8 = 0x35;
    const LESS: u8 = 0xa5;

    /// Makes a frame with metadata the next of `count` in the map `frames`, whose turn it is by the one value of the map `turn`; lets others
    /// pass as they are.
    pub(super) fn writes(count: u32, frames: RawFd, turn: RawFd) -> Vec<u8> {
        let mut code: Vec<[u8; 8]> = Vec::new();
        let mut drops = Vec::new();
        let last = count.saturating_sub(1).cast_signed();
        code.extend([mov(6, 1), load(2, 6, 0), load(1, 6, 8), subtract(2, 1)]);
        code.extend([insn(NOT_EQUAL, 2, 0, 2, 0), set(0, XDP_PASS), EXIT]);
        code.extend([set(1, 0), store(10, -4, 1)]);
        code.extend([insn(0x18, 1, MAP, 0, turn), insn(0, 0, 0, 0, 0), mov(2, 10), add(2, -4)]);
        code.push(call(MAP_LOOKUP_ELEM));
        drops.push((code.len(), EQUAL, 0, 0));
        code.push(EXIT);
        // r7 is this frame's number, the map gets the next one's.
        code.extend([load(7, 0, 0), mov(1, 7), add(1, 1), insn(NOT_LESS, 7, 0, 1, last)]);
        code.extend([insn(0x05, 0, 0, 1, 0), set(1, 0), store(0, 0, 1), store(10, -4, 7)]);
        code.extend([insn(0x18, 1, MAP, 0, frames), insn(0, 0, 0, 0, 0), mov(2, 10), add(2, -4)]);
        code.push(call(MAP_LOOKUP_ELEM));
        drops.push((code.len(), EQUAL, 0, 0));
        code.push(EXIT);
        // r7: the value; r8: its length; the frame in the making becomes as long.
        code.extend([mov(7, 0), load(8, 7, 0), load(2, 6, 4), load(1, 6, 0), subtract(2, 1)]);
        code.extend([mov(1, 8), subtract(1, 2), mov(2, 1), mov(1, 6), call(XDP_ADJUST_TAIL)]);
        drops.push((code.len(), NOT_EQUAL, 0, 0));
        code.push(EXIT);
        drops.push((code.len(), GREATER, 8, i32::try_from(LONGEST).unwrap_or(0)));
        code.push(EXIT);
        drops.push((code.len(), LESS, 8, 1));
        code.push(EXIT);
        code.extend([mov(1, 6), set(2, 0), mov(3, 7), add(3, i32::try_from(FRAME).unwrap_or(0)), mov(4, 8)]);
        code.push(call(XDP_STORE_BYTES));
        drops.push((code.len(), NOT_EQUAL, 0, 0));
        code.push(EXIT);
        code.extend([set(0, XDP_PASS), EXIT]);
        let end = code.len();
        code.extend([set(0, XDP_DROP), EXIT]);
        for (at, condition, register, value) in drops {
            let distance = i16::try_from(end - at - 1).unwrap_or(0);
            if let Some(place) = code.get_mut(at) {
                *place = insn(condition, register, 0, distance, value);
            }
        }
        code.concat()
    }
}

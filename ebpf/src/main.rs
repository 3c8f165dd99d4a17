//! Stage: wire → prefilter → ring, the kernel's side.
//!
//! The filter of every packet socket: one of three programs, by how frames begin ([`ethernet`], [`raw_ip`], [`any`]). It drops the second sight of a frame on the loopback interface, parses the
//! headers once, leaves what it found in `skb->cb` (layout: crate `sniff-x-ebpf-common`), counts the frame, and tail-calls the program
//! that user space generated from the rules. That program returns how many bytes to keep, 0 to reject.
//!
//! It must load with CAP_BPF alone: without CAP_PERFMON the verifier wants constant stack addresses and constant sizes, so every load is
//! of a constant size into a variable of its own; only offsets in the packet vary.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "`socket_filter` makes a function without them")]

mod fanout;
mod load;
mod parse;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::{map, socket_filter};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
use aya_ebpf::programs::SkBuffContext;
use sniff_x_ebpf_common::counter;

/// The index of the namespace's loopback interface, 0 for none.
#[map]
static LOOPBACK: Array<u32> = Array::with_max_entries(1, 0);

/// Counters, indexed by [`counter`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Slot 0: the program generated from the rules.
#[map]
static RULE_PROGRAM: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// `skb->pkt_type` of a frame that this host sends.
const PACKET_OUTGOING: u32 = 4;
/// Rejects the frame.
const REJECT: i64 = 0;

/// The filter of a packet socket whose frames start with an Ethernet header. Returns how many bytes to keep: what the rule program says,
/// 0 while there is none.
///
/// Minimum kernel: 5.8 (CAP_BPF). `skb->data` is at the link header, or at the IP header on interfaces without one:
/// <https://github.com/torvalds/linux/blob/v6.12/net/packet/af_packet.c#L2098-L2115>
#[socket_filter]
pub fn ethernet(ctx: SkBuffContext) -> i64 {
    filter(&ctx, parse::ethernet)
}

/// As [`ethernet`], where frames start with the IP header.
#[socket_filter]
pub fn raw_ip(ctx: SkBuffContext) -> i64 {
    filter(&ctx, parse::raw_ip)
}

/// As [`ethernet`], where each frame is of another interface.
#[socket_filter]
pub fn any(ctx: SkBuffContext) -> i64 {
    filter(&ctx, parse::any)
}

/// The ring of a fanout group that a frame goes to, modulo their number (`PACKET_FANOUT_EBPF`, kernel 4.3). Where `skb->data` is differs:
/// <https://github.com/torvalds/linux/blob/v6.12/net/packet/af_packet.c#L1515-L1573>
#[socket_filter]
pub fn ring(ctx: SkBuffContext) -> i64 {
    i64::from(fanout::number(ctx.skb.skb))
}

/// Drops second sights, parses, counts, and leaves the verdict to the rule program.
#[inline(always)]
fn filter(ctx: &SkBuffContext, parse: impl FnOnce(Skb) -> parse::Found) -> i64 {
    let skb = ctx.skb.skb;
    if load::packet_type(skb) == PACKET_OUTGOING && LOOPBACK.get(0) == Some(&load::interface(skb)) {
        add(counter::LOOPBACK_DUPLICATES, 1);
        return REJECT;
    }
    parse(skb).store(skb);
    add(counter::SEEN, 1);
    // SAFETY: nothing here needs dropping. The call comes back only when the slot is empty.
    unsafe { RULE_PROGRAM.tail_call(ctx, 0) };
    add(counter::SEEN, u64::MAX);
    REJECT
}

/// Adds to a counter of this CPU, wrapping.
#[inline(always)]
fn add(index: u32, n: u64) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the map's value, which lives as long as the program. Bottom halves are off, so no other run on this CPU is between
        // the load and the store; where they are threads (PREEMPT_RT) a count can be lost, never the frame.
        unsafe { *counter = (*counter).wrapping_add(n) };
    }
}

/// Socket filters get the context by its raw pointer.
type Skb = *mut __sk_buff;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// What lets the kernel offer its GPL helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

//! The generated program in `rbpf`, with the kernel around it played: the context, the packet behind its helpers, and the counters.
#![expect(
    unsafe_code,
    reason = "the helpers of the program write where it tells them to, into the machine's stack"
)]

use std::cell::{Cell, RefCell};

use rbpf::EbpfVmRaw;
use sniff_x_ebpf_common::found;
use sniff_x_flow::VlanTag;

const SKB_LOAD_BYTES: u32 = 26;
const SKB_LOAD_BYTES_RELATIVE: u32 = 68;
const MAP_LOOKUP_ELEM: u32 = 1;
const EFAULT: i64 = -14;

/// The descriptor of the map of port sets.
pub(crate) const SETS_FD: i32 = 8;

/// A frame as the kernel hands it to a socket filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skb {
    pub(crate) bytes: Vec<u8>,
    /// Where the network header starts.
    pub(crate) network: usize,
    /// `skb->protocol`, host order.
    pub(crate) protocol: u16,
    pub(crate) vlan: Option<VlanTag>,
    pub(crate) cb: [u32; 5],
}

impl Skb {
    /// What the prefilter leaves of a plain frame, as far as frame mode looks; none where it is not plain, or a test has filled `cb`.
    pub(crate) fn plain(&self) -> Option<[u32; 5]> {
        let head = self.bytes.get(..38)?;
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let fragment = u16::from_be_bytes([head[20], head[21]]) & 0x3fff != 0;
        if self.cb != [0; 5] || self.vlan.is_some() || head[12..15] != [8, 0, 0x45] || fragment {
            return None;
        }
        let (source, destination) = (u32::from_ne_bytes(word(26)), u32::from_ne_bytes(word(30)));
        let found = found::PLAIN | u32::from(head[23]);
        Some([found, 34 << 16 | 14, u32::from_be_bytes(word(34)), source, destination])
    }

    /// `struct __sk_buff` as far as programs look.
    fn context(&self) -> Vec<u8> {
        let mut words = [0_u32; 48];
        words[0] = self.bytes.len() as u32;
        words[4] = u32::from(self.protocol.to_be());
        if let Some(tag) = self.vlan {
            words[5] = 1;
            words[6] = u32::from(tag.tci);
            words[7] = u32::from(tag.tpid.to_be());
        }
        words[12..17].copy_from_slice(&self.cb);
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

thread_local! {
    static PACKET: RefCell<(Vec<u8>, usize)> = const { RefCell::new((Vec::new(), 0)) };
    static COUNTERS: [Cell<u64>; 3] = const { [Cell::new(0), Cell::new(0), Cell::new(0)] };
    /// The words of the map of port sets.
    static SETS: Cell<&'static [u64]> = const { Cell::new(&[]) };
    static LOADS: Cell<u64> = const { Cell::new(0) };
}

pub(crate) struct Vm<'a>(EbpfVmRaw<'a>);

impl<'a> Vm<'a> {
    pub(crate) fn new(program: &'a [u8]) -> Self {
        let mut vm = EbpfVmRaw::new(Some(program)).expect("rbpf's verifier");
        vm.register_helper(SKB_LOAD_BYTES, load_bytes).expect("helper");
        vm.register_helper(SKB_LOAD_BYTES_RELATIVE, load_bytes_relative).expect("helper");
        vm.register_helper(MAP_LOOKUP_ELEM, map_lookup).expect("helper");
        let counters = COUNTERS.with(|c| c.as_ptr() as u64);
        vm.register_allowed_memory(counters..counters + 24);
        Self(vm)
    }

    /// A program that looks into these sets, its map [`SETS_FD`].
    pub(crate) fn with_sets(program: &'a [u8], words: &'static [u64]) -> Self {
        let mut vm = Self::new(program);
        let start = words.as_ptr() as u64;
        vm.0.register_allowed_memory(start..start + size_of_val(words) as u64);
        SETS.set(words);
        vm
    }

    /// What the program returns. If the prefilter would find the frame to be plain, so it must when that is left in `cb`.
    pub(crate) fn run(&self, skb: &Skb) -> u32 {
        let verdict = self.run_once(skb);
        if let Some(cb) = skb.plain() {
            let again = self.run_once(&Skb { cb, ..skb.clone() });
            assert_eq!(again, verdict, "as a plain frame {:02x?}", skb.bytes);
        }
        verdict
    }

    /// As [`Self::run`], with `cb` as it is.
    pub(crate) fn run_once(&self, skb: &Skb) -> u32 {
        PACKET.with_borrow_mut(|packet| {
            packet.0.clone_from(&skb.bytes);
            packet.1 = skb.network;
        });
        LOADS.set(0);
        let mut context = skb.context();
        self.0.execute_program(&mut context).expect("rbpf runs it") as u32
    }
}

/// How often the last run went to the packet.
pub(crate) fn loads() -> u64 {
    LOADS.get()
}

/// The counter of filtered frames.
pub(crate) fn filtered() -> u64 {
    COUNTERS.with(|c| c[2].get())
}

fn copy(start: u64, to: u64, len: u64) -> u64 {
    LOADS.set(LOADS.get() + 1);
    PACKET.with_borrow(|(bytes, _)| {
        let (start, len) = (start as usize, len as usize);
        // SAFETY: the program passes a place in its stack with `len` bytes above it: the kernel's verifier checks that, the test of
        // loading shows that it does.
        let target = unsafe { std::slice::from_raw_parts_mut(to as *mut u8, len) };
        match bytes.get(start..start + len) {
            Some(source) => {
                target.copy_from_slice(source);
                0
            }
            None => {
                target.fill(0);
                EFAULT as u64
            }
        }
    })
}

fn load_bytes(_skb: u64, offset: u64, to: u64, len: u64, _: u64) -> u64 {
    copy(offset, to, len)
}

fn load_bytes_relative(_skb: u64, offset: u64, to: u64, len: u64, start: u64) -> u64 {
    assert_eq!(start, 1, "relative to the network header");
    copy(offset + PACKET.with_borrow(|(_, network)| *network as u64), to, len)
}

fn map_lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: as above, the key lies on the program's stack.
    let key = unsafe { (key as *const u32).read_unaligned() };
    if map == SETS_FD as u64 {
        return SETS.get().get(key as usize).map_or(0, |word| std::ptr::from_ref(word) as u64);
    }
    assert_eq!(map, 7, "the descriptor that the test gives");
    COUNTERS.with(|c| &raw const c[key as usize] as u64)
}

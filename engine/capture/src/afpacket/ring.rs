//! The mapped ring: blocks that the kernel fills and that leases hand around.
//!
//! Who owns a block is told by the status word in it: the kernel sets TP_STATUS_USER when it hands the block over, the last holder
//! of a lease stores TP_STATUS_KERNEL when all is read. Nothing is allocated per block: the holders are counted in the ring.
//! Source: `prb_retire_current_block` and `packet_lookup_frame` in <https://github.com/torvalds/linux/blob/v6.18/net/packet/af_packet.c>,
//! <https://docs.kernel.org/networking/packet_mmap.html>.
#![expect(
    unsafe_code,
    reason = "the ring is memory that the kernel writes; the status words tell who may touch which block"
)]

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

use memmap2::MmapRaw;
use sniff_x_flow::Frame;

use super::block::{Reading, STATUS, Uncounted, Walk};

/// A ring, shared by its reader and all leases on its blocks; unmapped when the last of them is gone.
pub(crate) struct Ring {
    memory: MmapRaw,
    block_size: usize,
    blocks: Box<[Block]>,
    reading: Reading,
    duplicates: AtomicU64,
    unreadable: AtomicU64,
}

/// What user space knows of a block.
///
/// `holders` is 0 while the block belongs to the kernel or waits for the reader, else 1 more than there are leases. The last lease
/// to drop leaves 1, gives the block back, and only then stores 0: so when the reader sees 0, the status is not the one of the round
/// before.
#[derive(Default)]
struct Block {
    holders: AtomicU32,
    /// A walk over this block has been counted.
    counted: AtomicBool,
}

const FREE: u32 = 0;
const RELEASING: u32 = 1;
const ONE_LEASE: u32 = 2;

impl Ring {
    /// A ring over `memory`, whose layout the kernel agreed to: `memory.len() / block_size` blocks.
    pub(crate) fn new(memory: MmapRaw, block_size: usize, reading: Reading) -> Self {
        let blocks = memory.len() / block_size.max(1);
        Self {
            memory,
            block_size,
            blocks: (0..blocks).map(|_| Block::default()).collect(),
            reading,
            duplicates: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
        }
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Takes a block if the kernel handed it over and no lease of an earlier round holds it.
    pub(crate) fn take(self: &Arc<Self>, index: usize) -> Option<BlockLease> {
        let block = self.blocks.get(index)?;
        if block.holders.load(Ordering::Acquire) != FREE || self.status(index)? & libc::TP_STATUS_USER == 0 {
            return None;
        }
        block.counted.store(false, Ordering::Relaxed);
        block.holders.store(ONE_LEASE, Ordering::Relaxed);
        Some(BlockLease { ring: Arc::clone(self), index })
    }

    /// Hands a block over to the reader, as the kernel does, where there is none; false while a lease holds it.
    #[cfg(feature = "generator")]
    pub(crate) fn hand_over(&self, index: usize) -> bool {
        let free = self.blocks.get(index).is_some_and(|block| block.holders.load(Ordering::Acquire) == FREE);
        if let (true, Some(status)) = (free, self.status_word(index)) {
            status.store(libc::TP_STATUS_USER, Ordering::Release);
        }
        free
    }

    /// The block's status. Acquire: after it says USER, all that the kernel wrote is visible.
    pub(crate) fn status(&self, index: usize) -> Option<u32> {
        Some(self.status_word(index)?.load(Ordering::Acquire))
    }

    fn status_word(&self, index: usize) -> Option<&AtomicU32> {
        let at = self.blocks.get(index).map(|_| index * self.block_size + STATUS)?;
        let word = self.memory.as_mut_ptr().wrapping_add(at).cast::<u32>();
        // SAFETY: the word lies inside the mapping, which lives as long as self, and is aligned: blocks begin at pages. Both sides
        // access it atomically while ownership changes; the slices of a lease cover it only while nobody stores to it.
        Some(unsafe { AtomicU32::from_ptr(word) })
    }

    fn block(&self, index: usize) -> &[u8] {
        if index >= self.blocks.len() {
            return &[];
        }
        // SAFETY: inside the mapping (index < blocks = len / block_size), readable, and called by leases alone: as long as one holds
        // the block the kernel does not write to it.
        unsafe {
            core::slice::from_raw_parts(
                self.memory.as_ptr().wrapping_add(index * self.block_size),
                self.block_size,
            )
        }
    }

    /// What all walks counted that were no frames.
    pub(crate) fn uncounted(&self) -> Uncounted {
        Uncounted {
            duplicates: self.duplicates.load(Ordering::Relaxed),
            unreadable: self.unreadable.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring of {} blocks of {} bytes", self.blocks.len(), self.block_size)
    }
}

/// A holder of a block.
pub(crate) struct BlockLease {
    ring: Arc<Ring>,
    index: usize,
}

impl BlockLease {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.ring.block(self.index)
    }

    #[inline]
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames { walk: Walk::new(self.bytes(), self.ring.reading), lease: self }
    }

    fn holders(&self) -> Option<&AtomicU32> {
        self.ring.blocks.get(self.index).map(|block| &block.holders)
    }

    /// Adds what a finished walk counted, once for a block however often it is walked.
    #[cold]
    fn count(&self, uncounted: Uncounted) {
        let Some(block) = self.ring.blocks.get(self.index) else { return };
        if !block.counted.swap(true, Ordering::Relaxed) {
            self.ring.duplicates.fetch_add(uncounted.duplicates, Ordering::Relaxed);
            self.ring.unreadable.fetch_add(uncounted.unreadable, Ordering::Relaxed);
        }
    }
}

impl Clone for BlockLease {
    fn clone(&self) -> Self {
        if let Some(holders) = self.holders() {
            // Relaxed is enough: this holder keeps the block.
            holders.fetch_add(1, Ordering::Relaxed);
        }
        Self { ring: Arc::clone(&self.ring), index: self.index }
    }
}

impl Drop for BlockLease {
    fn drop(&mut self) {
        let Some(holders) = self.holders() else { return };
        // AcqRel: all reads of all holders come before the block goes back.
        if holders.fetch_sub(1, Ordering::AcqRel) == RELEASING + 1 {
            if let Some(status) = self.ring.status_word(self.index) {
                status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            }
            holders.store(FREE, Ordering::Release);
        }
    }
}

impl fmt::Debug for BlockLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} of a {:?}", self.index, self.ring)
    }
}

/// The frames of a leased block.
pub(crate) struct Frames<'a> {
    walk: Walk<'a>,
    lease: &'a BlockLease,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.walk.next();
        if frame.is_none() && self.walk.uncounted != Uncounted::default() {
            self.lease.count(self.walk.uncounted);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memmap2::MmapOptions;
    use std::thread;

    const BLOCK: usize = 4096;

    fn ring(blocks: usize) -> Arc<Ring> {
        let memory = MmapRaw::from(MmapOptions::new().len(blocks * BLOCK).map_anon().unwrap());
        Arc::new(Ring::new(memory, BLOCK, Reading { snaplen: u32::MAX, drop_duplicates: true }))
    }

    /// The kernel's side of a block: waits until it owns it, fills it, hands it over.
    fn hand_over(ring: &Ring, index: usize, value: u8) -> bool {
        let status = ring.status_word(index).unwrap();
        if status.load(Ordering::Acquire) != libc::TP_STATUS_KERNEL {
            return false;
        }
        let at = ring.memory.as_mut_ptr().wrapping_add(index * BLOCK + 64);
        // SAFETY: inside the mapping; the status says that the block is the kernel's, which this test plays.
        unsafe { core::ptr::write_bytes(at, value, BLOCK - 64) };
        status.store(libc::TP_STATUS_USER | libc::TP_STATUS_BLK_TMO, Ordering::Release);
        true
    }

    #[test]
    fn the_last_lease_gives_the_block_back() {
        let ring = ring(2);
        assert!(ring.take(0).is_none(), "the kernel has it");
        assert!(hand_over(&ring, 0, 7));
        let first = ring.take(0).unwrap();
        assert!(ring.take(0).is_none(), "a block is taken once");
        let second = first.clone();
        drop(first);
        assert!(!hand_over(&ring, 0, 8), "still leased");
        assert_eq!(second.bytes()[100], 7);
        drop(second);
        assert!(ring.take(0).is_none(), "not the same block again");
        assert!(hand_over(&ring, 0, 8));
        assert_eq!(ring.take(0).unwrap().bytes()[100], 8);
        assert!(ring.take(2).is_none(), "there are two");
    }

    #[test]
    fn a_lease_outlives_the_ring() {
        let ring = ring(1);
        assert!(hand_over(&ring, 0, 3));
        let lease = ring.take(0).unwrap();
        drop(ring);
        assert_eq!(lease.bytes().len(), BLOCK);
        assert_eq!(lease.bytes()[4000], 3);
    }

    #[test]
    fn each_round_is_seen_once_and_whole() {
        const ROUNDS: usize = 20_000;
        let ring = ring(3);
        let (send, receive) = std::sync::mpsc::sync_channel::<BlockLease>(2);
        let kernel = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    while !hand_over(&ring, round % 3, u8::try_from(round % 251).unwrap()) {
                        thread::yield_now();
                    }
                }
            })
        };
        let worker = thread::spawn(move || {
            for (round, lease) in receive.into_iter().enumerate() {
                let copy = lease.clone();
                drop(lease);
                let value = u8::try_from(round % 251).unwrap();
                assert_eq!((copy.bytes()[64], copy.bytes()[BLOCK - 1]), (value, value));
            }
        });
        for round in 0..ROUNDS {
            let lease = loop {
                match ring.take(round % 3) {
                    Some(lease) => break lease,
                    None => thread::yield_now(),
                }
            };
            send.send(lease).unwrap();
        }
        drop(send);
        kernel.join().unwrap();
        worker.join().unwrap();
    }
}

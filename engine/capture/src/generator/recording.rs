//! A capture ring without a kernel: blocks in memory, in the layout of TPACKET_V3, that a source lends over and over.
//!
//! The reader takes, walks and gives back these blocks by the same code as live ones; only nobody writes them again in between.

use core::time::Duration;
use std::sync::Arc;
use std::thread;

use memmap2::{MmapMut, MmapRaw};
use sniff_x_flow::{LinkType, Nanos};

use crate::afpacket::block::{self, Reading};
use crate::afpacket::ring::Ring;
use crate::{Batch, CaptureError, FilterLevel, Interface, Lease, Source, SourceCounters};

/// Blocks that are being recorded.
pub struct Recording {
    memory: MmapMut,
    block_size: usize,
    /// The number of blocks that are whole.
    whole: usize,
    /// The block in the making.
    block: block::Writer,
    frames: u64,
}

impl Recording {
    /// An empty recording with room for `blocks` blocks of `block_size` bytes.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new(block_size: usize, blocks: usize) -> Result<Self, CaptureError> {
        let memory = MmapMut::map_anon(block_size * blocks).map_err(super::system("mmap(recording)"))?;
        Ok(Self { memory, block_size, whole: 0, block: block::Writer::default(), frames: 0 })
    }

    /// Adds an Ethernet frame as the kernel would, were it captured at `time`; false when there is no room left.
    pub fn frame(&mut self, bytes: &[u8], time: Nanos) -> bool {
        for _ in 0..2 {
            let start = self.whole * self.block_size;
            let Some(memory) = self.memory.get_mut(start..start + self.block_size) else { return false };
            if self.block.frame(memory, bytes, time) {
                self.frames += 1;
                return true;
            }
            self.end_block();
        }
        false
    }

    /// Adds a block that was captured: the memory of its lease; false when there is no room left.
    pub fn block(&mut self, lease: &Lease) -> bool {
        self.end_block();
        let start = self.whole * self.block_size;
        match self.memory.get_mut(start..start + self.block_size) {
            Some(memory) if lease.memory().len() == self.block_size => {
                memory.copy_from_slice(lease.memory());
                self.whole += 1;
                self.frames += lease.frames().count() as u64;
                true
            }
            _ => false,
        }
    }

    fn end_block(&mut self) {
        if !self.block.is_empty() {
            self.whole += 1;
            self.block = block::Writer::default();
        }
    }

    /// How many frames were recorded.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// A source that lends all blocks so many times.
    #[must_use]
    pub fn replay(mut self, times: u64) -> Recorded {
        self.end_block();
        let reading = Reading { snaplen: u32::MAX, drop_duplicates: false };
        let ring = Arc::new(Ring::new(MmapRaw::from(self.memory), self.block_size, reading));
        Recorded { ring, blocks: self.whole, next: 0, left: times, frames: self.frames, given: 0 }
    }
}

/// Lends the blocks of a [`Recording`].
pub struct Recorded {
    ring: Arc<Ring>,
    blocks: usize,
    next: usize,
    left: u64,
    frames: u64,
    /// Times that all blocks were lent.
    given: u64,
}

impl Recorded {
    /// Another source of the same blocks, which lends them so many times. Both wait for the blocks that the other has lent.
    #[must_use]
    pub fn again(&self, times: u64) -> Self {
        let ring = Arc::clone(&self.ring);
        Self { ring, blocks: self.blocks, next: 0, left: times, frames: self.frames, given: 0 }
    }
}

impl Source for Recorded {
    fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError> {
        if self.left == 0 || self.blocks == 0 {
            return Ok(Batch::End);
        }
        if !self.ring.hand_over(self.next) {
            // As long as the ring is full nothing comes in.
            thread::sleep(wait.min(Duration::from_micros(50)));
            return Ok(Batch::Idle);
        }
        let lease = self.ring.take(self.next).map(Lease::block);
        self.next += 1;
        if self.next == self.blocks {
            (self.next, self.left, self.given) = (0, self.left - 1, self.given + 1);
        }
        Ok(lease.map_or(Batch::Idle, Batch::Frames))
    }

    fn stop(&mut self) {
        self.left = 0;
    }

    fn interfaces(&self) -> Vec<Interface> {
        let name = "recorded".to_owned();
        vec![Interface { id: block::INTERFACE, name, link_type: LinkType::ETHERNET, snaplen: 0 }]
    }

    fn counters(&mut self) -> SourceCounters {
        // A round that was stopped does not count.
        let received = Some(self.frames * self.given);
        SourceCounters { received, dropped: Some(0), filtered: Some(0), ..SourceCounters::default() }
    }

    fn filter_level(&self) -> FilterLevel {
        // What was recorded had passed the kernel.
        FilterLevel::Ebpf
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}

//! The lease on a batch's memory, and the frames in it.

#[cfg(target_os = "linux")]
use crate::afpacket::ring::{self, BlockLease};
use crate::buffers::Filled;
use crate::file::{pcap, pcapng};
use sniff_x_flow::Frame;

/// Cache lines of a frame that are read in any case: the record's or the ring's header, the frame's headers, the beginning of its payload.
pub(crate) const FRAME_LINES: usize = 3;

/// The right to read a batch's frames until its last clone drops; then the memory goes back to the kernel or the reader.
///
/// The kernel fills its blocks in turn and waits for exactly the next one: a block that is held for long stops the capture. Copy
/// out what must live longer.
#[derive(Clone, Debug)]
pub struct Lease(Memory);

#[derive(Clone, Debug)]
enum Memory {
    #[cfg(target_os = "linux")]
    Block(BlockLease),
    Buffer {
        buffer: Filled,
        view: View,
    },
}

/// What a range of a read buffer holds.
#[derive(Clone, Debug)]
pub(crate) enum View {
    Pcap(pcap::View),
    Pcapng(pcapng::View),
}

impl Lease {
    pub(crate) fn buffer(buffer: Filled, view: View) -> Self {
        Self(Memory::Buffer { buffer, view })
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn block(block: BlockLease) -> Self {
        Self(Memory::Block(block))
    }

    /// The frames, in the order in which they were captured. They borrow the batch's memory; nothing is copied or allocated.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        Frames(match &self.0 {
            #[cfg(target_os = "linux")]
            Memory::Block(block) => Walk::Block(block.frames()),
            Memory::Buffer { buffer, view: View::Pcap(view) } => Walk::Pcap(view.frames(buffer.bytes())),
            Memory::Buffer { buffer, view: View::Pcapng(view) } => Walk::Pcapng(view.frames(buffer.bytes())),
        })
    }

    /// `len` bytes at `offset` of the batch's memory, as [`Frame::offset`] and payload spans name them; empty when that is
    /// not inside.
    #[must_use]
    #[inline]
    pub fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        let memory = self.memory();
        let start = offset as usize;
        start.checked_add(len as usize).and_then(|end| memory.get(start..end)).unwrap_or_default()
    }

    /// The batch's memory; [`Frame::offset`] counts from its start.
    #[must_use]
    #[inline]
    pub fn memory(&self) -> &[u8] {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Memory::Block(block) => block.bytes(),
            Memory::Buffer { buffer, .. } => buffer.bytes(),
        }
    }
}

/// The frames of a [`Lease`].
pub struct Frames<'a>(Walk<'a>);

enum Walk<'a> {
    #[cfg(target_os = "linux")]
    Block(ring::Frames<'a>),
    Pcap(pcap::Frames<'a>),
    Pcapng(pcapng::Frames<'a>),
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Walk::Block(frames) => frames.next(),
            Walk::Pcap(frames) => frames.next(),
            Walk::Pcapng(frames) => frames.next(),
        }
    }
}

//! Bytes that a decoder has seen but not consumed, and the pool that they are kept in.

use sniff_x_flow::Nanos;

use crate::Window;
use crate::window::Seen;

/// The unconsumed bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    seen: Seen,
}

impl Tail {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, bytes: &[u8], time: Nanos) {
        self.bytes.extend_from_slice(bytes);
        self.seen.push(bytes.len(), time);
    }

    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.bytes.len());
        self.bytes.drain(..n);
        self.seen.consume(n);
    }

    pub(crate) fn window(&self) -> Window<'_> {
        Window::new(&self.bytes, &self.seen)
    }
}

/// Spare tails of a worker: connections with half a message come and go, their memory stays.
#[derive(Debug, Default)]
pub(crate) struct TailPool {
    #[expect(
        clippy::vec_box,
        reason = "the box moves between pool and connection; unboxed it would be allocated again"
    )]
    spare: Vec<Box<Tail>>,
}

/// Spare tails kept, and the capacity above which one is freed rather than kept: 16 MiB at the most.
const MAX_SPARE: usize = 256;
const MAX_SPARE_CAPACITY: usize = 64 << 10;

impl TailPool {
    pub(crate) fn take(&mut self) -> Box<Tail> {
        self.spare.pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&mut self, mut tail: Box<Tail>) {
        if self.spare.len() < MAX_SPARE && tail.bytes.capacity() <= MAX_SPARE_CAPACITY {
            tail.bytes.clear();
            tail.seen = Seen::default();
            self.spare.push(tail);
        }
    }
}

//! What the connections of a worker borrow: memory for kept bytes, texts they have in common, decompressors and their output. All of it is bounded and used again.

use crate::inflate::{Inflaters, OUTPUT};
use crate::tail::TailPool;
use crate::texts::Texts;

/// A worker's stock.
#[derive(Debug)]
pub(crate) struct Stock {
    /// Memory for kept bytes.
    pub(crate) tails: TailPool,
    /// Texts that several of them keep.
    pub(crate) texts: Texts,
    /// The most bytes of an unfinished message that one direction may keep.
    pub(crate) max_message: usize,
    /// Decompressors.
    pub(crate) inflaters: Inflaters,
    /// Where one piece of decompressed bytes lies while it is read; empty as long as nobody decompresses.
    output: Vec<u8>,
    /// What was counted since the host last asked.
    pub(crate) tally: Tally,
}

/// Counts of what decoders do below the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Plain bytes that came out of compressed streams.
    pub(crate) unpacked: u64,
    /// Compressed units passed over because too much memory was in use for others.
    pub(crate) refused: u64,
    /// Messages inside that were longer than the limit of kept bytes.
    pub(crate) oversized: u64,
}

impl Tally {
    /// Whether there is nothing to tell: asked with each segment.
    pub(crate) fn is_empty(&self) -> bool {
        self.unpacked | self.refused | self.oversized == 0
    }
}

impl Default for Stock {
    fn default() -> Self {
        Self {
            tails: TailPool::default(),
            texts: Texts::default(),
            max_message: usize::MAX,
            inflaters: Inflaters::default(),
            output: Vec::new(),
            tally: Tally::default(),
        }
    }
}

impl Stock {
    /// Lends the output buffer, of [`OUTPUT`] bytes, until [`Stock::give_back_output`].
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        let mut output = core::mem::take(&mut self.output);
        output.resize(OUTPUT, 0);
        output
    }

    /// Takes the output buffer back.
    pub(crate) fn give_back_output(&mut self, output: Vec<u8>) {
        self.output = output;
    }
}

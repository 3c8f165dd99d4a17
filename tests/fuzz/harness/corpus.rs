//! The inputs that mutations start from. Bounded: when it is full, one that was found goes; seeds stay.

use super::random::Random;

/// Bytes of all inputs together.
const MOST: usize = 16 << 20;

/// The inputs of one target.
pub(crate) struct Corpus {
    inputs: Vec<Vec<u8>>,
    seeds: usize,
    bytes: usize,
}

impl Corpus {
    pub(crate) fn new(seeds: Vec<Vec<u8>>) -> Self {
        let bytes = seeds.iter().map(Vec::len).sum();
        Self { seeds: seeds.len(), inputs: seeds, bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        &self.inputs[..self.seeds]
    }

    /// An input; the latest ones, which nobody has gone on from, more often.
    pub(crate) fn pick(&self, random: &mut Random) -> &[u8] {
        let len = self.inputs.len();
        let recent = (len - self.seeds).min(32);
        let at =
            if recent > 0 && random.one_in(3) { len - 1 - random.below(recent) } else { random.below(len) };
        self.inputs.get(at).map_or(&[], Vec::as_slice)
    }

    /// Keeps an input.
    pub(crate) fn keep(&mut self, random: &mut Random, input: &[u8]) {
        self.bytes += input.len();
        self.inputs.push(input.to_vec());
        while self.bytes > MOST && self.inputs.len() > self.seeds + 1 {
            let found = self.inputs.len() - 1 - self.seeds;
            let gone = self.inputs.remove(self.seeds + random.below(found));
            self.bytes -= gone.len();
        }
    }
}

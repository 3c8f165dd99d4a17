//! Mutations: an input becomes another that is mostly like it.

use super::random::Random;

/// The longest input.
pub(crate) const LONGEST: usize = 64 << 10;

/// Numbers at which code changes its mind.
const EDGES: [u32; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xfa,
    0xfb,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0xff_ffff,
    0x100_0000,
    0x7fff_ffff,
    0xffff_ffff,
];

/// A run of bytes: where it starts, where it ends. Mostly short.
fn run(random: &mut Random, len: usize) -> (usize, usize) {
    let start = random.below(len);
    let most = if random.one_in(4) { len } else { 16 };
    (start, (start + 1 + random.below(most)).min(len))
}

/// Writes a number of 1 to 4 bytes in either byte order.
fn put(random: &mut Random, input: &mut [u8], change: impl FnOnce(&mut Random, u32) -> u32) {
    let width = [1, 2, 3, 4][random.below(4)].min(input.len());
    let at = random.below(input.len() - width + 1);
    let big = random.one_in(2);
    let place = &mut input[at..at + width];
    if big {
        place.reverse();
    }
    let mut number = [0; 4];
    number[..width].copy_from_slice(place);
    let number = change(random, u32::from_le_bytes(number)).to_le_bytes();
    place.copy_from_slice(&number[..width]);
    if big {
        place.reverse();
    }
}

/// Puts bytes in at any place, or over what is there.
fn insert(random: &mut Random, input: &mut Vec<u8>, bytes: &[u8]) {
    let at = random.below(input.len() + 1);
    let end = if random.one_in(2) { (at + bytes.len()).min(input.len()) } else { at };
    input.splice(at..end, bytes.iter().copied());
}

/// Changes `input` a little; `other` is an input to take parts of, `words` what the target likes.
pub(crate) fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8], words: &[&[u8]]) {
    let most = 1 << random.below(4);
    for _ in 0..=random.below(most) {
        if input.is_empty() {
            input.push(random.byte());
        }
        let len = input.len();
        match random.below(13) {
            0 => input[random.below(len)] ^= 1 << random.below(8),
            1 => input[random.below(len)] = random.byte(),
            2 | 3 => put(random, input, |random, _| EDGES[random.below(EDGES.len())]),
            4 | 5 => put(random, input, |random, n| n.wrapping_add(random.below(33) as u32).wrapping_sub(16)),
            6 => {
                let (start, end) = run(random, len);
                input.drain(start..end);
            }
            7 => {
                let (start, end) = run(random, len);
                let copy = input[start..end].to_vec();
                insert(random, input, &copy);
            }
            8 => {
                let bytes: Vec<u8> = (0..1 + random.below(8)).map(|_| random.byte()).collect();
                insert(random, input, &bytes);
            }
            9 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                insert(random, input, word);
            }
            10 if !other.is_empty() => {
                let (start, end) = run(random, other.len());
                insert(random, input, &other[start..end]);
            }
            // The head of one, the tail of another.
            11 if !other.is_empty() => {
                input.truncate(random.below(len));
                input.extend_from_slice(&other[random.below(other.len())..]);
            }
            12 if random.one_in(4) => input.truncate(random.below(len)),
            _ => {
                let (start, end) = run(random, len);
                let byte = random.byte();
                input[start..end].fill(byte);
            }
        }
        input.truncate(LONGEST);
    }
}

//! Frames of a capture file, to be changed and written again.

use std::path::Path;

/// A frame and its time in nanoseconds.
#[derive(Clone)]
pub struct Timed {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// The frames of a pcapng file as `sniff-x --write` makes it: little endian, nanoseconds, enhanced packet blocks.
#[must_use]
pub fn read(path: &Path) -> Vec<Timed> {
    let file = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
    let (mut at, mut frames) = (0, Vec::new());
    while at < file.len() {
        if word(at) == 6 {
            let captured = word(at + 20) as usize;
            assert_eq!(word(at + 20), word(at + 24), "a whole frame");
            let time = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            frames.push(Timed { time, bytes: file[at + 28..at + 28 + captured].to_vec() });
        }
        at += word(at + 4) as usize;
    }
    frames
}

/// Writes a pcap file of nanoseconds.
pub fn write(path: &Path, link_type: u32, frames: &[Timed]) {
    let mut file = Vec::new();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    file.extend(words(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link_type]));
    for frame in frames {
        let length = u32::try_from(frame.bytes.len()).unwrap();
        let (seconds, rest) = (frame.time / 1_000_000_000, frame.time % 1_000_000_000);
        file.extend(words(&[u32::try_from(seconds).unwrap(), u32::try_from(rest).unwrap(), length, length]));
        file.extend(&frame.bytes);
    }
    std::fs::write(path, file).unwrap();
}

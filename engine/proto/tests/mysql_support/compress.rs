//! Conversations in compressed frames: the bytes behind the login cut anywhere, some of the frames compressed, some not, as clients and servers
//! do it.

use std::io::Write as _;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use super::Random;
use super::generate::Generated;

/// The capability bits.
pub(crate) const ZLIB: u32 = 1 << 5;
pub(crate) const ZSTD: u32 = 1 << 26;

fn deflate(plain: &[u8], capability: u32, random: &mut Random) -> Vec<u8> {
    if capability == ZSTD {
        let levels =
            [ruzstd::encoding::CompressionLevel::Fastest, ruzstd::encoding::CompressionLevel::Uncompressed];
        let [fast, none] = levels;
        let level = if random.below(4) > 0 { fast } else { none };
        return ruzstd::encoding::compress_to_vec(plain, level);
    }
    let level = flate2::Compression::new(random.below(10) as u32);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One frame.
pub(crate) fn frame(seq: u8, content: &[u8], plain: usize) -> Vec<u8> {
    let mut out = (content.len() as u32).to_le_bytes()[..3].to_vec();
    out.push(seq);
    out.extend_from_slice(&(plain as u32).to_le_bytes()[..3]);
    out.extend_from_slice(content);
    out
}

/// A frame of `plain`, compressed.
pub(crate) fn packed(seq: u8, plain: &[u8], capability: u32, random: &mut Random) -> Vec<u8> {
    frame(seq, &deflate(plain, capability, random), plain.len())
}

/// Counts the sequence ids of the packets of a message on from another beginning: those of a server follow its frames.
fn renumber(message: &mut [u8], by: u8) {
    let mut at = 0;
    while let Some(&[a, b, c, seq]) = message.get(at..at + 4).and_then(|h| h.first_chunk()) {
        message[at + 3] = seq.wrapping_add(by);
        at += 4 + u32::from_le_bytes([a, b, c, 0]) as usize;
    }
}

/// The same conversation, in frames behind the login. Each message is one frame, or is cut in up to `cuts` + 1; the first one has at least `least`
/// bytes. No server or client is known that cuts the first packet's header.
pub(crate) fn compress(
    generated: Generated,
    capability: u32,
    cuts: usize,
    least: usize,
    random: &mut Random,
) -> Generated {
    let mut seq = 0_u8;
    let login = generated.login;
    let wrap = |(index, step): (usize, Step)| {
        let (direction, mut message) = match step {
            Step::Data(direction, bytes) if index >= login => (direction, bytes),
            step => return step,
        };
        match direction {
            Direction::ToServer if message[3] == 0 => seq = 0,
            Direction::ToServer => {}
            Direction::ToClient => renumber(&mut message, random.next().to_le_bytes()[1]),
        }
        let mut ends: Vec<_> = (0..random.below(cuts + 1)).map(|_| random.below(message.len())).collect();
        ends.push(message.len());
        ends.sort_unstable();
        let (mut start, mut out) = (0, Vec::new());
        for end in ends.into_iter().filter(|end| *end >= least.min(message.len())) {
            let plain = &message[start..end];
            start = end;
            if plain.is_empty() {
                continue;
            }
            let compresses = random.below(3) > 0;
            out.extend(if compresses {
                packed(seq, plain, capability, random)
            } else {
                frame(seq, plain, 0)
            });
            seq = seq.wrapping_add(1);
        }
        Step::Data(direction, out)
    };
    let steps = generated.steps.into_iter().enumerate().map(wrap).collect();
    Generated { steps, ..generated }
}

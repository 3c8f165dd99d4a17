use std::io::Write as _;

use super::*;

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

/// 800 bytes, `sniff-x ` a hundred times, by the reference implementation: `zstd -19 --no-check` of a file (one segment), `zstd --check` of
/// a pipe (a window, no length, a checksum).
const BY_ZSTD: [&[u8]; 2] = [
    &[
        0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x20, 0x02, 0x7d, 0x00, 0x00, 0x40, 0x73, 0x6e, 0x69, 0x66, 0x66, 0x2d,
        0x78, 0x20, 0x01, 0x00, 0x15, 0x57, 0x97, 0x0b,
    ],
    &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x7d, 0x00, 0x00, 0x40, 0x73, 0x6e, 0x69, 0x66, 0x66, 0x2d, 0x78,
        0x20, 0x01, 0x00, 0x15, 0x57, 0x15, 0x2e, 0xda, 0x09, 0x60, 0x35,
    ],
];

/// What comes out of `compressed`, given in pieces of `step` bytes into a buffer of `room` bytes.
fn inflate(inflater: &mut Inflater, compressed: &[u8], step: usize, room: usize) -> Result<Vec<u8>, Corrupt> {
    let (mut plain, mut output) = (Vec::new(), vec![0; room]);
    for mut input in compressed.chunks(step) {
        loop {
            let piece = inflater.push(input, &mut output)?;
            plain.extend_from_slice(&output[..piece.written]);
            input = &input[piece.read..];
            if piece.done {
                assert!(input.is_empty());
                return Ok(plain);
            }
            if piece.written < room && input.is_empty() {
                break;
            }
        }
    }
    Err(Corrupt)
}

fn texts() -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..300_000).map(|_| random()).collect();
    vec![b"x".to_vec(), b"select ".repeat(400), vec![0; 1 << 20], noise]
}

#[test]
fn whatever_the_pieces() {
    let mut pool = Inflaters::default();
    for plain in texts() {
        for (algorithm, compressed) in [(Algorithm::Zlib, zlib(&plain)), (Algorithm::Zstd, zstd(&plain))] {
            for (step, room) in [(1, 100_000), (7, 1000), (100_000, 100), (usize::MAX >> 1, OUTPUT)] {
                let mut inflater = pool.take(algorithm, plain.len()).unwrap();
                let found = inflate(&mut inflater, &compressed, step, room);
                assert!(found.as_ref() == Ok(&plain), "{algorithm:?}, pieces of {step}, into {room}");
                pool.give_back(inflater);
            }
        }
    }
    assert_eq!(pool.lent(), 0);
}

#[test]
fn what_is_corrupt_is_refused() {
    let plain = b"a checksum stands behind the bytes ".repeat(9);
    let mut compressed = zlib(&plain);
    *compressed.last_mut().unwrap() ^= 1;
    let mut pool = Inflaters::default();
    let mut inflater = pool.take(Algorithm::Zlib, plain.len()).unwrap();
    assert_eq!(inflate(&mut inflater, &compressed, 10, 1000), Err(Corrupt), "Adler-32");
    pool.give_back(inflater);
    let mut inflater = pool.take(Algorithm::Zlib, plain.len()).unwrap();
    assert_eq!(inflate(&mut inflater, b"\x78\x9c\xff\xff\xff\xff", 6, 1000), Err(Corrupt));
    pool.give_back(inflater);
    // A window of more than 16 MiB; a block longer than 128 KiB; a reserved type of block.
    for frame in [
        &b"\x28\xb5\x2f\xfd\x00\xf0\x00"[..],
        b"\x28\xb5\x2f\xfd\x20\x05\x05\x00\x20",
        b"\x28\xb5\x2f\xfd\x20\x05\x2f\x00\x00hello",
    ] {
        let mut inflater = pool.take(Algorithm::Zstd, 5).unwrap();
        assert_eq!(inflate(&mut inflater, frame, 100, 1000), Err(Corrupt), "{frame:x?}");
        pool.give_back(inflater);
    }
    // What was in the middle of something is as good as new.
    for compressed in BY_ZSTD {
        let mut inflater = pool.take(Algorithm::Zstd, 800).unwrap();
        assert_eq!(inflate(&mut inflater, compressed, 5, 1000), Ok(b"sniff-x ".repeat(100)));
        pool.give_back(inflater);
    }
}

#[test]
fn what_is_lent_is_bounded() {
    let mut pool = Inflaters::default();
    let mut lent = Vec::new();
    while let Some(inflater) = pool.take(Algorithm::Zstd, 8 << 20) {
        lent.push(inflater);
    }
    assert!(pool.lent() <= MAX_LENT && lent.len() == 7, "{} lent", lent.len());
    let one = pool.take(Algorithm::Zlib, 1);
    assert!(one.is_some(), "a small one fits beside them");
    lent.into_iter().chain(one).for_each(|inflater| pool.give_back(inflater));
    assert_eq!(pool.lent(), 0);
}

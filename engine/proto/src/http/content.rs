//! The beginning of a body as people read it: decompressed where it was compressed.

use std::borrow::Cow;
use std::io::Read;

use super::exchange::Coding;

/// At most `max` bytes of the content that `body`, which may end anywhere, is the beginning of. What can't be decompressed stays as it is.
pub(super) fn decoded(coding: Coding, body: &[u8], max: usize) -> Cow<'_, [u8]> {
    let plain = match coding {
        Coding::Plain | Coding::Other => return Cow::Borrowed(body),
        Coding::Gzip => read(flate2::read::GzDecoder::new(body), max),
        // Some send it with the header of zlib, as they should, some without.
        Coding::Deflate => {
            let plain = read(flate2::read::ZlibDecoder::new(body), max);
            if plain.is_empty() { read(flate2::read::DeflateDecoder::new(body), max) } else { plain }
        }
        Coding::Brotli => read(brotli_decompressor::Decompressor::new(body, BUFFER), max),
        Coding::Zstd => match ruzstd::decoding::StreamingDecoder::new(body) {
            Ok(decoder) => read(decoder, max),
            Err(_) => Vec::new(),
        },
    };
    if plain.is_empty() { Cow::Borrowed(body) } else { Cow::Owned(plain) }
}

const BUFFER: usize = 4096;

/// What comes before the end, `max`, or the first error: the body may be cut.
fn read(mut from: impl Read, max: usize) -> Vec<u8> {
    let mut plain = vec![0; max];
    let mut len = 0;
    while let Some(room) = plain.get_mut(len..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) | Err(_) => break,
            Ok(n) => len += n,
        }
    }
    plain.truncate(len);
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn compressed_bodies_even_when_cut() {
        let text = b"{\"name\": \"value\", \"list\": [1, 2, 3]}".repeat(20);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(*decoded(Coding::Gzip, &gzip, 10_000), text[..]);
        assert_eq!(*decoded(Coding::Gzip, &gzip, 10), text[..10]);
        let cut = decoded(Coding::Gzip, &gzip[..gzip.len() - 12], 10_000);
        assert!(text.starts_with(&cut) && !cut.is_empty());
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&text).unwrap();
        assert_eq!(*decoded(Coding::Deflate, &raw.finish().unwrap(), 10_000), text[..]);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        assert_eq!(*decoded(Coding::Deflate, &zlib.finish().unwrap(), 10_000), text[..]);
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(*decoded(Coding::Zstd, &zstd, 10_000), text[..]);
        // From RFC 7932's reference encoder: "hello", stored.
        assert_eq!(*decoded(Coding::Brotli, b"\x0b\x02\x80hello\x03", 100), b"hello"[..]);
    }

    #[test]
    fn what_is_not_compressed_stays() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            assert_eq!(
                *decoded(coding, b"not compressed at all", 100),
                b"not compressed at all"[..],
                "{coding:?}"
            );
        }
    }
}

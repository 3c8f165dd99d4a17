//! The beginning of a body as people read it: decompressed where it was compressed, as often as that was done.

use std::borrow::Cow;
use std::io::Read;

use brotli_decompressor::BrotliDecoderParameter;

use super::fields::{Fields, items};
use super::head::Oddities;
use crate::inflate::zstd_beginning;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn of(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 5] = [
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, coding)| *coding)
    }

    /// The most compressed bytes from which something can be read at all.
    const fn block(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate | Self::Brotli => 32 << 10,
            // A whole block with its frame's header.
            Self::Zstd => 129 << 10,
        }
    }

    /// At most `max` bytes of the content that `body`, which may end anywhere, is the beginning of; none if it can't be read.
    fn decoded(self, body: &[u8], max: usize) -> Option<Vec<u8>> {
        match self {
            Self::Gzip => read(flate2::read::MultiGzDecoder::new(body), max),
            // Some send it with the header of zlib, as they should, some without.
            Self::Deflate => read(flate2::read::ZlibDecoder::new(body), max)
                .or_else(|| read(flate2::read::DeflateDecoder::new(body), max)),
            Self::Brotli => {
                let mut decoder = brotli_decompressor::Decompressor::new(body, BUFFER);
                // No window is larger than 16 MiB (RFC 7932, 9.1).
                decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
                read(decoder, max)
            }
            Self::Zstd => zstd_beginning(body, max),
        }
    }
}

/// The most codings of one body that are taken off.
const MAX_CODINGS: usize = 4;

/// How a body is compressed, in the order in which that was done (RFC 9110, 8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Codings {
    list: [Option<Coding>; MAX_CODINGS],
    len: u8,
    /// One is not known, or there are too many.
    is_odd: bool,
}

impl Codings {
    /// What a head says of the body behind it, in whatever lines: codings of the content, then those of its transfer, but for the chunks.
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let mut codings = Self::default();
        if fields.content_encoding.is_empty() && !fields.body.chunked && !fields.body.until_close {
            return codings;
        }
        for field in [&b"content-encoding"[..], b"transfer-encoding"] {
            let values = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(field));
            values.flat_map(|(_, value)| items(value)).for_each(|name| codings.add(name));
        }
        codings
    }

    fn add(&mut self, name: &[u8]) {
        let is_none = [&b""[..], b"identity", b"chunked"].iter().any(|none| name.eq_ignore_ascii_case(none));
        if is_none {
            return;
        }
        let coding = Coding::of(name);
        match self.list.get_mut(usize::from(self.len)) {
            Some(place) if coding.is_some() => {
                *place = coding;
                self.len += 1;
            }
            _ => self.is_odd = true,
        }
    }

    /// The body is sent as it is.
    pub(super) fn is_none(&self) -> bool {
        self.len == 0 && !self.is_odd
    }

    /// How much of the body is kept so that `shown` bytes of its content can be shown: decompressors want a whole block first.
    pub(super) fn kept(&self, shown: usize) -> usize {
        let block = self.list.iter().flatten().map(|coding| coding.block()).max().unwrap_or(0);
        if shown == 0 || self.is_odd { shown } else { shown.max(block) }
    }

    /// At most `max` bytes of the content that `body`, which may end anywhere, is the beginning of, and what is odd about it: what can't be decompressed
    /// is shown as it is. No more than what would be kept of a body is ever decompressed on the way.
    pub(super) fn decoded<'b>(&self, body: &'b [u8], max: usize) -> (Cow<'b, [u8]>, u32) {
        let as_it_is = Cow::Borrowed(body.get(..max).unwrap_or(body));
        if self.is_odd {
            return (as_it_is, Oddities::OTHER_CONTENT_CODING);
        }
        if self.len == 0 {
            return (as_it_is, 0);
        }
        let mut plain = Cow::Borrowed(body);
        let mut left = self.len;
        for coding in self.list.iter().rev().flatten() {
            left -= 1;
            let most = if left == 0 { max } else { self.kept(max) };
            let Some(decoded) = coding.decoded(&plain, most) else {
                return (as_it_is, Oddities::NOT_DECOMPRESSED);
            };
            plain = Cow::Owned(decoded);
        }
        (plain, 0)
    }
}

const BUFFER: usize = 4096;

/// What comes before the end, `max`, or the first error: the body may be cut. None when it is wrong from the beginning.
fn read(mut from: impl Read, max: usize) -> Option<Vec<u8>> {
    let mut plain = vec![0; max];
    let mut len = 0;
    while let Some(room) = plain.get_mut(len..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(_) if len == 0 => return None,
            Err(_) => break,
        }
    }
    plain.truncate(len);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::http::head::{Read as HeadRead, Response};

    const TEXT: &[u8] = b"{\"name\": \"value\", \"list\": [1, 2, 3]}";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(text).unwrap();
        raw.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        zlib.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// What a head with these lines says.
    fn codings(lines: &str) -> Codings {
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        let mut response = Response::default();
        assert!(matches!(response.read(head.as_bytes()), HeadRead::Whole(_)));
        Codings::of(&response.fields)
    }

    fn coded(list: &str) -> Codings {
        codings(&format!("Content-Encoding: {list}"))
    }

    #[test]
    fn compressed_bodies_even_when_cut() {
        let text = TEXT.repeat(20);
        for (coding, body) in [
            ("gzip", gzip(&text)),
            ("deflate", deflate(&text)),
            ("deflate", zlib(&text)),
            ("zstd", zstd(&text)),
        ] {
            let coding = coded(coding);
            assert_eq!(coding.decoded(&body, 10_000), (Cow::Borrowed(&text[..]), 0), "{coding:?}");
            assert_eq!(coding.decoded(&body, 10), (Cow::Borrowed(&text[..10]), 0), "{coding:?}");
        }
        let long = text.repeat(1000);
        for (coding, body) in [("gzip", gzip(&long)), ("deflate", deflate(&long)), ("zstd", zstd(&long))] {
            let (plain, odd) = coded(coding).decoded(&body[..body.len() - 12], 100_000);
            assert!(*plain == long[..100_000] && odd == 0, "{coding}");
        }
        // From RFC 7932's reference encoder: "hello", stored.
        let brotli = b"\x0b\x02\x80hello\x03";
        assert_eq!(*coded("br").decoded(brotli, 100).0, b"hello"[..]);
        assert_eq!(*coded("br").decoded(&brotli[..8], 100).0, b"hello"[..]);
        assert_eq!(*coded("br").decoded(&brotli[..6], 100).0, b"hel"[..]);
    }

    /// RFC 9110, 8.4: listed in the order in which they were applied; several lines are one list.
    #[test]
    fn several_codings() {
        let text = TEXT.repeat(20);
        let body = gzip(&zstd(&zlib(&text)));
        for lines in [
            "Content-Encoding: deflate, zstd, gzip",
            "Content-Encoding: deflate\r\nA: b\r\ncontent-encoding: zstd ,,X-GZIP",
            "Content-Encoding:\r\n deflate,\r\n\tzstd, identity\r\nContent-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked\r\nContent-Encoding: deflate, zstd",
            "Transfer-Encoding: deflate, zstd, gzip",
        ] {
            assert_eq!(codings(lines).decoded(&body, 10_000), (Cow::Borrowed(&text[..]), 0), "{lines}");
        }
        // Taken off in the wrong order it makes no sense.
        let (plain, odd) = coded("gzip, zstd, deflate").decoded(&body, 50);
        assert_eq!((&*plain, odd), (&body[..50], Oddities::NOT_DECOMPRESSED));
        let four = gzip(&gzip(&gzip(&gzip(&text))));
        assert_eq!(*coded("gzip, gzip, gzip, gzip").decoded(&four, 10_000).0, text[..]);
    }

    #[test]
    fn codings_that_are_not_taken_off() {
        for list in ["compress", "gzip, compress", "aws-chunked,gzip", "gzip, gzip, gzip, gzip, gzip"] {
            let codings = coded(list);
            assert!(!codings.is_none(), "{list}");
            assert_eq!(codings.kept(10), 10, "{list}");
            let (plain, odd) = codings.decoded(b"some bytes", 4);
            assert_eq!((&*plain, odd), (&b"some"[..], Oddities::OTHER_CONTENT_CODING), "{list}");
        }
        for lines in [
            "A: b",
            "Content-Encoding: identity",
            "Content-Encoding: ,",
            "Transfer-Encoding: identity, Chunked",
        ] {
            assert!(codings(lines).is_none(), "{lines}");
            assert_eq!(codings(lines).decoded(b"some bytes", 4), (Cow::Borrowed(&b"some"[..]), 0), "{lines}");
        }
    }

    #[test]
    fn what_is_not_compressed_stays() {
        for coding in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
            let (plain, odd) = coded(coding).decoded(b"not compressed at all", 12);
            assert_eq!((&*plain, odd), (&b"not compress"[..], Oddities::NOT_DECOMPRESSED), "{coding}");
        }
        // An empty one is.
        assert_eq!(coded("gzip").decoded(&gzip(b""), 100), (Cow::Borrowed(&b""[..]), 0));
    }

    /// Blocks without content, and some behind them: what lies between two codings is bounded as a body is, so it never gets there.
    #[test]
    fn bombs() {
        let blocks =
            |empty: usize| [&b"\0\0\0\xff\xff".repeat(empty)[..], b"\x01\x05\0\xfa\xffhello"].concat();
        let bomb = |empty| deflate(&deflate(&blocks(empty)));
        let codings = coded("deflate, deflate, deflate");
        assert_eq!(*codings.decoded(&bomb(1000), 100).0, b"hello"[..]);
        let bomb = bomb(1_000_000);
        assert!(bomb.len() < 1000);
        let (plain, odd) = codings.decoded(&bomb, 100);
        assert_eq!((&*plain, odd), (&bomb[..bomb.len().min(100)], Oddities::NOT_DECOMPRESSED));
    }
}

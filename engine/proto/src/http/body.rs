//! Bodies: by length, in chunks, or up to the connection's end. They are counted and passed over; only the beginning is kept, where it is wanted.

use super::head::MAX_HEAD;

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none, or it is over.
    Over,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Chunk),
    /// Everything up to the end of the connection.
    UntilClose,
}

/// How far a chunked body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// The line with the next chunk's length.
    Size,
    /// So many bytes of the chunk are to come.
    Data(u64),
    /// The line end behind it.
    End,
    /// Lines behind the last chunk.
    Trailer,
}

/// What became of a look at the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More bytes are needed.
    More,
    /// So many bytes are done with that are no content.
    Used(usize),
    /// The same, but they are a line that ends with LF alone.
    BareLine(usize),
    /// So many bytes are content.
    Content(usize),
    /// The body was over before this byte.
    Over,
    Bad,
}

/// The longest line with a chunk's length, its extensions included.
const MAX_LINE: usize = 4096;

impl Body {
    /// One step through the bytes.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Over => Step::Over,
            Self::Length(0) => {
                *self = Self::Over;
                Step::Over
            }
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if here == 0 { Step::More } else { Step::Content(here) }
            }
            Self::UntilClose if bytes.is_empty() => Step::More,
            Self::UntilClose => Step::Content(bytes.len()),
            Self::Chunked(chunk) => {
                let (step, next) = chunk.step(bytes);
                match next {
                    Some(next) => *chunk = next,
                    None => *self = Self::Over,
                }
                step
            }
        }
    }

    /// Bytes of content that are known to come before anything else: they can be passed over unseen.
    pub(super) fn known(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => *left,
            Self::Over | Self::Chunked(_) => 0,
            Self::UntilClose => u64::MAX,
        }
    }

    /// So many bytes of what is known to come were passed over.
    pub(super) fn pass(&mut self, bytes: u64) {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => *left = left.saturating_sub(bytes),
            Self::Over | Self::Chunked(_) | Self::UntilClose => {}
        }
    }
}

impl Chunk {
    /// What the bytes are, and what comes behind them: none at the body's end.
    fn step(self, bytes: &[u8]) -> (Step, Option<Self>) {
        let same = Some(self);
        match self {
            Self::Data(0) => (Step::Used(0), Some(Self::End)),
            Self::Data(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                if here == 0 {
                    return (Step::More, same);
                }
                (Step::Content(here), Some(Self::Data(left - here as u64)))
            }
            Self::End => match bytes {
                [b'\n', ..] => (Step::BareLine(1), Some(Self::Size)),
                [b'\r', b'\n', ..] => (Step::Used(2), Some(Self::Size)),
                [] | [b'\r'] => (Step::More, same),
                _ => (Step::Bad, same),
            },
            Self::Size => {
                let Some(end) = memchr::memchr(b'\n', bytes.get(..MAX_LINE).unwrap_or(bytes)) else {
                    return (if bytes.len() >= MAX_LINE { Step::Bad } else { Step::More }, same);
                };
                let line = bytes.get(..end).unwrap_or_default();
                match size(line) {
                    Some(0) => (done(line), Some(Self::Trailer)),
                    Some(n) => (done(line), Some(Self::Data(n))),
                    None => (Step::Bad, same),
                }
            }
            Self::Trailer => {
                let Some(end) = memchr::memchr(b'\n', bytes.get(..MAX_HEAD).unwrap_or(bytes)) else {
                    return (if bytes.len() >= MAX_HEAD { Step::Bad } else { Step::More }, same);
                };
                let line = bytes.get(..end).unwrap_or_default();
                (done(line), if line.trim_ascii().is_empty() { None } else { same })
            }
        }
    }
}

/// A line, which stands here without its line feed, is done with.
fn done(line: &[u8]) -> Step {
    let used = line.len() + 1;
    if line.ends_with(b"\r") { Step::Used(used) } else { Step::BareLine(used) }
}

/// The length in a chunk's first line; extensions behind a semicolon don't count.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() {
        return None;
    }
    let zeros = digits.iter().take_while(|d| **d == b'0').count();
    let digits = digits.get(zeros..).unwrap_or_default();
    if digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, d| {
        let digit = char::from(*d).to_digit(16)?;
        Some(n << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a body read in parts of `part` bytes, and what is left behind it; none when it is malformed.
    fn read(mut body: Body, bytes: &[u8], part: usize) -> Option<(Vec<u8>, usize)> {
        let (mut content, mut at, mut end) = (Vec::new(), 0, 0);
        loop {
            match body.step(&bytes[at..end]) {
                Step::More if end == bytes.len() => return None,
                Step::More => end = (end + part).min(bytes.len()),
                Step::Used(n) | Step::BareLine(n) => at += n,
                Step::Content(n) => {
                    content.extend(&bytes[at..at + n]);
                    at += n;
                }
                Step::Over => return Some((content, bytes.len() - at)),
                Step::Bad => return None,
            }
        }
    }

    #[test]
    fn chunks() {
        let bytes = b"5;ext=\"a\"\r\nhello\r\n0A \r\n 123456789\r\n1\nx\n000000000000000000000\r\nTrailer: x\r\n\r\nnext";
        for part in [1, 3, 1000] {
            let read = read(Body::Chunked(Chunk::Size), bytes, part);
            assert_eq!(read.as_ref().map(|r| r.0.as_slice()), Some(&b"hello 123456789x"[..]), "{part}");
            if part == 1000 {
                assert_eq!(read.unwrap().1, 4);
            }
        }
        for bytes in [&b"x\r\n"[..], b"\r\n", b"5\r\nhelloX", b"fffffffffffffffff\r\n"] {
            assert_eq!(read(Body::Chunked(Chunk::Size), bytes, 1), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(read(Body::Length(5), b"hello!!", 2), Some((b"hello".to_vec(), 2)));
        assert_eq!(read(Body::Over, b"", 1), Some((vec![], 0)));
        let mut body = Body::Length(10);
        assert_eq!(body.known(), 10);
        body.pass(4);
        assert_eq!(body, Body::Length(6));
        assert_eq!(Body::UntilClose.known(), u64::MAX);
    }
}

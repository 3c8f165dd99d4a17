//! Server-sent events: bytes of a stream go in, how many events there were comes out.
//!
//! An event is what a browser would hand on: lines up to an empty one, `data` among them. Comments, which keep a connection alive, are none.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.

/// How far a stream is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventStream {
    /// Events so far.
    pub(super) events: u64,
    line: Line,
    /// One of the lines since the last empty one has data.
    has_data: bool,
    /// The byte before was a carriage return, which ends a line; a line feed behind it belongs to it.
    returned: bool,
    /// A mark of the byte order may stand before everything: its bytes so far.
    mark: u8,
}

/// What a line has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// So many bytes, all of them as in the field's name.
    Named(u8),
    /// Something else, or what follows the name.
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Named(0)
    }
}

/// The field that makes an event.
const DATA: &[u8] = b"data";
/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

impl EventStream {
    /// More of the stream.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if MARK.get(usize::from(self.mark)) == Some(&byte) {
                self.mark += 1;
                continue;
            }
            // Only at the beginning.
            self.mark = u8::MAX;
            let follows = core::mem::take(&mut self.returned);
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => {
                    self.returned = byte == b'\r';
                    self.line_ends();
                }
                byte => self.line_goes_on(byte),
            }
        }
    }

    fn line_goes_on(&mut self, byte: u8) {
        self.line = match self.line {
            Line::Named(len) if DATA.get(usize::from(len)) == Some(&byte) => Line::Named(len + 1),
            Line::Named(len) => {
                self.has_data |= usize::from(len) == DATA.len() && byte == b':';
                Line::Other
            }
            Line::Other => Line::Other,
        };
    }

    fn line_ends(&mut self) {
        match core::mem::take(&mut self.line) {
            Line::Named(0) => self.events += u64::from(core::mem::take(&mut self.has_data)),
            // A name alone is a field without a value.
            Line::Named(len) => self.has_data |= usize::from(len) == DATA.len(),
            Line::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_as_a_browser_hands_them_on() {
        for (stream, events) in [
            // The specification's own examples: three, two and two events, and one that is never ended.
            (&b"data: YHOO\ndata: +2\ndata: 10\n\n"[..], 1),
            (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event", 2),
            (b"data\n\ndata\ndata\n\ndata:", 2),
            (b"data:test\n\ndata: test\n\n", 2),
            (b"data: 1\r\n\r\ndata: 2\r\rdata: 3\n\r\n", 3),
            (b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n", 1),
            (b"event: tick\nid: 3\nretry: 10\n\n: ping\n\n:\n\n\n\n", 0),
            (b"dat: 1\n\ndatax: 1\n\ndata : 1\n\n data: 1\n\nx\ndata\n\n", 1),
        ] {
            for part in [1, 2, 3, 100] {
                let mut read = EventStream::default();
                stream.chunks(part).for_each(|bytes| read.read(bytes));
                assert_eq!(read.events, events, "{} in parts of {part}", stream.escape_ascii());
            }
        }
    }
}

//! Stage: fragments → packet. Fragments have no ports, so they are put together here, in the reader, before a worker is chosen.

use sniff_x_flow::Frame;
use sniff_x_flow::packet::defragment::{DefragmentCounters, DefragmentOptions, Defragmenter, Reassembled};
use sniff_x_flow::packet::{Fragment, Parsed, Parser, Span};

/// Datagrams in fragments that carry datagrams in fragments (a tunnel in fragments on both levels) are followed so far.
const MAX_LEVELS: usize = 4;

/// Puts fragments together and reads what comes out.
pub(crate) struct Fragments {
    defragmenter: Defragmenter,
    /// What the latest datagram carries.
    whole: Vec<u8>,
    /// Takes turns with `whole`.
    inner: Vec<u8>,
}

impl Fragments {
    pub(crate) fn new(options: DefragmentOptions) -> Self {
        Self { defragmenter: Defragmenter::new(options), whole: Vec::new(), inner: Vec::new() }
    }

    /// What was counted so far.
    pub(crate) fn counters(&self) -> DefragmentCounters {
        self.defragmenter.counters()
    }

    /// Gives up what waited too long at packet time `now`.
    pub(crate) fn advance(&mut self, now: sniff_x_flow::Nanos) {
        self.defragmenter.advance(now);
    }

    /// Takes the fragment that `frame` is; `payload` is its part of the frame. With the last one of a datagram gives the packet, and the bytes
    /// that its payload's [`Span`] counts in.
    #[cold]
    pub(crate) fn take(
        &mut self,
        parser: &Parser,
        frame: &Frame<'_>,
        fragment: &Fragment,
        payload: &[u8],
    ) -> Option<(Parsed, &[u8])> {
        let Self { defragmenter, whole, inner } = self;
        let mut reassembled = defragmenter.add(fragment, payload, whole)?;
        for _ in 0..MAX_LEVELS {
            let parsed = read(parser, frame, &reassembled, whole);
            let Parsed::Fragment(fragment) = parsed else { return Some((parsed, whole)) };
            reassembled = defragmenter.add(&fragment, part(whole, fragment.payload), inner)?;
            core::mem::swap(whole, inner);
        }
        Some((Parsed::Other, whole))
    }
}

fn read(parser: &Parser, frame: &Frame<'_>, reassembled: &Reassembled, whole: &[u8]) -> Parsed {
    let Reassembled { first, len, timestamp } = reassembled;
    let frame = Frame { bytes: whole, offset: 0, original_len: *len, timestamp: *timestamp, ..*frame };
    parser.parse_reassembled(&frame, first)
}

/// The bytes that a span names; none if it is not inside.
pub(crate) fn part(bytes: &[u8], span: Span) -> &[u8] {
    let start = span.start as usize;
    start.checked_add(span.len as usize).and_then(|end| bytes.get(start..end)).unwrap_or_default()
}

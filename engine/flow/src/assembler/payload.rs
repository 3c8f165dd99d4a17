//! Payload on its way to its place.

use super::Sequence;
use crate::Nanos;
use crate::packet::Segment;

/// Where payload begins, what was captured of it, how much more was cut, where the FIN stands.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) seq: Sequence,
    pub(super) bytes: &'a [u8],
    pub(super) cut: u32,
    pub(super) fin: Option<Sequence>,
    pub(super) seen: Nanos,
    /// What the segment acknowledges of the other direction, when that has not been seen yet.
    pub(super) after: Option<Sequence>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(segment: &Segment, bytes: &'a [u8], seen: Nanos) -> Self {
        // A SYN takes a number of its own; a FIN beside it is nonsense.
        let syn = segment.flags.syn();
        let seq = if syn { segment.seq.add(1) } else { segment.seq };
        // More than a window can't be missing: numbers stay comparable whatever a file claims.
        let cut = segment.packet.missing.min(1 << 30);
        let mut payload = Self { seq, bytes, cut, fin: None, seen, after: None };
        payload.fin = (segment.flags.fin() && !syn).then(|| seq.add(payload.wire_len()));
        payload
    }

    pub(super) fn wire_len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(0).saturating_add(self.cut)
    }

    /// Takes off what lies before `next`; gives the captured bytes of it.
    pub(super) fn trim_front(&mut self, next: Sequence) -> &'a [u8] {
        let old = u32::try_from(self.seq.difference(next)).unwrap_or(0).min(self.wire_len());
        let (seen, rest) = self.bytes.split_at_checked(old as usize).unwrap_or((self.bytes, &[]));
        self.cut -= old - u32::try_from(seen.len()).unwrap_or(old);
        self.bytes = rest;
        self.seq = self.seq.add(old);
        seen
    }

    /// Takes off what lies behind `fin`: nothing can.
    pub(super) fn trim_back(&mut self, fin: Sequence) {
        let room = u32::try_from(self.seq.difference(fin)).unwrap_or(0);
        self.bytes = self.bytes.get(..room as usize).unwrap_or(self.bytes);
        self.cut = self.cut.min(room - u32::try_from(self.bytes.len()).unwrap_or(room));
    }
}

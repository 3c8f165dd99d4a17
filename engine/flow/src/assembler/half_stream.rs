//! The half-stream: where one direction of a connection stands.

use super::Sequence;
use crate::packet::Segment;

/// The largest window scale (RFC 7323); taken where the SYN was not seen.
const MAX_SCALE: u8 = 14;

/// One direction's position: 12 bytes, so that embryonic connections stay small.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfStream {
    /// The number of the next byte to hand on; behind the FIN when that was handed on.
    pub(super) next: Sequence,
    /// The number before the first byte: the SYN's, or what it would be as far as is known.
    pub(super) initial: Sequence,
    /// The window that the sender last told, unscaled.
    window: u16,
    /// Its scale.
    scale: u8,
    flags: u8,
}

impl HalfStream {
    const KNOWN: u8 = 1;
    const SYN: u8 = 2;
    const FIN: u8 = 4;
    const JOINED: u8 = 8;
    const PAYLOAD: u8 = 16;
    const UNTOLD: u8 = 32;
    const SHUT: u8 = 64;

    /// Nothing known yet.
    pub(super) const UNKNOWN: Self =
        Self { next: Sequence(0), initial: Sequence(0), window: 0, scale: MAX_SCALE, flags: 0 };

    fn is(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether `next` means something.
    pub(super) fn known(self) -> bool {
        self.is(Self::KNOWN)
    }

    /// Whether the SYN was seen.
    pub(super) fn syn(self) -> bool {
        self.is(Self::SYN)
    }

    /// Whether the FIN was handed on.
    pub(super) fn fin(self) -> bool {
        self.is(Self::FIN)
    }

    /// Whether payload at `next` can be handed on as it is, and the window that comes with it is nothing special. The first payload of a direction goes the long way, which
    /// notes its interface.
    #[inline]
    pub(super) fn plain(self, payload: &[u8]) -> bool {
        self.flags & (Self::KNOWN | Self::FIN | Self::JOINED | Self::SHUT) == Self::KNOWN
            && (payload.is_empty() || self.is(Self::PAYLOAD))
    }

    /// Payload was seen and its interface noted.
    pub(super) fn note_payload(&mut self) {
        self.flags |= Self::PAYLOAD;
    }

    /// Whether `next` was only told by the peer's SYN-ACK, and it acknowledges a SYN with `len` bytes at `seq`.
    pub(super) fn opened_with(self, seq: Sequence, len: usize) -> bool {
        let end = u32::try_from(len).map(|len| seq.add(1).add(len));
        self.flags == Self::KNOWN && end == Ok(self.next)
    }

    /// Takes note of a SYN; gives whether it is the first sight of it.
    pub(super) fn open(&mut self, seq: Sequence, window_scale: Option<u8>) -> bool {
        let first = !self.syn();
        if !self.known() || (first && self.initial != seq) {
            (self.initial, self.next) = (seq, seq.add(1));
        }
        // Both ends must offer scaling; where the other's offer is not known the larger window is the safe guess.
        self.scale = window_scale.unwrap_or(0);
        self.flags |= Self::KNOWN | Self::SYN;
        first
    }

    /// The SYN is still to be told: it was in doubt when it came.
    pub(super) fn tell_later(&mut self) {
        self.flags |= Self::UNTOLD;
    }

    /// Whether the SYN is still to be told; it counts as told from now on.
    pub(super) fn take_untold(&mut self) -> bool {
        let untold = self.is(Self::UNTOLD);
        self.flags &= !Self::UNTOLD;
        untold
    }

    /// Takes the first byte's number from what the peer acknowledged with its SYN.
    pub(super) fn begin_at(&mut self, next: Sequence) {
        (self.initial, self.next) = (Sequence(next.0.wrapping_sub(1)), next);
        self.flags |= Self::KNOWN;
    }

    /// Joins in the middle: `next` is the first byte that was seen.
    pub(super) fn join_at(&mut self, next: Sequence) {
        self.begin_at(next);
        self.flags |= Self::JOINED;
    }

    /// Whether the unknown gap at the beginning is still to be told; it counts as told from now on.
    pub(super) fn take_joined(&mut self) -> bool {
        let joined = self.is(Self::JOINED);
        self.flags &= !Self::JOINED;
        joined
    }

    /// The FIN was handed on.
    pub(super) fn finish(&mut self) {
        self.flags |= Self::FIN;
        self.next = self.next.add(1);
    }

    /// Takes note that this end's window is closed, or open again; gives whether that is new.
    pub(super) fn shut(&mut self, shut: bool) -> bool {
        let before = self.is(Self::SHUT);
        self.flags = if shut { self.flags | Self::SHUT } else { self.flags & !Self::SHUT };
        before != shut
    }

    /// Takes note of the window that a segment tells.
    #[inline]
    pub(super) fn heard(&mut self, segment: &Segment) {
        self.window = segment.window;
    }

    /// Bytes that this end is ready to take, as far as is known; never less than the window without scaling.
    pub(super) fn receive_window(self) -> u32 {
        (u32::from(self.window) << self.scale.min(MAX_SCALE)).max(0xffff)
    }
}

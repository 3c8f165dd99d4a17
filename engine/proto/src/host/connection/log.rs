//! What came of a connection before it is sure whose it is: kept in the order in which it came, so that a decoder that is opened late is told
//! the same as one that was there from the beginning.

use sniff_x_flow::assembler::Reassembly;
use sniff_x_flow::{Direction, Nanos};

use crate::Lost;

/// Bytes of each direction that are kept, and that probes may look at.
pub(super) const PROBE_BYTES: usize = 4 << 10;

/// Pieces that are kept; beyond it a connection of tiny segments counts as longer than it is.
const MAX_PIECES: usize = 512;

/// One thing that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// As the flow says it.
    pub(super) direction: Direction,
    pub(super) what: What,
    pub(super) seen: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// So many of the direction's kept bytes.
    Bytes(usize),
    Gap(Lost),
    /// The sender closed the direction.
    End,
}

/// What came, in order.
#[derive(Debug, Default)]
pub(in crate::host) struct Log {
    bytes: [Vec<u8>; 2],
    pieces: Vec<Piece>,
    /// How many pieces the chunk before the last one left.
    before: usize,
    /// Where what probes look at begins.
    from: [usize; 2],
    speaker: Option<Direction>,
    /// Joined in the middle, or bytes are missing: a direction's first bytes need not begin a message.
    broken: bool,
    /// Something came that was not kept.
    cut: bool,
}

impl Log {
    /// The connection is joined in the middle.
    pub(super) fn joined(&mut self) {
        self.broken = true;
    }

    /// A plugin wants the connection that nobody wanted before `seen`: the decoder will be told that bytes are missing.
    pub(super) fn joined_late(&mut self, seen: Nanos) {
        self.gap(Direction::ToServer, Lost::Unknown, seen);
        self.gap(Direction::ToClient, Lost::Unknown, seen);
    }

    /// Keeps a chunk.
    pub(super) fn add(&mut self, chunk: &Reassembly<'_>) {
        self.before = self.pieces.len();
        let direction = chunk.direction;
        match u64::try_from(chunk.skip) {
            Ok(0) => {}
            Ok(n) => self.gap(direction, Lost::Bytes(n), chunk.seen),
            Err(_) => self.gap(direction, Lost::Unknown, chunk.seen),
        }
        if !chunk.bytes.is_empty() {
            self.data(direction, chunk.bytes, chunk.seen);
        }
        if chunk.end {
            self.push(direction, What::End, chunk.seen);
        }
    }

    fn gap(&mut self, direction: Direction, lost: Lost, seen: Nanos) {
        self.broken = true;
        self.begin(direction);
        self.push(direction, What::Gap(lost), seen);
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], seen: Nanos) {
        if self.broken && self.speaker.replace(direction) != Some(direction) {
            // The other side spoke since: a message begins here, whatever came before.
            self.begin(direction);
        }
        let Some(kept) = self.bytes.get_mut(direction.index()) else { return };
        let room = PROBE_BYTES.saturating_sub(kept.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        kept.extend_from_slice(part);
        self.cut |= part.len() < bytes.len();
        self.push(direction, What::Bytes(part.len()), seen);
    }

    fn push(&mut self, direction: Direction, what: What, seen: Nanos) {
        if self.pieces.len() < MAX_PIECES {
            self.pieces.push(Piece { direction, what, seen });
        } else {
            self.cut = true;
        }
    }

    /// What probes look at of a direction begins with what comes next.
    fn begin(&mut self, direction: Direction) {
        let [to_server, to_client] = &self.bytes;
        match direction {
            Direction::ToServer => self.from[0] = to_server.len(),
            Direction::ToClient => self.from[1] = to_client.len(),
        }
    }

    /// What probes look at, to server and to client: from the beginning, or from each side's last turn.
    pub(super) fn windows(&self) -> [&[u8]; 2] {
        let [to_server, to_client] = &self.bytes;
        let [a, b] = self.from;
        [to_server.get(a..).unwrap_or_default(), to_client.get(b..).unwrap_or_default()]
    }

    /// Whether the windows begin with the connection: what a plugin does not know there it never will.
    pub(super) fn is_from_start(&self) -> bool {
        !self.broken
    }

    /// Whether all that came is kept.
    pub(in crate::host) fn is_whole(&self) -> bool {
        !self.cut
    }

    /// Whether more bytes would not be kept.
    pub(super) fn is_full(&self) -> bool {
        self.cut || self.bytes.iter().any(|bytes| bytes.len() >= PROBE_BYTES)
    }

    /// Whether no byte came.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.iter().all(Vec::is_empty)
    }

    /// All that came, but for the last chunk where `last` is false.
    pub(super) fn pieces(&self, last: bool) -> impl Iterator<Item = (Piece, &[u8])> {
        let pieces = if last { &self.pieces[..] } else { self.pieces.get(..self.before).unwrap_or_default() };
        let mut at = [0; 2];
        pieces.iter().map(move |piece| {
            let What::Bytes(len) = piece.what else { return (*piece, &[][..]) };
            let index = piece.direction.index();
            let from = at.get_mut(index).map_or(0, |at| core::mem::replace(at, *at + len));
            let bytes = self.bytes.get(index).and_then(|bytes| bytes.get(from..from + len));
            (*piece, bytes.unwrap_or_default())
        })
    }

    /// Bytes of memory that are in use.
    pub(super) fn kept(&self) -> usize {
        self.bytes.iter().map(Vec::len).sum::<usize>() + self.pieces.len() * size_of::<Piece>()
    }

    /// Forgets all, keeps the memory. What comes later is not kept as if it were all.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.cut = true;
    }

    /// As new, with the memory that it has.
    pub(super) fn clear(&mut self) {
        let [to_server, to_client] = &mut self.bytes;
        to_server.clear();
        to_client.clear();
        self.pieces.clear();
        (self.before, self.from, self.speaker) = (0, [0; 2], None);
        (self.broken, self.cut) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(direction: Direction, bytes: &[u8], skip: i64) -> Reassembly<'_> {
        Reassembly { direction, bytes, skip, start: false, end: false, seen: Nanos(7) }
    }

    const UP: Direction = Direction::ToServer;
    const DOWN: Direction = Direction::ToClient;

    #[test]
    fn order_is_kept() {
        let mut log = Log::default();
        for (direction, bytes) in [(UP, &b"ab"[..]), (DOWN, b"x"), (UP, b"c")] {
            log.add(&chunk(direction, bytes, 0));
        }
        assert_eq!(log.windows(), [&b"abc"[..], b"x"]);
        let told: Vec<_> = log.pieces(true).map(|(p, bytes)| (p.direction, bytes)).collect();
        assert_eq!(told, [(UP, &b"ab"[..]), (DOWN, b"x"), (UP, b"c")]);
        assert_eq!(log.pieces(false).count(), 2);
    }

    #[test]
    fn after_a_loss_the_windows_begin_with_the_last_turns() {
        let mut log = Log::default();
        log.add(&chunk(DOWN, b"tail", -1));
        log.add(&chunk(UP, b"ask", 0));
        log.add(&chunk(DOWN, b"ans", 0));
        log.add(&chunk(DOWN, b"wer", 0));
        assert_eq!(log.windows(), [&b"ask"[..], b"answer"]);
        log.add(&chunk(UP, b"more", 0));
        assert_eq!(log.windows(), [&b"more"[..], b"answer"]);
        assert!(!log.is_from_start());
    }

    #[test]
    fn it_is_bounded() {
        let mut log = Log::default();
        log.add(&chunk(UP, &[b'x'; 3 * PROBE_BYTES], 0));
        assert!(log.is_full() && !log.is_whole());
        assert_eq!(log.windows()[0].len(), PROBE_BYTES);
        log.clear();
        for _ in 0..10_000 {
            log.add(&chunk(UP, b"x", 0));
        }
        assert!(log.is_full() && log.kept() < 64 << 10);
    }
}

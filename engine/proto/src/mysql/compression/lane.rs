//! One direction of a compressed connection: where it stands in its frames, and what is kept of the packets inside.

use sniff_x_flow::{Direction, Nanos};

use crate::half::{Fed, Half, Keeper as _};
use crate::inflate::{Algorithm, Inflater};
use crate::mysql::decoder::MysqlDecoder;
use crate::mysql::frame::Frame;
use crate::{BypassReason, Lost, Next, Out, Seen, Window};

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    /// The next byte is known to begin a frame, or to be inside one.
    pub(super) in_step: bool,
    /// The other side spoke since: what comes now begins a message.
    pub(super) fresh: bool,
    /// The bytes kept may be the beginning of a frame; more are needed to tell.
    pub(super) trying: bool,
    /// How many bytes are kept for it.
    pub(super) kept: usize,
    /// A whole frame was what it claimed to be since it is in step.
    pub(super) sure: bool,
    /// The sequence id of the last frame; none before the first one.
    pub(super) seq: Option<u8>,
    /// Bytes of the frame that are still to come.
    pub(super) left: usize,
    /// Plain bytes that they become.
    plain_left: usize,
    content: Content,
    /// When the frame's first byte was seen; none once plain bytes of it were fed on.
    begun: Option<Nanos>,
    plain: Half,
}

/// What is in a frame.
#[derive(Debug)]
enum Content {
    Plain,
    /// The decompressor comes with the first byte.
    Compressed(Option<Inflater>),
}

/// Why a frame is not followed to its end.
#[derive(Debug)]
pub(super) enum Stop {
    Corrupt(&'static str),
    /// There is no decompressor to be had.
    Refused,
    Bypass(BypassReason),
}

const WRONG_BYTES: Stop = Stop::Corrupt("a compressed frame can't be decompressed");
const WRONG_LENGTH: Stop = Stop::Corrupt("a compressed frame has not the length that it announced");

impl Lane {
    pub(super) fn new(in_step: bool) -> Self {
        Self {
            in_step,
            fresh: false,
            trying: false,
            kept: 0,
            sure: in_step,
            seq: None,
            left: 0,
            plain_left: 0,
            content: Content::Plain,
            begun: None,
            plain: Half::default(),
        }
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        let inflater = match &self.content {
            Content::Compressed(Some(inflater)) => inflater.cost(),
            _ => 0,
        };
        self.plain.kept() + inflater
    }

    /// Gives back what is borrowed, and forgets what it was for.
    pub(super) fn release(&mut self, out: &mut Out<'_>) {
        self.end_frame(out);
        self.plain.drop_tail(out);
        self.plain.set_skip(0);
    }

    pub(super) fn begin_frame(&mut self, frame: Frame, at: Nanos) {
        self.seq = Some(frame.seq);
        self.left = frame.len;
        (self.plain_left, self.content) = match frame.plain {
            0 => (frame.len, Content::Plain),
            plain => (plain, Content::Compressed(None)),
        };
        self.begun = Some(at);
    }

    fn end_frame(&mut self, out: &mut Out<'_>) {
        (self.left, self.plain_left) = (0, 0);
        if let Content::Compressed(Some(inflater)) = core::mem::replace(&mut self.content, Content::Plain) {
            out.stock().inflaters.give_back(inflater);
        }
    }

    /// Out of step: what comes is passed over until a frame is recognised.
    pub(super) fn lose(&mut self, out: &mut Out<'_>) {
        self.end_frame(out);
        (self.in_step, self.fresh, self.trying, self.seq) = (false, false, false, None);
    }

    /// Takes some of the frame's content.
    pub(super) fn body(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        body: &[u8],
        at: Nanos,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        self.left -= body.len();
        let Content::Compressed(inflater) = &mut self.content else {
            self.plain_left -= body.len();
            self.sure |= self.left == 0;
            return self.feed(inner, direction, body, at, out);
        };
        let inflater = match (inflater.take(), body.first()) {
            (Some(inflater), _) => Some(inflater),
            (None, Some(first)) => out.stock().inflaters.take(Algorithm::of(*first), self.plain_left),
            (None, None) => return Ok(()),
        };
        let Some(mut inflater) = inflater else { return Err(Stop::Refused) };
        let mut output = out.stock().take_output();
        let result = self.inflate(&mut inflater, &mut output, inner, direction, body, at, out);
        out.stock().give_back_output(output);
        self.content = Content::Compressed(Some(inflater));
        if let Ok(true) = result {
            self.end_frame(out);
            self.sure = true;
        }
        result.map(|_| ())
    }

    /// Decompresses `input` and feeds on what comes out; whether the frame is over.
    #[expect(clippy::too_many_arguments, reason = "what is lent for one call, apart from the lane")]
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        output: &mut [u8],
        inner: &mut MysqlDecoder,
        direction: Direction,
        mut input: &[u8],
        at: Nanos,
        out: &mut Out<'_>,
    ) -> Result<bool, Stop> {
        loop {
            let piece = inflater.push(input, output).map_err(|_| WRONG_BYTES)?;
            input = input.get(piece.read..).unwrap_or_default();
            self.plain_left = self.plain_left.checked_sub(piece.written).ok_or(WRONG_LENGTH)?;
            let paused = piece.written < output.len() && input.is_empty();
            // What is wrong with the end of a frame is known before the last piece of it is believed.
            let exact = input.is_empty() && self.left == 0 && self.plain_left == 0;
            if piece.done && !exact || !piece.done && paused && self.left == 0 {
                return Err(WRONG_LENGTH);
            }
            if piece.read == 0 && piece.written == 0 && !paused && !piece.done {
                return Err(WRONG_BYTES);
            }
            self.feed(inner, direction, output.get(..piece.written).unwrap_or_default(), at, out)?;
            if piece.done || paused {
                return Ok(piece.done);
            }
        }
    }

    /// Feeds plain bytes, seen at `at`, to the decoder of packets.
    fn feed(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        mut bytes: &[u8],
        at: Nanos,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        out.stock().tally.unpacked += bytes.len() as u64;
        // What begins with the frame was first seen with its header.
        if let Some(begun) = self.begun.filter(|b| *b != at)
            && let Some((first, rest)) = bytes.split_at_checked(1)
        {
            self.begun = None;
            self.feed_at(inner, direction, first, begun, out)?;
            bytes = rest;
        }
        self.begun = self.begun.filter(|_| bytes.is_empty());
        self.feed_at(inner, direction, bytes, at, out)
    }

    fn feed_at(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        mut bytes: &[u8],
        at: Nanos,
        out: &mut Out<'_>,
    ) -> Result<(), Stop> {
        loop {
            let read = |out: &mut Out<'_>, window: Window<'_>| inner.plain_data(direction, window, out);
            match self.plain.feed(bytes, at, out, read) {
                Fed::All => return Ok(()),
                Fed::Bypass(reason) => return Err(Stop::Bypass(reason)),
                Fed::TooLong(rest) => {
                    out.stock().tally.oversized += 1;
                    let (lost, skip) = self.plain.unfinished();
                    if let Next::Bypass(reason) = self.miss(inner, direction, lost, true, out) {
                        return Err(Stop::Bypass(reason));
                    }
                    self.plain.set_skip(self.plain.skip().saturating_add(skip));
                    bytes = rest;
                }
            }
        }
    }

    /// Plain bytes are missing; `exact`: so many as `lost` says, otherwise nobody knows.
    fn miss(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        lost: Lost,
        exact: bool,
        out: &mut Out<'_>,
    ) -> Next {
        if !exact {
            self.plain.set_skip(0);
        }
        let nothing = Next::More { used: 0, need: 0 };
        let Some((lost, tail)) = self.plain.miss(lost) else { return nothing };
        let none = Seen::default();
        let window = tail.as_ref().map_or(Window::new(&[], &none), |t| t.window());
        let next = inner.plain_gap(direction, window, lost, exact, out);
        if let Some(tail) = tail {
            out.tails().give_back(tail);
        }
        if let Next::Skip { then, .. } = next {
            self.plain.set_skip(then);
        }
        next
    }

    /// Bytes of the connection are missing.
    pub(super) fn gap(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        lost: Lost,
        out: &mut Out<'_>,
    ) -> Next {
        let inside = match lost {
            Lost::Bytes(n) if self.in_step => usize::try_from(n).ok().filter(|n| *n <= self.left),
            _ => None,
        };
        let Some(missing) = inside.filter(|n| *n > 0) else {
            self.lose(out);
            return match self.miss(inner, direction, lost, false, out) {
                Next::Bypass(reason) => Next::Bypass(reason),
                _ => Next::More { used: 0, need: 0 },
            };
        };
        if let Content::Compressed(_) = self.content {
            self.left -= missing;
            return self.pass_frame(inner, direction, Lost::Bytes, out);
        }
        self.left -= missing;
        self.plain_left -= missing;
        match self.miss(inner, direction, Lost::Bytes(missing as u64), true, out) {
            Next::Bypass(reason) => Next::Bypass(reason),
            _ => Next::More { used: 0, need: 0 },
        }
    }

    /// The rest of a compressed frame can't be decompressed. Where it ends is known, and how many plain bytes are lost with it.
    pub(super) fn pass_frame(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        lost: fn(u64) -> Lost,
        out: &mut Out<'_>,
    ) -> Next {
        let (then, plain) = (self.left, self.plain_left);
        self.end_frame(out);
        match self.miss(inner, direction, lost(plain as u64), true, out) {
            Next::Bypass(reason) => Next::Bypass(reason),
            _ => Next::Skip { used: 0, then: then as u64 },
        }
    }

    /// How many of the frame's coming bytes nobody wants to read: they are taken for passed over.
    pub(super) fn passable(&mut self) -> u64 {
        if !matches!(self.content, Content::Plain) {
            return 0;
        }
        let n = usize::try_from(self.plain.skip()).unwrap_or(usize::MAX).min(self.left);
        self.plain.set_skip(self.plain.skip() - n as u64);
        self.left -= n;
        self.plain_left -= n;
        n as u64
    }
}

//! The compressed protocol: frames around the packets of both directions, from the end of the login on.
//!
//! Stage: bytes in order → plain bytes in order, for [`super::client`] and [`super::server`]. A frame is decompressed as it comes and
//! never kept: pieces of its content are fed on at once, what those leave of an unfinished packet is kept. Packets and frames know
//! nothing of each other: a packet may begin in one frame and end in the next.
//!
//! A frame has a header of seven bytes ([`Frame`]). Its sequence id is 0 for the first one of a command, each frame of either side counts on. The
//! sequence ids of the packets inside mean nothing: servers set them back to that of the frame each time they flush.
//!
//! After a loss a direction passes over its bytes until it may begin a message again; there a frame must stand that looks like one, and in
//! it a packet that passes the checks of [`super::resync`].
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression.html>.

use sniff_x_flow::{Direction, Nanos};

use super::decoder::{MysqlDecoder, Phase};
use super::frame::{FRAME_HEADER, Frame};
use super::response::Response;
use super::resync::Look;
use crate::event::IncompleteReason;
use crate::{Lost, Next, Out, Window};
use lane::{Lane, Stop};

mod lane;
#[cfg(test)]
mod tests;

/// Both directions' frames.
#[derive(Debug)]
pub(super) struct Compression {
    lanes: [Lane; 2],
}

impl MysqlDecoder {
    /// From now on both directions speak in frames. `in_step`: the next byte of each begins one; otherwise both look for one, the client at once.
    pub(super) fn begin_compression(&mut self, in_step: bool) {
        let (mut client, mut server) = (Lane::new(in_step), Lane::new(in_step));
        client.fresh = true;
        self.client.step.fresh = true;
        // What the host keeps of the server is no beginning of a frame.
        (server.trying, server.kept) = (core::mem::take(&mut self.server.trying), self.server.kept);
        self.stale = 0;
        if !in_step {
            self.server.in_step = false;
            self.response = Response::default();
        }
        self.compression = Some(Box::new(Compression { lanes: [client, server] }));
        self.frames = Some([0; 2]);
    }

    /// Bytes of frames: those of `window` from `at` on.
    pub(super) fn compressed_data(
        &mut self,
        direction: Direction,
        window: Window<'_>,
        at: usize,
        out: &mut Out<'_>,
    ) -> Next {
        let Some(mut compression) = self.compression.take() else {
            return Next::More { used: window.bytes.len(), need: 0 };
        };
        let next = compression.data(self, direction, window, at, out);
        if matches!(next, Next::Bypass(_)) || self.phase == Phase::Over {
            compression.release(out);
        }
        self.compression = Some(compression);
        next
    }

    /// Bytes of frames are missing behind what the host kept.
    pub(super) fn compressed_gap(&mut self, direction: Direction, lost: Lost, out: &mut Out<'_>) -> Next {
        let Some(mut compression) = self.compression.take() else {
            return Next::More { used: 0, need: 0 };
        };
        let next = compression.gap(self, direction, lost, out);
        self.compression = Some(compression);
        next
    }

    /// Gives back what was borrowed: nothing follows.
    pub(super) fn release_compression(&mut self, out: &mut Out<'_>) {
        if let Some(compression) = &mut self.compression {
            compression.release(out);
        }
    }

    /// The frames of a direction can't be followed.
    fn corrupt(
        &mut self,
        direction: Direction,
        what: &'static str,
        sure: bool,
        at: Nanos,
        out: &mut Out<'_>,
    ) {
        if sure {
            self.notice(what, at, None, out);
        }
        self.reason = IncompleteReason::Midstream;
        match direction {
            Direction::ToServer => self.no_request(),
            Direction::ToClient if self.queue.is_empty() => self.server.lose(),
            Direction::ToClient => self.lose_server(IncompleteReason::Midstream, 0, at, out),
        }
    }

    /// A direction spoke at `at`, but what it said is passed over.
    fn overhears(&mut self, direction: Direction, at: Nanos) {
        let step = match direction {
            Direction::ToServer => &mut self.client.step,
            Direction::ToClient => &mut self.server,
        };
        (step.last, step.fresh, step.broken) = (at, false, false);
    }
}

impl Compression {
    fn lane(&mut self, direction: Direction) -> &mut Lane {
        let [to_server, to_client] = &mut self.lanes;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        size_of::<Self>() + self.lanes.iter().map(Lane::retained).sum::<usize>()
    }

    fn release(&mut self, out: &mut Out<'_>) {
        for lane in &mut self.lanes {
            lane.release(out);
        }
    }

    fn data(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        window: Window<'_>,
        mut at: usize,
        out: &mut Out<'_>,
    ) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        self.lane(direction.reverse()).fresh = true;
        let lane = self.lane(direction);
        let fresh = core::mem::take(&mut lane.fresh);
        let trying = core::mem::take(&mut lane.trying);
        if inner.phase == Phase::Over {
            return all;
        }
        if !lane.in_step {
            if trying && fresh {
                // The other side spoke: what was kept is the end of something.
                at = at.max(lane.kept);
            }
            let now = window.seen_at(at);
            let turn = fresh
                || trying
                || direction == Direction::ToClient
                    && !inner.server.broken
                    && inner.is_turn(inner.server.last, now);
            let rest = bytes.get(at..).unwrap_or_default();
            let look = if turn { self.look(direction, rest) } else { Look::No };
            let lane = self.lane(direction);
            match look {
                Look::Yes => (lane.in_step, lane.sure, lane.seq) = (true, false, None),
                Look::More => {
                    (lane.trying, lane.kept) = (true, rest.len());
                    return Next::More { used: at, need: 0 };
                }
                Look::No | Look::Compressed => {
                    inner.overhears(direction, window.seen_at(bytes.len()));
                    return all;
                }
            }
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.lane(direction).left == 0 {
                let Some(frame) = Frame::parse(rest) else {
                    return Next::More { used: at, need: FRAME_HEADER };
                };
                let time = window.seen_at(at);
                if let Err(what) = self.accepts(direction, frame, inner) {
                    self.lose(inner, direction, what, time, out);
                    return all;
                }
                self.lane(direction).begin_frame(frame, time);
                inner.frames = Some(self.lanes.each_ref().map(|lane| lane.seq.unwrap_or(0)));
                at += FRAME_HEADER;
                continue;
            }
            let lane = self.lane(direction);
            let body = rest.get(..lane.left).unwrap_or(rest);
            if body.is_empty() {
                return all;
            }
            at += body.len();
            let time = window.seen_at(at - 1);
            match lane.body(inner, direction, body, time, out) {
                Ok(()) => {}
                Err(Stop::Bypass(reason)) => return Next::Bypass(reason),
                Err(Stop::Corrupt(what)) => {
                    self.lose(inner, direction, what, time, out);
                    return all;
                }
                Err(Stop::Refused) => {
                    out.stock().tally.refused += 1;
                    match lane.pass_frame(inner, direction, Lost::Limit, out) {
                        Next::Skip { then, .. } => return Next::Skip { used: at, then },
                        next => return next,
                    }
                }
            }
            if inner.phase == Phase::Over {
                return all;
            }
            // What nobody wants to read need not even be seen, as long as it is not compressed.
            let passed = lane.passable();
            if passed > 0 && at == bytes.len() {
                return Next::Skip { used: at, then: passed };
            }
        }
    }

    /// Whether a frame may begin here, in a direction that is looking for one.
    fn look(&mut self, direction: Direction, bytes: &[u8]) -> Look {
        match direction {
            Direction::ToServer => Frame::look(bytes, 0),
            // The response to the last command: its frames count on from the client's.
            Direction::ToClient => {
                let client = self.lane(Direction::ToServer);
                match client.seq.filter(|_| client.in_step && client.left == 0) {
                    Some(seq) => Frame::look(bytes, seq.wrapping_add(1)),
                    None => Look::No,
                }
            }
        }
    }

    /// Whether a frame may stand where the direction is.
    fn accepts(
        &mut self,
        direction: Direction,
        frame: Frame,
        inner: &MysqlDecoder,
    ) -> Result<(), &'static str> {
        let follows = |lane: &Lane| lane.seq.is_none_or(|last| last.wrapping_add(1) == frame.seq);
        let [to_server, to_client] = &self.lanes;
        let in_turn = follows(to_server) || follows(to_client);
        let counted = match direction {
            Direction::ToServer => frame.seq == 0 || in_turn,
            // A client that sends ahead has begun to count anew; a server that closes an idle connection was asked nothing.
            Direction::ToClient => frame.seq == 1 || in_turn || inner.queue.is_empty(),
        };
        match () {
            () if !counted => Err("a compressed frame is out of sequence"),
            () if frame.len == 0 && frame.plain > 0 => Err("a compressed frame is malformed"),
            () => Ok(()),
        }
    }

    /// The direction is out of step, until it begins to speak again.
    fn lose(
        &mut self,
        inner: &mut MysqlDecoder,
        direction: Direction,
        what: &'static str,
        at: Nanos,
        out: &mut Out<'_>,
    ) {
        let lane = self.lane(direction);
        let sure = lane.sure;
        lane.lose(out);
        lane.release(out);
        inner.corrupt(direction, what, sure, at, out);
    }

    fn gap(&mut self, inner: &mut MysqlDecoder, direction: Direction, lost: Lost, out: &mut Out<'_>) -> Next {
        match self.lane(direction).gap(inner, direction, lost, out) {
            Next::Bypass(reason) => {
                self.release(out);
                Next::Bypass(reason)
            }
            next => next,
        }
    }
}

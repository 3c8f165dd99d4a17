//! The host's state of one connection.

mod datagram;
mod log;
mod probing;
pub(super) mod trial;

use sniff_x_flow::assembler::{Chunks, Reassembly, Stream, Totals};
use sniff_x_flow::{Direction, End, FlowInfo, Nanos};

use trial::{Candidates, Trial};

use super::Host;
use crate::half::{Fed, Half, Keeper};
use crate::tail::TailPool;
use crate::{BypassReason, Decode, Decoder, Lost, Next, Out, Seen, Window};

/// What a connection may keep however much others do, and may hold without being asked often.
const SMALL: usize = 4 << 10;
const LARGE: usize = 32 << 10;

/// The host's state of one connection: its plugin's decoder and what it has not consumed.
pub struct Connection {
    pub(super) state: State,
    pub(super) halves: [Half; 2],
    /// As long as it is not sure whose the connection is.
    pub(super) trial: Option<Box<Trial>>,
    /// A probe, or another rule's port, found client and server the other way round.
    pub(super) reversed: bool,
    /// It was open for a while when a plugin got it: nobody knows what was before.
    pub(super) late: bool,
    /// The plugins that may get it, and the edition of the rules that said so.
    pub(super) candidates: Candidates,
    pub(super) edition: u32,
    /// The plugin that opened the decoder.
    pub(super) plugin: u32,
    /// Kept bytes that the host's sum has of this connection.
    charged: usize,
    /// What the decoder held when it was last asked, and the bytes that it was given since.
    held: usize,
    unasked: usize,
}

pub(super) enum State {
    /// It is over.
    Ignored,
    /// Given up: its bytes are counted, nothing else.
    Bypassed,
    /// Several plugins may get it; nothing came yet.
    Awaited,
    /// Something came, and it is not known whose the connection is.
    Probing,
    /// The plugin is chosen, its decoder is opened with the first payload.
    Claimed(u32),
    Decoding(Decoder),
}

impl Keeper for Host {
    fn tails(&mut self) -> &mut TailPool {
        &mut self.arena.stock.tails
    }

    fn max_message(&self) -> usize {
        self.arena.stock.max_message
    }

    fn passed_over(&mut self, bytes: u64) {
        self.counters.skipped_bytes += bytes;
    }
}

impl State {
    /// Before anything came, when these plugins may get it.
    pub(super) fn of(candidates: Candidates) -> Self {
        match candidates.only() {
            _ if candidates.all() == 0 => Self::Ignored,
            Some(plugin) => Self::Claimed(plugin),
            None => Self::Awaited,
        }
    }
}

/// What every call from the assembler brings.
pub(super) struct Call<'a> {
    pub(super) host: &'a mut Host,
    pub(super) flow: &'a FlowInfo,
    pub(super) totals: &'a [Totals; 2],
    pub(super) now: Nanos,
}

impl Call<'_> {
    fn out(&mut self, reversed: bool) -> Out<'_> {
        Out::new(&mut self.host.arena, self.flow, self.totals, self.now, reversed)
    }
}

/// One direction's half, borrowed apart from the decoder beside it.
fn half_of(halves: &mut [Half; 2], direction: Direction) -> &mut Half {
    let [to_server, to_client] = halves;
    match direction {
        Direction::ToServer => to_server,
        Direction::ToClient => to_client,
    }
}

/// While a direction is read: what the other one was to pass over and has not sent. This one has passed over all of it.
#[inline]
fn unseen_beside([to_server, to_client]: &[Half; 2], direction: Direction) -> [u64; 2] {
    match direction {
        Direction::ToServer => [0, to_client.skip()],
        Direction::ToClient => [to_server.skip(), 0],
    }
}

impl Connection {
    /// A connection that these plugins may get, as the rules of this edition have it.
    pub(super) fn new(candidates: Candidates, edition: u32) -> Self {
        Self {
            state: State::of(candidates),
            halves: Default::default(),
            trial: None,
            reversed: false,
            late: false,
            candidates,
            edition,
            plugin: 0,
            charged: 0,
            held: 0,
            unasked: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn decoding(decoder: Decoder) -> Self {
        Self { state: State::Decoding(decoder), ..Self::new(Candidates { named: 1, guessing: 0 }, 0) }
    }

    /// Opens the decoder of the plugin that was chosen.
    pub(super) fn open(&mut self, host: &mut Host, flow: &FlowInfo) {
        if let State::Claimed(index) = self.state
            && let Some(plugin) = host.plugin(index)
        {
            let flow = FlowInfo { midstream: flow.midstream || self.late, ..*flow };
            self.state = State::Decoding(plugin.open(&flow));
            self.plugin = index;
            host.counters.decoded += 1;
        }
    }

    fn direction(&self, direction: Direction) -> Direction {
        if self.reversed { direction.reverse() } else { direction }
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        half_of(&mut self.halves, direction)
    }

    /// New bytes of a direction, in order.
    fn data(&mut self, call: &mut Call<'_>, direction: Direction, mut bytes: &[u8]) {
        loop {
            let State::Decoding(decoder) = &mut self.state else { return };
            let Call { host, flow, totals, now } = call;
            let reversed = self.reversed;
            let unseen = unseen_beside(&self.halves, direction);
            let read = |host: &mut Host, window: Window<'_>| {
                let out = Out::new(&mut host.arena, flow, totals, *now, reversed);
                decoder.data(direction, window, &mut out.with_unseen(unseen))
            };
            match half_of(&mut self.halves, direction).feed(bytes, *now, *host, read) {
                Fed::All => return,
                Fed::TooLong(rest) => {
                    self.too_long(call, direction);
                    bytes = rest;
                }
                Fed::Bypass(reason) => return self.bypass(call, reason),
            }
        }
    }

    /// A message needs more memory than a connection may have.
    fn too_long(&mut self, call: &mut Call<'_>, direction: Direction) {
        call.host.counters.oversized_messages += 1;
        self.give_up_message(call, direction);
    }

    /// Counts what the connection keeps.
    #[inline]
    fn charge(&mut self, call: &mut Call<'_>) {
        if !call.host.arena.stock.tally.is_empty() {
            self.take_tally(call.host);
        }
        // Asking costs more than a segment should. A decoder can't hold much more than it was given; one that holds much is asked each
        // time, so that it does not count for long after it let go.
        if self.unasked >= SMALL || self.held >= LARGE {
            self.unasked = 0;
            self.held = if let State::Decoding(decoder) = &self.state { decoder.retained() } else { 0 };
        }
        self.settle(call.host);
        if call.host.kept > call.host.max_kept {
            self.give_way(call);
        }
    }

    #[cold]
    fn take_tally(&mut self, host: &mut Host) {
        let tally = core::mem::take(&mut host.arena.stock.tally);
        let counters = &mut host.counters;
        counters.unpacked_bytes += tally.unpacked;
        counters.refused_decompressions += tally.refused;
        counters.oversized_messages += tally.oversized;
        // They were given to the decoder like any others.
        self.unasked = self.unasked.saturating_add(usize::try_from(tally.unpacked).unwrap_or(usize::MAX));
    }

    /// All connections together keep too much: the one that wants more loses its messages. Small ones stay, so that ordinary connections are
    /// decoded beside greedy ones.
    #[cold]
    fn give_way(&mut self, call: &mut Call<'_>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            if self.half(direction).kept() > SMALL {
                call.host.counters.crowded_out_messages += 1;
                self.give_up_message(call, direction);
            }
        }
        // Whoever has it keeps it, and nobody gets what is not known yet.
        self.acquit(call);
        if matches!(self.state, State::Probing) {
            self.bypass(call, BypassReason::Limit);
        }
        if self.held > SMALL {
            self.end(call, End::Evicted);
            self.bypass(call, BypassReason::Limit);
        }
        self.settle(call.host);
    }

    /// Bytes that are kept of the connection now: unfinished messages, and what the decoder holds.
    #[must_use]
    pub fn kept(&self) -> usize {
        let held = if let State::Decoding(decoder) = &self.state { decoder.retained() } else { 0 };
        self.tails().saturating_add(held)
    }

    /// A chunk of bytes will come: what it wants first comes into the cache.
    pub(super) fn foresee(&self) {
        sniff_x_prefetch::value(&self.halves);
        sniff_x_prefetch::value(&self.held);
        sniff_x_prefetch::value(&self.state);
    }

    /// The same for its decoder.
    pub(super) fn foresee_decoder(&self) {
        if let State::Decoding(decoder) = &self.state {
            decoder.foresee();
        }
    }

    /// Bytes of unfinished messages, and of what came before it is known whose the connection is.
    fn tails(&self) -> usize {
        let log = self.trial.as_ref().map_or(0, |trial| trial.log.kept());
        let [to_server, to_client] = &self.halves;
        to_server.kept() + to_client.kept() + log
    }

    /// Brings the host's sum of kept bytes up to date.
    fn settle(&mut self, host: &mut Host) {
        if !matches!(self.state, State::Decoding(_)) {
            self.held = 0;
        }
        let kept = self.tails().saturating_add(self.held);
        if kept != self.charged {
            host.kept = host.kept.saturating_sub(self.charged).saturating_add(kept);
            self.charged = kept;
        }
    }

    /// Tells the decoder that it is over.
    pub(super) fn end(&mut self, call: &mut Call<'_>, why: End) {
        if let State::Decoding(decoder) = &mut self.state {
            let none = Seen::default();
            let tails = self.halves.each_ref().map(|h| h.window(&none));
            let unseen = self.halves.each_ref().map(Half::skip);
            decoder.end(why, tails, &mut call.out(self.reversed).with_unseen(unseen));
        }
    }

    /// Throws away what is kept of a direction's message, and passes over the rest of it.
    fn give_up_message(&mut self, call: &mut Call<'_>, direction: Direction) {
        let (lost, rest) = self.half(direction).unfinished();
        self.lost(call, direction, lost);
        let half = self.half(direction);
        half.set_skip(half.skip().saturating_add(rest));
    }

    /// Bytes are missing.
    pub(super) fn lost(&mut self, call: &mut Call<'_>, direction: Direction, lost: Lost) {
        // Unless nothing that the decoder wanted to see is missing.
        let Some((lost, tail)) = self.half(direction).miss(lost) else { return };
        let State::Decoding(decoder) = &mut self.state else { return };
        let none = Seen::default();
        let window = tail.as_ref().map_or(Window::new(&[], &none), |t| t.window());
        call.host.counters.gaps += 1;
        let out = Out::new(&mut call.host.arena, call.flow, call.totals, call.now, self.reversed);
        let mut out = out.with_unseen(unseen_beside(&self.halves, direction));
        match decoder.gap(direction, window, lost, &mut out) {
            Next::More { .. } => {}
            Next::Skip { then, .. } => self.half(direction).set_skip(then),
            Next::Bypass(reason) => self.bypass(call, reason),
        }
        if let Some(tail) = tail {
            call.host.tails().give_back(tail);
        }
    }

    /// The decoder's word that nothing more matters. One on trial that says that it is not its protocol loses the connection to others.
    fn bypass(&mut self, call: &mut Call<'_>, reason: BypassReason) {
        let is_wrong = matches!(reason, BypassReason::NotThisProtocol | BypassReason::Undecodable);
        if is_wrong
            && matches!(self.state, State::Decoding(_))
            && let Some(before) = self.doubted(call)
        {
            return self.withdraw(call, before);
        }
        let counters = &mut call.host.counters;
        match reason {
            BypassReason::Encrypted => counters.bypassed_encrypted += 1,
            BypassReason::NotThisProtocol => counters.bypassed_other_protocol += 1,
            BypassReason::Undecodable => counters.bypassed_undecodable += 1,
            BypassReason::Limit => counters.bypassed_limit += 1,
        }
        self.give_up(call);
    }

    /// Its bytes are only counted from now on.
    fn give_up(&mut self, call: &mut Call<'_>) {
        self.state = State::Bypassed;
        self.drop_tails(call);
    }

    /// Nothing of it is kept any more.
    fn drop_tails(&mut self, call: &mut Call<'_>) {
        self.acquit(call);
        self.half(Direction::ToServer).drop_tail(call.host);
        self.half(Direction::ToClient).drop_tail(call.host);
    }

    /// It is over: nothing is kept of it.
    pub(super) fn forget(&mut self, call: &mut Call<'_>) {
        self.state = State::Ignored;
        self.drop_tails(call);
        self.settle(call.host);
    }

    /// Gives the decoder a chunk.
    #[inline]
    fn chunk(&mut self, call: &mut Call<'_>, chunk: &Reassembly<'_>) {
        let direction = self.direction(chunk.direction);
        match u64::try_from(chunk.skip) {
            Ok(0) => {}
            Ok(n) => self.lost(call, direction, Lost::Bytes(n)),
            Err(_) => self.lost(call, direction, Lost::Unknown),
        }
        if !chunk.bytes.is_empty() {
            self.unasked = self.unasked.saturating_add(chunk.bytes.len());
            self.data(call, direction, chunk.bytes);
        }
        if chunk.end {
            self.half_closed(call, direction);
        }
    }

    /// Takes one of several chunks, or one of a connection that nobody has for sure; false when it is over.
    fn any_chunk(&mut self, call: &mut Call<'_>, chunk: &Reassembly<'_>) -> bool {
        match self.state {
            State::Ignored => return false,
            State::Bypassed => {
                call.host.counters.bypassed_bytes += chunk.bytes.len() as u64;
                return true;
            }
            State::Claimed(_) if !chunk.bytes.is_empty() || chunk.skip > 0 => {
                self.open(call.host, call.flow);
                self.tell_late(call);
            }
            State::Awaited => self.put_on_trial(call),
            State::Probing | State::Claimed(_) | State::Decoding(_) => {}
        }
        if self.trial.is_none() {
            self.chunk(call, chunk);
            return true;
        }
        self.keep(chunk);
        if matches!(self.state, State::Probing) && !self.decide(call, true, false) {
            return true;
        }
        self.set_mark(call);
        self.chunk(call, chunk);
        self.judge(call);
        if matches!(self.state, State::Probing) {
            self.decide(call, false, false);
        }
        true
    }

    /// The direction's sender closed it.
    fn half_closed(&mut self, call: &mut Call<'_>, direction: Direction) {
        if let State::Decoding(decoder) = &mut self.state {
            let none = Seen::default();
            let half = half_of(&mut self.halves, direction);
            decoder.half_closed(direction, half.window(&none), &mut call.out(self.reversed));
        }
    }
}

impl Stream<Host> for Connection {
    fn reassembled(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        let mut call = Call { host, flow, totals, now: flow.first_seen };
        // Nearly always it is one, of a connection whose decoder is at work.
        if let (Some(chunk), None, State::Decoding(_)) = (chunks.only(), &self.trial, &self.state) {
            call.now = chunk.seen;
            call.host.now = chunk.seen;
            self.chunk(&mut call, chunk);
            return self.charge(&mut call);
        }
        for chunk in chunks {
            call.now = chunk.seen;
            call.host.now = chunk.seen;
            if !self.any_chunk(&mut call, &chunk) {
                return;
            }
        }
        self.charge(&mut call);
    }

    fn reassembly_complete(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], end: End) {
        let now = host.now;
        let mut call = Call { host, flow, totals, now };
        if matches!(self.state, State::Awaited) {
            self.put_on_trial(&mut call);
        }
        if matches!(self.state, State::Probing) {
            self.probing_ends(&mut call);
        }
        self.end(&mut call, end);
        self.forget(&mut call);
    }

    fn idle(&mut self, host: &mut Host, flow: &FlowInfo, totals: &[Totals; 2], now: Nanos) -> bool {
        match &mut self.state {
            State::Decoding(decoder) => {
                let unseen = self.halves.each_ref().map(Half::skip);
                let out = Out::new(&mut host.arena, flow, totals, now, self.reversed);
                decoder.tick(now, &mut out.with_unseen(unseen))
            }
            _ => false,
        }
    }
}

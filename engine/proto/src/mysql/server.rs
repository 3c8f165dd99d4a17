//! The server's direction: cut into packets; the greeting and the end of the login. Responses are followed in [`super::answer`].

use sniff_x_flow::Nanos;

use super::decoder::{MysqlDecoder, Phase};
use super::flags::Caps;
use super::frame::Frame;
use super::handshake::{Greeting, switched_auth_method};
use super::packet::{self, Failure};
use super::resync::{self, Look};
use super::session::LoginEnd;
use super::wire::{HEADER, Header};
use super::x_protocol;
use crate::{BypassReason, Next, Out, Window};

/// What to do after a look at a packet.
pub(super) enum Then {
    /// It is done with, also the part of it that is not here yet.
    Pass,
    /// The same, and what follows it is compressed.
    Compressed,
    /// So many bytes of it, header included, are needed.
    Need(usize),
    /// The same packet is looked at again: it is the next stage's.
    Again,
    /// The stream can't be followed.
    Lost,
    Bypass(BypassReason),
}

/// Packets that are looked into are needed up to this length; what an event tells stands before it.
const MAX_PARSED: usize = 16 << 10;

/// A client that sends ahead is followed again after a loss when both sides were silent for so long (nanoseconds).
const SILENCE: u64 = 1_000_000_000;

/// One packet in the window.
#[derive(Clone, Copy)]
pub(super) struct Packet<'w> {
    pub(super) header: Header,
    /// The window from the packet's header on.
    rest: &'w [u8],
    /// Where the header stands in the window.
    pub(super) at: usize,
    pub(super) window: Window<'w>,
}

impl<'w> Packet<'w> {
    /// The payload, or as much of it as is ever looked at.
    pub(super) fn payload(&self) -> Result<&'w [u8], Then> {
        let wanted = HEADER + self.header.len.min(MAX_PARSED);
        self.rest.get(HEADER..wanted).ok_or(Then::Need(wanted))
    }

    /// The payload's first `n` bytes, or all of a shorter one.
    pub(super) fn head(&self, n: usize) -> Result<&'w [u8], Then> {
        let wanted = HEADER + self.header.len.min(n);
        self.rest.get(HEADER..wanted).ok_or(Then::Need(wanted))
    }

    /// The payload's first byte; none for an empty packet.
    pub(super) fn first(&self) -> Result<Option<u8>, Then> {
        match self.rest.get(HEADER) {
            _ if self.header.len == 0 => Ok(None),
            Some(first) => Ok(Some(*first)),
            None => Err(Then::Need(HEADER + 1)),
        }
    }

    /// When its last byte that is here was seen.
    pub(super) fn seen(&self) -> Nanos {
        let len = (HEADER + self.header.len).min(self.rest.len());
        self.window.seen_at((self.at + len).saturating_sub(1))
    }
}

impl MysqlDecoder {
    pub(super) fn server_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        let before = core::mem::replace(&mut self.server.last, window.seen_at(bytes.len()));
        let mut fresh = core::mem::take(&mut self.server.fresh);
        let broken = core::mem::take(&mut self.server.broken);
        if self.phase == Phase::Over {
            return all;
        }
        let mut at = 0;
        if !self.server.in_step {
            match core::mem::take(&mut self.stale) {
                0 => {}
                1 => (at, fresh) = (self.server.kept, true),
                // Which of the requests it answers can't be told any more.
                _ => return all,
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let answers_login = self.phase == Phase::Auth && at > 0;
            let turn = fresh || (!broken && self.is_turn(before, window.seen_at(at)));
            match if answers_login { Look::Yes } else { self.find_response(rest, turn, before) } {
                Look::Yes => {
                    self.server.in_step = true;
                    self.client.unsure = false;
                }
                Look::More => {
                    self.server.kept = rest.len();
                    return Next::More { used: at, need: 0 };
                }
                Look::No | Look::Compressed => return all,
            }
        }
        loop {
            at = self.pass_rows(bytes, at);
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(header) = Header::parse(rest) else {
                return Next::More { used: at, need: HEADER };
            };
            let packet = Packet { header, rest, at, window };
            let then = match self.phase {
                Phase::Command => self.response_packet(&packet, out),
                Phase::Over => return all,
                Phase::Greeting | Phase::Login | Phase::Auth => self.handshake_packet(&packet, out),
            };
            let then = then.unwrap_or_else(|then| then);
            match then {
                Then::Pass | Then::Compressed => {
                    let whole = HEADER + header.len;
                    if let Some(missing) = whole.checked_sub(rest.len()).filter(|m| *m > 0) {
                        return Next::Skip { used: bytes.len(), then: missing as u64 };
                    }
                    at += whole;
                    if matches!(then, Then::Compressed) {
                        return Next::Skip { used: at, then: 0 };
                    }
                }
                Then::Again => {}
                Then::Need(need) => return Next::More { used: at, need },
                Then::Lost => return all,
                Then::Bypass(reason) => return Next::Bypass(reason),
            }
        }
    }

    /// Whether the newest request was captured between what the server said at `before` and what it says at `now`: it may have been handed on
    /// earlier, while a hole in front of the response held that up.
    pub(super) fn is_turn(&self, before: Nanos, now: Nanos) -> bool {
        self.queue.back().is_some_and(|newest| before <= newest.end && newest.end < now)
    }

    /// Looks for the response to the newest request, or for a greeting, where the server may begin to speak (`turn`); `before` is when it
    /// spoke last.
    fn find_response(&mut self, bytes: &[u8], turn: bool, before: Nanos) -> Look {
        if !turn && !self.server.trying {
            return Look::No;
        }
        let look = match self.queue.back() {
            None if self.session.has_begun() || self.client.step.last > Nanos(0) => Look::No,
            None => greeting(bytes),
            Some(newest) => {
                // Of a server that was not heard yet nobody knows how long it was silent.
                let silent = before > Nanos(0) && newest.start.since(before) >= SILENCE;
                let sure = self.ahead == 0 || silent;
                let single = newest.complete && self.queue.len() == 1;
                match newest.reply_seq.filter(|_| sure && single) {
                    Some(seq) => match (self.frames, bytes.get(3)) {
                        (Some([_, frame]), _) if frame != seq => Look::No,
                        // Inside a frame any sequence id will do.
                        (Some(_), Some(inside)) => {
                            resync::response(newest.command, *inside, self.session.caps, bytes)
                        }
                        _ if self.may_be_compressed() && Frame::holds_response(bytes) => Look::No,
                        _ => resync::response(newest.command, seq, self.session.caps, bytes),
                    },
                    None => Look::No,
                }
            }
        };
        if look == Look::Yes && self.queue.is_empty() {
            self.phase = Phase::Greeting;
            self.client.step.in_step = true;
        }
        self.server.trying = look == Look::More;
        look
    }

    fn handshake_packet(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Result<Then, Then> {
        let first = packet.first()?;
        match (self.phase, first) {
            (_, Some(packet::ERR)) => {
                let Some(error) = Failure::parse(packet.payload()?) else {
                    return Ok(self.handshake_malformed(packet, out));
                };
                self.session.report(LoginEnd::Rejected(error), packet.seen(), out);
                self.phase = Phase::Over;
                Ok(Then::Pass)
            }
            (Phase::Greeting, Some(1 | 2 | 11))
                if packet.header.seq == 0
                    && x_protocol::is_server(packet.head(x_protocol::HEAD)?, packet.header.len) =>
            {
                self.session.report_x_protocol(packet.window.seen_at(packet.at), out);
                Ok(Then::Bypass(BypassReason::Undecodable))
            }
            (Phase::Greeting, _) => {
                let greeting = Greeting::parse(packet.payload()?).filter(|_| packet.header.seq == 0);
                let Some(greeting) = greeting else {
                    self.notice("not a MySQL greeting", packet.window.seen_at(packet.at), None, out);
                    return Ok(Then::Bypass(BypassReason::NotThisProtocol));
                };
                self.session.greeted(&greeting, packet.window.seen_at(packet.at));
                self.phase = Phase::Login;
                Ok(Then::Pass)
            }
            (Phase::Auth, Some(packet::OK)) => {
                let Some(ok) = packet::okay(packet.payload()?, self.session.protocol_41()) else {
                    return Ok(self.handshake_malformed(packet, out));
                };
                if let Some(schema) = ok.schema {
                    self.session.set_namespace(schema);
                }
                self.session.note_status(ok.status);
                self.session.report(LoginEnd::Accepted, packet.seen(), out);
                self.phase = Phase::Command;
                let doubtful = self.client.doubtful;
                if doubtful {
                    self.forget_session();
                }
                if self.session.compression().is_some() {
                    self.begin_compression(!doubtful);
                    return Ok(Then::Compressed);
                }
                Ok(if doubtful { Then::Lost } else { Then::Pass })
            }
            (Phase::Auth, Some(packet::EOF)) => {
                self.session.switches_auth(switched_auth_method(packet.payload()?));
                Ok(Then::Pass)
            }
            (Phase::Auth, Some(packet::NEXT_FACTOR)) if self.session.agreed(Caps::MULTI_FACTOR) => {
                self.session.switches_auth(switched_auth_method(packet.payload()?));
                Ok(Then::Pass)
            }
            // What plugins say to each other, also nothing.
            (Phase::Auth, _) => Ok(Then::Pass),
            _ => Ok(self.handshake_malformed(packet, out)),
        }
    }

    fn handshake_malformed(&mut self, packet: &Packet<'_>, out: &mut Out<'_>) -> Then {
        let at = packet.window.seen_at(packet.at);
        self.notice("a packet of the handshake is malformed", at, None, out);
        Then::Bypass(BypassReason::Undecodable)
    }
}

/// Whether a server's greeting begins here.
fn greeting(bytes: &[u8]) -> Look {
    let Some(header) = Header::parse(bytes) else { return Look::More };
    if header.seq != 0 || !(20..1024).contains(&header.len) {
        return Look::No;
    }
    match bytes.get(HEADER) {
        None => return Look::More,
        Some(9 | 10) => {}
        Some(_) => return Look::No,
    }
    match bytes.get(HEADER..HEADER + header.len) {
        None => Look::More,
        Some(payload) if Greeting::parse(payload).is_some() => Look::Yes,
        Some(_) => Look::No,
    }
}

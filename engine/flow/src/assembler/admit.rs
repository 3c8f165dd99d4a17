//! What TCP makes of a segment's flags before its bytes count: handshakes, port reuse, resets, stragglers.

use super::connection::{Connection, State};
use super::half_stream::HalfStream;
use super::pool::NONE;
use crate::packet::{Segment, TcpFlags};

/// A straggler is not further than this from where its connection ended; payload beyond it is another connection's.
const STRAGGLER_DISTANCE: u32 = 1 << 24;

/// What is to be done with a segment of a connection that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It belongs to the connection.
    Take,
    /// It begins another connection on the same tuple.
    Reuse,
    /// It would, if somebody went on from it.
    Doubt,
    /// It comes after the end.
    Straggler,
    /// No receiver would take it.
    Refuse,
}

/// Whether a segment of an unknown flow opens a connection.
pub(super) fn opens(segment: &Segment, payload: &[u8]) -> bool {
    let flags = segment.flags;
    let on_wire = payload.len() as u64 + u64::from(segment.packet.missing);
    if flags.rst() {
        false
    } else if flags.syn() {
        true
    } else {
        // One byte without PSH: a keep-alive probe, which repeats a byte that was acknowledged long ago, or makes one up.
        on_wire > 1 || (on_wire == 1 && flags.any(TcpFlags::PSH | TcpFlags::FIN))
    }
}

/// Decides on a segment of `connection`.
pub(super) fn admit<S>(connection: &Connection<S>, segment: &Segment, payload: &[u8]) -> Admission {
    let direction = connection.flow.direction(segment.packet.sender);
    let own = connection.half(direction);
    let peer = connection.half(direction.reverse());
    if segment.flags.rst() {
        return match connection.state {
            State::Closed => Admission::Straggler,
            _ if resets(own, peer, segment) => Admission::Take,
            _ => Admission::Refuse,
        };
    }
    if segment.flags.syn() {
        let admission = admit_syn(connection.state, own, peer, segment, payload);
        // What is under way is not given up for a single SYN.
        let under_way = connection.state == State::Open && connection.active != NONE;
        return if admission == Admission::Reuse && under_way && payload.is_empty() {
            Admission::Doubt
        } else {
            admission
        };
    }
    if connection.state != State::Closed {
        return Admission::Take;
    }
    let far = own.known() && own.next.difference(segment.seq).unsigned_abs() > STRAGGLER_DISTANCE;
    if far && opens(segment, payload) { Admission::Reuse } else { Admission::Straggler }
}

fn admit_syn(
    state: State,
    own: HalfStream,
    peer: HalfStream,
    segment: &Segment,
    payload: &[u8],
) -> Admission {
    // The number of a SYN that was seen, or that must have been before the first byte: another sight of it.
    let same = own.known() && (own.initial == segment.seq || own.opened_with(segment.seq, payload.len()));
    if state == State::Closed {
        return if same { Admission::Straggler } else { Admission::Reuse };
    }
    if same {
        return Admission::Take;
    }
    if own.known() {
        return Admission::Reuse;
    }
    if segment.flags.ack() {
        // The answer to the peer's SYN acknowledges it, and what came with it at most.
        let answers = peer.known()
            && segment.ack.difference(peer.next) >= 0
            && peer.initial.difference(segment.ack) > 0;
        match (answers, peer.syn()) {
            (true, _) => Admission::Take,
            (false, true) => Admission::Refuse,
            (false, false) => Admission::Reuse,
        }
    } else if peer.syn() && state == State::Embryonic {
        // Both ends open at once.
        Admission::Take
    } else {
        Admission::Reuse
    }
}

/// Whether a RST counts: it lies in the receiver's window, or acknowledges what the receiver sent (RFC 9293, section
/// 3.10.7). The number before a FIN's end is good, too: some systems reset from there.
fn resets(own: HalfStream, peer: HalfStream, segment: &Segment) -> bool {
    let window = i64::from(peer.receive_window());
    if own.known() {
        let ahead = i64::from(own.next.difference(segment.seq));
        let first = if own.fin() { -1 } else { 0 };
        (first..=window).contains(&ahead)
    } else {
        !segment.flags.ack()
            || !peer.known()
            || i64::from(peer.next.difference(segment.ack)).abs() <= i64::from(own.receive_window())
    }
}

//! Whether two ends speak MySQL: told by the handshake, or, where that was not seen, by a statement, a result, or a request and its response that fit
//! together.

use super::command::Command;
use super::frame::FRAME_HEADER;
use super::handshake::{Greeting, Login};
use super::packet::{self, Failure};
use super::resync::{self, Look};
use super::wire::{HEADER, Header};
use super::x_protocol;
use crate::Probe;
use crate::proxied::{self, Preface};

/// What the first bytes of both sides tell.
pub(super) fn probe(to_server: &[u8], to_client: &[u8]) -> Probe {
    match (speaker(to_server), speaker(to_client)) {
        (Speaker::Client, _) | (_, Speaker::Server) => Probe::Yes { reversed: false },
        (Speaker::Server, _) | (_, Speaker::Client) => Probe::Yes { reversed: true },
        (Speaker::Nobody, _) | (_, Speaker::Nobody) => Probe::No,
        (Speaker::Unknown, Speaker::Unknown) if is_exchange(to_server, to_client) => {
            Probe::Yes { reversed: false }
        }
        (Speaker::Unknown, Speaker::Unknown) if is_exchange(to_client, to_server) => {
            Probe::Yes { reversed: true }
        }
        (Speaker::Unknown, Speaker::Unknown) => Probe::More,
    }
}

/// Whether a request and its response begin here.
fn is_exchange(request: &[u8], response: &[u8]) -> bool {
    let Some(command) = request.get(HEADER).map(|first| Command(*first)) else { return false };
    resync::request(request, true) == Look::Yes && resync::response(command, 1, None, response) == Look::Yes
}

/// Whether a packet that may be a request is one that no other protocol has by chance: a statement, or the execution of a prepared one.
fn is_known_request(payload: &[u8]) -> bool {
    let Some((first, body)) = payload.split_first() else { return false };
    match Command(*first) {
        Command::QUERY | Command::STMT_PREPARE => {
            // Query attributes: none of them, and one set of none.
            let text = body.strip_prefix(&[0, 1]).unwrap_or(body);
            let text = text.trim_ascii_start();
            let word = text
                .iter()
                .position(|b| !b.is_ascii_alphabetic())
                .map_or(text, |end| text.get(..end).unwrap_or_default());
            // (A query of PostgreSQL ends with a NUL.)
            !text.contains(&0)
                && (VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(word)) || text.starts_with(b"/*"))
        }
        // Flags and a number of iterations that is always 1 were looked at.
        Command::STMT_EXECUTE => true,
        _ => false,
    }
}

/// How statements begin, by what is most often seen.
const VERBS: [&[u8]; 30] = [
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"REPLACE",
    b"SET",
    b"SHOW",
    b"BEGIN",
    b"COMMIT",
    b"ROLLBACK",
    b"START",
    b"USE",
    b"CALL",
    b"CREATE",
    b"DROP",
    b"ALTER",
    b"TRUNCATE",
    b"LOCK",
    b"UNLOCK",
    b"EXPLAIN",
    b"DESC",
    b"DESCRIBE",
    b"WITH",
    b"GRANT",
    b"REVOKE",
    b"SAVEPOINT",
    b"RELEASE",
    b"LOAD",
    b"ANALYZE",
    b"KILL",
];

/// Whether a result set with its definitions begins here, or an error with its SQL state.
fn is_result(bytes: &[u8]) -> bool {
    let first = bytes.get(HEADER).copied();
    let known = first == Some(packet::ERR) || matches!(first, Some(1..=0xfa | 0xfc | 0xfd));
    known && resync::response(Command::QUERY, 1, None, bytes) == Look::Yes
}

/// Who sent the first bytes of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// A server: a greeting, or an error in its place.
    Server,
    /// A client: a login.
    Client,
    /// Too little to say, or a command, which other protocols might have too.
    Unknown,
    /// Nobody who speaks MySQL.
    Nobody,
}

fn speaker(bytes: &[u8]) -> Speaker {
    match proxied::read(bytes) {
        Preface::Absent => direct_speaker(bytes),
        Preface::Partial => Speaker::Unknown,
        // Only clients come through a proxy.
        Preface::Header { len, .. } => match bytes.get(len..).map(direct_speaker) {
            None => Speaker::Unknown,
            Some(Speaker::Server) => Speaker::Nobody,
            Some(speaker) => speaker,
        },
    }
}

/// Who sent the first bytes of a direction, without a proxy's header.
fn direct_speaker(bytes: &[u8]) -> Speaker {
    let Some(header) = Header::parse(bytes) else { return Speaker::Unknown };
    let payload = bytes.get(HEADER..).unwrap_or_default();
    let whole = payload.len() >= header.len;
    let payload = payload.get(..header.len).unwrap_or(payload);
    let shown = header.len.min(x_protocol::HEAD);
    if header.seq == 0
        && let Some(head) = payload.get(..shown)
    {
        if x_protocol::is_server(head, header.len) {
            return Speaker::Server;
        }
        if x_protocol::is_claim(head, header.len) {
            return Speaker::Client;
        }
        if x_protocol::is_question(head, header.len) {
            return Speaker::Unknown;
        }
    }
    match (header.seq, payload.first()) {
        // Too little of what may be a first message of the X Protocol.
        (0, Some(1 | 2 | 4 | 11)) if payload.len() < shown => Speaker::Unknown,
        (0, Some(9 | 10)) if whole => match Greeting::parse(payload) {
            Some(_) => Speaker::Server,
            None => Speaker::Nobody,
        },
        (0, Some(9 | 10)) if header.len < 1024 => Speaker::Unknown,
        (0 | 1, Some(0xff)) if whole => match Failure::parse(payload) {
            Some(failure) if failure.code >= 1000 => Speaker::Server,
            _ => Speaker::Nobody,
        },
        _ => match resync::request(bytes, true) {
            Look::Yes if header.seq == 1 && Login::is_plausible(payload) => Speaker::Client,
            Look::Yes if is_known_request(payload) => Speaker::Client,
            // A short packet inside a frame of the compressed protocol.
            Look::Compressed if bytes.get(HEADER..FRAME_HEADER) == Some(&[0; 3]) => {
                match direct_speaker(bytes.get(FRAME_HEADER..).unwrap_or_default()) {
                    Speaker::Client => Speaker::Client,
                    _ => Speaker::Unknown,
                }
            }
            Look::Yes | Look::More | Look::Compressed => Speaker::Unknown,
            Look::No if header.seq == 1 && is_result(bytes) => Speaker::Server,
            // The response to a command that was missed, or to one that the other direction shows.
            Look::No if header.seq == 1 && (1..0x1_0000).contains(&header.len) => Speaker::Unknown,
            Look::No => Speaker::Nobody,
        },
    }
}

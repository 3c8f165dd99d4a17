//! MySQL and MariaDB: the client/server protocol over TCP.
//!
//! Stage: bytes in order → exchanges. `client` and `server` cut one direction each into packets, `request`
//! and `answer` read them; `decoder` is what they share:
//! the queue of requests that wait (`exchange`), the response to the oldest of them (`response`), prepared statements
//! (`statements`) and the session (`session`). `report` writes the events, `resync` finds the way back in after a loss.
//! Rows are counted and passed over, never kept; of a statement at most `--max-text` bytes are kept.
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html> and <https://mariadb.com/kb/en/clientserver-protocol/>.
//!
//! # Events
//!
//! * `session`: one per login, when it ended (`connected`, `rejected`, `encrypted`; `connecting` if its end was not seen), one when a
//!   replication stream begins (`streaming`), one when the server closes an idle connection with an error (`closed`), and one for a connection
//!   that speaks the X Protocol (`x-protocol`), which is not decoded.
//! * `exchange`: one per result. A text with several statements, or a procedure, gives one event per result, numbered from the second on.
//!   The operation of a result is its own statement's; a `CALL` has all results up to its OK.
//! * `message`: what has no response: `QUIT`, `CLOSE` and `SEND_LONG_DATA`.
//! * `notice`: packets that make no sense, and bytes missing that belong to no known exchange.
//!
//! A replication stream gives a `message` a minute with what came so far, besides the `exchange` at its end. Behind a proxy that says so (PROXY
//! protocol), every event tells the client's own address too.
//!
//! # Out of step
//!
//! After a loss each direction passes over its bytes until it may begin a message again: where the other side had spoken in between.
//! There the first packet must pass the strict checks of `resync`. A client that sends requests ahead makes the pairing of
//! responses unsure after a loss; then only a request after a silence of one second is paired again. One that is joined in the middle just at the last
//! of the requests that it sent ahead is taken for one that waits: nothing tells them apart. A response whose beginning was not seen
//! is never reported as an exchange. Where the login was not seen, `CLIENT_DEPRECATE_EOF` shows itself in the packet behind the column
//! definitions (an EOF packet has five bytes, an OK packet in its place at least seven), and query attributes in the first two bytes.

mod answer;
mod client;
mod command;
mod compression;
mod decoder;
mod errors;
mod exchange;
mod execution;
mod flags;
mod frame;
mod handshake;
mod loss;
mod packet;
mod parameters;
mod preface;
mod report;
mod request;
mod response;
mod resync;
mod secret;
mod server;
mod session;
mod settings;
mod shortener;
mod sql;
mod statements;
mod value;
mod wire;
mod x_protocol;

use std::sync::Arc;

use sniff_x_flow::FlowInfo;

pub use decoder::MysqlDecoder;

use crate::event::Key;
use crate::proxied::{self, Preface};
use crate::{About, Decoder, OpensAt, OptionError, Options, Plugin, Probe, port_rule};
use handshake::{Greeting, Login};
use packet::Failure;
use resync::Look;
use settings::Settings;
use wire::{HEADER, Header};

const ABOUT: About = About {
    name: report::NAME,
    version: env!("CARGO_PKG_VERSION"),
    summary: "MySQL and MariaDB: statements with their results, errors and durations",
    options: settings::OPTIONS,
    keys: &[
        Key::PROXIED_CLIENT_ADDRESS,
        Key::PROXIED_CLIENT_PORT,
        Key::SESSION_STATE,
        Key::DB_SYSTEM_NAME,
        Key::DB_SERVER_VERSION,
        Key::DB_CONNECTION_ID,
        Key::DB_USER,
        Key::DB_AUTH_METHOD,
        Key::DB_COMPRESSION,
        Key::DB_NAMESPACE,
        Key::DB_COLLECTION_NAME,
        Key::DB_OPERATION_NAME,
        Key::DB_QUERY_TEXT,
        Key::DB_QUERY_PARAMETER,
        Key::DB_STATEMENT_ID,
        Key::DB_RETURNED_ROWS,
        Key::DB_COLUMNS,
        Key::DB_AFFECTED_ROWS,
        Key::DB_LAST_INSERT_ID,
        Key::DB_WARNINGS,
        Key::DB_RESULT_INDEX,
        Key::DB_STATUS_CODE,
        Key::DB_SQLSTATE,
        Key::ERROR_MESSAGE,
        Key::DB_RESPONSE_SIZE,
        Key::DB_BATCH_SIZE,
        Key::MYSQL_ARGUMENT,
        Key::MYSQL_ATTRIBUTE,
        Key::MYSQL_LONG_DATA_SIZE,
        Key::MYSQL_INFILE_SIZE,
        Key::MYSQL_BINLOG_EVENTS,
        Key::GAP_BYTES,
        Key::TEXT_LENGTH,
        Key::NOTICE,
    ],
    opens_at: OpensAt::FirstPayload,
};

/// The plugin.
#[derive(Debug, Default)]
pub struct Mysql {
    settings: Arc<Settings>,
}

impl Plugin for Mysql {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.settings = Arc::new(Settings::new(options)?);
        Ok(())
    }

    fn rule(&self) -> String {
        port_rule(&self.settings.ports)
    }

    fn is_server_port(&self, port: u16) -> bool {
        self.settings.ports.contains(&port)
    }

    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        match (speaker(to_server), speaker(to_client)) {
            (Speaker::Client, _) | (_, Speaker::Server) => Probe::Yes { reversed: false },
            (Speaker::Server, _) | (_, Speaker::Client) => Probe::Yes { reversed: true },
            (Speaker::Nobody, _) | (_, Speaker::Nobody) => Probe::No,
            (Speaker::Unknown, Speaker::Unknown) => Probe::More,
        }
    }

    fn open(&self, flow: &FlowInfo) -> Decoder {
        Decoder::Mysql(Box::new(MysqlDecoder::new(flow.midstream, self.settings.clone())))
    }
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
            Look::Yes | Look::More | Look::Compressed => Speaker::Unknown,
            // The response to a command that was missed, or to one that the other direction shows.
            Look::No if header.seq == 1 && (1..0x1_0000).contains(&header.len) => Speaker::Unknown,
            Look::No => Speaker::Nobody,
        },
    }
}

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
mod mentions;
mod packet;
mod parameters;
mod preface;
mod probe;
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
use crate::{About, Decoder, OpensAt, OptionError, Options, Plugin, Probe, port_rule};
use settings::Settings;

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
        probe::probe(to_server, to_client)
    }

    fn open(&self, flow: &FlowInfo) -> Decoder {
        MysqlDecoder::new(flow.midstream, self.settings.clone()).into()
    }

    fn renew(&self, decoder: &mut Decoder) -> bool {
        match decoder {
            Decoder::Mysql(decoder) => decoder.renew(&self.settings),
            _ => true,
        }
    }
}

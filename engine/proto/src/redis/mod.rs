//! Redis: RESP2 and RESP3 over TCP; also Valkey, KeyDB and whatever else speaks it.
//!
//! Stage: bytes in order → exchanges. `begins` recognises messages, `client` cuts commands into arguments as they come, `reply` walks through the server's values without keeping
//! them (`summary` has what is told of one), `server` pairs replies with the commands that wait (`request`), `replica` follows
//! a replication stream, `report` writes the events. `secret` says which arguments are never kept,
//! `arguments` which are values, `probe` tells the protocol from others (by `commands`).
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/> and <https://redis.io/docs/latest/develop/pubsub/>.
//!
//! # Events
//!
//! * `exchange`: one per command. Commands of a transaction are told when EXEC is answered, each with its own result.
//! * `message`: what has no reply (`CLIENT REPLY OFF`, a replica's acknowledgements), messages of subscriptions, pushed invalidations, lines of MONITOR, and
//!   commands of a transaction that was given up.
//! * `session`: `rejected` with the server's reason, where it turns a client away unasked; `encrypted`; and a replication stream's beginning (`replicating`) and end (`replicated`) with what it amounted to.
//! * `notice`: what makes no sense, and bytes missing that belong to no known exchange.
//!
//! # Out of step
//!
//! After a loss each direction passes over its bytes until it may begin a message again: where the other side had spoken in between. Replies are paired again
//! with commands that were all sent since the server last spoke: at once with a client that is known to wait for them, else after sixteen turns or a second of
//! silence (`crate::turns`, which also says what can't be told).
//! A reply that can't be that to its command (a confirmation is the only one to SUBSCRIBE, a status the only one to MULTI) means that the pairs are wrong.

mod arguments;
mod begins;
mod client;
mod commands;
mod decoder;
mod inline;
mod probe;
mod replica;
mod reply;
mod report;
mod request;
mod resp;
mod secret;
mod server;
mod summary;
mod word;

use std::sync::Arc;

use sniff_x_flow::FlowInfo;

pub use decoder::RedisDecoder;

use crate::event::Key;
use crate::{About, Decoder, OpensAt, OptionError, OptionSpec, Options, Plugin, Probe, port_rule};

const ABOUT: About = About {
    name: report::NAME,
    version: env!("CARGO_PKG_VERSION"),
    summary: "Redis and Valkey: commands with their replies, errors and durations, messages of subscriptions",
    options: &[
        OptionSpec::port("6379"),
        OptionSpec {
            long: "reply",
            short: None,
            value: Some("BYTES"),
            repeatable: false,
            help: "Show so much of a reply's text; 0 shows none",
            default: Some("64"),
        },
    ],
    keys: &[
        Key::SESSION_STATE,
        Key::DB_SYSTEM_NAME,
        Key::DB_NAMESPACE,
        Key::DB_USER,
        Key::DB_OPERATION_NAME,
        Key::DB_QUERY_TEXT,
        Key::DB_STATUS_CODE,
        Key::ERROR_MESSAGE,
        Key::DB_RESPONSE_SIZE,
        Key::REDIS_REPLY_TYPE,
        Key::REDIS_REPLY_COUNT,
        Key::REDIS_REPLY,
        Key::REDIS_COPY_SIZE,
        Key::REDIS_CHANGES_SIZE,
        Key::REDIS_CHANGES,
        Key::GAP_BYTES,
        Key::TEXT_LENGTH,
        Key::NOTICE,
    ],
    opens_at: OpensAt::FirstPayload,
};

const DEFAULT_PORT: u16 = 6379;

/// Bytes of a reply's text that are shown unless the option says otherwise.
const DEFAULT_REPLY: usize = 64;

/// The longest name of a database or user that is kept.
const MAX_NAME: usize = 256;

/// What the options say.
#[derive(Clone, Debug)]
struct Settings {
    ports: Vec<u16>,
    /// Bytes of a reply's text that are shown.
    reply: usize,
}

/// The plugin.
#[derive(Debug)]
pub struct Redis {
    settings: Arc<Settings>,
}

impl Default for Redis {
    fn default() -> Self {
        Self { settings: Arc::new(Settings { ports: vec![DEFAULT_PORT], reply: DEFAULT_REPLY }) }
    }
}

impl Plugin for Redis {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        let reply = match options.last("reply") {
            None => DEFAULT_REPLY,
            Some(value) => value
                .parse()
                .ok()
                .filter(|n| *n <= MAX_REPLY)
                .ok_or_else(|| OptionError::new("reply", value, "a number of bytes up to 65536"))?,
        };
        self.settings = Arc::new(Settings { ports: options.ports(&[DEFAULT_PORT])?, reply });
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
        RedisDecoder::new(flow.midstream, self.settings.clone()).into()
    }

    fn renew(&self, decoder: &mut Decoder) -> bool {
        match decoder {
            Decoder::Redis(decoder) => decoder.renew(&self.settings),
            _ => true,
        }
    }
}

/// The most of a reply that may be asked for.
const MAX_REPLY: usize = 64 << 10;

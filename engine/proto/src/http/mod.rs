//! HTTP/1.0 and HTTP/1.1 over TCP, and WebSocket behind an upgrade.
//!
//! Stage: bytes in order → exchanges. `begins` recognises messages, `head` reads first lines and `fields` what follows them, `body` follows bodies without
//! keeping them. `client` reads requests (`exchange`), `server` pairs responses with those that wait, `upgraded` and `websocket` follow what comes behind an
//! upgrade, `decoder` knows what was lost. `content` decompresses what is shown of a body, `event_stream` counts server-sent events, `report` writes the events. Source: RFC 9110, RFC 9112, RFC 6455.
//!
//! # Events
//!
//! * `exchange`: one per request. Interim responses (1xx) are passed over. A status of 400 and above is an `error`. What is odd in a head or between chunks, or dangerous
//!   (lengths that differ, length and chunks together), is told in `sniffx.notice`.
//! * `message`: text messages of a WebSocket, with `--body`.
//! * `session`: `encrypted`, `http/2` (not decoded), `tunnel` behind CONNECT, `upgraded` to a protocol that is not decoded, and `websocket` when one ended.
//! * `notice`: what makes no sense, and bytes missing that belong to no known exchange.
//!
//! # Out of step
//!
//! A gap inside a body whose length is known leaves the exchange `incomplete` and costs nothing else. After another loss each direction passes over its bytes
//! until a request or response begins where the other side had spoken in between. Responses are paired again with requests that were all sent since the server
//! last spoke: at once where only bytes of the server were lost while one request waited, and with a client that is known to wait for its responses; else after
//! sixteen turns or a second of silence (`crate::turns`, which also says what can't be told). What can't be told here besides: the end of a response that goes on
//! behind the next request and begins its segment like another response.

mod begins;
mod body;
mod client;
mod content;
mod decoder;
mod event_stream;
mod exchange;
mod fields;
mod head;
mod probe;
mod report;
mod server;
mod upgraded;
mod websocket;

use std::sync::Arc;

use sniff_x_flow::FlowInfo;

pub use decoder::HttpDecoder;

use crate::event::{Key, Status};
use crate::{About, Decoder, OpensAt, OptionError, OptionSpec, Options, Plugin, Probe, port_rule};

const ABOUT: About = About {
    name: report::NAME,
    version: env!("CARGO_PKG_VERSION"),
    summary: "HTTP/1: requests with their responses, times and sizes; WebSocket",
    options: &[
        OptionSpec::port("80, 8080"),
        OptionSpec {
            long: "header",
            short: None,
            value: Some("NAME"),
            repeatable: true,
            help: "Show this header field of requests and responses; secrets are never shown",
            default: None,
        },
        OptionSpec {
            long: "body",
            short: None,
            value: Some("BYTES"),
            repeatable: false,
            help: "Show so much of each body, decompressed, and WebSocket messages",
            default: Some("0"),
        },
        OptionSpec::SLOW,
        OptionSpec::ERRORS,
    ],
    keys: &[
        Key::SESSION_STATE,
        Key::HTTP_METHOD,
        Key::URL_PATH,
        Key::URL_QUERY,
        Key::HTTP_HOST,
        Key::USER_AGENT,
        Key::NETWORK_PROTOCOL_VERSION,
        Key::HTTP_REQUEST_HEADER,
        Key::HTTP_REQUEST_BODY_SIZE,
        Key::HTTP_REQUEST_BODY,
        Key::HTTP_STATUS_CODE,
        Key::HTTP_RESPONSE_BODY_SIZE,
        Key::HTTP_FIRST_BYTE,
        Key::ERROR_MESSAGE,
        Key::HTTP_RESPONSE_HEADER,
        Key::HTTP_EVENTS,
        Key::HTTP_RESPONSE_BODY,
        Key::HTTP_TO_SERVER_FRAMES,
        Key::HTTP_TO_SERVER_FRAME_BYTES,
        Key::HTTP_TO_CLIENT_FRAMES,
        Key::HTTP_TO_CLIENT_FRAME_BYTES,
        Key::GAP_BYTES,
        Key::TEXT_LENGTH,
        Key::NOTICE,
    ],
    opens_at: OpensAt::FirstPayload,
};

const DEFAULT_PORTS: [u16; 2] = [80, 8080];

/// The most of a body that may be asked for.
const MAX_BODY: usize = 64 << 10;

/// What the options say.
#[derive(Clone, Debug)]
struct Settings {
    ports: Vec<u16>,
    /// Names of header fields that are shown, in lower case.
    headers: Vec<String>,
    /// Bytes of a body that are shown.
    body: usize,
    /// Only exchanges that took so many nanoseconds.
    slow: Option<u64>,
    /// Only errors.
    errors: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ports: DEFAULT_PORTS.to_vec(), headers: Vec::new(), body: 0, slow: None, errors: false }
    }
}

impl Settings {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let body = match options.last("body") {
            None => 0,
            Some(value) => value
                .parse()
                .ok()
                .filter(|n| *n <= MAX_BODY)
                .ok_or_else(|| OptionError::new("body", value, "a number of bytes up to 65536"))?,
        };
        let mut headers = Vec::new();
        for name in options.all("header") {
            if name.is_empty() || !name.bytes().all(head::is_token_byte) {
                return Err(OptionError::new("header", name, "the name of a header field"));
            }
            headers.push(name.to_ascii_lowercase());
        }
        Ok(Self {
            ports: options.ports(&DEFAULT_PORTS)?,
            headers,
            body,
            slow: options.milliseconds("slow")?,
            errors: options.switch("errors"),
        })
    }

    /// Whether an exchange is wanted; `duration` in nanoseconds.
    fn want(&self, status: Status, duration: Option<u64>) -> bool {
        let timed_out = status == Status::Incomplete(crate::event::IncompleteReason::Timeout);
        self.slow.is_none_or(|slow| timed_out || duration.is_some_and(|d| d >= slow))
            && (!self.errors || status == Status::Error)
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Http {
    settings: Arc<Settings>,
}

impl Plugin for Http {
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
        HttpDecoder::new(flow.midstream, self.settings.clone()).into()
    }

    fn renew(&self, decoder: &mut Decoder) -> bool {
        match decoder {
            Decoder::Http(decoder) => decoder.renew(&self.settings),
            _ => true,
        }
    }
}

//! The `tcp` plugin: any TCP stream, without looking into it.
//!
//! One `summary` event per connection when it ends: sizes, gaps, retransmissions and stalls of each direction, and the round trips of the
//! handshake, as the assembler counted them. With `--content` the bytes are shown as they come, with `--dump` those of each direction go to
//! a file, and what is in it stands in a manifest. It is how anyone checks reassembly.

mod decoder;
#[cfg(test)]
mod tests;

use sniff_x_flow::{Direction, FlowInfo};

pub use decoder::TcpDecoder;

use crate::event::Key;
use crate::{About, Decoder, OpensAt, OptionError, OptionSpec, Options, Plugin, Probe, port_rule};

const ABOUT: About = About {
    name: "tcp",
    version: env!("CARGO_PKG_VERSION"),
    summary: "any TCP stream: sizes, gaps and retransmissions; --dump writes its bytes",
    options: &[
        OptionSpec {
            long: "port",
            short: Some('p'),
            value: Some("PORT"),
            repeatable: true,
            help: "Only connections of this server port",
            default: Some("any port"),
        },
        OptionSpec {
            long: "dump",
            short: None,
            value: Some("DIR"),
            repeatable: false,
            help: "Write the bytes of each direction to a file in DIR, and what is in it to DIR/manifest.jsonl",
            default: None,
        },
        OptionSpec {
            long: "content",
            short: None,
            value: Some("FORM"),
            repeatable: false,
            help: "Show the bytes as they come, as `text` or in `hex`",
            default: None,
        },
        OptionSpec {
            long: "min-bytes",
            short: None,
            value: Some("N"),
            repeatable: false,
            help: "No summary and no files of connections with fewer bytes, both directions together",
            default: Some("0"),
        },
    ],
    keys: &[
        Key::TCP_END,
        Key::TCP_MIDSTREAM,
        Key::TCP_SYN_TO_SYN_ACK,
        Key::TCP_SYN_ACK_TO_ACK,
        Key::TCP_DIRECTION,
        Key::TCP_CONTENT,
        Key::GAP_BYTES,
        Key::NOTICE,
        Key::TO_SERVER_BYTES,
        Key::TO_SERVER_PACKETS,
        Key::TO_SERVER_GAP_BYTES,
        Key::TO_SERVER_RETRANSMITTED_BYTES,
        Key::TO_SERVER_OUT_OF_ORDER_PACKETS,
        Key::TO_SERVER_OVERLAP_CONFLICTS,
        Key::TO_SERVER_WINDOW_STALLS,
        Key::TO_SERVER_STALLED,
        Key::TO_SERVER_FILE,
        Key::TO_CLIENT_BYTES,
        Key::TO_CLIENT_PACKETS,
        Key::TO_CLIENT_GAP_BYTES,
        Key::TO_CLIENT_RETRANSMITTED_BYTES,
        Key::TO_CLIENT_OUT_OF_ORDER_PACKETS,
        Key::TO_CLIENT_OVERLAP_CONFLICTS,
        Key::TO_CLIENT_WINDOW_STALLS,
        Key::TO_CLIENT_STALLED,
        Key::TO_CLIENT_FILE,
    ],
    opens_at: OpensAt::FirstPacket,
};

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Hex,
}

/// What the options say.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    min_bytes: u64,
    content: Option<Form>,
    dump: bool,
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Tcp {
    ports: Vec<u16>,
    settings: Settings,
}

impl Plugin for Tcp {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.ports = options.ports(&[])?;
        self.settings.dump = match options.last("dump") {
            Some("") => return Err(OptionError::new("dump", "", "a folder")),
            dump => dump.is_some(),
        };
        self.settings.content = match options.last("content") {
            None => None,
            Some("text") => Some(Form::Text),
            Some("hex") => Some(Form::Hex),
            Some(other) => return Err(OptionError::new("content", other, "text or hex")),
        };
        let min_bytes = options.last("min-bytes").unwrap_or("0");
        self.settings.min_bytes =
            min_bytes.parse().map_err(|_| OptionError::new("min-bytes", min_bytes, "a number of bytes"))?;
        Ok(())
    }

    fn rule(&self) -> String {
        port_rule(&self.ports)
    }

    fn is_server_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// Never sure: beside another plugin it takes what that one does not want.
    fn probe(&self, _to_server: &[u8], _to_client: &[u8]) -> Probe {
        Probe::More
    }

    fn open(&self, _flow: &FlowInfo) -> Decoder {
        TcpDecoder::new(self.settings).into()
    }

    fn renew(&self, decoder: &mut Decoder) -> bool {
        if let Decoder::Tcp(decoder) = decoder {
            decoder.renew(self.settings);
        }
        true
    }
}

/// The word for a direction.
#[must_use]
pub const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "to_server",
        Direction::ToClient => "to_client",
    }
}

/// The name of the file that `--dump` writes a direction of a connection to: unique in a run, sorted by time.
#[must_use]
pub fn dump_name(flow: &FlowInfo, direction: Direction) -> String {
    let way = way(direction);
    let (client, server) = (flow.client(), flow.server());
    format!(
        "{}-{}.{}-{}.{}-{}.{way}",
        flow.first_seen,
        client.address(),
        client.port(),
        server.address(),
        server.port(),
        flow.serial
    )
}

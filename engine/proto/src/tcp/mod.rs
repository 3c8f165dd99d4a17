//! The `tcp` plugin: any TCP stream, without looking into it.
//!
//! One `summary` event per connection when it ends: sizes, gaps and retransmissions of each direction as the assembler counted
//! them. With `--dump` the bytes of each direction go to a file. It is how anyone checks reassembly.

use sniff_x_flow::{Direction, End, FlowInfo, Nanos};

use crate::event::{Key, Kind, Status};
use crate::{
    About, Decode, Decoder, Lost, Next, OpensAt, OptionError, OptionSpec, Options, Out, Plugin, Probe,
    Sensitivity, Window, port_rule,
};

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
            help: "Write the bytes of each direction to a file in DIR",
            default: None,
        },
    ],
    keys: &[
        Key::TCP_END,
        Key::TCP_MIDSTREAM,
        Key::TO_SERVER_BYTES,
        Key::TO_SERVER_PACKETS,
        Key::TO_SERVER_GAP_BYTES,
        Key::TO_SERVER_RETRANSMITTED_BYTES,
        Key::TO_SERVER_OUT_OF_ORDER_PACKETS,
        Key::TO_SERVER_OVERLAP_CONFLICTS,
        Key::TO_SERVER_FILE,
        Key::TO_CLIENT_BYTES,
        Key::TO_CLIENT_PACKETS,
        Key::TO_CLIENT_GAP_BYTES,
        Key::TO_CLIENT_RETRANSMITTED_BYTES,
        Key::TO_CLIENT_OUT_OF_ORDER_PACKETS,
        Key::TO_CLIENT_OVERLAP_CONFLICTS,
        Key::TO_CLIENT_FILE,
    ],
    opens_at: OpensAt::FirstPacket,
};

/// The plugin.
#[derive(Debug, Default)]
pub struct Tcp {
    ports: Vec<u16>,
    dump: bool,
}

impl Plugin for Tcp {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        self.ports = options.ports(&[])?;
        self.dump = match options.last("dump") {
            Some("") => return Err(OptionError::new("dump", "", "a folder")),
            dump => dump.is_some(),
        };
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
        Decoder::Tcp(TcpDecoder { dump: self.dump, dumped: [false; 2] })
    }
}

/// The name of the file that `--dump` writes a direction of a connection to: unique in a run, sorted by time.
#[must_use]
pub fn dump_name(flow: &FlowInfo, direction: Direction) -> String {
    let way = match direction {
        Direction::ToServer => "to_server",
        Direction::ToClient => "to_client",
    };
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

/// Counts nothing itself: the assembler's totals say it all.
#[derive(Debug)]
pub struct TcpDecoder {
    dump: bool,
    dumped: [bool; 2],
}

impl Decode for TcpDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        if self.dump {
            let [to_server, to_client] = &mut self.dumped;
            let dumped = match direction {
                Direction::ToServer => to_server,
                Direction::ToClient => to_client,
            };
            out.content(direction, !*dumped, window.bytes);
            *dumped = true;
        }
        Next::More { used: window.bytes.len(), need: 0 }
    }

    fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }

    fn datagram(&mut self, _: Direction, window: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: window.bytes.len(), need: 0 }
    }

    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }

    fn end(&mut self, why: End, _: [Window<'_>; 2], out: &mut Out<'_>) {
        let flow = *out.flow();
        let (server, client) = (out.totals(Direction::ToServer), out.totals(Direction::ToClient));
        let whole = server.gap_bytes + client.gap_bytes == 0 && !flow.midstream;
        let [server_file, client_file] = [Direction::ToServer, Direction::ToClient]
            .map(|d| self.dumped.get(d.index()).is_some_and(|w| *w).then(|| dump_name(&flow, d)));
        let status = match (whole, flow.midstream) {
            (true, _) => Status::Ok,
            (false, true) => Status::Incomplete(crate::event::IncompleteReason::Midstream),
            (false, false) => Status::Incomplete(crate::event::IncompleteReason::Gap),
        };
        out.event(ABOUT.name, Kind::Summary, flow.first_seen)
            .until(flow.last_seen)
            .status(status)
            .text(Key::TCP_END, why.as_str().as_bytes(), Sensitivity::Public)
            .flag(Key::TCP_MIDSTREAM, flow.midstream)
            .number(Key::TO_SERVER_BYTES, server.bytes)
            .number(Key::TO_SERVER_PACKETS, server.packets)
            .number(Key::TO_SERVER_GAP_BYTES, server.gap_bytes)
            .number(Key::TO_SERVER_RETRANSMITTED_BYTES, server.retransmitted_bytes)
            .number(Key::TO_SERVER_OUT_OF_ORDER_PACKETS, server.out_of_order_packets)
            .number(Key::TO_SERVER_OVERLAP_CONFLICTS, server.overlap_conflicts)
            .maybe(server_file, |e, f| e.text(Key::TO_SERVER_FILE, f.as_bytes(), Sensitivity::Public))
            .number(Key::TO_CLIENT_BYTES, client.bytes)
            .number(Key::TO_CLIENT_PACKETS, client.packets)
            .number(Key::TO_CLIENT_GAP_BYTES, client.gap_bytes)
            .number(Key::TO_CLIENT_RETRANSMITTED_BYTES, client.retransmitted_bytes)
            .number(Key::TO_CLIENT_OUT_OF_ORDER_PACKETS, client.out_of_order_packets)
            .number(Key::TO_CLIENT_OVERLAP_CONFLICTS, client.overlap_conflicts)
            .maybe(client_file, |e, f| e.text(Key::TO_CLIENT_FILE, f.as_bytes(), Sensitivity::Public))
            .emit();
    }

    fn retained(&self) -> usize {
        0
    }
}

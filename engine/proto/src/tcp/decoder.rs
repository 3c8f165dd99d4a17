//! One connection's content and summary.

use core::fmt;
use core::num::NonZeroU64;

use sniff_x_flow::{Direction, End, Nanos};

use super::{ABOUT, Form, Settings, dump_name, way};
use crate::event::{IncompleteReason, Key, Kind, Piece, Status};
use crate::{Decode, Lost, Next, Out, Sensitivity, Window};

const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// Counts nothing itself: the assembler's totals say it all.
#[derive(Debug)]
pub struct TcpDecoder {
    settings: Settings,
    /// Whether a direction's file was begun.
    dumped: [bool; 2],
}

impl TcpDecoder {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, dumped: [false; 2] }
    }

    /// Goes on with other options.
    pub(super) fn renew(&mut self, settings: Settings) {
        self.settings = settings;
    }

    fn dumped(&mut self, direction: Direction) -> &mut bool {
        let [to_server, to_client] = &mut self.dumped;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    fn show(form: Form, direction: Direction, bytes: &[u8], out: &mut Out<'_>) {
        let now = out.now();
        let room = match form {
            Form::Text => out.max_text(),
            Form::Hex => out.max_text() / 2,
        };
        // In pieces that are not cut: every byte is shown.
        for piece in bytes.chunks(room.max(1)) {
            let event = out.event(ABOUT.name, Kind::Message, now).text(
                Key::TCP_DIRECTION,
                way(direction).as_bytes(),
                Sensitivity::Public,
            );
            match form {
                Form::Text => event.text(Key::TCP_CONTENT, piece, Sensitivity::Literal),
                Form::Hex => event.written(Key::TCP_CONTENT, Hex(piece), Sensitivity::Literal),
            }
            .emit();
        }
    }
}

impl Decode for TcpDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        if self.settings.dump {
            let first = !core::mem::replace(self.dumped(direction), true);
            out.content(direction, Piece::Bytes { first, bytes: window.bytes });
        }
        if let Some(form) = self.settings.content {
            Self::show(form, direction, window.bytes, out);
        }
        Next::More { used: window.bytes.len(), need: 0 }
    }

    fn gap(&mut self, direction: Direction, _: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
        let (missing, reason) = match lost {
            Lost::Bytes(n) => (Some(n), IncompleteReason::Gap),
            Lost::Limit(n) => (Some(n), IncompleteReason::Limit),
            Lost::Unknown => (None, IncompleteReason::Midstream),
        };
        if self.settings.dump {
            out.content(direction, Piece::Gap(missing));
        }
        if self.settings.content.is_some() {
            let now = out.now();
            out.event(ABOUT.name, Kind::Notice, now)
                .status(Status::Incomplete(reason))
                .text(Key::NOTICE, b"bytes are missing", Sensitivity::Public)
                .text(Key::TCP_DIRECTION, way(direction).as_bytes(), Sensitivity::Public)
                .maybe(missing, |event, missing| event.number(Key::GAP_BYTES, missing))
                .emit();
        }
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
        let keep = server.bytes + client.bytes >= self.settings.min_bytes;
        if self.settings.dump {
            BOTH.into_iter().for_each(|direction| out.content(direction, Piece::End { keep }));
        }
        if !keep {
            out.withhold();
            return;
        }
        let whole = server.gap_bytes + client.gap_bytes == 0 && !flow.midstream;
        let [server_file, client_file] = BOTH.map(|d| self.dumped(d).then(|| dump_name(&flow, d)));
        let status = match (whole, flow.midstream) {
            (true, _) => Status::Ok,
            (false, true) => Status::Incomplete(IncompleteReason::Midstream),
            (false, false) => Status::Incomplete(IncompleteReason::Gap),
        };
        out.event(ABOUT.name, Kind::Summary, flow.first_seen)
            .until(flow.last_seen)
            .status(status)
            .text(Key::TCP_END, why.as_str().as_bytes(), Sensitivity::Public)
            .flag(Key::TCP_MIDSTREAM, flow.midstream)
            .maybe(client.handshake.map(NonZeroU64::get), |e, n| e.number(Key::TCP_SYN_TO_SYN_ACK, n))
            .maybe(server.handshake.map(NonZeroU64::get), |e, n| e.number(Key::TCP_SYN_ACK_TO_ACK, n))
            .number(Key::TO_SERVER_BYTES, server.bytes)
            .number(Key::TO_SERVER_PACKETS, server.packets)
            .number(Key::TO_SERVER_GAP_BYTES, server.gap_bytes)
            .number(Key::TO_SERVER_RETRANSMITTED_BYTES, server.retransmitted_bytes)
            .number(Key::TO_SERVER_OUT_OF_ORDER_PACKETS, server.out_of_order_packets)
            .number(Key::TO_SERVER_OVERLAP_CONFLICTS, server.overlap_conflicts)
            .number(Key::TO_SERVER_WINDOW_STALLS, server.window_stalls)
            .number(Key::TO_SERVER_STALLED, server.stalled)
            .maybe(server_file, |e, f| e.text(Key::TO_SERVER_FILE, f.as_bytes(), Sensitivity::Public))
            .number(Key::TO_CLIENT_BYTES, client.bytes)
            .number(Key::TO_CLIENT_PACKETS, client.packets)
            .number(Key::TO_CLIENT_GAP_BYTES, client.gap_bytes)
            .number(Key::TO_CLIENT_RETRANSMITTED_BYTES, client.retransmitted_bytes)
            .number(Key::TO_CLIENT_OUT_OF_ORDER_PACKETS, client.out_of_order_packets)
            .number(Key::TO_CLIENT_OVERLAP_CONFLICTS, client.overlap_conflicts)
            .number(Key::TO_CLIENT_WINDOW_STALLS, client.window_stalls)
            .number(Key::TO_CLIENT_STALLED, client.stalled)
            .maybe(client_file, |e, f| e.text(Key::TO_CLIENT_FILE, f.as_bytes(), Sensitivity::Public))
            .emit();
    }

    fn retained(&self) -> usize {
        0
    }
}

/// Bytes as two hexadecimal digits each.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! What comes behind an upgrade to WebSocket: frames, counted; texts where bodies are shown.

use sniff_x_flow::{Direction, Nanos};

use super::decoder::{HttpDecoder, Mode};
use super::report;
use super::websocket::{Frames, Step};
use crate::{BypassReason, Next, Out, Window};

/// Both directions of frames.
#[derive(Debug)]
pub(super) struct Upgraded {
    since: Nanos,
    to_server: Frames,
    to_client: Frames,
    /// Bytes that were never seen: the frames behind them can't be found.
    lost: u64,
}

impl Upgraded {
    pub(super) fn new(since: Nanos) -> Self {
        Self { since, to_server: Frames::default(), to_client: Frames::default(), lost: 0 }
    }

    pub(super) fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
    }

    pub(super) fn retained(&self) -> usize {
        size_of::<Self>() + self.to_server.retained() + self.to_client.retained()
    }
}

impl HttpDecoder {
    /// Bytes of a direction, from `at` in the window on.
    pub(super) fn upgraded_data(
        &mut self,
        direction: Direction,
        window: Window<'_>,
        mut at: usize,
        out: &mut Out<'_>,
    ) -> Next {
        let limit = self.settings.body.min(out.max_text());
        let Mode::WebSocket(upgraded) = &mut self.mode else { return Next::More { used: at, need: 0 } };
        if upgraded.lost > 0 {
            self.upgrade_ends(out);
            return Next::Bypass(BypassReason::Undecodable);
        }
        let frames = match direction {
            Direction::ToServer => &mut upgraded.to_server,
            Direction::ToClient => &mut upgraded.to_client,
        };
        loop {
            let rest = window.bytes.get(at..).unwrap_or_default();
            match frames.step(rest, limit) {
                Step::More => return Next::More { used: at, need: 0 },
                Step::Used(used) | Step::Closed(used) => at += used,
                Step::Skip(used, then) => return Next::Skip { used: at + used, then },
                Step::Text(used) => {
                    at += used;
                    if limit > 0 {
                        let end = window.seen_at(at.saturating_sub(1));
                        report::message(direction, &frames.text, frames.text_len, end, out);
                    }
                }
                Step::Bad => {
                    report::notice("a WebSocket frame is malformed", window.seen_at(at), None, out);
                    self.upgrade_ends(out);
                    return Next::Bypass(BypassReason::Undecodable);
                }
            }
        }
    }

    /// Tells what came behind the upgrade.
    pub(super) fn upgrade_ends(&mut self, out: &mut Out<'_>) {
        if let Mode::WebSocket(upgraded) = core::mem::replace(&mut self.mode, Mode::Http) {
            let Upgraded { since, to_server, to_client, lost } = *upgraded;
            report::websocket(since, [to_server, to_client].map(|f| (f.frames, f.bytes)), lost, out);
        }
    }
}

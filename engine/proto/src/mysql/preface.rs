//! What a proxy says in front of the client's first bytes: read once, passed over, told in every event of the connection.

use sniff_x_flow::Nanos;

use super::decoder::MysqlDecoder;
use crate::proxied::{self, Preface};
use crate::{Next, Window};

impl MysqlDecoder {
    /// Reads a proxy's header in front of the client's first bytes; what to do next when there is one, or may be.
    pub(super) fn preface(&mut self, window: &Window<'_>) -> Option<Next> {
        let bytes = window.bytes;
        let step = &mut self.client.step;
        // In the middle of a header the server does not speak: what was kept is the end of something.
        let spoken = !step.in_step && step.trying && step.fresh;
        if !self.expects_proxy || spoken {
            self.expects_proxy = false;
            return None;
        }
        match proxied::read(bytes) {
            Preface::Partial => {
                if !step.in_step {
                    (step.trying, step.kept, step.fresh) = (true, bytes.len(), false);
                    step.last = window.seen_at(bytes.len());
                }
                Some(Next::More { used: 0, need: 0 })
            }
            Preface::Absent => {
                self.expects_proxy = false;
                None
            }
            Preface::Header { len, client } => {
                // The connection begins here.
                (step.trying, step.fresh, step.last) = (false, true, Nanos(0));
                self.expects_proxy = false;
                self.proxied = client;
                let used = len.min(bytes.len());
                Some(Next::Skip { used, then: (len - used) as u64 })
            }
        }
    }
}

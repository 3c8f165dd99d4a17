//! What a proxy says in front of the client's first bytes: read once, passed over, told in every event of the connection.

use super::decoder::MysqlDecoder;
use crate::Next;
use crate::proxied::{self, Preface};

impl MysqlDecoder {
    /// Reads a proxy's header in front of the client's first bytes; what to do next when there is one, or may be.
    pub(super) fn preface(&mut self, bytes: &[u8]) -> Option<Next> {
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
                }
                Some(Next::More { used: 0, need: 0 })
            }
            Preface::Absent => {
                self.expects_proxy = false;
                None
            }
            Preface::Header { len, client } => {
                (step.trying, step.fresh) = (false, true);
                self.expects_proxy = false;
                self.proxied = client;
                let used = len.min(bytes.len());
                Some(Next::Skip { used, then: (len - used) as u64 })
            }
        }
    }
}

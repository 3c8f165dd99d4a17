//! `protochain`: a protocol's number in the IP header or in any header that stands before the protocol's own.
//!
//! libpcap's program for it has a loop, so tcpdump filters such expressions in its own process. Here the number in the IP header, which
//! decides nearly all packets, is a test like others; the headers behind it are a test of their own ([`Test::Chain`]), which the evaluator
//! walks and programs leave open.

use super::lower::{Writer, field};
use super::scope::Scope;
use super::value::{Value, View};
use super::{Refused, Test};
use crate::ast::{Family, ether, ip};
use crate::graph::{Builder, Next, PastTheEnd};
use crate::ranges::Ranges;

/// The headers behind an IP header that announces one of [`extensions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    family: Family,
    /// What is looked for; nothing larger than 255 is there.
    number: u32,
    /// Where the IP header starts.
    network: u32,
}

/// What a header announces that says itself what follows it: hop-by-hop options, routing, fragment, destination options, and in both
/// versions AH.
const OPTIONS: [u8; 4] = [0, 43, ip::FRAGMENT, 60];
const AH: u8 = 51;

/// Headers beyond those that find place in a frame one after the other. A length of AH leads anywhere, back as well, and then libpcap's
/// loop need not end.
const TURNS: usize = 256;

fn extensions(family: Family) -> Ranges {
    let options: &[u8] = if family == Family::V6 { &OPTIONS } else { &[] };
    Ranges::new(options.iter().chain([&AH]).map(|number| (u32::from(*number), u32::from(*number))))
}

impl Writer<'_> {
    pub(super) fn chain(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        (family, number): (Option<Family>, u32),
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost {
            return to.test(Test::Undecided, yes, no);
        }
        let Some(network) = scope.network().fixed_offset() else {
            return self.refuse(Refused::ChainInTunnel);
        };
        let mut no = no;
        for (version, at, protocol) in [(Family::V6, 6, ether::IPV6), (Family::V4, 9, ether::IPV4)] {
            if family.is_some_and(|only| only != version) {
                continue;
            }
            let next = Value::load(network.wrapping_add(at), 1);
            let entry = to.test(Test::Chain(Chain { family: version, number, network }), yes, no);
            let set = extensions(version);
            let entry = to.test(Test::Field { value: next.clone(), mask: u32::MAX, set }, entry, no);
            let entry = to.test(field(next, u32::MAX, number), yes, entry);
            no = self.announced(to, scope, protocol, entry, no);
        }
        no
    }
}

impl Chain {
    /// Whether the number can't be there, whatever the frame.
    pub(super) const fn never_holds(self) -> bool {
        self.number > 0xff
    }

    /// Walks the headers as libpcap's program does: behind AH it goes on at AH's length, counted from the IP header.
    pub(super) fn holds(self, view: &View<'_>) -> Result<bool, PastTheEnd> {
        let load = |at: u32| view.load(u64::from(self.network) + u64::from(at), 1);
        let (mut next, mut at) = match self.family {
            Family::V4 => (load(9)?, (load(0)? & 0x0f) << 2),
            Family::V6 => (load(6)?, 40),
        };
        let extensions = extensions(self.family);
        for _ in 0..view.len() / 8 + TURNS {
            if next == self.number {
                return Ok(true);
            }
            if !extensions.contains(next) {
                return Ok(false);
            }
            let behind = load(at)?;
            let len = load(at.wrapping_add(1))?;
            at = if next == u32::from(AH) { (len + 2) * 4 } else { at.wrapping_add((len + 1) * 8) };
            next = behind;
        }
        // libpcap has no verdict on the frame, and what it has no verdict on does not pass.
        Err(PastTheEnd)
    }
}

//! What an Ethernet header tells: its addresses, and 802.2 behind it.

use super::announced::is_length;
use super::link::Link;
use super::lower::{Writer, either, field};
use super::scope::{Layer, Scope};
use super::{Compare, Refused, Test};
use crate::ast::{Cast, Ends, Llc};
use crate::graph::{Builder, Next};
use crate::ranges::Ranges;

impl Writer<'_> {
    pub(super) fn mac(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        (ends, address): (Ends, [u8; 6]),
        yes: Next,
        no: Next,
    ) -> Next {
        let [a, b, c, d, e, f] = address;
        let (high, low) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
        let entry = either(to, ends, yes, no, |to, end, yes, no| {
            let at = if end == Ends::Source { 6 } else { 0 };
            let entry = to.test(field(scope.header.load(at, 2), u32::MAX, u32::from(high)), yes, no);
            to.test(field(scope.header.load(at + 2, 4), u32::MAX, low), entry, no)
        });
        self.with_link_header(to, scope, "Ethernet addresses", entry, yes, no)
    }

    /// `broadcast` and `multicast` of the link layer.
    pub(super) fn link_cast(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        kind: Cast,
        yes: Next,
        no: Next,
    ) -> Next {
        match kind {
            Cast::Broadcast => {
                let entry = to.test(field(scope.header.load(0, 2), u32::MAX, 0xffff), yes, no);
                let entry = to.test(field(scope.header.load(2, 4), u32::MAX, u32::MAX), entry, no);
                self.with_link_header(to, scope, "broadcasts", entry, yes, no)
            }
            Cast::Multicast => {
                let first = scope.header.load(0, 1);
                let test = if self.leaves {
                    // Asked by BPF_JSET, which leaves all bits.
                    let set = Ranges::new((1..=255).step_by(2).map(|odd| (odd, odd)));
                    Test::Field { value: first, mask: u32::MAX, set }
                } else {
                    field(first, 1, 1)
                };
                let entry = to.test(test, yes, no);
                self.with_link_header(to, scope, "multicasts", entry, yes, no)
            }
        }
    }

    /// Tests of an Ethernet header, which may be missing inside GENEVE.
    fn with_link_header(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        what: &'static str,
        entry: Next,
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost || scope.layer == Layer::Link(Link::Any) {
            return to.test(Test::Undecided, yes, no);
        }
        if !scope.is_ethernet() {
            return self.refuse(Refused::No(what, scope.name()));
        }
        match (scope.in_geneve, scope.header.register(), scope.payload.register()) {
            (true, Some(left), Some(right)) => {
                to.test(Test::Compare { left, how: Compare::Equal, right }, no, entry)
            }
            _ => entry,
        }
    }

    pub(super) fn llc(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        kind: Option<Llc>,
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost || scope.layer == Layer::Link(Link::Any) {
            return to.test(Test::Undecided, yes, no);
        }
        if !scope.is_ethernet() {
            return self.refuse(Refused::No("802.2 headers", scope.name()));
        }
        let entry = match kind {
            Some(Llc { mask, value, .. }) => {
                to.test(field(scope.payload.load(2, 1), u32::from(mask), u32::from(value)), yes, no)
            }
            None => yes,
        };
        // Novell's frames have a length and no 802.2.
        let entry = to.test(field(scope.payload.load(0, 2), u32::MAX, 0xffff), no, entry);
        to.test(is_length(scope), entry, no)
    }
}

//! DECnet phase IV addresses, in the short and the long routing header, each with a byte of padding before it and without.

use super::Test;
use super::lower::{Writer, either, field};
use super::scope::Scope;
use crate::ast::{Ends, ether};
use crate::graph::{Builder, Next};

/// The routing header's flags under a mask, and where source and destination stand behind the packet's length.
const HEADERS: [(u8, u32, u32, u32, u32); 4] = [
    // Without padding the flags are a byte, with it the second of two.
    (1, 0x07, 0x02, 5, 3),
    (2, 0xff07, 0x8102, 6, 4),
    (1, 0x07, 0x06, 17, 9),
    (2, 0xff07, 0x8106, 18, 10),
];

impl Writer<'_> {
    pub(super) fn decnet(
        &self,
        to: &mut Builder<Test>,
        scope: &Scope,
        (ends, address): (Ends, u16),
        yes: Next,
        no: Next,
    ) -> Next {
        if scope.lost {
            return to.test(Test::Undecided, yes, no);
        }
        // Little endian on the wire.
        let address = u32::from(address.swap_bytes());
        either(to, ends, yes, no, |to, end, yes, no| {
            let entry = HEADERS.iter().rev().fold(no, |no, &(size, mask, flags, source, destination)| {
                let at = if end == Ends::Source { source } else { destination };
                let entry = to.test(field(scope.network().load(at, 2), u32::MAX, address), yes, no);
                to.test(field(scope.network().load(2, size), mask, flags), entry, no)
            });
            self.announced(to, scope, ether::DECNET, entry, no)
        })
    }
}

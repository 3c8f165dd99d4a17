//! 802.11 data frames, bare or behind what a driver says of their reception.
//!
//! Sources: IEEE 802.11-2020 section 9.2, <https://www.radiotap.org>, the PPI specification of CACE. Encrypted, aggregated (A-MSDU) and fragmented
//! frames are not read.

use super::rest::Rest;
use super::walk::Walk;
use super::{Parsed, Stop, ether, link};

/// An AVS header's magic number and version 1 to 15.
const AVS: u32 = 0x8021_1000;

/// Without anything before it.
pub(super) fn bare(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    data(walk, rest, 1)
}

/// A data frame; the header's length is made a multiple of `align`.
pub(super) fn data(walk: Walk<'_>, rest: Rest<'_>, align: usize) -> Result<Parsed, Stop> {
    let [control, flags] = rest.array(0)?;
    // Version 0, type data, not one of the subtypes without.
    if control & 0x4f != 0x08 {
        return Err(Stop::Other);
    }
    let fragment_number = rest.u16_le(22)? & 0xf;
    let (more_fragments, protected) = (flags & 0x04 != 0, flags & 0x40 != 0);
    if fragment_number != 0 || more_fragments || protected {
        return Err(Stop::Other);
    }
    // From one distribution system to another: a fourth address.
    let mut length = if flags & 3 == 3 { 30 } else { 24 };
    // Quality of service: two bytes, and with the order flag the high throughput field.
    if control & 0x80 != 0 {
        if rest.u8(length)? & 0x80 != 0 {
            return Err(Stop::Other);
        }
        length += if flags & 0x80 != 0 { 6 } else { 2 };
    }
    ether::llc(walk, rest.skip(length.next_multiple_of(align))?)
}

/// Radiotap: version, length, a chain of words that tell which fields are there. Only the flags matter, which stand first or behind the
/// timer.
pub(super) fn radiotap(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if rest.u8(0)? != 0 {
        return Err(Stop::Malformed);
    }
    let present = rest.u32_le(4)?;
    let mut at = 8;
    let mut word = present;
    while word & 1 << 31 != 0 {
        word = rest.u32_le(at)?;
        at += 4;
    }
    let (timer, flags) = (present & 1 != 0, present & 2 != 0);
    if timer {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if flags { rest.u8(at)? } else { 0 };
    let (padded, bad) = (flags & 0x20 != 0, flags & 0x40 != 0);
    if bad {
        return Err(Stop::Malformed);
    }
    data(walk, rest.skip(usize::from(rest.u16_le(2)?))?, if padded { 4 } else { 1 })
}

/// Prism: a message code and its length, in the capturing host's byte order. Some drivers write AVS under the same link type.
pub(super) fn prism(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if rest.u32(0)? & 0xffff_f000 == AVS {
        return avs(walk, rest);
    }
    let length = rest.u32(4)?;
    bare(walk, rest.skip(length.min(length.swap_bytes()) as usize)?)
}

/// AVS: magic number and version, length.
pub(super) fn avs(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    bare(walk, rest.skip(rest.u32(4)? as usize)?)
}

/// PPI: version, flags, length, the link type of what follows.
pub(super) fn per_packet_information(walk: Walk<'_>, rest: Rest<'_>) -> Result<Parsed, Stop> {
    if rest.u8(0)? != 0 {
        return Err(Stop::Malformed);
    }
    link::inner_type(walk, rest.u32_le(4)?, rest.skip(usize::from(rest.u16_le(2)?))?)
}

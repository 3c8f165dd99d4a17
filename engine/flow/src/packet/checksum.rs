//! Checksums (RFC 1071), for those who ask: IPv4 header, TCP, UDP.

use super::rest::Rest;
use super::walk::Walk;
use super::{Ends, Stop};

/// IPv4 options that change the destination underway (RFC 791): loose and strict source route.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// Checks an IPv4 header.
pub(super) fn header(bytes: &[u8]) -> Result<(), Stop> {
    verdict(sum(bytes))
}

/// Checks TCP or UDP. What was cut by the snap length or is left to the network card can't be checked.
pub(super) fn transport(walk: &Walk<'_>, ends: &Ends, protocol: u8, rest: Rest<'_>) -> Result<(), Stop> {
    if walk.frame.flags.checksum_not_ready || !rest.is_whole() {
        return Ok(());
    }
    // Longer than the field can say: not sent like this, but handed to the network card.
    let Ok(length) = u16::try_from(rest.bytes.len()) else { return Ok(()) };
    // An IPv4 address is mapped into IPv6 here by 0xffff and zeros, and 0xffff counts as 0.
    let [source, destination] = [ends.source, ends.destination].map(|end| sum(&end.bits().to_be_bytes()));
    verdict(source + destination + u64::from(protocol) + u64::from(length) + sum(rest.bytes))
}

/// Whether IPv4 options change the destination underway: the checksum covers the last one. Errs on the side of yes.
pub(super) fn source_routed(options: &[u8]) -> bool {
    options.iter().any(|byte| SOURCE_ROUTES.contains(byte))
}

/// The sum of 16-bit words, an odd byte being the upper half of one.
fn sum(bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks();
    let odd = odd.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.iter().fold(odd, |sum, word| sum + u64::from(u16::from_be_bytes(*word)))
}

/// A sum with the checksum in it, carries added, is all ones.
fn verdict(mut sum: u64) -> Result<(), Stop> {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if sum == 0xffff { Ok(()) } else { Err(Stop::BadChecksum) }
}

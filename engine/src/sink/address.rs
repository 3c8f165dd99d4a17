//! Addresses as sinks write them: the text of `core::net`, without its formatting machinery.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sniff_x_flow::Endpoint;

/// Appends an address: `10.0.0.1`, or an IPv6 address as RFC 5952 wants it.
pub(super) fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => write_v4(v4, out),
        IpAddr::V6(v6) => write_v6(v6, out),
    }
}

/// Appends an address and a port: `10.0.0.1:3306` or `[fe80::1]:3306`.
pub(super) fn write_endpoint(endpoint: Endpoint, out: &mut Vec<u8>) {
    let address = endpoint.address();
    if address.is_ipv6() {
        out.push(b'[');
        write_address(address, out);
        out.push(b']');
    } else {
        write_address(address, out);
    }
    out.push(b':');
    write_number(endpoint.port(), out);
}

/// Appends a whole number in decimal.
pub(super) fn write_number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_v4(address: Ipv4Addr, out: &mut Vec<u8>) {
    for (i, octet) in address.octets().into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        write_number(octet, out);
    }
}

fn write_v6(address: Ipv6Addr, out: &mut Vec<u8>) {
    let groups = address.segments();
    if let Some(v4) = address.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        return write_v4(v4, out);
    }
    let (start, len) = longest_zeros(&groups);
    for (i, &group) in groups.iter().enumerate() {
        if i >= start && i < start + len {
            if i == start {
                out.extend_from_slice(b"::");
            }
            continue;
        }
        if i > 0 && i != start + len {
            out.push(b':');
        }
        write_hex(group, out);
    }
}

/// Where the longest run of at least two zero groups begins, and its length; behind the end when there is none.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((groups.len() + 1, 0), 0);
    for (i, &group) in groups.iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > 1 && run > best.1 {
            best = (i + 1 - run, run);
        }
    }
    best
}

fn write_hex(group: u16, out: &mut Vec<u8>) {
    let [high, low] = group.to_be_bytes();
    let digits = [high >> 4, high & 0xf, low >> 4, low & 0xf].map(hex_digit);
    let leading = (group.leading_zeros() / 4).min(3) as usize;
    out.extend(digits.iter().skip(leading));
}

/// A lower-case hexadecimal digit of a number below 16.
pub(super) const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(address: IpAddr) -> String {
        let mut out = Vec::new();
        write_address(address, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        /// `core::net` judges; zero groups are made likely.
        #[test]
        fn v6_reads_as_the_standard_library_writes_it(groups: [u16; 8], zeros: u8) {
            let mut groups = groups;
            for (i, group) in groups.iter_mut().enumerate() {
                if zeros & (1 << i) != 0 {
                    *group = 0;
                }
            }
            let address = Ipv6Addr::from(groups);
            prop_assert_eq!(text(IpAddr::V6(address)), address.to_string());
        }

        #[test]
        fn v4_reads_as_the_standard_library_writes_it(octets: [u8; 4]) {
            let address = Ipv4Addr::from(octets);
            prop_assert_eq!(text(IpAddr::V4(address)), address.to_string());
        }
    }

    #[test]
    fn special_addresses() {
        for address in ["::", "::1", "fe80::1", "1::", "::ffff:1.2.3.4", "1:0:0:2:0:0:0:3", "1:0:2::3"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(text(address), address.to_string());
        }
    }
}

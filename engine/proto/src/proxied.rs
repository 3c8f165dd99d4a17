//! The PROXY protocol: what a load balancer says of the client before the connection's own bytes.
//!
//! Stage: the first bytes to the server → the address that the connection came from, and where the protocol's own bytes begin. Version 1 is a
//! line of text, version 2 is binary; extensions (TLVs) are passed over. Any protocol's decoder may ask.
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who speaks behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxiedClient {
    /// The address that the proxy was called from.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
}

/// What a look at the first bytes to the server found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// No header begins here.
    Absent,
    /// Perhaps one; more bytes are needed to tell.
    Partial,
    /// A header.
    Header {
        /// Its length in bytes, extensions included; it may reach beyond the bytes that are here.
        len: usize,
        /// None where the proxy speaks for itself, or does not know, or was called through a local socket.
        client: Option<ProxiedClient>,
    },
}

/// Looks for a header at the start of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Preface {
    match bytes.first() {
        None => Preface::Partial,
        Some(b'P') => text(bytes),
        Some(b'\r') => binary(bytes),
        Some(_) => Preface::Absent,
    }
}

/// Whether all that is here agrees with `start`, and it is not whole.
fn is_part_of(bytes: &[u8], start: &[u8]) -> bool {
    bytes.len() < start.len() && start.starts_with(bytes)
}

/// Version 1.
fn text(bytes: &[u8]) -> Preface {
    const START: &[u8] = b"PROXY ";
    /// The longest line, its end included.
    const MAX_LINE: usize = 107;
    if is_part_of(bytes, START) {
        return Preface::Partial;
    }
    let Some(rest) = bytes.strip_prefix(START) else { return Preface::Absent };
    let Some(end) = memchr::memchr(b'\n', rest.get(..MAX_LINE - START.len()).unwrap_or(rest)) else {
        return if bytes.len() < MAX_LINE { Preface::Partial } else { Preface::Absent };
    };
    let line = rest.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    match line.and_then(|line| core::str::from_utf8(line).ok()).and_then(line_client) {
        Some(client) => Preface::Header { len: START.len() + end + 1, client },
        None => Preface::Absent,
    }
}

/// The client of a line behind its first word; none when the line is malformed.
fn line_client(line: &str) -> Option<Option<ProxiedClient>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Receivers ignore what follows it.
        return Some(None);
    }
    let mut address = || match family {
        "TCP4" => Ipv4Addr::from_str(words.next()?).ok().map(IpAddr::V4),
        "TCP6" => Ipv6Addr::from_str(words.next()?).ok().map(IpAddr::V6),
        _ => None,
    };
    let (source, _) = (address()?, address()?);
    let mut port = || words.next()?.parse::<u16>().ok();
    let (port, _) = (port()?, port()?);
    words.next().is_none().then_some(Some(ProxiedClient { address: source, port }))
}

/// Version 2.
fn binary(bytes: &[u8]) -> Preface {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    if is_part_of(bytes, SIGNATURE) {
        return Preface::Partial;
    }
    let Some(rest) = bytes.strip_prefix(SIGNATURE) else { return Preface::Absent };
    let Some((&[version_command, family, a, b], rest)) = rest.split_first_chunk() else {
        return Preface::Partial;
    };
    let behind = usize::from(u16::from_be_bytes([a, b]));
    let len = SIGNATURE.len() + 4 + behind;
    // LOCAL: the proxy itself speaks, and what follows is to be ignored.
    let local = version_command == 0x20;
    let shortest = match family >> 4 {
        _ if local => 0,
        0 => 0,
        1 => 12,
        2 => 36,
        // Paths of local sockets.
        3 => 216,
        _ => return Preface::Absent,
    };
    if !matches!(version_command, 0x20 | 0x21) || family & 0x0f > 2 || behind < shortest {
        return Preface::Absent;
    }
    let client = match (local, family >> 4) {
        (false, 1) => match rest.first_chunk::<12>() {
            Some(&[s0, s1, s2, s3, _, _, _, _, p0, p1, _, _]) => {
                Some((IpAddr::from([s0, s1, s2, s3]), [p0, p1]))
            }
            None => return Preface::Partial,
        },
        (false, 2) => match (rest.first_chunk::<16>(), rest.get(32..34).and_then(<[u8]>::first_chunk)) {
            (Some(source), Some(port)) => Some((IpAddr::from(*source), *port)),
            _ => return Preface::Partial,
        },
        _ => None,
    };
    let client = client.map(|(address, port)| ProxiedClient { address, port: u16::from_be_bytes(port) });
    Preface::Header { len, client }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str, port: u16) -> Option<ProxiedClient> {
        Some(ProxiedClient { address: address.parse().unwrap(), port })
    }

    /// The header is told at its last needed byte and not before.
    fn reads(header: &[u8], needed: usize, client: Option<ProxiedClient>) {
        let mut bytes = header.to_vec();
        bytes.extend(b"\x0a\0\0\x01more");
        for cut in 0..needed {
            assert_eq!(read(&bytes[..cut]), Preface::Partial, "{cut}");
        }
        for cut in needed..bytes.len() {
            assert_eq!(read(&bytes[..cut]), Preface::Header { len: header.len(), client }, "{cut}");
        }
    }

    /// The lines of the protocol's text, section 2.1.
    #[test]
    fn lines() {
        for (line, client) in [
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", client("255.255.255.255", 65535)),
            ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", client("192.168.0.1", 56324)),
            ("PROXY TCP6 2001:db8::1 ::1 56324 3306\r\n", client("2001:db8::1", 56324)),
            ("PROXY UNKNOWN\r\n", None),
            (
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                None,
            ),
        ] {
            assert!(line.len() <= 107);
            reads(line.as_bytes(), line.len(), client);
        }
    }

    #[test]
    fn lines_that_are_none() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
        for line in [
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
            "PROXY TCP4 ::1 ::1 1 1\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
            "PROXY UNKNOWN\n",
            "PROXY\r\n",
            "PROXY \r\n",
            "PRINT 1\r\n",
            &long,
        ] {
            assert_eq!(read(line.as_bytes()), Preface::Absent, "{line:?}");
        }
    }

    fn header(version_command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
        let len = u16::try_from(behind.len()).unwrap().to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[version_command, family][..], &len, behind].concat()
    }

    #[test]
    fn binary_headers() {
        let v4 = [10, 1, 2, 3, 10, 9, 9, 9, 0xc0, 0x01, 0x0c, 0xea];
        reads(&header(0x21, 0x11, &v4), 28, client("10.1.2.3", 0xc001));
        // PP2_TYPE_AUTHORITY behind the addresses: 300 bytes that need not be here.
        let with_tlv = [&v4[..], &[0x02, 0x01, 0x29], &[b'x'; 297]].concat();
        reads(&header(0x21, 0x11, &with_tlv), 28, client("10.1.2.3", 0xc001));
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 0x07, 0x50);
        reads(&header(0x21, 0x21, &v6), 16 + 34, client("2001::7", 0x50));
        reads(&header(0x21, 0x31, &[b'/'; 216]), 16, None);
        reads(&header(0x20, 0x00, &[]), 16, None);
        reads(&header(0x20, 0x11, &v4), 16, None);
        reads(&header(0x21, 0x00, &[1, 2, 3]), 16, None);
    }

    #[test]
    fn binary_headers_that_are_none() {
        for bytes in [
            header(0x11, 0x11, &[0; 12]),
            header(0x22, 0x11, &[0; 12]),
            header(0x21, 0x41, &[0; 12]),
            header(0x21, 0x13, &[0; 12]),
            header(0x21, 0x11, &[0; 11]),
            header(0x21, 0x21, &[0; 35]),
            header(0x21, 0x31, &[0; 215]),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
        ] {
            assert_eq!(read(&bytes), Preface::Absent, "{bytes:x?}");
        }
    }
}

//! What is refused, where, and what is said of it.

use crate::{Expression, parse};

fn refused(text: &str) -> (usize, usize, String) {
    match parse(text) {
        Ok(expression) => panic!("'{text}' is taken as '{expression}'"),
        Err(e) => (e.offset(), e.len(), e.message().to_owned()),
    }
}

/// The text that the error points at, and its message.
fn points_at(text: &str, part: &str, message: &str) {
    let (offset, len, said) = refused(text);
    assert_eq!(&text[offset..offset + len], part, "'{text}': {said}");
    assert!(said.contains(message), "'{text}': {said}");
}

#[test]
fn the_place_is_shown() {
    let error = parse("tcp port 99999").expect_err("too large");
    assert_eq!(error.to_string(), "port 99999 is larger than 65535\n  tcp port 99999\n           ^^^^^");
    let error = parse("tcp and").expect_err("too short");
    assert!(error.is_empty());
    assert!(error.to_string().ends_with("\n  tcp and\n         ^"), "{error}");
    // On the second line, behind a character of two bytes.
    let error = parse("tcp and\nport \u{e9}").expect_err("no port");
    assert!(error.to_string().ends_with("\n  port \u{e9}\n       ^"), "{error}");
}

#[test]
fn numbers() {
    points_at("port 65536", "65536", "larger than 65535");
    points_at("portrange 1-70000", "1-70000", "70000 is larger than 65535");
    points_at("portrange 1-99999999999999999999999", "1-99999999999999999999999", "larger than 65535");
    points_at("port 4294967296", "4294967296", "32 bits");
    points_at("port 08", "08", "octal");
    points_at("port 0x", "0x", "service name");
    points_at("port 80-90", "80-90", "write 'portrange 80-90'");
    points_at("port http", "http", "service name");
    points_at("port 80 443", "443", "expected 'and' or 'or'");
    points_at("ip proto 256", "256", "larger than 255");
    points_at("ether proto 65536", "65536", "larger than 65535");
    points_at("ether proto 60", "60", "not supported yet");
    points_at("ether proto 0x809b", "0x809b", "not supported yet");
}

#[test]
fn addresses() {
    points_at("host 10.0.0.256", "10.0.0.256", "'256' is not from 0 to 255");
    points_at("host 10.0.0.0x1", "10.0.0.0x1", "'0x1'");
    points_at("host example.org", "example.org", "names are not looked up");
    points_at("net localnet", "localnet", "names are not looked up");
    points_at("host fe80::1::2", "fe80::1::2", "no IPv6 address");
    points_at("host 1:2", ":", "not supported yet");
    points_at("host fe80::1%eth0", "%", "not supported yet");
    points_at("net 10.0.0.1/8", "10.0.0.1", "outside of the mask; the network is 10.0.0.0");
    points_at("net 10.0.0.0/33", "33", "at most 32 bits");
    points_at("net 10.0.0.1 mask 255.0.0.0", "10.0.0.1", "the network is 10.0.0.0");
    points_at("net 10.0.0.0 mask 8", "8", "expected a mask");
    points_at("net 10.0.0.0/", "", "prefix length");
    points_at("net 10/8", "/", "arithmetic");
    points_at("host 10.0.0.0/8", "/", "needs 'net'");
    points_at("src 10.0.0.0/8", "/", "needs 'net'");
    points_at("net fe80::1/64", "fe80::1", "the network is fe80::");
    points_at("net fe80::/129", "129", "at most 128 bits");
    points_at("host fe80::/64", "/", "needs 'net'");
    points_at("ip host fe80::1", "fe80::1", "'ip' can't have the IPv6 address");
    points_at("ip6 host 10.0.0.1", "10.0.0.1", "'ip6' can't have the IPv4 address");
    points_at("tcp host 10.0.0.1", "10.0.0.1", "write 'tcp and host 10.0.0.1'");
    points_at("ether host 2:0:0:0:0:1", "host", "not supported yet");
    points_at("host 2:0:0:0:0:1", "2:0:0:0:0:1", "not supported yet");
}

#[test]
fn qualifiers() {
    points_at("ip port 80", "80", "'ip' has no ports");
    points_at("icmp portrange 1-2", "1-2", "'icmp' has no ports");
    points_at("tcp proto 6", "6", "'tcp proto' does not exist");
    points_at("port 10.0.0.1", "10.0.0.1", "expected a port number behind 'port'");
    points_at("port fe80::1", "fe80::1", "expected a port number");
    points_at("proto 10.0.0.1", "10.0.0.1", "expected a protocol number");
    points_at("ip proto tcp", "tcp", "write '\\tcp' or the number");
    points_at("ip proto \\icmp6", "\\icmp6", "write its number");
    points_at("src proto 6", "proto", "no 'src' or 'dst'");
    points_at("src tcp port 80", "tcp", "the protocol comes first");
    points_at("10.0.0.1", "10.0.0.1", "needs 'host', 'net', 'src' or 'dst'");
    points_at("80", "80", "needs 'port' or 'proto'");
    points_at("tcp 80", "80", "expected 'and' or 'or'");
    points_at("tcp or 80", "80", "needs 'port' or 'proto'");
    // A term in parentheses leaves no qualifiers behind.
    points_at("(tcp port 80) or 443", "443", "needs 'port'");
    points_at("ether", "ether", "needs more behind it");
}

#[test]
fn structure() {
    points_at("not", "", "the filter ends where a term");
    points_at("tcp and", "", "the filter ends where a term");
    points_at("port", "", "a port number is expected behind 'port'");
    points_at("and tcp", "and", "expected a term");
    points_at("tcp or or udp", "or", "expected a term");
    points_at("()", ")", "expected a term");
    points_at("(tcp", "(", "not closed");
    points_at("tcp)", ")", "no '(' for this ')'");
    points_at("port (80 or tcp)", "tcp", "expected a port number");
    points_at("tcp ip", "ip", "expected 'and' or 'or'");
    points_at("tcp #", "#", "no meaning");
}

#[test]
fn what_comes_later_is_told_apart_from_what_is_wrong() {
    for (text, part) in [
        ("vlan and tcp", "vlan"),
        ("tcp and less 100", "less"),
        ("ip broadcast", "broadcast"),
        ("gateway 10.0.0.1", "gateway"),
        ("tcp[13] & 2 != 0", "["),
        ("port 80 and 443 = 443", "="),
        ("len > 100", "len"),
        ("ip6 protochain 6", "protochain"),
    ] {
        points_at(text, part, "not supported yet");
    }
    points_at("foo", "foo", "unknown word 'foo'");
    points_at("TCP port 80", "TCP", "lower case: 'tcp'");
    points_at("tcp AND udp", "AND", "expected 'and' or 'or'");
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let deep = |n: usize| format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(100)).is_ok());
    assert!(parse(&deep(100_000)).is_err());
    assert!(parse(&"not ".repeat(100_000)).is_err());
    assert!(parse(&format!("{}tcp", "not ".repeat(99))).is_ok());
    let zigzag = |n: usize| "tcp and udp or ".repeat(n) + "ip";
    assert!(parse(&zigzag(50)).is_ok());
    assert!(parse(&zigzag(100_000)).is_err());
    // Length alone is no depth.
    let list = "port 1".to_owned() + &" or 2".repeat(100_000);
    assert!(parse(&list).is_ok());
}

#[test]
fn written_out() {
    let written = |text: &str| parse(text).map(|e: Expression| e.to_string());
    for (text, canonical) in [
        ("", ""),
        ("tcp port 3306 or 5432", "tcp port 3306 or tcp port 5432"),
        ("port 80 or (udp port 53) or 443", "port 80 or udp port 53 or port 443"),
        ("tcp or udp and ip", "(tcp or udp) and ip"),
        ("tcp or (udp and ip)", "tcp or (udp and ip)"),
        ("!(tcp && port 80)", "not (tcp and port 80)"),
        ("not not tcp", "tcp"),
        ("net 10", "net 10.0.0.0/8"),
        ("host 10", "host 0.0.0.10"),
        ("src 192.168", "src net 192.168.0.0/16"),
        ("dst or src net 10.0.0.0 mask 255.0.255.0", "net 10.0.0.0 mask 255.0.255.0"),
        ("host ::ffff:10.0.0.1", "ip6 host ::ffff:10.0.0.1"),
        ("portrange 90-80", "portrange 80-90"),
        ("ether proto \\arp", "ether proto 0x806"),
        ("link proto 0x800", "ether proto 0x800"),
    ] {
        assert_eq!(written(text).as_deref(), Ok(canonical));
    }
}

//! What is refused, where, and what is said of it.

use core::net::{IpAddr, Ipv4Addr};

use crate::{Expression, Names, Service, parse};

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
    points_at("port 0x", "0x", "unknown service");
    points_at("portrange http-70000", "http-70000", "70000 is larger than 65535");
    points_at("portrange http", "http", "expected two port numbers with '-' between them");
    points_at("port 80-90", "80-90", "write 'portrange 80-90'");
    points_at("port nowhere", "nowhere", "unknown service");
    points_at("udp port ssh", "ssh", "is one of tcp");
    points_at("port 80 443", "443", "expected 'and' or 'or'");
    points_at("ip proto 4294967296", "4294967296", "32 bits");
}

#[test]
fn addresses() {
    points_at("host 10.0.0.256", "10.0.0.256", "'256' is not from 0 to 255");
    points_at("host 10.0.0.0x1", "10.0.0.0x1", "'0x1'");
    points_at("host example.org", "example.org", "not looked up");
    points_at("ether host foo", "foo", "unknown Ethernet host 'foo'");
    points_at("gateway foo", "foo", "unknown Ethernet host 'foo'");
    points_at("net localnet", "localnet", "unknown network");
    points_at("host fe80::1::2", "fe80::1::2", "no IPv6 address");
    points_at("host 1:2", ":", "has no number before it");
    points_at("host fe80::1%eth0", "%", "has no number before it");
    points_at("net 10.0.0.1/8", "10.0.0.1", "outside of the mask; the network is 10.0.0.0");
    points_at("net 10.0.0.0/33", "33", "at most 32 bits");
    points_at("net 10.0.0.1 mask 255.0.0.0", "10.0.0.1", "the network is 10.0.0.0");
    points_at("net 10.0.0.0 mask 8", "8", "expected a mask");
    points_at("net 10.0.0.0/", "", "prefix length");
    points_at("net 10/8", "/", "has no number before it");
    points_at("host 10.0.0.0/8", "/", "needs 'net'");
    points_at("src 10.0.0.0/8", "/", "needs 'net'");
    points_at("net fe80::1/64", "fe80::1", "the network is fe80::");
    points_at("net fe80::/129", "129", "at most 128 bits");
    points_at("host fe80::/64", "/", "needs 'net'");
    points_at("ip host fe80::1", "fe80::1", "'ip' can't have the IPv6 address");
    points_at("ip6 host 10.0.0.1", "10.0.0.1", "'ip6' can't have the IPv4 address");
    points_at("tcp host 10.0.0.1", "10.0.0.1", "write 'tcp and host 10.0.0.1'");
    points_at("host 2:0:0:0:0:1", "2:0:0:0:0:1", "needs 'ether host'");
    points_at("ether port 2:0:0:0:0:1", "2:0:0:0:0:1", "needs 'ether host'");
    points_at("decnet host 0x1.2", "0x1.2", "no DECnet address such as 1.10");
    points_at("decnet host ::1", "::1", "no DECnet address such as 1.10");
    points_at("ether host 10.0.0.1", "10.0.0.1", "'ether' has no addresses");
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
    points_at("ether proto \\isis", "\\isis", "unknown protocol");
    points_at("src proto 6", "proto", "no 'src' or 'dst'");
    points_at("dst protochain 6", "protochain", "'protochain' takes no 'src' or 'dst'");
    points_at("tcp protochain 6", "6", "'tcp protochain' does not exist: use 'ip' or 'ip6'");
    points_at("ether protochain 6", "6", "'ether protochain' does not exist");
    points_at("protochain tcp", "tcp", "write '\\tcp' or the number");
    points_at("ip protochain nosuch", "nosuch", "unknown protocol");
    points_at("protochain 10.0.0.1", "10.0.0.1", "expected a protocol number behind 'protochain'");
    points_at("src tcp port 80", "tcp", "the protocol comes first");
    points_at("10.0.0.1", "10.0.0.1", "needs 'host', 'net', 'src' or 'dst'");
    points_at("80", "80", "needs 'port' or 'proto'");
    points_at("tcp 80", "80", "expected 'and' or 'or'");
    points_at("tcp or 80", "80", "needs 'port' or 'proto'");
    // A term in parentheses leaves no qualifiers behind.
    points_at("(tcp port 80) or 443", "443", "needs 'port'");
    points_at("ether", "ether", "needs more behind it");
    points_at("gateway 10.0.0.1", "10.0.0.1", "expected the name of a host behind 'gateway'");
    points_at("tcp gateway foo", "foo", "'tcp' has no gateways");
    points_at("dst gateway foo", "gateway", "'gateway' takes no 'src' or 'dst'");
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
fn arithmetic() {
    points_at("tcp[13] & 2", "", "expected a comparison");
    points_at("tcp[13] & 2 and udp", "and", "expected a comparison");
    points_at("tcp[13 = 2", "=", "expected ']'");
    points_at("tcp[0:3] = 2", "3", "1, 2 or 4");
    points_at("tcp[0:1+1] = 2", "+", "expected ']'");
    points_at("tcp[] = 2", "]", "expected a number");
    points_at("tcp[13] =", "", "the filter ends");
    points_at("tcp[13] = tcp", "tcp", "expected a number");
    points_at("tcp = 5", "=", "has no number before it");
    points_at("1 = 1 = 1", "=", "has no number before it");
    points_at("len", "", "expected a comparison");
    points_at("len / 0 = 1", "/", "division by zero");
    points_at("len % 0 = 1", "%", "division by zero");
    points_at("len << 32 = 1", "<<", "more than 31 bits");
    points_at("esp[0] = 1", "esp", "can't be asked for");
    points_at("isis[0] = 1", "isis", "can't be asked for");
    points_at("port 80 and 443 = ", "", "the filter ends");
    let written = |text: &str| parse(text).map(|e| e.to_string());
    for (text, canonical) in [
        ("less 5", "len <= 5"),
        ("greater 5", "len >= 5"),
        ("len+1*2 - 3 > 4", "((len + (1 * 2)) - 3) > 4"),
        ("len & 3 | 4 ^ 5 + 1 = 0", "((len & 3) | (4 ^ (5 + 1))) = 0"),
        ("tcp[tcpflags] & tcp-syn != 0", "tcp[13] & 2 != 0"),
        ("- 1 + 2 = 1", "((- 1) + 2) = 1"),
        ("byte 3 = 5", "byte 3 = 5"),
        ("byte 3 & 5", "byte 3 & 5"),
        ("(len) == 5", "len = 5"),
    ] {
        let got = written(text).map(|text| text.replace(['(', ')'], ""));
        assert_eq!(got, Ok(canonical.replace(['(', ')'], "")), "{text}");
        assert_eq!(parse(&written(text).expect("taken")), parse(text));
    }
}

#[test]
fn one_word_and_a_number() {
    points_at("vlan 4096", "4096", "at most 4095");
    points_at("mpls 1048576", "1048576", "at most 1048575");
    points_at("pppoes 65536", "65536", "at most 65535");
    points_at("geneve 16777216", "16777216", "at most 16777215");
    points_at("vlan (tcp)", "tcp", "expected a VLAN id");
    points_at("vlan (5", "(", "not closed");
    points_at("less tcp", "tcp", "expected a number behind 'less'");
    points_at("less (5)", "(", "expected a number behind 'less'");
    points_at("byte 3 + 5", "+", "expected '=', '<', '>', '&' or '|'");
    points_at("byte 3 &", "", "expected a number behind '&'");
    points_at("ip6 broadcast", "ip6", "only 'ether' and 'ip'");
    points_at("tcp multicast", "tcp", "only 'ether', 'ip' and 'ip6'");
    points_at("llc foo", "foo", "expected 'and' or 'or'");
}

#[test]
fn what_can_not_be_asked() {
    points_at("type mgt", "type", "802.11");
    points_at("vpi 5", "vpi", "ATM");
    points_at("on eth0", "on", "packet filter pf");
    points_at("sio 4", "sio", "SS7");
    points_at("radio", "radio", "802.11");
    points_at("foo", "foo", "unknown word 'foo'");
    points_at("TCP port 80", "TCP", "lower case: 'tcp'");
    points_at("tcp AND udp", "AND", "expected 'and' or 'or'");
}

#[test]
fn a_rule_asks_of_packets_alone() {
    for (text, part) in [
        ("tcp and vlan 5", "vlan"),
        ("tcp[13] = 2", "tcp"),
        ("port 80 and len > 5", "len"),
        ("ether host 2:0:0:0:0:1", "2:0:0:0:0:1"),
        ("ip multicast", "ip"),
        ("udp or inbound", "inbound"),
        ("ip6 protochain 6", "6"),
        ("ether src router", "router"),
        ("gateway router", "router"),
    ] {
        assert!(crate::parse_with(text, &Router).is_ok(), "{text}");
        let error = crate::parse_rule(text).expect_err(text);
        assert_eq!(&text[error.offset()..error.offset() + error.len()], part);
        assert!(error.message().contains("can only be in --filter"), "{error}");
    }
    assert!(crate::parse_rule("tcp port 80 or 443 and host 10.0.0.1").is_ok());
}

/// One host is known, by all of its addresses.
struct Router;

impl Names for Router {
    fn service(&self, _: &str) -> Service {
        Service::default()
    }

    fn protocol(&self, _: &str) -> Option<u8> {
        None
    }

    fn host(&self, _: &str) -> Result<Vec<IpAddr>, String> {
        Ok(["10.0.0.1", "fe80::1", "192.168.0.1"].map(|address| address.parse().expect("an address")).into())
    }

    fn ethernet(&self, _: &str) -> Result<[u8; 6], String> {
        Ok([2, 0, 0, 0, 0, 1])
    }

    fn network(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }
}

/// What pcap-filter(7) says that they stand for.
#[test]
fn names_of_stations() {
    let written = |text: &str| crate::parse_with(text, &Router).map(|e| e.to_string());
    let station = "ether host 02:00:00:00:00:01";
    for (text, canonical) in [
        ("ether host router", station.to_owned()),
        ("wlan src router", "ether src host 02:00:00:00:00:01".to_owned()),
        ("gateway router", format!("{station} and not (host 10.0.0.1 or host 192.168.0.1)")),
        ("arp gateway router", format!("{station} and not (arp host 10.0.0.1 or arp host 192.168.0.1)")),
        (
            "tcp or not gateway router",
            format!("tcp or not ({station} and not (host 10.0.0.1 or host 192.168.0.1))"),
        ),
    ] {
        assert_eq!(written(text), Ok(canonical.clone()));
        assert_eq!(parse(&canonical), crate::parse_with(text, &Router), "{text}");
    }
    // As deep as what it stands for: `not`, `or` and `and` around its addresses.
    let deep = |n: usize| format!("{}gateway router{}", "not (tcp or ".repeat(n), ")".repeat(n));
    let deepest = (0..200).rfind(|n| crate::parse_with(&deep(*n), &Router).is_ok()).expect("some depth");
    let expression = crate::parse_with(&deep(deepest), &Router).expect("taken");
    assert_eq!(parse(&expression.to_string()), Ok(expression));
}

#[test]
fn never_matching() {
    use sniff_x_flow::LinkType;
    let never = |text: &str| parse(text).is_ok_and(|e| e.never_matches(LinkType::ETHERNET));
    for text in [
        "ip and arp",
        "tcp and not ip and not ip6",
        "1 = 2",
        "ip and not ip",
        "vlan and not vlan 5 and 3 > 4",
        "ip[0] > 255",
        "ip proto 300",
        "ether proto 70000",
        "iso proto 256 or isis proto 300",
        "proto 256 and tcp",
        "protochain 256",
    ] {
        assert!(never(text), "{text}");
        assert!(parse(text).is_ok_and(|e| e.never_matches_anything()), "{text}");
    }
    assert!(parse("mpls and arp").is_ok_and(|e| e.never_matches_anything()));
    assert!(!parse("ether host 2:0:0:0:0:1").is_ok_and(|e| e.never_matches_anything()));
    for text in [
        "",
        "tcp",
        "ip or arp",
        "tcp port 80 and port 443",
        "not 1 = 2",
        "ip[0] > 254",
        "not proto 300",
        "protochain 255",
    ] {
        assert!(!never(text), "{text}");
    }
    assert!(parse("arp").is_ok_and(|e| e.never_matches(LinkType::RAW)));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let deep = |n: usize| format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(100)).is_ok());
    assert!(parse(&deep(100_000)).is_err());
    assert!(parse(&"not ".repeat(100_000)).is_err());
    assert!(parse(&format!("{}tcp", "not ".repeat(99))).is_ok());
    assert!(parse(&format!("{}1 = 1{}", "(".repeat(100), ")".repeat(100))).is_ok());
    assert!(parse(&format!("{}1{} = 1", "(".repeat(100_000), ")".repeat(100_000))).is_err());
    assert!(parse(&format!("{}len > 1", "- ".repeat(100_000))).is_err());
    assert!(parse(&format!("{}1{} = 1", "ip[".repeat(100_000), "]".repeat(100_000))).is_err());
    for deepest in [
        format!("len{} > 1", " + 1".repeat(49)),
        format!("len{} > 1", " ^ 1".repeat(49)),
        format!("{}len > 1", "- ".repeat(49)),
        format!("{}tcp or udp and ip[0]{} = 1{}", "not (".repeat(99), " + ip[1]".repeat(48), ")".repeat(99)),
        format!("{}ip[0]{} = 1 or tcp", "tcp and udp or ".repeat(98), " ^ ip[1]".repeat(48)),
    ] {
        let expression = parse(&deepest).unwrap();
        assert_eq!(parse(&expression.to_string()).as_ref(), Ok(&expression), "{deepest}");
    }
    assert!(parse(&format!("len{} > 1", " + 1".repeat(100_000))).is_err());
    assert!(parse(&format!("len{} > 1", " ^ 1".repeat(100_000))).is_err());
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

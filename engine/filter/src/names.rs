//! Names in a rule: services, protocols, hosts and networks.
//!
//! libpcap asks the system. This crate does no I/O, so whoever parses says who answers: [`WellKnown`] knows what is the same everywhere,
//! and a program can put the system's files and its resolver behind the same questions.

use core::net::{IpAddr, Ipv4Addr};

/// A service's ports, by transport protocol; none where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The TCP port.
    pub tcp: Option<u16>,
    /// The UDP port.
    pub udp: Option<u16>,
}

/// Who answers for names.
pub trait Names {
    /// The ports of a service; both none when it is not known.
    fn service(&self, name: &str) -> Service;

    /// The number of an IP protocol.
    fn protocol(&self, name: &str) -> Option<u8>;

    /// The addresses of a host.
    ///
    /// # Errors
    /// Why there are none, as the end of a sentence.
    fn host(&self, name: &str) -> Result<Vec<IpAddr>, String>;

    /// The Ethernet address of a host, as ethers(5) has it.
    ///
    /// # Errors
    /// Why there is none, as the end of a sentence.
    fn ethernet(&self, name: &str) -> Result<[u8; 6], String>;

    /// The address of a network, as networks(5) has it: all of its bits count, but for whole bytes that are missing at its beginning.
    fn network(&self, name: &str) -> Option<Ipv4Addr>;
}

/// Services and protocols whose numbers are the same everywhere; no hosts and no networks.
///
/// Sources: <https://www.iana.org/assignments/service-names-port-numbers>, <https://www.iana.org/assignments/protocol-numbers>; the names
/// and the transport protocols are those of Debian's `/etc/services` and `/etc/protocols`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WellKnown;

impl Names for WellKnown {
    fn service(&self, name: &str) -> Service {
        let port =
            |list: &[(&str, u16)]| list.iter().find(|(known, _)| *known == name).map(|(_, port)| *port);
        match port(BOTH) {
            Some(port) => Service { tcp: Some(port), udp: Some(port) },
            None => Service { tcp: port(TCP), udp: port(UDP) },
        }
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    fn host(&self, _: &str) -> Result<Vec<IpAddr>, String> {
        Err(NO_HOSTS.to_owned())
    }

    fn ethernet(&self, _: &str) -> Result<[u8; 6], String> {
        Err(NO_HOSTS.to_owned())
    }

    fn network(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }
}

const NO_HOSTS: &str = "names of hosts are not looked up here";

const BOTH: &[(&str, u16)] = &[
    ("discard", 9),
    ("domain", 53),
    ("echo", 7),
    ("https", 443),
    ("ipp", 631),
    ("kerberos", 88),
    ("ldap", 389),
    ("ldaps", 636),
    ("nfs", 2049),
    ("sip", 5060),
    ("sip-tls", 5061),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("sunrpc", 111),
    ("time", 37),
];

const TCP: &[(&str, u16)] = &[
    ("amqp", 5672),
    ("bgp", 179),
    ("ftp", 21),
    ("ftp-data", 20),
    ("http", 80),
    ("http-alt", 8080),
    ("imap2", 143),
    ("imaps", 993),
    ("ms-sql-s", 1433),
    ("mysql", 3306),
    ("netbios-ssn", 139),
    ("nntp", 119),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("redis", 6379),
    ("smtp", 25),
    ("ssh", 22),
    ("submission", 587),
    ("submissions", 465),
    ("telnet", 23),
    ("whois", 43),
    ("microsoft-ds", 445),
];

const UDP: &[(&str, u16)] = &[
    ("bootpc", 68),
    ("bootps", 67),
    ("isakmp", 500),
    ("mdns", 5353),
    ("ms-sql-m", 1434),
    ("netbios-dgm", 138),
    ("netbios-ns", 137),
    ("ntp", 123),
    ("openvpn", 1194),
    ("syslog", 514),
    ("tftp", 69),
    ("microsoft-ds", 445),
];

const PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("rdp", 27),
    ("dccp", 33),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("ipip", 94),
    ("etherip", 97),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("hip", 139),
    ("shim6", 140),
];

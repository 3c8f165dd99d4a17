//! Values by name: services, protocols, networks and hosts, as [`crate::Names`] knows them.

use core::net::IpAddr;

use super::Parser;
use super::keywords::is_keyword;
use super::qualifier::{Kind, Qualifier};
use crate::ast::{Asks, Family, Node, Primitive, Protocol, ether};
use crate::error::ParseError;
use crate::lex::{Lexeme, Token};

impl Parser<'_> {
    /// A name behind a backslash, which may be a keyword.
    pub(super) fn name(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        if !qualifier.kind.is_of_protocols() {
            return self.word(at, name, qualifier);
        }
        let protocol = Protocol::from_name(name);
        let number = match qualifier.protocol {
            Some(Protocol::Ether) => match protocol.map(Protocol::asks) {
                Some(Asks::Link(number)) => Some(number),
                _ if name == "loopback" => Some(ether::LOOPBACK),
                _ => None,
            },
            Some(Protocol::Iso) => match protocol.map(Protocol::asks) {
                Some(Asks::Iso(number)) => Some(u32::from(number)),
                _ => None,
            },
            // `ip6 proto \icmp` is protocol 1 as well.
            _ => self.names.protocol(name).map(u32::from),
        };
        match number {
            Some(number) => self.plain_number(at, number, qualifier).map(Node::Primitive),
            None => Err(self.error(at, format!("unknown protocol '{name}': write its number"))),
        }
    }

    pub(super) fn word(&self, at: Lexeme<'_>, word: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        // Behind a backslash a keyword is a name.
        if matches!(at.token, Token::Word(_)) && is_keyword(word) {
            return Err(match qualifier.kind {
                kind if kind.is_of_protocols() && Protocol::from_name(word).is_some() => {
                    self.error(at, format!("'{word}' is a keyword: write '\\{word}' or the number"))
                }
                _ => self.mismatch(at, qualifier),
            });
        }
        match qualifier.kind {
            Kind::Proto | Kind::ProtoChain => self.name(at, word, qualifier),
            Kind::Port if range(word).is_some() => {
                Err(self.error(at, format!("'{word}' is a range: write 'portrange {word}'")))
            }
            Kind::Port => self.service(at, word, qualifier),
            Kind::PortRange => self.port_range(at, word, qualifier),
            Kind::Net => self.network(at, word, qualifier),
            Kind::Open | Kind::Host => self.host(at, word, qualifier),
            Kind::Gateway => self.gateway(at, word, qualifier),
        }
    }

    fn service(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        let (port, transport) = self.service_port(at, name)?;
        self.ports(at, self.over(at, qualifier, transport)?, port, port).map(Node::Primitive)
    }

    /// A service's port, and the transport protocol if it has only one; where they differ TCP's counts.
    fn service_port(&self, at: Lexeme<'_>, name: &str) -> Result<(u16, Option<Protocol>), ParseError> {
        // A number is a service's name to the C library, too: `http-8080`.
        if let Some(number) = decimal(name) {
            return Ok((self.port(at, number)?, None));
        }
        let service = self.names.service(name);
        match (service.tcp, service.udp) {
            (Some(tcp), Some(udp)) if tcp == udp => Ok((tcp, None)),
            (Some(tcp), _) => Ok((tcp, Some(Protocol::Tcp))),
            (None, Some(udp)) => Ok((udp, Some(Protocol::Udp))),
            (None, None) => Err(self.error(at, format!("unknown service '{name}': write the port's number"))),
        }
    }

    /// The qualifier with the transport protocol that a service has.
    fn over(
        &self,
        at: Lexeme<'_>,
        qualifier: Qualifier,
        transport: Option<Protocol>,
    ) -> Result<Qualifier, ParseError> {
        match (qualifier.protocol, transport) {
            (Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp), Some(only))
                if qualifier.protocol != Some(only) =>
            {
                Err(self.error(at, format!("the service '{}' is one of {}", at.text, only.name())))
            }
            (None, Some(only)) => Ok(Qualifier { protocol: Some(only), ..qualifier }),
            _ => Ok(qualifier),
        }
    }

    /// Two ports with `-` between them, each a number or a service.
    fn port_range(&self, at: Lexeme<'_>, word: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        if let Some((first, last)) = range(word) {
            return self
                .ports(at, qualifier, self.port(at, first)?, self.port(at, last)?)
                .map(Node::Primitive);
        }
        let Some((first, last)) = word.split_once('-') else { return Err(self.mismatch(at, qualifier)) };
        let ((first, over_first), (last, over_last)) =
            (self.service_port(at, first)?, self.service_port(at, last)?);
        let transport = over_first.filter(|_| over_first == over_last);
        self.ports(at, self.over(at, qualifier, transport)?, first, last).map(Node::Primitive)
    }

    fn network(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        // As in libpcap nothing is taken off its end: `10.0.0.0` is one address, `0.0.0.10` all that begin with 10.
        match self.names.network(name) {
            Some(network) if !network.is_unspecified() => {
                self.plain_number(at, network.to_bits(), qualifier).map(Node::Primitive)
            }
            _ => {
                let message = format!("unknown network '{name}': write its address, such as 10.0.0.0/8");
                Err(self.error(at, message))
            }
        }
    }

    /// All addresses of a host, or the one of its Ethernet interface.
    fn host(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        match qualifier.protocol {
            None => self.addresses(at, name, qualifier, None),
            Some(Protocol::Ip6) => self.addresses(at, name, qualifier, Some(Family::V6)),
            Some(Protocol::Ip | Protocol::Arp | Protocol::Rarp) => {
                self.addresses(at, name, qualifier, Some(Family::V4))
            }
            Some(Protocol::Ether) => {
                self.mac(at, self.ethernet(at, name, "its Ethernet address")?, qualifier).map(Node::Primitive)
            }
            Some(other) => Err(self.no_addresses(at, other)),
        }
    }

    /// What a host forwards: frames from or to its Ethernet address, but not from or to its IPv4 addresses. Those of IPv6 don't count, as
    /// in libpcap.
    fn gateway(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        if let Some(other) = qualifier.protocol
            && !matches!(other, Protocol::Ip | Protocol::Arp | Protocol::Rarp)
        {
            let message = format!(
                "'{}' has no gateways: use 'gateway' alone or behind 'ip', 'arp' or 'rarp'",
                other.name()
            );
            return Err(self.error(at, message));
        }
        let address = self.ethernet(at, name, "'ether host … and not host …'")?;
        let own = self.addresses(at, name, qualifier, Some(Family::V4))?;
        Ok(Node::Primitive(Primitive::Mac { ends: qualifier.ends(), address }).and(own.not()))
    }

    /// The addresses of a host, of one family or of both.
    fn addresses(
        &self,
        at: Lexeme<'_>,
        name: &str,
        qualifier: Qualifier,
        family: Option<Family>,
    ) -> Result<Node, ParseError> {
        let addresses = self.names.host(name).map_err(|why| {
            self.error(at, format!("unknown host '{name}': {why}; write its IPv4 or IPv6 address"))
        })?;
        let terms = addresses.into_iter().filter_map(|address| match address {
            IpAddr::V4(v4) if family != Some(Family::V6) => {
                Some(self.v4_primitive(at, qualifier, v4.to_bits(), u32::MAX))
            }
            IpAddr::V6(v6) if family != Some(Family::V4) => {
                Some(Ok(Primitive::V6 { ends: qualifier.ends(), address: v6.to_bits(), prefix: 128 }))
            }
            _ => None,
        });
        let terms: Vec<Node> = terms.map(|term| term.map(Node::Primitive)).collect::<Result<_, _>>()?;
        terms.into_iter().reduce(Node::or).ok_or_else(|| {
            let version = match family {
                None => "",
                Some(Family::V4) => "IPv4 ",
                Some(Family::V6) => "IPv6 ",
            };
            self.error(at, format!("the host '{name}' has no {version}address"))
        })
    }

    /// The Ethernet address of a host; `instead` is what to write where it has none.
    fn ethernet(&self, at: Lexeme<'_>, name: &str, instead: &str) -> Result<[u8; 6], ParseError> {
        self.frame_only(at)?;
        self.names
            .ethernet(name)
            .map_err(|why| self.error(at, format!("unknown Ethernet host '{name}': {why}; write {instead}")))
    }
}

/// Two numbers with `-` between them. As in libpcap, which has scanf(3) read them, what follows the second does not count.
fn range(word: &str) -> Option<(u64, u64)> {
    let (first, last) = word.split_once('-')?;
    let end = last.find(|c: char| !c.is_ascii_digit()).unwrap_or(last.len());
    Some((decimal(first)?, decimal(last.get(..end)?)?))
}

/// A number without its sign, however long.
fn decimal(digits: &str) -> Option<u64> {
    let is_decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_decimal.then(|| digits.parse().unwrap_or(u64::MAX))
}

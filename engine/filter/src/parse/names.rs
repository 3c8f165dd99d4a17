//! Values by name: services, protocols, networks and hosts, as [`crate::Names`] knows them.

use core::net::IpAddr;

use super::Parser;
use super::keywords::is_keyword;
use super::qualifier::{Kind, Qualifier};
use crate::ast::{Asks, Node, Primitive, Protocol, ether};
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
        }
    }

    fn service(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        let (port, transport) = self.service_port(at, name)?;
        self.ports(at, self.over(at, qualifier, transport)?, port, port).map(Node::Primitive)
    }

    /// A service's port, and the transport protocol if it has only one; where they differ TCP's counts.
    fn service_port(&self, at: Lexeme<'_>, name: &str) -> Result<(u16, Option<Protocol>), ParseError> {
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
        let Some((first, last)) = word.split_once('-') else { return self.service(at, word, qualifier) };
        let ((first, over_first), (last, over_last)) =
            (self.service_port(at, first)?, self.service_port(at, last)?);
        let transport = over_first.filter(|_| over_first == over_last);
        self.ports(at, self.over(at, qualifier, transport)?, first, last).map(Node::Primitive)
    }

    fn network(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        let Some(network) = self.names.network(name) else {
            let message = format!("unknown network '{name}': write its address, such as 10.0.0.0/8");
            return Err(self.error(at, message));
        };
        let mut address = network.to_bits();
        let mut mask = u32::MAX;
        while address != 0 && address & !(mask << 8) == 0 {
            mask <<= 8;
        }
        address &= mask;
        self.v4_primitive(at, qualifier, address, mask).map(Node::Primitive)
    }

    /// All addresses of a host.
    fn host(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Node, ParseError> {
        if let Some(other) = qualifier.protocol
            && !matches!(other, Protocol::Ip | Protocol::Ip6 | Protocol::Arp | Protocol::Rarp)
        {
            return Err(self.no_addresses(at, other));
        }
        let addresses = self.names.host(name).map_err(|why| {
            self.error(at, format!("unknown host '{name}': {why}; write its IPv4 or IPv6 address"))
        })?;
        let terms = addresses.into_iter().filter_map(|address| match address {
            IpAddr::V4(v4) if qualifier.protocol != Some(Protocol::Ip6) => {
                Some(self.v4_primitive(at, qualifier, v4.to_bits(), u32::MAX))
            }
            IpAddr::V6(v6) if matches!(qualifier.protocol, None | Some(Protocol::Ip6)) => {
                Some(Ok(Primitive::V6 { ends: qualifier.ends(), address: v6.to_bits(), prefix: 128 }))
            }
            _ => None,
        });
        let terms: Vec<Node> = terms.map(|term| term.map(Node::Primitive)).collect::<Result<_, _>>()?;
        terms
            .into_iter()
            .reduce(Node::or)
            .ok_or_else(|| self.error(at, format!("the host '{name}' has no such address")))
    }
}

/// Two numbers with `-` between them.
fn range(word: &str) -> Option<(u64, u64)> {
    let (first, last) = word.split_once('-')?;
    let number = |digits: &str| {
        let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        decimal.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    Some((number(first)?, number(last)?))
}

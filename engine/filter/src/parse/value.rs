//! Values: ports, addresses, networks and protocol numbers, checked against the qualifiers before them.

use super::keywords::is_keyword;
use super::{Kind, Parser, Qualifier};
use crate::ast::{Ends, Family, Primitive, Protocol, Transport, V4Inside, ether};
use crate::error::ParseError;
use crate::lex::{Lexeme, Token};

impl<'t> Parser<'t> {
    /// The primitive that the value at `start` makes under `qualifier`.
    pub(super) fn value(&mut self, start: Lexeme<'t>, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        self.at += 1;
        let primitive = match start.token {
            Token::Number(number) => self.number(start, number, qualifier)?,
            Token::Dotted(dotted) => self.v4(start, dotted, qualifier)?,
            Token::V6(address) => self.v6(start, address.to_bits(), qualifier)?,
            Token::Ethernet => return Err(self.error(start, "Ethernet addresses are not supported yet")),
            Token::Escaped(name) => self.name(start, name, qualifier)?,
            Token::Word(word) => self.word(start, word, qualifier)?,
            Token::End => {
                let message = format!(
                    "the filter ends where {} is expected behind '{}'",
                    qualifier.kind.expected(),
                    qualifier.kind.word()
                );
                return Err(self.error(start, message));
            }
            _ => return Err(self.mismatch(start, qualifier)),
        };
        self.no_arithmetic(start)?;
        Ok(primitive)
    }

    fn number(&self, at: Lexeme<'_>, number: u32, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        match qualifier.kind {
            Kind::Port | Kind::PortRange => {
                let port = self.port(at, u64::from(number))?;
                self.ports(at, qualifier, port, port)
            }
            Kind::Proto => self.proto(at, number, qualifier),
            Kind::Open | Kind::Host => self.v4_primitive(at, qualifier, number, u32::MAX),
            Kind::Net => {
                // `net 10` is 10.0.0.0/8: the number's own bytes come first, and only they count. `net 0` stays 0.0.0.0/32, as in libpcap.
                let spare = if number == 0 { 0 } else { number.leading_zeros() / 8 * 8 };
                self.v4_primitive(at, qualifier, number << spare, u32::MAX << spare)
            }
        }
    }

    fn port(&self, at: Lexeme<'_>, number: u64) -> Result<u16, ParseError> {
        u16::try_from(number).map_err(|_| self.error(at, format!("port {number} is larger than 65535")))
    }

    fn ports(&self, at: Lexeme<'_>, qualifier: Qualifier, a: u16, b: u16) -> Result<Primitive, ParseError> {
        let transport = match qualifier.protocol {
            None => None,
            Some(Protocol::Tcp) => Some(Transport::Tcp),
            Some(Protocol::Udp) => Some(Transport::Udp),
            Some(Protocol::Sctp) => Some(Transport::Sctp),
            Some(other) => {
                let message = format!(
                    "'{}' has no ports: use '{1}' alone or behind 'tcp', 'udp' or 'sctp' ('{0} and {1} …')",
                    other.name(),
                    qualifier.kind.word()
                );
                return Err(self.error(at, message));
            }
        };
        Ok(Primitive::Port { transport, ends: qualifier.ends(), first: a.min(b), last: a.max(b) })
    }

    fn proto(&self, at: Lexeme<'_>, number: u32, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        let family = match qualifier.protocol {
            None => None,
            Some(Protocol::Ip) => Some(Family::V4),
            Some(Protocol::Ip6) => Some(Family::V6),
            Some(Protocol::Ether) => {
                let ether_type = u16::try_from(number)
                    .map_err(|_| self.error(at, format!("Ethernet type {number} is larger than 65535")))?;
                // Lengths, and AppleTalk's two, mean an 802.2 header that must be looked into.
                if number <= ether::LARGEST_LENGTH || matches!(ether_type, 0x809b | 0x80f3) {
                    return Err(self.error(at, format!("'ether proto {number}' is not supported yet")));
                }
                return Ok(Primitive::EtherProto(ether_type));
            }
            Some(other) => {
                let message = format!("'{} proto' does not exist: use 'ip', 'ip6' or 'ether'", other.name());
                return Err(self.error(at, message));
            }
        };
        let number = u8::try_from(number)
            .map_err(|_| self.error(at, format!("protocol number {number} is larger than 255")))?;
        Ok(Primitive::IpProto { family, number })
    }

    /// An IPv4 address or network: `10.0.0.1`, `10.0`, `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`.
    fn v4(&mut self, at: Lexeme<'t>, dotted: &str, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        if matches!(qualifier.kind, Kind::Port | Kind::PortRange | Kind::Proto) {
            return Err(self.mismatch(at, qualifier));
        }
        let (address, short_mask) = self.dotted(at, dotted)?;
        let mask_at = self.peek_behind();
        let mask = match (self.peek().token, mask_at.token) {
            (Token::Slash, Token::Number(len)) if len <= 32 => {
                u32::MAX.checked_shl(32 - len).unwrap_or_default()
            }
            (Token::Slash, Token::Number(_)) => {
                return Err(self.error(mask_at, "an IPv4 prefix has at most 32 bits"));
            }
            (Token::Slash, _) => return Err(self.error(mask_at, "expected a prefix length behind '/'")),
            (Token::Word("mask"), Token::Dotted(mask)) => self.dotted(mask_at, mask)?.0,
            (Token::Word("mask"), _) => {
                return Err(self.error(mask_at, "expected a mask such as 255.255.255.0 behind 'mask'"));
            }
            _ => return self.v4_primitive(at, qualifier, address, short_mask),
        };
        if address & !mask != 0 {
            let message = format!("'{dotted}' has bits set outside of the mask; the network is {}", {
                core::net::Ipv4Addr::from_bits(address & mask)
            });
            return Err(self.error(at, message));
        }
        if qualifier.kind != Kind::Net {
            return Err(self.error(self.peek(), "a mask needs 'net' before the address"));
        }
        self.at += 2;
        self.v4_primitive(at, qualifier, address, mask)
    }

    /// Two to four decimal bytes; the missing ones are 0 in the address and in the mask.
    fn dotted(&self, at: Lexeme<'_>, dotted: &str) -> Result<(u32, u32), ParseError> {
        let mut address = 0;
        let mut spare = u32::BITS;
        for byte in dotted.split('.') {
            let byte: u8 = byte.parse().map_err(|_| {
                self.error(at, format!("'{dotted}' is no IPv4 address: '{byte}' is not from 0 to 255"))
            })?;
            spare -= 8;
            address |= u32::from(byte) << spare;
        }
        Ok((address, u32::MAX << spare))
    }

    fn v4_primitive(
        &self,
        at: Lexeme<'_>,
        qualifier: Qualifier,
        address: u32,
        mask: u32,
    ) -> Result<Primitive, ParseError> {
        let inside = match qualifier.protocol {
            None => None,
            Some(Protocol::Ip) => Some(V4Inside::Ip),
            Some(Protocol::Arp) => Some(V4Inside::Arp),
            Some(Protocol::Rarp) => Some(V4Inside::Rarp),
            Some(Protocol::Ip6) => {
                return Err(self.error(at, format!("'ip6' can't have the IPv4 address '{}'", at.text)));
            }
            Some(other) => return Err(self.no_addresses(at, other)),
        };
        Ok(Primitive::V4 { inside, ends: qualifier.ends(), address, mask })
    }

    fn v6(&mut self, at: Lexeme<'t>, address: u128, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        if matches!(qualifier.kind, Kind::Port | Kind::PortRange | Kind::Proto) {
            return Err(self.mismatch(at, qualifier));
        }
        match qualifier.protocol {
            None | Some(Protocol::Ip6) => {}
            Some(other @ (Protocol::Ip | Protocol::Arp | Protocol::Rarp)) => {
                let message = format!("'{}' can't have the IPv6 address '{}'", other.name(), at.text);
                return Err(self.error(at, message));
            }
            Some(other) => return Err(self.no_addresses(at, other)),
        }
        let mut prefix = 128;
        if self.peek().token == Token::Slash {
            let len_at = self.peek_behind();
            let Token::Number(len) = len_at.token else {
                return Err(self.error(len_at, "expected a prefix length behind '/'"));
            };
            prefix = u8::try_from(len)
                .ok()
                .filter(|len| *len <= 128)
                .ok_or_else(|| self.error(len_at, "an IPv6 prefix has at most 128 bits"))?;
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or_default();
            if address & !mask != 0 {
                let network = core::net::Ipv6Addr::from_bits(address & mask);
                let message =
                    format!("'{}' has bits set outside of the prefix; the network is {network}", at.text);
                return Err(self.error(at, message));
            }
            if prefix != 128 && qualifier.kind != Kind::Net {
                return Err(self.error(self.peek(), "a prefix length needs 'net' before the address"));
            }
            self.at += 2;
        }
        Ok(Primitive::V6 { ends: qualifier.ends(), address, prefix })
    }

    /// A name behind a backslash: protocols only.
    fn name(&self, at: Lexeme<'_>, name: &str, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        if qualifier.kind != Kind::Proto {
            return self.word(at, name, qualifier);
        }
        let protocol = Protocol::from_name(name);
        let number = if qualifier.protocol == Some(Protocol::Ether) {
            protocol.and_then(Protocol::ether_type).map(u32::from)
        } else {
            // `ip6 proto \icmp` is protocol 1 as well; the names are those of /etc/protocols, which knows no icmp6 or carp.
            protocol
                .filter(|p| !matches!(p, Protocol::Icmp6 | Protocol::Carp | Protocol::Igrp))
                .and_then(Protocol::ip_proto)
                .map(|(number, _)| u32::from(number))
        };
        match number {
            Some(number) => self.proto(at, number, qualifier),
            None => Err(self.error(at, format!("protocol name '{name}' is not supported: write its number"))),
        }
    }

    fn word(&self, at: Lexeme<'_>, word: &str, qualifier: Qualifier) -> Result<Primitive, ParseError> {
        let range = || {
            let (first, last) = word.split_once('-')?;
            let number = |digits: &str| {
                let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                decimal.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
            };
            Some((number(first)?, number(last)?))
        };
        match (qualifier.kind, range()) {
            (Kind::PortRange, Some((first, last))) => {
                self.ports(at, qualifier, self.port(at, first)?, self.port(at, last)?)
            }
            (Kind::Port, Some(_)) => {
                Err(self.error(at, format!("'{word}' is a range: write 'portrange {word}'")))
            }
            (Kind::Proto, _) if Protocol::from_name(word).is_some() => {
                Err(self.error(at, format!("'{word}' is a keyword: write '\\{word}' or the number")))
            }
            (Kind::Port | Kind::PortRange, _) if !is_keyword(word) => Err(self
                .error(at, format!("service name '{word}' is not supported yet: write the port's number"))),
            (Kind::Open | Kind::Host | Kind::Net, _) if !is_keyword(word) => {
                Err(self
                    .error(at, format!("'{word}': names are not looked up; write an IPv4 or IPv6 address")))
            }
            _ => Err(self.mismatch(at, qualifier)),
        }
    }

    fn no_addresses(&self, at: Lexeme<'_>, protocol: Protocol) -> ParseError {
        let name = protocol.name();
        self.error(at, format!("'{name}' has no addresses: write '{name} and host {}'", at.text))
    }

    fn mismatch(&self, at: Lexeme<'_>, qualifier: Qualifier) -> ParseError {
        let Qualifier { kind, .. } = qualifier;
        self.error(at, format!("expected {} behind '{}', found '{}'", kind.expected(), kind.word(), at.text))
    }
}

impl Qualifier {
    fn ends(self) -> Ends {
        self.ends.unwrap_or(Ends::Either)
    }
}

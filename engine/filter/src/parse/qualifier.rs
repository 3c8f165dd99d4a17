//! Qualifiers: what stands before a value and says how to read it.

use super::Parser;
use crate::ast::{Ends, Protocol};
use crate::error::ParseError;
use crate::lex::Token;

/// The qualifiers of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifier {
    pub(super) protocol: Option<Protocol>,
    pub(super) ends: Option<Ends>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `src 10.0.0.1`: the value's form decides.
    Open,
    Host,
    Gateway,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open => "src or dst",
            Self::Host => "host",
            Self::Gateway => "gateway",
            Self::Net => "net",
            Self::Port => "port",
            Self::PortRange => "portrange",
            Self::Proto => "proto",
            Self::ProtoChain => "protochain",
        }
    }

    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Open | Self::Host => "an IPv4 or IPv6 address",
            Self::Gateway => "the name of a host",
            Self::Net => "a network such as 10.0.0.0/8, 192.168 or fe80::/10",
            Self::Port => "a port number",
            Self::PortRange => "two port numbers with '-' between them",
            Self::Proto | Self::ProtoChain => "a protocol number",
        }
    }

    pub(super) const fn is_of_protocols(self) -> bool {
        matches!(self, Self::Proto | Self::ProtoChain)
    }

    pub(super) const fn is_of_addresses(self) -> bool {
        matches!(self, Self::Open | Self::Host | Self::Net)
    }
}

impl Qualifier {
    pub(super) fn asks_decnet(self) -> bool {
        self.protocol == Some(Protocol::Decnet) && self.kind.is_of_addresses()
    }

    pub(super) fn ends(self) -> Ends {
        self.ends.unwrap_or(Ends::Either)
    }
}

impl Parser<'_> {
    /// `src`, `dst`, `src or dst`, `src and dst` and the two the other way round.
    pub(super) fn ends(&mut self) -> Option<Ends> {
        let end = |token: Token<'_>| match token {
            Token::Word("src") => Some(Ends::Source),
            Token::Word("dst") => Some(Ends::Destination),
            _ => None,
        };
        let first = end(self.peek().token)?;
        self.at += 1;
        let joined = match self.peek().token {
            Token::Or => Ends::Either,
            Token::And => Ends::Both,
            _ => return Some(first),
        };
        match end(self.peek_behind().token) {
            Some(second) if second != first => {
                self.at += 2;
                Some(joined)
            }
            _ => Some(first),
        }
    }

    pub(super) fn kind(&mut self, has_ends: bool) -> Result<Option<Kind>, ParseError> {
        let lexeme = self.peek();
        let kind = match lexeme.token {
            Token::Word("host") => Kind::Host,
            Token::Word("net") => Kind::Net,
            Token::Word("port") => Kind::Port,
            Token::Word("portrange") => Kind::PortRange,
            Token::Word(word @ ("proto" | "protochain" | "gateway")) if has_ends => {
                return Err(self.error(lexeme, format!("'{word}' takes no 'src' or 'dst'")));
            }
            Token::Word("gateway") => Kind::Gateway,
            Token::Word("proto") => Kind::Proto,
            Token::Word("protochain") => Kind::ProtoChain,
            Token::Word(word) if has_ends && Protocol::from_name(word).is_some() => {
                return Err(self.error(lexeme, format!("the protocol comes first: '{word} src …'")));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(kind))
    }
}

//! Terms that are one word, with a number or a name behind it.

use super::keywords::foreign;
use super::{Parser, Part};
use crate::ast::{Arith, Cast, CastOf, Comparison, Llc, Node, Operator, Primitive, Protocol};
use crate::error::ParseError;
use crate::lex::{Lexeme, Token};

impl<'t> Parser<'t> {
    /// The term that `word` starts by itself; none if it starts another.
    pub(super) fn other(&mut self, start: Lexeme<'t>, word: &str) -> Result<Option<Part>, ParseError> {
        let primitive = match word {
            "vlan" => Primitive::Vlan(self.optional(start, "a VLAN id", 0xfff)?.map(narrow)),
            "mpls" => Primitive::Mpls(self.optional(start, "an MPLS label", 0xf_ffff)?),
            "pppoes" => Primitive::Pppoe(self.optional(start, "a PPPoE session", 0xffff)?.map(narrow)),
            "geneve" => Primitive::Geneve(self.optional(start, "a GENEVE network", 0xff_ffff)?),
            "pppoed" => self.alone(Primitive::PppoeDiscovery),
            "inbound" => self.alone(Primitive::Inbound),
            "outbound" => self.alone(Primitive::Outbound),
            "ifindex" => Primitive::Interface(self.required(start)?),
            "less" => length(Comparison::LessOrEqual, self.required(start)?),
            "greater" => length(Comparison::GreaterOrEqual, self.required(start)?),
            "byte" => self.byte(start)?,
            "llc" => self.llc(),
            "broadcast" | "multicast" => self.cast(start, None)?,
            _ => match foreign(word) {
                Some(what) => {
                    let message = format!("'{word}' asks about {what}, which are not captured here");
                    return Err(self.error(start, message));
                }
                None => return Ok(None),
            },
        };
        self.frame_only(start)?;
        Ok(Some(Part { node: Node::Primitive(primitive), qualifier: None, height: 1 }))
    }

    /// `broadcast` or `multicast` behind a protocol or alone; it is what comes next.
    pub(super) fn cast(
        &mut self,
        start: Lexeme<'t>,
        protocol: Option<Protocol>,
    ) -> Result<Primitive, ParseError> {
        let word = self.peek();
        self.at += 1;
        let kind = if word.text == "broadcast" { Cast::Broadcast } else { Cast::Multicast };
        let of = match (protocol, kind) {
            (None | Some(Protocol::Ether), _) => CastOf::Link,
            (Some(Protocol::Ip), _) => CastOf::Ip,
            (Some(Protocol::Ip6), Cast::Multicast) => CastOf::Ip6,
            (Some(_), Cast::Broadcast) => {
                return Err(self.error(start, "only 'ether' and 'ip' have broadcasts"));
            }
            (Some(_), Cast::Multicast) => {
                return Err(self.error(start, "only 'ether', 'ip' and 'ip6' have multicasts"));
            }
        };
        Ok(Primitive::Cast { kind, of })
    }

    fn alone(&mut self, primitive: Primitive) -> Primitive {
        self.at += 1;
        primitive
    }

    /// The number behind the word, in any number of parentheses.
    fn optional(&mut self, start: Lexeme<'t>, what: &str, max: u32) -> Result<Option<u32>, ParseError> {
        self.at += 1;
        let mut open = Vec::new();
        while self.peek().token == Token::Open {
            open.push(self.peek());
            self.at += 1;
        }
        let at = self.peek();
        let Token::Number(number) = at.token else {
            return match open.first() {
                None => Ok(None),
                Some(_) => Err(self.error(at, format!("expected {what} behind '{} ('", start.text))),
            };
        };
        self.at += 1;
        while let Some(open) = open.pop() {
            self.close(open)?;
        }
        if number > max {
            return Err(self.error(at, format!("{what} is at most {max}")));
        }
        Ok(Some(number))
    }

    fn required(&mut self, start: Lexeme<'t>) -> Result<u32, ParseError> {
        self.at += 1;
        let at = self.peek();
        let Token::Number(number) = at.token else {
            return Err(self.error(at, format!("expected a number behind '{}'", start.text)));
        };
        self.at += 1;
        Ok(number)
    }

    /// `byte 3 = 5`: the old way to say `link[3] = 5`. With `&` and `|` it says nothing of the kind, in libpcap and so here.
    fn byte(&mut self, start: Lexeme<'t>) -> Result<Primitive, ParseError> {
        let index = self.required(start)?;
        let sign = self.peek();
        let comparison = match sign.text {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            ">" => Comparison::Greater,
            "&" | "|" => {
                let operator = if sign.text == "&" { Operator::And } else { Operator::Or };
                return Ok(Primitive::UnreadByte { index, operator, number: self.required(sign)? });
            }
            _ => return Err(self.error(sign, "expected '=', '<', '>', '&' or '|' behind the byte's place")),
        };
        let number = self.required(sign)?;
        Ok(Primitive::Byte { index, comparison, number })
    }

    fn llc(&mut self) -> Primitive {
        self.at += 1;
        let kind = match self.peek().token {
            Token::Word(word) | Token::Escaped(word) => Llc::from_name(word),
            _ => None,
        };
        self.at += usize::from(kind.is_some());
        Primitive::Llc(kind)
    }
}

fn length(comparison: Comparison, number: u32) -> Primitive {
    Primitive::Relation { left: Arith::Length, comparison, right: Arith::Number(number) }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be at most 16 bits wide")]
const fn narrow(number: u32) -> u16 {
    number as u16
}

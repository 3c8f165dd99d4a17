//! Relations between numbers: `tcp[tcpflags] & tcp-syn != 0`.

use super::{DEEPEST_ARITHMETIC, Parser, Part};
use crate::ast::{Arith, Comparison, Node, Operator, Primitive, Protocol};
use crate::error::ParseError;
use crate::lex::{Lexeme, Token};

/// A number and how deep its tree is.
struct Number {
    arith: Arith,
    height: usize,
}

/// The operator to the left of a number.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Operator(Option<u8>),
}

/// The sign binds tighter than any operator with a rank.
const SIGN: Before = Before::Operator(Some(6));

impl<'t> Parser<'t> {
    /// The relation that starts here, none if what starts here is something else.
    pub(super) fn relation(&mut self) -> Result<Option<Part>, ParseError> {
        let start = self.at;
        let first = self.peek();
        // An opening parenthesis starts a number, a term or a list: whether a comparison follows tells.
        let parenthesis = first.token == Token::Open;
        let committed = match first.token {
            Token::Number(_) | Token::Open => false,
            Token::Operator => first.text == "-",
            Token::Word(word) => {
                matches!(word, "len" | "length")
                    || (Protocol::from_name(word).is_some() && self.is_operator(self.at + 1, "["))
            }
            _ => return Ok(None),
        };
        if !committed && !matches!(first.token, Token::Number(_) | Token::Open) {
            return Ok(None);
        }
        let left = match self.number(Before::Nothing) {
            Ok(left) => left,
            Err(error) if committed || (!parenthesis && self.at > start + 1) => return Err(error),
            Err(_) => {
                self.at = start;
                return Ok(None);
            }
        };
        let sign = self.peek();
        let Some(comparison) = self.comparison() else {
            let alone = !committed && matches!(left.arith, Arith::Number(_)) && sign.token != Token::Operator;
            if alone
                || (parenthesis && sign.token != Token::Operator && matches!(left.arith, Arith::Number(_)))
            {
                self.at = start;
                return Ok(None);
            }
            return Err(self.error(sign, "expected a comparison: '=', '!=', '<', '<=', '>' or '>='"));
        };
        let right = self.number(Before::Nothing)?;
        let relation = Primitive::Relation { left: left.arith, comparison, right: right.arith };
        self.frame_only(first)?;
        Ok(Some(Part { node: Node::Primitive(relation), qualifier: None, height: 1 }))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let sign = self.peek();
        let comparison = Comparison::from_text(sign.text).filter(|_| sign.token == Token::Operator)?;
        self.at += 1;
        Some(comparison)
    }

    /// A number up to the first operator that binds less than `before`.
    fn number(&mut self, before: Before) -> Result<Number, ParseError> {
        let mut left = self.operand()?;
        loop {
            let sign = self.peek();
            let Some(operator) = self.operator(sign) else { return Ok(left) };
            if let (Before::Operator(Some(before)), Some(rank)) = (before, operator.rank())
                && before >= rank
            {
                return Ok(left);
            }
            self.at += 1;
            let right = self.nested(sign, |parser| parser.number(Before::Operator(operator.rank())))?;
            self.check_right(sign, operator, &right.arith)?;
            let height = left.height.max(right.height);
            let arith = Arith::Binary(operator, left.arith.into(), right.arith.into());
            left = self.deeper(sign, arith, height)?;
        }
    }

    fn operator(&self, sign: Lexeme<'_>) -> Option<Operator> {
        let is_sign = matches!(sign.token, Token::Operator | Token::Slash);
        Operator::from_text(sign.text).filter(|_| is_sign)
    }

    fn check_right(&self, at: Lexeme<'_>, operator: Operator, right: &Arith) -> Result<(), ParseError> {
        match (operator, right.first_number()) {
            (Operator::Divide | Operator::Modulo, Some(0)) => Err(self.error(at, "a division by zero")),
            (Operator::ShiftLeft | Operator::ShiftRight, Some(32..)) => {
                Err(self.error(at, "a shift by more than 31 bits"))
            }
            _ => Ok(()),
        }
    }

    fn operand(&mut self) -> Result<Number, ParseError> {
        let start = self.peek();
        let leaf = |arith| Ok(Number { arith, height: 1 });
        match start.token {
            Token::Number(number) => {
                self.at += 1;
                leaf(Arith::Number(number))
            }
            Token::Word("len" | "length") => {
                self.at += 1;
                leaf(Arith::Length)
            }
            Token::Open => self.nested(start, |parser| {
                parser.at += 1;
                let inner = parser.number(Before::Nothing)?;
                parser.close(start)?;
                Ok(inner)
            }),
            Token::Operator if start.text == "-" => self.nested(start, |parser| {
                parser.at += 1;
                let Number { arith, height } = parser.number(SIGN)?;
                parser.deeper(start, Arith::Negative(arith.into()), height)
            }),
            Token::Word(word) => match Protocol::from_name(word) {
                Some(protocol) if self.is_operator(self.at + 1, "[") => self.bytes(start, protocol),
                _ => Err(self.no_number(start)),
            },
            _ => Err(self.no_number(start)),
        }
    }

    /// `tcp[12]`, `ip[2:2]`.
    fn bytes(&mut self, start: Lexeme<'t>, protocol: Protocol) -> Result<Number, ParseError> {
        use Protocol::{Aarp, Ah, Esp, Ipx, Netbeui, Stp};
        let known = !matches!(protocol, Aarp | Ah | Esp | Ipx | Netbeui | Stp | Protocol::Radio);
        if !known
            || matches!(protocol.asks(), crate::ast::Asks::Iso(_) | crate::ast::Asks::Isis(_))
            || protocol == Protocol::Iso
        {
            return Err(self.error(start, format!("the bytes of '{}' can't be asked for", start.text)));
        }
        self.at += 1;
        let bracket = self.peek();
        let Number { arith: index, height } = self.nested(bracket, |parser| {
            parser.at += 1;
            parser.number(Before::Nothing)
        })?;
        let mut size = 1;
        if self.is_operator(self.at, ":") {
            self.at += 1;
            let at = self.peek();
            size = match at.token {
                Token::Number(1) => 1,
                Token::Number(2) => 2,
                Token::Number(4) => 4,
                _ => return Err(self.error(at, "the number of bytes is 1, 2 or 4")),
            };
            self.at += 1;
        }
        if !self.is_operator(self.at, "]") {
            return Err(self
                .error(self.peek(), "expected ']' behind the place of the bytes, or ':' and their number"));
        }
        self.at += 1;
        self.deeper(start, Arith::Bytes { protocol, index: index.into(), size }, height)
    }

    /// A number made of numbers of this height.
    fn deeper(&self, at: Lexeme<'_>, arith: Arith, height: usize) -> Result<Number, ParseError> {
        if height >= DEEPEST_ARITHMETIC {
            return Err(self.error(at, "the arithmetic is nested too deeply"));
        }
        Ok(Number { arith, height: height + 1 })
    }

    fn is_operator(&self, at: usize, text: &str) -> bool {
        let lexeme = self.lexeme(at);
        lexeme.token == Token::Operator && lexeme.text == text
    }

    fn no_number(&self, at: Lexeme<'_>) -> ParseError {
        let found = if at.token == Token::End {
            "the filter ends".to_owned()
        } else {
            format!("found '{}'", at.text)
        };
        self.error(at, format!("expected a number, 'len' or bytes of a header such as 'tcp[13]'; {found}"))
    }
}

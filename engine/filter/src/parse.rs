//! Stage: tokens → expression tree.
//!
//! A recursive-descent form of libpcap's `grammar.y`. What is peculiar to it is kept: `and` and `or` bind equally and to the left,
//! `not` binds tighter, and a bare value behind `and` or `or` (`tcp port 80 or 443`) has the qualifiers of the term before it; a term in
//! parentheses has none to give, and those from before the parenthesis stay.

mod arith;
pub(crate) mod keywords;
mod names;
mod other;
mod qualifier;
#[cfg(test)]
mod tests;
mod value;

use self::keywords::is_keyword;
use self::qualifier::{Kind, Qualifier};
use crate::ast::{Asks, Node, Primitive, Protocol};
use crate::error::ParseError;
use crate::lex::{Lexeme, Token, tokens};
use crate::names::Names;

/// Parentheses and `not` within each other, and `and` alternating with `or`: beyond this an expression is refused, so that walking its
/// tree never needs an unbounded stack.
const DEEPEST: usize = 200;

/// The same for arithmetic, which stands in such an expression.
const DEEPEST_ARITHMETIC: usize = 50;

/// Parentheses and right sides that are open at a place of the text: as deep a tree, written out with all of its parentheses, is taken.
const MOST_OPEN: usize = DEEPEST + 2 * DEEPEST_ARITHMETIC + 20;

/// What an expression may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A frame: the whole language.
    Frame,
    /// A connection's packets: what can be said of the innermost TCP or UDP header.
    Flow,
}

/// The tree of `text`; None when it is empty, which means everything.
pub(crate) fn parse(text: &str, about: About, names: &dyn Names) -> Result<Option<Node>, ParseError> {
    let mut parser = Parser { text, lexemes: tokens(text)?, at: 0, depth: 0, about, names };
    if parser.peek().token == Token::End {
        return Ok(None);
    }
    let part = parser.expression(None)?;
    match parser.peek() {
        Lexeme { token: Token::End, .. } => Ok(Some(part.node)),
        odd => Err(parser.unexpected_after(odd)),
    }
}

/// A parsed piece, the qualifiers that a bare value behind it takes, and how deep its tree is.
struct Part {
    node: Node,
    qualifier: Option<Qualifier>,
    height: usize,
}

struct Parser<'t> {
    text: &'t str,
    lexemes: Vec<Lexeme<'t>>,
    at: usize,
    depth: usize,
    about: About,
    names: &'t dyn Names,
}

impl<'t> Parser<'t> {
    fn expression(&mut self, context: Option<Qualifier>) -> Result<Part, ParseError> {
        let first = self.term(context)?;
        self.chain(first, |parser, before| {
            if let Some(relation) = parser.relation()? {
                return Ok(relation);
            }
            if parser.value_follows() { parser.value_or_list(before) } else { parser.term(before) }
        })
    }

    /// `first` and what is joined to it by `and` and `or`, from left to right.
    fn chain(
        &mut self,
        first: Part,
        next: impl Fn(&mut Self, Option<Qualifier>) -> Result<Part, ParseError>,
    ) -> Result<Part, ParseError> {
        let mut left = first;
        loop {
            let operator = self.peek();
            if !matches!(operator.token, Token::And | Token::Or) {
                return Ok(left);
            }
            self.at += 1;
            let right = next(self, left.qualifier)?;
            let goes_on = matches!(
                (&left.node, operator.token),
                (Node::All(_), Token::And) | (Node::Any(_), Token::Or)
            );
            let height = left.height.max(right.height + usize::from(goes_on));
            let height = if goes_on { height } else { height + 1 };
            if height > DEEPEST {
                return Err(self.error(operator, "the expression is nested too deeply"));
            }
            let node = if operator.token == Token::And {
                left.node.and(right.node)
            } else {
                left.node.or(right.node)
            };
            left = Part { node, qualifier: right.qualifier, height };
        }
    }

    fn term(&mut self, context: Option<Qualifier>) -> Result<Part, ParseError> {
        if let Some(relation) = self.relation()? {
            return Ok(relation);
        }
        let start = self.peek();
        match start.token {
            Token::Not => self.nested(start, |parser| {
                parser.at += 1;
                let part = parser.term(context)?;
                parser.negated(start, part)
            }),
            Token::Open => self.nested(start, |parser| {
                parser.at += 1;
                let part = parser.expression(context)?;
                parser.close(start)?;
                Ok(Part { qualifier: context, ..part })
            }),
            Token::Word(word) => self.primitive(start, word),
            Token::End => Err(self.error(
                start,
                "the filter ends where a term such as 'tcp', 'port 80' or 'host 10.0.0.1' is expected",
            )),
            Token::Operator => Err(self.error(start, format!("expected a term, found '{}'", start.text))),
            Token::Close | Token::And | Token::Or | Token::Slash => Err(self
                .error(start, format!("expected a term such as 'tcp' or 'port 80', found '{}'", start.text))),
            Token::Number(_) | Token::Dotted(_) | Token::V6(_) | Token::Ethernet(_) | Token::Escaped(_) => {
                Err(self.unqualified(start))
            }
        }
    }

    /// A value, `not` a value, or a list of values in parentheses, all under the qualifiers `before`.
    fn value_or_list(&mut self, before: Option<Qualifier>) -> Result<Part, ParseError> {
        let start = self.peek();
        match start.token {
            Token::Not => self.nested(start, |parser| {
                parser.at += 1;
                let part = parser.value_or_list(before)?;
                parser.negated(start, part)
            }),
            Token::Open => self.nested(start, |parser| {
                parser.at += 1;
                let first = parser.value_or_list(before)?;
                let part = parser.chain(first, Self::value_or_list)?;
                parser.close(start)?;
                Ok(part)
            }),
            _ => {
                let Some(qualifier) = before else {
                    return Err(self.unqualified(start));
                };
                let node = self.value(start, qualifier)?;
                let height = node.height();
                Ok(Part { node, qualifier: before, height })
            }
        }
    }

    /// A term that starts with a word: a protocol's name alone, or qualifiers with their value.
    fn primitive(&mut self, start: Lexeme<'t>, word: &'t str) -> Result<Part, ParseError> {
        if let Some(part) = self.other(start, word)? {
            return Ok(part);
        }
        let protocol = Protocol::from_name(word);
        if protocol.is_some() {
            self.at += 1;
            if matches!(self.peek().token, Token::Word("broadcast" | "multicast")) {
                let cast = self.cast(start, protocol)?;
                self.frame_only(start)?;
                return Ok(Part { node: Node::Primitive(cast), qualifier: None, height: 1 });
            }
        }
        let ends = self.ends();
        let kind = self.kind(ends.is_some())?;
        let Some(kind) = kind.or(ends.map(|_| Kind::Open)) else {
            return match protocol {
                Some(protocol) => self.protocol_alone(start, protocol),
                None => Err(self.unknown_word(start, word)),
            };
        };
        self.value_or_list(Some(Qualifier { protocol, ends, kind }))
    }

    fn protocol_alone(&mut self, start: Lexeme<'t>, protocol: Protocol) -> Result<Part, ParseError> {
        match protocol.asks() {
            Asks::Nothing if protocol == Protocol::Radio => {
                return Err(
                    self.error(start, "'radio' asks about 802.11 frames, which are not captured here")
                );
            }
            Asks::Nothing => {
                let message =
                    format!("'{}' needs more behind it, such as 'proto 0x800' or 'host …'", start.text);
                return Err(self.error(start, message));
            }
            _ => {}
        }
        Ok(Part { node: Node::Primitive(Primitive::Protocol(protocol)), qualifier: None, height: 1 })
    }

    /// Whether a value comes next, behind any number of `not` and `(`.
    fn value_follows(&self) -> bool {
        let rest = self.lexemes.get(self.at..).unwrap_or_default();
        let mut rest =
            rest.iter().skip_while(|l| matches!(l.token, Token::Not | Token::Open)).map(|l| l.token);
        match rest.next() {
            // Unless arithmetic goes on with it.
            Some(Token::Number(_)) => {
                let behind = rest.find(|token| *token != Token::Close);
                !matches!(behind, Some(Token::Operator | Token::Slash))
            }
            Some(Token::Dotted(_) | Token::V6(_) | Token::Ethernet(_) | Token::Escaped(_)) => true,
            Some(Token::Word(word)) => !is_keyword(word),
            _ => false,
        }
    }

    fn nested<T>(
        &mut self,
        start: Lexeme<'t>,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= MOST_OPEN {
            return Err(self.error(start, "the expression is nested too deeply"));
        }
        self.depth += 1;
        let part = inner(self);
        self.depth -= 1;
        part
    }

    fn negated(&self, at: Lexeme<'_>, part: Part) -> Result<Part, ParseError> {
        if part.height >= DEEPEST {
            return Err(self.error(at, "the expression is nested too deeply"));
        }
        Ok(Part { node: part.node.not(), height: part.height + 1, ..part })
    }

    /// Refuses a term that a rule for connections can't ask.
    fn frame_only(&self, start: Lexeme<'_>) -> Result<(), ParseError> {
        match self.about {
            About::Frame => Ok(()),
            About::Flow => {
                let message = format!(
                    "a plugin's rule is asked of TCP and UDP headers alone: '{}' can only be in --filter",
                    start.text
                );
                Err(self.error(start, message))
            }
        }
    }

    fn close(&mut self, open: Lexeme<'t>) -> Result<(), ParseError> {
        let lexeme = self.peek();
        match lexeme.token {
            Token::Close => {
                self.at += 1;
                Ok(())
            }
            Token::End => Err(self.error(open, "this parenthesis is not closed")),
            _ => Err(self.unexpected_after(lexeme)),
        }
    }

    fn peek(&self) -> Lexeme<'t> {
        self.lexeme(self.at)
    }

    fn peek_behind(&self) -> Lexeme<'t> {
        self.lexeme(self.at + 1)
    }

    fn lexeme(&self, at: usize) -> Lexeme<'t> {
        let end = Lexeme { token: Token::End, text: "", offset: self.text.len() };
        self.lexemes.get(at).copied().unwrap_or(end)
    }

    fn error(&self, at: Lexeme<'_>, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, at.offset, at.text.len(), message)
    }

    fn unexpected_after(&self, odd: Lexeme<'_>) -> ParseError {
        let message = match odd.token {
            Token::Close => "there is no '(' for this ')'".to_owned(),
            Token::Operator | Token::Slash => {
                format!("'{}' has no number before it that it could belong to", odd.text)
            }
            _ => format!("expected 'and' or 'or', found '{}'", odd.text),
        };
        self.error(odd, message)
    }

    fn unqualified(&self, value: Lexeme<'_>) -> ParseError {
        let hint = match value.token {
            Token::Number(_) => "'port' or 'proto'",
            Token::Ethernet(_) => "'ether host'",
            _ => "'host', 'net', 'src' or 'dst'",
        };
        self.error(value, format!("'{}' needs {hint} before it", value.text))
    }

    fn unknown_word(&self, at: Lexeme<'_>, word: &str) -> ParseError {
        let lower = word.to_ascii_lowercase();
        if is_keyword(&lower) || matches!(lower.as_str(), "and" | "or" | "not") {
            return self.error(at, format!("unknown word '{word}'; keywords are in lower case: '{lower}'"));
        }
        self.error(at, format!("unknown word '{word}'; expected a protocol, 'host', 'net', 'port', 'portrange', 'src', 'dst', 'not' or '('"))
    }
}

//! Where a term looks. `vlan`, `mpls`, `pppoes` and `geneve` move that place for all terms behind them in the text, whatever joins the
//! two: so does libpcap.

use std::sync::Arc;

use super::Refused;
use super::link::Link;
use super::value::{Load, REGISTERS, Value};
use crate::ast::{Node, Primitive};

/// A place in the frame: an offset, added to a register if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    register: Option<u8>,
    offset: u32,
}

impl Place {
    const fn fixed(offset: u32) -> Self {
        Self { register: None, offset }
    }

    pub(super) const fn plus(self, further: u32) -> Self {
        Self { register: self.register, offset: self.offset.wrapping_add(further) }
    }

    /// `size` bytes at `further` bytes behind it.
    pub(super) fn load(self, further: u32, size: u8) -> Value {
        let base = self.register.map(|register| Arc::new(Value::Register(register)));
        Value::Load(Load { base, offset: self.offset.wrapping_add(further), size })
    }

    /// The same, with a number more that is added as BPF adds: to the register, without a carry.
    pub(super) fn indexed(self, index: Value, size: u8) -> Value {
        let base = match self.register {
            Some(register) => Value::binary(crate::ast::Operator::Add, index, Value::Register(register)),
            None => index,
        };
        match base {
            // A constant index is part of the offset, as libpcap's optimiser has it: `ip[-1]` is the byte before the header.
            Value::Number(number) => Value::load(self.offset.wrapping_add(number), size),
            base => Value::Load(Load { base: Some(Arc::new(base)), offset: self.offset, size }),
        }
    }

    /// Its offset, if that is known before the program runs.
    pub(super) const fn fixed_offset(self) -> Option<u32> {
        match self.register {
            None => Some(self.offset),
            Some(_) => None,
        }
    }

    /// Where it is, as a number.
    pub(super) fn register(self) -> Option<Value> {
        self.register.map(Value::Register)
    }
}

/// What announces the network protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Link(Link),
    /// Inside a PPPoE session.
    Ppp,
}

/// Where the headers are that a term asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) layer: Layer,
    pub(super) header: Place,
    /// The Ethernet or PPP type.
    pub(super) kind: Place,
    pub(super) payload: Place,
    /// Bytes of the payload before the network header: MPLS labels.
    pub(super) labels: u32,
    /// Bytes of 802.2 before an OSI network header.
    pub(super) llc: u32,
    /// What is inside a GENEVE tunnel may have no link header.
    pub(super) in_geneve: bool,
    /// Registers that are in use.
    pub(super) registers: u8,
    /// The program does not know where to look, or has no code for it.
    pub(super) lost: bool,
}

impl Scope {
    const fn outermost(link: Link) -> Self {
        let kind = match link.type_place() {
            Some(place) => place,
            None => 0,
        };
        Self {
            layer: Layer::Link(link),
            header: Place::fixed(0),
            kind: Place::fixed(kind),
            payload: Place::fixed(link.header_len()),
            labels: 0,
            llc: if matches!(link, Link::Ethernet) { 3 } else { 0 },
            in_geneve: false,
            registers: 0,
            lost: false,
        }
    }

    pub(super) fn is_ethernet(&self) -> bool {
        self.layer == Layer::Link(Link::Ethernet)
    }

    /// The network header.
    pub(super) const fn network(&self) -> Place {
        self.payload.plus(4 * self.labels)
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.layer {
            Layer::Link(link) => link.name(),
            Layer::Ppp => "PPP",
        }
    }

    /// Where the terms behind this one look, if elsewhere.
    fn behind(&self, primitive: &Primitive) -> Result<Option<Self>, Refused> {
        let moved = match primitive {
            Primitive::Vlan(_) | Primitive::Mpls(_) | Primitive::Pppoe(_) | Primitive::Geneve(_)
                if self.lost || self.layer == Layer::Link(Link::Any) =>
            {
                Self { lost: true, ..*self }
            }
            Primitive::Vlan(_) if self.labels > 0 => return Err(Refused::TagBehindLabel),
            Primitive::Vlan(_) if !self.is_ethernet() => return Err(Refused::No("VLAN tags", self.name())),
            Primitive::Vlan(_) => Self { kind: self.kind.plus(4), payload: self.payload.plus(4), ..*self },
            Primitive::Mpls(_) if self.labels == 0 && !self.is_ethernet() && self.layer != Layer::Ppp => {
                return Err(Refused::No("MPLS labels", self.name()));
            }
            Primitive::Mpls(_) => Self { labels: self.labels + 1, ..*self },
            Primitive::Pppoe(_) => {
                // The session header is six bytes, the protocol inside two.
                let kind = self.network().plus(6);
                Self {
                    layer: Layer::Ppp,
                    header: kind,
                    kind,
                    payload: kind.plus(2),
                    labels: 0,
                    llc: 0,
                    ..*self
                }
            }
            Primitive::Geneve(_) => {
                let registers = Registers::behind(self);
                if usize::from(registers.payload) >= REGISTERS - 1 {
                    return Err(Refused::TooManyTunnels);
                }
                let at = |register| Place { register: Some(register), offset: 0 };
                Self {
                    layer: Layer::Link(Link::Ethernet),
                    header: at(registers.header),
                    kind: at(registers.kind),
                    payload: at(registers.payload),
                    labels: 0,
                    llc: 3,
                    in_geneve: true,
                    registers: registers.payload + 1,
                    lost: false,
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(moved))
    }
}

/// The registers of a GENEVE tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    pub(super) header: u8,
    pub(super) kind: u8,
    pub(super) payload: u8,
}

impl Registers {
    pub(super) const fn behind(scope: &Scope) -> Self {
        Self { header: scope.registers, kind: scope.registers + 1, payload: scope.registers + 2 }
    }
}

/// The scope of each term, in the order of the text.
#[derive(Debug)]
pub(super) struct Scopes {
    different: Vec<Scope>,
    /// For each term its index there.
    of: Vec<usize>,
}

impl Scopes {
    pub(super) fn of(node: &Node, link: Link) -> Result<Self, Refused> {
        let mut scopes = Self { different: vec![Scope::outermost(link)], of: Vec::new() };
        scopes.visit(node)?;
        Ok(scopes)
    }

    fn visit(&mut self, node: &Node) -> Result<(), Refused> {
        match node {
            Node::Primitive(primitive) => {
                self.of.push(self.different.len() - 1);
                let behind = match self.different.last() {
                    Some(scope) => scope.behind(primitive)?,
                    None => None,
                };
                self.different.extend(behind);
                Ok(())
            }
            Node::Not(inner) => self.visit(inner),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().try_for_each(|node| self.visit(node)),
        }
    }

    /// The scope of the term with this number; the terms of a tree are all there.
    pub(super) fn get(&self, term: usize) -> Option<&Scope> {
        self.different.get(*self.of.get(term)?)
    }
}

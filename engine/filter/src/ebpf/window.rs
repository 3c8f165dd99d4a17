//! Parts of the frame on the stack.
//!
//! Headers are loaded in windows of a constant size into constant places of the stack, each at its first use.

use super::Link;
use super::asm::{Alu, Assembler, FP, If, R0, R2, Size};
use super::frame::Code;
use super::walk::Present;
use crate::ast::{Operator, ether};
use crate::frame::{Known, Load, Value};

/// A part of the frame on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    id: u8,
    /// The frame's byte that it starts with, and their number.
    start: u32,
    len: u32,
    /// Where the first byte is put. Words of the network header are aligned there.
    stack: i16,
}

/// The smallest first. With the link header before it, the first holds the IPv4 header and the ports behind it, when there are no
/// options; the second the IPv6 header and what stands first behind it; the third ARP, or IPv4 behind a VLAN tag.
const ETHERNET: [Window; 3] = [
    Window { id: 0, start: 0, len: 38, stack: -38 },
    Window { id: 1, start: 14, len: 28, stack: -120 },
    Window { id: 2, start: 14, len: 48, stack: -88 },
];
const NETWORK: [Window; 3] = [
    Window { id: 0, start: 0, len: 24, stack: -24 },
    Window { id: 1, start: 0, len: 28, stack: -120 },
    Window { id: 2, start: 0, len: 44, stack: -88 },
];

/// The first four bytes behind an IPv4 header: the ports. There are two such headers, in a frame with a tag and without, in one filter.
const PORTS: [(u8, i16); 2] = [(3, -128), (4, -184)];
const PORTS_LEN: u32 = 4;

/// An IPv4 header without options.
const PLAIN: u32 = 5;

impl Window {
    fn holds(&self, start: u32, size: u32) -> bool {
        self.start <= start && start.saturating_add(size) <= self.start + self.len
    }

    fn place(&self, start: u32) -> i16 {
        self.stack + i16::try_from(start.saturating_sub(self.start)).unwrap_or_default()
    }
}

/// Where the IPv4 header starts behind whose length `load` looks.
pub(super) fn behind_v4(load: &Load) -> Option<u32> {
    let Value::Binary(Operator::ShiftLeft, sides) = &**load.base.as_ref()? else { return None };
    let (Value::Binary(Operator::And, sides), Value::Number(2)) = &**sides else { return None };
    match &**sides {
        (Value::Load(Load { base: None, offset, size: 1 }), Value::Number(0x0f)) => Some(*offset),
        _ => None,
    }
}

impl Code<'_> {
    fn windows(&self) -> &'static [Window; 3] {
        if self.link == Link::Ethernet { &ETHERNET } else { &NETWORK }
    }

    /// Puts the field on the stack, together with what stands around it; where it is then. None where no window holds it.
    pub(super) fn windowed(
        &self,
        asm: &mut Assembler,
        load: &Load,
        known: &Known,
        present: &mut Present,
    ) -> Option<i16> {
        let size = u32::from(load.size);
        if let Some(header) = behind_v4(load) {
            let at = load.offset.checked_sub(header).filter(|at| at.saturating_add(size) <= PORTS_LEN)?;
            let index = self.headers.iter().position(|known| *known == header)?;
            let (id, stack) = *PORTS.get(index)?;
            if !present.has(id) {
                self.ports(asm, header, stack, present);
                present.add(id);
            }
            return i16::try_from(at)
                .ok()
                .map(|at| stack + at)
                .filter(|place| place % i16::from(load.size) == 0);
        }
        if load.base.is_some() {
            return None;
        }
        let in_order = self.windows();
        let fits = |window: &&Window| {
            window.holds(load.offset, size) && (load.size == 1 || window.place(load.offset) % 2 == 0)
        };
        // An IPv6 header is loaded whole.
        let v6 = self.link == Link::Ethernet && known.only(&Value::load(12, 2)) == Some(ether::IPV6);
        let [head, .., largest] = in_order;
        let window = in_order
            .iter()
            .filter(fits)
            .find(|window| present.has(window.id))
            .or_else(|| Some(largest).filter(|window| v6 && !head.holds(load.offset, size) && fits(window)))
            .or_else(|| in_order.iter().find(fits))?;
        if !present.has(window.id) {
            asm.set(R2, window.start);
            self.load_bytes(asm, window.len, window.stack);
            present.add(window.id);
        }
        Some(window.place(load.offset))
    }

    /// The ports behind the IPv4 header at `header`.
    fn ports(&self, asm: &mut Assembler, header: u32, stack: i16, present: &mut Present) {
        let first = Load { base: None, offset: header, size: 1 };
        let end = header + PLAIN * 4;
        let (options, done) = (asm.label(), asm.label());
        let window = self.windows().iter().find(|w| w.holds(header, 1) && w.holds(end, PORTS_LEN));
        match window {
            Some(window) => {
                if !present.has(window.id) {
                    asm.set(R2, window.start);
                    self.load_bytes(asm, window.len, window.stack);
                    present.add(window.id);
                }
                asm.load(Size::Byte, R2, FP, window.place(header));
                asm.alu(Alu::And, R2, 0x0f);
                asm.jump_if(If::Ne, R2, PLAIN, options);
                asm.load(Size::Word, R0, FP, window.place(end));
                asm.store(Size::Word, FP, stack, R0);
                asm.jump(done);
                asm.bind(options);
            }
            None => {
                self.field(asm, &first);
                asm.mov(R2, R0);
                asm.alu(Alu::And, R2, 0x0f);
            }
        }
        asm.alu(Alu::Shl, R2, 2);
        asm.alu(Alu::Add, R2, header);
        self.load_bytes(asm, PORTS_LEN, stack);
        asm.bind(done);
    }
}

/// The IPv4 headers behind which a filter looks, as many as have a place on the stack.
pub(super) fn headers<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<u32> {
    let mut list = Vec::new();
    for value in values {
        if let Value::Load(load) = value
            && let Some(header) = behind_v4(load)
            && !list.contains(&header)
            && list.len() < PORTS.len()
        {
            list.push(header);
        }
    }
    list
}

//! What frame mode takes from the prefilter's parse.
//!
//! The prefilter loads the head of a frame anyway. Of a plain one ([`found::PLAIN`]: Ethernet, IPv4 without options, no fragment) what filters
//! mostly ask about lies in `skb->cb`: protocol, addresses and ports. For such frames the filter has a program of its own, which knows
//! what PLAIN says, asks `cb`, and goes to the frame only for the rest.

use sniff_x_ebpf_common::{cb, found};

use super::asm::{Alu, Assembler, Branch, If, Label, R0, R6, Size};
use super::window::behind_v4;
use super::{set, skb};
use crate::ast::ether;
use crate::frame::{Known, Load, Value};
use crate::ranges::Ranges;

/// Where the IPv4 header of a plain frame begins, and what its first byte is.
const HEADER: u32 = 14;
const FIRST: u32 = 0x45;
const HEADER_LEN: u32 = 20;

/// What is known of a plain frame before the first question. All of it was read: none of these loads can run past the end.
pub(super) fn known() -> Known {
    let one = Ranges::one;
    Known::default()
        .knowing(Value::load(12, 2), u32::MAX, one(ether::IPV4))
        .knowing(Value::load(HEADER, 1), u32::MAX, one(FIRST))
        .knowing(Value::load(HEADER + 6, 2), 0x1fff, one(0))
        .knowing(Value::load(HEADER + 6, 2), 0x3fff, one(0))
}

/// Goes to `plain` if the prefilter found the frame to be so.
pub(super) fn branch(asm: &mut Assembler, plain: Label) {
    asm.load(Size::Word, R0, R6, skb::cb(cb::FOUND));
    asm.jump_if(If::Set, R0, found::PLAIN, plain);
}

/// The field as it would be loaded from a plain frame, whose header's length is known.
pub(super) fn fixed(load: &Load) -> Option<Load> {
    let offset = load.offset.checked_add(HEADER_LEN).filter(|_| behind_v4(load) == Some(HEADER))?;
    Some(Load { base: None, offset, size: load.size })
}

/// A field that lies in `skb->cb`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    size: Size,
    offset: i16,
    max: u32,
    /// In the frame's order.
    big_endian: bool,
}

impl Left {
    /// Where the prefilter left the field of a plain frame, if it did.
    pub(super) fn of(load: &Load) -> Option<Self> {
        let fixed = fixed(load);
        let load = fixed.as_ref().unwrap_or(load);
        let host = |size, offset, max| Self { size, offset, max, big_endian: false };
        let address =
            |word| Self { size: Size::Word, offset: skb::cb(word), max: u32::MAX, big_endian: true };
        // Numbers in the host's order are little endian: so is the program.
        match (&load.base, load.offset, load.size) {
            (None, 23, 1) => Some(host(Size::Byte, skb::cb(cb::FOUND), 0xff)),
            (None, 26, 4) => Some(address(cb::SOURCE)),
            (None, 30, 4) => Some(address(cb::DESTINATION)),
            (None, 34, 2) => Some(host(Size::Half, skb::cb(cb::PORTS) + 2, 0xffff)),
            (None, 36, 2) => Some(host(Size::Half, skb::cb(cb::PORTS), 0xffff)),
            (None, 34, 4) => Some(host(Size::Word, skb::cb(cb::PORTS), u32::MAX)),
            _ => None,
        }
    }

    /// Goes to `to.yes` if the field, under `mask`, is in `set`.
    pub(super) fn compare(self, asm: &mut Assembler, mask: u32, set: &Ranges, to: Branch) {
        asm.load(self.size, R0, R6, self.offset);
        match set.only() {
            // One number is turned around here instead of the field there.
            Some(number) if self.big_endian => {
                if mask != u32::MAX {
                    asm.alu(Alu::And, R0, mask.swap_bytes());
                }
                asm.branch(If::Eq, R0, number.swap_bytes(), to);
            }
            _ => {
                if self.big_endian {
                    asm.network_order(R0, 32);
                }
                if mask & self.max != self.max {
                    asm.alu(Alu::And, R0, mask);
                }
                set::member(asm, set, self.max, to);
            }
        }
    }
}

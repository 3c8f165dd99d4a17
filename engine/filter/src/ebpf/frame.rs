//! Frame mode in eBPF.
//!
//! Headers are loaded in chunks of a constant size into constant places of the stack, each at its first use. A chunk that runs past the
//! end of the frame proves nothing, because a smaller load might not have: then a second form of the program, with one load per
//! field in libpcap's order, decides. So ordinary frames cost one or two loads and short ones get the exact verdict.

use super::asm::{Alu, Assembler, Branch, FP, Helper, If, Label, R0, R1, R2, R3, R4, R5, R6, R7, Size};
use super::known::{Known, Protocols};
use super::simplify::simplify;
use super::walk::{Present, Verdicts, walk};
use super::{Link, set, skb};
use crate::frame::{self, Base, LinkTest, Load, Test};
use crate::graph::{Graph, Next};

/// A part of the frame on the stack.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    id: u8,
    /// Offset on the stack of the byte at the network header.
    stack: i16,
    /// Bytes of the network header and beyond that it holds.
    len: u8,
}

/// With the link header before it, 14 bytes on Ethernet. Holds the IPv4 header and the ports behind it, when there are no options.
const HEAD: Chunk = Chunk { id: 0, stack: -24, len: 24 };
/// The IPv6 header and the first four bytes behind it.
const V6: Chunk = Chunk { id: 1, stack: -88, len: 44 };
/// An ARP packet for Ethernet and IPv4.
const ARP: Chunk = Chunk { id: 2, stack: -120, len: 28 };
/// The first four bytes behind the IPv4 header: the ports.
const PORTS: Chunk = Chunk { id: 3, stack: -128, len: 4 };
/// Where the exact form puts each field.
const SCRATCH: i16 = -136;

/// Writes `graph`'s tests. R6 holds the context. `end` is where a load past the end leads.
pub(super) fn write(asm: &mut Assembler, graph: &Graph<Test>, link: Link, verdicts: Verdicts, end: Label) {
    let exact = asm.label();
    let code = Code { link, past_the_end: exact };
    let asked = Protocols::of(graph);
    let possible = |protocol| link.test(protocol) != LinkTest::Constant(false);
    let simple = simplify(graph, Known::new(&asked, possible));
    let mut present = Present::default();
    // Every term first asks the link layer, so a graph that is no verdict by now starts with that.
    if matches!(simple.entry, Next::Step(_)) {
        code.link_header(asm, &mut present);
    }
    walk(asm, &simple, verdicts, present, |asm, (test, known), present, to| {
        code.test(asm, test, known.protocol(), present, to);
    });
    if asm.is_used(exact) {
        asm.bind(exact);
        let code = Code { link, past_the_end: end };
        code.exact_link_header(asm);
        walk(asm, &simple, verdicts, Present::default(), |asm, (test, _), _, to| {
            code.exact_test(asm, test, to);
        });
    }
}

struct Code {
    link: Link,
    past_the_end: Label,
}

impl Code {
    /// R7: what the link layer says of the protocol, as it lies in memory.
    fn link_header(&self, asm: &mut Assembler, present: &mut Present) {
        match self.link {
            Link::Ethernet => {
                self.chunk(asm, HEAD, present);
                asm.load(Size::Half, R7, FP, HEAD.stack - 2);
                self.tag_in_metadata(asm);
            }
            Link::RawIp => {
                self.chunk(asm, HEAD, present);
                asm.load(Size::Byte, R7, FP, HEAD.stack);
                asm.alu(Alu::Shr, R7, 4);
            }
            Link::Any => {
                asm.load(Size::Word, R7, R6, skb::PROTOCOL);
                self.tag_in_metadata(asm);
            }
        }
    }

    fn exact_link_header(&self, asm: &mut Assembler) {
        match self.link {
            Link::Ethernet => {
                // With the tag in metadata the Ethernet header is there, and the tag is what stands behind the addresses.
                let (tagged, done) = (asm.label(), asm.label());
                asm.load(Size::Word, R0, R6, skb::VLAN_PRESENT);
                asm.jump_if(If::Ne, R0, 0, tagged);
                asm.set(R2, 12);
                self.load_bytes(asm, 2, SCRATCH);
                asm.load(Size::Half, R7, FP, SCRATCH);
                asm.jump(done);
                asm.bind(tagged);
                asm.load(Size::Word, R7, R6, skb::VLAN_PROTO);
                asm.bind(done);
            }
            Link::RawIp => {
                asm.set(R2, 0);
                self.load_bytes(asm, 1, SCRATCH);
                asm.load(Size::Byte, R7, FP, SCRATCH);
                asm.alu(Alu::Shr, R7, 4);
            }
            // R7 did not need the frame.
            Link::Any => {}
        }
    }

    fn tag_in_metadata(&self, asm: &mut Assembler) {
        let untagged = asm.label();
        asm.load(Size::Word, R0, R6, skb::VLAN_PRESENT);
        asm.jump_if(If::Eq, R0, 0, untagged);
        asm.load(Size::Word, R7, R6, skb::VLAN_PROTO);
        asm.bind(untagged);
    }

    fn test(
        &self,
        asm: &mut Assembler,
        test: &Test,
        protocol: Option<u16>,
        present: &mut Present,
        to: Branch,
    ) {
        match test {
            Test::Link(protocol) => self.link_test(asm, *protocol, to),
            Test::Field { load, mask, set } => {
                let end = load.offset + load.size;
                let chunk = match load.base {
                    Base::V4Payload => PORTS,
                    Base::Net if end <= HEAD.len => HEAD,
                    Base::Net if end <= ARP.len && protocol != Some(crate::ast::ether::IPV6) => ARP,
                    Base::Net => V6,
                };
                if end <= chunk.len {
                    self.chunk(asm, chunk, present);
                    compare(asm, *load, (chunk.stack + i16::from(load.offset), *mask, set), to);
                } else {
                    self.field(asm, *load);
                    compare(asm, *load, (SCRATCH, *mask, set), to);
                }
            }
        }
    }

    fn exact_test(&self, asm: &mut Assembler, test: &Test, to: Branch) {
        match test {
            Test::Link(protocol) => self.link_test(asm, *protocol, to),
            Test::Field { load, mask, set } => {
                self.field(asm, *load);
                compare(asm, *load, (SCRATCH, *mask, set), to);
            }
        }
    }

    fn link_test(&self, asm: &mut Assembler, protocol: u16, to: Branch) {
        match self.link.test(protocol) {
            LinkTest::Version(version) => asm.branch(If::Eq, R7, u32::from(version), to),
            LinkTest::EtherType(_) => asm.branch(If::Eq, R7, u32::from(protocol.swap_bytes()), to),
            LinkTest::Constant(true) => asm.jump(to.yes),
            LinkTest::Constant(false) | LinkTest::Family(_) => asm.jump(to.no),
        }
    }

    /// Puts the chunk on the stack, unless it is there.
    fn chunk(&self, asm: &mut Assembler, chunk: Chunk, present: &mut Present) {
        if present.has(chunk.id) {
            return;
        }
        let before = if chunk.id == HEAD.id { self.link.header_len() } else { 0 };
        if chunk.id == PORTS.id {
            self.chunk(asm, HEAD, present);
            let (options, done) = (asm.label(), asm.label());
            asm.load(Size::Byte, R2, FP, HEAD.stack);
            asm.alu(Alu::And, R2, 0x0f);
            asm.jump_if(If::Ne, R2, 5, options);
            asm.load(Size::Word, R0, FP, HEAD.stack + 20);
            asm.store(Size::Word, FP, PORTS.stack, R0);
            asm.jump(done);
            asm.bind(options);
            asm.alu(Alu::Shl, R2, 2);
            asm.alu(Alu::Add, R2, self.link.header_len());
            self.load_bytes(asm, u32::from(chunk.len), chunk.stack);
            asm.bind(done);
        } else {
            asm.set(R2, self.link.header_len() - before);
            let stack = chunk.stack - i16::try_from(before).unwrap_or_default();
            self.load_bytes(asm, u32::from(chunk.len) + before, stack);
        }
        present.add(chunk.id);
    }

    /// Puts one field into the scratch place.
    fn field(&self, asm: &mut Assembler, load: Load) {
        let offset = self.link.header_len() + u32::from(load.offset);
        match load.base {
            Base::Net => asm.set(R2, offset),
            Base::V4Payload => {
                asm.set(R2, self.link.header_len());
                self.load_bytes(asm, 1, SCRATCH);
                asm.load(Size::Byte, R2, FP, SCRATCH);
                asm.alu(Alu::And, R2, 0x0f);
                asm.alu(Alu::Shl, R2, 2);
                asm.alu(Alu::Add, R2, offset);
            }
        }
        self.load_bytes(asm, u32::from(load.size), SCRATCH);
    }

    /// Loads `len` bytes at R2 to the stack.
    fn load_bytes(&self, asm: &mut Assembler, len: u32, stack: i16) {
        asm.mov(R1, R6);
        asm.mov(R3, FP);
        asm.add_pointer(R3, i32::from(stack));
        asm.set(R4, len);
        if self.link == Link::Any {
            asm.set(R5, skb::RELATIVE_TO_NETWORK_HEADER);
            asm.call(Helper::SkbLoadBytesRelative);
        } else {
            asm.call(Helper::SkbLoadBytes);
        }
        asm.jump_if_64(If::Ne, R0, 0, self.past_the_end);
    }
}

/// Compares the field at `stack`.
fn compare(
    asm: &mut Assembler,
    load: Load,
    (stack, mask, set): (i16, u32, &crate::ranges::Ranges),
    to: Branch,
) {
    let (size, max) = match load.size {
        1 => (Size::Byte, 0xff),
        2 => (Size::Half, 0xffff),
        _ => (Size::Word, u32::MAX),
    };
    if size == Size::Word && stack % 4 != 0 {
        // The verifier wants words on the stack aligned; ARP's source address is not.
        asm.load(Size::Half, R0, FP, stack);
        asm.load(Size::Half, R1, FP, stack + 2);
        asm.alu(Alu::Shl, R1, 16);
        asm.or(R0, R1);
    } else {
        asm.load(size, R0, FP, stack);
    }
    if let &[(first, last)] = set.as_slice()
        && first == last
    {
        // One number: it is turned around here instead of the field there.
        let turned = |number: u32| match load.size {
            1 => number & max,
            2 => (number & max).swap_bytes() >> 16,
            _ => number.swap_bytes(),
        };
        if mask & max != max {
            asm.alu(Alu::And, R0, turned(mask));
        }
        return asm.branch(If::Eq, R0, turned(first), to);
    }
    match load.size {
        1 => {}
        2 => asm.network_order(R0, 16),
        _ => asm.network_order(R0, 32),
    }
    if mask & max != max {
        asm.alu(Alu::And, R0, mask);
    }
    set::branch(asm, R0, set.as_slice(), max, to);
}

impl Link {
    /// Bytes before the network header; loads are relative to it where that is unknown.
    fn header_len(self) -> u32 {
        match self {
            Self::Ethernet => 14,
            Self::RawIp | Self::Any => 0,
        }
    }

    fn test(self, protocol: u16) -> LinkTest {
        match self {
            // The kernel's own idea of the protocol is an Ethernet type whatever the link.
            Self::Ethernet | Self::Any => frame::Link::Ethernet.test(protocol),
            Self::RawIp => frame::Link::Raw.test(protocol),
        }
    }
}

//! Flow mode in classic BPF: the program looks for the TCP or UDP header itself.
//!
//! It knows IP behind the link header and up to three VLAN tags. Fragments, tunnels and IPv6 extension headers pass, and the worker decides.

use sniff_x_ebpf_common::{ether, ip};

use super::asm::{Alu, Assembler, If, Label, Op};
use super::{label, set};
use crate::ast;
use crate::ebpf::Link;
use crate::flow::{End, Test};
use crate::graph::Graph;
use crate::ranges::Ranges;

/// Words of scratch memory: where the IP header is, its version, the transport protocol, both ports.
const HEADER: u32 = 0;
const VERSION: u32 = 1;
const PROTOCOL: u32 = 2;
const PORTS: u32 = 3;

/// VLAN tags in the frame that are looked behind.
const TAGS: u32 = 3;

/// Writes the rules' tests, which end at one of `verdicts`, accept and reject.
pub(super) fn write(asm: &mut Assembler, graph: &Graph<Test>, link: Link, verdicts: (Label, Label)) {
    let (v4, v6, found) = (asm.label(), asm.label(), asm.label());
    match link {
        Link::Ethernet => ethernet(asm, (v4, v6), verdicts),
        Link::RawIp | Link::Any => {
            asm.op(Op::Immediate, 0);
            asm.op(Op::Store, HEADER);
            asm.op(Op::Absolute1, 0);
            asm.alu(Alu::And, 0xf0);
            let other = asm.label();
            asm.branch(If::Eq, 0x40, v4, other);
            asm.bind(other);
            asm.branch(If::Eq, 0x60, v6, verdicts.1);
        }
    }
    asm.bind(v4);
    ipv4(asm, found, verdicts);
    asm.bind(v6);
    ipv6(asm, found, verdicts);
    asm.bind(found);
    tunnel_ports(asm, verdicts);

    let labels: Vec<Label> = graph.steps.iter().map(|_| asm.label()).collect();
    asm.jump(label(graph.entry, &labels, verdicts));
    for (step, here) in graph.steps.iter().zip(&labels) {
        asm.bind(*here);
        test(asm, &step.test, label(step.yes, &labels, verdicts), label(step.no, &labels, verdicts));
    }
}

/// Goes to the code of the IP version, the header's place in memory.
fn ethernet(asm: &mut Assembler, (v4, v6): (Label, Label), (accept, reject): (Label, Label)) {
    for tags in 0..=TAGS {
        let kind = 12 + 4 * tags;
        let (next, not_v4, not_v6, in_v4, in_v6) =
            (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
        asm.op(Op::Absolute2, kind);
        asm.branch(If::Eq, ether::IPV4, in_v4, not_v4);
        asm.bind(not_v4);
        asm.branch(If::Eq, ether::IPV6, in_v6, not_v6);
        asm.bind(not_v6);
        let tunnels =
            Ranges::new((0..=0xffff).filter(|kind| ether::is_tunnel(*kind)).map(|kind| (kind, kind)));
        let tag = Ranges::new((0..=0xffff).filter(|kind| ether::is_vlan(*kind)).map(|kind| (kind, kind)));
        let other = asm.label();
        // Behind that many tags user space looks.
        set::branch(asm, tag.as_slice(), if tags == TAGS { accept } else { next }, other);
        asm.bind(other);
        set::branch(asm, tunnels.as_slice(), accept, reject);
        for (here, to) in [(in_v4, v4), (in_v6, v6)] {
            asm.bind(here);
            asm.op(Op::Immediate, kind + 2);
            asm.op(Op::Store, HEADER);
            asm.jump(to);
        }
        asm.bind(next);
    }
}

fn ipv4(asm: &mut Assembler, found: Label, (accept, reject): (Label, Label)) {
    let whole = asm.label();
    asm.op(Op::LoadMemoryX, HEADER);
    asm.op(Op::Indirect2, 6);
    asm.branch(If::Set, ip::V4_FRAGMENT, accept, whole);
    asm.bind(whole);
    asm.op(Op::Indirect1, 9);
    transport(asm, ip::is_tunnel, (accept, reject));
    asm.op(Op::Immediate, 4);
    asm.op(Op::Store, VERSION);
    asm.op(Op::Indirect1, 0);
    asm.alu(Alu::And, 0x0f);
    asm.alu(Alu::Shl, 2);
    asm.alu_x(Alu::Add);
    asm.op(Op::Tax, 0);
    asm.op(Op::Indirect4, 0);
    asm.op(Op::Store, PORTS);
    asm.jump(found);
}

fn ipv6(asm: &mut Assembler, found: Label, (accept, reject): (Label, Label)) {
    asm.op(Op::LoadMemoryX, HEADER);
    asm.op(Op::Indirect1, 6);
    transport(asm, |next| ip::is_tunnel(next) || ip::is_v6_extension(next), (accept, reject));
    asm.op(Op::Immediate, 6);
    asm.op(Op::Store, VERSION);
    asm.op(Op::Indirect4, 40);
    asm.op(Op::Store, PORTS);
    asm.jump(found);
}

/// A is the protocol behind an IP header: goes on with TCP and UDP.
fn transport(asm: &mut Assembler, open: impl Fn(u32) -> bool, (accept, reject): (Label, Label)) {
    let (other, known) = (asm.label(), asm.label());
    asm.op(Op::Store, PROTOCOL);
    set::branch(asm, Ranges::new([ip::TCP, ip::UDP].map(|n| (n, n))).as_slice(), known, other);
    asm.bind(other);
    let open = Ranges::new((0..=255).filter(|number| open(*number)).map(|number| (number, number)));
    set::branch(asm, open.as_slice(), accept, reject);
    asm.bind(known);
}

/// What comes from or goes to a tunnel's port passes.
fn tunnel_ports(asm: &mut Assembler, (accept, _): (Label, Label)) {
    let (udp, done, first) = (asm.label(), asm.label(), asm.label());
    let tunnels = Ranges::new((0..=0xffff).filter(|port| ip::is_tunnel_port(*port)).map(|port| (port, port)));
    asm.op(Op::LoadMemory, PROTOCOL);
    asm.branch(If::Eq, ip::UDP, udp, done);
    asm.bind(udp);
    port(asm, End::Source);
    set::branch(asm, tunnels.as_slice(), accept, first);
    asm.bind(first);
    port(asm, End::Destination);
    set::branch(asm, tunnels.as_slice(), accept, done);
    asm.bind(done);
}

fn port(asm: &mut Assembler, end: End) {
    asm.op(Op::LoadMemory, PORTS);
    match end {
        End::Source => asm.alu(Alu::Shr, 16),
        End::Destination => asm.alu(Alu::And, 0xffff),
    }
}

fn test(asm: &mut Assembler, test: &Test, yes: Label, no: Label) {
    match test {
        Test::Family(family) => {
            asm.op(Op::LoadMemory, VERSION);
            asm.branch(If::Eq, if *family == ast::Family::V4 { 4 } else { 6 }, yes, no);
        }
        Test::Protocol(number) => {
            asm.op(Op::LoadMemory, PROTOCOL);
            asm.branch(If::Eq, u32::from(*number), yes, no);
        }
        Test::Port { end, set } => {
            port(asm, *end);
            set::branch(asm, set.as_slice(), yes, no);
        }
        Test::V4 { end, address, mask } => {
            let at = if *end == End::Source { ip::V4_ADDRESSES } else { ip::V4_ADDRESSES + 4 };
            words(asm, at, [(*address, *mask)], yes, no);
        }
        Test::V6 { end, address, mask } => {
            let at = if *end == End::Source { ip::V6_ADDRESSES } else { ip::V6_ADDRESSES + 16 };
            #[expect(clippy::cast_possible_truncation, reason = "one word of four")]
            let parts = [96, 64, 32, 0].map(|shift| ((*address >> shift) as u32, (*mask >> shift) as u32));
            words(asm, at, parts, yes, no);
        }
    }
}

/// Goes to `yes` when each word from `at` in the IP header on is as given under its mask.
fn words<const N: usize>(asm: &mut Assembler, at: u32, words: [(u32, u32); N], yes: Label, no: Label) {
    asm.op(Op::LoadMemoryX, HEADER);
    for (at, (word, mask)) in (at..).step_by(4).zip(words).filter(|(_, (_, mask))| *mask != 0) {
        let same = asm.label();
        asm.op(Op::Indirect4, at);
        if mask != u32::MAX {
            asm.alu(Alu::And, mask);
        }
        asm.branch(If::Eq, word, same, no);
        asm.bind(same);
    }
    asm.jump(yes);
}

//! What the tests share: frames of all kinds, and libpcap's verdict on them.
pub(crate) mod classic;
pub(crate) mod frames;
pub(crate) mod verifier;
pub(crate) mod vm;

use pcap::{BpfInstruction, BpfProgram, Capture, Linktype};
use std::sync::{Mutex, PoisonError};

use sniff_x_filter::{Instruction, Link, RuleSet};
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos, VlanTag};

/// No frame here keeps a program that ends for so long.
const ENDLESS: usize = 20_000;

/// A frame as a source would lend it.
pub(crate) fn frame(link_type: LinkType, bytes: &[u8], vlan: Option<VlanTag>) -> Frame<'_> {
    Frame {
        bytes,
        offset: 0,
        timestamp: Nanos(0),
        original_len: bytes.len() as u32,
        interface: 0,
        link_type,
        vlan,
        flags: FrameFlags::default(),
    }
}

/// libpcap's number in memory of a link type in files; they differ for raw IP alone.
pub(crate) fn dlt(link_type: LinkType) -> Linktype {
    Linktype(if link_type == LinkType::RAW { 12 } else { i32::from(link_type.0) })
}

/// An expression as libpcap compiles it.
pub(crate) struct Judge {
    plain: BpfProgram,
    /// The same, where it has a loop: on some frames that has no end.
    loops: Option<Vec<Instruction>>,
    optimised: Option<BpfProgram>,
}

/// What libpcap says of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Is(bool),
    /// Its optimiser changed the verdict: the optimised program leaves out a load past the end of the frame.
    Unsure,
}

fn compile(link_type: LinkType, text: &str, optimised: bool) -> Result<BpfProgram, pcap::Error> {
    // Of files with address families libpcap expects those of other systems.
    if !matches!(link_type, LinkType::NULL | LinkType::LOOP) {
        return Capture::dead(dlt(link_type))?.compile(text, optimised);
    }
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x4_0000, u32::from(link_type.0)];
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("empty-{}.pcap", link_type.0));
    // Written once, whoever comes first.
    static WRITTEN: Mutex<Vec<LinkType>> = Mutex::new(Vec::new());
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !written.contains(&link_type) {
        std::fs::write(&path, header.map(u32::to_le_bytes).as_flattened()).expect("a file");
        written.push(link_type);
    }
    drop(written);
    Capture::from_file(path)?.compile(text, optimised)
}

impl Judge {
    pub(crate) fn new(link_type: LinkType, text: &str) -> Result<Self, pcap::Error> {
        let plain = compile(link_type, text, false)?;
        // The optimiser refuses what can never match.
        let optimised = compile(link_type, text, true).ok();
        let instructions = plain.get_instructions().iter().map(instruction).collect::<Vec<_>>();
        let back = instructions.iter().any(|instruction| instruction.code == 5 && (instruction.k as i32) < 0);
        // It adds a constant index to the offset, which wraps round, where the sum that BPF makes itself does not: tcpdump's answer counts.
        let wraps =
            text.split('[').skip(1).filter_map(|behind| behind.split([']', ':']).next()).any(|index| {
                let number = index.trim().parse::<i64>();
                number.is_ok_and(|number| number < 0 || number > i64::from(i32::MAX))
            });
        let (plain, optimised) = match optimised {
            Some(optimised) if wraps => (optimised, None),
            optimised => (plain, optimised),
        };
        Ok(Self { plain, loops: back.then_some(instructions), optimised: optimised.filter(|_| !back) })
    }

    /// What the program says without optimiser. Where it never ends it says nothing, and no frame passes.
    pub(crate) fn plain(&self, bytes: &[u8]) -> bool {
        match &self.loops {
            Some(program) => classic::run_for(program, bytes, ENDLESS).is_some_and(|verdict| verdict != 0),
            None => self.plain.filter(bytes),
        }
    }

    /// What both say, if they agree.
    pub(crate) fn verdict(&self, bytes: &[u8]) -> Verdict {
        let plain = self.plain(bytes);
        match &self.optimised {
            Some(optimised) if optimised.filter(bytes) != plain => Verdict::Unsure,
            _ => Verdict::Is(plain),
        }
    }
}

/// As libpcap writes it: the four numbers.
fn instruction(written: &BpfInstruction) -> Instruction {
    let written = written.to_string();
    let mut numbers = written.split(' ').map(|number| number.parse::<u32>().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    Instruction { code: next() as u16, jt: next() as u8, jf: next() as u8, k: next() }
}

/// Whether a program's verdict is what it may be: libpcap's, or where it is not the last word, to let pass.
pub(crate) fn agrees(rules: &RuleSet, link: Link, passes: bool, expected: bool) -> bool {
    passes == expected || passes && !rules.filter_is_final(link)
}

/// What libpcap and we say of an expression on a link: taken by both, or refused by both.
pub(crate) fn judged(link_type: LinkType, text: &str) -> Option<(Judge, sniff_x_filter::Expression)> {
    let ours = sniff_x_filter::parse(text).unwrap_or_else(|e| panic!("{e}"));
    match (Judge::new(link_type, text), ours.refused_on(link_type)) {
        (Ok(judge), None) => Some((judge, ours)),
        (Err(_), Some(_)) => None,
        (Ok(_), Some(why)) => panic!("we refuse '{text}' on {link_type:?}, libpcap does not: {why}"),
        (Err(why), None) => panic!("libpcap refuses '{text}' on {link_type:?}, we do not: {why}"),
    }
}

/// The expressions that a plugin's rule can be.
pub(crate) fn rules() -> impl Iterator<Item = &'static str> {
    expressions().filter(|text| sniff_x_filter::parse_rule(text).is_ok())
}

/// The expressions that all differential tests use; the first is the empty one.
pub(crate) fn expressions() -> impl Iterator<Item = &'static str> {
    include_str!("expressions.txt").lines()
}

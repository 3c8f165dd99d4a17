//! The assembler against an oracle that is obviously right: a map from stream offset to byte for each direction.
//!
//! Schedules are made by cutting two byte streams into segments and then reordering, repeating, overlapping, corrupting and
//! losing some of them.

use core::fmt;
use proptest::prelude::*;

use super::{A, F, P, R, S, Seg};
use crate::assembler::{Assembler, AssemblerOptions, Chunks, Overlap, Stream, StreamFactory, Totals};
use crate::{Direction, End, FlowInfo, Nanos};

/// What one direction was told, neighbours merged.
#[derive(Clone, PartialEq, Eq)]
enum Told {
    Bytes(Vec<u8>),
    Gap(i64),
    End,
}

impl fmt::Debug for Told {
    /// Thousands of bytes tell nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => {
                let sum = bytes.iter().fold(0u32, |sum, &b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
                write!(f, "{} bytes ({sum:08x})", bytes.len())
            }
            Self::Gap(gap) => write!(f, "gap {gap}"),
            Self::End => write!(f, "end"),
        }
    }
}

#[derive(Default)]
struct Record {
    streams: Vec<StreamRecord>,
}

/// What a stream was told in each direction, how it ended, its last totals.
type StreamRecord = ([Vec<Told>; 2], Option<End>, [Totals; 2]);

struct Stored(usize);

fn tell(told: &mut Vec<Told>, skip: i64, bytes: &[u8], end: bool) {
    if skip != 0 {
        match told.last_mut() {
            Some(Told::Gap(gap)) if skip > 0 && *gap > 0 => *gap += skip,
            _ => told.push(Told::Gap(skip)),
        }
    }
    if !bytes.is_empty() {
        match told.last_mut() {
            Some(Told::Bytes(before)) => before.extend_from_slice(bytes),
            _ => told.push(Told::Bytes(bytes.to_vec())),
        }
    }
    if end {
        told.push(Told::End);
    }
}

impl StreamFactory for Record {
    type Stream = Stored;
    fn new_stream(&mut self, _: &mut FlowInfo) -> Stored {
        self.streams.push(Default::default());
        Stored(self.streams.len() - 1)
    }
}

impl Stream<Record> for Stored {
    fn reassembled(&mut self, record: &mut Record, _: &FlowInfo, totals: &[Totals; 2], chunks: Chunks<'_>) {
        let (told, end, last) = &mut record.streams[self.0];
        assert_eq!(*end, None, "nothing is told after the end");
        for chunk in chunks {
            tell(&mut told[chunk.direction.index()], chunk.skip, chunk.bytes, chunk.end);
        }
        *last = *totals;
    }
    fn reassembly_complete(&mut self, record: &mut Record, _: &FlowInfo, totals: &[Totals; 2], end: End) {
        assert_eq!(record.streams[self.0].1.replace(end), None, "one end");
        record.streams[self.0].2 = *totals;
    }
    fn idle(&mut self, _: &mut Record, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        false
    }
}

/// A segment that owns its bytes; `offset` counts from the stream's first byte.
#[derive(Clone, Debug)]
struct Cut {
    client: bool,
    offset: u32,
    bytes: Vec<u8>,
    flags: u8,
    ack: u32,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Swap(u16, u8),
    Repeat(u16, u8),
    Lose(u16),
    /// Sends `1..=max` bytes again from somewhere before a segment, cut otherwise; the last: other bytes than before.
    Overlap(u16, u16, u16, bool),
}

#[derive(Clone, Debug)]
struct Plan {
    isn: [u32; 2],
    cuts: Vec<(bool, u16)>,
    changes: Vec<Change>,
    midstream: bool,
    /// Bytes with the client's SYN.
    early: u16,
    fins: [bool; 2],
    reset: Option<u16>,
    last: bool,
}

fn isn() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), (0u32..40_000).prop_map(|n| u32::MAX - n)]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<u16>(), 1u8..16).prop_map(|(at, by)| Change::Swap(at, by)),
        2 => (any::<u16>(), 0u8..16).prop_map(|(at, by)| Change::Repeat(at, by)),
        1 => any::<u16>().prop_map(Change::Lose),
        2 => (any::<u16>(), 0u16..6000, 1u16..6000, any::<bool>())
            .prop_map(|(at, back, len, other)| Change::Overlap(at, back, len, other)),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let cut = (any::<bool>(), prop_oneof![0u16..4, 1u16..200, 1400u16..1500, 1u16..9000]);
    (
        [isn(), isn()],
        prop::collection::vec(cut, 1..40),
        prop::collection::vec(change(), 0..24),
        prop::bool::weighted(0.3),
        prop_oneof![3 => Just(0), 1 => 1u16..3000],
        any::<[bool; 2]>(),
        prop::option::weighted(0.2, any::<u16>()),
        any::<bool>(),
    )
        .prop_map(|(isn, cuts, changes, midstream, early, fins, reset, last)| Plan {
            isn,
            cuts,
            changes,
            midstream,
            early,
            fins,
            reset,
            last,
        })
}

fn byte(client: bool, offset: u32) -> u8 {
    let mixed = (u64::from(offset) + u64::from(client) * 0x1234_5678).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_le_bytes()[5]
}

fn text(client: bool, offset: u32, len: u32) -> Vec<u8> {
    (offset..offset + len).map(|at| byte(client, at)).collect()
}

/// The plan's segments without the handshake. `ack` grows with what the peer sent when `acks`.
fn schedule(plan: &Plan, acks: bool) -> (Vec<Cut>, [u32; 2]) {
    let mut sent = [0u32; 2];
    let mut segments = Vec::new();
    for &(client, len) in &plan.cuts {
        let own = usize::from(!client);
        let bytes = text(client, sent[own], u32::from(len));
        let ack = if acks { sent[1 - own] } else { 0 };
        segments.push(Cut { client, offset: sent[own], bytes, flags: A | P, ack });
        sent[own] += u32::from(len);
    }
    for own in [0, 1] {
        if plan.fins[own] {
            let ack = if acks { sent[1 - own] } else { 0 };
            segments.push(Cut { client: own == 0, offset: sent[own], bytes: vec![], flags: A | F, ack });
        }
    }
    for &change in &plan.changes {
        let len = segments.len();
        if len == 0 {
            break;
        }
        match change {
            Change::Swap(at, by) => {
                let at = usize::from(at) % len;
                segments.swap(at, (at + usize::from(by)).min(len - 1));
            }
            Change::Repeat(at, by) => {
                let at = usize::from(at) % len;
                let again = segments[at].clone();
                segments.insert((at + usize::from(by)).min(len), again);
            }
            Change::Lose(at) => {
                segments.remove(usize::from(at) % len);
            }
            Change::Overlap(at, back, count, other) => {
                let at = usize::from(at) % len;
                let Cut { client, offset, ack, .. } = segments[at];
                let offset = offset.saturating_sub(u32::from(back));
                let count = u32::from(count).min(sent[usize::from(!client)] - offset);
                let mut bytes = text(client, offset, count);
                // One odd byte would be a keep-alive probe, which never counts.
                if other
                    && count > 1
                    && let Some(last) = bytes.last_mut()
                {
                    *last ^= 0xff;
                }
                segments.insert(at, Cut { client, offset, bytes, flags: A | P, ack });
            }
        }
    }
    (segments, sent)
}

/// One direction, byte by byte.
#[derive(Default)]
struct Oracle {
    /// By place, up to the last byte that is known; what lies before `next` was told.
    known: Vec<Option<u8>>,
    next: Option<u32>,
    fin: Option<u32>,
    told: Vec<Told>,
    ended: bool,
}

impl Oracle {
    fn take(&mut self, segment: &Cut, overlap: Overlap) {
        if self.ended || (segment.bytes.is_empty() && segment.flags & F == 0) {
            return;
        }
        let next = *self.next.get_or_insert_with(|| {
            self.told.push(Told::Gap(-1));
            segment.offset
        });
        // A lone byte that repeats the last known one is a keep-alive probe; what it says does not count.
        let probe = segment.bytes.len() == 1 && segment.flags & F == 0;
        let last = self.known.len().checked_sub(1).filter(|&last| last >= next as usize);
        if probe && last == Some(segment.offset as usize) {
            return;
        }
        if segment.flags & F != 0 {
            self.fin.get_or_insert(segment.offset + u32::try_from(segment.bytes.len()).unwrap());
        }
        let end = segment.offset as usize + segment.bytes.len();
        if !segment.bytes.is_empty() && end > (next as usize).max(self.known.len()) {
            self.known.resize(end, None);
        }
        let new = (segment.offset as usize..).zip(&segment.bytes).filter(|(at, _)| *at >= next as usize);
        for (at, &byte) in new {
            match (&mut self.known[at], overlap) {
                (Some(_), Overlap::First) => {}
                (known, _) => *known = Some(byte),
            }
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        let Some(next) = &mut self.next else { return };
        let waiting = self.known.get(*next as usize..).unwrap_or_default();
        let bytes: Vec<u8> = waiting.iter().map_while(|byte| *byte).collect();
        tell(&mut self.told, 0, &bytes, false);
        *next += u32::try_from(bytes.len()).unwrap();
        if self.fin == Some(*next) && !self.ended {
            self.ended = true;
            self.told.push(Told::End);
        }
    }

    fn finish(&mut self) {
        while let Some(next) = self.next
            && !self.ended
        {
            let waiting = self.known.get(next as usize..).unwrap_or_default();
            let gap = (0..).zip(waiting).find_map(|(gap, byte)| byte.map(|_| gap));
            let Some(gap) = gap.or(self.fin.map(|fin| fin - next)) else { return };
            tell(&mut self.told, i64::from(gap), &[], false);
            self.next = Some(next + gap);
            self.go_on();
        }
    }
}

fn segment(bed: &super::Bed, plan: &Plan, cut: &Cut) -> crate::packet::Segment {
    let own = usize::from(!cut.client);
    let first = |side: usize| plan.isn[side].wrapping_add(1);
    bed.segment(&Seg {
        seq: first(own).wrapping_add(cut.offset),
        ack: first(1 - own).wrapping_add(cut.ack),
        flags: cut.flags,
        payload: &cut.bytes,
        ..super::c(0, 0, 0, "")
    })
}

fn run(plan: &Plan) -> Result<(), TestCaseError> {
    let overlap = if plan.last { Overlap::Last } else { Overlap::First };
    let options = AssemblerOptions { overlap, ..AssemblerOptions::default() };
    let mut bed = super::Bed::new();
    let (mut assembler, mut record) = (Assembler::<Record>::new(options), Record::default());
    let mut oracles = [Oracle::default(), Oracle::default()];
    let (segments, sent) = schedule(plan, false);
    if !plan.midstream {
        // What a SYN carries is sent again, as a server without fast open wants.
        let early = text(true, 0, u32::from(plan.early).min(sent[0]));
        for (client, flags) in [(true, S), (false, S | A), (true, A)] {
            let own = usize::from(!client);
            let seg = Seg {
                client,
                seq: plan.isn[own].wrapping_add(u32::from(flags & S == 0)),
                ack: plan.isn[1 - own].wrapping_add(1),
                flags,
                payload: if flags == S { &early } else { &[] },
                ..super::c(0, 0, 0, "")
            };
            assembler.assemble(&mut record, &bed.segment(&seg), seg.payload);
        }
        oracles.iter_mut().for_each(|oracle| oracle.next = Some(0));
        oracles[0].take(&Cut { client: true, offset: 0, bytes: early, flags: S, ack: 0 }, overlap);
    }
    let reset = plan.reset.map(|at| usize::from(at) % (segments.len() + 1));
    for (at, cut) in segments.iter().enumerate() {
        if reset == Some(at) {
            break;
        }
        if plan.midstream
            && record.streams.is_empty()
            && (cut.bytes.is_empty() || cut.bytes.len() == 1 && cut.flags & P == 0)
        {
            continue; // Opens nothing.
        }
        bed.now.0 += 1000;
        let mut segment = segment(&bed, plan, cut);
        segment.packet.sender =
            bed.segment(&Seg { client: cut.client, ..super::c(0, 0, 0, "") }).packet.sender;
        assembler.assemble(&mut record, &segment, &cut.bytes);
        let over = oracles.iter().all(|oracle| oracle.ended);
        if !over {
            oracles[usize::from(!cut.client)].take(cut, overlap);
        }
    }
    let over = oracles.iter().all(|oracle| oracle.ended);
    let mut why = if over { End::Fin } else { End::Eof };
    if reset.is_some()
        && !over
        && !record.streams.is_empty()
        && let Some(next) = oracles[0].next
    {
        let next = next + u32::from(oracles[0].ended);
        let cut = Cut { client: true, offset: next, bytes: vec![], flags: R | A, ack: 0 };
        assembler.assemble(&mut record, &segment(&bed, plan, &cut), &[]);
        why = End::Rst;
        oracles.iter_mut().for_each(Oracle::finish);
        if !oracles[0].ended {
            oracles[0].told.push(Told::End);
        }
    }
    oracles.iter_mut().for_each(Oracle::finish);
    assembler.flush_all(&mut record);
    prop_assert!(record.streams.len() <= 1, "one connection");
    if let Some((told, end, totals)) = record.streams.first() {
        prop_assert_eq!(*end, Some(why));
        for (own, oracle) in oracles.iter().enumerate() {
            // Which end was taken for the client of a flow joined in the middle: the higher port, as in `plan`.
            prop_assert_eq!(&told[own], &oracle.told, "direction {}", own);
            let sum = |pick: fn(&Told) -> u64| told[own].iter().map(pick).sum::<u64>();
            prop_assert_eq!(
                totals[own].bytes,
                sum(|t| if let Told::Bytes(b) = t { b.len() as u64 } else { 0 })
            );
            prop_assert_eq!(
                totals[own].gap_bytes,
                sum(|t| if let Told::Gap(g) = t { (*g).max(0).cast_unsigned() } else { 0 })
            );
        }
    }
    let counters = assembler.counters();
    prop_assert_eq!((counters.open, counters.closed, counters.pages), (0, 0, 0), "nothing is left behind");
    prop_assert_eq!(assembler.holes.used(), 0);
    Ok(())
}

/// With acknowledgements, time-outs and tight limits what is given up depends on the order of arrival; but whatever is
/// told, each byte stands where it belongs, and bytes and gaps add up.
fn run_with_limits(plan: &Plan, pages: usize, step: u64) -> Result<(), TestCaseError> {
    let options = AssemblerOptions {
        max_buffered_pages_per_connection: Some(pages),
        max_buffered_pages_total: Some(pages * 2),
        hole_segments: 5,
        ..AssemblerOptions::default()
    };
    let mut plan = plan.clone();
    (plan.midstream, plan.reset) = (false, None);
    for change in &mut plan.changes {
        if let Change::Overlap(.., other) = change {
            *other = false;
        }
    }
    let mut bed = super::Bed::new();
    let (mut assembler, mut record) = (Assembler::<Record>::new(options), Record::default());
    let (segments, sent) = schedule(&plan, true);
    for (client, flags) in [(true, S), (false, S | A)] {
        let own = usize::from(!client);
        let (seq, ack) = (plan.isn[own], plan.isn[1 - own].wrapping_add(1));
        let seg = Seg { client, seq, ack, flags, ..super::c(0, 0, 0, "") };
        assembler.assemble(&mut record, &bed.segment(&seg), &[]);
    }
    for cut in &segments {
        bed.now.0 += step;
        let mut segment = segment(&bed, &plan, cut);
        segment.packet.sender =
            bed.segment(&Seg { client: cut.client, ..super::c(0, 0, 0, "") }).packet.sender;
        assembler.assemble(&mut record, &segment, &cut.bytes);
        prop_assert!(assembler.counters().pages <= pages as u64);
        assembler.advance(&mut record, bed.now);
    }
    assembler.flush_all(&mut record);
    prop_assert_eq!(record.streams.len(), 1);
    let (told, _, totals) = &record.streams[0];
    for direction in [Direction::ToServer, Direction::ToClient] {
        let own = direction.index();
        let mut at = 0u32;
        for told in &told[own] {
            match told {
                Told::Gap(gap) => at += u32::try_from(*gap).unwrap(),
                Told::Bytes(bytes) => {
                    let len = u32::try_from(bytes.len()).unwrap();
                    prop_assert_eq!(bytes, &text(own == 0, at, len), "bytes at {}", at);
                    at += len;
                }
                Told::End => {}
            }
        }
        prop_assert!(at <= sent[own]);
        prop_assert_eq!(u64::from(at), totals[own].bytes + totals[own].gap_bytes);
    }
    prop_assert_eq!((assembler.counters().pages, assembler.holes.used()), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(crate::generated::config(1000))]

    #[test]
    fn bytes_and_gaps_are_the_oracle_s(plan in plan()) {
        run(&plan)?;
    }

    #[test]
    fn bytes_stand_where_they_belong_under_limits(plan in plan(), pages in 1usize..40, step in 1u64..100_000_000) {
        run_with_limits(&plan, pages, step)?;
    }
}

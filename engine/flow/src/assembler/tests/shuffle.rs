//! Conversations shuffled as several queues of a network card would: what is told keeps bytes and causal order.

use proptest::prelude::*;

use super::{A, Bed, F, P, S, Seg};
use crate::assembler::{Assembler, AssemblerOptions, Chunks, Stream, StreamFactory, Totals};
use crate::{Direction, End, FlowInfo, Nanos};

/// Segments never come more than so many places from their own.
const WINDOW: u32 = 16;

/// What was told: direction, bytes, whether the end.
#[derive(Default)]
struct Told(Vec<(Direction, Vec<u8>, bool)>);

struct One;

impl StreamFactory for Told {
    type Stream = One;
    fn new_stream(&mut self, _: &mut FlowInfo) -> One {
        One
    }
}

impl Stream<Told> for One {
    fn reassembled(&mut self, told: &mut Told, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
        told.0.extend(chunks.map(|chunk| (chunk.direction, chunk.bytes.to_vec(), chunk.end)));
    }
    fn reassembly_complete(&mut self, _: &mut Told, _: &FlowInfo, _: &[Totals; 2], _: End) {}
    fn idle(&mut self, _: &mut Told, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
        false
    }
}

/// One segment of the conversation; numbers count from the stream's first byte.
#[derive(Clone)]
struct Sent {
    own: usize,
    at: u32,
    ack: u32,
    bytes: Vec<u8>,
    fin: bool,
}

/// A turn of the conversation: who speaks, how many bytes, how many of its own segments ago it last read its input.
type Turn = (bool, u16, u8);

fn conversation(turns: &[Turn], fins: [bool; 2]) -> Vec<Sent> {
    let mut sent = [0u32; 2];
    let mut acks: [Vec<u32>; 2] = [vec![0], vec![0]];
    let mut segments = Vec::new();
    for &(client, len, late) in turns {
        let own = usize::from(!client);
        // It acknowledges what it had read some segments ago, never less than it said before.
        acks[own].push(sent[1 - own]);
        let read = acks[own].len() - 1 - usize::from(late).min(acks[own].len() - 1);
        let ack = acks[own][read];
        for earlier in &mut acks[own][..read] {
            *earlier = ack;
        }
        let bytes =
            (sent[own]..).take(usize::from(len)).map(|at| (at % 251) as u8 ^ u8::from(client)).collect();
        segments.push(Sent { own, at: sent[own], ack, bytes, fin: false });
        sent[own] += u32::from(len);
    }
    for own in [0, 1] {
        if fins[own] {
            segments.push(Sent { own, at: sent[own], ack: sent[1 - own], bytes: vec![], fin: true });
        }
    }
    segments
}

/// Where each segment comes: nowhere further than the window from its place.
fn shuffled(segments: &[Sent], jitter: &[u8]) -> Vec<Sent> {
    let mut order: Vec<(u32, usize)> = (0..)
        .zip(jitter.iter().cycle())
        .zip(0..segments.len())
        .map(|((at, jitter), index): ((u32, &u8), usize)| (at + u32::from(*jitter) % WINDOW, index))
        .collect();
    order.sort();
    order.into_iter().map(|(_, index)| segments[index].clone()).collect()
}

fn run(turns: &[Turn], jitter: &[u8], isn: [u32; 2], fins: [bool; 2]) -> Result<(), TestCaseError> {
    let segments = conversation(turns, fins);
    let mut bed = Bed::new();
    let (mut assembler, mut told) = (Assembler::<Told>::new(AssemblerOptions::default()), Told::default());
    let mut feed = |client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]| {
        let own = usize::from(!client);
        bed.now.0 += 1000;
        let seq = isn[own].wrapping_add(seq);
        let ack = isn[1 - own].wrapping_add(ack);
        let seg = Seg { client, seq, ack, flags, payload, ..super::c(0, 0, 0, "") };
        assembler.assemble(&mut told, &bed.segment(&seg), payload);
    };
    feed(true, 0, 0, S, &[]);
    feed(false, 0, 1, S | A, &[]);
    feed(true, 1, 1, A, &[]);
    for Sent { own, at, ack, bytes, fin } in shuffled(&segments, jitter) {
        feed(own == 0, at + 1, ack + 1, A | P | if fin { F } else { 0 }, &bytes);
    }
    let counters = assembler.counters();
    prop_assert_eq!((counters.gaps, counters.unordered, counters.pages), (0, 0, 0));
    let mut bytes: [Vec<u8>; 2] = Default::default();
    let mut ended = [false; 2];
    for (direction, chunk, end) in &told.0 {
        let own = direction.index();
        let (from, to) = (bytes[own].len(), bytes[own].len() + chunk.len());
        let late = segments.iter().find(|sent| {
            let at = sent.at as usize;
            let told = if sent.fin { *end } else { at < to && at + sent.bytes.len() > from };
            sent.own == own && told && bytes[1 - own].len() < sent.ack as usize
        });
        prop_assert!(
            late.is_none(),
            "bytes {from}..{to} of direction {own} came when {} of the other were told",
            bytes[1 - own].len()
        );
        bytes[own].extend_from_slice(chunk);
        ended[own] |= end;
    }
    for own in [0, 1] {
        let all: Vec<u8> = segments.iter().filter(|s| s.own == own).flat_map(|s| s.bytes.clone()).collect();
        prop_assert!(bytes[own] == all, "all {} bytes of direction {own}, in order", all.len());
    }
    prop_assert_eq!(ended, fins);
    Ok(())
}

proptest! {
    #![proptest_config(crate::generated::config(1000))]

    #[test]
    fn shuffled_conversations_are_told_in_causal_order(
        turns in prop::collection::vec((any::<bool>(), prop_oneof![1u16..4, 1u16..3000], 0u8..4), 1..60),
        jitter in prop::collection::vec(any::<u8>(), 1..60),
        isn in any::<[u32; 2]>(),
        fins in any::<[bool; 2]>(),
    ) {
        run(&turns, &jitter, isn, fins)?;
    }
}

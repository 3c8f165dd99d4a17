//! Operations made of arbitrary bytes: nothing panics, the state stays whole, memory stays bounded, all comes to an end.

use core::time::Duration;

use super::{Bed, F, Log, MS, R, S, Seg};
use crate::Direction;
use crate::Nanos;
use crate::assembler::connection::State;
use crate::assembler::pool::NONE;
use crate::assembler::{Assembler, AssemblerOptions, Overlap, Sequence};
use crate::generated::{seed, times};

/// Holds the assembler against its invariants.
fn check(assembler: &Assembler<Log>) {
    let (mut pages, mut holes, mut timers, mut buffering, mut connections) = (0, 0, 0, 0, 0);
    for state in [State::Embryonic, State::Open, State::Closed] {
        let mut next = assembler.pool.oldest(state);
        let mut count = 0;
        let mut epoch = 0;
        while let Some(index) = next {
            next = assembler.pool.younger(index);
            count += 1;
            let connection = assembler.pool.connections.get(index).unwrap();
            assert_eq!(connection.state, state);
            assert!(connection.aged >= epoch, "oldest first");
            assert!(connection.flow.last_seen.0 >> 30 <= u64::from(connection.aged));
            epoch = connection.aged;
            assert_eq!(connection.stream.is_some(), state != State::Closed);
            assert_eq!(assembler.pool.find(connection.hash, &connection.flow.key), Some(index));
            for direction in [Direction::ToServer, Direction::ToClient] {
                let half = connection.half(direction);
                let Some(hole) = assembler.holes.get(connection.hole(direction)) else { continue };
                assert_ne!(state, State::Closed);
                holes += 1;
                assert_eq!((hole.connection, hole.direction), (index, direction));
                assert!(!hole.closed(half.next), "a hole that is none");
                timers += u32::from(hole.timer.is_some());
                buffering += u32::from(hole.waiting);
                assert_eq!(hole.waiting, hole.pages > 0);
                let fin_behind = |fin| half.next.difference(fin) >= 0;
                assert!(hole.fin.is_none_or(fin_behind), "a FIN before what was handed on");
                let (mut at, mut before, mut reach, mut count) = (hole.head, NONE, 0, 0);
                while let Some(page) = assembler.pages.get(at) {
                    let start = half.next.distance(page.seq);
                    assert!(start >= reach, "sorted, without overlap, not before the next byte");
                    let peer = connection.half(direction.reverse());
                    let waits = |after: Option<Sequence>| {
                        after.is_some_and(|after| !peer.fin() && peer.next.difference(after) > 0)
                    };
                    let held = if hole.fin == Some(half.next) { hole.fin_after } else { page.after };
                    assert!(start > 0 || waits(held), "nothing waits without a reason");
                    assert!(page.len > 0);
                    assert_eq!(page.previous, before);
                    reach = start + page.len;
                    (before, at) = (at, page.next);
                    count += 1;
                }
                assert_eq!((hole.tail, hole.pages), (before, count));
                pages += count;
            }
        }
        assert_eq!(count, assembler.pool.count(state));
        connections += count as usize;
    }
    assert_eq!(connections, assembler.pool.len());
    assert_eq!((pages, holes), (assembler.pages.used(), assembler.holes.used()));
    assert_eq!((timers, buffering), (assembler.timers.len(), assembler.buffering.len()));
}

/// Runs one input. Each operation takes eight bytes.
fn run(input: &[u8], options: AssemblerOptions) {
    let max_pages = options.max_buffered_pages_total.unwrap() as u64;
    let max_connections = options.max_connections.unwrap();
    let mut bed = Bed::with(options);
    let payload = [0x5a; 70_000];
    // Where each port's ends roughly are, so that most segments make sense.
    let mut at = [[100u32, 500]; 4];
    for (n, op) in input.chunks_exact(8).enumerate() {
        let &[kind, flags, offset, len, a, b, c, d] = op else { unreachable!() };
        bed.now.0 += u64::from(a) * u64::from(b) * MS / 64;
        match kind {
            0 => {
                let time = Nanos(bed.now.0.saturating_sub(u64::from(c) * 100 * MS));
                bed.assembler.flush_older_than(&mut bed.log, time);
            }
            1 => {
                bed.assembler.flush_all(&mut bed.log);
            }
            2..30 => bed.assembler.advance(&mut bed.log, bed.now),
            _ => {
                let (port, client) = (usize::from(kind & 3), kind & 4 != 0);
                let own = usize::from(!client);
                let len = match len {
                    0..100 => 0,
                    100..230 => usize::from(len),
                    230..254 => 3000 + usize::from(c) * 7,
                    _ => 60_000,
                };
                // One in sixteen stands anywhere; the others near the end, behind it or before it.
                let wild = if d & 15 == 0 { u32::from_le_bytes([a, b, c, d]) } else { 0 };
                let seq =
                    at[port][own].wrapping_add(u32::from(offset) * 20).wrapping_sub(1000).wrapping_add(wild);
                let flags = if c & 7 == 0 { flags } else { flags & !(S | F | R) | 0x10 };
                let seg = Seg {
                    client,
                    port: 1000 + u16::try_from(port).unwrap() + u16::from(d >> 6),
                    seq,
                    ack: at[port][1 - own].wrapping_add(u32::from(b) * 8),
                    flags,
                    window: u16::from_le_bytes([c, d]),
                    payload: &payload[..len],
                    missing: if b & 31 == 0 { u32::from(c) << (d & 31) } else { 0 },
                    interface: u32::from(a & 1),
                };
                let mut segment = bed.segment(&seg);
                segment.window_scale = (a & 3 == 0).then_some(b & 15);
                bed.assembler.assemble(&mut bed.log, &segment, seg.payload);
                if offset >= 50 && wild == 0 {
                    at[port][own] = at[port][own].max(seq.wrapping_add(u32::try_from(len).unwrap()));
                }
            }
        }
        let counters = bed.assembler.counters();
        assert!(counters.pages <= max_pages, "{} pages", counters.pages);
        assert!(bed.assembler.pool.len() <= max_connections);
        if n % 16 == 0 {
            check(&bed.assembler);
            bed.log.lines.clear();
        }
    }
    check(&bed.assembler);
    bed.assembler.flush_all(&mut bed.log);
    check(&bed.assembler);
    let counters = bed.assembler.counters();
    assert_eq!(counters.opened, counters.closed_all());
    assert_eq!((counters.open, counters.closed, counters.pages), (0, 0, 0));
    let sum = |pick: fn(&super::Totals) -> u64| bed.log.totals.iter().flatten().map(pick).sum::<u64>();
    assert_eq!(counters.bytes, sum(|t| t.bytes));
    assert_eq!(counters.gap_bytes, sum(|t| t.gap_bytes));
    assert_eq!(counters.retransmitted_bytes, sum(|t| t.retransmitted_bytes));
    assert_eq!(counters.out_of_order, sum(|t| t.out_of_order_packets));
}

#[test]
fn any_operations() {
    let mut state = seed().wrapping_add(1).wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for round in 0..times(300) as usize {
        let input: Vec<u8> = (0..400).flat_map(|_| random()).collect();
        run(
            &input,
            AssemblerOptions {
                max_buffered_pages_per_connection: Some(40 + round % 7 * 20),
                max_buffered_pages_total: Some(60 + round % 5 * 30),
                max_connections: Some(2 + round % 6),
                max_closed: Some(round % 3),
                idle_timeout: Some(Duration::from_secs(20)),
                embryonic_timeout: Some(Duration::from_secs(3)),
                hole_segments: 20,
                overlap: if round % 2 == 0 { Overlap::First } else { Overlap::Last },
                ..AssemblerOptions::default()
            },
        );
    }
}

//! Random schedules (order, copies, overlaps, cuts, times, limits) against an obviously correct model: a map from place to byte for each
//! datagram.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the model knows of a datagram.
#[derive(Default)]
struct Model {
    bytes: BTreeMap<u32, u8>,
    total: Option<u32>,
    began: u64,
    void: bool,
    done: Option<u64>,
}

#[derive(Clone, Debug)]
struct Step {
    datagram: u32,
    /// In blocks of 8 bytes.
    offset: u32,
    blocks: u32,
    /// Bytes beyond the last block: a last fragment.
    odd: Option<u32>,
    /// The bytes are not those that others have there.
    lies: bool,
    after: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (
        0..3_u32,
        0..12_u32,
        0..6_u32,
        prop_oneof![3 => Just(None), 1 => (0..8_u32).prop_map(Some)],
        0..20_u8,
        0..4_u8,
    )
        .prop_map(|(datagram, offset, blocks, odd, lies, after)| Step {
            datagram,
            offset,
            blocks,
            odd,
            lies: lies == 0,
            after: [0, 1, 150, 9000][usize::from(after)],
        })
}

/// The byte that belongs at a place.
fn truth(datagram: u32, at: u32) -> u8 {
    (datagram * 77 + at * 13).to_le_bytes()[0]
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Whole(Vec<u8>),
    Waits,
    Copy,
    Overlap,
    Refused,
    Malformed,
}

/// Says what the rules of the module say, one byte at a time.
fn model(models: &mut BTreeMap<u32, Model>, step: &Step, now: u64, bytes: &[u8]) -> Outcome {
    let (start, more) = (step.offset * 8, step.odd.is_none());
    let len = u32::try_from(bytes.len()).unwrap();
    models.retain(|_, m| match m.done {
        Some(done) => now - done <= 200,
        None => now - m.began <= 30_000,
    });
    if len == 0 {
        return Outcome::Malformed;
    }
    let m = models.entry(step.datagram).or_insert_with(|| Model { began: now, ..Model::default() });
    if m.void {
        return Outcome::Refused;
    }
    if m.done.is_some() {
        return Outcome::Copy;
    }
    let end = start + len;
    let behind = m.bytes.keys().next_back().is_some_and(|&last| last >= end);
    let known = (start..end).filter(|at| m.bytes.contains_key(at)).count();
    let same = (start..end).zip(bytes).all(|(at, byte)| m.bytes.get(&at) == Some(byte));
    let contradicts = match (more, m.total) {
        (true, Some(total)) => end >= total,
        (true, None) => false,
        (false, Some(total)) => end != total,
        (false, None) => behind || known == bytes.len(),
    };
    if contradicts || (known > 0 && !same) {
        m.void = true;
        m.bytes.clear();
        return Outcome::Overlap;
    }
    if known > 0 {
        return Outcome::Copy;
    }
    m.bytes.extend((start..end).zip(bytes.iter().copied()));
    if !more {
        m.total = Some(end);
    }
    if m.total == u32::try_from(m.bytes.len()).ok() {
        m.done = Some(now);
        return Outcome::Whole(m.bytes.values().copied().collect());
    }
    Outcome::Waits
}

fn outcome(before: &DefragmentCounters, after: &DefragmentCounters, whole: Option<Vec<u8>>) -> Outcome {
    if let Some(whole) = whole {
        assert_eq!(after.reassembled, before.reassembled + 1);
        return Outcome::Whole(whole);
    }
    let went_up = |field: fn(&DefragmentCounters) -> u64| field(after) - field(before) == 1;
    let all = [
        (went_up(|c| c.duplicates), Outcome::Copy),
        (went_up(|c| c.overlapping), Outcome::Overlap),
        (went_up(|c| c.refused), Outcome::Refused),
        (went_up(|c| c.malformed), Outcome::Malformed),
    ];
    let mut up = all.into_iter().filter(|(up, _)| *up).map(|(_, outcome)| outcome);
    let outcome = up.next().unwrap_or(Outcome::Waits);
    assert!(up.next().is_none(), "a fragment has one outcome");
    outcome
}

proptest! {
    #![proptest_config(crate::generated::config(3000))]

    #[test]
    fn every_fragment_does_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = bench();
        let mut models = BTreeMap::new();
        let mut now = 0;
        for step in steps {
            now += step.after;
            bench.now = ms(now);
            let len = step.blocks * 8 + step.odd.unwrap_or(0);
            let mut bytes: Vec<u8> = (0..len).map(|i| truth(step.datagram, step.offset * 8 + i)).collect();
            if let (true, Some(last)) = (step.lies, bytes.last_mut()) {
                *last ^= 0xff;
            }
            let before = bench.counters();
            let whole = bench.add(id(step.datagram), step.offset * 8, &bytes, step.odd.is_none());
            let expected = model(&mut models, &step, now, &bytes);
            prop_assert_eq!(outcome(&before, &bench.counters(), whole), expected, "{:?}", step);
        }
        let waiting = models.values().filter(|m| m.done.is_none() && !m.void).count();
        prop_assert_eq!(bench.counters().waiting, waiting as u64);
    }

    /// Whole datagrams cut at any MTU, their fragments mixed, some twice: each comes out once, byte for byte.
    #[test]
    fn what_was_cut_comes_together(
        lens in prop::collection::vec(1..70_000_u32, 1..5),
        mtu in 1..400_u32,
        seed in any::<u64>(),
    ) {
        let mut bench = bench();
        let mut seed = seed | 1;
        let mut random = move |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % n as u64).unwrap()
        };
        let datagrams: Vec<Vec<u8>> = (0..).zip(&lens).map(|(d, &len)| {
            (0..len.min(65_535)).map(|at| truth(d, at)).collect()
        }).collect();
        let mut fragments = Vec::new();
        for (d, bytes) in (0_u32..).zip(&datagrams) {
            let size = mtu as usize * 8;
            for (i, chunk) in (0_u32..).zip(bytes.chunks(size)) {
                let offset = i * mtu * 8;
                let more = offset as usize + chunk.len() < bytes.len();
                fragments.push((d, offset, chunk, more));
                if random(5) == 0 {
                    fragments.push((d, offset, chunk, more));
                }
            }
        }
        for at in (1..fragments.len()).rev() {
            fragments.swap(at, random(at + 1));
        }
        let mut out = BTreeMap::new();
        for (d, offset, bytes, more) in fragments {
            if let Some(whole) = bench.add(id(d), offset, bytes, more) {
                prop_assert!(out.insert(d as usize, whole).is_none(), "twice");
            }
        }
        prop_assert_eq!(out.len(), datagrams.len());
        for (d, whole) in out {
            prop_assert!(whole == datagrams[d]);
        }
        prop_assert_eq!(bench.defragmenter.pages.used(), 0);
    }

    /// Whatever comes: the limits hold, and nothing is whole that is not true.
    #[test]
    fn limits_hold_under_attack(
        steps in prop::collection::vec((0..40_u32, 0..8192_u32, 1..900_u32, any::<bool>(), 0..3_u64), 1..300),
        max_datagrams in 1..20_usize,
        max_pages in 1..40_usize,
    ) {
        let options = DefragmentOptions { max_datagrams, max_pages, ..DefragmentOptions::default() };
        let mut bench = Bench::new(options);
        for (datagram, offset, blocks, more, after) in steps {
            bench.now = Nanos(bench.now.0 + after * 1_000_000);
            let offset = offset * 8;
            let bytes: Vec<u8> = (0..blocks * 8).map(|i| truth(datagram, offset + i)).collect();
            if let Some(whole) = bench.add(id(datagram), offset, &bytes, more) {
                prop_assert!((0..).zip(&whole).all(|(at, byte)| truth(datagram, at) == *byte));
            }
            let defragmenter = &bench.defragmenter;
            prop_assert!(defragmenter.pages.used() as usize <= max_pages);
            prop_assert!(defragmenter.table.len() <= max_datagrams);
            let lists = defragmenter.open[0].len() + defragmenter.open[1].len() + defragmenter.done.len();
            prop_assert_eq!(lists as usize, defragmenter.table.len());
        }
    }
}

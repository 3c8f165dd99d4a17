//! Single cases; `oracle` beside it plays random schedules against a byte map.

mod oracle;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use super::*;
use crate::Place;
use crate::packet::Span;

fn id(number: u32) -> DatagramId {
    DatagramId {
        source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        destination: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        protocol: 17,
        id: number,
        place: Place::default(),
    }
}

fn id_v6(number: u32) -> DatagramId {
    let ip = |last| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
    DatagramId { source: ip(1), destination: ip(2), protocol: 0, id: number, place: Place::default() }
}

/// Milliseconds.
const fn ms(n: u64) -> Nanos {
    Nanos(1_000_000_000_000 + n * 1_000_000)
}

struct Bench {
    defragmenter: Defragmenter,
    whole: Vec<u8>,
    now: Nanos,
}

impl Bench {
    fn new(options: DefragmentOptions) -> Self {
        Self { defragmenter: Defragmenter::new(options), whole: Vec::new(), now: ms(0) }
    }

    /// A fragment of which all bytes or, with `missing`, the first ones were captured.
    fn cut(
        &mut self,
        id: DatagramId,
        offset: u32,
        bytes: &[u8],
        missing: u32,
        more: bool,
    ) -> Option<Vec<u8>> {
        let payload = Span { start: 0, len: u32::try_from(bytes.len()).unwrap() };
        let fragment = Fragment {
            datagram: id,
            next: 17,
            offset,
            more,
            payload,
            missing,
            timestamp: self.now,
            interface: 0,
            vlan_tags: 0,
            depth: 0,
        };
        let reassembled = self.defragmenter.add(&fragment, bytes, &mut self.whole)?;
        assert_eq!(reassembled.first.offset, 0);
        assert_eq!(reassembled.timestamp, self.now);
        assert!(self.whole.len() as u64 <= u64::from(reassembled.len));
        Some(self.whole.clone())
    }

    fn add(&mut self, id: DatagramId, offset: u32, bytes: &[u8], more: bool) -> Option<Vec<u8>> {
        self.cut(id, offset, bytes, 0, more)
    }

    fn counters(&self) -> DefragmentCounters {
        self.defragmenter.counters()
    }
}

fn bench() -> Bench {
    Bench::new(DefragmentOptions::default())
}

const A: [u8; 16] = *b"aaaaaaaabbbbbbbb";
const B: [u8; 5] = *b"ccccc";

fn whole() -> Vec<u8> {
    [&A[..], &B].concat()
}

#[test]
fn in_any_order_with_copies() {
    let mut bench = bench();
    assert_eq!(bench.add(id(1), 0, &A, true), None);
    assert_eq!(bench.add(id(1), 0, &A, true), None);
    assert_eq!(bench.add(id(1), 16, &B, false), Some(whole()));
    // What comes twice comes late, too: it begins nothing.
    assert_eq!(bench.add(id(1), 16, &B, false), None);
    assert_eq!(bench.add(id(2), 16, &B, false), None);
    assert_eq!(bench.add(id(2), 8, &A[8..], true), None);
    assert_eq!(bench.add(id(2), 0, &A[..8], true), Some(whole()));
    let expected = DefragmentCounters { reassembled: 2, duplicates: 2, ..Default::default() };
    assert_eq!(bench.counters(), expected);
}

#[test]
fn a_number_that_is_used_again_is_another_datagram() {
    let mut bench = bench();
    for round in 0..3 {
        bench.now = ms(round * 201);
        assert_eq!(bench.add(id(1), 0, &A, true), None);
        assert_eq!(bench.add(id(1), 16, &B, false), Some(whole()));
    }
    assert_eq!(bench.counters(), DefragmentCounters { reassembled: 3, ..Default::default() });
}

#[test]
fn what_belongs_to_different_datagrams_stays_apart() {
    let mut bench = bench();
    let reverse = DatagramId { source: id(1).destination, destination: id(1).source, ..id(1) };
    let vlan = DatagramId { place: Place { vlans: [Some(7), None], ..Place::default() }, ..id(1) };
    let tcp = DatagramId { protocol: 6, ..id(1) };
    let all = [id(1), id(2), reverse, vlan, tcp, id_v6(1)];
    for (id, fill) in all.into_iter().zip(0_u8..) {
        assert_eq!(bench.add(id, 0, &[fill; 8], true), None);
    }
    assert_eq!(bench.counters().waiting, 6);
    for (id, fill) in all.into_iter().zip(0_u8..) {
        assert_eq!(bench.add(id, 8, &[fill], false), Some(vec![fill; 9]));
    }
}

/// RFC 5722, section 4: the datagram is void, with what still comes of it.
#[test]
fn overlapping_fragments_make_a_datagram_void() {
    let other = *b"aaaaaaaaBBBBBBBB";
    let cases: [&[(u32, &[u8], bool)]; 7] = [
        &[(0, &A, true), (8, &A[8..], false)],            // the end within
        &[(0, &A, true), (8, b"bbbbbbbbXXXXXXXX", true)], // a new part beside a known one
        &[(0, &A, true), (0, &other, true)],              // the same place, other bytes
        &[(8, &A[8..], true), (0, &A, true)],             // a known part beside a new one
        &[(16, &B, false), (16, b"cc", false)],           // another end
        &[(0, &A, true), (24, b"dddddddd", true), (16, &B, false)], // bytes behind the end
        &[(16, b"dddddddd", false), (16, b"dddddddd", true)], // the end is none
    ];
    for fragments in cases {
        for id in [id(1), id_v6(1)] {
            let mut bench = bench();
            for &(offset, bytes, more) in fragments {
                let is_whole = bench.add(id, offset, bytes, more);
                assert_eq!(is_whole, None, "{fragments:?}");
            }
            let before = bench.counters();
            assert_eq!((before.overlapping, before.void, before.waiting), (1, 1, 0), "{fragments:?}");
            assert_eq!(bench.add(id, 0, &A, true), None);
            assert_eq!(bench.add(id, 16, &B, false), None);
            assert_eq!(bench.counters().refused, before.refused + 2);
            assert_eq!(bench.defragmenter.pages.used(), 0);
            // Until its time is over.
            bench.now = ms(60_001);
            assert_eq!(bench.add(id, 0, &A, true), None);
            assert_eq!(bench.add(id, 16, &B, false), Some(whole()));
            assert_eq!(bench.counters().timed_out, 0, "it was counted already");
        }
    }
}

#[test]
fn fragments_that_can_not_be() {
    let mut bench = bench();
    assert_eq!(bench.add(id(1), 0, &[], true), None, "empty");
    assert_eq!(bench.add(id(1), 0, &A[..15], true), None, "not a multiple of 8 in the middle");
    assert_eq!(bench.add(id(1), 65_528, &A, false), None, "the ping of death");
    assert_eq!(bench.cut(id(1), 8, &A, u32::MAX, false), None, "longer than any number");
    assert_eq!(bench.counters(), DefragmentCounters { malformed: 4, ..Default::default() });
}

#[test]
fn the_longest_datagram() {
    let mut bench = bench();
    let bytes: Vec<u8> = (0..65_535_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let fragments = || bytes.chunks(1480).zip((0_u32..).map(|i| i * 1480));
    for (chunk, offset) in fragments().skip(1).collect::<Vec<_>>().into_iter().rev() {
        assert_eq!(bench.add(id(1), offset, chunk, chunk.len() == 1480), None);
    }
    let (chunk, _) = fragments().next().unwrap();
    assert_eq!(bench.add(id(1), 0, chunk, true).unwrap(), bytes);
}

#[test]
fn time_is_up() {
    for (id, timeout, own) in [
        (id(1), None, 30_000),
        (id_v6(1), None, 60_000),
        (id(1), Some(Duration::from_secs(5)), 5000),
        (id_v6(1), Some(Duration::from_secs(5)), 5000),
    ] {
        for (late, expected) in [(0, Some(whole())), (1, None)] {
            let mut bench = Bench::new(DefragmentOptions { timeout, ..DefragmentOptions::default() });
            assert_eq!(bench.add(id, 0, &A, true), None);
            // What comes between does not put it off.
            bench.now = ms(own / 2);
            assert_eq!(bench.add(id, 0, &A, true), None);
            bench.now = ms(own + late);
            assert_eq!(bench.add(id, 16, &B, false), expected);
            assert_eq!(bench.counters().timed_out, late);
            assert_eq!(bench.counters().waiting, late, "a new one has begun");
        }
    }
    let mut bench = bench();
    assert_eq!(bench.add(id(1), 0, &A, true), None);
    bench.defragmenter.advance(ms(30_001));
    assert_eq!((bench.counters().timed_out, bench.counters().waiting), (1, 0), "also when nothing comes");
}

#[test]
fn too_many_datagrams() {
    let mut bench = Bench::new(DefragmentOptions { max_datagrams: 100, ..DefragmentOptions::default() });
    for number in 0..1000 {
        bench.now = ms(u64::from(number));
        // Both versions count.
        let id = if number % 2 == 0 { id(number) } else { id_v6(number) };
        assert_eq!(bench.add(id, 0, &A, true), None);
    }
    assert_eq!((bench.counters().limit, bench.counters().waiting), (900, 100));
    assert_eq!(bench.add(id(898), 16, &B, false), None, "the oldest are gone");
    assert_eq!(bench.add(id(998), 16, &B, false), Some(whole()), "the youngest are there");
}

/// A fragment that touches a new page each time costs the most: 8 bytes for 2 KiB.
#[test]
fn too_many_pages() {
    let mut bench = Bench::new(DefragmentOptions { max_pages: 64, ..DefragmentOptions::default() });
    for number in 0..100 {
        bench.now = ms(u64::from(number));
        for page in 0..16 {
            assert_eq!(bench.add(id(number), page * 2048, &A[..8], true), None);
            assert!(bench.defragmenter.pages.used() <= 64);
        }
    }
    assert_eq!(bench.counters().limit, 96);
    assert!(bench.defragmenter.memory() < 500_000, "{}", bench.defragmenter.memory());

    // One alone that needs more than there may be.
    let mut bench = Bench::new(DefragmentOptions { max_pages: 2, ..DefragmentOptions::default() });
    assert_eq!(bench.add(id(1), 0, &[1; 4096], true), None);
    assert_eq!(bench.add(id(1), 4096, &[1; 8], false), None);
    assert_eq!((bench.counters().limit, bench.counters().void), (1, 1));
    assert_eq!(bench.defragmenter.pages.used(), 0);
}

#[test]
fn memory_goes_back_after_a_spike() {
    let mut bench = bench();
    for number in 0..4000 {
        assert_eq!(bench.add(id(number), 0, &A, true), None);
    }
    let high = bench.defragmenter.memory();
    for second in [31, 37, 43, 49] {
        bench.now = ms(second * 1000);
        assert_eq!(bench.add(id(5000), 0, &A, true), None);
    }
    assert!(bench.defragmenter.memory() * 8 < high, "{} of {high}", bench.defragmenter.memory());
}

/// What lies behind the first byte that was cut is of no use: nobody could say where it belongs.
#[test]
fn fragments_cut_by_the_snap_length() {
    let mut bench = bench();
    assert_eq!(bench.cut(id(1), 0, &A[..12], 4, true), None);
    assert_eq!(bench.cut(id(1), 0, &A[..12], 4, true), None, "a copy");
    assert_eq!(bench.add(id(1), 16, &B, false), Some(A[..12].to_vec()));
    assert_eq!((bench.counters().cut, bench.counters().duplicates), (1, 1));
    assert_eq!(bench.cut(id(2), 16, &B[..2], 3, false), None);
    assert_eq!(bench.add(id(2), 0, &A, true), Some(whole()[..18].to_vec()));
    assert_eq!(bench.cut(id(3), 0, &[], 16, true), None);
    assert_eq!(bench.add(id(3), 16, &B, false), Some(vec![]));
    assert_eq!(bench.counters().cut, 3);
}

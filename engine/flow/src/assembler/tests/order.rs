//! Order, repetition, overlap, gaps.

use super::{A, Bed, F, MS, P, S, Seg, c, s};
use crate::assembler::{AssemblerOptions, Overlap};

const NOTHING: [&str; 0] = [];

#[test]
fn bytes_out_of_order_wait_for_those_before() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A, 107, 501, "ghi"), c(A, 104, 501, "def")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc"), c(A, 110, 501, "j")]), [">abc >def >ghi", ">j"]);
    let totals = bed.log.totals[0][0];
    assert_eq!((totals.bytes, totals.packets, totals.out_of_order_packets), (10, 6, 2));
    assert_eq!((totals.retransmitted_bytes, totals.gap_bytes), (0, 0));
}

#[test]
fn each_chunk_tells_when_its_bytes_were_seen() {
    use crate::assembler::{Assembler, Chunks, Stream, StreamFactory, Totals};
    use crate::{End, FlowInfo, Nanos};
    #[derive(Default)]
    struct Times(Vec<u64>);
    struct One;
    impl StreamFactory for Times {
        type Stream = One;
        fn new_stream(&mut self, _: &mut FlowInfo) -> One {
            One
        }
    }
    impl Stream<Times> for One {
        fn reassembled(&mut self, times: &mut Times, _: &FlowInfo, _: &[Totals; 2], chunks: Chunks<'_>) {
            times.0.extend(chunks.map(|chunk| chunk.seen.0));
        }
        fn reassembly_complete(&mut self, _: &mut Times, _: &FlowInfo, _: &[Totals; 2], _: End) {}
        fn idle(&mut self, _: &mut Times, _: &FlowInfo, _: &[Totals; 2], _: Nanos) -> bool {
            false
        }
    }
    let bed = Bed::new();
    let (mut assembler, mut times) = (Assembler::new(AssemblerOptions::default()), Times::default());
    for (at, seg) in [(1, c(S, 100, 0, "")), (2, c(A, 104, 501, "def")), (3, c(A, 101, 501, "abc"))] {
        assembler.assemble_with_timestamp(&mut times, &bed.segment(&seg), seg.payload, Nanos(at));
    }
    assert_eq!(times.0, [1, 3, 2]);
}

#[test]
fn retransmitted_bytes_are_told_once_and_counted() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abcdef")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc"), c(A, 104, 501, "defghi")]), [">ghi"]);
    assert_eq!(bed.log.totals[0][0].retransmitted_bytes, 6);
    assert_eq!(bed.assembler.counters().retransmitted_bytes, 6);
}

#[test]
fn of_overlapping_bytes_the_first_or_the_last_count() {
    for (overlap, told) in [(Overlap::First, ">ab >XY >ef"), (Overlap::Last, ">ab >cd >ef")] {
        let mut bed = Bed::with(AssemblerOptions { overlap, ..AssemblerOptions::default() });
        bed.open();
        bed.feed(&[c(A, 103, 501, "XY")]);
        assert_eq!(bed.feed(&[c(A, 101, 501, "abcdef")]), [told]);
        assert_eq!(bed.log.totals[0][0].overlap_conflicts, 1);
        assert_eq!(bed.log.totals[0][0].retransmitted_bytes, 2);
    }
    // Among bytes that all wait.
    for (overlap, told) in [(Overlap::First, ">a >b >ABCD >g"), (Overlap::Last, ">a >b >cdef >g")] {
        let mut bed = Bed::with(AssemblerOptions { overlap, ..AssemblerOptions::default() });
        bed.open();
        bed.feed(&[c(A, 103, 501, "ABCD"), c(A, 102, 501, "bcdefg")]);
        assert_eq!(bed.feed(&[c(A, 101, 501, "a")]), [told]);
        assert_eq!(bed.assembler.counters().overlap_conflicts, 1);
    }
}

#[test]
fn equal_bytes_in_an_overlap_are_no_conflict() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), c(A, 103, 501, "cdefg"), c(A, 103, 501, "cdefg")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abcde")]), [">ab >c >def >g"]);
    assert_eq!(bed.assembler.counters().overlap_conflicts, 0);
}

#[test]
fn numbers_wrap() {
    let mut bed = Bed::new();
    let isn = u32::MAX - 2;
    bed.feed(&[c(S, isn, 0, ""), s(S | A, u32::MAX, isn + 1, "")]);
    let first = isn + 1;
    assert_eq!(bed.feed(&[c(A, first.wrapping_add(3), 0, "def"), s(A, 0, first, "xyz")]), ["<xyz"]);
    assert_eq!(
        bed.feed(&[c(A, first, 3, "abc"), s(A | F, 3, first.wrapping_add(6), "")]),
        [">abc >def", "<$"]
    );
    assert_eq!(bed.feed(&[c(A | F, first.wrapping_add(6), 4, "")]), [">$", "fin"]);
}

#[test]
fn keep_alive_and_zero_window_probes_are_nothing() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abc")]);
    // Without a byte, with an odd one, by the other side.
    assert_eq!(
        bed.feed(&[c(A, 103, 501, ""), c(A, 103, 501, "\0"), s(A, 500, 104, ""), s(A, 500, 104, "\0")]),
        NOTHING
    );
    let totals = bed.log.totals[0];
    let counters = bed.assembler.counters();
    assert_eq!((counters.retransmitted_bytes, counters.out_of_order, counters.overlap_conflicts), (0, 0, 0));
    // While bytes wait, a probe repeats the last of them.
    bed.feed(&[c(A, 107, 501, "ghi"), c(A, 109, 501, "\0")]);
    assert_eq!(bed.feed(&[c(A, 104, 501, "def")]), [">def >ghi"]);
    assert_eq!(bed.assembler.counters().overlap_conflicts, 0);
    // A zero-window probe with the next byte: it is told once, its repetition is no news.
    assert_eq!(bed.feed(&[c(A, 110, 501, "j"), c(A, 110, 501, "j"), c(A, 111, 501, "k")]), [">j", ">k"]);
    assert_eq!(totals[0].retransmitted_bytes, 0);
    assert_eq!(bed.assembler.counters().retransmitted_bytes, 0);
}

#[test]
fn a_hole_that_nobody_acknowledged_is_kept() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def")]);
    assert_eq!(bed.wait(250_000), NOTHING);
    for _ in 0..300 {
        assert_eq!(bed.feed(&[s(A, 501, 101, "")]), NOTHING);
    }
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc")]), [">abc >def"]);
}

#[test]
fn an_acknowledged_hole_is_given_up_after_200_ms() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "")]), NOTHING);
    assert_eq!(bed.wait(199), NOTHING);
    assert_eq!(bed.wait(1), [">[3]def"]);
    assert_eq!(bed.log.totals[0][0].gap_bytes, 3);
    assert_eq!((bed.assembler.counters().gaps, bed.assembler.counters().gap_bytes), (1, 3));
    // What comes too late has been given up.
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc"), c(A, 107, 501, "g")]), [">g"]);
}

#[test]
fn the_connection_s_own_segments_drive_its_time() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "")]);
    bed.now.0 += 300 * MS;
    assert_eq!(
        bed.feed(&[s(A, 501, 107, "xyz")]),
        [">[3]def <xyz"],
        "what was acknowledged stands before the answer"
    );
}

#[test]
fn an_acknowledged_hole_is_given_up_after_256_segments() {
    let mut bed = Bed::new();
    bed.open();
    bed.now.0 += MS;
    let at = bed.now;
    bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "")]);
    for n in 0..256 {
        bed.now = at;
        bed.now.0 -= MS;
        assert_eq!(bed.feed(&[s(A, 501, 107, "")]), if n < 255 { &NOTHING[..] } else { &[">[3]def"] }, "{n}");
    }
}

#[test]
fn data_that_its_acknowledgement_overtook_is_no_gap() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(
        bed.feed(&[s(A, 501, 107, ""), c(A, 101, 501, "abc"), c(A, 104, 501, "def")]),
        [">abc", ">def"]
    );
    assert_eq!(bed.wait(1000), NOTHING);
    assert_eq!(bed.assembler.counters().gap_bytes, 0);
    assert_eq!(bed.assembler.holes.used(), 0);
}

#[test]
fn acknowledged_bytes_that_never_come_are_a_gap_without_bytes() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[s(A, 501, 111, "")]);
    assert_eq!(bed.wait(200), [">[10]"]);
    assert_eq!(bed.feed(&[c(A, 111, 501, "k")]), [">k"]);
    // One number is more likely a FIN that was not seen.
    bed.feed(&[s(A, 501, 113, "")]);
    assert_eq!(bed.wait(1000), NOTHING);
}

#[test]
fn a_later_hole_waits_its_own_time() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "")]);
    bed.wait(150);
    bed.feed(&[c(A, 110, 501, "jkl"), s(A, 501, 113, "")]);
    assert_eq!(bed.wait(48), [">[3]def"]);
    assert_eq!(bed.wait(100), NOTHING);
    assert_eq!(bed.wait(100), [">[3]jkl"]);
}

#[test]
fn a_fin_behind_a_hole_is_told_with_the_gap() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A | F, 104, 501, ""), s(A, 501, 105, "")]);
    assert_eq!(bed.wait(200), [">[3]$"]);
    assert_eq!(bed.feed(&[s(A | F, 501, 105, "")]), ["<$", "fin"]);
}

#[test]
fn what_the_snap_length_cut_is_a_gap_at_once() {
    let mut bed = Bed::new();
    bed.open();
    let cut = |seg: Seg<'static>, missing| Seg { missing, ..seg };
    assert_eq!(bed.feed(&[cut(c(A, 101, 501, "abc"), 97), c(A, 201, 501, "d")]), [">abc >[97]", ">d"]);
    assert_eq!(
        bed.feed(&[cut(c(A, 202, 501, ""), 50), cut(c(A | F, 252, 501, "e"), 9)]),
        [">[50]", ">e >[9]$"]
    );
    let totals = bed.log.totals[0][0];
    assert_eq!((totals.bytes, totals.gap_bytes), (5, 156));
    // Out of order, too.
    assert_eq!(
        bed.feed(&[cut(s(A, 511, 262, "b"), 9), s(A, 521, 262, "c"), s(A, 501, 262, "0123456789")]),
        ["<0123456789 <b <[9]c"]
    );
}

#[test]
fn headers_alone_still_make_a_connection() {
    let mut bed = Bed::new();
    let cut = |seg: Seg<'static>, missing| Seg { missing, ..seg };
    assert_eq!(
        bed.feed(&[cut(c(A, 101, 501, ""), 100), cut(c(A, 201, 501, ""), 100)]),
        ["new LowerPort midstream", ">[-1] >[100]", ">[100]"]
    );
}

#[test]
fn copies_on_another_interface_are_no_retransmissions() {
    let mut bed = Bed::new();
    bed.open();
    let on = |interface, seg: Seg<'static>| Seg { interface, ..seg };
    // A veth pair: each direction is seen on both ends, in turn.
    let told = bed.feed(&[
        on(1, c(A, 101, 501, "abc")),
        on(2, c(A, 101, 501, "abc")),
        on(2, s(A, 501, 104, "xyz")),
        on(1, s(A, 501, 104, "xyz")),
        on(2, s(A | P, 504, 104, "!")),
        on(1, s(A | P, 504, 104, "!")),
    ]);
    assert_eq!(told, [">abc", "<xyz", "<!"]);
    let counters = bed.assembler.counters();
    // The last copy is one byte long and no probe is told from it: it counts as nothing.
    assert_eq!((counters.copies, counters.retransmitted_bytes), (2, 0));
    assert_eq!(bed.log.totals[0].map(|t| t.bytes), [3, 4]);
    // A copy of bytes that wait.
    bed.feed(&[on(1, c(A, 107, 505, "ghi")), on(2, c(A, 107, 505, "ghi")), on(1, c(A, 107, 505, "ghi"))]);
    assert_eq!(bed.assembler.counters().copies, 3);
    assert_eq!(bed.assembler.counters().retransmitted_bytes, 3);
}

#[test]
fn segments_of_64_kib_wait_in_many_pages() {
    let mut bed = Bed::new();
    bed.open();
    let big: String = (0..65_000).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    bed.feed(&[c(A, 102, 501, &big)]);
    assert_eq!(bed.assembler.counters().pages, 32);
    bed.feed(&[c(A, 101, 501, "_")]);
    assert_eq!(bed.log.bytes[0][0], format!("_{big}").into_bytes());
    assert_eq!(bed.assembler.counters().pages, 0);
}

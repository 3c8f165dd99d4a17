//! The two directions in causal order: an answer never before its request.

use super::{A, Bed, F, MS, P, R, c, s};
use crate::assembler::AssemblerOptions;

const NOTHING: [&str; 0] = [];

#[test]
fn an_answer_waits_for_its_request() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[s(A | P, 501, 104, "yes")]), NOTHING);
    assert_eq!(bed.feed(&[c(A | P, 101, 501, "how")]), [">how <yes"]);
    let counters = bed.assembler.counters();
    assert_eq!((counters.held_back, counters.out_of_order, counters.unordered, counters.gaps), (1, 0, 0, 0));
    assert_eq!(bed.assembler.holes.used(), 0, "and the short way is open again");
    assert_eq!(bed.feed(&[c(A, 104, 504, "a"), s(A, 504, 105, "b")]), [">a", "<b"]);
}

#[test]
fn whole_exchanges_the_wrong_way_round_come_in_order() {
    let mut bed = Bed::new();
    bed.open();
    // One queue of the card is late: all answers come first, then all requests.
    let answers = [s(A, 501, 103, "r1"), s(A, 503, 105, "r2"), s(A, 505, 107, "r3")];
    assert_eq!(bed.feed(&answers), NOTHING);
    assert_eq!(bed.feed(&[c(A, 101, 501, "q1")]), [">q1 <r1"]);
    assert_eq!(bed.feed(&[c(A, 103, 503, "q2"), c(A, 105, 505, "q3")]), [">q2 <r2", ">q3 <r3"]);
    // All requests come first: those behind the first acknowledge answers that were not seen.
    let requests = [c(A, 107, 507, "q4"), c(A, 109, 509, "q5"), c(A, 111, 511, "q6")];
    assert_eq!(bed.feed(&requests), [">q4"]);
    let answers = [s(A, 507, 109, "r4"), s(A, 509, 111, "r5"), s(A, 511, 113, "r6")];
    assert_eq!(bed.feed(&answers), ["<r4 >q5", "<r5 >q6", "<r6"]);
    assert_eq!(bed.assembler.counters().pages, 0);
}

#[test]
fn what_is_handed_on_at_once_is_merged_in_causal_order() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 103, 503, "q2"), c(A, 105, 505, "q3"), s(A, 503, 105, "r2"), s(A, 501, 103, "r1")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "q1")]), [">q1 <r1 >q2 <r2 >q3"]);
}

#[test]
fn a_request_that_never_comes_is_a_gap_before_its_answer() {
    for how in 0..3 {
        let mut bed = Bed::new();
        bed.open();
        assert_eq!(bed.feed(&[s(A, 501, 111, "yes")]), NOTHING);
        match how {
            0 => {
                assert_eq!(bed.wait(199), NOTHING);
                assert_eq!(bed.wait(1), [">[10] <yes"]);
            }
            1 => {
                bed.now.0 += 300 * MS;
                assert_eq!(bed.feed(&[s(A, 504, 111, " and")]), [">[10] <yes < and"]);
            }
            _ => {
                bed.assembler.flush_all(&mut bed.log);
                assert_eq!(bed.log.lines, [">[10] <yes", "eof"]);
            }
        }
        let counters = bed.assembler.counters();
        assert_eq!((counters.unordered, counters.gap_bytes), (0, 10));
    }
}

#[test]
fn gaps_of_both_directions_stand_where_they_belong() {
    let mut bed = Bed::new();
    bed.open();
    // The first request (10 bytes) and the first half of its answer were lost.
    bed.feed(&[s(A, 505, 111, "r1"), c(A, 111, 507, "q2"), s(A, 507, 113, "r2")]);
    bed.assembler.flush_all(&mut bed.log);
    assert_eq!(bed.log.lines, [">[10] <[4]r1 >q2 <r2", "eof"]);
    assert_eq!(bed.assembler.counters().unordered, 0);
}

#[test]
fn an_answer_is_held_for_256_segments_at_most() {
    let mut bed = Bed::new();
    bed.open();
    let at = bed.now;
    bed.feed(&[s(A, 501, 111, "yes")]);
    for n in 1..=256 {
        bed.now = at;
        let told = bed.feed(&[s(A, 504, 111, "")]);
        assert_eq!(told, if n < 256 { &NOTHING[..] } else { &[">[10] <yes"] }, "{n}");
    }
}

#[test]
fn a_single_number_that_never_comes_is_waited_for_once() {
    let mut bed = Bed::new();
    bed.open();
    // More likely a FIN that was lost than a byte: no gap is told.
    assert_eq!(bed.feed(&[s(A, 501, 102, "bye")]), NOTHING);
    assert_eq!(bed.wait(200), ["<bye"]);
    assert_eq!(bed.feed(&[s(A, 504, 102, "and"), s(A, 507, 102, "more")]), ["<and", "<more"]);
    let counters = bed.assembler.counters();
    assert_eq!((counters.gap_bytes, counters.unordered), (0, 0));
    // A byte that comes late is still told.
    assert_eq!(bed.feed(&[c(A | P, 101, 501, "x")]), [">x"]);
}

#[test]
fn a_request_of_one_byte_is_waited_for_too() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[s(A, 501, 102, "yes"), c(A | P, 101, 501, "?")]), [">? <yes"]);
}

#[test]
fn a_fin_waits_for_what_it_acknowledges() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[s(A | F, 501, 106, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A | F, 101, 501, "quit")]), [">quit$ <$", "fin"]);
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[s(A, 501, 105, "bye"), s(A | F, 504, 106, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 101, 501, "quit")]), [">quit <bye"]);
    assert_eq!(bed.feed(&[c(A | F, 105, 504, "")]), [">$ <$", "fin"]);
}

#[test]
fn what_is_held_back_may_be_repeated_and_reset() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[s(A, 501, 111, "yes"), s(A, 501, 111, "yes!"), s(A, 499, 111, "..yes!")]);
    assert_eq!(bed.feed(&[s(R, 505, 0, "")]), [">[10] <yes <!$", "rst"]);
    assert_eq!(bed.assembler.counters().overlap_conflicts, 0);
    assert_eq!(bed.log.totals[0][1].retransmitted_bytes, 9);
    assert_eq!(bed.assembler.counters().pages, 0);
}

#[test]
fn a_direction_that_is_never_seen_is_not_waited_for() {
    let mut bed = Bed::new();
    // Only the server's side is captured.
    let told = bed.feed(&[s(super::S | A, 500, 101, ""), s(A, 501, 111, "abc"), s(A, 504, 131, "def")]);
    assert_eq!(told, ["new SynAck", "<^", "<abc", "<def"]);
    let mut bed = Bed::new();
    let told = bed.feed(&[s(A, 501, 111, "abc"), s(A, 504, 131, "def")]);
    assert_eq!(told, ["new LowerPort midstream", "<[-1]abc", "<def"]);
}

#[test]
fn a_flow_joined_in_the_middle_is_ordered_as_soon_as_both_sides_were_seen() {
    let mut bed = Bed::new();
    let told = bed.feed(&[c(A, 101, 501, "q1"), s(A, 501, 103, "r1"), s(A, 503, 105, "r2")]);
    assert_eq!(told, ["new LowerPort midstream", ">[-1]q1", "<[-1]r1"]);
    assert_eq!(bed.feed(&[c(A, 103, 503, "q2")]), [">q2 <r2"]);
}

#[test]
fn numbers_that_wait_for_each_other_end_the_wait() {
    let mut bed = Bed::new();
    bed.open();
    // Nobody can have sent this: each acknowledges what the other sends only then.
    bed.feed(&[s(A, 501, 111, "b"), c(A, 101, 520, "a")]);
    assert_eq!(bed.assembler.counters().held_back, 2);
    assert_eq!(bed.wait(200).concat().replace(' ', "").matches(['a', 'b']).count(), 2);
    assert_eq!(bed.assembler.counters().pages, 0);
    assert!(bed.assembler.counters().unordered > 0);
}

#[test]
fn what_is_held_back_counts_as_pages() {
    let options =
        AssemblerOptions { max_buffered_pages_per_connection: Some(2), ..AssemblerOptions::default() };
    let mut bed = Bed::with(options);
    bed.open();
    assert_eq!(bed.feed(&[s(A, 501, 111, "a"), s(A | P, 502, 111, "b")]), NOTHING);
    assert_eq!(bed.feed(&[s(A | P, 503, 111, "c")]), [">[10] <a <b <c"]);
    assert_eq!(bed.assembler.counters().limit_pages_per_connection, 1);
}

#[test]
fn an_acknowledgement_beyond_every_window_holds_nothing_back() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[s(A, 501, 101 + (1 << 30) + 1, "yes")]), ["<yes"]);
    assert_eq!(bed.feed(&[s(A, 504, 50, "old")]), ["<old"]);
}

#[test]
fn waiting_is_right_across_the_wrap() {
    let mut bed = Bed::new();
    let (first, answer) = (u32::MAX - 1, u32::MAX);
    bed.feed(&[
        c(super::S, first - 1, 0, ""),
        s(super::S | A, answer - 1, first, ""),
        c(A, first, answer, ""),
    ]);
    assert_eq!(bed.feed(&[s(A, answer, first.wrapping_add(4), "yes")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, first, answer, "ping")]), [">ping <yes"]);
}

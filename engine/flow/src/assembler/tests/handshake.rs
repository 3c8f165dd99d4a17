//! How connections begin and end.

use super::{A, Bed, F, P, R, S, Seg, c, s};
use crate::assembler::AssemblerOptions;

const NOTHING: [&str; 0] = [];

#[test]
fn data_on_syn_and_syn_ack_is_the_first_data() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[c(S, 100, 0, "GET")]), ["new Syn", ">^GET"]);
    assert_eq!(bed.feed(&[s(S | A, 500, 104, "hello")]), ["<^hello"]);
    assert_eq!(bed.feed(&[c(A, 104, 506, " /"), s(A, 506, 106, "!")]), ["> /", "<!"]);
}

#[test]
fn fast_open_data_that_the_server_did_not_take_is_not_told_twice() {
    let mut bed = Bed::new();
    bed.feed(&[c(S, 100, 0, "GET")]);
    assert_eq!(bed.feed(&[s(S | A, 500, 101, ""), c(A, 101, 501, "GET /")]), ["<^", "> /"]);
    assert_eq!(bed.assembler.counters().retransmitted_bytes, 3);
}

#[test]
fn repeated_syns_open_nothing() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(S | A, 500, 101, "")]), NOTHING);
    bed.feed(&[c(A, 101, 501, "abc")]);
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(S | A, 500, 101, ""), c(A, 104, 501, "d")]), [">d"]);
    assert_eq!(bed.assembler.counters().opened, 1);
}

#[test]
fn a_syn_with_another_number_reuses_the_tuple_once_it_is_answered() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abc"), c(A, 200, 501, "later")]);
    assert_eq!(bed.feed(&[c(S, 9000, 0, "")]), NOTHING);
    let told = bed.feed(&[s(S | A, 70, 9001, ""), c(A, 9001, 71, "x")]);
    assert_eq!(told, [">[96]later", "reused", "new Syn", ">^ <^", ">x"]);
    assert_eq!(bed.log.bytes.len(), 2);
    assert_eq!(bed.log.totals[1].map(|t| t.packets), [2, 1], "the SYN counts");
    // The answer was not captured, but the client goes on.
    assert_eq!(bed.feed(&[c(S, 4000, 0, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 4001, 950, "new")]), ["reused", "new Syn", ">^new"]);
    assert_eq!(bed.assembler.counters().doubtful_syns, 2);
}

#[test]
fn a_stray_syn_changes_nothing() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abc")]);
    // The server answers it with what it last acknowledged, as RFC 5961 wants, or refuses it as a connection unknown.
    assert_eq!(bed.feed(&[c(S, 9000, 0, ""), s(A, 501, 104, ""), s(R | A, 0, 9001, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "xyz")]), [">def", "<xyz"]);
    let counters = bed.assembler.counters();
    assert_eq!((counters.opened, counters.doubtful_syns, counters.closed_reused), (1, 1, 0));
}

#[test]
fn a_syn_on_an_embryonic_connection_reuses_the_tuple_at_once() {
    let mut bed = Bed::new();
    bed.feed(&[c(S, 100, 0, "")]);
    assert_eq!(bed.feed(&[c(S, 9000, 0, "")]), ["reused", "new Syn", ">^"]);
}

#[test]
fn a_syn_ack_with_another_number_reuses_the_tuple_once_it_is_acknowledged() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abc")]);
    assert_eq!(bed.feed(&[s(S | A, 7000, 8001, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 8001, 7001, "x")]), ["reused", "new SynAck", "<^ >x"]);
    // Only the server's side is seen.
    assert_eq!(bed.feed(&[s(S | A, 20, 3001, ""), s(A, 21, 3101, "hi")]), ["reused", "new SynAck", "<^hi"]);
}

#[test]
fn urgent_data_stays_in_the_stream() {
    const URG: u8 = 0x20;
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(
        bed.feed(&[c(A, 101, 501, "ab"), c(A | URG, 103, 501, "!c"), c(A, 105, 501, "d")]),
        [">ab", ">!c", ">d"]
    );
    assert_eq!(bed.feed(&[c(A | URG, 107, 501, "f"), c(A | URG, 106, 501, "e")]), [">e >f"]);
}

#[test]
fn fast_open_data_behind_its_syn_ack_is_still_the_first_data() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[s(S | A, 500, 104, "")]), ["new SynAck", "<^"]);
    assert_eq!(bed.feed(&[c(S, 100, 0, "GET"), c(A, 104, 501, " /")]), [">^GET", "> /"]);
    assert_eq!(bed.assembler.counters().opened, 1);
}

#[test]
fn a_refused_syn_may_come_again_as_it_was() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(R | A, 0, 101, "")]), ["new Syn", ">^", "<$", "rst"]);
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(S | A, 500, 101, "")]), ["new Syn", ">^", "<^"]);
}

#[test]
fn a_syn_ack_that_overtook_its_syn() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[s(S | A, 500, 101, "")]), ["new SynAck", "<^"]);
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), c(A, 101, 501, "abc")]), [">^", ">abc"]);
    // The SYN never came: its number is known all the same.
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[s(S | A, 500, 101, ""), c(A, 104, 501, "def")]), ["new SynAck", "<^"]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc")]), [">abc >def"]);
}

#[test]
fn a_syn_behind_its_data_belongs_to_it() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc")]), ["new LowerPort midstream", ">[-1]abc"]);
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(S | A, 500, 101, ""), s(A, 501, 104, "x")]), ["<^", "<x"]);
    assert_eq!(bed.assembler.counters().opened, 1);
}

#[test]
fn both_ends_may_open_at_once() {
    let mut bed = Bed::new();
    assert_eq!(bed.feed(&[c(S, 100, 0, ""), s(S, 500, 0, "")]), ["new Syn", ">^", "<^"]);
    assert_eq!(bed.feed(&[c(S | A, 100, 501, ""), s(S | A, 500, 101, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 101, 501, "a"), s(A, 501, 102, "b")]), [">a", "<b"]);
    assert_eq!(bed.assembler.counters().opened, 1);
}

#[test]
fn a_syn_ack_that_acknowledges_no_syn_is_refused() {
    let mut bed = Bed::new();
    bed.feed(&[c(S, 100, 0, "")]);
    assert_eq!(
        bed.feed(&[s(S | A, 500, 999, ""), s(S | A, 600, 101, ""), s(A, 601, 101, "x")]),
        ["<^", "<x"]
    );
    assert_eq!(bed.assembler.counters().refused, 1);
}

#[test]
fn joined_in_the_middle_both_directions_begin_with_an_unknown_gap() {
    let mut bed = Bed::new();
    let told = bed.feed(&[c(A | P, 5000, 900, "abc"), s(A, 900, 5003, "xyz"), c(A, 5003, 903, "d")]);
    assert_eq!(told, ["new LowerPort midstream", ">[-1]abc", "<[-1]xyz", ">d"]);
    assert_eq!(bed.log.totals[0].map(|t| (t.bytes, t.gap_bytes)), [(4, 0), (3, 0)]);
}

#[test]
fn joined_in_the_middle_with_only_one_side_ever_seen() {
    let mut bed = Bed::new();
    let told = bed.feed(&[s(A, 900, 5000, "abc"), s(A, 903, 5020, "def"), s(A | F, 906, 5020, "")]);
    assert_eq!(told, ["new LowerPort midstream", "<[-1]abc", "<def", "<$"]);
    bed.assembler.flush_all(&mut bed.log);
    assert_eq!(bed.log.lines, ["eof"]);
}

#[test]
fn what_opens_no_connection() {
    let mut bed = Bed::new();
    let probe = "x";
    assert_eq!(
        bed.feed(&[
            c(A, 100, 900, ""),
            s(A, 900, 100, ""),
            c(A | F, 100, 900, ""),
            s(R, 900, 0, ""),
            s(R | A, 900, 100, "why"),
            c(A, 99, 900, probe),
        ]),
        NOTHING
    );
    assert_eq!(bed.assembler.counters().unowned, 6);
    assert_eq!(bed.feed(&[c(A | P, 100, 900, "y")]), ["new LowerPort midstream", ">[-1]y"]);
}

#[test]
fn a_fin_before_its_data_ends_behind_it() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A | F, 107, 501, "")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 104, 501, "def"), c(A, 101, 501, "abc")]), [">abc >def$"]);
    assert_eq!(bed.feed(&[s(A | F, 501, 108, ""), c(A, 108, 502, "")]), ["<$", "fin"]);
}

#[test]
fn a_fin_with_data_may_come_first_and_twice() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A | F, 104, 501, "def"), c(A | F, 104, 501, "def")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abcde")]), [">abc >def$"]);
    assert_eq!(bed.feed(&[c(A | F, 104, 501, "def")]), NOTHING);
    assert_eq!(bed.log.totals[0][0].bytes, 6);
}

#[test]
fn half_closed_the_other_side_goes_on() {
    let mut bed = Bed::new();
    bed.open();
    assert_eq!(bed.feed(&[c(A | F, 101, 501, "quit")]), [">quit$"]);
    assert_eq!(bed.feed(&[s(A, 501, 106, "a"), c(A, 106, 502, ""), s(A, 502, 106, "b")]), ["<a", "<b"]);
    assert_eq!(bed.feed(&[c(A, 106, 503, "after the end")]), NOTHING);
    assert_eq!(bed.feed(&[s(A | F, 503, 106, "c")]), ["<c$", "fin"]);
}

#[test]
fn data_behind_a_fin_is_no_part_of_the_stream() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 107, 501, "ghost"), c(A | F, 104, 501, "")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abcdef")]), [">abc$"]);
    assert_eq!(bed.feed(&[s(A | F, 501, 105, "")]), ["<$", "fin"]);
    assert_eq!(bed.assembler.counters().pages, 0);
}

#[test]
fn of_several_fins_the_nearest_counts() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A | F, 900, 501, "")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc"), c(A | F, 104, 501, "")]), [">abc", ">$"]);
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A | F, 104, 501, ""), c(A | F, 900, 501, "")]);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abcdef")]), [">abc$"]);
}

#[test]
fn a_reset_hands_on_what_waits_and_ends() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), s(A, 511, 101, "xyz")]);
    assert_eq!(bed.feed(&[c(R | A, 101, 501, "")]), ["<[10]xyz >[3]def$", "rst"]);
    assert_eq!(bed.log.totals[0].map(|t| (t.bytes, t.gap_bytes)), [(3, 3), (3, 10)]);
    assert_eq!(bed.log.last_seen, [bed.now]);
}

#[test]
fn a_reset_outside_the_window_is_ignored() {
    let mut bed = Bed::new();
    bed.open();
    // No scaling was offered, so that the window has 65,535 bytes at most.
    assert_eq!(bed.feed(&[c(R, 101 + 70_000, 0, ""), c(R, 90, 0, ""), s(R, 400, 0, "")]), NOTHING);
    assert_eq!(bed.assembler.counters().refused, 3);
    assert_eq!(bed.feed(&[c(A, 101, 501, "abc")]), [">abc"]);
    assert_eq!(bed.feed(&[s(R, 501 + 900, 0, "")]), ["<$", "rst"]);
}

#[test]
fn a_scaled_window_takes_resets_further_ahead() {
    let mut bed = Bed::new();
    for (seg, scale) in [(c(S, 100, 0, ""), 7), (s(S | A, 500, 101, ""), 7)] {
        let mut segment = bed.segment(&seg);
        segment.window_scale = Some(scale);
        bed.assembler.assemble(&mut bed.log, &segment, &[]);
    }
    bed.feed(&[s(A, 501, 101, "")]);
    assert_eq!(bed.feed(&[c(R, 101 + 70_000, 0, "")]), [">$", "rst"], "1000 << 7 bytes");
}

#[test]
fn stragglers_behind_the_end_open_nothing() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A | F, 101, 501, "abc"), s(A | F, 501, 105, "xyz")]);
    assert_eq!(
        bed.feed(&[
            c(A, 105, 505, ""),
            c(A | F, 101, 501, "abc"),
            s(A | F, 501, 105, "xyz"),
            c(S, 100, 0, ""),
            s(R, 505, 0, ""),
        ]),
        NOTHING
    );
    let counters = bed.assembler.counters();
    assert_eq!((counters.opened, counters.stragglers, counters.closed), (1, 5, 1));
    // A SYN with another number is a new connection, at once.
    assert_eq!(bed.feed(&[c(S, 800, 0, ""), s(S | A, 70, 801, "")]), ["new Syn", ">^", "<^"]);
}

#[test]
fn data_in_flight_behind_a_reset_opens_nothing() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[s(A, 501, 101, "abc"), c(R, 101, 0, "")]);
    assert_eq!(bed.feed(&[s(A, 504, 101, "def"), s(A, 507, 101, "ghi"), c(R, 101, 0, "")]), NOTHING);
    assert_eq!(bed.assembler.counters().opened, 1);
}

#[test]
fn an_ended_connection_is_forgotten_in_time_and_by_number() {
    let mut bed = Bed::with(AssemblerOptions { max_closed: Some(2), ..AssemblerOptions::default() });
    for port in 1..=4 {
        let at = |seg: Seg<'static>| Seg { port, ..seg };
        bed.feed(&[
            at(c(S, 100, 0, "")),
            at(s(S | A, 500, 101, "")),
            at(c(A, 101, 501, "a")),
            at(c(R, 102, 0, "")),
        ]);
    }
    let counters = bed.assembler.counters();
    assert_eq!((counters.closed, counters.limit_closed, counters.closed_rst), (2, 2, 4));
    bed.wait(61_000);
    assert_eq!(bed.assembler.counters().closed, 0);
}

#[test]
fn far_payload_after_the_end_is_another_connection() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(R, 101, 0, "")]);
    assert_eq!(bed.feed(&[c(A, 2_000_000_000, 77, "abc")]), ["new LowerPort midstream", ">[-1]abc"]);
}

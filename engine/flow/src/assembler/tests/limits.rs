//! Limits and time-outs.

use core::time::Duration;

use super::{A, Bed, F, R, S, Seg, c, s};
use crate::Nanos;
use crate::assembler::{AssemblerOptions, Flushed};

const NOTHING: [&str; 0] = [];

fn at(port: u16, seg: Seg<'_>) -> Seg<'_> {
    Seg { port, ..seg }
}

#[test]
fn a_connection_keeps_no_more_pages_than_it_may() {
    let options =
        AssemblerOptions { max_buffered_pages_per_connection: Some(3), ..AssemblerOptions::default() };
    let mut bed = Bed::with(options);
    bed.open();
    assert_eq!(bed.feed(&[c(A, 111, 501, "a"), c(A, 113, 501, "bb"), c(A, 116, 501, "c")]), NOTHING);
    assert_eq!(bed.feed(&[c(A, 118, 501, "dd")]), [">[10]a"], "the first hole goes");
    assert_eq!(bed.feed(&[c(A, 121, 501, "ee")]), [">[1]bb"]);
    let counters = bed.assembler.counters();
    assert_eq!((counters.limit_pages_per_connection, counters.pages), (2, 3));
    assert_eq!(bed.log.totals[0][0].gap_bytes, 11);
}

#[test]
fn when_all_pages_are_taken_the_oldest_hole_goes() {
    let options = AssemblerOptions { max_buffered_pages_total: Some(2), ..AssemblerOptions::default() };
    let mut bed = Bed::with(options);
    for port in [1, 2, 3] {
        bed.feed(&[at(port, c(S, 100, 0, ""))]);
    }
    assert_eq!(bed.feed(&[at(2, c(A, 111, 0, "two")), at(1, c(A, 105, 0, "one"))]), NOTHING);
    assert_eq!(bed.feed(&[at(3, c(A, 105, 0, "three"))]), [">[10]two"]);
    assert_eq!(bed.feed(&[at(3, c(A, 120, 0, "four"))]), [">[4]one"]);
    assert_eq!(bed.feed(&[at(3, c(A, 130, 0, "five"))]), [">[4]three"], "its own, when there is no other");
    let counters = bed.assembler.counters();
    assert_eq!((counters.limit_pages_total, counters.pages), (3, 2));
}

#[test]
fn a_fin_before_what_was_handed_on_is_none() {
    // Found by fuzzing: such a FIN, beside an acknowledgement of what was not seen, stood in the way of every hole behind it.
    let options = AssemblerOptions { max_buffered_pages_total: Some(2), ..AssemblerOptions::default() };
    let mut bed = Bed::with(options);
    bed.open();
    assert_eq!(bed.feed(&[c(A, 101, 501, "handed on"), s(A, 501, 110, "a")]), [">handed on", "<a"]);
    assert_eq!(bed.feed(&[c(A, 120, 502, "one"), c(A | F, 104, 512, "")]), NOTHING);
    let other = [at(7, c(S, 100, 0, "")), at(7, c(A, 105, 0, "two")), at(7, c(A, 115, 0, "three"))];
    assert_eq!(bed.feed(&other), ["new Syn", ">^", ">[10]one"]);
    assert_eq!(bed.feed(&[c(A | F, 123, 502, "")]), [">$"], "the true one counts");
    assert_eq!(bed.assembler.counters().limit_pages_total, 1);
}

#[test]
fn the_oldest_connection_makes_room() {
    let mut bed = Bed::with(AssemblerOptions { max_connections: Some(3), ..AssemblerOptions::default() });
    for port in [1, 2, 3] {
        bed.feed(&[at(port, c(S, 100, 0, "")), at(port, c(A, 101, 501, "a"))]);
        bed.wait(2000);
    }
    bed.feed(&[at(1, c(A, 102, 501, "b"))]);
    bed.wait(2000);
    assert_eq!(bed.feed(&[at(4, c(S, 100, 0, ""))]), ["evicted", "new Syn", ">^"]);
    assert_eq!(bed.feed(&[at(1, c(A, 103, 501, "c"))]), [">c"], "the first was seen lately");
    assert_eq!(bed.feed(&[at(5, c(S, 100, 0, ""))]), ["evicted", "new Syn", ">^"], "embryonic ones go first");
    assert_eq!(bed.feed(&[at(5, c(A, 101, 0, "")), at(3, c(R, 102, 0, ""))]), [">$", "rst"]);
    assert_eq!(bed.feed(&[at(6, c(S, 100, 0, ""))]), ["new Syn", ">^"], "ended ones before all");
    let counters = bed.assembler.counters();
    assert_eq!((counters.limit_connections, counters.closed_evicted, counters.open), (3, 2, 3));
}

#[test]
fn a_flood_of_syns_ends_nobody_else() {
    let mut bed = Bed::with(AssemblerOptions { max_connections: Some(100), ..AssemblerOptions::default() });
    bed.open();
    for port in 1..2000 {
        bed.feed(&[at(port, c(S, 100, 0, ""))]);
    }
    assert_eq!(bed.feed(&[c(A, 101, 501, "still here")]), [">still here"]);
    assert_eq!(bed.assembler.counters().open, 100);
    assert_eq!(bed.assembler.counters().embryonic, 99);
    bed.wait(60_000);
    assert_eq!(bed.assembler.counters().embryonic, 0);
}

#[test]
fn embryonic_connections_have_a_limit_of_their_own() {
    let mut bed = Bed::with(AssemblerOptions { max_embryonic: Some(10), ..AssemblerOptions::default() });
    bed.open();
    for port in 1..=10 {
        bed.feed(&[at(port, c(S, 100, 0, ""))]);
    }
    assert_eq!(bed.assembler.counters().limit_embryonic, 0);
    assert_eq!(bed.feed(&[at(11, c(S, 100, 0, ""))]), ["evicted", "new Syn", ">^"]);
    // One joined in the middle never was one, one that gets further is none any more.
    bed.feed(&[at(12, c(A, 1, 1, "ab")), at(11, s(S | A, 500, 101, "")), at(11, c(A, 101, 501, ""))]);
    let counters = bed.assembler.counters();
    assert_eq!((counters.embryonic, counters.limit_embryonic, counters.limit_connections), (9, 1, 0));
    assert_eq!(bed.feed(&[c(A, 101, 501, "still here")]), [">still here"]);
    bed.wait(21_000);
    assert_eq!(bed.assembler.counters().embryonic, 0, "their time-out is short");
    assert_eq!(bed.assembler.counters().open, 3);
}

#[test]
fn idle_connections_are_closed_unless_the_stream_says_no() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 101, 501, "abc"), c(A, 107, 501, "ghi")]);
    let last = bed.now;
    bed.log.pending = true;
    assert_eq!(bed.wait(310_000), NOTHING);
    assert_eq!(bed.wait(10_000), NOTHING);
    bed.log.pending = false;
    assert_eq!(bed.wait(310_000), [">[3]ghi", "idle"]);
    assert_eq!(bed.assembler.counters().closed_idle, 1);
    assert_eq!(bed.log.last_seen, [last], "to be kept is no packet");
}

#[test]
fn flush_older_than_gives_up_old_holes_and_closes_old_connections() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def")]);
    bed.feed(&[at(7, c(S, 100, 0, ""))]);
    bed.wait(5000);
    let middle = bed.now;
    bed.wait(5000);
    bed.feed(&[c(A, 110, 501, "jkl"), at(8, c(S, 100, 0, ""))]);
    let flushed = bed.assembler.flush_older_than(&mut bed.log, middle);
    assert_eq!(flushed, Flushed { flushed: 2, closed: 1 });
    assert_eq!(core::mem::take(&mut bed.log.lines), [">[3]def", "idle"]);
    let flushed = bed.assembler.flush_older_than(&mut bed.log, Nanos(u64::MAX));
    assert_eq!(flushed, Flushed { flushed: 2, closed: 2 });
    bed.log.lines.sort();
    assert_eq!(bed.log.lines, [">[3]jkl", "idle", "idle"]);
}

#[test]
fn flush_older_than_may_end_what_it_flushes() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), c(A | F, 107, 501, ""), s(A, 511, 0, "xyz"), s(A | F, 514, 0, "")]);
    let flushed = bed.assembler.flush_older_than(&mut bed.log, Nanos(u64::MAX));
    assert_eq!(flushed, Flushed { flushed: 1, closed: 0 });
    assert_eq!(bed.log.lines, [">[3]def$", "<[10]xyz$", "fin"]);
}

#[test]
fn flush_all_ends_everything() {
    let mut bed = Bed::new();
    bed.open();
    bed.feed(&[c(A, 104, 501, "def"), at(7, c(S, 100, 0, "")), at(8, c(R, 100, 0, ""))]);
    assert_eq!(bed.assembler.flush_all(&mut bed.log), 2);
    assert_eq!(bed.log.lines, ["eof", ">[3]def", "eof"]);
    assert_eq!(bed.assembler.flush_all(&mut bed.log), 0);
    let counters = bed.assembler.counters();
    assert_eq!((counters.closed_eof, counters.open, counters.closed_all()), (2, 0, 2));
}

#[test]
fn memory_goes_back_after_a_spike() {
    let mut bed =
        Bed::with(AssemblerOptions { idle_timeout: Some(Duration::from_secs(10)), ..Default::default() });
    bed.open();
    assert_eq!(bed.feed(&[c(A, 102, 501, "b"), c(A, 101, 501, "a")]), [">a >b"]);
    let before = bed.assembler.memory();
    for port in 1..20_000 {
        bed.feed(&[at(port, c(A, 100, 0, "ab")), at(port, c(A, 110, 0, "out of order"))]);
    }
    let spike = bed.assembler.memory();
    assert!(spike > before + 20_000 * 2048);
    bed.wait(11_000);
    bed.wait(6000);
    bed.wait(6000);
    assert_eq!(bed.assembler.counters().open, 0);
    assert!(
        bed.assembler.memory() <= before * 13 / 10,
        "{} before, {} after",
        before,
        bed.assembler.memory()
    );
}

#[test]
fn a_connection_is_small() {
    use crate::assembler::connection::{Active, Connection};
    use crate::assembler::hole::Hole;
    let stream = size_of::<Option<super::Told>>();
    let embryonic = size_of::<Connection<super::Told>>() - stream + size_of::<u32>() * 2;
    assert!(embryonic <= 160, "{embryonic} bytes without the stream");
    let idle = embryonic + size_of::<Active>();
    assert!(idle <= 360, "{idle} bytes without the stream");
    assert!(size_of::<Hole>() <= 128, "{}", size_of::<Hole>());
}

#[test]
fn serial_numbers_interleave() {
    let options = AssemblerOptions { first_serial: 3, serial_step: 4, ..AssemblerOptions::default() };
    let mut bed = Bed::with(options);
    bed.feed(&[at(1, c(S, 1, 0, "")), at(2, c(S, 1, 0, ""))]);
    assert_eq!(bed.log.serials, [3, 7]);
}

#[test]
fn foreseeing_tells_whether_a_connection_is_open_and_changes_nothing() {
    let mut bed = Bed::new();
    let packet = bed.segment(&c(S, 100, 0, "")).packet;
    assert!(bed.assembler.foresee([&packet].into_iter()) == 0);
    bed.open();
    assert!(bed.assembler.foresee([&packet].into_iter()) == 1);
    bed.feed(&[c(A, 101, 501, "abc")]);
    let before = bed.assembler.counters();
    assert!(bed.assembler.foresee([&packet].into_iter()) == 1);
    assert_eq!(bed.assembler.foresee(core::iter::repeat_n(&packet, 150)), 150, "however many");
    assert_eq!(bed.assembler.counters(), before);
    bed.feed(&[c(R, 104, 0, "")]);
    assert!(bed.assembler.foresee([&packet].into_iter()) == 0, "ended, and remembered");
}

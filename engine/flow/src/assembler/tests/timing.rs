//! Round trips of the handshake, windows that are closed.

use super::{A, Bed, MS, S, Seg, c, s};

const fn shut(seg: Seg<'_>) -> Seg<'_> {
    Seg { window: 0, ..seg }
}

/// The handshake's round trips of the first connection, in milliseconds: to the server, to the client.
fn handshake(bed: &Bed) -> [Option<u64>; 2] {
    bed.log.totals[0].map(|totals| totals.handshake.map(|time| time.get() / MS))
}

#[test]
fn the_handshake_has_two_round_trips() {
    let mut bed = Bed::new();
    bed.feed(&[c(S, 100, 0, "")]);
    bed.wait(29);
    bed.feed(&[s(S | A, 500, 101, "")]);
    assert_eq!(handshake(&bed), [None, Some(30)]);
    bed.wait(2);
    // A second SYN-ACK tells nothing new.
    bed.feed(&[s(S | A, 500, 101, ""), c(A, 101, 501, ""), c(A, 101, 501, "abc")]);
    assert_eq!(handshake(&bed), [Some(4), Some(30)]);
    bed.feed(&[c(A, 104, 501, "def"), s(A, 501, 107, "xyz")]);
    assert_eq!(handshake(&bed), [Some(4), Some(30)]);
}

#[test]
fn half_a_handshake_has_half_the_times() {
    let mut bed = Bed::new();
    bed.feed(&[s(S | A, 500, 101, ""), c(A, 101, 501, "abc")]);
    assert_eq!(handshake(&bed), [Some(1), None], "the SYN was not seen");
    let mut bed = Bed::new();
    bed.feed(&[c(S, 100, 0, ""), c(A, 101, 501, "abc")]);
    assert_eq!(handshake(&bed), [None, None], "the SYN-ACK was not seen");
    let mut bed = Bed::new();
    bed.feed(&[c(A, 101, 501, "abc"), s(A, 501, 104, "abc")]);
    assert_eq!(handshake(&bed), [None, None]);
}

#[test]
fn a_closed_window_is_a_stall_until_it_opens() {
    let mut bed = Bed::new();
    bed.open();
    // The server takes nothing more for 50 ms; what it repeats meanwhile is the same stall.
    bed.feed(&[c(A, 101, 501, "abc"), shut(s(A, 501, 104, ""))]);
    bed.wait(20);
    bed.feed(&[c(A, 103, 501, ""), shut(s(A, 501, 104, ""))]);
    bed.wait(27);
    bed.feed(&[s(A, 501, 104, ""), c(A, 104, 501, "def"), s(A, 501, 107, "xyz")]);
    let stalls = |bed: &Bed| bed.log.totals[0].map(|t| (t.window_stalls, t.stalled / MS));
    assert_eq!(stalls(&bed), [(1, 50), (0, 0)]);
    // The client's window never opens again: with data, and until the connection ends.
    bed.feed(&[shut(c(A, 107, 504, "ghi"))]);
    bed.wait(9);
    bed.feed(&[s(A, 504, 110, "")]);
    bed.assembler.flush_all(&mut bed.log);
    assert_eq!(stalls(&bed), [(1, 50), (1, 10)]);
    assert_eq!(bed.log.lines, ["eof"]);
}

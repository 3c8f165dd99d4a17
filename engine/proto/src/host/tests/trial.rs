//! A connection that a plugin got for its first bytes, and what becomes of it when these were not its protocol.

use super::*;
use crate::event::{Key, Kind, Status};
use crate::host::ActivePlugin;
use crate::{EventBuilder, Sensitivity};

/// Lines; `!` begins one that it does not understand, `?` shows that it is none of it.
struct Lines {
    name: &'static str,
    knows: &'static [u8],
}
struct LinesDecoder(&'static str);

impl Plugin for Lines {
    fn about(&self) -> &About {
        match self.name {
            "rash" => &RASH,
            _ => &WISE,
        }
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        "tcp".into()
    }
    fn is_server_port(&self, _: u16) -> bool {
        false
    }
    fn probe(&self, to_server: &[u8], _: &[u8]) -> Probe {
        if to_server.starts_with(self.knows) {
            Probe::Yes { reversed: false }
        } else if self.knows.starts_with(to_server) {
            Probe::More
        } else {
            Probe::No
        }
    }
    fn open(&self, _: &FlowInfo) -> Decoder {
        Decoder::External(Box::new(LinesDecoder(self.name)))
    }
}

const RASH: About = About {
    name: "rash",
    version: "1",
    summary: "",
    options: &[],
    keys: &[],
    opens_at: OpensAt::FirstPayload,
};
const WISE: About = About { name: "wise", ..RASH };

impl Decode for LinesDecoder {
    fn data(&mut self, _: Direction, w: Window<'_>, out: &mut Out<'_>) -> Next {
        let Some(end) = w.bytes.iter().position(|b| *b == b'\n') else {
            return Next::More { used: 0, need: 0 };
        };
        let line = &w.bytes[..end];
        let now = out.now();
        let text = |event: EventBuilder<'_>| event.text(Key::NOTICE, line, Sensitivity::Public).emit();
        match line.first() {
            Some(b'?') => {
                text(out.event(self.0, Kind::Notice, now));
                return Next::Bypass(BypassReason::NotThisProtocol);
            }
            Some(b'!') if self.0 == "rash" => text(out.event(self.0, Kind::Notice, now)),
            _ => text(out.event(self.0, Kind::Message, now).status(Status::Ok)),
        }
        Next::Skip { used: end + 1, then: 0 }
    }
    fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, d: Direction, w: Window<'_>, out: &mut Out<'_>) -> Next {
        self.data(d, w, out)
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }
    fn end(&mut self, _: End, _: [Window<'_>; 2], _: &mut Out<'_>) {}
    fn retained(&self) -> usize {
        0
    }
}

/// The events, and the counters `decoded`, `withdrawn`, `unrecognised`, `bypassed_other_protocol`.
fn play(steps: &[&[u8]], wise: &'static [u8]) -> (Vec<String>, [u64; 4]) {
    let mut replay = replay(wise);
    steps.iter().for_each(|bytes| replay.step(&data(bytes)));
    finish(replay)
}

fn replay(wise: &'static [u8]) -> Replay {
    let plugins = [("rash", &b""[..]), ("wise", wise)]
        .map(|(name, knows)| ActivePlugin::by_probe(Box::new(Lines { name, knows }), |_| true));
    Replay::of_several(plugins.into(), 7, false)
}

fn finish(replay: Replay) -> (Vec<String>, [u64; 4]) {
    let c = replay.counters();
    (replay.finish(End::Fin), [c.decoded, c.withdrawn, c.unrecognised, c.bypassed_other_protocol])
}

const WITHDRAWN: &str = "notice sniffx.notice='this is not rash: the connection was taken for it'";

#[test]
fn who_says_that_it_is_not_its_protocol_loses_the_connection() {
    let (lines, counters) = play(&[b"?w", b"ise\nmore\n"], b"?wise");
    // The other one fails with the same line.
    assert_eq!(
        lines,
        [WITHDRAWN, "notice sniffx.notice='this is not wise: the connection was taken for it'"]
    );
    assert_eq!(counters, [0, 2, 1, 0]);
    let (lines, counters) = play(&[b"?wise\n"], b"never");
    assert_eq!(lines, [WITHDRAWN]);
    assert_eq!(counters, [0, 1, 1, 0]);
}

#[test]
fn the_next_one_gets_all_that_came() {
    let (lines, counters) = play(&[b"!a\n!b\n", b"!c\n", b"d\n", b"e\n"], b"!a\n!b\n!c\nd\n");
    let told = |mark: &str| format!("message ok sniffx.notice='{mark}'");
    assert_eq!(lines[..2], ["notice sniffx.notice='!a'", "notice sniffx.notice='!b'"]);
    assert_eq!(lines[2], WITHDRAWN);
    assert_eq!(lines[3..], ["!a", "!b", "!c", "d", "e"].map(told));
    assert_eq!(counters, [1, 1, 0, 0]);
}

#[test]
fn something_sure_ends_the_trial() {
    let (lines, counters) = play(&[b"sure\n", b"!a\n", b"!b\n", b"!c\n", b"!d\n"], b"never");
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(counters, [1, 0, 0, 0]);
    // And whoever then says that it is not its protocol says that of what follows.
    let (lines, counters) = play(&[b"sure\n", b"?\n"], b"sure");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(counters, [1, 0, 0, 1]);
}

#[test]
fn without_its_beginning_a_connection_is_given_up() {
    let (lines, counters) = play(&[&[b'!'; 5000], b"\n", b"!\n", b"!\n", b"y\n"], b"!!!");
    assert_eq!(lines.last().map(String::as_str), Some(WITHDRAWN), "{lines:?}");
    assert_eq!(counters, [0, 1, 0, 1]);
}

/// The same with datagrams.
fn play_datagrams(steps: &[&[u8]], wise: &'static [u8]) -> (Vec<String>, [u64; 4]) {
    let mut replay = replay(wise);
    steps.iter().for_each(|bytes| replay.datagram(Direction::ToServer, bytes));
    finish(replay)
}

/// Nothing is kept of a UDP flow: the next plugin gets it from the datagram on with which the one before was found out.
#[test]
fn a_flow_of_datagrams_is_withdrawn_too() {
    let (lines, counters) = play_datagrams(&[b"!a\n", b"!b\n", b"!c\n", b"d\n"], b"!c");
    let notice = |what: &str| format!("notice sniffx.notice='{what}'");
    let told = |what: &str| format!("message ok sniffx.notice='{what}'");
    assert_eq!(lines, [notice("!a"), notice("!b"), WITHDRAWN.to_owned(), told("!c"), told("d")]);
    assert_eq!(counters, [1, 1, 0, 0]);
    // By its own word, with the first one.
    let (lines, counters) = play_datagrams(&[b"?wise\n", b"more\n"], b"never");
    assert_eq!(lines, [WITHDRAWN]);
    assert_eq!(counters, [0, 1, 1, 0]);
    // Something sure ends the trial.
    let (lines, counters) = play_datagrams(&[b"sure\n", b"!a\n", b"!b\n", b"!c\n", b"!d\n"], b"!");
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(counters, [1, 0, 0, 0]);
}

/// Wherever the bytes are cut: three lines that are none withdraw the claim, whatever stands behind them.
#[test]
fn cuts_do_not_change_the_verdict() {
    for (stream, wise) in [
        (&b"!a\n!b\n!c\nsure\n!d\n"[..], &b"!a\n!b\n!c\n"[..]),
        (b"!a\n!b\n?c\nsure\n", b"never"),
        (b"!a\n!b\nsure\n!c\n!d\n!e\n", b"!a\n!b"),
        (b"?wise\nsure\n", b"?wi"),
    ] {
        let whole = play(&[stream], wise);
        for size in 1..stream.len() {
            let parts: Vec<_> = stream.chunks(size).collect();
            assert_eq!(play(&parts, wise), whole, "{} in parts of {size}", stream.escape_ascii());
        }
        for at in 1..stream.len() {
            let (front, back) = stream.split_at(at);
            assert_eq!(play(&[front, back], wise), whole, "{} cut at {at}", stream.escape_ascii());
        }
    }
}

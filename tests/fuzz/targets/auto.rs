//! Which plugin gets a connection of any bytes: whatever comes, the one that gets it tells the same as when it is the only one, and a connection
//! that nobody knows is given up.
//!
//! Inputs are conversations of all protocols.

use sniff_x_proto::host::ActivePlugin;
use sniff_x_proto::replay::{Replay, Step};

use super::conversation::Conversation;
use super::{http, mysql, redis};
use crate::harness::signal::Signal;
use crate::seeds::{Seeds, spread};

/// What probing may keep of a connection (4 KiB a direction, and what came when), and the largest of the decoders.
const MOST_KEPT: usize = 600 << 10;

/// Bytes of a direction that are looked at.
const PROBED: usize = 4 << 10;

pub(crate) const WORDS: &[&[u8]] = &[
    b"\x00\x0e\x00*1\r\n$4\r\nPING\r\n",
    b"\x01\x07\x00+PONG\r\n",
    b"PING\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"\x00\x0d\x00\x09\x00\x00\x00\x03SELECT 1",
    b"\x01\x0b\x00\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01",
    b"+OK\r\n",
    b"EHLO me\r\n",
    b"220 mail\r\n",
];

pub(crate) fn seeds(found: &Seeds) -> Vec<Vec<u8>> {
    let mut all = spread(mysql::seeds(found), 80);
    all.extend(spread(redis::seeds(found), 80));
    all.extend(spread(http::seeds(found), 80));
    all
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let conversation = Conversation::read(data);
    let names: Vec<_> = sniff_x_proto::names().filter(|name| *name != "tcp").collect();
    let plugin = |name: &&str| ActivePlugin::by_probe(sniff_x_proto::builtin(name).unwrap(), |_| true);
    let mut replay = Replay::of_several(names.iter().map(plugin).collect(), 4000, conversation.midstream);
    let mut protocols = Vec::new();
    for step in &conversation.steps {
        replay.step_then(step, |host, _| protocols.extend(host.arena.events().map(|e| e.head.protocol)));
        let kept = replay.kept();
        assert!(kept <= MOST_KEPT, "{kept} bytes are kept");
    }
    let counters = replay.counters();
    for (name, n) in [
        ("decoded", counters.decoded),
        ("withdrawn", counters.withdrawn),
        ("unrecognised", counters.unrecognised),
    ] {
        signal.count(name, n);
    }
    assert!(counters.withdrawn <= names.len() as u64, "each plugin gets one chance");
    assert!(counters.decoded + counters.unrecognised <= 1, "one connection has one fate");
    let longest = conversation.said().into_iter().max().unwrap_or(0);
    let is_over = counters.decoded + counters.unrecognised + counters.bypassed() > 0;
    assert!(longest < PROBED || is_over, "{longest} bytes, and nobody was asked for a decision");
    let lines = replay.finish_then(conversation.end, |host, _| {
        protocols.extend(host.arena.events().map(|e| e.head.protocol));
    });
    protocols.iter().for_each(|protocol| signal.note(protocol));
    // Time that passes before it is known whose it is passes without time-outs.
    let waits = conversation.steps.iter().any(|step| matches!(step, Step::Wait(_)));
    if !waits && counters.withdrawn == 0 && counters.decoded == 1 && !protocols.is_empty() {
        // The same as if there were no other one, unless client and server were turned round.
        let only = protocols.first().unwrap();
        assert!(protocols.iter().all(|protocol| protocol == only), "two protocols in one connection");
        let alone = |reversed: bool| {
            let conversation = if reversed { conversation.reversed() } else { conversation.clone() };
            conversation.play(sniff_x_proto::builtin(only).unwrap(), MOST_KEPT, &mut Signal::default()).0
        };
        assert!(
            lines == alone(false) || lines == alone(true),
            "other events than alone: {lines:#?}\n{:#?}",
            alone(false)
        );
    }
}

//! `auto`: plugins have only their probes to get a connection by. However the bytes are cut, the same one gets it and tells the same.

use sniff_x_flow::{Direction, End};
use sniff_x_proto::Options;
use sniff_x_proto::host::ActivePlugin;
use sniff_x_proto::replay::{Replay, Step};

use crate::support::{Random, split_invariant};
use crate::{each, play, untimed};

/// The plugins whose protocols can be told apart by what is said in them. A line protocol with answers like those of another one can't, and what these
/// tests expect does not hold beside it.
const APART: [&str; 3] = ["http", "mysql", "redis"];

/// The events, and how many connections were claimed, withdrawn, left alone.
fn auto(steps: &[Step]) -> Vec<String> {
    let plugins = APART.map(|name| {
        let mut plugin = sniff_x_proto::builtin(name).unwrap();
        plugin.configure(&Options::default()).unwrap();
        ActivePlugin::by_probe(plugin, |_| true)
    });
    let mut replay = Replay::of_several(plugins.into(), 1, false);
    steps.iter().for_each(|step| replay.step(step));
    let mut lines: Vec<_> = Vec::new();
    // What is not sure before the end is decided there.
    let mut counters = replay.counters();
    lines.extend(replay.finish_then(End::Fin, |host, _| counters = host.counters));
    let mut lines: Vec<_> = lines.iter().map(|line| untimed(line)).collect();
    lines.push(format!(
        "{} decoded, {} withdrawn, {} unrecognised",
        counters.decoded, counters.withdrawn, counters.unrecognised
    ));
    lines
}

fn client(bytes: &[u8]) -> Step {
    Step::Data(Direction::ToServer, bytes.to_vec())
}

fn server(bytes: &[u8]) -> Step {
    Step::Data(Direction::ToClient, bytes.to_vec())
}

/// As the plugin tells it that is asked for alone.
#[test]
fn tells_what_the_named_plugin_tells() {
    each(40, |name, seed, steps| {
        if !APART.contains(&name) {
            return;
        }
        let mut lines = auto(&steps);
        assert_eq!(lines.pop().unwrap(), "1 decoded, 0 withdrawn, 0 unrecognised", "{name}, seed {seed}");
        assert_eq!(lines, play(name, false, &steps), "{name}, seed {seed}");
    });
}

#[test]
fn cuts_do_not_change_who_gets_it() {
    each(3, |name, seed, steps| {
        if APART.contains(&name) {
            // What was on trial is all there is to find out: the first turns.
            let steps = &steps[..steps.len().min(6)];
            split_invariant(auto, steps, &mut Random(seed + 7), true, &format!("{name}, seed {seed}"));
        }
    });
}

/// What is none of the protocols, looks like one, or turns out to be none.
#[test]
fn cuts_do_not_change_what_is_left_alone() {
    for (what, claimed, steps) in [
        (
            "POP3",
            0,
            vec![
                server(b"+OK ready\r\n"),
                client(b"AUTH PLAIN\r\n"),
                server(b"+OK\r\n"),
                client(b"QUIT\r\n"),
            ],
        ),
        (
            "SMTP",
            0,
            vec![
                server(b"220 mail\r\n"),
                client(b"HELO me\r\n"),
                server(b"250 hi\r\n"),
                client(b"RESET\r\n"),
            ],
        ),
        (
            "memcached",
            0,
            vec![client(b"get key\r\n"), server(b"VALUE key 0 2\r\nhi\r\nEND\r\n"), client(b"quit\r\n")],
        ),
        ("IRC", 0, vec![client(b"PING :me\r\n"), server(b":irc.example PONG irc.example :me\r\n")]),
        ("TLS", 0, vec![client(&[&b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03"[..], &[7; 53]].concat())]),
        ("SIP", 0, vec![client(b"OPTIONS sip:a SIP/2.0\r\n\r\n"), server(b"SIP/2.0 200 OK\r\n\r\n")]),
        ("RTSP", 0, vec![client(b"OPTIONS * RTSP/1.0\r\n\r\n"), server(b"RTSP/1.0 200 OK\r\n\r\n")]),
        // A request's first line, and then none of it: HTTP that is broken, as it is told.
        ("no HTTP", 1, vec![client(b"GET / HTTP/1.1\r\nno field\r\n\r\n"), server(b"what?\r\n")]),
        // An array like a command's, and then none.
        ("no Redis", 1, vec![client(b"*2\r\n$3\r\nGET\r\n$x\r\n"), server(b"what?\r\n")]),
    ] {
        let lines = auto(&steps);
        let end = match what {
            "no HTTP" => "1 decoded, 0 withdrawn, 0 unrecognised".to_owned(),
            _ => format!("0 decoded, {claimed} withdrawn, 1 unrecognised"),
        };
        assert_eq!(lines.last(), Some(&end), "{what}: {lines:#?}");
        assert!(lines.iter().all(|line| !line.contains(" ok")), "{what}: {lines:#?}");
        split_invariant(auto, &steps, &mut Random(9), true, what);
    }
}

//! Other rules and options while connections are open.

use sniff_x_flow::OrientedBy;
use sniff_x_flow::assembler::{Chunks, Reassembly, Stream, StreamFactory, Totals};

use super::*;
use crate::event::Arena;
use crate::host::{ActivePlugin, Host, Slot};

/// A toy that says when its decoders are opened and renewed; `ready` is what it answers to the latter. Its probe knows its name.
struct Renewing {
    name: &'static str,
    log: Log,
    ready: bool,
}

impl Plugin for Renewing {
    fn about(&self) -> &About {
        const ABOUT: About = About {
            name: "renewing",
            version: "1",
            summary: "",
            options: &[],
            keys: &[],
            opens_at: OpensAt::FirstPayload,
        };
        &ABOUT
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        "tcp".into()
    }
    fn is_server_port(&self, port: u16) -> bool {
        port == 1000
    }
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        let knows = |bytes: &[u8]| bytes.windows(self.name.len()).any(|part| part == self.name.as_bytes());
        match knows(to_server) || knows(to_client) {
            true => Probe::Yes { reversed: false },
            false if to_server.len() + to_client.len() > 9 => Probe::No,
            false => Probe::More,
        }
    }
    fn open(&self, flow: &FlowInfo) -> Decoder {
        self.log.lock().unwrap().push(format!("{} opens, midstream {}", self.name, flow.midstream));
        Decoder::External(Box::new(ToyDecoder(self.log.clone())))
    }
    fn renew(&self, _: &mut Decoder) -> bool {
        self.log.lock().unwrap().push(format!("{} renews", self.name));
        self.ready
    }
}

struct Run {
    host: Host,
    slot: Slot,
    flow: FlowInfo,
    log: Log,
}

/// Plugins by name, whether the rule of each asks for the connection, and whether it is ready to renew.
type Set = [(&'static str, bool, bool)];

fn set(log: &Log, set: &Set) -> Arc<[ActivePlugin]> {
    let active = |(name, asks, ready): &(&'static str, bool, bool)| {
        let asks = *asks;
        let plugin = Renewing { name, log: log.clone(), ready: *ready };
        ActivePlugin::by_rule(Box::new(plugin), move |_| asks)
    };
    set.iter().map(active).collect::<Vec<_>>().into()
}

/// The same plugins, each of which also gets what its probe knows.
fn guessing(log: &Log, wanted: &Set) -> Arc<[ActivePlugin]> {
    let active = |(name, asks, ready): &(&'static str, bool, bool)| {
        let asks = *asks;
        let plugin = Renewing { name, log: log.clone(), ready: *ready };
        ActivePlugin::by_rule(Box::new(plugin), move |_| asks).and_by_probe(|_| true)
    };
    wanted.iter().map(active).collect::<Vec<_>>().into()
}

impl Run {
    /// A connection that was seen from its SYN on. Its client has the port 1000.
    fn new(first: &Set) -> Self {
        Self::with(first, set)
    }

    /// With `auto`.
    fn guessing(first: &Set) -> Self {
        Self::with(first, guessing)
    }

    fn with(first: &Set, make: fn(&Log, &Set) -> Arc<[ActivePlugin]>) -> Self {
        let log = Log::default();
        let mut host = Host::new(make(&log, first), Arena::new(1000), 1000);
        let mut flow = flow(OrientedBy::Syn, false);
        let slot = host.new_stream(&mut flow);
        Self { host, slot, flow, log }
    }

    fn renew(&mut self, next: &Set) {
        let next = set(&self.log, next);
        self.host.renew(next);
    }

    fn renew_guessing(&mut self, next: &Set) {
        let next = guessing(&self.log, next);
        self.host.renew(next);
    }

    /// Bytes to the server; what the plugins and decoders said of them.
    fn data(&mut self, bytes: &[u8]) -> Vec<String> {
        let chunk = Reassembly {
            direction: Direction::ToServer,
            bytes,
            skip: 0,
            start: false,
            end: false,
            seen: Nanos(5),
        };
        let totals = [Totals::default(); 2];
        self.slot.reassembled(&mut self.host, &self.flow, &totals, Chunks::from_slice(&[chunk]));
        core::mem::take(&mut *self.log.lock().unwrap())
    }
}

#[test]
fn a_decoder_whose_plugin_still_asks_goes_on_with_the_new_options() {
    let mut run = Run::new(&[("old", true, true)]);
    assert_eq!(run.data(b"\x02ab\x02c"), ["old opens, midstream false", "0 ab"]);
    run.renew(&[("new", true, true)]);
    // In the middle of a message: nothing is lost.
    assert_eq!(run.data(b"d"), ["new renews", "0 cd"]);
    assert_eq!(run.data(b"\x01e"), ["0 e"], "it learns of it once");
}

#[test]
fn a_decoder_that_is_not_ready_is_asked_again() {
    let mut run = Run::new(&[("old", true, true)]);
    run.data(b"\x01a");
    run.renew(&[("new", true, false)]);
    assert_eq!(run.data(b"\x01b"), ["new renews", "0 b"]);
    assert_eq!(run.data(b"\x01c"), ["new renews", "0 c"]);
    run.renew(&[("newer", true, true)]);
    assert_eq!(run.data(b"\x01d"), ["newer renews", "0 d"]);
    assert_eq!(run.data(b"\x01e"), ["0 e"]);
}

#[test]
fn what_no_rule_asks_for_any_more_ends() {
    let mut run = Run::new(&[("old", true, true)]);
    run.data(b"\x01a\x05b");
    run.renew(&[("new", false, true)]);
    assert_eq!(run.data(b"\x01c"), ["end Evicted \\x05b "]);
    assert_eq!(run.data(b"\x01d"), [""; 0]);
    assert_eq!(run.host.counters.disclaimed, 1);
    assert_eq!(run.slot.kept(), 0);
    // And is joined in the middle when one asks for it again.
    run.renew(&[("newest", true, true)]);
    assert_eq!(
        run.data(b"\x01e"),
        ["newest opens, midstream true", "0 gap Unknown tail ", "1 gap Unknown tail ", "0 e"]
    );
}

#[test]
fn what_nobody_asked_for_is_joined_in_the_middle() {
    let mut run = Run::new(&[("old", false, true)]);
    assert_eq!(run.data(b"\x01a"), [""; 0]);
    assert_eq!(run.host.counters.unclaimed, 1);
    run.renew(&[("new", true, true)]);
    assert_eq!(
        run.data(b"\x01b"),
        ["new opens, midstream true", "0 gap Unknown tail ", "1 gap Unknown tail ", "0 b"]
    );
    assert_eq!(run.data(b"\x01c"), ["0 c"]);
}

#[test]
fn the_rules_port_says_who_is_the_server_where_no_syn_did() {
    let mut run = Run::new(&[("old", false, true)]);
    run.flow.oriented_by = OrientedBy::FirstSender;
    run.data(b"\x01a");
    run.renew(&[("new", true, true)]);
    assert_eq!(run.data(b"\x01b").last().map(String::as_str), Some("1 b"), "port 1000 is the server's");
}

#[test]
fn a_connection_that_had_said_nothing_is_not_joined_late() {
    let mut run = Run::new(&[("one", true, true), ("other", false, true)]);
    run.renew(&[("one", false, true), ("other", true, true)]);
    assert_eq!(run.data(b"\x01a"), ["other opens, midstream false", "0 a"]);
}

#[test]
fn a_connection_goes_from_one_plugin_to_another() {
    let mut run = Run::new(&[("one", true, true), ("other", false, true)]);
    run.data(b"\x01a\x03b");
    run.renew(&[("one", false, true), ("other", true, true)]);
    assert_eq!(
        run.data(b"\x01c"),
        [
            "end Evicted \\x03b ",
            "other opens, midstream true",
            "0 gap Unknown tail ",
            "1 gap Unknown tail ",
            "0 c"
        ]
    );
}

#[test]
fn one_that_was_given_up_is_looked_at_by_plugins_that_are_new_to_it() {
    let mut run = Run::new(&[("one", true, true), ("other", false, true)]);
    run.data(b"\xfe");
    run.renew(&[("one", true, true), ("other", false, true)]);
    assert_eq!(run.data(b"\x01a"), [""; 0], "given up is given up");
    run.renew(&[("one", false, true), ("other", true, true)]);
    assert_eq!(run.data(b"\x01b")[0], "other opens, midstream true");
}

#[test]
fn probing_goes_on_with_the_plugins_that_are_left() {
    let mut run = Run::new(&[("one", true, true), ("other", true, true)]);
    assert_eq!(run.data(b"\x02a"), [""; 0], "both wait for more");
    run.renew(&[("one", false, true), ("other", true, true)]);
    assert_eq!(run.data(b"b"), ["other opens, midstream false", "0 ab"]);
}

#[test]
fn what_a_probe_knew_goes_on() {
    let mut run = Run::guessing(&[("one", false, true), ("two", false, true)]);
    assert_eq!(run.data(b"\x03two\x02a"), ["two opens, midstream false", "0 two"]);
    run.renew_guessing(&[("one", true, true), ("two", false, true)]);
    assert_eq!(run.data(b"b\x01c"), ["two renews", "0 ab", "0 c"]);
    assert_eq!(run.host.counters.decoded, 1);
}

#[test]
fn who_loses_a_connection_on_trial_leaves_all_that_came_to_others() {
    let mut run = Run::new(&[("one", true, true), ("two", true, true)]);
    assert_eq!(run.data(b"\x03one\x02a"), ["one opens, midstream false", "0 one"]);
    run.renew(&[("one", false, true), ("two", true, true)]);
    assert_eq!(run.data(b"b\x01c"), ["two opens, midstream false", "0 one", "0 ab", "0 c"]);
    let counters = run.host.counters;
    assert_eq!([counters.decoded, counters.disclaimed, counters.withdrawn], [1, 1, 0]);
}

#[test]
fn on_trial_the_new_ones_are_asked_too() {
    let mut run = Run::new(&[("one", true, true), ("two", true, true), ("new", false, true)]);
    assert_eq!(run.data(b"\x03one"), ["one opens, midstream false", "0 one"]);
    run.renew(&[("one", true, true), ("two", false, true), ("new", true, true)]);
    // The first says now that it is not its protocol.
    assert_eq!(run.data(b"\xfe"), ["one renews", "new opens, midstream false", "0 one"]);
    assert_eq!(run.host.counters.withdrawn, 2, "and so does the other one");
}

#[test]
fn what_nobody_knew_gets_who_asks_for_it() {
    let mut run = Run::guessing(&[("one", false, true), ("two", false, true)]);
    assert_eq!(run.data(b"\x09unknown bytes"), [""; 0]);
    assert_eq!(run.host.counters.unrecognised, 1);
    run.renew_guessing(&[("one", false, true), ("two", false, true)]);
    assert_eq!(run.data(b"\x03one"), [""; 0], "nobody is new");
    run.renew_guessing(&[("one", false, true), ("two", true, true)]);
    assert_eq!(
        run.data(b"\x03two"),
        ["two opens, midstream true", "0 gap Unknown tail ", "1 gap Unknown tail ", "0 two"]
    );
}

#[test]
fn several_join_in_the_middle() {
    for oriented_by in [OrientedBy::Syn, OrientedBy::FirstSender] {
        let mut run = Run::new(&[("one", false, true), ("two", false, true)]);
        run.flow.oriented_by = oriented_by;
        assert_eq!(run.data(b"\x01a"), [""; 0]);
        run.renew(&[("one", true, true), ("two", true, true)]);
        let first = run.data(b"\x03two");
        // Port 1000 is the server's, where no SYN says otherwise.
        let said = if oriented_by == OrientedBy::Syn { "0 two" } else { "1 two" };
        assert_eq!(first.first().map(String::as_str), Some("two opens, midstream true"));
        assert_eq!(first.iter().filter(|what| what.contains("gap Unknown tail ")).count(), 2, "{first:?}");
        assert_eq!(first.last().map(String::as_str), Some(said));
    }
}

#[test]
fn probing_ends_when_nobody_is_left() {
    let mut run = Run::new(&[("one", true, true), ("two", true, true)]);
    assert_eq!(run.data(b"\x02a"), [""; 0]);
    assert!(run.slot.kept() > 0);
    run.renew(&[("one", false, true), ("two", false, true)]);
    assert_eq!(run.data(b"b"), [""; 0]);
    assert_eq!((run.slot.kept(), run.host.counters.disclaimed), (0, 1));
}

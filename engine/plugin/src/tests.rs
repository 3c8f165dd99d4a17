//! Plugins that a C compiler made: `tests/lines.c`, whole and broken in several ways.

use core::mem::offset_of;
use core::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::Library;
use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Direction, End, Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport};
use sniff_x_proto::event::{Arena, IncompleteReason, KeyTable, Kind, Status, Suffix, ValueRef};
use sniff_x_proto::{BypassReason, Decode, Decoder, Lost, Next, Options, Out, Plugin, Probe, Window};
use tempfile::TempDir;

use crate::abi::*;
use crate::load;

/// Compiles the test's plugin; none (and a line that says so) without a C compiler. The folder must live as long as it is used.
fn compiled(flags: &[&str]) -> Option<(TempDir, PathBuf)> {
    if Command::new("cc").arg("--version").output().is_err() {
        println!("skipped: there is no C compiler (cc)");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("lines.so");
    let output = Command::new("cc")
        .args(["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-I")
        .arg(root.join("include"))
        .arg("-o")
        .args([&library, &root.join("tests/lines.c")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((folder, library))
}

fn loaded() -> Option<(TempDir, Box<dyn Plugin>, KeyTable)> {
    let (folder, library) = compiled(&[])?;
    let mut keys = KeyTable::default();
    let plugin = load(&library, &mut keys).unwrap();
    Some((folder, plugin, keys))
}

fn flow(midstream: bool) -> FlowInfo {
    let end = |last, port| Endpoint::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port);
    let (key, client_side) = FlowKey::new(end(1, 50_000), end(2, 4000), Transport::Tcp, Place::default());
    let oriented_by = OrientedBy::Syn;
    FlowInfo {
        key,
        client_side,
        oriented_by,
        first_seen: Nanos(1),
        last_seen: Nanos(1),
        interface: 1,
        midstream,
        serial: 1,
    }
}

/// A connection of the plugin, and all events that came of it.
struct Talk {
    decoder: Decoder,
    arena: Arena,
    keys: KeyTable,
}

impl Talk {
    fn of(plugin: &dyn Plugin, keys: KeyTable) -> Self {
        Self { decoder: plugin.open(&flow(false)), arena: Arena::new(16), keys }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Decoder, &mut Out<'_>) -> T) -> T {
        let (flow, totals) = (flow(false), [Totals::default(); 2]);
        call(&mut self.decoder, &mut Out::new(&mut self.arena, &flow, &totals, Nanos(1000), false))
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], at: u64) -> Next {
        let seen = sniff_x_proto::Seen::at(Nanos(at), bytes.len());
        self.call(|decoder, out| decoder.data(direction, Window::new(bytes, &seen), out))
    }

    /// The events as text: kind, timestamp, duration, status, fields.
    fn events(&self) -> Vec<String> {
        let show = |value| match value {
            ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
            ValueRef::U64(v) => v.to_string(),
            ValueRef::I64(v) => v.to_string(),
            ValueRef::Bool(v) => v.to_string(),
            ValueRef::Null => "null".to_owned(),
            ValueRef::F64(v) => v.to_string(),
        };
        let events = self.arena.events().map(|event| {
            let head = &event.head;
            assert_eq!(head.protocol, "lines");
            let mut text =
                format!("{:?} {} {:?} {:?}", head.kind, head.timestamp.0, head.duration, head.status);
            for (key, suffix, value) in self.arena.fields(event) {
                let index = if let Suffix::Index(index) = suffix { index.to_string() } else { String::new() };
                text += &format!(" {}{index}={}", self.keys.name(key), show(value));
            }
            text
        });
        events.collect()
    }
}

#[test]
fn what_a_plugin_says_of_itself() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let about = plugin.about();
    assert_eq!((about.name, about.version, about.summary), ("lines", "1.2", "lines of text"));
    let options: Vec<_> =
        about.options.iter().map(|o| (o.long, o.short, o.value, o.default, o.repeatable)).collect();
    let expected = [("port", Some('p'), Some("PORT"), Some("4000"), false), ("loud", None, None, None, true)];
    assert_eq!(options, expected);
    let names: Vec<_> = about.keys.iter().map(|k| keys.name(*k)).collect();
    assert_eq!(names[..3], ["db.operation.name", "error.message", "lines.length"]);
    assert_eq!(keys.info(about.keys[2]).unwrap().about, "Length of the response");
}

#[test]
fn options_rule_ports_and_probe() {
    let Some((_folder, mut plugin, _)) = loaded() else { return };
    assert_eq!(plugin.rule(), "tcp and port 4000");
    let mut options = Options::default();
    options.push("loud", "");
    options.push("port", "70000");
    let error = plugin.configure(&options).unwrap_err();
    assert_eq!(error.to_string(), "--port: '70000' is not a port from 1 to 65535");
    options.push("port", "4001");
    assert!(plugin.configure(&options).is_err(), "the first one is still wrong");
    let mut options = Options::default();
    options.push("port", "4001");
    plugin.configure(&options).unwrap();
    assert_eq!(plugin.rule(), "tcp and port 4001");
    assert!(plugin.is_server_port(4001) && !plugin.is_server_port(4000));
    assert_eq!(plugin.probe(b"GET", b""), Probe::Yes { reversed: false });
    assert_eq!(plugin.probe(b"\x16", b""), Probe::No);
    assert_eq!(plugin.probe(b"", b""), Probe::More);
    assert_eq!(plugin.probe(b"", b"R"), Probe::Yes { reversed: true });
}

#[test]
fn exchanges_with_values_of_all_types() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let mut talk = Talk::of(&*plugin, keys);
    assert_eq!(talk.data(Direction::ToServer, b"GE", 100), Next::More { used: 0, need: 3 });
    assert_eq!(talk.data(Direction::ToServer, b"GET it\n", 110), Next::More { used: 7, need: 0 });
    assert!(talk.call(|decoder, out| decoder.tick(Nanos(120), out)));
    assert_eq!(
        talk.data(Direction::ToClient, b"a response of some length\nx", 150),
        Next::More { used: 26, need: 0 }
    );
    assert!(!talk.call(|decoder, out| decoder.tick(Nanos(160), out)));
    let _ = talk.data(Direction::ToServer, b"LOGIN me:secret\n", 200);
    let _ = talk.data(Direction::ToClient, b"FAIL\n", 210);
    let expected = [
        "Exchange 110 Some(40) Some(Ok) db.operation.name=\"GET it\" lines.length=25 lines.delta=-19 lines.score=12.5 \
         lines.last=false lines.word.7=\"a response of so\"",
        "Exchange 200 Some(10) Some(Error) lines.length=4 lines.delta=11 lines.score=2 lines.last=true \
         lines.word.7=\"FAIL\" error.message=\"FAIL\"",
    ];
    assert_eq!(talk.events(), expected);
    assert!(talk.decoder.retained() > 0);
}

#[test]
fn gaps_and_the_end() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let mut talk = Talk::of(&*plugin, keys);
    let seen = sniff_x_proto::Seen::at(Nanos(50), 4);
    let next = talk.call(|decoder, out| {
        decoder.gap(Direction::ToServer, Window::new(b"tail", &seen), Lost::Bytes(1448), out)
    });
    assert_eq!(next, Next::Skip { used: 0, then: 3 });
    let _ = talk.data(Direction::ToServer, b"GET\n", 60);
    let tails = [Window::new(b"abcd", &seen), Window::new(b"", &seen)];
    talk.call(|decoder, out| decoder.end(End::Evicted, tails, out));
    let gap = Status::Incomplete(IncompleteReason::Gap);
    let evicted = Status::Incomplete(IncompleteReason::Evicted);
    let expected = [
        format!("{:?} 1000 None {:?} lines.length=1448", Kind::Notice, Some(gap)),
        format!("{:?} 60 None {:?} lines.length=4", Kind::Exchange, Some(evicted)),
    ];
    assert_eq!(talk.events(), expected);
}

#[test]
fn a_plugin_may_refuse_a_flow_and_have_no_datagrams() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let mut talk = Talk::of(&*plugin, keys);
    talk.decoder = plugin.open(&flow(true));
    let refused = Next::Bypass(BypassReason::NotThisProtocol);
    assert_eq!(talk.data(Direction::ToServer, b"GET\n", 1), refused);
    assert!(!talk.call(|decoder, out| decoder.tick(Nanos(1), out)));
    let mut talk = Talk::of(&*plugin, talk.keys);
    let seen = sniff_x_proto::Seen::at(Nanos(1), 1);
    let next = talk.call(|decoder, out| decoder.datagram(Direction::ToServer, Window::new(b"x", &seen), out));
    assert_eq!(next, refused);
    assert_eq!(talk.events(), [""; 0]);
}

/// What a plugin does wrong costs its own events, never the process.
#[test]
fn wild_answers() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let mut talk = Talk::of(&*plugin, keys);
    let undecodable = Next::Bypass(BypassReason::Undecodable);
    let mut wild = |line: &[u8]| talk.data(Direction::ToServer, line, 5);
    assert_eq!(wild(b"WILD 0\n"), undecodable);
    assert_eq!(wild(b"WILD 1\n"), undecodable);
    assert_eq!(wild(b"WILD 2\n"), Next::More { used: 0, need: 0 });
    assert_eq!(wild(b"WILD 3\n"), Next::More { used: 0, need: 0 });
    assert_eq!(wild(b"WILD 4\n"), Next::More { used: 7, need: 0 });
    assert_eq!(wild(b"WILD 5\n"), Next::More { used: 7, need: 0 });
    assert_eq!(wild(b"WILD 6\n"), Next::Bypass(BypassReason::Encrypted));
    assert_eq!(talk.events(), ["Notice 5 None None error.message=\"\""]);
}

/// A decoder keeps the plugin object alive.
#[test]
fn decoders_may_outlive_the_plugin() {
    let Some((_folder, plugin, keys)) = loaded() else { return };
    let mut talk = Talk::of(&*plugin, keys);
    drop(plugin);
    let _ = talk.data(Direction::ToServer, b"GET\n", 1);
    let _ = talk.data(Direction::ToClient, b"OK\n", 2);
    assert_eq!(talk.events().len(), 1);
}

#[test]
fn broken_plugins_are_refused_with_a_reason() {
    for (how, reason) in [
        (1, "sniff_x_plugin is null"),
        (2, "version 7 of the plugin interface"),
        (3, "sniff_x_plugin is smaller"),
        (4, "data is missing"),
        (5, "sniff_x_about is null"),
        (6, "the plugin's name 'Not A Name'"),
        (7, "the key 'timestamp' is written by the host"),
        (8, "the key 'db.query.text' is known with another type"),
        (9, "the key 'quo\"te' is not made of"),
        (10, "the plugin's summary has control characters"),
        (11, "the array of sniff_x_option is"),
        (12, "opens_at is unknown"),
        (13, "sniff_x_key is smaller"),
    ] {
        let Some((_folder, library)) = compiled(&[&format!("-DBREAK={how}")]) else { return };
        let error = load(&library, &mut KeyTable::default()).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains(reason)), "{how}: {error:?}");
        assert!(error.is_some_and(|e| e.starts_with(library.to_str().unwrap())));
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("text.so");
    std::fs::write(&library, "not a library").unwrap();
    let error = load(&library, &mut KeyTable::default()).err().unwrap().to_string();
    assert!(error.contains("can't be loaded"), "{error}");
}

/// Sizes of the structs and offsets of their last fields, by the C compiler and by Rust.
#[test]
fn both_sides_agree_on_the_layout() {
    macro_rules! layout {
        ($($type:ident . $field:ident),+) => { [$(size_of::<$type>(), offset_of!($type, $field)),+] };
    }
    let expected = layout!(
        RawOption.repeatable,
        RawKey.value_type,
        RawAbout.opens_at,
        RawValue.value,
        RawComplaint.expected,
        RawFlow.midstream,
        RawWindow.seen,
        RawNext.what,
        RawHost.emit,
        RawPlugin.close
    );
    let Some((_folder, library)) = compiled(&[]) else { return };
    // SAFETY: the library is the one that was just compiled; it has no initialisers, and the array has this type and length.
    let layout = unsafe {
        let library = Library::new(&library).unwrap();
        let layout = library.get::<*const [usize; 20]>(b"sniff_x_layout\0").unwrap();
        **layout
    };
    assert_eq!(layout, expected);
}

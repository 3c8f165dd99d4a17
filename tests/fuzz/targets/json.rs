//! Events of any fields: a JSON line is one line of valid JSON whose values are those of the record, held against serde_json; a line of text is
//! one line without control characters.
//!
//! Input: the event's head, then fields: a key (8 bits), a type (8 bits), a name where the key is a family, a value. Texts have their lengths before them.

use std::collections::{HashMap, HashSet};
use std::mem::discriminant;

use serde_json::Value;
use sniff_x_engine::sink::json;
use sniff_x_engine::sink::terminal::{Size, Terminal};
use sniff_x_engine::sink::text::{Text, TextOptions};
use sniff_x_flow::assembler::Totals;
use sniff_x_flow::{Endpoint, FlowInfo, FlowKey, Nanos, OrientedBy, Place, Transport};
use sniff_x_proto::event::{Arena, IncompleteReason, Key, KeyTable, Kind, Status, Suffix, ValueRef};
use sniff_x_proto::{Out, Sensitivity};

use crate::harness::input::Input;
use crate::harness::signal::Signal;
use crate::seeds::Seeds;

pub(crate) const WORDS: &[&[u8]] = &[
    b"\\x41",
    b"\\\\x41",
    b"\\u0041",
    b"\"",
    b"\\",
    b"\x00",
    b"\x1b[31m",
    b"\x7f",
    b"\xc2\x80",
    b"\xc2\x9b",
    b"\xc2\xa0",
    b"\xc2",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r\n",
];

pub(crate) fn seeds(_: &Seeds) -> Vec<Vec<u8>> {
    let mut all = vec![vec![], vec![1; 40]];
    for (n, word) in WORDS.iter().enumerate() {
        let n = n as u8;
        let len = [word.len() as u8];
        let text = [&len, *word].concat();
        all.push([&[n, 1, 2, 3][..], &[n * 3, 4], &text, &[n * 5, 2], &[0xff; 8], &[n, 4], &text].concat());
        all.push([&[n, 9, 1, 0][..], &[n, 0], &[n; 8], &[n, 3], &1.5e300_f64.to_le_bytes()].concat());
    }
    all
}

fn flow(input: &mut Input<'_>) -> FlowInfo {
    let v6 = input.u8() & 1 != 0;
    let mut end = || {
        let port = input.u16();
        if v6 { Endpoint::v6(input.array(), port) } else { Endpoint::v4(input.array(), port) }
    };
    let (client, server) = (end(), end());
    let (key, client_side) = FlowKey::new(client, server, Transport::Tcp, Place::default());
    let time = Nanos(input.u64());
    FlowInfo {
        key,
        client_side,
        oriented_by: OrientedBy::Syn,
        first_seen: time,
        last_seen: time,
        interface: 0,
        midstream: false,
        serial: 1,
    }
}

const KINDS: [Kind; 5] = [Kind::Exchange, Kind::Message, Kind::Session, Kind::Notice, Kind::Summary];
const STATUS: [Status; 4] = [
    Status::Ok,
    Status::Error,
    Status::Incomplete(IncompleteReason::Gap),
    Status::Incomplete(IncompleteReason::Evicted),
];

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut input = Input(data);
    let keys = KeyTable::default();
    let all: Vec<(Key, bool)> = keys.iter().map(|(key, info)| (key, info.name.ends_with('.'))).collect();
    let kind = KINDS[usize::from(input.u8()) % KINDS.len()];
    let status = STATUS.get(usize::from(input.u8() % 8)).copied();
    let flow = flow(&mut input);
    let mut arena = Arena::new(usize::from(input.u8()) * 64);
    let totals = [Totals::default(); 2];
    let mut out = Out::new(&mut arena, &flow, &totals, flow.first_seen, false);
    let mut event = out.event("fuzz", kind, flow.first_seen).maybe(status, |event, s| event.status(s));
    if input.u8() & 1 != 0 {
        event = event.until(Nanos(input.u64()));
    }
    let mut names = HashSet::new();
    while !input.is_empty() {
        let (key, family) = all[usize::from(input.u8()) % all.len()];
        let how = input.u8();
        // A record has no key twice, but families have members, named by the wire: those may be.
        if !family && !names.insert(keys.name(key)) {
            continue;
        }
        let size =
            |input: &mut Input<'_>| usize::from(if how & 128 == 0 { input.u8().into() } else { input.u16() });
        if family {
            let len = usize::from(input.u8());
            let name = input.bytes(len);
            let suffix = if how & 64 == 0 { Suffix::Name(name) } else { Suffix::Index(u32::from(how) << 20) };
            let len = size(&mut input);
            event = match how % 3 {
                0 => event.member_null(key, suffix),
                1 => event.member_written(key, suffix, input.u64(), Sensitivity::Public),
                _ => event.member_text(key, suffix, input.bytes(len), len as u64, Sensitivity::Public),
            };
            continue;
        }
        event = match how % 5 {
            0 => event.number(key, input.u64()),
            1 => event.signed(key, input.u64().cast_signed()),
            2 => event.float(key, f64::from_bits(input.u64())),
            3 => event.flag(key, how & 64 != 0),
            _ => {
                let len = size(&mut input);
                event.text(key, input.bytes(len), Sensitivity::Literal)
            }
        };
    }
    event.emit();
    let event = *arena.events().next().unwrap();

    let mut line = Vec::new();
    json::write(&arena, &event, &keys, &mut line);
    let line = one_line(&line);
    let tree: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let told: HashMap<Vec<u8>, &Value> =
        tree.as_object().unwrap().iter().map(|(name, value)| (original(name), value)).collect();
    let mut put = HashMap::new();
    for (key, suffix, value) in arena.fields(&event) {
        let mut name = keys.name(key).as_bytes().to_vec();
        match suffix {
            Suffix::None => {}
            Suffix::Index(n) => name.extend(n.to_string().bytes()),
            Suffix::Name(n) => name.extend(n),
        }
        put.insert(name, value);
    }
    for (name, value) in put {
        let told = told.get(&name).unwrap_or_else(|| panic!("{} is missing in {line}", name.escape_ascii()));
        signal.note((discriminant(&value), told.is_null()));
        match value {
            ValueRef::U64(v) => assert_eq!(told.as_u64(), Some(v)),
            ValueRef::I64(v) => assert_eq!(told.as_i64(), Some(v)),
            ValueRef::F64(v) if v.is_finite() => assert_eq!(told.as_f64(), Some(v)),
            ValueRef::F64(_) | ValueRef::Null => assert!(told.is_null(), "{told} is not null"),
            ValueRef::Bool(v) => assert_eq!(told.as_bool(), Some(v)),
            ValueRef::Text(v) => {
                let shown = told.as_str().unwrap_or_else(|| panic!("{told} is no string"));
                assert_eq!(original(shown), v, "{shown}");
                signal.note((
                    shown.len() == v.len(),
                    shown.contains("\\x"),
                    v.is_ascii(),
                    v.len().checked_ilog2(),
                ));
            }
        }
    }

    for (color, columns, wide) in
        [(false, None, false), (true, None, false), (false, Some(60), false), (false, Some(60), true)]
    {
        let terminal = columns.map(|columns| Terminal::new(move || Some(Size { columns, rows: 24 })));
        let mut line = Vec::new();
        Text::new(TextOptions { color, wide, terminal, ..TextOptions::default() })
            .write(&arena, &event, &keys, &mut line);
        let lines = std::str::from_utf8(&line).unwrap();
        assert!(lines.ends_with('\n'), "a line that does not end: {lines:?}");
        assert!(wide || lines.lines().count() == 1, "several lines: {lines:?}");
        if !color {
            assert!(!lines.chars().any(|c| c.is_control() && c != '\n'), "control characters: {lines:?}");
        }
        signal.count("text", lines.len() as u64);
    }
}

/// The line without its line feed.
fn one_line(line: &[u8]) -> &str {
    let line = std::str::from_utf8(line).unwrap().strip_suffix('\n').unwrap();
    assert!(!line.contains(['\n', '\r']), "several lines");
    line
}

/// The bytes behind a string's value: `\xNN` is a byte, all else is as it stands.
fn original(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let digits = after.strip_prefix(b"x").and_then(|d| d.get(..2));
        match digits.filter(|d| first == b'\\' && d.iter().all(u8::is_ascii_hexdigit)).and_then(hex) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

//! Every command with its response, and every form that results have, byte by byte from the protocol's text.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use mysql_support::generate::{lenenc, packets};
use mysql_support::{Random, client, field, heads, play, play_until, server, split_invariant};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::replay::Step;

const BASIC: u64 = 1 | 1 << 9 | 1 << 15 | 1 << 19;
const SESSION_TRACK: u64 = 1 << 23;
const DEPRECATE_EOF: u64 = 1 << 24;
const OPTIONAL_METADATA: u64 = 1 << 25;
const CACHE_METADATA: u64 = 1 << 36;

const MORE_RESULTS: u16 = 8;
const CURSOR_EXISTS: u16 = 0x40;
const LAST_ROW_SENT: u16 = 0x80;
const PS_OUT_PARAMS: u16 = 0x1000;
const SESSION_CHANGED: u16 = 0x4000;

/// A login with these capabilities, and what comes behind it; the events behind the login's.
fn told(caps: u64, steps: &[Step]) -> Vec<String> {
    let mut lines = play(false, &with_login(caps, steps));
    assert!(lines.remove(0).starts_with("session ok"));
    lines
}

fn with_login(caps: u64, steps: &[Step]) -> Vec<Step> {
    let bytes = caps.to_le_bytes();
    let greeting = [
        b"\x0a8.0.0\0\x07\0\0\0abcdefgh\0",
        &bytes[..2],
        &[45, 2, 0],
        &bytes[2..4],
        &[21, 0, 0, 0, 0, 0, 0],
        &bytes[4..],
        b"ijklmnopqrst\0mysql_native_password\0",
    ]
    .concat();
    let login =
        [&bytes[..4], &[0, 0, 0, 1, 45], &[0; 19], &bytes[4..], b"alice\0\0mysql_native_password\0"].concat();
    let mut all = vec![server(packets(&mut 0, &greeting)), client(packets(&mut 1, &login)), ok(2, 0, 0)];
    all.extend_from_slice(steps);
    all
}

fn command(byte: u8, body: &[u8]) -> Step {
    client(packets(&mut 0, &[&[byte], body].concat()))
}

fn query(text: &str) -> Step {
    command(3, text.as_bytes())
}

fn ok(mut seq: u8, affected: u8, status: u16) -> Step {
    server(ok_packet(&mut seq, 0, affected, status))
}

/// An OK packet with header `head`.
fn ok_packet(seq: &mut u8, head: u8, affected: u8, status: u16) -> Vec<u8> {
    let [low, high] = status.to_le_bytes();
    packets(seq, &[head, affected, 0, low, high, 0, 0])
}

fn eof_packet(seq: &mut u8, status: u16) -> Vec<u8> {
    let [low, high] = status.to_le_bytes();
    packets(seq, &[0xfe, 0, 0, low, high])
}

fn end(seq: &mut u8, caps: u64, status: u16) -> Vec<u8> {
    if caps & DEPRECATE_EOF != 0 { ok_packet(seq, 0xfe, 0, status) } else { eof_packet(seq, status) }
}

fn err(mut seq: u8, code: u16, text: &str) -> Step {
    server(packets(&mut seq, &[&[0xff], &code.to_le_bytes()[..], b"#HY000", text.as_bytes()].concat()))
}

const DEFINITION: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\0\0\0\0\xfd\0\0\0\0\0";

/// A result set of one column.
fn rows(seq: &mut u8, caps: u64, rows: &[&[u8]], status: u16) -> Vec<u8> {
    let mut out = packets(seq, &[1]);
    out.extend(packets(seq, DEFINITION));
    if caps & DEPRECATE_EOF == 0 {
        out.extend(eof_packet(seq, status & !MORE_RESULTS));
    }
    for row in rows {
        out.extend(packets(seq, row));
    }
    out.extend(end(seq, caps, status));
    out
}

fn operations(lines: &[String]) -> Vec<String> {
    lines.iter().map(|l| field(l, "db.operation.name").unwrap()).collect()
}

fn of(lines: &[String], name: &str) -> Vec<String> {
    lines.iter().map(|l| field(l, name).unwrap_or_default()).collect()
}

#[test]
fn every_command_by_its_name() {
    let progress = |caps| server(rows(&mut 1, caps, &[b"\x017", b"\x018"], 2));
    for caps in [BASIC, BASIC | DEPRECATE_EOF] {
        let eof = || server(end(&mut 1, caps, 2));
        let definitions = || {
            let mut seq = 1;
            let mut bytes = packets(&mut seq, &[DEFINITION, b"\xfb"].concat());
            bytes.extend(end(&mut seq, caps, 2));
            server(bytes)
        };
        let refused = || err(1, 1047, "Unknown command");
        for (byte, body, answer, name, expected) in [
            (0x00, &b""[..], refused(), "SLEEP", "error"),
            (0x02, b"shop", ok(1, 0, 2), "INIT_DB", "ok"),
            (0x04, b"orders\0%id%", definitions(), "FIELD_LIST", "ok"),
            (0x05, b"shop2", ok(1, 1, 2), "CREATE_DB", "ok"),
            (0x06, b"shop2", ok(1, 0, 2), "DROP_DB", "ok"),
            (0x07, b"\x04", ok(1, 0, 2), "REFRESH", "ok"),
            (0x08, b"\0", eof(), "SHUTDOWN", "ok"),
            (0x08, b"", ok(1, 0, 2), "SHUTDOWN", "ok"),
            (0x09, b"", server(packets(&mut 1, b"Uptime: 3  Threads: 1")), "STATISTICS", "ok"),
            (0x0a, b"", progress(caps), "PROCESS_INFO", "ok"),
            (0x0b, b"", refused(), "CONNECT", "error"),
            (0x0c, b"\x09\0\0\0", ok(1, 0, 2), "PROCESS_KILL", "ok"),
            (0x0c, b"\x09\0\0\0", err(1, 1094, "Unknown thread id: 9"), "PROCESS_KILL", "error"),
            (0x0d, b"", eof(), "DEBUG", "ok"),
            (0x0e, b"", ok(1, 0, 2), "PING", "ok"),
            (0x0f, b"", refused(), "TIME", "error"),
            (0x10, b"", refused(), "DELAYED_INSERT", "error"),
            (0x14, b"", refused(), "CONNECT_OUT", "error"),
            (
                0x15,
                b"\x02\0\0\0\0\x04repl\x07hunter2\xea\x0c\0\0\0\0\0\0\0\0",
                ok(1, 0, 2),
                "REGISTER_SLAVE",
                "ok",
            ),
            (0x1a, b"\x09\0\0\0", ok(1, 0, 2), "RESET", "ok"),
            (0x1a, b"\x09\0\0\0", err(1, 1243, "Unknown prepared statement"), "RESET", "error"),
            (0x1b, b"\0\0", eof(), "SET_OPTION", "ok"),
            (0x1d, b"", refused(), "DAEMON", "error"),
            (0x1f, b"", ok(1, 0, 2), "RESET_CONNECTION", "ok"),
            (0x22, b"", refused(), "UNKNOWN", "error"),
            (0xfa, b"\x09\0\0\0\x80\0\x03\0\0\x01\0\0\0", ok(1, 3, 2), "BULK_EXECUTE", "ok"),
            (0xfa, b"\x09\0\0\0\x80\0\x03\0\0\x01\0\0\0", progress(caps), "BULK_EXECUTE", "ok"),
        ] {
            let steps = [command(byte, body), answer, command(0x0e, b""), ok(1, 0, 2)];
            let lines = told(caps, &steps);
            assert_eq!(operations(&lines), [name, "PING"], "{lines:#?}");
            assert_eq!(heads(&lines), [format!("exchange {expected}"), "exchange ok".to_owned()], "{name}");
            assert!(!lines.concat().contains("hunter"));
            split_invariant(false, &with_login(caps, &steps), &mut Random(2), true, name);
        }
        let lines =
            told(caps, &[command(0x0a, b""), progress(caps), command(0x0c, b"\x09\0\0\0"), ok(1, 0, 2)]);
        assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "2");
        assert_eq!(field(&lines[1], "sniffx.mysql.argument").unwrap(), "9");
    }
}

/// Clone and the stream of group replication take the connection over.
#[test]
fn commands_that_take_over() {
    for (byte, name) in [(0x20, "CLONE"), (0x21, "SUBSCRIBE_GROUP_REPLICATION_STREAM")] {
        let lines = told(BASIC, &[command(byte, b""), ok(1, 0, 2), client(b"\x01\x02\x03".to_vec())]);
        assert_eq!(heads(&lines), ["exchange ok", "notice"], "{name}");
        assert_eq!(operations(&lines[..1]), [name]);
        let lines = told(
            BASIC,
            &[command(byte, b""), err(1, 1227, "Access denied"), command(0x0e, b""), ok(1, 0, 2)],
        );
        assert_eq!(heads(&lines), ["exchange error", "exchange ok"], "{name}");
    }
}

#[test]
fn streams_are_told_of_while_they_go_on() {
    const MINUTE: u64 = 60_000_000_000;
    let event = |seq: u8| packets(&mut seq.clone(), &[&[0], &[7; 40][..]].concat());
    // A semi-synchronous event has 0xef and a flag in front, and the replica acknowledges it.
    let semi_sync = |seq: u8| packets(&mut seq.clone(), &[&[0, 0xef, 1], &[7; 40][..]].concat());
    let acknowledgement = client(packets(&mut 0, b"\xef\x04\0\0\0\0\0\0\0binlog.000001"));
    for (byte, body, name) in [
        (0x12, &b"\x04\0\0\0\0\0\x02\0\0\0binlog.000001"[..], "BINLOG_DUMP"),
        (0x1e, b"\x04\0\x02\0\0\0\x00\0\0\0\x04\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0", "BINLOG_DUMP_GTID"),
        (0x13, b"\x04shop\x06orders", "TABLE_DUMP"),
    ] {
        let mut steps = vec![command(byte, body), server([event(1), event(2), semi_sync(3)].concat())];
        steps.extend([acknowledgement.clone(), server(event(4)), Step::Wait(MINUTE)]);
        steps.extend([server(event(5)), server(event(6)), Step::Wait(2 * MINUTE), server(event(7))]);
        let size = 6 * event(1).len() + semi_sync(3).len();
        let lines = told(BASIC, &steps);
        assert_eq!(heads(&lines), ["session ok", "message", "message", "exchange incomplete:eof"], "{name}");
        assert_eq!(operations(&lines[1..]), [name; 3]);
        assert_eq!(of(&lines[1..], "sniffx.mysql.binlog.events"), ["5", "7", "7"]);
        assert_eq!(field(&lines[3], "sniffx.db.response.size").unwrap(), size.to_string());
        // Ended by the server: no more for now, or an error.
        let mut ended = steps.clone();
        ended.push(server(eof_packet(&mut 8, 2)));
        assert_eq!(heads(&told(BASIC, &ended))[3..], ["exchange ok"]);
        steps.push(err(8, 1236, "Could not find first log file name in binary log index file"));
        let lines = told(BASIC, &steps);
        assert_eq!(heads(&lines)[3..], ["exchange error"]);
        assert_eq!(field(&lines[3], "sniffx.mysql.binlog.events").unwrap(), "7");
    }
}

#[test]
fn a_quit_is_told_wherever_the_connection_is_joined() {
    let quit = b"\x01\0\0\0\x01";
    for steps in [vec![client(quit)], vec![ok(1, 0, 2), client(quit)]] {
        let lines = play(true, &steps);
        assert_eq!(heads(&lines), ["message"], "{steps:?}");
        assert_eq!(operations(&lines), ["QUIT"]);
        split_invariant(true, &steps, &mut Random(3), true, "QUIT");
        // Nobody hung up.
        assert_eq!(play_until(true, &steps, End::Eof), [""; 0]);
        assert_eq!(play_until(true, &steps, End::Idle), [""; 0]);
    }
    // These are the same bytes in something else: more follows, or the server answers.
    for steps in [
        vec![client(quit), client(b"\x07\0\0\0\x03")],
        vec![client(quit), ok(1, 0, 2)],
        vec![client([&quit[..], quit].concat())],
        vec![client([b"x", &quit[..]].concat())],
    ] {
        assert_eq!(play(true, &steps), [""; 0], "{steps:?}");
    }
    // Behind a gap, with a request that waits.
    let lines =
        told(BASIC, &[query("select 1"), Step::Gap(Direction::ToServer, 7), ok(1, 0, 2), client(quit)]);
    assert_eq!(operations(&lines[lines.len() - 1..]), ["QUIT"], "{lines:#?}");
}

#[test]
fn results_of_a_call_end_with_its_ok() {
    for caps in [BASIC, BASIC | DEPRECATE_EOF] {
        let text = "select 1; call p(@a); select 2; call q; delete from t";
        let mut seq = 1;
        let mut answer = rows(&mut seq, caps, &[b"\x011"], MORE_RESULTS);
        // Two result sets of p, then its end.
        answer.extend(rows(&mut seq, caps, &[b"\x01x", b"\x01y"], MORE_RESULTS));
        answer.extend(rows(&mut seq, caps, &[], MORE_RESULTS));
        answer.extend(ok_packet(&mut seq, 0, 5, MORE_RESULTS));
        answer.extend(rows(&mut seq, caps, &[b"\x012"], MORE_RESULTS));
        // q has no rows.
        answer.extend(ok_packet(&mut seq, 0, 0, MORE_RESULTS));
        answer.extend(ok_packet(&mut seq, 0, 9, 2));
        let steps = [query(text), server(answer)];
        let lines = told(caps, &steps);
        assert_eq!(operations(&lines), ["SELECT", "CALL", "CALL", "CALL", "SELECT", "CALL", "DELETE"]);
        assert_eq!(of(&lines, "db.response.returned_rows"), ["1", "2", "0", "", "1", "", ""]);
        assert_eq!(of(&lines, "sniffx.db.affected_rows"), ["", "", "", "5", "", "0", "9"]);
        assert_eq!(of(&lines, "sniffx.db.result_index"), ["", "1", "2", "3", "4", "5", "6"]);
        split_invariant(false, &with_login(caps, &steps), &mut Random(4), false, "CALL");
    }
}

/// OUT parameters of a prepared CALL come as a row of their own in front of its OK.
#[test]
fn out_parameters() {
    for caps in [BASIC, BASIC | DEPRECATE_EOF] {
        let mut seq = 1;
        let mut answer = rows(&mut seq, caps, &[b"\0\0\x01x"], MORE_RESULTS);
        answer.extend(rows(&mut seq, caps, &[b"\0\0\x07\0\0\0"], MORE_RESULTS | PS_OUT_PARAMS));
        answer.extend(ok_packet(&mut seq, 0, 0, 2));
        let lines = told(
            caps,
            &[
                command(0x16, b"call p(?)"),
                server(packets(&mut 1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
                command(0x17, b"\x01\0\0\0\0\x01\0\0\0"),
                server(answer),
            ],
        );
        assert_eq!(heads(&lines), ["exchange ok"; 4]);
        assert_eq!(operations(&lines), ["PREPARE", "CALL", "CALL", "CALL"]);
        assert_eq!(of(&lines, "db.response.returned_rows"), ["", "1", "1", ""]);
    }
}

#[test]
fn local_files() {
    let load = || query("load data local infile '/tmp/x' into table t");
    let wanted = || server(packets(&mut 1, b"\xfb/tmp/x"));
    // More packets than there are sequence ids: they begin anew, with 0 among them.
    let (mut data, mut seq, mut size) = (Vec::new(), 2, 0);
    for n in 0..700usize {
        let chunk = vec![b'x'; 1 + n % 50];
        size += chunk.len();
        data.extend(packets(&mut seq, &chunk));
    }
    data.extend(packets(&mut seq, b""));
    for answer in [ok(seq, 7, 2), err(seq, 1062, "Duplicate entry")] {
        let steps = [load(), wanted(), client(data.clone()), answer.clone(), command(0x0e, b""), ok(1, 0, 2)];
        let lines = told(BASIC, &steps);
        assert_eq!(operations(&lines), ["LOAD", "PING"], "{lines:#?}");
        assert_eq!(field(&lines[0], "sniffx.mysql.infile.size").unwrap(), size.to_string());
        split_invariant(false, &with_login(BASIC, &steps), &mut Random(4), false, "a local file");
    }
    // Refused by the client: nothing is sent; and by the server, which never asks.
    let steps =
        [load(), wanted(), client(packets(&mut 2, b"")), ok(3, 0, 2), command(0x0e, b""), ok(1, 0, 2)];
    let lines = told(BASIC, &steps);
    assert_eq!(heads(&lines), ["exchange ok", "exchange ok"]);
    assert_eq!(field(&lines[0], "sniffx.mysql.infile.size").unwrap(), "0");
    split_invariant(false, &with_login(BASIC, &steps), &mut Random(4), true, "no local file");
    let lines = told(BASIC, &[load(), err(1, 3948, "Loading local data is disabled")]);
    assert_eq!(heads(&lines), ["exchange error"]);
    assert_eq!(field(&lines[0], "sniffx.mysql.infile.size"), None);
    // The next request comes at once behind the file.
    let steps = [
        load(),
        wanted(),
        client([&packets(&mut 2, b"abc")[..], &packets(&mut 3, b""), &packets(&mut 0, b"\x0e")].concat()),
        server([ok_packet(&mut 4, 0, 1, 2), ok_packet(&mut 1, 0, 0, 2)].concat()),
    ];
    assert_eq!(operations(&told(BASIC, &steps)), ["LOAD", "PING"]);
}

/// MariaDB tells how far it got, wherever it is: an ERR packet with the code 0xffff, strings in it, that ends nothing.
#[test]
fn progress_reports() {
    let report = |seq: &mut u8| packets(seq, b"\xff\xff\xff\x01\x01\x02\x10\x27\0\x0dcopy to table");
    let mut seq = 1;
    let mut answer = report(&mut seq);
    answer.extend(packets(&mut seq, &[1]));
    answer.extend(report(&mut seq));
    answer.extend(packets(&mut seq, DEFINITION));
    answer.extend(report(&mut seq));
    answer.extend(eof_packet(&mut seq, 2));
    answer.extend(report(&mut seq));
    answer.extend(packets(&mut seq, b"\x01x"));
    answer.extend(report(&mut seq));
    answer.extend(report(&mut seq));
    answer.extend(packets(&mut seq, b"\x01y"));
    answer.extend(eof_packet(&mut seq, 2));
    let mut seq = 1;
    let alter = [report(&mut seq), report(&mut seq), ok_packet(&mut seq, 0, 3, 2)].concat();
    let steps = [query("select sleep(9)"), server(answer), query("alter table t force"), server(alter)];
    let lines = told(BASIC & !1, &steps);
    assert_eq!(heads(&lines), ["exchange ok", "exchange ok"]);
    assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "2");
    assert_eq!(field(&lines[1], "sniffx.db.affected_rows").unwrap(), "3");
    split_invariant(false, &with_login(BASIC & !1, &steps), &mut Random(4), true, "progress");
}

/// Trackers: 0 system variables, 1 schema, 2 state, 3 GTIDs, 4 and 5 transaction, and one that does not exist yet.
#[test]
fn session_tracking() {
    let text = |t: &[u8]| [lenenc(t.len()), t.to_vec()].concat();
    let tracker = |kind: u8, data: Vec<u8>| [vec![kind], lenenc(data.len()), data].concat();
    let variable = |name: &[u8], value: &[u8]| tracker(0, [text(name), text(value)].concat());
    let with = |head: u8, trackers: &[u8]| {
        let status = (SESSION_CHANGED | 2).to_le_bytes();
        [&[head, 0, 0, status[0], status[1], 0, 0], &text(b"Info")[..], &text(trackers)].concat()
    };
    let others = [
        variable(b"autocommit", b"OFF"),
        tracker(2, text(b"1")),
        tracker(3, [vec![0], text(b"3e11fa47-71ca-11e1-9e33-c80aa9429562:23")].concat()),
        tracker(4, text(b"START TRANSACTION;")),
        tracker(5, text(b"T_______")),
        tracker(9, b"whatever".to_vec()),
        variable(b"x", &vec![b'y'; 30_000]),
    ]
    .concat();
    let schema = |name: &[u8]| tracker(1, text(name));
    let ping = || [command(0x0e, b""), ok(1, 0, 2)];
    let caps = BASIC | SESSION_TRACK;
    for (trackers, expected) in [
        (schema(b"shop"), Some("shop")),
        ([others[..90].to_vec(), vec![]].concat(), None),
        ([schema(b"shop"), others.clone()].concat(), Some("shop")),
        (
            [variable(b"character_set_client", b"utf8mb4"), schema(b"shop"), schema(b"other")].concat(),
            Some("other"),
        ),
        ([schema(b"shop"), tracker(2, text(b"1")), schema(b"")].concat(), None),
        (others.clone(), None),
    ] {
        // A statement that says nothing of the database by itself: a procedure, say.
        let mut steps = vec![query("call go()"), server(packets(&mut 1, &with(0, &trackers)))];
        steps.extend(ping());
        let lines = told(caps, &steps);
        assert_eq!(heads(&lines), ["exchange ok", "exchange ok"]);
        assert_eq!(field(&lines[1], "db.namespace").as_deref(), expected);
        // The same in the OK packet behind rows.
        let mut seq = 1;
        let mut answer = packets(&mut seq, &[1]);
        answer.extend(packets(&mut seq, DEFINITION));
        answer.extend(packets(&mut seq, b"\x01x"));
        answer.extend(packets(&mut seq, &with(0xfe, &trackers)));
        let mut steps = vec![query("select go()"), server(answer)];
        steps.extend(ping());
        let lines = told(caps | DEPRECATE_EOF, &steps);
        assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "1");
        assert_eq!(field(&lines[1], "db.namespace").as_deref(), expected);
    }
}

/// First bytes of rows and packets that end them, told apart.
#[test]
fn rows_that_look_like_ends() {
    // NULL is 0xfb, which is a local file's mark elsewhere; a mark of eight length bytes that a server need not have used.
    let odd = [&[0xfe, 3, 0, 0, 0, 0, 0, 0, 0][..], b"abc"].concat();
    let some: [&[u8]; 4] = [b"\xfb", b"\x00", &odd, b"\x05\xfe\0\0\x02\0"];
    let lines = told(BASIC, &[query("select a"), server(rows(&mut 1, BASIC, &some, 2))]);
    assert_eq!(heads(&lines), ["exchange ok"]);
    assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "4");
    let caps = BASIC | DEPRECATE_EOF;
    let steps = [query("select a"), server(rows(&mut 1, caps, &some, 2))];
    assert_eq!(field(&told(caps, &steps)[0], "db.response.returned_rows").unwrap(), "4");
    split_invariant(false, &with_login(caps, &steps), &mut Random(4), true, "odd rows");
    // The end of rows with a text behind it is as long.
    let mut answer = rows(&mut 1, BASIC, &[b"\x01x"], 2);
    answer.truncate(answer.len() - 9);
    answer.extend(packets(&mut 5, b"\xfe\0\0\x02\0\0\0Rows matched: 1"));
    let steps = [query("select a"), server(answer), command(0x0e, b""), ok(1, 0, 2)];
    assert_eq!(heads(&told(BASIC, &steps)), ["exchange ok"; 2]);
}

/// A row, and a statement, that fill a packet exactly: an empty one follows.
#[test]
fn exactly_16_mib_less_one() {
    const FULL: usize = 0xff_ffff;
    let row = [&[0xfd], &((FULL - 4) as u32).to_le_bytes()[..3], &vec![0xfe; FULL - 4]].concat();
    let text = format!("select '{}'", "x".repeat(FULL - 10));
    let request = packets(&mut 0, &[&[3], text.as_bytes()].concat());
    assert_eq!((row.len(), request.len()), (FULL, FULL + 8));
    for caps in [BASIC, BASIC | DEPRECATE_EOF] {
        let mut seq = 2;
        let answer = rows(&mut seq, caps, &[&row, b"\x01x", &row], 2);
        let steps: Vec<_> = request
            .chunks(70_001)
            .map(client)
            .chain(answer.chunks(70_001).map(server))
            .chain([command(0x0e, b""), ok(1, 0, 2)])
            .collect();
        let lines = told(caps, &steps);
        assert_eq!(operations(&lines), ["SELECT", "PING"]);
        assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "3");
        assert_eq!(field(&lines[0], "sniffx.text.length").unwrap(), text.len().to_string());
        assert_eq!(field(&lines[0], "sniffx.db.response.size").unwrap(), answer.len().to_string());
    }
}

/// Definitions that are left out: a byte behind the number of columns says so, in MySQL (`Protocol_classic::start_result_metadata`) as in MariaDB.
#[test]
fn metadata_skipped_or_sent() {
    let (sent, skipped) = ([1, 1], [1, 0]);
    for caps in [BASIC | OPTIONAL_METADATA, (BASIC & !1) | CACHE_METADATA] {
        for caps in [caps, caps | DEPRECATE_EOF] {
            let answer = |count: [u8; 2], definitions: bool, eof: bool| {
                let mut seq = 1;
                let mut out = packets(&mut seq, &count);
                if definitions {
                    out.extend(packets(&mut seq, DEFINITION));
                }
                if eof && caps & DEPRECATE_EOF == 0 {
                    out.extend(eof_packet(&mut seq, 2));
                }
                out.extend([packets(&mut seq, b"\0\0\x01x"), packets(&mut seq, b"\0\0\x01y")].concat());
                out.extend(end(&mut seq, caps, 2));
                server(out)
            };
            let execute = || command(0x17, b"\x01\0\0\0\0\x01\0\0\0");
            let steps = [
                execute(),
                answer(sent, true, true),
                execute(),
                answer(skipped, false, true),
                execute(),
                answer(skipped, false, false),
            ];
            let lines = told(caps, &steps);
            assert_eq!(heads(&lines), ["exchange ok"; 3], "{lines:#?}");
            assert_eq!(of(&lines, "db.response.returned_rows"), ["2"; 3]);
            split_invariant(false, &with_login(caps, &steps), &mut Random(4), true, "metadata");
        }
    }
}

/// Rows fetched from a cursor until the last one was sent.
#[test]
fn cursors() {
    for caps in [BASIC, BASIC | DEPRECATE_EOF] {
        let mut seq = 1;
        let mut opened = [packets(&mut seq, &[1]), packets(&mut seq, DEFINITION)].concat();
        opened.extend(end(&mut seq, caps, CURSOR_EXISTS | 2));
        let fetched = |rows: u8, status: u16| {
            let mut seq = 1;
            let mut out: Vec<u8> = (0..rows).flat_map(|_| packets(&mut seq, b"\0\0\x01x")).collect();
            out.extend(end(&mut seq, caps, status));
            server(out)
        };
        let fetch = || command(0x1c, b"\x01\0\0\0\x02\0\0\0");
        let steps = [
            command(0x17, b"\x01\0\0\0\x01\x01\0\0\0"),
            server(opened),
            fetch(),
            fetched(2, CURSOR_EXISTS | 2),
            fetch(),
            fetched(1, CURSOR_EXISTS | LAST_ROW_SENT | 2),
            fetch(),
            err(1, 1421, "The statement has no open cursor"),
            command(0x19, b"\x01\0\0\0"),
        ];
        let lines = told(caps, &steps);
        assert_eq!(operations(&lines), ["EXECUTE", "FETCH", "FETCH", "FETCH", "CLOSE"]);
        assert_eq!(heads(&lines), ["exchange ok", "exchange ok", "exchange ok", "exchange error", "message"]);
        assert_eq!(of(&lines, "db.response.returned_rows"), ["0", "2", "1", "", ""]);
        split_invariant(false, &with_login(caps, &steps), &mut Random(4), true, "cursors");
    }
}

/// What waits behind a response that makes no sense has no response that could be told: the reason is that, not a late start.
#[test]
fn requests_behind_a_malformed_response() {
    let both = [packets(&mut 0, b"\x03select 1"), packets(&mut 0, b"\x03select 2")].concat();
    let lines =
        told(BASIC, &[client(both), server(packets(&mut 1, b"\0\0")), query("select 3"), ok(1, 0, 2)]);
    assert_eq!(heads(&lines)[..2], ["notice", "exchange incomplete:malformed"], "{lines:#?}");
}

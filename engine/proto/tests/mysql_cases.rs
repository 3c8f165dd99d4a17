//! Cases that random conversations don't reach: huge packets, requests sent ahead, TLS, rejections, time-outs, ends.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use mysql_support::generate::{Generator, packets};
use mysql_support::{client, field, heads, play, play_until, server};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::Step;
use sniff_x_proto::{Options, Plugin, Probe};

fn command(byte: u8, body: &[u8]) -> Vec<u8> {
    packets(&mut 0, &[&[byte], body].concat())
}

/// An OK packet with the sequence id 1.
fn ok(affected: u8) -> Vec<u8> {
    packets(&mut 1, &[0, affected, 0, 2, 0, 0, 0])
}

fn err(seq: u8, code: u16, text: &str) -> Vec<u8> {
    packets(&mut seq.clone(), &[&[0xff], &code.to_le_bytes()[..], text.as_bytes()].concat())
}

/// Handshake and login, both sides.
fn logged_in() -> Vec<Step> {
    let mut generator = Generator::new(3);
    generator.handshake();
    assert!(!generator.has_query_attributes());
    generator.finish().steps
}

fn after_login(steps: impl IntoIterator<Item = Step>) -> Vec<String> {
    let mut all = logged_in();
    all.extend(steps);
    let mut lines = play(false, &all);
    assert!(lines.remove(0).starts_with("session ok"));
    lines
}

#[test]
fn statements_and_rows_of_many_packets() {
    let text = format!("insert into t values ('{}')", "x".repeat(0xff_ffff + 1000));
    let mut seq = 0;
    let request = packets(&mut seq, &[&[3], text.as_bytes()].concat());
    let mut answer = packets(&mut seq, &[1]);
    answer.extend(packets(&mut seq, b"\x03def\0\0\0\x01a\0\x0c\x3f\0\0\0\0\0\xfd\0\0\0\0\0"));
    answer.extend(packets(&mut seq, &[0xfe, 0, 0, 2, 0]));
    // Rows of 16 MiB begin with the mark of a long length, which is also that of an EOF.
    for len in [0x100_0000 - 9, 0x100_0000, 2 * 0xff_ffff - 9, 5] {
        let row = [&[0xfe], &(len as u64).to_le_bytes()[..], &vec![0xfe; len]].concat();
        answer.extend(if len > 5 { packets(&mut seq, &row) } else { packets(&mut seq, b"\x01b") });
    }
    answer.extend(packets(&mut seq, &[0xfe, 0, 0, 2, 0]));
    let split = |bytes: &[u8], make: fn(Vec<u8>) -> Step| -> Vec<Step> {
        bytes.chunks(60_001).map(|c| make(c.to_vec())).collect()
    };
    for steps in [
        vec![client(request.clone()), server(answer.clone())],
        [split(&request, client), split(&answer, server)].concat(),
    ] {
        let lines = after_login(steps);
        assert_eq!(heads(&lines), ["exchange ok"]);
        assert_eq!(field(&lines[0], "sniffx.text.length"), Some(text.len().to_string()));
        assert_eq!(field(&lines[0], "db.query.text").unwrap(), text[..64 << 10]);
        assert_eq!(field(&lines[0], "db.response.returned_rows").unwrap(), "4");
        assert_eq!(field(&lines[0], "sniffx.db.response.size").unwrap(), answer.len().to_string());
    }
}

#[test]
fn requests_sent_ahead_are_paired_in_order() {
    let texts: Vec<_> = (0..50u8).map(|n| format!("update t set a = {n}")).collect();
    let requests: Vec<u8> = texts.iter().flat_map(|t| command(3, t.as_bytes())).collect();
    let answers: Vec<u8> = (0..50).flat_map(ok).collect();
    let lines = after_login([client(requests), server(answers)]);
    for (n, (line, text)) in lines.iter().zip(&texts).enumerate() {
        assert_eq!(field(line, "db.query.text").as_ref(), Some(text));
        assert_eq!(field(line, "sniffx.db.affected_rows"), Some(n.to_string()));
    }
    assert_eq!(lines.len(), 50);
}

/// A response is missing among those to requests sent ahead: none of the rest may be told as another's.
#[test]
fn a_gap_among_requests_sent_ahead() {
    let texts: Vec<_> = (0..6u8).map(|n| format!("update t set a = {n}")).collect();
    let requests = || client(texts.iter().flat_map(|t| command(3, t.as_bytes())).collect::<Vec<_>>());
    let whole = server((0..6).flat_map(ok).collect::<Vec<_>>());
    let len = ok(0).len();
    for at in 0..6 * len {
        for lost in 1..=6 * len - at {
            let answers: Vec<u8> = (0..6).flat_map(ok).collect();
            let lines = after_login([
                requests(),
                whole.clone(),
                requests(),
                server(&answers[..at]),
                Step::Gap(Direction::ToClient, lost as u64),
                server(&answers[at + lost..]),
                client(command(3, b"update t set a = 9")),
                server(ok(9)),
            ]);
            for line in lines.iter().filter(|l| l.starts_with("exchange ok")) {
                let text = field(line, "db.query.text").unwrap();
                assert!(
                    text.ends_with(&field(line, "sniffx.db.affected_rows").unwrap()),
                    "{at}+{lost}: {line}"
                );
            }
            assert!(lines.iter().any(|l| l.starts_with("exchange incomplete:gap")), "{at}+{lost}");
        }
    }
}

/// A frame with the end of a request is lost: nobody knows that before the client speaks again, and the response has come by then.
#[test]
fn a_response_before_the_end_of_its_request() {
    let request = command(3, b"insert into t values (1), (2), (3)");
    let prepare = command(0x16, b"delete from t where a = ? and b = 1");
    for at in 5..request.len() {
        let lost = |whole: &[u8]| Step::Gap(Direction::ToServer, (whole.len() - at) as u64);
        let lines = after_login([
            client(&request[..at]),
            server(ok(3)),
            lost(&request),
            client(&prepare[..at]),
            server(packets(&mut 1, &[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            lost(&prepare),
            client(command(0x17, &[9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 0, 7, 0, 0, 0])),
            server(ok(4)),
            client(command(3, b"update t set a = 9")),
            server(ok(9)),
        ]);
        let expected = ["exchange incomplete:gap", "exchange incomplete:gap", "exchange ok", "exchange ok"];
        assert_eq!(heads(&lines), expected, "{at}: {lines:#?}");
        assert_eq!(field(&lines[0], "sniffx.gap_bytes").unwrap(), (request.len() - at).to_string());
        assert_eq!(field(&lines[2], "sniffx.db.statement_id").unwrap(), "9");
        assert!(field(&lines[2], "db.query.text").is_none(), "{at}: {}", lines[2]);
        assert_eq!(field(&lines[3], "db.query.text").unwrap(), "update t set a = 9");
    }
}

/// The way back in is not yet found when a request is lost, too: what the server says next may be the answer to that one.
#[test]
fn a_request_lost_while_the_server_is_out_of_step() {
    let update = |n: u8| command(3, format!("update t set a = {n}").as_bytes());
    let lines = after_login([
        client(update(1)),
        Step::Gap(Direction::ToClient, ok(1).len() as u64),
        client(update(2)),
        Step::Gap(Direction::ToServer, update(3).len() as u64),
        server(ok(3)),
        client(update(4)),
        server(ok(4)),
    ]);
    for line in lines.iter().filter(|l| l.starts_with("exchange ok")) {
        let text = field(line, "db.query.text").unwrap();
        assert!(text.ends_with(&field(line, "sniffx.db.affected_rows").unwrap()), "{line}");
    }
    assert_eq!(lines.iter().filter(|l| l.starts_with("exchange incomplete:gap")).count(), 2, "{lines:#?}");
}

/// What is missing of a local file is missing of the exchange, and nothing of the next one.
#[test]
fn a_gap_in_a_local_file() {
    let mut file = packets(&mut 2, &[b'f'; 50]);
    file.extend(packets(&mut 3, &[b'g'; 30]));
    file.extend(packets(&mut 4, &[]));
    for at in 0..file.len() {
        for lost in 1..=file.len() - at {
            let lines = after_login([
                client(command(3, b"load data local infile 'f' into table t")),
                server(packets(&mut 1, b"\xfbf")),
                client(&file[..at]),
                Step::Gap(Direction::ToServer, lost as u64),
                client(&file[at + lost..]),
                server(packets(&mut 5, &[0, 7, 0, 2, 0, 0, 0])),
                client(command(3, b"update t set a = 9")),
                server(ok(9)),
            ]);
            let shown = heads(&lines);
            assert_eq!(shown.last().unwrap(), "exchange ok", "{at}+{lost}: {lines:#?}");
            // Where only content is missing, all that is told is known.
            let size = field(&lines[0], "sniffx.mysql.infile.size");
            let whole = shown[0] == "exchange ok" && size.as_deref() == Some("80");
            assert!(whole || shown[0] == "exchange incomplete:gap", "{at}+{lost}: {lines:#?}");
        }
    }
}

#[test]
fn prepare_and_execute_sent_together() {
    // MariaDB's clients execute the statement prepared last as -1, before they know its id.
    let mut requests = command(0x16, b"delete from t where a = ?");
    requests.extend(command(0x17, &[0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 1, 3, 0, 7, 0, 0, 0]));
    requests.extend(command(0x19, &[9, 0, 0, 0]));
    let mut answers = packets(&mut 1, &[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    answers.extend(ok(4));
    let lines = after_login([client(requests), server(answers)]);
    assert_eq!(heads(&lines), ["exchange ok", "exchange ok", "message"]);
    assert_eq!(field(&lines[1], "db.operation.name").unwrap(), "DELETE");
    assert_eq!(field(&lines[1], "db.query.text").unwrap(), "delete from t where a = ?");
    assert_eq!(field(&lines[1], "sniffx.db.statement_id").unwrap(), "9");
    assert_eq!(field(&lines[2], "sniffx.db.statement_id").unwrap(), "9");
}

#[test]
fn an_execute_whose_prepare_was_not_seen_has_no_text() {
    let execute = client(command(0x17, &[5, 0, 0, 0, 0, 1, 0, 0, 0]));
    let lines = after_login([execute.clone(), server(ok(1))]);
    assert_eq!(field(&lines[0], "db.operation.name").unwrap(), "EXECUTE");
    assert_eq!(field(&lines[0], "db.query.text"), None);
    // Nor has one whose statement was closed, or forgotten with the session.
    let prepare = client(command(0x16, b"delete from t"));
    let prepared = server(packets(&mut 1, &[0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    for forget in
        [vec![client(command(0x19, &[5, 0, 0, 0]))], vec![client(command(0x1f, &[])), server(ok(0))]]
    {
        let mut steps = vec![prepare.clone(), prepared.clone()];
        steps.extend(forget);
        steps.extend([execute.clone(), server(ok(1))]);
        let lines = after_login(steps);
        assert_eq!(field(lines.last().unwrap(), "db.operation.name").unwrap(), "EXECUTE");
    }
}

#[test]
fn tls_is_told_once() {
    let greeting = logged_in().swap_remove(0);
    let mut request = (1u32 << 9 | 1 << 11 | 1 << 15).to_le_bytes().to_vec();
    request.resize(32, 0);
    let lines = play(
        false,
        &[
            greeting,
            client(packets(&mut 1, &request)),
            client(b"\x16\x03\x01\x02\0\x01".to_vec()),
            server(b"\x16\x03\x03\0\x7a".to_vec()),
        ],
    );
    assert_eq!(heads(&lines), ["session"]);
    assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "encrypted");
    assert_eq!(field(&lines[0], "sniffx.db.server_version").unwrap(), "8.4.0");
}

#[test]
fn refused_in_place_of_a_greeting() {
    let lines = play(false, &[server(err(0, 1040, "Too many connections"))]);
    assert_eq!(heads(&lines), ["session error"]);
    assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "rejected");
    assert_eq!(field(&lines[0], "db.response.status_code").unwrap(), "1040");
    assert_eq!(field(&lines[0], "error.message").unwrap(), "Too many connections");
}

#[test]
fn closed_for_idleness() {
    let lines = after_login([server(err(0, 4031, "#HY000The client was disconnected"))]);
    assert_eq!(heads(&lines), ["session error"]);
    assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "closed");
}

#[test]
fn secrets_are_nowhere() {
    // Random conversations have random secrets; this one has a known word in each place for one.
    let secret = b"hunter2hunter2hunter";
    let mut login = (1u32 << 9 | 1 << 15 | 1 << 19).to_le_bytes().to_vec();
    login.extend([0; 28]);
    login.extend(b"bob\0\x14");
    login.extend(secret);
    login.extend(b"mysql_clear_password\0");
    let change = [b"eve\0\x14", &secret[..], b"shop\0\x21\0mysql_clear_password\0"].concat();
    let lines = play(
        false,
        &[
            logged_in().swap_remove(0),
            client(packets(&mut 1, &login)),
            server(packets(&mut 2, b"\xfemysql_clear_password\0")),
            client(packets(&mut 3, secret)),
            server(packets(&mut 4, &[0, 0, 0, 2, 0, 0, 0])),
            client(command(0x11, &change)),
            server(packets(&mut 1, b"\xfemysql_clear_password\0")),
            client(packets(&mut 2, secret)),
            server(packets(&mut 3, &[0, 0, 0, 2, 0, 0, 0])),
            client(command(3, b"CREATE USR x IDENTIFIED BY 'hunter2'")),
            server(packets(
                &mut 1,
                b"\xff\x28\x04#42000error in your SQL syntax near 'USR x IDENTIFIED BY 'hunter2''",
            )),
        ],
    );
    assert_eq!(heads(&lines), ["session ok", "exchange ok", "exchange error"]);
    assert_eq!(field(&lines[2], "db.query.text").unwrap(), "CREATE USR x IDENTIFIED BY <secret>");
    assert_eq!(field(&lines[2], "error.message").unwrap(), "error in your SQL syntax");
    assert_eq!(field(&lines[1], "sniffx.db.user").unwrap(), "eve");
    assert!(!lines.concat().contains("hunter"));
}

#[test]
fn time_outs() {
    const HOUR: u64 = 3_600_000_000_000;
    let select = client(command(3, b"select sleep(10000)"));
    let lines = after_login([select.clone(), Step::Wait(HOUR / 2)]);
    assert_eq!(heads(&lines), ["exchange incomplete:eof"]);
    let both = [command(3, b"select 1"), command(3, b"select 2")].concat();
    let lines = after_login([
        client(both),
        Step::Wait(HOUR),
        client(command(3, b"update t set a = 3")),
        server(ok(3)),
    ]);
    assert_eq!(heads(&lines), ["exchange incomplete:timeout", "exchange incomplete:timeout", "exchange ok"]);
    // A late answer is not told twice, and the next exchange is right.
    let lines = after_login([
        select,
        Step::Wait(HOUR),
        server(ok(1)),
        client(command(3, b"update t set a = 2")),
        server(ok(2)),
    ]);
    assert_eq!(heads(&lines), ["exchange incomplete:timeout", "exchange ok"]);
    assert_eq!(field(&lines[1], "sniffx.db.affected_rows").unwrap(), "2");
}

#[test]
fn ends_without_an_answer() {
    for (end, reason) in [
        (End::Fin, "eof"),
        (End::Rst, "eof"),
        (End::Eof, "eof"),
        (End::Reused, "eof"),
        (End::Evicted, "evicted"),
    ] {
        let mut steps = logged_in();
        steps.push(client(command(3, b"select 1")));
        let lines = play_until(false, &steps, end);
        assert_eq!(heads(&lines)[1..], [format!("exchange incomplete:{reason}")]);
        let lines = play_until(false, &steps[..2], end);
        assert_eq!(heads(&lines), [format!("session incomplete:{reason}")]);
    }
}

#[test]
fn a_replication_stream() {
    let event = |seq: u8| packets(&mut seq.clone(), &[&[0], &[7; 40][..]].concat());
    let acknowledgement = packets(&mut 0, b"\xef\x04\0\0\0\0\0\0\0binlog.000001");
    let dump = client(command(0x12, b"\x04\0\0\0\0\0\x02\0\0\0binlog.000001"));
    let events: Vec<u8> = (1..=9).flat_map(event).collect();
    let lines = after_login([dump, server(events), client(acknowledgement), server(event(10))]);
    assert_eq!(heads(&lines), ["session ok", "exchange incomplete:eof"]);
    assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "streaming");
    assert_eq!(field(&lines[1], "sniffx.mysql.binlog.events").unwrap(), "10");
}

#[test]
fn malformed_packets_give_one_notice_and_the_next_exchange_is_told() {
    let select = || client(command(3, b"select 1"));
    for answer in [
        packets(&mut 5, &[0, 0, 0, 2, 0, 0, 0]),
        packets(&mut 1, &[0, 0]),
        packets(&mut 1, b""),
        packets(&mut 1, &[0xfe, 0, 0, 2, 0]),
        packets(&mut 1, &[0xff, 1]),
        [packets(&mut 1, &[1]), packets(&mut 2, b"no definition")].concat(),
    ] {
        let lines =
            after_login([select(), server(answer), client(command(3, b"update t set a = 3")), server(ok(3))]);
        assert_eq!(heads(&lines), ["notice", "exchange ok"], "{lines:#?}");
        assert_eq!(field(&lines[0], "db.query.text").unwrap(), "select 1");
        assert_eq!(field(&lines[1], "sniffx.db.affected_rows").unwrap(), "3");
    }
    for request in [packets(&mut 3, b"\x03select 1"), packets(&mut 0, b"")] {
        let lines = after_login([
            client(request),
            server(ok(0)),
            client(command(3, b"update t set a = 3")),
            server(ok(3)),
            client(command(3, b"update t set a = 4")),
            server(ok(4)),
        ]);
        assert_eq!(heads(&lines)[..1], ["notice"], "{lines:#?}");
        assert_eq!(field(lines.last().unwrap(), "sniffx.db.affected_rows").unwrap(), "4");
    }
}

#[test]
fn an_error_before_the_request_was_sent_whole() {
    let request = packets(&mut 0, &[&[3], &vec![b'x'; 500_000][..]].concat());
    let lines = after_login([client(&request[..100_000]), server(err(1, 1153, "#08S01Got a packet bigger"))]);
    assert_eq!(heads(&lines), ["exchange error"]);
    assert_eq!(field(&lines[0], "sniffx.text.length").unwrap(), "500000");
}

#[test]
fn one_sided() {
    let steps: Vec<_> =
        logged_in().into_iter().filter(|s| matches!(s, Step::Data(Direction::ToServer, _))).collect();
    let mut all = steps;
    all.extend((0..3000u32).map(|n| client(command(3, format!("select {n}").as_bytes()))));
    let lines = play(false, &all);
    assert!(heads(&lines).iter().all(|h| !h.contains("ok") && !h.contains("error")));
    assert_eq!(lines.iter().filter(|l| l.starts_with("exchange incomplete")).count(), 3000);
}

#[test]
fn no_mysql_at_all() {
    for steps in [
        vec![
            client(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            server(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ],
        vec![server(b"220 mail.example ESMTP\r\n".to_vec()), client(b"EHLO x\r\n".to_vec())],
    ] {
        assert_eq!(heads(&play(false, &steps)), ["notice"]);
    }
}

#[test]
fn options_and_rule() {
    let mut plugin = Mysql::default();
    plugin.configure(&Options::default()).unwrap();
    assert_eq!(plugin.rule(), "tcp and (port 3306 or port 33060)");
    assert!(plugin.is_server_port(3306) && plugin.is_server_port(33060));
    let mut options = Options::default();
    options.push("port", "3307");
    options.push("port", "3308");
    plugin.configure(&options).unwrap();
    assert_eq!(plugin.rule(), "tcp and (port 3307 or port 3308)");
    assert!(!plugin.is_server_port(3306));
    let mut options = Options::default();
    options.push("port", "0");
    assert!(plugin.configure(&options).is_err());
}

#[test]
fn probing() {
    let plugin = Mysql::default();
    let steps = logged_in();
    let bytes = |i: usize| match &steps[i] {
        Step::Data(_, bytes) => bytes.as_slice(),
        _ => unreachable!(),
    };
    let (greeting, login) = (bytes(0), bytes(1));
    assert_eq!(plugin.probe(b"", greeting), Probe::Yes { reversed: false });
    assert_eq!(plugin.probe(greeting, b""), Probe::Yes { reversed: true });
    assert_eq!(plugin.probe(login, b""), Probe::Yes { reversed: false });
    assert_eq!(plugin.probe(b"", login), Probe::Yes { reversed: true });
    assert_eq!(plugin.probe(b"", &err(0, 1040, "Too many connections")), Probe::Yes { reversed: false });
    for cut in 0..greeting.len() {
        assert_eq!(plugin.probe(b"", &greeting[..cut]), Probe::More, "{cut}");
    }
    assert_eq!(plugin.probe(&command(3, b"select 1"), b""), Probe::Yes { reversed: false });
    assert_eq!(plugin.probe(&command(3, b"select 1")[..9], b""), Probe::More);
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
    ] {
        assert_eq!(plugin.probe(other, b""), Probe::No, "{}", other.escape_ascii());
        assert_eq!(plugin.probe(b"", other), Probe::No, "{}", other.escape_ascii());
    }
}

#[test]
fn the_database_moves_with_the_statement_that_selected_it() {
    let mut seq = 1;
    let mut answers = packets(&mut seq, &[0, 1, 0, 0x0a, 0, 0, 0]);
    answers.extend(packets(&mut seq, &[0, 0, 0, 0x0a, 0, 0, 0]));
    answers.extend(packets(&mut seq, &[0, 2, 0, 0x02, 0, 0, 0]));
    let ping = || [client(command(0x0e, &[])), server(ok(0))];
    let namespace = |line: &String| field(line, "db.namespace").unwrap_or_default();
    let text = b"delete from t; use `a;b`; update t set a = 'use c'";
    let lines = after_login([client(command(3, text)), server(answers)].into_iter().chain(ping()));
    let told: Vec<_> = lines.iter().map(|l| (field(l, "db.operation.name").unwrap(), namespace(l))).collect();
    let before = namespace(&play(false, &logged_in())[0]);
    let expected =
        [("DELETE", before.as_str()), ("USE", before.as_str()), ("UPDATE", "a;b"), ("PING", "a;b")];
    assert_eq!(told, expected.map(|(o, n)| (o.to_owned(), n.to_owned())));
    // An error moves nothing.
    let refused = [client(command(2, b"nope")), server(err(1, 1049, "#42000Unknown database 'nope'"))];
    let lines = after_login(refused.into_iter().chain(ping()));
    assert_eq!(namespace(&lines[0]), "nope");
    assert_eq!(namespace(&lines[1]), before);
    // DROP of the current one leaves none.
    let steps =
        [client(command(2, b"a")), server(ok(0)), client(command(3, b"drop database a")), server(ok(0))];
    let lines = after_login(steps.into_iter().chain(ping()));
    assert_eq!(namespace(&lines[1]), "a");
    assert_eq!(field(&lines[2], "db.namespace"), None);
}

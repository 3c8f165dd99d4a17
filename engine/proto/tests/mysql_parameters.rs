//! Parameters of prepared statements and the plugin's options, in cases that random conversations don't reach.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

mod mysql_support;

use mysql_support::field;
use mysql_support::generate::{Generator, lenenc, packets};
use sniff_x_flow::{Direction, End};
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::{Replay, Step};
use sniff_x_proto::{Options, Plugin};

fn client(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Data(Direction::ToServer, bytes.into())
}

fn server(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Data(Direction::ToClient, bytes.into())
}

fn command(byte: u8, body: &[u8]) -> Step {
    client(packets(&mut 0, &[&[byte], body].concat()))
}

/// An OK packet with the sequence id 1.
fn ok() -> Step {
    server(packets(&mut 1, &[0, 1, 0, 2, 0, 0, 0]))
}

/// Handshake and login of user `alice`, without query attributes, and with EOF packets left out.
fn logged_in() -> Vec<Step> {
    let mut generator = Generator::new(3);
    generator.handshake();
    assert!(!generator.has_query_attributes());
    generator.finish().steps
}

/// Prepares `text` with this number of parameters as statement 7; neither parameters nor columns are defined.
fn prepared(text: &str, parameters: u16) -> Vec<Step> {
    let mut answer = vec![0, 7, 0, 0, 0, 0, 0];
    answer.extend(parameters.to_le_bytes());
    // The last byte: no definitions follow.
    answer.extend([0, 0, 0, 0]);
    vec![command(0x16, text.as_bytes()), server(packets(&mut 1, &answer))]
}

/// The head of an execution of statement 7, and what follows.
fn execute(rest: &[u8]) -> Step {
    command(0x17, &[&[7, 0, 0, 0, 0, 1, 0, 0, 0][..], rest].concat())
}

fn play(options: &[(&str, &str)], steps: &[Step]) -> Vec<String> {
    let mut given = Options::default();
    for (name, value) in options {
        given.push(*name, *value);
    }
    let mut plugin = Mysql::default();
    plugin.configure(&given).unwrap();
    let mut replay = Replay::new(Box::new(plugin), 3306, false);
    for step in logged_in().iter().chain(steps) {
        replay.step(step);
    }
    replay.finish(End::Fin)
}

/// The last event.
fn last(steps: Vec<Step>) -> String {
    play(&[], &steps).pop().unwrap()
}

fn parameters(line: &str) -> Vec<String> {
    (0..).map_while(|i| field(line, &format!("db.query.parameter.{i}"))).collect()
}

#[test]
fn what_follows_a_long_value_is_seen() {
    // 20 MiB of BLOB, then an INT: two packets.
    let mut rest = vec![0, 1, 0xfc, 0, 0x03, 0];
    rest.extend(lenenc(20 << 20));
    rest.extend(vec![b'x'; 20 << 20]);
    rest.extend(42_u32.to_le_bytes());
    let mut steps = prepared("insert into t values (?, ?)", 2);
    let Step::Data(_, request) = execute(&rest) else { panic!() };
    for part in request.chunks(60_000) {
        steps.push(client(part));
    }
    steps.push(server(packets(&mut 2, &[0, 1, 0, 2, 0, 0, 0])));
    let line = last(steps);
    assert!(line.starts_with("exchange ok "), "{}", &line[..200]);
    assert_eq!(field(&line, "db.query.parameter.1").as_deref(), Some("42"));
    assert_eq!(field(&line, "db.query.parameter.0").unwrap().len(), 64 << 10);
    assert_eq!(field(&line, "sniffx.text.length"), Some((20 << 20).to_string()));
}

#[test]
fn types_hold_for_the_next_execution_also_when_it_was_sent_ahead() {
    let mut steps = prepared("select ?", 1);
    let (Step::Data(_, mut both), Step::Data(_, second)) =
        (execute(&[0, 1, 0x02, 0x80, 0xff, 0xff]), execute(&[0, 0, 0x01, 0x00]))
    else {
        panic!()
    };
    both.extend(second);
    steps.extend([client(both), ok(), ok()]);
    let lines = play(&[], &steps);
    let shown: Vec<_> = lines[2..].iter().map(|line| parameters(line)).collect();
    assert_eq!(shown, [["65535"], ["1"]]);
}

#[test]
fn an_unknown_statement_has_no_parameters() {
    // Nothing tells how many parameters statement 7 has: what looks like two is not guessed at.
    let line = last(vec![execute(&[0, 1, 0x01, 0, 0x01, 0, 5, 6]), ok()]);
    assert!(line.starts_with("exchange ok "));
    assert_eq!(field(&line, "db.operation.name").as_deref(), Some("EXECUTE"));
    assert_eq!(field(&line, "sniffx.db.statement_id").as_deref(), Some("7"));
    assert!(parameters(&line).is_empty());
}

#[test]
fn a_reset_throws_away_what_was_sent_ahead() {
    let mut steps = prepared("select ?", 1);
    let part = |text: &[u8]| command(0x18, &[&[7, 0, 0, 0, 0, 0][..], text].concat());
    steps.extend([part(b"old"), command(0x1a, &[7, 0, 0, 0]), ok(), part(b"new"), part(b"er")]);
    steps.extend([execute(&[0, 1, 0xfc, 0]), ok()]);
    let lines = play(&[], &steps);
    assert_eq!(parameters(lines.last().unwrap()), ["newer"]);
    // Used up by the execution.
    steps.extend([execute(&[0, 0, 1, b'x']), ok()]);
    assert_eq!(parameters(play(&[], &steps).last().unwrap()), ["x"]);

    // Also where the response to the reset was not seen.
    let mut steps = prepared("select ?", 1);
    let Step::Data(direction, unseen) = ok() else { unreachable!() };
    let unseen = Step::Gap(direction, unseen.len() as u64);
    steps.extend([part(b"old"), command(0x1a, &[7, 0, 0, 0]), unseen]);
    steps.extend([execute(&[0, 1, 0xfc, 0, 4, b'k', b'e', b'p', b't']), ok()]);
    let lines = play(&[], &steps);
    assert_eq!(parameters(lines.last().unwrap()), ["kept"], "{lines:#?}");
}

/// MariaDB: several rows in one execution, each value with an indicator.
#[test]
fn rows_of_a_bulk_execution_are_counted() {
    let bulk = |rest: &[u8]| command(0xfa, &[&[7, 0, 0, 0, 0x80, 0, 0x03, 0, 0xfd, 0][..], rest].concat());
    let mut rows = Vec::new();
    for row in 0..3_u32 {
        rows.push(0);
        rows.extend(row.to_le_bytes());
        if row == 1 { rows.push(1) } else { rows.extend([0, 2, b'a', b'b']) }
    }
    let mut steps = prepared("insert into t values (?, ?)", 2);
    steps.extend([bulk(&rows), ok()]);
    let line = last(steps);
    assert_eq!(field(&line, "db.operation.batch.size").as_deref(), Some("3"));
    assert_eq!(parameters(&line), ["0", "ab", "1", "NULL", "2", "ab"]);
    assert_eq!(field(&line, "db.operation.name").as_deref(), Some("INSERT"));

    // More than is kept: all rows are counted.
    let many = rows.repeat(40_000);
    let mut steps = prepared("insert into t values (?, ?)", 2);
    let Step::Data(_, request) = bulk(&many) else { panic!() };
    steps.extend(request.chunks(1400).map(client));
    steps.push(ok());
    let line = last(steps);
    assert_eq!(field(&line, "db.operation.batch.size").as_deref(), Some("120000"));
}

#[test]
fn secrets_in_parameters_are_hidden() {
    let mut steps = prepared("insert into u values (?, password(?))", 2);
    steps.extend([execute(&[0, 1, 0xfd, 0, 0xfd, 0, 3, b'b', b'o', b'b', 3, b't', b'o', b'p']), ok()]);
    let line = last(steps);
    assert_eq!(parameters(&line), ["<secret>", "<secret>"]);
}

#[test]
fn options_choose_events() {
    let mut steps = prepared("select ?", 1);
    steps.extend([execute(&[0, 1, 0x01, 0, 5]), ok()]);
    steps.extend([command(0x03, b"update t set a = 1"), server(packets(&mut 1, b"\xff\x28\x04#42000no"))]);
    steps.push(command(0x0e, b""));
    steps.push(ok());
    let operations = |options: &[(&str, &str)]| -> Vec<String> {
        play(options, &steps)
            .iter()
            .map(|line| field(line, "db.operation.name").unwrap_or_else(|| "login".to_owned()))
            .collect()
    };
    assert_eq!(operations(&[]), ["login", "PREPARE", "SELECT", "UPDATE", "PING"]);
    assert_eq!(operations(&[("errors", "")]), ["UPDATE"]);
    assert_eq!(operations(&[("statement", "^select")]), ["PREPARE", "SELECT"]);
    assert_eq!(operations(&[("user", "alice"), ("statement", "t")]), ["PREPARE", "SELECT", "UPDATE"]);
    assert!(operations(&[("user", "bob")]).is_empty());
    assert!(operations(&[("db", "other")]).is_empty());
    assert!(operations(&[("slow", "1000")]).is_empty());
    let without = play(&[("no-params", "")], &steps);
    assert_eq!(without.len(), 5);
    assert!(parameters(&without[2]).is_empty());
}

/// An execution with attributes (MySQL 8), and parameters that are NULL or long data among them.
#[test]
fn hostile_executions_end() {
    for seed in 1..2000_u64 {
        let mut random = mysql_support::Random(seed);
        let mut steps = prepared("select ?, ?", 2);
        for _ in 0..4 {
            let len = random.below(40);
            let mut rest = random.bytes(len);
            if random.below(2) == 0 {
                rest.splice(..0, [0, 1, 0xfd, 0, 0xfc, 0]);
            }
            steps.extend([execute(&rest), ok()]);
            let len = 6 + random.below(9);
            steps.push(command(0xfa, &random.bytes(len)));
            steps.push(ok());
        }
        assert!(play(&[], &steps).len() < 20);
    }
}

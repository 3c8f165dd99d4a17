use sniff_x_flow::Nanos;
use sniff_x_proto::event::{IncompleteReason, Key, Suffix};
use sniff_x_proto::{EventBuilder, Sensitivity};

use super::super::sample::{TIME, arena, v4, v6, written};
use super::*;

fn line(
    protocol: &'static str,
    kind: Kind,
    build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>,
) -> String {
    let arena = arena(&v4(), protocol, kind, build);
    written(&arena, |event, keys, out| write(&arena, event, keys, out, false))
}

fn select(e: EventBuilder<'_>) -> EventBuilder<'_> {
    e.until(Nanos(TIME.0 + 183_000))
        .text(Key::DB_SYSTEM_NAME, b"mysql", Sensitivity::Public)
        .text(Key::DB_OPERATION_NAME, b"SELECT", Sensitivity::Public)
        .text(Key::DB_QUERY_TEXT, b"select a,\n\tb from t", Sensitivity::Literal)
}

#[test]
fn an_exchange_with_rows() {
    let line = line("mysql", Kind::Exchange, |e| {
        select(e.status(Status::Ok)).number(Key::DB_RETURNED_ROWS, 1).number(Key::DB_COLUMNS, 2)
    });
    let expected = "10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql select a, b from t  1 row  183 µs\n";
    assert_eq!(line, expected);
}

#[test]
fn colours_go_by_status() {
    let colored = |status| {
        let arena = arena(&v6(), "mysql", Kind::Exchange, |e| select(e.status(status)));
        written(&arena, |event, keys, out| write(&arena, event, keys, out, true))
    };
    let (dim, end) = ("\x1b[2m", "\x1b[0m");
    let start = format!(
        "{dim}10:00:00.000123{end} [2001:db8::1]:51324 → [2001:db8::2]:3306 \x1b[36mmysql{end} \x1b[32m"
    );
    assert_eq!(colored(Status::Ok), format!("{start}select a, b from t{end}  {dim}183 µs{end}\n"));
    assert!(colored(Status::Error).contains("\x1b[31mselect"));
    assert!(colored(Status::Incomplete(IncompleteReason::Gap)).contains("\x1b[33mselect"));
}

#[test]
fn errors_say_code_state_and_message() {
    let line = line("mysql", Kind::Exchange, |e| {
        select(e.status(Status::Error))
            .text(Key::DB_STATUS_CODE, b"1146", Sensitivity::Public)
            .text(Key::DB_SQLSTATE, b"42S02", Sensitivity::Public)
            .text(Key::ERROR_MESSAGE, b"Table 'x'\ndoesn't\x1b[2J exist", Sensitivity::Public)
    });
    let expected = r"select a, b from t  error 1146 (42S02): Table 'x' doesn't\x1b[2J exist  183 µs";
    assert!(line.ends_with(&format!("mysql {expected}\n")), "{line}");
}

#[test]
fn changes_parameters_and_operations_that_the_text_does_not_name() {
    let prepare = line("mysql", Kind::Exchange, |e| {
        e.text(Key::DB_OPERATION_NAME, b"PREPARE", Sensitivity::Public)
            .text(Key::DB_QUERY_TEXT, b"INSERT INTO t VALUES (?, ?)", Sensitivity::Literal)
            .number(Key::DB_STATEMENT_ID, 7)
    });
    assert!(prepare.ends_with("mysql PREPARE INSERT INTO t VALUES (?, ?)\n"), "{prepare}");
    let execute = line("mysql", Kind::Exchange, |e| {
        e.status(Status::Ok)
            .text(Key::DB_OPERATION_NAME, b"INSERT", Sensitivity::Public)
            .text(Key::DB_QUERY_TEXT, b"INSERT INTO t VALUES (?, ?)", Sensitivity::Literal)
            .member_text(Key::DB_QUERY_PARAMETER, Suffix::Index(0), b"1", 1, Sensitivity::Literal)
            .member_text(Key::DB_QUERY_PARAMETER, Suffix::Index(1), b"two\n", 4, Sensitivity::Literal)
            .number(Key::DB_AFFECTED_ROWS, 2)
            .number(Key::DB_LAST_INSERT_ID, 12)
            .number(Key::DB_WARNINGS, 0)
    });
    let expected = "mysql INSERT INTO t VALUES (?, ?) [1, two ]  2 affected  last_insert_id=12\n";
    assert!(execute.ends_with(expected), "{execute}");
}

#[test]
fn what_is_missing_is_said() {
    let line = line("mysql", Kind::Exchange, |e| {
        e.status(Status::Incomplete(IncompleteReason::Gap))
            .cut_text(Key::DB_QUERY_TEXT, b"SELECT 'long", 70_000, Sensitivity::Literal)
            .number(Key::GAP_BYTES, 1448)
    });
    let expected = "mysql SELECT 'long… (cut, 70000 bytes)  incomplete: gap  1448 B missing\n";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn sessions_and_notices() {
    let session = line("mysql", Kind::Session, |e| {
        e.text(Key::SESSION_STATE, b"connected", Sensitivity::Public)
            .text(Key::DB_SYSTEM_NAME, b"mariadb", Sensitivity::Public)
            .text(Key::DB_USER, b"app", Sensitivity::Public)
            .text(Key::DB_SERVER_VERSION, b"11.8.3-MariaDB", Sensitivity::Public)
    });
    let expected = "mysql session connected  system.name=mariadb  user=app  server_version=11.8.3-MariaDB\n";
    assert!(session.ends_with(expected), "{session}");
    let notice =
        line("mysql", Kind::Notice, |e| e.text(Key::NOTICE, b"packet out of sequence", Sensitivity::Public));
    assert!(notice.ends_with("mysql notice packet out of sequence\n"), "{notice}");
    let both = line("mysql", Kind::Session, |e| {
        e.text(Key::SESSION_STATE, b"compressed", Sensitivity::Public)
            .text(Key::NOTICE, b"not decoded", Sensitivity::Public)
            .until(Nanos(TIME.0 + 1000))
            .text(Key::DB_USER, b"app", Sensitivity::Public)
    });
    assert!(both.ends_with("mysql session compressed: not decoded  1.00 µs  user=app\n"), "{both}");
}

#[test]
fn summaries_show_both_ways() {
    let line = line("tcp", Kind::Summary, |e| {
        e.until(Nanos(TIME.0 + 2_500_000_000))
            .text(Key::TCP_END, b"fin", Sensitivity::Public)
            .flag(Key::TCP_MIDSTREAM, true)
            .number(Key::TO_SERVER_BYTES, 1200)
            .number(Key::TO_SERVER_PACKETS, 1)
            .number(Key::TO_SERVER_GAP_BYTES, 0)
            .number(Key::TO_CLIENT_BYTES, 2_000_000)
            .number(Key::TO_CLIENT_PACKETS, 1400)
            .number(Key::TO_CLIENT_GAP_BYTES, 1448)
            .number(Key::TO_CLIENT_RETRANSMITTED_BYTES, 100)
            .number(Key::TO_CLIENT_OUT_OF_ORDER_PACKETS, 3)
            .text(Key::TO_CLIENT_FILE, b"dump/1.to_client", Sensitivity::Public)
    });
    let expected = "tcp summary fin  to server 1200 B in 1 packet  to client 1.90 MiB in 1400 packets, 1448 B missing, \
                    100 B retransmitted, 3 out of order in dump/1.to_client  2.50 s  tcp.midstream=yes\n";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn a_request_with_its_status() {
    let line = line("http", Kind::Exchange, |e| {
        e.status(Status::Error)
            .until(Nanos(TIME.0 + 2_500_000))
            .text(Key::HTTP_METHOD, b"GET", Sensitivity::Public)
            .text(Key::URL_PATH, b"/items", Sensitivity::Literal)
            .text(Key::URL_QUERY, b"q=1", Sensitivity::Literal)
            .text(Key::HTTP_HOST, b"shop.example", Sensitivity::Public)
            .number(Key::HTTP_STATUS_CODE, 404)
            .text(Key::ERROR_MESSAGE, b"Not Found", Sensitivity::Public)
    });
    let expected = "http GET /items?q=1  404  error: Not Found  2.50 ms  http.host=shop.example\n";
    assert!(line.ends_with(expected), "{line}");
}

use sniff_x_flow::Nanos;
use sniff_x_proto::event::{IncompleteReason, Key, Suffix};
use sniff_x_proto::{EventBuilder, Sensitivity};

use super::super::sample::{TIME, arena, v4, v6, written};
use super::super::terminal::{Size, Terminal, width};
use super::*;

fn line(
    protocol: &'static str,
    kind: Kind,
    build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>,
) -> String {
    shown(TextOptions::default(), protocol, kind, build)
}

fn shown(
    options: TextOptions,
    protocol: &'static str,
    kind: Kind,
    build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>,
) -> String {
    let arena = arena(&v4(), protocol, kind, build);
    let mut text = Text::new(options);
    written(&arena, |event, keys, out| text.write(&arena, event, keys, out))
}

/// On a terminal with so many columns.
fn on(columns: usize) -> TextOptions {
    TextOptions {
        terminal: Some(Terminal::new(move || Some(Size { columns, rows: 24 }))),
        ..TextOptions::default()
    }
}

fn columns(names: &[Column], options: TextOptions) -> TextOptions {
    TextOptions { columns: Some(names.to_vec()), ..options }
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
    let expected =
        "10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql  183 µs  select a, b from t  1 row\n";
    assert_eq!(line, expected);
}

#[test]
fn colours_go_by_status() {
    let colored = |status| {
        let arena = arena(&v6(), "mysql", Kind::Exchange, |e| select(e.status(status)));
        let mut text = Text::new(TextOptions { color: true, ..TextOptions::default() });
        written(&arena, |event, keys, out| text.write(&arena, event, keys, out))
    };
    let (dim, end) = ("\x1b[2m", "\x1b[0m");
    let start = format!(
        "{dim}10:00:00.000123{end} [2001:db8::1]:51324 → [2001:db8::2]:3306 \x1b[36mmysql{end}  {dim}183 µs{end}  "
    );
    assert_eq!(colored(Status::Ok), format!("{start}\x1b[32mselect a, b from t{end}\n"));
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
    let expected = r"select a, b from t  error 1146 (42S02): Table 'x' doesn't\x1b[2J exist";
    assert!(line.ends_with(&format!("mysql  183 µs  {expected}\n")), "{line}");
}

#[test]
fn changes_parameters_and_operations_that_the_text_does_not_name() {
    let prepare = line("mysql", Kind::Exchange, |e| {
        e.text(Key::DB_OPERATION_NAME, b"PREPARE", Sensitivity::Public)
            .text(Key::DB_QUERY_TEXT, b"INSERT INTO t VALUES (?, ?)", Sensitivity::Literal)
            .number(Key::DB_STATEMENT_ID, 7)
    });
    assert!(prepare.ends_with("mysql          PREPARE INSERT INTO t VALUES (?, ?)\n"), "{prepare}");
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
    let expected = "mysql          INSERT INTO t VALUES (?, ?) [1, two ]  2 affected  last_insert_id=12\n";
    assert!(execute.ends_with(expected), "{execute}");
}

#[test]
fn what_is_missing_is_said() {
    let line = line("mysql", Kind::Exchange, |e| {
        e.status(Status::Incomplete(IncompleteReason::Gap))
            .cut_text(Key::DB_QUERY_TEXT, b"SELECT 'long", 70_000, Sensitivity::Literal)
            .number(Key::GAP_BYTES, 1448)
    });
    let expected = "mysql          SELECT 'long… (cut, 70000 bytes)  incomplete: gap  1448 B missing\n";
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
    let expected =
        "mysql          session connected  system.name=mariadb  user=app  server_version=11.8.3-MariaDB\n";
    assert!(session.ends_with(expected), "{session}");
    let notice =
        line("mysql", Kind::Notice, |e| e.text(Key::NOTICE, b"packet out of sequence", Sensitivity::Public));
    assert!(notice.ends_with("mysql          notice packet out of sequence\n"), "{notice}");
    let both = line("mysql", Kind::Session, |e| {
        e.text(Key::SESSION_STATE, b"compressed", Sensitivity::Public)
            .text(Key::NOTICE, b"not decoded", Sensitivity::Public)
            .until(Nanos(TIME.0 + 1000))
            .text(Key::DB_USER, b"app", Sensitivity::Public)
    });
    assert!(both.ends_with("mysql 1.00 µs  session compressed: not decoded  user=app\n"), "{both}");
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
    let expected = "tcp  2.50 s  summary fin  to server 1200 B in 1 packet  to client 1.90 MiB in 1400 packets, 1448 B missing, \
                    100 B retransmitted, 3 out of order in dump/1.to_client  tcp.midstream=yes\n";
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
    let expected = "http 2.50 ms  GET /items?q=1  404  error: Not Found  http.host=shop.example\n";
    assert!(line.ends_with(expected), "{line}");
}

/// What a statement of `n` letters with an error and two more fields looks like.
fn refused(e: EventBuilder<'_>, n: usize) -> EventBuilder<'_> {
    e.until(Nanos(TIME.0 + 183_000))
        .status(Status::Error)
        .text(
            Key::DB_QUERY_TEXT,
            &b"SELECT ".iter().copied().chain((0..n).map(|_| b'x')).collect::<Vec<_>>(),
            Sensitivity::Literal,
        )
        .text(Key::DB_STATUS_CODE, b"1054", Sensitivity::Public)
        .text(Key::ERROR_MESSAGE, b"Unknown column 'x'", Sensitivity::Public)
        .text(Key::DB_NAMESPACE, b"shop", Sensitivity::Public)
        .text(Key::DB_USER, b"app", Sensitivity::Public)
}

#[test]
fn a_line_is_cut_to_the_terminal_details_first_then_text_and_result() {
    let cut = |columns, n| shown(on(columns), "mysql", Kind::Exchange, |e| refused(e, n));
    assert_eq!(
        cut(120, 3),
        "10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql  183 µs  SELECT xxx  error 1054: Unknown column 'x'  namespace=sho…\n"
    );
    assert_eq!(
        cut(120, 100),
        "10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 mysql  183 µs  SELECT xxxxxxxxxxxxxxxxxxxx…  error 1054: Unknown column …\n"
    );
    // A narrow terminal has no room for the server.
    assert_eq!(
        cut(80, 3),
        "10:00:00.000123 10.0.0.1:51324 mysql  183 µs  SELECT xxx  error 1054: Unknown c…\n"
    );
    assert_eq!(
        cut(80, 100),
        "10:00:00.000123 10.0.0.1:51324 mysql  183 µs  SELECT xxxxxxxx…  error 1054: Unk…\n"
    );
    assert_eq!(cut(20, 3), "10:00:00.000123 10.…\n");
    // A terminal that does not tell its size cuts for itself.
    let unknown = TextOptions { terminal: Some(Terminal::new(|| None)), ..TextOptions::default() };
    assert!(shown(unknown, "mysql", Kind::Exchange, |e| refused(e, 100)).ends_with("user=app\n"));
}

#[test]
fn no_terminal_gets_a_line_that_is_too_wide() {
    let statement = "SELECT 漢字, 'grün \u{1b}[2J', '\u{1f600}' FROM t WHERE e\u{301} = 1 AND ".repeat(20);
    for (color, wide) in [(false, false), (true, false), (false, true), (true, true)] {
        for columns in 10..200 {
            let options = TextOptions { color, wide, ..on(columns) };
            let lines = shown(options, "mysql", Kind::Exchange, |e| {
                e.status(Status::Ok)
                    .text(Key::DB_QUERY_TEXT, statement.as_bytes(), Sensitivity::Literal)
                    .number(Key::DB_RETURNED_ROWS, 12)
                    .text(Key::DB_USER, "\u{1f600}".as_bytes(), Sensitivity::Public)
            });
            // The columns before the text are not wrapped.
            let least = if wide { 48 } else { 0 };
            let lines: Vec<_> = lines.strip_suffix('\n').unwrap().split('\n').collect();
            assert_eq!(lines.len() > 1, wide, "{lines:?}");
            for line in lines {
                assert!(width(line) <= columns.max(least), "{columns}: {line:?}");
            }
        }
    }
}

#[test]
fn wide_lines_go_on_under_the_text() {
    let options = TextOptions { wide: true, ..on(80) };
    let lines = shown(options, "mysql", Kind::Exchange, |e| {
        e.status(Status::Ok)
            .until(Nanos(TIME.0 + 183_000))
            .text(
                Key::DB_QUERY_TEXT,
                b"SELECT id, name, price FROM item WHERE price > 4 ORDER BY id",
                Sensitivity::Literal,
            )
            .number(Key::DB_RETURNED_ROWS, 3)
    });
    let expected = "\
10:00:00.000123 10.0.0.1:51324 mysql  183 µs  SELECT id, name, price FROM item
                                              WHERE price > 4 ORDER BY id  3
                                              rows
";
    assert_eq!(lines, expected);
}

#[test]
fn columns_are_those_that_were_asked_for_and_say_nothing_twice() {
    use Column::{Db, Details, Duration, Operation, Result, Rows, Size, Status, Text, User};
    fn build(e: EventBuilder<'_>) -> EventBuilder<'_> {
        select(e.status(super::Status::Ok))
            .number(Key::DB_RETURNED_ROWS, 4)
            .number(Key::DB_RESPONSE_SIZE, 12_000)
            .text(Key::DB_NAMESPACE, b"shop", Sensitivity::Public)
            .text(Key::DB_USER, b"app", Sensitivity::Public)
            .number(Key::DB_LAST_INSERT_ID, 7)
    }
    let line = |names: &[Column], options| shown(columns(names, options), "mysql", Kind::Exchange, build);
    let all = [Status, Rows, Size, Db, User, Operation, Text, Result, Details];
    let plain = TextOptions::default;
    assert_eq!(
        line(&all, plain()),
        "ok       4 11.7 KiB shop app  SELECT  select a, b from t  last_insert_id=7\n"
    );
    assert_eq!(line(&[Text, Result], plain()), "select a, b from t  4 rows\n");
    // What follows the text stands at the right edge of a terminal.
    assert_eq!(line(&[User, Text, Duration], on(40)), "app   select a, b from t          183 µs\n");
    assert_eq!(line(&[User, Text, Duration], on(20)), "app   sele…   183 µs\n");
    assert_eq!(line(&[User, Text, Duration], plain()), "app   select a, b from t   183 µs\n");
}

#[test]
fn columns_widen_and_stay_wide() {
    let mut text = Text::new(TextOptions::default());
    let mut line = |flow: &_, protocol| {
        let arena =
            arena(flow, protocol, Kind::Exchange, |e| e.text(Key::DB_QUERY_TEXT, b"x", Sensitivity::Public));
        written(&arena, |event, keys, out| text.write(&arena, event, keys, out))
    };
    let short = "10:00:00.000123 10.0.0.1:51324 → 10.0.0.2:3306 tcp          x\n";
    assert_eq!(line(&v4(), "tcp"), short);
    line(&v6(), "mysql");
    let padded = "10:00:00.000123 10.0.0.1:51324      → 10.0.0.2:3306      tcp            x\n";
    assert_eq!(line(&v4(), "tcp"), padded);
}

#[test]
fn times_are_of_the_day_with_the_date_since_the_first_and_since_the_one_before() {
    for (style, expected) in [
        (TimeStyle::Absolute, ["10:00:00.000123", "10:00:01.500123", "10:00:01.250123"]),
        (
            TimeStyle::Date,
            ["2026-03-01 10:00:00.000123", "2026-03-01 10:00:01.500123", "2026-03-01 10:00:01.250123"],
        ),
        (TimeStyle::Relative, ["  0.000000", "  1.500000", "  1.250000"]),
        (TimeStyle::Delta, ["  0.000000", "  1.500000", " -0.250000"]),
    ] {
        let options = columns(&[Column::Time], TextOptions { time: style, ..TextOptions::default() });
        let mut text = Text::new(options.clone());
        let arena = arena(&v4(), "mysql", Kind::Exchange, |e| e);
        let at = |text: &mut Text, nanos| {
            written(&arena, |event, keys, out| {
                let mut event = *event;
                event.head.timestamp = Nanos(TIME.0 + nanos);
                text.write(&arena, &event, keys, out);
            })
        };
        let lines = [0, 1_500_000_000, 1_250_000_000].map(|nanos| at(&mut text, nanos));
        assert_eq!(lines, expected.map(|line| format!("{line}\n")));
        // The first event is that of all workers.
        let mut other = Text::new(options);
        if style == TimeStyle::Relative {
            assert_eq!(at(&mut other, 2_000_000_000), "  2.000000\n");
        }
    }
}

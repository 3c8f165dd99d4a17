use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sniff_x_flow::Nanos;
use sniff_x_proto::event::{IncompleteReason, KeyInfo, Kind, ValueType};
use sniff_x_proto::{EventBuilder, Sensitivity};

use super::super::sample::{TIME, arena, v4, v6, written};
use super::*;

fn line(arena: &Arena) -> String {
    written(arena, |event, keys, out| write(arena, event, keys, out))
}

fn parsed(build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>) -> Json {
    let line = line(&arena(&v4(), "mysql", Kind::Exchange, build));
    assert_eq!(line.matches('\n').count(), 1, "one event, one line");
    serde_json::from_str(&line).unwrap()
}

/// What a reader does to get the bytes back, as the module says.
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match after {
            [b'x', high, low, end @ ..]
                if first == b'\\' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let hex = [*high, *low];
                bytes.push(u8::from_str_radix(core::str::from_utf8(&hex).unwrap(), 16).unwrap());
                rest = end;
            }
            _ => bytes.push(first),
        }
    }
    bytes
}

fn text_value(text: &[u8]) -> String {
    let mut out = vec![b'"'];
    write_text(text, &mut out);
    out.push(b'"');
    serde_json::from_slice(&out).unwrap()
}

/// The example of the documentation, byte for byte.
#[test]
fn the_line_as_documented() {
    let arena = arena(&v4(), "mysql", Kind::Exchange, |e| {
        e.status(Status::Ok)
            .until(Nanos(TIME.0 + 183_000))
            .text(Key::DB_SYSTEM_NAME, b"mysql", Sensitivity::Public)
            .text(Key::DB_OPERATION_NAME, b"SELECT", Sensitivity::Public)
            .text(Key::DB_QUERY_TEXT, b"SELECT 1", Sensitivity::Literal)
            .text(Key::DB_NAMESPACE, b"shop", Sensitivity::Public)
            .number(Key::DB_RETURNED_ROWS, 1)
    });
    let expected = concat!(
        r#"{"timestamp":"2026-03-01T10:00:00.000123456Z","protocol":"mysql","sniffx.kind":"exchange","#,
        r#""client.address":"10.0.0.1","client.port":51324,"server.address":"10.0.0.2","server.port":3306,"#,
        r#""duration_ns":183000,"status":"ok","db.system.name":"mysql","db.operation.name":"SELECT","#,
        r#""db.query.text":"SELECT 1","db.namespace":"shop","db.response.returned_rows":1}"#,
        "\n"
    );
    assert_eq!(line(&arena), expected);
}

#[test]
fn incomplete_has_its_reason_and_no_duration_is_no_key() {
    let event = parsed(|e| e.status(Status::Incomplete(IncompleteReason::Midstream)));
    assert_eq!(event["status"], "incomplete");
    assert_eq!(event["sniffx.incomplete.reason"], "midstream");
    assert_eq!(event.get("duration_ns"), None);
    assert_eq!(parsed(|e| e).get("status"), None);
}

#[test]
fn numbers_are_exact() {
    let event = parsed(|e| {
        e.number(Key::DB_LAST_INSERT_ID, u64::MAX)
            .signed(Key::DB_COLUMNS, i64::MIN)
            .float(Key::DB_WARNINGS, 0.1 + 0.2)
            .float(Key::DB_AFFECTED_ROWS, 1e300)
            .float(Key::DB_RETURNED_ROWS, f64::NAN)
            .float(Key::DB_RESULT_INDEX, f64::NEG_INFINITY)
            .flag(Key::TCP_MIDSTREAM, true)
            .member_text(Key::DB_QUERY_PARAMETER, Suffix::Index(4_294_967_295), b"x", 1, Sensitivity::Literal)
    });
    assert_eq!(event["sniffx.db.last_insert_id"], json!(u64::MAX));
    assert_eq!(event["sniffx.db.columns"], json!(i64::MIN));
    assert_eq!(event["sniffx.db.warnings"], json!(0.1 + 0.2));
    assert_eq!(event["sniffx.db.affected_rows"], json!(1e300));
    assert_eq!(event["db.response.returned_rows"], Json::Null);
    assert_eq!(event["sniffx.db.result_index"], Json::Null);
    assert_eq!(event["sniffx.tcp.midstream"], json!(true));
    assert_eq!(event["db.query.parameter.4294967295"], "x");
}

/// Names of attributes come off the wire: they can't end the string that they stand in.
#[test]
fn members_of_families_are_escaped() {
    let event = parsed(|e| {
        e.member_null(Key::MYSQL_ATTRIBUTE, Suffix::Name(b"a\"b\\\n\xff"))
            .member_written(Key::MYSQL_ATTRIBUTE, Suffix::Name(b"n"), 7, Sensitivity::Literal)
            .member_written(Key::MYSQL_ATTRIBUTE, Suffix::Name(b"s"), 7, Sensitivity::Secret)
    });
    assert_eq!(event["sniffx.mysql.attribute.a\"b\\\n\\xff"], Json::Null);
    assert_eq!(event["sniffx.mysql.attribute.n"], "7");
    assert_eq!(event.get("sniffx.mysql.attribute.s"), None);
}

#[test]
fn addresses_of_version_6() {
    let arena = arena(&v6(), "tcp", Kind::Summary, |e| e);
    let event: Json = serde_json::from_str(&line(&arena)).unwrap();
    assert_eq!((&event["client.address"], &event["client.port"]), (&json!("2001:db8::1"), &json!(51_324)));
    assert_eq!((&event["server.address"], &event["server.port"]), (&json!("2001:db8::2"), &json!(3306)));
}

#[test]
fn bytes_that_are_not_utf8_and_text_that_looks_like_their_escape() {
    for (bytes, expected) in [
        (&b"a\xffb"[..], r"a\xffb"),
        (br"a\xffb", r"a\x5cxffb"),
        (br"a\xFFb", r"a\x5cxFFb"),
        (br"C:\xyz\x1", r"C:\xyz\x1"),
        (b"\\\xff", r"\\xff"),
        (b"\xe2\x82", r"\xe2\x82"),
        ("grün €".as_bytes(), "grün €"),
    ] {
        assert_eq!(text_value(bytes), expected);
        assert_eq!(unescape(expected), bytes);
    }
}

#[test]
fn no_control_character_comes_out_raw() {
    let all: String = (0..0x100u32).filter_map(char::from_u32).collect();
    let mut out = Vec::new();
    write_text(all.as_bytes(), &mut out);
    assert!(!String::from_utf8(out).unwrap().chars().any(char::is_control));
    assert_eq!(text_value(all.as_bytes()), all);
}

/// The sink copies names as they are.
#[test]
fn names_of_keys_are_plain_and_the_heads_are_in_the_table() {
    let keys = KeyTable::default();
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    for (_, KeyInfo { name, .. }) in keys.iter() {
        assert!(plain(name), "{name}");
    }
    let arena = arena(&v4(), "mysql", Kind::Exchange, |e| {
        e.status(Status::Incomplete(IncompleteReason::Gap)).until(TIME)
    });
    let line = line(&arena);
    let mut at = 0;
    for (_, KeyInfo { name, value_type, .. }) in keys.iter().take(10) {
        let found = line.find(&format!("\"{name}\":")).unwrap();
        assert!(found > at, "{name} stands in the table's order");
        at = found;
        let event: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(event[*name].is_string(), *value_type == ValueType::Text, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(unescape(&text_value(&bytes)), bytes);
    }

    /// Made of what is special, so that escapes meet each other and word boundaries.
    #[test]
    fn any_special_bytes_come_back(bytes in prop::collection::vec(prop::sample::select(
        b"\\xf0F5c\"\n\x00\x1f\x7f\x80\x9f\xc2\xa7\xe2\x82\xac plain".to_vec()), 0..60))
    {
        prop_assert_eq!(unescape(&text_value(&bytes)), bytes);
    }

    #[test]
    fn text_without_escapes_is_what_serde_reads(text in "\\PC*") {
        prop_assume!(!text.contains("\\x"));
        prop_assert_eq!(text_value(text.as_bytes()), text);
    }
}

use sniff_x_flow::Nanos;
use sniff_x_proto::event::{IncompleteReason, Kind};
use sniff_x_proto::{EventBuilder, Sensitivity};

use super::super::sample::{TIME, arena, v4};
use super::*;

fn counted(groups: &mut Groups, build: impl FnOnce(EventBuilder<'_>) -> EventBuilder<'_>) {
    let arena = arena(&v4(), "mysql", Kind::Exchange, build);
    arena.events().for_each(|event| groups.count(&arena, event));
}

fn of_db(groups: &mut Groups, name: &str) {
    counted(groups, |e| e.text(Key::DB_NAMESPACE, name.as_bytes(), Sensitivity::Public));
}

fn table(groups: &Groups, within: Option<Size>, scrolls: bool) -> String {
    let mut out = Vec::new();
    let lines = groups.write(false, within, scrolls, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.lines().count(), lines);
    out
}

#[test]
fn sums_of_each_group() {
    let mut groups = Groups::new(GroupBy::Operation);
    for micros in [100, 301] {
        counted(&mut groups, |e| {
            e.status(Status::Ok)
                .until(Nanos(TIME.0 + micros * 1000))
                .text(Key::DB_OPERATION_NAME, b"SELECT", Sensitivity::Public)
                .number(Key::DB_RETURNED_ROWS, 4)
        });
    }
    counted(&mut groups, |e| {
        e.status(Status::Error).text(Key::HTTP_METHOD, b"GET", Sensitivity::Public).until(TIME)
    });
    counted(&mut groups, |e| e.status(Status::Incomplete(IncompleteReason::Gap)));
    let expected = "\
operation  events  errors  incomplete  rows    mean     max
SELECT          2       0           0     8  200 µs  301 µs
GET             1       1           0     0    0 ns    0 ns
exchange        1       0           1     0       -       -
all             4       1           1     8  133 µs  301 µs
";
    assert_eq!(table(&groups, None, true), expected);
}

#[test]
fn groups_have_the_names_of_both_ends_and_of_what_they_say() {
    for (by, expected) in [
        (GroupBy::Client, "10.0.0.1 "),
        (GroupBy::Server, "10.0.0.2:3306 "),
        (GroupBy::Db, r"a\x1b[2Jb "),
        (GroupBy::User, "(none) "),
        (GroupBy::Protocol, "mysql "),
    ] {
        let mut groups = Groups::new(by);
        of_db(&mut groups, "a\x1b[2Jb");
        assert!(table(&groups, None, true).lines().nth(1).unwrap().starts_with(expected), "{by:?}");
    }
    let mut groups = Groups::new(GroupBy::Client);
    counted(&mut groups, |e| e.text(Key::PROXIED_CLIENT_ADDRESS, b"192.0.2.7", Sensitivity::Public));
    assert!(table(&groups, None, true).contains("\n192.0.2.7 "), "the client before the proxy");
}

/// However many names come, so many are kept; nothing is lost of the sums, and those that count stay.
#[test]
fn groups_are_bounded_and_the_rest_is_counted() {
    let mut groups = Groups::new(GroupBy::Db);
    let mut sum = 0_u64;
    for i in 0..5000 {
        of_db(&mut groups, &format!("db{i}"));
        of_db(&mut groups, "busy");
        sum += 2;
    }
    assert!(groups.named.len() <= MAX_GROUPS);
    assert_eq!(groups.named.get(&b"busy"[..]).unwrap().events, 5000);
    assert_eq!(groups.named.len() as u64 + groups.in_others, 5001);
    let table = table(&groups, None, true);
    let last = table.lines().last().unwrap();
    assert_eq!(last.split_whitespace().nth(1), Some(sum.to_string().as_str()), "{last}");
    assert!(table.contains(&format!("\nothers ({}) ", groups.in_others)), "{table}");
    // A name that is long is cut.
    of_db(&mut groups, &"x".repeat(10_000));
    assert!(groups.named.keys().all(|name| name.len() <= MAX_NAME));
}

/// The sum of what several workers counted, batch by batch, is what one would have counted.
#[test]
fn sums_of_workers_add_up() {
    let (mut one, mut sum) = (Groups::new(GroupBy::Db), Groups::new(GroupBy::Db));
    let mut workers = [Groups::new(GroupBy::Db), Groups::new(GroupBy::Db)];
    for i in 0..300 {
        let name = format!("db{}", i % 7);
        of_db(&mut one, &name);
        let worker = workers.get_mut(i % 2).unwrap();
        of_db(worker, &name);
        if i % 10 == 9 {
            workers.iter_mut().for_each(|worker| sum.take(worker));
        }
    }
    assert_eq!(table(&sum, None, true), table(&one, None, true));
    workers.iter_mut().for_each(|worker| sum.take(worker));
    assert_eq!(table(&sum, None, true), table(&one, None, true), "nothing is taken twice");
}

#[test]
fn a_table_fits_the_terminal_while_it_grows() {
    let mut groups = Groups::new(GroupBy::Db);
    for i in 0..50 {
        for _ in i..50 {
            of_db(&mut groups, &format!("database number {i:02} 漢字漢字漢字漢字漢字漢字"));
        }
    }
    for columns in [10, 40, 80, 120] {
        let table = table(&groups, Some(Size { columns, rows: 10 }), false);
        assert!(table.lines().count() < 10);
        assert!(table.lines().all(|line| width(line) <= columns), "{table}");
    }
    let short = table(&groups, Some(Size { columns: 80, rows: 10 }), false);
    assert!(short.contains("\nothers (44) ") && short.contains("\nall "), "{short}");
    // The last one may scroll.
    assert_eq!(table(&groups, Some(Size { columns: 80, rows: 10 }), true).lines().count(), 52);
}

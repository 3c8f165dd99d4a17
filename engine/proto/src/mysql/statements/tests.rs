use super::*;

fn insert(statements: &mut Statements, id: u32, text: Option<(&[u8], u64)>, parameters: u16) {
    statements.insert(id, text.map(|(text, len)| (Arc::from(text), len)), parameters);
}

fn text_of(statements: &mut Statements, id: u32) -> Option<(&[u8], u64)> {
    statements.get(id)?.text()
}

#[test]
fn what_is_held_is_counted() {
    let mut statements = Statements::default();
    for id in 0..3_000 {
        let text = vec![b'x'; (id as usize * 37) % 6_000];
        insert(&mut statements, id, Some((&text, text.len() as u64)), 0);
        if id % 3 == 0 {
            statements.close(id / 2);
        }
        assert_eq!(statements.held, statements.list.iter().map(Statement::held).sum::<usize>());
    }
}

#[test]
fn remembers_and_forgets() {
    let mut statements = Statements::default();
    insert(&mut statements, 7, Some((b"select ?", 8)), 1);
    insert(&mut statements, 3, Some((b"select 3", 800)), 0);
    assert_eq!(text_of(&mut statements, 7), Some((&b"select ?"[..], 8)));
    assert_eq!(text_of(&mut statements, 3), Some((&b"select 3"[..], 800)));
    assert_eq!(statements.resolve(LAST), 3);
    statements.close(3);
    assert_eq!(text_of(&mut statements, 3), None);
    assert_eq!(statements.resolve(LAST), LAST);
    insert(&mut statements, 7, Some((b"again", 5)), 0);
    assert_eq!(text_of(&mut statements, 7), Some((&b"again"[..], 5)));
    insert(&mut statements, 7, None, 2);
    assert_eq!(text_of(&mut statements, 7), None);
    assert_eq!(statements.get(7).unwrap().parameters, 2, "its text is not known, its parameters are");
}

#[test]
fn found_whether_ids_have_holes_or_not() {
    let mut statements = Statements::default();
    let mut prepared = Vec::new();
    for id in [7, 8, 9, 11, 12, 5, u32::MAX - 1, 6, 10] {
        insert(&mut statements, id, Some((&id.to_le_bytes(), 4)), 0);
        prepared.push(id);
        if prepared.len() % 4 == 0 {
            statements.close(prepared.remove(1));
        }
        for id in (0..20).chain(u32::MAX - 3..u32::MAX) {
            let text = id.to_le_bytes();
            let known = prepared.contains(&id).then_some((&text[..], 4));
            assert_eq!(text_of(&mut statements, id), known, "{id} of {prepared:?}");
        }
    }
}

#[test]
fn number_is_bounded_and_the_least_used_goes_first() {
    // Also when the clock begins anew.
    let mut statements = Statements { clock: u32::MAX - 100, ..Statements::default() };
    for id in 0..=u32::try_from(MAX_STATEMENTS).unwrap() {
        insert(&mut statements, id, Some((b"x", 1)), 0);
        assert!(text_of(&mut statements, 0).is_some());
    }
    assert_eq!(text_of(&mut statements, 1), None);
    assert!(text_of(&mut statements, 2).is_some());
}

#[test]
fn bytes_are_bounded() {
    let mut statements = Statements::default();
    let text = vec![b'x'; 64 << 10];
    for id in 0..100 {
        insert(&mut statements, id, Some((&text, text.len() as u64)), 0);
    }
    assert!(statements.retained() <= MAX_BYTES + (64 << 10), "{}", statements.retained());
    assert_eq!(text_of(&mut statements, 99).unwrap().0.len(), text.len());
}

#[test]
fn types_hold_until_others_are_bound() {
    let mut statements = Statements::default();
    insert(&mut statements, 1, Some((b"select ?", 8)), 1);
    assert_eq!(statements.get(1).unwrap().types(), None);
    let types = Types { bytes: &[3, 0], named: false, count: 1 };
    statements.bind(1, Some(types));
    assert_eq!(statements.get(1).unwrap().types(), Some(types));
    statements.bind(1, None);
    assert_eq!(statements.get(1).unwrap().types(), None, "others were bound that nobody saw");
    for (count, named, len) in
        [(10, false, 20), (11, false, 22), (300, false, 600), (4, true, 12), (300, true, 20)]
    {
        let types = Types { bytes: &vec![7; len], named, count };
        statements.bind(1, Some(types));
        assert_eq!(statements.get(1).unwrap().types(), Some(types));
        assert_eq!(statements.held, statements.list.iter().map(Statement::held).sum::<usize>());
    }
}

#[test]
fn long_data_is_joined_and_bounded() {
    let mut statements = Statements::default();
    insert(&mut statements, 1, None, 2);
    statements.add_long_data(1, 0, b"ab", 2, 100, false);
    statements.add_long_data(1, 0, b"cd", 2, 100, false);
    statements.add_long_data(1, 1, b"", 0, 100, false);
    statements.add_long_data(1, 2, b"no such parameter", 17, 100, false);
    let statement = statements.get(1).unwrap();
    assert_eq!(statement.long_data(0), Some((Some(&b"abcd"[..]), 4)));
    assert_eq!(statement.long_data(1), Some((Some(&b""[..]), 0)));
    assert_eq!(statement.long_data(2), None);
    for _ in 0..100 {
        statements.add_long_data(1, 0, &[b'x'; 1000], 2000, 1 << 20, false);
    }
    let statement = statements.get(1).unwrap();
    let (kept, len) = statement.long_data(0).unwrap();
    assert_eq!((kept.unwrap().len(), len), (1004, 200_004), "nothing is kept behind what was cut");
    statements.clear_long_data(1);
    assert_eq!(statements.get(1).unwrap().long_data(0), None);
    statements.add_long_data(1, 0, b"x", 1, 100, true);
    statements.add_long_data(1, 0, b"y", 1, 100, false);
    assert_eq!(statements.get(1).unwrap().long_data(0), Some((None, 2)), "a part is missing");
    for id in 2..40 {
        insert(&mut statements, id, None, 1);
        for _ in 0..20 {
            statements.add_long_data(id, 0, &[b'x'; 10_000], 10_000, 1 << 20, false);
        }
    }
    assert!(statements.retained() < 2 * MAX_BYTES, "{}", statements.retained());
}

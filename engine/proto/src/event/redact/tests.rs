use super::*;

const MYSQL: Dialect = Dialect::MySql { backslash: Some(true) };

fn shown(text: &str, sensitivity: Sensitivity, redacts: bool) -> String {
    cut(text.as_bytes(), false, sensitivity, redacts)
}

fn cut(text: &[u8], is_cut: bool, sensitivity: Sensitivity, redacts: bool) -> String {
    let mut out = Vec::new();
    write(text, is_cut, sensitivity, redacts, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn sql(dialect: Dialect) -> Sensitivity {
    Sensitivity::Within(Language::Sql(Sql { dialect, broken: false }))
}

fn broken(dialect: Dialect) -> Sensitivity {
    Sensitivity::Within(Language::Sql(Sql { dialect, broken: true }))
}

#[test]
fn literals_of_mysql() {
    for (text, expected) in [
        ("SELECT * FROM t WHERE a = 'x' AND b=5", "SELECT * FROM t WHERE a = ? AND b=?"),
        ("INSERT INTO `t 1` VALUES (1, -2.5e-3, .5, 0xAF, 0b1)", "INSERT INTO `t 1` VALUES (?, -?, ?, ?, ?)"),
        ("SELECT x'4142', X'41', b'01', N'n', _utf8mb4'u', _latin1 'l'", "SELECT ?, ?, ?, ?, ?, _latin1 ?"),
        (r"SELECT 'it''s', 'it\'s', 'a\\', 'b' 'c'", "SELECT ?, ?, ?, ? ?"),
        (r#"SELECT "a""b", "c\"d" FROM t1"#, "SELECT ?, ? FROM t1"),
        ("SELECT 1 /* user 7 */, 2 -- mail a@b.c\n, 3 # x\n", "SELECT ? /* ? */, ? -- ?\n, ? # ?\n"),
        (
            "/*!40101 SET NAMES 'utf8' */ SELECT /*+ MAX_EXECUTION_TIME(9) */ 1",
            "/*!40101 SET NAMES ? */ SELECT /*+ MAX_EXECUTION_TIME(?) */ ?",
        ),
        (
            "SELECT a-1, 5--3, @v, @@x, ? FROM db.t2 WHERE c IN (1, 2,3)",
            "SELECT a-?, ?--?, @v, @@x, ? FROM db.t2 WHERE c IN (?, ?,?)",
        ),
        ("SELECT NULL, TRUE, \\N", "SELECT NULL, TRUE, \\N"),
        ("GRANT SELECT ON a.* TO 'bob'@'%'", "GRANT SELECT ON a.* TO ?@?"),
        ("SELECT DATE'2020-01-01', {ts '2020-01-01 00:00:00'}", "SELECT DATE?, {ts ?}"),
        ("SELECT 2fa FROM t", "SELECT ? FROM t"),
        ("CREATE FUNCTION f() AS $$ return 'x' $$", "CREATE FUNCTION f() AS ?"),
        ("SELECT größe FROM t WHERE a='ö'", "SELECT größe FROM t WHERE a=?"),
        ("", ""),
    ] {
        assert_eq!(shown(text, sql(MYSQL), true), expected);
        assert_eq!(shown(text, sql(MYSQL), false), text, "only with --redact");
    }
}

#[test]
fn what_is_cut_or_broken_does_not_leak() {
    // Cut in a literal: all of it was one.
    assert_eq!(cut(b"SELECT 'a', 'secr", true, sql(MYSQL), true), "SELECT ?, ?");
    assert_eq!(cut(b"SELECT a /* secr", true, sql(MYSQL), true), "SELECT a /* ? */");
    assert_eq!(cut(b"SELECT 12", true, sql(MYSQL), true), "SELECT ?");
    for text in [
        "SELECT a FROM t WHERE b = 'it's secret'",
        "SELECT a FROM t WHERE b = 'it' AND 'secret",
        "SELECT a FROM t WHERE b = `secret",
        "SELECT a FROM t WHERE b = 'rock 'n' secret'",
        "SELECT a FROM t WHERE b = $x$ secret",
    ] {
        let shown = shown(text, sql(MYSQL), true);
        assert!(!shown.contains("secret") && shown.starts_with("SELECT a FROM t WHERE b = "), "{shown}");
    }
    // An even number of quotes, but the server said that it is no SQL.
    let text = "SELECT a FROM t WHERE n = 5 AND b = 'x ' secret ' y'";
    assert!(shown(text, sql(MYSQL), true).contains("secret"));
    assert_eq!(shown(text, broken(MYSQL), true), "SELECT a FROM t WHERE n = ? AND b = ?…");
}

#[test]
fn backslashes_that_may_be_anything() {
    let text = r"SELECT 'a\', ' secret '";
    for backslash in [Some(true), Some(false), None] {
        let shown = shown(text, sql(Dialect::MySql { backslash }), true);
        let expected = match backslash {
            Some(true) => "SELECT ?…",
            Some(false) => "SELECT ?, ?",
            None => "SELECT ?…",
        };
        assert_eq!(shown, expected, "{backslash:?}");
    }
    assert_eq!(shown(r"SELECT 'a\n', 'b'", sql(Dialect::MySql { backslash: None }), true), "SELECT ?, ?");
    // In Shift-JIS the second byte of a character may look like a backslash.
    let text = b"SELECT '\x95\x5c', 'x', secret'";
    assert!(!cut(text, false, sql(MYSQL), true).contains("secret"));
}

#[test]
fn literals_of_postgres() {
    for (text, expected) in [
        (
            r#"SELECT "Col" FROM "T" WHERE a = E'it\'s' AND b = $1"#,
            r#"SELECT "Col" FROM "T" WHERE a = ? AND b = $1"#,
        ),
        ("DO $$ BEGIN x := 'y'; END $$; SELECT $tag$ a $$ b $tag$", "DO ?; SELECT ?"),
        ("SELECT 1 /* a /* nested */ b */ + U&'d\\0061t' -- c", "SELECT ? /* ? */ + U&? -- ?"),
        ("SELECT a #> '{b,c}', B'01', x::int FROM t --x\n", "SELECT a #> ?, ?, x::int FROM t -- ?\n"),
        (r"SELECT 'a\', secret'", "SELECT ?…"),
    ] {
        assert_eq!(shown(text, sql(Dialect::Postgres), true), expected);
    }
    // In any dialect: what one of them hides is hidden.
    assert_eq!(shown("SELECT \"a\", 'b' # c --d", sql(Dialect::Any), true), "SELECT ?, ? # ?");
    assert_eq!(shown("SELECT a--b\n, 1", sql(Dialect::Any), true), "SELECT a-- ?\n, ?");
}

/// However a statement is put together and cut, a marker inside a literal is never shown.
#[test]
fn markers_in_literals_never_come_out() {
    let literals = [
        "'MARK'",
        "\"MARK\"",
        "'a''MARK'",
        r"'a\'MARK'",
        "x'4d' 'MARK'",
        "_utf8'MARK'",
        "/* MARK */",
        "-- MARK\n",
        "# MARK\n",
        "0xMARK",
        "7MARK",
        "$$MARK$$",
        "$a$ MARK ' $a$",
        "'\nMARK\\\\'",
        "N'MARK'",
        "'--MARK'",
        "'/*MARK'",
    ];
    let between = [" ", ", ", " AND a = ", " /*!50000 ", " */ ", "(", ") ", " `n'ame` ", " ? ", "; ", "\n"];
    let mut seed = 11_u64;
    let mut next = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % n
    };
    for _ in 0..5_000 {
        let mut text = String::from("SELECT ");
        for _ in 0..6 {
            text += literals[next(literals.len())];
            text += between[next(between.len())];
        }
        let whole = shown(&text, sql(MYSQL), true);
        assert!(!whole.contains("MARK"), "{text}\n{whole}");
        let at = next(text.len());
        for is_cut in [true, false] {
            let part = cut(&text.as_bytes()[..at], is_cut, sql(MYSQL), true);
            assert!(!part.contains("MARK"), "{text}\n{part}");
        }
        let unknown = shown(&text, sql(Dialect::MySql { backslash: None }), true);
        assert!(!unknown.contains("MARK"), "{text}\n{unknown}");
    }
}

#[test]
fn any_bytes_are_read_to_their_end() {
    let pieces: [&[u8]; 16] = [
        b"'", b"\"", b"`", b"\\", b"/*", b"*/", b"$", b"$a$", b"--", b"#", b"\xff", b"x'", b"://", b"@",
        b"=", b"a;token",
    ];
    let mut seed = 3_u64;
    for _ in 0..3_000 {
        let mut text = Vec::new();
        for _ in 0..24 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend_from_slice(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        for language in
            [Language::UrlPath, Language::UrlQuery, Language::Url, Language::Body, Language::Message]
        {
            let _ = cut(&text, false, Sensitivity::Within(language), false);
            let _ = cut(&text, false, Sensitivity::Within(language), true);
        }
        for dialect in [MYSQL, Dialect::Postgres, Dialect::Any] {
            let _ = cut(&text, true, sql(dialect), true);
        }
    }
}

#[test]
fn queries_of_urls() {
    let query = Sensitivity::Within(Language::UrlQuery);
    for (text, plain, redacted) in [
        ("q=shoes&page=2", "q=shoes&page=2", "q=?&page=?"),
        ("a&b=&c=1;d=2", "a&b=&c=1;d=2", "?&b=&c=?;d=?"),
        ("access_token=abc&x=1", "access_token=<secret>&x=1", "access_token=<secret>&x=?"),
        (
            "X-Amz-Signature=abc&pass%77ord=pw",
            "X-Amz-Signature=<secret>&pass%77ord=<secret>",
            "X-Amz-Signature=<secret>&pass%77ord=<secret>",
        ),
        ("key=up&key=AIzaSyA1234567890abcdef", "key=up&key=<secret>", "key=?&key=<secret>"),
        ("", "", ""),
    ] {
        assert_eq!(
            (shown(text, query, false), shown(text, query, true)),
            (plain.to_owned(), redacted.to_owned())
        );
    }
}

#[test]
fn paths_of_urls() {
    let path = Sensitivity::Within(Language::UrlPath);
    for (text, plain, redacted) in [
        ("/api/v1/users/42", "/api/v1/users/42", "/api/v1/users/42"),
        ("/users/a@b.c/x", "/users/a@b.c/x", "/users/?/x"),
        ("/reset/3f2504e04f8911d39a0c0305e82c3301", "/reset/3f2504e04f8911d39a0c0305e82c3301", "/reset/?"),
        ("/a;jsessionid=77;v=1/b", "/a;jsessionid=<secret>;v=1/b", "/a;jsessionid=<secret>;v=?/b"),
        ("bob:pw@host:443", "<secret>@host:443", "<secret>@host:443"),
        ("https://bob:pw@host/x", "https://<secret>@host/x", "https://<secret>@host/x"),
        ("//bob:pw@host/x", "//<secret>@host/x", "//<secret>@host/x"),
        ("*", "*", "*"),
        ("/", "/", "/"),
    ] {
        assert_eq!(
            (shown(text, path, false), shown(text, path, true)),
            (plain.to_owned(), redacted.to_owned())
        );
    }
}

#[test]
fn texts_with_urls() {
    let url = Sensitivity::Within(Language::Url);
    for (text, plain) in [
        (
            "https://bob:pw@host/a?token=x&b=1#access_token=y",
            "https://<secret>@host/a?token=<secret>&b=1#access_token=<secret>",
        ),
        ("bob:pw@host:80", "<secret>@host:80"),
        ("Bob <a:b@c.d>", "Bob <a:b@c.d>"),
        ("/next?page=2", "/next?page=2"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
        ("<https://a/?sig=1>; rel=next", "<https://a/?sig=<secret>>; rel=next"),
    ] {
        assert_eq!(shown(text, url, false), plain);
        assert_eq!(shown(text, url, true), "?");
    }
}

#[test]
fn bodies() {
    let body = Sensitivity::Within(Language::Body);
    for (text, plain) in [
        (r#"{"user":"bob","password": "p\"w","n":1}"#, r#"{"user":"bob","password": "<secret>","n":1}"#),
        (
            r#"{"log":"{\"password\":\"pw\",\"a\":\"b\"}"}"#,
            r#"{"log":"{\"password\":\"<secret>\",\"a\":\"b\"}"}"#,
        ),
        ("user=bob&client_secret=x%20y&a=b", "user=bob&client_secret=<secret>&a=b"),
        ("<password>pw</password><a>b</a>", "<password><secret></password><a>b</a>"),
        ("name=\"password\"\r\n\r\npw\r\n--x", "name=\"password\"\r\n\r\n<secret>\n--x"),
        (r#"{"secrets":["a",{"b":"c]"}],"max_tokens":5}"#, r#"{"secrets":<secret>,"max_tokens":5}"#),
        (r#"{"token":"cut he"#, r#"{"token":"<secret>"#),
        ("the password is long", "the password is long"),
    ] {
        assert_eq!(shown(text, body, false), plain);
        assert_eq!(shown(text, body, true), "?");
    }
}

#[test]
fn messages() {
    let message = Sensitivity::Within(Language::Message);
    for (text, redacted) in [
        ("Duplicate entry 'it's' for key 'users.mail'", "Duplicate entry '?' for key 'users.mail'"),
        ("Duplicate entry 'x' for key 'a b' for key 'k'", "Duplicate entry '?' for key 'k'"),
        ("near 'secret' at line 1", "near '?' at line 1"),
        (
            "Incorrect integer value: 'a' for column `d`.`t`.`c` at row 1",
            "Incorrect integer value: '?' for column `d`.`t`.`c` at row 1",
        ),
        ("Data too long for column 'c' at row 1", "Data too long for column 'c' at row 1"),
        ("near 'cut in the mid", "near '?'"),
        ("No quotes", "No quotes"),
    ] {
        assert_eq!(shown(text, message, true), redacted);
        assert_eq!(shown(text, message, false), text);
    }
}

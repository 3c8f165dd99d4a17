//! How connections begin: behind a proxy, in the X Protocol, with every handshake from 3.20 to 9 and every way to log in. The bytes are made
//! from the protocols' texts.
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
use mysql_support::{Random, client, field, heads, play, server, split_invariant};
use sniff_x_flow::Direction;
use sniff_x_proto::mysql::Mysql;
use sniff_x_proto::replay::Step;
use sniff_x_proto::{Plugin, Probe};

const PROXY_V1: &[u8] = b"PROXY TCP4 198.51.100.7 10.0.0.2 40001 3306\r\n";

/// Version 2 with an extension of 40 bytes (PP2_TYPE_NOOP) behind the addresses.
fn proxy_v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x4f".to_vec();
    header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    header.extend([0; 16]);
    header.extend([0x9c, 0x41, 0x0c, 0xea]);
    header.extend([0x04, 0, 40]);
    header.extend([0xff; 40]);
    header
}

/// The header in front of the login, in a segment of its own or not, behind the greeting or before it.
fn behind_a_proxy(steps: &[Step], header: &[u8], form: usize) -> Vec<Step> {
    let mut steps = steps.to_vec();
    match form {
        0 => steps.insert(0, client(header)),
        1 => steps.insert(1, client(header)),
        _ => {
            let Step::Data(Direction::ToServer, login) = &mut steps[1] else { unreachable!() };
            login.splice(..0, header.iter().copied());
        }
    }
    steps
}

#[test]
fn every_event_behind_a_proxy_tells_the_client() {
    for seed in 0..30 {
        let generated = Generator::new(seed).conversation(8);
        let plain = play(false, &generated.steps);
        for (header, address, port) in
            [(PROXY_V1.to_vec(), "198.51.100.7", "40001"), (proxy_v2(), "2001:db8::9", "40001")]
        {
            for form in 0..3 {
                let lines = play(false, &behind_a_proxy(&generated.steps, &header, form));
                let fields =
                    format!(" sniffx.proxied.client.address='{address}' sniffx.proxied.client.port={port}");
                assert!(lines.iter().all(|line| line.contains(&fields)), "seed {seed}: {lines:#?}");
                let without: Vec<_> = lines.iter().map(|line| line.replace(&fields, "")).collect();
                assert_eq!(without, plain, "seed {seed}, form {form}");
            }
        }
        // The proxy itself, and one that does not know.
        for header in [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], b"PROXY UNKNOWN\r\n"] {
            assert_eq!(play(false, &behind_a_proxy(&generated.steps, header, 1)), plain, "seed {seed}");
        }
    }
}

#[test]
fn split_invariance_behind_a_proxy() {
    for (seed, header) in [(1, PROXY_V1.to_vec()), (2, proxy_v2())] {
        let generated = Generator::new(seed).conversation(2);
        for form in 0..3 {
            let steps = behind_a_proxy(&generated.steps, &header, form);
            split_invariant(false, &steps, &mut Random(seed), true, "behind a proxy");
        }
    }
}

/// The connection is joined behind its SYN, before its first bytes.
#[test]
fn a_proxy_where_the_syn_was_missed() {
    let generated = Generator::new(4).conversation(4);
    let steps = behind_a_proxy(&generated.steps, PROXY_V1, 0);
    let lines = play(true, &steps);
    assert!(lines.len() > 4);
    for line in &lines {
        assert_eq!(field(line, "sniffx.proxied.client.address").unwrap(), "198.51.100.7");
    }
}

#[test]
fn what_is_no_proxy_header_is_no_mysql() {
    for header in ["PROXY TCP4 198.51.100.7 10.0.0.2 40001\r\n", "PROXY NONSENSE 1 2 3 4\r\n"] {
        let lines = play(false, &[client(header.as_bytes()), client(vec![b'x'; 200])]);
        assert_eq!(heads(&lines), ["notice"], "{header:?}");
    }
    // Bytes are missing in it.
    let mut steps = Generator::new(4).conversation(2).steps;
    let gap = Step::Gap(Direction::ToServer, (PROXY_V1.len() - 9) as u64);
    steps.splice(1..1, [client(&PROXY_V1[..9]), gap]);
    let lines = play(false, &steps);
    assert!(lines.iter().all(|line| field(line, "sniffx.proxied.client.address").is_none()), "{lines:#?}");
}

/// Cut or joined anywhere in a proxy's header: no event tells another client, and none an exchange that did not happen.
#[test]
fn a_part_of_a_proxy_header() {
    let generated = Generator::new(9).conversation(3);
    let plain = play(false, &generated.steps);
    let exchanges = plain.iter().filter(|l| l.starts_with("exchange")).count();
    for (header, address) in [(PROXY_V1.to_vec(), "198.51.100.7"), (proxy_v2(), "2001:db8::9")] {
        let check = |lines: &[String], what: &str| {
            for line in lines {
                let told = field(line, "sniffx.proxied.client.address");
                assert!(told.is_none_or(|told| told == address), "{what}: {line}");
            }
            assert!(lines.iter().filter(|l| l.starts_with("exchange ok")).count() <= exchanges, "{what}");
            assert!(lines.iter().any(|l| l.starts_with("exchange ok")), "{what}: {lines:#?}");
        };
        for at in 0..header.len() {
            for lost in [1, 5, header.len() - at, header.len() - at + 20] {
                let mut steps = behind_a_proxy(&generated.steps, &header, 2);
                let Step::Data(_, first) = steps.remove(1) else { unreachable!() };
                let behind = (at + lost).min(first.len());
                let parts = [
                    client(&first[..at]),
                    Step::Gap(Direction::ToServer, (behind - at) as u64),
                    client(&first[behind..]),
                ];
                let some = |step: &Step| !matches!(step, Step::Data(_, bytes) if bytes.is_empty());
                steps.splice(1..1, parts.into_iter().filter(some));
                check(&play(false, &steps), &format!("{lost} bytes from {at}"));
            }
            let steps = behind_a_proxy(&generated.steps, &header[at..], 0);
            check(&play(true, &steps), &format!("joined at {at}"));
        }
    }
}

#[test]
fn probing_behind_a_proxy() {
    let plugin = Mysql::default();
    let steps = Generator::new(3).conversation(0).steps;
    let (Step::Data(_, greeting), Step::Data(_, login)) = (&steps[0], &steps[1]) else { unreachable!() };
    for header in [PROXY_V1.to_vec(), proxy_v2()] {
        for cut in 0..header.len() {
            assert_eq!(plugin.probe(&header[..cut], b""), Probe::More, "{cut}");
        }
        let whole = [&header, login.as_slice()].concat();
        assert_eq!(plugin.probe(&header, greeting), Probe::Yes { reversed: false });
        assert_eq!(plugin.probe(&whole, b""), Probe::Yes { reversed: false });
        assert_eq!(plugin.probe(b"", &whole), Probe::Yes { reversed: true });
        assert_eq!(plugin.probe(&[&header[..], b"GET / HTTP/1.1\r\n"].concat(), b""), Probe::No);
        assert_eq!(plugin.probe(&[&header, greeting.as_slice()].concat(), b""), Probe::No);
    }
    assert_eq!(plugin.probe(b"PROXY TCP4 x\r\n", b""), Probe::No);
}

/// The first messages of the X Protocol: the server's hello, the client's question for capabilities and the answer, a wish for TLS, logins.
const X_HELLO: &[u8] = b"\x05\0\0\0\x0b\x08\x05\x1a\0";
const X_CAPABILITIES_GET: &[u8] = b"\x01\0\0\0\x01";
const X_CAPABILITIES: &[u8] = b"\x12\0\0\0\x02\x0a\x0f\x0a\x03tls\x12\x08\x08\x01\x12\x04\x08\x07\x40\0";
const X_TLS: &[u8] =
    b"\x16\0\0\0\x02\x0a\x13\x0a\x11\x0a\x03tls\x12\x0a\x08\x01\x12\x06\x08\x07\x12\x02\x38\x01";
const X_MYSQL41: &[u8] = b"\x0a\0\0\0\x04\x0a\x07MYSQL41";
const X_PLAIN: &[u8] = b"\x18\0\0\0\x04\x0a\x05PLAIN\x12\x0e\0hunter\0hunter2";

#[test]
fn the_x_protocol_is_told_and_left() {
    for steps in [
        vec![server(X_HELLO), client(X_CAPABILITIES_GET)],
        vec![client(X_CAPABILITIES_GET), server(X_HELLO)],
        vec![client(X_CAPABILITIES_GET), server(X_CAPABILITIES), client(X_TLS)],
        vec![client(X_TLS)],
        vec![client(X_MYSQL41)],
        vec![client(X_PLAIN)],
        vec![server(X_CAPABILITIES)],
        vec![server(b"\x1e\0\0\0\x01\x08\x01\x10\x90\x08\x1a\x0eToo many of us\x22\x05HY000".to_vec())],
    ] {
        let lines = play(false, &steps);
        assert_eq!(heads(&lines), ["session"], "{steps:x?}");
        assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "x-protocol");
        assert!(field(&lines[0], "sniffx.notice").is_some());
        assert!(!lines[0].contains("hunter"));
        split_invariant(false, &steps, &mut Random(1), true, "X Protocol");
    }
    // Through a proxy.
    let lines = play(false, &[client([PROXY_V1, X_MYSQL41].concat())]);
    assert_eq!(field(&lines[0], "sniffx.session.state").unwrap(), "x-protocol");
    assert_eq!(field(&lines[0], "sniffx.proxied.client.port").unwrap(), "40001");
}

/// Joined in the middle the X Protocol's messages look like the classic protocol's here and there: no exchange may come of it.
#[test]
fn the_x_protocol_joined_in_the_middle() {
    // StmtExecute("select 1"), Find and Insert into a collection; column meta data, row, done, OK.
    let requests = [
        &b"\x0b\0\0\0\x0c\x12\x08select 1"[..],
        b"\x13\0\0\0\x11\x12\x0f\x0a\x06orders\x12\x05shop1\x18\x01",
        b"\x13\0\0\0\x12\x0a\x0f\x0a\x06orders\x12\x05shop1\x10\x01",
        b"\x01\0\0\0\x03",
    ];
    let answer = b"\x03\0\0\0\x0c\x08\x01\x04\0\0\0\x0d\x0a\x01\x02\x01\0\0\0\x0e\x01\0\0\0\x11";
    for from in 0..requests.len() {
        let steps: Vec<_> = requests[from..].iter().flat_map(|r| [client(*r), server(&answer[..])]).collect();
        let lines = play(true, &steps);
        assert!(
            !lines.iter().any(|l| l.starts_with("exchange ok") || l.starts_with("session")),
            "{lines:#?}"
        );
    }
}

#[test]
fn probing_the_x_protocol() {
    let plugin = Mysql::default();
    let yes = Probe::Yes { reversed: false };
    assert_eq!(plugin.probe(b"", X_HELLO), yes);
    assert_eq!(plugin.probe(X_HELLO, b""), Probe::Yes { reversed: true });
    assert_eq!(plugin.probe(X_MYSQL41, b""), yes);
    assert_eq!(plugin.probe(X_PLAIN, b""), yes);
    assert_eq!(plugin.probe(X_TLS, b""), yes);
    // It might be the classic protocol's QUIT.
    assert_eq!(plugin.probe(X_CAPABILITIES_GET, b""), Probe::More);
    assert_eq!(plugin.probe(X_CAPABILITIES_GET, X_CAPABILITIES), yes);
    for message in [X_HELLO, X_TLS, X_MYSQL41] {
        for cut in 0..message.len().min(18) {
            assert_eq!(plugin.probe(&message[..cut], b""), Probe::More, "{cut}");
        }
    }
}

const PROTOCOL_41: u64 = 1 << 9;
const SECURE: u64 = 1 << 15;
const PLUGIN_AUTH: u64 = 1 << 19;
const ATTRIBUTES: u64 = 1 << 20;
const LENENC_AUTH: u64 = 1 << 21;
const DEPRECATE_EOF: u64 = 1 << 24;
const MULTI_FACTOR: u64 = 1 << 28;
const WITH_DB: u64 = 1 << 3;
/// What MySQL calls LONG_PASSWORD and MariaDB clears.
const MYSQL: u64 = 1;
const MARIADB_EXTENDED: u64 = 0x1f << 32;
const MYSQL_57: u64 =
    MYSQL | PROTOCOL_41 | SECURE | PLUGIN_AUTH | ATTRIBUTES | LENENC_AUTH | WITH_DB | DEPRECATE_EOF;
const MARIADB_10: u64 = MYSQL_57 & !MYSQL | MARIADB_EXTENDED;

/// A greeting of protocol 10; `method` none before plugins.
fn greeting(version: &str, caps: u64, method: Option<&str>) -> Step {
    let mut body = [&[10], version.as_bytes(), b"\0", &77u32.to_le_bytes(), b"abcdefgh\0"].concat();
    let bytes = caps.to_le_bytes();
    body.extend(&bytes[..2]);
    body.extend([8, 2, 0]);
    body.extend(&bytes[2..4]);
    body.push(if method.is_some() { 21 } else { 0 });
    body.extend([0; 6]);
    body.extend(&bytes[4..]);
    if caps & SECURE != 0 {
        body.extend(b"ijklmnopqrst\0");
    }
    if let Some(method) = method {
        body.extend(method.as_bytes());
        body.push(0);
    }
    server(packets(&mut 0, &body))
}

/// A login of the 4.1 protocol.
fn login(caps: u64, secret: &[u8], method: Option<&str>) -> Step {
    let bytes = caps.to_le_bytes();
    let mut body = [&bytes[..4], &[0, 0, 0, 1, 45], &[0; 19], &bytes[4..], b"alice\0"].concat();
    body.push(secret.len() as u8);
    body.extend(secret);
    if caps & WITH_DB != 0 {
        body.extend(b"shop\0");
    }
    if let Some(method) = method {
        body.extend(method.as_bytes());
        body.push(0);
    }
    if caps & ATTRIBUTES != 0 {
        body.extend(b"\x10\x08password\x06hunter");
    }
    client(packets(&mut 1, &body))
}

/// The OK packet with that sequence id.
fn ok(mut seq: u8) -> Step {
    server(packets(&mut seq, &[0, 0, 0, 2, 0, 0, 0]))
}

const SECRET: &[u8] = b"hunter2hunter2hunter";

#[test]
fn handshakes_of_all_servers() {
    for (version, caps, method, system) in [
        ("4.1.22", MYSQL | PROTOCOL_41 | WITH_DB | SECURE, None, "mysql"),
        ("5.0.96-log", MYSQL | PROTOCOL_41 | WITH_DB | SECURE, None, "mysql"),
        ("5.1.73", MYSQL | PROTOCOL_41 | WITH_DB | SECURE, None, "mysql"),
        (
            "5.5.62",
            MYSQL_57 & !DEPRECATE_EOF & !ATTRIBUTES & !LENENC_AUTH,
            Some("mysql_native_password"),
            "mysql",
        ),
        ("5.7.44", MYSQL_57, Some("mysql_native_password"), "mysql"),
        ("8.4.5", MYSQL_57 | 0xf << 25, Some("caching_sha2_password"), "mysql"),
        ("9.5.0", MYSQL_57 | 0xf << 25, Some("caching_sha2_password"), "mysql"),
        ("5.5.68-MariaDB", MYSQL_57 & !DEPRECATE_EOF & !ATTRIBUTES, Some("mysql_native_password"), "mariadb"),
        ("5.5.5-10.0.38-MariaDB", MYSQL_57 & !DEPRECATE_EOF, Some("mysql_native_password"), "mariadb"),
        ("5.5.5-10.6.22-MariaDB-log", MARIADB_10, Some("mysql_native_password"), "mariadb"),
        ("11.8.3-MariaDB-ubu2404", MARIADB_10, Some("mysql_native_password"), "mariadb"),
        ("12.1.2-MariaDB", MARIADB_10, Some("mysql_native_password"), "mariadb"),
    ] {
        let steps = [greeting(version, caps, method), login(caps & !(0x7 << 26), SECRET, method), ok(2)];
        let lines = play(false, &steps);
        assert_eq!(heads(&lines), ["session ok"], "{version}");
        for (name, value) in [
            ("sniffx.session.state", "connected"),
            ("sniffx.db.server_version", version),
            ("sniffx.db.user", "alice"),
            ("db.namespace", "shop"),
            ("db.system.name", system),
            ("sniffx.db.connection_id", "77"),
        ] {
            assert_eq!(field(&lines[0], name).as_deref(), Some(value), "{version}");
        }
        assert_eq!(field(&lines[0], "sniffx.db.auth_method").as_deref(), method, "{version}");
        assert!(!lines.concat().contains("hunter"), "{version}");
        split_invariant(false, &steps, &mut Random(5), true, version);
    }
}

/// Before 4.1: short greetings and logins, EOF packets of one byte, errors without SQLSTATE, OK packets without warnings.
#[test]
fn protocols_before_4_1() {
    let with_caps = |caps: &[u8]| {
        [b"\x0a4.0.30\0", &9u32.to_le_bytes()[..], b"abcdefgh\0", caps, &[8, 2, 0], &[0; 13]].concat()
    };
    let greetings = [
        // 3.20: protocol 9 has the scramble and nothing more.
        [b"\x093.20.32a\0", &9u32.to_le_bytes()[..], b"abcdefgh\0"].concat(),
        // 3.23 and 4.0: no more than 14 bits of capabilities.
        with_caps(&[0x2c, 0x20]),
        // 3.21 ends behind the scramble.
        [b"\x0a3.21.33\0", &9u32.to_le_bytes()[..], b"abcdefgh\0"].concat(),
    ];
    for greeting in greetings {
        // Capabilities (LONG_FLAG, CONNECT_WITH_DB), the largest packet, user, scrambled password, database.
        let login = [&[0x0c, 0, 0, 0, 1], &b"bob\0hunter2!\0shop\0"[..]].concat();
        let mut rows = packets(&mut 1, &[2]);
        let mut seq = 2;
        for name in [b"a", b"b"] {
            rows.extend(packets(
                &mut seq,
                &[b"\x01t\x01", &name[..], b"\x03\x0b\0\0\x01\x03\x03\x01\0\0"].concat(),
            ));
        }
        rows.extend(packets(&mut seq, &[0xfe]));
        rows.extend(packets(&mut seq, b"\x011\xfb"));
        rows.extend(packets(&mut seq, b"\x012\x00"));
        rows.extend(packets(&mut seq, &[0xfe]));
        let mut fields = packets(&mut 1, b"\x01t\x01a\x03\x0b\0\0\x01\x03\x03\x01\0\0\xfb");
        fields.extend(packets(&mut 2, &[0xfe]));
        let steps = [
            server(packets(&mut 0, &greeting)),
            client(packets(&mut 1, &login)),
            // The server may ask for the password's hash again: a lone 0xfe.
            server(packets(&mut 2, &[0xfe])),
            client(packets(&mut 3, b"hunter2!\0")),
            server(packets(&mut 4, &[0, 0, 0, 2, 0])),
            client(packets(&mut 0, b"\x03select a, b from t")),
            server(rows),
            client(packets(&mut 0, b"\x03delete from t")),
            server(packets(&mut 1, &[0, 2, 7, 2, 0])),
            client(packets(&mut 0, b"\x03delete from u")),
            server(packets(&mut 1, b"\xff\x7a\x04Table 'shop.u' doesn't exist")),
            client(packets(&mut 0, b"\x04t\0%")),
            server(fields),
            // A change of user: name, scrambled password, database, each with a NUL.
            client(packets(&mut 0, b"\x11eve\0hunter2!\0other\0")),
            server(packets(&mut 1, &[0, 0, 0, 2, 0])),
            client(packets(&mut 0, b"\x0e")),
            server(packets(&mut 1, &[0, 0, 0])),
        ];
        let lines = play(false, &steps);
        let version = field(&lines[0], "sniffx.db.server_version").unwrap();
        assert_eq!(
            heads(&lines),
            [
                "session ok",
                "exchange ok",
                "exchange ok",
                "exchange error",
                "exchange ok",
                "exchange ok",
                "exchange ok"
            ],
            "{version}: {lines:#?}"
        );
        assert_eq!(field(&lines[0], "sniffx.db.auth_method").unwrap(), "mysql_old_password");
        assert_eq!(field(&lines[0], "db.namespace").unwrap(), "shop");
        assert_eq!(field(&lines[1], "db.response.returned_rows").unwrap(), "2");
        assert_eq!(field(&lines[1], "sniffx.db.columns").unwrap(), "2");
        assert_eq!(field(&lines[2], "sniffx.db.affected_rows").unwrap(), "2");
        assert_eq!(field(&lines[2], "sniffx.db.last_insert_id").unwrap(), "7");
        assert_eq!(field(&lines[3], "db.response.status_code").unwrap(), "1146");
        assert_eq!(field(&lines[3], "error.message").unwrap(), "Table 'shop.u' doesn't exist");
        assert_eq!(field(&lines[4], "sniffx.db.columns").unwrap(), "1");
        assert_eq!(field(&lines[6], "sniffx.db.user").unwrap(), "eve");
        assert_eq!(field(&lines[6], "db.namespace").unwrap(), "other");
        assert!(!lines.concat().contains("hunter"), "{version}");
        split_invariant(false, &steps, &mut Random(6), true, &version);
    }
}

/// One side's turn in an authentication.
enum Turn {
    Server(&'static [u8]),
    Client(Vec<u8>),
}

/// Every way to log in, with the method that the session names in the end. Texts: `authentication_*` in MySQL's protocol documentation, MariaDB's
/// pages on its plugins.
fn ways_to_log_in() -> Vec<(&'static str, Vec<Turn>)> {
    use Turn::{Client, Server};
    let secret = || Client(SECRET.to_vec());
    let long = |n: usize| Client(SECRET.iter().copied().cycle().take(n).collect());
    vec![
        ("caching_sha2_password", vec![Server(&[1, 3])]),
        // The password itself, through TLS or a local socket elsewhere.
        ("caching_sha2_password", vec![Server(&[1, 4]), secret()]),
        // The public key is asked for (0x02) and the password comes encrypted.
        (
            "caching_sha2_password",
            vec![
                Server(&[1, 4]),
                Client(vec![2]),
                Server(b"\x01-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n"),
                long(256),
            ],
        ),
        ("mysql_native_password", vec![Server(b"\xfemysql_native_password\0abcdefghijklmnopqrst\0"), secret()]),
        ("mysql_old_password", vec![Server(b"\xfe"), Client(b"hunter2!\0".to_vec())]),
        (
            "sha256_password",
            vec![
                Server(b"\xfesha256_password\0abcdefghijklmnopqrst\0"),
                Client(vec![1]),
                Server(b"\x01-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n"),
                long(256),
            ],
        ),
        ("mysql_clear_password", vec![Server(b"\xfemysql_clear_password\0"), secret()]),
        (
            "client_ed25519",
            vec![Server(b"\xfeclient_ed25519\0abcdefghijklmnopqrstuvwxyzABCDEF"), long(64)],
        ),
        // An empty packet asks for the salt, which begins with `P`; then a scramble and a signature.
        (
            "parsec",
            vec![
                Server(b"\xfeparsec\0abcdefghijklmnopqrstuvwxyzABCDEF"),
                Client(vec![]),
                Server(b"P\0abcdefghijklmnopqr"),
                long(96),
            ],
        ),
        // Questions: 2 with an answer that may be seen, 4 with a password; the last one is odd.
        (
            "dialog",
            vec![
                Server(b"\xfedialog\0\x04Password: "),
                Client(b"hunter2\0".to_vec()),
                Server(b"\x02Colour of the token: "),
                Client(b"hunter-blue\0".to_vec()),
                Server(b""),
                Client(b"hunter3\0".to_vec()),
                Server(b"\x05PIN: "),
                Client(b"hunter4\0".to_vec()),
            ],
        ),
    ]
}

fn turns(steps: &mut Vec<Step>, turns: &[Turn], seq: &mut u8) {
    for turn in turns {
        steps.push(match turn {
            Turn::Server(bytes) => server(packets(seq, bytes)),
            Turn::Client(bytes) => client(packets(seq, bytes)),
        });
    }
}

#[test]
fn no_way_to_log_in_tells_a_secret() {
    let caps = MYSQL_57;
    for (method, way) in ways_to_log_in() {
        let mut steps = vec![
            greeting("8.4.5", caps, Some("caching_sha2_password")),
            login(caps, SECRET, Some("caching_sha2_password")),
        ];
        let mut seq = 2;
        turns(&mut steps, &way, &mut seq);
        let before = steps.clone();
        steps.push(ok(seq));
        // The same way again as another user, and back in step behind it.
        let change =
            [b"\x11eve\0\x14", SECRET, b"other\0\x2d\0caching_sha2_password\0\x10\x08password\x06hunter"]
                .concat();
        let mut seq = 0;
        steps.push(client(packets(&mut seq, &change)));
        turns(&mut steps, &way, &mut seq);
        steps.push(ok(seq));
        steps.extend([client(packets(&mut 0, b"\x0e")), ok(1)]);
        let lines = play(false, &steps);
        assert_eq!(heads(&lines), ["session ok", "exchange ok", "exchange ok"], "{method}: {lines:#?}");
        assert_eq!(field(&lines[0], "sniffx.db.auth_method").unwrap(), method);
        assert_eq!(field(&lines[1], "db.operation.name").unwrap(), "CHANGE_USER");
        assert_eq!(field(&lines[2], "sniffx.db.user").unwrap(), "eve");
        assert_eq!(field(&lines[2], "db.namespace").unwrap(), "other");
        assert!(!lines.concat().contains("hunter"), "{method}: {lines:#?}");
        split_invariant(false, &steps, &mut Random(8), true, method);

        // Refused at the end, or never ended.
        let mut refused = before.clone();
        let denied = b"\xff\x15\x04#28000Access denied for user 'alice'@'10.0.0.1' (using password: YES)";
        refused.push(server(packets(&mut seq, denied)));
        let lines = play(false, &refused);
        assert_eq!(heads(&lines), ["session error"], "{method}");
        assert_eq!(field(&lines[0], "db.response.status_code").unwrap(), "1045");
        let lines = play(false, &before);
        assert_eq!(heads(&lines), ["session incomplete:eof"], "{method}");
        assert!(!lines.concat().contains("hunter"), "{method}: {lines:#?}");
    }
}

/// Several methods, one after the other: 0x02 asks for the next, but only where both sides have agreed on it.
#[test]
fn several_factors() {
    for (caps, method) in
        [(MYSQL_57 | MULTI_FACTOR, "authentication_webauthn_client"), (MYSQL_57, "caching_sha2_password")]
    {
        let steps = [
            greeting("9.1.0", MYSQL_57 | MULTI_FACTOR, Some("caching_sha2_password")),
            login(caps, SECRET, Some("caching_sha2_password")),
            server(packets(&mut 2, &[1, 3])),
            server(packets(&mut 3, b"\x02authentication_webauthn_client\0hunter-challenge")),
            client(packets(&mut 4, SECRET)),
            ok(5),
        ];
        let lines = play(false, &steps);
        assert_eq!(heads(&lines), ["session ok"]);
        assert_eq!(field(&lines[0], "sniffx.db.auth_method").unwrap(), method);
        assert!(!lines.concat().contains("hunter"));
    }
}

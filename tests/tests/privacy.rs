//! A secret and a value, random for each run, go in by every way that each plugin has, and are looked for in everything that the real binary writes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::Output;

use sniff_x_tests::binary;
use sniff_x_tests::made::{self, From, Talk};

/// A word that stands nowhere else.
fn marker(what: &str) -> String {
    format!("{what}{:016x}z", RandomState::new().hash_one(what))
}

/// A MySQL packet.
fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[a, b, c, seq][..], payload].concat()
}

/// An OK packet that changes nothing.
fn ok(seq: u8) -> Vec<u8> {
    packet(seq, &[0, 0, 0, 2, 0, 0, 0])
}

fn error(seq: u8, code: u16, message: &str) -> Vec<u8> {
    packet(seq, &[&[0xff][..], &code.to_le_bytes(), b"#HY000", message.as_bytes()].concat())
}

/// Protocol 4.1, secure connection, plugin authentication, a database with the login.
const CAPS: u32 = 0x0008_8208;

fn greeting() -> Vec<u8> {
    let caps = CAPS.to_le_bytes();
    let mut payload = b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0".to_vec();
    payload.extend(&caps[..2]);
    payload.extend([33, 2, 0]);
    payload.extend(&caps[2..]);
    payload.extend([21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend(b"ijklmnopqrst\0mysql_native_password\0");
    packet(0, &payload)
}

fn login(response: &[u8], method: &str) -> Vec<u8> {
    let mut payload = CAPS.to_le_bytes().to_vec();
    payload.extend([0, 0, 0, 1, 33]);
    payload.extend([0; 23]);
    payload.extend(b"app\0");
    payload.push(u8::try_from(response.len()).unwrap());
    payload.extend(response);
    payload.extend(b"shop\0");
    payload.extend(method.as_bytes());
    payload.push(0);
    packet(1, &payload)
}

/// Client ports count up.
struct Ports(u16);

impl Ports {
    fn talk(&mut self, server: u16, begins: bool) -> Talk {
        self.0 += 1;
        Talk::new(self.0, server, begins)
    }

    fn mysql(&mut self) -> Talk {
        self.talk(3306, true)
            .says(From::Server, &greeting())
            .says(From::Client, &login(b"12345678901234567890", "mysql_native_password"))
            .says(From::Server, &ok(2))
    }
}

fn query(text: &str) -> Vec<u8> {
    packet(0, &[b"\x03", text.as_bytes()].concat())
}

/// Every way in for passwords and tokens.
fn secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    let bytes = secret.as_bytes();
    // Logins: with the first packet, after a switch to clear text, in old and hashed ways, over several segments, joined in the middle, changed.
    for method in
        ["mysql_native_password", "mysql_clear_password", "caching_sha2_password", "mysql_old_password"]
    {
        talks.push(
            ports
                .talk(3306, true)
                .says(From::Server, &greeting())
                .says_in(From::Client, &login(bytes, method), 7)
                .says(
                    From::Server,
                    &packet(2, format!("\u{fe}{method}\0salt\0").replace('\u{fe}', "\x7f").as_bytes()),
                ),
        );
        let switch = [&[0xfe][..], method.as_bytes(), b"\0abcdefghijklmnopqrst\0"].concat();
        talks.push(
            ports
                .talk(3306, true)
                .says(From::Server, &greeting())
                .says(From::Client, &login(b"", method))
                .says(From::Server, &packet(2, &switch))
                .says(From::Client, &packet(3, &[bytes, b"\0"].concat()))
                .says(
                    From::Server,
                    &error(4, 1045, "Access denied for user 'app'@'h' (using password: YES)"),
                ),
        );
        talks.push(
            ports
                .talk(3306, false)
                .says(From::Client, &packet(3, &[bytes, b"\0"].concat()))
                .says(From::Server, &ok(4)),
        );
        let change = [
            b"\x11app\0",
            &[u8::try_from(bytes.len()).unwrap()][..],
            bytes,
            b"shop\0\x21\0",
            method.as_bytes(),
            b"\0",
        ]
        .concat();
        talks.push(ports.mysql().says_in(From::Client, &packet(0, &change), 9).says(From::Server, &ok(1)));
    }
    for text in [
        "CREATE USER a IDENTIFIED BY '{}'",
        "ALTER USER a IDENTIFIED WITH mysql_native_password AS '{}'",
        "GRANT ALL ON *.* TO a IDENTIFIED BY \"{}\"",
        "CREATE USER a /*!50700 IDENTIFIED BY '{}' */",
        "SET PASSWORD FOR a = '{}'",
        "SET PASSWORD = PASSWORD('{}')",
        "SELECT OLD_PASSWORD('{}')",
        "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD='{}'",
        "START SLAVE USER='r' PASSWORD='{}'",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD '{}')",
        "PREPARE s FROM 'SET PASSWORD = ''{}'''",
        "IF 1 THEN ALTER USER a IDENTIFIED BY '{}'; END IF",
        "CREATE USER a IDENTIFIED BY {}",
        "SELECT 1; CREATE USER a IDENTIFIED BY '{}",
    ] {
        let text = text.replace("{}", secret);
        let near = format!("You have an error in your SQL syntax near '{text}' at line 1");
        for answer in [ok(1), error(1, 1064, &near)] {
            talks.push(ports.mysql().says_in(From::Client, &query(&text), 11).says(From::Server, &answer));
        }
        talks.push(ports.talk(3306, false).says(From::Client, &query(&text)).says(From::Server, &ok(1)));
        talks.push(ports.mysql().says(From::Client, &packet(0, &[b"\x16", text.as_bytes()].concat())));
        let mut lost = query(&text);
        lost.truncate(lost.len() / 2);
        talks.push(
            ports
                .mysql()
                .says(From::Client, &lost)
                .loses(From::Client, 40)
                .says(From::Client, &query(&text))
                .says(From::Server, &ok(1)),
        );
    }
    talks.push(password_parameter(secret, ports));
    talks.extend(redis_secrets(secret, ports));
    talks.extend(http_secrets(secret, ports));
    talks
}

/// `PASSWORD(?)`, prepared and executed.
fn password_parameter(secret: &str, ports: &mut Ports) -> Talk {
    let definition = packet(2, b"\x03def\0\0\0\x01?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0");
    let eof = packet(3, &[0xfe, 0, 0, 2, 0]);
    let prepared = [packet(1, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), definition, eof].concat();
    let length = u8::try_from(secret.len()).unwrap();
    let execute = [&[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfd, 0, length][..], secret.as_bytes()].concat();
    ports
        .mysql()
        .says(From::Client, &packet(0, b"\x16SET PASSWORD FOR a = PASSWORD(?)"))
        .says(From::Server, &prepared)
        .says(From::Client, &packet(0, &execute))
        .says(From::Server, &ok(1))
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

fn redis_secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let rule = format!(">{secret}");
    let commands: [&[&str]; 10] = [
        &["AUTH", secret],
        &["auth", "bob", secret],
        &["HELLO", "3", "AUTH", "bob", secret, "SETNAME", "x"],
        &["HELLO", "3", "SETNAME", "auth", "AUTH", "bob", secret],
        &["ACL", "SETUSER", "bob", "on", &rule, "~*"],
        &["CONFIG", "SET", "maxmemory", "1", "requirepass", secret],
        &["CONFIG", "SET", "masterauth", secret],
        &["MIGRATE", "h", "6379", "k", "0", "5000", "AUTH", secret],
        &["MIGRATE", "h", "6379", "", "0", "5000", "AUTH2", "bob", secret, "KEYS", "k"],
        &["SENTINEL", "SET", "m", "auth-pass", secret],
    ];
    let mut talks = Vec::new();
    for words in commands {
        let refusal = format!("-ERR Error in modifier '{secret}': no\r\n");
        for answer in ["+OK\r\n", &refusal] {
            let bytes = command(words);
            talks.push(
                ports.talk(6379, true).says_in(From::Client, &bytes, 5).says(From::Server, answer.as_bytes()),
            );
            // Behind others in one segment, in one line, in a transaction, joined in the middle, with a hole.
            let pipeline = [command(&["PING"]), bytes.clone(), command(&["PING"])].concat();
            let answers = format!("+PONG\r\n{answer}+PONG\r\n");
            talks.push(
                ports.talk(6379, true).says(From::Client, &pipeline).says(From::Server, answers.as_bytes()),
            );
            let line =
                words.iter().map(|w| if w.is_empty() { "''" } else { w }).collect::<Vec<_>>().join(" ")
                    + "\r\n";
            talks.push(
                ports
                    .talk(6379, true)
                    .says_in(From::Client, line.as_bytes(), 3)
                    .says(From::Server, answer.as_bytes()),
            );
            let multi = [command(&["MULTI"]), bytes.clone(), command(&["EXEC"])].concat();
            let answers = format!("+OK\r\n+QUEUED\r\n*1\r\n{answer}");
            talks.push(
                ports.talk(6379, true).says(From::Client, &multi).says(From::Server, answers.as_bytes()),
            );
            talks.push(
                ports.talk(6379, false).says(From::Client, &bytes).says(From::Server, answer.as_bytes()),
            );
            talks.push(
                ports
                    .talk(6379, true)
                    .says(From::Client, &bytes[..bytes.len() / 2])
                    .loses(From::Client, 6)
                    .says(From::Client, &bytes)
                    .says(From::Server, answer.as_bytes()),
            );
        }
    }
    let config = format!("*2\r\n$11\r\nrequirepass\r\n${}\r\n{secret}\r\n", secret.len());
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["CONFIG", "GET", "*"]))
            .says(From::Server, config.as_bytes()),
    );
    let monitored = format!(
        "+OK\r\n+1.5 [0 1.2.3.4:5] \"AUTH\" \"{secret}\"\r\n+1.6 [0 1.2.3.4:5] \"ACL\" \"SETUSER\" \"b\" \">{secret}\"\r\n"
    );
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["MONITOR"]))
            .says(From::Server, monitored.as_bytes()),
    );
    talks
}

fn http_secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let answer = format!("HTTP/1.1 200 OK\r\nSet-Cookie: a={secret}\r\nContent-Length: 2\r\n\r\nhi");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2;x={secret}\r\nhi\r\n0\r\nSet-Cookie: {secret}\r\n\r\n"
    );
    let mut talks = Vec::new();
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\naUTHORIZATION : Bearer {}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic\r\n {}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: {}\r\nCookie: a={}\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\nCookie: a={}\n\n",
        "GET http://bob:{}@h/ HTTP/1.1\r\nHost: bob:{}@h\r\n\r\n",
        "CONNECT bob:{}@h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a;jsessionid={}?access_token={}&pass%77ord={} HTTP/1.1\r\nHost: h\r\nReferer: https://u:{}@h/?token={}\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n{\"password\": \"{}\"}                    ",
        "GET / HTTP/9.7\r\nAuthorization: {}\r\n\r\n",
        "G T / HTTP/1.1\r\nCookie {}\r\nCookie: {}\r\n\r\n",
    ] {
        let head = head.replace("{}", secret);
        for answer in [&answer, &chunked] {
            talks.push(
                ports
                    .talk(80, true)
                    .says_in(From::Client, head.as_bytes(), 13)
                    .says(From::Server, answer.as_bytes()),
            );
            talks.push(
                ports
                    .talk(80, false)
                    .says(From::Client, head.as_bytes())
                    .says(From::Server, answer.as_bytes()),
            );
            talks.push(
                ports
                    .talk(80, true)
                    .says(From::Client, &head.as_bytes()[..head.len() / 2])
                    .loses(From::Client, 5)
                    .says(From::Client, head.as_bytes())
                    .says(From::Server, answer.as_bytes()),
            );
        }
    }
    talks
}

/// Every way in for what users put in.
fn values(value: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    for text in [
        "SELECT '{}'",
        "INSERT INTO t VALUES (1, \"{}\", 0x41)",
        "SELECT 1 /* {} */",
        "SELECT 'it's {}'",
        "SELECT 'cut {}",
    ] {
        let text = text.replace("{}", value);
        for answer in [
            ok(1),
            error(1, 1062, &format!("Duplicate entry '{value}' for key 't.k'")),
            error(1, 1064, &format!("You have an error near '{value}' at line 1")),
            error(1, 1644, &format!("raised {value}")),
        ] {
            talks.push(ports.mysql().says(From::Client, &query(&text)).says(From::Server, &answer));
        }
    }
    let length = value.len();
    let reply = format!("${length}\r\n{value}\r\n");
    for words in [
        &["SET", "k", value][..],
        &["EVAL", value, "0"],
        &["MYSTERY", value],
        &["MSET", "a", value, "b", value],
        &["GET", "k"],
    ] {
        for answer in [&reply, &format!("-ERR unknown command '{value}'\r\n"), &format!("-OOPS {value}\r\n")]
        {
            talks.push(
                ports
                    .talk(6379, true)
                    .says_in(From::Client, &command(words), 6)
                    .says(From::Server, answer.as_bytes()),
            );
        }
    }
    let message =
        format!("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n{reply}");
    talks.push(
        ports
            .talk(6379, true)
            .says(From::Client, &command(&["SUBSCRIBE", "c"]))
            .says(From::Server, message.as_bytes()),
    );
    let request = format!(
        "POST /p/a@{value}?q={value}&{value} HTTP/1.1\r\nHost: h\r\nX-Shown: {value}\r\nContent-Length: {length}\r\n\r\n{value}"
    );
    for status in ["200 OK".to_owned(), format!("400 {value}")] {
        let answer =
            format!("HTTP/1.1 {status}\r\nX-Shown: {value}\r\nContent-Length: {length}\r\n\r\n{value}");
        talks.push(
            ports.talk(80, true).says(From::Client, request.as_bytes()).says(From::Server, answer.as_bytes()),
        );
    }
    let frame = [&[0x81, u8::try_from(length).unwrap()][..], value.as_bytes()].concat();
    talks.push(
        ports
            .talk(80, true)
            .says(From::Client, b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
            .says(From::Server, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .says(From::Server, &frame),
    );
    talks
}

const OPTIONS: [&str; 22] = [
    "--header",
    "authorization",
    "--header",
    "proxy-authorization",
    "--header",
    "cookie",
    "--header",
    "set-cookie",
    "--header",
    "referer",
    "--header",
    "x-shown",
    "--header",
    "host",
    "--body",
    "200",
    "--reply",
    "200",
    "--header",
    "trailer",
    "--header",
    "location",
];

/// All that one run writes, with the statistics file.
fn written(capture: &Path, redact: bool, format: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.json");
    let mut args = vec![
        "-vv",
        "--read",
        capture.to_str().unwrap(),
        "--format",
        format,
        "--stats-file",
        stats.to_str().unwrap(),
    ];
    args.extend(redact.then_some("--redact"));
    args.extend(["mysql,redis,http,tcp"].iter().chain(&OPTIONS));
    let Output { status, stdout, stderr } = binary::run(&args);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert!(!stdout.is_empty());
    vec![
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
        std::fs::read_to_string(stats).unwrap(),
    ]
}

/// The lines that have the marker, whatever its case.
fn lines_with<'a>(outputs: &'a [String], marker: &str) -> Vec<&'a str> {
    outputs.iter().flat_map(|o| o.lines()).filter(|line| line.to_ascii_lowercase().contains(marker)).collect()
}

#[test]
fn secrets_never_come_out() {
    let secret = marker("sec");
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("secrets.pcap");
    let talks = secrets(&secret, &mut Ports(20_000));
    made::write(&capture, &talks);
    for format in ["text", "json"] {
        for redact in [false, true] {
            let outputs = written(&capture, redact, format);
            let found = lines_with(&outputs, &secret);
            assert!(
                found.is_empty(),
                "{format}, redact {redact}: {} lines:\n{}",
                found.len(),
                found.join("\n")
            );
        }
        // They are looked for where they would be: places of secrets come out.
        let hidden = written(&capture, false, format)[0].matches("<secret>").count();
        assert!(hidden > 100, "{hidden}");
    }
}

#[test]
fn values_come_out_unless_they_are_redacted() {
    let value = marker("val");
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("values.pcap");
    let talks = values(&value, &mut Ports(30_000));
    made::write(&capture, &talks);
    for format in ["text", "json"] {
        let shown = written(&capture, false, format);
        let found = lines_with(&shown, &value).len();
        assert!(found > 30, "{found}: the test would find nothing");
        let outputs = written(&capture, true, format);
        let found = lines_with(&outputs, &value);
        assert!(found.is_empty(), "{format}: {} lines:\n{}", found.len(), found.join("\n"));
    }
}

/// What `--write` puts beside the frames (comments, notes) holds nothing from inside of them.
#[test]
fn written_frames_have_no_notes_with_secrets() {
    let secret = marker("sec");
    let folder = tempfile::tempdir().unwrap();
    let (capture, copy) = (folder.path().join("secrets.pcap"), folder.path().join("copy.pcapng"));
    made::write(&capture, &secrets(&secret, &mut Ports(20_000)));
    let run = binary::run([
        "-q",
        "--read",
        capture.to_str().unwrap(),
        "--write",
        copy.to_str().unwrap(),
        "mysql,redis,http",
    ]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let file = std::fs::read(&copy).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut beside, mut frames) = (0, Vec::new(), 0);
    while at < file.len() {
        let (kind, length) = (word(at), word(at + 4));
        // Of an enhanced packet block what stands behind the frame, of others all.
        let from = if kind == 6 { 28 + word(at + 20).next_multiple_of(4) } else { 8 };
        frames += usize::from(kind == 6);
        beside.extend(&file[at + from..at + length]);
        at += length;
    }
    assert!(frames > 500, "{frames}");
    assert!(!beside.windows(secret.len()).any(|w| w.eq_ignore_ascii_case(secret.as_bytes())));
}

#[test]
fn raw_bytes_and_redaction_exclude_each_other() {
    for args in
        [&["--write", "x.pcapng", "mysql"][..], &["tcp", "--dump", "x"], &["tcp", "--content", "text"]]
    {
        let run = binary::run(["--redact", "--read", "none.pcap"].iter().chain(args));
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code() == Some(2) && said.contains("--redact hides"), "{args:?}: {said}");
    }
}

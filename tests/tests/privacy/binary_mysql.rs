//! MySQL: what goes in beside the text of a statement (parameters, long data, query attributes), and all of it in compressed packets.

use std::io::Write as _;

use sniff_x_tests::made::{From, Talk};

use crate::Ports;
use crate::mysql::{CAPS, error, logged_in, ok, packet, query};

const ZLIB: u32 = 1 << 5;
const ZSTD: u32 = 1 << 26;
const ATTRIBUTES: u32 = 1 << 27;

/// A packet of the compressed protocol for each `size` bytes of a message; `0`: they are not compressed in it.
fn packed(caps: u32, message: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (seq, part) in message.chunks(size).enumerate() {
        let (content, plain) = match caps {
            _ if seq % 3 == 2 => (part.to_vec(), 0),
            ZSTD => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                (ruzstd::encoding::compress_to_vec(part, level), part.len())
            }
            _ => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(part).unwrap();
                (encoder.finish().unwrap(), part.len())
            }
        };
        out.extend(&u32::try_from(content.len()).unwrap().to_le_bytes()[..3]);
        out.push(u8::try_from(seq % 256).unwrap());
        out.extend(&u32::try_from(plain).unwrap().to_le_bytes()[..3]);
        out.extend(content);
    }
    out
}

/// Statements in compressed packets: whole, cut anywhere, with a hole.
fn compressed(messages: &[(Vec<u8>, Vec<u8>)], ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    for caps in [ZLIB, ZSTD] {
        for (request, response) in messages {
            for size in [9, 1000] {
                let (request, response) = (packed(caps, request, size), packed(caps, response, size));
                talks.push(
                    logged_in(ports, CAPS | caps)
                        .says_in(From::Client, &request, 17)
                        .says(From::Server, &response),
                );
                talks.push(
                    logged_in(ports, CAPS | caps)
                        .says(From::Client, &request[..request.len() / 2])
                        .loses(From::Client, 20)
                        .says(From::Client, &request)
                        .says(From::Server, &response),
                );
                talks
                    .push(ports.talk(3306, false).says(From::Client, &request).says(From::Server, &response));
            }
        }
    }
    talks
}

fn text(bytes: &str) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()][..], bytes.as_bytes()].concat()
}

/// A statement that is prepared as number 1, with so many parameters.
fn prepared(ports: &mut Ports, caps: u32, statement: &str, parameters: u8) -> Talk {
    let mut answer = packet(1, &[0, 1, 0, 0, 0, 0, 0, parameters, 0, 0, 0, 0]);
    for n in 0..parameters {
        answer.extend(packet(2 + n, b"\x03def\0\0\0\x01?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0"));
    }
    answer.extend(packet(2 + parameters, &[0xfe, 0, 0, 2, 0]));
    logged_in(ports, caps)
        .says(From::Client, &packet(0, &[b"\x16", statement.as_bytes()].concat()))
        .says(From::Server, &answer)
}

/// An execution with texts as parameters, of this type.
fn execute(kind: u8, values: &[&str]) -> Vec<u8> {
    let mut payload = vec![0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    payload.extend(values.iter().flat_map(|_| [kind, 0]));
    payload.extend(values.iter().flat_map(|value| text(value)));
    packet(0, &payload)
}

/// A parameter in parts ahead of the execution, which has only its type then.
fn long_data(value: &str) -> Vec<u8> {
    let (front, back) = value.split_at(value.len() / 2);
    let part = |part: &str| packet(0, &[&[0x18, 1, 0, 0, 0, 0, 0][..], part.as_bytes()].concat());
    [part(front), part(back), packet(0, &[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfc, 0])].concat()
}

/// A query with an attribute.
fn attribute(name: &str, value: &str, statement: &str) -> Vec<u8> {
    let payload = [&[0x03, 1, 1, 0, 1, 0xfd, 0][..], &text(name), &text(value), statement.as_bytes()];
    packet(0, &payload.concat())
}

/// An execution with an attribute behind its one parameter.
fn execute_with_attribute(name: &str, value: &str) -> Vec<u8> {
    let mut payload = vec![0x17, 1, 0, 0, 0, 0x08, 1, 0, 0, 0, 2, 0, 1, 0xfd, 0, 0, 0xfd, 0];
    payload.extend(text(name));
    payload.extend(text("shown"));
    payload.extend(text(value));
    packet(0, &payload)
}

/// Passwords as parameters, tokens as attributes, statements in compressed packets.
pub(crate) fn secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    for statement in [
        "SET PASSWORD FOR a = PASSWORD(?)",
        "ALTER USER a IDENTIFIED BY ?",
        "CREATE USER a IDENTIFIED WITH mysql_native_password BY ?",
        "SET PASSWORD = ?",
    ] {
        for request in [execute(0xfd, &[secret]), execute(0xfc, &[secret]), long_data(secret)] {
            let refused = error(1, 1064, &format!("You have an error near '{secret}' at line 1"));
            for answer in [ok(1), refused] {
                talks.push(
                    prepared(ports, CAPS, statement, 1)
                        .says_in(From::Client, &request, 8)
                        .says(From::Server, &answer),
                );
            }
            talks.push(
                prepared(ports, CAPS, statement, 1)
                    .says(From::Client, &request[..request.len() / 2])
                    .loses(From::Client, 7)
                    .says(From::Client, &request)
                    .says(From::Server, &ok(1)),
            );
        }
    }
    for name in ["password", "access_token", "client-secret"] {
        talks.push(
            logged_in(ports, CAPS | ATTRIBUTES)
                .says_in(From::Client, &attribute(name, secret, "SELECT 1"), 6)
                .says(From::Server, &ok(1)),
        );
        talks.push(
            prepared(ports, CAPS | ATTRIBUTES, "SELECT ?", 1)
                .says_in(From::Client, &execute_with_attribute(name, secret), 6)
                .says(From::Server, &ok(1)),
        );
    }
    let change = [b"\x11app\0", &text(secret)[..], b"shop\0\x21\0mysql_clear_password\0"].concat();
    let messages = [
        (query(&format!("CREATE USER a IDENTIFIED BY '{secret}'")), ok(1)),
        (
            query(&format!("SET PASSWORD = '{secret}'")),
            error(1, 1064, &format!("You have an error near 'PASSWORD = '{secret}'' at line 1")),
        ),
        (packet(0, &change), error(1, 1045, "Access denied for user 'app'@'h' (using password: YES)")),
    ];
    talks.extend(compressed(&messages, ports));
    talks
}

/// Parameters and attributes of any kind, statements in compressed packets.
pub(crate) fn values(value: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    for answer in [ok(1), error(1, 1062, &format!("Duplicate entry '{value}' for key 't.k'"))] {
        // Texts, blobs, decimals and JSON come as texts.
        for kind in [0xfd, 0xfe, 0xfc, 0xf6, 0xf5] {
            talks.push(
                prepared(ports, CAPS, "INSERT INTO t VALUES (?, ?)", 2)
                    .says_in(From::Client, &execute(kind, &[value, value]), 9)
                    .says(From::Server, &answer),
            );
        }
        talks.push(
            prepared(ports, CAPS, "INSERT INTO t VALUES (?)", 1)
                .says_in(From::Client, &long_data(value), 9)
                .says(From::Server, &answer),
        );
        talks.push(
            logged_in(ports, CAPS | ATTRIBUTES)
                .says(From::Client, &attribute("traceparent", value, &format!("SELECT '{value}'")))
                .says(From::Server, &answer),
        );
        talks.push(
            prepared(ports, CAPS | ATTRIBUTES, "SELECT ?", 1)
                .says(From::Client, &execute_with_attribute("traceparent", value))
                .says(From::Server, &answer),
        );
        talks.extend(compressed(&[(query(&format!("SELECT '{value}'")), answer)], ports));
    }
    talks
}

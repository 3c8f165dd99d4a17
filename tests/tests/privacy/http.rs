//! HTTP: fields, addresses and bodies.

use sniff_x_tests::made::{From, Talk};

use crate::Ports;

/// Every place of a password or token.
pub(crate) fn secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
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

/// Addresses, bodies and messages.
pub(crate) fn values(value: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    let length = value.len();
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

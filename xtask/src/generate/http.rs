//! What wrk sends with its defaults (small GETs on connections that stay open), with heads of about 200 bytes, and what a server answers: mostly short bodies, some of
//! several segments, some in chunks.

use anyhow::Result;

use super::connection::{Connection, From};
use super::{Capture, Client, Random};

/// A connection that sends one request after the other.
pub(super) struct Wrk {
    connection: Connection,
}

impl Wrk {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }
}

fn response(random: &mut Random) -> Vec<u8> {
    let body = vec![b'b'; [0, 12, 120, 500, 1000, 4000, 20_000].get(sizes(random)).copied().unwrap_or(12)];
    let head = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n\
        Connection: keep-alive\r\nCache-Control: max-age=60\r\nETag: \"67700b3e-1f4\"\r\n";
    let mut response = head.as_bytes().to_vec();
    if random.below(10) == 0 {
        response.extend(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len().max(1)).as_bytes());
        response.extend(if body.is_empty() { b"b" } else { &body[..] });
        response.extend(b"\r\n0\r\n\r\n");
    } else {
        response.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        response.extend(&body);
    }
    response
}

/// Which size a body has: the short ones come more often.
fn sizes(random: &mut Random) -> usize {
    usize::try_from(random.below(7).min(random.below(8))).unwrap_or(0)
}

impl Client for Wrk {
    fn open(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.open(capture)
    }

    fn turn(&mut self, capture: &mut Capture, random: &mut Random) -> Result<()> {
        let request = format!(
            "GET /api/v1/items/{}?page={} HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: wrk/4.2.0\r\nAccept: application/json\r\n\
             Accept-Encoding: gzip\r\nX-Request-Id: {:016x}\r\nConnection: keep-alive\r\n\r\n",
            random.below(100_000),
            random.below(50),
            random.next(),
        );
        self.connection.data(capture, From::Client, request.as_bytes())?;
        self.connection.data(capture, From::Server, &response(random))?;
        if random.below(4) == 0 { self.connection.ack(capture) } else { Ok(()) }
    }

    fn close(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.close(capture)
    }
}

//! Conversations of HTTP: what the decoder makes of them, of gaps and ends. Where nothing is missing, what is told does not depend on how the bytes are
//! cut.

use sniff_x_proto::http::Http;
use sniff_x_proto::{Options, Plugin};

use super::conversation::{Conversation, of_steps};
use crate::harness::signal::Signal;
use crate::seeds::Seeds;
use crate::seeds::http_support::Generator;

/// Bytes that the host and the decoder may keep: an unfinished message of each direction, requests that wait, the decoder's own state.
const MOST_KEPT: usize = 512 << 10;

pub(crate) const WORDS: &[&[u8]] = &[
    b"\x00\x12\x00GET / HTTP/1.1\r\n\r\n",
    b"\x01\x13\x00HTTP/1.1 200 OK\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"POST / HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: br\r\n",
    b"Content-Encoding: zstd\r\n",
    b"Content-Type: text/event-stream\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: a\r\n",
    b"Cookie: a=b\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"\x81\x02hi",
    b"\x81\x82\x00\x00\x00\x00hi",
    b"\x88\x00",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    b"\x28\xb5\x2f\xfd",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

fn make() -> Box<dyn Plugin> {
    let mut options = Options::default();
    for (name, value) in [("body", "200"), ("header", "host"), ("header", "cookie")] {
        options.push(name, value);
    }
    let mut plugin = Box::<Http>::default();
    plugin.configure(&options).unwrap();
    plugin
}

pub(crate) fn seeds(_: &Seeds) -> Vec<Vec<u8>> {
    (0..150).flat_map(|seed| of_steps(&Generator::conversation(seed, 4).steps, seed)).collect()
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let conversation = Conversation::read(data);
    let (lines, _) = conversation.play(make(), MOST_KEPT, signal);
    if !conversation.has_gaps() && !conversation.midstream {
        conversation.split_invariant(make, MOST_KEPT, &lines);
    }
}

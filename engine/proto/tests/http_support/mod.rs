//! HTTP conversations made from the protocol's description, with what happened in them: written without a look at the decoder.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

use std::borrow::Cow;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use crate::support::{Event, Generated, Random};

pub(crate) struct Generator {
    random: Random,
    out: Generated,
}

impl Generator {
    pub(crate) fn conversation(seed: u64, batches: usize) -> Generated {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut generator = Self { random, out: Generated::default() };
        for _ in 0..batches {
            generator.batch();
        }
        generator.out
    }

    /// One request, or a few that are sent together.
    fn batch(&mut self) {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let count = if self.random.below(4) == 0 { 1 + self.random.below(3) } else { 1 };
        for _ in 0..count {
            let (request, response, event) = self.exchange();
            asked.extend(request);
            answered.extend(response);
            self.out.events.push(event);
            self.out.asked_at.push(self.out.steps.len());
        }
        self.out.steps.push(Step::Data(Direction::ToServer, asked));
        self.out.steps.push(Step::Data(Direction::ToClient, answered));
    }

    fn body(&mut self) -> Vec<u8> {
        match self.random.below(4) {
            0 => Vec::new(),
            // Looks like messages.
            1 => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
            _ => {
                let len = self.random.below(400);
                self.random.bytes(len)
            }
        }
    }

    /// Header fields that announce `body`, and the body as it is sent.
    fn framed(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        if self.random.below(2) == 0 {
            return (format!("Content-Length: {}\r\n", body.len()), body.to_vec());
        }
        let (mut sent, mut rest) = (Vec::new(), body);
        while !rest.is_empty() {
            let len = 1 + self.random.below(rest.len());
            let (chunk, behind) = rest.split_at(len);
            let extension = if self.random.below(3) == 0 { ";name=\"value\"" } else { "" };
            sent.extend(format!("{len:x}{extension}\r\n").bytes());
            sent.extend(chunk);
            sent.extend(b"\r\n");
            rest = behind;
        }
        let trailer = if self.random.below(3) == 0 { "Checksum: 7\r\n" } else { "" };
        sent.extend(format!("0\r\n{trailer}\r\n").bytes());
        ("transfer-encoding: chunked\r\n".to_owned(), sent)
    }

    fn exchange(&mut self) -> (Vec<u8>, Vec<u8>, Event) {
        let methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
        let method = methods[self.random.below(methods.len())];
        let path = format!("/items/{}", self.random.below(100));
        let query =
            if self.random.below(2) == 0 { format!("q={}", self.random.below(100)) } else { String::new() };
        let mut event = Event::new();
        let mut put = |key: &'static str, value: String| event.insert(Cow::Borrowed(key), value);
        put("kind", "exchange".to_owned());
        put("http.request.method", method.to_owned());
        put("url.path", path.clone());
        put("sniffx.http.host", "shop.example".to_owned());
        put("user_agent.original", "test/1.0".to_owned());
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        if !query.is_empty() {
            put("url.query", query);
        }
        let sends = matches!(method, "POST" | "PUT");
        let body = if sends { self.body() } else { Vec::new() };
        let (announced, sent) = if sends { self.framed(&body) } else { (String::new(), Vec::new()) };
        put("http.request.body.size", body.len().to_string());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test/1.0\r\n{announced}\r\n"
        );
        let request = [head.as_bytes(), &sent].concat();

        let codes = [
            (200, "OK"),
            (201, "Created"),
            (204, "No Content"),
            (304, "Not Modified"),
            (404, "Not Found"),
            (500, "Oops"),
        ];
        let (code, reason) = codes[self.random.below(codes.len())];
        let body = self.body();
        let (announced, sent) = self.framed(&body);
        let none = method == "HEAD" || matches!(code, 204 | 304);
        let interim = if self.random.below(4) == 0 { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        let head = format!("{interim}HTTP/1.1 {code} {reason}\r\nServer: x\r\n{announced}\r\n");
        put("status", if code >= 400 { "error" } else { "ok" }.to_owned());
        put("http.response.status_code", code.to_string());
        put("http.response.body.size", if none { 0 } else { body.len() }.to_string());
        if code >= 400 {
            put("error.message", reason.to_owned());
        }
        let response = [head.as_bytes(), if none { &[] } else { &sent[..] }].concat();
        (request, response, event)
    }
}

//! Redis conversations made from the protocol's description, with what happened in them: written without a look at the decoder.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; the exemption of tests does not reach functions beside them"
)]

pub(crate) mod by_hand;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use crate::support::{Event, Generated, Random, as_shown};

/// A reply on the wire, with what must be told of it.
struct Reply {
    bytes: Vec<u8>,
    kind: &'static str,
    count: Option<usize>,
    text: Vec<u8>,
}

pub(crate) struct Generator {
    random: Random,
    resp3: bool,
    database: String,
    user: String,
    out: Generated,
    /// The batch that is being made: what both sides say, and what happens.
    asked: Vec<u8>,
    answered: Vec<u8>,
    pending: Vec<Event>,
}

pub(crate) fn array(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend(format!("${}\r\n", argument.len()).into_bytes());
        out.extend_from_slice(argument);
        out.extend(b"\r\n");
    }
    out
}

fn simple(kind: &'static str, mark: char, text: &str) -> Reply {
    Reply {
        bytes: format!("{mark}{text}\r\n").into_bytes(),
        kind,
        count: None,
        text: text.as_bytes().to_vec(),
    }
}

fn bulk(text: &[u8]) -> Reply {
    let bytes = [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    Reply { bytes, kind: "string", count: None, text: text.to_vec() }
}

fn ok() -> Reply {
    simple("status", '+', "OK")
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let resp3 = random.below(2) == 0;
        Self {
            random,
            resp3,
            database: "0".to_owned(),
            user: String::new(),
            out: Generated::default(),
            asked: Vec::new(),
            answered: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The whole of a short conversation. A batch is a few commands that are sent together.
    pub(crate) fn conversation(mut self, batches: usize) -> Generated {
        for _ in 0..batches {
            for _ in 0..1 + self.random.below(3) {
                self.exchange();
            }
            self.flush();
        }
        self.out
    }

    fn flush(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        let answered = std::mem::take(&mut self.answered);
        for event in self.pending.drain(..) {
            self.out.events.push(event);
            self.out.asked_at.push(self.out.steps.len());
        }
        self.out.steps.push(Step::Data(Direction::ToServer, asked));
        if !answered.is_empty() {
            self.out.steps.push(Step::Data(Direction::ToClient, answered));
        }
    }

    fn tell(&mut self, kind: &str, status: &str, fields: &[(&'static str, String)]) {
        let mut event: Event = fields.iter().map(|(k, v)| ((*k).into(), v.clone())).collect();
        event.insert("kind".into(), kind.to_owned());
        event.insert("status".into(), status.to_owned());
        event.insert("db.namespace".into(), self.database.clone());
        if !self.user.is_empty() {
            event.insert("sniffx.db.user".into(), self.user.clone());
        }
        self.pending.push(event);
    }

    fn ask(&mut self, arguments: &[&[u8]]) {
        let bytes = if self.random.below(12) == 0
            && arguments.iter().all(|a| !a.is_empty() && a.iter().all(u8::is_ascii_alphanumeric))
        {
            [&arguments.join(&b' ')[..], b"\r\n"].concat()
        } else {
            array(arguments)
        };
        self.asked.extend(bytes);
    }

    fn about(shown: &[&[u8]]) -> Vec<(&'static str, String)> {
        let name = String::from_utf8(shown[0].to_ascii_uppercase()).unwrap();
        vec![("db.operation.name", name), ("db.query.text", as_shown(&shown.join(&b' ')))]
    }

    fn told_of(reply: &Reply) -> (Vec<(&'static str, String)>, &'static str) {
        let mut fields = vec![
            ("sniffx.redis.reply.type", reply.kind.to_owned()),
            ("sniffx.db.response.size", reply.bytes.len().to_string()),
        ];
        if let Some(count) = reply.count {
            fields.push(("sniffx.redis.reply.count", count.to_string()));
        }
        if reply.kind == "error" {
            let text = String::from_utf8(reply.text.clone()).unwrap();
            fields.push(("db.response.status_code", text.split(' ').next().unwrap().to_owned()));
            fields.push(("error.message", text));
            return (fields, "error");
        }
        if reply.kind != "nil" && !reply.text.is_empty() {
            fields.push(("sniffx.redis.reply", as_shown(&reply.text[..reply.text.len().min(64)])));
        }
        (fields, "ok")
    }

    fn answer(&mut self, shown: &[&[u8]], reply: Reply) {
        let (mut fields, status) = Self::told_of(&reply);
        fields.extend(Self::about(shown));
        self.tell("exchange", status, &fields);
        self.answered.extend(reply.bytes);
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => Vec::new(),
            1 => b"*1\r\n$4\r\nPING\r\n".to_vec(),
            2 => b"+OK\r\n:1\r\n$-1\r\n".to_vec(),
            3 => {
                let len = self.random.below(2000);
                // Letters: where a text is cut must not be in a character.
                self.random.bytes(len).iter().map(|b| b'a' + b % 26).collect()
            }
            4 => vec![0xff, 0x00, 0xfe],
            _ => b"some value".to_vec(),
        }
    }

    fn error(&mut self) -> Reply {
        let texts = [
            "ERR unknown command 'x'",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "MOVED 3999 127.0.0.1:6381",
        ];
        simple("error", '-', texts[self.random.below(3)])
    }

    fn nil(&mut self) -> Reply {
        let bytes: &[u8] = if self.resp3 { b"_\r\n" } else { b"$-1\r\n" };
        Reply { bytes: bytes.to_vec(), kind: "nil", count: None, text: b"nil".to_vec() }
    }

    /// Any reply to a command that reads.
    fn reply(&mut self) -> Reply {
        match self.random.below(8) {
            0 => self.error(),
            1 => self.nil(),
            2 => simple("integer", ':', "-42"),
            3 | 4 => self.aggregate(),
            5 if self.resp3 => simple("double", ',', "3.25"),
            6 if self.resp3 => {
                Reply { bytes: b"#t\r\n".to_vec(), kind: "boolean", count: None, text: b"true".to_vec() }
            }
            _ => {
                let value = self.value();
                bulk(&value)
            }
        }
    }

    fn aggregate(&mut self) -> Reply {
        let count = self.random.below(4);
        let (mark, kind, each) = match self.random.below(3) {
            0 if self.resp3 => ('%', "map", 2),
            1 if self.resp3 => ('~', "set", 1),
            _ => ('*', "array", 1),
        };
        let mut bytes = format!("{mark}{count}\r\n").into_bytes();
        let mut texts = Vec::new();
        for _ in 0..count * each {
            if self.random.below(4) == 0 {
                bytes.extend(b"*2\r\n:1\r\n$1\r\nx\r\n");
                texts.extend([b"1".to_vec(), b"x".to_vec()]);
            } else {
                let value = b"element".to_vec();
                bytes.extend(bulk(&value).bytes);
                texts.push(value);
            }
        }
        Reply { bytes, kind, count: Some(count), text: texts.join(&b' ') }
    }

    fn exchange(&mut self) {
        match self.random.below(14) {
            0..=3 => self.get(),
            4 | 5 => self.set(),
            6 => self.select(),
            7 => self.login(),
            8 => self.transaction(),
            9 => self.silent(),
            10 => self.subscription(),
            11 => self.configure(),
            12 => {
                self.ask(&[b"ping"]);
                self.answer(&[b"ping"], simple("status", '+', "PONG"));
            }
            _ => self.get(),
        }
    }

    fn get(&mut self) {
        let key = format!("key{}", self.random.below(100));
        let arguments = [&b"get"[..], key.as_bytes()];
        self.ask(&arguments);
        let reply = self.reply();
        self.answer(&arguments, reply);
    }

    fn set(&mut self) {
        let value = self.value();
        let arguments = [&b"SET"[..], b"k", &value];
        self.ask(&arguments);
        self.answer(&arguments, ok());
    }

    fn select(&mut self) {
        let name = self.random.below(16).to_string();
        let arguments = [&b"SELECT"[..], name.as_bytes()];
        self.ask(&arguments);
        if self.random.below(3) == 0 {
            self.answer(&arguments, simple("error", '-', "ERR DB index is out of range"));
        } else {
            self.answer(&arguments, ok());
            self.database = name;
        }
    }

    fn login(&mut self) {
        if self.random.below(2) == 0 {
            self.ask(&[b"AUTH", b"bob", b"hunter2"]);
            self.answer(&[b"AUTH", b"bob", b"<secret>"], ok());
            "bob".clone_into(&mut self.user);
        } else {
            self.ask(&[b"HELLO", b"3", b"AUTH", b"eve", b"hunter2"]);
            let reply = simple("error", '-', "WRONGPASS invalid username-password pair");
            self.answer(&[b"HELLO", b"3", b"AUTH", b"eve", b"<secret>"], reply);
        }
    }

    fn transaction(&mut self) {
        self.ask(&[b"MULTI"]);
        self.answer(&[b"MULTI"], ok());
        let count = self.random.below(4);
        let (mut results, mut told) = (Vec::new(), Vec::new());
        let outcome = self.random.below(4);
        for i in 0..count {
            let key = format!("k{i}");
            let arguments = [&b"GET"[..], key.as_bytes()];
            self.ask(&arguments);
            self.answered.extend(b"+QUEUED\r\n");
            let reply = self.reply();
            let (mut fields, status) = Self::told_of(&reply);
            if outcome < 2 {
                fields.extend(Self::about(&arguments));
                results.extend(reply.bytes);
                told.push(("exchange", status, fields));
            } else {
                told.push(("message", "", Self::about(&arguments)));
            }
        }
        for (kind, status, fields) in told {
            self.tell(kind, status, &fields);
        }
        let (last, reply): (&[u8], Reply) = match outcome {
            0 | 1 => {
                let bytes = [format!("*{count}\r\n").as_bytes(), &results].concat();
                (b"EXEC", Reply { bytes, kind: "array", count: Some(count), text: Vec::new() })
            }
            2 => (b"EXEC", Reply { bytes: b"*-1\r\n".to_vec(), kind: "nil", count: None, text: Vec::new() }),
            _ => (b"DISCARD", ok()),
        };
        self.ask(&[last]);
        // The beginning of the results' texts is told too; here only their number is checked.
        self.answer(&[last], reply);
    }

    fn silent(&mut self) {
        self.ask(&[b"CLIENT", b"REPLY", b"SKIP"]);
        let fields = Self::about(&[b"CLIENT", b"REPLY", b"SKIP"]);
        self.tell("message", "", &fields);
        self.ask(&[b"SET", b"a", b"b"]);
        let fields = Self::about(&[b"SET", b"a", b"b"]);
        self.tell("message", "", &fields);
    }

    /// Subscribes, gets messages and unsubscribes, all by itself.
    fn subscription(&mut self) {
        let mark = if self.resp3 { '>' } else { '*' };
        let confirm = |word: &str, channel: &str, n: usize| {
            format!("{mark}3\r\n${}\r\n{word}\r\n${}\r\n{channel}\r\n:{n}\r\n", word.len(), channel.len())
        };
        let kind = if self.resp3 { "push" } else { "array" };
        self.flush_if_any();
        let arguments = [&b"SUBSCRIBE"[..], b"news", b"x"];
        self.ask(&arguments);
        self.answered.extend(confirm("subscribe", "news", 1).bytes());
        let bytes = confirm("subscribe", "x", 2).into_bytes();
        self.answer(&arguments, Reply { bytes, kind, count: Some(3), text: b"subscribe x 2".to_vec() });
        for _ in 0..self.random.below(3) {
            let payload = self.value();
            self.answered.extend(format!("{mark}3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n").bytes());
            self.answered.extend(bulk(&payload).bytes);
            let text = as_shown(&[b"news", &payload[..]].join(&b' '));
            self.tell("message", "", &[("db.operation.name", "MESSAGE".to_owned()), ("db.query.text", text)]);
        }
        self.flush();
        let arguments = [&b"UNSUBSCRIBE"[..], b"news", b"x"];
        self.ask(&arguments);
        self.answered.extend(confirm("unsubscribe", "news", 1).bytes());
        let bytes = confirm("unsubscribe", "x", 0).into_bytes();
        self.answer(&arguments, Reply { bytes, kind, count: Some(3), text: b"unsubscribe x 0".to_vec() });
        self.flush();
        // The next commands are a batch of their own.
        self.get();
    }

    fn flush_if_any(&mut self) {
        if !self.asked.is_empty() {
            self.flush();
        }
    }

    fn configure(&mut self) {
        self.ask(&[b"CONFIG", b"SET", b"requirepass", b"hunter2"]);
        let reply = Reply { text: Vec::new(), ..ok() };
        self.answer(&[b"CONFIG", b"SET", b"requirepass", b"<secret>"], reply);
    }
}

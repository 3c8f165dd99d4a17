//! Conversations made from the protocol's description, with what happened in them: written without a look at the decoder.

mod prepared;

use std::borrow::Cow;
use std::collections::BTreeMap;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use super::Random;
use prepared::Prepared;

/// The fields that an event must have, `kind` and `status` among them.
pub(crate) type Event = BTreeMap<Cow<'static, str>, String>;

/// Fields of an event in the making.
type Fields = Vec<(Cow<'static, str>, String)>;

/// A conversation and the truth about it.
pub(crate) struct Generated {
    pub(crate) steps: Vec<Step>,
    pub(crate) events: Vec<Event>,
    /// For each event, the step in which it is known.
    pub(crate) known_at: Vec<usize>,
    /// For each event, the step that holds its request.
    pub(crate) asked_at: Vec<usize>,
    /// How many steps the login takes.
    pub(crate) login: usize,
}

const CONNECT_WITH_DB: u32 = 1 << 3;
const LOCAL_FILES: u32 = 1 << 7;
const PROTOCOL_41: u32 = 1 << 9;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE: u32 = 1 << 15;
const MULTI: u32 = 7 << 16;
const PLUGIN_AUTH: u32 = 1 << 19;
const SESSION_TRACK: u32 = 1 << 23;
const DEPRECATE_EOF: u32 = 1 << 24;
const QUERY_ATTRIBUTES: u32 = 1 << 27;

pub(crate) fn lenenc(n: usize) -> Vec<u8> {
    let bytes = (n as u64).to_le_bytes();
    match n {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[0xfc], &bytes[..2]].concat(),
        0x1_0000..=0xff_ffff => [&[0xfd], &bytes[..3]].concat(),
        _ => [&[0xfe], &bytes[..]].concat(),
    }
}

fn lenenc_text(text: &[u8]) -> Vec<u8> {
    [lenenc(text.len()), text.to_vec()].concat()
}

/// Cuts a payload into packets, counting the sequence id on.
pub(crate) fn packets(seq: &mut u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = payload;
    loop {
        let (head, tail) = rest.split_at(rest.len().min(0xff_ffff));
        out.extend_from_slice(&(head.len() as u32).to_le_bytes()[..3]);
        out.push(*seq);
        *seq = seq.wrapping_add(1);
        out.extend_from_slice(head);
        rest = tail;
        if head.len() < 0xff_ffff {
            return out;
        }
    }
}

pub(crate) struct Generator {
    pub(crate) random: Random,
    caps: u32,
    deprecate_eof: bool,
    database: String,
    user: String,
    next_statement: u32,
    statements: Vec<Prepared>,
    out: Generated,
    seq: u8,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut caps = PROTOCOL_41 | TRANSACTIONS | SECURE | MULTI | PLUGIN_AUTH | LOCAL_FILES;
        for optional in [DEPRECATE_EOF, QUERY_ATTRIBUTES, SESSION_TRACK, CONNECT_WITH_DB] {
            if random.below(2) == 0 {
                caps |= optional;
            }
        }
        Self {
            random,
            caps,
            deprecate_eof: caps & DEPRECATE_EOF != 0,
            database: if caps & CONNECT_WITH_DB != 0 { "shop".to_owned() } else { String::new() },
            user: "alice".to_owned(),
            next_statement: 1,
            statements: Vec::new(),
            out: Generated { steps: vec![], events: vec![], known_at: vec![], asked_at: vec![], login: 0 },
            seq: 0,
        }
    }

    /// A conversation whose login agrees on a way to compress: [`super::compress`] does it.
    pub(crate) fn compressed(seed: u64, capability: u32) -> Self {
        let mut generator = Self::new(seed);
        generator.caps |= capability;
        generator
    }

    pub(crate) fn has_query_attributes(&self) -> bool {
        self.caps & QUERY_ATTRIBUTES != 0
    }

    /// The whole of a short conversation.
    pub(crate) fn conversation(mut self, exchanges: usize) -> Generated {
        self.handshake();
        for _ in 0..exchanges {
            self.exchange();
        }
        self.quit();
        self.out
    }

    pub(crate) fn finish(self) -> Generated {
        self.out
    }

    fn client_says(&mut self, bytes: Vec<u8>) {
        self.out.steps.push(Step::Data(Direction::ToServer, bytes));
    }

    fn server_says(&mut self, bytes: Vec<u8>) {
        self.out.steps.push(Step::Data(Direction::ToClient, bytes));
    }

    fn event(&mut self, kind: &str, status: &str, fields: &Fields) {
        let mut event: Event = fields.iter().cloned().collect();
        event.insert("kind".into(), kind.to_owned());
        event.insert("status".into(), status.to_owned());
        self.out.events.push(event);
        // The step that is written next ends it; a message is known in the step that was just written.
        let steps = self.out.steps.len();
        self.out.known_at.push(if kind == "message" { steps - 1 } else { steps });
        let asked =
            self.out.steps.iter().rposition(|s| matches!(s, Step::Data(Direction::ToServer, b) if b[3] == 0));
        self.out.asked_at.push(asked.unwrap_or(0));
    }

    /// Fields of an exchange that has text.
    fn about(&self, operation: &str, text: &str) -> Fields {
        let mut fields = self.about_command(operation);
        fields.push(("db.query.text".into(), text.to_owned()));
        fields
    }

    fn about_command(&self, operation: &str) -> Fields {
        let mut fields = vec![("db.operation.name".into(), operation.to_owned())];
        if !self.database.is_empty() {
            fields.push(("db.namespace".into(), self.database.clone()));
        }
        fields.push(("sniffx.db.user".into(), self.user.clone()));
        fields
    }

    pub(crate) fn handshake(&mut self) {
        let mut greeting = vec![10];
        greeting.extend(b"8.4.0\0");
        greeting.extend(77u32.to_le_bytes());
        greeting.extend(b"abcdefgh\0");
        greeting.extend(&self.caps.to_le_bytes()[..2]);
        greeting.extend([45, 2, 0]);
        greeting.extend(&self.caps.to_le_bytes()[2..]);
        greeting.push(21);
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0caching_sha2_password\0");
        let greeting = packets(&mut 0, &greeting);
        self.server_says(greeting);
        let mut login = self.caps.to_le_bytes().to_vec();
        login.extend([0, 0, 0, 1, 45]);
        login.extend([0; 23]);
        login.extend(b"alice\0");
        login.push(20);
        login.extend(self.random.bytes(20));
        if self.caps & CONNECT_WITH_DB != 0 {
            login.extend(b"shop\0");
        }
        login.extend(b"caching_sha2_password\0");
        let login = packets(&mut 1, &login);
        self.client_says(login);
        let mut seq = 2;
        if self.random.below(2) == 0 {
            let switch = packets(&mut seq, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");
            self.server_says(switch);
            let answer = self.random.bytes(20);
            let answer = packets(&mut seq, &answer);
            self.client_says(answer);
        } else {
            let fast = packets(&mut seq, &[1, 3]);
            self.server_says(fast);
        }
        let mut fields = vec![
            ("sniffx.session.state".into(), "connected".to_owned()),
            ("db.system.name".into(), "mysql".to_owned()),
            ("sniffx.db.server_version".into(), "8.4.0".to_owned()),
            ("sniffx.db.connection_id".into(), "77".to_owned()),
            ("sniffx.db.user".into(), self.user.clone()),
        ];
        if !self.database.is_empty() {
            fields.push(("db.namespace".into(), self.database.clone()));
        }
        self.event("session", "ok", &fields);
        self.seq = seq;
        let ok = self.ok(0, 0, 0, 0, None);
        self.server_says(ok);
        self.out.login = self.out.steps.len();
    }

    /// An OK packet; `header` is 0, or 0xfe at the end of rows.
    fn ok(&mut self, header: u8, affected: usize, id: usize, status: u16, schema: Option<&str>) -> Vec<u8> {
        let warnings = 0u16;
        let mut status = status | 2;
        let mut body = vec![header];
        body.extend(lenenc(affected));
        body.extend(lenenc(id));
        let changed = schema.map(|s| {
            status |= 0x4000;
            let data = lenenc_text(s.as_bytes());
            [&[1][..], &lenenc(data.len()), &data].concat()
        });
        body.extend(status.to_le_bytes());
        body.extend(warnings.to_le_bytes());
        if let Some(changed) = changed {
            body.push(0);
            body.extend(lenenc_text(&changed));
        }
        packets(&mut self.seq, &body)
    }

    fn eof(&mut self, status: u16) -> Vec<u8> {
        let status = (status | 2).to_le_bytes();
        packets(&mut self.seq, &[0xfe, 0, 0, status[0], status[1]])
    }

    fn end_of_rows(&mut self, status: u16) -> Vec<u8> {
        if self.deprecate_eof { self.ok(0xfe, 0, 0, status, None) } else { self.eof(status) }
    }

    fn err(&mut self) -> (Vec<u8>, Fields) {
        let code = 1000 + self.random.below(3000);
        let message = format!("Something is wrong at line {}", self.random.below(100));
        let mut body = vec![0xff];
        body.extend(&(code as u16).to_le_bytes());
        body.extend(b"#42S02");
        body.extend(message.as_bytes());
        let fields = vec![
            ("db.response.status_code".into(), code.to_string()),
            ("sniffx.db.sqlstate".into(), "42S02".to_owned()),
            ("error.message".into(), message),
        ];
        (packets(&mut self.seq, &body), fields)
    }

    fn definitions(&mut self, count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for column in 0..count {
            let mut body = Vec::new();
            for text in ["def", "shop", "t", "t", &format!("c{column}"), "c"] {
                body.extend(lenenc_text(text.as_bytes()));
            }
            body.extend([0x0c, 0x2d, 0, 0xff, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0]);
            out.extend(packets(&mut self.seq, &body));
        }
        out
    }

    fn cell(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => vec![0xfb],
            1 => lenenc_text(b""),
            2 => {
                // Looks like packets.
                lenenc_text(b"\x07\0\0\x01\0\0\0\x02\0\0\0\x05\0\0\x05\xfe\0\0\x02\0\x01\0\0\x01\x01")
            }
            3 => {
                let len = self.random.below(700);
                lenenc_text(&self.random.bytes(len))
            }
            _ => lenenc_text(b"12345"),
        }
    }

    fn rows(&mut self, count: usize, columns: usize, binary: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..count {
            let mut body = Vec::new();
            if binary {
                body.push(0);
                body.extend(vec![0; (columns + 9) / 8]);
            }
            for _ in 0..columns {
                let mut cell = self.cell();
                if binary && cell == [0xfb] {
                    cell = vec![0];
                }
                body.extend(cell);
            }
            out.extend(packets(&mut self.seq, &body));
        }
        out
    }

    /// A result set with its events' fields.
    fn result_set(&mut self, binary: bool, status: u16) -> (Vec<u8>, Fields) {
        let (columns, rows) = (1 + self.random.below(4), self.random.below(6));
        let mut out = packets(&mut self.seq, &lenenc(columns));
        out.extend(self.definitions(columns));
        if !self.deprecate_eof {
            out.extend(self.eof(0));
        }
        out.extend(self.rows(rows, columns, binary));
        out.extend(self.end_of_rows(status));
        let fields = vec![
            ("sniffx.db.columns".into(), columns.to_string()),
            ("db.response.returned_rows".into(), rows.to_string()),
            ("sniffx.db.response.size".into(), out.len().to_string()),
        ];
        (out, fields)
    }

    /// Sends a command as one step.
    fn command(&mut self, byte: u8, body: &[u8]) {
        let mut seq = 0;
        let packet = packets(&mut seq, &[&[byte], body].concat());
        self.seq = seq;
        self.client_says(packet);
    }

    /// Sends a query, with attributes where they were agreed on; the fields that these give.
    pub(crate) fn query(&mut self, text: &str) -> Fields {
        let (mut body, mut fields) = (Vec::new(), Vec::new());
        if self.caps & QUERY_ATTRIBUTES != 0 {
            let count = self.random.below(3);
            body.extend(lenenc(count));
            body.push(1);
            let values: Vec<_> = (0..count).map(|_| self.value()).collect();
            if count > 0 {
                let names: Vec<_> = (0..count).map(|i| format!("a{i}")).collect();
                body.extend(prepared::nulls(&values));
                body.push(1);
                body.extend(prepared::types(&values, Some(&names)));
                body.extend(values.iter().flat_map(|v| v.bytes.clone()));
                for (name, value) in names.iter().zip(values) {
                    fields.push((format!("sniffx.mysql.attribute.{name}").into(), value.shown));
                }
            }
        }
        body.extend(text.as_bytes());
        self.command(3, &body);
        fields
    }

    fn literal(&mut self) -> String {
        match self.random.below(4) {
            0 => "'it''s; -- not the end'".to_owned(),
            1 => format!("{}", self.random.below(1000)),
            2 => format!("'{}'", "x".repeat(self.random.below(400))),
            _ => "\"/* no comment */\"".to_owned(),
        }
    }

    fn exchange(&mut self) {
        match self.random.below(17) {
            0..=3 => self.select(),
            4 => self.insert(),
            5 => self.failing(),
            6 => self.several(),
            7 => self.prepare(),
            8..=10 => self.execute(),
            11 => self.use_database(),
            12 => self.ping(),
            13 => self.statistics(),
            14 => self.field_list(),
            15 => self.local_infile(),
            _ => self.change_user(),
        }
    }

    fn select(&mut self) {
        let literal = self.literal();
        let text = format!("/* app */ (select a from t where b = {literal})");
        let attributes = self.query(&text);
        let (bytes, mut fields) = self.result_set(false, 0);
        fields.extend(attributes);
        fields.extend(self.about("SELECT", &text));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
    }

    fn insert(&mut self) {
        let text = format!("INSERT INTO t VALUES ({})", self.literal());
        let attributes = self.query(&text);
        let (affected, id) = (self.random.below(400), 1 + self.random.below(100_000));
        let bytes = self.ok(0, affected, id, 0, None);
        let mut fields = self.about("INSERT", &text);
        fields.extend(attributes);
        fields.push(("sniffx.db.affected_rows".into(), affected.to_string()));
        fields.push(("sniffx.db.last_insert_id".into(), id.to_string()));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
    }

    fn failing(&mut self) {
        let text = format!("update t set a = {}", self.literal());
        let attributes = self.query(&text);
        let (mut bytes, mut rows) = (Vec::new(), None);
        if self.random.below(3) == 0 {
            // In the middle of the rows.
            bytes.extend(packets(&mut self.seq, &[1]));
            bytes.extend(self.definitions(1));
            if !self.deprecate_eof {
                bytes.extend(self.eof(0));
            }
            rows = Some(self.random.below(3));
            bytes.extend(self.rows(rows.unwrap(), 1, false));
        }
        let (packet, mut fields) = self.err();
        bytes.extend(packet);
        fields.extend(self.about("UPDATE", &text));
        fields.extend(attributes);
        if let Some(rows) = rows {
            fields.push(("db.response.returned_rows".into(), rows.to_string()));
        }
        self.event("exchange", "error", &fields);
        self.server_says(bytes);
    }

    /// Several statements in one text: one result each.
    fn several(&mut self) {
        let literal = self.literal();
        let parts = [
            ("SELECT", format!("select {literal}")),
            ("DELETE", "/* ; */ delete from t".to_owned()),
            ("SELECT", " select 2".to_owned()),
        ];
        let text = parts.iter().map(|p| p.1.as_str()).collect::<Vec<_>>().join(";");
        let attributes = self.query(&text);
        let mut all = Vec::new();
        let fails = self.random.below(3) == 0;
        for (index, (operation, _)) in parts.iter().enumerate() {
            let last = index == 2;
            let more = if last { 0 } else { 8 };
            let mut status = "ok";
            let mut fields = self.about(operation, &text);
            fields.extend(attributes.clone());
            let bytes = if last && fails {
                status = "error";
                let (bytes, error) = self.err();
                fields.extend(error);
                bytes
            } else if *operation == "SELECT" {
                let (bytes, result) = self.result_set(false, more);
                fields.extend(result);
                bytes
            } else {
                let affected = self.random.below(70_000);
                fields.push(("sniffx.db.affected_rows".into(), affected.to_string()));
                self.ok(0, affected, 0, more, None)
            };
            if index > 0 {
                fields.push(("sniffx.db.result_index".into(), index.to_string()));
            }
            all.extend(bytes);
            self.event("exchange", status, &fields);
        }
        self.server_says(all);
    }

    fn use_database(&mut self) {
        let name = format!("db{}", self.random.below(10));
        let fails = self.random.below(3) == 0;
        let by_command = self.random.below(2) == 0;
        let mut fields = if by_command {
            self.command(2, name.as_bytes());
            vec![
                ("db.operation.name".into(), "INIT_DB".to_owned()),
                ("db.namespace".into(), name.clone()),
                ("sniffx.db.user".into(), self.user.clone()),
            ]
        } else {
            let text = format!("use `{name}`");
            let mut fields = self.query(&text);
            fields.extend(self.about("USE", &text));
            fields
        };
        let bytes = if fails {
            let (bytes, error) = self.err();
            fields.extend(error);
            bytes
        } else {
            let tracked = (self.caps & SESSION_TRACK != 0).then_some(name.as_str());
            self.database.clone_from(&name);
            self.ok(0, 0, 0, 0, tracked)
        };
        self.event("exchange", if fails { "error" } else { "ok" }, &fields);
        self.server_says(bytes);
    }

    fn ping(&mut self) {
        self.command(0x0e, &[]);
        let fields = self.about_command("PING");
        self.event("exchange", "ok", &fields);
        let bytes = self.ok(0, 0, 0, 0, None);
        self.server_says(bytes);
    }

    fn statistics(&mut self) {
        self.command(0x09, &[]);
        let fields = self.about_command("STATISTICS");
        self.event("exchange", "ok", &fields);
        let bytes = packets(&mut self.seq, b"Uptime: 25  Threads: 1  Questions: 5");
        self.server_says(bytes);
    }

    fn field_list(&mut self) {
        self.command(0x04, b"orders\0%");
        let columns = 1 + self.random.below(4);
        let mut bytes = self.definitions(columns);
        bytes.extend(self.end_of_rows(0));
        let mut fields = self.about_command("FIELD_LIST");
        fields.push(("db.collection.name".into(), "orders".to_owned()));
        fields.push(("sniffx.db.columns".into(), columns.to_string()));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
    }

    fn local_infile(&mut self) {
        let text = "LOAD DATA LOCAL INFILE '/tmp/x' INTO TABLE t";
        let attributes = self.query(text);
        let bytes = packets(&mut self.seq, b"\xfb/tmp/x");
        self.server_says(bytes);
        let mut sent = 0;
        let mut data = Vec::new();
        for _ in 0..self.random.below(3) {
            let len = 1 + self.random.below(300);
            sent += len;
            let chunk = self.random.bytes(len);
            data.extend(packets(&mut self.seq, &chunk));
        }
        data.extend(packets(&mut self.seq, b""));
        self.client_says(data);
        let bytes = self.ok(0, 3, 0, 0, None);
        let mut fields = self.about("LOAD", text);
        fields.extend(attributes);
        fields.push(("sniffx.mysql.infile.size".into(), sent.to_string()));
        fields.push(("sniffx.db.affected_rows".into(), "3".to_owned()));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
    }

    fn change_user(&mut self) {
        let name = format!("user{}", self.random.below(10));
        let mut body = [name.as_bytes(), b"\0"].concat();
        body.push(20);
        body.extend(self.random.bytes(20));
        body.extend(b"other\0\x2d\0mysql_native_password\0");
        self.command(0x11, &body);
        let fields = vec![
            ("db.operation.name".into(), "CHANGE_USER".to_owned()),
            ("sniffx.db.user".into(), name.clone()),
            ("db.namespace".into(), "other".to_owned()),
        ];
        if self.random.below(2) == 0 {
            let bytes = packets(&mut self.seq, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");
            self.server_says(bytes);
            let answer = self.random.bytes(20);
            let answer = packets(&mut self.seq, &answer);
            self.client_says(answer);
        }
        self.event("exchange", "ok", &fields);
        let bytes = self.ok(0, 0, 0, 0, None);
        self.server_says(bytes);
        self.user = name;
        "other".clone_into(&mut self.database);
        self.statements.clear();
        self.next_statement = 1;
    }

    pub(crate) fn quit(&mut self) {
        self.command(1, &[]);
        let fields = self.about_command("QUIT");
        self.event("message", "", &fields);
    }
}

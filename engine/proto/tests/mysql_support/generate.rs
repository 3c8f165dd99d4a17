//! Conversations made from the protocol's description, with what happened in them: written without a look at the decoder.

use std::collections::BTreeMap;

use sniff_x_flow::Direction;
use sniff_x_proto::replay::Step;

use super::Random;

/// The fields that an event must have, `kind` and `status` among them.
pub(crate) type Event = BTreeMap<&'static str, String>;

/// A conversation and the truth about it.
pub(crate) struct Generated {
    pub(crate) steps: Vec<Step>,
    pub(crate) events: Vec<Event>,
    /// For each event, the step in which it is known.
    pub(crate) known_at: Vec<usize>,
    /// For each event, the step that holds its request.
    pub(crate) asked_at: Vec<usize>,
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
    statements: Vec<(u32, String, usize)>,
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
            out: Generated { steps: vec![], events: vec![], known_at: vec![], asked_at: vec![] },
            seq: 0,
        }
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

    fn to_server(&mut self, bytes: Vec<u8>) {
        self.out.steps.push(Step::Data(Direction::ToServer, bytes));
    }

    fn to_client(&mut self, bytes: Vec<u8>) {
        self.out.steps.push(Step::Data(Direction::ToClient, bytes));
    }

    fn event(&mut self, kind: &str, status: &str, fields: &[(&'static str, String)]) {
        let mut event: Event = fields.iter().cloned().collect();
        event.insert("kind", kind.to_owned());
        event.insert("status", status.to_owned());
        self.out.events.push(event);
        // The step that is written next ends it; a message is known in the step that was just written.
        let steps = self.out.steps.len();
        self.out.known_at.push(if kind == "message" { steps - 1 } else { steps });
        let asked =
            self.out.steps.iter().rposition(|s| matches!(s, Step::Data(Direction::ToServer, b) if b[3] == 0));
        self.out.asked_at.push(asked.unwrap_or(0));
    }

    /// Fields of an exchange that has text.
    fn about(&self, operation: &str, text: &str) -> Vec<(&'static str, String)> {
        let mut fields = self.about_command(operation);
        fields.push(("db.query.text", text.to_owned()));
        fields
    }

    fn about_command(&self, operation: &str) -> Vec<(&'static str, String)> {
        let mut fields = vec![("db.operation.name", operation.to_owned())];
        if !self.database.is_empty() {
            fields.push(("db.namespace", self.database.clone()));
        }
        fields.push(("sniffx.db.user", self.user.clone()));
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
        self.to_client(greeting);
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
        self.to_server(login);
        let mut seq = 2;
        if self.random.below(2) == 0 {
            let switch = packets(&mut seq, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");
            self.to_client(switch);
            let answer = self.random.bytes(20);
            let answer = packets(&mut seq, &answer);
            self.to_server(answer);
        } else {
            let fast = packets(&mut seq, &[1, 3]);
            self.to_client(fast);
        }
        let mut fields = vec![
            ("sniffx.session.state", "connected".to_owned()),
            ("db.system.name", "mysql".to_owned()),
            ("sniffx.db.server_version", "8.4.0".to_owned()),
            ("sniffx.db.connection_id", "77".to_owned()),
            ("sniffx.db.user", self.user.clone()),
        ];
        if !self.database.is_empty() {
            fields.push(("db.namespace", self.database.clone()));
        }
        self.event("session", "ok", &fields);
        self.seq = seq;
        let ok = self.ok(0, 0, 0, 0, None);
        self.to_client(ok);
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

    fn err(&mut self) -> (Vec<u8>, Vec<(&'static str, String)>) {
        let code = 1000 + self.random.below(3000);
        let message = format!("Something is wrong at line {}", self.random.below(100));
        let mut body = vec![0xff];
        body.extend(&(code as u16).to_le_bytes());
        body.extend(b"#42S02");
        body.extend(message.as_bytes());
        let fields = vec![
            ("db.response.status_code", code.to_string()),
            ("sniffx.db.sqlstate", "42S02".to_owned()),
            ("error.message", message),
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
    fn result_set(&mut self, binary: bool, status: u16) -> (Vec<u8>, Vec<(&'static str, String)>) {
        let (columns, rows) = (1 + self.random.below(4), self.random.below(6));
        let mut out = packets(&mut self.seq, &lenenc(columns));
        out.extend(self.definitions(columns));
        if !self.deprecate_eof {
            out.extend(self.eof(0));
        }
        out.extend(self.rows(rows, columns, binary));
        out.extend(self.end_of_rows(status));
        let fields = vec![
            ("sniffx.db.columns", columns.to_string()),
            ("db.response.returned_rows", rows.to_string()),
            ("sniffx.db.response.size", out.len().to_string()),
        ];
        (out, fields)
    }

    /// Sends a command as one step.
    fn command(&mut self, byte: u8, body: &[u8]) {
        let mut seq = 0;
        let packet = packets(&mut seq, &[&[byte], body].concat());
        self.seq = seq;
        self.to_server(packet);
    }

    pub(crate) fn query(&mut self, text: &str) {
        let mut body = Vec::new();
        if self.caps & QUERY_ATTRIBUTES != 0 {
            if self.random.below(2) == 0 {
                body.extend([0, 1]);
            } else {
                // One string attribute.
                body.extend([1, 1, 0, 1, 0xfe, 0]);
                body.extend(lenenc_text(b"trace"));
                let len = self.random.below(300);
                body.extend(lenenc_text(&self.random.bytes(len)));
            }
        }
        body.extend(text.as_bytes());
        self.command(3, &body);
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
        match self.random.below(16) {
            0..=3 => self.select(),
            4 => self.insert(),
            5 => self.failing(),
            6 => self.several(),
            7 => self.prepare(),
            8 | 9 => self.execute(),
            10 => self.use_database(),
            11 => self.ping(),
            12 => self.statistics(),
            13 => self.field_list(),
            14 => self.local_infile(),
            _ => self.change_user(),
        }
    }

    fn select(&mut self) {
        let literal = self.literal();
        let text = format!("/* app */ (select a from t where b = {literal})");
        self.query(&text);
        let (bytes, mut fields) = self.result_set(false, 0);
        fields.extend(self.about("SELECT", &text));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
    }

    fn insert(&mut self) {
        let text = format!("INSERT INTO t VALUES ({})", self.literal());
        self.query(&text);
        let (affected, id) = (self.random.below(400), 1 + self.random.below(100_000));
        let bytes = self.ok(0, affected, id, 0, None);
        let mut fields = self.about("INSERT", &text);
        fields.push(("sniffx.db.affected_rows", affected.to_string()));
        fields.push(("sniffx.db.last_insert_id", id.to_string()));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
    }

    fn failing(&mut self) {
        let text = format!("update t set a = {}", self.literal());
        self.query(&text);
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
        if let Some(rows) = rows {
            fields.push(("db.response.returned_rows", rows.to_string()));
        }
        self.event("exchange", "error", &fields);
        self.to_client(bytes);
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
        self.query(&text);
        let mut all = Vec::new();
        let fails = self.random.below(3) == 0;
        for (index, (operation, _)) in parts.iter().enumerate() {
            let last = index == 2;
            let more = if last { 0 } else { 8 };
            let mut status = "ok";
            let mut fields = self.about(operation, &text);
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
                fields.push(("sniffx.db.affected_rows", affected.to_string()));
                self.ok(0, affected, 0, more, None)
            };
            if index > 0 {
                fields.push(("sniffx.db.result_index", index.to_string()));
            }
            all.extend(bytes);
            self.event("exchange", status, &fields);
        }
        self.to_client(all);
    }

    fn prepare(&mut self) {
        let text = format!("select a from t where b = ? and c = {}", self.literal());
        self.command(0x16, text.as_bytes());
        let id = self.next_statement;
        self.next_statement += 1;
        let (columns, parameters) = (self.random.below(3), self.random.below(3));
        let mut body = vec![0];
        body.extend(id.to_le_bytes());
        body.extend((columns as u16).to_le_bytes());
        body.extend((parameters as u16).to_le_bytes());
        body.extend([0, 0, 0]);
        let mut bytes = packets(&mut self.seq, &body);
        for count in [parameters, columns] {
            bytes.extend(self.definitions(count));
            if count > 0 && !self.deprecate_eof {
                bytes.extend(self.eof(0));
            }
        }
        let mut fields = self.about("PREPARE", &text);
        fields.push(("sniffx.db.statement_id", id.to_string()));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
        self.statements.push((id, text, parameters));
    }

    fn execute(&mut self) {
        if self.statements.is_empty() {
            return self.prepare();
        }
        let at = self.random.below(self.statements.len());
        let (id, text, _) = self.statements[at].clone();
        let cursor = self.random.below(4) == 0;
        let mut body = id.to_le_bytes().to_vec();
        body.push(u8::from(cursor));
        body.extend([1, 0, 0, 0]);
        let len = self.random.below(60);
        body.extend(self.random.bytes(len));
        self.command(0x17, &body);
        let mut fields = self.about("SELECT", &text);
        fields.push(("sniffx.db.statement_id", id.to_string()));
        if cursor {
            let mut bytes = packets(&mut self.seq, &[1]);
            bytes.extend(self.definitions(1));
            bytes.extend(self.end_of_rows(0x40));
            fields.push(("sniffx.db.columns", "1".to_owned()));
            fields.push(("db.response.returned_rows", "0".to_owned()));
            self.event("exchange", "ok", &fields);
            self.to_client(bytes);
            self.fetch(id, &text);
        } else {
            let (bytes, result) = self.result_set(true, 0);
            fields.extend(result);
            self.event("exchange", "ok", &fields);
            self.to_client(bytes);
        }
        if self.random.below(2) == 0 {
            self.statements.remove(at);
            self.command(0x19, &id.to_le_bytes());
            let mut fields = self.about_command("CLOSE");
            fields.push(("sniffx.db.statement_id", id.to_string()));
            self.event("message", "", &fields);
        }
    }

    fn fetch(&mut self, id: u32, text: &str) {
        let mut body = id.to_le_bytes().to_vec();
        body.extend(5u32.to_le_bytes());
        self.command(0x1c, &body);
        let rows = self.random.below(5);
        let mut bytes = self.rows(rows, 1, true);
        bytes.extend(self.end_of_rows(0x80));
        let mut fields = self.about("FETCH", text);
        fields.push(("sniffx.db.statement_id", id.to_string()));
        fields.push(("sniffx.mysql.argument", "5".to_owned()));
        fields.push(("db.response.returned_rows", rows.to_string()));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
    }

    fn use_database(&mut self) {
        let name = format!("db{}", self.random.below(10));
        let fails = self.random.below(3) == 0;
        let by_command = self.random.below(2) == 0;
        let mut fields = if by_command {
            self.command(2, name.as_bytes());
            vec![
                ("db.operation.name", "INIT_DB".to_owned()),
                ("db.namespace", name.clone()),
                ("sniffx.db.user", self.user.clone()),
            ]
        } else {
            let text = format!("use `{name}`");
            self.query(&text);
            self.about("USE", &text)
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
        self.to_client(bytes);
    }

    fn ping(&mut self) {
        self.command(0x0e, &[]);
        let fields = self.about_command("PING");
        self.event("exchange", "ok", &fields);
        let bytes = self.ok(0, 0, 0, 0, None);
        self.to_client(bytes);
    }

    fn statistics(&mut self) {
        self.command(0x09, &[]);
        let fields = self.about_command("STATISTICS");
        self.event("exchange", "ok", &fields);
        let bytes = packets(&mut self.seq, b"Uptime: 25  Threads: 1  Questions: 5");
        self.to_client(bytes);
    }

    fn field_list(&mut self) {
        self.command(0x04, b"orders\0%");
        let columns = 1 + self.random.below(4);
        let mut bytes = self.definitions(columns);
        bytes.extend(self.end_of_rows(0));
        let mut fields = self.about_command("FIELD_LIST");
        fields.push(("db.collection.name", "orders".to_owned()));
        fields.push(("sniffx.db.columns", columns.to_string()));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
    }

    fn local_infile(&mut self) {
        let text = "LOAD DATA LOCAL INFILE '/tmp/x' INTO TABLE t";
        self.query(text);
        let bytes = packets(&mut self.seq, b"\xfb/tmp/x");
        self.to_client(bytes);
        let mut sent = 0;
        let mut data = Vec::new();
        for _ in 0..self.random.below(3) {
            let len = 1 + self.random.below(300);
            sent += len;
            let chunk = self.random.bytes(len);
            data.extend(packets(&mut self.seq, &chunk));
        }
        data.extend(packets(&mut self.seq, b""));
        self.to_server(data);
        let bytes = self.ok(0, 3, 0, 0, None);
        let mut fields = self.about("LOAD", text);
        fields.push(("sniffx.mysql.infile.size", sent.to_string()));
        fields.push(("sniffx.db.affected_rows", "3".to_owned()));
        self.event("exchange", "ok", &fields);
        self.to_client(bytes);
    }

    fn change_user(&mut self) {
        let name = format!("user{}", self.random.below(10));
        let mut body = [name.as_bytes(), b"\0"].concat();
        body.push(20);
        body.extend(self.random.bytes(20));
        body.extend(b"other\0\x2d\0mysql_native_password\0");
        self.command(0x11, &body);
        let fields = vec![
            ("db.operation.name", "CHANGE_USER".to_owned()),
            ("sniffx.db.user", name.clone()),
            ("db.namespace", "other".to_owned()),
        ];
        if self.random.below(2) == 0 {
            let bytes = packets(&mut self.seq, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");
            self.to_client(bytes);
            let answer = self.random.bytes(20);
            let answer = packets(&mut self.seq, &answer);
            self.to_server(answer);
        }
        self.event("exchange", "ok", &fields);
        let bytes = self.ok(0, 0, 0, 0, None);
        self.to_client(bytes);
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

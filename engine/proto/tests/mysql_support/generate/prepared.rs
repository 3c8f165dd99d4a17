//! Prepared statements of generated conversations: parameters of every type, with the text that each must be shown as.

use super::{Fields, Generator, QUERY_ATTRIBUTES, lenenc, lenenc_text, packets};

/// A prepared statement, and what the server knows of it.
#[derive(Clone)]
pub(super) struct Prepared {
    id: u32,
    text: String,
    parameters: usize,
    /// The types that were bound last.
    bound: Option<Vec<u16>>,
}

/// A value with its type.
#[derive(Clone)]
pub(super) struct Value {
    kind: u16,
    is_null: bool,
    /// In the binary protocol, length included.
    pub(super) bytes: Vec<u8>,
    /// As an event must show it.
    pub(super) shown: String,
}

const STRINGS: [u16; 8] = [0x0f, 0xfd, 0xfe, 0xf6, 0xf5, 0x10, 0xf7, 0x00];
const BLOBS: [u16; 5] = [0xf9, 0xfa, 0xfb, 0xfc, 0xff];

pub(super) fn nulls(values: &[Value]) -> Vec<u8> {
    let mut bits = vec![0; values.len().div_ceil(8)];
    for (i, _) in values.iter().enumerate().filter(|(_, v)| v.is_null) {
        bits[i / 8] |= 1 << (i % 8);
    }
    bits
}

/// Types, each with its name if there are names.
pub(super) fn types(values: &[Value], names: Option<&[String]>) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, value) in values.iter().enumerate() {
        out.extend(value.kind.to_le_bytes());
        if let Some(names) = names {
            out.extend(lenenc_text(names[i].as_bytes()));
        }
    }
    out
}

impl Generator {
    /// A value of any type.
    pub(super) fn value(&mut self) -> Value {
        let kinds =
            [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1000, 0x2000];
        let kind = match kinds[self.random.below(kinds.len())] {
            0x1000 => STRINGS[self.random.below(STRINGS.len())],
            0x2000 => BLOBS[self.random.below(BLOBS.len())],
            number @ (0x01 | 0x02 | 0x03 | 0x08 | 0x09) if self.random.below(2) == 0 => number | 0x8000,
            kind => kind,
        };
        self.value_of(kind)
    }

    fn value_of(&mut self, kind: u16) -> Value {
        if self.random.below(8) == 0 || kind == 0x06 {
            // A value of type NULL has neither a bit nor bytes.
            let is_null = kind != 0x06 || self.random.below(2) == 0;
            return Value { kind, is_null, bytes: Vec::new(), shown: "NULL".to_owned() };
        }
        let number = self.random.next();
        let (bytes, shown) = match kind {
            0x01 => (vec![number as u8], (number as i8).to_string()),
            0x8001 => (vec![number as u8], (number as u8).to_string()),
            0x02 => ((number as u16).to_le_bytes().to_vec(), (number as i16).to_string()),
            0x8002 | 0x0d => ((number as u16).to_le_bytes().to_vec(), (number as u16 as i16).to_string()),
            0x03 | 0x09 => ((number as u32).to_le_bytes().to_vec(), (number as i32).to_string()),
            0x8003 | 0x8009 => ((number as u32).to_le_bytes().to_vec(), (number as u32).to_string()),
            0x08 => (number.to_le_bytes().to_vec(), (number as i64).to_string()),
            0x8008 => (number.to_le_bytes().to_vec(), number.to_string()),
            0x04 => {
                let known = [
                    (0.5_f32, "0.5"),
                    (-3.25, "-3.25"),
                    (1e20, "1e20"),
                    (1.5e-7, "1.5e-7"),
                    (16_777_216.0, "16777216"),
                ];
                let (value, shown) = known[self.random.below(known.len())];
                (value.to_le_bytes().to_vec(), shown.to_owned())
            }
            0x05 => {
                let known = [
                    (0.1_f64, "0.1"),
                    (-2.0, "-2"),
                    (1.797_693_134_862_315_7e308, "1.7976931348623157e308"),
                    (0.0, "0"),
                    (123_456.789, "123456.789"),
                ];
                let (value, shown) = known[self.random.below(known.len())];
                (value.to_le_bytes().to_vec(), shown.to_owned())
            }
            0x07 | 0x0a | 0x0b | 0x0c => self.moment(kind),
            _ => {
                let len = self.random.below(300);
                let text = match self.random.below(4) {
                    0 => self.random.bytes(len),
                    1 => Vec::new(),
                    // Looks like packets.
                    2 => b"\x07\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x0e".to_vec(),
                    _ => "na\u{ef}ve 'text'".as_bytes().to_vec(),
                };
                (lenenc_text(&text), as_shown(&text))
            }
        };
        let shown = if kind == 0x8002 { (number as u16).to_string() } else { shown };
        Value { kind, is_null: false, bytes, shown }
    }

    /// A date, a time, or both, of each length that the protocol has.
    fn moment(&mut self, kind: u16) -> (Vec<u8>, String) {
        let mut below = |n: usize| self.random.below(n);
        let (hour, minute, second, micros) = (below(24), below(60), below(60), below(1_000_000));
        let clock = [hour as u8, minute as u8, second as u8];
        let fraction = (micros as u32).to_le_bytes();
        let form = below(4);
        if kind == 0x0b {
            let (negative, days) = (below(2), below(40));
            let sign = if negative == 1 { "-" } else { "" };
            let shown = format!("{sign}{:02}:{minute:02}:{second:02}", days * 24 + hour);
            let head = [&[negative as u8][..], &(days as u32).to_le_bytes(), &clock].concat();
            return match form {
                0 => (vec![0], "00:00:00".to_owned()),
                1 => ([&[12], &head[..], &fraction].concat(), format!("{shown}.{micros:06}")),
                _ => ([&[8], &head[..]].concat(), shown),
            };
        }
        let (year, month, day) = (below(3000), 1 + below(12), 1 + below(28));
        let date = [&(year as u16).to_le_bytes()[..], &[month as u8, day as u8]].concat();
        let shown = format!("{year:04}-{month:02}-{day:02}");
        let at_midnight =
            |date: &str| if kind == 0x0a { date.to_owned() } else { format!("{date} 00:00:00") };
        match form {
            0 => (vec![0], at_midnight("0000-00-00")),
            1 => ([&[4], &date[..]].concat(), at_midnight(&shown)),
            _ if kind == 0x0a => ([&[4], &date[..]].concat(), shown),
            2 => ([&[7], &date[..], &clock].concat(), format!("{shown} {hour:02}:{minute:02}:{second:02}")),
            _ => (
                [&[11], &date[..], &clock, &fraction].concat(),
                format!("{shown} {hour:02}:{minute:02}:{second:02}.{micros:06}"),
            ),
        }
    }

    pub(super) fn prepare(&mut self) {
        let text = format!("select a from t where b = ? and c = {}", self.literal());
        self.command(0x16, text.as_bytes());
        let id = self.next_statement;
        self.next_statement += 1;
        let columns = self.random.below(3);
        let parameters = if self.random.below(8) == 0 { 9 } else { self.random.below(4) };
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
        fields.push(("sniffx.db.statement_id".into(), id.to_string()));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
        self.statements.push(Prepared { id, text, parameters, bound: None });
    }

    /// The bytes behind an execution's head, and the parameters and attributes as fields.
    fn parameters(&mut self, at: usize, flags: &mut u8) -> (Vec<u8>, Fields) {
        let Prepared { id, parameters, bound, .. } = self.statements[at].clone();
        let named = self.caps & QUERY_ATTRIBUTES != 0;
        let attributes = if named && self.random.below(3) == 0 { 1 + self.random.below(2) } else { 0 };
        let again = bound.filter(|_| attributes == 0 && self.random.below(2) == 0);
        let mut values: Vec<_> = match &again {
            Some(kinds) => kinds.iter().map(|kind| self.value_of(*kind)).collect(),
            None => (0..parameters).map(|_| self.value()).collect(),
        };
        let mut fields = Fields::new();
        for (index, value) in values.iter_mut().enumerate() {
            if BLOBS.contains(&value.kind) && self.random.below(3) == 0 {
                value.is_null = false;
                value.bytes.clear();
                value.shown = self.send_ahead(id, index);
            }
            fields.push((format!("db.query.parameter.{index}").into(), value.shown.clone()));
        }
        let kinds = values.iter().map(|v| v.kind).collect();
        let mut names = vec![String::new(); parameters];
        for i in 0..attributes {
            let (name, value) = (format!("trace{i}"), self.value());
            fields.push((format!("sniffx.mysql.attribute.{name}").into(), value.shown.clone()));
            names.push(name);
            values.push(value);
        }
        if attributes > 0 {
            *flags |= 8;
        }
        let mut body = Vec::new();
        if named && !values.is_empty() {
            body.extend(lenenc(values.len()));
        }
        if !values.is_empty() {
            body.extend(nulls(&values));
            body.push(u8::from(again.is_none()));
            if again.is_none() {
                body.extend(types(&values, named.then_some(&names[..])));
            }
            body.extend(values.iter().flat_map(|v| v.bytes.clone()));
        }
        // Types that were sent with attributes are those of another number of parameters.
        self.statements[at].bound = (attributes == 0 && !values.is_empty()).then_some(kinds);
        (body, fields)
    }

    /// Sends a parameter's value ahead of the execution, in parts; the whole as it must be shown.
    fn send_ahead(&mut self, id: u32, index: usize) -> String {
        let mut whole = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let len = self.random.below(200);
            let part = self.random.bytes(len);
            let mut body = id.to_le_bytes().to_vec();
            body.extend((index as u16).to_le_bytes());
            body.extend(&part);
            self.command(0x18, &body);
            let mut fields = self.about_command("SEND_LONG_DATA");
            fields.push(("sniffx.db.statement_id".into(), id.to_string()));
            fields.push(("sniffx.mysql.argument".into(), index.to_string()));
            fields.push(("sniffx.mysql.long_data.size".into(), len.to_string()));
            self.event("message", "", &fields);
            whole.extend(part);
        }
        as_shown(&whole)
    }

    pub(super) fn execute(&mut self) {
        if self.statements.is_empty() {
            return self.prepare();
        }
        let at = self.random.below(self.statements.len());
        let Prepared { id, text, .. } = self.statements[at].clone();
        let cursor = self.random.below(4) == 0;
        let mut flags = u8::from(cursor);
        let (values, parameters) = self.parameters(at, &mut flags);
        let mut body = id.to_le_bytes().to_vec();
        body.push(flags);
        body.extend([1, 0, 0, 0]);
        body.extend(values);
        self.command(0x17, &body);
        let mut fields = self.about("SELECT", &text);
        fields.push(("sniffx.db.statement_id".into(), id.to_string()));
        fields.extend(parameters);
        if cursor {
            let mut bytes = packets(&mut self.seq, &[1]);
            bytes.extend(self.definitions(1));
            bytes.extend(self.end_of_rows(0x40));
            fields.push(("sniffx.db.columns".into(), "1".to_owned()));
            fields.push(("db.response.returned_rows".into(), "0".to_owned()));
            self.event("exchange", "ok", &fields);
            self.server_says(bytes);
            self.fetch(id, &text);
        } else {
            let (bytes, result) = self.result_set(true, 0);
            fields.extend(result);
            self.event("exchange", "ok", &fields);
            self.server_says(bytes);
        }
        if self.random.below(3) == 0 {
            self.statements.remove(at);
            self.command(0x19, &id.to_le_bytes());
            let mut fields = self.about_command("CLOSE");
            fields.push(("sniffx.db.statement_id".into(), id.to_string()));
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
        fields.push(("sniffx.db.statement_id".into(), id.to_string()));
        fields.push(("sniffx.mysql.argument".into(), "5".to_owned()));
        fields.push(("db.response.returned_rows".into(), rows.to_string()));
        self.event("exchange", "ok", &fields);
        self.server_says(bytes);
    }
}

/// Text as the tests' reader of event lines gives it back: bytes that are not UTF-8 escaped.
fn as_shown(text: &[u8]) -> String {
    let show = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|b| format!("\\x{b:02x}")).collect();
        chunk.valid().to_owned() + &invalid
    };
    text.utf8_chunks().map(show).collect()
}

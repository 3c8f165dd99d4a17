//! Requests as the events tell of them, to be held against the server's general log and against what clients say that they sent.

use serde_json::Value;

use crate::binary::bytes;
use crate::general_log::{self, Entry};

/// The default of `--max-text`.
const MAX_TEXT: usize = 64 << 10;

/// What the server does not log, and what it does not log when it fails.
const NOT_LOGGED: [&str; 4] = ["Fetch", "Ping", "Set option", "Reset connection"];
const NOT_LOGGED_IF_FAILED: [&str; 2] = ["Prepare", "Init DB"];

/// A request as the events tell of it: one event for each result.
#[derive(Debug)]
pub struct Request<'a> {
    /// As the log names it.
    pub command: &'static str,
    /// Its first event.
    pub first: &'a Value,
    /// Its events, the first one too.
    pub results: Vec<&'a Value>,
}

/// A text of an event; empty where it has none.
#[must_use]
pub fn string<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

impl<'a> Request<'a> {
    fn command(event: &Value) -> &'static str {
        let prepared = event.get("sniffx.db.statement_id").is_some();
        let text = event.get("db.query.text");
        if event["sniffx.kind"] == "session" {
            return "Connect";
        }
        match (string(event, "db.operation.name"), prepared) {
            ("CLOSE", true) => "Close stmt",
            ("RESET", true) => "Reset stmt",
            ("SEND_LONG_DATA", _) => "Long Data",
            ("FETCH", true) => "Fetch",
            // In SQL it would begin with the word.
            ("PREPARE", _) if !string(event, "db.query.text").starts_with("PREPARE") => "Prepare",
            ("QUIT", _) => "Quit",
            ("INIT_DB", _) => "Init DB",
            ("PING", _) => "Ping",
            ("SET_OPTION", _) => "Set option",
            ("RESET_CONNECTION", _) => "Reset connection",
            ("STATISTICS", _) => "Statistics",
            ("REFRESH", _) => "Refresh",
            ("FIELD_LIST", _) => "Field List",
            ("CHANGE_USER", _) => "Change user",
            (_, true) => "Execute",
            (_, false) if text.is_some() => "Query",
            _ => panic!("what is this? {event}"),
        }
    }

    /// The events of a connection, gathered by requests.
    #[must_use]
    pub fn all(events: &[&'a Value]) -> Vec<Self> {
        let mut requests: Vec<Self> = Vec::new();
        for event in events {
            if event["sniffx.db.result_index"].as_u64() > Some(0) {
                requests.last_mut().unwrap().results.push(event);
            } else {
                requests.push(Self { command: Self::command(event), first: event, results: vec![event] });
            }
        }
        requests
    }

    /// Whether the server's log has a line for it.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        let failed = self.first["status"] == "error";
        !(NOT_LOGGED.contains(&self.command) || failed && NOT_LOGGED_IF_FAILED.contains(&self.command))
    }

    /// Whether `text` is the statement's, as far as it is shown.
    fn has_text(&self, text: &[u8]) -> bool {
        let shown = bytes(string(self.first, "db.query.text"));
        // A parameter that was cut has a length, too.
        if text.len() <= MAX_TEXT || self.first.get("sniffx.text.length").is_none() {
            return general_log::as_logged(&shown) == general_log::as_logged(text);
        }
        let cut = (MAX_TEXT - 3..=MAX_TEXT).contains(&shown.len()) && text.starts_with(&shown);
        cut && self.first["sniffx.text.length"] == text.len()
    }

    fn parameters(&self) -> Vec<&'a Value> {
        (0..).map_while(|n| self.first.get(format!("db.query.parameter.{n}"))).collect()
    }

    /// Whether it is what the log has.
    ///
    /// # Errors
    /// Says how it differs.
    pub fn is_entry(&self, entry: &Entry) -> Result<(), String> {
        if self.command != entry.command {
            return Err(format!("{} is not {}", self.command, entry.command));
        }
        let logged = String::from_utf8_lossy(&entry.argument);
        let whence = || {
            let (user, address) =
                (string(self.first, "sniffx.db.user"), string(self.first, "client.address"));
            format!("{user}@{address} on {} using TCP/IP", string(self.first, "db.namespace"))
        };
        let same = match self.command {
            "Connect" | "Change user" => logged == whence(),
            "Init DB" => logged == string(self.first, "db.namespace"),
            "Field List" => logged.trim_end() == string(self.first, "db.collection.name"),
            "Query" | "Prepare" => self.has_text(&entry.argument),
            "Execute" => return self.is_execution(&entry.argument),
            _ => logged.is_empty(),
        };
        if same { Ok(()) } else { Err(format!("{} is not '{:.200}'", self.first, logged)) }
    }

    /// An execution is its statement with the values in it.
    fn is_execution(&self, logged: &[u8]) -> Result<(), String> {
        let statement = bytes(string(self.first, "db.query.text"));
        if general_log::as_logged(&statement) == logged {
            // Without parameters, or a bulk execution.
            return Ok(());
        }
        let literals = general_log::filled_in(general_log::as_logged(&statement), logged)?;
        let parameters = self.parameters();
        if literals.len() != parameters.len() {
            return Err(format!(
                "{} values in the log, {} parameters: {}",
                literals.len(),
                parameters.len(),
                self.first
            ));
        }
        let differs =
            literals.iter().zip(&parameters).position(|(literal, shown)| !literal.is(shown, MAX_TEXT));
        differs.map_or(Ok(()), |n| Err(format!("parameter {n}: {:?} is not {}", literals[n], parameters[n])))
    }

    /// Whether it is what a client says that it sent.
    #[must_use]
    pub fn is_said(&self, said: &Value) -> bool {
        let text = match said["text_hex"].as_str() {
            Some(hex) => Some(from_hex(hex)),
            None => said["text"].as_str().map(|t| t.as_bytes().to_vec()),
        };
        let same_text = text.is_none_or(|text| match self.command {
            "Init DB" => text == string(self.first, "db.namespace").as_bytes(),
            "Field List" => text == string(self.first, "db.collection.name").as_bytes(),
            _ => match said["length"].as_u64() {
                // Clients tell of the beginning, and of the length.
                Some(len) if len > text.len() as u64 => {
                    self.first["sniffx.text.length"] == len
                        && text.starts_with(&bytes(string(self.first, "db.query.text")))
                }
                _ => self.has_text(&text),
            },
        });
        let same_parameters = said["params"].as_array().is_none_or(|said| {
            let shown = self.parameters();
            said.len() == shown.len() && said.iter().zip(shown).all(|(said, shown)| is_value(said, shown))
        });
        let said_command = if said["request"] == "Bulk" { "Execute" } else { string(said, "request") };
        self.command == said_command && same_text && same_parameters
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Whether a parameter is shown as it has to be: integers, times and strings exactly, numbers with a point as the shortest that is the same.
fn is_value(said: &Value, shown: &Value) -> bool {
    let (Some(shown), Some(value)) = (shown.as_str(), said[1].as_str()) else {
        return said.is_null() && shown.is_null();
    };
    let digits =
        |s: &str| s.split('e').next().unwrap().bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    let significant = |s: &str| {
        let digits = digits(s);
        let from = digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
        let to = digits.iter().rposition(|d| *d != b'0').map_or(from, |last| last + 1);
        digits[from..to].to_vec()
    };
    match said[0].as_str().unwrap() {
        "real" => {
            let (value, seen): (f64, f64) = (value.parse().unwrap(), shown.parse().unwrap());
            value.to_bits() == seen.to_bits() && significant(shown) == significant(&format!("{value:e}"))
        }
        "float" => {
            let (value, seen): (f32, f32) = (value.parse().unwrap(), shown.parse().unwrap());
            value.to_bits() == seen.to_bits() && significant(shown) == significant(&format!("{value:e}"))
        }
        "hex" => {
            let (value, len) = (from_hex(value), said[2].as_u64().unwrap());
            let shown = bytes(shown);
            if len <= MAX_TEXT as u64 {
                shown == value
            } else {
                !shown.is_empty() && value.starts_with(&shown)
            }
        }
        _ => value == shown,
    }
}

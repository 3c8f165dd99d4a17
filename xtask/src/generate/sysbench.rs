//! What sysbench's `oltp_read_write` sends with its defaults, and what a server answers.
//!
//! A transaction is `BEGIN`, ten point selects, four selects of 100 rows (plain, summed, ordered, distinct), two updates, a delete and an insert of
//! the same row, `COMMIT`. A client has one of ten tables for each statement. Prepared, the statements are prepared once a connection and executed with
//! parameters from then on, whose types go with the first execution alone.

use anyhow::Result;

use super::connection::{Connection, From};
use super::packets::{self, LONG, NEWDECIMAL, STRING, packet};
use super::{Capture, Client, Random};

/// What a statement gets.
#[derive(Clone, Copy)]
enum Response {
    /// So many rows of a column of this type.
    Rows(u8, u8),
    /// So many rows changed.
    Changed(u8),
}

struct Statement {
    text: &'static str,
    response: Response,
    /// How often it comes in a transaction.
    times: usize,
}

const C: Response = Response::Rows(STRING, 1);
const RANGE: Response = Response::Rows(STRING, 100);
const SUM: Response = Response::Rows(NEWDECIMAL, 1);

/// A transaction. `#` stands for the number of a table, `?` for a parameter; ranges come in pairs.
const TRANSACTION: [Statement; 11] = [
    statement("BEGIN", Response::Changed(0), 1),
    statement("SELECT c FROM sbtest# WHERE id=?", C, 10),
    statement("SELECT c FROM sbtest# WHERE id BETWEEN ? AND ?", RANGE, 1),
    statement("SELECT SUM(k) FROM sbtest# WHERE id BETWEEN ? AND ?", SUM, 1),
    statement("SELECT c FROM sbtest# WHERE id BETWEEN ? AND ? ORDER BY c", RANGE, 1),
    statement("SELECT DISTINCT c FROM sbtest# WHERE id BETWEEN ? AND ? ORDER BY c", RANGE, 1),
    statement("UPDATE sbtest# SET k=k+1 WHERE id=?", Response::Changed(1), 1),
    statement("UPDATE sbtest# SET c=? WHERE id=?", Response::Changed(1), 1),
    statement("DELETE FROM sbtest# WHERE id=?", Response::Changed(1), 1),
    statement("INSERT INTO sbtest# (id, k, c, pad) VALUES (?, ?, ?, ?)", Response::Changed(1), 1),
    statement("COMMIT", Response::Changed(0), 1),
];

const TABLES: u32 = 10;

const fn statement(text: &'static str, response: Response, times: usize) -> Statement {
    Statement { text, response, times }
}

enum Parameter {
    Number(u32),
    Text(Vec<u8>),
}

impl Statement {
    /// The text with the table's number in it.
    fn of_table(&self, table: u32) -> String {
        self.text.replace('#', &table.to_string())
    }

    /// Values for its parameters.
    fn parameters(&self, random: &mut Random) -> Vec<Parameter> {
        let id = u32::try_from(1 + random.below(99_000)).unwrap_or(1);
        let number = Parameter::Number;
        match self.text.matches('?').count() {
            0 => Vec::new(),
            1 => vec![number(id)],
            2 if self.text.starts_with("UPDATE") => vec![Parameter::Text(digits(10, random)), number(id)],
            2 => vec![number(id), number(id + 99)],
            _ => {
                let k = number(u32::try_from(random.below(100_000)).unwrap_or(0));
                vec![number(id), k, Parameter::Text(digits(11, random)), Parameter::Text(digits(5, random))]
            }
        }
    }

    fn answer(&self, binary: bool, random: &mut Random) -> Vec<u8> {
        match self.response {
            Response::Changed(count) => packets::ok(1, count),
            Response::Rows(NEWDECIMAL, _) => {
                let sum = random.below(10_000_000).to_string().into_bytes();
                packets::rows(NEWDECIMAL, binary, core::iter::once(sum))
            }
            Response::Rows(kind, count) => {
                packets::rows(kind, binary, (0..count).map(|_| digits(10, random)))
            }
        }
    }
}

/// `groups` numbers of eleven digits, joined by dashes.
fn digits(groups: usize, random: &mut Random) -> Vec<u8> {
    let group = |_| format!("{:011}", random.below(100_000_000_000));
    (0..groups).map(group).collect::<Vec<_>>().join("-").into_bytes()
}

/// A connection that works through transactions.
pub(super) struct Sysbench {
    connection: Connection,
    prepared: bool,
    /// Statements that were executed once: their types are known to the server.
    executed: Vec<bool>,
    /// The place in the transaction: the statement, and how often it was sent.
    at: (usize, usize),
}

impl Sysbench {
    pub(super) fn new(connection: Connection, prepared: bool) -> Self {
        let executed = vec![false; TRANSACTION.len() * TABLES as usize];
        Self { connection, prepared, executed, at: (0, 0) }
    }

    fn exchange(&mut self, capture: &mut Capture, command: u8, body: &[u8], answer: &[u8]) -> Result<()> {
        let mut request = vec![command];
        request.extend(body);
        self.connection.data(capture, From::Client, &packet(0, &request))?;
        self.connection.data(capture, From::Server, answer)
    }
}

impl Client for Sysbench {
    /// Connects, logs in, and prepares.
    fn open(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.open(capture)?;
        self.connection.data(capture, From::Server, &packets::greeting())?;
        self.connection.data(capture, From::Client, &packets::login())?;
        self.connection.data(capture, From::Server, &packets::ok(2, 0))?;
        if !self.prepared {
            return Ok(());
        }
        for (statement, index) in TRANSACTION.iter().zip(0..) {
            let column = match statement.response {
                Response::Rows(kind, _) => Some(kind),
                Response::Changed(_) => None,
            };
            for table in 0..TABLES {
                let text = statement.of_table(table + 1);
                let answer = packets::prepared(id(index, table), text.matches('?').count(), column);
                self.exchange(capture, 0x16, text.as_bytes(), &answer)?;
            }
        }
        Ok(())
    }

    /// The next statement of the transaction.
    fn turn(&mut self, capture: &mut Capture, random: &mut Random) -> Result<()> {
        let (index, times) = self.at;
        let Some(statement) = TRANSACTION.get(index) else {
            self.at = (0, 0);
            return self.turn(capture, random);
        };
        self.at = if times + 1 < statement.times { (index, times + 1) } else { (index + 1, 0) };
        let table = u32::try_from(random.below(TABLES.into()))?;
        let parameters = statement.parameters(random);
        let answer = statement.answer(self.prepared, random);
        if self.prepared {
            let id = id(u32::try_from(index)?, table);
            let first = self.executed.get_mut(id as usize - 1).is_some_and(|e| !core::mem::replace(e, true));
            self.exchange(capture, 0x17, &execution(id, &parameters, first), &answer)?;
        } else {
            self.exchange(capture, 0x03, &in_text(&statement.of_table(table + 1), &parameters), &answer)?;
        }
        // The client's next request acknowledges the response, unless it comes too late.
        if random.below(4) == 0 {
            self.connection.ack(capture)?;
        }
        Ok(())
    }

    fn close(&mut self, capture: &mut Capture) -> Result<()> {
        self.connection.data(capture, From::Client, &packet(0, &[1]))?;
        self.connection.close(capture)
    }
}

/// The id of a statement for a table.
fn id(statement: u32, table: u32) -> u32 {
    1 + statement * TABLES + table
}

/// The statement with the values in the places of its parameters.
fn in_text(text: &str, parameters: &[Parameter]) -> Vec<u8> {
    let mut parts = text.split('?');
    let mut statement = parts.next().unwrap_or_default().as_bytes().to_vec();
    for (part, parameter) in parts.zip(parameters) {
        match parameter {
            Parameter::Number(number) => statement.extend(number.to_string().as_bytes()),
            Parameter::Text(text) => {
                statement.push(b'\'');
                statement.extend(text);
                statement.push(b'\'');
            }
        }
        statement.extend(part.as_bytes());
    }
    statement
}

/// What follows the command of an execution: no cursor, one iteration, no NULLs.
fn execution(id: u32, parameters: &[Parameter], first: bool) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return body;
    }
    body.extend(vec![0; parameters.len().div_ceil(8)]);
    body.push(u8::from(first));
    if first {
        for parameter in parameters {
            let kind = if matches!(parameter, Parameter::Number(_)) { LONG } else { STRING };
            body.extend([kind, 0]);
        }
    }
    for parameter in parameters {
        match parameter {
            Parameter::Number(number) => body.extend(number.to_le_bytes()),
            Parameter::Text(text) => packets::text_value(text, &mut body),
        }
    }
    body
}

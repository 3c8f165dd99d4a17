//! What a server's error messages give away: some tell only what happened and to which table, some quote values, and some are whatever a statement says.
//!
//! Source: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>, <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use super::packet::Failure;
use crate::{Language, Sensitivity};

/// The server could not read the statement.
const SYNTAX: u16 = 1064;
/// A column's name that there is not.
const UNKNOWN_COLUMN: u16 = 1054;

/// Messages that quote values, with words of theirs.
const QUOTING: &[(u16, &str)] = &[
    (1062, "Duplicate entry "),
    (SYNTAX, " near "),
    (1231, "can't be set to the value of "),
    (1292, "ncorrect "),
    (1366, "ncorrect "),
    (1411, "ncorrect "),
    (1690, " value is out of range in "),
    (3140, "Invalid JSON text"),
    (4025, "CONSTRAINT "),
];

/// Messages with nothing but names in them. A message with other words (of a statement that raises errors itself, in another language) is none of these.
const PLAIN: &[(u16, &str)] = &[
    (1005, "Can't create table "),
    (1006, "Can't create database "),
    (1007, "Can't create database "),
    (1008, "Can't drop database "),
    (1022, "Can't write"),
    (1036, " is read only"),
    (1040, "Too many connections"),
    (1041, "Out of memory"),
    (1043, "Bad handshake"),
    (1044, "Access denied for user "),
    (1045, "Access denied for user "),
    (1046, "No database selected"),
    (1047, "Unknown command"),
    (1048, "cannot be null"),
    (1049, "Unknown database "),
    (1050, "already exists"),
    (1051, "Unknown table "),
    (1052, "is ambiguous"),
    (1053, "Server shutdown in progress"),
    (UNKNOWN_COLUMN, "Unknown column "),
    (1055, "GROUP BY"),
    (1060, "Duplicate column name "),
    (1061, "Duplicate key name "),
    (1065, "Query was empty"),
    (1066, "Not unique table/alias"),
    (1068, "Multiple primary key defined"),
    (1071, "Specified key was too long"),
    (1072, "doesn't exist in table"),
    (1091, "Can't DROP "),
    (1094, "Unknown thread id"),
    (1109, "Unknown table "),
    (1114, " is full"),
    (1115, "Unknown character set"),
    (1129, " is blocked because of many connection errors"),
    (1130, " is not allowed to connect to this "),
    (1133, "Can't find any matching row in the user table"),
    (1136, "Column count doesn't match value count"),
    (1141, "There is no such grant defined"),
    (1142, " command denied to user "),
    (1143, " command denied to user "),
    (1146, "doesn't exist"),
    (1153, "Got a packet bigger than "),
    (1158, "Got an error reading communication packets"),
    (1159, "Got timeout reading communication packets"),
    (1175, "You are using safe update mode"),
    (1193, "Unknown system variable "),
    (1203, "already has more than "),
    (1205, "Lock wait timeout exceeded"),
    (1206, "The total number of locks exceeds the lock table size"),
    (1213, "Deadlock found when trying to get lock"),
    (1215, "Cannot add foreign key constraint"),
    (1222, "have a different number of columns"),
    (1226, "has exceeded the "),
    (1227, "Access denied; you need "),
    (1241, "Operand should contain "),
    (1242, "Subquery returns more than 1 row"),
    (1243, "Unknown prepared statement handler"),
    (1248, "Every derived table must have its own alias"),
    (1264, "Out of range value for column "),
    (1265, "Data truncated for column "),
    (1267, "Illegal mix of collations"),
    (1290, "server is running with the "),
    (1305, "does not exist"),
    (1317, "Query execution was interrupted"),
    (1364, "doesn't have a default value"),
    (1365, "Division by 0"),
    (1370, " command denied to user "),
    (1406, "Data too long for column "),
    (1451, "a foreign key constraint fails"),
    (1452, "a foreign key constraint fails"),
    (1698, "Access denied for user "),
    (1792, "Cannot execute statement in a READ ONLY transaction"),
    (1927, "Connection was killed"),
    (1969, "Query execution was interrupted"),
    (3024, "Query execution was interrupted"),
    (4031, "The client was disconnected by the server"),
];

impl Failure<'_> {
    /// What the message gives away, about this statement.
    pub(super) fn sensitivity(&self, statement: &[u8]) -> Sensitivity {
        let is_in = |table: &[(u16, &str)]| {
            let words = table.iter().find(|(code, _)| *code == self.code);
            words.is_some_and(|(_, words)| memchr::memmem::find(self.message, words.as_bytes()).is_some())
        };
        // A string in double quotes is a name to some servers.
        let quotes_column = self.code == UNKNOWN_COLUMN && memchr::memchr(b'"', statement).is_some();
        if is_in(QUOTING) || quotes_column {
            Sensitivity::Within(Language::Message)
        } else if is_in(PLAIN) {
            Sensitivity::Public
        } else {
            Sensitivity::Literal
        }
    }

    /// The server could not read the statement.
    pub(super) fn is_syntax(&self) -> bool {
        self.code == SYNTAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str, statement: &str) -> Sensitivity {
        let failure = Failure { code, sqlstate: None, message: message.as_bytes() };
        failure.sensitivity(statement.as_bytes())
    }

    #[test]
    fn what_messages_give_away() {
        let quoting = Sensitivity::Within(Language::Message);
        assert_eq!(of(1146, "Table 'shop.x' doesn't exist", ""), Sensitivity::Public);
        assert_eq!(of(1062, "Duplicate entry 'x' for key 'k'", ""), quoting);
        assert_eq!(of(1064, "You have an error in your SQL syntax; … near 'x' at line 1", ""), quoting);
        assert_eq!(of(1054, "Unknown column 'x' in 'where clause'", "SELECT x"), Sensitivity::Public);
        assert_eq!(of(1054, "Unknown column 'x' in 'where clause'", "SELECT \"x\""), quoting);
        // What SIGNAL says, whatever code it takes; another language; another code.
        assert_eq!(of(1644, "customer x is locked", ""), Sensitivity::Literal);
        assert_eq!(of(1146, "customer x is locked", ""), Sensitivity::Literal);
        assert_eq!(of(9999, "Table 'x' doesn't exist", ""), Sensitivity::Literal);
    }
}

//! The commands: their names, what their responses look like, how long they are.

/// The first byte of a command packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command(pub(super) u8);

/// The form of the response to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// None at all.
    None,
    /// OK, EOF or ERR.
    Simple,
    /// OK, ERR, a request for a local file, or result sets; more of them may follow.
    Results,
    /// Rows without a head.
    Rows,
    /// Column definitions up to an EOF.
    Fields,
    /// A prepared statement: its id and its definitions.
    Prepare,
    /// One packet of text.
    Text,
    /// An authentication exchange that ends with OK or ERR.
    Auth,
    /// Packets without end, until EOF or ERR.
    Stream,
    /// OK or ERR; after OK the connection speaks another protocol.
    Takeover,
}

impl Command {
    pub(super) const QUIT: Self = Self(0x01);
    pub(super) const INIT_DB: Self = Self(0x02);
    pub(super) const QUERY: Self = Self(0x03);
    pub(super) const FIELD_LIST: Self = Self(0x04);
    pub(super) const CREATE_DB: Self = Self(0x05);
    pub(super) const DROP_DB: Self = Self(0x06);
    pub(super) const REFRESH: Self = Self(0x07);
    pub(super) const SHUTDOWN: Self = Self(0x08);
    pub(super) const STATISTICS: Self = Self(0x09);
    pub(super) const PROCESS_INFO: Self = Self(0x0a);
    pub(super) const PROCESS_KILL: Self = Self(0x0c);
    pub(super) const DEBUG: Self = Self(0x0d);
    pub(super) const PING: Self = Self(0x0e);
    pub(super) const CHANGE_USER: Self = Self(0x11);
    pub(super) const BINLOG_DUMP: Self = Self(0x12);
    pub(super) const TABLE_DUMP: Self = Self(0x13);
    pub(super) const REGISTER_SLAVE: Self = Self(0x15);
    pub(super) const STMT_PREPARE: Self = Self(0x16);
    pub(super) const STMT_EXECUTE: Self = Self(0x17);
    pub(super) const STMT_SEND_LONG_DATA: Self = Self(0x18);
    pub(super) const STMT_CLOSE: Self = Self(0x19);
    pub(super) const STMT_RESET: Self = Self(0x1a);
    pub(super) const SET_OPTION: Self = Self(0x1b);
    pub(super) const STMT_FETCH: Self = Self(0x1c);
    pub(super) const BINLOG_DUMP_GTID: Self = Self(0x1e);
    pub(super) const RESET_CONNECTION: Self = Self(0x1f);
    pub(super) const CLONE: Self = Self(0x20);
    pub(super) const SUBSCRIBE_GROUP_REPLICATION_STREAM: Self = Self(0x21);
    pub(super) const STMT_BULK_EXECUTE: Self = Self(0xfa);

    /// The name without `COM_` and, for prepared statements, without `STMT_`; none for a byte that is no command.
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "SLEEP",
            0x01 => "QUIT",
            0x02 => "INIT_DB",
            0x03 => "QUERY",
            0x04 => "FIELD_LIST",
            0x05 => "CREATE_DB",
            0x06 => "DROP_DB",
            0x07 => "REFRESH",
            0x08 => "SHUTDOWN",
            0x09 => "STATISTICS",
            0x0a => "PROCESS_INFO",
            0x0b => "CONNECT",
            0x0c => "PROCESS_KILL",
            0x0d => "DEBUG",
            0x0e => "PING",
            0x0f => "TIME",
            0x10 => "DELAYED_INSERT",
            0x11 => "CHANGE_USER",
            0x12 => "BINLOG_DUMP",
            0x13 => "TABLE_DUMP",
            0x14 => "CONNECT_OUT",
            0x15 => "REGISTER_SLAVE",
            0x16 => "PREPARE",
            0x17 => "EXECUTE",
            0x18 => "SEND_LONG_DATA",
            0x19 => "CLOSE",
            0x1a => "RESET",
            0x1b => "SET_OPTION",
            0x1c => "FETCH",
            0x1d => "DAEMON",
            0x1e => "BINLOG_DUMP_GTID",
            0x1f => "RESET_CONNECTION",
            0x20 => "CLONE",
            0x21 => "SUBSCRIBE_GROUP_REPLICATION_STREAM",
            0xfa => "BULK_EXECUTE",
            _ => return None,
        })
    }

    /// What the server answers. A byte that is no command, and those that only the server itself uses, get an ERR.
    pub(super) fn shape(self) -> Shape {
        match self {
            Self::QUIT | Self::STMT_SEND_LONG_DATA | Self::STMT_CLOSE => Shape::None,
            Self::QUERY | Self::PROCESS_INFO | Self::STMT_EXECUTE | Self::STMT_BULK_EXECUTE => Shape::Results,
            Self::FIELD_LIST => Shape::Fields,
            Self::STATISTICS => Shape::Text,
            Self::STMT_PREPARE => Shape::Prepare,
            Self::STMT_FETCH => Shape::Rows,
            Self::CHANGE_USER => Shape::Auth,
            Self::BINLOG_DUMP | Self::BINLOG_DUMP_GTID | Self::TABLE_DUMP => Shape::Stream,
            Self::CLONE | Self::SUBSCRIBE_GROUP_REPLICATION_STREAM => Shape::Takeover,
            _ => Shape::Simple,
        }
    }

    /// The bytes behind the command byte that are needed at once; what follows them is text, or passed over.
    pub(super) fn fixed_part(self) -> usize {
        match self {
            Self::STMT_EXECUTE => 9,
            Self::STMT_BULK_EXECUTE => 6,
            Self::STMT_FETCH => 8,
            Self::STMT_SEND_LONG_DATA => 6,
            Self::STMT_CLOSE | Self::STMT_RESET | Self::PROCESS_KILL => 4,
            Self::SET_OPTION => 2,
            Self::REFRESH | Self::SHUTDOWN => 1,
            // User, authentication data, database: 4 × 32 + 1 + 255 + 4 × 64 bytes at the most, with room to spare.
            Self::CHANGE_USER => 1024,
            _ => 0,
        }
    }

    /// Whether what follows is text that an event shows: a statement, or a name.
    pub(super) fn has_text(self) -> bool {
        self.has_statement()
            || matches!(self, Self::INIT_DB | Self::CREATE_DB | Self::DROP_DB | Self::FIELD_LIST)
    }

    /// Whether what follows is a statement.
    pub(super) fn has_statement(self) -> bool {
        matches!(self, Self::QUERY | Self::STMT_PREPARE)
    }

    /// Whether what follows the fixed part are values of parameters, or a part of one.
    pub(super) fn has_parameters(self) -> bool {
        self.has_values() || self == Self::STMT_SEND_LONG_DATA
    }

    /// Whether it carries values for the parameters of a statement.
    pub(super) fn has_values(self) -> bool {
        matches!(self, Self::STMT_EXECUTE | Self::STMT_BULK_EXECUTE)
    }

    /// Whether it is about a prepared statement whose text its event tells.
    pub(super) fn uses_statement(self) -> bool {
        self.has_values() || matches!(self, Self::STMT_FETCH | Self::STMT_RESET)
    }

    /// Where the flags of an execution stand behind the command byte.
    pub(super) fn flags(self) -> Option<core::ops::Range<usize>> {
        match self {
            Self::STMT_EXECUTE => Some(4..5),
            Self::STMT_BULK_EXECUTE => Some(4..6),
            _ => None,
        }
    }

    /// Whether the first four bytes behind the command byte are a statement's id.
    pub(super) fn has_statement_id(self) -> bool {
        matches!(
            self,
            Self::STMT_EXECUTE
                | Self::STMT_BULK_EXECUTE
                | Self::STMT_FETCH
                | Self::STMT_SEND_LONG_DATA
                | Self::STMT_CLOSE
                | Self::STMT_RESET
        )
    }

    /// The number behind the command byte that an event shows: where it stands and its length.
    pub(super) fn argument(self) -> Option<core::ops::Range<usize>> {
        match self {
            Self::PROCESS_KILL => Some(0..4),
            Self::SET_OPTION => Some(0..2),
            Self::REFRESH | Self::SHUTDOWN => Some(0..1),
            Self::STMT_FETCH => Some(4..8),
            Self::STMT_SEND_LONG_DATA => Some(4..6),
            _ => None,
        }
    }

    /// The lengths that a packet of this command may have, command byte included.
    pub(super) fn lengths(self) -> core::ops::RangeInclusive<usize> {
        const ANY: usize = usize::MAX;
        match self {
            Self::QUIT
            | Self::STATISTICS
            | Self::PROCESS_INFO
            | Self::DEBUG
            | Self::PING
            | Self::RESET_CONNECTION => 1..=1,
            Self::REFRESH => 2..=2,
            Self::SHUTDOWN => 1..=2,
            Self::SET_OPTION => 3..=3,
            Self::PROCESS_KILL | Self::STMT_CLOSE | Self::STMT_RESET => 5..=5,
            Self::STMT_FETCH => 9..=9,
            Self::STMT_SEND_LONG_DATA => 7..=ANY,
            Self::STMT_EXECUTE => 10..=ANY,
            Self::STMT_BULK_EXECUTE => 7..=ANY,
            // Names: 64 characters of up to four bytes, and for FIELD_LIST a NUL and a pattern.
            Self::INIT_DB | Self::CREATE_DB | Self::DROP_DB => 2..=257,
            Self::FIELD_LIST => 2..=514,
            // Numbers, and a file's name or up to three strings.
            Self::BINLOG_DUMP => 11..=523,
            Self::REGISTER_SLAVE => 18..=1024,
            Self::BINLOG_DUMP_GTID => 19..=1 << 20,
            Self::QUERY | Self::STMT_PREPARE => 2..=ANY,
            Self::CHANGE_USER => 3..=64 << 10,
            Self::CLONE | Self::SUBSCRIBE_GROUP_REPLICATION_STREAM | Self::TABLE_DUMP => 1..=1024,
            _ => 1..=ANY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_named() {
        for byte in 0..=0x21 {
            assert!(Command(byte).name().is_some(), "{byte:#x}");
        }
        assert_eq!(Command(0xfa).name(), Some("BULK_EXECUTE"));
        assert_eq!(Command(0x22).name(), None);
    }

    #[test]
    fn fixed_parts_lie_inside_the_shortest_packet() {
        for byte in 0..=0xff {
            let command = Command(byte);
            if command != Command::CHANGE_USER && command != Command::SHUTDOWN {
                assert!(command.fixed_part() < *command.lengths().start(), "{byte:#x}");
            }
        }
    }
}

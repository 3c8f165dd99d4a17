//! A command on its way to the server, and what it means for the connection.

use sniff_x_flow::Nanos;

use super::word::Word;
use crate::event::IncompleteReason;

/// Bytes that are missing in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) reason: IncompleteReason,
    pub(super) bytes: u64,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// When its first byte was seen, and its last one so far.
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    /// In upper case.
    pub(super) name: Word<32>,
    /// The first argument: the database of SELECT, the subcommand of CLIENT.
    pub(super) first: Word<16>,
    /// The second argument.
    pub(super) second: Word<8>,
    /// The user who logs in with it.
    pub(super) user: Word<64>,
    /// Arguments, the name among them.
    pub(super) arguments: u64,
    /// Length of the text: the arguments joined by spaces.
    pub(super) text_len: u64,
    /// Bytes on the wire.
    pub(super) size: u64,
    pub(super) role: Role,
    /// Its last byte was seen.
    pub(super) complete: bool,
    /// The server does not answer it.
    pub(super) silent: bool,
    /// One of its arguments is a secret.
    pub(super) has_secret: bool,
    /// An event told of it already (it timed out).
    pub(super) reported: bool,
    /// Replies that it still gets: more than one for subscriptions to several channels.
    pub(super) replies: u64,
    pub(super) loss: Option<Loss>,
}

/// What a command does to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Plain,
    /// Another database.
    Select,
    /// Another user.
    Login,
    /// Messages come from now on.
    Subscribe,
    Unsubscribe,
    /// Commands are queued from now on.
    Multi,
    Exec,
    Discard,
    /// Every command that the server carries out is told from now on.
    Monitor,
    /// A copy of the data, then every change.
    Replicate,
    /// A replica tells how far it is.
    Acknowledge,
    /// All as at the beginning.
    Reset,
    Quit,
    /// Replies are sent again, are not sent any more, are left out once.
    Replies(Replies),
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    #[default]
    On,
    Off,
    Skip,
}

impl Request {
    pub(super) fn new(start: Nanos, arguments: u64) -> Self {
        Self {
            start,
            end: start,
            name: Word::default(),
            first: Word::default(),
            second: Word::default(),
            user: Word::default(),
            arguments,
            text_len: 0,
            size: 0,
            role: Role::Plain,
            complete: false,
            silent: false,
            has_secret: false,
            reported: false,
            replies: 1,
            loss: None,
        }
    }

    /// Bytes of it are missing; the first reason stays.
    pub(super) fn lose(&mut self, reason: IncompleteReason, bytes: u64) {
        let loss = self.loss.get_or_insert(Loss { reason, bytes: 0 });
        loss.bytes = loss.bytes.saturating_add(bytes);
    }

    /// All of it was seen: what it does.
    pub(super) fn ends(&mut self) {
        self.complete = true;
        self.name.make_ascii_uppercase();
        let name = self.name.whole().unwrap_or_default();
        self.role = match name {
            b"SELECT" => Role::Select,
            b"AUTH" | b"HELLO" => Role::Login,
            b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" => Role::Subscribe,
            b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE" => Role::Unsubscribe,
            b"MULTI" => Role::Multi,
            b"EXEC" => Role::Exec,
            b"DISCARD" => Role::Discard,
            b"MONITOR" => Role::Monitor,
            b"SYNC" | b"PSYNC" => Role::Replicate,
            b"REPLCONF" if self.first.is(b"ACK") => Role::Acknowledge,
            b"RESET" => Role::Reset,
            b"QUIT" => Role::Quit,
            b"CLIENT" if self.first.is(b"REPLY") => {
                if self.second.is(b"ON") {
                    Role::Replies(Replies::On)
                } else if self.second.is(b"OFF") {
                    Role::Replies(Replies::Off)
                } else if self.second.is(b"SKIP") {
                    Role::Replies(Replies::Skip)
                } else {
                    Role::Plain
                }
            }
            _ => Role::Plain,
        };
        if matches!(self.role, Role::Subscribe | Role::Unsubscribe) {
            // One confirmation a channel; without channels one in any case.
            self.replies = self.arguments.saturating_sub(1).max(1);
        }
    }
}

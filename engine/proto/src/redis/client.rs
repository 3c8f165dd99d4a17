//! The client's direction: commands, as arrays of bulk strings or inline, cut into arguments. Arguments are taken as they come; none is ever waited for whole.

use sniff_x_flow::Nanos;

use super::begins::begins_request;
use super::decoder::RedisDecoder;
use super::inline::{is_printable, words};
use super::report;
use super::request::Request;
use super::resp::{self, Line, announced, line};
use super::secret::{Argument, Judge, is_password_rule, is_quote};
use super::word::Word;
use crate::event::IncompleteReason;
use crate::event::redact::{LITERAL, SECRET};
use crate::{BypassReason, Next, Out, Window};

/// Where the client's stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A command begins.
    Start,
    /// An argument's length comes.
    Length,
    /// The argument's bytes: so many are to come.
    Data(u64),
    /// The CR LF behind them.
    End,
}

/// The command that is being read.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) state: State,
    /// Arguments that are not whole yet.
    left: u64,
    /// The number of the argument that is read.
    pub(super) number: u64,
    judge: Judge,
    argument: Argument,
    /// No byte of the argument was taken yet.
    fresh: bool,
    /// All further arguments are shown: nobody need look what they are.
    plain: bool,
    /// The argument before the one that is read, and that one itself; not of a `plain` command.
    previous: Word<32>,
    current: Word<32>,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            state: State::Start,
            left: 0,
            number: 0,
            judge: Judge::default(),
            argument: Argument::Shown,
            fresh: false,
            plain: false,
            previous: Word::default(),
            current: Word::default(),
        }
    }
}

impl Intake {
    /// The rest of an argument is missing.
    pub(super) fn lose_argument(&mut self) {
        self.state = State::End;
        self.judge.lose();
    }
}

/// What to do after a look at the bytes.
enum Head {
    Used(usize),
    Need(usize),
    Skip(usize, u64),
    Lost,
}

/// The most arguments of a command, as servers have it.
pub(super) const MAX_ARGUMENTS: u64 = 1 << 20;

impl RedisDecoder {
    pub(super) fn client_data(&mut self, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let bytes = window.bytes;
        let all = Next::More { used: bytes.len(), need: 0 };
        self.client.last = window.seen_at(bytes.len());
        let fresh = core::mem::take(&mut self.client.fresh);
        if !self.client.in_step {
            match self.find_request(bytes, fresh) {
                Some(true) => {}
                Some(false) => return all,
                None => return Next::More { used: 0, need: 0 },
            }
        }
        if self.is_new && self.queue.is_empty() && matches!(bytes, [0x16, 0x03, ..]) {
            report::encrypted(window.seen_at(0), out);
            return Next::Bypass(BypassReason::Encrypted);
        }
        // Joined in the middle, the client has its turn once the server was heard.
        self.turn |= fresh && self.intake.state == State::Start && self.server.last > Nanos(0);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return all;
            }
            let time = window.seen_at(at);
            match self.intake(rest, time, out) {
                Head::Used(used) => {
                    at += used;
                    let end = window.seen_at(at.saturating_sub(1));
                    if let Some(newest) = self.queue.back_mut().filter(|n| !n.complete) {
                        newest.end = end;
                        newest.size += used as u64;
                    }
                    let is_open = self.queue.back().is_some_and(|n| !n.complete);
                    if is_open && self.intake.state == State::Start {
                        self.request_ends(out);
                    }
                }
                Head::Skip(used, then) => {
                    if let Some(newest) = self.queue.back_mut() {
                        newest.size += used as u64 + then;
                    }
                    return Next::Skip { used: at + used, then };
                }
                Head::Need(need) => return Next::More { used: at, need },
                Head::Lost => {
                    if self.is_new {
                        self.notice("not a Redis connection", time, None, out);
                        return Next::Bypass(BypassReason::NotThisProtocol);
                    }
                    self.notice("a command is malformed", time, None, out);
                    self.lose_client(IncompleteReason::Midstream, 0, out);
                    return all;
                }
            }
        }
    }

    fn intake(&mut self, rest: &[u8], time: Nanos, out: &mut Out<'_>) -> Head {
        match self.intake.state {
            State::Start => self.start(rest, time, out),
            State::Length => match line(rest, false) {
                Line::Whole(text, used) => {
                    let len = text.strip_prefix(b"$").and_then(|t| announced(t, resp::MAX_BULK)).flatten();
                    let Some(len) = len else { return Head::Lost };
                    self.argument_begins(out);
                    self.intake.state = State::Data(len);
                    Head::Used(used)
                }
                Line::More if rest.len() < 16 && rest.starts_with(b"$") => Head::Need(rest.len() + 1),
                _ => Head::Lost,
            },
            State::Data(0) => {
                self.argument_bytes(b"", true, out);
                self.intake.state = State::End;
                Head::Used(0)
            }
            State::Data(left) => self.data(rest, left, out),
            State::End => match rest {
                [b'\r', b'\n', ..] => {
                    self.argument_ends();
                    Head::Used(2)
                }
                [b'\r'] => Head::Need(2),
                _ => Head::Lost,
            },
        }
    }

    fn start(&mut self, rest: &[u8], time: Nanos, out: &mut Out<'_>) -> Head {
        let is_array = rest.first() == Some(&b'*');
        if is_array
            && let Some((count, used)) = resp::short_number(rest)
            && (1..=MAX_ARGUMENTS).contains(&count)
        {
            self.request_begins(count, time, out);
            self.intake.state = State::Length;
            return Head::Used(used + self.whole_arguments(rest.get(used..).unwrap_or_default(), out));
        }
        let (text, used) = match line(rest, !is_array) {
            Line::Whole(text, used) => (text, used),
            Line::More if !is_array && self.is_new && !is_printable(rest) => return Head::Lost,
            Line::More if is_array && rest.len() >= 16 => return Head::Lost,
            Line::More => return Head::Need(rest.len() + 1),
            Line::TooLong => return Head::Lost,
        };
        if !is_array {
            return self.inline(text, used, time, out);
        }
        match announced(text.get(1..).unwrap_or_default(), MAX_ARGUMENTS) {
            None => Head::Lost,
            // An empty command is no command.
            Some(None | Some(0)) => Head::Used(used),
            Some(Some(count)) => {
                self.request_begins(count, time, out);
                self.intake.state = State::Length;
                Head::Used(used)
            }
        }
    }

    /// Takes the arguments that are here whole, one after the other; how many bytes they are.
    fn whole_arguments(&mut self, bytes: &[u8], out: &Out<'_>) -> usize {
        let mut at = 0;
        while self.intake.state == State::Length {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.intake.plain {
                return at + self.plain_arguments(rest, out);
            }
            let Some((argument, used)) = rest.starts_with(b"$").then(|| resp::short_bulk(rest)).flatten()
            else {
                break;
            };
            self.argument_begins(out);
            self.argument_bytes(argument, true, out);
            self.argument_ends();
            at += used;
        }
        at
    }

    /// The same for a command of which all further arguments are shown.
    fn plain_arguments(&mut self, bytes: &[u8], out: &Out<'_>) -> usize {
        let Some((newest, mut room)) = self.queue.newest(out.max_text()) else { return 0 };
        let intake = &mut self.intake;
        let (mut at, mut text_len) = (0, 0);
        while intake.left > 0
            && let Some(rest @ [b'$', ..]) = bytes.get(at..)
            && let Some((argument, used)) = resp::short_bulk(rest)
        {
            if intake.number == 2 {
                newest.second.push(argument);
            }
            text_len += 1 + argument.len() as u64;
            room.keep(b" ");
            room.keep(argument);
            intake.number += 1;
            intake.left -= 1;
            at += used;
        }
        newest.text_len += text_len;
        if intake.left == 0 {
            intake.state = State::Start;
        }
        at
    }

    /// A command in one line, as people type them.
    fn inline(&mut self, text: &[u8], used: usize, time: Nanos, out: &mut Out<'_>) -> Head {
        if !is_printable(text) {
            return Head::Lost;
        }
        let count = words(text).count() as u64;
        if count == 0 {
            return Head::Used(used);
        }
        self.request_begins(count, time, out);
        for word in words(text) {
            self.argument_begins(out);
            self.argument_bytes(&word, true, out);
            self.argument_ends();
        }
        Head::Used(used)
    }

    fn request_begins(&mut self, count: u64, time: Nanos, out: &mut Out<'_>) {
        let turn = core::mem::take(&mut self.turn);
        self.make_room(turn, time, out);
        self.queue.push(Request::new(time, count));
        self.intake = Intake { left: count, ..Intake::default() };
    }

    fn argument_begins(&mut self, out: &Out<'_>) {
        let intake = &mut self.intake;
        intake.fresh = true;
        if intake.plain {
            return;
        }
        let redacts = !out.shows_literals();
        let Some(newest) = self.queue.back() else { return };
        if intake.number == 0 {
            // The name.
            return;
        }
        intake.previous = core::mem::take(&mut intake.current);
        let (number, count) = (intake.number, newest.arguments);
        intake.argument = intake.judge.next(number, count, &newest.name, &intake.previous, redacts);
        intake.plain = intake.judge.shows_all(redacts);
    }

    /// Bytes of an argument; `first`: its first ones. Whether more of it would be kept.
    fn argument_bytes(&mut self, bytes: &[u8], first: bool, out: &Out<'_>) -> bool {
        let max = out.max_text();
        let intake = &mut self.intake;
        intake.fresh = false;
        if !intake.plain {
            intake.current.push(bytes);
        }
        if first && !intake.plain {
            let begins = |test: fn(u8) -> bool| bytes.first().is_some_and(|b| test(*b));
            intake.argument = match intake.argument {
                Argument::Rule if begins(is_password_rule) => Argument::Hidden,
                Argument::User if begins(is_quote) => Argument::Hidden,
                Argument::Number if !begins(|b| b.is_ascii_digit() || b == b'-') => Argument::Value,
                Argument::Rule | Argument::Number => Argument::Shown,
                other => other,
            };
        }
        let Some(newest) = self.queue.back_mut() else { return false };
        match intake.number {
            0 => newest.name.push(bytes),
            1 => newest.first.push(bytes),
            2 => newest.second.push(bytes),
            _ => {}
        }
        if intake.argument == Argument::User {
            newest.user.push(bytes);
        }
        let is_next = first && intake.number > 0;
        if intake.plain {
            newest.text_len += u64::from(is_next) + bytes.len() as u64;
            if is_next {
                self.queue.keep(b" ", max);
            }
            return self.queue.keep(bytes, max) == bytes.len();
        }
        if is_next {
            newest.text_len += 1;
            self.queue.keep(b" ", max);
        }
        let shown = match intake.argument {
            Argument::Hidden if first => SECRET,
            Argument::Value if first => LITERAL,
            Argument::Hidden | Argument::Value => return true,
            _ => bytes,
        };
        if let Some(newest) = self.queue.back_mut() {
            newest.has_secret |= intake.argument == Argument::Hidden;
            newest.text_len += shown.len() as u64;
        }
        self.queue.keep(shown, max) == shown.len()
    }

    fn argument_ends(&mut self) {
        self.intake.number += 1;
        self.intake.left = self.intake.left.saturating_sub(1);
        self.intake.state = if self.intake.left == 0 { State::Start } else { State::Length };
    }

    fn data(&mut self, rest: &[u8], left: u64, out: &Out<'_>) -> Head {
        let whole = usize::try_from(left).unwrap_or(usize::MAX);
        let here = whole.min(rest.len());
        let part = rest.get(..here).unwrap_or(rest);
        let first = self.intake.fresh;
        let wanted = self.argument_bytes(part, first, out);
        let rest = left - here as u64;
        self.intake.state = if rest == 0 { State::End } else { State::Data(rest) };
        if rest > 0 && !wanted && self.intake.number > 2 {
            // What is not kept is passed over.
            self.intake.state = State::End;
            if !matches!(self.intake.argument, Argument::Hidden | Argument::Value)
                && let Some(newest) = self.queue.back_mut()
            {
                newest.text_len += rest;
            }
            return Head::Skip(here, rest);
        }
        Head::Used(here)
    }

    /// The newest command is whole.
    fn request_ends(&mut self, out: &mut Out<'_>) {
        self.is_new = false;
        let Some(newest) = self.queue.back_mut() else { return };
        newest.ends();
        self.note_request(out);
    }

    /// Whether a command begins here; none when more bytes are needed to tell.
    fn find_request(&mut self, bytes: &[u8], fresh: bool) -> Option<bool> {
        if !fresh && !core::mem::take(&mut self.client.trying) {
            return Some(false);
        }
        let found = begins_request(bytes);
        self.client.trying = found.is_none();
        self.client.in_step = found == Some(true);
        if self.client.in_step {
            self.intake = Intake::default();
        }
        if self.client.trying {
            // Asked again with more bytes, as at the client's turn.
            self.client.fresh = fresh;
        }
        found
    }
}

//! Which arguments of a command are secrets: passwords of `AUTH`, `HELLO`, `ACL SETUSER`, `CONFIG SET`, `SENTINEL SET` and `MIGRATE`. They are never kept,
//! not even until the command is whole; a script, which may have them anywhere, is left out as a whole when it is told.
//!
//! Better an argument too many than a password: options whose name has `pass` or `auth` in it are hidden whatever they are.

use super::arguments::{Arguments, Role};
use super::word::Word;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Shown,
    Hidden,
    /// The name of the user who logs in.
    User,
    /// Hidden if it begins with a mark of a password.
    Rule,
    /// What users put in: hidden with `--redact`.
    Value,
    /// The same, unless it begins like a number.
    Number,
}

/// Judges the arguments of one command, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    rule: Rule,
    /// The arguments behind a word that announces them: how many, and whether the first is a user.
    user_next: bool,
    hidden_next: bool,
    /// What the argument before was, in a HELLO.
    hello: Hello,
    arguments: Arguments,
}

/// What an argument of `HELLO [version [AUTH user password] [SETNAME name]]` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hello {
    #[default]
    Option,
    Name,
    User,
    Password,
    /// Behind an option that is not known nobody knows.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rule {
    #[default]
    None,
    /// `AUTH [user] password`
    Auth,
    /// `HELLO version AUTH user password`
    Hello,
    /// `MIGRATE … AUTH password`, `MIGRATE … AUTH2 user password`
    Word,
    /// `CONFIG SET name value …`, `SENTINEL SET master name value …`
    Options,
    /// `ACL SETUSER user rule …`
    Acl,
    /// A command with others in its arguments: `ACL DRYRUN user command …`.
    Other,
    /// `COMMAND GETKEYS command …`
    Command,
}

impl Rule {
    fn of(name: &Word<32>) -> Self {
        let mut upper = *name;
        upper.make_ascii_uppercase();
        match upper.whole().unwrap_or_default() {
            b"AUTH" => Self::Auth,
            b"HELLO" => Self::Hello,
            b"MIGRATE" => Self::Word,
            b"CONFIG" | b"SENTINEL" | b"MODULE" => Self::Options,
            b"ACL" => Self::Acl,
            b"COMMAND" => Self::Command,
            _ if is_odd(name) => Self::Auth,
            _ => Self::None,
        }
    }
}

impl Judge {
    /// Whether all further arguments of the command are shown, whatever they are.
    pub(super) fn shows_all(&self, redacts: bool) -> bool {
        !redacts && self.rule == Rule::None
    }

    /// Bytes of an argument are missing: of what it may have announced nothing is shown.
    pub(super) fn lose(&mut self) {
        if self.rule != Rule::None {
            self.rule = Rule::Auth;
        }
    }

    /// What the argument with this number (the command's name is 0) is, in a command of `count` arguments; `name` and `previous` are the command's name and
    /// the argument before this one. Values are told from names only where they are hidden (`redacts`).
    pub(super) fn next(
        &mut self,
        number: u64,
        count: u64,
        name: &Word<32>,
        previous: &Word<32>,
        redacts: bool,
    ) -> Argument {
        if number == 0 {
            return Argument::Shown;
        }
        let secret = self.secret(number, count, name, previous);
        if !redacts {
            return secret;
        }
        let role = self.arguments.next(number, count, name, previous);
        match (secret, role) {
            (Argument::Shown, Role::Value) => Argument::Value,
            (Argument::Shown, Role::Number) => Argument::Number,
            // Rules are no values, but nobody needs those of passwords.
            (secret, _) => secret,
        }
    }

    fn secret(&mut self, number: u64, count: u64, name: &Word<32>, previous: &Word<32>) -> Argument {
        if number == 1 {
            self.rule = Rule::of(name);
        }
        match self.rule {
            Rule::None => Argument::Shown,
            Rule::Auth if number == 1 && count == 3 && !is_odd(name) => Argument::User,
            Rule::Auth => Argument::Hidden,
            Rule::Hello => self.hello(number, previous),
            Rule::Word => {
                if core::mem::take(&mut self.user_next) {
                    self.hidden_next = true;
                    return Argument::User;
                }
                if core::mem::take(&mut self.hidden_next) {
                    return Argument::Hidden;
                }
                if number > 1 && previous.is(b"AUTH2") {
                    self.hidden_next = true;
                    return Argument::User;
                }
                let announces = number > 1 && (previous.is(b"AUTH") || is_odd(previous));
                if announces { Argument::Hidden } else { Argument::Shown }
            }
            Rule::Options => {
                let names_secret = number > 2 && (mentions_secret(previous.as_bytes()) || is_odd(previous));
                if names_secret { Argument::Hidden } else { Argument::Shown }
            }
            Rule::Acl => {
                if number == 2 && previous.is(b"DRYRUN") {
                    self.rule = Rule::Other;
                }
                if number >= 3 { Argument::Rule } else { Argument::Shown }
            }
            Rule::Other if number >= 4 => Argument::Hidden,
            Rule::Other => Argument::Shown,
            Rule::Command => {
                // Others of its kind have names of commands behind them.
                if number == 2 && (previous.is(b"GETKEYS") || previous.is(b"GETKEYSANDFLAGS")) {
                    self.rule = Rule::Other;
                }
                Argument::Shown
            }
        }
    }

    fn hello(&mut self, number: u64, previous: &Word<32>) -> Argument {
        self.hello = match (number, self.hello) {
            (..=2, _) | (_, Hello::Name | Hello::Password) => Hello::Option,
            (_, Hello::Option) if previous.is(b"AUTH") => Hello::User,
            (_, Hello::Option) if previous.is(b"SETNAME") => Hello::Name,
            (_, Hello::User) => Hello::Password,
            (_, Hello::Option | Hello::Unknown) => Hello::Unknown,
        };
        match self.hello {
            Hello::Option | Hello::Name => Argument::Shown,
            Hello::User => Argument::User,
            Hello::Password | Hello::Unknown => Argument::Hidden,
        }
    }
}

/// Whether a name is written as no client writes it: quotes or escapes are left in it, so that nobody knows what it says.
fn is_odd(name: &Word<32>) -> bool {
    name.as_bytes().iter().any(|b| matches!(b, b'"' | b'\'' | b'\\'))
}

/// Whether a rule of `ACL SETUSER` holds a password or its hash: `>pw`, `<pw`, `#hash`, `!hash`; or is in quotes that servers refuse, so that nobody knows.
pub(super) fn is_password_rule(first: u8) -> bool {
    matches!(first, b'>' | b'<' | b'#' | b'!') || is_quote(first)
}

/// No user's name begins so: it is a part of a password whose quotes servers refuse.
pub(super) fn is_quote(first: u8) -> bool {
    matches!(first, b'"' | b'\'')
}

/// Whether the reply to a command may hold secrets: configuration, access lists, and the replies of all commands of a transaction, which have events of their
/// own.
pub(super) fn hides_reply(name: &Word<32>) -> bool {
    name.is(b"EXEC") || name.is(b"CONFIG") || name.is(b"ACL") || name.is(b"SENTINEL")
}

/// Whether the reply to a command quotes commands that other clients sent: old servers show passwords there.
pub(super) fn quotes_commands(name: &Word<32>) -> bool {
    name.is(b"SLOWLOG")
}

/// Whether a command comes with a script that hands on passwords: `redis.call('MIGRATE', …, 'AUTH', …)`.
pub(super) fn has_secret_script(name: &Word<32>, text: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"EVAL", b"EVAL_RO", b"SCRIPT", b"FUNCTION"];
    const MARKS: [&[u8]; 9] = [
        b"requirepass",
        b"masterauth",
        b"primaryauth",
        b"-pass",
        b"setuser",
        b"'auth'",
        b"\"auth\"",
        b"'auth2'",
        b"\"auth2\"",
    ];
    NAMES.iter().any(|n| name.is(n)) && MARKS.iter().any(|mark| has(text, mark))
}

/// Whether a text mentions a password: names of options, and lines of `MONITOR`.
pub(super) fn mentions_secret(text: &[u8]) -> bool {
    [&b"pass"[..], b"auth", b"setuser"].iter().any(|word| has(text, word))
}

fn has(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of a command as they are shown.
    fn shown(command: &str) -> Vec<String> {
        let words: Vec<_> = command.split(' ').collect();
        let (mut judge, mut name, mut previous) = (Judge::default(), Word::default(), Word::default());
        let mut out = Vec::new();
        for (number, word) in words.iter().enumerate() {
            let what = judge.next(number as u64, words.len() as u64, &name, &previous, false);
            let hidden = match what {
                Argument::Hidden => true,
                Argument::Rule => is_password_rule(word.as_bytes()[0]),
                Argument::Shown | Argument::User | Argument::Value | Argument::Number => false,
            };
            out.push(if hidden { "-".to_owned() } else { (*word).to_owned() });
            previous = Word::default();
            previous.push(word.as_bytes());
            if number == 0 {
                name = previous;
            }
        }
        out
    }

    #[test]
    fn secrets_are_hidden() {
        for (command, expected) in [
            ("AUTH pw", "AUTH -"),
            ("auth bob pw", "auth bob -"),
            ("AUTH a b c", "AUTH - - -"),
            ("HELLO 3 AUTH bob pw SETNAME x", "HELLO 3 AUTH bob - SETNAME x"),
            ("HELLO 3 SETNAME auth", "HELLO 3 SETNAME auth"),
            ("HELLO 3 SETNAME auth AUTH bob pw", "HELLO 3 SETNAME auth AUTH bob -"),
            ("HELLO 3 AUTH AUTH pw", "HELLO 3 AUTH AUTH -"),
            ("HELLO 3 HUH AUTH bob pw", "HELLO 3 HUH - - -"),
            ("ACL DRYRUN bob AUTH bob pw", "ACL DRYRUN bob AUTH - -"),
            ("AU\\x54H pw", "AU\\x54H -"),
            ("CONFIG SET require\\x70ass pw", "CONFIG SET require\\x70ass -"),
            ("CONFIG SET maxmemory 1 requirepass pw", "CONFIG SET maxmemory 1 requirepass -"),
            ("config set masterauth pw", "config set masterauth -"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SENTINEL SET mymaster auth-pass pw", "SENTINEL SET mymaster auth-pass -"),
            ("ACL SETUSER bob on >pw ~* +@all #abcd", "ACL SETUSER bob on - ~* +@all -"),
            ("ACL SETUSER bob '>pw'x \">pw", "ACL SETUSER bob - -"),
            ("MIGRATE h 6379 k 0 5000 \"AUTH\"x pw", "MIGRATE h 6379 k 0 5000 \"AUTH\"x -"),
            ("COMMAND GETKEYS MIGRATE h 1 k 0 9 AUTH pw", "COMMAND GETKEYS MIGRATE h - - - - - -"),
            ("COMMAND INFO AUTH HELLO GET", "COMMAND INFO AUTH HELLO GET"),
            ("MIGRATE h 6379 k 0 5000 COPY AUTH pw", "MIGRATE h 6379 k 0 5000 COPY AUTH -"),
            ("MIGRATE h 6379  0 5000 AUTH2 bob pw KEYS k", "MIGRATE h 6379  0 5000 AUTH2 bob - KEYS k"),
            ("SET password secret", "SET password secret"),
        ] {
            assert_eq!(shown(command).join(" "), expected);
        }
    }

    #[test]
    fn scripts_that_hand_on_secrets() {
        for (name, text, expected) in [
            ("EVAL", "EVAL return redis.call('config','set','requirepass','pw') 0", true),
            ("eval_ro", "eval_ro redis.call(\"MIGRATE\",h,p,k,0,9,\"AUTH\",\"pw\") 0", true),
            ("SCRIPT", "SCRIPT LOAD redis.pcall('ACL', 'SetUser', 'bob', '>pw')", true),
            ("FUNCTION", "FUNCTION LOAD #!lua name=x server.call('AUTH2', u, p)", true),
            ("EVAL", "EVAL return redis.call('GET','author:1') 0", false),
            ("SET", "SET k requirepass", false),
        ] {
            let mut word = Word::default();
            word.push(name.as_bytes());
            assert_eq!(has_secret_script(&word, text.as_bytes()), expected, "{text}");
        }
    }
}

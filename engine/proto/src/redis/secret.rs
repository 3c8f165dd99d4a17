//! Which arguments of a command are secrets: passwords of `AUTH`, `HELLO`, `ACL SETUSER`, `CONFIG SET`, `SENTINEL SET` and `MIGRATE`. They are never kept,
//! not even until the command is whole.
//!
//! Better an argument too many than a password: options whose name has `pass` or `auth` in it are hidden whatever they are.

use super::word::Word;

/// What stands in a secret's place.
pub(super) const HIDDEN: &[u8] = b"<secret>";

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Shown,
    Hidden,
    /// The name of the user who logs in.
    User,
    /// Hidden if it begins with a mark of a password.
    Rule,
}

/// Judges the arguments of one command, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    rule: Rule,
    /// The arguments behind a word that announces them: how many, and whether the first is a user.
    user_next: bool,
    hidden_next: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rule {
    #[default]
    None,
    /// `AUTH [user] password`
    Auth,
    /// `HELLO version AUTH user password`, `MIGRATE … AUTH password`, `MIGRATE … AUTH2 user password`
    Word,
    /// `CONFIG SET name value …`, `SENTINEL SET master name value …`
    Options,
    /// `ACL SETUSER user rule …`
    Acl,
}

impl Judge {
    /// What the argument with this number (the command's name is 0) is, in a command of `count` arguments; `name` and `previous` are the command's name and
    /// the argument before this one.
    pub(super) fn next(&mut self, number: u64, count: u64, name: &Word<32>, previous: &Word<32>) -> Argument {
        match number {
            0 => return Argument::Shown,
            1 => {
                self.rule = if name.is(b"AUTH") {
                    Rule::Auth
                } else if name.is(b"HELLO") || name.is(b"MIGRATE") {
                    Rule::Word
                } else if name.is(b"CONFIG") || name.is(b"SENTINEL") {
                    Rule::Options
                } else if name.is(b"ACL") {
                    Rule::Acl
                } else {
                    Rule::None
                };
            }
            _ => {}
        }
        match self.rule {
            Rule::None => Argument::Shown,
            Rule::Auth if number == 1 && count == 3 => Argument::User,
            Rule::Auth => Argument::Hidden,
            Rule::Word => {
                if core::mem::take(&mut self.user_next) {
                    self.hidden_next = true;
                    return Argument::User;
                }
                if core::mem::take(&mut self.hidden_next) {
                    return Argument::Hidden;
                }
                if number > 1 && (previous.is(b"AUTH2") || name.is(b"HELLO") && previous.is(b"AUTH")) {
                    self.hidden_next = true;
                    return Argument::User;
                }
                if number > 1 && previous.is(b"AUTH") { Argument::Hidden } else { Argument::Shown }
            }
            Rule::Options => {
                let names_secret = number > 2 && mentions_secret(previous.as_bytes());
                if names_secret { Argument::Hidden } else { Argument::Shown }
            }
            Rule::Acl if number >= 3 => Argument::Rule,
            Rule::Acl => Argument::Shown,
        }
    }
}

/// Whether a rule of `ACL SETUSER` holds a password or its hash: `>pw`, `<pw`, `#hash`, `!hash`.
pub(super) fn is_password_rule(first: u8) -> bool {
    matches!(first, b'>' | b'<' | b'#' | b'!')
}

/// Whether the reply to a command may hold secrets: configuration and access lists.
pub(super) fn hides_reply(name: &Word<32>) -> bool {
    name.is(b"CONFIG") || name.is(b"ACL") || name.is(b"SENTINEL")
}

/// Whether a text mentions a password: names of options, and lines of `MONITOR`.
pub(super) fn mentions_secret(text: &[u8]) -> bool {
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    has(b"pass") || has(b"auth")
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
            let what = judge.next(number as u64, words.len() as u64, &name, &previous);
            let hidden = match what {
                Argument::Hidden => true,
                Argument::Rule => is_password_rule(word.as_bytes()[0]),
                Argument::Shown | Argument::User => false,
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
            ("CONFIG SET maxmemory 1 requirepass pw", "CONFIG SET maxmemory 1 requirepass -"),
            ("config set masterauth pw", "config set masterauth -"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SENTINEL SET mymaster auth-pass pw", "SENTINEL SET mymaster auth-pass -"),
            ("ACL SETUSER bob on >pw ~* +@all #abcd", "ACL SETUSER bob on - ~* +@all -"),
            ("MIGRATE h 6379 k 0 5000 COPY AUTH pw", "MIGRATE h 6379 k 0 5000 COPY AUTH -"),
            ("MIGRATE h 6379  0 5000 AUTH2 bob pw KEYS k", "MIGRATE h 6379  0 5000 AUTH2 bob - KEYS k"),
            ("SET password secret", "SET password secret"),
        ] {
            assert_eq!(shown(command).join(" "), expected);
        }
    }
}

//! What a text may show, by its sensitivity: the one place where secrets are left out and, with `--redact`, what users put in.
//!
//! Stage: between a decoder's values and the record. In goes a text with its [`Sensitivity`], out comes what the record gets; the text itself is
//! never kept. A text that is a mixture, such as a statement with literals in it, names its [`Language`]; what can't be told apart in it is hidden.

mod body;
mod lex;
mod message;
mod names;
mod sql;
mod url;

pub(crate) use lex::{Lexer, Token};
pub(crate) use names::is_secret_name;

/// What stands in place of a literal, a value, a body.
pub(crate) const LITERAL: &[u8] = b"?";
/// What stands in a secret's place.
pub(crate) const SECRET: &[u8] = b"<secret>";
/// What stands in place of a text's rest, when nobody can tell its literals from what surrounds them.
const REST: &[u8] = "?…".as_bytes();

/// How much a value gives away. Redaction goes by it, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Names, numbers, states.
    Public,
    /// What users put in: values, bodies, all of it.
    Literal,
    /// What users put in stands inside, and perhaps secrets.
    Within(Language),
    /// Passwords and tokens: never enters a record.
    Secret,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A statement: literals and comments are hidden, names and keywords stay.
    Sql(Sql),
    /// The path of a URL: segments that look like tokens or mail addresses are hidden, and values of parameters inside. Secret always: the user part of an
    /// authority, sessions.
    UrlPath,
    /// The query of a URL: values are hidden, names stay. Secret always: values of parameters whose names say so.
    UrlQuery,
    /// Any text that may hold URLs. Hidden as a whole; secret always: the user part of an authority, parameters whose names say so.
    Url,
    /// A body: JSON, a form, XML. Hidden as a whole; secret always: what has a secret's name.
    Body,
    /// A message that quotes what users put in: what stands in quotes is hidden.
    Message,
}

/// A statement's dialect, and what is known of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sql {
    /// The dialect.
    pub dialect: Dialect,
    /// The server could not read it: quotes in it may be anywhere.
    pub broken: bool,
}

/// How literals are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL and MariaDB. Double quotes are taken for those of literals, whatever `ANSI_QUOTES` says.
    MySql {
        /// Whether a backslash escapes what follows it (`NO_BACKSLASH_ESCAPES` is off); none when nobody knows.
        backslash: Option<bool>,
    },
    /// PostgreSQL.
    Postgres,
    /// Any: what is a literal or a comment in one of them is hidden.
    Any,
}

/// Whether the text goes into a record as it is.
pub(super) const fn is_plain(sensitivity: Sensitivity, redacts: bool) -> bool {
    match sensitivity {
        Sensitivity::Public => true,
        Sensitivity::Literal | Sensitivity::Within(Language::Sql(_) | Language::Message) => !redacts,
        Sensitivity::Within(_) | Sensitivity::Secret => false,
    }
}

/// Whether nothing of the text itself goes into a record.
pub(super) const fn hides_all(sensitivity: Sensitivity, redacts: bool) -> bool {
    match sensitivity {
        Sensitivity::Secret => true,
        Sensitivity::Literal | Sensitivity::Within(Language::Body | Language::Url) => redacts,
        Sensitivity::Public | Sensitivity::Within(_) => false,
    }
}

/// Appends what `text` shows; `is_cut`: its end is missing.
pub(super) fn write(text: &[u8], is_cut: bool, sensitivity: Sensitivity, redacts: bool, out: &mut Vec<u8>) {
    match sensitivity {
        Sensitivity::Secret => out.extend_from_slice(SECRET),
        _ if hides_all(sensitivity, redacts) => out.extend_from_slice(LITERAL),
        _ if is_plain(sensitivity, redacts) => out.extend_from_slice(text),
        Sensitivity::Within(language) => match language {
            Language::Sql(kind) => sql::write(text, is_cut, kind, out),
            Language::UrlPath => url::path(text, redacts, out),
            Language::UrlQuery => url::query(text, redacts, out),
            Language::Url => url::any(text, out),
            Language::Body => body::write(text, out),
            Language::Message => message::write(text, out),
        },
        Sensitivity::Public | Sensitivity::Literal => {}
    }
}

/// A message without what it quotes, for where secrets may be quoted.
pub(crate) fn without_quotes(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    message::write(message, &mut out);
    out
}

#[cfg(test)]
mod tests;

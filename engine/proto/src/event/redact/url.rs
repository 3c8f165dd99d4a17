//! Paths, queries, and whole URLs in other texts. Source: RFC 3986.

use std::borrow::Cow;

use super::names::is_secret_name;
use super::{LITERAL, SECRET};

/// Appends the query `text`: names, and values unless `redacts`.
pub(super) fn query(text: &[u8], redacts: bool, out: &mut Vec<u8>) {
    for part in text.split_inclusive(|b| matches!(b, b'&' | b';')) {
        let (pair, end) = match part.split_last() {
            Some((b'&' | b';', pair)) => (pair, part.get(pair.len()..).unwrap_or_default()),
            _ => (part, &[][..]),
        };
        parameter(pair, redacts, out);
        out.extend_from_slice(end);
    }
}

/// Appends `name=value`, or a value alone.
fn parameter(pair: &[u8], redacts: bool, out: &mut Vec<u8>) {
    let Some(equals) = memchr::memchr(b'=', pair) else {
        // Nobody knows whether it is a name.
        return out.extend_from_slice(if redacts && !pair.is_empty() { LITERAL } else { pair });
    };
    let (name, value) = pair.split_at(equals + 1);
    out.extend_from_slice(name);
    out.extend_from_slice(match value {
        [] => value,
        _ if is_secret_name(&decoded(name), value) => SECRET,
        _ if redacts => LITERAL,
        _ => value,
    });
}

/// A name with its percent signs resolved; most have none.
fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|d| core::str::from_utf8(d).ok()).filter(|_| first == b'%');
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
        plain.push(byte.unwrap_or(first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(plain)
}

/// Appends a request's target without its query.
pub(super) fn path(text: &[u8], redacts: bool, out: &mut Vec<u8>) {
    // `http://user@host/`, `//user@host/`, and the `user@host:443` of a CONNECT.
    let authority = match memchr::memmem::find(text, b"//") {
        Some(at) if at == 0 || text.get(at - 1) == Some(&b':') => Some(at + 2),
        _ if !text.starts_with(b"/") => Some(0),
        _ => None,
    };
    let mut rest = text;
    if let Some(start) = authority {
        let (scheme, behind) = text.split_at_checked(start).unwrap_or((text, &[]));
        let end = memchr::memchr(b'/', behind).unwrap_or(behind.len());
        let (authority, behind) = behind.split_at(end);
        out.extend_from_slice(scheme);
        without_user(authority, out);
        rest = behind;
    }
    for segment in rest.split_inclusive(|b| *b == b'/') {
        let (segment, slash) = match segment.split_last() {
            Some((b'/', before)) => (before, &b"/"[..]),
            _ => (segment, &[][..]),
        };
        let mut parts = segment.split(|b| *b == b';');
        let first = parts.next().unwrap_or_default();
        out.extend_from_slice(if redacts && is_personal(first) { LITERAL } else { first });
        for pair in parts {
            out.push(b';');
            parameter(pair, redacts, out);
        }
        out.extend_from_slice(slash);
    }
}

/// Whether a segment of a path looks like a token or a mail address: neither names what was asked for.
fn is_personal(segment: &[u8]) -> bool {
    let is_long = segment.len() >= 20;
    let has = |test: fn(&u8) -> bool| segment.iter().any(test);
    memchr::memchr(b'@', segment).is_some()
        || memchr::memmem::find(segment, b"%40").is_some()
        || is_long && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// What of an authority stands before an `@` is a user, often with a password.
fn without_user(authority: &[u8], out: &mut Vec<u8>) {
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => {
            out.extend_from_slice(SECRET);
            authority.get(at..).unwrap_or_default()
        }
        None => authority,
    };
    out.extend_from_slice(host);
}

/// Appends a text that may hold URLs, without the secrets in them.
pub(super) fn any(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    // A user and a password before a host, without a scheme.
    let at = memchr::memchr(b'@', text).unwrap_or(0);
    let user = text.get(..at).unwrap_or_default();
    if user.contains(&b':') && !user.iter().any(|b| ends_authority(*b)) {
        out.extend_from_slice(SECRET);
        rest = text.get(at..).unwrap_or_default();
    }
    while let Some(&first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(b"://") {
            let end = behind.iter().position(|b| ends_authority(*b)).unwrap_or(behind.len());
            let (authority, behind) = behind.split_at(end);
            out.extend_from_slice(b"://");
            without_user(authority, out);
            rest = behind;
            continue;
        }
        let (byte, behind) = rest.split_at(1);
        out.extend_from_slice(byte);
        rest = behind;
        if matches!(first, b'?' | b'&' | b'#' | b';') {
            let end = rest.iter().position(|b| ends_parameter(*b)).unwrap_or(rest.len());
            let (pair, behind) = rest.split_at(end);
            parameter(pair, false, out);
            rest = behind;
        }
    }
}

const fn ends_authority(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#' | b' ' | b'"' | b'\'' | b'<' | b'>' | b',')
}

const fn ends_parameter(byte: u8) -> bool {
    matches!(byte, b'&' | b'#' | b';' | b' ' | b'"' | b'<' | b'>')
}

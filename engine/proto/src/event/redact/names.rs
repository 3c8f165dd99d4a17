//! Names of what is secret: parameters, header fields, members of bodies, attributes.

/// Parts of names, in lower case and without `-`, `_` and `.`, that make what they name a secret.
const INSIDE: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "subscriptionkey",
    "credential",
    "authorization",
    "authentication",
    "cookie",
    "sessionid",
    "sessid",
    "csrf",
    "xsrf",
];

/// Ends of such names.
const AT_END: [&str; 6] = ["token", "signature", "pwd", "jwt", "assertion", "samlresponse"];

/// Whole names.
const WHOLE: [&str; 8] = ["pass", "pw", "sig", "auth", "xauth", "sid", "otp", "session"];

/// Names of which only long values are taken for secrets: they name other things, too.
const IF_LONG: [&str; 2] = ["key", "code"];

/// Bytes of a name that are looked at: from its end.
const LOOKED_AT: usize = 64;

/// Whether what has this name is a secret; `value` in case that the name alone does not tell.
pub(crate) fn is_secret_name(name: &[u8], value: &[u8]) -> bool {
    let mut plain = [0; LOOKED_AT];
    let mut start = plain.len();
    // From the end: what a long name says last tells the most.
    for &byte in name.iter().rev().filter(|b| b.is_ascii_alphanumeric()) {
        let Some(at) = start.checked_sub(1) else { break };
        if let Some(to) = plain.get_mut(at) {
            *to = byte.to_ascii_lowercase();
        }
        start = at;
    }
    let plain = plain.get(start..).and_then(|p| core::str::from_utf8(p).ok()).unwrap_or_default();
    WHOLE.contains(&plain)
        || AT_END.iter().any(|end| plain.ends_with(end))
        || INSIDE.iter().any(|part| plain.contains(part))
        || IF_LONG.contains(&plain) && value.len() >= 20
}

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

/// Last words of names that tell something about a secret: `ct_cookie_present`, `passwordLength`.
const ABOUT: [&str; 26] = [
    "accepted", "age", "changed", "consent", "count", "disabled", "domain", "enabled", "error", "expired",
    "expires", "expiry", "field", "len", "length", "name", "policy", "present", "required", "size", "status",
    "ttl", "type", "valid", "verified", "version",
];

/// What such names tell is not longer.
const ABOUT_LEN: usize = 32;

/// Words with a part of [`INSIDE`] that mean something else.
const OTHERS: [&str; 2] = ["secretary", "secretariat"];

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
    let last = last_word(name);
    let is_one_of = |words: &[&str]| words.iter().any(|word| last.eq_ignore_ascii_case(word.as_bytes()));
    if is_one_of(&OTHERS) || value.len() <= ABOUT_LEN && last.len() < plain.len() && is_one_of(&ABOUT) {
        return false;
    }
    WHOLE.contains(&plain)
        || AT_END.iter().any(|end| plain.ends_with(end))
        || INSIDE.iter().any(|part| plain.contains(part))
        || IF_LONG.contains(&plain) && value.len() >= 20
}

/// The last word of a name: behind what is no letter or digit, or from a capital behind a small letter on.
fn last_word(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    let name = name.get(..end).unwrap_or_default();
    let mut start = end;
    let mut next = b'a';
    for (at, &byte) in name.iter().enumerate().rev() {
        if !byte.is_ascii_alphanumeric() || byte.is_ascii_lowercase() && next.is_ascii_uppercase() {
            break;
        }
        (start, next) = (at, byte);
    }
    name.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        for name in [
            "password",
            "user.password",
            "dbPassword",
            "DB_PASSWD",
            "new-password",
            "passwordConfirmation",
            "passwordHash",
            "password_hint",
            "client_secret",
            "clientSecret",
            "secret_id",
            "secrets",
            "X-Api-Key",
            "apikey",
            "aws_access_key_id",
            "private_key",
            "Ocp-Apim-Subscription-Key",
            "credentials",
            "Proxy-Authorization",
            "Authentication-Info",
            "Cookie",
            "Set-Cookie2",
            "cookies",
            "PHPSESSID",
            "jsessionid",
            "session_id",
            "csrfmiddlewaretoken",
            "X-XSRF-TOKEN",
            "access_token",
            "refreshToken",
            "X-Amz-Signature",
            "db_pwd",
            "jwt",
            "client_assertion",
            "SAMLResponse",
            "pass",
            "pw",
            "sig",
            "auth",
            "X-Auth",
            "sid",
            "otp",
            "session",
            "name_of_password",
            "reset_password_url",
        ] {
            assert!(is_secret_name(name.as_bytes(), b"x"), "{name}");
        }
        // No bytes, and only such as are no letters.
        assert!(!is_secret_name(b"", b"x") && !is_secret_name(b"-_.", b"x"));
    }

    #[test]
    fn what_is_about_secrets_is_none() {
        for name in [
            "ct_cookie_present",
            "passwordLength",
            "password-expired",
            "cookie_consent",
            "cookie.domain",
            "secretName",
            "CSRF_HEADER_NAME",
            "session_id_ttl",
            "token_type",
            "credential[type]",
            "SecretVersion",
            "cookieCount_",
        ] {
            assert!(!is_secret_name(name.as_bytes(), b"x"), "{name}");
            // What such a name tells is short.
            let hides = name != "token_type";
            assert_eq!(is_secret_name(name.as_bytes(), &[b'x'; 40]), hides, "{name}");
        }
    }

    #[test]
    fn other_words() {
        for name in [
            "secretary",
            "the_secretariat",
            "keyboard",
            "key",
            "code",
            "passenger",
            "bypass",
            "compass",
            "tokenizer",
            "signatures_count",
            "author",
            "authority",
            "assessment",
            "obsession",
            "sidebar",
            "residence",
            "opt",
            "monkey",
            "design",
            "cook",
            "",
        ] {
            assert!(!is_secret_name(name.as_bytes(), b"x"), "{name}");
        }
        assert!(is_secret_name(b"key", &[b'x'; 20]) && is_secret_name(b"code", &[b'x'; 20]));
        // Without a border between the words it is hidden, to be sure.
        assert!(is_secret_name(b"cookiepresent", b"1"));
    }
}

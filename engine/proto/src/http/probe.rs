//! Whether two ends speak HTTP/1: told by the first line of a request or of a response.

use super::begins::{Begins, begins};
use crate::Probe;

/// The longest first line that is waited for.
const MAX_LINE: usize = 512;

/// The longest method.
const MAX_METHOD: usize = 32;

/// What the first bytes of both sides tell.
pub(super) fn probe(to_server: &[u8], to_client: &[u8]) -> Probe {
    let yes = |reversed| Probe::Yes { reversed };
    match (says(to_server), says(to_client)) {
        // Recognised by the decoder, for whoever asks for HTTP by its port: it is another protocol.
        (Begins::Http2, _) | (_, Begins::Http2) => Probe::No,
        (Begins::Request, _) | (_, Begins::Response) => yes(false),
        (Begins::Response, _) | (_, Begins::Request) => yes(true),
        (Begins::Nothing, _) | (_, Begins::Nothing) => Probe::No,
        (Begins::Maybe, Begins::Maybe) => Probe::More,
    }
}

/// What begins here, methods among it that nobody listed (`RPC_IN_DATA`, `CCM_POST`).
fn says(bytes: &[u8]) -> Begins {
    match begins(bytes) {
        Begins::Nothing => any_request(bytes.get(..MAX_LINE).unwrap_or(bytes)),
        Begins::Response => response(bytes),
        begins => begins,
    }
}

/// Whether a version is followed by a code: what follows neither is HTTP to nobody but who asked for its port.
fn response(bytes: &[u8]) -> Begins {
    let rest = bytes.get(b"HTTP/1.".len()..).unwrap_or_default();
    let is_code = |b: &u8| b.is_ascii_digit();
    match rest {
        [] | [b'0'..=b'9'] | [b'0'..=b'9', b' '] => Begins::Maybe,
        [b'0'..=b'9', b' ', code @ ..] if code.iter().take(3).all(is_code) => {
            if code.len() < 3 {
                Begins::Maybe
            } else {
                Begins::Response
            }
        }
        _ => Begins::Nothing,
    }
}

/// Whether a line begins with a word in capitals and ends with HTTP's version.
fn any_request(bytes: &[u8]) -> Begins {
    let is_method = |b: &u8| b.is_ascii_uppercase() || matches!(b, b'_' | b'-');
    let method = bytes.iter().position(|b| !is_method(b)).unwrap_or(bytes.len());
    if method > MAX_METHOD || method == 0 && !bytes.is_empty() {
        return Begins::Nothing;
    }
    let Some(rest) = bytes.get(method..).filter(|rest| !rest.is_empty()) else { return Begins::Maybe };
    let end = memchr::memchr(b'\n', rest);
    let line = end.map_or(rest, |end| rest.get(..end).unwrap_or_default());
    let is_text = line.iter().all(|b| *b >= 0x20 && *b != 0x7f || *b == b'\r');
    if !rest.starts_with(b" ") || !is_text {
        return Begins::Nothing;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let version = line.len().checked_sub(b" HTTP/1.1".len()).and_then(|at| line.get(at..));
    match (end, version) {
        (Some(_), Some([b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'])) => Begins::Request,
        (None, _) if bytes.len() < MAX_LINE => Begins::Maybe,
        _ => Begins::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http() {
        for line in ["GET / HTTP/1.1\r\n", "RPC_IN_DATA /rpc?x HTTP/1.1\r\n", "M-SEARCH * HTTP/1.0\n"] {
            assert_eq!(probe(line.as_bytes(), b""), Probe::Yes { reversed: false }, "{line}");
            assert_eq!(probe(b"", line.as_bytes()), Probe::Yes { reversed: true }, "{line}");
            for cut in 0..line.len() - 1 {
                assert_eq!(probe(&line.as_bytes()[..cut], b""), Probe::More, "{line} to {cut}");
            }
        }
        let line = b"HTTP/1.1 200 OK";
        for cut in 0..=line.len() {
            let expected = if cut < 12 { Probe::More } else { Probe::Yes { reversed: false } };
            assert_eq!(probe(b"", &line[..cut]), expected, "{cut}");
        }
    }

    #[test]
    fn other_protocols() {
        for line in [
            "EHLO me\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "OPTIONS rtsp://a RTSP/1.0\r\n",
            "REGISTER sip:a SIP/2.0\r\n",
            "GET /\r\n",
            "get / HTTP/1.1\r\n",
            "\x16\x03\x01\x02",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert_eq!(probe(line.as_bytes(), b""), Probe::No, "{line}");
        }
        assert_eq!(probe(&[b'X'; 5000], b""), Probe::No);
        assert_eq!(probe(b"", b"220 mail\r\n"), Probe::No);
        assert_eq!(probe(b"", b"HTTP/1.2 pas glop"), Probe::No);
        assert_eq!(probe(b"", b"HTTP/1.1\x10101 Switching"), Probe::No);
    }
}

//! What a file is that is no capture: for the message that says so.

/// A description of a file's first bytes.
pub(crate) fn describe(head: &[u8], compression: Option<&str>) -> String {
    let what = match head {
        [] => "an empty file".to_owned(),
        [0x7f, b'E', b'L', b'F', ..] => with_bytes(head, "an ELF program"),
        [b'M', b'Z', ..] => with_bytes(head, "a Windows program"),
        [b'P', b'K', 3, 4, ..] => with_bytes(head, "a zip archive"),
        [b'%', b'P', b'D', b'F', ..] => with_bytes(head, "a PDF document"),
        [0x1f, 0x8b, ..] => with_bytes(head, "gzip again"),
        [b'B', b'Z', b'h', ..] => with_bytes(head, "bzip2, which is not supported"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => with_bytes(head, "xz, which is not supported"),
        [b's', b'n', b'o', b'o', b'p', 0, ..] => "a snoop capture, which is not supported".to_owned(),
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x34, 0xcd, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0xcd, 0x34, ..] => {
            format!("a pcap file that was cut within its header of 24 bytes, after {}", head.len())
        }
        _ => match text(head) {
            Some(text) => format!("text that begins with {text:?}"),
            None => with_bytes(head, "unknown"),
        },
    };
    match compression {
        Some(name) => format!("{name} of {what}"),
        None => what,
    }
}

fn with_bytes(head: &[u8], name: &str) -> String {
    let bytes: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("begins with {} ({name})", bytes.join(" "))
}

/// The first line's beginning, if it is printable.
fn text(head: &[u8]) -> Option<String> {
    // The head may end within a character.
    let text = match core::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            core::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || c.is_ascii_whitespace();
    (!text.is_empty() && text.chars().all(printable)).then(|| {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        line.trim().chars().take(24).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_is() {
        assert_eq!(describe(b"", None), "an empty file");
        assert_eq!(describe(b"\x7fELF\x02\x01", None), "begins with 7f 45 4c 46 (an ELF program)");
        assert_eq!(describe(b"#!/bin/sh\necho", None), "text that begins with \"#!/bin/sh\"");
        assert_eq!(
            describe("gr\u{fc}n".as_bytes(), Some("gzip")),
            "gzip of text that begins with \"gr\u{fc}n\""
        );
        assert_eq!(describe(&"gr\u{fc}".as_bytes()[..3], None), "text that begins with \"gr\"");
        assert_eq!(describe(b"\0\x01\x02", None), "begins with 00 01 02 (unknown)");
        assert!(describe(b"\xd4\xc3\xb2\xa1\x02", None).contains("after 5"));
        assert!(describe(b"snoop\0\0\0\0", None).contains("snoop"));
    }
}

//! Text, sizes and times for people.

use super::address::{hex_digit, write_number};

/// Appends text from the wire so that it can't control a terminal, on one line: white space with a line break in it becomes one space.
pub(super) fn write_clean(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        write_clean_str(chunk.valid(), out);
        for &byte in chunk.invalid() {
            write_byte_escape(byte, out);
        }
    }
}

fn write_clean_str(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let space = white_space_len(rest);
        if space > 0 {
            let (run, after) = rest.split_at(space);
            if run.contains(['\n', '\r']) {
                out.push(b' ');
            } else {
                out.extend(run.bytes().map(|_| b' '));
            }
            rest = after;
            continue;
        }
        match c {
            '\0'..='\x1f' | '\x7f' => write_byte_escape(c as u8, out),
            c if is_deceptive(c) => out.extend(c.escape_unicode().map(|c| c as u8)),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
}

/// Bytes of ASCII white space at the start.
fn white_space_len(text: &str) -> usize {
    text.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Control characters beyond ASCII, and characters that reorder text, break lines or can't be seen.
const fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

fn write_byte_escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
}

/// `1 row`, `3 rows`.
pub(super) fn write_count(count: u64, what: &str, out: &mut Vec<u8>) {
    write_number(count, out);
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
    if count != 1 {
        out.push(b's');
    }
}

/// A duration in nanoseconds with three digits, cut and not rounded: `850 ns`, `18.3 µs`, `1.20 ms`, `12.0 s`, `3600 s`.
pub(super) fn write_duration(nanos: u64, out: &mut Vec<u8>) {
    write_scaled(nanos, &[(1_000_000_000, " s"), (1_000_000, " ms"), (1000, " µs")], " ns", out);
}

/// A number of bytes: exact up to 9999, then with three digits, cut and not rounded: `12.3 KiB`.
pub(super) fn write_bytes(bytes: u64, out: &mut Vec<u8>) {
    let units: &[(u64, &str)] = match bytes {
        0..10_000 => &[],
        _ => &[(1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB")],
    };
    write_scaled(bytes, units, " B", out);
}

/// `value` in the first of `units` (largest first) that it reaches, else as it is.
fn write_scaled(value: u64, units: &[(u64, &str)], smallest: &str, out: &mut Vec<u8>) {
    let Some(&(unit, name)) = units.iter().find(|(unit, _)| value >= *unit) else {
        write_number(value, out);
        return out.extend_from_slice(smallest.as_bytes());
    };
    let whole = value / unit;
    let hundredths = u128::from(value % unit) * 100 / u128::from(unit);
    write_number(whole, out);
    if whole < 100 {
        out.push(b'.');
        write_number(hundredths / 10, out);
    }
    if whole < 10 {
        write_number(hundredths % 10, out);
    }
    out.extend_from_slice(name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn durations() {
        for (nanos, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1000, "1.00 µs"),
            (18_390, "18.3 µs"),
            (183_000, "183 µs"),
            (999_999, "999 µs"),
            (1_209_000, "1.20 ms"),
            (200_000_000, "200 ms"),
            (12_040_000_000, "12.0 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(with(|out| write_duration(nanos, out)), expected);
        }
    }

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (9999, "9999 B"),
            (10_000, "9.76 KiB"),
            (1 << 20, "1.00 MiB"),
            (u64::MAX, "17179869183 GiB"),
        ] {
            assert_eq!(with(|out| write_bytes(bytes, out)), expected);
        }
    }

    #[test]
    fn statements_stay_on_their_line() {
        for (text, expected) in [
            ("SELECT a,\n       b\r\n  FROM t", "SELECT a, b FROM t"),
            ("a  b\tc", "a  b c"),
            ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
            ("\u{9b}31m \u{202e}gnp", r"\u{9b}31m \u{202e}gnp"),
            ("grün €", "grün €"),
        ] {
            assert_eq!(with(|out| write_clean(text.as_bytes(), out)), expected);
        }
        assert_eq!(with(|out| write_clean(b"a\xffb\xe2\x82", out)), r"a\xffb\xe2\x82");
    }

    proptest! {
        #[test]
        fn nothing_controls_the_terminal(bytes: Vec<u8>) {
            let clean = with(|out| write_clean(&bytes, out));
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_deceptive(c)), "{clean:?}");
        }
    }
}

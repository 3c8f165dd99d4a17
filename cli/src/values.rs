//! Values of options: sizes with suffixes, durations in seconds; and the nearest of several names.

use core::time::Duration;

/// A number of bytes: `65536`, `64K`, `64M`, `1G` (powers of 1024).
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err("expected a number of bytes such as 65536, 64K, 64M or 1G".into()),
    };
    let number: usize =
        digits.parse().map_err(|_| "expected a number of bytes such as 65536, 64K, 64M or 1G")?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

/// A time in seconds, with decimals if need be; more than nothing.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds such as 10 or 0.5")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a number of seconds above 0".into()),
    }
}

/// A whole number above 0.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number above 0".into()),
    }
}

/// Workers at the most: more than any machine has cores for, few enough that a slip of the finger does not bring it down.
const MAX_THREADS: usize = 256;

/// A number of workers.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match positive(text) {
        Ok(number) if number <= MAX_THREADS => Ok(number),
        _ => Err(format!("expected a whole number from 1 to {MAX_THREADS}")),
    }
}

/// A size as the help shows it: `64M`.
pub(crate) fn show_size(bytes: usize) -> String {
    for (shift, suffix) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// The name that `wrong` was probably meant to be.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = names.into_iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name)).min()?;
    // Two slips, or one in a short name, is still the same word.
    (best.0 <= 2.min(best.1.len() / 2)).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        for wrong in ["", "K", "-1", "1.5M", "64X", "99999999999G", "1 G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shown_sizes_read_back() {
        for bytes in [0, 1, 1023, 1024, 65_536, 64 << 20, 3 << 30, (1 << 20) + 1] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_size(64 << 20), "64M");
    }

    #[test]
    fn times() {
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "0", "-1", "ten", "NaN", "inf", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn slips() {
        let names = || ["mysql", "redis", "tcp", "lo", "eth0"].into_iter();
        assert_eq!(nearest("mysq", names()), Some("mysql"));
        assert_eq!(nearest("rdeis", names()), Some("redis"));
        assert_eq!(nearest("eht0", names()), Some("eth0"));
        assert_eq!(nearest("l0", names()), Some("lo"));
        assert_eq!(nearest("oracle", names()), None);
    }
}

//! Timestamps as sinks write them: in UTC, by hand, since they stand in every event.
//!
//! No state and no calendar library: a date costs a dozen integer operations.

use sniff_x_flow::Nanos;

const DAY: u64 = 86_400;

/// Appends an RFC 3339 timestamp of 30 bytes in UTC: `2026-03-01T10:00:00.000123456Z`.
pub fn write_rfc3339(time: Nanos, out: &mut Vec<u8>) {
    let seconds = time.0 / Nanos::SECOND;
    let (year, month, day) = date(seconds / DAY);
    let [y0, y1] = two(year / 100);
    let [y2, y3] = two(year % 100);
    let [m0, m1] = two(month);
    let [d0, d1] = two(day);
    let [h0, h1, c0, n0, n1, c1, s0, s1] = clock(seconds);
    let [f0, f1, f2, f3, f4, f5, f6, f7, f8] = fraction(time);
    out.extend_from_slice(&[
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, c0, n0, n1, c1, s0, s1, b'.', f0, f1, f2,
        f3, f4, f5, f6, f7, f8, b'Z',
    ]);
}

/// Appends date and time of day in UTC with microseconds, 26 bytes: `2026-03-01 10:00:00.000123`.
pub fn write_date(time: Nanos, out: &mut Vec<u8>) {
    let start = out.len();
    write_rfc3339(time, out);
    out.truncate(start + 26);
    if let Some(between) = out.get_mut(start + 10) {
        *between = b' ';
    }
}

/// Appends the time of day in UTC with microseconds, 15 bytes: `10:00:00.000123`.
pub fn write_time_of_day(time: Nanos, out: &mut Vec<u8>) {
    out.extend_from_slice(&clock(time.0 / Nanos::SECOND));
    let [f0, f1, f2, f3, f4, f5, ..] = fraction(time);
    out.extend_from_slice(&[b'.', f0, f1, f2, f3, f4, f5]);
}

/// `HH:MM:SS` of a number of seconds.
fn clock(seconds: u64) -> [u8; 8] {
    let second = low(seconds % DAY);
    let [h0, h1] = two(second / 3600);
    let [m0, m1] = two(second / 60 % 60);
    let [s0, s1] = two(second % 60);
    [h0, h1, b':', m0, m1, b':', s0, s1]
}

/// The nine digits behind the second.
fn fraction(time: Nanos) -> [u8; 9] {
    let nanos = low(time.0 % Nanos::SECOND);
    let [a0, a1] = two(nanos / 10_000_000);
    let [b0, b1] = two(nanos / 100_000 % 100);
    let [c0, c1] = two(nanos / 1000 % 100);
    let [d0, d1] = two(nanos / 10 % 100);
    [a0, a1, b0, b1, c0, c1, d0, d1, digit(nanos)]
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// Counts from 1 March of year 0 in eras of 400 years (146,097 days), so that leap days come last: the algorithm of
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: u64) -> (u32, u32, u32) {
    let shifted = low(days) + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

/// Two decimal digits of a number below 100.
fn two(value: u32) -> [u8; 2] {
    [digit(value / 10), digit(value)]
}

/// The last decimal digit.
fn digit(value: u32) -> u8 {
    let [low, ..] = (value % 10).to_le_bytes();
    b'0' + low
}

/// A number that is known to be below 2³²: 2⁶⁴ nanoseconds are 213,504 days.
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(time: u64) -> String {
        let mut out = Vec::new();
        write_rfc3339(Nanos(time), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Expected values come from GNU date: `date -u -d @951782400 +%FT%TZ`.
    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_782_399 * Nanos::SECOND + 999_999_999), "2000-02-28T23:59:59.999999999Z");
        assert_eq!(rfc3339(951_782_400 * Nanos::SECOND), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(rfc3339(4_107_542_400 * Nanos::SECOND), "2100-03-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_772_359_200_000_123_456), "2026-03-01T10:00:00.000123456Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    /// Every day of six centuries is the day after the one before, by the rules for months and leap years.
    #[test]
    fn days_follow_each_other() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for n in 0..213_503 {
            assert_eq!(date(n), (year, month, day), "day {n}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn time_of_day() {
        let mut out = Vec::new();
        write_time_of_day(Nanos(1_772_359_200_000_123_456), &mut out);
        assert_eq!(out, b"10:00:00.000123");
        out.clear();
        write_date(Nanos(1_772_359_200_000_123_456), &mut out);
        assert_eq!(out, b"2026-03-01 10:00:00.000123");
    }
}

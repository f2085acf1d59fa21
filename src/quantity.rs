//! Sizes and spans of time as people write them, such as `20MB` and `30d`.

use std::str::FromStr;
#[cfg(feature = "cli")]
use std::time::Duration;

use crate::error::Error;

/// A number of bytes: alone, or with a unit in decimal (`20M`, `1.5GB`) or binary (`64KiB`) steps, in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = scaled(text, |unit| {
            let (prefix, step) = match unit.strip_suffix('b').unwrap_or(unit) {
                binary if binary.ends_with('i') => (&binary[..binary.len() - 1], 1024_u64),
                "" => return Some(1),
                decimal => (decimal, 1000),
            };
            let power = ["k", "m", "g", "t", "p"]
                .iter()
                .position(|it| *it == prefix)?;
            step.checked_pow(u32::try_from(power).ok()? + 1)
        });
        let expected = "expected a number of bytes, such as 8MiB or 500KB";
        bytes.map(Self).ok_or_else(|| Error::argument(expected))
    }
}

/// A span of time with its unit, such as `90s`, `12h`, `30d`, `2w` or `6mo`. A month has 30 days, and a year 365.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeSpan(pub(crate) Duration);

#[cfg(feature = "cli")]
impl FromStr for TimeSpan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const DAY: u64 = 24 * 60 * 60;
        let seconds = scaled(text, |unit| {
            Some(match unit {
                "s" => 1,
                "m" => 60,
                "h" => 60 * 60,
                "d" => DAY,
                "w" => 7 * DAY,
                "mo" => 30 * DAY,
                "y" => 365 * DAY,
                _ => return None,
            })
        });
        let span = seconds.map(|seconds| Self(Duration::from_secs(seconds)));
        let expected = "expected a number and a unit (s, m, h, d, w, mo, y), such as 30d";
        span.ok_or_else(|| Error::argument(expected))
    }
}

/// Reads a number that may have a fraction, and multiplies it by what its unit stands for; `None` for anything else.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let text = text.trim();
    let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, name) = text.split_at(text.find(|c| !is_of_number(c)).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let factor = unit(&name.trim_start().to_ascii_lowercase())?;
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(digits.checked_mul(factor.into())? / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1234", Some(1234)),
            ("12 B", Some(12)),
            ("500KB", Some(500_000)),
            ("20M", Some(20_000_000)),
            (" 1.5 gb ", Some(1_500_000_000)),
            (".5k", Some(500)),
            ("64KiB", Some(65_536)),
            ("1.5Gi", Some(1_610_612_736)),
            ("2T", Some(2_000_000_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18447PB", None),
            ("1.00000000000000000000000000000000000000001k", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("M", None),
            ("1i", None),
            ("20X", None),
            ("20M/s", None),
        ] {
            let parsed = text.parse().ok();
            assert_eq!(parsed.map(|ByteSize(bytes)| bytes), expected, "{text}");
        }
        let error = "20X".parse::<ByteSize>().unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn spans_of_time_need_a_unit() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("1.5m", Some(90)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("2 w", Some(1_209_600)),
            ("1mo", Some(2_592_000)),
            ("1Y", Some(31_536_000)),
            ("0d", Some(0)),
            ("30", None),
            ("d", None),
            ("30 days", None),
            ("-1d", None),
            ("600000000000000y", None),
        ] {
            let parsed = text.parse().ok();
            let seconds = parsed.map(|TimeSpan(span)| span.as_secs());
            assert_eq!(seconds, expected, "{text}");
        }
    }
}

//! Times as text: RFC 3339, in UTC.

use std::time::SystemTime;

use jiff::Timestamp;
#[cfg(feature = "author")]
use jiff::{civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serializer};

/// Formats a time to the second, such as `2026-01-31T12:00:00Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let rounded =
        Timestamp::try_from(time).and_then(|time| Timestamp::from_second(time.as_second()));
    rounded.unwrap_or_default().to_string()
}

/// Formats a time to the microsecond, such as `2026-01-31T12:00:00.123456Z`, so that consecutive changes have an order.
#[cfg(feature = "author")]
pub(crate) fn rfc3339_micros(time: SystemTime) -> String {
    let rounded = Timestamp::try_from(time)
        .and_then(|time| Timestamp::from_microsecond(time.as_microsecond()));
    rounded.unwrap_or_default().to_string()
}

/// Returns the current time, to the microsecond.
pub(crate) fn now() -> SystemTime {
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond());
    now.ok()
        .and_then(of_timestamp)
        .unwrap_or_else(SystemTime::now)
}

/// Parses a time with any offset and any number of fractional digits.
pub(crate) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    of_timestamp(text.parse().ok()?)
}

/// Converts a time; returns `None` if the system cannot represent it: Windows starts in 1601.
pub(crate) fn of_timestamp(time: Timestamp) -> Option<SystemTime> {
    let since = time.as_duration();
    match since.is_negative() {
        true => SystemTime::UNIX_EPOCH.checked_sub(since.unsigned_abs()),
        false => SystemTime::UNIX_EPOCH.checked_add(since.unsigned_abs()),
    }
}

/// Parses a time with an offset, or without one and then in UTC, as many programs write it.
#[cfg(feature = "author")]
pub(crate) fn parse_any(text: &str) -> Option<SystemTime> {
    let without_offset = || {
        let time: DateTime = text.parse().ok()?;
        let time = time.to_zoned(TimeZone::UTC).ok()?;
        of_timestamp(time.timestamp())
    };
    parse_rfc3339(text).or_else(without_offset)
}

pub(crate) fn serialize<S: Serializer>(
    time: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
    parse_rfc3339(&text)
        .ok_or_else(|| serde::de::Error::custom("expected a time such as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_other_programs_write() {
        let expected = parse_rfc3339("2026-01-31T12:00:00Z").unwrap();
        assert_eq!(rfc3339(expected), "2026-01-31T12:00:00Z");
        assert_eq!(parse_rfc3339("2026-01-31T14:00:00+02:00"), Some(expected));
        let go = parse_rfc3339("2026-01-31T13:00:00.123456789+01:00").unwrap();
        assert_eq!(rfc3339(go), "2026-01-31T12:00:00Z");
        #[cfg(feature = "author")]
        assert_eq!(rfc3339_micros(go), "2026-01-31T12:00:00.123456Z");
        assert_eq!(parse_rfc3339("yesterday"), None);
        assert_eq!(parse_rfc3339("2026-01-31T12:00:00"), None);
        // Not every system has so early a time.
        let ides = parse_rfc3339("-000043-03-15T12:00:00Z");
        assert!(ides.is_none_or(|time| time < SystemTime::UNIX_EPOCH));
    }

    #[cfg(feature = "author")]
    #[test]
    fn a_time_without_an_offset_is_utc() {
        let expected = parse_rfc3339("2026-01-31T12:00:00Z");
        for text in [
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00",
            "2026-01-31T14:00:00+02:00",
        ] {
            assert_eq!(parse_any(text), expected, "{text}");
        }
        assert!(parse_any("2026-01-31T12:00:00.123456").is_some());
        assert_eq!(parse_any("soon"), None);
    }
}

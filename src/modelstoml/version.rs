//! Versions as people number them: which of two is higher, and which comes next.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

/// The first version of a model that does not state one.
#[cfg(feature = "author")]
pub(crate) const FIRST: &str = "1.0.0";

/// Compares two versions, numbers in them by value and the rest as text. A longer version is higher, except for a
/// pre-release, which has a suffix after `-`: `1.0.0-rc1 < 1.0.0 < 1.0.0.1 < 1.10`.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (release, other_release) = (before_dash(one), before_dash(other));
    natural(release.0, other_release.0)
        .then_with(|| match (release.1, other_release.1) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => natural(one, other),
        })
        // Those of equal value, such as 1.0 and 1.00, need an order too.
        .then_with(|| one.cmp(other))
}

/// Returns the next version: the last number goes up by one if it is the third or a later one, else a number is added.
#[cfg(feature = "author")]
pub(crate) fn next_patch(version: &str) -> String {
    let release = before_dash(version).0;
    let digits = release.len() - release.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (front, number) = release.split_at(release.len() - digits);
    let parts = release.split('.').count();
    match number.parse::<u64>().ok().and_then(|n| n.checked_add(1)) {
        // The release comes after its pre-release.
        Some(_) if version != release && parts >= 3 => release.to_owned(),
        Some(next) if parts >= 3 => format!("{front}{next}"),
        Some(_) if parts == 2 => format!("{release}.1"),
        Some(_) if parts == 1 => format!("{release}.0.1"),
        _ => format!("{version}.1"),
    }
}

fn before_dash(version: &str) -> (&str, Option<&str>) {
    let parts = version.split_once('-');
    parts.map_or((version, None), |(release, rest)| (release, Some(rest)))
}

/// Compares texts, numbers in them by value.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.chars().peekable(), other.chars().peekable());
    loop {
        let order = match (one.peek(), other.peek()) {
            (None, None) => return Ordering::Equal,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (a, b) = (number(&mut one), number(&mut other));
                a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
            }
            _ => one.next().cmp(&other.next()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the next digits, without leading zeros.
fn number(chars: &mut Peekable<Chars<'_>>) -> String {
    let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
    digits.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_that_people_expect() {
        let in_order = [
            "0.9",
            "1",
            "1.0.0-rc1",
            "1.0.0-rc2",
            "1.0.0-rc10",
            "1.0.0",
            "1.0.1",
            "1.0.9",
            "1.0.10",
            "1.1",
            "1.10",
            "2",
            "99999999999999999999999",
            "100000000000000000000000",
            "develop",
            "v1.2",
            "v1.10",
        ];
        for (at, one) in in_order.iter().enumerate() {
            for (other_at, other) in in_order.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&other_at), "{one} {other}");
            }
        }
        assert_ne!(compare("1.0", "1.00"), Ordering::Equal);
    }

    #[cfg(feature = "author")]
    #[test]
    fn the_next_patch_is_higher() {
        for (version, next) in [
            ("1.0.0", "1.0.1"),
            ("1.0.9", "1.0.10"),
            ("v1.2.3", "v1.2.4"),
            ("2.1", "2.1.1"),
            ("3", "3.0.1"),
            ("1.0.0-rc1", "1.0.0"),
            ("1.0-rc1", "1.0.1"),
            ("develop", "develop.1"),
            ("1.2.3.4", "1.2.3.5"),
            ("1.0.18446744073709551615", "1.0.18446744073709551615.1"),
        ] {
            assert_eq!(next_patch(version), next);
            assert_eq!(compare(version, next), Ordering::Less, "{version} {next}");
        }
    }
}

//! Values of options: sizes.

/// Parses `8MiB`, `500KB` or `4096`: units with an `i` are binary, others decimal.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let invalid = || "expected a number of bytes, such as 8MiB or 500KB".to_owned();
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("8MiB", Some(8 << 20)),
            ("500KB", Some(500_000)),
            ("4096", Some(4096)),
            ("1 GiB", Some(1 << 30)),
            ("x", None),
            ("8Q", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }
}

//! Sizes for people.

/// Shows a number of bytes in decimal units, rounded to one decimal place.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would round to 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Shows two sizes that differ: to the byte if rounding would hide it.
pub(crate) fn sizes_apart(one: u64, other: u64) -> [String; 2] {
    let rounded = [one, other].map(size);
    match rounded[0] == rounded[1] {
        true => [one, other].map(|bytes| format!("{bytes} B")),
        false => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KB"),
            (999_949, "999.9 KB"),
            (999_950, "1.0 MB"),
            (5_200_000, "5.2 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn rounding_does_not_make_sizes_look_the_same() {
        let shown = |one, other| sizes_apart(one, other).join(" ");
        assert_eq!(shown(67_100_000, 21_000_000), "67.1 MB 21.0 MB");
        assert_eq!(shown(67_100_000, 67_100_001), "67100000 B 67100001 B");
    }
}

//! Sizes, times and names for people, and text that cannot control their terminal.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use crate::relpath::is_invisible;

/// Escapes the characters of a foreign text that would control the terminal.
pub(super) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// Returns whether a character controls the terminal or changes how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Passes JSON on, with the same characters escaped as by [`safe`]: they occur only in its strings, where `\u` and four
/// digits stand for them. Flushing passes on the rest.
pub(super) struct SafeJson<W> {
    out: W,
    /// Whole characters, as serialisers write them. Scanning blocks is faster than scanning each piece.
    held: Vec<u8>,
    /// Whether line breaks are dropped, which only metadata can have: they are passed on as their registry has them.
    is_one_line: bool,
}

impl<W: Write> SafeJson<W> {
    const BLOCK_BYTES: usize = 32 << 10;

    pub(super) fn new(out: W, is_one_line: bool) -> Self {
        Self {
            out,
            held: Vec::new(),
            is_one_line,
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        if self.is_one_line && self.held.iter().any(is_break) {
            self.held.retain(|byte| !is_break(byte));
        }
        let mut rest = std::str::from_utf8(&self.held).map_err(io::Error::other)?;
        let plain = rest.is_ascii() && !self.held.contains(&0x7f);
        let mut seen = if plain { rest.len() } else { 0 };
        // Everything below is harmless, or escaped already.
        let special = |text: &str| text.bytes().position(|byte| byte >= 0x7f);
        while let Some(at) = special(&rest[seen..]).map(|at| seen + at) {
            let c = rest[at..].chars().next().unwrap_or_default();
            seen = at + c.len_utf8();
            if is_hidden(c) {
                self.out.write_all(&rest.as_bytes()[..at])?;
                write!(self.out, "\\u{:04x}", u32::from(c))?;
                (rest, seen) = (&rest[seen..], 0);
            }
        }
        self.out.write_all(rest.as_bytes())?;
        self.held.clear();
        Ok(())
    }
}

impl<W: Write> Write for SafeJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= Self::BLOCK_BYTES {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }
}

/// Shows a number of bytes in decimal units, rounded to one decimal place.
pub(super) fn size(bytes: u64) -> String {
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

/// Shows a duration in its two largest units, such as `2m 15s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Shows a time to the minute, in UTC, such as `2026-01-31 12:00`.
pub(super) fn time(time: SystemTime) -> String {
    let time = crate::time::rfc3339(time);
    time.get(..16).unwrap_or_default().replace('T', " ")
}

/// The same, with the name of the time zone.
pub(super) fn utc(time: SystemTime) -> String {
    format!("{} UTC", self::time(time))
}

/// Shows how long ago a time was, such as `2m 15s ago`.
pub(super) fn age(time: SystemTime) -> String {
    format!("{} ago", duration(time.elapsed().unwrap_or_default()))
}

/// Shows a count with its noun, such as `1 file` or `2 files`.
pub(super) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    // Whatever is counted, memory or a disk holds it.
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Shows an optional text; a dash if there is none.
pub(super) fn or_dash(text: Option<&str>) -> String {
    let text = text.filter(|text| !text.is_empty());
    text.unwrap_or("-").to_owned()
}

/// Shortens a commit; `None` for one that is shorter already.
pub(super) fn short_commit(commit: Option<&str>) -> Option<&str> {
    commit?.get(..12)
}

/// Shows a source and its ref, as people write them.
pub(super) fn source_at_ref(source: &str, reference: Option<&str>) -> String {
    match reference {
        Some(reference) => format!("{source}@{reference}"),
        None => source.to_owned(),
    }
}

/// Formats named values, one a line.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let names: Vec<String> = fields.iter().map(|(name, _)| safe(name) + ":").collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let lines = names.iter().zip(fields);
    let lines = lines.map(|(name, (_, value))| format!("{name:width$} {}", safe(value)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_short() {
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
        for (seconds, expected) in [
            (5, "5s"),
            (150, "2m 30s"),
            (3900, "1h 5m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(
            (count(1, "file"), count(0, "file")),
            ("1 file".into(), "0 files".into())
        );
    }

    #[test]
    fn json_is_escaped_wherever_its_blocks_end() {
        let hidden = "ä\u{7f}\u{9b}b\u{61c}日\u{202e}\u{feff}c";
        for filler in [0, 1, (32 << 10) - 8, (32 << 10) - 1, 70_000] {
            let text = format!("{}{hidden}{}", "é".repeat(filler / 2), "x".repeat(filler));
            let mut out = Vec::new();
            let mut json = SafeJson::new(&mut out, false);
            serde_json::to_writer_pretty(&mut json, &[text.as_str(), hidden]).unwrap();
            json.flush().unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains(|c| is_hidden(c) && c != '\n'));
            assert!(out.contains(r"ä\u007f\u009bb\u061c日\u202e\ufeffc"));
            let back: Vec<String> = serde_json::from_str(&out).unwrap();
            assert_eq!(back, [text.as_str(), hidden]);
        }
    }
}

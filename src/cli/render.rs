//! Sizes, times and names for people, in the width of their terminal, and text that cannot control it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::builder::styling::AnsiColor;
use unicode_width::UnicodeWidthStr;

use crate::relpath::is_invisible;
pub(super) use crate::size::size;

/// Escapes the characters of a foreign text that would control the terminal.
pub(super) fn safe(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
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

/// Shows how long is still to be waited, rounded up: nothing that waits has no time left.
pub(super) fn countdown(left: Duration) -> String {
    duration(left.saturating_add(Duration::from_nanos(999_999_999)))
}

/// Shows how long something took, such as `0.2s` or `2m 15s`.
pub(super) fn elapsed(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        // Rounded up, since nothing takes no time.
        millis @ 0..1000 => format!("0.{}s", millis.div_ceil(100).clamp(1, 9)),
        _ => duration(elapsed),
    }
}

/// Shows a time to the minute, such as `2026-01-31 12:00 UTC`.
pub(super) fn utc(time: SystemTime) -> String {
    let time = crate::time::rfc3339(time);
    let minute = time.get(..16).unwrap_or_default();
    format!("{} UTC", minute.replace('T', " "))
}

/// Shows how long before another a time was, such as `3 hours ago`.
///
/// Clocks are set back, and differ between machines that share a disk: a time that has not come yet is shown as it is.
pub(super) fn age(time: SystemTime, now: SystemTime) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let ahead = time.duration_since(now).unwrap_or_default();
    if ahead.as_secs() >= MINUTE {
        return utc(time);
    }
    let seconds = now.duration_since(time).unwrap_or_default().as_secs();
    let (unit, noun) = match seconds {
        0..MINUTE => return "just now".to_owned(),
        MINUTE..HOUR => (MINUTE, "minute"),
        HOUR..DAY => (HOUR, "hour"),
        _ if seconds < 60 * DAY => (DAY, "day"),
        _ if seconds < 730 * DAY => (30 * DAY, "month"),
        _ => (365 * DAY, "year"),
    };
    format!("{} ago", count(seconds / unit, noun))
}

/// Returns the colour of a word for a state; `None` for one that needs no attention.
pub(super) fn state_colour(state: &str) -> Option<AnsiColor> {
    match state {
        "available" | "installed" | "synced" => Some(AnsiColor::Green),
        "pending" | "downloading" | "update" | "not synced" | "interrupted" => {
            Some(AnsiColor::Yellow)
        }
        "error" | "failed" | "deleted" => Some(AnsiColor::Red),
        _ => None,
    }
}

/// Colours a text.
pub(super) fn shade(colour: AnsiColor, text: &str) -> String {
    let style = colour.on_default();
    format!("{style}{text}{style:#}")
}

/// How much fits into a line, and how a text is cut to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) columns: usize,
    /// What stands for the rest of a text.
    ellipsis: &'static str,
}

impl Room {
    /// Without UTF-8, the ellipsis is three dots.
    pub(super) const fn new(columns: usize, is_utf8: bool) -> Self {
        let ellipsis = if is_utf8 { "…" } else { "..." };
        Self { columns, ellipsis }
    }

    /// Returns another number of columns in the same place.
    pub(super) fn of(self, columns: usize) -> Self {
        Self { columns, ..self }
    }

    /// Cuts a text, with an ellipsis in place of the rest.
    pub(super) fn cut(self, text: &str) -> Cow<'_, str> {
        if text.width() <= self.columns {
            return text.into();
        }
        let Some(room) = self.columns.checked_sub(self.ellipsis.width()) else {
            return ".".repeat(self.columns).into();
        };
        // Characters may combine, so that the width of a text is not the sum of theirs; some combine without end.
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let ends = ends.take(8 * self.columns);
        let end = ends.take_while(|end| text[..*end].width() <= room).last();
        let end = end.unwrap_or_default();
        format!("{}{}", text[..end].trim_end(), self.ellipsis).into()
    }
}

/// Breaks a text between words into lines of a number of columns. One with a path or URL stays whole, so that it can be
/// copied.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    if text.contains(['/', '\\']) {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Lists files by what became of them, each in a line of its own.
pub(super) fn changes<'a>(
    added: &'a [String],
    changed: &'a [String],
    removed: &'a [String],
) -> impl Iterator<Item = String> + 'a {
    let signs = [('+', added), ('~', changed), ('-', removed)];
    let lines = |(sign, files): (char, &'a [String])| {
        files.iter().map(move |file| format!("  {sign} {file}"))
    };
    signs.into_iter().flat_map(lines)
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

/// Formats named values, each on a line of its own, or on several if it is wider than the terminal.
pub(super) fn fields(fields: &[(&str, String)], columns: Option<usize>) -> String {
    /// The least that values get of a narrow terminal.
    const LEAST: usize = 12;
    let names: Vec<String> = fields.iter().map(|(name, _)| safe(name) + ":").collect();
    let width = names
        .iter()
        .map(|name| name.width())
        .max()
        .unwrap_or_default();
    let room = columns.map_or(usize::MAX, |columns| {
        columns.saturating_sub(width + 1).max(LEAST)
    });
    let mut lines = Vec::new();
    for (name, (_, value)) in names.iter().zip(fields) {
        let indent = " ".repeat(width - name.width());
        let value = wrapped(&safe(value), room);
        lines.push(format!("{name}{indent} {}", value[0]));
        let rest = value[1..].iter();
        lines.extend(rest.map(|line| format!("{} {line}", " ".repeat(width))));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts_are_short() {
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
    fn ages_are_for_people_and_a_clock_that_went_back_makes_none_up() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let before = |seconds| age(now - Duration::from_secs(seconds), now);
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3 * 3600 + 59, "3 hours ago"),
            (47 * 3600, "1 day ago"),
            (59 * 86_400, "59 days ago"),
            (60 * 86_400, "2 months ago"),
            (729 * 86_400, "24 months ago"),
            (730 * 86_400, "2 years ago"),
        ] {
            assert_eq!(before(seconds), expected);
        }
        let after = |seconds| age(now + Duration::from_secs(seconds), now);
        assert_eq!(after(59), "just now");
        assert_eq!(after(3600), "2027-01-15 09:00 UTC");
    }

    #[test]
    fn what_took_less_than_a_second_took_some_time() {
        for (millis, expected) in [
            (0, "0.1s"),
            (1, "0.1s"),
            (200, "0.2s"),
            (999, "0.9s"),
            (1000, "1s"),
        ] {
            assert_eq!(elapsed(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn text_is_cut_by_the_columns_that_it_takes() {
        let joined = "e\u{301}e\u{301}e\u{301}e\u{301}";
        for (text, columns, expected) in [
            ("model", 5, "model"),
            ("model", 4, "mod…"),
            ("a model", 3, "a…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日本", 2, "…"),
            (joined, 4, joined),
            (joined, 3, "e\u{301}e\u{301}…"),
            ("model", 1, "…"),
            ("model", 0, ""),
        ] {
            let cut = Room::new(columns, true).cut(text);
            assert_eq!(cut, expected, "{text} {columns}");
        }
        for (text, columns, expected) in [
            ("model", 5, "model"),
            ("a longer model", 9, "a long..."),
            ("日本語モデル", 9, "日本語..."),
            ("model", 3, "..."),
            ("model", 2, ".."),
            ("model", 0, ""),
        ] {
            let cut = Room::new(columns, false).cut(text);
            assert_eq!(cut, expected, "{text} {columns}");
        }
    }

    #[test]
    fn values_are_broken_between_words_unless_there_is_a_path_in_them() {
        let path = "/a path/that stays";
        let about = "日本 words, an extraordinarily long one and more";
        let all = [("id", path), ("about", about)].map(|(name, value)| (name, value.to_owned()));
        assert_eq!(fields(&all, None), format!("id:    {path}\nabout: {about}"));
        let expected = "id:    /a path/that stays\nabout: 日本 words,\n       an\n       \
                        extraordinarily\n       long one and\n       more";
        assert_eq!(fields(&all, Some(10)), expected);
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

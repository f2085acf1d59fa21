//! Lines of progress: a name, a bar, and what else fits into the width of a terminal.

use unicode_width::UnicodeWidthStr;

use super::render::{Room, size};

/// The most and the fewest cells of a bar; a text that is cut keeps twice the latter.
const CELLS: (usize, usize) = (30, 6);

/// A part of a line: a text that may be cut if it has an end, which then stays.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) end: String,
}

impl Part {
    /// A part that is whole or left out.
    pub(super) fn whole(text: impl Into<String>) -> Self {
        let (text, end) = (text.into(), String::new());
        Self { text, end }
    }

    fn width(&self) -> usize {
        self.text.width() + self.end.width()
    }

    /// Returns as much as fits, if that says something.
    fn fit(&self, room: Room) -> Option<String> {
        if self.width() <= room.columns {
            return Some(format!("{}{}", self.text, self.end));
        }
        let left = room.columns.checked_sub(self.end.width())?;
        let says_something = !self.end.is_empty() && left >= 2 * CELLS.1;
        says_something.then(|| format!("{}{}", room.of(left).cut(&self.text), self.end))
    }
}

/// Puts as much behind a name as fits: a bar, if the share that is done is known, and the first of some parts.
pub(super) fn fitting(full: &str, percent: Option<u64>, parts: &[Part], room: Room) -> String {
    let columns = room.columns;
    let share = percent.map(|percent| Part::whole(format!("{percent:>3}%")));
    let parts: Vec<&Part> = share.iter().chain(parts).collect();
    let all: usize = parts.iter().map(|part| part.width() + 2).sum();
    // The name keeps half of a narrow terminal.
    let name = room.of(columns.saturating_sub(all).max(columns / 2));
    let name = name.cut(full);
    let left = columns.saturating_sub(name.width());
    let mut tail = String::new();
    for part in parts {
        let Some(part) = part.fit(room.of(left.saturating_sub(tail.width() + 2))) else {
            break;
        };
        tail += &format!("  {part}");
    }
    let cells = left.saturating_sub(tail.width() + 2).min(CELLS.0);
    match percent {
        Some(percent) if cells >= CELLS.1 => {
            let filled = usize::try_from(percent).unwrap_or(100) * cells / 100;
            let tip = if filled < cells { ">" } else { "" };
            let bar = "=".repeat(filled) + tip;
            // One space is enough in front of the share.
            format!("{name} [{bar:cells$}]{}", &tail[1..])
        }
        _ => format!("{name}{tail}"),
    }
}

/// Returns how much is done, in percent.
pub(super) fn share(done: u64, total: u64) -> u64 {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// Shows a part of some bytes, with one unit where it is the same: `22.8 / 67.1 MB`.
pub(super) fn bytes_of(part: u64, total: u64) -> String {
    let (part, total) = (size(part.min(total)), size(total));
    match (part.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, of))) if unit == of => format!("{number} / {total}"),
        _ => format!("{part} / {total}"),
    }
}

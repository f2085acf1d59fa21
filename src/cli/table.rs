//! Tables for people and for programs.

use std::borrow::Cow;
use std::io::Write;

use unicode_width::UnicodeWidthStr;

use super::console::Console;
use super::failure::CliResult;
use super::render::{Room, safe, shade, state_colour};
use super::session::Session;

/// The space between two columns.
const GAP: usize = 2;
/// The fewest columns of a terminal in which a text still says something.
const LEAST: usize = 12;
/// How much of a digest tells it from others, for people: as `docker images` and `podman images` shorten them.
const DIGITS: usize = 12;

/// A table: aligned below a head on a terminal, and no wider than it; elsewhere, tab-separated, whole and without a head,
/// for programs.
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
    names: usize,
    state: Option<usize>,
    is_cut: bool,
    note: Option<String>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(
        head: [&'static str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let rows = rows.into_iter().map(|row| row.map(|cell| safe(&cell)));
        Self {
            head,
            rows: rows.collect(),
            names: 0,
            state: None,
            is_cut: false,
            note: None,
        }
    }

    /// Says that the first columns name a row. A terminal shows them in any case, and with `--quiet`, only they are printed.
    pub(super) fn named_by(mut self, columns: usize) -> Self {
        self.names = columns;
        self
    }

    /// Says which column has the state of a row, whose words are coloured.
    pub(super) fn state(mut self, column: usize) -> Self {
        self.state = Some(column);
        self
    }

    /// Says that the last column is text, which is cut on a terminal before other columns are left out.
    pub(super) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// Prints a note if there are no rows. Without one, nothing is printed then.
    pub(super) fn or_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(super) fn print(self, session: &Session) -> CliResult {
        let console = &session.console;
        if session.output.quiet && self.names > 0 {
            let mut names = self.rows.iter().map(|row| row[..self.names].join(" "));
            let print = |out: &mut dyn Write| names.try_for_each(|name| writeln!(out, "{name}"));
            return Ok(console.with_out(print)?);
        }
        if self.rows.is_empty() {
            self.note.iter().for_each(|note| session.note(note));
            return Ok(());
        }
        Ok(console.print(self.format(console, session.results_coloured))?)
    }

    fn format(&self, console: &Console, is_coloured: bool) -> String {
        let lines = match console.out_is_terminal {
            true => self.aligned(true, console.room(), is_coloured),
            false => self.plain(is_coloured),
        };
        lines.join("\n")
    }

    /// Formats the rows below each other, with or without the head, in the room that there is.
    pub(super) fn aligned(&self, has_head: bool, room: Room, is_coloured: bool) -> Vec<String> {
        let head = has_head.then(|| self.head.map(str::to_owned));
        let rows = self.rows_in(head.as_ref(), room.columns);
        let layout = self.layout(head.as_ref(), &rows, room.columns);
        let line = |row: &[String; N], is_coloured| {
            let mut line = String::new();
            let mut before = 0;
            for &(column, width) in &layout {
                let cell = room.of(width).cut(&row[column]);
                // No spaces at the end of a line.
                line.extend(std::iter::repeat_n(' ', before));
                before = width - cell.width() + GAP;
                line.push_str(&self.coloured(column, &cell, is_coloured));
            }
            line.truncate(line.trim_end().len());
            line
        };
        let head = head.iter().map(|head| line(head, false));
        let rows = rows.iter().map(|row| line(row, is_coloured));
        head.chain(rows).collect()
    }

    /// The rows, in which names are shortened that are digests if the table does not fit: a single version of 64 digits would
    /// cost all rows their other columns.
    fn rows_in(&self, head: Option<&[String; N]>, columns: usize) -> Cow<'_, [[String; N]]> {
        let all: Vec<_> = self.widths(head, &self.rows);
        let mut names = self.rows.iter().flat_map(|row| &row[..self.names]);
        if excess(&all, columns) == 0 || !names.any(|name| short(name).is_some()) {
            return Cow::Borrowed(&self.rows);
        }
        let mut rows = self.rows.clone();
        for name in rows.iter_mut().flat_map(|row| &mut row[..self.names]) {
            if let Some(short) = short(name) {
                *name = short;
            }
        }
        Cow::Owned(rows)
    }

    fn plain(&self, is_coloured: bool) -> Vec<String> {
        let line = |row: &[String; N]| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(column, cell)| self.coloured(column, cell, is_coloured));
            cells.collect::<Vec<_>>().join("\t")
        };
        self.rows.iter().map(line).collect()
    }

    fn coloured(&self, column: usize, cell: &str, is_coloured: bool) -> String {
        let colour = state_colour(cell).filter(|_| is_coloured && self.state == Some(column));
        colour.map_or_else(|| cell.to_owned(), |colour| shade(colour, cell))
    }

    /// Returns the columns that say something, each with its width.
    fn widths(&self, head: Option<&[String; N]>, rows: &[[String; N]]) -> Vec<(usize, usize)> {
        let says_something = |column: &usize| {
            *column < self.names || {
                let mut cells = rows.iter().map(|row| row[*column].as_str());
                cells.any(|cell| !matches!(cell, "" | "-"))
            }
        };
        let width = |column: usize| {
            let rows = head.into_iter().chain(rows);
            rows.map(|row| row[column].width())
                .max()
                .unwrap_or_default()
        };
        let shown = (0..N).filter(says_something);
        shown.map(|column| (column, width(column))).collect()
    }

    /// Returns the columns that are shown, each with its width.
    fn layout(
        &self,
        head: Option<&[String; N]>,
        rows: &[[String; N]],
        columns: usize,
    ) -> Vec<(usize, usize)> {
        let mut shown = self.widths(head, rows);
        let excess = |shown: &[(usize, usize)]| excess(shown, columns);
        while shown.len() > self.names.max(1)
            && excess(&shown) > 0
            && let Some(&(column, width)) = shown.last()
        {
            let least = excess(&shown) + LEAST;
            if self.is_cut && column + 1 == N && width >= least {
                let last = shown.len() - 1;
                shown[last].1 -= excess(&shown);
            } else {
                shown.pop();
            }
        }
        // Only the names are left.
        while excess(&shown) > 0
            && let Some((_, width)) = shown.iter_mut().max_by_key(|(_, width)| *width)
            && *width > 1
        {
            *width -= 1;
        }
        shown
    }
}

/// By how much columns of these widths are wider than the terminal.
fn excess(shown: &[(usize, usize)], columns: usize) -> usize {
    let total: usize = shown.iter().map(|(_, width)| width + GAP).sum();
    total.saturating_sub(columns.saturating_add(GAP))
}

/// A name that is a digest, such as `sha256:…` or the id of a commit, in short.
fn short(name: &str) -> Option<String> {
    /// Those of SHA-1, by which git names commits.
    const LEAST_OF_DIGEST: usize = 40;
    let begin = name.find(':').map_or(0, |colon| colon + 1);
    let digits = &name[begin..];
    let is_digest =
        digits.len() >= LEAST_OF_DIGEST && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_digest.then(|| format!("{}…", &name[..begin + DIGITS]))
}

/// Prints rows for programs as they come, tab-separated: there may be too many for a table. With `--quiet`, only the first
/// `names` cells of each are printed.
pub(super) fn print_plain<const N: usize>(
    session: &Session,
    names: usize,
    rows: impl IntoIterator<Item = [String; N]>,
) -> CliResult {
    let (columns, between) = match session.output.quiet {
        true => (names, " "),
        false => (N, "\t"),
    };
    let print = |out: &mut dyn Write| {
        for row in rows {
            for (column, cell) in row[..columns].iter().enumerate() {
                let before = if column == 0 { "" } else { between };
                write!(out, "{before}{}", safe(cell))?;
            }
            writeln!(out)?;
        }
        Ok(())
    };
    Ok(session.console.with_out(print)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(head: [&'static str; N], rows: &[[&str; N]]) -> Table<N> {
        Table::new(head, rows.iter().map(|row| row.map(str::to_owned)))
    }

    fn terminal(columns: usize) -> Console {
        Console::captured().0.terminal(columns, std::io::empty())
    }

    #[test]
    fn a_table_is_for_people_or_for_programs() {
        let table = table(["A", "B"], &[["日本", "a\u{1b}[2J"], ["x", "y"]]);
        let (console, _, _) = Console::captured();
        assert_eq!(table.format(&console, false), "日本\ta\\u{1b}[2J\nx\ty");
        assert_eq!(
            table.format(&terminal(80), false),
            "A     B\n日本  a\\u{1b}[2J\nx     y"
        );
    }

    #[test]
    fn text_is_cut_to_the_terminal() {
        let long = "日本 words that go on and on";
        let table = |text: &str| table(["ID", "TEXT"], &[["model", text]]).named_by(1).cut();
        let shown = |columns| table(long).format(&terminal(columns), false);
        assert_eq!(shown(35), format!("ID     TEXT\nmodel  {long}"));
        assert_eq!(shown(34), "ID     TEXT\nmodel  日本 words that go on and…");
        assert_eq!(shown(19), "ID     TEXT\nmodel  日本 words…");
        assert_eq!(shown(18), "ID\nmodel", "too little is left for the text");
        let (piped, _, _) = Console::captured();
        assert_eq!(table(long).format(&piped, false), format!("model\t{long}"));
        let escaped = table(&"\u{1b}".repeat(9)).format(&terminal(30), false);
        assert!(escaped.lines().all(|line| line.width() <= 30), "{escaped}");
    }

    #[test]
    fn columns_that_say_nothing_are_for_programs_only() {
        let rows = [
            ["a/model", "-", "-", "12 B", "-"],
            ["b", "v1", "-", "-", "-"],
        ];
        let table = table(["MODEL", "VERSION", "TYPE", "SIZE", "TEXT"], &rows)
            .named_by(2)
            .cut();
        assert_eq!(
            table.format(&terminal(80), false),
            "MODEL    VERSION  SIZE\na/model  -        12 B\nb        v1       -"
        );
        let (piped, _, _) = Console::captured();
        assert_eq!(
            table.format(&piped, false),
            "a/model\t-\t-\t12 B\t-\nb\tv1\t-\t-\t-"
        );
    }

    #[test]
    fn a_digest_as_a_name_is_shortened_where_there_is_no_room_for_it() {
        let (digest, commit) = ("0123456789abcdef".repeat(4), "0123456789".repeat(4));
        let digest = format!("sha256:{digest}");
        let rows = [
            ["a/b", &digest, "1 B"],
            ["a/c", &commit, "2 B"],
            ["a/d", "v1", "3 B"],
        ];
        let table = table(["MODEL", "VERSION", "SIZE"], &rows).named_by(2);
        assert_eq!(
            table.format(&terminal(80), false),
            "MODEL  VERSION               SIZE\n\
             a/b    sha256:0123456789ab…  1 B\n\
             a/c    012345678901…         2 B\n\
             a/d    v1                    3 B"
        );
        let whole = |text: &str| text.contains(&digest) && text.contains(&commit);
        assert!(whole(&table.format(&terminal(84), false)));
        let (piped, _, _) = Console::captured();
        assert!(whole(&table.format(&piped, false)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = [
            [
                "mf6/test/test001a_Tharmonic",
                "develop",
                "installed",
                "1.2 GB",
                "日本語の説明、長い",
            ],
            [
                "模型/日本語の長い名前",
                "e\u{301}\u{1b}[1m",
                "-",
                "-",
                "short",
            ],
        ];
        for columns in 1..100 {
            for names in 0..3 {
                let head = ["MODEL", "VERSION", "STATE", "SIZE", "TEXT"];
                let text = table(head, &rows)
                    .named_by(names)
                    .cut()
                    .format(&terminal(columns), false);
                // Each name keeps a column.
                let least = if names == 2 { 4 } else { 1 };
                for line in text.lines() {
                    assert!(line.width() <= columns.max(least), "{columns}: {text}");
                }
                assert_eq!(text.lines().count(), 3);
            }
        }
    }

    #[test]
    fn states_are_coloured_and_nothing_moves() {
        let rows = [["a", "installed", "x"], ["b", "-", "update"]];
        let table = table(["MODEL", "STATE", "TEXT"], &rows).state(1);
        let coloured = table.format(&terminal(80), true);
        assert_eq!(
            coloured,
            "MODEL  STATE      TEXT\na      \u{1b}[32minstalled\u{1b}[0m  x\nb      -          update"
        );
    }
}

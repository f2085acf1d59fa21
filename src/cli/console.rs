//! The streams of a run, and whether they are terminals.

use std::fmt;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use terminal_size::terminal_size_of;
use unicode_width::UnicodeWidthStr;

use super::render::Room;
use crate::mutex::Mutex;
use crate::{CancelToken, Environment, Error, ErrorKind};

/// The streams of a run: results go to one, messages to another, and answers come from a third. Clones share them.
///
/// ```
/// use std::fs::File;
/// use std::io;
///
/// use modelrack::Config;
/// use modelrack::cli::{Console, Mount};
///
/// let mount = Mount::new(Config::new("tool"));
/// let as_by_default = mount.clone().console(Console::standard());
///
/// // Results to a file, messages nowhere, and nobody to ask:
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("models.txt");
/// let to_file = mount.console(Console::new(File::create(path)?, io::sink()));
/// # Ok::<(), io::Error>(())
/// ```
///
/// In a test, a user can answer:
///
/// ```
/// use std::io::Cursor;
/// use std::sync::Arc;
///
/// use modelrack::cli::{Console, Mount, models_command, run};
/// use modelrack::{Config, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let environment = modelrack::Environment::empty(modelrack::config::System::Linux, _folder.path());
/// manager.pull_model("digits/logistic v1")?;
/// let (console, out, err) = Console::captured();
/// let mount = Mount::new(Config::new("tool"))
///     .manager(Arc::new(manager))
///     .environment(environment)
///     .console(console.terminal(80, Cursor::new("y\n")));
///
/// let matches = models_command(&mount).try_get_matches_from(["models", "remove", "digits/logistic", "v1"])?;
/// assert_eq!(run(&mount, &matches).code(), 0);
/// assert!(err.text().contains("digits/logistic v1"), "the question names the model");
/// assert!(out.text().contains("Removed"), "{}", out.text());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Console {
    out: Arc<Mutex<dyn Write + Send>>,
    err: Arc<Mutex<Messages>>,
    input: Arc<Mutex<dyn BufRead + Send>>,
    pub(super) out_is_terminal: bool,
    pub(super) err_is_terminal: bool,
    pub(super) in_is_terminal: bool,
    width: Width,
    /// Whether the locale has more than ASCII.
    is_utf8: bool,
}

/// How wide the terminals are.
#[derive(Clone, Copy)]
enum Width {
    Unknown,
    Columns(usize),
    /// Those of the process, whose windows people resize.
    OfProcess,
}

/// The stream of messages, in whose last lines progress may be drawn.
struct Messages {
    out: Box<dyn Write + Send>,
    /// The lines of progress, the last of which the cursor is in.
    drawn: Vec<String>,
}

impl Messages {
    /// Writes a text in place of the lines of progress. Failing to write it is not an error.
    fn write(&mut self, text: &str) {
        let text = match &*std::mem::take(&mut self.drawn) {
            [] => text.to_owned(),
            // Without escape sequences, which not every terminal knows.
            [line] => format!("\r{}\r{text}", " ".repeat(line.width())),
            lines => format!("{}\u{1b}[J{text}", to_first(lines)),
        };
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }

    /// Draws lines of progress in place of those before.
    fn draw(&mut self, lines: Vec<String>) {
        let before = std::mem::take(&mut self.drawn);
        let text = match (&*before, &*lines) {
            ([] | [_], [line]) => {
                let columns = before.first().map_or(0, |before| before.width());
                let rest = columns.saturating_sub(line.width());
                format!("\r{line}{}", " ".repeat(rest))
            }
            _ => {
                let lines: Vec<String> =
                    lines.iter().map(|line| format!("{line}\u{1b}[K")).collect();
                format!("{}{}\u{1b}[J", to_first(&before), lines.join("\n"))
            }
        };
        self.write(&text);
        self.drawn = lines;
    }
}

/// Moves the cursor from the end of lines to their beginning.
fn to_first(lines: &[String]) -> String {
    match lines.len() {
        0 | 1 => "\r".to_owned(),
        several => format!("\r\u{1b}[{}A", several - 1),
    }
}

/// What was printed to one stream of [`Console::captured`]; [`Console`] has an example.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Returns the text that was printed so far; [`Console`] has an example.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Console {
    /// Uses the streams of the process; [`Console`] has an example.
    #[must_use]
    pub fn standard() -> Self {
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        Self {
            input: Arc::new(Mutex::new(io::BufReader::new(io::stdin()))),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            in_is_terminal: io::stdin().is_terminal(),
            width: Width::OfProcess,
            ..Self::new(out, io::stderr())
        }
    }

    /// Uses these writers, which are not terminals; the user cannot be asked. [`Console`] has an example.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
            err: Arc::new(Mutex::new(Messages {
                out: Box::new(err),
                drawn: Vec::new(),
            })),
            input: Arc::new(Mutex::new(io::empty())),
            out_is_terminal: false,
            err_is_terminal: false,
            in_is_terminal: false,
            width: Width::Unknown,
            is_utf8: true,
        }
    }

    /// Keeps what is printed: returns the console, its results and its messages. [`Console`] has an example.
    #[must_use]
    pub fn captured() -> (Self, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Self::new(out.clone(), err.clone()), out, err)
    }

    /// Behaves as a terminal of this width, in columns, on which a user types this input. [`Console`] has an example.
    #[must_use]
    pub fn terminal(self, width: usize, input: impl BufRead + Send + 'static) -> Self {
        Self {
            input: Arc::new(Mutex::new(input)),
            out_is_terminal: true,
            err_is_terminal: true,
            in_is_terminal: true,
            width: Width::Columns(width),
            ..self
        }
    }

    /// The same in the locale of an environment: what it lacks is shown in ASCII.
    pub(super) fn in_locale(self, environment: &Environment) -> Self {
        let is_utf8 = environment.is_utf8();
        Self { is_utf8, ..self }
    }

    /// Returns the room in a line of status. The last column stays free, as some terminals wrap there.
    pub(super) fn status_room(&self) -> Room {
        let columns = match self.width {
            Width::Unknown => None,
            Width::Columns(columns) => Some(columns),
            Width::OfProcess => terminal_size_of(io::stderr()).map(|(width, _)| width.0.into()),
        };
        // What has no columns does not say how many it has.
        let columns = columns.filter(|columns| *columns > 0).unwrap_or(80);
        Room::new(columns - 1, self.is_utf8)
    }

    /// Returns the width of the terminal for results; `None` if there is none, or it is unknown.
    pub(super) fn columns(&self) -> Option<usize> {
        let columns = match self.width {
            _ if !self.out_is_terminal => None,
            Width::Unknown => None,
            Width::Columns(columns) => Some(columns),
            Width::OfProcess => terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()),
        };
        columns.filter(|columns| *columns > 0)
    }

    /// Returns the room in a line of results: all there is where the terminal does not end it.
    pub(super) fn room(&self) -> Room {
        Room::new(self.columns().unwrap_or(usize::MAX), self.is_utf8)
    }

    /// Prints a result.
    pub(super) fn print(&self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out.lock(), "{text}")
    }

    /// Prints a result at once, in place of the lines of progress if there are any.
    pub(super) fn print_at_once(&self, text: impl fmt::Display) {
        let mut err = self.err.lock();
        err.write("");
        let mut out = self.out.lock();
        // What cannot be written now is reported when the run ends.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Calls a function with the stream of results.
    pub(super) fn with_out<T>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<T> {
        write(&mut *self.out.lock())
    }

    /// Prints status, in place of the lines of progress if there are any, and below the results so far.
    pub(super) fn note(&self, text: impl fmt::Display) {
        // What cannot be written now is reported when the run ends.
        let _ = self.flush();
        let mut text = format!("{text}\n");
        if !self.is_utf8 {
            // In place of the parts of URLs that are not shown.
            text = text.replace('…', "...");
        }
        self.err.lock().write(&text);
    }

    /// Prints status without ending the line.
    pub(super) fn draw(&self, text: &str) {
        let _ = self.flush();
        self.err.lock().write(text);
    }

    /// Draws lines of progress in place of those before; none removes them.
    pub(super) fn draw_progress(&self, lines: Vec<String>) {
        let mut err = self.err.lock();
        match lines.is_empty() {
            true => err.write(""),
            false if err.drawn == lines => {}
            false => err.draw(lines),
        }
    }

    /// Writes results that are still buffered.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.out.lock().flush()
    }

    /// Reads a line from the user; empty at the end of the input.
    ///
    /// A read cannot be interrupted, so it runs on a thread of its own, which is abandoned when the user cancels.
    pub(super) fn read_line(&self, cancel: &CancelToken) -> Result<String, Error> {
        let (sender, receiver) = mpsc::channel();
        let input = self.input.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = input.lock().read_line(&mut line);
            let _ = sender.send(line);
        });
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(String::new()),
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                    return Err(ErrorKind::Cancelled.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Returns whether a stream is coloured that is a terminal or is not: `NO_COLOR` overrides `CLICOLOR_FORCE`, which
    /// overrides the terminal.
    pub(super) fn is_coloured(is_terminal: bool, env: &Environment) -> bool {
        let is_refused = is_dumb(env) || env.get("CLICOLOR").as_deref() == Some("0");
        let is_wanted = env.flag("CLICOLOR_FORCE") || is_terminal && !is_refused;
        is_wanted && env.get("NO_COLOR").is_none()
    }
}

/// Returns whether the terminal only prints one line after another.
pub(super) fn is_dumb(env: &Environment) -> bool {
    env.get("TERM").as_deref() == Some("dumb")
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("out_is_terminal", &self.out_is_terminal)
            .field("err_is_terminal", &self.err_is_terminal)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
        lines.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_message_takes_the_place_of_the_bar() {
        let (console, _, err) = Console::captured();
        console.draw_progress(lines(["half done: 日本"]));
        console.note("warning: a mirror");
        console.draw_progress(lines(["done"]));
        console.draw_progress(lines([]));
        let gone = " ".repeat("half done: 1234".len());
        let expected = format!("\rhalf done: 日本\r{gone}\rwarning: a mirror\n\rdone\r    \r");
        assert_eq!(err.text(), expected);
    }

    #[test]
    fn lines_of_progress_grow_shrink_and_go() {
        let (console, _, err) = Console::captured();
        console.draw_progress(lines(["one"]));
        console.draw_progress(lines(["one", "two"]));
        console.draw_progress(lines(["one", "two"]));
        console.draw_progress(lines(["two"]));
        console.draw_progress(lines([]));
        let (two, one) = (
            "\rone\u{1b}[K\ntwo\u{1b}[K\u{1b}[J",
            "\r\u{1b}[1Atwo\u{1b}[K\u{1b}[J",
        );
        assert_eq!(err.text(), format!("\rone{two}{one}\r   \r"));
    }

    #[test]
    fn a_result_takes_the_place_of_the_bar_and_is_there_at_once() {
        let both = Captured::default();
        let console = Console::new(BufWriter::new(both.clone()), both.clone());
        console.draw_progress(lines(["half"]));
        console.print_at_once("result");
        console.draw_progress(lines(["done"]));
        assert_eq!(both.text(), "\rhalf\r    \rresult\n\rdone");
    }

    #[test]
    fn messages_come_below_the_results_before_them() {
        let both = Captured::default();
        let console = Console::new(BufWriter::new(both.clone()), both.clone());
        console.print("result").unwrap();
        console.note("note");
        assert_eq!(both.text(), "result\nnote\n");
    }
}

//! The streams of a run, and whether they are terminals.

use std::fmt;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

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
    width: Option<usize>,
}

/// The stream of messages, on whose last line a bar may be drawn.
struct Messages {
    out: Box<dyn Write + Send>,
    /// How wide the bar is; 0 if there is none.
    bar_columns: usize,
}

impl Messages {
    /// Writes a text in place of the bar. Failing to write it is not an error.
    fn write(&mut self, text: &str) {
        let blank = match std::mem::take(&mut self.bar_columns) {
            0 => String::new(),
            columns => format!("\r{}\r", " ".repeat(columns)),
        };
        let text = format!("{blank}{text}");
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
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
        let size = terminal_size::terminal_size_of(io::stderr());
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        Self {
            input: Arc::new(Mutex::new(io::BufReader::new(io::stdin()))),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            in_is_terminal: io::stdin().is_terminal(),
            width: size.map(|(width, _)| usize::from(width.0)),
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
                bar_columns: 0,
            })),
            input: Arc::new(Mutex::new(io::empty())),
            out_is_terminal: false,
            err_is_terminal: false,
            in_is_terminal: false,
            width: None,
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
            width: Some(width),
            ..self
        }
    }

    /// Returns the width of the terminal for status.
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or(80).max(20)
    }

    /// Returns the width of the terminal for results; `None` if there is none, or it is unknown.
    pub(super) fn columns(&self) -> Option<usize> {
        self.width.filter(|_| self.out_is_terminal)
    }

    /// Prints a result.
    pub(super) fn print(&self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out.lock(), "{text}")
    }

    /// Calls a function with the stream of results.
    pub(super) fn with_out<T>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<T> {
        write(&mut *self.out.lock())
    }

    /// Prints status, in place of the bar if there is one.
    pub(super) fn note(&self, text: impl fmt::Display) {
        self.err.lock().write(&format!("{text}\n"));
    }

    /// Prints status without ending the line.
    pub(super) fn draw(&self, text: &str) {
        self.err.lock().write(text);
    }

    /// Draws a bar in place of the one before.
    pub(super) fn draw_bar(&self, bar: &str) {
        let mut err = self.err.lock();
        let columns = bar.chars().count();
        let padding = std::mem::take(&mut err.bar_columns).saturating_sub(columns);
        err.write(&format!("\r{bar}{}", " ".repeat(padding)));
        err.bar_columns = columns;
    }

    /// Removes the bar.
    pub(super) fn erase_bar(&self) {
        self.err.lock().write("");
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

    /// Returns whether status is coloured: `NO_COLOR` overrides `CLICOLOR_FORCE`, which overrides the terminal.
    pub(super) fn colours(&self, env: &Environment) -> bool {
        let is_refused = env.get("TERM").as_deref() == Some("dumb")
            || env.get("CLICOLOR").as_deref() == Some("0");
        let is_wanted = env.flag("CLICOLOR_FORCE") || self.err_is_terminal && !is_refused;
        is_wanted && env.get("NO_COLOR").is_none()
    }
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

    #[test]
    fn a_message_takes_the_place_of_the_bar() {
        let (console, _, err) = Console::captured();
        console.draw_bar("half done");
        console.note("warning: a mirror");
        console.draw_bar("done");
        console.erase_bar();
        let gone = " ".repeat("half done".len());
        let expected = format!("\rhalf done\r{gone}\rwarning: a mirror\n\rdone\r    \r");
        assert_eq!(err.text(), expected);
    }
}

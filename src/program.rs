//! Programs that are asked for something, such as credentials: run without a shell, for a limited time, with limited output.

use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::platform;
use crate::progress::CancelToken;

/// How long one look at a running program takes: so soon is a cancellation noticed.
const LOOK: Duration = Duration::from_millis(100);
/// How often a program that has closed its output is asked whether it has ended.
const END_LOOK: Duration = Duration::from_millis(5);
/// How much of its complaints is kept.
const MAX_COMPLAINT_BYTES: usize = 4 << 10;
/// How much of a complaint is quoted.
const MAX_QUOTED_CHARS: usize = 200;

/// What a program is given, and how much of it is put up with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// What it reads from its standard input: few enough bytes for a pipe to hold them.
    pub(crate) input: &'a str,
    /// How long it may take before it is ended.
    pub(crate) patience: Duration,
    /// How much it may write to its standard output.
    pub(crate) max_output_bytes: usize,
}

/// What a program answered; not to be shown, since it may be a secret.
pub(crate) struct Reply {
    pub(crate) is_success: bool,
    pub(crate) output: Vec<u8>,
    /// The beginning of what it wrote to its standard error.
    pub(crate) complaint: String,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("is_success", &self.is_success)
            .finish_non_exhaustive()
    }
}

/// Why a program did not answer; its text is the predicate of a sentence about the program.
#[derive(Debug)]
pub(crate) enum Silence {
    /// The system did not run it.
    NotRun(io::Error),
    /// It was ended after this time.
    Hung(Duration),
    /// It wrote more than this.
    TooMuch(usize),
    Cancelled,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun(error) => write!(f, "cannot be run: {error}"),
            Self::Hung(patience) => {
                write!(f, "did not answer within {} s", patience.as_secs_f32())
            }
            Self::TooMuch(limit) => write!(f, "answered with more than {limit} bytes"),
            Self::Cancelled => f.write_str("was ended because the operation was cancelled"),
        }
    }
}

/// Returns the first line that says something, for an error.
pub(crate) fn quoted<'l>(mut lines: impl Iterator<Item = &'l str>) -> Option<String> {
    let line = lines.find(|line| !line.trim().is_empty())?;
    let line: String = line.trim().chars().take(MAX_QUOTED_CHARS).collect();
    Some(line.escape_debug().to_string())
}

/// Runs a program to its end, and returns what it says. One that takes too long or says too much is ended, and with it what it
/// runs itself, as a script does.
///
/// At a terminal, only the program itself is ended: what is set apart cannot ask a person there for a pass phrase, and goes on
/// when that person interrupts this process.
pub(crate) fn ask(
    command: Command,
    question: Question<'_>,
    cancel: &CancelToken,
) -> Result<Reply, Silence> {
    run(command, question, cancel, !platform::has_terminal())
}

fn run(
    mut command: Command,
    question: Question<'_>,
    cancel: &CancelToken,
    is_apart: bool,
) -> Result<Reply, Silence> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if is_apart {
        platform::set_apart(&mut command);
    }
    let mut child = command.spawn().map_err(Silence::NotRun)?;
    let answer = converse(&mut child, question, cancel);
    if answer.is_err() {
        // It may have ended by itself, which is as good.
        let _ = match is_apart {
            true => platform::end_set_apart(&mut child),
            false => child.kill(),
        };
        let _ = child.wait();
    }
    answer
}

fn converse(
    child: &mut Child,
    question: Question<'_>,
    cancel: &CancelToken,
) -> Result<Reply, Silence> {
    let started = Instant::now();
    let (done, said) = channel();
    // Programs that outlive the one that was run may keep the pipes open: what reads them is not waited for.
    let limit = question.max_output_bytes.saturating_add(1);
    let readers = [
        (
            child
                .stdout
                .take()
                .map(|it| Box::new(it) as Box<dyn Read + Send>),
            limit,
        ),
        (
            child
                .stderr
                .take()
                .map(|it| Box::new(it) as Box<dyn Read + Send>),
            MAX_COMPLAINT_BYTES,
        ),
    ];
    for (index, (reader, limit)) in readers.into_iter().enumerate() {
        let (done, Some(mut reader)) = (done.clone(), reader) else {
            continue;
        };
        let read = move || {
            let mut bytes = Vec::new();
            let _ = (&mut reader).take(limit as u64).read_to_end(&mut bytes);
            let _ = done.send((index, bytes));
            // A program that cannot write its complaints would stop.
            let _ = io::copy(&mut reader, &mut io::sink());
        };
        let builder = thread::Builder::new().name("modelrack-program".into());
        builder.spawn(read).map_err(Silence::NotRun)?;
    }
    if let Some(mut input) = child.stdin.take() {
        // One that does not read what it is given may answer all the same.
        let _ = input.write_all(question.input.as_bytes());
    }
    let [mut output, mut complaint] = [None, None];
    while output.is_none() || complaint.is_none() {
        let left = question.patience.saturating_sub(started.elapsed());
        match said.recv_timeout(left.min(LOOK)) {
            Ok((0, bytes)) if bytes.len() >= limit => {
                return Err(Silence::TooMuch(question.max_output_bytes));
            }
            Ok((0, bytes)) => output = Some(bytes),
            Ok((_, bytes)) => complaint = Some(bytes),
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                return Err(Silence::Cancelled);
            }
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
            Err(_) => return Err(Silence::Hung(question.patience)),
        }
    }
    let status = loop {
        match child.try_wait().map_err(Silence::NotRun)? {
            Some(status) => break status,
            None if cancel.is_cancelled() => return Err(Silence::Cancelled),
            None if started.elapsed() >= question.patience => {
                return Err(Silence::Hung(question.patience));
            }
            None => thread::sleep(END_LOOK),
        }
    };
    Ok(Reply {
        is_success: status.success(),
        output: output.unwrap_or_default(),
        complaint: String::from_utf8_lossy(&complaint.unwrap_or_default()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs this very test binary, in which [`part`] plays the program.
    fn play(part: &str, patience: Duration) -> Result<Reply, Silence> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "program::tests::part", "--nocapture", "--quiet"])
            .env("MODELRACK_TEST_PART", part);
        let question = Question {
            input: "ghcr.io",
            patience,
            max_output_bytes: 10_000,
        };
        ask(command, question, &CancelToken::new())
    }

    #[test]
    fn part() {
        let part = crate::Environment::of_process();
        match part.get("MODELRACK_TEST_PART").as_deref() {
            Some("answers") => {
                let mut host = String::new();
                io::stdin().read_to_string(&mut host).unwrap();
                println!("<{host}>");
                eprintln!("by the way");
            }
            Some("fails") => {
                println!("nothing");
                panic!("it is meant to fail");
            }
            Some("chatters") => println!("{}", "x".repeat(10_000)),
            Some("hangs") => thread::sleep(Duration::from_secs(600)),
            _ => {}
        }
    }

    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn programs_are_given_something_and_answer() {
        let reply = play("answers", LONG).unwrap();
        assert!(reply.is_success);
        assert!(String::from_utf8_lossy(&reply.output).contains("<ghcr.io>"));
        assert!(
            reply.complaint.contains("by the way"),
            "{}",
            reply.complaint
        );
        let reply = play("fails", LONG).unwrap();
        assert!(!reply.is_success);
        assert!(String::from_utf8_lossy(&reply.output).contains("nothing"));
    }

    #[test]
    fn programs_that_say_too_much_or_nothing_are_ended() {
        let silence = play("chatters", LONG).unwrap_err();
        assert_eq!(silence.to_string(), "answered with more than 10000 bytes");
        let silence = play("hangs", Duration::from_millis(300)).unwrap_err();
        assert_eq!(silence.to_string(), "did not answer within 0.3 s");
        let nowhere = std::env::temp_dir().join("modelrack-no-such-program");
        let question = Question {
            input: "",
            patience: LONG,
            max_output_bytes: 1,
        };
        let silence = ask(Command::new(nowhere), question, &CancelToken::new()).unwrap_err();
        assert!(matches!(silence, Silence::NotRun(_)), "{silence}");
    }

    #[test]
    fn what_a_script_started_is_ended_with_it() {
        if platform::SYSTEM == platform::System::Windows {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        let mut command = Command::new("sh");
        // It is known what it has started once it says too much.
        let script = r#"sleep 600 & echo $! > "$0"; yes; wait"#;
        command.arg("-c").arg(script).arg(&file);
        let question = Question {
            input: "",
            patience: LONG,
            max_output_bytes: 10_000,
        };
        let silence = run(command, question, &CancelToken::new(), true).unwrap_err();
        assert!(matches!(silence, Silence::TooMuch(_)), "{silence}");
        let number = std::fs::read_to_string(file).unwrap();
        let sleep = number.trim().parse().unwrap();
        let started = Instant::now();
        while platform::may_be_alive(sleep) {
            assert!(started.elapsed() < LONG, "{sleep} goes on");
            thread::sleep(END_LOOK);
        }
    }

    #[test]
    fn a_cancelled_operation_ends_its_program() {
        let cancel = CancelToken::new();
        cancel.cancel();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "program::tests::part", "--nocapture", "--quiet"])
            .env("MODELRACK_TEST_PART", "hangs");
        let question = Question {
            input: "",
            patience: LONG,
            max_output_bytes: 1 << 20,
        };
        let silence = ask(command, question, &cancel).unwrap_err();
        assert!(matches!(silence, Silence::Cancelled), "{silence}");
    }
}

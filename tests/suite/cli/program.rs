//! The reference CLI as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::Ran;
use crate::support::PATIENCE;
use crate::support::rack::Rack;

/// What a process needs of the environment that is not about us.
const KEPT: [&str; 3] = ["SystemRoot", "SystemDrive", "WINEPREFIX"];

/// The reference CLI: a binary of the package, or an example beside the folder of the test's own binary.
fn path() -> PathBuf {
    if let Some(binary) = option_env!("CARGO_BIN_EXE_rack") {
        return binary.into();
    }
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).unwrap().join("examples");
    let path = built.join(format!("rack{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is missing: `cargo test` without `--test` builds it, and so does `cargo build --example rack`",
        path.display()
    );
    path
}

/// `rack models <words>` on the machine of a rack, with nothing of this process's environment and all output piped.
#[allow(
    clippy::disallowed_methods,
    reason = "what the system needs to start a process"
)]
pub(crate) fn rack(rack: &Rack, line: &str) -> Command {
    let home = rack.temp.path().join("home");
    // Its own sources are turned off.
    let sources = rack.temp.path().join("no-sources.toml");
    let keys = ["digits", "modflow6-testmodels", "modflow6-examples", "hf"];
    let off = keys.map(|key| format!("[sources.{key}]\nrefs = []\n"));
    std::fs::write(&sources, off.concat()).unwrap();
    let mut command = Command::new(path());
    command
        .arg("models")
        .args(line.split_whitespace())
        .env_clear()
        .envs(
            KEPT.iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(["HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"].map(|name| (name, &home)))
        .env("RACK_MODELS_DIR", rack.store())
        .env("RACK_MODELS_CACHE_DIR", rack.index_cache())
        .env("RACK_MODELS_REGISTRY_URL", rack.server.url())
        .env("RACK_MODELS_CONFIG", sources)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a process to its end.
pub(crate) fn finish(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: u8::try_from(output.status.code().unwrap_or(255)).unwrap_or(255),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process under way, whose standard error is read line by line as it comes.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: JoinHandle<Vec<String>>,
    alarm: Sender<()>,
    woken: Receiver<()>,
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        Self::watch(command, |_, _| false)
    }

    /// Starts a process; a line for which `wanted` holds, given its number from 1, ends [`Running::wait`].
    pub(crate) fn watch(
        mut command: Command,
        wanted: impl Fn(usize, &str) -> bool + Send + 'static,
    ) -> Self {
        let mut child = command.spawn().unwrap();
        let (alarm, woken) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let wake = alarm.clone();
        let lines = thread::spawn(move || {
            let mut lines = Vec::new();
            for line in errors.lines().map_while(Result::ok) {
                lines.push(line);
                if wanted(lines.len(), &lines[lines.len() - 1]) {
                    let _ = wake.send(());
                }
            }
            let _ = wake.send(());
            lines
        });
        Self {
            child,
            lines,
            alarm,
            woken,
        }
    }

    /// Ends [`Running::wait`], too, when something is sent to it.
    pub(crate) fn alarm(&self) -> Sender<()> {
        self.alarm.clone()
    }

    /// Waits for the line that is watched for, the alarm, or the end of the process.
    pub(crate) fn wait(&self) {
        self.woken
            .recv_timeout(PATIENCE)
            .expect("what the test waits for happens");
    }

    /// Waits until a condition holds or the process has ended.
    pub(crate) fn wait_until(&mut self, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() && self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the condition is never met");
            thread::yield_now();
        }
    }

    /// Waits for the end of the process.
    pub(crate) fn end(mut self) -> Ran {
        let mut out = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        let status = self.child.wait().unwrap();
        let lines = self.lines.join().unwrap();
        Ran {
            code: u8::try_from(status.code().unwrap_or(255)).unwrap_or(255),
            out,
            err: lines.join("\n"),
        }
    }

    /// Kills the process. Returns the lines it wrote to standard error, and whether it was still running.
    pub(crate) fn kill(mut self) -> (Vec<String>, bool) {
        drop(self.child.stdout.take());
        let _ = self.child.kill();
        let killed = !self.child.wait().unwrap().success();
        (self.lines.join().unwrap(), killed)
    }
}

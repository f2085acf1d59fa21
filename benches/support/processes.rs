//! The processes of the benchmark of pulls: a server, and what pulls from it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use modelrack::config::{HttpConfig, System};
use modelrack::{
    Config, Environment, Manager, ModelAddress, ModelManager, PullOptions, UpdateOptions,
};

use crate::published::MODEL;
use crate::server::{Rule, Server};
use crate::support::{Result, role, say, say_usage, tls};

/// A server in a process of its own, so that its memory is not the client's.
pub(crate) struct ServerProcess {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl ServerProcess {
    /// Serves a folder; `rate` is the bytes a second for each connection, 0 for as many as there are.
    pub(crate) fn of_folder(folder: &Path, rate: u64, delay: Duration) -> Result<Self> {
        let (rate, delay) = (rate.to_string(), delay.as_millis().to_string());
        Self::start("serve", &[&*folder.to_string_lossy(), &rate, &delay])
    }

    /// Starts the role of this name, which prints a URL.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = role(name, arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut stdout = BufReader::new(stdout);
        let mut url = String::new();
        stdout.read_line(&mut url)?;
        Ok(Self {
            child,
            _stdout: stdout,
            url: url.trim().to_owned(),
        })
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The end of its input tells it to stop.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

pub(crate) fn serve(folder: &str, rate: u64, delay_millis: u64) -> Result<()> {
    let server = Server::start().folder(folder);
    let mut rule = Rule::path_starts("/data/");
    if rate > 0 {
        rule = rule.throttle(rate);
    }
    server.rule(rule.delay(Duration::from_millis(delay_millis)));
    until_told(&server.url())
}

/// Prints a server's URL, and waits for the end of the input.
pub(crate) fn until_told(url: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{url}")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

pub(crate) fn manager(url: &str, store: &str) -> ModelManager {
    let store = Path::new(store);
    let mut http = HttpConfig::default();
    http.certificates = vec![tls::authority()];
    let config = Config::new("bench")
        .http(http)
        .registry_url(url)
        .data_dir(store.join("models"))
        .cache_dir(store.join("registries"));
    let environment = Environment::empty(System::Linux, store).boot("bench");
    ModelManager::builder(config)
        .environment(environment)
        .build()
}

pub(crate) fn pull(
    url: &str,
    version: &str,
    store: &str,
    connections: Option<usize>,
) -> Result<()> {
    let started = Instant::now();
    let address = ModelAddress::parse(MODEL, Some(version))?;
    let options = PullOptions::default().concurrency(connections);
    let report = manager(url, store).pull(&address, &options)?;
    say("seconds", started.elapsed().as_secs_f64());
    say("fetched_bytes", report.bytes_fetched);
    say_usage();
    Ok(())
}

pub(crate) fn update(url: &str, store: &str) -> Result<()> {
    let started = Instant::now();
    let report = manager(url, store).update(&UpdateOptions::default())?;
    say("seconds", started.elapsed().as_secs_f64());
    let applied = report
        .entries
        .iter()
        .filter_map(|entry| entry.applied.as_ref());
    let fetched: u64 = applied.map(|pulled| pulled.bytes_fetched).sum();
    say("fetched_bytes", fetched);
    say_usage();
    Ok(())
}

//! Repositories of the Hub: one large file among small ones, a pull that was killed, bytes that the machine has already.
//!
//! | part | measures |
//! |---|---|
//! | `pull` | 12 files, one of them of 1.5 GiB, beside a bare loop and beside the Hub's own client in Python |
//! | `limited` | the same from a Hub that gives each connection 20 MiB/s, beside a bare loop with sixteen |
//! | `resume` | what is fetched again after the pull was killed half-way |
//! | `cache` | the pull when the cache of the Hub's own tools has the large file |
//!
//! The Hub is in this process, so that it counts what went over the network, and has the large file in memory, twice for a
//! moment; what is timed runs in processes of its own. A redirect counts as a request, too.
//!
//! The bare loop fetches the large file alone, in ranges, and hashes each of them, which no digest covers. The Python client
//! runs when `HUB_CLIENT_PYTHON` names an interpreter that has `huggingface_hub`. It neither hashes nor syncs, and only its
//! `snapshot_download` is timed.

#[path = "support/bare.rs"]
mod bare;
#[path = "../tests/suite/support/git.rs"]
mod git;
#[path = "../tests/suite/support/hub/mod.rs"]
mod hub;
#[path = "support/runs.rs"]
mod runs;
#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hub::Hub;
use modelrack::config::System;
use modelrack::{Config, Digest, Environment, Manager, ModelAddress, ModelManager, PullOptions};
use runs::Runs;
use server::{Rule, Server};
use support::{
    Arguments, Folder, Numbers, Result, Series, Start, Table, check_bytes, mebibytes, role,
    run_role, say, say_usage, seconds,
};

const MIB: u64 = 1 << 20;
/// The most memory that any pull may take.
const PEAK_BAR: f64 = (64 * MIB) as f64;
/// How many times as fast as the Python client it asks a pull to be.
const PYTHON_BAR: f64 = 3.0;
const REPO: &str = "bench/model";
const WEIGHTS: &str = "model.safetensors";
const SMALL_BYTES: u64 = 4 << 10;
/// What stands beside the weights.
const SMALL_FILES: [&str; 11] = [
    ".gitattributes",
    "README.md",
    "added_tokens.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "normalizer.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];
/// How much of a large file a pull asks for at once, and on how many connections.
const RANGE: u64 = 8 * MIB;
const CONNECTIONS: u64 = 4;
/// What a connection brings in a second, how many a pull has at most, and how many times as long as a bare loop it may take.
const RATE: u64 = 20 * MIB;
const MOST_CONNECTIONS: u64 = 16;
const LIMITED_BAR: f64 = 1.15;
/// How often to look whether half has come.
const GLANCE: Duration = Duration::from_millis(1);
/// Downloads a repository and prints its numbers as a role does.
const CLIENT: &str = "
import sys, time
from huggingface_hub import snapshot_download
started = time.perf_counter()
snapshot_download(sys.argv[1], token=False)
print('seconds', time.perf_counter() - started)
print('processor_seconds', time.process_time())
";

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("hub")?;
    let host = Host::start(arguments.size(1536 * MIB, 48 * MIB))?;
    if arguments.wants("pull") {
        beside_others(&arguments, &host, &folder.below("pull")?)?;
    }
    if arguments.wants("limited") {
        limited(&arguments, &host, &folder.below("limited")?)?;
    }
    if arguments.wants("resume") {
        resume(&arguments, &host, &folder.below("resume")?)?;
    }
    if arguments.wants("cache") {
        cache(&arguments, &host, &folder.below("cache")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (name, arguments.as_slice()) {
        ("bare", arguments) => bare::play(arguments),
        ("pull", [url, home, tools]) => pull(url, Path::new(home), tools),
        _ => Err(format!("no such role: {name}").into()),
    }
}

// What is measured.

fn beside_others(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let python = python();
    let [mut ours, mut bare, mut theirs]: [Runs; 3] = Default::default();
    for _ in 0..arguments.runs(5) {
        bare.add(host.server(), || {
            let place = folder.below("bare")?;
            host.fetch_bare(&place.join("jobs"), &place.join(WEIGHTS), CONNECTIONS)
        })?;
        ours.add(host.server(), || {
            let home = folder.below("home")?;
            host.pull(home.path(), &home.join("tools"))
        })?;
        if let Some(python) = &python {
            theirs.add(host.server(), || {
                let home = folder.below("python")?;
                host.download(python, home.path())
            })?;
        }
    }
    let mut table = Table::new(format!("pull: {}", host.what()));
    table.pair("beside the bare loop", &ours.times, ("bare", &bare.times));
    if ours.work.largest().is_some() {
        table.pair("  processors", &ours.work, ("bare", &bare.work));
    }
    let what = "beside the Python client";
    let mut their_network = String::new();
    if python.is_some() {
        let beside = format!("Python {}", theirs.times.times());
        let bar = theirs.times.median() / PYTHON_BAR;
        table.limit(what, ours.times.median(), bar, seconds, &beside);
        if ours.work.largest().is_some() {
            table.pair("  processors", &ours.work, ("Python", &theirs.work));
        }
        their_network = format!("Python {}", theirs.network());
    } else {
        let why = "HUB_CLIENT_PYTHON names no interpreter";
        table.row(what, "not measured", why);
    }
    table.row("over the network", &ours.network(), &their_network);
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

fn limited(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let server = host.server();
    server.rule(Rule::any().throttle(RATE));
    let [mut ours, mut bare]: [Runs; 2] = Default::default();
    let digest = host.weights.to_string();
    for _ in 0..arguments.runs(5) {
        bare.add(host.server(), || {
            let place = folder.below("bare")?;
            let weights = place.join(WEIGHTS);
            let numbers = host.fetch_bare(&place.join("jobs"), &weights, MOST_CONNECTIONS)?;
            check_bytes(&weights, &digest)?;
            Ok(numbers)
        })?;
        ours.add(host.server(), || {
            let home = folder.below("home")?;
            let numbers = host.pull(home.path(), &home.join("tools"))?;
            let installed = home.join("models").join("hf").join(REPO).join("main");
            check_bytes(&installed.join(WEIGHTS), &digest)?;
            Ok(numbers)
        })?;
    }
    server.clear_rules();
    let rate = mebibytes(RATE as f64);
    let what = format!("{}, {rate}/s a connection", host.what());
    let mut table = Table::new(format!("limited: {what}"));
    let beside = format!("bare, {MOST_CONNECTIONS} connections");
    let bar = LIMITED_BAR;
    table.ratio("nothing said", &ours.times, (&beside, &bare.times), bar);
    let ideal = host.total_bytes() as f64 / (RATE * MOST_CONNECTIONS) as f64;
    table.row("  bytes ÷ rate", "", &seconds(ideal));
    table.row("over the network", &ours.network(), "");
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

fn resume(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let [mut missing, mut fetched] = [const { Series::new() }; 2];
    let mut ours = Runs::default();
    for _ in 0..arguments.runs(5) {
        let home = folder.below("home")?;
        let tools = home.join("tools");
        let came = host.pull_half(home.path(), &tools)?;
        missing.add(host.total_bytes().saturating_sub(came) as f64);
        let numbers = ours.add(host.server(), || host.pull(home.path(), &tools))?;
        fetched.add(numbers.need("fetched_bytes")?);
    }
    let what = host.what();
    let mut table = Table::new(format!("resume: {what}, killed when half had come"));
    // Each connection was in the middle of a range.
    let bar = missing.median() + (CONNECTIONS * RANGE) as f64;
    let beside = format!("missing {}", mebibytes(missing.median()));
    table.limit("bytes fetched", fetched.median(), bar, mebibytes, &beside);
    table.row("time", &ours.times.times(), "");
    table.row("over the network", &ours.network(), "");
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

fn cache(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let tools = folder.below("tools")?;
    let repository = format!("hub/models--{}", REPO.replace('/', "--"));
    let blobs = tools.join(&repository).join("blobs");
    fs::create_dir_all(&blobs)?;
    let blob = blobs.join(host.weights.to_string());
    host.fetch_bare(&folder.join("jobs"), &blob, CONNECTIONS)?;
    let mut ours = Runs::default();
    for _ in 0..arguments.runs(5) {
        let home = folder.below("home")?;
        ours.add(host.server(), || host.pull(home.path(), tools.path()))?;
    }
    let what = host.what();
    let mut table = Table::new(format!("cache: {what}, which the Hub's own tools have"));
    table.row("time", &ours.times.times(), "");
    table.row("over the network", &ours.network(), "");
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

// The processes.

/// A Hub with the one repository.
struct Host {
    hub: Hub,
    weights: Digest,
    weights_bytes: u64,
}

impl Host {
    fn start(weights_bytes: u64) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(11);
        let mut made = |size: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(size)?];
            random.fill(&mut bytes);
            Ok(bytes)
        };
        let bytes = made(weights_bytes)?;
        let weights = Digest::of(&bytes);
        let mut files = vec![(WEIGHTS, bytes)];
        for name in SMALL_FILES {
            files.push((name, made(SMALL_BYTES)?));
        }
        let hub = Hub::start();
        hub.redirect_small_files();
        hub.repo(REPO).commit("main", files);
        Ok(Self {
            hub,
            weights,
            weights_bytes,
        })
    }

    fn server(&self) -> &Server {
        self.hub.server()
    }

    fn what(&self) -> String {
        let count = SMALL_FILES.len() + 1;
        let size = mebibytes(self.weights_bytes as f64);
        format!("{count} files, one of them of {size}")
    }

    fn total_bytes(&self) -> u64 {
        self.weights_bytes + SMALL_BYTES * SMALL_FILES.len() as u64
    }

    /// What a process needs to pull with a store below `home`, where the Hub's own tools keep theirs below `tools`.
    fn place(&self, home: &Path, tools: &Path) -> [String; 3] {
        let [home, tools] = [home, tools].map(|path| path.to_string_lossy().into_owned());
        [self.hub.url(), home, tools]
    }

    /// Pulls to the end.
    fn pull(&self, home: &Path, tools: &Path) -> Result<Numbers> {
        run_role("pull", self.place(home, tools))
    }

    /// Pulls, kills the pull when half has come, and returns how many bytes that was.
    fn pull_half(&self, home: &Path, tools: &Path) -> Result<u64> {
        let server = self.server();
        server.reset_counts();
        let mut pull = role("pull", self.place(home, tools))?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        while server.bytes_sent() < self.total_bytes() / 2 {
            if let Some(status) = pull.try_wait()? {
                return Err(format!("the pull ended before half had come: {status}").into());
            }
            thread::sleep(GLANCE);
        }
        pull.kill()?;
        pull.wait()?;
        Ok(server.bytes_sent())
    }

    /// Fetches the weights with the bare loop.
    fn fetch_bare(&self, jobs: &Path, target: &Path, connections: u64) -> Result<Numbers> {
        let ranges = bare::ranges(&self.weights.to_string(), self.weights_bytes, RANGE)?;
        bare::write_jobs(jobs, &ranges)?;
        let (jobs, target) = (jobs.to_string_lossy(), target.to_string_lossy());
        let connections = connections.to_string();
        run_role(
            "bare",
            [&*self.storage_url()?, &*jobs, &*target, &*connections],
        )
    }

    /// Where the weights are: what the Hub redirects to.
    fn storage_url(&self) -> Result<String> {
        let config = ureq::Agent::config_builder().max_redirects(0).proxy(None);
        let agent = config.build().new_agent();
        let url = format!("{}/{REPO}/resolve/main/{WEIGHTS}", self.hub.url());
        let answer = agent.get(url).call()?;
        let place = answer.headers().get("location").ok_or("no redirect came")?;
        Ok(place.to_str()?.to_owned())
    }

    /// Downloads the repository with the Python client, which keeps everything below `home`.
    fn download(&self, python: &OsStr, home: &Path) -> Result<Numbers> {
        let output = Command::new(python)
            .args(["-c", CLIENT, REPO])
            .env("HF_ENDPOINT", self.hub.url())
            .env("HF_HOME", home)
            .env_remove("HF_HUB_CACHE")
            .env("HF_HUB_DISABLE_XET", "1")
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("the Python client failed: {}", output.status).into());
        }
        Numbers::parse(&String::from_utf8(output.stdout)?)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "whoever measures names the interpreter"
)]
fn python() -> Option<OsString> {
    std::env::var_os("HUB_CLIENT_PYTHON")
}

fn pull(url: &str, home: &Path, tools: &str) -> Result<()> {
    let config = Config::new("bench")
        .bootstrap(format!("[sources.hf]\nhub = \"{url}\"\n"))
        .data_dir(home.join("models"))
        .cache_dir(home.join("cache"));
    let environment = Environment::empty(System::Linux, home)
        .boot("bench")
        .variable("HF_HOME", tools);
    let address: ModelAddress = format!("hf/{REPO}").parse()?;
    let started = Instant::now();
    let manager = ModelManager::builder(config)
        .environment(environment)
        .build();
    let report = manager.pull(&address, &PullOptions::default())?;
    say("seconds", started.elapsed().as_secs_f64());
    say("fetched_bytes", report.bytes_fetched);
    say_usage();
    Ok(())
}

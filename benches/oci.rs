//! Models of an OCI registry: one large layer, in ranges and from a registry that sends it whole.
//!
//! | part | measures |
//! |---|---|
//! | `pull` | a raw layer of 1 GiB and a small one, beside a bare loop |
//! | `whole` | the same from a registry that ignores ranges: what comes more than once |
//!
//! The registry is in this process, so that it counts what went over the network, and has the layer in memory, several times
//! for a moment; what is timed runs in processes of its own.
//!
//! The bare loop fetches the large layer alone, in ranges, and hashes each of them, which no digest covers.

#[path = "support/bare.rs"]
mod bare;
#[path = "../tests/suite/support/oci/mod.rs"]
mod oci;
#[path = "support/runs.rs"]
mod runs;
#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use modelrack::config::System;
use modelrack::{Config, Environment, Manager, ModelAddress, ModelManager, PullOptions};
use oci::{Artifact, Registry, sha256};
use runs::Runs;
use server::Rule;
use support::{
    Arguments, Folder, Numbers, Result, Series, Start, Table, check_bytes, mebibytes, run_role,
    say, say_usage,
};

/// How long the real registry may take to start, which is not measured.
const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;
/// The most memory that any pull may take.
const PEAK_BAR: f64 = (64 * MIB) as f64;
/// How much of a layer may come from a registry that ignores ranges, as a multiple of its size.
const WHOLE_BAR: f64 = 1.1;
const REPOSITORY: &str = "bench/model";
const WEIGHTS: &str = "model.safetensors";
const README: &str = "README.md";
/// How much of a large layer a pull asks for at once, and on how many connections the bare loop does.
const RANGE: u64 = 8 * MIB;
const CONNECTIONS: u64 = 4;

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("oci")?;
    let host = Host::start(arguments.size(1024 * MIB, 48 * MIB))?;
    if arguments.wants("pull") {
        pull_ranges(&arguments, &host, &folder.below("pull")?)?;
    }
    if arguments.wants("whole") {
        pull_whole(&arguments, &host, &folder.below("whole")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (name, arguments.as_slice()) {
        ("bare", arguments) => bare::play(arguments),
        ("pull", [url, home]) => pull(url, Path::new(home)),
        _ => Err(format!("no such role: {name}").into()),
    }
}

// What is measured.

fn pull_ranges(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let [mut ours, mut bare]: [Runs; 2] = Default::default();
    for _ in 0..arguments.runs(5) {
        bare.add(host.registry.server(), || {
            host.fetch_bare(&folder.below("bare")?)
        })?;
        ours.add(host.registry.server(), || host.pull(&folder.below("home")?))?;
    }
    let mut table = Table::new(format!("pull: {}", host.what()));
    table.pair("beside the bare loop", &ours.times, ("bare", &bare.times));
    if ours.work.largest().is_some() {
        table.pair("  processors", &ours.work, ("bare", &bare.work));
    }
    table.row("over the network", &ours.network(), &bare.network());
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

fn pull_whole(arguments: &Arguments, host: &Host, folder: &Folder) -> Result<()> {
    let server = host.registry.server();
    server.rule(Rule::path_contains("/blobs/").ignore_range());
    let mut ours = Runs::default();
    let mut fetched = Series::new();
    for _ in 0..arguments.runs(5) {
        let numbers = ours.add(host.registry.server(), || host.pull(&folder.below("home")?))?;
        fetched.add(numbers.need("fetched_bytes")?);
    }
    server.clear_rules();
    let mut table = Table::new(format!("whole: {}, no ranges", host.what()));
    let bar = host.weights_bytes as f64 * WHOLE_BAR;
    let most = fetched.largest().unwrap_or_default();
    table.limit("bytes fetched", most, bar, mebibytes, "the layer once");
    table.row("time", &ours.times.times(), "");
    table.row("over the network", &ours.network(), "");
    table.memory("peak memory", ours.peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

// The processes.

/// A registry with the one model.
struct Host {
    registry: Registry,
    /// The digest of the large layer, with `sha256:` in front.
    weights: String,
    weights_bytes: u64,
}

impl Host {
    fn start(weights_bytes: u64) -> Result<Self> {
        let mut weights = vec![0; usize::try_from(weights_bytes)?];
        fastrand::Rng::with_seed(11).fill(&mut weights);
        let files: [(&str, &[u8]); 2] = [(README, b"# A model\n"), (WEIGHTS, &weights)];
        let registry = Registry::start();
        registry.push(REPOSITORY, "v1", &Artifact::model_pack(&files));
        Ok(Self {
            registry,
            weights: sha256(&weights),
            weights_bytes,
        })
    }

    fn what(&self) -> String {
        let size = mebibytes(self.weights_bytes as f64);
        format!("two layers, one of them of {size}")
    }

    fn digest(&self) -> &str {
        self.weights.trim_start_matches("sha256:")
    }

    /// Pulls into a store below `home`, and checks what is there then.
    fn pull(&self, home: &Folder) -> Result<Numbers> {
        let place = home.path().to_string_lossy();
        let numbers = run_role("pull", [&*self.registry.url(), &*place])?;
        let installed = home.join("models").join("oci").join(REPOSITORY).join("v1");
        check_bytes(&installed.join(WEIGHTS), self.digest())?;
        Ok(numbers)
    }

    /// Fetches the large layer with the bare loop.
    fn fetch_bare(&self, place: &Folder) -> Result<Numbers> {
        let (jobs, target) = (place.join("jobs"), place.join(WEIGHTS));
        let ranges = bare::ranges(self.digest(), self.weights_bytes, RANGE)?;
        bare::write_jobs(&jobs, &ranges)?;
        let url = self.registry.url();
        // With a query, the loop asks for the address as it is.
        let url = format!("{url}/v2/{REPOSITORY}/blobs/{}?", self.weights);
        let (jobs, written) = (jobs.to_string_lossy(), target.to_string_lossy());
        let connections = CONNECTIONS.to_string();
        let numbers = run_role("bare", [&*url, &*jobs, &*written, &*connections])?;
        check_bytes(&target, self.digest())?;
        Ok(numbers)
    }
}

fn pull(url: &str, home: &Path) -> Result<()> {
    let config = Config::new("bench")
        .bootstrap(format!("[sources.oci]\noci = \"{url}\"\n"))
        .data_dir(home.join("models"))
        .cache_dir(home.join("cache"));
    let environment = Environment::empty(System::Linux, home).boot("bench");
    let address: ModelAddress = format!("oci/{REPOSITORY}:v1").parse()?;
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

//! Git-hosted repositories: small files one by one, members of a release's zip, a commit's archive, large registries.
//!
//! | part | measures |
//! |---|---|
//! | `small` | 5,000 files of 1 KiB, their sizes stated and left out, beside a bare loop on 16 connections |
//! | `latency` | 500 of them from a server 50 ms away, beside one after another |
//! | `zip` | one model, then all, out of a release's zip of 100 MB, in ranges and from a server without them |
//! | `directory` | one model of ten files out of a release's zip of 100,000 |
//! | `archive` | all models of a commit through its archive, beside file by file |
//! | `registry` | sync, list, search, look up and lock of 10,000 models of 100,000 files; sync beside a typed parse alone |
//! | `make` | making a registry of 5,190 files of 77 MB in a folder, beside two threads that hash them |
//!
//! The host is in this process, so that it counts what went over the network; what is timed runs in processes of its
//! own, each on a machine that has just synced and has no models. A redirect counts as a request, too.

#[path = "support/bare.rs"]
mod bare;
#[path = "../tests/suite/support/forge/mod.rs"]
mod forge;
#[path = "../tests/suite/support/git.rs"]
mod git;
#[path = "support/hosted.rs"]
mod hosted;
#[path = "support/machine.rs"]
mod machine;
#[path = "../tests/suite/sources/repository/models.rs"]
mod models;
#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forge::Forge;
use hosted::{
    REFERENCE, REPO, host, large_registry, made_models, model_path, of_one_model, release,
    release_of_many, small_files, write_models,
};
use machine::{Machine, manager, sync, timed};
use modelrack::lock::LockOptions;
use modelrack::project::{MakeOptions, MakeOrigin, Project};
use modelrack::{
    Config, Digest, Manager, ModelAddress, ModelManager, ModelPattern, PullOptions, RemoteOptions,
    SearchOptions,
};
use models::{ModelsToml, NamedFile, models_of, real_models};
use serde::Deserialize;
use server::Rule;
use support::{
    Arguments, Folder, Result, Series, Start, Table, mebibytes, run_role, seconds, time,
};

/// How long a server lets wait that is far away.
const FAR: Duration = Duration::from_millis(50);
/// The most memory that any pull may take, or making a registry of a few thousand files.
const PEAK_BAR: f64 = (64 << 20) as f64;

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("repository")?;
    if arguments.wants("small") {
        small(&arguments, &folder.below("small")?)?;
    }
    if arguments.wants("latency") {
        latency(&arguments, &folder.below("latency")?)?;
    }
    if arguments.wants("zip") {
        zip(&arguments, &folder.below("zip")?)?;
    }
    if arguments.wants("directory") {
        directory(&arguments, &folder.below("directory")?)?;
    }
    if arguments.wants("archive") {
        archive(&arguments, &folder.below("archive")?)?;
    }
    if arguments.wants("registry") {
        registry(&arguments, &folder.below("registry")?)?;
    }
    if arguments.wants("make") {
        make(&arguments, &folder.below("make")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (name, arguments.as_slice()) {
        ("bare", arguments) => bare::play(arguments),
        ("parse", [registry]) => {
            let text = fs::read_to_string(registry)?;
            timed(|| Ok(parse(&text)?.files.len()))
        }
        ("sync", [url, home]) => timed(|| sync(&manager(url, home))),
        ("pull", [url, home, model, workers @ ..]) => {
            let workers = workers.first().map(|workers| workers.parse()).transpose()?;
            timed(|| pull(&manager(url, home), model, workers))
        }
        ("pull-all", [url, home]) => timed(|| pull_all(&manager(url, home))),
        ("list", [url, home]) => timed(|| list(&manager(url, home))),
        ("search", [url, home, query]) => timed(|| search(&manager(url, home), query)),
        ("lock", [url, home, count]) => timed(|| lock(&manager(url, home), home, count.parse()?)),
        ("look-up", [url, home, model]) => timed(|| look_up(&manager(url, home), model)),
        ("make", [models, output]) => timed(|| make_registry(models, output)),
        ("hash", [models]) => timed(|| hash_all(Path::new(models))),
        _ => Err(format!("no such role: {name}").into()),
    }
}

// What is measured.

fn small(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let count = arguments.size(5000, 300);
    let files = small_files(count);
    let jobs = folder.join("jobs");
    let job = |(name, bytes): &NamedFile| bare::Job {
        digest: name.rsplit('/').next().unwrap_or_default().to_owned(),
        offset: 0,
        size: bytes.len() as u64,
        begin: None,
    };
    bare::write_jobs(&jobs, &files.iter().map(job).collect::<Vec<_>>())?;
    let jobs = jobs.to_string_lossy();
    let forge = Forge::start();
    let root = format!("{}/{REPO}/raw/{REFERENCE}", forge.url());
    let mut table = Table::new(format!("small: {count} files of 1 KiB, a document each"));
    for (what, registry) in of_one_model(&files) {
        host(&forge, &registry, &files);
        let [mut ours, mut bare] = [const { Series::new() }; 2];
        let [mut our_work, mut bare_work, mut peak] = [const { Series::new() }; 3];
        for _ in 0..arguments.runs(9) {
            let target = folder.lasting("bare")?;
            let numbers = run_role("bare", [&*root, &jobs, &target.to_string_lossy(), "16"])?;
            bare.add(numbers.need("seconds")?);
            bare_work.extend(numbers.get("processor_seconds"));
            let machine = Machine::synced(&forge, folder)?;
            let numbers = machine.run(&["pull", "models/all"], count)?;
            ours.add(numbers.need("seconds")?);
            our_work.extend(numbers.get("processor_seconds"));
            peak.extend(numbers.get("peak_bytes"));
        }
        table.ratio(what, &ours, ("bare", &bare), 3.0);
        if let (Some(_), Some(_)) = (our_work.largest(), bare_work.largest()) {
            table.pair("  processors", &our_work, ("bare", &bare_work));
        }
        table.memory("  peak memory", peak.largest(), PEAK_BAR);
    }
    table.print();
    Ok(())
}

fn latency(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let count = arguments.size(500, 30);
    let files = small_files(count);
    let forge = Forge::start();
    forge.server().rule(Rule::any().delay(FAR));
    let mut table = Table::new(format!("latency: {count} files of 1 KiB, 50 ms away"));
    for (what, registry) in of_one_model(&files) {
        host(&forge, &registry, &files);
        let pull = |workers: &[&str]| {
            let machine = Machine::synced(&forge, folder)?;
            let role = [&["pull", "models/all"], workers].concat();
            machine.run(&role, count)?.need("seconds")
        };
        let mut times = Series::default();
        for _ in 0..arguments.runs(3) {
            times.add(pull(&[])?);
        }
        let one_by_one = pull(&["1"])?;
        let beside = format!("one after another {}", seconds(one_by_one));
        table.limit(what, times.median(), one_by_one / 10.0, seconds, &beside);
    }
    table.print();
    Ok(())
}

fn zip(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let models = arguments.size(100, 5);
    let forge = Forge::start();
    let release = release(&forge, models)?;
    let zip_size = mebibytes(release.zip_bytes as f64);
    let mut table = Table::new(format!(
        "zip: {models} models in a release's zip of {zip_size}"
    ));
    let runs = arguments.runs(3);
    let one: (&[&str], usize) = (&["pull", "models/model-002"], 10);
    let all: (&[&str], usize) = (&["pull-all"], models);
    for (what, role, bar) in [
        ("one model", one, release.one_bytes),
        ("all models", all, release.all_bytes),
    ] {
        let pulled = Pulled::measure(&forge, folder, runs, role)?;
        pulled.enter(&mut table, what, Some(bar));
    }
    forge
        .server()
        .rule(Rule::path_starts("/storage/").ignore_range());
    for (what, role) in [
        ("one model, no ranges", one),
        ("all models, no ranges", all),
    ] {
        let pulled = Pulled::measure(&forge, folder, runs, role)?;
        pulled.enter(&mut table, what, Some(release.zip_bytes));
    }
    table.print();
    Ok(())
}

fn directory(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let models = arguments.size(10_000, 200);
    let forge = Forge::start();
    let release = release_of_many(&forge, models);
    let mut table = Table::new(format!(
        "directory: one model in a release's zip of {} files, {}",
        models * 10,
        mebibytes(release as f64)
    ));
    let last = format!("models/{}", model_path(models - 1));
    let pulled = Pulled::measure(&forge, folder, arguments.runs(15), (&["pull", &last], 10))?;
    pulled.enter(&mut table, "one model", None);
    table.print();
    Ok(())
}

fn archive(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let mut files = real_models().unwrap_or_else(|| made_models(75, 20));
    files.truncate(arguments.size(files.len(), 120));
    let registry = ModelsToml::of(&files);
    let forge = Forge::start();
    host(&forge, &registry, &files);
    let mut table = Table::new(format!("archive: all models of {} files", files.len()));
    for (distance, delay, runs) in [("here", Duration::ZERO, 5), ("50 ms away", FAR, 1)] {
        for (way, has_archives) in [("its archive", true), ("file by file", false)] {
            let server = forge.server();
            server.clear_rules();
            if !has_archives {
                let no_zips = Rule::when(|request| request.path.contains("/zipball/"));
                server.rule(no_zips.status(404));
                server.rule(Rule::path_ends(".zip").status(404));
            }
            server.rule(Rule::any().delay(delay));
            let role: (&[&str], usize) = (&["pull-all"], models_of(&files).len());
            let pulled = Pulled::measure(&forge, folder, arguments.runs(runs), role)?;
            pulled.enter(&mut table, &format!("{distance}, {way}"), None);
        }
    }
    table.print();
    Ok(())
}

fn registry(arguments: &Arguments, folder: &Folder) -> Result<()> {
    const BAR: f64 = 0.100;
    let models = arguments.size(10_000, 200);
    let registry = large_registry(models);
    let text = registry.text();
    let path = folder.join("models.toml");
    fs::write(&path, &text)?;
    let path = path.to_string_lossy();
    let forge = Forge::start();
    host(&forge, &registry, &[]);
    let mut table = Table::new(format!(
        "registry: {models} models of 10 files, {:.1} MB",
        text.len() as f64 / 1e6
    ));

    let [mut syncing, mut parsing] = [const { Series::new() }; 2];
    let [mut peak, mut parsing_peak] = [const { Series::new() }; 2];
    for _ in 0..arguments.runs(5) {
        let numbers = run_role("parse", [&*path])?;
        parsing.add(numbers.need("seconds")?);
        parsing_peak.extend(numbers.get("peak_bytes"));
        let numbers = Machine::new(&forge, folder)?.sync()?;
        syncing.add(numbers.need("seconds")?);
        peak.extend(numbers.get("peak_bytes"));
    }
    table.pair("sync", &syncing, ("a typed parse", &parsing));
    if let (Some(peak), Some(parsing)) = (peak.largest(), parsing_peak.largest()) {
        table.row("  peak memory", &mebibytes(peak), &mebibytes(parsing));
    }

    let machine = Machine::synced(&forge, folder)?;
    let (url, home) = (&*machine.url, &*machine.home());
    let runs = arguments.runs(15);
    let again = time(runs, || sync(&manager(url, home)))?;
    table.row("sync again", &again.times(), "");
    let last = format!("models/{}", model_path(models - 1));
    let inside = [
        time(runs, || list(&manager(url, home)))?,
        time(runs, || search(&manager(url, home), &last))?,
        time(runs, || look_up(&manager(url, home), &last))?,
    ];
    let roles: [(&[&str], usize); 3] = [
        (&["list"], models),
        (&["search", &last], 1),
        (&["look-up", &last], 10),
    ];
    for ((role, finds), inside) in roles.into_iter().zip(inside) {
        let [mut whole, mut peak] = [const { Series::new() }; 2];
        for _ in 0..runs {
            let numbers = machine.run(role, finds)?;
            whole.add(numbers.need("process_seconds")?);
            peak.extend(numbers.get("peak_bytes"));
        }
        table.limit(role[0], inside.median(), BAR, seconds, "");
        table.limit("  process", whole.median(), BAR, seconds, "");
        if let Some(peak) = peak.largest() {
            table.row("  peak memory", &mebibytes(peak), "");
        }
    }
    let locked = arguments.size(1000, 100);
    let count = locked.to_string();
    let mut locking = Series::new();
    for _ in 0..arguments.runs(5) {
        let numbers = machine.run(&["lock", &count], locked)?;
        locking.add(numbers.need("process_seconds")?);
    }
    table.row(&format!("lock {locked} models"), &locking.times(), "");
    table.print();
    Ok(())
}

fn make(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let models = folder.join("models");
    let count = arguments.size(346, 20);
    let bytes = write_models(&models, count)?;
    let output = folder.join("output");
    let (models, output) = (models.to_string_lossy(), output.to_string_lossy());
    let [mut making, mut hashing, mut peak] = [const { Series::new() }; 3];
    for _ in 0..arguments.runs(9) {
        hashing.add(run_role("hash", [&*models])?.need("seconds")?);
        let numbers = run_role("make", [&*models, &*output])?;
        making.add(numbers.need("seconds")?);
        peak.extend(numbers.get("peak_bytes"));
    }
    let mut table = Table::new(format!(
        "make: a registry of {count} models of 15 files, {:.1} MB",
        bytes as f64 / 1e6
    ));
    table.limit("make", making.median(), 0.3, seconds, "");
    table.pair("  beside hashing", &making, ("two threads", &hashing));
    table.memory("  peak memory", peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

/// What pulls took, each on a machine of its own.
struct Pulled {
    times: Series,
    peak: Series,
    requests: Series,
    bytes: Series,
}

impl Pulled {
    /// Measures a role that finds so many models or files.
    fn measure(
        forge: &Forge,
        folder: &Folder,
        runs: usize,
        (role, finds): (&[&str], usize),
    ) -> Result<Self> {
        let [times, peak, requests, bytes] = [const { Series::new() }; 4];
        let mut pulled = Self {
            times,
            peak,
            requests,
            bytes,
        };
        for _ in 0..runs {
            let machine = Machine::synced(forge, folder)?;
            forge.server().reset_counts();
            let numbers = machine.run(role, finds)?;
            pulled.times.add(numbers.need("seconds")?);
            pulled.peak.extend(numbers.get("peak_bytes"));
            pulled.requests.add(forge.server().requests().len() as f64);
            pulled.bytes.add(forge.server().bytes_sent() as f64);
        }
        Ok(pulled)
    }

    /// Enters them, with a bar for the bytes that went over the network where there is one.
    fn enter(&self, table: &mut Table, what: &str, bar: Option<u64>) {
        let requests = format!("{} requests", self.requests.median());
        table.row(what, &self.times.times(), &requests);
        let bytes = self.bytes.median();
        match bar {
            Some(bar) => table.limit("  over the network", bytes, bar as f64, mebibytes, ""),
            None => table.row("  over the network", &mebibytes(bytes), ""),
        }
        table.memory("  peak memory", self.peak.largest(), PEAK_BAR);
    }
}

// The processes.

fn pull(manager: &ModelManager, model: &str, workers: Option<usize>) -> Result<usize> {
    let options = PullOptions::default().concurrency(workers);
    let report = manager.pull(&address(model)?, &options)?;
    Ok(usize::try_from(report.files)?)
}

fn pull_all(manager: &ModelManager) -> Result<usize> {
    let all = ModelPattern::parse(&format!("models@{REFERENCE}/*"), None)?;
    let report = manager.pull_matching(&all, &PullOptions::default())?;
    match report.failed.into_iter().next() {
        Some(failed) => Err(failed.error.into()),
        None => Ok(report.pulled.len()),
    }
}

fn list(manager: &ModelManager) -> Result<usize> {
    let listing = manager.list_remote(&RemoteOptions::default().offline(true))?;
    Ok(listing.models.len())
}

fn search(manager: &ModelManager, query: &str) -> Result<usize> {
    let options = SearchOptions::default().remote(true).offline(true);
    Ok(manager.search(query, &options)?.remote.len())
}

/// Locks the first models of the registry.
fn lock(manager: &ModelManager, home: &str, count: usize) -> Result<usize> {
    let models = (0..count).map(|model| address(&format!("models/{}", model_path(model))));
    let options = LockOptions::default()
        .models(models.collect::<Result<Vec<_>>>()?)
        .file(Path::new(home).join("models.lock"));
    Ok(manager.lock(&options)?.entries.len())
}

fn look_up(manager: &ModelManager, model: &str) -> Result<usize> {
    let options = RemoteOptions::default().offline(true);
    Ok(manager
        .remote_detail(&address(model)?, &options)?
        .files
        .len())
}

fn address(model: &str) -> Result<ModelAddress> {
    Ok(ModelAddress::parse(model, Some(REFERENCE))?)
}

fn make_registry(models: &str, output: &str) -> Result<usize> {
    let origin = MakeOrigin::Folder {
        path: models.into(),
        repository: None,
    };
    let options = MakeOptions::new(Config::new("bench"), origin).output(output);
    Ok(Project::make(&options)?.files)
}

/// Hashes the files of the folders in a folder, with two threads.
fn hash_all(models: &Path) -> Result<usize> {
    let mut files = Vec::new();
    for model in fs::read_dir(models)? {
        for file in fs::read_dir(model?.path())? {
            files.push(file?.path());
        }
    }
    let hash = |files: &[PathBuf]| -> Result<()> {
        for file in files {
            std::hint::black_box(Digest::of(&fs::read(file)?));
        }
        Ok(())
    };
    let (one, other) = files.split_at(files.len() / 2);
    let (one, other) = rayon::join(|| hash(one), || hash(other));
    one.and(other)?;
    Ok(files.len())
}

/// A registry, read with the least that a reader needs.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Registry {
    files: BTreeMap<String, FileFacts>,
    models: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct FileFacts {
    hash: String,
    size: u64,
}

fn parse(text: &str) -> Result<Registry> {
    Ok(toml::from_str(text)?)
}

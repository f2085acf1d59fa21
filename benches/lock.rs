//! Locks: resolving many models of one registry, and pulling what is installed as a lock says it.
//!
//! | part | measures |
//! |---|---|
//! | `lock` | locking 1,000 models of a registry: one request for its index, and one for each manifest |
//! | `large` | the same of a registry of 100,000 models |
//! | `frozen` | `pull --frozen` of 100 installed models: no request, as a process from its start to its end |
//!
//! The registry's server is in this process, so that it counts what is asked for.

#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::fs;
use std::path::Path;

use modelrack::config::System;
use modelrack::lock::{LockOptions, LockedOptions};
use modelrack::{Config, Digest, Environment, Manager, ModelAddress, ModelManager};
use serde_json::{Map, Value, json};
use server::Server;
use support::{Arguments, Folder, Result, Series, Start, Table, run_role, say, say_usage, seconds};

/// How long the models of the part `frozen` may take.
const FROZEN_BAR: f64 = 0.100;

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("lock")?;
    let locked = arguments.size(1000, 100);
    if arguments.wants("lock") {
        lock_all(&arguments, &folder.below("lock")?, locked, locked)?;
    }
    if arguments.wants("large") {
        let listed = arguments.size(100_000, 1000);
        lock_all(&arguments, &folder.below("large")?, locked, listed)?;
    }
    if arguments.wants("frozen") {
        pull_frozen(&arguments, &folder.below("frozen")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let [url, home, count] = arguments else {
        return Err("a role needs a URL, a folder and a number of models".into());
    };
    let (home, count) = (Path::new(home), count.parse()?);
    let manager = manager(url, home);
    let lock = home.join("models.lock");
    match name {
        "lock" => {
            let models = (0..count).map(address).collect::<Result<Vec<_>>>()?;
            let report = manager.lock(&LockOptions::default().models(models).file(&lock))?;
            say("models", report.entries.len());
        }
        "pull" => {
            let plans = manager.plan_locked(&LockedOptions::default().file(&lock).frozen(true))?;
            let report = manager.execute_all(&plans)?;
            if let Some(failed) = report.failed.into_iter().next() {
                return Err(failed.error.into());
            }
            say("models", report.pulled.len());
        }
        _ => return Err(format!("no such role: {name}").into()),
    }
    say_usage();
    Ok(())
}

/// Locks so many models of a registry that lists so many.
fn lock_all(arguments: &Arguments, folder: &Folder, count: usize, listed: usize) -> Result<()> {
    let server = serve(folder, count, listed)?;
    let (mut times, mut requests) = (Series::new(), Series::new());
    for _ in 0..arguments.runs(5) {
        let home = folder.lasting("home")?;
        server.reset_counts();
        times.add(run("lock", &server, &home, count)?);
        requests.add(server.requests().len() as f64);
    }
    let mut table = Table::new(format!("lock: {count} models of a registry of {listed}"));
    table.row("process", &times.times(), "");
    let most = requests.largest().unwrap_or_default();
    let shown = |requests: f64| format!("{requests}");
    let bar = (count + 1) as f64;
    table.limit("requests", most, bar, shown, "an index and the manifests");
    table.print();
    Ok(())
}

fn pull_frozen(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let count = arguments.size(100, 20);
    let server = serve(folder, count, count)?;
    let home = folder.lasting("home")?;
    run("lock", &server, &home, count)?;
    run("pull", &server, &home, count)?;
    server.reset_counts();
    let mut times = Series::new();
    for _ in 0..arguments.runs(21) {
        times.add(run("pull", &server, &home, count)?);
    }
    let asked = server.requests().len();
    assert_eq!(asked, 0, "what is installed is not asked for");
    let mut table = Table::new(format!("frozen: {count} installed models, no request"));
    table.limit("process", times.median(), FROZEN_BAR, seconds, "");
    table.print();
    Ok(())
}

/// Plays a role, and returns how long the process took.
fn run(role: &str, server: &Server, home: &Path, count: usize) -> Result<f64> {
    let (home, count_text) = (home.to_string_lossy(), count.to_string());
    let numbers = run_role(role, [&*server.url(), &*home, &*count_text])?;
    assert_eq!(numbers.need("models")?, count as f64, "of all models");
    numbers.need("process_seconds")
}

/// Serves a registry of so many models, of one small file each. Its index lists more, up to so many.
fn serve(folder: &Folder, count: usize, listed: usize) -> Result<Server> {
    let registry = folder.lasting("registry")?;
    let data = registry.join("data");
    fs::create_dir_all(&data)?;
    let mut models = Map::new();
    for number in 0..count {
        let bytes = format!("the model with the number {number}\n");
        let chunk = Digest::of(bytes.as_bytes()).to_string();
        fs::write(data.join(&chunk), &bytes)?;
        let manifest = json!({
            "total_size": bytes.len(),
            "chunk_size": bytes.len(),
            "chunks": [chunk],
            "files": [{"path": "model.bin", "size": bytes.len(), "sha256": chunk}],
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let hash = Digest::of(&manifest).to_string();
        fs::write(data.join(&hash), &manifest)?;
        models.insert(name(number), json!({"v1": {"hash": hash}}));
    }
    for number in count..listed {
        let hash = Digest::of(&number.to_le_bytes()).to_string();
        models.insert(name(number), json!({"v1": {"hash": hash}}));
    }
    let index = json!({"bench": Value::Object(models)});
    fs::write(registry.join("models.json"), serde_json::to_vec(&index)?)?;
    Ok(Server::start().folder(registry))
}

fn name(number: usize) -> String {
    format!("model-{number:04}")
}

fn address(number: usize) -> Result<ModelAddress> {
    Ok(format!("bench/{} v1", name(number)).parse()?)
}

fn manager(url: &str, home: &Path) -> ModelManager {
    let config = Config::new("bench")
        .registry_url(url)
        .data_dir(home.join("models"))
        .cache_dir(home.join("cache"));
    ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, home).boot("bench"))
        .build()
}

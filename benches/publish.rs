//! Publishing: where versions are cut, and an index of a million versions.
//!
//! | part | measures |
//! |---|---|
//! | `cuts` | publishing 2 GiB, cut where the content says beside fixed cuts; and what 1 KiB inserted at the front costs an update |
//! | `shards` | publishing one version more in a registry of a million, and pulling it: seconds, memory, requests and bytes |

#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use modelrack::config::System;
use modelrack::project::{Chunking, Project, PublishOptions, PublishReport};
use modelrack::{Config, Environment, Manager, ManagerExt, ModelManager, ModelRef, UpdateOptions};
use serde_json::{Value, json};
use server::Server;
use support::{
    Arguments, Folder, Result, Series, Start, Table, mebibytes, run_role, say, say_usage, seconds,
};

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("publish")?;
    if arguments.wants("cuts") {
        cuts(&arguments, &folder.below("cuts")?)?;
    }
    if arguments.wants("shards") {
        shards(&arguments, &folder.below("shards")?)?;
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let started = Instant::now();
    match (name, arguments) {
        ("publish", [file, registry, model, chunking]) => {
            publish(file, registry, model, &options(chunking)?)?;
        }
        ("split", [file, registry, model]) => {
            publish(
                file,
                registry,
                model,
                &PublishOptions::default().shards(true),
            )?;
        }
        ("pull", [folder, url, model]) => {
            manager(folder, url).pull_model(model.as_str())?;
        }
        _ => return Err(format!("no such role: {name}").into()),
    }
    say("seconds", started.elapsed().as_secs_f64());
    say_usage();
    Ok(())
}

fn options(chunking: &str) -> Result<PublishOptions> {
    let chunking: Chunking = chunking.parse()?;
    Ok(PublishOptions::default().chunking(chunking))
}

fn publish(
    file: &str,
    registry: &str,
    model: &str,
    options: &PublishOptions,
) -> Result<PublishReport> {
    let model = ModelRef::new("bench", model, "v1")?;
    let registry = Path::new(registry);
    Ok(Project::publish_files(
        &[file.into()],
        &model,
        registry,
        options,
    )?)
}

fn cuts(arguments: &Arguments, folder: &Folder) -> Result<()> {
    const BAR: f64 = 1.15;
    const CHUNKS_BAR: usize = 4;
    let size = arguments.size(2 << 30, 64 << 20);
    let mut random = fastrand::Rng::with_seed(1);
    let mut write = |name: &str, front: &[u8]| -> Result<String> {
        let path = folder.join(name).join("model.bin");
        fs::create_dir_all(folder.join(name))?;
        let mut file = BufWriter::new(File::create(&path)?);
        file.write_all(front)?;
        random.seed(2);
        let mut piece = vec![0; 1 << 20];
        for _ in 0..size >> 20 {
            random.fill(&mut piece);
            file.write_all(&piece)?;
        }
        file.flush()?;
        Ok(path.to_string_lossy().into_owned())
    };
    let (before, after) = (write("before", &[])?, write("after", &[7; 1 << 10])?);
    let registry = folder.join("registry").to_string_lossy().into_owned();
    let [mut fixed, mut content] = [const { Series::new() }; 2];
    let mut peak = Series::new();
    for _ in 0..arguments.runs(5) {
        for (chunking, series) in [("fixed", &mut fixed), ("content", &mut content)] {
            let numbers = run_role("publish", [&*before, &*registry, "m", chunking])?;
            series.add(numbers.need("seconds")?);
            peak.extend(numbers.get("peak_bytes"));
            fs::remove_dir_all(&registry)?;
        }
    }
    let mut table = Table::new(format!("cuts: publishing {}", mebibytes(size as f64)));
    table.ratio("by content", &content, ("fixed", &fixed), BAR);
    table.memory("  peak memory", peak.largest(), (64 << 20) as f64);
    for chunking in ["content", "fixed"] {
        publish(&before, &registry, "m", &options(chunking)?)?;
        let server = Server::start().folder(&registry);
        let store = folder.below(chunking)?;
        let manager = manager(&store.path().to_string_lossy(), &server.url());
        manager.pull_model("bench/m")?;
        let report = publish(&after, &registry, "m", &options(chunking)?)?;
        server.reset_counts();
        let started = Instant::now();
        manager.update(&UpdateOptions::default())?;
        let took = seconds(started.elapsed().as_secs_f64());
        let chunks = report.chunks_written;
        let beside = match chunking {
            "content" => format!("at most {CHUNKS_BAR}"),
            _ => String::new(),
        };
        let sent = mebibytes(server.bytes_sent() as f64);
        table.row(
            &format!("1 KiB inserted, {chunking}"),
            &format!("{chunks} chunks, {sent}, {took}"),
            &beside,
        );
        fs::remove_dir_all(&registry)?;
    }
    table.print();
    Ok(())
}

fn shards(arguments: &Arguments, folder: &Folder) -> Result<()> {
    const PUBLISH_BAR: f64 = 1.0;
    const PULL_BAR: f64 = 1.0;
    let count = arguments.size(1_000_000, 10_000);
    let registry = folder.below("registry")?;
    fs::write(
        registry.join("models.json"),
        serde_json::to_vec(&index(count))?,
    )?;
    let file = folder.join("model.bin");
    fs::write(&file, [1; 1000])?;
    let (file, path) = (file.to_string_lossy(), registry.path().to_string_lossy());
    let split = run_role("split", [&*file, &*path, "first"])?;
    let mut table = Table::new(format!("shards: {count} versions"));
    table.row("into shards, once", &seconds(split.need("seconds")?), "");
    let server = Server::start().folder(&*path);
    let [mut published, mut pulled] = [const { Series::new() }; 2];
    let mut peak = Series::new();
    let mut cost = String::new();
    for run in 0..arguments.runs(11) {
        let model = format!("model-{run}");
        let numbers = run_role("publish", [&*file, &*path, &model, "fixed"])?;
        published.add(numbers.need("seconds")?);
        peak.extend(numbers.get("peak_bytes"));
        let store = folder.below(&model)?;
        server.reset_counts();
        let name = format!("bench/{model}");
        let numbers = run_role(
            "pull",
            [&*store.path().to_string_lossy(), &server.url(), &name],
        )?;
        pulled.add(numbers.need("seconds")?);
        let (requests, bytes) = (server.requests().len(), server.bytes_sent());
        cost = format!("{requests} requests, {:.0} KB", bytes as f64 / 1e3);
    }
    table.limit(
        "publishing one more",
        published.median(),
        PUBLISH_BAR,
        seconds,
        "",
    );
    table.memory("  peak memory", peak.largest(), (64 << 20) as f64);
    table.limit("pulling it", pulled.median(), PULL_BAR, seconds, &cost);
    table.print();
    Ok(())
}

/// An index of so many versions, four of each model.
fn index(count: usize) -> Value {
    let mut groups: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for model in 0..count / 4 {
        let version = |number: usize| {
            let digest = modelrack::Digest::of(format!("{model} {number}").as_bytes());
            let entry = json!({"hash": digest, "metadata": {"type": "text-generation"}});
            (format!("v{number}"), entry)
        };
        let group = groups
            .entry(format!("group-{:03}", model % 1000))
            .or_default();
        group.insert(format!("model-{model:06}"), (0..4).map(version).collect());
    }
    json!(groups)
}

fn manager(folder: &str, url: &str) -> ModelManager {
    let folder = Path::new(folder);
    let config = Config::new("bench")
        .registry_url(url)
        .data_dir(folder.join("models"))
        .cache_dir(folder.join("cache"));
    ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, folder))
        .build()
}

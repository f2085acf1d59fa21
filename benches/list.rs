//! Listing what is installed, and what a large registry offers.
//!
//! | part | measures |
//! |---|---|
//! | `installed` | `list` with 1,000 installed models, and with 10,000 |
//! | `remote` | `list_remote` of a cached registry of 100,000 versions, and a typed parse of its index alone |
//!
//! Each as a process from its start to its end, and in a process that runs already.

#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;

use modelrack::config::System;
use modelrack::remote::RawMetadata;
use modelrack::{
    Config, Digest, Environment, ListOptions, Manager, Metadata, ModelManager, RemoteOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::Server;
use support::{
    Arguments, Folder, Result, Series, Start, Table, role, run_role, say, say_usage, seconds, time,
};

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("list")?;
    if arguments.wants("installed") {
        for count in [1000, 10_000] {
            installed(&arguments, &folder.below("installed")?, count)?;
        }
    }
    if arguments.wants("remote") {
        for metadata in [false, true] {
            remote(&arguments, &folder.below("remote")?, metadata)?;
        }
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match (name, arguments) {
        ("nothing", []) => {}
        ("usage", [folder]) => {
            let listing = manager(folder, "http://127.0.0.1:1").list(&ListOptions::default())?;
            say("found", listing.models.len());
            say_usage();
        }
        ("installed", [folder]) => {
            let listing = manager(folder, "http://127.0.0.1:1").list(&ListOptions::default())?;
            for model in listing.models {
                let source = model.source.unwrap_or_default();
                writeln!(out, "{}  {}  {source}", model.model, model.total_bytes)?;
            }
        }
        ("remote", [folder, url]) => json_of(folder, url, &mut out)?,
        ("offers", [folder, url]) => {
            let remote = RemoteOptions::default().offline(true);
            say(
                "found",
                manager(folder, url).list_remote(&remote)?.models.len(),
            );
            say_usage();
        }
        ("parse", [index]) => drop(std::hint::black_box(parse(&fs::read(index)?)?)),
        _ => return Err(format!("no such role: {name}").into()),
    }
    Ok(out.flush()?)
}

fn installed(arguments: &Arguments, folder: &Folder, count: usize) -> Result<()> {
    /// Of a thousand models.
    const BAR: f64 = 0.010;
    const PEAK_BAR: f64 = (30 << 20) as f64;
    let bar = BAR * (count as f64 / 1000.0);
    let count = arguments.size(count, count / 10);
    let store = folder.join("models");
    fs::create_dir_all(&store)?;
    fs::write(store.join("registry.json"), record(count)?)?;
    let path = folder.path().to_string_lossy().into_owned();
    let runs = arguments.runs(51);
    let nothing = processes(runs, "nothing", &[])?;
    let whole = processes(runs, "installed", &[&path])?;
    let inside = time(runs, || {
        let listing = manager(&path, "http://127.0.0.1:1").list(&ListOptions::default())?;
        assert_eq!(listing.models.len(), count, "all are listed");
        Ok(listing)
    })?;
    let numbers = run_role("usage", [&path])?;
    assert_eq!(numbers.need("found")?, count as f64, "all are listed");
    let peak = numbers.get("peak_bytes");
    let mut table = Table::new(format!("installed: list with {count} models"));
    let beside = format!("a process that does nothing {}", nothing.times());
    table.limit("process", whole.median(), bar, seconds, &beside);
    table.limit("in process", inside.median(), bar, seconds, "");
    table.memory("peak memory", peak, PEAK_BAR);
    table.print();
    Ok(())
}

fn remote(arguments: &Arguments, folder: &Folder, metadata: bool) -> Result<()> {
    const BAR: f64 = 0.200;
    const LISTING_BAR: f64 = 0.050;
    const PEAK_BAR: f64 = (40 << 20) as f64;
    let count = arguments.size(100_000, 1000);
    let index = index(count, metadata)?;
    let index_path = folder.join("models.json");
    fs::write(&index_path, &index)?;
    let path = folder.path().to_string_lossy().into_owned();
    let url = {
        let server = Server::start().folder(&path);
        let fetched = manager(&path, &server.url()).list_remote(&RemoteOptions::default())?;
        assert_eq!(fetched.models.len(), count, "all are listed");
        server.url()
    };
    let runs = arguments.runs(15);
    let offline = || RemoteOptions::default().offline(true);
    let parsing = time(runs, || parse(&index))?;
    let inside = time(runs, || Ok(manager(&path, &url).list_remote(&offline())?))?;
    let with_json = time(runs, || {
        let mut out = Vec::new();
        json_of(&path, &url, &mut out)?;
        Ok(out)
    })?;
    let whole_parse = processes(runs, "parse", &[&index_path.to_string_lossy()])?;
    let whole = processes(runs, "remote", &[&path, &url])?;
    let [mut listing, mut peak] = [const { Series::new() }; 2];
    for _ in 0..runs {
        let numbers = run_role("offers", [&path, &url])?;
        assert_eq!(numbers.need("found")?, count as f64, "all are listed");
        listing.add(numbers.need("process_seconds")?);
        peak.extend(numbers.get("peak_bytes"));
    }
    let mut table = Table::new(format!(
        "remote: list_remote of {count} versions {} metadata, index of {:.1} MB",
        if metadata { "with" } else { "without" },
        index.len() as f64 / 1e6
    ));
    let typed = |series: &Series| format!("a typed parse {}", series.times());
    table.limit(
        "in process",
        inside.median(),
        BAR,
        seconds,
        &typed(&parsing),
    );
    table.limit("  with JSON", with_json.median(), BAR, seconds, "");
    let beside = typed(&whole_parse);
    table.limit("process, JSON", whole.median(), BAR, seconds, &beside);
    table.limit("process", listing.median(), LISTING_BAR, seconds, "");
    table.memory("  peak memory", peak.largest(), PEAK_BAR);
    table.print();
    Ok(())
}

/// Times processes from start to end.
fn processes(runs: usize, name: &str, arguments: &[&str]) -> Result<Series> {
    time(runs, || {
        let output = role(name, arguments)?.stderr(Stdio::inherit()).output()?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(format!("the role {name} failed: {}", output.status).into())
        }
    })
}

fn manager(folder: &str, url: &str) -> ModelManager {
    let folder = Path::new(folder);
    let config = Config::new("bench")
        .bootstrap(format!("[sources.weights]\nurl = \"{url}\"\n"))
        .data_dir(folder.join("models"))
        .cache_dir(folder.join("cache"));
    ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, folder))
        .build()
}

/// Lists what is offered and writes it as one JSON document.
fn json_of(folder: &str, url: &str, out: &mut dyn std::io::Write) -> Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        group: &'a str,
        model: &'a str,
        version: &'a str,
        source: &'a str,
        manifest_hash: Digest,
        alias_of: Option<&'a str>,
        metadata: &'a RawMetadata,
    }
    let all = manager(folder, url).list_remote(&RemoteOptions::default().offline(true))?;
    let rows: Vec<Row<'_>> = all
        .models
        .iter()
        .map(|remote| Row {
            group: remote.model.group(),
            model: remote.model.model(),
            version: remote.model.version(),
            source: &remote.source,
            manifest_hash: remote.manifest_digest,
            alias_of: remote.alias_of.as_deref(),
            metadata: &remote.metadata,
        })
        .collect();
    Ok(serde_json::to_writer(out, &rows)?)
}

/// One entry of an index, read with the least that a reader needs.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Entry {
    hash: String,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    alias_of: Option<String>,
}

type Index = BTreeMap<String, BTreeMap<String, BTreeMap<String, Entry>>>;

fn parse(index: &[u8]) -> Result<Index> {
    Ok(serde_json::from_slice(index)?)
}

/// An index of so many versions: 20 groups, 5 versions of each model.
fn index(count: usize, metadata: bool) -> Result<Vec<u8>> {
    let mut index: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>> = BTreeMap::new();
    for number in 0..count {
        let (model, version) = (number / 5, number % 5);
        let mut entry = json!({"hash": digest(number)});
        if metadata {
            entry["metadata"] = described(model);
        }
        index
            .entry(format!("group-{:02}", model % 20))
            .or_default()
            .entry(format!("model-{model:05}"))
            .or_default()
            .insert(format!("1.{version}.0"), entry);
    }
    Ok(serde_json::to_vec(&index)?)
}

/// The store's record of so many installed models.
fn record(count: usize) -> Result<Vec<u8>> {
    let mut record: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>> = BTreeMap::new();
    for number in 0..count {
        let entry = json!({
            "manifest_hash": digest(number),
            "total_size": 1_000_000 + number,
            "file_count": 4,
            "installed_at": "2026-01-31T12:00:00Z",
            "source": "weights",
            "type": "classification",
            "tags": ["speech", "small"],
            "metadata": described(number),
        });
        record
            .entry(format!("weights/group-{:02}", number % 20))
            .or_default()
            .entry(format!("model-{number:05}"))
            .or_default()
            .insert("1.0.0".to_owned(), entry);
    }
    Ok(serde_json::to_vec_pretty(&record)?)
}

fn described(number: usize) -> Value {
    json!({
        "description": format!("A model to list, the one with the number {number}"),
        "type": "classification",
        "tags": ["speech", "small"],
    })
}

/// A digest that looks like one.
fn digest(number: usize) -> String {
    let word = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for turn in 0..4 {
        let _ = write!(text, "{:016x}", word.rotate_left(turn * 13));
    }
    text
}

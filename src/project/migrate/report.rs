//! Writing what is registered for tools that read `model_registry.json`.
//!
//! ```text
//! <output>/
//! ├── model_registry.json             all models, targets and target sets
//! ├── model_registry_summary.json     how many there are
//! └── {model_id}/
//!     └── {model_id}_metadata.json    the entry of one model; of an id with slashes, the last part names the file
//! ```
//!
//! An entry has the fields of the current version, as in the description of those tools, and then those that
//! [`Project::import`] needs to make the same registry of it again:
//!
//! ```json
//! {
//!   "model_id": "actinf_pomdp_agent",
//!   "model_name": "Active Inference POMDP Agent",
//!   "file_path": "input/gnn_files/actinf_pomdp_agent.md",
//!   "file_size_bytes": 1759,
//!   "registered_at": "2025-09-29T12:00:00Z",
//!   "version": "1.0.0",
//!   "metadata": { "variables": 13, "connections": 11 },
//!   "name": "Active Inference POMDP Agent", "description": "…", "type": null, "tags": [], "format": "gnn",
//!   "entrypoint": null, "outputs": [], "data": [], "code": [], "given": [],
//!   "created_at": "2025-09-29T12:00:00Z", "updated_at": "2025-09-29T12:00:00Z", "current_version": "1.0.0",
//!   "versions": {
//!     "1.0.0": {
//!       "version": "1.0.0", "file_path": "…", "file_size_bytes": 1759, "created_at": "…", "hash": "<sha256>",
//!       "metadata": { … }, "files": { "<path>": { "sha256": "…", "size_bytes": 1759 } }
//!     }
//!   }
//! }
//! ```
//!
//! Of a folder, `file_path` is the folder, `file_size_bytes` the size of all its files, and `hash` is empty. What `make`
//! found is in no report: it has neither versions nor times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::disk::write::replace_file;
use crate::error::{Error, IoContext, Result};
use crate::model::ModelName;
use crate::modelstoml::{Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
use crate::project::home::Project;
use crate::relpath::{RelPath, check_distinct};
use crate::time::rfc3339_micros;

const REGISTRY: &str = "model_registry.json";
const SUMMARY: &str = "model_registry_summary.json";
/// What a file says that a report wrote: it may be replaced.
const GENERATOR: &str = "modelrack";
/// The format of `model_registry.json`.
const FORMAT: &str = "1.0.0";

/// The report of a project, written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WrittenReport {
    /// `model_registry.json` in the folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// How many models are in it.
    pub models: usize,
    /// How many targets are in it.
    pub targets: usize,
    /// How many files it consists of; those that are the same already are not written again.
    pub files: usize,
    /// Files of models that are registered no more, which an earlier report wrote and this one removed; in order.
    #[serde(serialize_with = "crate::report::paths")]
    pub removed: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Registry<'a> {
    version: &'static str,
    generator: &'static str,
    updated_at: Option<String>,
    models: BTreeMap<&'a str, Model<'a>>,
    targets: BTreeMap<&'a str, Target<'a>>,
    target_sets: &'a BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Serialize)]
struct Summary {
    generator: &'static str,
    success: bool,
    processed_files: usize,
    successful_registrations: usize,
    registry_path: String,
    total_models: usize,
    total_versions: usize,
    total_targets: usize,
    total_bytes: u64,
}

/// The file of one model.
#[derive(Debug, Serialize)]
struct Single<'a> {
    generator: &'static str,
    #[serde(flatten)]
    model: &'a Model<'a>,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    model_id: &'a str,
    model_name: &'a str,
    file_path: &'a str,
    file_size_bytes: u64,
    registered_at: Option<String>,
    version: &'a str,
    metadata: Option<&'a Metadata>,
    name: &'a str,
    description: &'a str,
    #[serde(rename = "type")]
    model_type: Option<&'a str>,
    tags: &'a BTreeSet<String>,
    format: Option<&'a str>,
    entrypoint: Option<&'a str>,
    outputs: &'a [String],
    data: Vec<&'a str>,
    code: Vec<&'a str>,
    given: &'a BTreeSet<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    current_version: &'a str,
    #[serde(serialize_with = "as_table")]
    versions: Vec<(&'a str, Version<'a>)>,
}

#[derive(Debug, Serialize)]
struct Version<'a> {
    version: &'a str,
    file_path: &'a str,
    file_size_bytes: u64,
    created_at: String,
    hash: String,
    metadata: &'a Metadata,
    files: BTreeMap<&'a str, File>,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    target_id: &'a str,
    path: &'a str,
    entrypoint: &'a str,
    model_output: &'a str,
    data: Vec<&'a str>,
    registered_at: String,
    digest: Digest,
    files: BTreeMap<&'a str, File>,
}

#[derive(Debug, Serialize)]
struct File {
    sha256: Digest,
    size_bytes: u64,
}

impl Project {
    /// Writes what is registered as `model_registry.json`, a summary of it, and a file for each model, into a folder that is
    /// made when it is not there. The same registry gives the same bytes. What an earlier report wrote there is replaced,
    /// and removed where its model is registered no more.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when a file is in the way that no report wrote, or when the files of two models would be
    /// one, or the registry's own; the storage errors.
    pub fn report(&self, folder: &Path) -> Result<WrittenReport> {
        let registry = self.registry();
        let path = folder.join(REGISTRY);
        let models: BTreeMap<&str, Model<'_>> = registry
            .entries
            .iter()
            .map(|(id, entry)| (id.as_str(), Model::new(id, entry)))
            .collect();
        let mut places = Vec::new();
        for id in models.keys() {
            places.push(place_of(id)?);
        }
        check_places(&places)?;
        let own = [REGISTRY, SUMMARY].map(|name| folder.join(name));
        for file in own
            .iter()
            .cloned()
            .chain(places.iter().map(|place| below(folder, place)))
        {
            check_replaceable(&file)?;
        }
        let kept: BTreeSet<&RelPath> = places.iter().collect();
        let removed = remove_dropped(folder, &path, &kept)?;
        let singles: Vec<_> = models.values().zip(&places).collect();
        // Each waits for the disk: together they wait less.
        singles.par_iter().try_for_each(|(model, place)| {
            let single = Single {
                generator: GENERATOR,
                model,
            };
            write(&below(folder, place), &single)
        })?;
        let [_, summary] = &own;
        write(summary, &Summary::new(registry, &path))?;
        let report = WrittenReport {
            models: models.len(),
            targets: registry.targets.len(),
            files: 2 + places.len(),
            removed,
            path,
        };
        // Last: it names the files of models that are there.
        write(&report.path, &Registry::new(registry, models))?;
        Ok(report)
    }
}

/// Where the file of a model goes.
fn place_of(id: &str) -> Result<RelPath> {
    let invalid = Error::argument_name;
    let name = ModelName::parse(id).map_err(invalid)?;
    RelPath::parse(&format!("{id}/{}_metadata.json", name.model())).map_err(invalid)
}

/// Refuses ids whose files would be one on some system, or in the place of another's folder.
fn check_places(places: &[RelPath]) -> Result<()> {
    let own = [REGISTRY, SUMMARY].map(RelPath::parse);
    check_distinct(places.iter().chain(own.iter().flatten()))
        .map_err(|error| Error::argument(format!("two files of the report would be one: {error}")))
}

fn below(folder: &Path, place: &RelPath) -> PathBuf {
    place
        .components()
        .fold(folder.to_owned(), |path, part| path.join(part))
}

/// Refuses to write over what no report wrote: the registry of another program has a history that would be lost.
fn check_replaceable(file: &Path) -> Result<()> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.at("read", file)?,
    };
    match is_own(&bytes) {
        true => Ok(()),
        false => Err(Error::argument(format!(
            "{} was written by another program: name another folder, or import it first and move it away",
            file.display()
        ))),
    }
}

fn is_own(bytes: &[u8]) -> bool {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    value.is_some_and(|value| value["generator"] == GENERATOR)
}

/// Removes the files of models that an earlier report had and this one has not.
fn remove_dropped(
    folder: &Path,
    registry: &Path,
    kept: &BTreeSet<&RelPath>,
) -> Result<Vec<PathBuf>> {
    let before: Option<Value> = fs::read(registry)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let models = before
        .as_ref()
        .and_then(|before| before["models"].as_object());
    let mut removed = Vec::new();
    for id in models.into_iter().flat_map(|models| models.keys()) {
        let Some(place) = place_of(id).ok().filter(|place| !kept.contains(place)) else {
            continue;
        };
        let file = below(folder, &place);
        if !fs::read(&file).is_ok_and(|bytes| is_own(&bytes)) {
            continue;
        }
        fs::remove_file(&file).at("remove", &file)?;
        // Its folder, and those above it, as far as they are empty now.
        let folders = file.ancestors().skip(1);
        for empty in folders.take_while(|above| *above != folder) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
        }
        removed.push(file);
    }
    Ok(removed)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::internal(format!("the report is no JSON: {error}")))?;
    text.push(b'\n');
    match fs::read(path) {
        Ok(before) if before == text => Ok(()),
        _ => replace_file(path, &text),
    }
}

impl<'a> Registry<'a> {
    fn new(registry: &'a ProjectRegistry, models: BTreeMap<&'a str, Model<'a>>) -> Self {
        let of_models = registry.entries.values().flat_map(|e| e.versions.values());
        let times = of_models
            .map(|version| version.registered_at)
            .chain(registry.targets.values().map(|target| target.registered_at));
        let targets = registry.targets.iter();
        Self {
            version: FORMAT,
            generator: GENERATOR,
            updated_at: times.max().map(rfc3339_micros),
            models,
            targets: targets
                .map(|(id, target)| (id.as_str(), Target::new(id, target)))
                .collect(),
            target_sets: &registry.target_sets,
        }
    }
}

impl Summary {
    fn new(registry: &ProjectRegistry, path: &Path) -> Self {
        let entries = registry.entries.values();
        let current = entries.clone().filter_map(ModelEntry::current);
        Self {
            generator: GENERATOR,
            success: true,
            processed_files: registry.entries.len(),
            successful_registrations: registry.entries.len(),
            registry_path: path.display().to_string(),
            total_models: registry.entries.len(),
            total_versions: entries.map(|entry| entry.versions.len()).sum(),
            total_targets: registry.targets.len(),
            total_bytes: current
                .map(RegisteredVersion::total_bytes)
                .fold(0, u64::saturating_add),
        }
    }
}

impl<'a> Model<'a> {
    fn new(id: &'a str, entry: &'a ModelEntry) -> Self {
        let current = entry.current();
        let history = entry.history();
        let times = || history.iter().map(|(_, version)| version.registered_at);
        Self {
            model_id: id,
            model_name: &entry.name,
            file_path: &entry.path,
            file_size_bytes: current.map_or(0, |version| own_size(entry, version)),
            registered_at: current.map(|version| rfc3339_micros(version.registered_at)),
            version: &entry.current,
            metadata: current.map(|version| &version.metadata),
            name: &entry.name,
            description: &entry.description,
            model_type: entry.model_type.as_deref(),
            tags: &entry.tags,
            format: entry.format.as_deref(),
            entrypoint: entry.entrypoint.as_deref(),
            outputs: &entry.outputs,
            data: entry.data.iter().map(RelPath::as_str).collect(),
            code: entry.code.iter().map(RelPath::as_str).collect(),
            given: &entry.given,
            created_at: times().min().map(rfc3339_micros),
            updated_at: times().max().map(rfc3339_micros),
            current_version: &entry.current,
            versions: history
                .iter()
                .map(|(name, version)| (*name, Version::new(name, entry, version)))
                .collect(),
        }
    }
}

impl<'a> Version<'a> {
    fn new(name: &'a str, entry: &'a ModelEntry, version: &'a RegisteredVersion) -> Self {
        let own = RelPath::parse(&entry.path).ok();
        let facts = own.and_then(|own| version.files.get(&own));
        Self {
            version: name,
            file_path: &entry.path,
            file_size_bytes: own_size(entry, version),
            created_at: rfc3339_micros(version.registered_at),
            hash: facts.map_or(String::new(), |facts| facts.digest.to_string()),
            metadata: &version.metadata,
            files: files_of(&version.files),
        }
    }
}

impl<'a> Target<'a> {
    fn new(id: &'a str, target: &'a TargetEntry) -> Self {
        Self {
            target_id: id,
            path: target.path.as_str(),
            entrypoint: &target.entrypoint,
            model_output: &target.model_output,
            data: target.data.iter().map(RelPath::as_str).collect(),
            registered_at: rfc3339_micros(target.registered_at),
            digest: target.digest,
            files: files_of(&target.files),
        }
    }
}

fn files_of(files: &Files) -> BTreeMap<&str, File> {
    let files = files.iter().map(|(path, facts)| {
        let file = File {
            sha256: facts.digest,
            size_bytes: facts.size_bytes,
        };
        (path.as_str(), file)
    });
    files.collect()
}

/// The size of the file that was registered; of a folder, of all files.
fn own_size(entry: &ModelEntry, version: &RegisteredVersion) -> u64 {
    let own = RelPath::parse(&entry.path).ok();
    let facts = own.and_then(|own| version.files.get(&own));
    facts.map_or_else(|| version.total_bytes(), |facts| facts.size_bytes)
}

/// A list of pairs as a table in its own order.
fn as_table<K: Serialize, V: Serialize, S: Serializer>(
    pairs: &[(K, V)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}
